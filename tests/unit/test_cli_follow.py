"""Following a job: Submarine's two line forms and the output on stdout, our talk on stderr, the job's exit code."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from client_fakes import APP, JOB, USER, PretendCluster, job_plan
from httpstandin import Reply

from am.contract import states
from am.contract.events import (
    AgentStarted,
    Event,
    GangComplete,
    GangProbing,
    JobEnded,
    JobStopping,
    TaskExited,
    TaskRegistered,
    TaskStarted,
    TaskUploaded,
    Waiting,
)
from am.contract.job import staging_dir
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.follow import Follower, end_lines
from yarn_submitter.job import find_job
from yarn_submitter.livelog import drain
from yarn_submitter.tfile import read_container_logs

RECORDED_TFILE = Path(__file__).parent / "data" / "rest-3.5.0" / "tfile-none.bin"

STARTED = AgentStarted(1.0, 1, "nm", 20001, APP)
GANG = GangComplete(3.0, {})
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "worker:1 exited with code 3", "worker:1", "nm2", "a\nb")


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with a job that has ended."""
    cluster.add_app("FINISHED", finalStatus="SUCCEEDED")
    return cluster


def up(cluster: PretendCluster, task: str) -> TaskRegistered:
    """Return a task's registration; its logs lie on the cluster's NodeManager."""
    container = "container_" + task.replace(":", "_")
    return TaskRegistered(2.0, task, 1, container, "nm", cluster.server.address, f"http://nm/{container}/{USER}")


def run(cluster: PretendCluster, events: list[Event], *, json: bool = False, only_output: bool = False,
        shows: Callable[[str], bool] = lambda task: task == "chief:0") -> tuple[int, list[str], list[str]]:  # fmt: skip
    """Follow the job; return its exit code and the lines of both streams."""
    cluster.add_job(job_plan(), {"1-1": events})
    out, err = io.StringIO(), io.StringIO()
    job = find_job(cluster.site(), JOB)
    code = Follower(job, Console(out, err), shows, json=json, only_output=only_output).run()
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


@pytest.mark.parametrize("began", [True, False])
def test_the_end_of_the_output_may_be_aggregated_already(cluster: PretendCluster, began: bool) -> None:
    """A client that was halted finds it where YARN has put it; what never began has written nothing."""
    container, _, _ = next(read_container_logs(RECORDED_TFILE.read_bytes()))
    cluster.put(f"/tmp/logs/{USER}/bucket-logs-tfile/0001/{APP}/nm_1", RECORDED_TFILE.read_bytes())  # noqa: S108
    here = TaskRegistered(2.0, "chief:0", 1, container, "nm", cluster.server.address, "http://nm/")
    events = [STARTED, here, GANG, *[TaskStarted(4.0, "chief:0", 1, 7)] * began]
    _, out, _ = run(cluster, [*events, TaskExited(20.0, "chief:0", 1, "nm", 0, "executor"), GOOD])
    assert any(line.startswith("[chief:0] ") for line in out) == began


def test_a_reader_that_has_enough_before_the_end(cluster: PretendCluster) -> None:
    """Whoever follows decides what becomes of the job."""
    cluster.add_job(job_plan(), {"1-1": [STARTED, up(cluster, "chief:0"), BAD]})
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as out, pytest.raises(BrokenPipeError):
        Follower(find_job(cluster.site(), JOB), Console(out, io.StringIO()), lambda _: False, json=False).run()


