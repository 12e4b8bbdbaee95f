"""What follows a failure: every cell of the table, the budgets, and what a restart leaves of a job's state."""

# ruff: noqa: D103
from __future__ import annotations

import dataclasses

import pytest
from fakes import plan, role

from am.agent import faults, fold, policy, snapshot
from am.agent.acts import event_of
from am.agent.policy import EndJob, OpenRole, ReleaseGang, StopJob
from am.agent.recovery import FREE_RESTARTS, NEVER_UP_TRIES, RENDEZVOUS_TRIES, AvoidHost, RestartJob, RestartTask
from am.agent.signs import Signs
from am.contract import states, wire
from am.contract.events import (
    AgentStarted,
    GangComplete,
    JobEnded,
    TaskExited,
    TaskRegistered,
    TaskStarted,
    TaskUploaded,
)
from am.contract.job import FATAL, IGNORE, RESTART_JOB, RESTART_TASK

LOST = {"witness": "yarn", "problem": "executor-lost"}


def job(on_failure=FATAL, on_loss=FATAL, max_restarts=0, instances=2):
    worker = dataclasses.replace(role("worker", instances), on_failure=on_failure, on_loss=on_loss)
    return plan(worker, max_restarts=max_restarts)


def registered(task: str, attempt: int = 1, container: str = "", host: str = "") -> TaskRegistered:
    index = task.rpartition(":")[2]
    where = host or f"h{index}"
    return TaskRegistered(1.0, task, attempt, container or f"c{index}", where, f"{where}:8042", "url", (2222,))


def exited(task: str, code: int = 1, attempt: int = 1, **changes) -> TaskExited:
    host = f"h{task.rpartition(':')[2]}"
    return TaskExited(5.0, task, attempt, host, code, **{"witness": "executor", **changes})


def after(now, *happened):
    for event in happened:
        now = fold.apply(now, event)
    return now


def running(which):
    now = after(snapshot.start(which), AgentStarted(0.0, 1, "am", 1, "a"))
    for task in list(now.tasks):
        now = after(now, registered(task))
    return started(which, now)


def started(which, now):
    hosts = tuple(task.address for task in now.role("worker") if task.up)
    now = after(now, GangComplete(2.0, {"worker": hosts}))
    return after(
        now,
        *(TaskStarted(3.0, task.name, task.attempt, 7) for task in now.tasks.values() if task.up and not task.ended),
    )


def step(which, now):
    """Carry out what policy decides, once; return the actions and the job after them."""
    actions = [action for action, _ in policy.decide(which, now, Signs(), 7.0)]
    for action in actions:
        now = after(now, event_of(action, 7.0))
    return actions, now


@pytest.mark.parametrize(
    ("exit_", "on_failure", "on_loss", "left", "expected"),
    [
        (exited("worker:1"), FATAL, RESTART_JOB, 1, StopJob),
        (exited("worker:1"), RESTART_TASK, FATAL, 1, RestartTask),
        (exited("worker:1"), RESTART_JOB, FATAL, 1, RestartJob),
        (exited("worker:1"), RESTART_TASK, RESTART_TASK, 0, StopJob),
        (exited("worker:1"), RESTART_JOB, RESTART_JOB, 0, StopJob),
        (exited("worker:1", 137, **LOST), FATAL, RESTART_TASK, 0, RestartTask),
        (exited("worker:1", 137, **LOST), FATAL, RESTART_JOB, 0, RestartJob),
        (exited("worker:1", 137, **LOST), RESTART_TASK, FATAL, 9, StopJob),
        (exited("worker:1", problem="address-in-use"), FATAL, FATAL, 0, RestartJob),
        (exited("worker:1", 137, witness="yarn", problem="memory-exceeded"), RESTART_TASK, RESTART_TASK, 9, StopJob),
        (exited("worker:1", 137, witness="yarn", problem="preempted"), FATAL, RESTART_TASK, 0, RestartTask),
        (exited("worker:1", 70, problem="gpu-missing"), FATAL, FATAL, 0, RestartTask),
        (exited("worker:1", 75, problem="no-free-port"), FATAL, FATAL, 0, RestartTask),
    ],
)
def test_each_cell_of_the_table(exit_, on_failure, on_loss, left, expected):
    """A failed program follows on_failure while restarts are left, a lost task on_loss; some ends are never retried."""
    which = job(on_failure, on_loss, left)
    actions, _ = step(which, after(running(which), exit_))
    assert [type(action) for action in actions] == [expected]


