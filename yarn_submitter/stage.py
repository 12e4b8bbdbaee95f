"""How far a job is, in words. Pure."""

from __future__ import annotations

from am.contract import states
from am.contract.job import JobPlan, split_task
from yarn_submitter.monitor import JobView

_MOST_ROLES = 4


def stage(view: JobView) -> str:
    """Return how far a job is, in a few words without a full stop."""
    if view.state == states.ACCEPTED:
        return _accepted(view)
    words = {
        states.STARTING: "the agent's container runs",
        states.GATHERING: _gathering(view),
        states.RESTARTING: f"restarting, round {view.round}: {_gathering(view)}",
        states.RUNNING: f"running, round {view.round}" if view.round > 1 else "running",
    }
    said = words.get(view.state, view.state.lower())
    if view.agent_attempt > 1 and view.state not in states.JOB_ENDED:
        said += f" (ApplicationMaster {view.agent_attempt})"
    return said


def _accepted(view: JobView) -> str:
    if view.app is None:
        return "submitted"
    if view.app.begun_again:
        return f"accepted by YARN in queue {view.app.queue}, its ApplicationMaster starts again"
    return f"accepted by YARN in queue {view.app.queue}"


def _gathering(view: JobView) -> str:
    total = len(view.tasks)
    said = f"{view.registered} of {total} tasks up"
    if view.probing or view.registered == total:
        return f"{said}, probing whether they reach one another"
    # The ResourceManager counts the ApplicationMaster's container, too; an executor registers when its files are there.
    given = view.app.containers - 1 - view.registered if view.app is not None else 0
    return f"{said}, {given} more localizing" if given > 0 else said


def missing(view: JobView) -> str:
    """Return which roles are short of how many tasks: `3 of 4 worker, 1 of 1 ps`; empty when none is."""
    short: dict[str, list[int]] = {}
    for name, task in view.tasks.items():
        counts = short.setdefault(split_task(name)[0], [0, 0])
        counts[0] += task.state == states.NEW
        counts[1] += 1
    lines = [f"{lacking} of {total} {role}" for role, (lacking, total) in short.items() if lacking]
    more = [f"{len(lines) - _MOST_ROLES} more roles"] if len(lines) > _MOST_ROLES else []
    return ", ".join(lines[:_MOST_ROLES] + more)


def held_back(view: JobView, plan: JobPlan) -> str:
    """Return which roles' commands still wait for other roles: `fit waits for load:succeeded`; empty when none does."""
    waiting = [role for role in plan.roles if role.depends_on and role.name not in view.released]
    return "; ".join(f"{role.name} waits for {', '.join(role.depends_on)}" for role in waiting)
