"""What a person sees of a job that waits, starts again or has ended: show, events, wait, logs, and a follower."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client_fakes import APP, JOB, RECORDED, USER, PretendCluster, job_plan
from httpstandin import Reply, Request

from am.contract import states
from am.contract.events import (
    KINDS,
    AgentStarted,
    Event,
    GangComplete,
    GangReleased,
    HostAvoided,
    JobEnded,
    JobRestarting,
    TaskExited,
    TaskRegistered,
    TaskRestarting,
    TaskStarted,
    Waiting,
    from_line,
    to_line,
)
from am.contract.job import history_dir
from yarn_submitter.cli import follow
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.eventwords import words
from yarn_submitter.cli.follow import Follower
from yarn_submitter.job import find_job

UP = AgentStarted(1.0, 1, "nm", 1, APP)
BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "chief:0 on nm exited with code 3", "chief:0", "nm", "oh")
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
AGAIN = TaskRestarting(21.0, "chief:0", 2, "chief:0 on nm exited with code 3", keeps=True, counted=True)


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with a job that has ended."""
    cluster.add_app("FINISHED", finalStatus="FAILED")
    return cluster


def up(cluster: PretendCluster, attempt: int, container: str, time_s: float) -> TaskRegistered:
    """Return that an attempt of the chief is up."""
    url = f"http://nm/{container}/{USER}"
    return TaskRegistered(time_s, "chief:0", attempt, container, "nm", cluster.server.address, url)


def twice(cluster: PretendCluster) -> list[Event]:
    """Return what happens to a job whose chief fails in its first container twice, and succeeds in another."""
    cluster.logs["container_1"] = {"stdout": b"one\n", "stderr": b"oh\n", "stdout.2": b"two\n", "stderr.2": b""}
    cluster.logs["container_2"] = {"stdout.3": b"three\n", "stderr.3": b""}
    failed = [TaskExited(16.0 + 4 * attempt, "chief:0", attempt, "nm", 3, "executor") for attempt in (1, 2)]
    third = TaskRestarting(26.0, "chief:0", 3, "nm is avoided", keeps=False)
    return [
        *(UP, up(cluster, 1, "container_1", 5.0), GangComplete(5.5, {}), TaskStarted(6.0, "chief:0", 1, 7), failed[0]),
        *(AGAIN, up(cluster, 2, "container_1", 22.0), TaskStarted(23.0, "chief:0", 2, 8), failed[1], third),
        *(up(cluster, 3, "container_2", 27.0), TaskStarted(28.0, "chief:0", 3, 9)),
        *(TaskExited(29.0, "chief:0", 3, "nm", 0, "executor"), GOOD),
    ]


def test_every_attempt_has_a_row_with_a_log_that_can_be_read(cluster: PretendCluster, typed: Any) -> None:
    """Fail twice, then succeed: three rows, three commands, each of which prints that attempt's words."""
    cluster.add_job(job_plan(), {"1-0": twice(cluster)})
    code, out, err = typed("show", JOB, "--attempts")
    rows = [line for line in out.splitlines() if line.startswith("chief:0")]
    assert (code, err, len(rows)) == (0, "", 3)
    assert [row.split()[1:3] for row in rows] == [["1", "FAILED"], ["2", "FAILED"], ["3", "SUCCEEDED"]]
    assert "chief:0 on nm exited with code 3" in rows[0]
    read = [typed(*row[row.index("job logs") :].split()[1:6]) for row in rows]
    assert [answer[1] for answer in read] == ["one\noh\n", "two\n", "three\n"]
    (chief, *_) = json.loads(typed("show", JOB, "--json")[1])["tasks"]
    assert [(one["attempt"], one["exit_code"], one["reason"]) for one in chief["attempts"]] == [
        (1, 3, "chief:0 on nm exited with code 3"),
        (2, 3, "nm is avoided"),
        (3, 0, ""),
    ]


