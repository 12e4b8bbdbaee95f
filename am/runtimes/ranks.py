"""Ranks of frameworks whose tasks are all alike: the workers, in the order of their indices.

A worker of an elastic role that is not there has no address in the topology, and no rank: ranks have no holes.
"""

from __future__ import annotations

import typing

Topology = typing.Dict[str, typing.Tuple[str, ...]]

WORKER = "worker"


class Rank(typing.NamedTuple):
    """A task among its like.

    Attributes:
        rank: Its number, from 0.
        size: How many they are.
        host: Of rank 0.
        port: Of rank 0.
    """

    rank: int
    size: int
    host: str
    port: str


def present(topology: Topology, role: str) -> typing.List[int]:
    """Return the indices of a role's tasks that have an address, in order."""
    return [index for index, address in enumerate(topology.get(role, ())) if address]


def rank_of(topology: Topology, role: str, index: int) -> typing.Optional[Rank]:
    """Return the rank of a task; None for one that has none: another role's, or not in the topology."""
    workers = present(topology, WORKER)
    if role != WORKER or index not in workers:
        return None
    host, _, port = topology[WORKER][workers[0]].rpartition(":")
    return Rank(workers.index(index), len(workers), host, port)