def test_an_end_that_is_not_read_in_time_is_told(cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's end does not wait for a node that is halted, and says what it has not shown."""
    monkeypatch.setattr("yarn_submitter.cli.follow.drain", lambda tails: drain(tails, 0.1))
    woken = threading.Event()
    cluster.faults.append(lambda asked: Reply(503) if "/containers/" in asked.path and woken.wait(20) else None)
    events = [STARTED, up(cluster, "chief:0"), GANG, TaskStarted(4.0, "chief:0", 1, 7)]
    try:
        _, _, err = run(cluster, [*events, TaskExited(20.0, "chief:0", 1, "nm", 0, "executor"), GOOD])
    finally:
        woken.set()
    (said,) = (line for line in err if "was not read" in line)
    assert said.startswith("the end of the output of chief:0 was not read in 5 s; all of it: job logs ")


def test_tasks_that_try_to_reach_one_another(cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits sees what for."""
    shown: list[str] = []
    monkeypatch.setattr(Console, "progress", lambda _, text: shown.append(text))
    run(cluster, [STARTED, up(cluster, "chief:0"), GangProbing(2.5, {}), GANG, GOOD])
    assert "the tasks are up and try to reach one another" in shown


def test_a_whole_job(cluster: PretendCluster) -> None:
    """Each task's changes, each log page once, the chief's output with its name, phases and end."""
    cluster.logs["container_chief_0"] = {"stdout": b"step 1\nstep 2\nno newline", "stderr": b"warned\n"}
    cluster.logs["container_ps_0"] = {"stdout": b"not asked for\n"}
    events: list[Event] = [
        *[STARTED, up(cluster, "chief:0"), Waiting(2.5, "no node has room for worker:1"), up(cluster, "ps:0"), GANG],
        *[TaskStarted(4.0, "chief:0", 1, 7), TaskStarted(4.0, "ps:0", 1, 8)],
        *[TaskExited(20.0, "chief:0", 1, "nm", 0, "executor"), JobStopping(20.0, "the chief has ended")],
        *[TaskExited(21.0, "ps:0", 1, "nm", 143, "executor", stopped=True), GOOD],
    ]
    code, out, err = run(cluster, events)
    assert code == 0

    def status(role: str, word: str) -> str:
        url = f"http://nm/container_{role}_0/{USER}"
        return f"Task status updated: [TaskInfo] name: {role}, index: 0, url: {url}, status: {word}"

    talk = [line for line in out if not line.startswith("[chief:0] ")]
    assert [line for line in talk if ", index: 0, url: http" in line and "worker" not in line] == [
        *[status("chief", "READY"), status("ps", "READY"), status("chief", "RUNNING"), status("ps", "RUNNING")],
        *[status("chief", "SUCCEEDED"), status("ps", "FINISHED")],
    ]
    assert [line for line in talk if line.startswith("Logs for")] == [
        f"Logs for chief 0 at: http://nm/container_chief_0/{USER}",
        f"Logs for ps 0 at: http://nm/container_ps_0/{USER}",
    ]
    output = [line for line in out if line.startswith("[")]
    assert output[-1] == "[chief:0] no newline"
    assert sorted(output[:-1]) == ["[chief:0] step 1", "[chief:0] step 2", "[chief:0] warned"]
    assert [line for line in err if "SUCCEEDED" not in line] == [
        "the agent is up",
        "1 of 4 tasks are up",
        "no node has room for worker:1",
        "2 of 4 tasks are up",
        "running",
        "the chief has ended",
    ]
    assert err[-1].startswith("job fit SUCCEEDED in ")


def test_the_output_of_a_task_that_ended_at_once(cluster: PretendCluster) -> None:
    """The agent may hear of a program's end before it has heard of its start: what it wrote is shown all the same."""
    cluster.logs["container_chief_0"] = {"stdout": b"no such option: --epochz\n"}
    code, out, _ = run(
        cluster, [STARTED, up(cluster, "chief:0"), GANG, TaskExited(4.0, "chief:0", 1, "nm", 3, "executor"), BAD]
    )
    assert (code, "[chief:0] no such option: --epochz" in out) == (3, True)


def test_a_failed_job_says_why(cluster: PretendCluster) -> None:
    """The exit code is the task's, and the last lines name task, reason, last words and the next command."""
    code, _, err = run(cluster, [STARTED, BAD])
    assert (code, err[1:]) == (
        3,
        [
            "job fit FAILED: worker:1 exited with code 3 [task-failed]",
            "  | a",
            "  | b",
            f"  next: job logs {JOB} worker:1",
            "exit code 3 (origin: task)",
        ],
    )


@pytest.mark.parametrize(
    ("verdict", "lines"),
    [
        (GOOD, ["job fit SUCCEEDED in 1 min 5 s"]),
        (
            JobEnded(1.0, states.KILLED, 137, "client", "job-killed", "the job was killed by ada"),
            ["job fit KILLED: the job was killed by ada [job-killed]", f"  next: job logs {JOB}",
             "exit code 137 (origin: client)"],
        ),
        (
            JobEnded(1.0, states.FAILED, 75, "yarn", "gang-timeout", "only a part of the job came up"),
            ["job fit FAILED: only a part of the job came up [gang-timeout]", "  next: job queues",
             "exit code 75 (origin: yarn)"],
        ),
        (
            JobEnded(1.0, states.FAILED, 76, "yarn", "agent-lost", "The agent is lost.", tail="YARN's words"),
            ["job fit FAILED: The agent is lost. [agent-lost]", "  | YARN's words", f"  next: job logs {JOB} agent",
             "exit code 76 (origin: yarn)"],
        ),
        (
            JobEnded(1.0, states.FAILED, 137, "yarn", "memory-exceeded", "w:0 was killed", tail="x", advice="ask more"),
            ["job fit FAILED: w:0 was killed [memory-exceeded]", "  | x", "  advice: ask more",
             f"  next: job logs {JOB}", "exit code 137 (origin: yarn)"],
        ),
    ],
)  # fmt: skip
def test_end_lines(cluster: PretendCluster, verdict: JobEnded, lines: list[str]) -> None:
    """What is said at the end, by how it ended."""
    cluster.add_job()
    assert end_lines(verdict, find_job(cluster.site(), JOB), 65.0) == lines


def test_a_long_tail_is_cut(cluster: PretendCluster) -> None:
    """Fifty lines are enough on a terminal; the logs have the rest."""
    cluster.add_job()
    long = JobEnded(1.0, states.FAILED, 1, "task", "task-failed", "x", tail="\n".join(str(n) for n in range(200)))
    lines = end_lines(long, find_job(cluster.site(), JOB), 1.0)
    assert [line for line in lines if line.startswith("  | ")] == [f"  | {n}" for n in range(150, 200)]


def test_json_is_all_that_stdout_holds(cluster: PretendCluster) -> None:
    """With --json: one document, the talk stays on stderr."""
    events: list[Event] = [STARTED, up(cluster, "chief:0"), GANG, TaskStarted(4.0, "chief:0", 1, 7), BAD]
    code, out, err = run(cluster, events, json=True, shows=lambda _: False)
    document = json.loads("\n".join(out))
    assert (code, document["state"], document["exit_code"], document["origin"]) == (3, "FAILED", 3, "task")
    assert err[-1] == "exit code 3 (origin: task)"


def test_only_output(cluster: PretendCluster) -> None:
    """`job logs -f` shows what the tasks wrote, and nothing of ours."""
    cluster.logs["container_chief_0"] = {"stdout": b"one\n"}
    events: list[Event] = [STARTED, up(cluster, "chief:0"), GANG, TaskStarted(4.0, "chief:0", 1, 7), GOOD]
    assert run(cluster, events, only_output=True) == (0, ["[chief:0] one"], [])


def test_lost_results_are_told(cluster: PretendCluster) -> None:
    """Results that did not reach the store are named with their task."""
    code, _, err = run(cluster, [STARTED, TaskUploaded(20.0, "worker:0", 1, 0, 0, "HDFS is full"), GOOD])
    assert (code, "results of worker:0: HDFS is full" in err) == (0, True)


def test_a_task_that_the_plan_does_not_know(cluster: PretendCluster) -> None:
    """A newer agent's extra task is shown like the others."""
    _, out, _ = run(cluster, [STARTED, TaskStarted(4.0, "extra:0", 1, 7), GOOD])
    assert any("name: extra, index: 0" in line and "RUNNING" in line for line in out)


@pytest.mark.parametrize(("verdict", "swept"), [(GOOD, False), (None, True)])
def test_what_the_agent_could_not_remove_is_removed(
    cluster: PretendCluster, verdict: JobEnded | None, swept: bool
) -> None:
    """After a verdict of YARN's, staging is removed by who reads it; after the agent's own it is the agent's affair."""
    staged = f"{staging_dir(job_plan().job_dir)}/secret"
    cluster.put(staged, "x")
    cluster.apps[0]["finalStatus"] = "FAILED"
    run(cluster, [STARTED, verdict] if verdict else [STARTED])
    assert (staged not in cluster.files) == swept


def test_a_bug_while_listening_is_raised(cluster: PretendCluster) -> None:
    """What goes wrong in the listening thread ends the command instead of leaving it to wait for ever."""
    cluster.add_job()
    job = find_job(cluster.site(), JOB)
    cluster.put(f"{job_plan().job_dir}/history/1-1.jsonl", b"\xff\xfe\n" + b"[1]\n")
    out, err = io.StringIO(), io.StringIO()
    assert Follower(job, Console(out, err), lambda _: False, json=False).run() == 0
    assert "SUCCEEDED" in err.getvalue()
