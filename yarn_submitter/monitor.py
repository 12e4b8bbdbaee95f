"""What a person sees of a job: a fold over its events. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from am.contract import events, states
from am.contract.job import JobPlan, split_task, task_name
from yarn_submitter.feed import AppSeen, Item
from yarn_submitter.rest import App

SCHEMA = 1


@dataclass(frozen=True)
class TaskView:
    """A task as it is now; times in seconds since the epoch, 0 when not yet."""

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
    """

    state: str
    tasks: dict[str, TaskView]
    tracked: dict[str, bool]
    app: App | None = None
    waiting: str = ""
    verdict: events.JobEnded | None = None
    uploads: dict[str, events.TaskUploaded] = field(default_factory=dict)
    stopping: events.JobStopping | None = None

    @property
    def registered(self) -> int:
        """Return how many tasks have been up."""
        return sum(1 for task in self.tasks.values() if task.state != states.NEW)


def begin(plan: JobPlan) -> JobView:
    """Return the view of a job of which nothing has been heard."""
    names = [task_name(role.name, index) for role in plan.roles for index in range(role.instances)]
    tasks = {name: TaskView(name) for name in names}
    return JobView(states.ACCEPTED, tasks, {role.name: role.tracked for role in plan.roles})


def fold(view: JobView, items: Iterable[Item]) -> JobView:
    """Return the view after all of `items`."""
    for item in items:
        view = apply(view, item)
    return view


def apply(view: JobView, item: Item) -> JobView:
    """Return the view after one item."""
    if isinstance(item, AppSeen):
        return _app_seen(view, item.app)
    if isinstance(item, events.JobEnded):
        return _ended(view, item)
    if view.verdict is not None:
        return view
    if isinstance(item, events.AgentStarted):
        return dataclasses.replace(view, state=states.GATHERING, waiting="")
    if isinstance(item, events.Waiting):
        return dataclasses.replace(view, waiting=item.reason)
    if isinstance(item, events.GangComplete):
        return dataclasses.replace(view, state=states.RUNNING, waiting="")
    if isinstance(item, events.JobStopping):
        return dataclasses.replace(view, state=states.STOPPING, waiting=item.reason, stopping=item)
    if isinstance(item, events.TaskUploaded):
        return dataclasses.replace(view, uploads={**view.uploads, item.task: item})
    return _task_event(view, item)


def _app_seen(view: JobView, app: App | None) -> JobView:
    state = view.state
    if app is not None and app.state == "RUNNING" and state == states.ACCEPTED:
        state = states.STARTING
    return dataclasses.replace(view, app=app, state=state)


def _task_event(view: JobView, item: Any) -> JobView:
    before = view.tasks.get(item.task, TaskView(item.task))
    if isinstance(item, events.TaskRegistered):
        where = (item.host, item.container_id, item.node_http, item.log_url)
        after = TaskView(item.task, states.READY, item.attempt, *where, ports=item.ports)
    elif isinstance(item, events.TaskStarted):
        after = dataclasses.replace(before, state=states.RUNNING, started_s=item.time)
    elif isinstance(item, events.TaskExited):
        needed = view.tracked.get(split_task(item.task)[0], True) and not _succeeded(view)
        state = states.state_at_exit(item.code, item.problem, item.stopped, needed)
        after = dataclasses.replace(
            before, state=state, ended_s=item.time, exit_code=item.code, host=item.host, problem=item.problem
        )
    else:
        return view
    return dataclasses.replace(view, tasks={**view.tasks, item.task: after})


def _succeeded(view: JobView) -> bool:
    verdict = view.stopping.verdict if view.stopping is not None else None
    return verdict is not None and verdict.state == states.SUCCEEDED


def _ended(view: JobView, verdict: events.JobEnded) -> JobView:
    if view.verdict is not None:
        return view
    tasks = {
        name: task if task.state in states.TASK_ENDED else dataclasses.replace(task, state=states.KILLED)
        for name, task in view.tasks.items()
    }
    return dataclasses.replace(view, state=verdict.state, tasks=tasks, verdict=verdict, waiting="")


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


def document(view: JobView, plan: JobPlan, application_id: str) -> dict[str, Any]:
    """Return the view as JSON values (schema 1, see docs/json.md)."""
    verdict = view.verdict
    return {
        "schema": SCHEMA,
        "id": plan.id,
        "application_id": application_id,
        "name": plan.name,
        "user": plan.user,
        "queue": queue_of(view, plan),
        "framework": plan.framework,
        "state": view.state,
        "waiting": view.waiting,
        "exit_code": verdict.exit_code if verdict else None,
        "origin": verdict.origin if verdict else None,
        "problem": (verdict.problem or None) if verdict else None,
        "message": verdict.message if verdict else None,
        "failed_task": (verdict.task or None) if verdict else None,
        "input_path": plan.input_path,
        "checkpoint_path": plan.checkpoint_path,
        "saved_model_path": plan.saved_model_path,
        "job_dir": plan.job_dir,
        "links": [{"label": label, "url": url} for label, url in links(view, plan).items()],
        "tasks": [
            {
                "task": task.task,
                "state": task.state,
                "attempt": task.attempt,
                "host": task.host,
                "container_id": task.container_id,
                "log_url": task.log_url,
                "started_s": task.started_s or None,
                "ended_s": task.ended_s or None,
                "exit_code": task.exit_code,
            }
            for task in view.tasks.values()
        ],
    }
