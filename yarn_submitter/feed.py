"""One stream of what happens to a job, from whoever knows: the agent while it lives, the history on the store after.

The ResourceManager is the second witness: it tells what comes before the agent, and how a job ended whose agent could
not say it itself.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from am.contract import job as contract
from am.contract import wire
from am.contract.codec import ContractError
from am.contract.events import AgentStarted, Event, JobEnded, Waiting, from_line
from yarn_submitter.agentdoor import AgentDoor, AgentGoneError
from yarn_submitter.errors import StagingError, SubmitterError, UnreachableError
from yarn_submitter.rest import App, ResourceManager
from yarn_submitter.store import Store
from yarn_submitter.verdicts import doubtful, of_master, verdict_of, with_yarn

# How often the ResourceManager is asked while no agent can be listened to: it has no events to offer.
_PAUSE_S = 0.3
_READERS = 8
_HOLD_S = wire.MAX_HOLD_S
# A ResourceManager that restarts or hands over to its standby is away for less than this.
PATIENCE_S = 60.0
_SILENT_AGENT_S = 10.0
_LAST_WORD_S = 15.0


@dataclass(frozen=True)
class AppSeen:
    """The ResourceManager's word about the application, each time it changes; None: it does not know it."""

    app: App | None


@dataclass(frozen=True)
class MasterLost:
    """An ApplicationMaster is gone, whether its agent was ever heard or not, and the job goes on beside another one.

    Attributes:
        time: When it ended, or when that was noticed if YARN does not know; in seconds since the epoch.
        attempt: Which one, from 1.
        said: YARN's words about it, lines; empty when it has none.
    """

    time: float
    attempt: int
    said: str = ""


Item = AppSeen | MasterLost | Event


