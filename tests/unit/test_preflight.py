"""What a cluster can never meet is said at once, with what was asked, what there is, and what to do."""

import dataclasses

import pytest

from yarn_submitter.facts import GPU, Amount, ClusterFacts, Node, Queue
from yarn_submitter.preflight import RoleAsk, problems

GIB = 1024


def node(name: str, memory_gib: int, vcores: int, gpus: int = 0, state: str = "RUNNING") -> Node:
    """Return a node with nothing given away."""
    there = Amount(memory_gib * GIB, vcores, {GPU: gpus} if gpus else {})
    return Node(f"{name}:1", name, f"{name}:2", state, there, there)


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
    return ClusterFacts(queues, nodes, (GPU,) if gpus else ())


TWO = cluster(node("a", 8, 8, 4), node("b", 8, 8))
FINE = [RoleAsk("worker", 2, 2 * GIB, 2, 1), RoleAsk("ps", 1, GIB)]


def ids(*arguments) -> list[str]:
    """Return the ids of what is wrong."""
    return [problem.id for problem in problems(*arguments)]


@pytest.mark.parametrize(
    "queue", ["default", "root.default", "train", "ml.train", "root.ml.train", "made.new", "root.made.new"]
)
def test_what_fits_is_fine(queue):
    """A job that fits is accepted in every way to name a queue, also one that is made when it is named."""
    assert problems(FINE, queue, TWO) == []


@pytest.mark.parametrize(
    ("queue", "problem", "said"),
    [
        ("nope", "queue-unknown", "root.default, root.ml.train, root.ml.small"),
        ("ml", "queue-not-leaf", "choose one below it: root.ml.train, root.ml.small"),
        ("root", "queue-not-leaf", "root.default"),
        ("old", "queue-stopped", "STOPPED"),
    ],
)
def test_queues(queue, problem, said):
    """A wrong queue is told with those that can be used."""
    (found,) = problems(FINE, queue, TWO)
    assert found.id == problem
    assert said in found.text()


@pytest.mark.parametrize(
    ("role", "problem", "sentence", "step"),
    [
        (
            RoleAsk("worker", 1, 12 * GIB),
            "memory-too-large",
            "worker asks 12 GiB, the largest node has 8 GiB.",
            "ask at most memory=8192M for worker",
        ),
        (
            RoleAsk("worker", 1, GIB, 9),
            "vcores-too-large",
            "worker asks 9 vcores, the largest node has 8 vcores.",
            "ask at most vcores=8 for worker",
        ),
        (
            RoleAsk("worker", 1, GIB, 1, 5),
            "gpus-too-large",
            "worker asks 5 GPUs, the largest node has 4 GPUs.",
            "ask at most gpu=4 for worker",
        ),
        (
            RoleAsk("worker", 1, GIB, others={"yarn.io/fpga": 1}),
            "resource-too-large",
            "worker asks 1 yarn.io/fpga, the largest node has 0 yarn.io/fpga.",
            "ask none for worker",
        ),
    ],
)
def test_one_container_too_large(role, problem, sentence, step):
    """The sentence names what was asked and what the largest node has."""
    (found,) = problems([role], "default", TWO)
    assert (found.id, found.sentence, found.next_step) == (problem, sentence, step)


def test_limit_of_the_queue():
    """The scheduler's limit for a container counts when it is below the largest node."""
    facts = cluster(node("a", 64, 8), limit=Amount(4 * GIB, 8))
    (found,) = problems([RoleAsk("worker", 1, 8 * GIB)], "default", facts)
    assert found.sentence == "worker asks 8 GiB, a container in queue root.default may have 4 GiB."


