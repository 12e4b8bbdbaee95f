"""Why a job waits: a different sentence for each cause, from what a real scheduler told, and from made-up clusters."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from yarn_submitter import readers
from yarn_submitter.facts import GPU, Amount, ClusterFacts, Label, Node, Partition, Pending, Queue, UserShare
from yarn_submitter.pending import Waits, reasons
from yarn_submitter.rest import App

RECORDED = Path(__file__).parent / "data" / "rest-3.5.0"


def recorded(name: str) -> Any:
    """Return a recorded answer."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def app(state: str = "RUNNING", queue: str = "root.ml", pending: tuple[Pending, ...] = (), said: str = "") -> App:
    """Return an application that waits."""
    return App(
        *("application_1_0001", "fit", "ada", queue, state, "UNDEFINED", said, (), "skein", 0, 0.0, 1.0, 0.0, 0.0),
        *("", "", "", Amount(), 0, ""),
        pending=pending,
    )


def of_recorded(name: str, activities: str) -> list[str]:
    """Return the reasons for an application of the busy cluster that was recorded."""
    data = recorded(f"app-{name}")["app"]
    kept = Amount(data["reservedMB"], data["reservedVCores"])
    waiting = app(data["state"], data["queue"], readers.pending(data), data["diagnostics"])
    waiting = dataclasses.replace(waiting, user=data["user"], reserved=kept)
    busy = "fragmented" if name == "fragmented" else "busy"
    nodes = tuple(readers.node(node) for node in recorded(f"nodes-{busy}")["nodes"]["node"])
    cluster = ClusterFacts(tuple(readers.queues(recorded(f"scheduler-{busy}"))), nodes)
    return reasons(Waits(waiting, cluster, readers.activities(recorded(f"activities-{activities}"))))


@pytest.mark.parametrize(
    ("name", "activities", "told"),
    [
        (
            "queue-full",
            "queue-full",
            [
                (
                    "queue ml is full: 7 GiB, 8 vcores in use, at most 8 GiB, 8 vcores, 4 GPUs allowed (its "
                    "share is 25 % of the cluster, its maximum 50 %); the job waits for its ApplicationMaster, "
                    "512 MiB, 1 vcore"
                ),
                (
                    "YARN says: Application is Activated, waiting for resources to be assigned for AM; Queue does not "
                    "have enough headroom for inner highest-priority request"
                ),
            ],
        ),
        (
            "am-share",
            "none",
            [
                (
                    "queue default has used up its share for ApplicationMasters: 512 MiB, 1 vcore of 192 MiB, "
                    "1 vcore, 1 GPU in use; this job's needs 512 MiB, 1 vcore and starts when another job of the queue "
                    "ends"
                ),
                (
                    "YARN says: Application is added to the scheduler and is not yet activated. Queue's AM resource "
                    "limit exceeded"
                ),
            ],
        ),
        (
            "user-limit",
            "user-limit",
            [
                (
                    "root has reached the limit of one user in queue prod: 2560 MiB, 3 vcores in use, 2 GiB, "
                    "2 vcores, 1 GPU allowed; the job waits for 1 container of 1 GiB, 1 vcore"
                ),
                "YARN says: Queue hits user max-capacity limit",
            ],
        ),
    ],
)
def test_a_busy_cluster(name: str, activities: str, told: list[str]) -> None:
    """Queue full, share of ApplicationMasters, limit of a user: recorded on Hadoop 3.5.0."""
    assert of_recorded(name, activities) == told


def test_what_is_kept_free_for_a_job_does_not_fill_its_queue() -> None:
    """YARN reserves a part of a node for a large container, and counts it as used: it is no reason to wait."""
    assert of_recorded("fragmented", "fragmented") == [
        (
            "no single node has room for a container of 4 GiB, 1 vcore, though 5 GiB, 12 vcores, 8 GPUs are free in all"
            "; the largest free one, 127.0.0.12, has 3 GiB, 7 vcores, 4 GPUs"
        ),
        "YARN says: Node does not have sufficient resource for request, insufficient resources=[memory-mb]",
    ]


def test_without_the_schedulers_own_words() -> None:
    """A cluster that tells no activities gets the same sentence from its numbers."""
    assert len(of_recorded("user-limit", "none")) == 1
    assert of_recorded("user-limit", "none") == of_recorded("user-limit", "user-limit")[:1]


def node(host: str, free_mib: int, *labels: str, total_mib: int = 8192, gpus: int = 0, state: str = "RUNNING") -> Node:
    """Return a node of 8 GiB and 8 cores, of which some memory is free."""
    free, whole = Amount(free_mib, 8, {GPU: gpus}), Amount(total_mib, 8, {GPU: 4})
    return Node(f"{host}:1", host, "", state, whole, free, labels=labels)


def ask(memory_mib: int, count: int = 1, label: str = "", gpus: int = 0) -> Pending:
    """Return containers that are waited for."""
    return Pending(Amount(memory_mib, 1, {GPU: gpus} if gpus else {}), count, label)


ROOT = Queue("root", "root", leaf=False, partitions=(Partition(most=Amount(1, 1), used=Amount(9, 9)),))
ML = Queue("ml", "root.ml", labels=("gpu",))


def why(asked: Pending, *nodes: Node, queues: tuple[Queue, ...] = (ROOT, ML), state: str = "RUNNING") -> str:
    """Return the first reason why something waits."""
    labels = (Label("gpu"), Label("fast"))
    found = reasons(Waits(app(state, pending=(asked,)), ClusterFacts(queues, nodes, labels=labels)))
    assert len(found) <= 1
    return found[0] if found else ""


