"""What a person sees of a job is a fold over what happened: row by row, and in whole."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from client_fakes import job_plan

from am.contract import states
from am.contract.events import (
    KINDS,
    AgentStarted,
    GangComplete,
    GangProbing,
    GangReleased,
    HostAvoided,
    JobEnded,
    JobRestarting,
    JobStopping,
    RoleReleased,
    TaskExited,
    TaskRegistered,
    TaskRestarting,
    TaskStarted,
    TaskUploaded,
    Waiting,
)
from am.contract.job import Quicklink
from yarn_submitter.facts import Amount
from yarn_submitter.feed import AppSeen
from yarn_submitter.monitor import JobView, TaskView, apply, begin, fold, links
from yarn_submitter.rest import App
from yarn_submitter.viewjson import document

PLAN = job_plan()
UP = AgentStarted(10.0, 1, "nm1", 20001, "application_1_0001")
REGISTERED = TaskRegistered(11.0, "worker:0", 1, "container_2", "nm2", "nm2:8042", "http://nm2:8042/logs")
STARTED = TaskStarted(12.0, "worker:0", 1, 77)
GANG = GangComplete(12.0, {"worker": ("nm2:2222",)})
PROBING = GangProbing(11.5, {"worker": ("nm2:2223",)})
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
    """Container, host, times and code are kept as they become known; a command that never began has no code."""
    view = fold(begin(PLAN), [UP, REGISTERED])
    assert apply(view, exited("worker:0", 143, stopped=True)).tasks["worker:0"].exit_code is None
    where = ("nm2", "container_2", "nm2:8042", "http://nm2:8042/logs")
    ready = TaskView("worker:0", states.READY, 1, *where, asked_s=10.0, registered_s=11.0)
    assert (view.tasks["worker:0"], view.registered) == (ready, 1)
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
    found = document(view, PLAN, "application_1_0001", "hdfs://nn")
    now = {"submitted_queue": "default", "priority": 0, "expires_s": None, "lost_masters": []}
    assert found == now | {
        "schema": 1,
        "id": PLAN.id,
        "application_id": "application_1_0001",
        "name": "fit",
        "user": "ada",
        "queue": "root.ml",  # where YARN has it by now
        "framework": "tensorflow",
        "state": "RUNNING",
        "waiting": "",
        "round": 1,
        "agent_attempt": 1,
        "exit_code": None,
        "origin": None,
        "problem": None,
        "message": None,
        "advice": None,
        "failed_task": None,
        "failed_host": None,
        "input_path": "",
        "checkpoint_path": PLAN.checkpoint_path,
        "saved_model_path": PLAN.saved_model_path,
        "output_path": f"hdfs://nn{PLAN.job_dir}/output",
        "job_dir": PLAN.job_dir,
        "links": [],
        "avoided_hosts": [],
        "timing": {
            "submitted_s": 1.0,
            "launched_s": None,
            "agents_s": [10.0],
            "complete_s": [12.0],
            "stopping_s": None,
            "ended_s": None,
        },
        "tasks": found["tasks"],
    }
    attempt = {
        "task": "worker:0",
        "state": "RUNNING",
        "attempt": 1,
        "host": "nm2",
        "container_id": "container_2",
        "log_url": "http://nm2:8042/logs",
        "asked_s": 10.0,
        "registered_s": 11.0,
        "topology_s": 12.0,
        "started_s": 12.0,
        "ended_s": None,
        "exit_code": None,
        "problem": None,
        "reason": "",
    }
    assert found["tasks"][1] == {**attempt, "attempts": [attempt]}
    assert found["tasks"][0]["attempts"] == []


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (GOOD, [0, "task", None, "all is well", None]),
        (BAD, [3, "task", "task-failed", "worker:0 failed", "worker:0"]),
    ],
)
def test_the_document_of_an_ended_job(verdict: JobEnded, words: list[Any]) -> None:
    """Exit code, origin, problem, message and who is to blame."""
    found = document(fold(begin(PLAN), [UP, verdict]), PLAN, "", "")
    assert [found[key] for key in ("exit_code", "origin", "problem", "message", "failed_task")] == words


def test_every_event_is_folded() -> None:
    """No kind of event falls through: each changes the view of a fresh job."""
    view: JobView = begin(PLAN)
    happenings: tuple[Any, ...] = (
        *(UP, REGISTERED, PROBING, GANG, STARTED, exited("worker:0", 0), TaskUploaded(1.0, "chief:0", 1, 1, 1)),
        *(JobRestarting(1.0, 2, "x"), TaskRestarting(1.0, "worker:0", 2, "x", keeps=True), RoleReleased(1.0, "worker")),
        *(GangReleased(1.0, 1, "x", 5.0), HostAvoided(1.0, "nm3", "x"), Waiting(1.0, "x"), JobStopping(1.0, "x")),
        *(GOOD, app("RUNNING")),
    )
    assert {type(item).__name__ for item in happenings} == {*KINDS, "AppSeen"}
    for item in happenings:
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
    assert document(view, plan, "application_1_0001", "")["links"] == [
        {"label": "UI", "url": "https://nm2:8443"},
        {"label": "Board", "url": "http://nm2:2222"},
    ]


def again(attempt: int, task: str = "worker:0", *, keeps: bool = True) -> TaskRestarting:
    """Return that a task starts again."""
    return TaskRestarting(21.0, task, attempt, f"{task} failed with code 3", keeps)


def test_a_task_that_starts_again_keeps_what_was() -> None:
    """Each attempt has its host, times, code and the reason why another one followed; the newest is the task."""
    view = fold(begin(PLAN), [UP, REGISTERED, GANG, STARTED, exited("worker:0", 3), again(2)])
    task = view.tasks["worker:0"]
    assert (task.state, task.attempt, task.exit_code, view.state, view.registered) == ("NEW", 2, None, "RUNNING", 0)
    (first,) = task.earlier
    assert (first.state, first.attempt, first.host, first.started_s, first.ended_s, first.exit_code, first.reason) == (
        *("FAILED", 1, "nm2", 12.0, 20.0, 3),
        "worker:0 failed with code 3",
    )
    assert first.log_url == "http://nm2:8042/logs"
    second = dataclasses.replace(REGISTERED, time=22.0, attempt=2)
    elsewhere = dataclasses.replace(REGISTERED, time=25.0, attempt=3, container_id="container_9", host="nm3")
    items: list[Any] = [
        second,
        TaskStarted(23.0, "worker:0", 2, 78),
        exited("worker:0", 1),
        again(3, keeps=False),
        elsewhere,
    ]
    task = fold(view, items).tasks["worker:0"]
    assert [(one.attempt, one.container_id) for one in task.attempts] == [
        *[(1, "container_2"), (2, "container_2")],
        (3, "container_9"),
    ]
    assert [one.asked_s for one in task.attempts] == [10.0, 21.0, 21.0]


def test_a_job_that_starts_again() -> None:
    """It is RESTARTING until the gang is complete once more; every task gets its next attempt."""
    view = fold(begin(PLAN), [UP, REGISTERED, GANG, STARTED, JobRestarting(20.0, 2, "worker:1 failed", "worker:1")])
    assert (view.state, view.round, view.waiting) == (states.RESTARTING, 2, "worker:1 failed")
    end = exited("worker:0", 143, stopped=True)
    view = fold(view, [end, again(2), dataclasses.replace(REGISTERED, time=22.0, attempt=2)])
    assert (view.state, view.tasks["worker:0"].earlier[0].state) == (states.RESTARTING, states.KILLED)
    view = apply(view, GangComplete(23.0, {}))
    assert (view.state, view.waiting, view.topologies) == (states.RUNNING, "", (12.0, 23.0))
    task = view.tasks["worker:0"]
    assert [view.topology_s(one) for one in task.attempts] == [12.0, 23.0]
    blamed = fold(begin(PLAN), [UP, REGISTERED, GANG, exited("worker:0", 3), JobRestarting(20.0, 2, "x", "worker:0")])
    assert apply(blamed, again(2)).tasks["worker:0"].earlier[0].reason == "x"


def test_a_second_agent_finds_no_container() -> None:
    """What had not ended starts anew; word of the lost attempt's end may come later."""
    done = exited("chief:0", 0)
    view = fold(begin(PLAN), [UP, REGISTERED, GANG, STARTED, done, dataclasses.replace(UP, time=25.0, attempt=2)])
    assert (view.state, view.agent_attempt, view.registered) == (states.GATHERING, 2, 1)
    assert (view.tasks["chief:0"].state, view.agents_s) == (states.SUCCEEDED, (10.0, 25.0))
    lost = dataclasses.replace(exited("worker:0", 137, problem="am-lost"), time=24.0, witness="yarn")
    view = fold(view, [lost, again(2, keeps=False)])
    task = view.tasks["worker:0"]
    assert (task.state, task.attempt, len(task.earlier)) == (states.NEW, 2, 1)
    assert (task.earlier[0].exit_code, task.earlier[0].ended_s) == (137, 24.0)


