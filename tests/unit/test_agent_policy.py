"""Each rule of docs/failures.md, one row each: what happened and when, and what the agent does then."""

from __future__ import annotations

import pytest
from agent_stories import (
    ALL_JOB,
    CHIEF_IGNORE_JOB,
    CHIEF_JOB,
    IGNORE_JOB,
    OK,
    PS_JOB,
    UNTRACKED_JOB,
    WORKERS,
    decide,
    exited,
    registered,
    running,
    story,
    uploaded,
    verdict_of,
)
from fakes import plan, role

from am.agent import fold, policy
from am.agent.policy import LoseResults, LoseTask, StopJob
from am.agent.signs import Sighting, Signs
from am.contract import states, wire
from am.contract.events import (
    JobStopping,
)
from am.contract.job import Limits


@pytest.mark.parametrize(
    ("job", "happened", "expected"),
    [
        pytest.param(WORKERS, [], None, id="nothing happened"),
        pytest.param(WORKERS, [exited("worker:0", 0)], None, id="one worker of two done"),
        pytest.param(WORKERS, [exited("worker:0", 0), exited("worker:1", 0)], OK, id="all workers done"),
        pytest.param(WORKERS, [exited("worker:1", 3)], ("FAILED", 3, "worker:1"), id="a worker fails"),
        pytest.param(
            WORKERS, [exited("worker:0", 0), exited("worker:1", 3)], ("FAILED", 3, "worker:1"), id="the last fails"
        ),
        pytest.param(
            WORKERS,
            [exited("worker:1", 3), exited("worker:0", 1, 5.1)],
            ("FAILED", 3, "worker:1"),
            id="the first to fail is blamed",
        ),
        pytest.param(
            WORKERS,
            [
                exited("worker:0", 1, 5.1),
                exited("worker:1", 137, 5.0, witness="yarn", problem="executor-lost", tail="killed"),
            ],
            ("FAILED", 76, "worker:1"),
            id="one that was lost before is blamed although it is known later",
        ),
        pytest.param(
            WORKERS, [exited("worker:0", 0, problem="x")], ("FAILED", 76, "worker:0"), id="code 0 with a problem fails"
        ),
        pytest.param(PS_JOB, [exited("ps:0", 0)], None, id="a ps that ends well decides nothing"),
        pytest.param(PS_JOB, [exited("ps:0", 9)], ("FAILED", 9, "ps:0"), id="a ps that fails ends the job"),
        pytest.param(PS_JOB, [exited("worker:0", 0), exited("worker:1", 0)], OK, id="nobody waits for a ps"),
        pytest.param(CHIEF_JOB, [exited("chief:0", 0)], OK, id="the chief is done, workers are not waited for"),
        pytest.param(CHIEF_JOB, [exited("worker:0", 0), exited("worker:1", 0)], None, id="the chief is waited for"),
        pytest.param(CHIEF_JOB, [exited("chief:0", 4)], ("FAILED", 4, "chief:0"), id="the chief fails"),
        pytest.param(
            CHIEF_JOB,
            [exited("worker:0", 4), exited("chief:0", 0)],
            ("FAILED", 4, "worker:0"),
            id="a failure before the chief's good end is a failure",
        ),
        pytest.param(ALL_JOB, [exited("chief:0", 0)], None, id="done_when all waits for the workers"),
        pytest.param(ALL_JOB, [exited("chief:0", 0), exited("worker:0", 0)], OK, id="done_when all, all done"),
        pytest.param(IGNORE_JOB, [exited("worker:0", 3)], None, id="on_failure ignore goes on"),
        pytest.param(IGNORE_JOB, [exited("worker:0", 3), exited("worker:1", 0)], OK, id="on_failure ignore succeeds"),
        pytest.param(
            IGNORE_JOB,
            [exited("worker:0", 3), exited("worker:1", 4)],
            ("FAILED", 3, "worker:0"),
            id="on_failure ignore, but none succeeded",
        ),
        pytest.param(
            CHIEF_IGNORE_JOB, [exited("chief:0", 3), exited("worker:0", 0)], OK, id="an ignored chief is not needed"
        ),
        pytest.param(UNTRACKED_JOB, [], None, id="a job of untracked tasks runs"),
        pytest.param(UNTRACKED_JOB, [exited("tensorboard:0", 0)], OK, id="in a job of untracked tasks they decide"),
    ],
)
def test_how_a_running_job_ends(job, happened, expected):
    """The rules of job-run's policy: who decides, who is waited for, who is blamed."""
    assert verdict_of(decide(job, running(job, *happened))) == expected


