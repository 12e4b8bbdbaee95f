"""Every decision about a job, as one pure function: what is known and the time in, actions with their reasons out.

docs/failures.md holds the same rules as a table. The defaults are those that Submarine's and TonY's users expect.
"""

from __future__ import annotations

import dataclasses
import typing

from am.agent import gang, recovery, words
from am.agent.gang import GiveBack, OpenRole, ProbeGang, ReleaseGang
from am.agent.recovery import AvoidHost, RestartJob, RestartTask
from am.agent.snapshot import EXECUTOR, YARN
from am.contract import codes, states, wire
from am.contract.events import JobEnded, TaskExited, TaskUploaded, killed
from am.contract.job import split_task

if typing.TYPE_CHECKING:
    from am.agent.signs import Signs
    from am.agent.snapshot import Snapshot, Task
    from am.contract.job import JobPlan

DOUBT_S = 3.0  # how long a failure waits for news of a task whose connection went down before it
LAST_WORDS_S = 5.0  # what a task gets beyond its deadlines to say that it is done
CHIEF = "chief"


@dataclasses.dataclass(frozen=True)
class Say:
    """Tell the user what the job waits for."""

    sentence: str


@dataclasses.dataclass(frozen=True)
class LoseTask:
    """Give a task up: its end is `exit`; a container that never registered is given back."""

    exit: TaskExited
    container_id: str = ""


@dataclasses.dataclass(frozen=True)
class LoseResults:
    """Give a task's results up: what became of them is `upload`."""

    upload: TaskUploaded


@dataclasses.dataclass(frozen=True)
class StopJob:
    """Stop every task; the job will end as `verdict` says."""

    verdict: JobEnded
    upload_s: float


@dataclasses.dataclass(frozen=True)
class EndJob:
    """Nothing more is to come: write the verdict and leave."""

    verdict: JobEnded


Action = (
    ProbeGang
    | ReleaseGang
    | GiveBack
    | OpenRole
    | Say
    | RestartTask
    | RestartJob
    | AvoidHost
    | LoseTask
    | LoseResults
    | StopJob
    | EndJob
)
Decision = tuple[Action, str]


def decide(plan: JobPlan, snapshot: Snapshot, signs: Signs, now_s: float) -> tuple[Decision, ...]:
    """Return what to do now, each with its reason; nothing when there is nothing to do.

    Args:
        plan: The job.
        snapshot: The job as it stands.
        signs: Who was heard when.
        now_s: Seconds since the epoch by the agent's clock.
    """
    if snapshot.verdict is not None or snapshot.started_s is None:
        return ()
    if snapshot.stopping is not None:
        return _end(plan, snapshot, now_s)
    if snapshot.behind:
        return _start_behind(snapshot)
    if snapshot.blamed:
        return _failure(plan, snapshot, signs, now_s)
    return _onward(plan, snapshot, signs, now_s)


def _onward(plan: JobPlan, snapshot: Snapshot, signs: Signs, now_s: float) -> tuple[Decision, ...]:
    """Return what to do with a job in which no failure is to be dealt with."""
    if _succeeded(plan, snapshot):
        verdict = JobEnded(now_s, states.SUCCEEDED, 0, "task", "", words.success(plan, snapshot))
        return ((StopJob(verdict, plan.limits.upload_s), verdict.message),)
    if not snapshot.holding:
        return _all_forgiven_failed(plan, snapshot, now_s)
    opened = gang.to_open(plan, snapshot)
    if opened:
        return tuple((role, f"what {role.role} waits for has come") for role in opened)
    late = _lifetime(plan, snapshot.released_s, now_s)
    if late or not snapshot.topology:
        return late or _gather(plan, snapshot, signs, now_s)
    sentence = gang.waiting_sentence(plan, snapshot, signs, now_s) if snapshot.lacking_s is not None else ""
    return ((Say(sentence), "a task that starts again has no container yet"),) if sentence else ()


