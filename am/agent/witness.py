"""YARN as the second witness: asks for containers that are not registered, and for those whose connection broke.

An executor's own word comes at once; only where it is missing is anybody asked, so a job that goes well costs one call
each two seconds until its gang is complete, and none after.

A node that does not answer proves nothing by itself: containers outlive their NodeManager, and it comes back. A task
is lost with it when its machine is there to refuse a connection and the executor, which would have connected again
within seconds, is silent, too. Of a machine that is silent, only YARN's word or `silence_s` counts.
"""

from __future__ import annotations

import asyncio
import logging
import typing

from am.agent import words
from am.agent.cluster import DOWN, ENDED, GIVEN, GONE, LOCALIZING, RUNNING, UNKNOWN, ClusterError
from am.agent.signs import Sighting

if typing.TYPE_CHECKING:
    from am.agent.cluster import Cluster, Container
    from am.agent.loop import JobLoop

GATHERING_S = 2.0  # between two looks at containers that are not registered
IDLE_S = 60.0  # nothing is missed by then: the loop says when a container is lacking
DOUBT_S = 0.5  # between two looks at a container whose connection broke
OLD_DOUBT_S = 5.0  # the same, when its node has said for DOUBT_GETS_OLD_S that it runs
DOUBT_GETS_OLD_S = 10.0
DOWN_S = 5.0  # how long a doubt lasts beside a NodeManager that is gone; executors try to connect each second or so
LATE_S = 3.0  # a beat that comes so much too late is missed
LOOKS_AT_ONCE = 20
LOG = logging.getLogger(__name__)


class Witness:
    """Feeds the loop with what YARN knows."""

    def __init__(self, loop: JobLoop, cluster: Cluster) -> None:
        self._loop = loop
        self._cluster = cluster
        self._reported: set[str] = set()
        self._asked: dict[str, int] = {}  # task name -> the round in which its node was asked last
        self._round = 0

    async def run(self) -> None:
        """Watch until the job has its verdict."""
        await asyncio.gather(self._watch_gathering(), self._watch_doubts())

    async def _watch_gathering(self) -> None:
        while self._loop.snapshot.stopping is None:
            if self._loop.snapshot.lacking:
                try:
                    await self.look_for_unregistered()
                except ClusterError as error:
                    LOG.warning("%s", error)
                await asyncio.sleep(GATHERING_S)
            else:
                await self._loop.lack(IDLE_S)

    async def look_for_unregistered(self) -> None:
        """Report containers that ended before their executor registered, and remember what the others do.

        Raises:
            ClusterError: The launcher does not list them.
        """
        found = await self._cluster.containers()
        known = self._loop.snapshot.containers.keys() | self._reported | self._loop.signs.given_up
        open_ = [item for item in found if item.id and item.id not in known and item.state in {GIVEN, ENDED}]
        before = self._loop.signs.sightings
        self._loop.signs.sightings = {
            item.id: before.get(item.id, Sighting(item.role, item.node_http)) for item in open_ if item.state == GIVEN
        }
        for start in range(0, len(open_), LOOKS_AT_ONCE):
            await asyncio.gather(*(self._look_at(item) for item in open_[start : start + LOOKS_AT_ONCE]))

    async def _look_at(self, item: Container) -> None:
        word = await self._cluster.look(item.id, item.node_http)
        if item.id in self._loop.snapshot.containers or item.id in self._loop.signs.given_up:
            return  # it has registered meanwhile, or is not wanted any more
        sightings = self._loop.signs.sightings
        if ENDED in {word.state, item.state}:
            self._reported.add(item.id)
            host = item.node_http.rpartition(":")[0]
            said = word.words if word.state == ENDED and word.words else item.words
            self._loop.container_ended(item.id, item.role, host, word.code, said)
        elif word.state == LOCALIZING:
            sightings[item.id] = Sighting(item.role, item.node_http)
        elif word.state in {RUNNING, UNKNOWN, DOWN}:
            seen = sightings.get(item.id)
            since_s = self._loop.clock() if seen is None or seen.running_since_s is None else seen.running_since_s
            silent = word.state != RUNNING
            sightings[item.id] = Sighting(item.role, item.node_http, False, since_s, silent)

    async def _watch_doubts(self) -> None:
        while self._loop.snapshot.verdict is None:
            doubts = await self.look_at_doubts()
            if not doubts:
                pause_s = LATE_S
            elif min(doubts.values()) < DOUBT_GETS_OLD_S:
                pause_s = DOUBT_S
            else:
                pause_s = OLD_DOUBT_S
            await self._loop.suspicion(pause_s)

    async def look_at_doubts(self) -> dict[str, float]:
        """Report which of the tasks have ended whose executor may be gone; return how old each doubt is in seconds."""
        doubts = self._doubts()
        await self._ask(doubts)
        return doubts

    def _doubts(self) -> dict[str, float]:
        """Return the tasks whose executor may be gone, with the age of the doubt in seconds."""
        now_s = self._loop.clock()
        doubts = {task: now_s - since_s for task, since_s in self._loop.signs.doubted_s.items()}
        late_s = LATE_S + self._loop.beat_s
        for task, heard_s in self._loop.signs.heard_s.items():
            if task not in doubts and not self._loop.held.get(task) and now_s - heard_s > late_s:
                doubts[task] = now_s - heard_s - late_s
        settled = [task for task in doubts if self._loop.snapshot.tasks[task].settled]
        return {task: age_s for task, age_s in doubts.items() if task not in settled}

    async def _ask(self, doubts: typing.Mapping[str, float]) -> None:
        """Ask the nodes of these tasks, those first that were never asked; report what has ended."""
        self._round += 1
        names = sorted(doubts, key=lambda name: self._asked.get(name, 0))[:LOOKS_AT_ONCE]
        self._asked.update(dict.fromkeys(names, self._round))
        tasks = [self._loop.snapshot.tasks[name] for name in names]
        heard_s = {name: self._loop.signs.heard_s.get(name) for name in names}
        said = await asyncio.gather(*(self._cluster.look(task.container_id, task.node_http) for task in tasks))
        silent = any(word.state in {UNKNOWN, DOWN} for word in said)
        listed = await self._listed_as_ended() if silent else {}
        for task, word in zip(tasks, said, strict=True):
            if self._loop.signs.heard_s.get(task.name) != heard_s[task.name]:
                continue
            if word.state in {ENDED, GONE}:
                self._loop.container_ended(task.container_id, task.role, task.host, word.code, word.words)
            elif task.container_id in listed:
                self._loop.container_ended(task.container_id, task.role, task.host, None, listed[task.container_id])
            elif word.state == DOWN and doubts[task.name] >= DOWN_S:
                why = words.node_gone(doubts[task.name], word.words)
                self._loop.container_ended(task.container_id, task.role, task.host, None, why)

    async def _listed_as_ended(self) -> dict[str, str]:
        """Return the containers that YARN lists as ended, with its words."""
        try:
            return {item.id: item.words for item in await self._cluster.containers() if item.state == ENDED}
        except ClusterError as error:
            LOG.warning("%s", error)
            return {}