@pytest.mark.parametrize(
    ("code", "changes", "exit_code", "origin", "problem", "said"),
    [
        (3, {}, 3, "task", "task-failed", "w on h1 exited with code 3 (the program's own error)"),
        (137, {}, 137, "task", "task-failed", "w on h1 exited with code 137 (SIGKILL: killed, often out of memory)"),
        (127, {"problem": "command-not-found"}, 127, "task", "command-not-found", "(command not found: name a program"),
        (76, {"problem": "no-log-directory", "tail": "No disk."}, 76, "task", "no-log-directory", "its work: No disk."),
        (137, {"witness": "yarn", "problem": "executor-lost"}, 76, "yarn", "executor-lost", "lost without a word"),
        (137, {"problem": "memory-exceeded"}, 137, "yarn", "memory-exceeded", "more memory than it asked for"),
        (137, {"problem": "executor-lost", "tail": "disks"}, 76, "yarn", "executor-lost", "stopped by YARN: disks"),
        (137, {"witness": "yarn", "problem": "memory-exceeded"}, 137, "yarn", "memory-exceeded", "more memory"),
        (127, {"witness": "yarn", "problem": "container-ended"}, 127, "yarn", "container-ended", "could register"),
        (75, {"witness": "yarn", "problem": "registration-timeout"}, 75, "yarn", "registration-timeout", "in time"),
        (137, {"witness": "yarn", "problem": "task-silent"}, 76, "yarn", "task-silent", "was lost: "),
        (137, {"witness": "yarn", "problem": "preempted"}, 76, "yarn", "preempted", "preempted by YARN"),
    ],
)
def test_what_the_verdict_says(code, changes, exit_code, origin, problem, said):
    """The exit code is the task's own or that of DESIGN's table, and the message names task, host and meaning."""
    job = plan(role("w"))
    (action,) = decide(job, running(job, exited("w:0", code, **changes)))
    verdict = action.verdict
    assert (verdict.exit_code, verdict.origin, verdict.problem, verdict.host) == (exit_code, origin, problem, "h1")
    assert said.replace("w on", "w:0 on") in verdict.message


def test_a_failure_waits_for_news_of_a_connection_that_broke_before_it():
    """A worker that fails because its ps was killed is not blamed: the ps's broken connection came first."""
    now = running(PS_JOB, exited("worker:0", 1, 5.0))
    doubt = Signs(doubted_s={"ps:0": 4.9})
    assert decide(PS_JOB, now, 5.1, doubt) == []
    assert verdict_of(decide(PS_JOB, now, 4.9 + policy.DOUBT_S + 0.1, doubt)) == ("FAILED", 1, "worker:0")
    assert verdict_of(decide(PS_JOB, now, 5.1, Signs(doubted_s={"ps:0": 5.05}))) == ("FAILED", 1, "worker:0")


def stopping(job, state, *happened, upload_s: float = 600.0):
    """Return a running job whose end was decided at 10 s, and what happened then."""
    code = {states.SUCCEEDED: 0, states.FAILED: 3, states.KILLED: 137}[state]
    verdict = policy.JobEnded(10.0, state, code, "task", "", "because")
    return fold.apply(running(job, *happened), JobStopping(10.0, "because", verdict, upload_s))


@pytest.mark.parametrize(
    ("happened", "when_s", "expected"),
    [
        pytest.param([], 20.0, None, id="tasks are being stopped"),
        pytest.param([exited("worker:0", 0), exited("worker:1", 0)], 20.0, None, id="results are being carried"),
        pytest.param(
            [exited("worker:0", 0), exited("worker:1", 0), uploaded("worker:0"), uploaded("worker:1")],
            20.0,
            ("SUCCEEDED", 0, ""),
            id="all done",
        ),
        pytest.param(
            [exited("worker:0", 0), uploaded("worker:0"), exited("worker:1", 143, stopped=True), uploaded("worker:1")],
            20.0,
            ("SUCCEEDED", 0, ""),
            id="what was stopped is no failure",
        ),
        pytest.param(
            [exited("worker:0", 0), uploaded("worker:0"), exited("worker:1", 137, witness="yarn", stopped=True)],
            20.0,
            ("SUCCEEDED", 0, ""),
            id="nobody waits for a task that is lost",
        ),
        pytest.param(
            [exited("worker:0", 0), uploaded("worker:0", "HDFS is full"), exited("worker:1", 0), uploaded("worker:1")],
            20.0,
            ("FAILED", 73, "worker:0"),
            id="a success whose results are lost is none",
        ),
        pytest.param(
            [
                exited("worker:0", 0),
                uploaded("worker:0"),
                exited("worker:1", 0, stopped=True),
                uploaded("worker:1", "x"),
            ],
            20.0,
            ("SUCCEEDED", 0, ""),
            id="results of a stopped task decide nothing",
        ),
        pytest.param([exited("worker:1", 0), uploaded("worker:1")], 645.0, None, id="grace and upload not over"),
        pytest.param([exited("worker:1", 0), uploaded("worker:1")], 646.0, ("SUCCEEDED", 0, ""), id="all waited for"),
        pytest.param(
            [exited("worker:0", 0), exited("worker:1", 0), uploaded("worker:1")],
            646.0,
            ("FAILED", 73, "worker:0"),
            id="results not carried in time",
        ),
    ],
)
def test_how_a_stopping_job_ends(happened, when_s, expected):
    """The verdict comes when every task has ended and carried its results, or when grace and upload time are over."""
    assert verdict_of(decide(WORKERS, stopping(WORKERS, states.SUCCEEDED, *happened), when_s)) == expected


