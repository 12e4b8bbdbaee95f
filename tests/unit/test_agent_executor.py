"""Agent and executors as real processes against each other; only YARN and the store are stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import SECRET, Caller, plan, role, write_job_files

from am.contract import wire
from am.contract.events import JobEnded, TaskExited, from_line
from am.contract.job import CERTIFICATE_FILE, KEY_FILE, Limits

ROOT = Path(__file__).parents[2]
LONG_S = 30.0
# The agent with its stand-ins; a node says that a container has ended when a file of its name lies there.
AGENT = """
import asyncio, json, sys
from pathlib import Path
from fakes import FakeCluster, MemoryStore
from am.agent.__main__ import Agent, Setting
from am.agent.cluster import NodeWord
from am.contract.job import JobPlan

class Nodes(FakeCluster):
    async def look(self, container_id, node_http):
        return NodeWord("ended", 137, "Killed") if Path(container_id).exists() else NodeWord("running")

here = Path.cwd()
cluster, store = Nodes(), MemoryStore()
job = JobPlan.from_text((here / ".ys.job.json").read_text())
agent = Agent(Setting(here, "127.0.0.1", "application_1_0001", 1), job, cluster, store)
agent.port.add_done_callback(lambda port: print(port.result(), flush=True))
code = asyncio.run(agent.run())
print(json.dumps({"code": code, "finished": cluster.finished, "files": store.files}))
"""
EXECUTOR = "import sys; from am.executor.__main__ import main; sys.exit(main())"


class World:
    """One agent process and executor processes, each in a container directory of its own."""

    def __init__(self, tmp_path: Path, job) -> None:
        self.tmp_path = tmp_path
        self.job = job
        self.agent_dir = tmp_path / "agent"
        self.agent_dir.mkdir()
        write_job_files(self.agent_dir, job)
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.agent = subprocess.Popen(
            [sys.executable, "-c", AGENT],
            cwd=self.agent_dir,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.executors: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role_name: str, container_id: str) -> None:
        """Start an executor as a container of YARN does."""
        directory = self.tmp_path / container_id
        shutil.copytree(self.agent_dir, directory)
        (directory / KEY_FILE).unlink()
        logs = directory / "logs"
        logs.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "CONTAINER_ID": container_id,
            "NM_HOST": "127.0.0.1",
            "NM_HTTP_PORT": "8042",
            "LOG_DIRS": str(logs),
            "SKEIN_APPMASTER_ADDRESS": "127.0.0.1:1",
        }
        self.executors[container_id] = subprocess.Popen(
            [sys.executable, "-S", "-c", EXECUTOR, role_name],
            cwd=directory,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def client(self) -> Caller:
        """Return a caller of a client."""
        return Caller(self.job.agent_ports[0], self.agent_dir / CERTIFICATE_FILE, wire.client_token(SECRET))

    def await_started(self) -> None:
        """Return when every task's command runs."""
        client, lines = self.client(), []
        while sum("TaskStarted" in line for line in lines) < sum(item.instances for item in self.job.roles):
            lines += wire.decode(wire.Events, client.send("GET", f"/v1/events?from={len(lines)}&wait_s=20")[1]).lines
        client.close()

    def result(self) -> tuple[dict, list]:
        """Return what the agent left (code, finished), and its events, when all processes have ended."""
        output, _ = self.agent.communicate(timeout=LONG_S)
        for executor in self.executors.values():
            executor.wait(LONG_S)
        left = json.loads(output)
        lines = [line for name, text in left["files"].items() if "/history/" in name for line in text.splitlines()]
        return left, [from_line(line) for line in lines]

    def close(self) -> None:
        """End what is left."""
        for process in (self.agent, *self.executors.values()):
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.agent.stdout:
            self.agent.stdout.close()


@pytest.fixture
def world(tmp_path):
    """Return a function that starts the agent of a job and one executor per task."""
    made: list[World] = []

    def start(*roles) -> World:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        job = plan(*roles, agent_ports=(port,), limits=Limits(stop_grace_s=5))
        made.append(World(tmp_path, job))
        assert made[0].agent.stdout
        assert int(made[0].agent.stdout.readline()) == port  # it listens
        for item in roles:
            for number in range(item.instances):
                made[0].start(item.name, f"c-{item.name}-{number}")
        return made[0]

    yield start
    for item in made:
        item.close()


