"""Asks for containers and gives them back, beside the loop; tries again while YARN is away."""

from __future__ import annotations

import asyncio
import functools
import logging
import typing

from am.agent.cluster import ClusterError

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from am.agent.cluster import Cluster

AGAIN_S = 2.0  # between two tries of a call that the launcher did not take
LOG = logging.getLogger(__name__)


class Placing:
    """Containers of one job.

    Args:
        cluster: The seam to YARN.
        given_up: Takes the containers that the job does not want any more.
        open_: Whether the job still runs; nothing is tried again after its end.
    """

    def __init__(self, cluster: Cluster, given_up: set[str], open_: Callable[[], bool]) -> None:
        self._cluster = cluster
        self._given_up = given_up
        self._open = open_
        self._work: set[asyncio.Task[None]] = set()

    def ask(self, role: str, count: int = 1) -> None:
        """Ask for `count` more containers of a role."""
        self._begin(self._ask(role, count))

    def stop(self, container_id: str) -> None:
        """Stop a container that the job has given up."""
        self._given_up.add(container_id)
        self._begin(self._persist(f"stopping {container_id}", functools.partial(self._cluster.stop, container_id)))

    def give_back(self, pause_s: float, lacking: Callable[[], Mapping[str, int]]) -> None:
        """Give every container back, and ask for what `lacking` says (role -> how many) after a pause."""
        self._begin(self._give_back(pause_s, lacking))

    async def _give_back(self, pause_s: float, lacking: Callable[[], Mapping[str, int]]) -> None:
        await self._persist("giving all containers back", self._release_all)
        await asyncio.sleep(pause_s)
        for role, count in lacking().items():
            await self._ask(role, count)

    async def _release_all(self) -> None:
        # Before the first is killed: the call may break off half-way.
        self._given_up |= {item.id for item in await self._cluster.containers() if item.id}
        self._given_up |= await self._cluster.release_all()

    async def _ask(self, role: str, count: int) -> None:
        await self._persist(f"asking for {count} {role}", functools.partial(self._cluster.ask, role, count))

    async def _persist(self, what: str, call: Callable[[], Coroutine[None, None, None]]) -> None:
        while self._open():
            try:
                await call()
            except ClusterError as error:
                LOG.warning("%s: %s", what, error)
                await asyncio.sleep(AGAIN_S)
            else:
                LOG.info("%s: done", what)
                return

    def close(self) -> None:
        """Try nothing again: the job has ended."""
        for task in self._work:
            task.cancel()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)  # a task that nobody holds may be collected while it runs
        task.add_done_callback(self._work.discard)
