"""Who sweeps what a starting job left, by how it ended; and how long anybody waits for what a store tells."""

from __future__ import annotations

import threading

import pytest
from client_fakes import APP, JOB, PretendCluster, job_plan

from am.contract import states
from am.contract.events import AgentStarted, JobEnded
from am.contract.job import staging_dir
from yarn_submitter.job import find_job, ours, settled

BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "chief:0 exited with code 3", "chief:0", "nm", "oh")
LOST = JobEnded(30.0, states.FAILED, 76, "yarn", "am-lost", "the ApplicationMaster died")
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
KILLED = JobEnded(30.0, states.KILLED, 137, "client", "job-killed", "the job was killed by ada")


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster that knows one job of ours."""
    cluster.add_app("RUNNING")
    cluster.add_job()
    return cluster


@pytest.mark.parametrize(
    ("verdict", "state", "swept"),
    [
        (KILLED, "RUNNING", True),
        (LOST, "RUNNING", False),
        (LOST, "FAILED", True),
        (LOST, "", True),
        (BAD, "FAILED", False),
        (GOOD, "FINISHED", False),
        (None, "FINISHED", True),
    ],
)
def test_who_sweeps(cluster: PretendCluster, verdict: JobEnded | None, state: str, swept: bool) -> None:
    """A killed job's reader does; for one that YARN ended, once no other master can need it; else its agent has."""
    staged = f"{staging_dir(job_plan().job_dir)}/secret"
    cluster.put(staged, "x")
    job = find_job(cluster.site(), JOB)
    cluster.apps[0].update(state=state)
    if not state:
        cluster.apps.clear()
    job.sweep(verdict)
    assert (staged not in cluster.files) == swept
    assert cluster.killed == ([(APP, KILLED.message)] if verdict is KILLED else [])  # no other master shall come


def test_a_list_does_not_wait_for_a_store(cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not tell in time stays as YARN has it."""
    monkeypatch.setattr("yarn_submitter.job._SETTLED_S", 0.05)
    cluster.add_job(job_plan(), {"1-0": [AgentStarted(1.0, 1, "nm", 1, APP), BAD]})
    site = cluster.site()
    jobs = ours(site.resource_manager.list_apps())
    release = threading.Event()

    def slow(request: object) -> None:
        release.wait(3)

    cluster.faults.append(slow)
    assert settled(site, jobs) == jobs
    release.set()
    cluster.faults.clear()
    monkeypatch.undo()
    assert [app.ended for _, app in settled(site, jobs)] == [True]
