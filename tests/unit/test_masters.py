"""An ApplicationMaster that is lost while its job goes on is told of in YARN's words; its attempts end with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_fakes import APP, PretendCluster, job_plan, pretend_cluster
from httpstandin import Reply, Request

from am.contract import states
from am.contract.events import AgentStarted, GangComplete, JobEnded, TaskRegistered, TaskRestarting, TaskStarted
from yarn_submitter.feed import Feed, MasterLost
from yarn_submitter.monitor import begin, fold
from yarn_submitter.verdicts import yarns_words

PLAN = job_plan()
UP = AgentStarted(10.0, 1, "nm1", 20001, APP)
RUNS = [
    *(UP, TaskRegistered(11.0, "worker:0", 1, "container_2", "nm2", "nm2:8042", "http://nm2:8042/logs")),
    *(GangComplete(12.0, {}), TaskStarted(12.0, "worker:0", 1, 77)),
]
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[PretendCluster]:
    """A cluster."""
    with pretend_cluster(tmp_path) as served:
        yield served


MASTER_END = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?><appAttempt><diagnosticsInfo>AM Container for \
appattempt_1_0001_000001 exited with  exitCode: -104
Failing this attempt.Diagnostics: [2026-11-23 01:37:10.713]Container is &lt;beyond&gt; its limits.
</diagnosticsInfo><appAttemptState>FAILED</appAttemptState><finishedTime>1795397830728</finishedTime></appAttempt>"""


def test_the_end_of_an_applicationmaster(cluster: PretendCluster) -> None:
    """Hadoop 3.5.0 fails at the JSON of it, so it is asked for in XML; what is not known is nothing."""
    asked = []

    def answer(request: Request) -> Reply:
        asked.append(request.path)
        return Reply(body=MASTER_END.encode()) if request.path.endswith("1") else Reply(404, b"<e/>")

    cluster.faults.append(answer)
    manager = cluster.site().resource_manager
    ended_s, said = manager.attempt_end("application_1_0001", 1)
    assert manager.attempt_end("application_1_0001", 2) == (0.0, "")
    assert asked[0] == "/ws/v1/cluster/apps/application_1_0001/appattempts/appattempt_1_0001_000001"
    assert ended_s == 1795397830.728
    assert yarns_words(said) == "exit code -104, Container is <beyond> its limits"


LAUNCH = """AM Container for appattempt_1_0001_000001 exited with  exitCode: 11
Failing this attempt.Diagnostics: [2026-11-23 02:25:39.436]Exception from container-launch.
Container id: container_1_0001_01_000001
Exit code: 11

[2026-11-23 02:25:39.452]Container exited with a non-zero exit code 11. Error file: prelaunch.err.
Last 4096 bytes of prelaunch.err :

For more detailed output, check the application tracking page: http://rm/app Then click on links
"""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (LAUNCH, "exit code 11"),
        (f"Application a failed 2 times due to {LAUNCH}. Failing the application.", "exit code 11"),
        ("exitCode: -100\nFailing this attempt.Diagnostics: Container released", "exit code -100, Container released"),
        ("ApplicationMaster for attempt a timed out.", "ApplicationMaster for attempt a timed out"),
        ("", ""),
    ],
)
def test_yarns_words_are_kept_short(said: str, words: str) -> None:
    """Headings and pages to look at are left out."""
    assert yarns_words(said) == words


ENDED = "<finishedTime>15000</finishedTime><diagnosticsInfo>exitCode: 137</diagnosticsInfo>"


def test_the_end_of_a_master_is_told_before_the_next_begins(cluster: PretendCluster) -> None:
    """With YARN's word; once, as soon as YARN has another one; never where a verdict is only repeated."""
    second = AgentStarted(20.0, 2, "nm2", 20001, APP)
    site = cluster.site()

    def feed() -> Feed:
        return Feed(site.resource_manager, site.store, PLAN.job_dir, APP)

    cluster.master_ends[1] = ENDED
    lost = MasterLost(15.0, 1, "exitCode: 137")
    cluster.add_app("FINISHED", finalStatus="SUCCEEDED")
    cluster.add_job(PLAN, {"1-0": [UP], "2-0": [second, GOOD]})
    assert list(feed().follow())[1:] == feed().now()[0][1:] == [UP, lost, second, GOOD]
    cluster.apps[0].update(state="ACCEPTED", finalStatus="UNDEFINED", launchTime=5, finishedTime=0, amContainerLogs="")
    cluster.add_job(PLAN, {"1-0": [UP], "2-0": []})
    items, source = feed().now()
    assert ([type(item).__name__ for item in items], source) == (
        ["AppSeen", "AgentStarted", "MasterLost", "AppSeen"],
        "history",
    )
    assert fold(begin(PLAN), items).state == "ACCEPTED"
    cluster.add_job(PLAN, {"1-0": [UP, GOOD]})
    assert lost not in feed().now()[0]


def test_an_attempt_that_died_with_its_master_ended_then() -> None:
    """Nobody saw its end; it was over when the next one was asked for, or the job was, and it says why."""
    second = dataclasses.replace(UP, time=25.0, attempt=2)
    told = TaskRestarting(25.1, "worker:0", 2, "all tasks start again", keeps=False)
    task = fold(begin(PLAN), [*RUNS, second, told]).tasks["worker:0"]
    assert (task.earlier[0].state, task.earlier[0].ended_s) == (states.KILLED, 25.0)
    assert "its ApplicationMaster was lost" in task.earlier[0].reason
    task = fold(begin(PLAN), [*RUNS, GOOD]).tasks["worker:0"]
    assert (task.state, task.ended_s) == (states.KILLED, GOOD.time)
