"""Why a job waits for containers: the scheduler's numbers in, sentences out. Pure.

What the numbers mean is the CapacityScheduler's: an ApplicationMaster starts when its queue's share for them allows it
(LeafQueue.activateApplications), a container when queue, user and one single node have room (AbstractCSQueue,
LeafQueue.canAssignToUser; Hadoop 3.5.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from yarn_submitter.facts import Amount, ClusterFacts, Node, Partition, Pending, Queue, kinds, total
from yarn_submitter.rest import App

# CSAMContainerLaunchDiagnosticsConstants of Hadoop 3.
_QUEUE_AM = "Queue's AM resource limit exceeded"
_USER_AM = "User's AM resource limit exceeded"
_USER_LIMIT = "user max-capacity limit"  # ActivityDiagnosticConstant.QUEUE_HIT_USER_MAX_CAPACITY_LIMIT
_DATE = re.compile(r"^\[[^\]]*\]\s*")
_DETAILS = re.compile(r"\s*Details\s*:.*", re.DOTALL)
# Said of an application that was passed over only because nothing of it is waiting.
_IDLE = ("Application has no pending requests", "Queue does not need more resource", "Request has no pending demand")
_MOST_WORDS = 2


@dataclass(frozen=True)
class Waits:
    """What is known of a job that waits.

    Attributes:
        app: Its application, with what it waits for.
        cluster: Queues, nodes and labels now.
        words: The scheduler's own about this application, where it tells them.
    """

    app: App
    cluster: ClusterFacts
    words: tuple[str, ...] = ()

    @property
    def for_master(self) -> bool:
        """Return whether it is the ApplicationMaster that has no container."""
        return self.app.state != "RUNNING"


def reasons(waits: Waits) -> list[str]:
    """Return why a job waits, the reason first and the scheduler's own words after it; nothing when it does not.

    Without a full stop each.
    """
    app = waits.app
    if app.ended or (waits.app.state == "RUNNING" and not app.pending):
        return []
    asks = sorted(app.pending, key=_size, reverse=True) or [Pending(Amount())]
    found = next((reason for ask in asks for reason in _reasons_for(ask, waits)), "")
    said = [] if not app.diagnostics or app.state == "RUNNING" else [_DETAILS.sub("", _DATE.sub("", app.diagnostics))]
    said += [word for word in waits.words if word not in _IDLE]
    own = "; ".join(dict.fromkeys(word.strip().rstrip(".") for word in said[: _MOST_WORDS + 1]))
    lines = [found] if found else []
    return [*lines, f"YARN says: {own}"] if own else lines


def _reasons_for(ask: Pending, waits: Waits) -> Iterator[str]:
    """Yield every reason that holds, the one that matters most first."""
    cluster, app = waits.cluster, waits.app
    nodes = cluster.nodes_for(ask.label)
    if not nodes:
        yield _no_nodes(ask.label, cluster)
        return
    leaf = cluster.queue(app.queue)
    if leaf is not None:
        yield from _of_queues(ask, leaf, waits)
    yield from _of_nodes(ask, nodes)


def _of_queues(ask: Pending, leaf: Queue, waits: Waits) -> Iterator[str]:
    part = leaf.partition(ask.label) or Partition(ask.label)
    if waits.for_master:
        yield from _am_share(ask, leaf, part, waits)
    user = next((user for user in leaf.users if user.name == waits.app.user), None)
    said = any(_USER_LIMIT in word for word in waits.words)
    held = _less(user.used, waits.app.reserved) if user is not None else Amount()
    over = user is not None and user.limit is not None and not ask.label and _beyond(held, Amount(), user.limit)
    if user is not None and user.limit is not None and (said or over):
        yield (
            f"{user.name} has reached the limit of one user in queue {leaf.typed}: {_text(held)} in use, "
            f"{_text(user.limit)} allowed; the job waits for {_ask_text(ask, waits)}"
        )
    for queue in _upwards(leaf, waits.cluster.queues):
        own = queue.partition(ask.label)
        if own is None or own.most is None or own.used is None:
            continue
        used = _less(own.used, waits.app.reserved)
        if _beyond(used, ask.amount, own.most):
            yield (
                f"queue {queue.typed} is full: {_text(used)} in use, at most {_text(own.most)} allowed "
                f"(its share is {own.capacity_percent:.4g} % of the cluster, its maximum {own.max_percent:.4g} %); "
                f"the job waits for {_ask_text(ask, waits)}"
            )


def _am_share(ask: Pending, leaf: Queue, part: Partition, waits: Waits) -> Iterator[str]:
    limit, used = part.am_limit or leaf.am_limit, part.am_used or leaf.am_used or Amount()
    said = waits.app.diagnostics
    if _USER_AM in said:
        yield (
            f"{waits.app.user} has used up what one user's ApplicationMasters may have in queue {leaf.typed}; this "
            f"job's needs {_text(ask.amount)} and starts when another of {waits.app.user}'s jobs there ends"
        )
    elif _QUEUE_AM in said or (limit is not None and used.memory_mib and _beyond(used, ask.amount, limit)):
        allowed = f" of {_text(limit)}" if limit is not None else ""
        yield (
            f"queue {leaf.typed} has used up its share for ApplicationMasters: {_text(used)}{allowed} in use; this "
            f"job's needs {_text(ask.amount)} and starts when another job of the queue ends"
        )


def _of_nodes(ask: Pending, nodes: Sequence[Node]) -> Iterator[str]:
    where = f" with label {ask.label}" if ask.label else ""
    if any(not _beyond(Amount(), ask.amount, node.free) for node in nodes):
        return
    free, whole = total(node.free for node in nodes), total(node.total for node in nodes)
    best = max(nodes, key=lambda node: _room(ask.amount, node.free))
    largest = f"the largest free one, {best.host}, has {_text(best.free)}"
    if _beyond(Amount(), ask.amount, free):
        yield (
            f"the nodes{where} are full: {_text(free)} of {_text(whole)} free in all; "
            f"a container of this job takes {_text(ask.amount)}"
        )
    elif all(_beyond(Amount(), ask.amount, node.total) for node in nodes):
        yield f"no node{where} is large enough for a container of {_text(ask.amount)}; {largest}"
    else:
        yield (
            f"no single node{where} has room for a container of {_text(ask.amount)}, though {_text(free)} are free in "
            f"all; {largest}"
        )


def _no_nodes(label: str, cluster: ClusterFacts) -> str:
    gone: dict[str, int] = {}
    for node in cluster.nodes:
        if node.state != "RUNNING":
            gone[node.state] = gone.get(node.state, 0) + 1
    others = f" ({', '.join(f'{count} {state}' for state, count in gone.items())})" if gone else ""
    if label:
        return f"no live node has the label {label}, on which this job's containers must run{others}"
    if cluster.usable_nodes:
        return f"every live node has a label, and this job asks for none{others}"
    return f"the cluster has no live node{others}"


def _ask_text(ask: Pending, waits: Waits) -> str:
    if waits.for_master:
        return f"its ApplicationMaster, {_text(ask.amount)}" if ask.amount != Amount() else "its ApplicationMaster"
    return f"{ask.count} container{'s' if ask.count > 1 else ''} of {_text(ask.amount)}"


def _upwards(leaf: Queue, queues: Iterable[Queue]) -> Iterator[Queue]:
    """Yield a queue and those above it but for the root, which is the cluster."""
    by_path = {queue.path: queue for queue in queues}
    path = leaf.path
    while "." in path and path in by_path:
        yield by_path[path]
        path = path.rpartition(".")[0]


def _beyond(used: Amount, more: Amount, most: Amount) -> bool:
    """Return whether `most` is less than what is used and `more` of it; what is not asked for does not count."""
    asked = more if more != Amount() else used
    memory = asked.memory_mib > 0 and used.memory_mib + more.memory_mib > most.memory_mib
    vcores = asked.vcores > 0 and used.vcores + more.vcores > most.vcores
    return (
        memory
        or vcores
        or any(
            asked.others.get(kind, 0) > 0
            and used.others.get(kind, 0) + more.others.get(kind, 0) > most.others.get(kind, 0)
            for kind in kinds([asked])
        )
    )


def _less(used: Amount, reserved: Amount) -> Amount:
    """Return what is used without what nodes keep free for the job itself: YARN counts that as used."""
    return replace(used, memory_mib=used.memory_mib - reserved.memory_mib, vcores=used.vcores - reserved.vcores)


def _room(ask: Amount, free: Amount) -> tuple[float, int, int]:
    """Return how near something comes to having room; 1 when it has."""
    shares = [
        free.memory_mib / ask.memory_mib if ask.memory_mib else 1.0,
        free.vcores / ask.vcores if ask.vcores else 1.0,
    ]
    shares += [free.others.get(kind, 0) / count for kind, count in ask.others.items() if count]
    return min(1.0, *shares), free.memory_mib, free.vcores


def _size(ask: Pending) -> tuple[int, int, int]:
    return ask.amount.gpus, ask.amount.memory_mib, ask.amount.vcores


def _text(amount: Amount) -> str:
    return amount.text() or "nothing"