def overdue(plan: JobPlan, snapshot: Snapshot, signs: Signs, now_s: float) -> tuple[Decision, ...]:
    """Return which tasks and containers are given up because nothing was heard of them; walks all tasks."""
    if snapshot.verdict is not None:
        return ()
    lost: list[Decision] = []
    silence_s, registration_s = plan.limits.silence_s, plan.limits.registration_s
    for task in snapshot.tasks.values():
        heard_s = signs.heard_s.get(task.name)
        if not silence_s or task.settled or heard_s is None or now_s - heard_s <= silence_s:
            continue
        reason = f"{task.name} on {task.host} was not heard of for {silence_s} s"
        lost.extend((action, reason) for action in lose(snapshot, task, heard_s, codes.KILLED, "task-silent", reason))
    kept_s = plan.limits.stop_grace_s + plan.limits.upload_s + registration_s  # what comes before it registers again
    for task in snapshot.tasks.values():
        if registration_s and task.container_id and task.asked_s is not None and now_s - task.asked_s > kept_s:
            reason = f"the executor of {task.name} has not come back from attempt {task.attempt - 1} within {kept_s} s"
            lost.extend(
                (action, reason) for action in lose(snapshot, task, now_s, codes.LIMIT, "registration-timeout", reason)
            )
    for container_id, seen in signs.sightings.items():
        index = snapshot.free_index(seen.role)
        since_s = seen.running_since_s
        if not registration_s or index is None or since_s is None or now_s - since_s <= registration_s:
            continue
        task = snapshot.tasks[f"{seen.role}:{index}"]
        reason = f"container {container_id} runs for {registration_s} s and its executor has not registered"
        if seen.silent:
            reason = (
                f"container {container_id} has not registered, and {seen.node_http} is silent for {registration_s} s"
            )
        host = seen.node_http.rpartition(":")[0]
        exit_ = never_up(task, now_s, host, codes.LIMIT, "registration-timeout", reason)
        lost.append((LoseTask(exit_, container_id), reason))
    return tuple(lost)


def never_up(task: Task, now_s: float, host: str, code: int, problem: str, tail: str) -> TaskExited:
    """Return the end of a task whose container ended, or was given up, before its executor registered."""
    return TaskExited(now_s, task.name, task.attempt, host, code, YARN, tail=tail, problem=problem)


def lose(snapshot: Snapshot, task: Task, since_s: float, code: int, problem: str, tail: str) -> tuple[Action, ...]:
    """Return how a registered task is given up whose container is gone, or was not heard of since `since_s`.

    A task whose program had ended before keeps that end; only its results are lost then.
    """
    if task.exit is not None:
        said = tail.splitlines()[0] if tail else "its container is gone"
        return (LoseResults(TaskUploaded(since_s, task.name, task.attempt, 0, 0, f"not carried: {said}")),)
    stopped = snapshot.stopping is not None and since_s >= snapshot.stopping_since_s
    exit_ = TaskExited(since_s, task.name, task.attempt, task.host, code, YARN, stopped, tail, problem)
    return (LoseTask(exit_),)


def kill(plan: JobPlan, snapshot: Snapshot, by: str, reason: str, now_s: float) -> tuple[Decision, ...]:
    """Return what a client's stop does: the job ends as KILLED unless it has failed already; uploads get the grace."""
    if snapshot.verdict is not None:
        return ()
    earlier = snapshot.stopping.verdict if snapshot.stopping is not None else None
    if earlier is not None and earlier.state == states.KILLED:
        return ()
    asked = killed(by, reason, now_s)
    verdict = earlier if earlier is not None and earlier.state == states.FAILED else asked
    # 0 means no limit in an order, which is never meant here.
    return ((StopJob(verdict, max(1.0, plan.limits.stop_grace_s)), asked.message),)


def order(plan: JobPlan, snapshot: Snapshot, task: Task) -> wire.Orders:
    """Return what the agent wants of a task now."""
    number, grace_s = snapshot.ordered(task), float(plan.limits.stop_grace_s)
    if snapshot.verdict is not None:
        return wire.Orders(number, wire.LEAVE)
    if snapshot.stopping is not None:
        if not _began(snapshot, task):  # no command: nothing to stop, nothing to carry
            return wire.Orders(number, wire.LEAVE)
        return wire.Orders(number, wire.STOP, grace_s=grace_s, upload_s=snapshot.stopping.upload_s)
    if task.round < snapshot.round or task.state == states.NEW:
        return wire.Orders(number, wire.AGAIN, grace_s=grace_s)
    if snapshot.probing and not task.alone:
        return wire.Orders(number, wire.PROBE, topology=dict(snapshot.probing))
    if gang.closed(plan.role(task.role), snapshot):
        return wire.Orders(number, wire.WAIT)
    if snapshot.topology:
        return wire.Orders(number, wire.START, topology=dict(snapshot.topology))
    if task.alone:
        return wire.Orders(number, wire.START, topology=gang.topology(plan, snapshot, {}))
    return wire.Orders(number, wire.WAIT)


