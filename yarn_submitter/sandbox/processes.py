"""Processes of a sandbox: started to outlive us, told apart from everybody else's, ended without fail.

A process is ours when its id, its start time and the mark on its command line are those that we remember. A container
has the sandbox's id in its environment (YARN_SUBMITTER_SANDBOX_ID), which only Linux lets us read.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.sandbox.state import Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CONTAINER_MARK = "YARN_SUBMITTER_SANDBOX_ID"
_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()


class Children:
    """Daemons started by this process, each watched by a thread, so that the end of any of them is an event.

    The threads also collect the ended children: a process that stays alive after `up`, such as a test run, would
    else keep them as zombies.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()

    def start(self, command: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path) -> Process:
        """Start a program in its own session, its output in the file `log`, the last start's output in `log`.1."""
        if log.exists():
            log.replace(log.with_name(f"{log.name}.1"))
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=self._watch, args=(popen,), daemon=True, name=f"watch-{popen.pid}").start()
        return Process(popen.pid, start_time(popen.pid) or "")

    def _watch(self, popen: subprocess.Popen[bytes]) -> None:
        popen.wait()
        self._ended.set()

    def pause(self, seconds: float) -> None:
        """Wait that long, or until a child ends."""
        if self._ended.wait(seconds):
            self._ended.clear()


def start_time(pid: int) -> str | None:
    """Return when a process started, as text that no later process of the same id has; None when there is none."""
    if _HAS_PROC:
        try:
            stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
        except OSError:
            return None
        # Field 22; the second field, the name in brackets, may hold blanks (proc(5)).
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return _ps(pid, "lstart=") or None


def command_line(pid: int) -> str:
    """Return a process's command line, blanks between the arguments; empty when there is none."""
    if _HAS_PROC:
        try:
            raw = (_PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return ""
        return raw.replace(b"\0", b" ").decode("utf-8", "replace")
    return _ps(pid, "command=")


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(["ps", "-ww", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def is_alive(process: Process | None, mark: str) -> bool:
    """Return whether this very process runs and has the mark among its arguments."""
    if process is None or start_time(process.pid) != process.started:
        return False
    return mark in command_line(process.pid).split()


def with_argument(argument: str) -> list[Process]:
    """Return all processes that have this very argument on their command line (Linux; else none)."""
    pids = [pid for pid in _all_pids() if argument in command_line(pid).split()]
    return [Process(pid, started) for pid in pids if (started := start_time(pid))]


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()] if _HAS_PROC else []


def end(processes: Iterable[Process], mark: str, grace_s: float) -> None:
    """End those of the processes that have the mark: TERM, then KILL after the grace; return when none is left."""
    every = list(processes)
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        left = [process for process in every if is_alive(process, mark)]
        for process in left:
            _signal(process.pid, number)
        deadline = time.monotonic() + patience_s
        for process in left:
            _wait_end(process, deadline)


def marked_pids(sandbox_id: str) -> list[int]:
    """Return the ids of all processes that have the sandbox's id in their environment (Linux; else none)."""
    mark = f"{CONTAINER_MARK}={sandbox_id}".encode()
    found = []
    for pid in _all_pids():
        try:
            environ = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if mark in environ.split(b"\0"):
            found.append(pid)
    return found


def end_marked(sandbox_id: str, grace_s: float) -> int:
    """End every process that has the sandbox's id in its environment; return how many there were."""
    seen: set[int] = set()
    deadline = time.monotonic() + grace_s
    while pids := [pid for pid in marked_pids(sandbox_id) if pid != os.getpid()]:
        late = time.monotonic() > deadline
        for pid in pids:
            if late or pid not in seen:
                _signal(pid, signal.SIGKILL if late else signal.SIGTERM)
        seen.update(pids)
        for pid in pids:
            _wait_end(Process(pid, start_time(pid) or ""), time.monotonic() + 0.1)
        if time.monotonic() > deadline + 10:
            break
    return len(seen)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _wait_end(process: Process, deadline: float) -> None:
    """Return when the process has ended or the deadline (monotonic) is reached."""
    pause_s = 0.01
    while start_time(process.pid) == process.started and (left_s := deadline - time.monotonic()) > 0:
        # Not our child when another command started it: its end is no event for us.
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, 0.1)
