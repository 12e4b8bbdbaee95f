"""The environment and the local directories that the user's command finds. Names: docs, "What every task finds"."""

from __future__ import annotations

import json
import os
import typing

from am import runtimes
from am.contract.job import JobPlan, task_name

# One directory of ours in the working directory, with a dot: a user's own ./output or ./model (localized, or in the
# source) must never be taken for what the task made.
HERE = ".ys.task"
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


def child_environment(
    base: typing.Mapping[str, str],
    plan: JobPlan,
    task: Task,
    topology: typing.Dict[str, typing.Tuple[str, ...]],
    directories: Directories,
    working_directory: str,
    secrets: typing.Mapping[str, str],
) -> typing.Dict[str, str]:
    """Return the whole environment of the command.

    The container's own comes first, ours over it, the framework's over that, the user's over all but who the task is.

    Args:
        base: The container's, as YARN and Skein made it.
        plan: The job.
        task: Which task.
        topology: host:port of every task, by role and index.
        directories: From `make_directories`.
        working_directory: The container's.
        secrets: Those of `plan.secrets` that are variables.
    """
    framework = runtimes.environment(plan, topology, task.role, task.number)
    data = os.path.join(working_directory, plan.data_dir) if plan.data_dir else plan.input_path
    ours = {
        "INPUT_PATH": data,
        "CHECKPOINT_PATH": plan.checkpoint_path,
        "SAVED_MODEL_PATH": plan.saved_model_path,
        "DATA_DIR": data,
    }
    found = {
        **base,
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
        **secrets,
    }
    found.setdefault("PYTHONUNBUFFERED", "1")
    found.update({name: framework[name] for name in runtimes.identity(plan) if name in framework})
    found.update(_identity(plan, task, topology))
    return found


def _identity(plan: JobPlan, task: Task, topology: typing.Dict[str, typing.Tuple[str, ...]]) -> typing.Dict[str, str]:
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
