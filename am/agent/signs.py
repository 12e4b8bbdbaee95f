"""What the agent knows beside the events: signs of life, and what YARN says of containers."""

from __future__ import annotations

import dataclasses
import typing

if typing.TYPE_CHECKING:
    from am.contract import wire


@dataclasses.dataclass(frozen=True)
class Sighting:
    """A container that YARN has given and whose executor has not registered.

    Attributes:
        role: For which it was asked.
        node_http: host:port of its NodeManager's web server.
        localizing: It still fetches its files.
        running_since_s: When it was first seen to run, or its node not to answer; None before.
        silent: Its node does not answer.
    """

    role: str
    node_http: str
    localizing: bool = True
    running_since_s: float | None = None
    silent: bool = False


@dataclasses.dataclass
class Signs:
    """What is known beside the events; changes in place.

    Attributes:
        heard_s: Task name -> when its executor last said something.
        doubted_s: Task name -> since when its connection is down; gone as soon as it says something.
        sightings: Container id -> what YARN says of a container that has not registered.
        given_up: Containers that the job does not want any more; how they end is no news.
        probed: Task name -> which peers it reached, in the newest probing.
        dice: A number from 0 to 1 that is thrown anew before each decision.
    """

    heard_s: dict[str, float] = dataclasses.field(default_factory=dict)
    doubted_s: dict[str, float] = dataclasses.field(default_factory=dict)
    sightings: dict[str, Sighting] = dataclasses.field(default_factory=dict)
    given_up: set[str] = dataclasses.field(default_factory=set)
    probed: dict[str, wire.Probed] = dataclasses.field(default_factory=dict)
    dice: float = 0.5

    def forget_tasks(self) -> None:
        """Forget every task and container: all of them were given back."""
        self.heard_s.clear()
        self.doubted_s.clear()
        self.sightings.clear()

    def forgive(self, pause_s: float) -> None:
        """Move everything by `pause_s`: the agent itself did not run for so long, so nobody else was silent."""
        self.heard_s = {task: when + pause_s for task, when in self.heard_s.items()}
        self.doubted_s = {task: when + pause_s for task, when in self.doubted_s.items()}
        for container_id, seen in self.sightings.items():
            if seen.running_since_s is not None:
                later_s = seen.running_since_s + pause_s
                self.sightings[container_id] = dataclasses.replace(seen, running_since_s=later_s)
