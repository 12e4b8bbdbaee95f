"""A gang is gathered, waited for, given back and asked for again."""

from __future__ import annotations

import pytest
from agent_stories import IGNORE_JOB, PS_JOB, WORKERS, decide, exited, registered, story, verdict_of
from fakes import plan, role

from am.agent import fold
from am.agent.gang import GiveBack, ReleaseGang, pause_s
from am.agent.policy import Say
from am.agent.signs import Sighting, Signs
from am.contract.events import GangReleased, Waiting
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
    assert said == Say(
        "waiting for 1 of 2 worker, 1 of 1 ps in queue ml (1 asked for and not given by YARN, 1 fetching files)"
    )
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
    assert verdict_of(decide(job, now, 9000.0)) == ("FAILED", 75, "")
