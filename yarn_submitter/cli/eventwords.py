"""What happened to a job, one line for each event."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from am.contract import events
from yarn_submitter.feed import MasterLost
from yarn_submitter.units import bytes_text
from yarn_submitter.verdicts import yarns_words


def words(event: events.Event | MasterLost) -> str:
    """Return an event in words, one line without a full stop."""
    return " ".join(_WORDS[type(event)](event).split())


def clock(time_s: float) -> str:
    """Return a time of day, to the tenth of a second."""
    return time.strftime("%H:%M:%S", time.localtime(time_s)) + f".{int(time_s * 10) % 10}"


def _agent_started(event: events.AgentStarted) -> str:
    again = f" again, beside ApplicationMaster {event.attempt}" if event.attempt > 1 else ""
    return f"the agent is up{again} on {event.host}"


def _master_lost(event: MasterLost) -> str:
    said = yarns_words(event.said)
    return f"ApplicationMaster {event.attempt} was lost" + (f": {said}" if said else "")


def _exited(event: events.TaskExited) -> str:
    how = "was stopped, code" if event.stopped else "ended with code"
    said = f" [{event.problem}]" if event.problem else ""
    seen = "" if event.witness == "executor" else f", as {event.witness} says"
    where = f" on {event.host}" if event.host else ""
    return f"{event.task} {how} {event.code}{where}{_attempt(event.attempt)}{seen}{said}"


def _uploaded(event: events.TaskUploaded) -> str:
    if event.problem:
        return f"results of {event.task} did not all reach the store: {event.problem}"
    return f"{event.task} sent {event.files} file{'' if event.files == 1 else 's'}, {bytes_text(event.bytes)}"


def _task_restarting(event: events.TaskRestarting) -> str:
    where = "in its container" if event.keeps else "in a new container"
    return f"{event.task} starts again {where} (attempt {event.attempt}): {event.reason}"


def _gang_released(event: events.GangReleased) -> str:
    return f"{event.reason}; every container is given back, and asked for again at {clock(event.again_at)}"


def _waiting(event: events.Waiting) -> str:
    if not event.reason:
        return "waits no more"
    return event.reason if event.reason.startswith("waiting ") else f"waits: {event.reason}"


def _ended(event: events.JobEnded) -> str:
    problem = f" [{event.problem}]" if event.problem else ""
    return f"{event.state}, exit code {event.exit_code}: {event.message}{problem}"


def _attempt(attempt: int) -> str:
    return f" (attempt {attempt})" if attempt > 1 else ""


_WORDS: dict[type, Callable[[Any], str]] = {
    MasterLost: _master_lost,
    events.AgentStarted: _agent_started,
    events.TaskRegistered: lambda event: f"{event.task} is up on {event.host}{_attempt(event.attempt)}",
    events.GangProbing: lambda _: "the tasks are up and try to reach one another",
    events.GangComplete: lambda _: "the gang is complete, the commands start",
    events.RoleReleased: lambda event: f"what {event.role} had to wait for has come",
    events.GangReleased: _gang_released,
    events.TaskStarted: lambda event: f"{event.task} runs{_attempt(event.attempt)}",
    events.TaskExited: _exited,
    events.TaskUploaded: _uploaded,
    events.TaskRestarting: _task_restarting,
    events.JobRestarting: lambda event: f"every task starts again (round {event.round}): {event.reason}",
    events.HostAvoided: lambda event: f"nothing is started on {event.host} any more: {event.reason}",
    events.Waiting: _waiting,
    events.JobStopping: lambda event: f"the end is decided: {event.reason}",
    events.JobEnded: _ended,
}