def test_only_failed_programs_use_the_budget():
    """Losses and taken addresses are counted apart; when the budget is used up, the next failure is the job's."""
    which = job(RESTART_TASK, RESTART_TASK, max_restarts=1)
    _, now = step(which, after(running(which), exited("worker:1", 137, **LOST)))
    assert (now.restarts, now.free_restarts) == (0, 1)
    now = after(now, registered("worker:1", 2, "c9"), TaskStarted(6.0, "worker:1", 2, 8))
    _, now = step(which, after(now, exited("worker:1", 1, 2)))
    assert (now.restarts, now.free_restarts) == (1, 1)
    now = after(now, registered("worker:1", 3, "c9"), TaskStarted(6.0, "worker:1", 3, 8))
    actions, now = step(which, after(now, exited("worker:1", 4, 3)))
    assert [(type(action), action.verdict.exit_code, action.verdict.task) for action in actions] == [
        (StopJob, 4, "worker:1")
    ]
    assert actions[0].verdict.message.endswith(" error); --max_restarts 1 is used up")


def test_no_budget_is_named_that_was_never_given():
    """Neither to who asked for no restarts, nor for an end that is never retried."""
    for which, exit_ in (
        (job(RESTART_TASK), exited("worker:1")),
        (job(FATAL, max_restarts=1), exited("worker:1")),
        (job(RESTART_TASK, FATAL), exited("worker:1", 137, **LOST)),
        (job(RESTART_TASK, max_restarts=1), exited("worker:1", 137, witness="yarn", problem="memory-exceeded")),
    ):
        spent = {"restarts": which.max_restarts, "free_restarts": FREE_RESTARTS}
        ((stop,), _) = step(which, dataclasses.replace(after(running(which), exit_), **spent))
        assert not any(said in stop.verdict.message for said in ("used up", "disturbed"))


@pytest.mark.parametrize(
    ("counter", "limit", "exit_", "said"),
    [
        ("free_restarts", FREE_RESTARTS, exited("worker:1", 137, **LOST), "cluster has disturbed the job 100 times"),
        ("meetings", RENDEZVOUS_TRIES, exited("worker:1", problem="address-in-use"), "tasks have met 5 times"),
    ],
)
def test_even_what_is_not_counted_has_an_end(counter, limit, exit_, said):
    """A job that its cluster disturbs again and again fails in the end, and says so."""
    which = job(RESTART_TASK, RESTART_TASK, 9)
    now = after(running(which), exit_)
    assert type(step(which, dataclasses.replace(now, **{counter: limit - 1}))[0][0]) is not StopJob
    ((stop,), _) = step(which, dataclasses.replace(now, **{counter: limit}))
    assert stop.verdict.message.endswith(said)


def test_a_task_that_never_came_up_gets_another_container_a_few_times():
    """Before its command ran, that a container ends is the cluster's fault, whatever the role's rules are."""
    which = job()
    now = after(snapshot.start(which), AgentStarted(0.0, 1, "am", 1, "a"))
    lost = exited("worker:0", 76, witness="yarn", problem="container-ended")
    for attempt in range(1, NEVER_UP_TRIES):
        (action,), now = step(which, after(now, dataclasses.replace(lost, attempt=attempt)))
        assert (type(action), action.keeps, action.counted) == (RestartTask, False, False)
        assert (now.lacking, now.blamed) == (2, "")
    (action,), _ = step(which, after(now, dataclasses.replace(lost, attempt=NEVER_UP_TRIES)))
    assert action.verdict.message.endswith("; 3 of its attempts in a row ended before the command ran")


def test_a_failed_program_starts_again_in_its_container():
    """The executor is held and ordered to register again; the others' orders stay."""
    which = job(RESTART_TASK, max_restarts=1)
    now = running(which)
    before = now.ordered(now.tasks["worker:0"])
    (action,), now = step(which, after(now, exited("worker:1")))
    assert (action.task, action.attempt, action.keeps, action.counted) == ("worker:1", 2, True, True)
    task = now.tasks["worker:1"]
    assert policy.order(which, now, task).order == wire.AGAIN
    assert now.ordered(now.tasks["worker:0"]) == before
    assert (task.state, task.attempt, task.container_id, now.lacking, now.holding) == (states.NEW, 2, "c1", 0, 2)
    again = now.ordered(task)
    now = after(now, dataclasses.replace(registered("worker:1", 2), ports=(3333,)))
    order = policy.order(which, now, now.tasks["worker:1"])
    assert (order.order, order.order_id > again, order.topology["worker"][1]) == (wire.START, True, "h1:3333")
    assert order.topology["worker"][0] == "h0:2222"


