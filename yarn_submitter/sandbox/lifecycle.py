"""Bringing a sandbox up and down: what runs is left alone, what does not is started, nothing else is touched."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.errors import LimitError, Problem, UnreachableError, UsageError
from yarn_submitter.sandbox import ARCHIVER, DaemonStatus, SandboxStatus, info_of, processes
from yarn_submitter.sandbox.addresses import LOCALHOST, choose_ports, node_addresses
from yarn_submitter.sandbox.archive import DUMP_FLAG, start_archiving, sweep
from yarn_submitter.sandbox.config import write_configuration
from yarn_submitter.sandbox.daemons import (
    answering,
    daemons,
    environment,
    hdfs_missing,
    java_command,
    mark,
    running_nodes,
    temporary_directory_flag,
    yarn_missing,
)
from yarn_submitter.sandbox.files import locked
from yarn_submitter.sandbox.hdfs_dirs import make_directories
from yarn_submitter.sandbox.jars import disk_full_is_an_error, ensure_jars, hadoop_dir
from yarn_submitter.sandbox.java import find_java
from yarn_submitter.sandbox.state import (
    Process,
    SandboxState,
    Shape,
    load_state,
    name_option,
    refuse_odd_path,
    sandbox_dir,
    save_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from yarn_submitter.sandbox.daemons import Daemon
    from yarn_submitter.sandbox.state import SandboxSettings

STOP_GRACE_S = 5.0
CONTAINER_GRACE_S = 1.0
POLL_S = 0.1
LOG_TAIL_LINES = 10


def up(name: str, settings: SandboxSettings, progress: Callable[[str], None]) -> SandboxState:
    """Start what does not run; see Sandbox.up."""
    directory = sandbox_dir(name)
    refuse_odd_path(directory)
    with disk_full_is_an_error(directory), _only_one(name, progress):
        state = load_state(name)
        (state.shape if state else Shape()).changed_by(settings)  # refuses numbers that cannot be
        alive = _alive(state) if state else frozenset()
        if state and alive:
            _refuse_other_settings(state, settings)
            if _is_complete(state, settings, alive) and not _missing(state):
                _make_directories(state)  # an `up` that was interrupted may not have come to it
                progress(f"sandbox {name!r} is up already")
                return state
        _end_strays(state, directory, progress)
        # Before the download: 100 MB are of no use without a Java.
        java_home = state.java_home if state and alive else str(find_java(progress=progress).home)
        jars = ensure_jars(progress)
        state, alive = _prepare(name, state, settings, alive, java_home, progress)
        start = _Start(state, directory, jars, progress)
        try:
            start.run(alive)
            start.wait(time.monotonic() + settings.deadline_s)
        except UnreachableError:
            start.undo(alive)
            raise
        _make_directories(state)
        start.archive()
        return start.state


def _lock_file(name: str) -> Path:
    return sandbox_dir(name).with_name(f".{name}.lock")


def _only_one(name: str, progress: Callable[[str], None]) -> AbstractContextManager[None]:
    return locked(_lock_file(name), lambda: progress(f"waiting for another command that works on sandbox {name!r}"))


def _alive(state: SandboxState) -> frozenset[str]:
    return frozenset(
        daemon.name for daemon in daemons(state) if processes.is_alive(state.processes.get(daemon.name), mark(state))
    )


def _end_strays(state: SandboxState | None, directory: Path, progress: Callable[[str], None]) -> None:
    """End daemons that nobody remembers: their `up` was killed as it started them, or the state is gone.

    They would keep the NameNode's disk locked, and ports that are remembered.
    """
    flag = temporary_directory_flag(directory)
    known = {process.pid for process in state.processes.values()} if state else set()
    strays = [
        process
        for process in processes.with_argument(flag)
        if process.pid not in known and DUMP_FLAG not in processes.command_line(process.pid).split()
    ]
    if strays:
        progress(f"ending {len(strays)} processes of an earlier start")
        processes.end(strays, flag, STOP_GRACE_S)


def _make_directories(state: SandboxState) -> None:
    make_directories(f"{LOCALHOST}:{state.ports['NN_HTTP']}", state.user)


def _is_complete(state: SandboxState, settings: SandboxSettings, alive: frozenset[str]) -> bool:
    more_nodes = settings.nodes is not None and settings.nodes > state.shape.nodes
    return not more_nodes and len(alive) == len(daemons(state))


def _refuse_other_settings(state: SandboxState, settings: SandboxSettings) -> None:
    """A running daemon keeps its configuration: only more nodes can be had without a restart."""
    wanted = state.shape.changed_by(settings)
    if replace(wanted, nodes=0) == replace(state.shape, nodes=0) and wanted.nodes >= state.shape.nodes:
        return
    raise UsageError(
        Problem(
            "sandbox-settings",
            f"Sandbox {state.name!r} runs with other settings than these.",
            f"running: {state.shape.text()}\nwanted:  {wanted.text()}",
            f"job sandbox down{name_option(state.name)}, then run the command again",
        )
    )


def _prepare(
    name: str,
    old: SandboxState | None,
    settings: SandboxSettings,
    alive: frozenset[str],
    java_home: str,
    progress: Callable[[str], None],
) -> tuple[SandboxState, frozenset[str]]:
    """Return the state to start with (the old one's id, and its ports where they can be kept), and who still runs."""
    shape = (old.shape if old else Shape()).changed_by(settings)
    addresses = node_addresses(shape.nodes)
    before = old.ports if old else {}
    in_use = frozenset(use for d in (daemons(old) if old else ()) if d.name in alive for use in d.port_uses)
    ports = choose_ports(addresses, before, in_use)
    moved = sorted(use for use in before if use in ports and ports[use] != before[use])
    running = {key: process for key, process in (old.processes if old else {}).items() if key in alive}
    if old and alive and moved:
        # The daemons that run would look for the others where they were.
        progress(f"ports are taken by other programs ({', '.join(moved)}): starting every daemon anew")
        processes.end(running.values(), mark(old), STOP_GRACE_S)
        alive, running = frozenset(), {}
    state = SandboxState(
        name=name,
        id=old.id if old else uuid.uuid4().hex[:16],
        user=_user(),
        java_home=java_home,
        shape=shape,
        node_addresses=addresses,
        ports=ports,
        processes=running,
    )
    return state, alive


def _user() -> str:
    """Return the name of the user who runs this; Java asks the system for it too."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise UsageError(
            Problem(
                "sandbox-user",
                f"The user id {os.geteuid()} has no name on this machine, and Hadoop does not start without one.",
                "looked for it in the system's user database",
                f"add a line for {os.geteuid()} to /etc/passwd, or run as a user who has a name",
            )
        ) from None


class _Start:
    """One run of `up`: the daemons it starts, and the state that knows each of them."""

    def __init__(
        self, state: SandboxState, directory: Path, jars: Sequence[Path], progress: Callable[[str], None]
    ) -> None:
        self.state = state
        self.directory = directory
        self.jars = jars
        self.progress = progress
        self.children = processes.Children()

    def run(self, alive: frozenset[str]) -> None:
        """Start all missing daemons at once; the NameNode's disk is formatted meanwhile when it is new."""
        if not alive:
            shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        for part in ("data", "logs", "tmp"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        write_configuration(self.state, self.directory, hadoop_dir() / "jars")
        save_state(self.state)
        missing = [daemon for daemon in daemons(self.state) if daemon.name not in alive]
        if missing:
            self.progress(f"starting {', '.join(daemon.name for daemon in missing)}")
        env = environment(self.state, self.directory)
        for daemon in missing:
            if daemon.name == "namenode":
                self._format_once(daemon)
            command = java_command(self.state, self.directory, self.jars, daemon)
            process = self.children.start(command, env, _log(self.directory, daemon.name), self.directory / "tmp")
            self._remember(daemon.name, process)

    def _remember(self, name: str, process: Process) -> None:
        """Save each process at once: an interrupted `up` must not leave one that nobody knows."""
        self.state = replace(self.state, processes={**self.state.processes, name: process})
        save_state(self.state)

    def _format_once(self, namenode: Daemon) -> None:
        """Make the NameNode's empty file system, unless there is one: a format that was cut short left no image."""
        data = self.directory / "data"
        if any(data.glob("namenode/current/fsimage_*[0-9]")):
            return
        # Blocks of an earlier file system: a DataNode that has such does not start.
        shutil.rmtree(data / "datanode", ignore_errors=True)
        self.progress("formatting HDFS")
        java = java_command(self.state, self.directory, self.jars, namenode)
        log = self.directory / "logs" / "format.log"
        with log.open("wb") as output:
            ended = subprocess.run(
                [*java, "-format", "-force", "-nonInteractive"],
                env=environment(self.state, self.directory),
                cwd=self.directory / "tmp",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if ended.returncode != 0:
            raise _died("namenode", log, self.state.name)

    def wait(self, deadline: float) -> None:
        """Return when HDFS and YARN are complete.

        Args:
            deadline: Latest time, of the monotonic clock.

        Raises:
            UnreachableError: A daemon died.
            LimitError: The deadline came first.
        """
        while missing := _missing(self.state):
            dead = {daemon.name for daemon in daemons(self.state)} - _alive(self.state)
            for name in sorted(dead):
                raise _died(name, _log(self.directory, name), self.state.name)
            self.progress(f"waiting for {missing}")
            if time.monotonic() > deadline:
                raise LimitError(
                    Problem(
                        "sandbox-deadline",
                        f"Sandbox {self.state.name!r} was not ready in time: it still waits for {missing}.",
                        f"logs: {self.directory / 'logs'}",
                        "run the command again: it goes on waiting",
                    )
                )
            self.children.pause(POLL_S)

    def undo(self, alive: frozenset[str]) -> None:
        """End what this run has started: without the daemon that died it is of no use."""
        ours = {name: process for name, process in self.state.processes.items() if name not in alive}
        processes.end(ours.values(), mark(self.state), STOP_GRACE_S)
        self.state = replace(
            self.state, processes={name: process for name, process in self.state.processes.items() if name in alive}
        )
        save_state(self.state)

    def archive(self) -> None:
        """Begin the class-data archive if this Java has none yet; it is for the next start."""
        sweep(Path(self.state.java_home), self.jars)
        pid = start_archiving(self.state, self.jars, self.directory, mark(self.state))
        if pid is not None:
            self._remember(ARCHIVER, Process(pid, processes.start_time(pid) or ""))


def _missing(state: SandboxState) -> str:
    """Return what is not ready yet, in words; empty when jobs can be submitted."""
    with ThreadPoolExecutor(2) as pool:
        words = ", ".join(filter(None, pool.map(lambda ask: ask(state), (hdfs_missing, yarn_missing))))
    if words:
        return words
    # For a while after its death the ResourceManager counts a NodeManager as running.
    return ", ".join(name for name, answer in answering(daemons(state)).items() if not answer)


def _log(directory: Path, daemon: str) -> Path:
    return directory / "logs" / f"{daemon}.log"


def log_tail(log: Path) -> list[str]:
    """Return what a daemon's log says last: from its last error on, without stack frames (they bury the cause)."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        return [str(error)]
    noise = ("\tat ", "\t... ", "/*****", "*****", "SHUTDOWN_MSG")
    telling = [
        line[:300]
        for line in lines
        if line.strip() and not line.startswith(noise) and not line.endswith("SHUTDOWN_MSG: ")
    ]
    errors = [number for number, line in enumerate(telling) if " ERROR " in line or " FATAL " in line]
    first = errors[-1] if errors else len(telling) - LOG_TAIL_LINES
    return telling[max(first, 0) :][:LOG_TAIL_LINES]


def _died(daemon: str, log: Path, name: str) -> UnreachableError:
    tail = log_tail(log)
    taken = any("BindException" in line or "Port in use" in line for line in tail)
    return UnreachableError(
        Problem(
            "sandbox-daemon-died",
            f"The {daemon} of sandbox {name!r} died while it started; its log is {log}.",
            "\n".join(tail) or "the log is empty: it was killed",
            "run the command again: it takes another port" if taken else f"less {log}",
        )
    )


def status(name: str) -> SandboxStatus:
    """Ask every daemon; see Sandbox.status."""
    state = load_state(name)
    if state is None:
        return SandboxStatus(name, None, (), 0, up=False)
    every = daemons(state)
    alive = _alive(state)
    # All at once: of daemons that hang each would be waited for.
    with ThreadPoolExecutor(2) as pool:
        nodes, missing = pool.submit(running_nodes, state), pool.submit(_missing, state)
        answers = answering(every)
    found = []
    for daemon in every:
        process = state.processes.get(daemon.name)
        living = daemon.name in alive
        log = str(_log(sandbox_dir(name), daemon.name))
        # A dead daemon's port may be another program's by now.
        answer = living and answers[daemon.name]
        found.append(DaemonStatus(daemon.name, process.pid if process else None, daemon.address, living, answer, log))
    complete = all(daemon.alive for daemon in found) and not missing.result()
    running = nodes.result() if "resourcemanager" in alive else 0
    return SandboxStatus(name, info_of(state), tuple(found), running, up=complete)


def down(name: str, *, delete: bool, progress: Callable[[str], None]) -> bool:
    """End what runs; see Sandbox.down."""
    directory = sandbox_dir(name)
    with _only_one(name, progress):
        state = load_state(name)
        # By its directory a daemon is found that was started just before `up` was killed, or whose state is gone.
        flag = temporary_directory_flag(directory)
        found = processes.with_argument(flag)
        known = [p for p in state.processes.values() if processes.is_alive(p, mark(state))] if state else []
        ours = {process.pid for process in (*found, *known)}
        if ours:
            progress(f"ending {len(ours)} processes of sandbox {name!r}")
        processes.end(found, flag, STOP_GRACE_S)
        left = 0
        if state:
            processes.end(known, mark(state), STOP_GRACE_S)
            left = processes.end_marked(state.id, CONTAINER_GRACE_S)
            save_state(replace(state, processes={}))
        if left:
            progress(f"ended {left} processes that containers had left")
        if delete:
            if directory.exists():
                shutil.rmtree(directory)
            _lock_file(name).unlink(missing_ok=True)
        return bool(ours or left)
