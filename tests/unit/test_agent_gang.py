"""A gang is gathered, waited for, given back and asked for again."""

from __future__ import annotations

import dataclasses

import pytest
from agent_stories import IGNORE_JOB, PS_JOB, WORKERS, decide, exited, registered, story, verdict_of
from fakes import plan, role

from am.agent import fold, words
from am.agent.gang import PROBE_LATE_S, PROBED_TASKS, GiveBack, ProbeGang, ReleaseGang, pause_s
from am.agent.policy import Say
from am.agent.signs import Sighting, Signs
from am.contract import wire
from am.contract.events import AgentStarted, GangProbing, GangReleased, Waiting
from am.contract.job import Limits


def test_the_gang_starts_when_its_last_task_is_up():
    """Before that nothing; then the topology holds every address by role and index."""
    assert decide(WORKERS, story(WORKERS, registered("worker:0"))) == []
    (action,) = decide(WORKERS, story(WORKERS, registered("worker:0"), registered("worker:1")))
    assert action == ReleaseGang({"worker": ("h1:2222", "h1:2222")})


def test_a_gang_cannot_do_without_a_task_even_if_its_failure_is_ignored():
    """Before the start a task that fails for its own reasons fails the job, whatever its role is forgiven."""
    early = story(IGNORE_JOB, registered("worker:0"), exited("worker:0", 73, problem="source-archive-broken"))
    assert verdict_of(decide(IGNORE_JOB, early)) == ("FAILED", 73, "worker:0")


def test_waiting_is_said_after_30_s_and_again_only_when_it_changed():
    """The sentence names how many of which role are missing, the queue, and what YARN has done so far."""
    now = story(PS_JOB, registered("worker:1"))
    signs = Signs(sightings={"c9": Sighting("ps", "h2:8042")})
    assert decide(PS_JOB, now, 29.0, signs) == []
    (said,) = decide(PS_JOB, now, 30.0, signs)
    assert said == Say("waiting for 1 of 2 worker, 1 of 1 ps (1 asked for and not given by YARN, 1 fetching files)")
    after = fold.apply(now, Waiting(30.0, said.sentence))
    assert decide(PS_JOB, after, 61.0, signs) == []
    assert decide(PS_JOB, after, 61.0) != []


@pytest.mark.parametrize(
    ("happened", "hold_s", "when_s", "given_back"),
    [
        ([], 300, 10_000.0, False),
        ([registered("worker:0", 100.0)], 300, 400.0, False),
        ([registered("worker:0", 100.0)], 300, 401.0, True),
        ([registered("worker:0", 100.0)], 0, 10_000.0, False),
    ],
)
def test_a_part_of_a_gang_is_given_back(happened, hold_s, when_s, given_back):
    """A queue may take for ever; a part of the gang holds its containers gang_hold_s long, 0 means for ever."""
    job = plan(role("worker", 2), limits=Limits(gang_hold_s=hold_s))
    actions = decide(job, story(job, *happened), when_s)
    assert [type(action) for action in actions if not isinstance(action, Say)] == [GiveBack] * given_back


def test_a_gang_that_was_given_back_is_asked_for_again():
    """After a pause that doubles and has jitter; without end, or until gang_tries is used up, which fails the job."""
    job = plan(role("worker", 2), limits=Limits(gang_tries=2))
    now = story(job, registered("worker:0", 100.0))
    pauses = []
    for tries in (1, 2):
        (action,) = decide(job, now, 1000.0 * tries)
        pauses.append(action.again_s - 1000.0 * tries)
        now = fold.apply(now, GangReleased(1000.0 * tries, action.tries, action.reason, action.again_s))
        assert (now.lacking, now.registered, dict(now.containers)) == (2, 0, {})
        assert [type(action) for action in decide(job, now, 1000.0 * tries + 5)] == [Say]
        now = fold.apply(now, registered("worker:0", 1000.0 * tries + 30))
    assert pauses == [10.0, 20.0]
    assert [pause_s(3, dice) for dice in (0.0, 1.0)] == [20.0, 60.0]
    verdict = decide(job, now, 9000.0)[0].verdict
    assert (verdict.problem, verdict.exit_code, verdict.advice) == ("gang-timeout", 75, words.LESS)


def test_a_job_that_does_not_get_its_containers_in_time_fails():
    """The limit is from the agent's start, whatever is up by then; what is lacking is said, and what to do."""
    job = plan(role("worker", 2), limits=Limits(queue_wait_s=50))
    now = story(job, AgentStarted(100.0, 1, "h0", 1, "application_1_0001"), registered("worker:0", 110.0))
    assert verdict_of(decide(job, now, 150.0)) is None
    verdict = decide(job, now, 150.1)[0].verdict
    assert (verdict.problem, verdict.exit_code, verdict.advice) == ("queue-timeout", 75, words.LESS)
    assert verdict.message.startswith("the job did not get its containers within 50 s: 1 of 2 worker")


def probed(task: str):
    """Return that a task is up, with two addresses at which peers may try it."""
    return dataclasses.replace(registered(task), probe="h1:9,10.0.0.1:9")


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, ReleaseGang), (2, ProbeGang), (PROBED_TASKS, ProbeGang), (PROBED_TASKS + 1, ReleaseGang)],
)
def test_how_large_a_gang_is_tried_out(count, expected):
    """One task has no peers, and tasks of a large gang hear of a new order too late."""
    job = plan(role("worker", count))
    (action,) = decide(job, story(job, *(probed(f"worker:{index}") for index in range(count))))
    assert type(action) is expected


def trying(limits: Limits | None = None):
    """Return a job of two workers, and that they try one another since 10 s."""
    job = plan(role("worker", 2), limits=limits)
    tries = GangProbing(10.0, {"worker": ("h1:9,10.0.0.1:9",) * 2})
    return job, story(job, probed("worker:0"), probed("worker:1"), tries)


@pytest.mark.parametrize(
    ("reached", "address"),
    [
        ([{"worker:1": "10.0.0.1"}, {}], "10.0.0.1:2222"),
        ([{"worker:1": "10.0.0.1"}, {"worker:1": "10.0.0.1"}], "10.0.0.1:2222"),
        ([{"worker:1": "10.0.0.1"}, {"worker:1": "10.0.0.2"}], "h1:2222"),
    ],
)
def test_the_address_is_one_at_which_all_who_tried_reach_it(reached, address):
    """Where they differ, the address stands that the task gave first."""
    job, now = trying()
    signs = Signs(probed={f"worker:{index}": wire.Probed("c", 1, each) for index, each in enumerate(reached)})
    (action,) = decide(job, now, 11.0, signs)
    assert action == ReleaseGang({"worker": ("h1:2222", address)})


def test_the_last_answers_of_a_probing_may_take_a_moment():
    """Tasks try for `probe_s`; what they say of it has to come in, too."""
    job, now = trying(Limits(probe_s=20))
    signs = Signs(probed={"worker:0": wire.Probed("c", 1, {}, {"worker:1": "no answer"})})
    assert decide(job, now, 30.0 + PROBE_LATE_S, signs) == []
    (stop,) = decide(job, now, 30.1 + PROBE_LATE_S, signs)
    assert (stop.verdict.problem, stop.verdict.exit_code) == ("peers-unreachable", 76)
    assert stop.verdict.advice.endswith("name the ports that they pass with --port_range")
