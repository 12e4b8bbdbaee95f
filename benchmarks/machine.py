"""What /proc tells (Linux): peak memory of a job's processes by kind, processor time, the machine itself."""

from __future__ import annotations

import os
import platform
import statistics
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from yarn_submitter.sandbox.jars import hadoop_version

_MARK = b"YARN_SUBMITTER_SANDBOX_ID="
_TICK_S = os.sysconf("SC_CLK_TCK")
# Part of the command line -> kind of a container's process. The programs are ours and Skein's.
_KINDS = {
    b"am.executor.__main__": "executor",
    b"am.agent.__main__": "agent",
    b"com.anaconda.skein.ApplicationMaster": "master",
}


@dataclass
class Seen:
    """A process: its kind, when it was first seen as that (epoch, s), its greatest resident memory (10^6 bytes)."""

    kind: str
    since_s: float
    peak_mb: float = 0.0


@dataclass
class Peaks:
    """What a watch saw: processes by id, and the client's greatest sum without and with its JVM, in MB."""

    processes: dict[int, Seen] = field(default_factory=dict)
    client_mb: float = 0.0
    jvm_mb: float = 0.0

    def of(self, kind: str) -> float:
        """Return the median peak of the processes of a kind, 0 when there was none."""
        found = [seen.peak_mb for seen in self.processes.values() if seen.kind == kind]
        return statistics.median(found) if found else 0.0

    def pids(self, kind: str) -> list[int]:
        """Return the processes of a kind."""
        return [pid for pid, seen in self.processes.items() if seen.kind == kind]


class Watch:
    """Looks at the processes that begin while it is open.

    Args:
        sandbox_id: Containers of this sandbox are looked at.
        period_s: How often.
    """

    def __init__(self, sandbox_id: str, period_s: float = 0.1) -> None:
        self.peaks = Peaks()
        self.client_pid = 0
        self._mark = _MARK + sandbox_id.encode()
        self._period_s = period_s
        self._old = {pid: _read(pid, "stat") for pid in _pids()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            fresh = [pid for pid in _pids() if not self._known(pid)]
            parents = {pid: _parent(pid) for pid in fresh}
            for pid in fresh:
                self._container(pid)
            self._client(parents)

    def _known(self, pid: int) -> bool:
        """Tell whether a process was there before; a number may have been given to another one since."""
        old = self._old.get(pid)
        return old is not None and _began(old) == _began(_read(pid, "stat"))

    def _container(self, pid: int) -> None:
        words = _read(pid, "cmdline")
        kind = next((kind for text, kind in _KINDS.items() if text in words), "")
        program = words.partition(b"\0")[0].rpartition(b"/")[2]
        if not kind or not program.startswith((b"python", b"java")):
            return
        seen = self.peaks.processes.get(pid)
        if seen is None:
            if self._mark not in _read(pid, "environ").split(b"\0"):
                return
            seen = self.peaks.processes[pid] = Seen(kind, time.time())
        seen.peak_mb = max(seen.peak_mb, _megabytes(pid, b"VmHWM"))

    def _client(self, parents: dict[int, int]) -> None:
        tree, more = {self.client_pid} & set(parents), True
        while more:
            below = {pid for pid, parent in parents.items() if parent in tree} - tree
            tree |= below
            more = bool(below)
        java = {pid for pid in tree if _read(pid, "comm").strip() == b"java"}
        self.peaks.client_mb = max(self.peaks.client_mb, sum(_megabytes(pid, b"VmRSS") for pid in tree - java))
        self.peaks.jvm_mb = max(self.peaks.jvm_mb, sum(_megabytes(pid, b"VmRSS") for pid in java))
        if self.client_pid in tree:
            seen = self.peaks.processes.setdefault(self.client_pid, Seen("client", time.time()))
            seen.peak_mb = max(seen.peak_mb, _megabytes(self.client_pid, b"VmHWM"))


def processor_s(pids: Iterable[int]) -> float:
    """Return the processor time of processes and of their children that have ended, in seconds.

    Containers are children of the NodeManagers: their time counts when they have ended.
    """
    return sum(sum(int(word) for word in _stat(pid)[11:15]) for pid in pids) / _TICK_S


def alive(pid: int) -> bool:
    """Tell whether a process lives; one that has ended and was not asked for yet does not."""
    return _stat(pid)[:1] not in ([], ["Z"])


def children(parent: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    return [pid for pid in _pids() if _parent(pid) == parent]


def description(load_before: float) -> dict[str, object]:
    """Return what the numbers depend on: machine and versions."""
    with open("/proc/meminfo") as file:
        kilobytes = int(file.readline().split()[1])
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(kilobytes / 1e6, 1),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "hadoop": hadoop_version(),
        "skein": version("skein"),
        "yarn_submitter": version("yarn-submitter"),
    }


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _began(stat: bytes) -> bytes:
    """Return when a process began, from /proc/PID/stat (field 22; the name in field 2 may hold blanks)."""
    return (stat.rpartition(b")")[2].split() or [b""] * 20)[19]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # it has just ended, or is not ours


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on (man 5 proc)."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _megabytes(pid: int, key: bytes) -> float:
    for line in _read(pid, "status").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
