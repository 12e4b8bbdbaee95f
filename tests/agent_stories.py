"""Jobs and what happens to them, as short words for the tests of the agent's policy."""

from __future__ import annotations

from fakes import plan, role

from am.agent import fold, policy, snapshot
from am.agent.policy import EndJob, StopJob
from am.agent.signs import Signs
from am.contract.events import AgentStarted, GangComplete, TaskExited, TaskRegistered, TaskStarted, TaskUploaded

CHIEF_JOB = plan(role("chief"), role("worker", 2), role("ps", tracked=False))
PS_JOB = plan(role("worker", 2), role("ps", tracked=False))
WORKERS = plan(role("worker", 2))


def registered(task: str, when_s: float = 1.0) -> TaskRegistered:
    """Return that an executor of the task is up."""
    return TaskRegistered(when_s, task, 1, f"c_{task}", "h1", "h1:8042", "url", (2222,))


def exited(task: str, code: int, when_s: float = 5.0, **changes) -> TaskExited:
    """Return that the task ended, by its executor's word when nothing else is said."""
    return TaskExited(when_s, task, 1, "h1", code, **{"witness": "executor", **changes})


def uploaded(task: str, problem: str = "") -> TaskUploaded:
    """Return what became of the task's results."""
    return TaskUploaded(6.0, task, 1, 1, 10, problem)


def story(job, *happened):
    """Return the job whose agent listens, and what happened then."""
    now = snapshot.start(job)
    for event in (AgentStarted(0.0, 1, "h", 1, "app"), *happened):
        now = fold.apply(now, event)
    return now


def running(job, *happened):
    """Return the job with every task started, and what happened then."""
    tasks = list(snapshot.start(job).tasks)
    up = [registered(task) for task in tasks]
    start = GangComplete(2.0, {"worker": ("h1:2222",)})
    return story(job, *up, start, *(TaskStarted(3.0, task, 1, 7) for task in tasks), *happened)


def decide(job, now, when_s: float = 7.0, signs: Signs | None = None):
    """Return the actions without their reasons."""
    return [action for action, _ in policy.decide(job, now, signs or Signs(), when_s)]


def verdict_of(actions):
    """Return (state, exit code, blamed task) of the one StopJob or EndJob, or None."""
    found = [action.verdict for action in actions if isinstance(action, StopJob | EndJob)]
    assert len(found) <= 1
    return (found[0].state, found[0].exit_code, found[0].task) if found else None


OK = ("SUCCEEDED", 0, "")
ALL_JOB = plan(role("chief"), role("worker"), role("ps", tracked=False), done_when="all")
IGNORE_JOB = plan(role("worker", 2, on_failure="ignore"))
CHIEF_IGNORE_JOB = plan(role("chief", on_failure="ignore"), role("worker"))
UNTRACKED_JOB = plan(role("tensorboard", tracked=False))
