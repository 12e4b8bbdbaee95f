"""How large containers may be, and how many at the same time: what is never possible, and what only has to wait."""

import dataclasses

import pytest
from preflight_world import FINE, GIB, TWO, answer, cluster, ids, job, node, role, told

from yarn_submitter.facts import GPU, Amount, ClusterFacts, Queue
from yarn_submitter.findings import NOTE, OK, REFUSED, UNKNOWN
from yarn_submitter.preflight import judge


@pytest.mark.parametrize(
    ("asks", "problem", "sentence", "step"),
    [
        (
            role("worker", 1, 12 * GIB),
            "memory-too-large",
            "worker asks 12 GiB, the largest node has 8 GiB.",
            "ask at most memory=8192M for worker",
        ),
        (
            role("worker", 1, GIB, 9),
            "vcores-too-large",
            "worker asks 9 vcores, the largest node has 8 vcores.",
            "ask at most vcores=8 for worker",
        ),
        (
            role("worker", 1, GIB, 1, 5),
            "gpus-too-large",
            "worker asks 5 GPUs, the largest node has 4 GPUs.",
            "ask at most gpu=4 for worker",
        ),
        (
            role("worker", 1, GIB, others={"yarn.io/fpga": 1}),
            "resource-not-expressible",
            "Role worker asks for yarn.io/fpga, which the launcher cannot ask YARN for.",
            "leave it out",
        ),
    ],
)
def test_one_container_too_large(asks, problem, sentence, step):
    """The sentence names what was asked and what the largest node has."""
    (found,) = told(TWO, job(asks))
    assert (found.id, found.sentence, found.next_step) == (problem, sentence, step)


@pytest.mark.parametrize(
    ("name", "known", "step"),
    [
        ("gpus", (GPU,), "write gpu=2 if you mean that, else leave it out"),
        ("gpu0", (GPU,), "write gpu=2 if you mean that, else leave it out"),
        ("gpu0", (GPU, "gpu0"), "leave it out"),
        ("gpu0", (), "leave it out"),
        ("vcors", (), "write vcores=2 if you mean that, else leave it out"),
        ("licence", (GPU,), "leave it out"),
    ],
)
def test_a_name_that_is_nearly_another(name, known, step):
    """It is told which one, unless the cluster has a resource of just that name, or has not the other."""
    facts = dataclasses.replace(TWO, resource_types=known)
    (found,) = told(facts, job(role("worker", 1, GIB, others={name: 2})))
    assert (found.id, found.next_step) == ("resource-not-expressible", step)


def test_the_tensorboard_is_asked_about_like_a_role():
    """A sidecar that no node can hold is refused as well."""
    assert ids(TWO, *FINE, tensorboard=role("tensorboard", 1, 9 * GIB)) == ["memory-too-large"]


def test_limit_of_the_queue():
    """The scheduler's limit for a container counts when it is below the largest node; one without end is none."""
    facts = cluster(node("a", 64, 8), limit=Amount(4 * GIB, 8))
    (found,) = told(facts, job(role("worker", 1, 8 * GIB)))
    assert found.sentence == "worker asks 8 GiB, a container in queue default may have 4 GiB."
    endless = cluster(limit=Amount(2**63 - 1, 2**63 - 1))
    assert answer(endless, job(role("worker", 1, 8 * GIB)), "memory").verdict == UNKNOWN


def test_gpus_where_yarn_knows_none():
    """Who asks for GPUs on a cluster without the resource type is told what an administrator has to set."""
    (found,) = told(cluster(node("a", 8, 8), gpus=False), job(role("worker", 1, GIB, 1, 1)))
    assert found.id == "gpus-unknown"
    for setting in ("yarn.resource-types=yarn.io/gpu", "resource-plugins=yarn.io/gpu", "DominantResourceCalculator"):
        assert setting in found.evidence


def test_no_node_has_all_of_it():
    """Memory on one node and GPUs on another do not make a container."""
    facts = cluster(node("a", 64, 8), node("b", 8, 8, 4))
    (found,) = told(facts, job(role("worker", 1, 32 * GIB, 1, 1)))
    assert found.id == "no-node-fits"
    assert "a:1: 64 GiB, 8 vcores" in found.evidence


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (
            [role("worker", 2, 7 * GIB), role("ps", 2, GIB)],
            "needs 16896 MiB at the same time, the cluster's 2 nodes have 16384 MiB",
        ),
        ([role("worker", 16, 64)], "needs 17 vcores"),
        ([role("worker", 5, 64, 1, 1)], "needs 5 GPUs at the same time, the cluster's 2 nodes have 4 GPUs"),
        ([role("worker", 3, 5 * GIB)], "needs 3 x worker at the same time, the cluster's 2 nodes have room for 2"),
    ],
)
def test_whole_gang_too_large(roles, said):
    """All containers and the ApplicationMaster exceed the cluster, or do not fit on its nodes: one problem."""
    (found,) = told(TWO, job(*roles))
    assert found.id == "gang-too-large"
    assert said in found.sentence
    assert f"x {roles[0].name}" in found.evidence
    assert "1 x the ApplicationMaster 512 MiB" in found.evidence


def test_containers_are_rounded_up():
    """The scheduler gives multiples of its smallest container: many small ones may not fit."""
    small = [role("worker", 16, 64)]
    facts = cluster(node("a", 8, 64), node("b", 8, 64), limit=Amount(8 * GIB, 8))
    assert ids(facts, *small) == []
    (default,) = [queue for queue in facts.queues if queue.name == "default"]
    rounding = dataclasses.replace(default, min_allocation=Amount(GIB, 1))
    facts = dataclasses.replace(facts, queues=(rounding,))
    (found,) = told(facts, job(*small))
    assert found.sentence == "The job needs 17 GiB at the same time, the cluster's 2 nodes have 16 GiB."
    assert ids(facts, role("worker", 1, 8 * GIB - 1)) == []


