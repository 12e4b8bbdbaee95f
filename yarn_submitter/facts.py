"""What a cluster has and lets this user do, as values. Asking for them is probe.py's part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from yarn_submitter.units import memory_text

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

    def text(self) -> str:
        """Return it for people, without what is 0: `4 GiB, 2 vcores, 1 GPU`; empty when it is nothing."""
        words = [memory_text(self.memory_mib)] if self.memory_mib else []
        counts = {"vcore": self.vcores, "GPU": self.gpus}
        words += [count_text(count, what) for what, count in counts.items() if count]
        return ", ".join([*words, *(f"{count} {kind}" for kind, count in self.others.items() if count and kind != GPU)])

    def document(self) -> dict[str, Any]:
        """Return it as JSON values; `others` by full name, GPUs among them."""
        return {"memory_mib": self.memory_mib, "vcores": self.vcores, "others": dict(self.others)}


def count_text(count: int, what: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Partition:
    """A queue's part of the nodes that carry one label; shares are of those nodes, in percent.

    Attributes:
        label: Empty for the nodes without a label.
        capacity_percent: Its guaranteed share.
        max_percent: Its greatest share.
        used_percent: Its share now.
        am_limit: What all ApplicationMasters in it may use together; None when not known.
        am_used: What they use; None when not known.
        pending: What its applications have asked for and not got; None when not known.
        most: Its greatest share as an amount; None when not known.
        used: What its applications hold; None when not known.
    """

    label: str = ""
    capacity_percent: float = 100.0
    max_percent: float = 100.0
    used_percent: float = 0.0
    am_limit: Amount | None = None
    am_used: Amount | None = None
    pending: Amount | None = None
    most: Amount | None = None
    used: Amount | None = None


@dataclass(frozen=True)
class UserShare:
    """What one user holds of a queue, and what one user may hold; None when not known."""

    name: str
    used: Amount
    limit: Amount | None = None


@dataclass(frozen=True)
class Pending:
    """Containers that an application has asked for and not got, on nodes with a label (empty: without one)."""

    amount: Amount
    count: int = 1
    label: str = ""


def typed_queue(path: str) -> str:
    """Return a queue's path as users type it: without the root, in which all queues are."""
    return path.removeprefix("root.")


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
        labels: Node labels that it may use; `*` for every one.
        default_label: Label of the nodes for applications that name none.
        partitions: Its shares by label, where the scheduler has them; it gets nothing of a label that is not there.
        min_allocation: Containers are rounded up to multiples of it; None when not known.
        am_limit_strict: Whether not even a first ApplicationMaster may go over `am_limit`.
        pending: What its applications have asked for and not got, now.
        containers: How many run in it; None when not known.
        creates_children: Whether the scheduler makes queues below it when they are first named.
        user_limit_factor: One user may have so many times `capacity_percent`; 0 when there is no such limit.
        submit_acls: Who may submit to it: its own lists and those above it, each `users groups` or `*`; empty when the
            scheduler does not say.
        users: Who has applications in it.
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
    default_label: str = ""
    partitions: tuple[Partition, ...] = ()
    min_allocation: Amount | None = None
    am_limit_strict: bool = False
    pending: Amount = Amount()
    containers: int | None = None
    creates_children: bool = False
    user_limit_factor: float = 0.0
    submit_acls: tuple[str, ...] = ()
    users: tuple[UserShare, ...] = ()

    @property
    def typed(self) -> str:
        """Return its path as users type it, and as it is shown to them."""
        return typed_queue(self.path)

    def partition(self, label: str) -> Partition | None:
        """Return its part of the nodes of a label; None when it has none."""
        for part in self.partitions:
            if part.label == label:
                return part if part.max_percent > 0 or not label else None
        if label and (self.partitions or not self._names(label)):
            return None
        return Partition(
            label, self.capacity_percent, self.max_percent, self.used_percent, self.am_limit, self.am_used, self.pending
        )

    def reaches(self, label: str) -> bool:
        """Return whether its applications can get nodes of a label."""
        return not label or (self._names(label) and self.partition(label) is not None)

    def takes(self, user: str) -> bool:
        """Return False when its access lists surely shut a user out; whose groups they name YARN alone knows."""
        if not user or not self.submit_acls:
            return True
        lists = [acl.partition(" ") for acl in self.submit_acls]
        return any(users.strip() == "*" or groups.strip() or user in users.split(",") for users, _, groups in lists)

    def _names(self, label: str) -> bool:
        return "*" in self.labels or label in self.labels


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
class Label:
    """A node label; nodes of one that is not exclusive also serve others while they are idle."""

    name: str
    exclusive: bool = True


@dataclass(frozen=True)
class Place:
    """A path on the cluster's own store as this user finds it.

    Attributes:
        path: The path.
        exists: Whether something lies there.
        is_dir: Whether that is a directory.
        nearest: The path, or the nearest directory above it that exists.
        denied: The store's words when the right that was asked for at `nearest` is refused; else empty.
    """

    path: str
    exists: bool = True
    is_dir: bool = True
    nearest: str = ""
    denied: str = ""


@dataclass(frozen=True)
class Launcher:
    """How a NodeManager starts containers.

    Attributes:
        node: `host:port` of the node.
        executor: Its class, as configured; empty when the node did not say.
        runtimes: What it may start them with, `default` and `docker` for example.
        silence: Why the node did not say.
    """

    node: str
    executor: str = ""
    runtimes: tuple[str, ...] = ()
    silence: str = ""


@dataclass(frozen=True)
class ClusterFacts:
    """What preflight judges by.

    Attributes:
        queues: Every queue, parents before their children.
        nodes: Every NodeManager that the ResourceManager lists.
        resource_types: Names beyond memory and vcores that the cluster knows, such as `yarn.io/gpu`.
        labels: Every node label; None when not known.
        readable: Path -> what this user finds there, of the paths that shall be read.
        writable: The same of those that shall be written.
        launchers: How some nodes start containers, if that was asked.
        namesakes: Application ids of the user's live jobs with the name that was asked about.
    """

    queues: tuple[Queue, ...]
    nodes: tuple[Node, ...]
    resource_types: tuple[str, ...] = ()
    labels: tuple[Label, ...] | None = None
    readable: Mapping[str, Place] = field(default_factory=dict)
    writable: Mapping[str, Place] = field(default_factory=dict)
    launchers: tuple[Launcher, ...] = ()
    namesakes: tuple[str, ...] = ()

    @property
    def usable_nodes(self) -> tuple[Node, ...]:
        """Return the nodes that run containers now."""
        return tuple(node for node in self.nodes if node.state == "RUNNING")

    def own_nodes(self, label: str) -> tuple[Node, ...]:
        """Return the live nodes that carry a label; those without any for the empty label."""
        return tuple(node for node in self.usable_nodes if (label in node.labels if label else not node.labels))

    def nodes_for(self, label: str) -> tuple[Node, ...]:
        """Return the live nodes on which tasks may run that ask for a label; the empty one is that of no label."""
        own = self.own_nodes(label)
        shared = {known.name for known in self.labels or () if not known.exclusive}
        lent = [node for node in self.usable_nodes if not label and node.labels and shared.issuperset(node.labels)]
        return (*own, *lent)

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
