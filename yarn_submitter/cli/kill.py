"""`job kill`: end a job and wait until it has ended."""

from __future__ import annotations

import argparse
import threading
import time

from am.contract import states
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.errors import LimitError, Problem
from yarn_submitter.job import AGENT, Job, find_job

NAME = "kill"
HELP = "end a job"
# The agent stops its tasks within their grace, then YARN's ApplicationMaster takes its own beat to leave.
_BEYOND_GRACE_S = 30.0
_BY_YARN_S = 20.0  # YARN does not wait for an ApplicationMaster that it kills
_PAUSE_S = 0.2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument("--reason", default="", help="kept in the job's record")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    site = site_of(args, console)
    job = find_job(site, args.job)
    view, _ = job.view()
    already = view.state in states.JOB_ENDED
    if not already:
        told, limit_s = job.kill(args.reason), job.plan.limits.stop_grace_s + _BEYOND_GRACE_S
        console.progress(f"told the {told}, waiting for the job's end")
        if told == AGENT:
            limit_s = _wait_for_agent(job, args.reason, limit_s, console)
        if not _ends(job, limit_s):
            step = f"yarn application -kill {job.application_id}"
            raise LimitError(Problem("kill-slow", f"Job {job.id} has not ended yet.", "", step))
        view, _ = job.view()
        job.sweep()
    if args.json:
        console.out_json({"schema": 1, "id": job.id, "application_id": job.application_id, "state": view.state})
    else:
        console.out(f"job {job.plan.name} ({job.application_id}) {'had ended' if already else 'ended'}: {view.state}")
    return 0


def _wait_for_agent(job: Job, reason: str, limit_s: float, console: Console) -> float:
    """Let the agent end its tasks and write the verdict; return what YARN's end may take then, in seconds."""
    try:
        job.wait(limit_s)  # tells YARN, too
    except LimitError:
        console.progress("the agent has not ended the job, telling the resourcemanager")
        job.kill(reason, by_yarn=True)
    return _BY_YARN_S


def _ends(job: Job, limit_s: float) -> bool:
    """Return whether YARN says within `limit_s` that the job has ended."""
    deadline, pause = time.monotonic() + limit_s, threading.Event()
    while not ((app := job.site.resource_manager.get_app(job.application_id)) is None or app.ended):
        if time.monotonic() > deadline:
            return False
        pause.wait(_PAUSE_S)
    return True
