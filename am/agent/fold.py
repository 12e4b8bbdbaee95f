"""The pure fold over the contract's events: a snapshot and an event give the next snapshot, and nothing is touched."""

from __future__ import annotations

import dataclasses
import functools
import typing

from am.agent import faults
from am.agent.snapshot import EXECUTOR, PROGRAM_PROBLEMS, Snapshot, Task
from am.contract import states
from am.contract.events import (
    AgentStarted,
    GangComplete,
    GangProbing,
    GangReleased,
    HostAvoided,
    JobEnded,
    JobRestarting,
    JobStopping,
    RoleReleased,
    TaskExited,
    TaskRegistered,
    TaskRestarting,
    TaskStarted,
    TaskUploaded,
    Waiting,
)

if typing.TYPE_CHECKING:
    from collections.abc import Mapping

    from am.contract.events import Event


def apply(snapshot: Snapshot, event: Event) -> Snapshot:
    """Return the snapshot after `event`; what this fold does not know changes nothing, as after the verdict."""
    return snapshot if snapshot.verdict is not None else _fold(event, snapshot)


@functools.singledispatch
def _fold(event: Event, snapshot: Snapshot) -> Snapshot:
    del event
    return snapshot


@_fold.register
def _(event: AgentStarted, snapshot: Snapshot) -> Snapshot:
    if event.attempt > 1:
        snapshot = _without_containers(snapshot)
    snapshot = dataclasses.replace(snapshot, attempt=event.attempt, started_s=event.time)
    if snapshot.stopping is not None:
        return snapshot
    return _all_again(snapshot) if event.attempt > 1 else dataclasses.replace(snapshot, state=states.GATHERING)


@_fold.register
def _(event: TaskRegistered, snapshot: Snapshot) -> Snapshot:
    task = snapshot.tasks[event.task]
    if task.ended:
        return snapshot
    address = f"{event.host}:{event.ports[0]}" if event.ports else event.host
    # Its executor may have had an order for the attempt before; one that comes to a gang that runs has a new topology.
    own = task.attempt > 1 or bool(snapshot.topology)
    orders = snapshot.orders + own
    after = dataclasses.replace(
        task,
        state=states.READY,
        attempt=event.attempt,
        container_id=event.container_id,
        host=event.host,
        node_http=event.node_http,
        address=address,
        probe=event.probe,
        asked_s=None,
        order_id=orders if own else 0,
    )
    snapshot = _with_task(snapshot, after)
    if snapshot.lacking_s is not None and not snapshot.lacking:
        snapshot = dataclasses.replace(snapshot, lacking_s=None, waiting=None)
    first_s = event.time if snapshot.first_registered_s is None else snapshot.first_registered_s
    return dataclasses.replace(
        snapshot,
        containers={**snapshot.containers, event.container_id: event.task},
        first_registered_s=first_s,
        last_registered_s=event.time,
        orders=orders,
        topology=_with_address(snapshot.topology, task, address) if snapshot.topology else snapshot.topology,
        lowest={**snapshot.lowest, task.role: max(snapshot.lowest.get(task.role, 0), _after(snapshot, task))},
    )


@_fold.register
def _(event: GangProbing, snapshot: Snapshot) -> Snapshot:
    return _ordered(dataclasses.replace(snapshot, probing=event.topology, probing_since_s=event.time))


@_fold.register
def _(event: GangComplete, snapshot: Snapshot) -> Snapshot:
    first_s = event.time if snapshot.released_s is None else snapshot.released_s
    return _ordered(
        dataclasses.replace(
            snapshot, state=states.RUNNING, topology=event.topology, probing={}, released_s=first_s, waiting=None
        )
    )


@_fold.register
def _(event: GangReleased, snapshot: Snapshot) -> Snapshot:
    after = dataclasses.replace(
        _without_containers(snapshot), tries=event.tries, first_registered_s=None, probing={}, waiting=None
    )
    tasks = {
        name: task
        if task.ended
        else dataclasses.replace(
            # A first-come command that ran is started anew.
            task,
            state=states.NEW,
            attempt=task.attempt + bool(task.pid),
            pid=0,
            address="",
            probe="",
        )
        for name, task in after.tasks.items()
    }
    return _counted(dataclasses.replace(after, tasks=tasks, lowest={}))


