"""One stream of what happens to a job, from whoever knows: the agent while it lives, the history on the store after.

The ResourceManager is the second witness: it tells what comes before the agent, and how a job ended whose agent could
not say it itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from am.contract import job as contract
from am.contract import states, wire
from am.contract.codec import ContractError
from am.contract.events import Event, JobEnded, from_line
from yarn_submitter.agentdoor import AgentDoor, AgentGoneError
from yarn_submitter.rest import App, ResourceManager
from yarn_submitter.store import Store

# How often the ResourceManager is asked while no agent can be listened to: it has no events to offer.
_PAUSE_S = 0.3
_HOLD_S = wire.MAX_HOLD_S


@dataclass(frozen=True)
class AppSeen:
    """The ResourceManager's word about the application, each time it changes; None: it does not know it."""

    app: App | None


Item = AppSeen | Event


class Feed:
    """What happens to one job.

    Args:
        resource_manager: Of its cluster.
        store: Of its cluster.
        job_dir: The job's directory there.
        application_id: YARN's name of it; empty when it is not known.
    """

    def __init__(self, resource_manager: ResourceManager, store: Store, job_dir: str, application_id: str) -> None:
        self._rm = resource_manager
        self._store = store
        self._job_dir = job_dir
        self._application_id = application_id
        self._access: dict[str, str] | None = None

    def follow(self) -> Iterator[Item]:
        """Yield everything from the job's beginning until its verdict, waiting for what is to come."""
        seen, last_app, pause = 0, None, threading.Event()
        while True:
            app = self._rm.get_app(self._application_id) if self._application_id else None
            if app != last_app:
                yield AppSeen(app)
                last_app = app
            if app is None or app.ended:
                yield from self._rest(seen, app)
                return
            door = self.door() if app.state == "RUNNING" else None
            if door is not None:
                for event in _listen(door, seen):
                    seen += 1
                    yield event
                    if isinstance(event, JobEnded):
                        return
            pause.wait(_PAUSE_S)

    def now(self) -> tuple[list[Item], str]:
        """Return everything so far without waiting, and where it is from: `agent`, `history` or `resourcemanager`."""
        app = self._rm.get_app(self._application_id) if self._application_id else None
        items: list[Item] = [AppSeen(app)]
        door = self.door() if app is not None and app.state == "RUNNING" else None
        if door is not None:
            try:
                return items + [event for _, event in _parse(door.events(0, 0.0).lines) if event], "agent"
            except AgentGoneError:
                pass  # it may be restarting or out of reach: the history tells what it had said
        if app is None or app.ended:
            items += list(self._rest(0, app))
            return items, "history"
        recorded = self.history()
        return items + list(recorded), "history" if recorded else "resourcemanager"

    def history(self) -> list[Event]:
        """Return the events that the agent has written to the store, oldest first."""
        directory = contract.history_dir(self._job_dir)
        names = [status.path for status in self._store.list(directory)] if self._store.status(directory) else []
        segments = sorted((_segment_key(name), name) for name in names if name.endswith(".jsonl"))
        lines = [line for _, name in segments for line in self._store.read(name).decode().splitlines()]
        return [event for _, event in _parse(tuple(lines)) if event]

    def door(self) -> AgentDoor | None:
        """Return the way to the job's agent, or None when it has not said yet how it is reached."""
        agent_file = contract.agent_file(self._job_dir)
        if self._store.status(agent_file) is None:
            return None
        agent = json.loads(self._store.read(agent_file))
        if self._access is None:
            self._access = json.loads(self._store.read(contract.access_file(self._job_dir)))
        return AgentDoor(agent["host"], int(agent["port"]), self._access["certificate"], self._access["client_token"])

    def _rest(self, seen: int, app: App | None) -> Iterator[Event]:
        """Yield what the history holds beyond `seen`, and a verdict in any case."""
        recorded = self.history()
        yield from recorded[seen:]
        if not any(isinstance(event, JobEnded) for event in recorded):
            yield verdict_of(app)


def verdict_of(app: App | None) -> JobEnded:
    """Return the verdict on a job whose agent left none, from the ResourceManager's word."""
    if app is None:
        sentence = "The ResourceManager does not know the application and the job left no verdict."
        return JobEnded(time.time(), states.FAILED, 76, "yarn", "application-lost", sentence)
    if "KILLED" in (app.state, app.final_status):
        sentence = "The application was killed through YARN."
        return JobEnded(app.finished_s, states.KILLED, 137, "yarn", "killed-by-yarn", sentence, tail=app.diagnostics)
    sentence = "The job's agent ended without a verdict: its ApplicationMaster was lost or could not start."
    return JobEnded(app.finished_s, states.FAILED, 76, "yarn", "agent-lost", sentence, tail=app.diagnostics)


def _listen(door: AgentDoor, seen: int) -> Iterator[Event]:
    """Yield the agent's events from number `seen` on, until its verdict or until it cannot be heard any more."""
    while True:
        try:
            batch = door.events(seen, _HOLD_S)
        except AgentGoneError:
            return
        for _, event in _parse(batch.lines):
            if event is not None:
                yield event
                if isinstance(event, JobEnded):
                    return
        seen = batch.next


def _parse(lines: tuple[str, ...]) -> Iterator[tuple[str, Event | None]]:
    for line in lines:
        try:
            yield line, from_line(line)
        except ContractError:
            yield line, None  # cut short by a crash, or from a newer agent


def _segment_key(path: str) -> tuple[int, int]:
    attempt, _, number = path.rpartition("/")[2].removesuffix(".jsonl").partition("-")
    return (int(attempt), int(number)) if attempt.isdigit() and number.isdigit() else (0, 0)