def test_a_failed_program_whose_executor_has_left_gets_another_container():
    """It has told what became of the results, which it does last: nobody waits in that container."""
    which = job(RESTART_TASK, max_restarts=1)
    (action,), _ = step(which, after(running(which), exited("worker:1"), TaskUploaded(6.0, "worker:1", 1, 0, 0)))
    assert (type(action), action.keeps) == (RestartTask, False)


def test_a_role_waits_for_the_other_one_anew_when_all_start_again():
    """What has come in the round before does not count: its commands are stopped, too."""
    first = dataclasses.replace(role("worker", 1), on_failure=RESTART_JOB)
    which = plan(first, dataclasses.replace(role("ps"), depends_on=("worker",)), max_restarts=1)
    now = after(snapshot.start(which), AgentStarted(0.0, 1, "am", 1, "a"), registered("worker:0"), registered("ps:0"))
    orders = []
    for attempt in (1, 2):
        now = after(now, GangComplete(2.0, {"worker": ("h0:2222",), "ps": ("h0:2222",)}))
        orders.append(policy.order(which, now, now.tasks["ps:0"]).order)
        actions, now = step(which, after(now, TaskStarted(3.0, "worker:0", attempt, 7)))
        assert actions == [OpenRole("ps")]
        orders.append(policy.order(which, now, now.tasks["ps:0"]).order)
        _, now = step(which, after(now, exited("worker:0", attempt=attempt)))
        _, now = step(which, after(now, exited("ps:0", 143, attempt, stopped=True)))
        now = after(now, registered("worker:0", attempt + 1), registered("ps:0", attempt + 1))
    assert orders == [wire.WAIT, wire.START] * 2


def test_a_lost_task_gets_another_container():
    """Its old container is forgotten, so that whoever still lives there is sent away; its index stays."""
    which = job(on_loss=RESTART_TASK)
    (action,), now = step(which, after(running(which), exited("worker:1", 137, **LOST)))
    assert not action.keeps
    assert (now.of_container("c1"), now.free_index("worker"), now.lacking) == (None, 1, 1)
    now = after(now, registered("worker:1", 2, "c7", "h5"))
    assert policy.order(which, now, now.tasks["worker:1"]).topology["worker"][1] == "h5:2222"


def test_all_start_again_together():
    """The living are stopped and keep their containers, one that succeeded gets another; then the gang is new."""
    which = job(RESTART_JOB, max_restarts=1, instances=3)
    now = after(running(which), exited("worker:2", 0), exited("worker:1"))
    (action,), now = step(which, now)
    assert (action.round, action.task, now.state, dict(now.topology)) == (2, "worker:1", states.RESTARTING, {})
    assert policy.order(which, now, now.tasks["worker:0"]).order == wire.AGAIN
    actions, now = step(which, now)
    assert [(each.task, each.keeps) for each in actions] == [("worker:1", True), ("worker:2", False)]
    actions, now = step(which, after(now, exited("worker:0", 143, stopped=True)))
    assert [(each.task, each.attempt, each.keeps) for each in actions] == [("worker:0", 2, True)]
    assert (now.restarts, now.free_restarts, now.blamed, now.holding) == (1, 0, "", 3)
    for task, container in (("worker:0", "c0"), ("worker:1", "c1"), ("worker:2", "c8")):
        now = after(now, registered(task, 2, container))
    (action,), now = step(which, now)
    assert action.topology == {"worker": ("h0:2222", "h1:2222", "h2:2222")}
    assert now.state == states.RUNNING


def test_what_peers_die_of_while_all_start_again_is_not_judged():
    """A peer's failure after the decision restarts it, and does not count."""
    which = job(RESTART_JOB, max_restarts=1)
    _, now = step(which, after(running(which), exited("worker:1")))
    _, now = step(which, now)
    actions, now = step(which, after(now, exited("worker:0", 134)))
    assert [(type(each), each.task) for each in actions] == [(RestartTask, "worker:0")]
    assert (now.restarts, now.blamed) == (1, "")


