"""What of a job this cluster can never meet: every problem at once, before anything is sent.

Only what can never be is refused. What merely has to wait (a busy queue, nodes in use) is YARN's to schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from yarn_submitter.errors import Problem
from yarn_submitter.facts import GPU, Amount, ClusterFacts, Node, Queue, largest, total
from yarn_submitter.units import memory_text


@dataclass(frozen=True)
class RoleAsk:
    """What preflight needs to know of a role; the resources are for each instance.

    Attributes:
        name: Role name.
        instances: How many.
        memory_mib: Memory in MiB.
        vcores: Virtual cores.
        gpus: GPUs.
        others: Other YARN resource types by full name.
    """

    name: str
    instances: int
    memory_mib: int
    vcores: int = 1
    gpus: int = 0
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def amount(self) -> Amount:
        """Return the resources of one instance."""
        return Amount(self.memory_mib, self.vcores, {**self.others, **({GPU: self.gpus} if self.gpus else {})})


@dataclass(frozen=True)
class _Kind:
    """One kind of resource: the id of its problem, how to read it from an amount, how to write it."""

    problem: str
    option: str
    of: Callable[[Amount], int]
    text: Callable[[int], str]


def problems(roles: Sequence[RoleAsk], queue: str, facts: ClusterFacts, user: str = "") -> list[Problem]:
    """Return everything about these roles in this queue that the cluster can never meet; empty when all can be.

    Args:
        roles: All that must run at the same time.
        queue: As the user named it, by path or by name.
        facts: The cluster as it is now.
        user: Who submits, where queues look at that; empty when they do not.
    """
    roles = [role for role in roles if role.instances]
    found = facts.queue(queue)
    about_queue = list(_queue_problems(queue, found, facts, user)) if facts.queues else []
    about_roles = [problem for role in roles for problem in _role_problems(role, found, facts)]
    about_gang = [] if about_roles else list(_gang_problems(roles, found, facts))
    return [*about_queue, *about_roles, *about_gang]


def _queue_problems(name: str, queue: Queue | None, facts: ClusterFacts, user: str) -> Iterator[Problem]:
    leaves = [
        other.path
        for other in facts.queues
        if other.leaf and other.state == "RUNNING" and not _shut_out(user, other.submit_acls)
    ]
    step = f"choose one of these with --queue: {', '.join(leaves)}" if leaves else "ask an administrator for a queue"
    if queue is None:
        if not any(other.creates_children and _below(name, other.path) for other in facts.queues):
            yield Problem("queue-unknown", f"The cluster has no queue {name}.", next_step=step)
    elif not queue.leaf and not queue.creates_children:
        inside = [path for path in leaves if path.startswith(queue.path + ".")]
        below = f"choose one below it: {', '.join(inside)}" if inside else step
        yield Problem("queue-not-leaf", f"Queue {queue.path} holds queues and takes no jobs itself.", next_step=below)
    elif queue.state != "RUNNING":
        yield Problem("queue-stopped", f"Queue {queue.path} is {queue.state} and takes no new jobs.", next_step=step)
    elif _shut_out(user, queue.submit_acls):
        yield Problem("queue-denied", f"Queue {queue.path} takes no jobs of the user {user}.", next_step=step)


def _shut_out(user: str, acls: Sequence[str]) -> bool:
    """Return whether access lists surely shut a user out; whose groups they name only the ResourceManager knows."""
    if not user or not acls:
        return False
    lists = [acl.partition(" ") for acl in acls]
    return not any(users.strip() == "*" or groups.strip() or user in users.split(",") for users, _, groups in lists)


def _below(name: str, parent: str) -> bool:
    return name.startswith(parent + ".") or f"root.{name}".startswith(parent + ".")


def _role_problems(role: RoleAsk, queue: Queue | None, facts: ClusterFacts) -> Iterator[Problem]:
    """Yield what is wrong with one container of a role."""
    ask = role.amount
    limit = (queue.max_allocation if queue else None) or facts.max_allocation
    nodes = facts.usable_nodes
    most = largest(node.total for node in nodes)
    fine = True
    for kind in _kinds(ask):
        asked = kind.of(ask)
        available = [
            (kind.of(amount), where)
            for amount, where in ((most if nodes else None, "the largest node has"), (limit, _limit_text(queue)))
            if amount is not None
        ]
        at_most, where = min(available, key=lambda pair: pair[0], default=(asked, ""))
        if asked > at_most:
            fine = False
            sentence = f"{role.name} asks {kind.text(asked)}, {where} {kind.text(at_most)}."
            lower = f"ask at most {kind.option}={kind.text(at_most).partition(' ')[0]}" if at_most else "ask none"
            if kind.problem == "memory-too-large":
                lower = f"ask at most memory={at_most}M"
            yield Problem(kind.problem, sentence, next_step=f"{lower} for {role.name}")
    if fine and nodes and not any(_fitting(node, ask, _counted(ask, facts)) for node in nodes):
        sentence = f"{role.name} asks {_text(ask)}, and no node has all of that together."
        evidence = "\n".join(f"{node.id}: {_text(node.total)}" for node in nodes[:5])
        step = f"ask for {role.name} what one of the nodes has"
        yield Problem("no-node-fits", sentence, evidence, step)


def _limit_text(queue: Queue | None) -> str:
    return f"a container in queue {queue.path} may have" if queue else "a container may have"


def _gang_problems(roles: Sequence[RoleAsk], queue: Queue | None, facts: ClusterFacts) -> Iterator[Problem]:
    """Yield at most one problem: all containers together, or those of one role, can never run at the same time."""
    nodes = facts.usable_nodes
    if not nodes or not roles:
        return  # a cluster that grows on demand may have none now
    asks = [role.amount for role in roles for _ in range(role.instances)]
    together, there = total(asks), total(node.total for node in nodes)
    asked_by = ", ".join(f"{role.instances} x {role.name} {_text(role.amount)}" for role in roles)
    counted = _counted(together, facts)
    for kind in counted:
        asked, available = kind.of(together), kind.text(kind.of(there))
        where = ""
        if asked > kind.of(there):
            where = f"the cluster's {len(nodes)} nodes have {available}"
        elif queue:
            where = _over_share(asked, max(map(kind.of, asks)), kind.of(there), queue)
            where = where and f"{where} of {available}"
        if where:
            sentence = f"The job needs {kind.text(asked)} at the same time, {where}."
            yield Problem("gang-too-large", sentence, asked_by, "ask fewer instances or less for each")
            return
    for role in roles:
        fit = sum(_fitting(node, role.amount, counted) for node in nodes)
        if fit < role.instances:
            sentence = (
                f"The job needs {role.instances} x {role.name} at the same time, the cluster's {len(nodes)} nodes have "
                f"room for {fit} (of {_text(role.amount)} each)."
            )
            yield Problem("gang-too-large", sentence, asked_by, f"ask at most {fit} x {role.name}, or less for each")
            return


def _fitting(node: Node, ask: Amount, counted: Sequence[_Kind]) -> int:
    """Return how many containers of this size an empty node holds."""
    return min((kind.of(node.total) // kind.of(ask) for kind in counted if kind.of(ask)), default=0)


def _over_share(asked: int, greatest: int, there: int, queue: Queue) -> str:
    """Return which share of a queue this ask can never keep to, as part of a sentence; empty when it can.

    YARN looks at what is used before it gives a container, so the one that is given last may go over a share. A
    user's share is `capacity x user-limit-factor`, where the capacity is at least one container (UsersManager).
    """
    before_last = asked - greatest
    if queue.max_percent < 100 and before_last >= there * queue.max_percent / 100:
        return f"queue {queue.path} may use {queue.max_percent:g} %"
    user_percent = queue.capacity_percent * queue.user_limit_factor
    user_share = max(there * queue.capacity_percent / 100, greatest) * queue.user_limit_factor
    if 0 < user_percent < 100 and before_last > user_share:
        return f"one user of queue {queue.path} may use {user_percent:g} %"
    return ""


def _counted(ask: Amount, facts: ClusterFacts) -> list[_Kind]:
    """Return the kinds that are surely counted when containers are placed on nodes.

    YARN's default calculator counts memory only; with a third resource type the ResourceManager insists on the one
    that counts all of them (DominantResourceCalculator).
    """
    return [kind for kind in _kinds(ask) if facts.resource_types or kind.problem == "memory-too-large"]


def _kinds(ask: Amount) -> list[_Kind]:
    """Return the kinds of resource that an amount speaks of."""
    kinds = [
        _Kind("memory-too-large", "memory", lambda amount: amount.memory_mib, memory_text),
        _Kind("vcores-too-large", "vcores", lambda amount: amount.vcores, lambda count: _count(count, "vcore")),
    ]
    for name in sorted(ask.others):
        if name == GPU:
            kinds.append(_Kind("gpus-too-large", "gpu", lambda amount: amount.gpus, lambda count: _count(count, "GPU")))
        else:
            kinds.append(_other_kind(name))
    return kinds


def _other_kind(name: str) -> _Kind:
    return _Kind("resource-too-large", name, lambda amount: amount.others.get(name, 0), lambda count: f"{count} {name}")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _text(amount: Amount) -> str:
    return ", ".join(kind.text(kind.of(amount)) for kind in _kinds(amount) if kind.of(amount))
