"""The desk alone: what it makes of an executor that speaks while its task is being given to another container."""

# ruff: noqa: D102, D103, ARG002 - the method is that of the seam, described there
from __future__ import annotations

import asyncio
import dataclasses

import pytest
from fakes import FakeCluster, MemoryStore, plan, registration, role

from am.agent.cluster import ENDED, GIVEN, Container, NodeWord
from am.agent.desk import Desk, Refusal
from am.agent.history import History
from am.agent.loop import JobLoop
from am.agent.signs import Sighting
from am.agent.witness import Witness
from am.contract import wire
from am.contract.events import HostAvoided
from am.contract.job import RESTART_JOB, RESTART_TASK, Limits


class Told(FakeCluster):
    """YARN whose node is asked by two at once: the other one tells what it said before this one can."""

    loop: JobLoop

    async def look(self, container_id: str, node_http: str) -> NodeWord:
        self.loop.container_ended(container_id, "worker", "h", -102, "")
        return NodeWord(ENDED, -102)


def job(cluster: FakeCluster, worker, **changes) -> tuple[JobLoop, Desk]:
    loop = JobLoop(plan(worker, **changes), cluster, History(MemoryStore(), "/j", 1, lambda _: None), lambda: 100.0)
    loop.listening("127.0.0.1", 1, "application_1_0001", 1)
    return loop, Desk(loop)


def test_an_end_that_two_tell_of_is_one_end():
    """YARN ends a container, and its executor's word comes while the witness tells of it: one restart, not two."""

    async def play() -> None:
        cluster = Told()
        loop, desk = job(cluster, dataclasses.replace(role("worker"), on_loss=RESTART_TASK))
        cluster.loop = loop
        desk.register(registration("worker", "c0"))
        with pytest.raises(Refusal):
            await desk.exit(wire.Exit("c0", 143))
        loop.placing.close()
        assert (loop.snapshot.tasks["worker:0"].attempt, loop.snapshot.lacking) == (2, 1)

    asyncio.run(play())


def test_a_container_whose_host_is_avoided_does_not_begin_again():
    """A task that waited while all were told to start again goes elsewhere, and its container is sent away."""

    async def play() -> None:
        worker = dataclasses.replace(role("worker", 2), on_failure=RESTART_JOB)
        loop, desk = job(FakeCluster(), worker, max_restarts=1)
        for name in ("c0", "c1"):
            desk.register(registration("worker", name))
        loop.emit(HostAvoided(100.0, loop.snapshot.tasks["worker:0"].host, "attempts failed there"))
        await desk.exit(wire.Exit("c0", 1))
        with pytest.raises(Refusal):
            desk.register(dataclasses.replace(registration("worker", "c1"), attempt=1))
        loop.placing.close()
        assert loop.snapshot.registered == 0

    asyncio.run(play())


def test_what_is_given_back_is_no_news_any_more():
    """Executors of a gang that was given back may leave, or come, before YARN has taken their containers."""

    async def play() -> None:
        cluster = FakeCluster()
        loop, desk = job(cluster, role("worker", 3), limits=Limits(gang_hold_s=10))
        desk.register(registration("worker", "c0"))
        loop.signs.sightings = {"c1": Sighting("worker", "h:1")}
        loop.dropped("c0")
        loop.clock = lambda: 120.0
        loop.tick()
        assert (loop.snapshot.tries, loop.signs.doubted_s, loop.signs.heard_s) == (1, {}, {})
        with pytest.raises(Refusal):
            desk.register(registration("worker", "c1"))
        cluster.known = [Container("c0", "worker", "h:1", ENDED), Container("c1", "worker", "h:1", GIVEN)]
        cluster.end("c1", 1)
        await Witness(loop, cluster).look_for_unregistered()
        loop.placing.close()
        assert [task.attempt for task in loop.snapshot.tasks.values()] == [1, 1, 1]

    asyncio.run(play())


def test_a_program_starts_once():
    """Each beat names it: only the first is news; a beat may still name the program of the attempt before."""

    async def play() -> None:
        worker = dataclasses.replace(role("worker"), on_failure=RESTART_TASK)
        loop, desk = job(FakeCluster(), worker, max_restarts=1)

        async def beat(pid: int) -> int:
            await desk.beat(wire.Beat("c0", loop.snapshot.orders, 0.0, pid=pid))
            return sum('"TaskStarted"' in line for line in loop.lines)

        desk.register(registration("worker", "c0"))
        assert [await beat(0), await beat(7), await beat(7)] == [0, 1, 1]
        assert (await desk.exit(wire.Exit("c0", 1))).hold
        assert (loop.snapshot.tasks["worker:0"].attempt, await beat(7)) == (2, 1)
        desk.register(dataclasses.replace(registration("worker", "c0"), attempt=1))
        assert [await beat(0), await beat(8), await beat(8)] == [1, 2, 2]
        loop.placing.close()

    asyncio.run(play())
