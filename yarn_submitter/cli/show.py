"""`job show`: a job's state, tasks, paths and end."""

from __future__ import annotations

import argparse
import time

from am.contract import states
from yarn_submitter.cli.console import Column, Console, Ink, aligned
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.job import Job, find_job
from yarn_submitter.monitor import JobView, TaskView, document, links, queue_of
from yarn_submitter.units import seconds_text

NAME = "show"
HELP = "show a job: state, tasks, paths"
_COLUMNS = (
    *(Column("TASK", 13), Column("STATE", 9), Column("HOST", 21)),
    *(Column("TIME", 12, right=True), Column("EXIT", right=True), Column("LOGS")),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(site_of(args, console), args.job)
    view, source = job.view()
    if view.verdict is not None and view.verdict.origin == "yarn":
        job.sweep()
    if args.json:
        console.out_json({**document(view, job.plan, job.application_id), "source": source})
    else:
        console.out("\n".join(_lines(job, view, source, console.out_ink)))
    return 0


def _lines(job: Job, view: JobView, source: str, ink: Ink) -> list[str]:
    plan = job.plan
    rows = [
        ("Name", plan.name),
        ("State", ink.state(view.state)),
        ("Application Id", job.application_id),
        ("Id", job.id),
        ("User", plan.user),
        ("Queue", queue_of(view, plan)),
        ("Framework", plan.framework),
        ("Input Path", plan.input_path),
        ("Checkpoint Path", plan.checkpoint_path),
        ("Saved Model Path", plan.saved_model_path),
        *links(view, plan).items(),
        ("Waiting", view.waiting),
        ("Run Parameters", "; ".join(f"{role.name} x{role.instances}: {role.command}" for role in plan.roles)),
    ]
    lines = [f"{label + ':':<18} {value}" for label, value in rows if value]
    if source != "agent" and view.state not in states.JOB_ENDED:
        lines.append(f"{'Seen by:':<18} {source} (the agent does not answer)")
    lines += ["", *aligned(_COLUMNS, [_cells(task) for task in view.tasks.values()], ink)]
    verdict = view.verdict
    if verdict is not None and verdict.state != states.SUCCEEDED:
        lines += ["", f"{verdict.message} {ink.faint(f'[{verdict.problem}]')}"]
        lines += [f"  | {line}" for line in verdict.tail.splitlines()]
        lines.append(f"exit code {verdict.exit_code} (origin: {verdict.origin})")
    return lines


def _cells(task: TaskView) -> tuple[str, ...]:
    took_s = max(0.0, (task.ended_s or time.time()) - task.started_s)  # clocks differ
    exit_text = "" if task.exit_code is None else str(task.exit_code)
    return task.task, task.state, task.host, seconds_text(took_s) if task.started_s else "", exit_text, task.log_url