def _failure(plan: JobPlan, snapshot: Snapshot, signs: Signs, now_s: float) -> tuple[Decision, ...]:
    task = snapshot.tasks[snapshot.blamed]
    exit_ = task.exit
    assert exit_ is not None  # noqa: S101 - the fold blames ended tasks only
    # A task that died takes its peers with it, and theirs may be the first word that comes: wait for the silent one.
    if any(since_s <= exit_.time and now_s - since_s < DOUBT_S for since_s in signs.doubted_s.values()):
        return ()
    action = recovery.after_failure(plan, snapshot, task, exit_)
    if action is None:
        verdict, used_up = words.blame(task, exit_, plan), recovery.used_up(plan, snapshot, task, exit_)
        if used_up:
            verdict = dataclasses.replace(verdict, message=f"{verdict.message}; {used_up}")
        return _fail(plan, verdict, now_s)
    avoided: tuple[Decision, ...] = tuple((host, host.reason) for host in recovery.avoid(snapshot, task))
    return (*avoided, (action, action.reason))


def _start_behind(snapshot: Snapshot) -> tuple[Decision, ...]:
    """Begin the new attempts of tasks that have ended while all start again."""
    reason = "all tasks start again"

    def again(task: Task) -> RestartTask:
        return RestartTask(task.name, task.attempt + 1, reason, recovery.stays(task, snapshot.avoided))

    return tuple((again(snapshot.tasks[name]), reason) for name in snapshot.behind)


def _fail(plan: JobPlan, verdict: JobEnded, now_s: float) -> tuple[Decision, ...]:
    return ((StopJob(dataclasses.replace(verdict, time=now_s), plan.limits.upload_s), verdict.message),)


def _succeeded(plan: JobPlan, snapshot: Snapshot) -> bool:
    role = split_task(plan.main_task)[0]
    if plan.done_when == CHIEF and role == CHIEF:
        chiefs = snapshot.role(CHIEF)
        if chiefs and all(task.state == states.SUCCEEDED for task in chiefs):
            return True
    return not _held_up(plan, snapshot) and any(
        task.tracked and task.state == states.SUCCEEDED for task in snapshot.tasks.values()
    )


def _held_up(plan: JobPlan, snapshot: Snapshot) -> bool:
    """Return whether the job's success waits for a task.

    It does not for one of an elastic role that has no container, the first time or again: the others have shared its
    work among them.
    """
    if not snapshot.holding or not snapshot.topology or not snapshot.lacking:
        return bool(snapshot.holding)
    elastic = {role.name for role in plan.roles if role.min_instances}
    needless = sum(task.lacking and task.tracked for task in snapshot.tasks.values() if task.role in elastic)
    return snapshot.holding > needless


def _all_forgiven_failed(plan: JobPlan, snapshot: Snapshot, now_s: float) -> tuple[Decision, ...]:
    task = snapshot.tasks.get(snapshot.failed)
    if task is None or task.exit is None:
        return ()
    verdict = words.blame(task, task.exit, plan)
    message = f"no task succeeded; the first to fail: {verdict.message}"
    return _fail(plan, dataclasses.replace(verdict, message=message), now_s)


def _gather(plan: JobPlan, snapshot: Snapshot, signs: Signs, now_s: float) -> tuple[Decision, ...]:
    if snapshot.probing:
        return _probe(plan, snapshot, signs, now_s)
    if gang.complete(plan, snapshot, now_s):
        return ((gang.first_step(plan, snapshot), f"{snapshot.registered} tasks are up"),)
    limits, since_s = plan.limits, snapshot.first_registered_s
    # Who starts again has had its containers: the queue's limit is for the first time.
    started_s = snapshot.started_s if snapshot.released_s is None else None
    if limits.queue_wait_s and started_s is not None and now_s - started_s > limits.queue_wait_s:
        short = words.shortage(plan, snapshot, signs)
        message = f"the job did not get its containers within {limits.queue_wait_s} s: {short}"
        return _fail(plan, _late(now_s, "queue-timeout", message), now_s)
    # A queue may make a job wait for ever; a part of a gang may not hold its containers for ever.
    # Nothing lacks a container: who keeps his may still be sending the checkpoint that all start from.
    hold_s = limits.gang_hold_s + (0 if snapshot.lacking else limits.upload_s)
    if limits.gang_hold_s and since_s is not None and now_s - since_s > hold_s:
        short = words.shortage(plan, snapshot, signs)
        message = f"only a part of the job came up within {hold_s} s: {short}"
        if limits.gang_tries and snapshot.tries >= limits.gang_tries:
            return _fail(plan, _late(now_s, "gang-timeout", message), now_s)
        tries = snapshot.tries + 1
        return ((GiveBack(tries, message, now_s + gang.pause_s(tries, signs.dice)), message),)
    sentence = gang.waiting_sentence(plan, snapshot, signs, now_s)
    return ((Say(sentence), "the gang is not complete"),) if sentence else ()


