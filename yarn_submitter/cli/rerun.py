"""`job rerun`: a job once more, from its own record on the store."""

from __future__ import annotations

import argparse

from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job
from yarn_submitter.cli.run import submit_to
from yarn_submitter.job import find_job
from yarn_submitter.load import Controls
from yarn_submitter.outputs import check_task
from yarn_submitter.overlay import with_properties
from yarn_submitter.rerun import prepare
from yarn_submitter.site import open_site

NAME = "rerun"
HELP = "submit a job again from its own record"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument("--name", default="", metavar="NAME", help="name of the new job (default: that of the old one)")
    parser.add_argument("--detach", action="store_true", help="print the application id and return")
    parser.add_argument("--force", action="store_true", help="submit even when a check that may be wrong says no")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="do not show the program's output")
    shown.add_argument("--logs", default="", metavar="all|ROLE", help="show the output of all tasks or of one role")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb; return the new job's exit code."""
    site = open_site(args.cluster, overrides=args.set)
    job = find_job(site, args.job)
    if args.logs != "all":
        check_task(job, args.logs)
    again = prepare(job, args.name)
    controls = Controls(detach=args.detach, json=args.json, quiet=args.quiet, logs=args.logs, force=args.force)
    with with_properties(site, again.planned.spec.conf) as there:
        return submit_to(there, again.checked, again.files, again.planned, controls, console, rerun_of=job.id)
