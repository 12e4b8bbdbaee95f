"""Stand-ins at the agent's two seams (YARN and the store), executors that are threads, and values for tests."""

# ruff: noqa: D102, ARG002 - the methods are those of the seams, described there
from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from certificates import certificate_and_key

from am.agent.cluster import GONE, RUNNING, ClusterError, Container, NodeWord
from am.contract import wire
from am.contract.events import JobEnded, from_line
from am.contract.job import CERTIFICATE_FILE, JOB_FILE, KEY_FILE, SECRET_FILE, JobPlan, Limits, Resources, RolePlan

if TYPE_CHECKING:
    from pathlib import Path

    from am.contract.events import Event

SECRET = "a secret of one job"


def role(name: str, instances: int = 1, *, tracked: bool = True, on_failure: str = "fatal", command: str = "true"):
    """Return a role of small containers."""
    return RolePlan(name, instances, Resources(128), command, tracked=tracked, on_failure=on_failure)


def plan(*roles: RolePlan, done_when: str = "chief", limits: Limits | None = None, **changes: Any) -> JobPlan:
    """Return a job of these roles, two workers when there are none; its main task is chief:0 or that of the first."""
    roles = roles or (role("worker", 2),)
    names = [item.name for item in roles]
    main = "chief" if "chief" in names else "worker" if "worker" in names else names[0]
    base = JobPlan(
        id="j-1",
        name="digits",
        user="alice",
        framework="generic",
        queue="ml",
        roles=roles,
        main_task=f"{main}:0",
        done_when=done_when,
        tf_worker0="worker",
        input_path="",
        checkpoint_path="",
        saved_model_path="",
        data_dir="",
        job_dir="/ys/alice/jobs/j-1",
        webhdfs=(),
        agent_ports=(0,),
        limits=limits or Limits(),
    )
    return replace(base, **changes)


@dataclass
class FakeCluster:
    """YARN as a test wants it: `known` is what it lists, `nodes` what NodeManagers say (RUNNING when not there)."""

    known: list[Container] = field(default_factory=list)
    nodes: dict[str, NodeWord] = field(default_factory=dict)
    refuses: bool = False
    looked: threading.Event = field(default_factory=threading.Event)
    stopped: list[str] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    finished: list[tuple[str, str]] = field(default_factory=list)

    def prepare(self) -> None:
        """Nothing takes time here."""

    async def containers(self) -> tuple[Container, ...]:
        return tuple(self.known)

    async def look(self, container_id: str, node_http: str) -> NodeWord:
        self.looked.set()
        return self.nodes.get(container_id, NodeWord(RUNNING))

    async def ask(self, role: str, count: int) -> None:
        self.asked.append((role, count))

    async def release_all(self) -> frozenset[str]:
        ids = frozenset(item.id for item in self.known if item.id)
        self.stopped.extend(sorted(ids))
        self.known.clear()
        return ids

    async def stop(self, container_id: str) -> None:
        self.stopped.append(container_id)

    async def finish(self, state: str, message: str) -> None:
        if self.refuses:
            raise ClusterError("the ApplicationMaster did not do it")
        self.finished.append((state, message))

    def say(self, container_id: str, code: int, words: str) -> None:
        """Let the node say that it ends a container for a reason of its own."""
        self.nodes[container_id] = NodeWord("ended", code, words)

    def end(self, container_id: str, code: int | None = None, words: str = "") -> None:
        """Let the node say that a container has ended."""
        self.nodes[container_id] = NodeWord(GONE) if code is None else NodeWord("ended", code, words)


