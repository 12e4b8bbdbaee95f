"""What a cluster says to a job: every question with what is asked, what there is, and what to do."""

import dataclasses
import json
from pathlib import Path

import pytest
from preflight_world import GIB, TWO, answer, ids, job, node, role, told

from yarn_submitter import readers
from yarn_submitter.facts import GPU, Amount, ClusterFacts, Label, Launcher, Node, Partition, Place, Queue, kinds
from yarn_submitter.findings import MAY_BE_WRONG, NOTE, OK, REFUSED, UNKNOWN
from yarn_submitter.preflight import judge
from yarn_submitter.preflight_places import HOME, INPUT, LOCALIZATION, OUTPUT, Want

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    "queue", ["default", "root.default", "train", "ml.train", "root.ml.train", "made.new", "root.made.new"]
)
def test_what_fits_is_fine(queue):
    """A job that fits is accepted in every way to name a queue, also one that is made when it is named."""
    assert {found.verdict for found in judge(job(queue=queue), (), TWO)} == {OK}


@pytest.mark.parametrize(
    ("queue", "problem", "said"),
    [
        ("nope", "queue-unknown", "default, ml.small, ml.train"),
        ("ml", "queue-not-leaf", "choose one below it: ml.small, ml.train"),
        ("root", "queue-not-leaf", "default"),
        ("old", "queue-stopped", "STOPPED"),
    ],
)
def test_queues(queue, problem, said):
    """A wrong queue is told with those that can be used."""
    (found,) = told(TWO, job(queue=queue))
    assert found.id == problem
    assert said in found.text()


LABELS = (Label("gpu"), Label("ssd", exclusive=False))


def labelled(*nodes: Node, **queue) -> ClusterFacts:
    """Return a cluster of labelled nodes and queues of which only some reach them."""
    parts = (Partition(), Partition("gpu", 50.0))
    mine = Queue("default", "root.default", **{"labels": ("gpu",), "partitions": parts, **queue})
    far = Queue("far", "root.far", labels=("*",), partitions=(Partition(), Partition("gpu", 0.0, 0.0)))
    return ClusterFacts((mine, far), nodes, (GPU,), labels=LABELS)


MIXED = labelled(node("a", 4, 8), node("b", 8, 8, 4, label="gpu"))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (job(role("a", 1, 6 * GIB, node_label="gpu")), []),
        (job(role("a", 1, 6 * GIB)), ["memory-too-large"]),
        (job(role("a", 1, GIB, 1, 1)), ["gpus-too-large"]),
        (job(role("a", 1, GIB, 1, 1), node_label="gpu"), []),
        (job(role("a", 1, 8 * GIB), node_label="gpu"), []),
        (job(role("a", 1, GIB, node_label="red")), ["label-unknown"]),
        (job(role("a", 1, GIB, node_label="gpu"), queue="far"), ["label-denied"]),
        (job(role("a", 1, GIB, node_label="ssd")), ["label-denied"]),
        (job(role("a", 5, 2 * GIB, node_label="gpu")), ["gang-too-large"]),
        (job(role("a", 1, GIB, node_label="gpu"), role("b", 1, 3 * GIB)), []),
        (job(role("a", 2, 2 * GIB)), ["gang-too-large"]),
    ],
)
def test_labels(spec, expected):
    """A role is measured by the nodes that carry its label; one that is unknown or out of reach is refused."""
    assert [problem.id for problem in told(MIXED, spec)] == expected


def test_a_wrong_label_hides_nothing():
    """What the scheduler gives in no case is told beside a label that is unknown."""
    queues = tuple(dataclasses.replace(queue, max_allocation=Amount(8 * GIB, 8)) for queue in MIXED.queues)
    facts = dataclasses.replace(MIXED, queues=queues)
    assert ids(facts, role("a", 1, 9 * GIB, node_label="red")) == ["label-unknown", "memory-too-large"]


def test_a_label_names_who_reaches_it():
    """Who cannot reach a label is told which queues can, and which labels there are."""
    (found,) = told(MIXED, job(role("a", 1, GIB, node_label="gpu"), queue="far"))
    assert found.next_step == "choose one of these with --queue: default"
    (found,) = told(MIXED, job(role("a", 1, GIB, node_label="red")))
    assert found.next_step == "choose one of gpu, ssd"
    lost = labelled(node("a", 4, 8), node("b", 8, 8, label="gpu", state="LOST"))
    assert [problem.id for problem in told(lost, job(role("a", 1, GIB, node_label="gpu")))] == ["label-no-node"]


