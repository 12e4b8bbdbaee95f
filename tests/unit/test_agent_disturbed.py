"""A job that its cluster disturbs often: what is held against a task or a host, and what is not."""

# ruff: noqa: D103
from __future__ import annotations

import dataclasses

import pytest
from fakes import plan, role

from am.agent import fold, policy, snapshot
from am.agent.acts import event_of
from am.agent.recovery import FREE_RESTARTS, NEVER_UP_TRIES, RestartJob, RestartTask
from am.agent.signs import Signs
from am.contract.events import AgentStarted, GangComplete, GangReleased, TaskExited, TaskRegistered, TaskStarted
from am.contract.job import FIRST_COME, RESTART_TASK

WORKERS = plan(dataclasses.replace(role("worker", 2), on_loss=RESTART_TASK))


def up(task: str, attempt: int = 1) -> TaskRegistered:
    return TaskRegistered(1.0, task, attempt, f"c-{task}-{attempt}", "h1", "h1:8042", "url", (2222,))


def lost(task: str, attempt: int, problem: str) -> TaskExited:
    return TaskExited(5.0, task, attempt, "h1", 137, "yarn", problem=problem)


def story(which, *happened):
    now = snapshot.start(which)
    for event in (AgentStarted(0.0, 1, "am", 1, "a"), *happened):
        now = fold.apply(now, event)
    return now


def step(which, now):
    """Carry out what policy decides, once; return the kinds of actions and the job after them."""
    actions = [action for action, _ in policy.decide(which, now, Signs(), 7.0)]
    for action in actions:
        now = fold.apply(now, event_of(action, 7.0))
    return [type(action) for action in actions], now


def running(which):
    starts = (TaskStarted(3.0, task, 1, 7) for task in snapshot.start(which).tasks)
    gang = GangComplete(2.0, {"worker": ("h1:2222", "h1:2222")})
    return story(which, up("worker:0"), up("worker:1"), gang, *starts)


def test_tries_to_come_up_are_counted_anew_after_the_command_ran():
    """A task that was lost and started again often has all its tries left when a container does not come up."""
    now = running(WORKERS)
    for attempt in range(1, NEVER_UP_TRIES + 2):
        _, now = step(WORKERS, fold.apply(now, lost("worker:1", attempt, "executor-lost")))
        now = fold.apply(now, up("worker:1", attempt + 1))
        now = fold.apply(now, TaskStarted(6.0, "worker:1", attempt + 1, 8))
    attempt = now.tasks["worker:1"].attempt
    _, now = step(WORKERS, fold.apply(now, lost("worker:1", attempt, "executor-lost")))
    kinds, _ = step(WORKERS, fold.apply(now, lost("worker:1", attempt + 1, "container-ended")))
    assert kinds == [RestartTask]


def test_preemption_while_a_gang_is_gathered_has_no_few_tries():
    """What YARN takes back before the command ran is asked for again as often as any other loss."""
    now = story(WORKERS, up("worker:0"))
    for attempt in range(1, NEVER_UP_TRIES + 3):
        kinds, now = step(WORKERS, fold.apply(now, lost("worker:0", attempt, "preempted")))
        assert kinds == [RestartTask]
        now = fold.apply(now, up("worker:0", attempt + 1))
    assert now.free_restarts < FREE_RESTARTS


@pytest.mark.parametrize("problem", ["preempted", "container-stopped"])
def test_preemption_is_not_held_against_a_host(problem):
    """A host where YARN took containers back is as good as any other."""
    now = fold.apply(running(WORKERS), dataclasses.replace(up("worker:0"), host="h2"))
    for attempt in range(1, 4):
        kinds, now = step(WORKERS, fold.apply(now, lost("worker:1", attempt, problem)))
        assert kinds == [RestartTask]
        now = fold.apply(now, up("worker:1", attempt + 1))
        now = fold.apply(now, TaskStarted(6.0, "worker:1", attempt + 1, 8))
    assert dict(now.bad_hosts) == {}


def test_a_taken_address_is_not_held_against_a_host():
    """The number was taken, not the machine: all meet again where they are."""
    now = fold.apply(running(WORKERS), dataclasses.replace(up("worker:0"), host="h2"))
    for round_ in (1, 2):
        taken = TaskExited(5.0, "worker:1", round_, "h1", 1, "executor", problem="address-in-use")
        kinds, now = step(WORKERS, fold.apply(now, taken))
        assert kinds == [RestartJob]
        stopped = TaskExited(5.0, "worker:0", round_, "h2", 143, "executor", stopped=True)
        _, now = step(WORKERS, fold.apply(now, stopped))
        for task in now.tasks:
            now = fold.apply(now, up(task, round_ + 1))
        now = fold.apply(now, GangComplete(6.0, {"worker": ("h1:2222", "h1:2222")}))
    assert (dict(now.bad_hosts), now.meetings) == ({}, 2)


def test_a_first_come_task_that_is_given_back_gets_another_attempt():
    """Its command has run: no attempt is started twice."""
    which = plan(role("worker", 2), dataclasses.replace(role("load"), start=FIRST_COME))
    released = GangReleased(400.0, 1, "only a part came up", 410.0)
    now = story(which, up("load:0"), TaskStarted(2.0, "load:0", 1, 7), up("worker:0"), released)
    assert [task.attempt for task in now.tasks.values()] == [1, 1, 2]
