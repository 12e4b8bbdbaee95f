"""The whole agent over real TLS, with executors in threads and stand-ins for YARN and the store."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from fakes import SECRET, AgentThread, FakeCluster, plan, registration, role, write_job_files

from am.agent.__main__ import attempt_of
from am.agent.cluster import DOWN, Container, NodeWord
from am.contract import codes, wire
from am.contract.events import JobEnded, TaskExited, TaskRegistered
from am.contract.wire import Events


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Return a directory with the files that a job's containers find."""
    path = tmp_path_factory.mktemp("container")
    write_job_files(path, plan())
    return path


def test_a_job_whose_workers_exit_0_succeeds(directory):
    """Both workers get the same topology, YARN hears SUCCEEDED, staging goes, the history holds all events."""
    running = AgentThread(plan(), directory)
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
    running = AgentThread(plan(role("worker", 2), role("ps", tracked=False)), directory)
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
    running = AgentThread(plan(), directory)
    workers = [running.executor("worker", f"container_{n}", None) for n in range(2)]
    client = running.caller(wire.client_token(SECRET))
    seen: list[str] = []
    while not any('"TaskStarted"' in line for line in seen):
        status, body = client.send("GET", f"/v1/events?from={len(seen)}&wait_s=20")
        assert status == 200
        seen.extend(wire.decode(Events, body).lines)
    assert client.post("/stop", wire.Stop("alice@edge", "enough"), wire.Ack) == wire.Ack()
    while not any('"JobEnded"' in line for line in seen):
        seen.extend(wire.decode(Events, client.send("GET", f"/v1/events?from={len(seen)}&wait_s=20")[1]).lines)
    assert any(isinstance(event, JobEnded) for event in running.store.events())  # told only when it lies on the store
    verdict = running.verdict()
    assert (verdict.state, verdict.exit_code, verdict.message) == (
        "KILLED",
        137,
        "the job was killed by alice@edge: enough",
    )
    for worker in workers:
        worker.join(20)
        assert "stop" in worker.orders
    client.close()


def test_an_executor_that_is_killed_is_lost(directory):
    """Its held connection breaks, its node says that the container is gone: the job fails with 76 within moments."""
    running = AgentThread(plan(), directory)
    first = running.caller(wire.task_token(SECRET))
    first.post("/register", registration("worker", "c0"), wire.Registered)
    survivor = running.executor("worker", "c1", None)
    running.await_event("GangComplete")
    first.post("/beat", wire.Beat("c0", 2, 0.0, pid=7), wire.Orders)
    running.cluster.end("c0", 137, "Exit code is 137")
    held = wire.encode(wire.Beat("c0", 2, 20.0, pid=7))
    first.connection.request("POST", "/v1/beat", held, {"Authorization": f"Bearer {first.token}"})
    first.close()
    verdict = running.verdict()
    survivor.join(20)
    assert (verdict.exit_code, verdict.origin, verdict.problem) == (76, "yarn", "executor-lost")
    assert verdict.message == "worker:0 on 127.0.0.11 was lost without a word from its executor: Exit code is 137"
    assert survivor.orders[-1] == "stop"


def test_a_task_is_lost_with_its_node(directory, monkeypatch):
    """Its connection broke, its NodeManager is gone, and it does not connect again: long before `silence_s`."""
    monkeypatch.setattr("am.agent.witness.DOWN_S", 0.2)
    running = AgentThread(plan(), directory)
    running.cluster.nodes["c0"] = NodeWord(DOWN, words="no NodeManager listens at h:1")
    first = running.caller(wire.task_token(SECRET))
    first.post("/register", registration("worker", "c0"), wire.Registered)
    survivor = running.executor("worker", "c1", None)
    running.await_event("GangComplete")
    held = wire.encode(wire.Beat("c0", 2, 20.0, pid=7))
    first.connection.request("POST", "/v1/beat", held, {"Authorization": f"Bearer {first.token}"})
    first.close()
    verdict = running.verdict()
    survivor.join(20)
    assert (verdict.exit_code, verdict.origin, verdict.problem) == (76, "yarn", "executor-lost")
    assert verdict.message.startswith(
        "worker:0 on 127.0.0.11 was lost without a word from its executor: its executor has"
    )
    assert verdict.message.endswith(" s, and no NodeManager listens at h:1")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (None, (143, "task", "task-failed", "told to end by somebody on its node")),
        ((143, ""), (143, "task", "task-failed", "told to end by somebody on its node")),
        ((-104, "is running 5 MB beyond"), (137, "yarn", "memory-exceeded", "using more memory than it asked for")),
        ((-101, "no space left"), (76, "yarn", "disks-failed", "disks of its node are full or broken: no space left")),
    ],
)
def test_a_program_that_was_told_to_end_is_explained_by_its_node(directory, word, expected):
    """Code 143 that this job did not order: the node is asked whether YARN did it, and why."""
    running = AgentThread(plan(role("worker")), directory)
    if word is not None:
        running.cluster.say("c0", *word)
    running.executor("worker", "c0", 143)
    verdict = running.verdict()
    assert (verdict.exit_code, verdict.origin, verdict.problem) == expected[:3]
    assert expected[3] in verdict.message