def test_a_queue_has_a_label_of_its_own():
    """Where a queue sends jobs to a label by default, the job is measured by those nodes."""
    facts = labelled(*MIXED.nodes, default_label="gpu")
    assert ids(facts, role("a", 1, 6 * GIB, 1, 2)) == []


def test_nodes_of_a_shared_label_are_lent_but_not_to_the_application_master():
    """Tasks without a label may run on idle nodes of a label that is not exclusive; YARN keeps masters off them."""
    facts = labelled(node("a", 1, 8), node("b", 8, 8, label="ssd"))
    assert ids(facts, role("a", 1, 6 * GIB)) == []
    facts = labelled(node("b", 8, 8, label="ssd"), node("c", 8, 8, label="gpu"))
    (found,) = told(facts, job(role("a", 1, GIB)))
    assert (found.id, found.sentence.partition(",")[0]) == (
        "am-no-node",
        "The job's ApplicationMaster needs 512 MiB on a node without a label",
    )
    assert ids(facts, role("a", 1, GIB), node_label="gpu") == ["am-no-node"]
    facts = labelled(*facts.nodes, default_label="gpu")
    assert ids(facts, role("a", 1, GIB)) == []


@pytest.mark.parametrize(
    ("limit", "used", "strict", "verdict", "problem"),
    [
        (4096, 0, False, OK, None),
        (256, 0, False, OK, None),
        (1024, 1024, False, NOTE, "am-share-used"),
        (4096, 0, True, OK, None),
        (256, 0, True, REFUSED, "am-share-too-small"),
        (0, 0, True, OK, None),
    ],
)
def test_share_of_application_masters(limit, used, strict, verdict, problem):
    """The capacity scheduler lets one start in any case, the fair scheduler none over the share; full is a note."""
    queue = Queue(
        "default",
        "root.default",
        am_limit=Amount(limit, 8),
        am_used=Amount(used, 1 if used else 0),
        am_limit_strict=strict,
        active_apps=2,
    )
    found = answer(ClusterFacts((queue,), TWO.nodes, (GPU,)), job(), "AM share")
    assert (found.verdict, found.problem and found.problem.id) == (verdict, problem)


WANTS = (
    Want(INPUT, "hdfs:///in", "/in"),
    Want(LOCALIZATION, "hdfs:///lib", "/lib"),
    Want(OUTPUT, "hdfs:///out", "/out"),
    Want(HOME, "/user/ada", "/user/ada"),
)
YES = {want.path: Place(want.path) for want in WANTS}


@pytest.mark.parametrize(
    ("place", "problem", "said"),
    [
        (Place("/in", exists=False), "input-missing", "There is no hdfs:///in on the cluster."),
        (Place("/in", denied="user=eve, access=READ"), "input-denied", "user=eve, access=READ"),
        (Place("/lib", exists=False), "localization-missing", "hdfs:///lib"),
        (Place("/lib", denied="no"), "localization-denied", "hdfs:///lib"),
        (Place("/out", is_dir=False), "output-not-directory", "is a file"),
        (Place("/out", exists=False, denied="/x (is not a directory)"), "output-not-directory", "below one"),
        (Place("/out", exists=False, nearest="/", denied="no"), "output-denied", "hdfs:///out, below /."),
        (Place("/user/ada", exists=False, nearest="/user", denied="no"), "home-denied", "YARN_SUBMITTER_ROOT"),
    ],
)
def test_places(place, problem, said):
    """What is read must be there and readable, what is written a directory that may be written or made."""
    facts = dataclasses.replace(TWO, readable=YES, writable=YES)
    assert told(facts, job(), wants=WANTS) == []
    changed = {**YES, place.path: place}
    (found,) = told(dataclasses.replace(facts, readable=changed, writable=changed), job(), wants=WANTS)
    assert found.id == problem
    assert said in found.text()


def test_another_file_system_is_not_judged():
    """What lies elsewhere is shown as not looked at."""
    found = answer(TWO, job(), "input", (Want(INPUT, "s3a://bucket/in", ""),))
    assert (found.verdict, found.problem) == (UNKNOWN, None)


LCE = "org.apache.hadoop.yarn.server.nodemanager.LinuxContainerExecutor"
DCE = "org.apache.hadoop.yarn.server.nodemanager.DefaultContainerExecutor"


