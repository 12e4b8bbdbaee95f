"""Whether a queue takes a job of this user, reaches its labels, and has room for its ApplicationMaster (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from yarn_submitter.errors import Problem
from yarn_submitter.facts import ClusterFacts, Queue
from yarn_submitter.findings import NOTE, OK, REFUSED, Finding
from yarn_submitter.preflight_sizes import RoleAsk, rounded
from yarn_submitter.units import memory_text


def queue_findings(name: str, facts: ClusterFacts, user: str) -> Iterator[Finding]:
    """Yield whether the queue that a job names takes it; nothing when the scheduler tells of no queues.

    Args:
        name: As the user wrote it, by path or by name.
        facts: The cluster as it is now.
        user: Who submits, where queues look at that; empty when they do not.
    """
    if not facts.queues:
        return
    queue = facts.queue(name)
    problem = _queue_problem(name, queue, facts, user)
    if queue is None:
        available = "not there" if problem else "made when it is named"
    else:
        available = f"{queue.typed}, {queue.state}" if queue.leaf else f"{queue.typed}, a parent of queues"
    yield Finding("queue", "", name, available, REFUSED if problem else OK, problem)


def _queue_problem(name: str, queue: Queue | None, facts: ClusterFacts, user: str) -> Problem | None:
    leaves = _open_leaves(facts, user)
    step = f"choose one of these with --queue: {_names(leaves)}" if leaves else "ask an administrator for a queue"
    if queue is None:
        made = any(other.creates_children and _below(name, other.path) for other in facts.queues)
        return None if made else Problem("queue-unknown", f"The cluster has no queue {name}.", next_step=step)
    if not queue.leaf and not queue.creates_children:
        inside = [leaf for leaf in leaves if leaf.path.startswith(queue.path + ".")]
        below = f"choose one below it: {_names(inside)}" if inside else step
        return Problem("queue-not-leaf", f"Queue {queue.typed} holds queues and takes no jobs itself.", next_step=below)
    if queue.state != "RUNNING":
        return Problem("queue-stopped", f"Queue {queue.typed} is {queue.state} and takes no new jobs.", next_step=step)
    if not queue.takes(user):
        return Problem("queue-denied", f"Queue {queue.typed} takes no jobs of the user {user}.", next_step=step)
    return None


def label_findings(label: str, queue: Queue | None, facts: ClusterFacts, user: str) -> Iterator[Finding]:
    """Yield whether a node label is there, the queue reaches it, and a live node carries it."""
    nodes = facts.own_nodes(label)
    known = None if facts.labels is None else [found.name for found in facts.labels]
    available, problem = f"{len(nodes)} live nodes", None
    if known is not None and label not in known:
        there = f"the cluster has: {', '.join(sorted(known))}" if known else "the cluster has no labels"
        step = f"choose one of {', '.join(sorted(known))}" if known else "leave the label out"
        available = there
        problem = Problem("label-unknown", f"No node label is called {label}.", there, step)
    elif queue is not None and not queue.reaches(label):
        others = _open_leaves(facts, user, lambda other: other.reaches(label))
        step = f"choose one of these with --queue: {_names(others)}" if others else "ask an administrator"
        available = f"not for queue {queue.typed}"
        sentence = f"Queue {queue.typed} gets no nodes with label {label}."
        problem = Problem("label-denied", sentence, _reached(queue), step)
    elif facts.usable_nodes and not nodes:
        sentence = f"No live node carries the label {label}."
        problem = Problem("label-no-node", sentence, "", "`job nodes` shows which nodes carry which label")
    yield Finding("label", "", label, available, REFUSED if problem else OK, problem)


def _reached(queue: Queue) -> str:
    mine = [part.label for part in queue.partitions if part.label and queue.reaches(part.label)]
    return f"it gets nodes with: {', '.join(mine)}" if mine else "it gets nodes without a label only"


def share_findings(agent: RoleAsk, queue: Queue, facts: ClusterFacts) -> Iterator[Finding]:
    """Yield whether the queue's share for ApplicationMasters has room for one more.

    The capacity scheduler always lets one start (LeafQueue.activateApplications); the fair scheduler never lets one
    go over the share (FSLeafQueue.canRunAppAM), which it shows as 0 until it has been asked.
    """
    part = queue.partition(agent.label)
    if part is None or part.am_limit is None or part.am_used is None:
        return
    needs = rounded(agent.amount, queue)
    limit, used = part.am_limit.memory_mib, part.am_used.memory_mib
    asked = memory_text(needs.memory_mib)
    available = f"{memory_text(limit)} for ApplicationMasters in {queue.typed}, used {memory_text(used)}"
    vcores_over = bool(facts.resource_types) and part.am_used.vcores + needs.vcores > part.am_limit.vcores
    over = used + needs.memory_mib > limit or vcores_over
    problem, verdict = None, OK
    if queue.am_limit_strict and 0 < limit < needs.memory_mib:
        verdict = REFUSED
        sentence = (
            f"The job's ApplicationMaster needs {asked}, and all of queue {queue.typed} may use {memory_text(limit)}."
        )
        problem = Problem("am-share-too-small", sentence, "", "choose another queue, or ask for a greater maxAMShare")
    elif over and used:
        verdict = NOTE
        sentence = (
            f"Queue {queue.typed} has no room for one more ApplicationMaster now: they may use "
            f"{part.am_limit.text()} and use {part.am_used.text()}. The job waits until another one ends."
        )
        evidence = f"{queue.active_apps} applications run there, {queue.pending_apps} wait"
        problem = Problem("am-share-used", sentence, evidence, "wait, or choose another queue: `job queues`")
    yield Finding("AM share", "", asked, available, verdict, problem)


def _open_leaves(facts: ClusterFacts, user: str, also: Callable[[Queue], bool] = lambda _queue: True) -> list[Queue]:
    return [
        queue for queue in facts.queues if queue.leaf and queue.state == "RUNNING" and queue.takes(user) and also(queue)
    ]


def _names(queues: Iterable[Queue]) -> str:
    return ", ".join(sorted(queue.typed for queue in queues))


def _below(name: str, parent: str) -> bool:
    return name.startswith(parent + ".") or f"root.{name}".startswith(parent + ".")
