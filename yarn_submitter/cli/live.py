"""A running job at the bottom of a terminal: its stage and its tasks, redrawn when something happens."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator

from am.contract import states
from am.contract.job import split_task
from yarn_submitter.cli.console import Column, Console, Ink, aligned
from yarn_submitter.monitor import JobView, TaskView
from yarn_submitter.stage import stage as words
from yarn_submitter.units import seconds_text

_TICK_S = 1.0  # how old the shown times may become
_PACE_S = 0.02  # events and lines come in bursts: more pictures than these no eye can follow
_PIPE_S = 0.05  # until a `tee` behind us has put lines on the terminal
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
_COLUMNS = (Column("TASK"), Column("STATE", 9), Column("ATTEMPT", right=True), Column("HOST"), Column("TIME"))


class LiveTable:
    """Keeps the picture of one job up to date; its owner tells what happened and asks how long it may wait.

    Args:
        console: On whose stderr it is.
        view: The job as it is now.
    """

    def __init__(self, console: Console, view: JobView) -> None:
        self._console = console
        self._view = view
        self._reason = view.waiting
        self._began = self._drawn_at = time.monotonic()
        self._fresh = False

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Leave a clean terminal behind, however the body ends; Ctrl-Z takes the picture away until we go on."""
        with _before_signals(self._console):
            try:
                yield
            finally:
                self._console.erase()

    def wait_s(self) -> float:
        """Return for how many seconds nothing needs to be drawn unless something happens."""
        if self._console.piped and not self._fresh:
            return _PIPE_S
        return max(0.0, self._drawn_at + (_TICK_S if self._fresh else _PACE_S) - time.monotonic())

    def changed(self, view: JobView) -> None:
        """Take the job as it is now, or that something was written above; drawn soon, or now when that is overdue."""
        before, self._view, self._fresh = self._view, view, False
        if view.waiting != before.waiting:
            self._reason = view.waiting
        elif (view.state, view.registered) != (before.state, before.registered):
            self._reason = ""  # it may be what has just come; when it is not, the agent says so again
        if time.monotonic() - self._drawn_at >= _TICK_S:
            self.draw()

    def draw(self) -> None:
        """Draw the picture."""
        size = self._console.size()
        # Half of the terminal at most: the program's output is what people look at.
        rows = min(size.lines - 1, max(3, size.lines // 2))
        ink = self._console.err_ink
        lines = [ink.strong(self._stage()[: size.columns]), *task_lines(self._view, rows - 1, size.columns, ink)]
        self._console.draw(lines[: max(0, rows)])
        self._drawn_at, self._fresh = time.monotonic(), True

    def last(self, view: JobView) -> list[str]:
        """Return what stays of the picture when the job has ended: the tasks."""
        size = self._console.size()
        return task_lines(view, size.lines // 2, size.columns, self._console.err_ink)

    def tells(self, view: JobView) -> bool:
        """Tell whether the first line has room for all that the job waits for."""
        self.changed(view)
        return view.state != states.RUNNING and len(self._stage()) <= self._console.size().columns

    def _stage(self) -> str:
        return stage(self._view, self._reason, time.monotonic() - self._began)


def stage(view: JobView, reason: str, took_s: float) -> str:
    """Return in one line how far a job is, for how long it has been followed, and what it waits for."""
    if view.state == states.RUNNING:
        reason = ""  # what is told then is about a moment
    elif not reason and view.state == states.ACCEPTED and view.app is not None:
        reason = view.app.diagnostics or "waiting for the agent's container"
    text = f"{words(view)}, {seconds_text(took_s)}" + (f": {reason}" if reason else "")
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def task_lines(view: JobView, most: int, width: int | None, ink: Ink) -> list[str]:
    """Return a table of the tasks in at most `most` lines: the largest roles become a line each when need be."""
    roles: dict[str, list[TaskView]] = {}
    for task in view.tasks.values():
        roles.setdefault(split_task(task.task)[0], []).append(task)
    by_size = sorted(roles, key=lambda name: len(roles[name]), reverse=True)
    # The large ones until the rest has room below a title; else all, who then need none.
    rooms = [1 + count + sum(len(roles[role]) for role in by_size[count:]) for count in range(len(by_size))]
    count = next((count for count, room in enumerate(rooms) if room <= most), len(by_size))
    summed = by_size[:count]
    rows = [_cells(task) for role, tasks in roles.items() if role not in summed for task in tasks]
    lines = aligned(_COLUMNS, rows, ink, width) if rows else []
    for role in (role for role in roles if role in summed):
        counts = Counter(task.state for task in roles[role]).most_common()
        told = ", ".join(f"{count} {state}" for state, count in counts)
        lines.append(ink.states(f"{role} {len(roles[role])}: {told}"[:width]))
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"and {len(lines) - most + 1} more"[:width]] if most > 2 else []


def _cells(task: TaskView) -> tuple[str, ...]:
    took_s = max(0.0, (task.ended_s or time.time()) - task.started_s)  # clocks differ
    attempt = str(task.attempt) if task.attempt else ""
    return task.task, task.state, attempt, task.host, seconds_text(took_s) if task.started_s else ""


@contextlib.contextmanager
def _before_signals(console: Console) -> Iterator[None]:
    """Erase what is drawn before a signal does what it does; for the main thread."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number in _SIGNALS if before[number] == signal.SIG_DFL]

    def obey(number: int, _frame: object) -> None:
        console.erase()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        signal.signal(number, obey)  # stopped by Ctrl-Z, and continued

    for number in ours:
        signal.signal(number, obey)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
