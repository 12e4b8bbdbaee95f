"""`job wait`: until jobs have ended."""

from __future__ import annotations

import argparse
import time
from typing import Any

from am.contract.events import JobEnded
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_cluster, site_of
from yarn_submitter.job import Job, find_job
from yarn_submitter.units import parse_duration

NAME = "wait"
HELP = "wait until jobs have ended, and exit with their code"
SCHEMA = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("jobs", metavar="JOB", nargs="+", help="application id, our id, or name")
    parser.add_argument("--any", action="store_true", help="until one of them has ended; the exit code is that one's")
    parser.add_argument(
        "--timeout", type=_duration, metavar="DURATION", help="at most: 45s, 90m, 2h; then exit with 75"
    )
    add_cluster(parser)


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb.

    Returns:
        With --any the exit code of the job that ended first; else 0 when all succeeded, or the code of the first one,
        in the order in which they were named, that did not.
    """
    from yarn_submitter.watch import as_completed

    site = site_of(args, console)
    jobs = list(dict.fromkeys(find_job(site, name) for name in args.jobs))
    ended: dict[Job, JobEnded] = {}
    try:
        for job in as_completed(jobs, args.timeout):
            ended[job] = job.wait()  # it has: this returns at once
            if not args.json:
                console.out(_line(job, ended[job]))
            if args.any:
                break
    finally:
        if args.json:
            console.out_json({"schema": SCHEMA, "jobs": [_document(job, verdict) for job, verdict in ended.items()]})
    codes = [ended[job].exit_code for job in jobs if job in ended]
    return next((code for code in codes if code), 0)


def _line(job: Job, verdict: JobEnded) -> str:
    said = f": {verdict.message} [{verdict.problem}]" if verdict.problem else ""
    at = time.strftime("%H:%M:%S", time.localtime(verdict.time))
    return f"{at}  job {job.name} ({job.application_id or job.id}) {verdict.state}, exit code {verdict.exit_code}{said}"


def _document(job: Job, verdict: JobEnded) -> dict[str, Any]:
    return {
        "id": job.id,
        "application_id": job.application_id,
        "name": job.name,
        "state": verdict.state,
        "exit_code": verdict.exit_code,
        "origin": verdict.origin,
        "problem": verdict.problem or None,
        "message": verdict.message,
        "ended_s": verdict.time,
    }
