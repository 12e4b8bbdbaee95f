"""The witness alone, with the clock in hand: whom it asks, and what it makes of the answers."""

from __future__ import annotations

import asyncio

import pytest
from fakes import FakeCluster, MemoryStore, plan, registration, role

from am.agent.cluster import DOWN, ENDED, GIVEN, GONE, LOCALIZING, RUNNING, UNKNOWN, ClusterError, Container, NodeWord
from am.agent.desk import Desk
from am.agent.history import History
from am.agent.loop import JobLoop
from am.agent.witness import DOWN_S, LATE_S, LOOKS_AT_ONCE, Witness


class Job:
    """A job whose workers have registered at 0 s, and what is known of it.

    Args:
        workers: How many there are.
        registered: How many of them are up.
        cluster: YARN.
    """

    def __init__(self, workers: int, registered: int, cluster: FakeCluster) -> None:
        self.now_s = 0.0
        history = History(MemoryStore(), "/j", 1, lambda _: None)
        self.loop = JobLoop(plan(role("worker", workers)), cluster, history, lambda: self.now_s)
        self.loop.listening("127.0.0.1", 1, "application_1_0001", 1)
        self.witness = Witness(self.loop, cluster)
        for index in range(registered):
            Desk(self.loop).register(registration("worker", f"c{index}"))

    def tick(self) -> None:
        """Let the loop decide what only the clock can bring about."""

        async def tick() -> None:
            self.loop.tick()
            self.loop.placing.close()

        asyncio.run(tick())

    def at(self, now_s: float) -> dict[str, float]:
        """Let the witness look at the doubts of this moment."""
        self.now_s = now_s
        return asyncio.run(self.witness.look_at_doubts())

    def end_of(self, task: str) -> str | None:
        """Return YARN's words on a task's end, None when it lives."""
        ended = self.loop.snapshot.tasks[task].exit
        return None if ended is None else ended.tail

    def waiting(self) -> str:
        """Return what the user was told last that the job waits for."""
        said = self.loop.snapshot.waiting
        return "" if said is None else said.reason


LISTED = [Container("c0", "worker", "h:1", ENDED, "released on a lost node")]


@pytest.mark.parametrize(
    ("word", "listed", "doubt_s", "expected"),
    [
        (NodeWord(RUNNING), [], 50.0, None),
        (NodeWord(GONE, words="not known"), [], 0.0, "not known"),
        (NodeWord(DOWN, words="nobody there"), [], DOWN_S - 0.1, None),
        (NodeWord(DOWN, words="nobody there"), [], DOWN_S, "its executor has been silent for 5 s, and nobody there"),
        (NodeWord(DOWN, words="nobody there"), LISTED, 0.0, "released on a lost node"),
        (NodeWord(UNKNOWN), [], 50.0, None),
        (NodeWord(UNKNOWN), LISTED, 0.0, "released on a lost node"),
        (NodeWord(UNKNOWN), [Container("c0", "worker", "h:1", GIVEN)], 50.0, None),
        (NodeWord(RUNNING), LISTED, 50.0, None),
    ],
)
@pytest.mark.parametrize("broken", [True, False])
def test_what_ends_a_doubt(word, listed, doubt_s, expected, broken):
    """Whether a connection broke or a beat is late: the node's word; YARN's and the machine's where it has none."""
    job = Job(2, 2, FakeCluster(known=list(listed), nodes={"c0": word}))
    job.loop.signs.heard_s["worker:1"] = 1e6
    if broken:
        job.loop.signs.doubted_s["worker:0"] = 0.0
    now_s = doubt_s if broken else doubt_s + LATE_S + 0.001
    assert list(job.at(now_s)) == ["worker:0"]
    assert job.end_of("worker:0") == expected