def test_a_second_agent_repeats_the_end() -> None:
    """The first verdict counts, and a decision that was made stays made."""
    stopping = JobStopping(25.0, "worker:0 failed")
    view = fold(begin(PLAN), [UP, PROBING, stopping, dataclasses.replace(UP, time=26.0, attempt=2)])
    assert (view.state, view.probing) == (states.STOPPING, False)
    assert fold(view, [BAD, dataclasses.replace(UP, time=40.0, attempt=2), GOOD]).verdict == BAD


def test_a_gang_that_is_given_back() -> None:
    """Nobody is up any more; why is what the job waits for, and an attempt that never began is none."""
    view = fold(begin(PLAN), [UP, REGISTERED, PROBING])
    assert (view.probing, view.registered) == (True, 1)
    view = apply(view, GangReleased(20.0, 1, "3 of 4 tasks had no container", 40.0))
    assert (view.state, view.registered, view.probing) == (states.GATHERING, 0, False)
    assert view.waiting.startswith(
        "3 of 4 tasks had no container; every container was given back, all are asked for again at "
    )
    view = apply(view, dataclasses.replace(REGISTERED, time=41.0, container_id="container_7"))
    assert [one.container_id for one in view.tasks["worker:0"].attempts] == ["container_7"]


def test_an_attempt_that_ran_and_was_given_back_is_kept() -> None:
    """A first-come command may have run before the gang was given back; its next attempt is another one."""
    released = GangReleased(20.0, 1, "3 of 4 tasks had no container", 40.0)
    task = fold(begin(PLAN), [UP, REGISTERED, STARTED, released]).tasks["worker:0"]
    assert (task.state, task.attempt, task.asked_s) == (states.NEW, 2, 40.0)
    (first,) = task.earlier
    assert (first.attempt, first.state, first.ended_s, first.reason) == (1, states.KILLED, 20.0, released.reason)


