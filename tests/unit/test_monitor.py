"""What a person sees of a job is a fold over what happened: row by row, and in whole."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from client_fakes import job_plan

from am.contract import states
from am.contract.events import (
    AgentStarted,
    GangComplete,
    JobEnded,
    JobStopping,
    TaskExited,
    TaskRegistered,
    TaskStarted,
    TaskUploaded,
    Waiting,
)
from am.contract.job import Quicklink
from yarn_submitter.facts import Amount
from yarn_submitter.feed import AppSeen
from yarn_submitter.monitor import JobView, TaskView, apply, begin, document, fold, links
from yarn_submitter.rest import App

PLAN = job_plan()
UP = AgentStarted(10.0, 1, "nm1", 20001, "application_1_0001")
REGISTERED = TaskRegistered(11.0, "worker:0", 1, "container_2", "nm2", "nm2:8042", "http://nm2:8042/logs")
STARTED = TaskStarted(12.0, "worker:0", 1, 77)
GANG = GangComplete(12.0, {"worker": ("nm2:2222",)})
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
BAD = JobEnded(31.0, states.FAILED, 3, "task", "task-failed", "worker:0 failed", "worker:0", "nm2", "last words")


def app(state: str, **changes: Any) -> AppSeen:
    """Return the ResourceManager's word."""
    base = App(
        *("application_1_0001", "fit", "ada", "root.ml", state, "UNDEFINED", "", (), "skein", 0, 0.0, 1.0, 0.0, 0.0),
        *("", "", "", Amount(), 0, ""),
    )
    return AppSeen(dataclasses.replace(base, **changes))


def exited(task: str, code: int, **changes: Any) -> TaskExited:
    """Return a task's end."""
    return TaskExited(20.0, task, 1, "nm2", code, "executor", **changes)


def test_nothing_heard_yet() -> None:
    """Every task of the plan is there, in the order of its roles."""
    view = begin(PLAN)
    assert (view.state, list(view.tasks)) == (states.ACCEPTED, ["chief:0", "worker:0", "worker:1", "ps:0"])
    assert {task.state for task in view.tasks.values()} == {states.NEW}
    assert (view.registered, view.tracked) == (0, {"chief": True, "worker": True, "ps": False})


@pytest.mark.parametrize(
    ("items", "state"),
    [
        ([app("ACCEPTED")], states.ACCEPTED),
        ([app("RUNNING")], states.STARTING),
        ([AppSeen(None)], states.ACCEPTED),
        ([app("RUNNING"), UP], states.GATHERING),
        ([UP], states.GATHERING),
        ([UP, app("RUNNING")], states.GATHERING),  # the ResourceManager is asked now and then: it knows less
        ([UP, REGISTERED], states.GATHERING),
        ([UP, REGISTERED, GANG], states.RUNNING),
        ([UP, GANG, JobStopping(25.0, "the chief has ended")], states.STOPPING),
        ([UP, GANG, GOOD], states.SUCCEEDED),
        ([UP, GANG, BAD], states.FAILED),
        ([GOOD, UP], states.SUCCEEDED),
        ([GOOD, BAD], states.SUCCEEDED),
        ([BAD, app("RUNNING")], states.FAILED),
    ],
)
def test_the_jobs_state(items: list[Any], state: str) -> None:
    """Each happening leads to its state; a verdict never changes."""
    assert fold(begin(PLAN), items).state == state


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (exited("worker:0", 0), states.SUCCEEDED),
        (exited("worker:0", 3), states.FAILED),
        (exited("worker:0", 0, problem="results-not-carried"), states.FAILED),
        (exited("worker:0", 143, stopped=True), states.KILLED),
        (exited("worker:0", 0, stopped=True), states.SUCCEEDED),
        (exited("ps:0", 143, stopped=True), states.FINISHED),
        (exited("ps:0", 1), states.FAILED),
    ],
)
def test_a_tasks_state_at_its_end(end: TaskExited, state: str) -> None:
    """Code, problem, whether it was stopped and whether it counts decide the word."""
    assert apply(begin(PLAN), end).tasks[end.task].state == state


def test_a_worker_stopped_after_the_jobs_success_is_finished() -> None:
    """A worker that the chief's good end made needless was not killed: it is FINISHED; after a failure it is KILLED."""
    for verdict, state in ((GOOD, states.FINISHED), (BAD, states.KILLED)):
        view = fold(begin(PLAN), [UP, GANG, JobStopping(25.0, "the end", verdict)])
        assert apply(view, exited("worker:0", 143, stopped=True)).tasks["worker:0"].state == state


def test_a_tasks_life() -> None:
    """Container, host, times and code are kept as they become known."""
    view = fold(begin(PLAN), [UP, REGISTERED])
    ready = TaskView("worker:0", states.READY, 1, "nm2", "container_2", "nm2:8042", "http://nm2:8042/logs")
    assert view.tasks["worker:0"] == ready
    assert view.registered == 1
    view = fold(view, [GANG, STARTED])
    assert view.tasks["worker:0"] == dataclasses.replace(ready, state=states.RUNNING, started_s=12.0)
    view = apply(view, exited("worker:0", 127, problem="command-not-found"))
    assert view.tasks["worker:0"] == dataclasses.replace(
        ready, state=states.FAILED, started_s=12.0, ended_s=20.0, exit_code=127, problem="command-not-found"
    )


