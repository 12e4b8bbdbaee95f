"""`job show`: how far a job is, why it waits, its tasks with their attempts, paths and end."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

from am.contract import states
from am.contract.job import JobPlan
from yarn_submitter.cli.console import Column, Console, Ink, aligned
from yarn_submitter.cli.eventwords import clock
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.feed import MasterLost
from yarn_submitter.job import Job, find_job
from yarn_submitter.monitor import JobView, TaskView, links, queue_of
from yarn_submitter.rest import App
from yarn_submitter.stage import held_back, missing, stage
from yarn_submitter.units import seconds_text, when_text
from yarn_submitter.verdicts import AGENTS_LOG, yarns_words
from yarn_submitter.viewjson import document, output_path

NAME = "show"
HELP = "show a job: how far it is, why it waits, tasks, paths"
_COLUMNS = (
    *(Column("TASK", 13), Column("STATE", 9), Column("ATTEMPT", right=True), Column("HOST", 21)),
    *(Column("TIME", 12, right=True), Column("EXIT", right=True), Column("LOGS")),
)
_ATTEMPTS = (
    *(Column("TASK", 13), Column("ATTEMPT", right=True), Column("STATE", 9), Column("HOST", 16)),
    *(Column("STARTED", 8), Column("TIME", right=True), Column("EXIT", right=True), Column("LOGS"), Column("WHY")),
)
_TIMING = (
    *(Column("TASK", 13), Column("ATTEMPT", right=True), Column("ASKED", 12), Column("REGISTERED", right=True)),
    *(Column("TOPOLOGY", right=True), Column("STARTED", right=True), Column("ENDED", right=True)),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument("--attempts", action="store_true", help="every attempt of every task, and how to read its log")
    parser.add_argument("--timing", action="store_true", help="how long each phase took, of the job and of its tasks")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(site_of(args, console), args.job)
    view, source = job.view()
    if view.verdict is not None and view.verdict.origin == "yarn":
        job.sweep(view.verdict)
    why = job.why_waiting(view.app) if waits(view) else []
    if args.json:
        more = {"stage": stage(view), "why": why, "source": source}
        console.out_json({**document(view, job.plan, job.application_id, job.site.conf.default_fs), **more})
        return 0
    ink = console.out_ink
    lines = _lines(job, view, source, why, ink)
    if args.timing:
        lines += ["", *_phases(job, view), "", *aligned(_TIMING, list(_timing_rows(view)), ink)]
    if args.attempts:
        lines += ["", *aligned(_ATTEMPTS, list(_attempt_rows(job, view)), ink)]
    if not (args.timing or args.attempts):
        lines += ["", *aligned(_COLUMNS, [_cells(job, view, task) for task in view.tasks.values()], ink)]
    console.out("\n".join([*lines, *_end(job, view, ink)]))
    return 0


def waits(view: JobView) -> bool:
    """Return whether a live job waits for containers."""
    app = view.app
    return view.verdict is None and app is not None and not app.ended and (app.state != "RUNNING" or bool(app.pending))


def _lines(job: Job, view: JobView, source: str, why: Sequence[str], ink: Ink) -> list[str]:
    plan, app, verdict, ended = job.plan, view.app, view.verdict, view.state in states.JOB_ENDED
    begun_s = app.started_s if app and app.started_s else _id_time_s(job.id)
    lacking = missing(view) if view.state in (states.GATHERING, states.RESTARTING) else ""
    rows = [
        ("Name", plan.name),
        ("State", ink.state(view.state)),
        ("Stage", "" if ended else stage(view)),
        ("Not up", lacking),
        ("Held back", "" if ended else held_back(view, plan)),
        ("Waiting", view.waiting.removeprefix("waiting ")),
        *(("Why" if number == 0 else "", line) for number, line in enumerate(why)),
        ("Application Id", job.application_id),
        ("Id", job.id),
        ("User", plan.user),
        ("Queue", queue_of(view, plan) + _moved(view, plan)),
        ("Priority", str(app.priority) if app and app.priority else ""),
        ("Timeout", "" if ended else _timeout(app)),
        ("Submitted", when_text(begun_s)),
        ("Duration", seconds_text(max(0.0, (verdict.time if verdict else time.time()) - begun_s))),
        ("Framework", plan.framework),
        ("Input Path", plan.input_path),
        ("Checkpoint Path", plan.checkpoint_path),
        ("Saved Model Path", plan.saved_model_path),
        ("Output Path", output_path(plan, job.site.conf.default_fs)),
        *links(view, plan).items(),
        *((f"Master {lost.attempt} lost", _lost(job, lost)) for lost in view.lost),
        *((f"Avoided {host}", reason) for host, reason in view.avoided.items()),
        ("Run Parameters", "; ".join(f"{role.name} x{role.instances}: {role.command}" for role in plan.roles)),
    ]
    lines = [f"{label + ':' if label else '':<18} {value}" for label, value in rows if value]
    if source != "agent" and not ended and view.state != states.ACCEPTED:
        lines.append(f"{'Seen by:':<18} {source} (the agent does not answer)")
    return lines


def _moved(view: JobView, plan: JobPlan) -> str:
    return "" if queue_of(view, plan) == plan.queue else f" (moved from {plan.queue})"


def _lost(job: Job, lost: MasterLost) -> str:
    said = ", ".join(filter(None, (clock(lost.time), yarns_words(lost.said))))
    return f"{said}; its log: job logs {job.id} agent --attempt {lost.attempt}{job.site.option}"


def _timeout(app: App | None) -> str:
    """Return when YARN kills a job that lives on."""
    if app is None or not app.expires_s:
        return ""
    left_s = app.expires_s - time.time()
    return f"YARN kills the job at {when_text(app.expires_s)}, " + (
        f"in {seconds_text(left_s)}" if left_s > 0 else "now"
    )


def _end(job: Job, view: JobView, ink: Ink) -> list[str]:
    verdict = view.verdict
    if verdict is None or verdict.state == states.SUCCEEDED:
        return []
    lines = ["", f"{verdict.message} {ink.faint(f'[{verdict.problem}]')}"]
    lines += [f"  | {line}" for line in verdict.tail.splitlines()]
    if verdict.advice:
        lines.append(f"  advice: {verdict.advice}")
    if verdict.task in view.tasks:
        lines.append(f"  next: {log_command(job, view.tasks[verdict.task])}")
    elif verdict.problem in AGENTS_LOG:
        lines.append(f"  next: job logs {job.id} agent{job.site.option}")
    return [*lines, f"exit code {verdict.exit_code} (origin: {verdict.origin})"]


def log_command(job: Job, attempt: TaskView) -> str:
    """Return what to type to read what an attempt wrote."""
    option = f" --attempt {attempt.attempt}" if attempt.attempt > 1 or attempt.reason else ""
    return f"job logs {job.id} {attempt.task}{option}{job.site.option}"


def _cells(job: Job, view: JobView, task: TaskView) -> tuple[str, ...]:
    attempt = str(task.attempt) if task.attempt else ""
    logs = task.log_url
    if logs and (view.app is None or view.app.ended):  # NodeManagers give their pages up with the application
        logs = log_command(job, task)
    return task.task, task.state, attempt, task.host, _took(task), _exit(task), logs


def _took(task: TaskView) -> str:
    if not task.started_s:
        return ""
    return seconds_text(max(0.0, (task.ended_s or time.time()) - task.started_s))  # clocks differ


def _exit(task: TaskView) -> str:
    return "" if task.exit_code is None else str(task.exit_code)


def _attempt_rows(job: Job, view: JobView) -> Iterator[tuple[str, ...]]:
    for task in view.tasks.values():
        for one in task.attempts:
            started = time.strftime("%H:%M:%S", time.localtime(one.started_s)) if one.started_s else ""
            logs = log_command(job, one) if one.container_id else ""
            where = (one.task, str(one.attempt), one.state, one.host)
            yield (*where, started, _took(one), _exit(one), logs, one.reason or one.problem)


def _phases(job: Job, view: JobView) -> list[str]:
    """Return how long the job's phases took, as far as they have begun."""
    app, verdict = view.app, view.verdict
    marks = [
        ("Prepared", _id_time_s(job.id)),
        ("Submitted", app.started_s if app else 0.0),
        ("Master started", app.launched_s if app else 0.0),
        *(("Agent up", time_s) for time_s in view.agents_s),
        *(("Tasks up", time_s) for time_s in view.topologies),
        ("End decided", view.stopping.time if view.stopping else 0.0),
        ("Ended", verdict.time if verdict else 0.0),
    ]
    known = sorted(((label, time_s) for label, time_s in marks if time_s), key=lambda mark: mark[1])
    lines, before_s = [], 0.0
    for label, time_s in known:
        clock = time.strftime("%H:%M:%S", time.localtime(time_s))
        lines.append(f"{label + ':':<18} {clock}" + (f"  {_later(time_s, before_s)}" if before_s else ""))
        before_s = time_s
    return lines


def _id_time_s(job_id: str) -> float:
    """Return when `job run` gave a job its id, before anything was brought to the cluster."""
    import calendar

    try:
        return float(calendar.timegm(time.strptime(job_id.partition("-")[0], "%Y%m%dt%H%M%S")))
    except ValueError:
        return 0.0


def _timing_rows(view: JobView) -> Iterator[tuple[str, ...]]:
    """Yield for each attempt when it was asked for, and how long after that each phase began."""
    for task in view.tasks.values():
        for one in task.attempts or (task,):
            asked = time.strftime("%H:%M:%S", time.localtime(one.asked_s)) if one.asked_s else ""
            marks = (one.registered_s, view.topology_s(one), one.started_s, one.ended_s)
            told = (_later(mark, one.asked_s) if mark and one.asked_s else "" for mark in marks)
            yield (one.task, str(one.attempt) if one.attempt else "", asked, *told)


def _later(time_s: float, start_s: float) -> str:
    return f"+{max(0.0, time_s - start_s):.1f} s"