def test_a_host_on_which_attempts_fail_is_avoided():
    """After the second failure there the task gets another container; not when there is no other host."""
    which = job(RESTART_TASK, max_restarts=9)
    _, now = step(which, after(running(which), exited("worker:1")))
    now = after(now, registered("worker:1", 2), TaskStarted(6.0, "worker:1", 2, 8))
    actions, now = step(which, after(now, exited("worker:1", 1, 2)))
    assert [type(action) for action in actions] == [AvoidHost, RestartTask]
    assert (now.avoided, actions[1].keeps) == ({"h1"}, False)
    alone = job(RESTART_TASK, max_restarts=9, instances=1)
    _, now = step(alone, after(running(alone), exited("worker:0")))
    now = after(now, registered("worker:0", 2), TaskStarted(6.0, "worker:0", 2, 8))
    actions, now = step(alone, after(now, exited("worker:0", 1, 2)))
    assert [(type(action), action.keeps) for action in actions] == [(RestartTask, True)]


def test_a_host_is_avoided_also_when_all_start_again():
    """A restart of the whole job counts the attempt that failed, once: not the attempts that were stopped for it."""
    which = job(RESTART_JOB, FATAL, 9)
    now = running(which)
    for attempt, expected in ((1, [RestartJob]), (2, [AvoidHost, RestartJob])):
        actions, now = step(which, after(now, exited("worker:1", attempt=attempt)))
        assert [type(action) for action in actions] == expected
        now = after(now, exited("worker:0", 143, attempt, stopped=True))
        _, now = step(which, now)
        assert dict(now.bad_hosts) == {"h1": attempt}
        for task in now.tasks:
            now = after(now, registered(task, attempt + 1))
        now = started(which, now)


def test_every_kind_of_fault_is_decided_upon():
    """Nothing that an end can mean is without a rule."""
    assert set(faults.WHOSE) == {faults.PROGRAM, faults.PLATFORM, faults.STORE, faults.RENDEZVOUS}


def test_nothing_that_comes_after_the_verdict_changes_the_job():
    """Results that arrive late do not count a task twice that nobody waited for any more."""
    now = after(running(job()), exited("worker:0", 0))
    now = after(now, JobEnded(9.0, states.KILLED, 137, "client", "job-killed", "killed"))
    assert after(now, TaskUploaded(9.5, "worker:0", 1, 1, 10)) == now
    assert now.unsettled == 0


def test_who_comes_to_a_gang_that_runs_has_an_order_of_its_own():
    """Its topology is another one than that of the order for all, so the two have different numbers."""
    which = job()
    now = after(snapshot.start(which), AgentStarted(0.0, 1, "am", 1, "a"), registered("worker:0"))
    now = after(started(which, now), registered("worker:1"))
    order = policy.order(which, now, now.tasks["worker:1"])
    assert (order.order, order.topology) == (wire.START, {"worker": ("h0:2222", "h1:2222")})
    assert order.order_id > now.ordered(now.tasks["worker:0"])


def test_nobody_waits_for_a_task_that_the_job_goes_on_without():
    """A role opens although the one before it has failed at once, when that failure is ignored."""
    first, second = role("worker", 1, on_failure=IGNORE), dataclasses.replace(role("ps"), depends_on=("worker",))
    which = plan(first, second)
    now = after(snapshot.start(which), AgentStarted(0.0, 1, "am", 1, "a"), registered("worker:0"), registered("ps:0"))
    now = after(now, GangComplete(2.0, {"worker": ("h0:2222",), "ps": ("h0:2222",)}))
    assert step(which, now)[0] == []
    assert step(which, after(now, exited("worker:0")))[0] == [OpenRole("ps")]


def test_a_gang_that_starts_again_waits_for_those_that_are_being_stopped():
    """The failed task is back within moments; its peers still run, and are no part of the new gang."""
    which = job(RESTART_JOB, max_restarts=1)
    _, now = step(which, after(running(which), exited("worker:1")))
    _, now = step(which, now)
    now = after(now, registered("worker:1", 2))
    assert step(which, now)[0] == []
    _, now = step(which, after(now, exited("worker:0", 143, stopped=True)))
    (action,), _ = step(which, after(now, registered("worker:0", 2)))
    assert isinstance(action, ReleaseGang)


