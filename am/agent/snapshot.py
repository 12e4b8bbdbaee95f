"""The job as it stands, as a value; fold.py makes the next one of an event.

An attempt that has ended and a job that has its verdict never change again. What is no event (signs of life, what YARN
says of containers) is in signs.py, so that a beat never copies a job.
"""

from __future__ import annotations

import dataclasses
import typing

from am.agent import faults
from am.contract import states
from am.contract.job import FIRST_COME, IGNORE, RESTART_TASK, task_name

EXECUTOR = "executor"
YARN = "yarn"
# What an executor says of the end of its program; after any other problem it is itself that cannot go on, and leaves.
PROGRAM_PROBLEMS = frozenset(
    ("", "address-in-use", "command-not-found", "command-not-executable", "program-stalled", "gpu-idle")
)

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

    from am.contract.events import JobEnded, JobStopping, TaskExited, TaskUploaded, Waiting
    from am.contract.job import JobPlan, RolePlan


@dataclasses.dataclass(frozen=True)
class Task:
    """One task as it stands.

    Attributes:
        name: `role:index`.
        role: Its role.
        index: Its index in the role.
        tracked: Whether its good end is needed for the job's success.
        forgiven: Its program's failure does not fail the job (`on_failure: ignore`).
        spared: Nor does its loss to the cluster (`on_loss: ignore`).
        alone: Its command does not wait for the gang (`start: first-come`).
        meeting: Its peers meet at it: at another address they would not find it.
        lone: Its peers go on without it while it starts again (`on_loss: restart-task`).
        attempt: Counted from 1.
        early: How many attempts in a row failed before their command ran; what YARN took back is not among them.
        round: Of the job, in which this attempt runs.
        order_id: Of the newest order that is for this task alone.
        state: Of `states.TASK_STATES`.
        container_id: Empty while it has none.
        host: Where it runs or ran.
        node_http: host:port of its NodeManager's web server.
        address: host:port in the topology.
        probe: Where peers may try to reach it, `host:port` with alternatives after commas; empty: nowhere.
        pid: Of the user's command, 0 before it runs.
        asked_s: Since when this attempt, which is not the first one, waits for its executor to register.
        held: Its program has ended, and its executor waits in its container for what follows.
        exit: How it ended, None while it has not.
        upload: What became of its results, None while that is not known.
    """

    name: str
    role: str
    index: int
    tracked: bool = True
    forgiven: bool = False
    spared: bool = False
    alone: bool = False
    meeting: bool = False
    lone: bool = False
    attempt: int = 1
    early: int = 0
    round: int = 1
    order_id: int = 0
    state: str = states.NEW
    container_id: str = ""
    host: str = ""
    node_http: str = ""
    address: str = ""
    probe: str = ""
    pid: int = 0
    asked_s: float | None = None
    held: bool = False
    exit: TaskExited | None = None
    upload: TaskUploaded | None = None

    @property
    def up(self) -> bool:
        """Return whether the executor of this attempt has registered; one that has ended may be gone."""
        return self.ended or (bool(self.container_id) and self.state != states.NEW)

    @property
    def lacking(self) -> bool:
        """Return whether it waits for a container."""
        return self.state == states.NEW and not self.container_id

    @property
    def ended(self) -> bool:
        """Return whether its state is a terminal one."""
        return self.state in states.TASK_ENDED

    @property
    def failed(self) -> bool:
        """Return whether it ended badly without having been asked to end."""
        return self.state == states.FAILED

    @property
    def misfit(self) -> bool:
        """Return whether it failed in a way that may come of where it ran."""
        return self.failed and self.exit is not None and self.exit.problem not in faults.NOT_THE_HOST

    @property
    def settled(self) -> bool:
        """Return whether nothing more is to come: it never had a container, lost it, or has carried its results."""
        if not self.container_id or self.upload is not None:
            return True
        return self.exit is not None and self.exit.witness != EXECUTOR

    @property
    def holds_success(self) -> bool:
        """Return whether the job's success still waits for it."""
        return self.tracked and not (self.ended and (self.pardoned or self.state != states.FAILED))

    @property
    def pardoned(self) -> bool:
        """Return whether the job goes on without it, after an end like its own."""
        lost = self.exit is not None and faults.classify(self.exit).whose == faults.PLATFORM
        return self.spared if lost else self.forgiven


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The job as it stands.

    Attributes:
        tasks: By name, in the plan's order.
        containers: Container id -> task name, for every container that a task has, or had in its last attempt.
        state: Of `states.JOB_STATES`.
        attempt: Of the ApplicationMaster.
        round: How often all tasks were started together; counts from 1.
        restarts: How many restarts have counted against the job's `max_restarts`.
        free_restarts: How many have not.
        meetings: How often all tasks were started together because an address was taken.
        tries: How often the gang was given back.
        started_s: When the agent began to listen.
        first_registered_s: When the first task of this try of the gang registered; None before.
        last_registered_s: When the newest one did; None before.
        order_id: Of the newest order that is for all tasks.
        orders: How many orders there were; each gets the next number.
        probing: role -> where each task may be reached, while the tasks try to; empty else.
        probing_since_s: Since when.
        topology: role -> host:port by index; empty until the gang is complete.
        released_s: When it was first; None before.
        waiting: The newest one.
        stopping: The newest one; None while the end is not decided.
        stopping_since_s: When the end was decided.
        verdict: None until the end; never changes then.
        registered: How many tasks are up, or have ended.
        lacking: How many tasks wait for a container.
        lacking_s: Since when a task of a gang that runs does; None when none does.
        holding: How many tasks the job's success still waits for.
        unsettled: How many tasks the job's end still waits for.
        blamed: The task that failed first, pardoned ones left out; empty when none has.
        failed: The task that failed first, pardoned ones too.
        behind: Tasks whose attempt ended while all start again, and which have no new attempt yet.
        opened: Roles whose commands need not wait for another role any more.
        bad_hosts: Host -> how many attempts failed there.
        avoided: Hosts on which nothing is started any more.
        lowest: Role -> no index below this one waits for a container.
    """

    tasks: Mapping[str, Task]
    containers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    state: str = states.STARTING
    attempt: int = 1
    round: int = 1
    restarts: int = 0
    free_restarts: int = 0
    meetings: int = 0
    tries: int = 0
    started_s: float | None = None
    first_registered_s: float | None = None
    last_registered_s: float | None = None
    order_id: int = 1
    orders: int = 1
    probing: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    probing_since_s: float = 0.0
    topology: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    released_s: float | None = None
    waiting: Waiting | None = None
    stopping: JobStopping | None = None
    stopping_since_s: float = 0.0
    verdict: JobEnded | None = None
    registered: int = 0
    lacking: int = 0
    lacking_s: float | None = None
    holding: int = 0
    unsettled: int = 0
    blamed: str = ""
    failed: str = ""
    behind: tuple[str, ...] = ()
    opened: frozenset[str] = frozenset()
    bad_hosts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    avoided: frozenset[str] = frozenset()
    lowest: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def role(self, role: str) -> list[Task]:
        """Return the tasks of a role by index."""
        return [task for task in self.tasks.values() if task.role == role]

    def of_container(self, container_id: str) -> Task | None:
        """Return the task that this container is, or None."""
        name = self.containers.get(container_id)
        return None if name is None else self.tasks[name]

    def free_index(self, role: str) -> int | None:
        """Return the lowest index of `role` that waits for a container; None when all are taken."""
        index = self.lowest.get(role, 0)
        while (task := self.tasks.get(task_name(role, index))) is not None:
            if task.lacking:
                return index
            index += 1
        return None

    def ordered(self, task: Task) -> int:
        """Return the number of the newest order for a task."""
        return max(self.order_id, task.order_id)


def start(plan: JobPlan) -> Snapshot:
    """Return the job before anything happened. When no role is tracked, every role is: something must decide."""
    none_tracked = not any(role.tracked and role.instances for role in plan.roles)
    tasks = [_task(plan, role, index, none_tracked) for role in plan.roles for index in range(role.instances)]
    return Snapshot(
        tasks={task.name: task for task in tasks},
        holding=sum(task.holds_success for task in tasks),
        lacking=len(tasks),
    )


def _task(plan: JobPlan, role: RolePlan, index: int, none_tracked: bool) -> Task:
    name = task_name(role.name, index)
    meeting = bool(role.min_instances) and name == plan.main_task
    return Task(
        name=name,
        role=role.name,
        index=index,
        tracked=role.tracked or none_tracked,
        forgiven=role.on_failure == IGNORE,
        spared=role.on_loss == IGNORE,
        alone=role.start == FIRST_COME,
        meeting=meeting,
        lone=role.on_loss == RESTART_TASK and not meeting,
    )