class Feed:
    """What happens to one job.

    Args:
        resource_manager: Of its cluster.
        store: Of its cluster.
        job_dir: The job's directory there.
        application_id: YARN's name of it; empty when it is not known.
        patience_s: How long `follow` goes on while neither agent nor cluster answers.
    """

    def __init__(
        self,
        resource_manager: ResourceManager,
        store: Store,
        job_dir: str,
        application_id: str,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._rm = resource_manager
        self._store = store
        self._job_dir = job_dir
        self._application_id = application_id
        self._patience_s = patience_s
        self._access: dict[str, str] | None = None
        self._segments: dict[str, list[Event | None]] = {}
        self._attempt = 0  # of the ApplicationMaster beside which the agent of `door` runs

    def follow(self) -> Iterator[Item]:
        """Yield everything from the job's beginning until its verdict, waiting for what is to come.

        Raises:
            UnreachableError: Neither agent nor cluster has answered for `patience_s`.
            StagingError: The store has failed at what is read for so long. [store-failed]
            DeniedError: ResourceManager or store do not let this user read the job. [rm-denied, store-denied]
        """
        return self._with_masters(self._follow())

    def _follow(self) -> Iterator[Item]:
        seen, last_app, pause, agent = 0, None, threading.Event(), 0
        patience = _Patience(self._patience_s)
        while True:
            try:
                app = self._app()
                door = self.door() if app is not None and app.state == "RUNNING" else None
                if door is not None and self._attempt != agent:
                    # A new agent numbers its events after those that reached the store before it.
                    self._recorded()
                    seen, agent = (self._count_until(self._attempt - 1) if agent else seen), self._attempt
                rest = list(self._rest(seen, app)) if app is None or app.ended else None
            except (UnreachableError, StagingError) as error:  # a NameNode that restarts may answer, and fail
                yield from patience.cluster_silent(error)
                pause.wait(_PAUSE_S)
                continue
            yield from patience.cluster_heard()
            if app != last_app:
                yield AppSeen(app)
                last_app = app
            if rest is not None:
                yield from rest
                return
            for count, event in self._listen(door, seen, patience) if door is not None else ():
                seen = count
                yield from patience.agent_heard()
                if event is not None:
                    yield self._last_word(event) if isinstance(event, JobEnded) else event
                if isinstance(event, JobEnded):
                    return
            if door is not None:
                yield from patience.agent_silent()
            pause.wait(_PAUSE_S)

    def now(self) -> tuple[list[Item], str]:
        """Return everything so far without waiting, and where it is from: `agent`, `history` or `resourcemanager`."""
        items, source = self._now()
        return list(self._with_masters(items)), source

    def _now(self) -> tuple[list[Item], str]:
        app = self._app()
        items: list[Item] = [AppSeen(app)]
        door = self.door() if app is not None and app.state == "RUNNING" else None
        if door is not None:
            try:
                return items + [event for event in _parse(door.events(0, 0.0).lines) if event], "agent"
            except AgentGoneError:
                pass  # it may be restarting or out of reach: the history tells what it had said
        if app is None or app.ended:
            items += list(self._rest(0, app))
            return items, "history"
        recorded = self.history()
        again = [AppSeen(app)] if app.begun_again else []  # what is recorded may be of the master before
        return [*items, *recorded, *again], "history" if recorded else "resourcemanager"

    def _with_masters(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items, and before the first that tells of it the end of each ApplicationMaster but the last."""
        heard = told = 0  # the newest master whose agent is up, and the newest whose end was told
        for item in items:
            gone = told
            if isinstance(item, AgentStarted):
                heard, gone = item.attempt, item.attempt - 1
            elif isinstance(item, AppSeen) and item.app is not None and item.app.begun_again and heard:
                # Between two masters YARN does not say how many there have been.
                gone = item.app.am_attempt - 1 if item.app.am_attempt else heard
                gone = gone if gone > told and self._goes_on() else told
            for attempt in range(told + 1, gone + 1):
                yield self._master_lost(attempt, time.time() if isinstance(item, AppSeen) else item.time)
            told = max(told, gone)
            yield item

    def _goes_on(self) -> bool:
        """Return whether the store holds no verdict; a store that does not tell is asked again at YARN's next word."""
        with contextlib.suppress(SubmitterError):
            return verdict_left(self._store, self._job_dir) is None
        return False

    def _master_lost(self, attempt: int, seen_s: float) -> MasterLost:
        ended_s, said = 0.0, ""
        with contextlib.suppress(SubmitterError):
            ended_s, said = self._rm.attempt_end(self._application_id, attempt)
        return MasterLost(ended_s or seen_s, attempt, said)

    def history(self) -> list[Event]:
        """Return the events that the agent has written to the store, oldest first."""
        return [event for event in self._recorded() if event is not None]

    def _recorded(self) -> list[Event | None]:
        """Return the history line by line, None for what is no known event; segments never change and are read once."""
        directory = contract.history_dir(self._job_dir)
        segments = sorted((_segment_key(name), name) for name in _segment_paths(self._store, directory))
        fresh = [name for _, name in segments if name not in self._segments]
        for name, content in zip(fresh, _read_all(self._store, fresh), strict=True):
            self._segments[name] = list(_parse(content.decode(errors="replace").splitlines()))
        return [event for _, name in segments for event in self._segments[name]]

    def _count_until(self, attempt: int) -> int:
        """Return how many of the events that were read were recorded beside an ApplicationMaster or those before it."""
        return sum(len(found) for name, found in self._segments.items() if _segment_key(name)[0] <= attempt)

    def door(self) -> AgentDoor | None:
        """Return the way to the job's agent, or None when it has not said yet how it is reached."""
        agent_file = contract.agent_file(self._job_dir)
        try:
            agent = json.loads(self._store.read(agent_file))
        except StagingError as error:
            if error.problems[0].id != "store-missing":
                raise
            return None  # not written yet, or being written anew by a second agent
        self._attempt = int(agent.get("attempt", 1))
        if self._access is None:
            self._access = json.loads(self._store.read(contract.access_file(self._job_dir)))
        return AgentDoor(agent["host"], int(agent["port"]), self._access["certificate"], self._access["client_token"])

    def _app(self) -> App | None:
        return self._rm.get_app(self._application_id) if self._application_id else None

    def _last_word(self, verdict: JobEnded) -> JobEnded:
        """Return the verdict, after YARN's word when the agent could not know why its master or a task had to go."""
        app, pause, end = None, threading.Event(), time.monotonic() + _LAST_WORD_S
        while doubtful(verdict) and time.monotonic() < end:
            try:
                app = self._app()
            except UnreachableError:
                break
            if app is None or app.ended or not of_master(verdict):
                break
            pause.wait(_PAUSE_S)
        return with_yarn(verdict, app)

    def _listen(self, door: AgentDoor, seen: int, patience: _Patience) -> Iterator[tuple[int, Event | None]]:
        """Yield (how many of its events are known now, event) from number `seen` on: from the agent, until it is gone.

        Then what the history tells beyond that: an agent that cannot be reached from here still writes it.
        """
        while True:
            try:
                batch = door.events(seen, _HOLD_S)
            except AgentGoneError:
                break
            if patience.agent_answers():
                yield seen, None
            for event in _parse(batch.lines):
                seen += 1
                yield seen, event
        with contextlib.suppress(UnreachableError, StagingError):  # the next question to the cluster tells that
            recorded = self._recorded()[: self._count_until(self._attempt)]  # of this agent; a later one counts anew
            yield from enumerate(recorded[seen:], seen + 1)

    def _rest(self, seen: int, app: App | None) -> Iterator[Event]:
        """Yield what the history holds beyond `seen`, and a verdict in any case."""
        recorded = [with_yarn(event, app) if isinstance(event, JobEnded) else event for event in self._recorded()]
        if self._attempt:  # not all that its agent told need have reached the store before another one wrote on
            seen = min(seen, self._count_until(self._attempt))
        yield from (event for event in recorded[seen:] if event is not None)
        if not any(isinstance(event, JobEnded) for event in recorded):
            yield verdict_of(app)


def verdict_left(store: Store, job_dir: str) -> JobEnded | None:
    """Return the verdict that stands in a job's history; None when there is none (yet).

    It is the last that an agent writes: the newest segment beside each ApplicationMaster is looked into.
    """
    directory = contract.history_dir(job_dir)
    names = _segment_paths(store, directory)
    newest = {_segment_key(name)[0]: name for name in sorted(names, key=_segment_key)}
    for name in reversed(newest.values()):
        said = _parse(store.read(name).decode(errors="replace").splitlines())
        verdict = next((event for event in said if isinstance(event, JobEnded)), None)
        if verdict is not None:
            return verdict
    return None


def _segment_paths(store: Store, directory: str) -> list[str]:
    """Return the paths of a history's segments; none when nothing was written yet."""
    try:
        return [status.path for status in store.list(directory) if status.path.endswith(".jsonl")]
    except StagingError as error:
        if error.problems[0].id != "store-missing":
            raise
        return []


def _read_all(store: Store, paths: list[str]) -> Iterable[bytes]:
    if len(paths) < 2:
        return map(store.read, paths)
    from concurrent.futures import ThreadPoolExecutor  # 9 ms that most jobs' history need not spend

    with ThreadPoolExecutor(min(len(paths), _READERS)) as pool:  # 15 ms each, and somebody waits for `job show`
        return list(pool.map(store.read, paths))


class _Patience:
    """Since when nobody answers, and what is said of it, once each time."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._cluster_since_s = math.inf
        self._agent_since_s = math.inf
        self._agent_told = False

    def cluster_heard(self) -> Iterator[Waiting]:
        """Take back what was said of the cluster's silence."""
        if self._cluster_since_s < math.inf:
            yield Waiting(time.time(), "")
        self._cluster_since_s = math.inf

    def cluster_silent(self, error: SubmitterError) -> Iterator[Waiting]:
        """Yield a sentence at the first time; raise `error` when that is too long ago."""
        now_s = time.monotonic()
        if self._cluster_since_s == math.inf:
            self._cluster_since_s = now_s
            said = f"{error.problems[0].sentence} Trying for {self._limit_s:g} s; this changes nothing for the job."
            yield Waiting(time.time(), said)
        elif now_s - self._cluster_since_s > self._limit_s:
            raise error

    def agent_answers(self) -> bool:
        """Note that the agent was there a moment ago; return whether it is said that it does not answer."""
        self._agent_since_s = math.inf
        return self._agent_told

    def agent_heard(self) -> Iterator[Waiting]:
        """Take back what was said of the agent's silence."""
        if self._agent_told:
            yield Waiting(time.time(), "")
        self._agent_told = False

    def agent_silent(self) -> Iterator[Waiting]:
        """Yield a sentence when the agent has not answered for a while."""
        now_s = time.monotonic()
        self._agent_since_s = min(self._agent_since_s, now_s)
        if now_s - self._agent_since_s > _SILENT_AGENT_S and not self._agent_told:
            self._agent_told = True
            yield Waiting(time.time(), "the job's agent does not answer, YARN says that it runs; trying again")


def _parse(lines: Iterable[str]) -> Iterator[Event | None]:
    for line in lines:
        try:
            yield from_line(line)
        except ContractError:
            yield None  # cut short by a crash, or from a newer agent


def _segment_key(path: str) -> tuple[int, int]:
    attempt, _, number = path.rpartition("/")[2].removesuffix(".jsonl").partition("-")
    return (int(attempt), int(number)) if attempt.isdigit() and number.isdigit() else (0, 0)
