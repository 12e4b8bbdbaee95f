"""Asking for containers and giving them back, by a clock in hand: what YARN is told, when, and how often."""

# ruff: noqa: D102, D103 - the methods are those of the seam, described there
from __future__ import annotations

import asyncio
import dataclasses

import pytest
from fakes import FakeCluster, MemoryStore, plan, role

from am.agent.cluster import GIVEN, ClusterError, Container
from am.agent.history import History
from am.agent.loop import JobLoop
from am.agent.placing import AGAIN_S, Placing
from am.contract import events
from am.contract.job import RESTART_TASK


class Clock:
    """An event loop whose pauses end when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.loop = asyncio.SelectorEventLoop()
        self.loop.time = lambda: self.now_s  # type: ignore[method-assign]

    def go(self, function, *arguments) -> None:
        """Call a function, and let what it began go on until it pauses."""

        async def call() -> None:
            function(*arguments)
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(call())

    def at(self, now_s: float) -> None:
        """Let it be this time."""
        self.now_s = now_s
        self.go(lambda: None)


@pytest.fixture
def clock():
    made = Clock()
    yield made
    made.loop.close()


class Busy(FakeCluster):
    """YARN's master refuses until `refuses` is taken back."""

    async def ask(self, role: str, count: int) -> None:
        if self.refuses:
            raise ClusterError("the ApplicationMaster did not do it")
        await super().ask(role, count)


def test_a_gang_comes_back_after_its_pause(clock):
    """Everything is given back at once; asked for is what lacks then, and how what was given ends is no news."""
    cluster, given_up, lacks = FakeCluster(), {"c0"}, {"worker": 2}
    cluster.known = [Container("c1", "worker", "h:1", GIVEN), Container("", "worker", "", "asked")]
    placing = Placing(cluster, given_up, lambda: True)
    clock.go(placing.give_back, 50.0, lambda: lacks)
    assert (cluster.stopped, given_up, cluster.asked) == (["c1"], {"c0", "c1"}, [])
    clock.at(49.9)
    assert cluster.asked == []
    lacks = {"worker": 2, "ps": 1}
    clock.at(50.0)
    assert cluster.asked == [("worker", 2), ("ps", 1)]
    placing.close()


class BreaksOff(FakeCluster):
    """The call that gives all back kills the first container and fails then, the first time."""

    async def release_all(self) -> frozenset[str]:
        if self.known:
            self.stopped.append(self.known.pop(0).id)
            raise ClusterError("the ApplicationMaster did not answer")
        return frozenset()


def test_a_container_of_a_call_that_broke_off_is_given_up(clock):
    """What was killed before the call broke off is nobody's loss: its end is not taken for a task's."""
    given_up: set[str] = set()
    cluster = BreaksOff([Container(name, "worker", "n1:8042", GIVEN) for name in ("c1", "c2")])
    placing = Placing(cluster, given_up, lambda: True)
    clock.go(placing.give_back, 0.0, dict)
    clock.at(AGAIN_S)
    clock.at(2 * AGAIN_S)
    assert (cluster.stopped, given_up) == (["c1", "c2"], {"c1", "c2"})
    placing.close()
    clock.go(lambda: None)


@pytest.mark.parametrize("ends", [False, True])
def test_what_yarn_did_not_take_is_said_again(clock, ends):
    """Every `AGAIN_S`, once taken never more, and not after the job's end."""
    open_ = True
    cluster = Busy(refuses=True)
    placing = Placing(cluster, set(), lambda: open_)
    clock.go(placing.ask, "worker")
    clock.at(AGAIN_S)
    cluster.refuses, open_ = False, not ends
    clock.at(2 * AGAIN_S - 0.1)
    assert cluster.asked == []
    clock.at(2 * AGAIN_S)
    clock.at(9 * AGAIN_S)
    assert cluster.asked == [("worker", 1)] * (not ends)
    placing.close()


def test_a_new_master_asks_by_itself(clock):
    """The tasks of the attempt before get new attempts and ask for nothing; one that is lost later does."""
    worker = dataclasses.replace(role("worker", 2), on_loss=RESTART_TASK)
    cluster = FakeCluster()
    history = History(MemoryStore(), "/j", 2, lambda _: None)
    loop = JobLoop(plan(worker, max_attempts=2), cluster, history, lambda: 100.0)
    up = [events.TaskRegistered(1.0, f"worker:{n}", 1, f"c{n}", "h", "h:1", "url", (1,)) for n in (0, 1)]
    loop.recall([events.to_line(event) for event in (events.AgentStarted(0.0, 1, "am", 1, "a"), *up)])
    clock.go(loop.listening, "am", 2, "application_1_0001", 2)
    assert ([task.attempt for task in loop.snapshot.tasks.values()], cluster.asked) == ([2, 2], [])
    for event in up:
        clock.go(loop.emit, dataclasses.replace(event, attempt=2, container_id=f"d{event.task[-1]}"))
    clock.go(loop.container_ended, "d1", "worker", "h", -100, "released on a lost node")
    assert (loop.snapshot.tasks["worker:1"].attempt, cluster.asked) == (3, [("worker", 1)])
    loop.placing.close()
    clock.go(lambda: None)
