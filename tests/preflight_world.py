"""Small clusters and jobs for the tests of preflight."""

from yarn_submitter.errors import Problem
from yarn_submitter.facts import GPU, Amount, ClusterFacts, Node, Queue
from yarn_submitter.findings import REFUSED, Finding
from yarn_submitter.preflight import judge
from yarn_submitter.preflight_places import Want
from yarn_submitter.spec import JobSpec, RoleSpec
from yarn_submitter.units import Ask

GIB = 1024


def node(name: str, memory_gib: int, vcores: int, gpus: int = 0, state: str = "RUNNING", label: str = "") -> Node:
    """Return a node with nothing given away."""
    there = Amount(memory_gib * GIB, vcores, {GPU: gpus} if gpus else {})
    return Node(f"{name}:1", name, f"{name}:2", state, there, there, labels=(label,) if label else ())


def cluster(*nodes: Node, limit: Amount | None = None, gpus: bool = True) -> ClusterFacts:
    """Return a cluster with the queues that the tests name."""
    queues = (
        Queue("root", "root", leaf=False),
        Queue("default", "root.default", max_allocation=limit),
        Queue("ml", "root.ml", leaf=False),
        Queue("train", "root.ml.train"),
        Queue("small", "root.ml.small", max_percent=25.0),
        Queue("old", "root.old", state="STOPPED"),
        Queue("made", "root.made", leaf=False, creates_children=True),
    )
    return ClusterFacts(queues, nodes, (GPU,) if gpus else (), labels=())


def role(name: str, instances: int, memory_mib: int, vcores: int = 1, gpus: int = 0, **more) -> RoleSpec:
    """Return a role."""
    others = more.pop("others", {})
    return RoleSpec(
        name, instances, Ask(memory_mib, vcores, {**others, **({GPU: gpus} if gpus else {})}), "true", **more
    )


def job(*roles: RoleSpec, **more) -> JobSpec:
    """Return a job of these roles."""
    return JobSpec("fit", "generic", roles or FINE, **more)


FINE = (role("worker", 2, 2 * GIB, 2, 1), role("ps", 1, GIB))
TWO = cluster(node("a", 8, 8, 4), node("b", 8, 8))


def told(facts: ClusterFacts, spec: JobSpec, user: str = "", wants: tuple[Want, ...] = ()) -> list[Problem]:
    """Return what refuses a job."""
    return [found.problem for found in judge(spec, wants, facts, user) if found.verdict == REFUSED and found.problem]


def ids(facts: ClusterFacts, *roles: RoleSpec, **more) -> list[str]:
    """Return the ids of what refuses a job of these roles."""
    return [problem.id for problem in told(facts, job(*roles, **more))]


def answer(facts: ClusterFacts, spec: JobSpec, question: str, wants: tuple[Want, ...] = ()) -> Finding:
    """Return the only answer to a question."""
    (found,) = [found for found in judge(spec, wants, facts) if found.question == question]
    return found
