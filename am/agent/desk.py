"""What executors and clients ask of the agent; each request becomes an event, a sign of life, or a refusal."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import typing

from am.agent import policy, snapshot, words
from am.contract import codes, events, states, wire
from am.contract.job import task_name

if typing.TYPE_CHECKING:
    from am.agent.loop import JobLoop

NODE_WORD_S = 1.0  # for a node to say why it told a container to end; it takes milliseconds when it is well
TURNED_AWAY = 5  # containers on an avoided host that a role gives back before it takes what it gets
CACHED_ORDERS = 64


class Refusal(Exception):  # noqa: N818 - no error of the agent
    """A request that is not done: HTTP status, id of docs/errors.md, sentence."""

    def __init__(self, status: int, problem: str, message: str) -> None:
        self.status = status
        self.problem = problem
        self.message = message
        super().__init__(message)


class Desk:
    """Answers for one job.

    Args:
        job: The job.
    """

    def __init__(self, job: JobLoop) -> None:
        self._job = job
        self._turned_away: collections.Counter[str] = collections.Counter()
        self._orders: dict[tuple[int, str, bool], wire.Orders] = {}
        self._answering = 0

    def register(self, asked: wire.Register) -> wire.Registered:
        """Give an executor its index, the lowest free one of its role; the same one when it asks again.

        Raises:
            Refusal: 400 unknown role, 409 all tasks of the role are taken, 410 the job has ended.
        """
        task = self._job.snapshot.of_container(asked.container_id)
        if task is not None:
            self._job.heard(task.name)
            task = self._register_again(task, asked)
            return self._introduced(task)
        if self._job.snapshot.stopping is not None or self._job.snapshot.verdict is not None:
            raise Refusal(410, "job-ended", "the job has ended")
        if asked.role not in {role.name for role in self._job.plan.roles}:
            raise Refusal(400, "unknown-role", f"the job has no role {asked.role!r}")
        if asked.attempt or asked.container_id in self._job.signs.given_up:
            raise Refusal(409, "not-registered", f"container {asked.container_id} was given up")
        index = self._job.snapshot.free_index(asked.role)
        if index is None:
            self._job.signs.given_up.add(asked.container_id)
            raise Refusal(409, "role-complete", f"all tasks of role {asked.role} are taken")
        self._job.signs.sightings.pop(asked.container_id, None)
        if asked.host in self._job.snapshot.avoided and self._turned_away[asked.role] < TURNED_AWAY:
            self._turned_away[asked.role] += 1
            self._job.signs.given_up.add(asked.container_id)
            self._job.placing.ask(asked.role)
            raise Refusal(409, "host-avoided", f"tasks failed on {asked.host} again and again")
        task = self._registered(self._job.snapshot.tasks[task_name(asked.role, index)], asked)
        return self._introduced(task)

    def _introduced(self, task: snapshot.Task) -> wire.Registered:
        order = policy.order(self._job.plan, self._job.snapshot, task)
        waiting = order.order_id if order.order == wire.WAIT else -1
        return wire.Registered(task.index, task.attempt, self._job.application_id, waiting)

    def _registered(self, task: snapshot.Task, asked: wire.Register) -> snapshot.Task:
        log_url = f"http://{asked.node_http}/node/containerlogs/{asked.container_id}/{asked.user}"
        probe = ",".join(f"{host}:{asked.probe_port}" for host in (asked.host, *asked.addresses) if asked.probe_port)
        self._job.heard(task.name)
        self._job.emit(
            events.TaskRegistered(
                self._job.clock(),
                task.name,
                task.attempt,
                asked.container_id,
                asked.host,
                asked.node_http,
                log_url,
                asked.ports,
                probe,
            )
        )
        return self._job.snapshot.tasks[task.name]

    def _register_again(self, task: snapshot.Task, asked: wire.Register) -> snapshot.Task:
        """Take the next attempt of a task in the container that it has; a repeated question changes nothing."""
        if asked.attempt == task.attempt and task.round < self._job.snapshot.round and not task.ended:
            why = "stopped before its command ran"
            self._job.emit(
                events.TaskExited(
                    self._job.clock(),
                    task.name,
                    task.attempt,
                    task.host,
                    codes.TERMINATED,
                    snapshot.EXECUTOR,
                    True,
                    why,
                )
            )
            task = self._task(asked.container_id)  # unless the next attempt is to run elsewhere
        if task.state == states.NEW and asked.attempt == task.attempt - 1:
            return self._registered(task, asked)
        return task

    async def beat(self, beat: wire.Beat) -> wire.Orders:
        """Take a sign of life; return the task's order when there is a newer one, at the latest after `wait_s`.

        Raises:
            Refusal: 409 the container is not registered.
        """
        task = self._task(beat.container_id)
        self._job.heard(task.name)
        if beat.pid and task.state == states.READY:  # a beat of the attempt before may still name its program
            self._job.emit(events.TaskStarted(self._job.clock(), task.name, task.attempt, beat.pid))
        wait_s = min(beat.wait_s, wire.MAX_HOLD_S) if self._job.holds else 0.0
        until = asyncio.get_running_loop().time() + wait_s
        self._job.held[task.name] = self._job.held.get(task.name, 0) + 1
        try:
            while self._ordered(beat) <= beat.order_id:
                left_s = until - asyncio.get_running_loop().time()
                if left_s <= 0 or not await self._job.new_order.wait(left_s):
                    break
        except asyncio.CancelledError:
            self._job.dropped(beat.container_id)
            raise
        finally:
            self._job.held[task.name] -= 1
        self._job.heard(self._task(beat.container_id).name)
        return self._order(self._task(beat.container_id), is_new=self._ordered(beat) > beat.order_id)

    def _ordered(self, beat: wire.Beat) -> int:
        return self._job.snapshot.ordered(self._task(beat.container_id))

    def probed(self, said: wire.Probed) -> wire.Ack:
        """Take which peers a task has reached; a second time changes nothing.

        Raises:
            Refusal: 409 the container is not registered.
        """
        task = self._task(said.container_id)
        self._job.heard(task.name)
        if self._job.snapshot.probing and said.order_id == self._job.snapshot.order_id:
            self._job.signs.probed[task.name] = said
            self._job.decide()
        return wire.Ack()

    async def exit(self, said: wire.Exit) -> wire.Ack:
        """Take the end of a task's command; a second time changes nothing.

        Raises:
            Refusal: 409 the container is not registered.
        """
        task = self._task(said.container_id)
        self._job.heard(task.name)
        if said.attempt < task.attempt:  # told before: the next one has begun
            return wire.Ack(hold=True)
        code, tail, problem, now_s = said.code & 0xFF, wire.clip_tail(said.tail), said.problem, self._job.clock()
        told = self._job.snapshot.stopping is not None or task.round < self._job.snapshot.round
        if code == codes.TERMINATED and not problem and not task.ended and not told:
            code, tail, problem = await self._why_terminated(task, code, tail)
            task = self._task(said.container_id)
            if said.attempt < task.attempt:  # its end was told by others while its node was asked
                return wire.Ack(hold=True)
        if not self._job.snapshot.tasks[task.name].ended:
            stopped = self._job.snapshot.stopping is not None and now_s >= self._job.snapshot.stopping_since_s
            stopped = stopped or task.round < self._job.snapshot.round
            self._job.emit(
                events.TaskExited(
                    now_s, task.name, task.attempt, task.host, code, snapshot.EXECUTOR, stopped, tail, problem
                )
            )
        return wire.Ack(hold=self._holds_container(task.name, said.container_id))

    def _holds_container(self, name: str, container_id: str) -> bool:
        """Return whether an executor whose program has ended shall wait for what follows."""
        task = self._job.snapshot.tasks[name]
        if self._job.snapshot.stopping is not None or self._job.snapshot.verdict is not None:
            return False
        return task.container_id == container_id and (task.held or task.state == states.NEW)

    async def _why_terminated(self, task: snapshot.Task, code: int, tail: str) -> tuple[int, str, str]:
        """Return code, tail and problem of a task that somebody told to end: its node knows whether it was YARN."""
        self._job.signs.doubted_s[task.name] = self._job.clock()  # until then nobody whose end came of it is blamed
        try:
            word = await asyncio.wait_for(self._job.cluster.look(task.container_id, task.node_http), NODE_WORD_S)
        except asyncio.TimeoutError:
            word = None
        except asyncio.CancelledError:
            self._job.dropped(task.container_id)
            raise
        self._job.heard(task.name)
        if word is None or word.code is None or word.code >= 0:
            return code, tail, ""
        problem, ours = words.yarn_end(word.code, word.words, registered=True)
        return ours, wire.clip_tail(word.words), problem

    def done(self, said: wire.Done) -> wire.Ack:
        """Take what became of a task's results; a second time changes nothing.

        Raises:
            Refusal: 409 the container is not registered.
        """
        task = self._task(said.container_id)
        self._job.heard(task.name)
        if task.upload is None and task.exit is not None:
            self._job.emit(
                events.TaskUploaded(
                    self._job.clock(), task.name, task.attempt, said.files, said.bytes, said.problem[:1000]
                )
            )
        return wire.Ack()

    def stop(self, asked: wire.Stop) -> wire.Ack:
        """Let a client end the job; a second time changes nothing."""
        self._job.carry_out(
            policy.kill(self._job.plan, self._job.snapshot, asked.by[:200], asked.reason[:500], self._job.clock())
        )
        return wire.Ack()

    async def events_from(self, start: int, wait_s: float) -> wire.Events:
        """Return the event lines from number `start` on, as soon as there is one, at the latest after `wait_s`."""
        until = asyncio.get_running_loop().time() + min(wait_s, wire.MAX_HOLD_S)
        while self._job.told <= start:
            left_s = until - asyncio.get_running_loop().time()
            if left_s <= 0 or not await self._job.news.wait(left_s):
                break
        lines = tuple(self._job.lines[start : self._job.told])
        if self._job.snapshot.verdict is not None and self._job.told == len(self._job.lines):
            self._job.verdict_seen.set()
        elif wait_s > 0:
            self._job.followed_s = asyncio.get_running_loop().time()
        return wire.Events(lines, start + len(lines))

    def answering(self, change: int) -> None:
        """Count requests that are being answered, so that the agent leaves after the last answer."""
        self._answering += change
        if self._answering:
            self._job.idle.clear()
        else:
            self._job.idle.set()

    def _order(self, task: snapshot.Task, *, is_new: bool) -> wire.Orders:
        """Return a task's order of the moment, without its topology when the task has it; one value for all like it."""
        order = policy.order(self._job.plan, self._job.snapshot, task)
        order = dataclasses.replace(order, topology=order.topology if is_new else {}, beat_s=self._job.beat_s)
        if order.topology and not self._job.snapshot.topology:
            return order  # of a role that does not wait for the gang: each of its tasks has its own
        key = (order.order_id, order.order, is_new)
        if len(self._orders) > CACHED_ORDERS:
            self._orders.clear()
        return self._orders.setdefault(key, order)

    def _task(self, container_id: str) -> snapshot.Task:
        task = self._job.snapshot.of_container(container_id)
        if task is None:
            raise Refusal(409, "not-registered", f"container {container_id} has not registered")
        return task