def test_share_of_the_queue():
    """A queue's greatest share is a limit for the gang; the container given last may go over it."""
    assert ids(TWO, role("worker", 2, 4 * GIB), queue="small") == ["gang-too-large"]
    assert ids(TWO, role("worker", 3, 2 * GIB), queue="small") == ["gang-too-large"]
    assert ids(TWO, role("worker", 2, 2 * GIB), queue="small") == []


def test_share_of_a_user():
    """A user's greatest share of a queue is a limit for the gang as well; without a factor there is none."""
    queue = Queue("default", "default", capacity_percent=25.0, user_limit_factor=1.0)
    facts = ClusterFacts((queue,), TWO.nodes, (GPU,))
    (found,) = told(facts, job(role("worker", 4, 2 * GIB)))
    assert found.sentence == (
        "The job needs 8704 MiB at the same time, one user of queue default may use 25 % of 16384 MiB."
    )
    assert ids(facts, role("worker", 2, 2 * GIB)) == []
    free = ClusterFacts((dataclasses.replace(queue, user_limit_factor=0.0),), TWO.nodes, (GPU,))
    assert ids(free, role("worker", 4, 2 * GIB)) == []


def test_vcores_are_not_counted_where_yarn_may_not():
    """Without a third resource type YARN may schedule by memory alone: vcores of the gang are not refused."""
    facts = cluster(node("a", 8, 8), gpus=False)
    assert ids(facts, role("worker", 17, 64)) == []
    assert ids(facts, role("worker", 1, 64, 9)) == ["vcores-too-large"]


def test_what_fits_but_not_now_is_a_note():
    """A busy cluster, and a queue that has used its share, are told with what is free; the job is not refused."""
    busy = [dataclasses.replace(found, free=Amount(GIB, 1)) for found in TWO.nodes]
    found = answer(dataclasses.replace(TWO, nodes=tuple(busy)), job(), "together")
    assert (found.verdict, found.problem and found.problem.id) == (NOTE, "gang-waits")
    assert found.problem
    assert "free are 2 GiB, 2 vcores on 2 nodes (at most 1 GiB, 1 vcore on one)" in found.problem.sentence
    assert "It waits in queue default" in found.problem.sentence
    used = dataclasses.replace(TWO.queues[1], max_percent=50.0, used_percent=40.0)
    found = answer(dataclasses.replace(TWO, queues=(used,)), job(), "together")
    assert found.problem
    assert "the queue may use 50 % of the nodes and uses 40 %" in found.problem.sentence


def test_everything_at_once():
    """Every problem of queue and roles is told, not only the first."""
    roles = [role("worker", 1, 12 * GIB, 9), role("ps", 1, GIB, 1, 9)]
    expected = ["queue-unknown", "memory-too-large", "vcores-too-large", "gpus-too-large"]
    assert ids(TWO, *roles, queue="nope") == expected


def test_what_else_is_too_much_is_told_beside_a_container_too_large():
    """Sums of another kind, too; that a job which is refused would have to wait as well is nobody's concern."""
    roles = [role("worker", 1, 12 * GIB), role("ps", 5, 64, 1, 1)]
    assert ids(TWO, *roles) == ["memory-too-large", "gang-too-large"]
    busy = [dataclasses.replace(found, free=Amount()) for found in TWO.nodes]
    found = judge(job(role("worker", 1, 12 * GIB)), (), dataclasses.replace(TWO, nodes=tuple(busy)))
    assert [one.problem.id for one in found if one.problem] == ["memory-too-large"]


def test_what_is_not_known_is_not_refused():
    """A cluster without nodes (one that grows on demand), or with lost ones only, refuses nothing about sizes."""
    for facts in (cluster(), cluster(node("a", 8, 8, state="LOST"))):
        assert ids(facts, role("worker", 100, 999 * GIB)) == []
    assert answer(facts, job(), "nodes").verdict == NOTE


def test_role_without_instances_is_not_judged():
    """A role of none asks nothing."""
    assert ids(TWO, *FINE, role("chief", 0, 999 * GIB)) == []


@pytest.mark.parametrize(
    ("least", "most", "verdict"),
    [(2, 4, OK), (2, 8, NOTE), (6, 7, OK), (7, 8, NOTE), (8, 9, REFUSED), (0, 8, REFUSED), (0, 7, OK)],
)
def test_an_elastic_role_needs_its_smallest_number_only(least, most, verdict):
    """What is never possible is judged by the least that is enough, what has to wait by all that is asked."""
    facts = cluster(node("a", 8, 8), node("b", 8, 8))
    spec = job(role("worker", most, 2 * GIB, min_instances=least))
    found = answer(facts, spec, "together")
    assert found.verdict == verdict
    if verdict == NOTE:
        assert f"It waits in queue default for {least + 1} of them, and starts with" in found.problem.sentence


def test_what_an_elastic_job_needs_is_told_by_its_smallest_number():
    """The refusal names what would be enough, and the line below it what was asked."""
    facts = cluster(node("a", 8, 8))
    (found,) = told(facts, job(role("worker", 9, 2 * GIB, min_instances=5)))
    assert found.id == "gang-too-large"
    assert found.evidence == "1 x the ApplicationMaster 512 MiB, 1 vcore, 5:9 x worker 2 GiB, 1 vcore"
    assert found.sentence == "The job needs 10752 MiB at the same time, the cluster's 1 node has 8192 MiB."
