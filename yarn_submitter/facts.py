"""What a cluster has: queues and nodes as values. Asking for them is probe.py's part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GPU = "yarn.io/gpu"


@dataclass(frozen=True)
class Amount:
    """An amount of resources: MiB, virtual cores, and every other resource type by its full name."""

    memory_mib: int = 0
    vcores: int = 0
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """Return the number of GPUs."""
        return self.others.get(GPU, 0)


@dataclass(frozen=True)
class Queue:
    """One queue of the scheduler.

    Attributes:
        name: Last part of its path.
        path: `root.ml`.
        state: RUNNING, STOPPED or DRAINING.
        leaf: Whether applications can be submitted to it.
        capacity_percent: Its guaranteed share of the cluster; of its default partition when there are labels.
        max_percent: Its greatest share of the cluster.
        used_percent: Of the cluster, now.
        used: By its applications, now.
        am_limit: What all ApplicationMasters in it may use together; None when not known.
        am_used: What they use; None when not known.
        max_allocation: The largest container in it; None when not known.
        active_apps: Applications with a running ApplicationMaster.
        pending_apps: Applications that wait for theirs.
        labels: Node labels that it may use.
        creates_children: Whether the scheduler makes queues below it when they are first named.
        user_limit_factor: One user may have so many times `capacity_percent`; 0 when there is no such limit.
        submit_acls: Who may submit to it: its own lists and those above it, each `users groups` or `*`; empty when the
            scheduler does not say.
    """

    name: str
    path: str
    state: str = "RUNNING"
    leaf: bool = True
    capacity_percent: float = 100.0
    max_percent: float = 100.0
    used_percent: float = 0.0
    used: Amount = Amount()
    am_limit: Amount | None = None
    am_used: Amount | None = None
    max_allocation: Amount | None = None
    active_apps: int = 0
    pending_apps: int = 0
    labels: tuple[str, ...] = ()
    creates_children: bool = False
    user_limit_factor: float = 0.0
    submit_acls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """One NodeManager.

    Attributes:
        id: `host:port`.
        host: Its name.
        http: `host:port` of its web server; empty for a lost node.
        state: RUNNING, UNHEALTHY, LOST, DECOMMISSIONED and others of YARN's.
        total: What it has for containers.
        free: What of it is not given to containers.
        rack: Its rack.
        labels: Its node labels.
        health: Why it is unhealthy, or empty.
        containers: How many run there.
    """

    id: str
    host: str
    http: str
    state: str
    total: Amount
    free: Amount
    rack: str = ""
    labels: tuple[str, ...] = ()
    health: str = ""
    containers: int = 0


@dataclass(frozen=True)
class ClusterFacts:
    """What preflight judges by.

    Attributes:
        queues: Every queue, parents before their children.
        nodes: Every NodeManager that the ResourceManager lists.
        resource_types: Names beyond memory and vcores that the cluster knows, such as `yarn.io/gpu`.
        hadoop_version: Of the ResourceManager.
    """

    queues: tuple[Queue, ...]
    nodes: tuple[Node, ...]
    resource_types: tuple[str, ...] = ()
    hadoop_version: str = ""

    @property
    def usable_nodes(self) -> tuple[Node, ...]:
        """Return the nodes that run containers now."""
        return tuple(node for node in self.nodes if node.state == "RUNNING")

    @property
    def max_allocation(self) -> Amount | None:
        """Return the largest container that any queue allows; None when it is not known."""
        known = [queue.max_allocation for queue in self.queues if queue.max_allocation]
        if not known:
            return None
        return largest(known)

    def queue(self, name: str) -> Queue | None:
        """Return the queue of that path, of that path below `root`, or else the only leaf of that name."""
        for queue in self.queues:
            if queue.path in (name, f"root.{name}"):
                return queue
        same = [queue for queue in self.queues if queue.leaf and queue.name == name]
        return same[0] if len(same) == 1 else None


def largest(amounts: Iterable[Amount]) -> Amount:
    """Return the greatest of each kind, not necessarily of one of them."""
    listed = list(amounts)
    return Amount(
        memory_mib=max((amount.memory_mib for amount in listed), default=0),
        vcores=max((amount.vcores for amount in listed), default=0),
        others={kind: max(amount.others.get(kind, 0) for amount in listed) for kind in kinds(listed)},
    )


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of each kind."""
    listed = list(amounts)
    return Amount(
        memory_mib=sum(amount.memory_mib for amount in listed),
        vcores=sum(amount.vcores for amount in listed),
        others={kind: sum(amount.others.get(kind, 0) for amount in listed) for kind in kinds(listed)},
    )


def kinds(amounts: Iterable[Amount]) -> tuple[str, ...]:
    """Return the names of all resource types beyond memory and vcores, sorted."""
    return tuple(sorted({kind for amount in amounts for kind in amount.others}))