@dataclass
class MemoryStore:
    """A store in memory; every call fails while `broken`."""

    files: dict[str, str] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    broken: bool = False
    calls: int = 0

    def prepare(self) -> None:
        """Nothing takes time here."""

    def put(self, path: str, text: str, mode: str, replace: bool = False) -> None:
        self._try()
        if path in self.files and not replace:
            raise OSError(f"{path} exists")
        self.files[path] = text
        self.modes[path] = mode

    def remove(self, path: str) -> None:
        self._try()
        self.removed.append(path)

    def lines(self, directory: str) -> dict[str, list[str]]:
        self._try()
        prefix = f"{directory}/"
        found = {path.removeprefix(prefix): text for path, text in self.files.items() if path.startswith(prefix)}
        return {name: text.splitlines() for name, text in found.items()}

    def events(self, job_dir: str = "/ys/alice/jobs/j-1") -> list[Event]:
        """Return the events of the history in their order."""
        prefix = f"{job_dir}/history/"
        found = {path: text for path, text in self.files.items() if path.startswith(prefix)}

        def number(path: str) -> tuple[int, ...]:
            return tuple(int(part) for part in path.removeprefix(prefix).removesuffix(".jsonl").split("-"))

        lines = [line for path in sorted(found, key=number) for line in found[path].splitlines()]
        return [event for event in map(from_line, lines) if event is not None]

    def _try(self) -> None:
        self.calls += 1
        if self.broken:
            raise OSError("the store is down")


def write_job_files(directory: Path, job: JobPlan, owner: str = "ours") -> None:
    """Put into `directory` what every container of the job finds there; another owner has another certificate."""
    certificate, key = certificate_and_key(owner)
    (directory / CERTIFICATE_FILE).write_bytes(certificate)
    (directory / KEY_FILE).write_bytes(key)
    (directory / SECRET_FILE).write_text(SECRET)
    (directory / JOB_FILE).write_text(job.to_text())