def test_no_node_has_all_of_it():
    """Memory on one node and GPUs on another do not make a container."""
    facts = cluster(node("a", 64, 8), node("b", 8, 8, 4))
    (found,) = problems([RoleAsk("worker", 1, 32 * GIB, 1, 1)], "default", facts)
    assert found.id == "no-node-fits"
    assert "a:1: 64 GiB, 8 vcores" in found.evidence


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (
            [RoleAsk("worker", 2, 7 * GIB), RoleAsk("ps", 3, GIB)],
            "needs 17 GiB at the same time, the cluster's 2 nodes have 16 GiB",
        ),
        ([RoleAsk("worker", 17, 64)], "needs 17 vcores"),
        ([RoleAsk("worker", 5, 64, 1, 1)], "needs 5 GPUs at the same time, the cluster's 2 nodes have 4 GPUs"),
        ([RoleAsk("worker", 3, 5 * GIB)], "needs 3 x worker at the same time, the cluster's 2 nodes have room for 2"),
    ],
)
def test_whole_gang_too_large(roles, said):
    """All containers together exceed the cluster, or do not fit on its nodes: one problem with what each role asks."""
    (found,) = problems(roles, "default", TWO)
    assert found.id == "gang-too-large"
    assert said in found.sentence
    assert f"x {roles[0].name}" in found.evidence


def test_share_of_the_queue():
    """A queue's greatest share is a limit for the gang; the container given last may go over it."""
    assert ids([RoleAsk("worker", 2, 4 * GIB)], "small", TWO) == ["gang-too-large"]
    assert ids([RoleAsk("worker", 3, 2 * GIB)], "small", TWO) == ["gang-too-large"]
    assert ids([RoleAsk("worker", 2, 2 * GIB)], "small", TWO) == []


def test_share_of_a_user():
    """A user's greatest share of a queue is a limit for the gang as well; without a factor there is none."""
    queue = Queue("default", "default", capacity_percent=25.0, user_limit_factor=1.0)
    facts = ClusterFacts((queue,), TWO.nodes, (GPU,))
    (found,) = problems([RoleAsk("worker", 4, 2 * GIB)], "default", facts)
    assert found.sentence == ("The job needs 8 GiB at the same time, one user of queue default may use 25 % of 16 GiB.")
    assert ids([RoleAsk("worker", 3, 2 * GIB)], "default", facts) == []
    free = ClusterFacts((dataclasses.replace(queue, user_limit_factor=0.0),), TWO.nodes, (GPU,))
    assert ids([RoleAsk("worker", 4, 2 * GIB)], "default", free) == []


def test_vcores_are_not_counted_where_yarn_may_not():
    """Without a third resource type YARN may schedule by memory alone: vcores of the gang are not refused."""
    facts = cluster(node("a", 8, 8), gpus=False)
    assert ids([RoleAsk("worker", 17, 64)], "default", facts) == []
    assert ids([RoleAsk("worker", 1, 64, 9)], "default", facts) == ["vcores-too-large"]


def test_everything_at_once():
    """Every problem of queue and roles is told, not only the first."""
    roles = [RoleAsk("worker", 1, 12 * GIB, 9), RoleAsk("ps", 1, GIB, 1, 9)]
    assert ids(roles, "nope", TWO) == ["queue-unknown", "memory-too-large", "vcores-too-large", "gpus-too-large"]


def test_what_is_not_known_is_not_refused():
    """A cluster without nodes (one that grows on demand) or with lost ones only refuses nothing about sizes."""
    for facts in (cluster(), cluster(node("a", 8, 8, state="LOST"))):
        assert ids([RoleAsk("worker", 100, 999 * GIB)], "default", facts) == []


def test_role_without_instances_is_not_judged():
    """A role of none asks nothing."""
    assert ids([RoleAsk("ps", 0, 999 * GIB)], "default", TWO) == []


@pytest.mark.parametrize(
    ("user", "acls", "refused"),
    [
        ("eve", ("root ", " "), True),
        ("root", ("root ", " "), False),
        ("eve", ("root ", " ", "*"), False),
        ("eve", ("root,eve ", " "), False),
        ("eve", (" staff", "root "), False),
        ("eve", (), False),
        ("", ("root ",), False),
    ],
)
def test_a_queue_that_shuts_the_user_out(user, acls, refused):
    """A queue is refused only to whom no list, its own or above it, can let in; a named group might."""
    queues = (Queue("ml", "root.ml"), Queue("prod", "root.prod", submit_acls=acls))
    facts = dataclasses.replace(TWO, queues=queues)
    found = problems(FINE, "prod", facts, user)
    assert [problem.id for problem in found] == (["queue-denied"] if refused else [])
    assert all(problem.next_step == "choose one of these with --queue: root.ml" for problem in found)
