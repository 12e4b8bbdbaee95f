"""The job as its user described it: values only, nothing looked up, nothing filled in by the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

from am.contract.job import TOGETHER
from yarn_submitter.units import Ask

FRAMEWORKS = ("tensorflow", "pytorch", "mxnet", "horovod", "jax", "generic")
FAIL = "fail"  # what `on_failure: fatal` was called
AM_ATTEMPTS = 2  # ApplicationMasters of a job that says nothing: one may die, the next goes on


@dataclass(frozen=True)
class Localization:
    """Something that is brought to a task.

    Attributes:
        remote: A local path or a URI.
        local: Name in the working directory (`data`, from `./data`) or an absolute path.
        archive: Whether YARN unpacks it.
        writable: Whether `:rw` was asked for.
    """

    remote: str
    local: str
    archive: bool = False
    writable: bool = False


@dataclass(frozen=True)
class Mount:
    """A Docker bind mount: an absolute path on the node, an absolute path in the container."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Quicklink:
    """A link that is shown with the job: to a port of one task.

    Attributes:
        label: What it is called.
        protocol: `http` or `https`.
        task: `role:index`.
        port: On the task's host.
    """

    label: str
    protocol: str
    task: str
    port: int


@dataclass(frozen=True)
class Secret:
    """A local file whose content reaches the tasks and nothing else.

    Attributes:
        name: A variable's name, or `./NAME` for a file of mode 0400 in the task's working directory.
        path: The local file, absolute.
    """

    name: str
    path: str


@dataclass(frozen=True)
class Security:
    """Who the job is on a Kerberos cluster.

    Attributes:
        insecure: Kept for old scripts; whether a cluster is secure is read from its configuration.
        keytab: Local path, or empty.
        principal: Its principal, or empty.
        distribute_keytab: Whether the keytab travels with the job.
    """

    insecure: bool = False
    keytab: str = ""
    principal: str = ""
    distribute_keytab: bool = False


@dataclass(frozen=True)
class JobLimits:
    """Deadlines that a job sets for itself, each as in am.contract.job.Limits; None: as its site says, 0: no limit.

    Attributes:
        gang_hold_s: Tasks that are up hold their containers so long for the rest of the job.
        gang_tries: How often they give them back before the job fails.
        queue_wait_s: For the whole job to be up.
        stall_s: Without output and without work on a GPU a program has failed.
        gpu_idle_s: With idle GPUs a program has failed.
        stop_grace_s: From TERM to KILL.
    """

    gang_hold_s: int | None = None
    gang_tries: int | None = None
    queue_wait_s: int | None = None
    stall_s: int | None = None
    gpu_idle_s: int | None = None
    stop_grace_s: int | None = None


@dataclass(frozen=True)
class RoleSpec:
    """A named group of like tasks.

    Attributes:
        name: Role name, `worker`, `ps`, `chief` or any other.
        instances: How many tasks, at most.
        resources: What each of them is asked to have.
        command: Shell text, opaque.
        env: Variables of this role.
        localizations: For this role.
        mounts: For this role.
        image: Docker image of this role; empty: the job's.
        node_label: Label of the nodes that this role runs on; empty: the job's.
        on_failure: What follows when a task fails, one of am.contract.job.AFTER_FAILURE; empty: as for its framework.
        on_loss: The same for a task that the cluster took away.
        min_instances: So many tasks are enough for an elastic role; 0: all.
        start: When its tasks start, one of am.contract.job.STARTS.
        depends_on: Roles whose tasks start before its own, or, as `ROLE:succeeded`, end well before.
    """

    name: str
    instances: int
    resources: Ask
    command: str
    env: dict[str, str] = field(default_factory=dict)
    localizations: tuple[Localization, ...] = ()
    mounts: tuple[Mount, ...] = ()
    image: str = ""
    node_label: str = ""
    on_failure: str = ""
    on_loss: str = ""
    min_instances: int = 0
    start: str = TOGETHER
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobSpec:
    """A training job.

    Attributes:
        name: The user's name for it.
        framework: One of FRAMEWORKS.
        roles: In the order in which they are shown: chief, worker, ps first, then as given.
        queue: YARN queue.
        input_path: Local path, URI or empty.
        checkpoint_path: URI, absolute path on the store, or empty for the job's own.
        saved_model_path: The same.
        env: For every role.
        localizations: For every role.
        source_dir: Directory whose content is put into every task's working directory, or empty.
        done_when: `chief` or `all`.
        tf_worker0: What TF_CONFIG calls worker 0 when there is no chief.
        wait_job_finish: Kept for the record.
        verbose: Kept for the record.
        image: Docker image of every role that has none of its own; empty: no Docker.
        node_label: Label of the nodes that every role runs on that names none of its own; empty: the queue's default.
        mounts: For every role.
        quicklinks: Shown with the job.
        secrets: For every role.
        conf: Hadoop properties for this job's submission.
        security: Keytab and principal.
        tensorboard: The sidecar that shows the job's checkpoints; its command may be empty.
        max_runtime_s: The job fails when it has run longer; 0: no limit.
        max_restarts: How many restarts after failed programs it may have.
        am_attempts: How many ApplicationMasters it may have, one after the other.
        port_range: First and last port that its tasks may listen on; empty: any.
        limits: Its other deadlines.
    """

    name: str
    framework: str
    roles: tuple[RoleSpec, ...]
    queue: str = "default"
    input_path: str = ""
    checkpoint_path: str = ""
    saved_model_path: str = ""
    env: dict[str, str] = field(default_factory=dict)
    localizations: tuple[Localization, ...] = ()
    source_dir: str = ""
    done_when: str = "chief"
    tf_worker0: str = "worker"
    wait_job_finish: bool = False
    verbose: bool = False
    image: str = ""
    node_label: str = ""
    mounts: tuple[Mount, ...] = ()
    quicklinks: tuple[Quicklink, ...] = ()
    secrets: tuple[Secret, ...] = ()
    conf: dict[str, str] = field(default_factory=dict)
    security: Security = field(default_factory=Security)
    tensorboard: RoleSpec | None = None
    max_runtime_s: int = 0
    max_restarts: int = 0
    am_attempts: int = AM_ATTEMPTS
    port_range: tuple[int, ...] = ()
    limits: JobLimits = field(default_factory=JobLimits)