def test_logs_show_attempts_in_order(cluster: PretendCluster, typed: Any) -> None:
    """Each after a word on stderr of whose it is; an attempt that never was is refused."""
    cluster.add_job(job_plan(), {"1-0": twice(cluster)})
    code, out, err = typed("logs", JOB, "chief:0")
    assert (code, out) == (0, "one\noh\ntwo\nthree\n")
    assert err.splitlines() == [f"chief:0, attempt {attempt} on nm:" for attempt in (1, 2, 3)]
    document = json.loads(typed("logs", JOB, "chief", "--attempt", "2", "--json")[1])
    assert document["logs"][0] == {"task": "chief:0", "attempt": 2, "file": "stdout.2", "lines": ["two"]}
    code, _, err = typed("logs", JOB, "--attempt", "4")
    assert (code, "[attempt-unknown]" in err, "the newest is 3" in err) == (64, True, True)


def test_an_attempt_that_wrote_nothing_is_not_waited_for(cluster: PretendCluster, typed: Any) -> None:
    """Its node has its container's other files: there is nothing to wait for on the store."""
    cluster.add_job(job_plan(), {"1-0": twice(cluster)})
    cluster.apps[0].update(state="RUNNING", logAggregationStatus="NOT_START")
    del cluster.logs["container_1"]["stdout.2"], cluster.logs["container_1"]["stderr.2"]
    assert typed("logs", JOB, "chief", "--attempt", "2")[:2] == (0, "")


def test_timing(cluster: PretendCluster, typed: Any) -> None:
    """How long each phase of the job and of each attempt took."""
    cluster.add_job(job_plan(), {"1-0": twice(cluster)})
    cluster.apps[0].update(startedTime=500, launchTime=700)
    out = typed("show", JOB, "--timing")[1]
    rows = [line.split("  ") for line in out.splitlines() if line.startswith("chief:0")]
    told = [[cell.strip() for cell in row if cell.strip().startswith("+")] for row in rows]
    assert told == [
        ["+4.0 s", "+4.5 s", "+5.0 s", "+19.0 s"],
        ["+1.0 s", "+2.0 s", "+3.0 s"],
        ["+1.0 s", "+2.0 s", "+3.0 s"],
    ]
    phases = [line.split() for line in out.splitlines() if line.startswith(("Master", "Agent", "Tasks", "Ended"))]
    assert [" ".join((*phase[:-3], *phase[-2:])) for phase in phases] == [
        "Master started: +0.2 s",
        "Agent up: +0.3 s",
        "Tasks up: +4.5 s",
        "Ended: +24.5 s",
    ]


