"""The environment and the local directories that the user's command finds. Names: docs, "What every task finds"."""

from __future__ import annotations

import json
import os
import typing

from am import runtimes
from am.contract.job import PART, JobPlan, task_name
from am.executor.ports import numeric

# One directory of ours in the working directory, with a dot: a user's own ./output or ./model (localized, or in the
# source) must never be taken for what the task made.
HERE = ".ys.task"
GENERIC = "generic"
Topology = typing.Dict[str, typing.Tuple[str, ...]]
MAX_TOPOLOGY_BYTES = 100 * 1024  # the kernel takes no single variable of 128 KiB


class Directories(typing.NamedTuple):
    """The task's local directories, absolute paths."""

    output: str
    model: str
    checkpoint: str
    state: str
    home: str
    tmp: str


class Task(typing.NamedTuple):
    """Which task this container is."""

    role: str
    number: int
    attempt: int
    application_id: str

    @property
    def name(self) -> str:
        """Return `role:index`."""
        return task_name(self.role, self.number)


def make_directories(working_directory: str) -> Directories:
    """Make the task's local directories and return where they are.

    Raises:
        OSError: The working directory cannot be written to.
    """
    found = Directories(*(os.path.join(working_directory, HERE, name) for name in Directories._fields))
    for path in found:
        os.makedirs(path, exist_ok=True)
    return found


class Surroundings(typing.NamedTuple):
    """What of its container the command's environment tells.

    Attributes:
        environment: The container's, as YARN and Skein made it.
        working_directory: The container's.
        directories: From `make_directories`.
        secrets: Those of `plan.secrets` that are variables.
        key: Known to the job's executors alone; what is derived of it is the same in all tasks.
    """

    environment: typing.Mapping[str, str]
    working_directory: str
    directories: Directories
    secrets: typing.Mapping[str, str]
    key: str


def child_environment(plan: JobPlan, task: Task, topology: Topology, here: Surroundings) -> typing.Dict[str, str]:
    """Return the whole environment of the command.

    The container's own comes first, ours over it, the framework's over that, the user's over all but who the task is.

    Args:
        plan: The job.
        task: Which task.
        topology: host:port of every task, by role and index.
        here: The container.
    """
    framework = runtimes.environment(plan, topology, task.role, task.number, here.key)
    for name in set(runtimes.numeric_variables(plan)).intersection(framework):
        framework[name] = numeric(framework[name])
    directories = here.directories
    data = os.path.join(here.working_directory, plan.data_dir) if plan.data_dir else plan.input_path
    ours = {
        "INPUT_PATH": data,
        "CHECKPOINT_PATH": plan.checkpoint_path,
        "SAVED_MODEL_PATH": plan.saved_model_path,
        "DATA_DIR": data,
    }
    found = {
        **here.environment,
        **{name: value for name, value in ours.items() if value},
        "OUTPUT_DIR": directories.output,
        "MODEL_DIR": directories.model,
        "CHECKPOINT_DIR": directories.checkpoint,
        "JOB_STATE_DIR": directories.state,
        "HOME": directories.home,
        "TMPDIR": directories.tmp,
        "JOB_NAME": task.role,
        "TASK_INDEX": str(task.number),
        "ATTEMPT": str(task.attempt),
        "JOB_ID": plan.id,
        "HOST_NAME": f"{task.role}-{task.number}",
        **framework,
        "SUBMARINE_TENSORBOARD_LOG_DIR": directories.checkpoint,
        **plan.role(task.role).env,
        **here.secrets,
    }
    found.setdefault("PYTHONUNBUFFERED", "1")
    found.update({name: framework[name] for name in runtimes.identity(plan) if name in framework})
    found.update(_identity(plan, task, topology))
    if plan.framework == GENERIC:
        found.setdefault("HOSTS_FILE", hosts_file(here.working_directory))
    return {**_interfaces(plan, task, topology), **found}


def hosts_file(working_directory: str) -> str:
    """Return where a generic job's tasks find who is where."""
    return os.path.join(working_directory, HERE, "hosts")


def write_hosts(working_directory: str, topology: Topology) -> None:
    """Write that file; who reads it meanwhile finds the old one or the new one.

    Raises:
        OSError: It cannot be written.
    """
    path = hosts_file(working_directory)
    with open(path + PART, "w", encoding="utf-8") as file:
        file.write(runtimes.hosts_text(topology))
    os.replace(path + PART, path)


def _interfaces(plan: JobPlan, task: Task, topology: Topology) -> typing.Dict[str, str]:
    """Return the variables that name a network interface: the one that carries the address that peers know."""
    names = runtimes.network_interface_variables(plan)
    if not names or sum(map(len, topology.values())) < 2:
        return {}
    from am.executor.interfaces import interface_of  # a task without peers needs none

    peers_know = topology.get(task.role, ())[task.number : task.number + 1]
    interface = interface_of(peers_know[0].rpartition(":")[0]) if peers_know else ""
    return dict.fromkeys(names, interface) if interface else {}


def _identity(plan: JobPlan, task: Task, topology: Topology) -> typing.Dict[str, str]:
    found = {
        "YARN_SUBMITTER_JOB": task.application_id,
        "YARN_SUBMITTER_ID": plan.id,
        "YARN_SUBMITTER_NAME": plan.name,
        "YARN_SUBMITTER_ROLE": task.role,
        "YARN_SUBMITTER_INDEX": str(task.number),
        "YARN_SUBMITTER_ATTEMPT": str(task.attempt),
    }
    text = json.dumps(topology)
    if len(text) <= MAX_TOPOLOGY_BYTES:
        found["YARN_SUBMITTER_TOPOLOGY"] = text
    return found
