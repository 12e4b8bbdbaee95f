"""The job as the cluster side knows it: job.json, written by the client at submit, read by agent and executors.

Paths are absolute paths on the job's store (the cluster's default file system); this file alone knows their names.
"""

from __future__ import annotations

import dataclasses
import json
import typing

from am.contract.codec import from_json, to_json

FORMAT = 1

# Names in every container's working directory. They begin with a dot, so that a user's `ls` and globs stay clean.
CODE_ZIP = ".ys.zip"
JOB_FILE = ".ys.job.json"
SECRET_FILE = ".ys.secret"
SECRETS_FILE = ".ys.secrets.json"
PYTHON_DIR = ".ys.python"
PYTHON_ARCHIVE = ".ys.python.tar.gz"
SOURCE_ARCHIVE = ".ys.src.tar.gz"
OWN_PYTHON = "YS_OWN_PYTHON"  # variable: how an executor is started with our own interpreter, for one that cannot go on
# Skein puts the job's own certificate and key there under these names (Skein 0.8.2, seen).
CERTIFICATE_FILE = ".skein.crt"
KEY_FILE = ".skein.pem"
# How the name of a file of the agent ends while it is written, beside its place.
PART = ".part"

# What a task's bad end means for the job; docs/failures.md has the table of each framework.
FATAL = "fatal"  # the job fails
RESTART_TASK = "restart-task"  # the task starts again, the others go on
RESTART_JOB = "restart-job"  # every task is stopped and starts again from the checkpoint, with a new topology
IGNORE = "ignore"  # the job goes on without it
AFTER_FAILURE = (FATAL, RESTART_TASK, RESTART_JOB, IGNORE)

TOGETHER = "together"  # the role's commands start when the whole gang is up
FIRST_COME = "first-come"  # each task's command starts as soon as the task is up
STARTS = (TOGETHER, FIRST_COME)


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one container is asked to have: memory in MiB, virtual cores, GPUs."""

    memory_mib: int
    vcores: int = 1
    gpus: int = 0


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long anything may wait, in seconds; the one table of deadlines. 0 means no limit.

    Attributes:
        gang_hold_s: A gang that is not complete holds its containers this long.
        registration_s: From the end of localization to the executor's registration.
        silence_s: A task silent for the agent, or an agent silent for a task, is given up after this.
        stop_grace_s: From TERM to KILL.
        upload_s: Carrying results to the store after the program ended.
        call_s: One request, of client or executor.
        lifetime_s: From the start of the user's commands to the job's end; a job that takes longer fails.
        gang_tries: How often a gang that is not complete in time gives its containers back before the job fails; here
            a number, and 0 means without end.
        queue_wait_s: From the agent's start to the gang being complete for the first time.
        probe_s: For the tasks of a gang to reach one another, before any command starts.
        stall_s: A program that writes nothing and uses no GPU for so long has failed.
        gpu_idle_s: A program whose GPUs do nothing for so long has failed.
    """

    gang_hold_s: int = 300
    registration_s: int = 120
    silence_s: int = 60
    stop_grace_s: int = 30
    upload_s: int = 600
    call_s: int = 10
    lifetime_s: int = 0
    gang_tries: int = 0
    queue_wait_s: int = 0
    probe_s: int = 60
    stall_s: int = 0
    gpu_idle_s: int = 0


@dataclasses.dataclass(frozen=True)
class Quicklink:
    """A link that is shown with the job: `label`, `http` or `https`, a task, a port on that task's host.

    Port 0 stands for the port that the task published.
    """

    label: str
    protocol: str
    task: str
    port: int


@dataclasses.dataclass(frozen=True)
class RolePlan:
    """A named group of like tasks.

    Attributes:
        name: Role name, `worker`, `ps`, `chief` or any other.
        instances: How many tasks.
        resources: For each of them.
        command: Shell text, run by bash as it is.
        env: The user's variables for this role, job-wide ones merged in.
        tracked: Whether its good end is needed for the job's success. An untracked task is stopped at the end.
        on_failure: What follows when its program fails, one of AFTER_FAILURE. Restarts of failed programs count against
            the job's `max_restarts`; when none is left, FATAL.
        on_loss: The same for a task that its cluster took away (preempted, node lost, disk full); never counted.
        min_instances: The gang is complete with so many of an elastic role; 0 stands for `instances`.
        start: One of STARTS.
        depends_on: Roles whose commands must run before this role's start; `ROLE:succeeded` waits for their good end.
        watches: Its CHECKPOINT_DIR follows the checkpoint path while it runs, and nothing of it is sent there.
    """

    name: str
    instances: int
    resources: Resources
    command: str
    env: typing.Dict[str, str] = dataclasses.field(default_factory=dict)
    tracked: bool = True
    on_failure: str = FATAL
    on_loss: str = FATAL
    min_instances: int = 0
    start: str = TOGETHER
    depends_on: typing.Tuple[str, ...] = ()
    watches: bool = False

    @property
    def needed(self) -> int:
        """Return how many of its tasks the gang cannot do without."""
        return self.min_instances or self.instances


