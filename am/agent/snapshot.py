"""The job as it stands: a pure fold over the contract's events.

`apply(snapshot, event)` gives the next snapshot and touches nothing else; a task that has ended and a job that has its
verdict never change again. What is no event (signs of life, what YARN says of containers) is in `Signs`, so that a
beat never copies a job.
"""

from __future__ import annotations

import dataclasses
import functools
import typing

from am.contract import states
from am.contract.events import (
    AgentStarted,
    GangComplete,
    JobEnded,
    JobStopping,
    TaskExited,
    TaskRegistered,
    TaskStarted,
    TaskUploaded,
    Waiting,
)
from am.contract.job import task_name

EXECUTOR = "executor"
YARN = "yarn"

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

    from am.contract.events import Event
    from am.contract.job import JobPlan


@dataclasses.dataclass(frozen=True)
class Task:
    """One task as it stands.

    Attributes:
        name: `role:index`.
        role: Its role.
        index: Its index in the role.
        tracked: Whether its good end is needed for the job's success.
        forgiven: Its failure does not fail the job (`on_failure: ignore`).
        attempt: Counted from 1.
        state: Of `states.TASK_STATES`.
        container_id: Empty while it has none.
        host: Where it runs or ran.
        node_http: host:port of its NodeManager's web server.
        address: host:port in the topology.
        pid: Of the user's command, 0 before it runs.
        exit: How it ended, None while it has not.
        upload: What became of its results, None while that is not known.
    """

    name: str
    role: str
    index: int
    tracked: bool = True
    forgiven: bool = False
    attempt: int = 1
    state: str = states.NEW
    container_id: str = ""
    host: str = ""
    node_http: str = ""
    address: str = ""
    pid: int = 0
    exit: TaskExited | None = None
    upload: TaskUploaded | None = None

    @property
    def ended(self) -> bool:
        """Return whether its state is a terminal one."""
        return self.state in states.TASK_ENDED

    @property
    def failed(self) -> bool:
        """Return whether it ended badly without having been asked to end."""
        return self.state == states.FAILED

    @property
    def settled(self) -> bool:
        """Return whether nothing more is to come: it never had a container, lost it, or has carried its results."""
        if not self.container_id or self.upload is not None:
            return True
        return self.exit is not None and self.exit.witness != EXECUTOR

    @property
    def holds_success(self) -> bool:
        """Return whether the job's success still waits for it."""
        return self.tracked and not (self.ended and (self.forgiven or self.state != states.FAILED))


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The job as it stands.

    Attributes:
        tasks: By name, in the plan's order.
        containers: Container id -> task name, for every container that a task has or had.
        state: Of `states.JOB_STATES`.
        attempt: Of the ApplicationMaster.
        started_s: When the agent began to listen.
        first_registered_s: When the first task registered; None before.
        order_id: Of the newest order; counts from 1.
        topology: role -> host:port by index; empty until the gang is complete.
        released_s: When it was; None before.
        waiting: The newest one.
        stopping: The newest one; None while the end is not decided.
        stopping_since_s: When the end was decided.
        verdict: None until the end; never changes then.
        registered: How many tasks have or had a container that registered.
        holding: How many tasks the job's success still waits for.
        unsettled: How many tasks the job's end still waits for.
        blamed: The task that failed first, forgiven ones left out; empty when none has.
        failed: The task that failed first, forgiven ones too.
    """

    tasks: Mapping[str, Task]
    containers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    state: str = states.STARTING
    attempt: int = 1
    started_s: float | None = None
    first_registered_s: float | None = None
    order_id: int = 1
    topology: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    released_s: float | None = None
    waiting: Waiting | None = None
    stopping: JobStopping | None = None
    stopping_since_s: float = 0.0
    verdict: JobEnded | None = None
    registered: int = 0
    holding: int = 0
    unsettled: int = 0
    blamed: str = ""
    failed: str = ""

    def role(self, role: str) -> list[Task]:
        """Return the tasks of a role by index."""
        return [task for task in self.tasks.values() if task.role == role]

    def of_container(self, container_id: str) -> Task | None:
        """Return the task that this container is, or None."""
        name = self.containers.get(container_id)
        return None if name is None else self.tasks[name]

    def free_index(self, role: str) -> int | None:
        """Return the lowest index of `role` that has no container and has not ended; None when all are taken."""
        for task in self.tasks.values():
            if task.role == role and task.state == states.NEW:
                return task.index
        return None


def start(plan: JobPlan) -> Snapshot:
    """Return the job before anything happened. When no role is tracked, every role is: something must decide."""
    none_tracked = not any(role.tracked and role.instances for role in plan.roles)
    tasks = {
        task_name(role.name, index): Task(
            name=task_name(role.name, index),
            role=role.name,
            index=index,
            tracked=role.tracked or none_tracked,
            forgiven=role.on_failure == "ignore",
        )
        for role in plan.roles
        for index in range(role.instances)
    }
    return Snapshot(tasks=tasks, holding=sum(task.holds_success for task in tasks.values()))


def apply(snapshot: Snapshot, event: Event) -> Snapshot:
    """Return the snapshot after `event`; events that this fold does not know change nothing."""
    return _fold(event, snapshot)


@functools.singledispatch
def _fold(event: Event, snapshot: Snapshot) -> Snapshot:
    del event
    return snapshot


@_fold.register
def _(event: AgentStarted, snapshot: Snapshot) -> Snapshot:
    return dataclasses.replace(snapshot, state=states.GATHERING, attempt=event.attempt, started_s=event.time)


@_fold.register
def _(event: TaskRegistered, snapshot: Snapshot) -> Snapshot:
    task = snapshot.tasks[event.task]
    if task.ended:
        return snapshot
    after = dataclasses.replace(
        task,
        state=states.READY,
        attempt=event.attempt,
        container_id=event.container_id,
        host=event.host,
        node_http=event.node_http,
        address=f"{event.host}:{event.ports[0]}" if event.ports else event.host,
    )
    first_s = event.time if snapshot.first_registered_s is None else snapshot.first_registered_s
    return dataclasses.replace(
        _with_task(snapshot, after),
        containers={**snapshot.containers, event.container_id: event.task},
        first_registered_s=first_s,
    )


@_fold.register
def _(event: GangComplete, snapshot: Snapshot) -> Snapshot:
    return dataclasses.replace(
        snapshot,
        state=states.RUNNING,
        topology=event.topology,
        released_s=event.time,
        order_id=snapshot.order_id + 1,
        waiting=None,
    )


@_fold.register
def _(event: TaskStarted, snapshot: Snapshot) -> Snapshot:
    task = snapshot.tasks[event.task]
    if task.ended:
        return snapshot
    return _with_task(snapshot, dataclasses.replace(task, state=states.RUNNING, pid=event.pid))


@_fold.register
def _(event: TaskExited, snapshot: Snapshot) -> Snapshot:
    task = snapshot.tasks[event.task]
    if task.ended:
        return snapshot
    verdict = snapshot.stopping.verdict if snapshot.stopping is not None else None
    succeeded = verdict is not None and verdict.state == states.SUCCEEDED
    state = states.state_at_exit(event.code, event.problem, event.stopped, task.tracked and not succeeded)
    after = dataclasses.replace(task, state=state, exit=event, host=task.host or event.host)
    snapshot = _with_task(snapshot, after)
    if not after.failed:
        return snapshot
    failed = _earlier(snapshot, snapshot.failed, after)
    # A gang that is not complete cannot do without a task, forgiven or not.
    if after.forgiven and snapshot.topology:
        return dataclasses.replace(snapshot, failed=failed)
    return dataclasses.replace(snapshot, failed=failed, blamed=_earlier(snapshot, snapshot.blamed, after))


@_fold.register
def _(event: TaskUploaded, snapshot: Snapshot) -> Snapshot:
    task = snapshot.tasks[event.task]
    if task.upload is not None:
        return snapshot
    return _with_task(snapshot, dataclasses.replace(task, upload=event))


@_fold.register
def _(event: Waiting, snapshot: Snapshot) -> Snapshot:
    return dataclasses.replace(snapshot, waiting=event)


@_fold.register
def _(event: JobStopping, snapshot: Snapshot) -> Snapshot:
    if snapshot.verdict is not None:
        return snapshot
    since_s = event.time if snapshot.stopping is None else snapshot.stopping_since_s
    return dataclasses.replace(
        snapshot,
        state=states.STOPPING,
        stopping=event,
        stopping_since_s=since_s,
        order_id=snapshot.order_id + 1,
    )


@_fold.register
def _(event: JobEnded, snapshot: Snapshot) -> Snapshot:
    if snapshot.verdict is not None:
        return snapshot
    tasks = {
        name: task if task.ended else dataclasses.replace(task, state=states.KILLED)
        for name, task in snapshot.tasks.items()
    }
    return dataclasses.replace(
        snapshot, tasks=tasks, state=event.state, verdict=event, order_id=snapshot.order_id + 1, unsettled=0
    )


def _with_task(snapshot: Snapshot, after: Task) -> Snapshot:
    """Return the snapshot with one task replaced and the counters kept right, so that no decision walks all tasks."""
    before = snapshot.tasks[after.name]
    return dataclasses.replace(
        snapshot,
        tasks={**snapshot.tasks, after.name: after},
        registered=snapshot.registered + bool(after.container_id) - bool(before.container_id),
        holding=snapshot.holding + after.holds_success - before.holds_success,
        unsettled=snapshot.unsettled - after.settled + before.settled,
    )


def _earlier(snapshot: Snapshot, name: str, other: Task) -> str:
    """Return which of two failed tasks failed first: a lost task's end is learned after it happened."""
    if not name:
        return other.name
    first, second = snapshot.tasks[name].exit, other.exit
    return other.name if first is not None and second is not None and second.time < first.time else name


