"""Shows a job while it runs: phases and tasks as they change, the program's own output, the end and its reason."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from am.contract import events, states
from am.contract.events import JobEnded
from am.contract.job import split_task
from yarn_submitter.cli.console import PLAIN, Console, Ink
from yarn_submitter.cli.eventwords import words
from yarn_submitter.errors import OutputError, SubmitterError
from yarn_submitter.feed import AppSeen, Item, MasterLost
from yarn_submitter.job import Job
from yarn_submitter.livelog import DRAIN_S, Tail, drain, follow_output
from yarn_submitter.monitor import JobView, TaskView, apply, begin
from yarn_submitter.nodemanager import NodeManager
from yarn_submitter.stage import missing, stage
from yarn_submitter.units import seconds_text
from yarn_submitter.verdicts import AGENTS_LOG
from yarn_submitter.viewjson import document

if TYPE_CHECKING:  # a pipe needs no picture
    from yarn_submitter.cli.live import LiveTable

_HINT_S = 8.0
_TAIL_LINES = 50
_ASK_WHY_S = 30.0  # so long a job may wait before the cluster is asked why,
_ASK_AGAIN_S = 10.0  # and then no more often than this
_TELL_AGAIN_S = 60.0  # a reason whose numbers change all the time is no news each time
_WAITING = frozenset((states.ACCEPTED, states.STARTING, states.GATHERING, states.RESTARTING))
_MOST_TAILS = 64  # each is a thread and two requests in half a second
_STEPS = 20  # of a large gang's way to being complete, so many are told
# What changes many tasks at once; of all else one look at its own task tells what has changed.
_OF_ALL = (events.AgentStarted, events.GangReleased, JobEnded)
_NO_ROOM = frozenset(("queue-timeout", "gang-timeout"))  # no command was started: there are no logs to read
_TOLD = (events.JobRestarting, events.GangReleased, events.HostAvoided, MasterLost)


class _Talk(NamedTuple):
    """A sentence about the output, which is no output."""

    text: str


class _Line(NamedTuple):
    """A line that a task wrote."""

    task: str
    text: str


class _Why(NamedTuple):
    """Why the job waits, in sentences."""

    reasons: list[str]


class Follower:
    """Follows one job to its end.

    Args:
        job: The job.
        console: Where to.
        shows: Tells of a task whether its output is wanted.
        json: Whether stdout holds nothing but the result, as JSON.
        only_output: Whether nothing is shown but the tasks' output.
        attempt: Only this attempt's output; 0: of all.
    """

    def __init__(
        self,
        job: Job,
        console: Console,
        shows: Callable[[str], bool],
        *,
        json: bool,
        only_output: bool = False,
        attempt: int = 0,
    ) -> None:
        self._job = job
        self._console = console
        self._shows = shows
        self._json = json
        self._only_output = only_output
        self._attempt = attempt
        self._view = begin(job.plan)
        self._said: set[str] = set()
        self._arrivals: queue.Queue[Any] = queue.Queue()
        self._tails: dict[tuple[str, int], Tail] = {}
        self._not_shown = 0
        self._restarts = 0
        self._began = time.monotonic()
        self._waits_since_s: float | None = self._began
        self._asked_why_s = self._told_why_s = -_TELL_AGAIN_S
        self._asking = False
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
        try:
            with self._live.shown() if self._live else contextlib.nullcontext():
                verdict = self._listen()
                self._drain()
            self._finish(verdict)
        except (BrokenPipeError, OutputError) as error:
            ended = self._view.verdict
            if ended is None:
                raise
            if isinstance(error, OutputError):
                self._console.error(error)
                return ended.exit_code or error.exit_code
            return ended.exit_code
        return verdict.exit_code

    def _listen(self) -> JobEnded:
        while self._view.verdict is None:
            self._ask_why()
            try:
                arrival = self._arrivals.get(timeout=self._live.wait_s() if self._live else _HINT_S)
            except queue.Empty:
                if self._live:
                    self._live.draw()
                elif not self._only_output and self._view.state in _WAITING:
                    lacking = missing(self._view) if self._view.state != states.ACCEPTED else ""
                    self._console.progress(stage(self._view) + (f"; not up: {lacking}" if lacking else ""))
                continue
            if isinstance(arrival, Exception):
                raise arrival
            if not self._output(arrival):
                self._show(arrival)
            if self._live:
                self._live.changed(self._view)
        return self._view.verdict

    def _output(self, arrival: object) -> bool:
        """Show what a task wrote, why that cannot be shown, or why the job waits; return whether it is one of them."""
        if isinstance(arrival, _Line):
            self._console.out(f"[{arrival.task}] {arrival.text}")
        elif isinstance(arrival, _Talk):
            self._console.say(arrival.text)
        elif isinstance(arrival, _Why):
            self._tell_why(arrival.reasons)
        return isinstance(arrival, (_Line, _Talk, _Why))

    def _pump(self) -> None:
        try:
            for item in self._job.feed().follow():
                self._arrivals.put(item)
        except Exception as error:  # noqa: BLE001  raised by `run`, in the main thread
            self._arrivals.put(error)

    def _ask_why(self) -> None:
        """Ask the cluster why the job waits, in a thread, when it has waited for long and it is time to ask again."""
        now_s = time.monotonic()
        long = self._waits_since_s is not None and now_s - self._waits_since_s >= _ASK_WHY_S
        if not long or self._only_output or self._asking or now_s - self._asked_why_s < _ASK_AGAIN_S:
            return
        self._asking, self._asked_why_s = True, now_s

        def ask() -> None:
            try:
                self._arrivals.put(_Why(self._job.why_waiting()))
            except Exception:  # noqa: BLE001  a hint that cannot be had is none
                self._arrivals.put(_Why([]))

        threading.Thread(target=ask, name="why", daemon=True).start()

    def _tell_why(self, reasons: list[str]) -> None:
        self._asking = False
        now_s, text = time.monotonic(), "\n  ".join(reasons)
        fresh = f"why {text}" not in self._said and now_s - self._told_why_s >= _TELL_AGAIN_S
        if reasons and fresh and self._waits_since_s is not None:
            self._said.add(f"why {text}")
            self._told_why_s = now_s
            self._console.say(f"still waiting: {text}")

    def _show(self, item: Item) -> None:
        before, self._view = self._view, apply(self._view, item)
        if self._view.state != before.state:
            waits = self._view.state in _WAITING
            self._waits_since_s = (self._waits_since_s or time.monotonic()) if waits else None
        if not self._only_output:
            self._news(item)
            self._phase(before, item)
        for task in self._changed(item):
            known = before.tasks.get(task.task)  # a newer agent may have tasks that the plan has not
            if task.state != states.NEW and (known is None or task.state != known.state):
                self._task(task)

    def _changed(self, item: Item) -> Iterable[TaskView]:
        if isinstance(item, _OF_ALL):
            return self._view.tasks.values()
        task = self._view.tasks.get(getattr(item, "task", ""))
        return () if task is None else (task,)

    def _news(self, item: Item) -> None:
        """Tell in a line of what starts again."""
        if isinstance(item, AppSeen):
            return
        view, most = self._view, self._job.plan.max_restarts
        again = isinstance(item, events.TaskRestarting)
        if isinstance(item, (events.TaskRestarting, events.JobRestarting)):
            self._restarts += item.counted
        all_again = view.state == states.RESTARTING or (view.agent_attempt > 1 and view.state == states.GATHERING)
        lost = isinstance(item, events.AgentStarted) and item.attempt > 1
        if isinstance(item, _TOLD) or lost or (again and not all_again):
            counted = f" [restart {self._restarts} of {most}]" if getattr(item, "counted", False) and most else ""
            every = "; all tasks start again" if lost and view.stopping is None else ""
            self._console.say(words(item) + every + counted)

    def _phase(self, before: JobView, item: Item) -> None:
        view = self._view
        waits = view.waiting and view.waiting != before.waiting and not isinstance(item, _TOLD)
        if waits and (self._live is None or not self._live.tells(view)):
            self._console.say(view.waiting)
        if self._live:
            return
        if view.app is not None and not view.app.ended and view.state == states.ACCEPTED:
            self._once("accepted", f"accepted by YARN in queue {view.app.queue}, waiting for the agent's container")
        if view.state == states.STARTING and before.state != view.state:
            self._console.progress("the agent's container runs")
        if view.state == states.GATHERING and before.state != view.state and view.agent_attempt == 1:
            self._console.say("the agent is up")
        if view.registered > before.registered and view.state in (states.GATHERING, states.RESTARTING):
            self._tell_registered()
        if view.probing and not before.probing:
            self._console.progress("the tasks are up and try to reach one another")
        if view.state == states.RUNNING and before.state != view.state:
            self._console.say("running")

    def _tell_registered(self) -> None:
        """Tell how many tasks are up: each time, or in so many steps when they are many."""
        count, total = self._view.registered, len(self._view.tasks)
        if total <= _STEPS or count in (1, total) or count % (total // _STEPS) == 0:
            self._console.say(f"{count} of {total} tasks are up")

    def _once(self, key: str, text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._console.say(text)

    def _task(self, task: TaskView) -> None:
        if not self._json and not self._only_output:
            self._task_info(task)
        ended = task.state in states.TASK_ENDED  # perhaps before its start was heard of
        wanted = task.container_id and self._shows(task.task) and self._attempt in (0, task.attempt)
        if (ended or task.state == states.RUNNING) and wanted:
            key = (task.task, task.attempt)
            if key not in self._tails:
                self._start_tail(task)
            if ended and key in self._tails:
                self._tails[key][1].set()

    def _task_info(self, task: TaskView) -> None:
        role, index = split_task(task.task)
        ink = self._console.out_ink
        if not self._live or not self._console.stdout.isatty():  # who looks at the table need not read this
            state = ink.state(task.state)
            info = f"[TaskInfo] name: {role}, index: {index}, url: {task.log_url}, status: {state}"
            self._console.out(f"Task status updated: {info}")
        if task.log_url and f"logs {task.task} {task.log_url}" not in self._said:
            self._said.add(f"logs {task.task} {task.log_url}")
            self._console.out(f"Logs for {role} {index} at: {task.log_url}")

    def _start_tail(self, task: TaskView) -> None:
        if sum(thread.is_alive() for thread, _ in self._tails.values()) >= _MOST_TAILS:
            many = (
                f"the output of {_MOST_TAILS} tasks is shown at once, no more; of others: job logs {self._job.id} TASK"
            )
            self._once("tails", many + self._job.site.option)
            return
        ended = threading.Event()
        nodes = NodeManager(self._job.site.user)

        def emit(line: str) -> None:
            self._arrivals.put(_Line(task.task, line))

        def note(sentence: str) -> None:
            text = f"the output of {task.task} cannot be shown now ({sentence.rstrip('.')})"
            self._arrivals.put(_Talk(f"{text}; later: {self._logs_of(task.task)}"))

        def stored() -> Mapping[str, bytes]:
            from yarn_submitter.tasklogs import stored_output  # hardly ever

            return stored_output(self._job, task)

        where = (nodes, task.node_http, task.container_id)
        args = (*where, ended, emit, note, task.attempt, stored)
        thread = threading.Thread(target=follow_output, args=args, daemon=True)
        thread.start()
        self._tails[task.task, task.attempt] = (thread, ended)

    def _drain(self) -> None:
        """Show what the followed tasks wrote last."""
        drain(self._tails.values())
        late = list(dict.fromkeys(task for (task, _), (thread, _) in self._tails.items() if thread.is_alive()))
        while not self._arrivals.empty():
            self._output(self._arrivals.get())
        if late:
            tasks = ", ".join(late[:3]) + (f" and {len(late) - 3} others" if len(late) > 3 else "")
            said = f"the end of the output of {tasks} was not read in {DRAIN_S:g} s; all of it: "
            self._console.say(said + self._logs_of(late[0]))

    def _logs_of(self, task: str) -> str:
        """Return what to type for all that a task has written."""
        return f"job logs {self._job.id} {task}{self._job.site.option}"

    def _finish(self, verdict: JobEnded) -> None:
        for task, upload in self._view.uploads.items():
            if upload.problem:
                self._console.say(f"results of {task}: {upload.problem}")
        with contextlib.suppress(SubmitterError):  # who looks at the job next tries again
            self._job.sweep(verdict)
        if self._only_output:
            return
        if self._live:
            for line in self._live.last(self._view):
                self._console.say(line)
        blamed = self._view.tasks.get(verdict.task)
        attempt = blamed.attempt if blamed is not None else 0
        for line in end_lines(verdict, self._job, time.monotonic() - self._began, self._console.err_ink, attempt):
            self._console.say(line)
        if self._json:
            job = self._job
            self._console.out_json(document(self._view, job.plan, job.application_id, job.site.conf.default_fs))


def end_lines(verdict: JobEnded, job: Job, took_s: float, ink: Ink = PLAIN, attempt: int = 0) -> list[str]:
    """Return what is said at the end of a job.

    Args:
        verdict: How it ended.
        job: The job.
        took_s: For how long it was followed.
        ink: Of the stream on which it is said.
        attempt: Which attempt of the task that is to blame failed.
    """
    name = job.plan.name
    state = ink.state(verdict.state)
    if verdict.state == states.SUCCEEDED:
        return [f"job {name} {state} in {seconds_text(took_s)}"]
    lines = [f"job {name} {state}: {verdict.message} [{verdict.problem}]"]
    lines += [f"  | {line}" for line in verdict.tail.splitlines()[-_TAIL_LINES:]]
    if verdict.advice:
        lines.append(f"  advice: {verdict.advice}")
    if verdict.problem in _NO_ROOM:
        lines.append(f"  next: job queues{job.site.option}")
        return [*lines, f"exit code {verdict.exit_code} (origin: {verdict.origin})"]
    where = f" {verdict.task}" if verdict.task else " agent" if verdict.problem in AGENTS_LOG else ""
    if verdict.task and attempt > 1:
        where += f" --attempt {attempt}"
    lines.append(f"  next: job logs {job.id}{where}{job.site.option}")
    lines.append(f"exit code {verdict.exit_code} (origin: {verdict.origin})")
    return lines
