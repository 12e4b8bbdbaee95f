"""`job kill`: who ends the job, how long that may take, what is said and what is left."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from client_fakes import APP, JOB, USER, PretendCluster, job_plan
from fakes import SECRET, AgentThread, MemoryStore, plan, registration, role, write_job_files
from httpstandin import Reply

from am.contract import wire
from am.contract.job import CERTIFICATE_FILE, Limits, access_file, agent_file, staging_dir

SAID = f"the job was killed by {USER}@{socket.gethostname()}: enough"


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with a job that runs."""
    cluster.add_app("RUNNING")
    cluster.add_job(job_plan(limits=Limits(stop_grace_s=1)))
    return cluster


@dataclass
class ClustersStore(MemoryStore):
    """The agent's store, whose files clients of the cluster see."""

    cluster: PretendCluster = field(default_factory=PretendCluster)
    reachable: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, text: str, mode: str, replace: bool = False) -> None:
        """Write a file."""
        super().put(path, text, mode, replace)
        self.cluster.put(path, text)
        if path == agent_file(job_plan().job_dir):
            self.reachable.set()


@pytest.fixture
def agent(cluster: PretendCluster, tmp_path: Path) -> Iterator[AgentThread]:
    """The job's agent, which can be reached."""
    job = plan(role("worker"), max_attempts=2, job_dir=job_plan().job_dir)
    write_job_files(tmp_path, job)
    store = ClustersStore(cluster=cluster)
    running = AgentThread(job, tmp_path, store=store)
    assert store.reachable.wait(20)
    access = {"certificate": (tmp_path / CERTIFICATE_FILE).read_text(), "client_token": wire.client_token(SECRET)}
    cluster.put(access_file(job_plan().job_dir), json.dumps(access))
    yield running
    running.kill()


def test_without_an_agent_yarn_ends_the_job(cluster: PretendCluster, typed: Any) -> None:
    """It waits for the end, removes what the lost agent could not, and says the state."""
    cluster.put(f"{staging_dir(job_plan().job_dir)}/secret", "x")
    code, out, _ = typed("kill", JOB, "--reason", "enough")
    assert (code, out) == (0, f"job fit ({APP}) ended: KILLED\n")
    assert cluster.killed == [(APP, SAID)]
    assert cluster.names(job_plan().job_dir) == ["spec/job.json"]


def test_the_agent_ends_the_job_and_yarn_is_told(cluster: PretendCluster, agent: AgentThread, typed: Any) -> None:
    """YARN would start another master, which had nothing to do."""
    code, out, err = typed("kill", JOB, "--reason", "enough")
    assert (code, out) == (0, f"job fit ({APP}) ended: KILLED\n")
    assert "told the agent" in err
    assert cluster.killed == [(APP, SAID)]
    agent.thread.join(20)
    assert agent.cluster.finished == [("KILLED", SAID)]


def test_an_agent_that_does_not_end_the_job_is_not_waited_for(
    cluster: PretendCluster, agent: AgentThread, typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the tasks' grace and more have passed YARN is asked."""
    monkeypatch.setattr("yarn_submitter.cli.kill._BEYOND_GRACE_S", 0.0)
    monkeypatch.setattr("yarn_submitter.cli.console._PIPE_PAUSE_S", 0.0)
    task = agent.caller(wire.task_token(SECRET))
    task.post("/register", registration("worker", "c0"), wire.Registered)
    code, out, err = typed("kill", JOB, "--reason", "enough")
    assert (code, out) == (0, f"job fit ({APP}) ended: KILLED\n")
    assert "the agent has not ended the job, telling the resourcemanager" in err
    assert cluster.killed == [(APP, SAID)]
    task.post("/exit", wire.Exit("c0", 143, ""), wire.Ack)
    task.post("/done", wire.Done("c0", 0, 0, ""), wire.Ack)
    task.close()
    agent.thread.join(20)
    assert agent.cluster.finished == [("KILLED", SAID)]


def test_yarn_that_does_not_end_it_is_told(
    cluster: PretendCluster, typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that an administrator would try."""
    monkeypatch.setattr("yarn_submitter.cli.kill._BEYOND_GRACE_S", -1.0)
    cluster.faults.append(lambda asked: Reply(202, b'{"state": "RUNNING"}') if asked.method == "PUT" else None)
    code, out, err = typed("kill", JOB, "--reason", "enough")
    assert (code, out) == (75, "")
    assert f"Job {JOB} has not ended yet. [kill-slow]" in err
    assert f"yarn application -kill {APP}" in err


def test_a_job_that_has_ended_stays_what_it_was(cluster: PretendCluster, typed: Any) -> None:
    """Nothing is asked of YARN."""
    cluster.apps[0].update(state="FINISHED", finalStatus="FAILED")
    assert typed("kill", JOB) == (0, f"job fit ({APP}) had ended: FAILED\n", "")
    assert json.loads(typed("kill", JOB, "--json")[1])["state"] == "FAILED"
    assert cluster.killed == []
