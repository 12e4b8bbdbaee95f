"""Whom the framework in a task will connect to: what is worth trying before any command starts."""

from __future__ import annotations

import typing

from am.contract.job import JobPlan, task_name
from am.runtimes import mxnet, tensorflow
from am.runtimes.ranks import WORKER, Topology, present, rank_of

MAX_PEERS = 16


def peers(plan: JobPlan, topology: Topology, role: str, index: int) -> typing.Tuple[str, ...]:
    """Return the names of the tasks that the framework in `role:index` will connect to, never itself.

    They are at most MAX_PEERS. Where there are more, each task takes others, so that together they try every one.

    Args:
        plan: The job.
        topology: What every task has instead of an address does not matter; an empty text is a task that is not there.
        role: Of the task.
        index: Of the task.
    """
    first, others = _dialed(plan.framework, topology, role, index)
    me = task_name(role, index)
    first = [name for name in first if name != me]
    others = [name for name in others if name != me and name not in first]
    every = _tasks(topology, *topology)
    place = every.index(me) if me in every else 0
    return (*first, *_spread(others, place, MAX_PEERS - len(first)))[:MAX_PEERS]


def _dialed(
    framework: str, topology: Topology, role: str, index: int
) -> typing.Tuple[typing.List[str], typing.List[str]]:
    """Return who must be tried, and of whom some must."""
    if framework == "tensorflow":
        if role not in tensorflow.CLUSTER_ROLES:
            return [], []
        return _tasks(topology, "chief", "master"), _tasks(topology, "ps", WORKER)
    if framework == "mxnet":
        if role not in mxnet.ROLES:
            return [], []
        like = () if role == mxnet.SCHEDULER else (role,)  # servers do not connect to servers, nor workers to workers
        others = [name for name in (mxnet.SERVER, mxnet.WORKER) if name not in like]
        return _tasks(topology, mxnet.SCHEDULER), _tasks(topology, *others)
    if framework in ("pytorch", "jax", "horovod"):
        workers = _tasks(topology, WORKER)
        place = rank_of(topology, role, index)
        if place is None:
            return [], []
        ring = [workers[place.rank - 1], workers[(place.rank + 1) % place.size]] if framework == "horovod" else []
        return list(dict.fromkeys([workers[0], *ring])), []
    return [], _tasks(topology, *topology)


def _tasks(topology: Topology, *roles: str) -> typing.List[str]:
    return [task_name(role, index) for role in roles for index in present(topology, role)]


def _spread(names: typing.List[str], place: int, count: int) -> typing.List[str]:
    """Return `count` of the names, evenly far apart, from one on that the place tells; all if they are fewer."""
    if len(names) <= count:
        return names
    return [names[(place + step * len(names) // count) % len(names)] for step in range(count)]
