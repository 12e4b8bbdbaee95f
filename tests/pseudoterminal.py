"""A pseudo-terminal with a shell that runs one program on it, and an emulator's screen that reads what people see."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import IO, Any

import pyte

# Stands for the shell: gives the terminal to a program, tells in the window's title when it stops or ends, and how.
SHELL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    for number in (signal.SIGTTOU, signal.SIGINT, signal.SIGQUIT):  # a test run in the background ignores the last two
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
for inherited in (1, 2):
    os.close(inherited)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTTOU})
while True:
    status = os.waitpid(child, os.WUNTRACED)[1]
    os.tcsetpgrp(0, os.getpgrp())
    stopped = os.WIFSTOPPED(status)
    told = "stopped" if stopped else f"ended {os.waitstatus_to_exitcode(status)}"
    os.write(0, f"\\x1b]2;{told}\\x07".encode())
    signal.sigwait({signal.SIGUSR1})
    os.tcsetpgrp(0, child)
    os.killpg(child, signal.SIGCONT)
"""


class Terminal:
    """A pseudo-terminal with a shell that runs a program on it.

    Args:
        words: What Python is given as its arguments.
        environ: The program's environment, to which TERM is added.
        columns: Of the terminal.
        rows: Of the terminal.
        streams: Where the program's stdout or stderr goes when that is not the terminal.
    """

    def __init__(self, words: list[str], environ: dict[str, str], columns: int, rows: int, **streams: IO[Any]) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.sent = b""
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = pty.openpty()
        self.resize(columns, rows)
        where = {"stdin": theirs, "stdout": theirs, "stderr": theirs, **streams}
        environ = {"TERM": "xterm-256color", **environ}
        self._shell = subprocess.Popen(
            [sys.executable, "-c", SHELL, *words], env=environ, start_new_session=True, **where
        )
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        """Make the terminal larger or smaller."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._ours, key)

    @property
    def lines(self) -> list[str]:
        """Return what is on the screen, without the blank lines at its end."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip("\n").split("\n")

    def send(self, number: int) -> None:
        """Send a signal to the program that has the terminal."""
        os.killpg(os.tcgetpgrp(self._ours), number)

    def go_on(self) -> None:
        """Type `fg`."""
        self.screen.set_title("")
        self._shell.send_signal(signal.SIGUSR1)

    def until(self, seen: Callable[[], bool]) -> None:
        """Read until the screen is as it is waited for."""
        deadline = time.monotonic() + 20
        while not seen():
            ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"never seen; on the screen:\n{os.linesep.join(self.lines)}"
            data = os.read(self._ours, 65536)
            self.sent += data
            self._stream.feed(data)

    def shows(self, *texts: str) -> None:
        """Read until all of these are on the screen."""
        self.until(lambda: all(any(text in line for line in self.lines) for text in texts))

    def end(self) -> int:
        """Read to the end; return the program's exit code."""
        self.until(lambda: self.screen.title.startswith("ended "))
        return int(self.screen.title.removeprefix("ended "))

    def hang_up(self) -> None:
        """Close the window: the kernel tells the shell and its program."""
        os.close(self._ours)
        self._shell.wait(20)

    def close(self) -> None:
        """Let the shell and its program be gone."""
        if self._shell.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.send(signal.SIGKILL)
        self._shell.kill()
        self._shell.wait()
        os.close(self._ours)
