"""`job timeout`: YARN ends a job that takes too long."""

from __future__ import annotations

import argparse
import time

from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.job import find_job
from yarn_submitter.steering import end_within
from yarn_submitter.units import parse_duration, seconds_text, when_text

NAME = "timeout"
HELP = "let YARN kill a job that has not ended in time"
SCHEMA = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument("within", type=_duration, metavar="DURATION", help="from now: 45s, 90m, 2h, 1d12h")


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(site_of(args, console), args.job)
    timeout = end_within(job, args.within)
    if args.json:
        ids = {"id": job.id, "application_id": job.application_id}
        console.out_json({"schema": SCHEMA, **ids, "expires_s": timeout.expires_s, "asked_s": timeout.asked_s})
        return 0
    left = seconds_text(round(timeout.expires_s - time.time()))
    cut = "; its queue allows no more" if timeout.cut else ""
    at = when_text(timeout.expires_s)
    console.out(f"job {job.name} ({job.application_id}) is killed at {at}, in {left}, if it has not ended{cut}")
    return 0
