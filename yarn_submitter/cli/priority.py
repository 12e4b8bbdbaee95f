"""`job priority`: who is served first within a queue."""

from __future__ import annotations

import argparse

from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.job import find_job
from yarn_submitter.steering import prioritize

NAME = "priority"
HELP = "set a job's priority within its queue"
SCHEMA = 1
_MOST = 2**31 - 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument("priority", type=_number, metavar="N", help="0 or more; greater ones are served first")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(site_of(args, console), args.job)
    before, after = prioritize(job, args.priority)
    cut = " (the cluster's greatest: yarn.cluster.max-application-priority)" if after < args.priority else ""
    if args.json:
        ids = {"id": job.id, "application_id": job.application_id}
        console.out_json({"schema": SCHEMA, **ids, "priority_before": before, "priority": after})
    else:
        console.out(f"job {job.name} ({job.application_id}) has priority {after}{cut}, it had {before}")
    return 0
