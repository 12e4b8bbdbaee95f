"""An ApplicationMaster that is lost while its job goes on is told of in YARN's words; its attempts end with it."""

from __future__ import annotations

import dataclasses

import pytest
from client_fakes import APP, PretendCluster, job_plan
from httpstandin import Reply, Request

from am.contract import states, wire
from am.contract.events import (
    AgentStarted,
    GangComplete,
    JobEnded,
    TaskRegistered,
    TaskRestarting,
    TaskStarted,
    to_line,
)
from yarn_submitter.agentdoor import AgentDoor, AgentGoneError
from yarn_submitter.errors import Problem, UnreachableError
from yarn_submitter.feed import AppSeen, Feed, Item, MasterLost
from yarn_submitter.monitor import begin, fold
from yarn_submitter.verdicts import yarns_words

PLAN = job_plan()
UP = AgentStarted(10.0, 1, "nm1", 20001, APP)
RUNS = [
    *(UP, TaskRegistered(11.0, "worker:0", 1, "container_2", "nm2", "nm2:8042", "http://nm2:8042/logs")),
    *(GangComplete(12.0, {}), TaskStarted(12.0, "worker:0", 1, 77)),
]
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")


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
        (
            "Application a failed 2 times (global limit =4; local is =2) due to Attempt b timed out. Failing the app",
            "Attempt b timed out",
        ),
        (
            "exitCode: -100\nFailing this attempt.Diagnostics: Container released on a *lost* nodeFor more detailed",
            "exit code -100, Container released on a *lost* node",
        ),
        ("Its node was lost due to a fire.", "Its node was lost due to a fire"),
        ("", ""),
    ],
)
def test_yarns_words_are_kept_short(said: str, words: str) -> None:
    """Headings, trailers and pages to look at are left out, also where YARN glues them to its reason."""
    assert yarns_words(said) == words


ENDED = "<finishedTime>15000</finishedTime><diagnosticsInfo>exitCode: 137</diagnosticsInfo>"


def test_the_end_of_a_master_is_told_before_the_next_begins(cluster: PretendCluster) -> None:
    """With YARN's word; once, as soon as YARN has another one; never where a verdict is only repeated."""
    second = AgentStarted(20.0, 2, "nm2", 20001, APP)
    site = cluster.site()

    def feed() -> Feed:
        return Feed(site.resource_manager, site.store, PLAN.job_dir, APP)

    cluster.master_ends[1] = ENDED
    told = MasterLost(15.0, 1, "exitCode: 137")
    cluster.add_app("FINISHED", finalStatus="SUCCEEDED")
    cluster.add_job(PLAN, {"1-0": [UP], "2-0": [second, GOOD]})
    assert list(feed().follow())[1:] == feed().now()[0][1:] == [UP, told, second, GOOD]
    del cluster.master_ends[1]
    assert feed().now()[0][2] == MasterLost(second.time, 1)
    cluster.apps[0].update(state="ACCEPTED", finalStatus="UNDEFINED", launchTime=5, finishedTime=0, amContainerLogs="")
    cluster.add_job(PLAN, {"1-0": [UP], "2-0": []})
    items, source = feed().now()
    assert ([type(item).__name__ for item in items], source) == (
        ["AppSeen", "AgentStarted", "MasterLost", "AppSeen"],
        "history",
    )
    assert fold(begin(PLAN), items).state == "ACCEPTED"
    cluster.add_job(PLAN, {"1-0": [UP, GOOD]})
    assert told not in feed().now()[0]


class OneAgent(Feed):
    """The first agent says that it is up, and then is gone."""

    def door(self) -> AgentDoor:
        """Find it."""
        self._attempt = 1
        return OneAgentDoor()


class OneAgentDoor(AgentDoor):
    """The way to it."""

    def __init__(self) -> None:
        pass

    def events(self, start: int, wait_s: float) -> wire.Events:  # noqa: ARG002  what it says is there
        """Tell it once."""
        if start:
            raise AgentGoneError("it is gone")
        return wire.Events((to_line(UP),), 1)