@pytest.mark.parametrize(
    ("asked", "nodes", "told"),
    [
        (ask(4096), (node("n1", 3072), node("n2", 2048)),
         ("no single node has room for a container of 4 GiB, 1 vcore, though 5 GiB, 16 vcores are free in all; the "
         "largest free one, n1, has 3 GiB, 8 vcores")),
        (ask(4096, gpus=2), (node("n1", 8192), node("n2", 1024, gpus=4)),
         ("no single node has room for a container of 4 GiB, 1 vcore, 2 GPUs, though 9 GiB, 16 vcores, 4 GPUs are free "
         "in all; the largest free one, n2, has 1 GiB, 8 vcores, 4 GPUs")),
        (ask(4096), (node("n1", 1024), node("n2", 2048)),
         ("the nodes are full: 3 GiB, 16 vcores of 16 GiB, 16 vcores, 8 GPUs free in all; a container of this job "
         "takes 4 GiB, 1 vcore")),
        (ask(9000), (node("n1", 8192), node("n2", 8192)),
         "no node is large enough for a container of 9000 MiB, 1 vcore; the largest free one, n1, has 8 GiB, 8 vcores"),
        (ask(512, label="gpu"), (node("n1", 8192), node("n2", 0, "gpu", state="LOST")),
         "no live node has the label gpu, on which this job's containers must run (1 LOST)"),
        (ask(512), (node("n1", 8192, "gpu"),), "every live node has a label, and this job asks for none"),
        (ask(512), (node("n1", 0, state="LOST"), node("n2", 0, state="UNHEALTHY")),
         "the cluster has no live node (1 LOST, 1 UNHEALTHY)"),
        (ask(512), (node("n1", 8192),), ""),
    ],
)  # fmt: skip
def test_nodes(asked: Pending, nodes: tuple[Node, ...], told: str) -> None:
    """Fragmented, full, too small, a label that no node has, nobody there: each has its sentence; room has none."""
    assert why(asked, *nodes) == told


def test_a_queue_above_is_full() -> None:
    """What its parent has given to others is missing in a queue, too; the root is the cluster and is told as nodes."""
    full = Partition(
        most=Amount(4096, 8), used=Amount(4096, 4), used_percent=50.0, capacity_percent=40.0, max_percent=50
    )
    team = Queue("team", "root.team", leaf=False, partitions=(full,))
    ml = Queue("ml", "root.team.ml", partitions=(Partition(most=Amount(4096, 8), used=Amount(0, 0)),))
    found = reasons(
        Waits(app(queue="root.team.ml", pending=(ask(512),)), ClusterFacts((ROOT, team, ml), (node("n1", 8192),)))
    )
    assert found[0].startswith(
        "queue team is full: 4 GiB, 4 vcores in use, at most 4 GiB, 8 vcores allowed (its share is 40 %"
    )


def test_the_share_of_one_users_masters() -> None:
    """Told in YARN's words only; the numbers do not show it."""
    said = "[Sun Nov 22 21:55:33 +0000 2026] Application is added to the scheduler and is not yet activated. User's AM "
    said += "resource limit exceeded.  Details : AM Partition = <DEFAULT_PARTITION>;"
    found = reasons(Waits(app("ACCEPTED", pending=(ask(512),), said=said), ClusterFacts((ML,), (node("n1", 8192),))))
    assert found[0].startswith("ada has used up what one user's ApplicationMasters may have in queue ml; this job's")
    assert "Details" not in found[1]


def test_nothing_is_said_of_a_job_that_does_not_wait() -> None:
    """Its containers are all there, or it has ended."""
    cluster = ClusterFacts((ML,), ())
    assert reasons(Waits(app("RUNNING"), cluster)) == []
    assert reasons(Waits(app("FINISHED", pending=(ask(1),)), cluster)) == []


def test_a_cause_that_is_not_known_here() -> None:
    """YARN's own words are what is left."""
    cluster = ClusterFacts((ML,), (node("n1", 8192),))
    found = reasons(Waits(app("ACCEPTED", pending=(ask(1),), said="The planets are not aligned."), cluster))
    assert found == ["YARN says: The planets are not aligned"]


def test_the_largest_ask_is_explained() -> None:
    """Of several kinds of containers the one that is hardest to place."""
    waits = Waits(app(pending=(ask(3500), ask(4096))), ClusterFacts((ML,), (node("n1", 3000), node("n2", 3000))))
    assert "4 GiB" in reasons(waits)[0]


def test_few_of_the_schedulers_words_are_enough() -> None:
    """What it says of an application that is passed over only because nothing of it waits is none of them."""
    said = ("Application has no pending requests", "one", "two", "two.", "three")
    waits = Waits(app("ACCEPTED", pending=(ask(1),), said="zero."), ClusterFacts((ML,), (node("n1", 8192),)), said)
    assert reasons(waits) == ["YARN says: zero; one; two"]


@pytest.mark.parametrize(("label", "expected"), [("", True), ("gpu", False)])
def test_the_limit_of_one_user_is_that_of_nodes_without_a_label(label: str, expected: bool) -> None:
    """The scheduler tells the numbers of the default partition only."""
    ml = dataclasses.replace(ML, users=(UserShare("ada", Amount(4096, 4), Amount(2048, 2)),))
    nodes = (node("n1", 8192), node("n2", 8192, "gpu"))
    assert why(ask(512, label=label), *nodes, queues=(ml,)).startswith("ada has reached the limit") == expected
