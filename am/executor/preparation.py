"""What a task needs before the agent hears of it: directories, source, secrets, a held port, a place for logs."""

from __future__ import annotations

import contextlib
import os
import typing

from am.contract import codes
from am.contract.job import SOURCE_ARCHIVE, JobPlan
from am.executor.environment import Directories, make_directories
from am.executor.happenings import FailureError
from am.executor.ports import HeldPort, OpenPort
from am.executor.secrets import place_secrets


class Place(typing.NamedTuple):
    """Where and as what this executor was started.

    Attributes:
        role: Which role it is to be.
        directory: The container's working directory.
        agent_host: Where the agent is.
        certificate: Path of the job's certificate.
        token: The executors' token.
        environment: Of the container.
        started_s: Seconds since the epoch.
    """

    role: str
    directory: str
    agent_host: str
    certificate: str
    token: str
    environment: typing.Dict[str, str]
    started_s: float


class Prepared(typing.NamedTuple):
    """All of it; `open_port` is None where there is no peer that could try it."""

    directories: Directories
    log_dir: str
    secrets: typing.Dict[str, str]
    port: HeldPort
    open_port: typing.Optional[OpenPort]

    def port_numbers(self) -> typing.Tuple[int, int]:
        """Return the numbers of the held and of the open port; 0: there is none."""
        return self.port.number, 0 if self.open_port is None else self.open_port.number


def prepare(plan: JobPlan, place: Place) -> Prepared:
    """Make a container ready.

    Raises:
        FailureError: It cannot be, or the source archive is broken.
    """
    log_dir = _log_directory(place.environment)
    _expect_gpus(plan.role(place.role).resources.gpus, place.environment)
    alone = sum(role.instances for role in plan.roles) == 1
    with _finding_ports(plan, place):
        port, open_port = HeldPort(plan.port_range), None if alone else OpenPort(plan.port_range)
    try:
        directories = make_directories(place.directory)
        if plan.has_source:
            _unpack(place.directory)
        return Prepared(directories, log_dir, place_secrets(plan, place.directory), port, open_port)
    except OSError as error:
        raise FailureError(codes.LOST, "task-cannot-start", f"The container cannot be used: {error}.") from error


def renew_port(plan: JobPlan, place: Place, port: HeldPort, another: bool) -> None:
    """Hold the port of a new attempt: that of the last one when it is still to be had, unless it must be another one.

    Raises:
        FailureError: None is free.
    """
    with _finding_ports(plan, place):
        port.hold(another)


@contextlib.contextmanager
def _finding_ports(plan: JobPlan, place: Place) -> typing.Iterator[None]:
    try:
        yield
    except OSError as error:
        host = place.environment.get("NM_HOST", "this node")
        asked = "No port of {}-{}".format(*plan.port_range) if plan.port_range else "No port"
        raise FailureError(codes.LIMIT, "no-free-port", f"{asked} is free on {host}: {error}.") from error


def _unpack(directory: str) -> None:
    from am.executor.source import SourceError, unpack  # tarfile is for those who need it

    try:
        unpack(os.path.join(directory, SOURCE_ARCHIVE), directory)
    except SourceError as error:
        raise FailureError(codes.STAGING, "source-archive-broken", str(error)) from error


def _expect_gpus(asked: int, environment: typing.Mapping[str, str]) -> None:
    """Raise FailureError when the container sees fewer GPUs than were asked for."""
    if not asked:
        return
    from am.executor.gpu import visible  # for tasks with GPUs only

    seen = visible(environment)
    if seen is not None and seen < asked:
        sentence = f"The task asked for {asked} GPUs and sees {seen} on {environment.get('NM_HOST', 'its node')}."
        raise FailureError(codes.LOST, "gpu-missing", sentence)


def _log_directory(environment: typing.Mapping[str, str]) -> str:
    names = environment.get("LOG_DIRS", "")
    for path in names.split(","):
        if path and os.access(path, os.W_OK | os.X_OK):
            return path
    raise FailureError(codes.LOST, "no-log-directory", f"No log directory can be written to (LOG_DIRS is {names!r}).")
