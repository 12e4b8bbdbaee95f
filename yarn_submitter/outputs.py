"""What a job's tasks write, line by line: as it is now, or as it grows."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from am.contract import states
from am.contract.job import split_task
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.livelog import Tail, drain, follow_output
from yarn_submitter.monitor import JobView, TaskView
from yarn_submitter.nodemanager import NodeManager
from yarn_submitter.tasklogs import AGENT, read, sources, stored_output

if TYPE_CHECKING:
    from yarn_submitter.job import Job


class LogLine(NamedTuple):
    """A line of a task's standard output or standard error, without its newline."""

    task: str
    text: str


def lines(job: Job, wish: str) -> Iterator[LogLine]:
    """Yield what the tasks that `wish` means have written until now: the job's own when it is empty.

    Args:
        job: The job.
        wish: A role, a task `role:index`, `agent`, or empty.

    Raises:
        UsageError: The job has no such task.
        LimitError: The logs are on their way to the store and do not arrive.
    """
    check_task(job, wish)
    for source in sources(job):
        if wanted(source.task, wish):
            for _, text in read(job, source):
                yield from (LogLine(source.task, line) for line in text.splitlines())


def follow(job: Job, wish: str) -> Iterator[LogLine]:
    """Yield what `lines` yields, and go on until the job ends."""
    check_task(job, wish)
    if wish == AGENT or job.state in states.JOB_ENDED:
        yield from lines(job, wish)
        return
    said: queue.SimpleQueue[LogLine | JobView | Exception] = queue.SimpleQueue()
    tails = _Tails(job, wish, said)
    with job.watch.listening(said.put):
        try:
            while True:
                news = said.get()
                if isinstance(news, LogLine):
                    yield news
                    continue
                if isinstance(news, Exception):
                    raise news
                tails.see(news)
                if news.verdict is not None:
                    break
        finally:
            tails.end()
    tails.drain()
    while not said.empty():
        news = said.get()
        if isinstance(news, LogLine):
            yield news


class _Tails:
    """One thread for each attempt whose output is wanted, from its start to its end."""

    def __init__(self, job: Job, wish: str, said: queue.SimpleQueue[LogLine | JobView | Exception]) -> None:
        self._job = job
        self._nodes = NodeManager(job.site.user)
        self._wish = wish
        self._said = said
        self._running: dict[tuple[str, int], Tail] = {}

    def see(self, view: JobView) -> None:
        """Start and end what the job's new view asks for."""
        for task in view.tasks.values():
            for earlier in task.earlier:
                if (earlier.task, earlier.attempt) in self._running:
                    self._running[earlier.task, earlier.attempt][1].set()
            if not task.container_id or task.state == states.READY or not wanted(task.task, self._wish):
                continue
            if (task.task, task.attempt) not in self._running:
                self._start(task)
            if task.state in states.TASK_ENDED:
                self._running[task.task, task.attempt][1].set()

    def _start(self, task: TaskView) -> None:
        ended = threading.Event()

        def emit(line: str) -> None:
            self._said.put(LogLine(task.task, line))

        where = (self._nodes, task.node_http, task.container_id, ended, emit)
        rest = {"attempt": task.attempt, "stored": functools.partial(stored_output, self._job, task)}
        name = f"output of {task.task}"
        thread = threading.Thread(target=follow_output, args=where, kwargs=rest, name=name, daemon=True)
        thread.start()
        self._running[task.task, task.attempt] = (thread, ended)

    def end(self) -> None:
        """Let each thread emit what has been written until now and end."""
        for _, ended in self._running.values():
            ended.set()

    def drain(self) -> None:
        """Wait until they have; a node that does not answer is not waited for."""
        drain(self._running.values())


def wanted(task: str, wish: str) -> bool:
    """Return whether `wish` means the task; an empty one means all but the agent."""
    if task == AGENT:
        return wish == AGENT
    return not wish or wish in (task, split_task(task)[0])


def check_task(job: Job, wish: str) -> None:
    """Refuse a task that the job does not have.

    Raises:
        UsageError: It has none of that name.
    """
    roles = {role.name: role.instances for role in job.plan.roles}
    role, _, index = wish.partition(":")
    known = wish in ("", AGENT) or (
        role in roles and (not index or (index.isdigit() and int(index) < roles[role])) and wish[-1:] != ":"
    )
    if not known:
        tasks = ", ".join(f"{name}:0..{count - 1}" if count > 1 else f"{name}:0" for name, count in roles.items())
        raise UsageError(Problem("task-unknown", f"The job has no task {wish!r}.", f"it has {tasks}, and agent"))
