"""What policy decided, as the event that says it: one line an action."""

from __future__ import annotations

import typing

from am.agent.gang import GiveBack, OpenRole, ProbeGang, ReleaseGang
from am.agent.policy import EndJob, LoseResults, LoseTask, Say, StopJob
from am.agent.recovery import AvoidHost, RestartJob, RestartTask
from am.contract import events

if typing.TYPE_CHECKING:
    from collections.abc import Callable

    from am.agent.policy import Action

_EVENTS: dict[type, Callable[[typing.Any, float], events.Event]] = {
    ProbeGang: lambda act, now_s: events.GangProbing(now_s, act.topology),
    ReleaseGang: lambda act, now_s: events.GangComplete(now_s, act.topology),
    GiveBack: lambda act, now_s: events.GangReleased(now_s, act.tries, act.reason, act.again_s),
    OpenRole: lambda act, now_s: events.RoleReleased(now_s, act.role),
    Say: lambda act, now_s: events.Waiting(now_s, act.sentence),
    RestartTask: lambda act, now_s: events.TaskRestarting(
        now_s, act.task, act.attempt, act.reason, act.keeps, act.counted
    ),
    RestartJob: lambda act, now_s: events.JobRestarting(now_s, act.round, act.reason, act.task, act.counted),
    AvoidHost: lambda act, now_s: events.HostAvoided(now_s, act.host, act.reason),
    LoseTask: lambda act, _: act.exit,
    LoseResults: lambda act, _: act.upload,
    StopJob: lambda act, now_s: events.JobStopping(now_s, act.verdict.message, act.verdict, act.upload_s),
    EndJob: lambda act, _: act.verdict,
}


def event_of(action: Action, now_s: float) -> events.Event:
    """Return the event of an action that is carried out at `now_s`, seconds since the epoch."""
    return _EVENTS[type(action)](action, now_s)