def test_a_failed_job_stays_failed_whatever_its_uploads_do():
    """The verdict of a failure never becomes another one."""
    now = stopping(WORKERS, states.FAILED, exited("worker:0", 0), uploaded("worker:0", "lost"))
    assert verdict_of(decide(WORKERS, now, 700.0)) == ("FAILED", 3, "")


def test_a_job_that_never_started_a_command_ends_at_once():
    """There is nothing to stop and nothing to carry; its containers are sent away."""
    now = story(WORKERS, registered("worker:0"))
    ((stop, _),) = policy.kill(WORKERS, now, "alice@edge", "", 5.0)
    now = fold.apply(now, JobStopping(5.0, "killed", stop.verdict, stop.upload_s))
    assert policy.order(WORKERS, now, now.tasks["worker:0"]).order == wire.LEAVE
    assert verdict_of(decide(WORKERS, now, 5.0)) == ("KILLED", 137, "")


def test_a_kill_gives_uploads_the_grace_only():
    """The stop order of a killed job carries the grace as its upload time; that of a failed one the whole of it."""
    ((stop, _),) = policy.kill(WORKERS, running(WORKERS), "alice@edge", "enough", 7.0)
    assert (stop.verdict.state, stop.verdict.exit_code, stop.upload_s) == ("KILLED", 137, 30)
    assert stop.verdict.message == "the job was killed by alice@edge: enough"
    (failed,) = decide(WORKERS, running(WORKERS, exited("worker:0", 3)))
    assert failed.upload_s == 600
    hasty = plan(role("worker", 2), limits=Limits(stop_grace_s=0))
    ((stop, _),) = policy.kill(hasty, running(hasty), "alice@edge", "", 7.0)
    assert stop.upload_s == 1.0  # 0 would be no limit


@pytest.mark.parametrize(
    ("state", "expected"),
    [("SUCCEEDED", ("KILLED", 137, "")), ("FAILED", ("FAILED", 3, "")), ("KILLED", None)],
)
def test_a_kill_of_a_stopping_job_hurries_it(state, expected):
    """A success whose results are not carried yet is killed, a failure stays one, a second kill changes nothing."""
    decisions = policy.kill(WORKERS, stopping(WORKERS, state), "alice@edge", "", 20.0)
    assert verdict_of([action for action, _ in decisions]) == expected


def test_orders_follow_the_job():
    """wait, start, stop, leave; each has a number of its own and the newest counts."""
    gathering = story(WORKERS, registered("worker:0"))
    started = running(WORKERS)
    stopped = stopping(WORKERS, states.FAILED)
    ended = fold.apply(stopped, policy.JobEnded(20.0, states.FAILED, 3, "task", "", ""))
    orders = [policy.order(WORKERS, now, now.tasks["worker:0"]) for now in (gathering, started, stopped, ended)]
    assert [order.order for order in orders] == [wire.WAIT, wire.START, wire.STOP, wire.LEAVE]
    assert [order.order_id for order in orders] == [1, 2, 3, 4]
    assert (orders[2].grace_s, orders[2].upload_s) == (30.0, 600.0)