def test_every_event_has_its_words() -> None:
    """One line each, for every kind."""
    samples = Path(__file__).parent.parent / "contract" / "samples" / "v1" / "events.jsonl"
    events = [from_line(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    assert {type(event).__name__ for event in events} == set(KINDS)
    for event in events:
        assert event is not None
        assert words(event)
        assert "\n" not in words(event)


def test_events(cluster: PretendCluster, typed: Any) -> None:
    """One line each in order; as JSON the history's own lines; -f of a job that has ended is the same."""
    cluster.add_job(job_plan(), {"1-0": twice(cluster)})
    code, out, err = typed("events", JOB)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 15)  # the day, and 14 events
    assert lines[1].endswith("  the agent is up on nm")
    assert lines[6].endswith("  chief:0 starts again in its container (attempt 2): chief:0 on nm exited with code 3")
    assert lines[-1].endswith("  SUCCEEDED, exit code 0: all is well")
    assert typed("events", JOB, "-f")[1] == out
    history = cluster.files[f"{history_dir(job_plan().job_dir)}/1-0.jsonl"] or b""
    assert typed("events", JOB, "--json")[1] == history.decode()


def test_events_of_a_job_that_waits(cluster: PretendCluster, typed: Any) -> None:
    """Nothing is said on stdout before the agent is up."""
    cluster.add_job()
    cluster.apps[0].update(state="ACCEPTED", finalStatus="UNDEFINED")
    assert typed("events", JOB) == (0, "", "nothing has happened yet: the agent is not up\n")


def test_a_wait_is_said_once(cluster: PretendCluster, typed: Any) -> None:
    """The agent's sentence may begin with the word itself."""
    cluster.add_job(job_plan(), {"1-0": [UP, Waiting(2.0, "waiting for 1 of 2 worker"), Waiting(3.0, "no room")]})
    assert [line.partition("  ")[2] for line in typed("events", JOB)[1].splitlines()[2:4]] == [
        *("waiting for 1 of 2 worker", "waits: no room")
    ]
    cluster.apps[0].update(state="RUNNING", finalStatus="UNDEFINED")
    cluster.add_job(job_plan(), {"1-0": [UP, Waiting(2.0, "waiting for 1 of 2 worker")]})
    assert "\nWaiting:           for 1 of 2 worker\n" in typed("show", JOB)[1]


def second_job(cluster: PretendCluster, verdict: JobEnded | None) -> str:
    """Put another job beside the first; return its id."""
    job_id = "20260102t030405-bbbbbb"
    state = "FINISHED" if verdict else "ACCEPTED"
    cluster.add_app(state, "application_1700000000000_0002", job_id, name="other", finalStatus="UNDEFINED")
    cluster.add_job(job_plan(job_id, name="other"), {"1-0": [UP, verdict]} if verdict else {})
    return job_id


def test_wait_for_several(cluster: PretendCluster, typed: Any) -> None:
    """One line for each as it ends; the exit code is that of the first named that did not succeed."""
    cluster.add_job(job_plan(), {"1-0": [UP, BAD]})
    good = second_job(cluster, GOOD)
    code, out, err = typed("wait", good, JOB)
    assert (code, err) == (3, "")
    told = sorted(line.split("  ", 1)[1] for line in out.splitlines())
    assert told == [
        f"job fit ({APP}) FAILED, exit code 3: chief:0 on nm exited with code 3 [task-failed]",
        "job other (application_1700000000000_0002) SUCCEEDED, exit code 0",
    ]
    assert typed("wait", good)[0] == 0
    document = json.loads(typed("wait", JOB, "--json")[1])
    assert [(job["id"], job["state"], job["exit_code"]) for job in document["jobs"]] == [(JOB, "FAILED", 3)]


def test_wait_ends_in_time(cluster: PretendCluster, typed: Any) -> None:
    """75 after the timeout, with what has ended told; with --any one end is enough."""
    cluster.add_job(job_plan(), {"1-0": [UP, GOOD]})
    waiting = second_job(cluster, None)
    code, out, err = typed("wait", JOB, waiting, "--timeout", "3s")
    assert (code, out.count("SUCCEEDED"), "[wait-timeout]" in err) == (75, 1, True)
    assert typed("wait", waiting, JOB, "--any")[0] == 0
    assert typed("wait", "nothing")[0] == 64
    assert typed("wait", JOB, "--timeout", "soon")[0] == 64


def busy(application: str, activities: str) -> Callable[[Request], Reply | None]:
    """Return the answers of a recorded cluster that was full."""
    answers = {"scheduler": "scheduler-busy", "nodes": "nodes-busy"}

    def answer(request: Request) -> Reply | None:
        if "app-activities" in request.path:
            return Reply(body=(RECORDED / f"activities-{activities}.json").read_bytes())
        name = answers.get(request.path.rpartition("/")[2])
        if name is None and f"/apps/{APP}" in request.path:
            name = f"app-{application}"
        return Reply(body=(RECORDED / f"{name}.json").read_bytes()) if name else None

    return answer


def test_show_tells_why_a_job_waits(cluster: PretendCluster, typed: Any) -> None:
    """The reason from the scheduler's numbers and its own words, by one request each; no agent, no complaint."""
    cluster.add_job()
    cluster.apps[0].update(state="ACCEPTED", finalStatus="UNDEFINED")
    cluster.faults.append(busy("queue-full", "queue-full"))
    code, out, _ = typed("show", JOB)
    lines = out.splitlines()
    assert code == 0
    assert any(line.startswith("Why:") and " ml is full: 7 GiB, 8 vcores in use" in line for line in lines)
    assert any("YARN says: Application is Activated" in line for line in lines)
    assert not any(line.startswith("Seen by") for line in lines)
    asked = [request.path.rpartition("/")[2] for request in cluster.asked if "/ws/v1/cluster/" in request.path]
    assert all(asked.count(name) == 1 for name in ("scheduler", "nodes", "get-node-labels"))
    document = json.loads(typed("show", JOB, "--json")[1])
    assert document["why"][0].startswith("queue ")
    assert document["stage"].startswith("accepted by YARN in queue ")


def test_show_without_activities(cluster: PretendCluster, typed: Any) -> None:
    """A scheduler that tells none, or refuses: the numbers are enough."""
    cluster.add_job()
    cluster.faults.append(lambda request: Reply(403, b"{}") if "app-activities" in request.path else None)
    cluster.faults.append(busy("user-limit", "none"))
    assert "has reached the limit of one user in queue" in typed("show", JOB)[1]


def followed(cluster: PretendCluster, happened: list[Event], **options: Any) -> tuple[int, list[str], list[str]]:
    """Follow a job; return its exit code and the lines of both streams."""
    cluster.add_job(job_plan(max_restarts=3), {"1-0": happened})
    out, err = io.StringIO(), io.StringIO()
    shows = options.pop("shows", lambda _: False)
    code = Follower(find_job(cluster.site(), JOB), Console(out, err), shows, json=False, **options).run()
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


def test_a_follower_tells_of_restarts(cluster: PretendCluster) -> None:
    """One line for a task that starts again, with what is left of the budget; its attempts' output comes in order."""
    code, out, err = followed(cluster, twice(cluster), shows=lambda task: task == "chief:0")
    assert code == 0
    assert [line for line in err if "again" in line] == [
        "chief:0 starts again in its container (attempt 2): chief:0 on nm exited with code 3 [restart 1 of 3]",
        "chief:0 starts again in a new container (attempt 3): nm is avoided",
    ]
    assert sorted(line for line in out if line.startswith("[chief:0] ")) == [
        *("[chief:0] oh", "[chief:0] one", "[chief:0] three", "[chief:0] two")
    ]
    assert [line.rpartition(" ")[2] for line in out if "[TaskInfo]" in line and "chief" in line] == [
        *("READY", "RUNNING", "FAILED", "READY", "RUNNING", "FAILED", "READY", "RUNNING", "SUCCEEDED")
    ]


def test_a_follower_tells_once_that_all_start_again(
    cluster: PretendCluster, typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each task; the same for a gang that is given back, a lost ApplicationMaster, and an avoided host."""
    happened: list[Event] = [
        *(UP, up(cluster, 1, "container_1", 2.0), GangReleased(3.0, 1, "3 of 4 tasks had no container", 40.0)),
        *(up(cluster, 1, "container_1", 5.0), GangComplete(5.5, {}), TaskStarted(6.0, "chief:0", 1, 7)),
        *(JobRestarting(20.0, 2, "chief:0 on nm exited with code 3", "chief:0", counted=True), AGAIN),
        *(HostAvoided(21.0, "nm", "two tasks failed there"), up(cluster, 2, "container_1", 22.0)),
        *(GangComplete(23.0, {}), AgentStarted(25.0, 2, "nm2", 1, APP)),
        *(TaskRestarting(25.0, "chief:0", 3, "its ApplicationMaster was lost", keeps=False), Waiting(26.0, "no room")),
        GOOD,
    ]
    monkeypatch.setattr("yarn_submitter.cli.eventwords.time.localtime", time.gmtime)
    cluster.master_ends[1] = "<finishedTime>24000</finishedTime><diagnosticsInfo>exitCode: 137</diagnosticsInfo>"
    err = followed(cluster, happened)[2]
    assert [line for line in err if "up" not in line and "running" not in line][:-1] == [
        err[2],
        "every task starts again (round 2): chief:0 on nm exited with code 3 [restart 1 of 3]",
        "nothing is started on nm any more: two tasks failed there",
        "ApplicationMaster 1 was lost: exit code 137",
        "no room",
    ]
    assert err[2].startswith("3 of 4 tasks had no container; every container is given back, and asked for again at")
    (lost,) = [number for number, line in enumerate(err) if line.startswith("ApplicationMaster")]
    assert err[lost : lost + 2] == [
        "ApplicationMaster 1 was lost: exit code 137",
        "the agent is up again, beside ApplicationMaster 2 on nm2; all tasks start again",
    ]
    told = [line.partition("  ")[2] for line in typed("events", JOB)[1].splitlines()]
    assert told[told.index("the agent is up again, beside ApplicationMaster 2 on nm2") - 1] == err[lost]
    told = f"00:00:24.0, exit code 137; its log: job logs {JOB} agent --attempt 1"
    assert f"\nMaster 1 lost:     {told}\n" in typed("show", JOB)[1]


def test_the_end_names_the_attempt(cluster: PretendCluster) -> None:
    """What to type shows the output of the attempt that failed, not of one before."""
    failed: list[Event] = [TaskExited(24.0, "chief:0", 2, "nm", 3, "executor"), BAD]
    err = followed(cluster, [*twice(cluster)[:8], *failed])[2]
    assert f"  next: job logs {JOB} chief:0 --attempt 2" in err


def test_a_follower_asks_why_a_job_waits(cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, once; and goes on."""
    monkeypatch.setattr(follow, "_ASK_WHY_S", 0.0)
    monkeypatch.setattr(follow, "_HINT_S", 0.05)
    cluster.add_job()
    cluster.apps[0].update(state="ACCEPTED", finalStatus="UNDEFINED")
    cluster.faults.append(lambda request: None if "activities" not in request.path else asked.set())
    cluster.faults.append(lambda request: None if ended.is_set() else busy("am-share", "none")(request))
    asked, ended = threading.Event(), threading.Event()

    class Heard(io.StringIO):
        """Ends the job when the reason has been told."""

        def write(self, text: str) -> int:
            if "still waiting" in text:
                cluster.apps[0].update(state="FINISHED", finalStatus="SUCCEEDED")
                ended.set()
            return super().write(text)

    err = Heard()
    assert Follower(find_job(cluster.site(), JOB), Console(io.StringIO(), err), lambda _: False, json=False).run() == 0
    told = [line for line in err.getvalue().splitlines() if "still waiting" in line]
    assert len(told) == 1
    assert "has used up its share for ApplicationMasters" in told[0]
    assert sum("app-activities" in request.path for request in cluster.asked) == 1


def test_a_large_gang_is_told_in_steps(cluster: PretendCluster) -> None:
    """Not a line of talk for each of thousands of tasks."""
    many = 1000
    base = job_plan()
    roles = (base.roles[0], type(base.roles[1])(**{**vars(base.roles[1]), "instances": many - 1}))
    cluster.add_job(job_plan(roles=roles), {})
    arrivals = [TaskRegistered(2.0, f"worker:{index}", 1, f"c{index}", "nm", "nm:1", "") for index in range(many - 1)]
    happened: list[Event] = [UP, *arrivals, GOOD]
    cluster.put(
        f"{history_dir(base.job_dir)}/1-0.jsonl",
        "".join(to_line(event) + "\n" for event in happened),
    )
    err = io.StringIO()
    Follower(find_job(cluster.site(), JOB), Console(io.StringIO(), err), lambda _: False, json=False).run()
    assert 10 < sum("tasks are up" in line for line in err.getvalue().splitlines()) <= 22
