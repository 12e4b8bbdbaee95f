"""Jobs in a program: waiting for one or for many, their output, the list; from several threads, and without a word."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from client_fakes import APP, JOB, USER, PretendCluster, job_plan
from httpstandin import Reply, Request

import yarn_submitter
from am.contract import states
from am.contract.events import (
    AgentStarted,
    Event,
    GangComplete,
    JobEnded,
    TaskExited,
    TaskRegistered,
    TaskStarted,
    to_line,
)
from am.contract.job import history_dir, staging_dir
from yarn_submitter import DeniedError, Job, JobView, LimitError, LogLine, UsageError

STARTED = AgentStarted(1.0, 1, "nm", 20001, APP)
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "worker:1 exited with code 3", "worker:1", "nm2", "a\nb")


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Whatever a test does, nothing is printed."""
    yield
    assert tuple(capfd.readouterr()) == ("", "")


def add(cluster: PretendCluster, number: int, state: str = "RUNNING", end: JobEnded | None = None) -> Job:
    """Add a job and return a handle on it; `end` is what its history will say."""
    app_id, job_id = f"application_1700000000000_{number:04}", f"20260102t030405-{number:06}"
    name = f"fit-{number}"
    cluster.add_app(state, app_id, job_id, name=name)
    job_dir = f"/user/{USER}/.yarn-submitter/jobs/{job_id}"
    cluster.add_job(job_plan(job_id, name=name, job_dir=job_dir), {"1-1": [STARTED, *([end] if end else [])]})
    return yarn_submitter.attach(app_id)


def finish(cluster: PretendCluster, number: int, end: JobEnded = GOOD) -> None:
    """Let a job end."""
    job_id = f"20260102t030405-{number:06}"
    job_dir = f"/user/{USER}/.yarn-submitter/jobs/{job_id}"
    cluster.put(f"{history_dir(job_dir)}/1-2.jsonl", to_line(end) + "\n")
    app = next(app for app in cluster.apps if app["id"].endswith(f"_{number:04}"))
    app.update(state="FINISHED", finalStatus="SUCCEEDED", finishedTime=1_700_000_060_000)


@pytest.mark.parametrize("end", [GOOD, BAD])
def test_waiting_gives_the_verdict(cluster: PretendCluster, end: JobEnded) -> None:
    """Of a job that succeeded and of one that failed; afterwards the cluster is asked nothing more."""
    job = add(cluster, 1, "FINISHED", end)
    assert job.wait(timeout_s=20) == end
    asked = len(cluster.asked)
    assert (job.state, job.verdict, job.name) == (end.state, end, "fit-1")
    assert set(job.tasks) == {"chief:0", "worker:0", "worker:1", "ps:0"}
    assert job.wait(timeout_s=0) == end
    assert len(cluster.asked) == asked


def test_a_wait_ends_in_time_and_the_next_one_goes_on(cluster: PretendCluster) -> None:
    """The error is typed, names the job, and changes nothing."""
    job = add(cluster, 1)
    with pytest.raises(LimitError, match="wait-timeout") as late:
        job.wait(timeout_s=0.05)
    assert (late.value.exit_code, job.id in late.value.problems[0].evidence) == (75, True)
    assert (job.state, job.verdict) == (states.GATHERING, None)
    finish(cluster, 1)
    assert job.wait(timeout_s=20) == GOOD
    assert cluster.killed == []


def test_changes_are_told_in_the_waiting_thread(cluster: PretendCluster) -> None:
    """Each view once, in order, up to the verdict."""
    job = add(cluster, 1, "FINISHED", GOOD)
    seen: list[tuple[str, threading.Thread]] = []

    def note(view: JobView) -> None:
        seen.append((view.state, threading.current_thread()))

    job.wait(20, note)
    assert [state for state, _ in seen] == [states.ACCEPTED, states.GATHERING, states.SUCCEEDED]
    assert {thread for _, thread in seen} == {threading.current_thread()}


def watching(job: Job) -> list[str]:
    """Return the threads that watch it."""
    return [thread.name for thread in threading.enumerate() if thread.name == f"watch {job.id}"]


def test_many_threads_wait_for_one_job_with_one_watch(cluster: PretendCluster) -> None:
    """All get the same verdict; one thread follows the job, and ends with it."""
    job = add(cluster, 1)
    heard, watched = threading.Barrier(6), []

    def wait() -> JobEnded:
        seen: list[JobView] = []

        def note(view: JobView) -> None:
            seen.append(view)
            if len(seen) == 1:
                heard.wait(20)

        return job.wait(20, note)

    with ThreadPoolExecutor(5) as pool:
        waits = [pool.submit(wait) for _ in range(5)]
        heard.wait(20)
        watched += watching(job)
        finish(cluster, 1)
        assert {wait.result() for wait in waits} == {GOOD}
    assert len(watched) == 1
    for thread in threading.enumerate():
        if thread.name == f"watch {job.id}":
            thread.join(20)
    assert watching(job) == []


