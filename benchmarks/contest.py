"""One job by one contestant, timed from typing to the client's return: ours, raw Skein with a cold or a warm driver."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import Peaks, Watch, children, processor_s

from am.contract import job as contract
from am.contract.events import Event
from yarn_submitter.feed import Feed
from yarn_submitter.sandbox import Sandbox, SandboxInfo
from yarn_submitter.site import Site, open_site
from yarn_submitter.store import application_dir

OURS, COLD, WARM = "job run", "Skein, driver cold", "Skein, driver warm"
HERE = Path(__file__).parent
JOB = str(Path(sys.executable).parent / "job")
# As in yarn_submitter/yarn.py: the comparison is of designs, not of Java options.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
_SUBMITTED = re.compile(r"(application_\d+_\d+)(?:, id (\S+))?")
_PATIENCE_S = 60.0
# What every task runs: tells when it began, lives so long, tells when it ended.
STEP = 'echo "start $EPOCHREALTIME $$" >> "$1"; sleep "$2"; echo "exit $EPOCHREALTIME $TASK_INDEX" >> "$1"\n'


@dataclass
class Run:
    """One job. Memory is in MB (10^6 bytes).

    Attributes:
        contestant: Who ran it.
        containers: How many tasks.
        submitted_s: Typed -> application id told.
        first_s: Typed -> first user command running.
        last_s: Typed -> last user command running.
        returned_s: Last user command's exit -> client returned.
        processor_s: Of client, driver, Hadoop's daemons and containers.
        peaks: Memory.
        application_id: YARN's.
        job_id: Ours; empty for raw Skein.
        ended: When the client returned, seconds since the epoch.
        lines: What the client told, each with its time of arrival.
        load: The machine's load average when it was typed.
        uploaded_bytes: What Skein had put on HDFS at the submission; 0 when it was not asked for.
    """

    contestant: str
    containers: int
    submitted_s: float
    first_s: float
    last_s: float
    returned_s: float
    processor_s: float
    peaks: Peaks
    application_id: str
    job_id: str
    ended: float
    load: float
    lines: list[tuple[float, str]] = field(repr=False)
    uploaded_bytes: int

    def columns(self) -> dict[str, float]:
        """Return the columns of the comparison."""
        return {
            "T1 s": self.submitted_s,
            "T2 first s": self.first_s,
            "T2 last s": self.last_s,
            "T3 s": self.returned_s,
            "client MB": self.peaks.client_mb,
            "driver MB": self.peaks.jvm_mb,
            "AM MB": self.peaks.of("master"),
            "agent MB": self.peaks.of("agent"),
            "executor MB": self.peaks.of("executor"),
            "CPU s": self.processor_s,
            "load": self.load,
        }


class Arena:
    """A sandbox and everything to run jobs on it.

    Args:
        sandbox: The sandbox.
        info: Where it is.
        scratch: A directory for scripts, marks and Skein's own settings.
    """

    def __init__(self, sandbox: Sandbox, info: SandboxInfo, scratch: Path) -> None:
        self.sandbox, self.info, self.scratch = sandbox, info, scratch
        (scratch / "step.sh").write_text(STEP)
        self.environment = {
            **os.environ,
            "HADOOP_CONF_DIR": str(info.conf_dir),
            "JAVA_HOME": str(info.java_home),
            "PATH": f"{info.bin_dir}{os.pathsep}{os.environ['PATH']}",
            "SKEIN_CONFIG": str(scratch / "skein"),
            "SKEIN_LOG_LEVEL": "WARN",
            "SKEIN_DRIVER_JAVA_OPTIONS": f"{_JAVA_OPTIONS} -Djava.io.tmpdir={scratch}",
            "TMPDIR": str(scratch),
        }
        self.site: Site = open_site("", self.environment)
        self._count = 0
        self.driver = self._popen([sys.executable, str(HERE / "skein_client.py"), "driver"], stdin=subprocess.PIPE)
        # Skein's first words may be about the credentials that it makes.
        said = (line.strip() for line in self._stdout(self.driver))
        self._address = next(line for line in said if re.fullmatch(r"[\d.]+:\d+", line))

    def close(self) -> None:
        """End the warm driver."""
        if self.driver.stdin:
            self.driver.stdin.close()
        self.driver.wait()

    def marks(self) -> Path:
        """Return a new file in which the tasks of a job leave their times."""
        self._count += 1
        path = self.scratch / f"marks-{self._count}"
        path.touch()
        return path

    def job_words(self, marks: Path, containers: int, live: str = "1", files: tuple[str, ...] = ()) -> list[str]:
        """Return `job run ...` for so many tasks of the script that live so many seconds (a shell word)."""
        role = f"w:instances={containers},memory=128M,vcores=1"
        words = [JOB, "run", "--name", "bench", "--framework", "generic", "--input_path", "", "--role", role]
        for file in files:
            words += ["--localization", f"{file}:./{file.rpartition('/')[2]}"]
        return [*words, "--role_cmd", f"w={self.command(marks, live)}"]

    def command(self, marks: Path, live: str) -> str:
        """Return the script's command line."""
        return f"bash {self.scratch}/step.sh {marks} {live}"

    def run(
        self,
        contestant: str,
        containers: int,
        files: tuple[str, ...] = (),
        words: list[str] | None = None,
        marks: Path | None = None,
        period_s: float = 0.1,
        weigh: bool = False,
    ) -> Run:
        """Run a job to its end and wait until nothing of it lives.

        Args:
            contestant: OURS, COLD or WARM.
            containers: How many tasks.
            files: Local files that every task gets.
            words: Another command line for our own.
            marks: Where that leaves its times.
            period_s: How often memory is looked at.
            weigh: Whether to ask HDFS what Skein has put there.

        Raises:
            RuntimeError: The job did not succeed.
        """
        marks = marks or self.marks()
        line = words or self._words(contestant, marks, containers, files)
        before, load = self._processor_s(contestant), os.getloadavg()[0]
        with Watch(self.info.id, period_s) as watch:
            typed = time.time()
            client = self._popen(line)
            watch.client_pid = client.pid
            lines, found, submitted, uploaded = self._hear(client, weigh=weigh)
            _, status, usage = os.wait4(client.pid, 0)
            returned = time.time()
            client.returncode = os.waitstatus_to_exitcode(status)
            self.settle()
        if client.returncode != 0 or found is None:
            text = "\n".join(text for _, text in lines)
            raise RuntimeError(f"{contestant} x{containers} ended with {client.returncode}:\n{text}")
        starts, exits = times(marks, "start"), times(marks, "exit")
        used = self._processor_s(contestant) - before + usage.ru_utime + usage.ru_stime
        return Run(
            contestant=contestant,
            containers=containers,
            submitted_s=submitted - typed,
            first_s=min(starts) - typed,
            last_s=max(starts) - typed,
            returned_s=returned - max(exits),
            processor_s=used,
            peaks=watch.peaks,
            application_id=found[1],
            job_id=found[2] or "",
            ended=returned,
            load=load,
            lines=lines,
            uploaded_bytes=uploaded,
        )

    def _hear(
        self, client: subprocess.Popen[str], *, weigh: bool
    ) -> tuple[list[tuple[float, str]], re.Match[str] | None, float, int]:
        """Return what a client told, its ids and when it told them, and what Skein had put on HDFS by then (bytes)."""
        lines, found, submitted, uploaded = [], None, 0.0, 0
        for text in self._stdout(client):
            lines.append((time.time(), text.rstrip()))
            if found is None:
                found, submitted = _SUBMITTED.search(text), lines[-1][0]
                uploaded = self.skein_bytes(found[1]) if found and weigh else 0
        return lines, found, submitted, uploaded

    def _words(self, contestant: str, marks: Path, containers: int, files: tuple[str, ...]) -> list[str]:
        if contestant == OURS:
            return self.job_words(marks, containers, files=files)
        address = "cold" if contestant == COLD else self._address
        script = [sys.executable, str(HERE / "skein_client.py"), "run", address]
        return [*script, str(containers), self.command(marks, "1"), *files]

    def settle(self) -> None:
        """Wait until no container's process lives."""
        self.until("the containers are gone", lambda: not self.sandbox.container_pids(), pause_s=0.2)

    def until(self, what: str, condition: Callable[[], bool], pause_s: float = 0.1) -> None:
        """Wait for something that nobody tells.

        Raises:
            RuntimeError: It did not come within a minute.
        """
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"not within {_PATIENCE_S:g} s: {what}")
            time.sleep(pause_s)

    def job(self, *words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
        """Type `job WORDS`; return how long it took, in seconds, and what came of it."""
        began = time.perf_counter()
        result = subprocess.run(
            [JOB, *words], env=self.environment, cwd=self.scratch, capture_output=True, text=True, check=False
        )
        return time.perf_counter() - began, result

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `job WORDS`."""
        return self._popen([JOB, *words])

    def history(self, job_id: str) -> tuple[list[Event], float]:
        """Return a job's events, and when the last of them were written to HDFS (seconds since the epoch)."""
        job_dir = self.site.paths.job(job_id)
        written_ms = max(file.mtime_ms for file in self.site.store.list(contract.history_dir(job_dir)))
        return Feed(self.site.resource_manager, self.site.store, job_dir, "").history(), written_ms / 1000

    def skein_bytes(self, application_id: str) -> int:
        """Return what Skein has put on HDFS for an application that lives."""
        return self.usage(application_dir(self.site.user, application_id))

    def usage(self, path: str) -> int:
        """Return how many bytes lie below a path on HDFS; 0 when it is not there."""
        return self.site.store.usage(path).bytes if self.site.store.status(path) else 0

    def _processor_s(self, contestant: str) -> float:
        pids = list(self.info.pids.values())
        if contestant == WARM:  # the driver's JVM is the only child of the driver's process
            pids += children(self.driver.pid)
        return processor_s(pids)

    def _popen(self, words: list[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words,
            env=self.environment,
            cwd=self.scratch,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @staticmethod
    def _stdout(process: subprocess.Popen[str]) -> Any:
        return process.stdout


def times(marks: Path, what: str) -> list[float]:
    """Return when tasks began (`start`) or ended (`exit`), seconds since the epoch, in the order of the file."""
    return [float(words[1]) for line in marks.read_text().splitlines() if (words := line.split())[0] == what]
