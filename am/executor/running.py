"""One attempt of the user's command: started, watched, stopped when that is ordered, and swept away."""

from __future__ import annotations

import signal
import threading
import time
import typing

from am.contract import codes, wire
from am.contract.job import Limits
from am.executor.happenings import Ended, FailureError, Stalled, say
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
STOPPED_BEFORE = End(codes.TERMINATED, "Stopped before the command ran.")


class Running:
    """A command that runs.

    Args:
        inbox: Tells its end, and what is ordered.
        start: Starts it; gets what is to be called with its exit code.
        limits: Of the job.

    Attributes:
        child: Its process.
    """

    def __init__(self, inbox: Inbox, start: Starter, limits: Limits) -> None:
        self._inbox = inbox
        self._limits = limits
        self.child = start(lambda code: inbox.put(Ended(code)))
        self._started = time.monotonic()
        self._kill_at = NEVER
        self._grace_s = LEFTOVER_GRACE_S
        self._stopped: typing.Optional[wire.Orders] = None
        self._stalled = ""
        self._sweeping: typing.Optional[threading.Thread] = None

    def watch(self, results: Results) -> End:
        """Wait for the command's end, stopping it when that is ordered or it does nothing.

        Raises:
            Leave: The agent sends us away, or is silent; the command may run.
        """
        while True:
            results.look()
            wake_at = min(self._kill_at, results.due_at)
            happening = self._inbox.next(None if wake_at == NEVER else max(0.0, wake_at - time.monotonic()))
            now = time.monotonic()
            if isinstance(happening, Ended):
                return self._ended(happening.code, now)
            if isinstance(happening, Stalled) and happening.pid == self.child.pid and self._stopped is None:
                self._stalled = happening.problem
                self._stop(now, self._limits.stop_grace_s)
            ending = self._inbox.ending
            if ending is not None and ending is not self._stopped:
                self._stopped = ending
                self._stop(now, ending.grace_s)
            if now >= self._kill_at:
                self.child.signal(signal.SIGKILL)
                self._grace_s, self._kill_at = 0.0, NEVER

    def _stop(self, now: float, grace_s: float) -> None:
        """Send TERM, once, and have KILL follow; a later order may only hurry it."""
        if self._kill_at == NEVER and self._grace_s:
            self.child.signal(signal.SIGTERM)
        self._kill_at = min(self._kill_at, now + grace_s)

    def _ended(self, code: int, now: float) -> End:
        if self._kill_at != NEVER:
            self._grace_s = max(0.0, self._kill_at - now)
        tail = self.child.tail()
        if self._stalled:
            return End(codes.LIMIT, tail, self._stalled, True)
        if self._stopped is not None:
            return End(code, tail, problem_of(code, tail, NEVER), True)
        return End(code, tail, problem_of(code, tail, now - self._started), True)

    def begin_sweep(self) -> None:
        """End what the command left behind, within what is left of its grace, in a thread."""
        self._sweeping = threading.Thread(target=self.child.sweep, args=(self._grace_s,), name="sweep", daemon=True)
        self._sweeping.start()

    def end_sweep(self) -> None:
        """Wait until nothing of it lives."""
        if self._sweeping is not None:
            self._sweeping.join()

    def kill(self) -> None:
        """End all of it now."""
        self.child.sweep(0)
