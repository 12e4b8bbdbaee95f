"""The one place of the agent that acts: takes what executors, clients and YARN say, numbers events, carries out policy.

All of it runs on one asyncio event loop; desk and witness call in, nothing else holds state of the job.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
import typing

from am.agent import fold, gang, policy, recovery, snapshot, words
from am.agent.acts import event_of
from am.agent.bell import Bell
from am.agent.cluster import ClusterError
from am.agent.history import PAUSE_S
from am.agent.placing import Placing
from am.agent.signs import Signs
from am.agent.threads import in_thread
from am.contract import events, states, wire
from am.contract.job import task_name

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    from am.agent.cluster import Cluster
    from am.agent.history import History
    from am.contract.job import JobPlan

TICK_S = 1.0
PAUSED_S = 5.0  # a tick that comes so much late means that the agent itself did not run
HELD_TASKS = 10_000  # beats of more tasks are answered at once; a held one costs the agent 0.06 MB
BEATS_PER_S = 200.0  # what the agent takes when it holds none
FLUSH_S = 10.0  # for the verdict to reach the store
ANSWERS_S = 1.0  # for answers that wait for the verdict to leave
FOLLOWS_S = 2.0  # who got events so long ago, and had been ready to wait for them, will ask for more
# How soon an event is to lie on the store, in seconds; others wait a second for more. An end seldom comes alone, and
# each write takes HDFS up to half a second: what happens within moments goes in one.
WRITE_WITHIN_S: dict[type, float] = {
    events.GangComplete: 0.15,  # an agent that follows this one shall know what was begun
    events.TaskExited: 0.15,
    events.JobStopping: 0.15,
    events.JobEnded: 0.0,
}
LOG = logging.getLogger(__name__)


class JobLoop:
    """One job, from the agent's start to its verdict.

    Args:
        plan: The job.
        cluster: The seam to YARN.
        history: What outlives the agent.
        clock: Seconds since the epoch.
        last: No other ApplicationMaster follows this one.
    """

    def __init__(
        self,
        plan: JobPlan,
        cluster: Cluster,
        history: History,
        clock: Callable[[], float] = time.time,
        *,
        last: bool = True,
    ) -> None:
        self.plan = plan
        self.snapshot = snapshot.start(plan)
        self.signs = Signs()
        self.clock = clock
        self.held: dict[str, int] = {}  # task name -> how many of its beats are being held
        self.holds = len(self.snapshot.tasks) <= HELD_TASKS
        self._suspected = Bell()
        self._lacking = Bell()
        self.placing = Placing(
            cluster, self.signs.given_up, lambda: self.snapshot.stopping is None and self.snapshot.verdict is None
        )
        self.cluster = cluster
        self.last = last
        self._asks = True
        self._acting = False
        self._history = history
        self.application_id = ""
        self.lines: list[str] = []
        self.told = 0  # how many lines clients may see; the verdict only when it lies on the store
        self.news = Bell()
        self.new_order = Bell()
        self._ended = asyncio.Event()
        self.followed_s = float("-inf")
        self.verdict_seen = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def listening(self, host: str, port: int, application_id: str, attempt: int) -> None:
        """The agent is reachable at host:port."""
        self.application_id = application_id
        self._asks = attempt == 1  # a new master asks for every container of the job by itself
        self.emit(events.AgentStarted(self.clock(), attempt, host, port, application_id))
        self._asks = True

    def recall(self, lines: list[str]) -> None:
        """Take over what an earlier agent of the job has written."""
        for line in lines:
            event = events.from_line(line)
            if event is not None:
                self.snapshot = fold.apply(self.snapshot, event)
        self.lines.extend(lines)
        self.told = len(self.lines)

    def abandon(self) -> None:
        """End this agent and not the job: another ApplicationMaster goes on with it."""
        self._ended.set()

    @property
    def beat_s(self) -> float:
        """Return the pause between two beats of a task, in seconds; 0 while beats are held."""
        return 0.0 if self.holds else max(1.0, len(self.snapshot.tasks) / BEATS_PER_S)

    # ---- what the witness and the surroundings say ----------------------------------------------------------------

    async def lack(self, timeout_s: float) -> None:
        """Return when a task lacks a container, at the latest after `timeout_s`."""
        await self._lacking.wait(timeout_s)

    async def suspicion(self, timeout_s: float) -> None:
        """Return when a task's connection broke, at the latest after `timeout_s`."""
        await self._suspected.wait(timeout_s)

    def container_ended(self, container_id: str, role: str, host: str, code: int | None, said: str) -> None:
        """YARN says that a container has ended; `code` is its process's, below 0 one of YARN's, None when not known."""
        now_s = self.clock()
        self.signs.sightings.pop(container_id, None)
        task = self.snapshot.of_container(container_id)
        problem, ours = words.yarn_end(code, said, registered=task is not None)
        said = wire.clip_tail(said)
        if task is not None:
            if not task.settled:
                since_s = self.signs.doubted_s.get(task.name, now_s)
                self._forget(task.name)
                lost = policy.lose(self.snapshot, task, since_s, ours, problem, said)
                self.carry_out(tuple((action, "its container has ended") for action in lost))
            return
        index = self.snapshot.free_index(role)
        if index is None or self.snapshot.stopping is not None:
            return
        task = self.snapshot.tasks[task_name(role, index)]
        self.emit(policy.never_up(task, now_s, host, ours, problem, said))

    def say(self, sentence: str) -> None:
        """Tell clients what the job waits for."""
        if self.snapshot.verdict is None:
            self.emit(events.Waiting(self.clock(), sentence))

    def end_now(self, state: str, exit_code: int, problem: str, message: str) -> events.JobEnded:
        """End the job without stopping anything: the master goes away, or the agent is broken; return the verdict."""
        if self.snapshot.verdict is None:
            origin = "client" if problem == "internal" else "yarn"
            self.emit(events.JobEnded(self.clock(), state, exit_code, origin, problem, message))
        return typing.cast("events.JobEnded", self.snapshot.verdict)

    # ---- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> events.JobEnded | None:
        """Return the verdict when there is one, None when the job was abandoned."""
        before_s = time.monotonic()
        while self.snapshot.verdict is None:
            if await _wait(self._ended, TICK_S):
                break
            pause_s = time.monotonic() - before_s - TICK_S
            before_s = time.monotonic()
            if pause_s > PAUSED_S:
                LOG.warning("the agent did not run for %.0f s", pause_s)
                self.signs.forgive(pause_s)
            self.tick()
        return self.snapshot.verdict

    def tick(self) -> None:
        """Decide what only the clock can bring about."""
        self.carry_out(policy.overdue(self.plan, self.snapshot, self.signs, self.clock()))
        self.decide()

    async def leave(self) -> bool:
        """Write the verdict, tell everybody, end the application; return whether YARN took it.

        Order matters: who reads the history after a client has returned must find the verdict there.
        """
        verdict = self.snapshot.verdict
        assert verdict is not None  # noqa: S101 - called when run() has returned
        self.placing.close()
        if self.last or verdict.state == states.SUCCEEDED:  # else YARN starts one more, which needs its files
            self._history.remove_staging()
        if not await in_thread(functools.partial(self._history.flush, FLUSH_S), FLUSH_S + 1):
            LOG.warning("the verdict did not reach the job's store within %.0f s", FLUSH_S)
        self.told = len(self.lines)
        self.news.ring()
        self.new_order.ring()
        # A client that follows asks again within moments; it shall hear the verdict from here, not from a closed door.
        if asyncio.get_running_loop().time() - self.followed_s < FOLLOWS_S:
            await _wait(self.verdict_seen, ANSWERS_S)
        await _wait(self.idle, ANSWERS_S)
        try:
            await self.cluster.finish(verdict.state, verdict.message)
        except ClusterError as error:
            LOG.warning("%s", error)
            return False
        return True

    def heard(self, task: str) -> None:
        """An executor has said something."""
        self.signs.heard_s[task] = self.clock()
        self.signs.doubted_s.pop(task, None)

    def _forget(self, task: str) -> None:
        self.signs.heard_s.pop(task, None)
        self.signs.doubted_s.pop(task, None)

    def dropped(self, container_id: str) -> None:
        """A held connection broke: perhaps the executor is gone; let the witness ask its node."""
        task = self.snapshot.of_container(container_id)
        if task is not None and not task.settled and self.snapshot.verdict is None:
            self.signs.doubted_s.setdefault(task.name, self.clock())
            self._suspected.ring()

    def emit(self, event: events.Event) -> None:
        """Let something have happened, and do what follows from it."""
        before = self.snapshot
        self.snapshot = fold.apply(before, event)
        line = events.to_line(event)
        LOG.info("%s", line[:400])
        self.lines.append(line)
        self._history.append(line, WRITE_WITHIN_S.get(type(event), PAUSE_S))
        if self.snapshot.verdict is None:
            self.told = len(self.lines)
            self.news.ring()
            if self.snapshot.orders != before.orders:
                self.new_order.ring()
            if not self._acting:
                self.decide()
        else:
            self._ended.set()

    def decide(self) -> None:
        """Do what policy wants now."""
        self.signs.dice = random.random()  # noqa: S311 - no secret
        self.carry_out(policy.decide(self.plan, self.snapshot, self.signs, self.clock()))

    def carry_out(self, decisions: tuple[policy.Decision, ...]) -> None:
        """Do what was decided, in its order; only then decide anew."""
        if not decisions or self._acting:
            return
        self._acting = True
        try:
            for action, reason in decisions:
                LOG.info("%s: %s", type(action).__name__, reason)
                self._act(action)
        finally:
            self._acting = False
        if self.snapshot.verdict is None:
            self.decide()

    def _act(self, action: policy.Action) -> None:
        if self.snapshot.verdict is not None:
            return
        self._beside(action)
        self.emit(event_of(action, self.clock()))

    def _beside(self, action: policy.Action) -> None:
        """Do what an action wants of YARN's containers and of the signs of life."""
        if isinstance(action, policy.LoseTask | policy.LoseResults):
            self._forget(action.exit.task if isinstance(action, policy.LoseTask) else action.upload.task)
        if isinstance(action, policy.LoseTask) and action.container_id:
            self.signs.sightings.pop(action.container_id, None)
            self.placing.stop(action.container_id)
        elif isinstance(action, recovery.RestartTask) and not action.keeps:
            self._replace(self.snapshot.tasks[action.task])
        elif isinstance(action, gang.ProbeGang):
            self.signs.probed = {}
        elif isinstance(action, gang.GiveBack):
            # At once: what leaves by itself before YARN has taken it back is no news either.
            self.signs.given_up |= self.snapshot.containers.keys() | self.signs.sightings.keys()
            self.signs.forget_tasks()
            self.placing.give_back(action.again_s - self.clock(), lambda: gang.lacking(self.plan, self.snapshot))
            self._lacking.ring()

    def _replace(self, task: snapshot.Task) -> None:
        self._forget(task.name)
        if task.container_id:
            self.placing.stop(task.container_id)
        if self._asks:
            self.placing.ask(task.role)
        self._lacking.ring()


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Return whether `event` came within `timeout_s`."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except asyncio.TimeoutError:
        return False
    return True