class Caller:
    """Calls an agent as executors and clients do: TLS that believes the job's certificate only, one connection.

    Args:
        port: The agent's.
        certificate: Path of the job's certificate.
        token: Of executors or clients.
    """

    def __init__(self, port: int, certificate: Path, token: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(certificate)
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        self.token = token

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        self.connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
        answer = self.connection.getresponse()
        body = answer.read()
        return answer.status, wire.inflate(body) if answer.getheader("Content-Encoding") == wire.DEFLATED else body

    def post(self, path: str, message: Any, kind: Any) -> Any:
        """Return the answer to a message, or (status, problem) when it is refused."""
        status, body = self.send("POST", f"{wire.PREFIX}{path}", wire.encode(message))
        return wire.decode(kind, body) if status == 200 else (status, json.loads(body)["problem"])

    def close(self) -> None:
        self.connection.close()


def registration(role_name: str, container_id: str, *, host: str = "127.0.0.11", port: int = 2222) -> wire.Register:
    """Return what an executor says of itself."""
    return wire.Register(role_name, container_id, host, f"{host}:8042", "alice", (port,), 100, 0.0)


class SimulatedExecutor(threading.Thread):
    """An executor in a thread: registers, waits for its start, ends with `code`; `code` None: runs until stopped.

    Args:
        port: The agent's.
        certificate: Path of the job's certificate.
        role_name: Its role.
        container_id: Its container.
        code: What its command exits with by itself, or None.
        upload: Problem of its upload.
    """

    def __init__(
        self, port: int, certificate: Path, role_name: str, container_id: str, code: int | None, upload: str = ""
    ) -> None:
        super().__init__(daemon=True)
        self.caller = Caller(port, certificate, wire.task_token(SECRET))
        self.role_name = role_name
        self.container_id = container_id
        self.code = code
        self.upload = upload
        self.index = -1
        self.topology: dict[str, tuple[str, ...]] = {}
        self.orders: list[str] = []

    def run(self) -> None:
        post = self.caller.post
        me = registration(self.role_name, self.container_id)
        self.index = post("/register", me, wire.Registered).index
        order_id = -1
        while True:
            order = post(
                "/beat", wire.Beat(self.container_id, order_id, 20.0, pid=7 if self.topology else 0), wire.Orders
            )
            if order.order_id == order_id:
                continue
            order_id = order.order_id
            self.orders.append(order.order)
            if order.order == wire.START:
                self.topology = order.topology
                post("/beat", wire.Beat(self.container_id, order_id, 0.0, pid=7), wire.Orders)
            if order.order == wire.STOP or (order.order == wire.START and self.code is not None):
                code = 143 if order.order == wire.STOP else self.code
                post("/exit", wire.Exit(self.container_id, code or 0, "its last words" if code else ""), wire.Ack)
                post("/done", wire.Done(self.container_id, 1, 10, self.upload), wire.Ack)
            if order.order in {wire.STOP, wire.LEAVE} or (self.code is not None and self.topology):
                break
        self.caller.close()


def run_agent(agent: Any) -> int:
    """Run an agent to its end; return its code."""

    async def live() -> int:
        code = await agent.run()
        # A process that ends closes what is open, even for who was just about to ask something; a thread does not.
        for transport in list(asyncio.get_running_loop()._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        await asyncio.sleep(0)
        return int(code)

    return asyncio.run(live())


class AgentThread:
    """An agent in a thread, with stand-ins at its seams.

    Args:
        job: Its plan.
        directory: With the job's files.
        cluster: Another stand-in than one that answers everything.
        store: Another one than an empty one in memory.
        listens: Whether it will come to listen.
        after: The agent before this one, of another ApplicationMaster.
    """

    def __init__(
        self,
        job: JobPlan,
        directory: Path,
        cluster: FakeCluster | None = None,
        *,
        store: MemoryStore | None = None,
        listens: bool = True,
        after: AgentThread | None = None,
    ) -> None:
        from am.agent.__main__ import Agent, Setting

        self.cluster = cluster or FakeCluster()
        self.store = after.store if after else store or MemoryStore()
        self.attempt: int = after.attempt + 1 if after else 1
        self.code: int | None = None
        self.certificate = directory / CERTIFICATE_FILE
        setting = Setting(directory, "127.0.0.1", "application_1_0001", self.attempt)
        self.agent = Agent(setting, job, self.cluster, self.store)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.port = self.agent.port.result(10) if listens else 0

    def _run(self) -> None:
        self.code = run_agent(self.agent)

    def caller(self, token: str) -> Caller:
        """Return a caller with this token."""
        return Caller(self.port, self.certificate, token)

    def executor(self, role_name: str, container_id: str, code: int | None, upload: str = "") -> SimulatedExecutor:
        """Start an executor in a thread."""
        started = SimulatedExecutor(self.port, self.certificate, role_name, container_id, code, upload)
        started.start()
        return started

    def events(self, kind: str = "") -> list[Event]:
        """Return what clients see now, of one kind if asked."""
        client = self.caller(wire.client_token(SECRET))
        lines = wire.decode(wire.Events, client.send("GET", "/v1/events")[1]).lines
        client.close()
        found = [event for event in map(from_line, lines) if event is not None]
        return [event for event in found if kind in {"", type(event).__name__}]

    def await_event(self, kind: str) -> None:
        """Return when clients have seen an event of this kind."""
        client = self.caller(wire.client_token(SECRET))
        start = 0
        while True:
            answer = wire.decode(wire.Events, client.send("GET", f"/v1/events?from={start}&wait_s=20")[1])
            if any(f'"event": "{kind}"' in line for line in answer.lines):
                break
            start = answer.next
        client.close()

    def kill(self, *, wait: bool = True) -> None:
        """Let a client end the job, if it still runs; wait until the agent has left."""
        if not self.thread.is_alive():
            return
        client = self.caller(wire.client_token(SECRET))
        client.post("/stop", wire.Stop("a test"), wire.Ack)
        client.close()
        if wait:
            self.verdict()

    def verdict(self) -> JobEnded:
        """Return the verdict in the history when the agent has left."""
        self.thread.join(20)
        assert not self.thread.is_alive()
        (ended,) = [event for event in self.store.events() if isinstance(event, JobEnded)]
        return ended
