"""Shows a job while it runs: phases and tasks as they change, the program's own output, the end and its reason."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from am.contract import states
from am.contract.events import JobEnded
from am.contract.job import split_task
from yarn_submitter.cli.console import PLAIN, Console, Ink
from yarn_submitter.feed import Item
from yarn_submitter.job import Job
from yarn_submitter.livelog import Tail, drain, follow_output
from yarn_submitter.monitor import JobView, TaskView, apply, begin, document
from yarn_submitter.nodemanager import NodeManager
from yarn_submitter.units import seconds_text

if TYPE_CHECKING:  # a pipe needs no picture
    from yarn_submitter.cli.live import LiveTable

_HINT_S = 8.0
_TAIL_LINES = 50


class _Talk(NamedTuple):
    """A sentence about the output, which is no output."""

    text: str


class Follower:
    """Follows one job to its end.

    Args:
        job: The job.
        console: Where to.
        shows: Tells of a task whether its output is wanted.
        json: Whether stdout holds nothing but the result, as JSON.
        only_output: Whether nothing is shown but the tasks' output.
    """

    def __init__(
        self, job: Job, console: Console, shows: Callable[[str], bool], *, json: bool, only_output: bool = False
    ) -> None:
        self._job = job
        self._console = console
        self._shows = shows
        self._json = json
        self._only_output = only_output
        self._view = begin(job.plan)
        self._said: set[str] = set()
        self._arrivals: queue.Queue[Any] = queue.Queue()
        self._tails: dict[str, Tail] = {}
        self._began = time.monotonic()
        self._live: LiveTable | None = None
        if console.live and not only_output:
            from yarn_submitter.cli.live import LiveTable

            self._live = LiveTable(console, self._view)

    def run(self) -> int:
        """Follow until the verdict; return the job's exit code.

        Raises:
            SubmitterError: Neither agent nor cluster can be asked any more; the job goes on.
        """
        threading.Thread(target=self._pump, daemon=True).start()
        with self._live.shown() if self._live else contextlib.nullcontext():
            verdict = self._listen()
            self._drain()
        return self._finish(verdict)

    def _listen(self) -> JobEnded:
        while self._view.verdict is None:
            try:
                arrival = self._arrivals.get(timeout=self._live.wait_s() if self._live else _HINT_S)
            except queue.Empty:
                if self._live:
                    self._live.draw()
                else:
                    self._why_still_waiting()
                continue
            if isinstance(arrival, Exception):
                raise arrival
            if not self._output(arrival):
                self._show(arrival)
            if self._live:
                self._live.changed(self._view)
        return self._view.verdict

    def _output(self, arrival: object) -> bool:
        """Show what a task wrote, or why that cannot be shown; return whether it is one of the two."""
        if isinstance(arrival, str):
            self._console.out(arrival)
        elif isinstance(arrival, _Talk):
            self._console.say(arrival.text)
        return isinstance(arrival, (str, _Talk))

    def _pump(self) -> None:
        try:
            for item in self._job.feed().follow():
                self._arrivals.put(item)
        except Exception as error:  # noqa: BLE001  raised by `run`, in the main thread
            self._arrivals.put(error)

    def _show(self, item: Item) -> None:
        before, self._view = self._view, apply(self._view, item)
        if self._live:
            if self._view.waiting and self._view.waiting != before.waiting and not self._live.tells(self._view):
                self._console.say(self._view.waiting)
        elif not self._only_output:
            self._phase(before)
        for name, task in self._view.tasks.items():
            known = before.tasks.get(name)  # a newer agent may have tasks that the plan has not
            if task.state != states.NEW and (known is None or task.state != known.state):
                self._task(task)

    def _phase(self, before: JobView) -> None:
        view, total = self._view, len(self._view.tasks)
        if view.app is not None and not view.app.ended and view.state == states.ACCEPTED:
            self._once("accepted", f"accepted by YARN in queue {view.app.queue}, waiting for the agent's container")
        if view.state == states.STARTING and before.state != view.state:
            self._console.progress("the agent's container runs")
        if view.state == states.GATHERING and before.state != view.state:
            self._console.say("the agent is up")
        if view.registered != before.registered and view.state == states.GATHERING:
            self._console.say(f"{view.registered} of {total} tasks are up")
        if view.state == states.RUNNING and before.state != view.state:
            self._console.say("running")
        if view.waiting and view.waiting != before.waiting:
            self._console.say(view.waiting)

    def _once(self, key: str, text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._console.say(text)

    def _task(self, task: TaskView) -> None:
        if not self._json and not self._only_output:
            self._task_info(task)
        ended = task.state in states.TASK_ENDED  # perhaps before its start was heard of
        if (ended or task.state == states.RUNNING) and task.container_id and self._shows(task.task):
            if task.task not in self._tails:
                self._start_tail(task)
            if ended:
                self._tails[task.task][1].set()

    def _task_info(self, task: TaskView) -> None:
        role, index = split_task(task.task)
        ink = self._console.out_ink
        if not self._live or not self._console.stdout.isatty():  # who looks at the table need not read this
            state = ink.state(task.state)
            info = f"[TaskInfo] name: {role}, index: {index}, url: {task.log_url}, status: {state}"
            self._console.out(f"Task status updated: {info}")
        if task.log_url and f"logs {task.task}" not in self._said:
            self._said.add(f"logs {task.task}")
            self._console.out(f"Logs for {role} {index} at: {task.log_url}")

    def _start_tail(self, task: TaskView) -> None:
        ended = threading.Event()
        nodes = NodeManager(self._job.site.user)

        def emit(line: str) -> None:
            self._arrivals.put(f"[{task.task}] {line}")

        def note(sentence: str) -> None:
            text = f"the output of {task.task} cannot be shown now ({sentence.rstrip('.')})"
            self._arrivals.put(_Talk(text))

        where = (nodes, task.node_http, task.container_id)
        thread = threading.Thread(target=follow_output, args=(*where, ended, emit, note), daemon=True)
        thread.start()
        self._tails[task.task] = (thread, ended)

    def _drain(self) -> None:
        """Show what the followed tasks wrote last."""
        drain(self._tails.values())
        while not self._arrivals.empty():
            self._output(self._arrivals.get())

    def _why_still_waiting(self) -> None:
        view = self._view
        if self._only_output:
            return
        if view.state == states.ACCEPTED and view.app is not None and view.app.diagnostics:
            self._console.progress(f"still waiting in queue {view.app.queue}: {view.app.diagnostics.strip()}")
        missing = [name for name, task in view.tasks.items() if task.state == states.NEW]
        if view.state == states.GATHERING and missing:
            self._console.progress(f"still waiting for {', '.join(missing[:5])}: no word from their containers yet")

    def _finish(self, verdict: JobEnded) -> int:
        for task, upload in self._view.uploads.items():
            if upload.problem:
                self._console.say(f"results of {task}: {upload.problem}")
        if verdict.origin == "yarn":
            self._job.sweep()
        if self._only_output:
            return verdict.exit_code
        if self._json:
            self._console.out_json(document(self._view, self._job.plan, self._job.application_id))
        if self._live:
            for line in self._live.last(self._view):
                self._console.say(line)
        for line in end_lines(verdict, self._job, time.monotonic() - self._began, self._console.err_ink):
            self._console.say(line)
        return verdict.exit_code


def end_lines(verdict: JobEnded, job: Job, took_s: float, ink: Ink = PLAIN) -> list[str]:
    """Return what is said at the end of a job."""
    name = job.plan.name
    state = ink.state(verdict.state)
    if verdict.state == states.SUCCEEDED:
        return [f"job {name} {state} in {seconds_text(took_s)}"]
    lines = [f"job {name} {state}: {verdict.message} [{verdict.problem}]"]
    lines += [f"  | {line}" for line in verdict.tail.splitlines()[-_TAIL_LINES:]]
    if verdict.advice:
        lines.append(f"  advice: {verdict.advice}")
    where = f" {verdict.task}" if verdict.task else ""
    lines.append(f"  next: job logs {job.id}{where}{job.site.option}")
    lines.append(f"exit code {verdict.exit_code} (origin: {verdict.origin})")
    return lines