def test_why_it_waits() -> None:
    """A reason is shown until what was waited for has come."""
    waiting = Waiting(11.0, "no node has room")
    assert fold(begin(PLAN), [UP, waiting]).waiting == "no node has room"
    assert fold(begin(PLAN), [UP, waiting, GANG]).waiting == ""
    assert fold(begin(PLAN), [UP, waiting, BAD]).waiting == ""
    assert fold(begin(PLAN), [UP, GANG, JobStopping(25.0, "worker:0 failed")]).waiting == "worker:0 failed"


def test_the_verdict_ends_every_task() -> None:
    """What has not ended is KILLED, what has ended keeps its word; nothing comes after."""
    view = fold(begin(PLAN), [UP, REGISTERED, GANG, STARTED, exited("ps:0", 143, stopped=True), BAD])
    assert [task.state for task in view.tasks.values()] == [
        states.KILLED,
        states.KILLED,
        states.KILLED,
        states.FINISHED,
    ]
    assert fold(view, [exited("worker:0", 0), Waiting(40.0, "x"), TaskUploaded(40.0, "worker:0", 1, 1, 1)]) == view
    assert view.verdict == BAD


def test_what_became_of_results() -> None:
    """Each task's upload is kept; the last word counts."""
    first, second = TaskUploaded(20.0, "chief:0", 1, 0, 0, "HDFS is full"), TaskUploaded(21.0, "chief:0", 1, 2, 10)
    assert fold(begin(PLAN), [UP, first, second]).uploads == {"chief:0": second}


def test_an_unknown_task_is_shown_too() -> None:
    """A newer agent may know tasks that the plan has not."""
    assert apply(begin(PLAN), TaskStarted(12.0, "extra:0", 1, 7)).tasks["extra:0"].state == states.RUNNING


def test_folding_changes_no_view() -> None:
    """A view is a value: the one before stays what it was."""
    before = begin(PLAN)
    fold(before, [app("RUNNING"), UP, REGISTERED, GANG, STARTED, exited("worker:0", 0), GOOD])
    assert before == begin(PLAN)


def test_the_document_of_a_live_job() -> None:
    """Schema 1 as in docs/json.md: what is not known is null."""
    view = fold(begin(PLAN), [app("RUNNING"), UP, REGISTERED, GANG, STARTED])
    found = document(view, PLAN, "application_1_0001")
    assert found == {
        "schema": 1,
        "id": PLAN.id,
        "application_id": "application_1_0001",
        "name": "fit",
        "user": "ada",
        "queue": "root.ml",  # where YARN has it by now
        "framework": "tensorflow",
        "state": "RUNNING",
        "waiting": "",
        "exit_code": None,
        "origin": None,
        "problem": None,
        "message": None,
        "failed_task": None,
        "input_path": "",
        "checkpoint_path": PLAN.checkpoint_path,
        "saved_model_path": PLAN.saved_model_path,
        "job_dir": PLAN.job_dir,
        "links": [],
        "tasks": found["tasks"],
    }
    assert found["tasks"][1] == {
        "task": "worker:0",
        "state": "RUNNING",
        "attempt": 1,
        "host": "nm2",
        "container_id": "container_2",
        "log_url": "http://nm2:8042/logs",
        "started_s": 12.0,
        "ended_s": None,
        "exit_code": None,
    }


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (GOOD, [0, "task", None, "all is well", None]),
        (BAD, [3, "task", "task-failed", "worker:0 failed", "worker:0"]),
    ],
)
def test_the_document_of_an_ended_job(verdict: JobEnded, words: list[Any]) -> None:
    """Exit code, origin, problem, message and who is to blame."""
    found = document(fold(begin(PLAN), [UP, verdict]), PLAN, "")
    assert [found[key] for key in ("exit_code", "origin", "problem", "message", "failed_task")] == words


def test_every_event_is_folded() -> None:
    """No kind of event falls through: each changes the view of a fresh job, or says nothing to show."""
    view: JobView = begin(PLAN)
    for item in (UP, REGISTERED, GANG, STARTED, exited("worker:0", 0), TaskUploaded(1.0, "chief:0", 1, 1, 1),
                 Waiting(1.0, "x"), JobStopping(1.0, "x"), GOOD, app("RUNNING")):  # fmt: skip
        assert apply(view, item) != view, item


def test_links_name_hosts_that_are_known() -> None:
    """A link appears with its task's host; port 0 is the port that the task published."""
    plan = dataclasses.replace(
        PLAN, quicklinks=(Quicklink("UI", "https", "worker:0", 8443), Quicklink("Board", "http", "worker:0", 0))
    )
    assert links(begin(plan), plan) == {}
    up = dataclasses.replace(REGISTERED, ports=(2222,))
    view = fold(begin(plan), [UP, up, STARTED])
    assert links(view, plan) == {"UI": "https://nm2:8443", "Board": "http://nm2:2222"}
    assert document(view, plan, "application_1_0001")["links"] == [
        {"label": "UI", "url": "https://nm2:8443"},
        {"label": "Board", "url": "http://nm2:2222"},
    ]
