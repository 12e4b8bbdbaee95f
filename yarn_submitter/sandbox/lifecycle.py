"""Bringing a sandbox up and down: what runs is left alone, what does not is started, nothing else is touched."""

from __future__ import annotations

import os
import pwd
import shutil
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.errors import LimitError, Problem, UnreachableError, UsageError
from yarn_submitter.sandbox import DaemonStatus, SandboxStatus, info_of, processes
from yarn_submitter.sandbox.addresses import choose_ports, node_addresses
from yarn_submitter.sandbox.archive import start_archiving
from yarn_submitter.sandbox.config import write_configuration
from yarn_submitter.sandbox.daemons import (
    NAMENODE_CLASS,
    answering,
    daemons,
    environment,
    hdfs_missing,
    java_command,
    mark,
    running_nodes,
    yarn_missing,
)
from yarn_submitter.sandbox.files import locked
from yarn_submitter.sandbox.hdfs_dirs import make_directories
from yarn_submitter.sandbox.jars import disk_full_is_an_error, ensure_jars, hadoop_dir
from yarn_submitter.sandbox.java import find_java
from yarn_submitter.sandbox.state import SandboxState, Shape, load_state, sandbox_dir, save_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from yarn_submitter.sandbox.daemons import Daemon
    from yarn_submitter.sandbox.state import SandboxSettings

STOP_GRACE_S = 5.0
CONTAINER_GRACE_S = 1.0
LOG_TAIL_LINES = 15
ARCHIVER = "class-archive"


def up(name: str, settings: SandboxSettings, progress: Callable[[str], None]) -> SandboxState:
    """Start what does not run; see Sandbox.up."""
    directory = sandbox_dir(name)
    with disk_full_is_an_error(directory), _only_one(name, progress):
        state = load_state(name)
        alive = _alive(state) if state else frozenset()
        if state:
            _refuse_other_settings(state, settings, alive)
            if alive == {daemon.name for daemon in daemons(state)} and not _growing(state, settings):
                if _missing(state) == "":
                    progress(f"sandbox {name!r} is up already")
                    return state
                progress(f"sandbox {name!r} is starting already")
        jars = ensure_jars(progress)
        state = _prepare(name, state, settings, alive, progress)
        write_configuration(state, directory, hadoop_dir() / "jars")
        children = processes.Children()
        state = _start(state, directory, jars, alive, children, progress)
        _wait(state, directory, children, time.monotonic() + settings.deadline_s, progress)
        make_directories(f"127.0.0.1:{state.ports['NN_HTTP']}", state.user)
        return _archive(state, jars, directory)


