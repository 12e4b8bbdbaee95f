"""The one place of the agent that acts: takes what executors, clients and YARN say, numbers events, carries out policy.

All of it runs on one asyncio event loop; the server and the witness call in, nothing else holds state of the job.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import time
import typing

from am.agent import policy, snapshot, words
from am.agent.bell import Bell
from am.agent.cluster import ClusterError
from am.agent.history import PAUSE_S
from am.agent.threads import in_thread
from am.contract import events, wire
from am.contract.job import task_name

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    from am.agent.cluster import Cluster
    from am.agent.history import History
    from am.contract.job import JobPlan

TICK_S = 1.0
PAUSED_S = 5.0  # a tick that comes so much late means that the agent itself did not run
HELD_TASKS = 256  # beats of more tasks are answered at once: a held connection costs the agent 0.28 MB
BEATS_PER_S = 200.0  # what the agent takes when it holds none
FLUSH_S = 10.0  # for the verdict to reach the store
ANSWERS_S = 1.0  # for answers that wait for the verdict to leave
FOLLOWS_S = 2.0  # who got events so long ago, and had been ready to wait for them, will ask for more
# How soon an event is to lie on the store, in seconds; others wait a second for more. An end seldom comes alone, and
# each write takes HDFS up to half a second: what happens within moments goes in one.
WRITE_WITHIN_S: dict[type, float] = {events.TaskExited: 0.15, events.JobStopping: 0.15, events.JobEnded: 0.0}
NODE_WORD_S = 1.0  # for a node to say why it told a container to end; it takes milliseconds when it is well
TERMINATED = 143  # 128 + SIGTERM
LOG = logging.getLogger(__name__)


class Refusal(Exception):  # noqa: N818 - no error of the agent
    """A request that is not done: HTTP status, id of docs/errors.md, sentence."""

    def __init__(self, status: int, problem: str, message: str) -> None:
        self.status = status
        self.problem = problem
        self.message = message
        super().__init__(message)


class JobLoop:
    """One job, from the agent's start to its verdict.

    Args:
        plan: The job.
        cluster: The seam to YARN.
        history: What outlives the agent.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, plan: JobPlan, cluster: Cluster, history: History, clock: Callable[[], float] = time.time
    ) -> None:
        self.plan = plan
        self.snapshot = snapshot.start(plan)
        self.signs = snapshot.Signs()
        self.clock = clock
        self.held: dict[str, int] = {}  # task name -> how many of its beats are being held
        self._holds = len(self.snapshot.tasks) <= HELD_TASKS
        self._suspected = Bell()
        self._cluster = cluster
        self._history = history
        self._application_id = ""
        self._lines: list[str] = []
        self._told = 0  # how many lines clients may see; the verdict only when it lies on the store
        self._news = Bell()
        self._new_order = Bell()
        self._ended = asyncio.Event()
        self._followed_s = float("-inf")
        self._verdict_seen = asyncio.Event()
        self._answering = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._orders: dict[tuple[int, bool], wire.Orders] = {}

    # ---- what the server asks -------------------------------------------------------------------------------------

    def listening(self, host: str, port: int, application_id: str, attempt: int) -> None:
        """The agent is reachable at host:port."""
        self._application_id = application_id
        self._emit(events.AgentStarted(self.clock(), attempt, host, port, application_id))

    def register(self, asked: wire.Register) -> wire.Registered:
        """Give an executor its index, the lowest free one of its role; the same one when it asks again.

        Raises:
            Refusal: 400 unknown role, 409 all tasks of the role are taken, 410 the job has ended.
        """
        task = self.snapshot.of_container(asked.container_id)
        if task is not None:
            self._heard(task.name)
            return wire.Registered(task.index, task.attempt, self._application_id)
        if self.snapshot.stopping is not None or self.snapshot.verdict is not None:
            raise Refusal(410, "job-ended", "the job has ended")
        if asked.role not in {role.name for role in self.plan.roles}:
            raise Refusal(400, "unknown-role", f"the job has no role {asked.role!r}")
        index = self.snapshot.free_index(asked.role)
        if index is None:
            raise Refusal(409, "role-complete", f"all tasks of role {asked.role} are taken")
        name = task_name(asked.role, index)
        log_url = f"http://{asked.node_http}/node/containerlogs/{asked.container_id}/{asked.user}"
        attempt = self.snapshot.tasks[name].attempt
        self.signs.sightings.pop(asked.container_id, None)
        self._heard(name)
        self._emit(
            events.TaskRegistered(
                self.clock(), name, attempt, asked.container_id, asked.host, asked.node_http, log_url, asked.ports
            )
        )
        return wire.Registered(index, attempt, self._application_id)

    async def beat(self, beat: wire.Beat) -> wire.Orders:
        """Take a sign of life; return the task's order when there is a newer one, at the latest after `wait_s`.

        Raises:
            Refusal: 409 the container is not registered.
        """
        task = self._task(beat.container_id)
        self._heard(task.name)
        if beat.pid and not task.pid and not task.ended:
            self._emit(events.TaskStarted(self.clock(), task.name, task.attempt, beat.pid))
        wait_s = min(beat.wait_s, wire.MAX_HOLD_S) if self._holds else 0.0
        until = asyncio.get_running_loop().time() + wait_s
        self.held[task.name] = self.held.get(task.name, 0) + 1
        try:
            while self.snapshot.order_id <= beat.order_id:
                left_s = until - asyncio.get_running_loop().time()
                if left_s <= 0 or not await self._new_order.wait(left_s):
                    break
        except asyncio.CancelledError:
            self._dropped(task.name)
            raise
        finally:
            self.held[task.name] -= 1
        self._heard(task.name)
        return self._order(is_new=self.snapshot.order_id > beat.order_id)

    async def exit(self, said: wire.Exit) -> wire.Ack:
        """Take the end of a task's command; a second time changes nothing.

        Raises:
            Refusal: 409 the container is not registered.
        """
        task = self._task(said.container_id)
        self._heard(task.name)
        code, tail, problem, now_s = said.code & 0xFF, wire.clip_tail(said.tail), said.problem, self.clock()
        if code == TERMINATED and not problem and not task.ended and self.snapshot.stopping is None:
            code, tail, problem = await self._why_terminated(task, code, tail)
        if not self.snapshot.tasks[task.name].ended:
            stopped = self.snapshot.stopping is not None and now_s >= self.snapshot.stopping_since_s
            self._emit(
                events.TaskExited(
                    now_s, task.name, task.attempt, task.host, code, snapshot.EXECUTOR, stopped, tail, problem
                )
            )
        return wire.Ack()

    async def _why_terminated(self, task: snapshot.Task, code: int, tail: str) -> tuple[int, str, str]:
        """Return code, tail and problem of a task that somebody told to end: its node knows whether it was YARN."""
        self.signs.doubted_s[task.name] = self.clock()  # until then nobody whose end came of it is blamed
        try:
            word = await asyncio.wait_for(self._cluster.look(task.container_id, task.node_http), NODE_WORD_S)
        except asyncio.TimeoutError:
            word = None
        except asyncio.CancelledError:
            self._dropped(task.name)
            raise
        self._heard(task.name)
        if word is None or word.code is None or word.code >= 0:
            return code, tail, ""
        problem, ours = words.yarn_end(word.code, registered=True)
        return ours, wire.clip_tail(word.words), problem

    def done(self, said: wire.Done) -> wire.Ack:
        """Take what became of a task's results; a second time changes nothing.

        Raises:
            Refusal: 409 the container is not registered.
        """
        task = self._task(said.container_id)
        self._heard(task.name)
        if task.upload is None:
            self._emit(
                events.TaskUploaded(self.clock(), task.name, task.attempt, said.files, said.bytes, said.problem[:1000])
            )
        return wire.Ack()

    def stop(self, asked: wire.Stop) -> wire.Ack:
        """Let a client end the job; a second time changes nothing."""
        self._carry_out(policy.kill(self.plan, self.snapshot, asked.by[:200], asked.reason[:500], self.clock()))
        return wire.Ack()

    async def events_from(self, start: int, wait_s: float) -> wire.Events:
        """Return the event lines from number `start` on, as soon as there is one, at the latest after `wait_s`."""
        until = asyncio.get_running_loop().time() + min(wait_s, wire.MAX_HOLD_S)
        while self._told <= start:
            left_s = until - asyncio.get_running_loop().time()
            if left_s <= 0 or not await self._news.wait(left_s):
                break
        lines = tuple(self._lines[start : self._told])
        if self.snapshot.verdict is not None and self._told == len(self._lines):
            self._verdict_seen.set()
        elif wait_s > 0:
            self._followed_s = asyncio.get_running_loop().time()
        return wire.Events(lines, start + len(lines))

    def answering(self, change: int) -> None:
        """Count requests that are being answered, so that the agent leaves after the last answer."""
        self._answering += change
        if self._answering:
            self._idle.clear()
        else:
            self._idle.set()

    @property
    def beat_s(self) -> float:
        """Return the pause between two beats of a task, in seconds; 0 while beats are held."""
        return 0.0 if self._holds else max(1.0, len(self.snapshot.tasks) / BEATS_PER_S)

    # ---- what the witness and the surroundings say ----------------------------------------------------------------

    async def suspicion(self, timeout_s: float) -> None:
        """Return when a task's connection broke, at the latest after `timeout_s`."""
        await self._suspected.wait(timeout_s)

    def container_ended(self, container_id: str, role: str, host: str, code: int | None, said: str) -> None:
        """YARN says that a container has ended; `code` is its process's, below 0 one of YARN's, None when not known."""
        now_s = self.clock()
        self.signs.sightings.pop(container_id, None)
        task = self.snapshot.of_container(container_id)
        problem, ours = words.yarn_end(code, registered=task is not None)
        said = wire.clip_tail(said)
        if task is not None:
            if not task.settled:
                since_s = self.signs.doubted_s.get(task.name, now_s)
                self._forget(task.name)
                lost = policy.lose(self.snapshot, task, since_s, ours, problem, said)
                self._carry_out(tuple((action, "its container has ended") for action in lost))
            return
        index = self.snapshot.free_index(role)
        if index is None or self.snapshot.stopping is not None:
            return
        task = self.snapshot.tasks[task_name(role, index)]
        self._emit(policy.never_up(task, now_s, host, ours, problem, said))

    def say(self, sentence: str) -> None:
        """Tell clients what the job waits for."""
        if self.snapshot.verdict is None:
            self._emit(events.Waiting(self.clock(), sentence))

    def end_now(self, state: str, exit_code: int, problem: str, message: str) -> events.JobEnded:
        """End the job without stopping anything: the master goes away, or the agent is broken; return the verdict."""
        if self.snapshot.verdict is None:
            origin = "client" if problem == "internal" else "yarn"
            self._emit(events.JobEnded(self.clock(), state, exit_code, origin, problem, message))
        return typing.cast("events.JobEnded", self.snapshot.verdict)

    # ---- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> events.JobEnded:
        """Return the verdict, when there is one."""
        before_s = time.monotonic()
        while self.snapshot.verdict is None:
            await _wait(self._ended, TICK_S)
            pause_s = time.monotonic() - before_s - TICK_S
            before_s = time.monotonic()
            if pause_s > PAUSED_S:
                LOG.warning("the agent did not run for %.0f s", pause_s)
                self.signs.forgive(pause_s)
            self.tick()
        return self.snapshot.verdict

    def tick(self) -> None:
        """Decide what only the clock can bring about."""
        self._carry_out(policy.overdue(self.plan, self.snapshot, self.signs, self.clock()))
        self._decide()

    async def leave(self) -> bool:
        """Write the verdict, tell everybody, end the application; return whether YARN took it.

        Order matters: who reads the history after a client has returned must find the verdict there.
        """
        verdict = self.snapshot.verdict
        assert verdict is not None  # noqa: S101 - called when run() has returned
        self._history.remove_staging()
        if not await in_thread(functools.partial(self._history.flush, FLUSH_S), FLUSH_S + 1):
            LOG.warning("the verdict did not reach the job's store within %.0f s", FLUSH_S)
        self._told = len(self._lines)
        self._news.ring()
        self._new_order.ring()
        # A client that follows asks again within moments; it shall hear the verdict from here, not from a closed door.
        if asyncio.get_running_loop().time() - self._followed_s < FOLLOWS_S:
            await _wait(self._verdict_seen, ANSWERS_S)
        await _wait(self._idle, ANSWERS_S)
        try:
            await self._cluster.finish(verdict.state, verdict.message)
        except ClusterError as error:
            LOG.warning("%s", error)
            return False
        return True

    def _order(self, *, is_new: bool) -> wire.Orders:
        """Return the order of the moment; one value for all, without its topology for those who have it."""
        key = (self.snapshot.order_id, is_new)
        if key not in self._orders:
            order = policy.order(self.plan, self.snapshot)
            if not is_new:
                order = dataclasses.replace(order, topology={})
            self._orders = {**self._orders, key: dataclasses.replace(order, beat_s=self.beat_s)}
        return self._orders[key]

    def _task(self, container_id: str) -> snapshot.Task:
        task = self.snapshot.of_container(container_id)
        if task is None:
            raise Refusal(409, "not-registered", f"container {container_id} has not registered")
        return task

    def _heard(self, task: str) -> None:
        self.signs.heard_s[task] = self.clock()
        self.signs.doubted_s.pop(task, None)

    def _forget(self, task: str) -> None:
        self.signs.heard_s.pop(task, None)
        self.signs.doubted_s.pop(task, None)

    def _dropped(self, task: str) -> None:
        """A held connection broke: perhaps the executor is gone; let the witness ask its node."""
        if not self.snapshot.tasks[task].settled and self.snapshot.verdict is None:
            self.signs.doubted_s.setdefault(task, self.clock())
            self._suspected.ring()

    def _emit(self, event: events.Event) -> None:
        before = self.snapshot
        self.snapshot = snapshot.apply(before, event)
        line = events.to_line(event)
        LOG.info("%s", line[:400])
        self._lines.append(line)
        self._history.append(line, WRITE_WITHIN_S.get(type(event), PAUSE_S))
        if self.snapshot.verdict is None:
            self._told = len(self._lines)
            self._news.ring()
            if self.snapshot.order_id != before.order_id:
                self._new_order.ring()
            self._decide()
        else:
            self._ended.set()

    def _decide(self) -> None:
        self._carry_out(policy.decide(self.plan, self.snapshot, self.signs, self.clock()))

    def _carry_out(self, decisions: tuple[policy.Decision, ...]) -> None:
        for action, reason in decisions:
            LOG.info("%s: %s", type(action).__name__, reason)
            self._act(action)

    def _act(self, action: policy.Action) -> None:
        if self.snapshot.verdict is not None:
            return
        now_s = self.clock()
        if isinstance(action, policy.ReleaseGang):
            self._emit(events.GangComplete(now_s, action.topology))
        elif isinstance(action, policy.Say):
            self._emit(events.Waiting(now_s, action.sentence))
        elif isinstance(action, policy.LoseTask):
            self._forget(action.exit.task)
            self._emit(action.exit)
        elif isinstance(action, policy.LoseResults):
            self._forget(action.upload.task)
            self._emit(action.upload)
        elif isinstance(action, policy.StopJob):
            self._emit(events.JobStopping(now_s, action.verdict.message, action.verdict, action.upload_s))
        else:
            self._emit(action.verdict)


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    """Return whether `event` came within `timeout_s`."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except asyncio.TimeoutError:
        return False
    return True
