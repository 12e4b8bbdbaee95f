"""What a person sees of a job: a fold over its events. Pure.

Folding one event costs the same for any number of tasks but for a copy of their table, so that jobs of thousands can be
followed; only what happens to all tasks at once walks through them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from am.contract import events, states
from am.contract.job import JobPlan, split_task, task_name
from yarn_submitter.feed import AppSeen, Item, MasterLost
from yarn_submitter.rest import App

_AM_LOST = "its ApplicationMaster was lost, and everything of the job with it"


@dataclass(frozen=True)
class TaskView:
    """A task as it is now, or one of its attempts as it ended; times in seconds since the epoch, 0 when not yet.

    Attributes:
        task: `role:index`.
        state: One of am.contract.states.TASK_STATES.
        attempt: Counts from 1; 0 before the first is heard of.
        host: Where it runs.
        container_id: YARN's.
        node_http: host:port of its NodeManager's web server.
        log_url: The NodeManager's page of its logs.
        asked_s: When its container was asked for.
        registered_s: When its executor was up.
        started_s: Start of the user's command.
        ended_s: End of the user's command.
        exit_code: As a shell shows it.
        problem: Id of docs/errors.md when the code is not simply the program's.
        ports: Held for the framework.
        reason: Of an attempt that was followed by another one: why, a sentence.
        earlier: The attempts before this one, oldest first.
    """

    task: str
    state: str = states.NEW
    attempt: int = 0
    host: str = ""
    container_id: str = ""
    node_http: str = ""
    log_url: str = ""
    started_s: float = 0.0
    ended_s: float = 0.0
    exit_code: int | None = None
    problem: str = ""
    ports: tuple[int, ...] = ()
    asked_s: float = 0.0
    registered_s: float = 0.0
    reason: str = ""
    earlier: tuple[TaskView, ...] = ()

    @property
    def attempts(self) -> tuple[TaskView, ...]:
        """Return every attempt that is known of, oldest first, this one last."""
        return (*self.earlier, self) if self.attempt else self.earlier


@dataclass(frozen=True)
class JobView:
    """A job as it is now.

    Attributes:
        state: One of am.contract.states.JOB_STATES.
        tasks: By name, in the order of the roles.
        tracked: Role -> whether it counts for the job's success.
        app: The ResourceManager's word.
        waiting: Why it waits, a sentence, or empty.
        verdict: How it ended, or None.
        uploads: Task -> what became of its results.
        stopping: The newest word that the end is decided, or None.
        registered: How many tasks are up, or have been in the attempt in which they ended.
        round: How often all tasks were started together, from 1.
        agent_attempt: Which ApplicationMaster the agent runs beside, from 1; 0 before it is up.
        agents_s: When each agent was up.
        probing: The gang is complete and its tasks try to reach one another.
        topologies: When the gang was complete, each time; seconds since the epoch.
        released: Role that had to wait for others -> when its commands were let start.
        avoided: Host -> why nothing is started there any more.
        lost: The ApplicationMasters that are gone, oldest first.
    """

    state: str
    tasks: dict[str, TaskView]
    tracked: dict[str, bool]
    app: App | None = None
    waiting: str = ""
    verdict: events.JobEnded | None = None
    uploads: dict[str, events.TaskUploaded] = field(default_factory=dict)
    stopping: events.JobStopping | None = None
    registered: int = 0
    round: int = 1
    agent_attempt: int = 0
    agents_s: tuple[float, ...] = ()
    probing: bool = False
    topologies: tuple[float, ...] = ()
    released: dict[str, float] = field(default_factory=dict)
    avoided: dict[str, str] = field(default_factory=dict)
    lost: tuple[MasterLost, ...] = ()

    def topology_s(self, task: TaskView) -> float:
        """Return when an attempt was told of its peers; 0 when it was not, or joined those that ran."""
        end_s = task.started_s or task.ended_s or float("inf")
        return next((time_s for time_s in self.topologies if task.registered_s <= time_s <= end_s), 0.0)


def begin(plan: JobPlan) -> JobView:
    """Return the view of a job of which nothing has been heard."""
    names = [task_name(role.name, index) for role in plan.roles for index in range(role.instances)]
    tasks = {name: TaskView(name) for name in names}
    return JobView(states.ACCEPTED, tasks, {role.name: role.tracked for role in plan.roles})


class _Ours(dict[str, TaskView]):
    """The tasks of views that nobody has seen yet: one table for all of them, changed in place."""

    def copy(self) -> _Ours:
        return self


def fold(view: JobView, items: Iterable[Item]) -> JobView:
    """Return the view after all of `items`."""
    view = dataclasses.replace(view, tasks=_Ours(view.tasks))
    for item in items:
        view = apply(view, item)
    return dataclasses.replace(view, tasks=dict(view.tasks))


def apply(view: JobView, item: Item) -> JobView:
    """Return the view after one item; after the verdict, only what the ResourceManager says is new."""
    if view.verdict is not None and not isinstance(item, AppSeen):
        return view
    step = _STEPS.get(type(item))
    return view if step is None else step(view, item)


def _app_seen(view: JobView, item: AppSeen) -> JobView:
    app, state = item.app, view.state
    again = app is not None and app.begun_again and view.agent_attempt not in (0, app.am_attempt)
    if app is not None and (state == states.ACCEPTED or (again and state not in (states.STOPPING, *states.JOB_ENDED))):
        state = states.STARTING if app.state == "RUNNING" else states.ACCEPTED
    return dataclasses.replace(view, app=app, state=state)


def _master_lost(view: JobView, item: MasterLost) -> JobView:
    return dataclasses.replace(view, lost=(*view.lost, item))


def _agent_started(view: JobView, item: events.AgentStarted) -> JobView:
    tasks = view.tasks
    if view.agent_attempt and item.attempt > view.agent_attempt:  # every container is gone
        tasks = {
            name: task if task.state in states.TASK_ENDED else _again(task, task.attempt + 1, item.time, _AM_LOST)
            for name, task in tasks.items()
        }
    tasks = {
        name: task if task.asked_s else dataclasses.replace(task, asked_s=item.time) for name, task in tasks.items()
    }
    state = states.GATHERING if view.stopping is None else view.state
    view = dataclasses.replace(_with_tasks(view, tasks), released={})
    agents_s = (*view.agents_s, item.time)
    return dataclasses.replace(
        view, state=state, waiting="", agent_attempt=item.attempt, agents_s=agents_s, probing=False
    )


def _waiting(view: JobView, item: events.Waiting) -> JobView:
    return dataclasses.replace(view, waiting=item.reason)


def _gang_probing(view: JobView, _: events.GangProbing) -> JobView:
    return dataclasses.replace(view, probing=True, waiting="")


def _gang_complete(view: JobView, item: events.GangComplete) -> JobView:
    times = (*view.topologies, item.time)
    return dataclasses.replace(view, state=states.RUNNING, waiting="", probing=False, topologies=times)


def _role_released(view: JobView, item: events.RoleReleased) -> JobView:
    return dataclasses.replace(view, released={**view.released, item.role: item.time})


def _gang_released(view: JobView, item: events.GangReleased) -> JobView:
    tasks = {
        name: task if task.state in states.TASK_ENDED else _given_back(task, item) for name, task in view.tasks.items()
    }
    again = time.strftime("%H:%M:%S", time.localtime(item.again_at))
    waiting = f"{item.reason}; every container was given back, all are asked for again at {again}"
    return dataclasses.replace(_with_tasks(view, tasks), probing=False, waiting=waiting)


def _job_restarting(view: JobView, item: events.JobRestarting) -> JobView:
    blamed = view.tasks.get(item.task)
    if blamed is not None:  # what is said of its next attempt is what is said of all
        view = _with_task(view, dataclasses.replace(blamed, reason=item.reason))
    return dataclasses.replace(
        view, state=states.RESTARTING, round=item.round, waiting=item.reason, probing=False, released={}
    )


def _host_avoided(view: JobView, item: events.HostAvoided) -> JobView:
    return dataclasses.replace(view, avoided={**view.avoided, item.host: item.reason})


def _stopping(view: JobView, item: events.JobStopping) -> JobView:
    return dataclasses.replace(view, state=states.STOPPING, waiting=item.reason, stopping=item)


def _uploaded(view: JobView, item: events.TaskUploaded) -> JobView:
    return dataclasses.replace(view, uploads={**view.uploads, item.task: item})


def _registered(view: JobView, item: events.TaskRegistered) -> JobView:
    before = _task(view, item.task)
    if before.attempt and before.attempt < item.attempt:
        before = _again(before, item.attempt, item.time, "")
    after = TaskView(
        item.task,
        states.READY,
        item.attempt,
        item.host,
        item.container_id,
        item.node_http,
        item.log_url,
        ports=item.ports,
        asked_s=before.asked_s,
        registered_s=item.time,
        earlier=before.earlier,
    )
    view = _with_task(view, after)
    complete = view.state == states.RUNNING and view.registered == len(view.tasks)
    return dataclasses.replace(view, waiting="") if complete else view


def _started(view: JobView, item: events.TaskStarted) -> JobView:
    before = _task(view, item.task)
    attempt = before.attempt or item.attempt
    return _with_task(view, dataclasses.replace(before, state=states.RUNNING, attempt=attempt, started_s=item.time))


def _exited(view: JobView, item: events.TaskExited) -> JobView:
    needed = view.tracked.get(split_task(item.task)[0], True) and not _succeeded(view)
    before = _task(view, item.task)
    late = item.attempt < before.attempt and before.earlier  # word of it came after the next one was begun
    ended = before.earlier[-1] if late else before
    ran = not item.stopped or ended.started_s  # the code of a command that was never begun is nobody's
    end: dict[str, Any] = {
        "state": states.state_at_exit(item.code, item.problem, item.stopped, needed),
        "ended_s": item.time,
        "exit_code": item.code if ran else None,
        "host": item.host,
        "problem": item.problem,
    }
    if late:
        earlier = (*before.earlier[:-1], dataclasses.replace(ended, **end))
        return _with_task(view, dataclasses.replace(before, earlier=earlier))
    return _with_task(view, dataclasses.replace(before, attempt=item.attempt, **end))


def _restarting(view: JobView, item: events.TaskRestarting) -> JobView:
    return _with_task(view, _again(_task(view, item.task), item.attempt, item.time, item.reason))


def _ended(view: JobView, verdict: events.JobEnded) -> JobView:
    tasks = {
        name: task
        if task.state in states.TASK_ENDED
        else dataclasses.replace(task, state=states.KILLED, ended_s=task.started_s and verdict.time)
        for name, task in view.tasks.items()
    }
    return dataclasses.replace(view, state=verdict.state, tasks=tasks, verdict=verdict, waiting="", probing=False)


_STEPS: dict[type, Callable[[JobView, Any], JobView]] = {
    AppSeen: _app_seen,
    MasterLost: _master_lost,
    events.AgentStarted: _agent_started,
    events.Waiting: _waiting,
    events.GangProbing: _gang_probing,
    events.GangComplete: _gang_complete,
    events.RoleReleased: _role_released,
    events.GangReleased: _gang_released,
    events.JobRestarting: _job_restarting,
    events.HostAvoided: _host_avoided,
    events.JobStopping: _stopping,
    events.TaskUploaded: _uploaded,
    events.TaskRegistered: _registered,
    events.TaskStarted: _started,
    events.TaskExited: _exited,
    events.TaskRestarting: _restarting,
    events.JobEnded: _ended,
}


def _task(view: JobView, name: str) -> TaskView:
    """Return a task; a newer agent may have some that the plan has not."""
    return view.tasks.get(name) or TaskView(name)


def _again(task: TaskView, attempt: int, time_s: float, reason: str) -> TaskView:
    """Return a task whose next attempt is asked for; the one before is kept when it had a container or an end."""
    earlier = task.earlier
    if task.container_id or task.ended_s:
        state = task.state if task.state in states.TASK_ENDED else states.KILLED
        ended_s = task.ended_s or time_s  # nobody saw its end; it was over by then
        last = dataclasses.replace(task, state=state, ended_s=ended_s, reason=task.reason or reason, earlier=())
        earlier = (*earlier, last)
    elif earlier and reason and not earlier[-1].reason:
        earlier = (*earlier[:-1], dataclasses.replace(earlier[-1], reason=reason))
    return TaskView(task.task, attempt=attempt, asked_s=time_s, earlier=earlier)


def _given_back(task: TaskView, item: events.GangReleased) -> TaskView:
    """Return a task whose container was given back: an attempt that never began is asked for again."""
    if task.started_s:
        task = _again(task, task.attempt + 1, item.time, item.reason)
    return TaskView(task.task, attempt=task.attempt, asked_s=item.again_at, earlier=task.earlier)


def _with_task(view: JobView, after: TaskView) -> JobView:
    before = view.tasks.get(after.task)
    was_up = before is not None and before.state != states.NEW
    tasks = view.tasks.copy()
    tasks[after.task] = after
    registered = view.registered + (after.state != states.NEW) - was_up
    return dataclasses.replace(view, tasks=tasks, registered=registered)


def _with_tasks(view: JobView, tasks: dict[str, TaskView]) -> JobView:
    registered = sum(task.state != states.NEW for task in tasks.values())
    return dataclasses.replace(view, tasks=type(view.tasks)(tasks), registered=registered)


def _succeeded(view: JobView) -> bool:
    verdict = view.stopping.verdict if view.stopping is not None else None
    return verdict is not None and verdict.state == states.SUCCEEDED


def links(view: JobView, plan: JobPlan) -> dict[str, str]:
    """Return label -> URL of the job's quicklinks, and of its TensorBoard, whose tasks have a host by now."""
    found = {}
    for link in plan.quicklinks:
        task = view.tasks.get(link.task)
        port = link.port or (task.ports[0] if task and task.ports else 0)
        if task and task.host and port:
            found[link.label] = f"{link.protocol}://{task.host}:{port}"
    return found


def queue_of(view: JobView, plan: JobPlan) -> str:
    """Return the queue as its user named it, or the path of the one that the job was moved to."""
    path = view.app.queue if view.app else plan.queue
    return plan.queue if f".{path}".endswith(f".{plan.queue}") else path
