"""The fold over events."""

from __future__ import annotations

import itertools

import pytest
from fakes import plan, role

from am.agent import fold, snapshot
from am.agent.signs import Sighting, Signs
from am.contract import events, states

JOB = plan(role("worker", 2), role("ps", tracked=False))
VERDICT = events.JobEnded(9.0, states.FAILED, 3, "task", "task-failed", "because", "worker:0")
STORY = [
    events.AgentStarted(0.0, 1, "h", 1, "app"),
    events.TaskRegistered(1.0, "worker:0", 1, "c0", "h0", "h0:8042", "url", (2220, 2230)),
    events.TaskRegistered(1.0, "worker:1", 1, "c1", "h1", "h1:8042", "url", (2221,)),
    events.TaskRegistered(1.0, "ps:0", 1, "c2", "h2", "h2:8042", "url", ()),
    events.GangComplete(2.0, {"worker": ("h0:2220", "h1:2221"), "ps": ("h2",)}),
    events.TaskStarted(3.0, "worker:0", 1, 70),
    events.TaskExited(4.0, "worker:0", 1, "h0", 3, "executor", tail="last words"),
    events.JobStopping(4.0, "because", VERDICT, 600.0),
    events.TaskUploaded(5.0, "worker:0", 1, 1, 10),
    events.TaskExited(5.0, "ps:0", 1, "h2", 143, "executor", stopped=True),
    events.TaskUploaded(6.0, "ps:0", 1, 0, 0),
    VERDICT,
]


def story(story):
    """Return the job before the first event and after each."""
    return list(itertools.accumulate(story, fold.apply, initial=snapshot.start(JOB)))


def test_a_job_passes_its_states_and_counts_its_tasks():
    """Job states and the counters that decisions rest on, after each event of a failed job."""
    seen = story(STORY)
    assert [now.state for now in seen[:2]] == [states.STARTING, states.GATHERING]
    assert [now.state for now in seen[4:6]] == [states.GATHERING, states.RUNNING]
    assert [now.state for now in seen[8:]] == [states.STOPPING] * 4 + [states.FAILED]
    assert [now.registered for now in seen[:6]] == [0, 0, 1, 2, 3, 3]
    assert [now.unsettled for now in seen] == [0, 0, 1, 2, 3, 3, 3, 3, 3, 2, 2, 1, 0]
    assert {now.holding for now in seen} == {2}
    assert seen[-1].blamed == "worker:0"


def test_tasks_end_in_the_words_that_users_know():
    """FAILED by itself, FINISHED a stopped ps, KILLED what had not ended when the job did."""
    tasks = story(STORY)[-1].tasks
    assert {name: task.state for name, task in tasks.items()} == {
        "worker:0": states.FAILED,
        "worker:1": states.KILLED,
        "ps:0": states.FINISHED,
    }


@pytest.mark.parametrize(("end", "word"), [(states.SUCCEEDED, states.FINISHED), (states.FAILED, states.KILLED)])
def test_a_stopped_worker_is_finished_after_a_success_only(end, word):
    """A worker that the job's success made needless was not killed."""
    stopping = events.JobStopping(4.0, "the end", events.JobEnded(4.0, end, 0, "task", "", "because"))
    stopped = events.TaskExited(5.0, "worker:1", 1, "h1", 143, "executor", stopped=True)
    assert story([*STORY[:6], stopping, stopped])[-1].tasks["worker:1"].state == word


@pytest.mark.parametrize("late", STORY)
def test_what_has_ended_never_changes(late):
    """Any event after the verdict, told once more, changes no terminal state, no blame and no verdict."""
    ended = story(STORY)[-1]
    after = fold.apply(ended, late)
    assert after.verdict == ended.verdict
    assert after.blamed == ended.blamed
    assert {name: task.state for name, task in after.tasks.items()} == {
        name: task.state for name, task in ended.tasks.items()
    }


@pytest.mark.parametrize(
    "later",
    [
        events.TaskExited(5.0, "worker:0", 1, "h0", 0, "yarn"),
        events.TaskStarted(5.0, "worker:0", 1, 71),
        events.TaskRegistered(5.0, "worker:0", 1, "c9", "h9", "h9:8042", "url", ()),
    ],
)
def test_a_task_that_has_ended_keeps_its_end(later):
    """Whoever speaks later about an ended task is not heard."""
    before = story(STORY[:7])[-1]
    assert fold.apply(before, later).tasks["worker:0"] == before.tasks["worker:0"]


def test_the_lowest_free_index_is_given():
    """Indices fill from 0; a role that is full, or unknown, has none."""
    seen = story(STORY)
    assert [now.free_index("worker") for now in seen[:4]] == [0, 0, 1, None]
    assert seen[0].free_index("chief") is None


def test_the_first_port_is_the_address():
    """The topology's address is host and first held port, the host alone without ports."""
    tasks = story(STORY)[4].tasks
    assert [task.address for task in tasks.values()] == ["h0:2220", "h1:2221", "h2"]


def test_a_pause_of_the_agent_counts_for_nobody():
    """When the agent itself was stopped, the silence of others is moved by as much."""
    seen = {"c1": Sighting("worker", "h1:8042", running_since_s=12.0), "c2": Sighting("worker", "h1:8042")}
    signs = Signs(heard_s={"worker:0": 10.0}, doubted_s={"worker:1": 11.0}, sightings=seen)
    signs.forgive(100.0)
    assert (signs.heard_s, signs.doubted_s) == ({"worker:0": 110.0}, {"worker:1": 111.0})
    assert [sighting.running_since_s for sighting in signs.sightings.values()] == [112.0, None]


def test_a_second_stop_keeps_when_the_first_was_decided():
    """A kill of a stopping job gives a newer order and deadline; what was stopped since the first stays so."""
    before = story(STORY[:8])[-1]
    after = fold.apply(before, events.JobStopping(8.0, "killed", VERDICT, 30.0))
    assert (after.stopping_since_s, after.stopping.time, after.order_id) == (4.0, 8.0, before.order_id + 1)


def test_a_task_is_found_by_its_container():
    """A container that never registered is nobody's."""
    now = story(STORY[:3])[-1]
    assert now.of_container("c1").name == "worker:1"
    assert now.of_container("c9") is None


def test_a_task_that_never_registered_gets_the_host_of_its_container():
    """Its end says where; a registered one keeps its own."""
    gone = events.TaskExited(5.0, "worker:1", 1, "h7", 76, "yarn", problem="container-ended")
    late = events.TaskExited(5.0, "worker:0", 1, "other", 76, "yarn", problem="executor-lost")
    now = fold.apply(fold.apply(story(STORY[:2])[-1], gone), late)
    assert [now.tasks[name].host for name in ("worker:0", "worker:1")] == ["h0", "h7"]
