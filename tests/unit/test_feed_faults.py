"""What happens to a job comes from whoever knows: agent, history or ResourceManager; in order, once, to a verdict."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

from dataclasses import replace

import pytest
from client_fakes import APP, PretendCluster, job_plan, pretend_cluster
from fakes import SECRET, AgentThread, plan, role, write_job_files
from httpstandin import Reply, closed_port

from am.contract import states, wire
from am.contract.events import AgentStarted, Event, GangComplete, JobEnded, JobStopping, TaskStarted, Waiting, to_line
from am.contract.job import CERTIFICATE_FILE, access_file, agent_file, history_dir
from yarn_submitter.agentdoor import AgentDoor, AgentGoneError
from yarn_submitter.errors import UnreachableError
from yarn_submitter.feed import AppSeen, Feed, Item, verdict_of

STARTED = AgentStarted(10.0, 1, "nm1", 20001, APP)
GANG = GangComplete(12.0, {})
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
JOB = job_plan()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[PretendCluster]:
    """A cluster."""
    with pretend_cluster(tmp_path) as served:
        yield served


def feed(cluster: PretendCluster, application_id: str = APP, job_dir: str = JOB.job_dir) -> Feed:
    """Return the feed of the job on that cluster."""
    site = cluster.site()
    return Feed(site.resource_manager, site.store, job_dir, application_id)


def words(items: list[Item]) -> list[str]:
    """Return each item in a word or two."""
    return [
        f"app {item.app.state if item.app else None}" if isinstance(item, AppSeen) else type(item).__name__
        for item in items
    ]


def waits(n: int) -> list[Event]:
    """Return events that can be told apart."""
    return [Waiting(float(k), str(k)) for k in range(n)]


def test_history_segments_come_in_the_order_of_their_numbers(cluster: PretendCluster) -> None:
    """By attempt, then by number, not by name; what is no segment is left alone."""
    one, two, three, four = waits(4)
    cluster.add_job(JOB, {"1-2": [two], "1-10": [three], "1-1": [one], "2-1": [four]})
    cluster.put(f"{history_dir(JOB.job_dir)}/1-11.jsonl.ys-tmp-ab", to_line(GOOD))
    assert feed(cluster).history() == [one, two, three, four]


def test_a_line_cut_short_and_an_unknown_event_are_skipped(cluster: PretendCluster) -> None:
    """A crash in the middle of a line, and a newer agent's events, hide nothing else."""
    lines = [to_line(STARTED), '{"event": "Promoted", "time": 1}', to_line(GANG)[:30], "", "[]", to_line(GOOD)]
    cluster.put(f"{history_dir(JOB.job_dir)}/1-1.jsonl", "\n".join(lines))
    assert feed(cluster).history() == [STARTED, GOOD]


def test_no_history(cluster: PretendCluster) -> None:
    """A job of which nothing was written has none."""
    assert feed(cluster).history() == []


def test_an_ended_job_is_told_from_its_history(cluster: PretendCluster) -> None:
    """The verdict of the agent stands, whatever YARN says of the application."""
    cluster.add_app("FINISHED", finalStatus="FAILED", diagnostics="x")
    cluster.add_job(JOB, {"1-1": [STARTED, GANG], "1-2": [GOOD]})
    assert words(list(feed(cluster).follow())) == ["app FINISHED", "AgentStarted", "GangComplete", "JobEnded"]
    assert feed(cluster).now() == (list(feed(cluster).follow()), "history")


@pytest.mark.parametrize(
    ("state", "final", "words_of_yarn", "expected"),
    [
        ("KILLED", "KILLED", "x", (states.KILLED, 137, "yarn", "killed-by-yarn")),
        ("FINISHED", "KILLED", "x", (states.KILLED, 137, "yarn", "killed-by-yarn")),
        ("FAILED", "FAILED", "AM container exited", (states.FAILED, 76, "yarn", "agent-lost")),
        ("FINISHED", "FAILED", "Application driver failed", (states.FAILED, 76, "yarn", "agent-lost")),
        ("FINISHED", "FAILED", "worker:0 failed", (states.FAILED, 76, "yarn", "verdict-missing")),
        ("FINISHED", "SUCCEEDED", "all is well", (states.SUCCEEDED, 0, "yarn", "")),
    ],
)
def test_yarn_gives_the_verdict_that_the_agent_could_not(
    cluster: PretendCluster, state: str, final: str, words_of_yarn: str, expected: tuple[str, int, str, str]
) -> None:
    """Without a verdict in the history, YARN's word is the end, with YARN's diagnostics."""
    cluster.add_app(state, finalStatus=final, diagnostics=words_of_yarn)
    cluster.add_job(JOB, {"1-1": [STARTED]})
    last = list(feed(cluster).follow())[-1]
    assert isinstance(last, JobEnded)
    assert (last.state, last.exit_code, last.origin, last.problem) == expected
    assert words_of_yarn in (last.tail, last.message)
    assert last.time == 1_700_000_060.0


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (JobEnded(30.0, states.KILLED, 137, "yarn", "am-stopped", "x"), (states.FAILED, 76, "am-lost")),
        (JobEnded(30.0, states.FAILED, 143, "task", "task-failed", "x", "ps:0"), (states.FAILED, 76, "am-lost")),
        (JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "x", "ps:0"), (states.FAILED, 3, "task-failed")),
        (JobEnded(30.0, states.KILLED, 137, "client", "job-killed", "x"), (states.KILLED, 137, "job-killed")),
    ],
)
def test_a_verdict_in_ignorance_is_corrected(
    cluster: PretendCluster, verdict: JobEnded, expected: tuple[str, int, str]
) -> None:
    """What looked like a stop to the agent was the loss of its master, when YARN says FAILED."""
    cluster.add_app("FAILED", finalStatus="FAILED", diagnostics="node lost")
    cluster.add_job(JOB, {"1-1": [STARTED, verdict]})
    last = list(feed(cluster).follow())[-1]
    assert isinstance(last, JobEnded)
    assert (last.state, last.exit_code, last.problem) == expected


LOST = app("FAILED", "FAILED", "Container released on a *lost* node")
GONE = JobEnded(1.0, states.KILLED, 137, "yarn", "am-stopped", "YARN stopped the ApplicationMaster")
TERM = JobEnded(1.0, states.FAILED, 143, "task", "task-failed", "w:0 on h exited with code 143", "w:0", "h")


@pytest.mark.parametrize(
    ("said", "seen", "code", "problem"),
    [
        (GONE, LOST, 76, "am-lost"),
        (GONE, app("KILLED", "KILLED", "by somebody"), 137, "am-stopped"),
        (TERM, LOST, 76, "am-lost"),
        (TERM, app("FINISHED", "FAILED", "w:0 on h exited with code 143"), 143, "task-failed"),
        (replace(TERM, exit_code=3), LOST, 3, "task-failed"),
    ],
)
def test_what_the_loss_of_the_master_looks_like_is_told_apart_by_yarn(said, seen, code, problem):
    """An agent that was stopped, or whose tasks were, thinks of a kill; YARN knows that it lost the master's node."""
    verdict = follow(Answers(seen), Written(said))[-1]
    assert (verdict.exit_code, verdict.problem) == (code, problem)
