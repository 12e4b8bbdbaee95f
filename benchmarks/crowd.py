"""One real agent, and simulated executors for it: what runs in the processes of `rendezvous.py`."""

from __future__ import annotations

import asyncio
import cProfile
import functools
import importlib
import json
import os
import random
import resource
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from am.agent.cluster import RUNNING, Container, NodeWord
from am.agent.gang import PROBED_TASKS
from am.contract import codes, wire
from am.contract.job import CERTIFICATE_FILE, JOB_FILE, JobPlan
from am.executor import reporting
from am.executor.environment import Task
from am.executor.happenings import Ended, Leave
from am.executor.link import AgentLink
from am.executor.ports import OpenPort
from am.executor.preparation import Place
from am.executor.running import STOPPED_BEFORE, End
from am.executor.session import Session

SECRET = "no secret at all"  # noqa: S105 - of a job that does not exist
HOST = "127.0.0.1"
SWITCH_S = 1.0  # hundreds of threads that wait for one interpreter wake up this often to ask for it
FAILED_CODE = 3


# ---- the agent's process ----------------------------------------------------------------------------------------


class GivingCluster:
    """A YARN that has given all containers and ends none."""

    def prepare(self) -> None:
        """Take the memory that the real one takes."""
        importlib.import_module("skein")

    async def containers(self) -> tuple[Container, ...]:
        """Nothing is left to give."""
        return ()

    async def look(self, _container_id: str, _node_http: str) -> NodeWord:
        """Every container runs."""
        return NodeWord(RUNNING)

    async def ask(self, role: str, count: int) -> None:
        """Nothing is ever asked for again."""

    async def release_all(self) -> None:
        """Nothing is given back."""

    async def stop(self, container_id: str) -> None:
        """Executors leave by themselves."""

    async def finish(self, state: str, message: str) -> None:
        """Nobody reads it."""


class NullStore:
    """A store that takes everything and keeps nothing."""

    def prepare(self) -> None:
        """Take the memory that the real one takes."""
        importlib.import_module("hdfs")

    def put(self, path: str, text: str, mode: str, replace: bool = False) -> None:
        """Take it."""

    def remove(self, path: str) -> None:
        """Take it."""

    def list(self, _path: str) -> list[str]:
        """Nothing lies here."""
        return []

    def read(self, path: str) -> str:
        """Nothing lies here."""
        raise FileNotFoundError(path)


def be_agent(directory: Path, profile: str) -> int:
    """Run the job's agent; say on stdout where it listens, and at the end what it took."""
    agent_module = importlib.import_module("am.agent.__main__")  # no part of the executors' processes
    plan = JobPlan.from_text((directory / JOB_FILE).read_text())
    setting = agent_module.Setting(directory, HOST, "application_1_0001", 1)
    agent = agent_module.Agent(setting, plan, GivingCluster(), NullStore())
    agent.port.add_done_callback(lambda port: print(json.dumps({"port": port.result()}), flush=True))
    profiler = cProfile.Profile() if profile else None
    if profiler:
        profiler.enable()
    asyncio.run(agent.run())
    if profiler:
        profiler.disable()
        profiler.dump_stats(profile)
    used = resource.getrusage(resource.RUSAGE_SELF)
    took = {"memory_mb": used.ru_maxrss * 1024 / 1e6, "cpu_s": used.ru_utime + used.ru_stime}
    print(json.dumps(took), flush=True)
    return 0


# ---- processes of simulated executors ---------------------------------------------------------------------------


class CountedLink(AgentLink):
    """A link that counts requests."""

    count = 0

    def call(self, *arguments: Any) -> Any:
        """See AgentLink."""
        CountedLink.count += 1
        return super().call(*arguments)


class Crowd:
    """What the sessions of one process have seen; `tell` sends it to the parent when it is the same for all."""

    def __init__(self, count: int, parent: Connection) -> None:
        self._lock = threading.Lock()
        self._left = dict.fromkeys(("started", "told", "left"), count)
        self._parent = parent
        self.go = threading.Event()

    def saw(self, what: str) -> None:
        """Count one session that has seen something; the last one's time goes to the parent."""
        now_s = time.monotonic()
        with self._lock:
            self._left[what] -= 1
            if not self._left[what]:
                self._parent.send((what, now_s))


class SimulatedSession(Session):
    """A session whose command runs until it is stopped, or until `fail`; nothing of a node is touched."""

    def __init__(self, plan: JobPlan, place: Place, crowd: Crowd) -> None:
        super().__init__(plan, place)
        self._crowd = crowd
        port = random.randrange(32768, 61000)  # noqa: S311 - no secret
        open_port = OpenPort().number if sum(role.instances for role in plan.roles) <= PROBED_TASKS else 0
        self._prepared = SimpleNamespace(port_numbers=lambda: (port, open_port))

    def live(self) -> None:
        """Live, in a thread that gets no signals."""
        self._crowd.go.wait()
        try:
            self._live()
        except Leave as leave:
            if leave.code:
                print(leave, file=sys.stderr)
        finally:
            self._reporter.close()
            for link in (self._reporter._shared, self._reporter._own):  # noqa: SLF001 - a process that ends closes them
                link.close()
            self._crowd.saw("left")

    def fail(self) -> None:
        """Let the command end badly; from another thread."""
        self._inbox.put(Ended(FAILED_CODE))

    def _make_ready(self, _another_port: bool) -> None:
        return None

    def _try(self, task: Task) -> End:
        topology = self._await_start(task)
        self._crowd.saw("started")
        if topology is None:
            return STOPPED_BEFORE
        self._reporter.tell_pid(os.getpid())
        while self._inbox.ending is None:
            happening = self._inbox.next(None)
            if isinstance(happening, Ended):
                self._crowd.saw("told")
                return End(happening.code, "its last words")
        self._crowd.saw("told")
        return End(codes.TERMINATED)


def be_executors(parent: Connection, directory: str, first: int, count: int) -> None:
    """Be so many executors; do what the parent says."""
    reporting.AgentLink = CountedLink
    reporting.pinned_context = functools.cache(reporting.pinned_context)  # one for all: each node reads its own
    sys.setswitchinterval(SWITCH_S)
    os.nice(19)  # executors have nodes of their own: the agent comes first here
    place = Path(directory)
    plan = JobPlan.from_text((place / JOB_FILE).read_text())
    crowd = Crowd(count, parent)
    sessions = [
        SimulatedSession(
            plan,
            Place(
                role="worker",
                directory=directory,
                agent_host=HOST,
                certificate=str(place / CERTIFICATE_FILE),
                token=wire.task_token(SECRET),
                environment={
                    "CONTAINER_ID": f"container_1_0001_01_{index:06d}",
                    "NM_HOST": f"127.0.{index // 250}.{index % 250 + 1}",
                    "NM_HTTP_PORT": "8042",
                    "USER": "alice",
                },
                started_s=time.time(),
            ),
            crowd,
        )
        for index in range(first, first + count)
    ]
    for session in sessions:
        threading.Thread(target=session.live, daemon=True).start()
    parent.send(("ready", 0.0))
    while parent.poll(None):
        try:
            order = parent.recv()
        except EOFError:  # the parent was ended
            return
        if order == "go":
            crowd.go.set()
        elif order == "count":
            parent.send(("counted", float(CountedLink.count)))
        elif order == "fail":
            now_s = time.monotonic()
            sessions[0].fail()
            parent.send(("failed", now_s))
        else:
            return