def test_a_job_of_real_processes_succeeds(world):
    """Every task knows its peers; the parameter server is stopped at the end; YARN hears SUCCEEDED."""
    running = world(
        role("worker", 2, command='echo "$YARN_SUBMITTER_TOPOLOGY" >&2; test "$YARN_SUBMITTER_ROLE" = worker'),
        role("ps", tracked=False, command="exec sleep 60"),
    )
    left, events = running.result()
    verdict = events[-1]
    assert isinstance(verdict, JobEnded)
    assert (verdict.state, verdict.exit_code, left["code"]) == ("SUCCEEDED", 0, 0)
    assert [state for state, _ in left["finished"]] == ["SUCCEEDED"]
    ends = {event.task: event for event in events if isinstance(event, TaskExited)}
    assert (ends["ps:0"].stopped, ends["ps:0"].code) == (True, 143)
    assert set(json.loads(ends["worker:0"].tail)) == {"worker", "ps"}
    assert {name: process.returncode for name, process in running.executors.items()} == {
        "c-worker-0": 0,
        "c-worker-1": 0,
        "c-ps-0": 143,
    }


@pytest.mark.parametrize(
    ("command", "code", "problem", "said"),
    [
        ("echo last words >&2; exit 3", 3, "task-failed", "exited with code 3 (the program's own error)"),
        ("kill -9 $$", 137, "task-failed", "exited with code 137 (SIGKILL: killed, often out of memory)"),
        ("no-such-program", 127, "command-not-found", "exited with code 127 (command not found"),
    ],
)
def test_a_failing_program_ends_the_job(world, command, code, problem, said):
    """The verdict is the program's own code, with its meaning, and its last words are the tail."""
    _, events = world(role("worker", command=command), role("ps", tracked=False, command="exec sleep 60")).result()
    verdict = events[-1]
    assert (verdict.state, verdict.exit_code, verdict.problem) == ("FAILED", code, problem)
    assert verdict.message.startswith(f"worker:0 on 127.0.0.1 {said}")
    assert verdict.tail == ("" if code == 137 else verdict.tail.strip())
    assert ("last words" in verdict.tail) == (code == 3)


def test_a_killed_job_leaves_no_process(world):
    """A client's stop reaches every command, even one that ignores TERM for a while; nothing lives on."""
    running = world(role("worker", 2, command="trap 'exit 0' TERM; sleep 60 & wait"))
    running.await_started()
    client = running.client()
    client.post("/stop", wire.Stop("alice@edge"), wire.Ack)
    client.close()
    left, events = running.result()
    assert (events[-1].state, events[-1].exit_code) == ("KILLED", 137)
    assert left["finished"][0][0] == "KILLED"


def test_a_killed_executor_is_lost_and_the_others_are_stopped(world):
    """An executor that gets kill -9 ends the job with 76 and takes its command along."""
    running = world(role("worker", 2, command="exec sleep 60"))
    running.await_started()
    (running.agent_dir / "c-worker-1").touch()
    running.executors["c-worker-1"].send_signal(signal.SIGKILL)
    _, events = running.result()
    verdict = events[-1]
    assert (verdict.exit_code, verdict.problem, verdict.origin) == (76, "executor-lost", "yarn")
    stopped = {event.task: (event.witness, event.stopped) for event in events if isinstance(event, TaskExited)}
    assert stopped.pop(verdict.task) == ("yarn", False)
    assert list(stopped.values()) == [("executor", True)]


def test_an_agent_that_is_told_to_end_writes_its_verdict(world):
    """SIGTERM from the node: KILLED, in the history, and the executors leave by themselves."""
    running = world(role("worker", command="exec sleep 60"))
    running.await_started()
    running.agent.send_signal(signal.SIGTERM)
    left, events = running.result()
    assert (events[-1].state, events[-1].problem, left["code"]) == ("KILLED", "am-stopped", 0)
