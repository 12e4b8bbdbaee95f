"""One attempt of the user's command: started, watched, stopped when that is ordered, and swept away."""

from __future__ import annotations

import signal
import threading
import time
import typing

from am.contract import wire
from am.executor.happenings import CODE_TERMINATED, Ended, FailureError, say
from am.executor.inbox import Inbox
from am.executor.process import Child, problem_of
from am.executor.results import Results

LEFTOVER_GRACE_S = 2.0  # for background processes of a command that ended by itself
NEVER = float("inf")


class End(typing.NamedTuple):
    """How an attempt ended.

    Attributes:
        code: As a shell shows it.
        tail: Last lines of stderr, or why the command did not run.
        problem: Id of docs/errors.md, or empty.
        ran: Whether the command ran.
    """

    code: int
    tail: str = ""
    problem: str = ""
    ran: bool = False

    @staticmethod
    def of(failure: FailureError) -> End:
        """Return the end of an attempt at which the executor itself could not go on; log it."""
        say(f"{failure} [{failure.problem}]")
        return End(failure.code, str(failure), failure.problem)


Starter = typing.Callable[[typing.Callable[[int], None]], Child]
STOPPED_BEFORE = End(CODE_TERMINATED, "Stopped before the command ran.")


class Running:
    """A command that runs.

    Args:
        inbox: Tells its end, and what is ordered.
        start: Starts it; gets what is to be called with its exit code.

    Attributes:
        pid: Of the command.
    """

    def __init__(self, inbox: Inbox, start: Starter) -> None:
        self._inbox = inbox
        self._child = start(lambda code: inbox.put(Ended(code)))
        self._started = time.monotonic()
        self._grace_s = 0.0
        self._sweeping: typing.Optional[threading.Thread] = None
        self.pid = self._child.pid

    def watch(self, results: Results) -> End:
        """Wait for the command's end, stopping it when that is ordered.

        Raises:
            Leave: The agent sends us away, or is silent; the command may run.
        """
        child = self._child
        kill_at = NEVER
        killed = False
        stopped: typing.Optional[wire.Orders] = None
        while True:
            results.look()
            wake_at = min(kill_at, results.due_at)
            happening = self._inbox.next(None if wake_at == NEVER else max(0.0, wake_at - time.monotonic()))
            now = time.monotonic()
            if isinstance(happening, Ended):
                grace_s = LEFTOVER_GRACE_S if stopped is None else kill_at - now
                self._grace_s = 0.0 if killed else max(0.0, grace_s)
                tail = child.tail()
                ran_s = NEVER if stopped is not None else now - self._started
                return End(happening.code, tail, problem_of(happening.code, tail, ran_s), True)
            ending = self._inbox.ending
            if ending is not None and ending is not stopped:
                if stopped is None:
                    child.signal(signal.SIGTERM)
                stopped = ending
                kill_at = min(kill_at, now + ending.grace_s)
            if now >= kill_at:
                child.signal(signal.SIGKILL)
                killed, kill_at = True, NEVER

    def begin_sweep(self) -> None:
        """End what the command left behind, within what is left of its grace, in a thread."""
        self._sweeping = threading.Thread(target=self._child.sweep, args=(self._grace_s,), name="sweep", daemon=True)
        self._sweeping.start()

    def end_sweep(self) -> None:
        """Wait until nothing of it lives."""
        if self._sweeping is not None:
            self._sweeping.join()

    def kill(self) -> None:
        """End all of it now."""
        self._child.sweep(0)
