"""`job ...` typed at the sandbox, as a person or a script does it: real processes, their output and exit code."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from yarn_submitter.sandbox import SandboxInfo

JOB = str(Path(sys.executable).parent / "job")


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return stdout as JSON."""
        return json.loads(self.out)


def until(what: str | Callable[[], str], condition: Callable[[], Any], deadline_s: float = 30.0) -> Any:
    """Return the first true value of `condition`; fail with `what`, or what it returns, after the deadline."""
    pause, end = threading.Event(), time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what if isinstance(what, str) else what()}"
        pause.wait(0.1)


class Running:
    """A `job ...` command that runs; its lines can be waited for."""

    def __init__(self, words: list[str], environment: dict[str, str], directory: Path) -> None:
        self.process = subprocess.Popen(
            [JOB, *words],
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: dict[str, list[str]] = {"out": [], "err": []}
        self._news: queue.Queue[str | None] = queue.Queue()  # None: a stream has ended
        self._threads = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines[name].append(line)
                self._news.put(line)
        if name == "out":
            self._news.put(None)

    def wait_line(self, text: str, deadline_s: float = 120.0) -> str:
        """Return the first line (stdout or stderr, from the last wait on) that holds `text`."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                line = self._news.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.process.kill()
                self.process.wait()
                raise AssertionError(
                    f"no line with {text!r} within {deadline_s:g} s, or before the end:\n{self._all()}"
                )
            if text in line:
                return line

    def _all(self) -> str:
        return "".join(self._lines["err"] + self._lines["out"])

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Type Ctrl-C, or send another signal."""
        self.process.send_signal(number)

    def end(self, deadline_s: float = 180.0) -> Result:
        """Wait for the command's end."""
        try:
            code = self.process.wait(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the command did not end within {deadline_s:g} s:\n{self._all()}") from None
        for thread in self._threads:
            thread.join()
        return Result(code, "".join(self._lines["out"]), "".join(self._lines["err"]))


class Typist:
    """Types commands.

    Args:
        sandbox: At which cluster.
        directory: In which directory.
    """

    def __init__(self, sandbox: SandboxInfo, directory: Path) -> None:
        self.sandbox = sandbox
        self.directory = directory
        self.environment = {
            **os.environ,
            "HADOOP_CONF_DIR": str(sandbox.conf_dir),
            "JAVA_HOME": str(sandbox.java_home),
            "PATH": f"{sandbox.bin_dir}{os.pathsep}{os.environ['PATH']}",
        }

    def start(self, *words: str, **environment: str) -> Running:
        """Start `job WORDS`."""
        return Running(list(words), {**self.environment, **environment}, self.directory)

    def type(self, *words: str, deadline_s: float = 180.0, **environment: str) -> Result:
        """Run `job WORDS` to its end."""
        return self.start(*words, **environment).end(deadline_s)

    def generic(self, name: str, *words: str, memory: str = "256M", **commands: str) -> list[str]:
        """Return the words of a `job run` with one small task for each ROLE=COMMAND."""
        roles = [
            word
            for role, command in commands.items()
            for word in (
                "--role",
                f"{role}:instances=1,memory={memory},vcores=1",
                "--role_cmd",
                f"{role}={command}",
            )
        ]
        return ["run", "--name", name, "--framework", "generic", "--input_path", "", *roles, *words]

    def another_shell(self, home: Path) -> dict[str, str]:
        """Return what another shell of the same user has: an empty home and the cluster's configuration."""
        return {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "JAVA_HOME": "", "PATH": os.environ["PATH"]}