def test_a_kill_while_all_start_again_waits_for_what_runs():
    """Who runs, or has run in its container, is stopped and carries its results before the verdict."""
    which = job(RESTART_JOB, max_restarts=1, instances=3)
    _, now = step(which, after(running(which), exited("worker:1")))
    _, now = step(which, now)
    (stop,) = [action for action, _ in policy.kill(which, now, "alice@edge", "", 8.0)]
    now = after(now, event_of(stop, 8.0))
    assert [policy.order(which, now, task).order for task in now.tasks.values()] == [wire.STOP] * 3
    assert step(which, now)[0] == []
    for task, attempt in (("worker:0", 1), ("worker:1", 2), ("worker:2", 1)):
        assert step(which, now)[0] == []
        done = TaskUploaded(9.0, task, attempt, 0, 0)
        now = after(now, exited(task, 143, attempt, stopped=True), done)
    assert [type(action) for action in step(which, now)[0]] == [EndJob]


def test_a_kill_before_anything_has_begun_waits_for_nobody():
    """No command was started: containers are left, and the verdict comes at once."""
    which = job()
    now = after(snapshot.start(which), AgentStarted(0.0, 1, "am", 1, "a"), registered("worker:0"))
    (stop,) = [action for action, _ in policy.kill(which, now, "alice@edge", "", 8.0)]
    now = after(now, event_of(stop, 8.0))
    assert policy.order(which, now, now.tasks["worker:0"]).order == wire.LEAVE
    assert [type(action) for action in step(which, now)[0]] == [EndJob]


@pytest.mark.parametrize(
    ("on_failure", "on_loss", "exit_", "expected"),
    [
        (IGNORE, FATAL, exited("worker:1"), []),
        (IGNORE, FATAL, exited("worker:1", 137, **LOST), [StopJob]),
        (IGNORE, RESTART_TASK, exited("worker:1", 137, **LOST), [RestartTask]),
        (IGNORE, RESTART_JOB, exited("worker:1", 137, **LOST), [RestartJob]),
        (IGNORE, IGNORE, exited("worker:1", 137, **LOST), []),
        (FATAL, IGNORE, exited("worker:1", 137, **LOST), []),
        (FATAL, IGNORE, exited("worker:1"), [StopJob]),
    ],
)
def test_what_a_job_does_without(on_failure, on_loss, exit_, expected):
    """A program's failure and a loss to the cluster are pardoned each by its own cell."""
    actions, _ = step(job(on_failure, on_loss), after(running(job(on_failure, on_loss)), exit_))
    assert [type(action) for action in actions] == expected


def test_a_kept_container_whose_executor_does_not_come_back_is_given_up():
    """A program that not even KILL ends holds its executor: after grace, upload and registration it gets another."""
    which = job(RESTART_TASK, RESTART_TASK, max_restarts=1)
    _, now = step(which, after(running(which), exited("worker:1")))
    due_s = 7.0 + 30 + 600 + 120
    assert policy.overdue(which, now, Signs(), due_s) == ()
    ((lost, _),) = policy.overdue(which, now, Signs(), due_s + 0.1)
    now = after(now, event_of(lost, due_s))
    (*_, action), now = step(which, now)
    assert (type(action), action.keeps, now.of_container("c1")) == (RestartTask, False, None)
    assert policy.overdue(which, now, Signs(), 2 * due_s) == ()


def test_a_gang_that_runs_tells_what_it_lacks():
    """30 s after a task lost its container, and no more when it has another."""
    which = job(on_loss=RESTART_TASK)
    _, now = step(which, after(running(which), exited("worker:1", 137, **LOST)))
    assert policy.decide(which, now, Signs(), 36.0) == ()
    ((said, _),) = policy.decide(which, now, Signs(), 37.0)
    assert said.sentence.startswith("waiting for 1 of 2 worker (")
    now = after(now, event_of(said, 37.0))
    assert policy.decide(which, now, Signs(), 90.0) == ()
    now = after(now, registered("worker:1", 2, "c9"))
    assert now.waiting is None
    assert policy.decide(which, now, Signs(), 200.0) == ()


def test_what_the_cluster_did_is_not_held_against_a_taken_address():
    """A rendezvous has tries of its own."""
    which = job(RESTART_TASK, RESTART_TASK)
    now = dataclasses.replace(running(which), free_restarts=RENDEZVOUS_TRIES + 1)
    actions, now = step(which, after(now, exited("worker:1", problem="address-in-use")))
    assert [type(action) for action in actions] == [RestartJob]
    assert now.meetings == 1
