"""The whole agent over real TLS, with executors in threads and stand-ins for YARN and the store."""

# ruff: noqa: D102 - the methods are those of the seams, described there
from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from fakes import SECRET, Caller, FakeCluster, MemoryStore, SimulatedExecutor, plan, role, write_job_files

from am.agent.__main__ import Agent, Setting
from am.contract import wire
from am.contract.events import JobEnded, TaskExited, TaskRegistered
from am.contract.job import CERTIFICATE_FILE, JobPlan
from am.contract.wire import Events


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Return a directory with the files that a job's containers find."""
    path = tmp_path_factory.mktemp("container")
    write_job_files(path, plan())
    return path


class Running:
    """An agent in a thread, and what came of it."""

    def __init__(self, job: JobPlan, directory: Path) -> None:
        self.cluster = FakeCluster()
        self.store = MemoryStore()
        self.code: int | None = None
        self.certificate = directory / CERTIFICATE_FILE
        setting = Setting(directory, "127.0.0.1", "application_1_0001", 1)
        self.agent = Agent(setting, job, self.cluster, self.store)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.port = self.agent.port.result(10)

    def _run(self) -> None:
        self.code = asyncio.run(self.agent.run())

    def executor(self, role_name: str, container_id: str, code: int | None, upload: str = "") -> SimulatedExecutor:
        started = SimulatedExecutor(self.port, self.certificate, role_name, container_id, code, upload)
        started.start()
        return started

    def client(self) -> Caller:
        return Caller(self.port, self.certificate, wire.client_token(SECRET))

    def verdict(self) -> JobEnded:
        self.thread.join(20)
        assert not self.thread.is_alive()
        (ended,) = [event for event in self.store.events() if isinstance(event, JobEnded)]
        return ended


def test_a_job_whose_workers_exit_0_succeeds(directory):
    """Both workers get the same topology, YARN hears SUCCEEDED, staging goes, the history holds all events."""
    running = Running(plan(), directory)
    workers = [running.executor("worker", f"container_{n}", 0) for n in range(2)]
    verdict = running.verdict()
    assert (verdict.state, verdict.exit_code, running.code) == ("SUCCEEDED", 0, 0)
    assert {worker.index for worker in workers} == {0, 1}
    assert workers[0].topology == workers[1].topology == {"worker": ("127.0.0.11:2222", "127.0.0.11:2222")}
    assert [state for state, _ in running.cluster.finished] == ["SUCCEEDED"]
    assert running.store.removed == ["/ys/alice/jobs/j-1/staging"]
    assert running.store.modes["/ys/alice/jobs/j-1/spec/agent.json"] == "600"
    kinds = [type(event).__name__ for event in running.store.events()]
    assert kinds[0] == "AgentStarted"
    assert kinds[-1] == "JobEnded"
    assert kinds.count("TaskStarted") == kinds.count("TaskExited") == kinds.count("TaskUploaded") == 2


def test_a_failing_worker_ends_the_job_and_stops_the_others(directory):
    """The verdict names task, host, code and last lines; the parameter server is stopped and not blamed."""
    running = Running(plan(role("worker", 2), role("ps", tracked=False)), directory)
    running.executor("ps", "c_ps", None)
    running.executor("worker", "c_0", None)
    running.executor("worker", "c_1", 3)
    verdict = running.verdict()
    blamed = next(
        event.task
        for event in running.store.events()
        if isinstance(event, TaskRegistered) and event.container_id == "c_1"
    )
    assert (verdict.state, verdict.exit_code, verdict.task, verdict.tail) == ("FAILED", 3, blamed, "its last words")
    assert verdict.message == f"{blamed} on 127.0.0.11 exited with code 3 (the program's own error)"
    stopped = {event.task: event.stopped for event in running.store.events() if isinstance(event, TaskExited)}
    assert stopped.pop(blamed) is False
    assert set(stopped.values()) == {True}


def test_a_client_follows_and_kills(directory):
    """A client's long poll sees the events as they come; its stop ends the job as KILLED with 137."""
    running = Running(plan(), directory)
    workers = [running.executor("worker", f"container_{n}", None) for n in range(2)]
    client = running.client()
    seen: list[str] = []
    while not any('"TaskStarted"' in line for line in seen):
        status, body = client.send("GET", f"/v1/events?from={len(seen)}&wait_s=20")
        assert status == 200
        seen.extend(wire.decode(Events, body).lines)
    assert client.post("/stop", wire.Stop("alice@edge", "enough"), wire.Ack) == wire.Ack()
    while not any('"JobEnded"' in line for line in seen):
        seen.extend(wire.decode(Events, client.send("GET", f"/v1/events?from={len(seen)}&wait_s=20")[1]).lines)
        assert running.store.events()  # the verdict is told only when it lies on the store
    verdict = running.verdict()
    assert (verdict.state, verdict.exit_code, verdict.message) == (
        "KILLED",
        137,
        "the job was killed by alice@edge: enough",
    )
    for worker in workers:
        worker.join(5)
        assert "stop" in worker.orders
    client.close()
