"""Horovod on gloo: every process finds its rank in its environment, and its peers through a small HTTP store.

The variables are those that Horovod's own launcher sets (0.28, horovod/runner/gloo_run.py); neither mpirun nor ssh nor
horovodrun takes part. Rank 0's executor serves the store at rank 0's published port.

Each task is a host of its own: local rank 0 of 1, and a place among all across hosts, even where two of them share a
node. Containers share neither directories nor GPUs, so a program that loads its data in local rank 0, or picks its GPU
by the local rank, does the right thing; and Horovod counts on the ranks of one host being consecutive
(GlooController::DoInitialize), which the index of a task cannot promise.

The scopes below which Horovod keeps its keys are fixed, `global` and the like, but it makes an address of the store as
http://ADDR:PORT/scope/key, by putting texts together. An ADDR of `host:port/secret` therefore puts everything below a
path that nobody else can know.
"""

from __future__ import annotations

import hashlib
import hmac
import typing

from am.contract.job import JobPlan
from am.runtimes.ranks import Topology, rank_of

_ADDRESS = "HOROVOD_GLOO_RENDEZVOUS_ADDR"
_PORT = "HOROVOD_GLOO_RENDEZVOUS_PORT"
IDENTITY = (
    "HOROVOD_RANK",
    "HOROVOD_SIZE",
    "HOROVOD_LOCAL_RANK",
    "HOROVOD_LOCAL_SIZE",
    "HOROVOD_CROSS_RANK",
    "HOROVOD_CROSS_SIZE",
    "HOROVOD_HOSTNAME",
    _ADDRESS,
    _PORT,
)
INTERFACES = ("HOROVOD_GLOO_IFACE", "NCCL_SOCKET_IFNAME")


class Store(typing.NamedTuple):
    """The store that a task's executor serves.

    Attributes:
        port: Where it listens.
        prefix: First part of every path, without slashes; empty: none.
        tasks: How many processes meet there.
    """

    port: int
    prefix: str
    tasks: int


def environment(
    plan: JobPlan,  # noqa: ARG001
    topology: Topology,
    role: str,
    index: int,
    secret: str = "",
) -> typing.Dict[str, str]:
    """Return the rank of the worker `index` and where its peers are found; nothing for another role.

    Args:
        plan: The job.
        topology: host:port of every task, by role and index.
        role: Of the task.
        index: Of the task.
        secret: Of the job; empty: the store's address names no path (a dry run).
    """
    place = rank_of(topology, role, index)
    if place is None:
        return {}
    rank, size = str(place.rank), str(place.size)
    path = _path(secret, place.host, place.port)
    return {
        "HOROVOD_RANK": rank,
        "HOROVOD_SIZE": size,
        "HOROVOD_LOCAL_RANK": "0",
        "HOROVOD_LOCAL_SIZE": "1",
        "HOROVOD_CROSS_RANK": rank,
        "HOROVOD_CROSS_SIZE": size,
        "HOROVOD_HOSTNAME": f"{role}-{index}",
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        _ADDRESS: f"{place.host}:{place.port}/{path}" if path else place.host,
        _PORT: place.port,
    }


def served_store(topology: Topology, role: str, index: int, secret: str) -> typing.Optional[Store]:
    """Return the store that this task's executor serves while the command runs; None for all but rank 0.

    Args:
        topology: As `environment` gets it.
        role: Of the task.
        index: Of the task.
        secret: As `environment` gets it.
    """
    place = rank_of(topology, role, index)
    if place is None or place.rank:
        return None
    path = _path(secret, place.host, place.port)
    return Store(int(place.port), f"{path}:{place.port}" if path else "", place.size)


def _path(secret: str, host: str, port: str) -> str:
    """Return a path that only who knows the job's secret can know, another one for every rendezvous."""
    text = f"horovod rendezvous {host}:{port}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:32] if secret else ""