def test_what_goes_wrong_is_told_and_a_later_wait_begins_anew(cluster: PretendCluster) -> None:
    """The wait raises what the command line would print, in every waiting thread."""
    job = add(cluster, 1, "FINISHED", GOOD)
    cluster.faults.append(lambda request: Reply(403, b"{}") if "/ws/v1/cluster" in request.path else None)
    with pytest.raises(DeniedError, match="rm-denied") as refused:
        job.wait(timeout_s=20)
    assert refused.value.exit_code == 77
    with pytest.raises(DeniedError):
        _ = job.state
    with pytest.raises(DeniedError):
        next(yarn_submitter.as_completed([job], timeout_s=20))
    cluster.faults.clear()
    assert job.wait(timeout_s=20) == GOOD


def test_jobs_come_as_they_end(cluster: PretendCluster) -> None:
    """The first to end first; each once, however often it is named; two handles on a job are one job."""
    jobs = [add(cluster, number) for number in (1, 2, 3)]
    results = yarn_submitter.as_completed([*jobs, jobs[0], yarn_submitter.attach(jobs[0].id)], timeout_s=30)
    order = []
    for number in (2, 3, 1):
        finish(cluster, number, BAD if number == 2 else GOOD)
        order.append(next(results))
    assert order == [jobs[1], jobs[2], jobs[0]]
    assert list(results) == []
    assert [job.verdict.exit_code for job in jobs if job.verdict] == [0, 3, 0]
    assert {job: job.name for job in jobs}[yarn_submitter.attach(jobs[0].id)] == "fit-1"
    lists = [request.params for request in cluster.asked if request.path == "/ws/v1/cluster/apps"]
    assert {params.get("user") for params in lists if "states" in params} == {USER}


def test_jobs_that_do_not_end_in_time(cluster: PretendCluster) -> None:
    """Those that have are yielded first; the error names the others."""
    jobs = [add(cluster, 1, "FINISHED", GOOD), add(cluster, 2)]
    results = yarn_submitter.as_completed(jobs, timeout_s=3.0)
    assert next(results) == jobs[0]
    with pytest.raises(LimitError, match="wait-timeout") as late:
        next(results)
    assert (jobs[1].id in str(late.value), jobs[0].id in str(late.value)) == (True, False)


def test_no_jobs_are_complete_at_once(cluster: PretendCluster) -> None:
    """Nothing is asked."""
    assert list(yarn_submitter.as_completed([])) == []
    assert cluster.asked == []


def test_waiting_for_many_costs_one_question(cluster: PretendCluster) -> None:
    """Fifty jobs that wait in their queue cost the ResourceManager a list now and then, not fifty questions."""
    jobs = [add(cluster, number, "ACCEPTED") for number in range(1, 51)]
    before = len(cluster.asked)
    with pytest.raises(LimitError):
        next(yarn_submitter.as_completed(jobs, timeout_s=1.0))
    asked = [request for request in cluster.asked[before:] if "/ws/v1/cluster/apps" in request.path]
    assert 1 <= len(asked) <= 5
    assert all("SUBMITTED" in request.params["states"] for request in asked)


def test_a_job_without_a_verdict_of_its_own_is_swept(cluster: PretendCluster) -> None:
    """As the command line does: who reads YARN's verdict removes what only a starting job needs."""
    job = add(cluster, 1, "KILLED")
    cluster.put(f"{staging_dir(job.plan.job_dir)}/secret", "x")
    verdict = job.wait(20)
    assert (verdict.state, verdict.origin) == (states.KILLED, "yarn")
    assert not any("staging" in name for name in cluster.names(job.plan.job_dir))


def lines_of(cluster: PretendCluster) -> list[Event]:
    """Give two tasks of a job their output, and return what happened to them."""
    events: list[Event] = [STARTED]
    for task, text in (("chief:0", b"step 1\nstep 2\n"), ("ps:0", b"ready\nno newline")):
        container = "container_" + task.replace(":", "_")
        cluster.logs[container] = {"stdout": text, "stderr": b""}
        events.append(TaskRegistered(2.0, task, 1, container, "nm", cluster.server.address, f"http://nm/{container}"))
    events += [GangComplete(3.0, {}), TaskStarted(4.0, "chief:0", 1, 7), TaskStarted(4.0, "ps:0", 1, 8)]
    return [*events, TaskExited(20.0, "chief:0", 1, "nm", 0, "executor"), GOOD]


