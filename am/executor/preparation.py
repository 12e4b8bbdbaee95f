"""What a task needs before the agent hears of it: directories, source, secrets, a held port, a place for logs."""

from __future__ import annotations

import os
import typing

from am.contract.job import SOURCE_ARCHIVE, JobPlan
from am.executor.environment import Directories, make_directories
from am.executor.happenings import CODE_LOST, CODE_STAGING, FailureError
from am.executor.ports import HeldPort
from am.executor.secrets import place_secrets


class Prepared(typing.NamedTuple):
    """All of it."""

    directories: Directories
    port: HeldPort
    log_dir: str
    secrets: typing.Dict[str, str]


def prepare(plan: JobPlan, directory: str, environment: typing.Mapping[str, str]) -> Prepared:
    """Make a container ready.

    Args:
        plan: The job.
        directory: The container's working directory.
        environment: Of the container.

    Raises:
        FailureError: It cannot be, or the source archive is broken.
    """
    log_dir = _log_directory(environment)
    try:
        directories = make_directories(directory)
        if plan.has_source:
            _unpack(directory)
        return Prepared(directories, HeldPort(), log_dir, place_secrets(plan, directory))
    except OSError as error:
        raise FailureError(CODE_LOST, "task-cannot-start", f"The container cannot be used: {error}.") from error


def _unpack(directory: str) -> None:
    from am.executor.source import SourceError, unpack  # tarfile is for those who need it

    try:
        unpack(os.path.join(directory, SOURCE_ARCHIVE), directory)
    except SourceError as error:
        raise FailureError(CODE_STAGING, "source-archive-broken", str(error)) from error


def _log_directory(environment: typing.Mapping[str, str]) -> str:
    names = environment.get("LOG_DIRS", "")
    for path in names.split(","):
        if path and os.access(path, os.W_OK | os.X_OK):
            return path
    raise FailureError(CODE_LOST, "no-log-directory", f"No log directory can be written to (LOG_DIRS is {names!r}).")
