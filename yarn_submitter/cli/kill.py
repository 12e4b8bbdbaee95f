"""`job kill`: end a job and wait until it has ended."""

from __future__ import annotations

import argparse
import threading
import time

from am.contract import states
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.errors import LimitError, Problem
from yarn_submitter.job import find_job

NAME = "kill"
HELP = "end a job"
# The agent stops its tasks within their grace, then YARN's ApplicationMaster takes its own beat to leave.
_BEYOND_GRACE_S = 30.0
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
        told = job.kill(args.reason)
        console.progress(f"told the {told}, waiting for the job's end")
        deadline = time.monotonic() + job.plan.limits.stop_grace_s + _BEYOND_GRACE_S
        pause = threading.Event()
        while not ((app := site.resource_manager.get_app(job.application_id)) is None or app.ended):
            if time.monotonic() > deadline:
                raise LimitError(
                    Problem("kill-slow", f"Job {job.id} has not ended yet.", "", f"yarn application -kill {app.id}")
                )
            pause.wait(_PAUSE_S)
        view, _ = job.view()
        job.sweep()
    if args.json:
        console.out_json({"schema": 1, "id": job.id, "application_id": job.application_id, "state": view.state})
    else:
        console.out(f"job {job.plan.name} ({job.application_id}) {'had ended' if already else 'ended'}: {view.state}")
    return 0
