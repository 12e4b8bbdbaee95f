"""A cluster, its containers and their executors as a model around a real agent loop and desk: no threads, no real time.

What is real: JobLoop, Desk, Witness, Placing and all that they decide with. What is not: YARN, the wire, the store, the
programs. Executors obey as am/executor/session.py does; each of their steps is a call, so that any order can be tried.
"""

# ruff: noqa: D102, ARG002 - the methods of Yarn are those of the seam, described there
from __future__ import annotations

import asyncio
import collections
import typing

from agent_model_executor import GONE, Executor, require

from am.agent.cluster import ASKED, ENDED, GIVEN, LOCALIZING, RUNNING, ClusterError, Container, NodeWord
from am.agent.desk import Desk, Refusal
from am.agent.loop import JobLoop
from am.agent.witness import Witness

if typing.TYPE_CHECKING:
    from collections.abc import Awaitable

    from am.contract.job import JobPlan


class Yarn:
    """YARN at the agent's seam: what was asked for, what was given, what ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[str] = []
        self.given: dict[str, str] = {}  # container id -> role
        self.ended: dict[str, int] = {}
        self.words: dict[str, int] = {}  # container id -> status that its node gives for telling it to end
        self.down: dict[str, str] = {}
        self.away = False
        self.numbers = 0

    def renew(self, roles: list[str]) -> None:
        """Begin anew for another ApplicationMaster, which asks for all containers by itself."""
        self.given, self.asked = {}, roles

    async def containers(self) -> tuple[Container, ...]:
        self._answer()
        host = self.world.hosts
        found = [Container("", role, "", ASKED) for role in self.asked]
        for container_id, role in self.given.items():
            state = ENDED if container_id in self.ended else GIVEN
            found.append(Container(container_id, role, f"{host[container_id]}:8042", state, ""))
        return tuple(found)

    async def look(self, container_id: str, node_http: str) -> NodeWord:
        host = node_http.rpartition(":")[0]
        if host in self.down:
            return NodeWord(self.down[host], words=f"{host} does not answer")
        if container_id in self.ended or container_id in self.words:
            code = self.words.get(container_id, self.ended.get(container_id))
            return NodeWord(ENDED, None if code == 0 else code, "")
        executor = self.world.executors.get(container_id)
        return NodeWord(LOCALIZING if executor is None else RUNNING)

    async def ask(self, role: str, count: int) -> None:
        self._answer()
        self._wanted("YARN was asked for a container")
        self.asked += [role] * count

    async def release_all(self) -> frozenset[str]:
        self._answer()
        self._wanted("containers were given back")
        ids = frozenset(each for each in self.given if each not in self.ended)
        self.asked.clear()
        for each in ids:
            self.end(each, -105)
        return ids

    async def stop(self, container_id: str) -> None:
        self._answer()
        self._wanted("a container was stopped")
        self.end(container_id, -105)

    async def finish(self, state: str, message: str) -> None:
        raise AssertionError

    def give(self, number: int, host: str) -> Executor | None:
        """Give one of the containers that were asked for."""
        if not self.asked:
            return None
        role = self.asked.pop(number % len(self.asked))
        self.numbers += 1
        container_id = f"c{self.world.attempt}_{self.numbers}"
        self.given[container_id], self.world.hosts[container_id] = role, host
        executor = Executor(self.world, role, container_id, host)
        self.world.executors[container_id] = executor
        return executor

    def end(self, container_id: str, code: int) -> None:
        """End a container and all that runs in it; who lingers a moment is gone with the next look."""
        self.ended.setdefault(container_id, code)
        executor = self.world.executors.get(container_id)
        if executor is not None and not self.world.linger:
            executor.alive, executor.phase = False, GONE

    def _wanted(self, what: str) -> None:
        if self.world.over:
            self.world.wrongs.append(f"{what} after the verdict")

    def _answer(self) -> None:
        if self.away:
            raise ClusterError("the ApplicationMaster did not do it")


class _Log:
    """The store: takes lines."""

    def append(self, line: str, within_s: float) -> None:
        """Every line is there at once."""


class World:
    """One job on its cluster.

    Args:
        plan: The job.
        hosts: How many hosts the cluster has.
    """

    def __init__(self, plan: JobPlan, hosts: int) -> None:
        self.plan = plan
        self.host_names = [f"h{number}" for number in range(hosts)]
        self.clock_s = 1000.0
        self.mono_s = 0.0
        self.ports = 2000
        self.pids = 0
        self.misses = False
        self.linger = False
        self.rested = False  # nothing was said since the agent's last tick
        self.upload_problem = ""
        self.hosts: dict[str, str] = {}
        self.executors: dict[str, Executor] = {}
        self.starts: collections.Counter[tuple[str, int]] = collections.Counter()
        self.sent: list[tuple[str, object]] = []
        self.wrongs: list[str] = []  # seen where nobody hears an exception
        self.events_loop = asyncio.SelectorEventLoop()
        self.events_loop.time = lambda: self.mono_s  # type: ignore[method-assign]  # pauses end when the model says so
        self.yarn = Yarn(self)
        self.yarn.asked = self.every_role()
        self.attempt = 0
        self.next_master([])

    def every_role(self) -> list[str]:
        return [role.name for role in self.plan.roles for _ in range(role.instances)]

    @property
    def over(self) -> bool:
        """Return whether the job has its verdict."""
        return self.agent.snapshot.verdict is not None

    def next_master(self, lines: list[str]) -> None:
        """Start an agent that knows what was written before."""
        if self.attempt:
            self.agent.placing.close()
            self.settle()
            for executor in self.executors.values():
                executor.alive, executor.phase = False, GONE
            self.sent.clear()
            self.yarn.renew(self.every_role())
        self.attempt += 1
        last = self.attempt >= self.plan.max_attempts
        self.agent = JobLoop(self.plan, self.yarn, _Log(), lambda: self.clock_s, last=last)
        self.desk = Desk(self.agent)
        self.witness = Witness(self.agent, self.yarn)
        self.agent.recall(lines)
        if not self.over:
            self.run(self._listen())

    async def _listen(self) -> None:
        self.agent.listening("am", 1, "application_1_0001", self.attempt)

    def run(self, work: Awaitable[object]) -> object:
        """Run a coroutine, and what it began beside itself."""

        async def with_what_follows() -> object:
            found = await work
            for _ in range(3):
                await asyncio.sleep(0)
            return found

        return self.events_loop.run_until_complete(with_what_follows())

    def close(self) -> None:
        """Leave nothing that waits."""
        self.agent.placing.close()
        self.settle()
        self.events_loop.close()

    def settle(self) -> None:
        """Let what was begun beside the loop go on until it waits for time to pass."""
        self.run(asyncio.sleep(0))

    def say(self, what: str, message: object) -> object:
        """Let a message arrive at the agent; the answer, or Refusal."""
        self.rested = False

        async def arrive() -> object:
            answer = getattr(self.desk, what)(message)
            return await answer if asyncio.iscoroutine(answer) else answer

        return self.run(arrive())

    def repeat(self, number: int) -> None:
        """Let one of the last messages arrive once more; nobody hears the answer."""
        if self.sent:
            what, message = self.sent[-1 - number % len(self.sent)]
            try:
                self.say(what, message)
            except Refusal as refusal:
                require(refusal.status in {409, 410}, f"a repeated {what} was refused with {refusal.status}")

    def reach(self, peer: str) -> str:
        """Return at which address a task is reached: every second one at its other address."""
        task = self.agent.snapshot.tasks[peer]
        return f"10.{task.host}" if task.index % 2 else task.host

    def living(self) -> list[Executor]:
        """Return the executors whose process lives."""
        return [each for each in self.executors.values() if each.alive]

    def speaking(self) -> list[Executor]:
        return [each for each in self.living() if not each.silent]

    def pick(self, number: int) -> Executor | None:
        """Return one of the executors that live."""
        living = self.living()
        return living[number % len(living)] if living else None

    def advance(self, seconds: float, *, heard: bool = True) -> None:
        """Let time pass; who is well beats meanwhile."""
        self.clock_s += seconds
        self.mono_s += abs(seconds)
        self.settle()
        if heard:
            for executor in self.speaking():
                executor.beat()
        if not self.over:
            self.run(self._tick())
        self.rested = True

    async def _tick(self) -> None:
        self.agent.tick()

    def look(self) -> None:
        """Let the witness look once, as it does every few seconds."""
        snapshot = self.agent.snapshot
        if snapshot.verdict is None and snapshot.stopping is None and snapshot.lacking and not self.yarn.away:
            self.run(self.witness.look_for_unregistered())
        if not self.over:
            self.run(self.witness.look_at_doubts())