@dataclasses.dataclass(frozen=True)
class Sighting:
    """A container that YARN has given and whose executor has not registered.

    Attributes:
        role: For which it was asked.
        node_http: host:port of its NodeManager's web server.
        localizing: It still fetches its files.
        running_since_s: When it was first seen to run, or its node not to answer; None before.
        silent: Its node does not answer.
    """

    role: str
    node_http: str
    localizing: bool = True
    running_since_s: float | None = None
    silent: bool = False


@dataclasses.dataclass
class Signs:
    """What is known beside the events; changes in place.

    Attributes:
        heard_s: Task name -> when its executor last said something.
        doubted_s: Task name -> since when its connection is down; gone as soon as it says something.
        sightings: Container id -> what YARN says of a container that has not registered.
    """

    heard_s: dict[str, float] = dataclasses.field(default_factory=dict)
    doubted_s: dict[str, float] = dataclasses.field(default_factory=dict)
    sightings: dict[str, Sighting] = dataclasses.field(default_factory=dict)

    def forgive(self, pause_s: float) -> None:
        """Move everything by `pause_s`: the agent itself did not run for so long, so nobody else was silent."""
        self.heard_s = {task: when + pause_s for task, when in self.heard_s.items()}
        self.doubted_s = {task: when + pause_s for task, when in self.doubted_s.items()}
