"""A model of am/executor/session.py for one container: each thing that its process does is a call."""

from __future__ import annotations

import dataclasses
import typing

from am.agent.desk import Refusal
from am.contract import codes, wire
from am.contract.job import task_name

if typing.TYPE_CHECKING:
    from agent_model import World

NEW, WAITING, RUNS, HELD, CARRYING, AGAIN, GONE = "new", "waiting", "runs", "held", "carrying", "again", "gone"


class BrokenLawError(AssertionError):
    """Something that must hold for every job does not."""


def require(holds: object, what: str) -> None:
    """Raise BrokenLawError when something does not hold."""
    if not holds:
        raise BrokenLawError(what)


@dataclasses.dataclass
class Executor:
    """The session in one container; each method is something that its process does.

    Attributes:
        failing: Problem that ends its next attempt before the command runs.
        silent: It is stopped (SIGSTOP), or cut off: it says nothing.
        alive: Its process exists.
    """

    world: World
    role: str
    container_id: str
    host: str
    phase: str = NEW
    name: str = ""
    attempt: int = 0
    order_id: int = -1
    order: str = ""
    topology: dict = dataclasses.field(default_factory=dict)
    port: int = 0
    probed_id: int = -1
    pid: int = 0
    failing: str = ""
    silent: bool = False
    alive: bool = True
    signalled: bool = False
    ran: bool = False

    def register(self) -> None:
        """Introduce itself, the first time or for the next attempt."""
        if self.phase not in {NEW, AGAIN}:
            return
        self.world.ports += 1
        self.port = self.world.ports
        other = (f"10.{self.host}",)
        me = wire.Register(
            self.role, self.container_id, self.host, f"{self.host}:8042", "alice", (self.port,), 5, 0.0, 9, other
        )
        found = self._call("register", dataclasses.replace(me, attempt=self.attempt))
        if found is None:
            return
        name = task_name(self.role, found.index)
        require(self.name in {"", name}, f"{self.container_id} was {self.name} and is {name} now")
        self.name, self.attempt, self.phase, self.ran = name, found.attempt, WAITING, False
        if self.failing:
            problem, self.failing = self.failing, ""
            self._tell_end(76, problem)

    def beat(self) -> None:
        """Let the beats' thread ask for orders; the session looks at them in `step`."""
        if self.phase in {NEW, GONE}:
            return
        orders = self._call("beat", wire.Beat(self.container_id, self.order_id, 0.0, self.pid))
        if orders is None or orders.order_id == self.order_id:
            return
        require(orders.order_id > self.order_id, "an order is older than the one before")
        self.order_id = orders.order_id
        if not self.signalled or orders.order in {wire.STOP, wire.LEAVE}:
            self.order, self.topology = orders.order, orders.topology

    def step(self) -> None:
        """Let the session do what follows from the newest order."""
        if self.phase == GONE:
            return
        if self.order == wire.LEAVE:
            self.leave()
        elif self.phase == AGAIN:
            self.register()
        elif self.phase == WAITING:
            self._wait_step()
        elif self.phase == RUNS and self.order in {wire.STOP, wire.AGAIN}:
            self.end_program(codes.TERMINATED)
        elif self.phase == HELD and self.order == wire.STOP:
            self.phase = CARRYING
        elif self.phase in {HELD, CARRYING} and self.order == wire.AGAIN:
            self._take_again()
        elif self.phase == CARRYING:
            self._call("done", wire.Done(self.container_id, 1, 10, self.world.upload_problem))
            self.leave()

    def _wait_step(self) -> None:
        if self.order == wire.START:
            self._start()
        elif self.order == wire.AGAIN:
            self._take_again()
        elif self.order == wire.STOP:
            self._tell_end(codes.TERMINATED, "")
        elif self.order == wire.PROBE and self.probed_id != self.order_id:
            self.probed_id = self.order_id
            peers = [task_name(role, index) for role, all_ in self.topology.items() for index in range(len(all_))]
            missed = {peers[-1]: "refused"} if self.world.misses and peers[-1] != self.name else {}
            reached = {peer: self.world.reach(peer) for peer in peers if peer != self.name and peer not in missed}
            self._call("probed", wire.Probed(self.container_id, self.order_id, reached, missed))

    def _start(self) -> None:
        world = self.world
        key = (self.name, self.attempt)
        world.starts[key] += 1
        require(world.starts[key] == 1, f"{self.name} was started twice in attempt {self.attempt}")
        index = int(self.name.rpartition(":")[2])
        mine = dict(self.topology).get(self.role, ())
        alone = world.plan.role(self.role).start == "first-come"
        fits = len(mine) > index and mine[index].endswith(f":{self.port}")
        require(fits or (alone and not world.agent.snapshot.topology), f"{self.name} at {self.port} is not in {mine}")
        world.pids += 1
        self.phase, self.pid, self.ran = RUNS, world.pids, True

    def end_program(self, code: int, problem: str = "") -> None:
        """Let the user's program end."""
        if self.phase == RUNS:
            self._tell_end(code, problem)

    def _tell_end(self, code: int, problem: str) -> None:
        ack = self._call("exit", wire.Exit(self.container_id, code, "its last words", problem, self.attempt))
        self.pid = 0
        if self.phase != GONE:
            self.phase = HELD if ack is not None and ack.hold else CARRYING

    def _take_again(self) -> None:
        self.order, self.phase = "", AGAIN

    def told_to_end(self, status: int) -> None:
        """Let its node end it politely (TERM), for a reason of YARN's."""
        self.world.yarn.words[self.container_id] = status
        self.signalled = True
        if self.order != wire.LEAVE:
            self.order = wire.STOP

    def leave(self) -> None:
        """Let the executor's process end."""
        self.phase, self.alive = GONE, False
        self.world.yarn.ended.setdefault(self.container_id, 0)

    def _call(self, what: str, message: object) -> object:
        if self.silent or not self.alive:
            return None
        self.world.sent.append((what, message))
        try:
            return self.world.say(what, message)
        except Refusal as refusal:
            require(refusal.status in {409, 410}, f"{what} was refused with {refusal.status}")
            self.leave()
            return None
