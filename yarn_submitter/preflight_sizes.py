"""Whether containers can ever be as large, and as many at the same time, as a job asks (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from yarn_submitter.errors import Problem
from yarn_submitter.facts import GPU, Amount, ClusterFacts, Node, Queue, count_text, largest, total
from yarn_submitter.findings import NOTE, OK, REFUSED, UNKNOWN, Finding
from yarn_submitter.units import memory_text

_NO_LIMIT = 2**62  # YARN writes Long.MAX_VALUE where nothing is limited
SHOWN = 5  # lines about nodes in one message
_GPU_SETTINGS = """\
an administrator sets for it:
resource-types.xml (ResourceManager, NodeManagers, clients): yarn.resource-types=yarn.io/gpu
yarn-site.xml of the nodes with GPUs: yarn.nodemanager.resource-plugins=yarn.io/gpu
capacity-scheduler.xml: yarn.scheduler.capacity.resource-calculator=\
org.apache.hadoop.yarn.util.resource.DominantResourceCalculator
container-executor.cfg of the nodes with GPUs: [gpu] module.enabled=true"""


@dataclass(frozen=True)
class RoleAsk:
    """What preflight needs to know of a role; the resources are for each instance.

    Attributes:
        name: Role name.
        instances: How many.
        memory_mib: Memory in MiB.
        vcores: Virtual cores.
        gpus: GPUs.
        label: Label of its nodes; empty: nodes without a label.
        min_instances: So many are enough; 0: all of them.
    """

    name: str
    instances: int
    memory_mib: int
    vcores: int = 1
    gpus: int = 0
    label: str = ""
    min_instances: int = 0

    @property
    def needed(self) -> int:
        """Return how many the job cannot do without."""
        return self.min_instances or self.instances

    @property
    def count(self) -> str:
        """Return how many it asks for, as that is written."""
        return str(self.instances) if self.needed == self.instances else f"{self.needed}:{self.instances}"

    @property
    def amount(self) -> Amount:
        """Return the resources of one instance."""
        return Amount(self.memory_mib, self.vcores, {GPU: self.gpus} if self.gpus else {})


@dataclass(frozen=True)
class _Kind:
    """One kind of resource: its name, the id of its problem, how to read it from an amount, how to write it."""

    name: str
    problem: str
    of: Callable[[Amount], int]
    text: Callable[[int], str]


_MEMORY = _Kind("memory", "memory-too-large", lambda amount: amount.memory_mib, memory_text)
_VCORES = _Kind("vcores", "vcores-too-large", lambda amount: amount.vcores, lambda count: count_text(count, "vcore"))
_GPUS = _Kind("gpu", "gpus-too-large", lambda amount: amount.gpus, lambda count: count_text(count, "GPU"))


@dataclass(frozen=True)
class _Gang:
    """The containers that must run at the same time on the nodes of one label.

    Attributes:
        label: The label.
        roles: Whose containers, each as the scheduler rounds it up.
        nodes: Where they may run.
        queue: In which queue, if it is known.
        kinds: The kinds of resource that are surely counted.
    """

    label: str
    roles: Sequence[RoleAsk]
    nodes: Sequence[Node]
    queue: Queue | None
    kinds: Sequence[_Kind]
    asks: list[Amount] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.asks.extend(role.amount for role in self.roles for _ in range(role.instances))


def size_findings(
    roles: Sequence[RoleAsk], agent: RoleAsk, queue: Queue | None, facts: ClusterFacts
) -> Iterator[Finding]:
    """Yield what is to be said about every role, and about all containers together.

    Args:
        roles: Those with instances.
        agent: The ApplicationMaster as a role.
        queue: The job's queue, if there is one.
        facts: The cluster as it is now.
    """
    if facts.nodes and not facts.usable_nodes:
        sentence = "No node of the cluster is up now: the job waits for one, and sizes cannot be judged."
        problem = Problem("no-live-node", sentence, "", "`job nodes` shows why they are not")
        yield Finding("nodes", "", "1", "0", NOTE, problem)
    alone = [finding for role in roles for finding in _role_findings(role, queue, facts)]
    agent_findings = list(_agent_findings(agent, facts))
    yield from (*alone, *agent_findings)
    wrong = {
        finding.problem.id for finding in (*alone, *agent_findings) if finding.problem and finding.verdict == REFUSED
    }
    if wrong - {kind.problem for kind in (_MEMORY, _VCORES, _GPUS)}:
        return
    everyone = [agent, *roles]
    for label in dict.fromkeys(role.label for role in everyone):
        nodes = facts.nodes_for(label)
        mine = [_rounded(role, queue) for role in everyone if role.label == label]
        # Of a kind that one container has too much of, the sum tells nothing new.
        kinds = [kind for kind in _counted(total(role.amount for role in mine), facts) if kind.problem not in wrong]
        if nodes and kinds:  # a cluster that grows on demand may have no nodes now
            found = _gang_findings(_Gang(label, mine, nodes, queue, kinds))
            yield from (finding for finding in found if not wrong or finding.verdict == REFUSED)


def rounded(ask: Amount, queue: Queue | None) -> Amount:
    """Return what the scheduler makes of an ask: multiples of its smallest container, not more than its largest."""
    step = queue.min_allocation if queue else None
    if step is None:
        return ask
    most = queue.max_allocation if queue else None
    memory_mib = _up(ask.memory_mib, step.memory_mib, most.memory_mib if most else 0)
    return Amount(memory_mib, _up(ask.vcores, step.vcores, most.vcores if most else 0), ask.others)


def _up(count: int, step: int, most: int) -> int:
    up = -(-count // step) * step if step > 0 else count
    return max(count, min(up, most)) if most else up


def _rounded(role: RoleAsk, queue: Queue | None) -> RoleAsk:
    ask = rounded(role.amount, queue)
    return RoleAsk(role.name, role.instances, ask.memory_mib, ask.vcores, role.gpus, role.label, role.min_instances)


def _role_findings(role: RoleAsk, queue: Queue | None, facts: ClusterFacts) -> Iterator[Finding]:
    """Yield what is to be said of one container of a role."""
    ask = role.amount
    limit = (queue.max_allocation if queue else None) or facts.max_allocation
    nodes = facts.nodes_for(role.label)
    most = largest(node.total for node in nodes) if nodes else None
    where_limit = f"a container in queue {queue.typed} may have" if queue else "a container may have"
    fine = True
    for kind in _kinds(ask):
        asked = kind.of(ask)
        known = [
            (kind.of(amount), where)
            for amount, where in ((most, f"the largest node{_with(role.label)} has"), (limit, where_limit))
            if amount is not None and kind.of(amount) < _NO_LIMIT
        ]
        if not known:
            yield Finding(kind.name, role.name, kind.text(asked), "not known", UNKNOWN)
            continue
        at_most, where = min(known, key=lambda pair: pair[0])
        available = f"{where} {kind.text(at_most)}"
        problem = None
        if kind is _GPUS and GPU not in facts.resource_types:
            problem = _no_gpus(role)
        elif asked > at_most:
            lower = f"ask at most {_typed(kind, at_most)}" if at_most else "ask none"
            sentence = f"{role.name} asks {kind.text(asked)}, {available}."
            problem = Problem(kind.problem, sentence, next_step=f"{lower} for {role.name}")
        fine = fine and problem is None
        yield Finding(kind.name, role.name, kind.text(asked), available, REFUSED if problem else OK, problem)
    counted = _counted(ask, facts)
    if fine and nodes and not any(_fitting(node.total, _rounded(role, queue).amount, counted) for node in nodes):
        sentence = f"{role.name} asks {ask.text()}, and no node{_with(role.label)} has all of that together."
        evidence = "\n".join(f"{node.id}: {node.total.text()}" for node in nodes[:SHOWN])
        problem = Problem("no-node-fits", sentence, evidence, f"ask for {role.name} what one of the nodes has")
        yield Finding("one node", role.name, ask.text(), "no node has it", REFUSED, problem)


def _no_gpus(role: RoleAsk) -> Problem:
    sentence = f"{role.name} asks {_GPUS.text(role.gpus)}, and this cluster's YARN knows no GPUs."
    return Problem("gpus-unknown", sentence, _GPU_SETTINGS, f"ask none for {role.name}, or ask an administrator")


def _agent_findings(agent: RoleAsk, facts: ClusterFacts) -> Iterator[Finding]:
    """Yield a refusal when no live node may hold the ApplicationMaster; YARN lends it no node of a shared label."""
    nodes = facts.own_nodes(agent.label)
    if not facts.usable_nodes or any(node.total.memory_mib >= agent.memory_mib for node in nodes):
        return
    asked, kind = memory_text(agent.memory_mib), _kind_of_nodes(agent.label)
    available = f"{len(nodes)} nodes {kind}" if not nodes else f"{memory_text(_most_memory(nodes))} on nodes {kind}"
    sentence = f"The job's ApplicationMaster needs {asked} on a node {kind}, and no live node can give it that."
    evidence = "\n".join(
        f"{node.id}: {node.total.text()}, label {', '.join(node.labels) or '(none)'}"
        for node in facts.usable_nodes[:SHOWN]
    )
    step = "choose a queue whose default label live nodes carry, or ask for a node without a label: `job queues`"
    problem = Problem("am-no-node", sentence, evidence, step)
    yield Finding("memory", agent.name, asked, available, REFUSED, problem)


def _most_memory(nodes: Sequence[Node]) -> int:
    return max(node.total.memory_mib for node in nodes)


def _gang_findings(gang: _Gang) -> Iterator[Finding]:
    """Yield one finding: whether these containers can run at the same time ever, and now."""
    together, there = total(gang.asks), total(node.total for node in gang.nodes)
    free = total(node.free for node in gang.nodes)
    asked_by = ", ".join(f"{role.count} x {role.name} {role.amount.text()}" for role in gang.roles)
    about = f"label {gang.label}" if gang.label else ""
    asked = together.text()
    available = f"{there.text()} on {count_text(len(gang.nodes), 'node')}, free now {free.text()}"
    never = _never(gang, total(role.amount for role in gang.roles for _ in range(role.needed)), there)
    if never:
        too_large = Problem("gang-too-large", never, asked_by, "ask fewer instances or less for each")
        yield Finding("together", about, asked, available, REFUSED, too_large)
        return
    not_now = _not_now(gang, together, there)
    problem = None
    if not_now:
        where = f" in queue {gang.queue.typed}" if gang.queue else ""
        enough = sum(role.needed for role in gang.roles)
        waits = "for the rest" if enough == len(gang.asks) else f"for {enough} of them, and starts with what there is"
        sentence = f"Not all {len(gang.asks)} containers of the job fit now: {not_now}. It waits{where} {waits}."
        problem = Problem("gang-waits", sentence, asked_by, "`job nodes` and `job queues` show who uses what")
    yield Finding("together", about, asked, available, NOTE if problem else OK, problem)


def _never(gang: _Gang, together: Amount, there: Amount) -> str:
    """Return why these containers can never run at the same time; empty when they can, as far as can be known."""
    nodes = f"the cluster's {count_text(len(gang.nodes), 'node')}{_with(gang.label)}"
    have = "has" if len(gang.nodes) == 1 else "have"
    for kind in gang.kinds:
        asked = kind.of(together)
        needed, available = _alike(kind, asked, kind.of(there))
        where = ""
        if asked > kind.of(there):
            where = f"{nodes} {have} {available}"
        elif gang.queue:
            where = _over_share(asked, max(map(kind.of, gang.asks)), kind.of(there), gang.queue, gang.label)
            where = where and f"{where} of {available}"
        if where:
            return f"The job needs {needed} at the same time, {where}."
    for role in gang.roles:
        fit = sum(_fitting(node.total, role.amount, gang.kinds) for node in gang.nodes)
        if fit < role.needed:
            room = f"room for {fit} (of {role.amount.text()} each)"
            return f"The job needs {role.needed} x {role.name} at the same time, {nodes} {have} {room}."
    return ""


def _alike(kind: _Kind, asked: int, there: int) -> tuple[str, str]:
    """Return two amounts in one unit, so that they can be compared."""
    if kind is _MEMORY and (asked % 1024 or there % 1024):
        return f"{asked} MiB", f"{there} MiB"
    return kind.text(asked), kind.text(there)


def _not_now(gang: _Gang, together: Amount, there: Amount) -> str:
    """Return what is missing for these containers now; empty when they fit one after the other, largest first."""
    free = [node.free for node in gang.nodes]
    for ask in sorted(gang.asks, key=lambda ask: (ask.gpus, ask.memory_mib), reverse=True):
        place = next((n for n, left in enumerate(free) if _fitting(left, ask, gang.kinds)), None)
        if place is None:
            left = total(node.free for node in gang.nodes)
            most = largest(node.free for node in gang.nodes).text() or "nothing"
            return f"free are {left.text() or 'nothing'} on {count_text(len(free), 'node')} (at most {most} on one)"
        free[place] = _minus(free[place], ask)
    part = gang.queue.partition(gang.label) if gang.queue else None
    for kind in gang.kinds if part else ():
        before_last = kind.of(together) - max(map(kind.of, gang.asks))
        if part and before_last > kind.of(there) * (part.max_percent - part.used_percent) / 100:
            return f"the queue may use {part.max_percent:g} % of the nodes and uses {part.used_percent:.0f} %"
    return ""


def _minus(left: Amount, ask: Amount) -> Amount:
    others = {kind: count - ask.others.get(kind, 0) for kind, count in left.others.items()}
    return Amount(left.memory_mib - ask.memory_mib, left.vcores - ask.vcores, others)


def _fitting(room: Amount, ask: Amount, counted: Sequence[_Kind]) -> int:
    """Return how many containers of this size there is room for."""
    return max(0, min((kind.of(room) // kind.of(ask) for kind in counted if kind.of(ask)), default=0))


def _over_share(asked: int, greatest: int, there: int, queue: Queue, label: str) -> str:
    """Return which share of a queue this ask can never keep to, as part of a sentence; empty when it can.

    YARN looks at what is used before it gives a container, so the one that is given last may go over a share. A
    user's share is `capacity x user-limit-factor`, where the capacity is at least one container (UsersManager).
    """
    part = queue.partition(label)
    if part is None:
        return ""
    before_last = asked - greatest
    if part.max_percent < 100 and before_last >= there * part.max_percent / 100:
        return f"queue {queue.typed} may use {part.max_percent:g} %"
    user_percent = part.capacity_percent * queue.user_limit_factor
    user_share = max(there * part.capacity_percent / 100, greatest) * queue.user_limit_factor
    if 0 < user_percent < 100 and before_last > user_share:
        return f"one user of queue {queue.typed} may use {user_percent:g} %"
    return ""


def _counted(ask: Amount, facts: ClusterFacts) -> list[_Kind]:
    """Return the kinds that are surely counted when containers are placed on nodes.

    YARN's default calculator counts memory only; with a third resource type the ResourceManager insists on the one
    that counts all of them (DominantResourceCalculator).
    """
    return [kind for kind in _kinds(ask) if facts.resource_types or kind is _MEMORY]


def _kinds(ask: Amount) -> list[_Kind]:
    """Return the kinds of resource that an amount speaks of."""
    return [_MEMORY, _VCORES, *([_GPUS] if ask.gpus else [])]


def _typed(kind: _Kind, count: int) -> str:
    return f"{kind.name}={count}{'M' if kind is _MEMORY else ''}"


def _kind_of_nodes(label: str) -> str:
    return f"with label {label}" if label else "without a label"


def _with(label: str) -> str:
    return f" with label {label}" if label else ""