@dataclasses.dataclass(frozen=True)
class JobPlan:
    """All that agent and executors need to know of a job; its JSON form is job.json.

    Attributes:
        id: Our own sortable id, known before YARN's.
        name: What the user called it.
        user: Whom the job runs as.
        framework: `tensorflow`, `pytorch`, `mxnet`, `horovod`, `jax` or `generic`.
        queue: YARN queue.
        roles: In the order in which they are shown.
        main_task: `role:index` of the task that sends MODEL_DIR and CHECKPOINT_DIR and whose output the client shows.
        done_when: `chief` (the job has succeeded when the main role has) or `all` (when every tracked task has).
        tf_worker0: What TF_CONFIG calls worker 0 when there is no chief role: `worker`, `chief` or `master`.
        input_path: As the user gave it; empty when there is none.
        checkpoint_path: URI or absolute path on the store.
        saved_model_path: URI or absolute path on the store.
        data_dir: Name of the localized input directory in the working directory; empty: DATA_DIR is the input path.
        job_dir: The job's own directory on the store.
        webhdfs: `http://host:port` of the NameNodes that serve the store, the active one among them.
        agent_ports: The agent listens on the first of these that is free on its host.
        has_source: Whether `--src` sent a source archive.
        secrets: Names of what lies in SECRETS_FILE: a variable, or `./NAME` for a file in the working directory.
        quicklinks: Shown with the job.
        max_restarts: How many restarts after failed programs the job may have, of tasks and of all together.
        max_attempts: How many ApplicationMasters YARN may start for the job, one after the other.
        port_range: First and last port that tasks may listen on; empty: any.
        limits: Deadlines.
        format: Version of this layout.
    """

    id: str
    name: str
    user: str
    framework: str
    queue: str
    roles: typing.Tuple[RolePlan, ...]
    main_task: str
    done_when: str
    tf_worker0: str
    input_path: str
    checkpoint_path: str
    saved_model_path: str
    data_dir: str
    job_dir: str
    webhdfs: typing.Tuple[str, ...]
    agent_ports: typing.Tuple[int, ...]
    has_source: bool = False
    secrets: typing.Tuple[str, ...] = ()
    quicklinks: typing.Tuple[Quicklink, ...] = ()
    max_restarts: int = 0
    max_attempts: int = 1
    port_range: typing.Tuple[int, ...] = ()
    limits: Limits = dataclasses.field(default_factory=Limits)
    format: int = FORMAT

    def role(self, name: str) -> RolePlan:
        """Return the role called `name`; KeyError when there is none."""
        for role in self.roles:
            if role.name == name:
                return role
        raise KeyError(name)

    def to_text(self) -> str:
        """Return the content of job.json: sorted keys, one line per value, ends with a newline."""
        return json.dumps(to_json(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_text(text: str) -> JobPlan:
        """Read job.json.

        Raises:
            codec.ContractError: It is not one.
            ValueError: It is not JSON.
        """
        return from_json(JobPlan, json.loads(text))


def task_name(role: str, index: int) -> str:
    """Return the name of a task, `role:index`, which it keeps over restarts."""
    return f"{role}:{index}"


def split_task(task: str) -> typing.Tuple[str, int]:
    """Return role and index of a task name."""
    role, _, index = task.rpartition(":")
    return role, int(index)


@dataclasses.dataclass(frozen=True)
class JobPaths:
    """Every path that belongs to a user's jobs on the store, by one owner.

    Attributes:
        base: `<root>/<user>`, or a directory in the user's home, absolute, without a slash at its end.
    """

    base: str

    @property
    def cache(self) -> str:
        """Return the directory of staged objects, named by their content."""
        return f"{self.base}/cache"

    @property
    def jobs(self) -> str:
        """Return the directory that holds one directory per job."""
        return f"{self.base}/jobs"

    def job(self, job_id: str) -> str:
        """Return the job's own directory."""
        return f"{self.jobs}/{job_id}"


def staging_dir(job_dir: str) -> str:
    """Return where files live that only a starting job needs; removed at its end."""
    return f"{job_dir}/staging"


def spec_dir(job_dir: str) -> str:
    """Return where the job's description lies: job.json, plan.json, access.json."""
    return f"{job_dir}/spec"


def access_file(job_dir: str) -> str:
    """Return where a later client finds application id, certificate and client token (mode 0600)."""
    return f"{job_dir}/spec/access.json"


def agent_file(job_dir: str) -> str:
    """Return where the agent says how it is reached: {"host", "port", "attempt", "application_id"} (mode 0600)."""
    return f"{job_dir}/spec/agent.json"


def history_dir(job_dir: str) -> str:
    """Return where the agent writes its events, `<attempt>-<n>.jsonl`."""
    return f"{job_dir}/history"


def output_dir(job_dir: str, task: str) -> str:
    """Return where a task's OUTPUT_DIR and JOB_STATE_DIR are carried to: output/<role>-<index>."""
    role, index = split_task(task)
    return f"{job_dir}/output/{role}-{index}"