def test_silence_loses_a_task():
    """A task not heard of for silence_s is lost; one whose program had ended loses its results only."""
    now = running(WORKERS, exited("worker:1", 0))
    signs = Signs(heard_s={"worker:0": 100.0, "worker:1": 100.0})
    assert policy.overdue(WORKERS, now, signs, 160.0) == ()
    lost = [action for action, _ in policy.overdue(WORKERS, now, signs, 160.1)]
    assert [type(action) for action in lost] == [LoseTask, LoseResults]
    assert (lost[0].exit.problem, lost[0].exit.witness, lost[0].exit.time) == ("task-silent", "yarn", 100.0)
    assert lost[1].upload.problem.startswith("not carried")
    patient = plan(role("worker", 2), limits=Limits(silence_s=0))
    assert policy.overdue(patient, now, signs, 1e6) == ()


def test_a_container_that_does_not_register_is_given_up():
    """registration_s counts from the end of localization, and not while files are fetched; 0 is no limit."""
    now = story(WORKERS, registered("worker:0"))
    seen = {"c1": Sighting("worker", "h1:8042"), "c2": Sighting("worker", "h2:8042", False, 100.0)}
    assert policy.overdue(WORKERS, now, Signs(sightings=seen), 220.0) == ()
    ((lost, _),) = policy.overdue(WORKERS, now, Signs(sightings=seen), 220.1)
    assert (lost.exit.task, lost.exit.host, lost.exit.code) == ("worker:1", "h2", 75)
    patient = plan(role("worker", 2), limits=Limits(registration_s=0))
    assert policy.overdue(patient, now, Signs(sightings=seen), 1e6) == ()


def test_nothing_is_decided_after_the_verdict():
    """A verdict never changes."""
    verdict = policy.JobEnded(20.0, states.SUCCEEDED, 0, "task", "", "")
    now = fold.apply(running(WORKERS, exited("worker:0", 3)), verdict)
    assert decide(WORKERS, now, 1e6) == []
    assert policy.kill(WORKERS, now, "alice@edge", "", 30.0) == ()
    assert policy.overdue(WORKERS, now, Signs(heard_s={"worker:1": 0.0}), 1e6) == ()


@pytest.mark.parametrize(("lost_s", "stopped"), [(9.9, False), (10.0, True), (11.0, True)])
def test_a_task_lost_before_the_stop_was_not_stopped(lost_s, stopped):
    """What counts is when it was last heard of, not when its loss is known."""
    now = stopping(WORKERS, states.SUCCEEDED)
    (lost,) = policy.lose(now, now.tasks["worker:0"], lost_s, 137, "executor-lost", "")
    assert lost.exit.stopped is stopped
    (early,) = policy.lose(running(WORKERS), now.tasks["worker:0"], lost_s, 137, "executor-lost", "")
    assert early.exit.stopped is False


def test_every_chief_is_waited_for():
    """One of two chiefs that exited 0 is not the end."""
    job = plan(role("chief", 2), role("worker"))
    assert decide(job, running(job, exited("chief:0", 0))) == []
    assert verdict_of(decide(job, running(job, exited("chief:0", 0), exited("chief:1", 0)))) == OK


def test_only_results_of_tasks_that_count_make_a_success_a_failure():
    """Lost results of an untracked task, or of one whose failure is ignored, change nothing."""
    job = plan(role("worker"), role("ps", tracked=False), role("extra", on_failure="ignore"))
    ends = [event for task in ("worker:0", "ps:0", "extra:0") for event in (exited(task, 0), uploaded(task, "lost"))]
    ends[1] = uploaded("worker:0")
    assert verdict_of(decide(job, stopping(job, states.SUCCEEDED, *ends), 20.0)) == OK


@pytest.mark.parametrize(("limit_s", "now_s", "over"), [(10, 12.0, False), (10, 12.1, True), (0, 10**9, False)])
def test_a_job_that_runs_too_long_fails(limit_s, now_s, over):
    """--max_runtime counts from the start of the commands (second 2); the verdict names the limit; 0 is none."""
    job = plan(role("worker", 2), limits=Limits(lifetime_s=limit_s))
    actions = decide(job, running(job), now_s)
    assert [type(action) for action in actions] == ([StopJob] if over else [])
    for action in actions:
        verdict = action.verdict
        assert (verdict.state, verdict.exit_code, verdict.problem) == (states.FAILED, 75, "runtime-limit")
        assert "10 s (--max_runtime)" in verdict.message


def test_waiting_for_the_gang_is_not_running():
    """A job that waited for its queue has its whole time when it starts."""
    job = plan(role("worker", 2), limits=Limits(lifetime_s=10, gang_hold_s=0))
    assert not [action for action in decide(job, story(job), 10**6) if isinstance(action, StopJob)]
