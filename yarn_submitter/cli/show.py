"""`job show`: a job's state, tasks, paths and end."""

from __future__ import annotations

import argparse
import time

from am.contract import states
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job
from yarn_submitter.job import Job, find_job
from yarn_submitter.monitor import JobView, TaskView, document
from yarn_submitter.site import open_site
from yarn_submitter.units import seconds_text

NAME = "show"
HELP = "show a job: state, tasks, paths"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(open_site(args.cluster), args.job)
    view, source = job.view()
    if view.verdict is not None and view.verdict.origin == "yarn":
        job.sweep()
    if args.json:
        console.out_json({**document(view, job.plan, job.application_id), "source": source})
    else:
        console.out("\n".join(_lines(job, view, source)))
    return 0


def _lines(job: Job, view: JobView, source: str) -> list[str]:
    plan = job.plan
    rows = [
        ("Name", plan.name),
        ("State", view.state),
        ("Application Id", job.application_id),
        ("Id", job.id),
        ("User", plan.user),
        ("Queue", plan.queue),
        ("Framework", plan.framework),
        ("Input Path", plan.input_path),
        ("Checkpoint Path", plan.checkpoint_path),
        ("Saved Model Path", plan.saved_model_path),
        ("Waiting", view.waiting),
        ("Run Parameters", "; ".join(f"{role.name} x{role.instances}: {role.command}" for role in plan.roles)),
    ]
    lines = [f"{label + ':':<18} {value}" for label, value in rows if value]
    if source != "agent" and view.state not in states.JOB_ENDED:
        lines.append(f"{'Seen by:':<18} {source} (the agent does not answer)")
    lines += ["", f"{'TASK':<14} {'STATE':<10} {'HOST':<22} {'TIME':>12}  {'EXIT':>4}  LOGS"]
    lines += [_task_line(task) for task in view.tasks.values()]
    verdict = view.verdict
    if verdict is not None and verdict.state != states.SUCCEEDED:
        lines += ["", f"{verdict.message} [{verdict.problem}]"]
        lines += [f"  | {line}" for line in verdict.tail.splitlines()]
        lines.append(f"exit code {verdict.exit_code} (origin: {verdict.origin})")
    return lines


def _task_line(task: TaskView) -> str:
    took = (task.ended_s or time.time()) - task.started_s if task.started_s else 0.0
    exit_text = "" if task.exit_code is None else str(task.exit_code)
    took_text = seconds_text(took) if task.started_s else ""
    return (
        f"{task.task:<14} {task.state:<10} {task.host:<22} {took_text:>12}  {exit_text:>4}  {task.log_url}"
    ).rstrip()
