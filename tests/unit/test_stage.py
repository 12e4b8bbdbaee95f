"""How far a job is, in words."""

from __future__ import annotations

import dataclasses

from client_fakes import job_plan

from am.contract import states
from am.contract.events import AgentStarted, GangComplete, JobEnded, JobRestarting, RoleReleased, TaskRegistered
from yarn_submitter.facts import Amount
from yarn_submitter.feed import AppSeen
from yarn_submitter.monitor import begin, fold
from yarn_submitter.rest import App
from yarn_submitter.stage import held_back, missing, stage


def test_a_role_that_waits_for_another_one_is_told_until_it_starts():
    """And again when all start again, by a failure or with another ApplicationMaster."""
    (worker, *others) = job_plan().roles
    fit = dataclasses.replace(worker, name="fit", depends_on=("worker:succeeded",))
    plan = dataclasses.replace(job_plan(), roles=(worker, *others, fit))
    view = fold(begin(plan), [AgentStarted(1.0, 1, "nm1", 20001, "a")])
    assert held_back(view, plan) == "fit waits for worker:succeeded"
    view = fold(view, [RoleReleased(2.0, "fit")])
    assert held_back(view, plan) == ""
    for again in (JobRestarting(3.0, 2, "why"), AgentStarted(3.0, 2, "nm2", 20001, "a")):
        assert held_back(fold(view, [again]), plan) != ""


def seen(state: str, attempt: int = 1, containers: int = 0) -> AppSeen:
    """Return the ResourceManager's word of an application and its newest ApplicationMaster."""
    master = f"container_1_0001_{attempt:02}_000001" if attempt else ""
    times = (1.0, 2.0 if attempt else 0.0, 0.0)
    app = App("application_1_0001", "fit", "ada", "root.ml", state, "UNDEFINED", "", (), "skein", 0, 0.0, *times,
              "", "", master, Amount(), containers, "")  # fmt: skip
    return AppSeen(app)


def test_how_far_a_job_is() -> None:
    """Who waits for YARN; how many tasks are up, and how many containers still fetch files (one is the master's)."""
    up = AgentStarted(1.0, 1, "nm1", 20001, "a")
    first = TaskRegistered(2.0, "worker:0", 1, "c1", "nm", "nm:1", "url")
    gang = GangComplete(3.0, {})
    view = begin(job_plan())
    assert stage(view) == "submitted"
    assert stage(fold(view, [seen("ACCEPTED", 0)])) == "accepted by YARN in queue root.ml"
    assert stage(fold(view, [seen("ACCEPTED", 2)])).endswith("its ApplicationMaster starts again")
    assert stage(fold(view, [seen("RUNNING")])) == "the agent's container runs"
    assert stage(fold(view, [seen("RUNNING", containers=3), up, first])) == "1 of 4 tasks up, 1 more localizing"
    assert stage(fold(view, [seen("RUNNING", containers=2), up, first])) == "1 of 4 tasks up"
    assert stage(fold(view, [up, gang])) == "running"
    assert missing(fold(view, [up, first])) == "1 of 1 chief, 1 of 2 worker, 1 of 1 ps"
    assert missing(fold(view, [up, dataclasses.replace(first, task="ps:0")])) == "1 of 1 chief, 2 of 2 worker"


def test_another_master_is_told_while_the_job_lives() -> None:
    """How a job has ended is said without it."""
    again = [AgentStarted(1.0, 1, "nm1", 20001, "a"), AgentStarted(9.0, 2, "nm2", 20001, "a"), GangComplete(10.0, {})]
    view = fold(begin(job_plan()), again)
    assert stage(view).endswith("running (ApplicationMaster 2)")
    end = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "it failed")
    assert stage(fold(view, [end])) == "failed"