def test_a_container_that_ends_before_its_executor_registers_fails_the_job(directory):
    """YARN lists it as ended; code and words are its node's."""
    cluster = FakeCluster(known=[Container("c9", "worker", "127.0.0.12:8042", "ended", "see logs")])
    cluster.end("c9", 127, "bash: python3: command not found")
    verdict = AgentThread(plan(), directory, cluster, listens=False).verdict()
    assert (verdict.exit_code, verdict.problem, verdict.task, verdict.host) == (
        127,
        "container-ended",
        "worker:0",
        "127.0.0.12",
    )
    assert verdict.message.endswith("could register (exit code 127): bash: python3: command not found")


def test_a_running_container_is_left_alone(directory):
    """What YARN calls running or has not given yet is no failure."""
    known = [Container("c9", "worker", "127.0.0.12:8042", "given"), Container("", "worker", "", "asked")]
    running = AgentThread(plan(), directory, FakeCluster(known=known))
    assert running.cluster.looked.wait(10)
    assert not running.events("TaskExited")
    running.kill()


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 3)])
def test_yarn_never_takes_a_failure_for_a_success(directory, code, expected):
    """When the application's end could not be told, the agent's own exit code says it."""
    running = AgentThread(plan(role("worker")), directory, FakeCluster(refuses=True))
    running.executor("worker", "c0", code)
    assert running.verdict().exit_code == expected
    assert running.code == expected


def test_a_failure_is_repeated_by_every_master_that_follows(directory):
    """YARN takes only its last attempt's word for it: the next one says the same, starts nothing, and only then sweeps.

    What a starting job needs stays until then, since the next ApplicationMaster's container needs it.
    """
    job = plan(role("worker"), max_attempts=2)
    first = AgentThread(job, directory)
    first.executor("worker", "c0", 3)
    verdict = first.verdict()
    assert (verdict.state, first.store.removed) == ("FAILED", [])
    files = dict(first.store.files)
    second = AgentThread(job, directory, listens=False, after=first)
    assert second.verdict() == verdict
    assert second.cluster.finished == first.cluster.finished == [("FAILED", verdict.message)]
    assert (second.store.removed, second.store.files) == (["/ys/alice/jobs/j-1/staging"], files)
    assert not second.agent.port.done()


def test_a_killed_job_keeps_what_another_master_needs(directory):
    """YARN may start one more, which has to repeat that it was killed."""
    running = AgentThread(plan(role("worker"), max_attempts=2), directory)
    running.kill()
    assert (running.verdict().state, running.store.removed) == ("KILLED", [])


@pytest.mark.parametrize(("max_attempts", "problem"), [(1, "am-lost"), (2, "")])
def test_an_agent_whose_master_dies_leaves_at_once(directory, monkeypatch, max_attempts, problem):
    """It is told of the death; where YARN starts another master the job goes on without a verdict."""
    with subprocess.Popen(["sleep", "600"]) as master:
        dead = threading.Event()
        monkeypatch.setattr("os.getppid", lambda: 1 if dead.is_set() else master.pid)
        gone = FakeCluster(refuses=True)
        running = AgentThread(plan(role("worker"), max_attempts=max_attempts), directory, gone)
        dead.set()
        master.kill()
    running.thread.join(20)
    assert running.code == codes.LOST
    ends = [event.problem for event in running.store.events() if isinstance(event, JobEnded)]
    assert ends == ([problem] if problem else [])


def test_a_success_sweeps_whoever_could_follow(directory):
    """YARN starts no other ApplicationMaster after it."""
    running = AgentThread(plan(role("worker"), max_attempts=2), directory)
    running.executor("worker", "c0", 0)
    assert (running.verdict().state, running.store.removed) == ("SUCCEEDED", ["/ys/alice/jobs/j-1/staging"])


def test_an_error_of_the_agent_ends_the_job_with_a_verdict(directory):
    """Nothing of it fails silently: the user reads FAILED, internal, 70."""

    class Broken(FakeCluster):
        async def containers(self):
            raise KeyError("a bug")

    running = AgentThread(plan(), directory, Broken(), listens=False)
    verdict = running.verdict()
    assert (verdict.state, verdict.problem, verdict.exit_code) == ("FAILED", "internal", 70)
    assert "KeyError: 'a bug'" in verdict.message


def test_a_store_that_was_down_is_said_and_gets_the_whole_history(directory):
    """The job goes on meanwhile; the user reads what is the matter."""
    running = AgentThread(plan(role("worker")), directory)
    running.store.broken = True
    executor = running.executor("worker", "c0", None)
    running.await_event("Waiting")
    running.await_event("TaskStarted")
    running.store.broken = False
    running.kill()
    executor.join(20)
    kinds = [type(event).__name__ for event in running.store.events()]
    assert kinds[0] == "AgentStarted"
    assert {"Waiting", "TaskStarted", "JobEnded"} <= set(kinds)


@pytest.mark.parametrize(
    ("container_id", "attempt"),
    [("container_1795355209651_0001_01_000001", 1), ("container_e17_1795355209651_0001_02_000001", 2), ("", 1)],
)
def test_the_attempt_is_read_from_the_container_id(container_id, attempt):
    """Both forms of YARN's container ids."""
    assert attempt_of(container_id) == attempt