def _late(now_s: float, problem: str, message: str) -> JobEnded:
    return JobEnded(now_s, states.FAILED, codes.LIMIT, "yarn", problem, message, advice=words.LESS)


def _probe(plan: JobPlan, snapshot: Snapshot, signs: Signs, now_s: float) -> tuple[Decision, ...]:
    """Release a gang whose tasks have all reached their peers; name the pairs that have not."""
    missed = gang.missed(signs)
    late = now_s > snapshot.probing_since_s + plan.limits.probe_s + gang.PROBE_LATE_S
    if not late and not gang.all_probed(snapshot, signs):
        return ()
    if not missed:
        return ((ReleaseGang(gang.topology(plan, snapshot, gang.reached(signs))), "all peers were reached"),)
    more = f"; and {len(missed) - 3} more pairs" if len(missed) > 3 else ""
    message = f"tasks do not reach one another: {'; '.join(missed[:3])}{more}"
    verdict = JobEnded(
        now_s, states.FAILED, codes.LOST, "yarn", "peers-unreachable", message, advice=words.open_ports(plan)
    )
    return _fail(plan, verdict, now_s)


def _lifetime(plan: JobPlan, released_s: float | None, now_s: float) -> tuple[Decision, ...]:
    limit_s = plan.limits.lifetime_s
    if not limit_s or released_s is None or now_s - released_s <= limit_s:
        return ()
    message = f"the job ran longer than its limit of {limit_s} s (--max_runtime)"
    return _fail(plan, JobEnded(now_s, states.FAILED, codes.LIMIT, "yarn", "runtime-limit", message), now_s)


def _end(plan: JobPlan, snapshot: Snapshot, now_s: float) -> tuple[Decision, ...]:
    stopping = snapshot.stopping
    assert stopping is not None  # noqa: S101 - asked before
    assert stopping.verdict is not None  # noqa: S101 - this agent always writes it
    limits = plan.limits
    due_s = stopping.time + limits.stop_grace_s + stopping.upload_s + LAST_WORDS_S
    late = stopping.upload_s > 0 and now_s > due_s
    open_ = _unanswered(snapshot)
    if open_ and not late:
        return ()
    verdict = dataclasses.replace(_with_results(plan, snapshot, stopping.verdict), time=now_s)
    return ((EndJob(verdict), "not all tasks answered in time" if open_ else "all tasks have ended"),)


def _unanswered(snapshot: Snapshot) -> bool:
    """Return whether a task is told to stop that has not said that it is done."""
    if not snapshot.unsettled or snapshot.topology:
        return bool(snapshot.unsettled)
    return any(not task.settled and _began(snapshot, task) for task in snapshot.tasks.values())


def _began(snapshot: Snapshot, task: Task) -> bool:
    """Return whether a command of the task may have run in the container that it has."""
    return recovery.ran(snapshot, task) or task.ended or task.attempt > 1


def _with_results(plan: JobPlan, snapshot: Snapshot, verdict: JobEnded) -> JobEnded:
    """Return the verdict, which is no success when the results of a task that succeeded did not reach the store."""
    if verdict.state != states.SUCCEEDED:
        return verdict
    for task in snapshot.tasks.values():
        if task.state != states.SUCCEEDED or task.forgiven or not task.tracked:
            continue
        if task.exit is None or task.exit.stopped or task.exit.witness != EXECUTOR:
            continue
        problem = f"not carried within {plan.limits.upload_s} s" if task.upload is None else task.upload.problem
        if problem:
            message = f"{task.name} on {task.host} succeeded, but its results are not on the store: {problem}"
            return JobEnded(
                verdict.time, states.FAILED, codes.STAGING, "task", "results-not-carried", message, task.name, task.host
            )
    return verdict