@_fold.register
def _(event: RoleReleased, snapshot: Snapshot) -> Snapshot:
    return _ordered(dataclasses.replace(snapshot, opened=snapshot.opened | {event.role}))


@_fold.register
def _(event: JobRestarting, snapshot: Snapshot) -> Snapshot:
    tasks = {
        name: dataclasses.replace(task, round=event.round) if task.state == states.NEW else task
        for name, task in snapshot.tasks.items()
    }
    return _ordered(
        dataclasses.replace(
            snapshot,
            tasks=tasks,
            behind=tuple(name for name, task in tasks.items() if task.ended),
            opened=frozenset(),
            state=states.RESTARTING,
            round=event.round,
            restarts=snapshot.restarts + event.counted,
            free_restarts=snapshot.free_restarts + (not event.counted),
            meetings=snapshot.meetings + _address_taken(snapshot, event.task),
            lacking_s=None,
            bad_hosts=_with_bad_host(snapshot, event.task),
            topology={},
            probing={},
            blamed="",
            failed="",
            first_registered_s=None,
        )
    )


@_fold.register
def _(event: TaskRestarting, snapshot: Snapshot) -> Snapshot:
    task = snapshot.tasks[event.task]
    bad_hosts = snapshot.bad_hosts if task.round < snapshot.round else _with_bad_host(snapshot, task.name)
    after = dataclasses.replace(
        task,
        state=states.NEW,
        attempt=event.attempt,
        early=0 if task.pid else task.early + task.misfit,
        round=snapshot.round,
        order_id=snapshot.orders + 1,
        container_id=task.container_id if event.keeps else "",
        address="",
        probe="",
        pid=0,
        asked_s=event.time,
        held=False,
        exit=None,
        upload=None,
    )
    containers = snapshot.containers
    if not event.keeps and task.container_id:
        containers = {key: name for key, name in containers.items() if key != task.container_id}
    lowest = {**snapshot.lowest, task.role: min(snapshot.lowest.get(task.role, 0), task.index)}
    alone = task.round == snapshot.round  # else the restart of the job has counted it
    snapshot = dataclasses.replace(
        _with_task(snapshot, after),
        containers=containers,
        probing={},
        behind=tuple(name for name in snapshot.behind if name != task.name),
        lowest=lowest,
        bad_hosts=bad_hosts,
        orders=snapshot.orders + 1,
        restarts=snapshot.restarts + (alone and event.counted),
        free_restarts=snapshot.free_restarts + (alone and not event.counted),
    )
    if snapshot.topology and snapshot.lacking and snapshot.lacking_s is None:
        snapshot = dataclasses.replace(snapshot, lacking_s=event.time)
    if not snapshot.registered and not snapshot.topology:  # nothing is held any more
        snapshot = dataclasses.replace(snapshot, first_registered_s=None)
    if task.name in {snapshot.blamed, snapshot.failed}:
        failed = sorted((each for each in snapshot.tasks.values() if each.failed), key=_ended_s)
        blamed = [each.name for each in failed if not each.pardoned]
        snapshot = dataclasses.replace(
            snapshot, failed=failed[0].name if failed else "", blamed=blamed[0] if blamed else ""
        )
    return snapshot


@_fold.register
def _(event: HostAvoided, snapshot: Snapshot) -> Snapshot:
    return dataclasses.replace(snapshot, avoided=snapshot.avoided | {event.host})


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
    again = task.round < snapshot.round  # all start again: what they die of has been decided upon
    program = event.witness == EXECUTOR and event.problem in PROGRAM_PROBLEMS
    held = program and snapshot.stopping is None and (again or (after.failed and not after.pardoned))
    snapshot = _with_task(snapshot, dataclasses.replace(after, held=held))
    if again:
        return dataclasses.replace(snapshot, behind=(*snapshot.behind, task.name))
    if not after.failed:
        return snapshot
    failed = _earlier(snapshot, snapshot.failed, after)
    # A gang that is not complete cannot do without a task, pardoned or not.
    if after.pardoned and (snapshot.topology or after.alone):
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
    since_s = event.time if snapshot.stopping is None else snapshot.stopping_since_s
    return _ordered(
        dataclasses.replace(snapshot, state=states.STOPPING, stopping=event, stopping_since_s=since_s, probing={})
    )


