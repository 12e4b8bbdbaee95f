"""What follows the failure of a task: pure. docs/failures.md holds the same as tables."""

from __future__ import annotations

import dataclasses
import typing

from am.agent import faults, words
from am.contract import job

if typing.TYPE_CHECKING:
    from am.agent.snapshot import Snapshot, Task
    from am.contract.events import TaskExited
    from am.contract.job import JobPlan

BEFORE_THE_COMMAND = frozenset(("gpu-missing", "no-free-port"))
NEVER_UP_TRIES = 3  # containers that end before the user's command ran are the cluster's fault, up to so many in a row
RENDEZVOUS_TRIES = 5  # a job whose addresses are taken so often shares its nodes with something that takes them all
FREE_RESTARTS = 100  # a job that its cluster has disturbed so often will not get through
RESTARTS = (job.RESTART_TASK, job.RESTART_JOB)
BAD_HOST = 2  # a host is avoided after so many failed attempts


@dataclasses.dataclass(frozen=True)
class RestartTask:
    """Begin a new attempt of one task, in its container or in another one."""

    task: str
    attempt: int
    reason: str
    keeps: bool
    counted: bool = False


@dataclasses.dataclass(frozen=True)
class RestartJob:
    """Stop all tasks and start them again together."""

    round: int
    reason: str
    task: str
    counted: bool


@dataclasses.dataclass(frozen=True)
class AvoidHost:
    """Start nothing on this host any more."""

    host: str
    reason: str


def after_failure(plan: JobPlan, snapshot: Snapshot, task: Task, exit_: TaskExited) -> RestartTask | RestartJob | None:
    """Return how the job goes on after a task's failure; None when it does not."""
    fault = faults.classify(exit_)
    choice, _ = _choice(plan, snapshot, task, exit_)
    reason = words.blame(task, exit_).message
    if choice == job.RESTART_TASK:
        keeps = stays(task, avoided_with(snapshot, task))
        return RestartTask(task.name, task.attempt + 1, reason, keeps, fault.counted)
    if choice == job.RESTART_JOB:
        return RestartJob(snapshot.round + 1, reason, task.name, fault.counted)
    return None


def used_up(plan: JobPlan, snapshot: Snapshot, task: Task, exit_: TaskExited) -> str:
    """Return which budget is used up, in words, where a failure ends the job for that reason only; else empty."""
    return _choice(plan, snapshot, task, exit_)[1]


def _choice(plan: JobPlan, snapshot: Snapshot, task: Task, exit_: TaskExited) -> tuple[str, str]:
    """Return the cell of the table that holds, and what is used up where it would be another one else."""
    role, fault = plan.role(task.role), faults.classify(exit_)
    if fault.whose == faults.RENDEZVOUS:
        left = snapshot.meetings < RENDEZVOUS_TRIES
        return (job.RESTART_JOB, "") if left else (job.FATAL, f"all tasks have met {RENDEZVOUS_TRIES} times")
    if not fault.retry:
        return job.FATAL, ""
    cell = role.on_failure if fault.counted else role.on_loss
    cell = job.RESTART_JOB if task.meeting and cell == job.RESTART_TASK else cell
    if fault.counted:
        if snapshot.restarts < plan.max_restarts:
            return cell, ""
        named = plan.max_restarts and cell in RESTARTS
        return job.FATAL, f"--max_restarts {plan.max_restarts} is used up" if named else ""
    if not ran(snapshot, task) or exit_.problem in BEFORE_THE_COMMAND:
        cell = job.RESTART_TASK
        if task.early + task.misfit >= NEVER_UP_TRIES:
            return job.FATAL, f"{NEVER_UP_TRIES} of its attempts in a row ended before the command ran"
    if snapshot.free_restarts < FREE_RESTARTS:
        return cell, ""
    return job.FATAL, f"the cluster has disturbed the job {FREE_RESTARTS} times" if cell in RESTARTS else ""


def ran(snapshot: Snapshot, task: Task) -> bool:
    """Return whether this attempt's command may have been started."""
    return bool(task.container_id) and (bool(snapshot.topology) or task.alone or bool(task.pid))


def stays(task: Task, avoided: frozenset[str]) -> bool:
    """Return whether a task's next attempt runs in the same container: its executor waits there, its host is good."""
    return task.held and task.upload is None and task.host not in avoided


def avoided_with(snapshot: Snapshot, task: Task) -> frozenset[str]:
    """Return the hosts to avoid when this attempt's failure counts, too."""
    host = task.host
    if not host or not task.misfit or snapshot.bad_hosts.get(host, 0) + 1 < BAD_HOST:
        return snapshot.avoided
    others = {each.host for each in snapshot.tasks.values() if each.host} - snapshot.avoided - {host}
    return snapshot.avoided | {host} if others else snapshot.avoided  # somewhere it must run


def avoid(snapshot: Snapshot, task: Task) -> tuple[AvoidHost, ...]:
    """Return the host of a failed attempt when it is to be avoided from now on."""
    new = avoided_with(snapshot, task) - snapshot.avoided
    return tuple(AvoidHost(host, f"{snapshot.bad_hosts[host] + 1} attempts failed on {host}") for host in new)
