"""`job events`: what happened to a job, one line for each event."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

from am.contract.events import Event, to_line
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.eventwords import clock, words
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.feed import AppSeen, Item, MasterLost
from yarn_submitter.job import find_job

NAME = "events"
HELP = "print what happened to a job"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(site_of(args, console), args.job)
    items: Iterable[Item] = job.feed().follow() if args.follow else job.feed().now()[0]
    told, day = 0, ""
    for event in items:
        if isinstance(event, AppSeen):
            continue
        told += 1
        if args.json:
            console.out(to_line(event))
            continue
        if day != (day := _day(event)) and not _today(event):
            console.out(day)
        console.out(f"{clock(event.time)}  {words(event)}")
    if not told:
        console.say("nothing has happened yet: the agent is not up")
    return 0


def _day(event: Event | MasterLost) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(event.time))


def _today(event: Event | MasterLost) -> bool:
    return _day(event) == time.strftime("%Y-%m-%d")