@_fold.register
def _(event: JobEnded, snapshot: Snapshot) -> Snapshot:
    tasks = {
        name: task if task.ended else dataclasses.replace(task, state=states.KILLED)
        for name, task in snapshot.tasks.items()
    }
    return _ordered(
        dataclasses.replace(snapshot, tasks=tasks, state=event.state, verdict=event, unsettled=0, lacking=0)
    )


def _with_task(snapshot: Snapshot, after: Task) -> Snapshot:
    """Return the snapshot with one task replaced and the counters kept right, so that no decision walks all tasks."""
    before = snapshot.tasks[after.name]
    return dataclasses.replace(
        snapshot,
        tasks={**snapshot.tasks, after.name: after},
        registered=snapshot.registered + after.up - before.up,
        lacking=snapshot.lacking + after.lacking - before.lacking,
        holding=snapshot.holding + after.holds_success - before.holds_success,
        unsettled=snapshot.unsettled - after.settled + before.settled,
    )


def _all_again(snapshot: Snapshot) -> Snapshot:
    """Return the job of a new ApplicationMaster: all containers are gone, every attempt is over.

    A task whose attempt had not begun as far as this is known gets a new one, too: the last moments of the agent before
    may not have reached the store.
    """
    done = [name for name, task in snapshot.tasks.items() if task.lone and task.state == states.SUCCEEDED]
    behind = tuple(name for name in snapshot.tasks if name not in done)
    tasks = {
        name: task if name in behind else dataclasses.replace(task, round=snapshot.round + 1)
        for name, task in snapshot.tasks.items()
    }
    return _ordered(
        dataclasses.replace(
            snapshot,
            tasks=tasks,
            behind=behind,
            round=snapshot.round + 1,
            state=states.GATHERING,
            topology={},
            opened=frozenset(),
            blamed="",
            failed="",
            first_registered_s=None,
            waiting=None,
        )
    )


def _counted(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with its counters made anew, for events that change many tasks."""
    tasks = snapshot.tasks.values()
    return dataclasses.replace(
        snapshot,
        registered=sum(task.up for task in tasks),
        lacking=sum(task.lacking for task in tasks),
        holding=sum(task.holds_success for task in tasks),
        unsettled=sum(not task.settled for task in tasks),
    )


def _ordered(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with a new order for all."""
    return dataclasses.replace(snapshot, order_id=snapshot.orders + 1, orders=snapshot.orders + 1)


def _without_containers(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot after every container is gone; what ended, ended."""
    tasks = {name: dataclasses.replace(task, container_id="", held=False) for name, task in snapshot.tasks.items()}
    return _counted(dataclasses.replace(snapshot, tasks=tasks, containers={}, probing={}))


def _with_address(topology: Mapping[str, tuple[str, ...]], task: Task, address: str) -> Mapping[str, tuple[str, ...]]:
    known = list(topology.get(task.role, ()))
    known[task.index : task.index + 1] = [address]
    return {**topology, task.role: tuple(known)}


def _after(snapshot: Snapshot, task: Task) -> int:
    """Return the lowest index that may wait for a container, now that `task` has one."""
    lowest = snapshot.lowest.get(task.role, 0)
    return task.index + 1 if task.index == lowest else lowest


def _address_taken(snapshot: Snapshot, name: str) -> bool:
    """Return whether a task ended because somebody had its address."""
    task = snapshot.tasks.get(name)
    exit_ = None if task is None else task.exit
    return exit_ is not None and faults.classify(exit_).whose == faults.RENDEZVOUS


def _with_bad_host(snapshot: Snapshot, name: str) -> Mapping[str, int]:
    """Return how many attempts failed on each host, this task's failed one with them."""
    task = snapshot.tasks.get(name)
    if task is None or not task.misfit or not task.host:
        return snapshot.bad_hosts
    return {**snapshot.bad_hosts, task.host: snapshot.bad_hosts.get(task.host, 0) + 1}


def _ended_s(task: Task) -> float:
    return task.exit.time if task.exit is not None else 0.0


def _earlier(snapshot: Snapshot, name: str, other: Task) -> str:
    """Return which of two failed tasks failed first: a lost task's end is learned after it happened."""
    if not name:
        return other.name
    first, second = snapshot.tasks[name].exit, other.exit
    return other.name if first is not None and second is not None and second.time < first.time else name
