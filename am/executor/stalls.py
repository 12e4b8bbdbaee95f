"""Noticing a program that does nothing: it writes nothing and uses no GPU, or its GPUs are idle."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
import typing

from am.contract.job import Limits
from am.executor.happenings import Stalled
from am.executor.process import Child

MAX_PAUSE_S = 10.0
LOOKS = 4  # within a limit
DUMP_S = 10.0

Readings = typing.Callable[[], typing.Optional[typing.Sequence[int]]]
Clock = typing.Callable[[], float]


class Idleness:
    """Decides from what is seen of a program, by the clock, whether it does anything.

    Args:
        limits: `stall_s` and `gpu_idle_s`; 0: no limit.
        now_s: When the program started.
    """

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._active_s = self._busy_s = now_s
        self._written: object = None

    def problem(self, now_s: float, written: object, gpus: typing.Optional[typing.Sequence[int]]) -> str:
        """Return the id of the problem, or nothing.

        Args:
            now_s: The time.
            written: Anything that changes when the program writes.
            gpus: How busy each GPU is, in percent; None when there is none, or that is not known.
        """
        busy = gpus is not None and any(gpus)
        if written != self._written or busy:
            self._written, self._active_s = written, now_s
        if gpus is None or busy:
            self._busy_s = now_s
        if self._limits.stall_s and now_s - self._active_s >= self._limits.stall_s:
            return "program-stalled"
        if self._limits.gpu_idle_s and now_s - self._busy_s >= self._limits.gpu_idle_s:
            return "gpu-idle"
        return ""


class Watchdog:
    """Looks at a program every now and then until `close`, in a thread of its own.

    Args:
        child: The program.
        limits: Of the job; those that are 0 do not count.
        readings: How busy each GPU is; None where there is none.
        environment: Of the program: its PATH may hold py-spy.
        on_stall: Called once, after the stacks were written.
    """

    def __init__(
        self,
        child: Child,
        limits: Limits,
        readings: Readings,
        environment: typing.Mapping[str, str],
        on_stall: typing.Callable[[Stalled], None],
    ) -> None:
        self._child = child
        self._readings = readings
        self._environment = environment
        self._on_stall = on_stall
        self._closed = threading.Event()
        shortest = min(limit for limit in (limits.stall_s, limits.gpu_idle_s) if limit)
        self._pause_s = min(MAX_PAUSE_S, shortest / LOOKS)
        self._idleness = Idleness(limits, time.monotonic())
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _run(self) -> None:
        problem = ""
        while not problem:
            if self._closed.wait(self._pause_s):
                return
            problem = self._idleness.problem(time.monotonic(), self._child.written(), self._readings())
        self._dump()
        self._on_stall(Stalled(self._child.pid, problem))

    def _dump(self) -> None:
        """Write the stacks of the program's Python processes to its stderr, if it brought py-spy."""
        program = shutil.which("py-spy", path=self._environment.get("PATH", os.defpath))
        if program is None:
            return
        ends = time.monotonic() + DUMP_S
        for pid in self._child.members():
            left = ends - time.monotonic()
            if left <= 0:
                return
            self._dump_one(program, pid, left)

    def _dump_one(self, program: str, pid: int, timeout_s: float) -> None:
        try:
            said = subprocess.run(
                [program, "dump", "--pid", str(pid)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=timeout_s,
                check=True,
            )
            self._child.note(said.stdout)
        except (OSError, subprocess.SubprocessError):
            pass  # no Python, or ended meanwhile
