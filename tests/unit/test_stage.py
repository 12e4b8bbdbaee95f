"""How far a job is, in words."""

from __future__ import annotations

import dataclasses

from client_fakes import job_plan

from am.contract.events import AgentStarted, JobRestarting, RoleReleased
from yarn_submitter.monitor import begin, fold
from yarn_submitter.stage import held_back


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