CHIEF = [LogLine("chief:0", "step 1"), LogLine("chief:0", "step 2")]
PS = [LogLine("ps:0", "ready"), LogLine("ps:0", "no newline")]


@pytest.mark.parametrize(
    ("wish", "expected"), [("", CHIEF + PS), ("chief", CHIEF), ("ps:0", PS), ("worker", []), ("worker:1", [])]
)
@pytest.mark.parametrize("follow", [False, True])
def test_output_line_by_line(cluster: PretendCluster, wish: str, expected: list[LogLine], follow: bool) -> None:
    """Of all tasks, of a role, of one task; of a job that has ended, and of one that ends while it is followed."""
    cluster.add_app("RUNNING")
    cluster.add_job(events={"1-1": lines_of(cluster)[: -2 if follow else None]})
    job = yarn_submitter.attach(JOB)
    found = job.logs(wish, follow=follow)
    if follow:
        asked: list[Request] = []

        def end_meanwhile(request: Request) -> None:
            if f"/apps/{APP}" in request.path:
                asked.append(request)
                if len(asked) == 2:
                    cluster.add_job(events={"1-1": lines_of(cluster)})
                    cluster.apps[0].update(state="FINISHED", finalStatus="SUCCEEDED")

        cluster.faults.append(end_meanwhile)
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("wish", ["boss", "worker:2", "worker:x", "chief:", "ps:0:0"])
@pytest.mark.parametrize("follow", [False, True])
def test_the_output_of_no_task(cluster: PretendCluster, wish: str, follow: bool) -> None:
    """A task that the job does not have is an error that names those that it has."""
    job = add(cluster, 1)
    with pytest.raises(UsageError, match="task-unknown") as refused:
        next(job.logs(wish, follow=follow))
    assert "worker:0..1" in refused.value.problems[0].evidence


def test_the_pages_of_a_job(cluster: PretendCluster) -> None:
    """The ResourceManager's, and each task's that has a container."""
    cluster.add_app("RUNNING")
    cluster.add_job(events={"1-1": lines_of(cluster)[:-2]})
    assert yarn_submitter.attach(JOB).urls == {
        "application": f"{cluster.server.url}/cluster/app/{APP}",
        "chief:0": "http://nm/container_chief_0",
        "ps:0": "http://nm/container_ps_0",
    }


def test_a_list_is_filtered_by_the_cluster(cluster: PretendCluster) -> None:
    """Newest first, in plain values; what is asked for goes along as the ResourceManager's own filters."""
    add(cluster, 1, "FINISHED", GOOD)
    add(cluster, 2)
    cluster.apps[1].update(finalStatus="SUCCEEDED")
    assert [(one.name, one.state, one.ended_s > 0) for one in yarn_submitter.list_jobs()] == [
        ("fit-2", "RUNNING", False),
        ("fit-1", "SUCCEEDED", True),
    ]
    (one,) = yarn_submitter.list_jobs(name="fit-2", queue="default", live=True, all_users=True)
    params: dict[str, Any] = [request for request in cluster.asked if request.path.endswith("/apps")][-1].params
    assert (params["name"], params["queue"], "RUNNING" in params["states"], "user" in params) == (
        *("fit-2", "default", True),
        False,
    )
    assert yarn_submitter.attach(one.id).name == "fit-2"
    assert yarn_submitter.attach("fit-1").wait(20) == GOOD


def test_an_unknown_job(cluster: PretendCluster) -> None:
    """The same problem as on the command line."""
    with pytest.raises(UsageError, match="job-unknown"):
        yarn_submitter.attach("nobody")


def test_a_misspelled_key_keeps_no_job_from_its_program(
    cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is found and ended; who wants to know is told."""
    job = add(cluster, 1)
    monkeypatch.setenv("YARN_SUBMITTER_QUEU", "x")
    told: list[str] = []
    assert [one.id for one in yarn_submitter.list_jobs(warn=told.append)] == [job.id]
    assert yarn_submitter.attach(job.id, warn=told.append) == yarn_submitter.attach(job.id) == job
    assert ["[setting-unknown]" in text for text in told] == [True, True]


def test_a_handle_is_a_value(cluster: PretendCluster) -> None:
    """It is short in print, equal to another on the same job, a key of a dictionary, and tells nothing of the site."""
    job = add(cluster, 1)
    assert repr(job) == f"Job(id='{job.id}', application_id='{job.application_id}')"
    assert {job, yarn_submitter.attach(job.name)} == {job}
    assert json.dumps(job.urls)
