"""The user's command: started in a process group of its own, watched, stopped, and never left behind.

Nobody but the executor ends the command's process group, and an executor that is killed (the NodeManager's KILL reaches
only the executor's own group) cannot. So a small shell, the guardian, stands beside the command in its own session with
the read end of a pipe as its input; the executor alone keeps the write end. The command writes its process group's
number into it just before it becomes the user's program; the executor writes a word when all is over. If the pipe ends
without the word, the executor is gone, and the guardian kills the group.

What the command starts in sessions of their own (torchrun does so) is found by a variable that it inherits.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import typing

from am.contract import wire

_GUARDIAN = 'read -r group || exit 0; read -r word && exit 0; kill -s KILL -- "-$group"'
_MARK = "YS_RUN"  # a variable of this one run of the command, and of all that it starts
_LOOK_S = 0.02  # processes that are not our children give no event when they end
_MAX_LOOK_S = 0.5
NOT_FOUND = 127
NOT_EXECUTABLE = 126
ADDRESS_IN_USE = "address-in-use"
IN_USE_S = 10.0  # a program that fails for its port fails at once
# As torch ("errno: 98 - Address already in use"), Python ("[Errno 98]"), TensorFlow and JAX (gRPC's "Address already in
# use") and ps-lite of MXNet ("my_node_.port != -1 ... bind failed") print it.
_IN_USE = re.compile(
    r"address already in use|\bEADDRINUSE\b|\berrno:? ?98\b|my_node_\.port\b.*bind failed", re.IGNORECASE
)


class Child:
    """The running command.

    Args:
        command: Shell text.
        environment: All of it.
        directory: Working directory.
        logs: Files for stdout and stderr, which are appended to.
        on_exit: Called once, from another thread, with the exit code as a shell shows it.

    Raises:
        OSError: It could not be started; nothing runs then.
    """

    def __init__(
        self,
        command: str,
        environment: typing.Dict[str, str],
        directory: str,
        logs: typing.Tuple[str, str],
        on_exit: typing.Callable[[int], None],
    ) -> None:
        self._logs = logs
        run = f"{os.getpid()}-{time.monotonic_ns()}"
        self._mark = f"{_MARK}={run}".encode()
        self._stderr_file = logs[1]
        shell = find_shell()
        with open(logs[0], "ab") as out, open(self._stderr_file, "ab") as err:
            self._starts = tuple(os.fstat(file.fileno()).st_size for file in (out, err))
            self._guardian = subprocess.Popen(
                [find_shell("/bin/sh"), "-c", _GUARDIAN, "ys-guardian"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
            lifeline = typing.cast("typing.IO[bytes]", self._guardian.stdin)
            try:
                self._process = subprocess.Popen(
                    [shell, "-c", command],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=directory,
                    env={**environment, _MARK: run},
                    start_new_session=True,
                    # It takes no lock, so threads do no harm; any later, a kill in between would leave a group unknown.
                    preexec_fn=lambda: os.write(lifeline.fileno(), b"%d\n" % os.getpid()),  # noqa: PLW1509
                )
            except (OSError, subprocess.SubprocessError):
                # The group's number may be in the pipe or not: the second line is the word in the first case.
                self._dismiss_guardian(b"0\ngo\n")
                raise
        self.pid = self._process.pid
        threading.Thread(target=self._wait, args=(on_exit,), name="wait", daemon=True).start()

    def signal(self, number: int) -> None:
        """Send a signal to every process of the command's group; no-op when none is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _signal_all(self, number: int) -> None:
        """Send a signal to the group, and to what has left it."""
        self.signal(number)
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def sweep(self, grace_s: float) -> None:
        """Give what is left of the command TERM and `grace_s`, then KILL all of it, and send the guardian home.

        The command itself is reaped last, so that its number means this group until then.
        """
        ends = time.monotonic() + grace_s
        if self._others_alive():
            self._signal_all(signal.SIGTERM)
            pause_s = _LOOK_S
            while time.monotonic() + pause_s < ends and self._others_alive():
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _MAX_LOOK_S)
        self._signal_all(signal.SIGKILL)
        self._process.wait()
        self._dismiss_guardian(b"go\n")

    def tail(self) -> str:
        """Return the last lines of what the command wrote to stderr; of stdout when it wrote nothing there."""
        for path, start in reversed(list(zip(self._logs, self._starts))):
            try:
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    file.seek(max(start, size - wire.MAX_TAIL_BYTES))
                    text = wire.clip_tail(file.read(wire.MAX_TAIL_BYTES).decode(errors="replace"))
            except OSError:
                continue
            if text.strip():
                return text
        return ""

    def written(self) -> typing.Tuple[int, ...]:
        """Return something that changes when the command writes."""
        return tuple(os.stat(path).st_size for path in self._logs if os.path.exists(path))

    def note(self, text: bytes) -> None:
        """Add something to what the command wrote to stderr."""
        with open(self._stderr_file, "ab") as file:
            file.write(text)

    def _wait(self, on_exit: typing.Callable[[int], None]) -> None:
        # WNOWAIT leaves it a zombie: its number cannot be given to another process before `sweep`.
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            return  # `sweep` was first
        if ended is not None:
            on_exit(ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status)

    def members(self) -> typing.List[int]:
        """Return the processes of the command that run and are no zombies; its own first."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] not in {b"Z", b"X"} and (int(fields[2]) == self.pid or self._marked(name)):
                found.append(int(name))
        return sorted(found, key=lambda pid: (pid != self.pid, pid))

    def _marked(self, pid: str) -> bool:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return self._mark in file.read().split(b"\0")
        except OSError:  # it has ended, or is another user's
            return False

    def _others_alive(self) -> bool:
        return any(pid != self.pid for pid in self.members())

    def _dismiss_guardian(self, words: bytes) -> None:
        with contextlib.suppress(OSError):
            self._guardian.communicate(words)


def log_files(log_dir: str, attempt: int) -> typing.Tuple[str, str]:
    """Return where an attempt's stdout and stderr are written: `stdout` and `stderr`, from attempt 2 on `stdout.2`."""
    ending = f".{attempt}" if attempt > 1 else ""
    return os.path.join(log_dir, f"stdout{ending}"), os.path.join(log_dir, f"stderr{ending}")


def find_shell(first: str = "/bin/bash") -> str:
    """Return the path of bash, or of sh where there is no bash.

    Raises:
        FileNotFoundError: There is neither.
    """
    for path in (first, "/usr/bin/bash", "/usr/local/bin/bash", "/bin/sh", "/usr/bin/sh", "/system/bin/sh"):
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(2, "neither bash nor sh is there", first)


def problem_of(code: int, tail: str, ran_s: float) -> str:
    """Return the id of the problem when a command failed for its start or its port; else empty.

    A program may end with 127 or 126 for its own reasons, so the shell's own last words are needed too.

    Args:
        code: As a shell shows it.
        tail: Last lines of its stderr.
        ran_s: How long it ran.
    """
    if code and ran_s <= IN_USE_S and _IN_USE.search(tail):
        return ADDRESS_IN_USE
    last = tail.rstrip().rpartition("\n")[2].lower()
    if code == NOT_FOUND and ("not found" in last or "no such file" in last):
        return "command-not-found"
    if code == NOT_EXECUTABLE and any(
        words in last for words in ("permission denied", "cannot execute", "is a directory", "exec format")
    ):
        return "command-not-executable"
    return ""
