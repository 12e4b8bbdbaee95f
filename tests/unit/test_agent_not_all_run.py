"""Jobs of which some tasks run, or have ended, while the others are still being gathered."""

# ruff: noqa: D103
from __future__ import annotations

import dataclasses

import pytest
from fakes import plan, role

from am import runtimes
from am.agent import fold, policy, snapshot
from am.agent.acts import event_of
from am.agent.gang import GiveBack, ProbeGang, ReleaseGang
from am.agent.policy import StopJob
from am.agent.recovery import RestartTask
from am.agent.signs import Signs
from am.contract import wire
from am.contract.events import (
    AgentStarted,
    GangComplete,
    GangReleased,
    TaskExited,
    TaskRegistered,
    TaskStarted,
    TaskUploaded,
)
from am.contract.job import FIRST_COME, RESTART_JOB, RESTART_TASK, Limits

FIRST = plan(role("worker", 2), dataclasses.replace(role("load"), start=FIRST_COME))
ENDED = (
    TaskStarted(2.0, "load:0", 1, 7),
    TaskExited(3.0, "load:0", 1, "h1", 0, "executor"),
    TaskUploaded(4.0, "load:0", 1, 0, 0),
)


def up(task: str, attempt: int = 1, container: str = "") -> TaskRegistered:
    return TaskRegistered(1.0, task, attempt, container or f"c-{task}", "h1", "h1:8042", "url", (2222,), "h1:9")


def story(which, *happened):
    now = snapshot.start(which)
    for event in (AgentStarted(0.0, 1, "am", 1, "a"), *happened):
        now = fold.apply(now, event)
    return now


def step(which, now, when_s, signs=None):
    """Carry out what policy decides, once; return the actions and the job after them."""
    actions = [action for action, _ in policy.decide(which, now, signs or Signs(), when_s)]
    for action in actions:
        now = fold.apply(now, event_of(action, when_s))
    return actions, now


def test_a_first_come_task_that_runs_is_not_waited_for_by_the_probing():
    """It has no order to try anybody, and the gang starts as soon as the others have reached one another."""
    now = story(FIRST, up("load:0"), ENDED[0], up("worker:0"), up("worker:1"))
    (action,), now = step(FIRST, now, 7.0)
    assert isinstance(action, ProbeGang)
    assert policy.order(FIRST, now, now.tasks["load:0"]).order == wire.START
    tried = {task: wire.Probed("c", now.order_id) for task in ("worker:0", "worker:1")}
    assert [type(action) for action in step(FIRST, now, 8.0, Signs(probed=tried))[0]] == [ReleaseGang]


def test_nobody_tries_a_first_come_task_that_has_ended():
    """Its container is gone: who tried it would fail the job."""
    (action,), _ = step(FIRST, story(FIRST, up("load:0"), *ENDED, up("worker:0"), up("worker:1")), 7.0)
    assert runtimes.peers(FIRST, action.topology, "worker", 0) == ("worker:1",)


def test_a_gang_that_was_given_back_is_complete_without_what_has_ended():
    """A first-come task that succeeded before is not asked for again."""
    released = GangReleased(400.0, 1, "only a part came up", 410.0)
    again = (up("worker:0", container="x"), up("worker:1", container="y"))
    (action,), _ = step(FIRST, story(FIRST, up("load:0"), *ENDED, up("worker:0"), released, *again), 430.0)
    assert isinstance(action, ProbeGang)


def test_a_job_that_goes_on_with_another_master_is_complete_without_what_has_ended():
    """A task that succeeded before the first ApplicationMaster died has no container, and needs none."""
    which = plan(dataclasses.replace(role("worker", 2), on_loss=RESTART_TASK), max_attempts=2)
    ran = (up("worker:0"), up("worker:1"), GangComplete(2.0, {"worker": ("h1:2222", "h1:2222")}))
    ended = tuple(dataclasses.replace(event, task="worker:1") for event in ENDED)
    now = story(which, *ran, *ended, AgentStarted(100.0, 2, "am", 1, "a"))
    _, now = step(which, now, 100.0)
    (action,), _ = step(which, fold.apply(now, up("worker:0", 2, "z")), 101.0)
    assert isinstance(action, ReleaseGang)


def test_an_elastic_job_meets_again_where_its_main_task_is():
    """Another master starts the main task again though it had succeeded: its peers meet at its address."""
    which = plan(dataclasses.replace(role("worker", 2), on_loss=RESTART_TASK, min_instances=1), max_attempts=2)
    ran = (up("worker:0"), up("worker:1"), GangComplete(2.0, {"worker": ("h1:2222", "h1:2222")}))
    now = story(which, *ran, *(dataclasses.replace(event, task="worker:0") for event in ENDED))
    actions, _ = step(which, fold.apply(now, AgentStarted(100.0, 2, "am", 1, "a")), 100.0)
    assert [action.task for action in actions if isinstance(action, RestartTask)] == ["worker:0", "worker:1"]


@pytest.mark.parametrize(
    ("limits", "expected"), [(Limits(queue_wait_s=100), ""), (Limits(lifetime_s=100), "runtime-limit")]
)
def test_which_limits_hold_while_all_start_again(limits, expected):
    """The queue's limit is for the first time; the job's lifetime goes on."""
    worker = dataclasses.replace(role("worker", 2), on_failure=RESTART_JOB)
    which = plan(worker, limits=limits, max_restarts=1)
    now = story(which, up("worker:0"), up("worker:1"), GangComplete(2.0, {"worker": ("h1:2222", "h1:2222")}))
    now = fold.apply(now, TaskExited(50.0, "worker:1", 1, "h1", 1, "executor"))
    for when_s in (50.0, 51.0):
        _, now = step(which, now, when_s)
    actions, _ = step(which, now, 5000.0)
    assert [action.verdict.problem for action in actions if isinstance(action, StopJob)] == [expected] * bool(expected)


def test_a_checkpoint_that_is_being_sent_is_not_cut_off_by_giving_back():
    """While all start again, nobody's container is given back as long as none lacks and results may be carried."""
    worker = dataclasses.replace(role("worker", 2), on_failure=RESTART_JOB)
    which = plan(worker, limits=Limits(gang_hold_s=300, upload_s=600), max_restarts=1)
    now = story(which, up("worker:0"), up("worker:1"), GangComplete(2.0, {"worker": ("h1:2222", "h1:2222")}))
    now = fold.apply(now, TaskExited(50.0, "worker:0", 1, "h1", 1, "executor"))
    for when_s in (50.0, 51.0):
        _, now = step(which, now, when_s)
    now = fold.apply(now, TaskExited(52.0, "worker:1", 1, "h1", 143, "executor", stopped=True))
    _, now = step(which, now, 52.0)
    now = fold.apply(now, dataclasses.replace(up("worker:1", 2), time=60.0))
    given_back = [any(isinstance(act, GiveBack) for act in step(which, now, when_s)[0]) for when_s in (800.0, 1000.0)]
    assert given_back == [False, True]