def test_an_executor_that_speaks_meanwhile_is_alive():
    """Its NodeManager is gone and it beats: a word that comes while its node is asked counts more."""

    class Speaks(FakeCluster):
        async def look(self, container_id, node_http):  # noqa: ARG002 - the seam's
            job.now_s += 0.1
            Desk(job.loop).register(registration("worker", container_id))
            return NodeWord(DOWN)

    job = Job(1, 1, Speaks(known=list(LISTED)))
    job.loop.signs.doubted_s["worker:0"] = 0.0
    job.at(60.0)
    assert job.end_of("worker:0") is None
    assert job.at(job.now_s) == {}


def test_a_list_that_is_not_to_be_had_ends_nobody():
    """The ApplicationMaster does not answer: there is no second witness, and `silence_s` decides."""

    class Silent(FakeCluster):
        async def containers(self):
            raise ClusterError("the ApplicationMaster did not do it")

    job = Job(1, 1, Silent(nodes={"c0": NodeWord(UNKNOWN)}))
    job.loop.signs.doubted_s["worker:0"] = 0.0
    job.at(50.0)
    assert job.end_of("worker:0") is None


def test_yarn_is_asked_only_when_a_node_is_silent():
    """A node's own word needs no second witness."""

    class NoList(FakeCluster):
        async def containers(self):
            raise KeyError("a bug")

    job = Job(1, 1, NoList())
    job.loop.signs.doubted_s["worker:0"] = 0.0
    assert job.at(50.0) == {"worker:0": 50.0}


def test_every_doubt_has_its_turn():
    """When a whole rack is silent, nodes that were asked without an answer do not keep others from being asked."""
    last = f"c{2 * LOOKS_AT_ONCE - 1}"
    job = Job(2 * LOOKS_AT_ONCE, 2 * LOOKS_AT_ONCE, FakeCluster(nodes={last: NodeWord(GONE)}))
    job.loop.signs.doubted_s.update(dict.fromkeys(job.loop.snapshot.tasks, 0.0))
    job.at(1.0)
    assert job.end_of(f"worker:{last[1:]}") is None
    job.at(1.5)
    assert job.end_of(f"worker:{last[1:]}") is not None


def test_a_task_of_a_job_that_holds_no_beats_may_pause_between_two():
    """Where they are so many that beats are answered at once, one is late only after the pause that they were told."""
    job = Job(2, 2, FakeCluster())
    job.loop.holds = False
    assert job.loop.beat_s == 1.0
    assert job.at(LATE_S + 0.9) == {}
    assert list(job.at(LATE_S + 1.1)) == ["worker:0", "worker:1"]


def test_a_container_on_a_silent_node_does_not_wait_for_ever():
    """Before registration: a node that says nothing starts the clock, and one that fetches files stops it."""
    cluster = FakeCluster(known=[Container("c9", "worker", "h:1", GIVEN)])
    job = Job(1, 0, cluster)
    seen = []
    for now_s, state in enumerate([LOCALIZING, UNKNOWN, DOWN, RUNNING, LOCALIZING]):
        job.now_s = float(now_s)
        cluster.nodes["c9"] = NodeWord(state)
        asyncio.run(job.witness.look_for_unregistered())
        sighting = job.loop.signs.sightings["c9"]
        seen.append((sighting.localizing, sighting.running_since_s, sighting.silent))
    assert seen == [
        (True, None, False),
        (False, 1.0, True),
        (False, 1.0, True),
        (False, 1.0, False),
        (True, None, False),
    ]
    cluster.nodes["c9"] = NodeWord(DOWN)
    job.now_s = 10.0
    asyncio.run(job.witness.look_for_unregistered())
    job.now_s = 130.0
    job.tick()
    assert job.waiting() == "waiting for 1 of 1 worker (1 on nodes that do not answer)"
    assert job.end_of("worker:0") is None
    job.now_s = 130.1
    job.tick()
    task = job.loop.snapshot.tasks["worker:0"]
    assert (task.state, task.attempt) == ("NEW", 2)
    said = "container c9 has not registered, and h:1 is silent for 120 s"
    assert any(said in line for line in job.loop.lines)
