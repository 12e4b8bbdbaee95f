"""Bringing the tasks of a job together, pure: a gang is gathered, tried out, released; or given back, to ask again."""

from __future__ import annotations

import dataclasses
import typing

from am.agent import words
from am.contract import states

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

    from am.agent.signs import Signs
    from am.agent.snapshot import Snapshot, Task
    from am.contract.job import JobPlan, RolePlan

FIRST_WAITING_S = 30.0  # a reason for waiting is shown after 30 s, and again when it changed
ELASTIC_WAIT_S = 10.0  # how long a gang with its least number of tasks waits for one more
PROBED_TASKS = 256  # tasks of a larger gang are told of a new order once in a long while: no probing there
PROBE_LATE_S = 10.0  # for the answers to come in
RELEASE_S = 10.0  # the first pause before a gang that was given back is asked for again; doubled each time
RELEASE_MOST_S = 300.0
SUCCEEDED = ":succeeded"


@dataclasses.dataclass(frozen=True)
class ProbeGang:
    """Every task is up: let each try to reach its peers."""

    topology: dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class ReleaseGang:
    """Say who is where, and let all commands start."""

    topology: dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class GiveBack:
    """Give every container back, and ask for all of them again at `again_s`."""

    tries: int
    reason: str
    again_s: float


@dataclasses.dataclass(frozen=True)
class OpenRole:
    """What a role's commands had to wait for has come."""

    role: str


def complete(plan: JobPlan, snapshot: Snapshot, now_s: float) -> bool:
    """Return whether the gang can start: all tasks are up, or the least number and nothing more comes."""
    if not _all_or_enough(plan, snapshot, now_s):
        return False
    # While all start again, tasks of the round before are up until they have been stopped.
    return all(task.round == snapshot.round for task in snapshot.tasks.values() if task.up)


def _all_or_enough(plan: JobPlan, snapshot: Snapshot, now_s: float) -> bool:
    if snapshot.registered == len(snapshot.tasks):
        return True
    if not any(role.min_instances for role in plan.roles) or snapshot.last_registered_s is None:
        return False
    if now_s - snapshot.last_registered_s < ELASTIC_WAIT_S:
        return False
    return all(_enough(role, snapshot.role(role.name)) for role in plan.roles)


def _enough(role: RolePlan, tasks: list[Task]) -> bool:
    """Return whether a role has its least number of tasks, and no gap among their indices."""
    up = [task.index for task in tasks if task.up]
    return len(up) >= role.needed and up == list(range(len(up)))


def first_step(plan: JobPlan, snapshot: Snapshot) -> ProbeGang | ReleaseGang:
    """Return what comes after a gang is complete."""
    tasks = [task for task in snapshot.tasks.values() if _probes(task)]
    if plan.limits.probe_s and 1 < len(tasks) <= PROBED_TASKS and all(task.probe for task in tasks):
        return ProbeGang(_by_role(plan, snapshot, lambda task: task.probe if _probes(task) else ""))
    return ReleaseGang(topology(plan, snapshot, {}))


def topology(plan: JobPlan, snapshot: Snapshot, hosts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return role -> host:port by index, of the tasks that are up.

    Args:
        plan: The job.
        snapshot: The job as it stands.
        hosts: Task -> the address at which its peers reached it, where that is not the one it gave first.
    """

    def address(task: Task) -> str:
        host = hosts.get(task.name)
        return f"{host}:{task.address.rpartition(':')[2]}" if host else task.address

    return _by_role(plan, snapshot, address)


def _by_role(plan: JobPlan, snapshot: Snapshot, value: typing.Callable[[Task], str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {role.name: [] for role in plan.roles if role.instances}
    for task in snapshot.tasks.values():
        found[task.role].append(value(task) if task.up else "")
    for values in found.values():
        while values and not values[-1]:  # of an elastic role; a gap before others keeps their place
            values.pop()
    return {role: tuple(values) for role, values in found.items()}


def reached(signs: Signs) -> dict[str, str]:
    """Return for each task the address at which all who tried have reached it; left out where those differ."""
    found: dict[str, set[str]] = {}
    for answer in signs.probed.values():
        for task, address in answer.reached.items():
            found.setdefault(task, set()).add(address)
    return {task: addresses.pop() for task, addresses in found.items() if len(addresses) == 1}


def missed(signs: Signs) -> list[str]:
    """Return a clause for each pair of tasks that does not reach one another."""
    return [
        f"{task} does not reach {peer} ({why})"
        for task, answer in sorted(signs.probed.items())
        for peer, why in sorted(answer.missed.items())
    ]


def all_probed(snapshot: Snapshot, signs: Signs) -> bool:
    """Return whether every task that was told to has tried its peers."""
    return len(signs.probed) >= sum(map(_probes, snapshot.tasks.values()))


def _probes(task: Task) -> bool:
    """Return whether a task waits to start with the gang: a first-come one runs, or has ended, and answers nothing."""
    return task.up and not task.ended and not task.alone


def pause_s(tries: int, dice: float) -> float:
    """Return how long a gang that was given back `tries` times stays away; `dice` is 0 to 1.

    The jitter is as large as the pause: two jobs that block each other must not come back together.
    """
    return min(RELEASE_MOST_S, RELEASE_S * 2.0 ** (tries - 1)) * (0.5 + dice)


def waiting_sentence(plan: JobPlan, snapshot: Snapshot, signs: Signs, now_s: float) -> str:
    """Return what the gang, or a task of one that runs, waits for; nothing before it is time, or when it was said."""
    since_s = snapshot.lacking_s if snapshot.topology else snapshot.started_s
    last_s = since_s if snapshot.waiting is None else snapshot.waiting.time
    if last_s is None or now_s - last_s < FIRST_WAITING_S:
        return ""
    sentence = f"waiting for {words.shortage(plan, snapshot, signs)}"
    return "" if snapshot.waiting is not None and snapshot.waiting.reason == sentence else sentence


def to_open(plan: JobPlan, snapshot: Snapshot) -> tuple[OpenRole, ...]:
    """Return the roles whose commands need not wait for other roles any more."""
    return tuple(
        OpenRole(role.name)
        for role in plan.roles
        if role.depends_on
        and role.name not in snapshot.opened
        and all(_has_come(plan, snapshot, word) for word in role.depends_on)
    )


def _has_come(plan: JobPlan, snapshot: Snapshot, word: str) -> bool:
    good = (states.SUCCEEDED,) if word.endswith(SUCCEEDED) else (states.RUNNING, states.SUCCEEDED, states.FINISHED)
    role = plan.role(word.removesuffix(SUCCEEDED))
    # The job goes on without a task whose failure it forgives, so nobody waits for that one.
    come = [task for task in snapshot.role(role.name) if task.state in good or (task.failed and task.pardoned)]
    return len(come) >= role.needed


def lacking(plan: JobPlan, snapshot: Snapshot) -> dict[str, int]:
    """Return role -> how many of its tasks wait for a container."""
    found = {role.name: sum(task.lacking for task in snapshot.role(role.name)) for role in plan.roles}
    return {role: count for role, count in found.items() if count}


def closed(role: RolePlan, snapshot: Snapshot) -> bool:
    """Return whether a role's commands still wait for another role."""
    return bool(role.depends_on) and role.name not in snapshot.opened