def test_thousands_of_tasks_are_folded_in_time() -> None:
    """One event of a job of 5,000 tasks does not walk through them: all of a life is folded in seconds."""
    plan = dataclasses.replace(PLAN, roles=(dataclasses.replace(PLAN.roles[1], instances=5000),))
    up = [dataclasses.replace(REGISTERED, task=f"worker:{index}") for index in range(5000)]
    view = fold(begin(plan), [UP, *up, GANG])
    assert view.registered == 5000
    walked: list[Any] = []

    class Watched(dict[str, TaskView]):
        def values(self) -> Any:
            walked.append("values")
            return super().values()

        def items(self) -> Any:
            walked.append("items")
            return super().items()

        def copy(self) -> Any:
            return Watched(self)

    view = fold(dataclasses.replace(view, tasks=Watched(view.tasks)), [STARTED, exited("worker:0", 3), again(2), up[0]])
    assert walked == []


def test_a_job_that_runs_with_all_its_tasks_waits_for_nothing() -> None:
    """What it waited for has come with the last of those that start again."""
    plan = job_plan(roles=job_plan().roles[1:2])
    peers = [dataclasses.replace(REGISTERED, task=f"worker:{index}", container_id=f"c{index}") for index in (0, 1)]
    view = fold(
        begin(plan),
        [UP, *peers, GANG, TaskRestarting(21.0, "worker:0", 2, "it failed", keeps=False), Waiting(51.0, "no room")],
    )
    assert (view.state, view.waiting) == (states.RUNNING, "no room")
    assert apply(view, dataclasses.replace(peers[0], time=60.0, attempt=2)).waiting == ""
