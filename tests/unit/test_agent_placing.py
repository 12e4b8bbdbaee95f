"""Containers that are asked for and given back, while YARN's master answers badly."""

from __future__ import annotations

import asyncio

from fakes import FakeCluster

from am.agent import placing
from am.agent.cluster import RUNNING, ClusterError, Container


class BreaksOff(FakeCluster):
    """The call that gives all back kills the first container and fails then, the first time."""

    async def release_all(self) -> frozenset[str]:
        if self.known:
            self.stopped.append(self.known.pop(0).id)
            raise ClusterError("the ApplicationMaster did not answer")
        return frozenset()


def test_a_container_of_a_call_that_broke_off_is_given_up(monkeypatch):
    """What was killed before the call broke off is nobody's loss: its end is not taken for a task's."""
    monkeypatch.setattr(placing, "AGAIN_S", 0.0)
    given_up: set[str] = set()

    async def give_back() -> None:
        cluster = BreaksOff([Container(name, "worker", "n1:8042", RUNNING) for name in ("c1", "c2")])
        hands = placing.Placing(cluster, given_up, lambda: True)
        hands.give_back(0.0, dict)
        while len(cluster.stopped) < 2:
            await asyncio.sleep(0)
        hands.close()

    asyncio.run(give_back())
    assert given_up == {"c1", "c2"}