@pytest.mark.parametrize(
    ("launchers", "verdict", "problem"),
    [
        ((Launcher("a:1", LCE, ("default", "docker")),), OK, None),
        ((Launcher("a:1", DCE, ("default", "docker")),), REFUSED, "docker-ignored"),
        ((Launcher("a:1", LCE, ("default",)),), REFUSED, "docker-not-allowed"),
        ((Launcher("a:1", LCE, ("docker",)), Launcher("b:1", DCE)), REFUSED, "docker-ignored"),
        ((Launcher("a:1", silence="no answer"),), UNKNOWN, "docker-unknown"),
        ((), UNKNOWN, "docker-unknown"),
    ],
)
def test_docker(launchers, verdict, problem):
    """An image where NodeManagers would run the command on the bare node is refused; without one nobody asks."""
    facts = dataclasses.replace(TWO, launchers=launchers)
    found = answer(facts, job(image="python:3.11"), "docker")
    assert (found.verdict, found.problem and found.problem.id) == (verdict, problem)
    assert [found for found in judge(job(), (), facts) if found.question == "docker"] == []


def test_a_live_job_of_the_same_name_is_a_note():
    """Several live jobs may share a name; it is said, since the name alone will be none of them."""
    found = answer(dataclasses.replace(TWO, namesakes=("application_1_0001",)), job(), "name")
    assert found.verdict == NOTE
    assert found.problem
    assert found.problem.id == "name-taken"


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
    found = told(dataclasses.replace(TWO, queues=queues), job(queue="prod"), user)
    assert [problem.id for problem in found] == (["queue-denied"] if refused else [])
    assert all(problem.next_step == "choose one of these with --queue: ml" for problem in found)


def recorded(version: str, end: str = "") -> ClusterFacts:
    """Return the facts of a recorded cluster."""

    def read(name: str) -> object:
        return json.loads((DATA / f"rest-{version}" / name).read_text(), object_pairs_hook=_first)

    nodes = [readers.node(data) for data in readers.items(read(f"nodes{end}.json"), "nodes", "node")]
    queues = readers.queues(read(f"scheduler{end}.json"))
    labels = readers.labels(read("get-node-labels.json"))
    return ClusterFacts(tuple(queues), tuple(nodes), kinds(found.total for found in nodes), tuple(labels))


def _first(pairs):
    return dict(reversed(pairs))


@pytest.mark.parametrize(
    ("version", "end", "spec", "expected"),
    [
        ("3.5.0", "", job(role("a", 2, 4 * GIB, 2, 2)), []),
        ("3.4.3", "", job(role("a", 2, 4 * GIB, 2, 2)), []),
        ("3.5.0", "", job(role("a", 1, 8 * GIB + 1)), ["memory-too-large"]),
        ("3.4.3", "", job(role("a", 1, 8 * GIB + 1)), ["memory-too-large"]),
        ("3.5.0", "", job(role("a", 1, GIB, 1, 5)), ["gpus-too-large"]),
        ("3.4.3", "", job(role("a", 1, GIB, 1, 5)), ["gpus-too-large"]),
        ("3.5.0", "", job(role("a", 2, 8 * GIB)), ["gang-too-large"]),
        ("3.4.3", "", job(role("a", 1, GIB), node_label="gpu"), ["label-no-node"]),
        ("3.4.3", "", job(role("a", 1, GIB, node_label="gpu")), ["label-no-node"]),
        ("3.5.0", "-labelled", job(role("a", 1, 6 * GIB, 1, 4, node_label="gpu")), []),
        ("3.5.0", "-labelled", job(role("a", 2, 6 * GIB, node_label="gpu")), ["gang-too-large"]),
        ("3.5.0", "-labelled", job(role("a", 1, 8 * GIB)), ["gang-too-large"]),
        ("3.5.0", "-labelled", job(role("a", 1, GIB, node_label="red")), ["label-unknown"]),
    ],
)
def test_recorded_clusters(version, end, spec, expected):
    """Recorded answers of both versions give the same judgement, with and without labelled nodes."""
    assert [problem.id for problem in told(recorded(version, end), spec)] == expected


def test_which_refusals_may_be_wrong():
    """Sizes, labels, shares and Docker may; queues, rights and files may not."""
    for problem in ("queue-unknown", "queue-denied", "queue-stopped", "input-missing", "home-denied"):
        assert problem not in MAY_BE_WRONG
    assert all(found.may_be_wrong for found in judge(job(role("a", 1, 99 * GIB)), (), TWO) if found.verdict == REFUSED)


def test_one_size_hides_no_other():
    """Too many GPUs for any node, and too much memory for all nodes together, are told at once."""
    facts = labelled(node("a", 8, 8, gpus=1), node("b", 8, 8, gpus=1))
    assert ids(facts, role("a", 30, 4 * GIB, 1, 8)) == ["gpus-too-large", "gang-too-large"]
    assert ids(facts, role("a", 2, 9 * GIB)) == ["memory-too-large"]