@pytest.fixture
def follower(cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Return the feed of a job whose first agent can be reached."""
    monkeypatch.setattr("yarn_submitter.feed._PAUSE_S", 0.02)
    cluster.add_job(PLAN, {"1-0": [UP]})
    cluster.add_app("RUNNING")
    site = cluster.site()
    return OneAgent(site.resource_manager, site.store, PLAN.job_dir, APP)


def lost(items: list[Item]) -> list[int]:
    """Return which masters were told to be lost, in that order."""
    return [item.attempt for item in items if isinstance(item, MasterLost)]


def test_between_two_masters_one_is_lost_once(cluster: PretendCluster, follower: Feed) -> None:
    """However often YARN's words change while it looks for room; who follows and who looks are told the same."""
    app, seen, told = cluster.apps[0], 0, list[Item]()
    for item in follower.follow():
        told.append(item)
        if isinstance(item, AgentStarted):
            app.update(state="ACCEPTED", launchTime=5, amContainerLogs="")
        elif isinstance(item, AppSeen) and item.app is not None and item.app.state == "ACCEPTED":
            seen += 1
            app["diagnostics"] = f"AM container is waiting for resources {seen}"
            if seen == 4:
                assert lost(told) == lost(follower.now()[0]) == [1]
                app.update(state="FINISHED", finalStatus="SUCCEEDED")
    assert (seen, lost(told)) == (4, [1])


def test_masters_are_counted_by_yarn_when_it_has_another(cluster: PretendCluster) -> None:
    """Also those whose agents were never heard, and none twice."""
    site = cluster.site()
    cluster.add_app("ACCEPTED", amContainerLogs="http://nm/node/containerlogs/container_1_0001_03_000001/ada")
    cluster.add_job(PLAN, {"1-0": [UP]})
    feed = Feed(site.resource_manager, site.store, PLAN.job_dir, APP)
    assert lost(feed.now()[0]) == [1, 2]
    cluster.add_job(PLAN, {"1-0": [UP], "3-0": [dataclasses.replace(UP, attempt=3)]})
    assert lost(feed.now()[0]) == [1, 2]
    cluster.add_job(PLAN, {"1-0": [], "3-0": [], "2-0": [dataclasses.replace(UP, attempt=2)]})
    assert lost(Feed(site.resource_manager, site.store, PLAN.job_dir, APP).now()[0]) == [1, 2]


@pytest.mark.parametrize("away", ["answers 503", "unreachable"])
def test_a_store_that_is_away_as_a_master_is_lost(
    cluster: PretendCluster, follower: Feed, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the job goes on is asked again when YARN has news: following goes on, and the loss is told then."""
    app, told, waits = cluster.apps[0], list[Item](), False
    faults = list(cluster.faults)

    def unreachable(*_: object) -> list[object]:
        raise UnreachableError(Problem("hdfs-unreachable", "No NameNode answers."))

    for item in follower.follow():
        told.append(item)
        if isinstance(item, AgentStarted):
            app.update(state="ACCEPTED", launchTime=5, amContainerLogs="")
            if away == "unreachable":
                monkeypatch.setattr(follower._store, "list", unreachable)
            else:
                cluster.faults.append(lambda asked: Reply(503) if asked.path.startswith("/webhdfs") else None)
        elif isinstance(item, AppSeen) and item.app is not None and item.app.state == "ACCEPTED":
            assert lost(told) == ([1] if waits else [])
            if waits:
                app.update(state="FINISHED", finalStatus="SUCCEEDED")
            cluster.faults[:] = faults
            monkeypatch.undo()
            monkeypatch.setattr("yarn_submitter.feed._PAUSE_S", 0.02)
            app["diagnostics"], waits = "AM container is waiting for resources", True
    assert lost(told) == [1]
    assert isinstance(told[-1], JobEnded)


def test_an_attempt_that_died_with_its_master_ended_then() -> None:
    """Nobody saw its end; it was over when the next one was asked for, or the job was, and it says why."""
    second = dataclasses.replace(UP, time=25.0, attempt=2)
    told = TaskRestarting(25.1, "worker:0", 2, "all tasks start again", keeps=False)
    task = fold(begin(PLAN), [*RUNS, second, told]).tasks["worker:0"]
    assert (task.earlier[0].state, task.earlier[0].ended_s) == (states.KILLED, 25.0)
    assert "its ApplicationMaster was lost" in task.earlier[0].reason
    task = fold(begin(PLAN), [*RUNS, GOOD]).tasks["worker:0"]
    assert (task.state, task.ended_s) == (states.KILLED, GOOD.time)
