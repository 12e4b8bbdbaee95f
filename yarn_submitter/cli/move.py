"""`job move`: a job goes on in another queue."""

from __future__ import annotations

import argparse

from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.job import find_job
from yarn_submitter.steering import move

NAME = "move"
HELP = "move a job to another queue"
SCHEMA = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument("queue", metavar="QUEUE", help="name or path of a queue; `job queues` shows them")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(site_of(args, console), args.job)
    before, after = move(job, args.queue)
    if args.json:
        ids = {"id": job.id, "application_id": job.application_id}
        console.out_json({"schema": SCHEMA, **ids, "queue_before": before, "queue": after})
    elif before == after:
        console.out(f"job {job.name} ({job.application_id}) is in queue {after} already")
    else:
        console.out(f"job {job.name} ({job.application_id}) moved from queue {before} to {after}")
    return 0