def _only_one(name: str, progress: Callable[[str], None]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    path = sandbox_dir(name).with_name(f"{name}.lock")
    return locked(path, lambda: progress(f"waiting for another command that works on sandbox {name!r}"))


def _alive(state: SandboxState) -> frozenset[str]:
    return frozenset(
        daemon.name for daemon in daemons(state) if processes.is_alive(state.processes.get(daemon.name), mark(state))
    )


def _growing(state: SandboxState, settings: SandboxSettings) -> bool:
    return settings.nodes is not None and settings.nodes > state.shape.nodes


def _refuse_other_settings(state: SandboxState, settings: SandboxSettings, alive: frozenset[str]) -> None:
    """A running daemon keeps its configuration: only more nodes can be had without a restart."""
    wanted = state.shape.changed_by(settings)
    same = replace(wanted, nodes=max(wanted.nodes, state.shape.nodes)) if wanted.nodes > state.shape.nodes else wanted
    if alive and replace(same, nodes=state.shape.nodes) != state.shape or (alive and wanted.nodes < state.shape.nodes):
        raise UsageError(
            Problem(
                "sandbox-settings",
                f"Sandbox {state.name!r} runs with other settings than these.",
                f"running: {state.shape}\nwanted:  {wanted}",
                f"job sandbox down --name {state.name}, then run the command again",
            )
        )


def _prepare(
    name: str,
    old: SandboxState | None,
    settings: SandboxSettings,
    alive: frozenset[str],
    progress: Callable[[str], None],
) -> SandboxState:
    """Return the state to start with: the old one's id and ports as far as they can be kept."""
    java_home = old.java_home if old and alive else str(find_java(progress=progress).home)
    shape = (old.shape if old else Shape()).changed_by(settings)
    addresses = node_addresses(shape.nodes)
    ports_in_use = frozenset(
        use for daemon in (daemons(old) if old else ()) if daemon.name in alive for use in daemon.port_uses
    )
    return SandboxState(
        name=name,
        id=old.id if old else uuid.uuid4().hex[:16],
        user=pwd.getpwuid(os.geteuid()).pw_name,
        java_home=java_home,
        shape=shape,
        node_addresses=addresses,
        ports=choose_ports(addresses, old.ports if old else {}, ports_in_use),
        processes={key: process for key, process in (old.processes if old else {}).items() if key in alive},
    )


def _start(
    state: SandboxState,
    directory: Path,
    jars: Sequence[Path],
    alive: frozenset[str],
    children: processes.Children,
    progress: Callable[[str], None],
) -> SandboxState:
    """Start all missing daemons at once; the NameNode's disk is formatted meanwhile when it is new."""
    for part in ("data", "logs", "tmp"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    missing = [daemon for daemon in daemons(state) if daemon.name not in alive]
    progress(f"starting {', '.join(daemon.name for daemon in missing)}")
    env = environment(state, directory)
    for daemon in missing:
        if daemon.name == "namenode" and not (directory / "data" / "namenode" / "current" / "VERSION").exists():
            _format(state, directory, jars, daemon, progress)
        command = java_command(state, directory, jars, daemon)
        process = children.start(command, env, _log(directory, daemon.name), directory / "tmp")
        state = replace(state, processes={**state.processes, daemon.name: process})
        # After each one: an interrupted `up` must not leave a process that `down` does not know.
        save_state(state)
    return state


def _format(
    state: SandboxState, directory: Path, jars: Sequence[Path], namenode: Daemon, progress: Callable[[str], None]
) -> None:
    """Make the NameNode's empty file system."""
    import subprocess

    progress("formatting HDFS")
    command = [*java_command(state, directory, jars, namenode), "-format", "-force", "-nonInteractive"]
    log = directory / "logs" / "format.log"
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            env=environment(state, directory),
            cwd=directory / "tmp",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise _died("namenode", log, state.name)


def _wait(
    state: SandboxState,
    directory: Path,
    children: processes.Children,
    deadline: float,
    progress: Callable[[str], None],
) -> None:
    """Return when HDFS and YARN are complete.

    Raises:
        UnreachableError: A daemon died.
        LimitError: The deadline came first.
    """
    said = ""
    while missing := _missing(state):
        for daemon in daemons(state):
            if not processes.is_alive(state.processes.get(daemon.name), mark(state)):
                raise _died(daemon.name, _log(directory, daemon.name), state.name)
        if missing != said:
            progress(f"waiting for {missing}")
            said = missing
        if time.monotonic() > deadline:
            raise LimitError(
                Problem(
                    "sandbox-deadline",
                    f"Sandbox {state.name!r} was not ready in time: it still waits for {missing}.",
                    f"logs: {directory / 'logs'}",
                    f"job sandbox status --name {state.name}; a second `job sandbox up` goes on waiting",
                )
            )
        children.pause(0.1)


def _missing(state: SandboxState) -> str:
    return ", ".join(filter(None, (hdfs_missing(state), yarn_missing(state))))


def _log(directory: Path, daemon: str) -> Path:
    return directory / "logs" / f"{daemon}.log"


def _died(daemon: str, log: Path, name: str) -> UnreachableError:
    try:
        tail = log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError as error:
        tail = [str(error)]
    return UnreachableError(
        Problem(
            "sandbox-daemon-died",
            f"The {daemon} of sandbox {name!r} died while it started; its log is {log}.",
            "\n".join(line[:300] for line in tail),
            f"less {log}",
        )
    )


def _archive(state: SandboxState, jars: Sequence[Path], directory: Path) -> SandboxState:
    """Begin the class-data archive if this Java has none yet; it is for the next start."""
    pid = start_archiving(state, jars, directory, mark(state))
    if pid is None:
        return state
    process = processes.Process(pid, processes.start_time(pid) or "")
    state = replace(state, processes={**state.processes, ARCHIVER: process})
    save_state(state)
    return state


def status(name: str) -> SandboxStatus:
    """Ask every daemon; see Sandbox.status."""
    state = load_state(name)
    if state is None:
        return SandboxStatus(name, None, (), 0, up=False)
    every = daemons(state)
    alive, answers = _alive(state), answering(every)
    found = []
    for daemon in every:
        process = state.processes.get(daemon.name)
        living = daemon.name in alive
        log = str(_log(sandbox_dir(name), daemon.name))
        # A dead daemon's port may be another program's by now.
        answer = living and answers[daemon.name]
        found.append(DaemonStatus(daemon.name, process.pid if process else None, daemon.address, living, answer, log))
    complete = all(daemon.answering for daemon in found) and _missing(state) == ""
    return SandboxStatus(name, info_of(state), tuple(found), running_nodes(state), up=complete)


def down(name: str, *, delete: bool, progress: Callable[[str], None]) -> bool:
    """End what runs; see Sandbox.down."""
    directory = sandbox_dir(name)
    with _only_one(name, progress):
        state = load_state(name)
        if state is None:
            return False
        ours = [process for process in state.processes.values() if processes.is_alive(process, mark(state))]
        if ours:
            progress(f"ending {len(ours)} processes of sandbox {name!r}")
        processes.end(ours, mark(state), STOP_GRACE_S)
        left = processes.end_marked(state.id, CONTAINER_GRACE_S)
        if left:
            progress(f"ended {left} processes that containers had left")
        save_state(replace(state, processes={}))
        if delete:
            shutil.rmtree(directory)
        return bool(ours or left)
