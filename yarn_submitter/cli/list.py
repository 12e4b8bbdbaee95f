"""`job list`: the jobs that the cluster remembers, newest first."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from yarn_submitter.cli.console import Column, Console, aligned
from yarn_submitter.cli.job_arguments import add_cluster, site_of
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.job import ours, settled
from yarn_submitter.rest import App
from yarn_submitter.site import Site
from yarn_submitter.units import seconds_text
from yarn_submitter.verdicts import state_of

NAME = "list"
HELP = "list jobs"
SCHEMA = 1
_APPLICATION, _NAME, _USER, _STATE, _QUEUE, _STARTED, _TIME = (
    *(Column("APPLICATION ID", 31), Column("NAME", 8), Column("USER"), Column("STATE", 9)),
    *(Column("QUEUE", 8), Column("STARTED", 16), Column("TIME")),
)
_BEFORE_RUNNING = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED")
# What we call a state -> the application's states at YARN that may stand for it: our agent's verdict is told to YARN
# as the final status of an application that is FINISHED.
_ENDING = ("ACCEPTED", "RUNNING")  # YARN's word for a job with a verdict whose ApplicationMaster has not left yet
_STATES = {
    "ACCEPTED": _BEFORE_RUNNING,
    "RUNNING": ("RUNNING",),
    "SUCCEEDED": ("FINISHED", *_ENDING),
    "FAILED": ("FINISHED", "FAILED", *_ENDING),
    "KILLED": ("FINISHED", "KILLED", *_ENDING),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_cluster(parser)
    parser.add_argument("--all_users", "--all-users", action="store_true", help="jobs of every user, not only mine")
    parser.add_argument("--user", default="", metavar="USER", help="jobs of this user")
    parser.add_argument(
        "--queue", default="", metavar="QUEUE", help="jobs in this queue; of a parent: live ones below it"
    )
    parser.add_argument("--name", default="", metavar="NAME", help="jobs of this name")
    parser.add_argument("--tag", default="", metavar="TAG", help="jobs with this YARN tag, such as ys-rerun-of:ID")
    parser.add_argument(
        "--state",
        type=_states,
        default=(),
        metavar="STATE,...",
        help=f"jobs in one of these states: {', '.join(_STATES)}",
    )


def _states(text: str) -> tuple[str, ...]:
    states = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    unknown = [state for state in states if state not in _STATES]
    if unknown or not states:
        raise argparse.ArgumentTypeError(f"{text!r}: the states are {', '.join(_STATES)}")
    return states


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    site = site_of(args, console)
    jobs = _matching(site, args)
    if args.json:
        console.out_json({"schema": SCHEMA, "jobs": [_document(job_id, app) for job_id, app in jobs]})
    elif jobs:
        apps = [app for _, app in jobs]
        width = console.size().columns if console.stdout.isatty() else None
        console.out("\n".join(_table(apps, console, width, users=args.all_users or bool(args.user))))
    elif any((args.user, args.queue, args.name, args.tag, args.state)):
        console.say("no such jobs; see all: job list --all_users")
    else:
        console.say("no jobs; start one with: job run")
    return 0


def _matching(site: Site, args: argparse.Namespace) -> list[tuple[str, App]]:
    """Return the jobs that are asked for; YARN chooses, and what it cannot tell apart is told apart here."""
    try:
        apps = site.resource_manager.list_apps(
            user=args.user or ("" if args.all_users else site.user),
            states=sorted({known for state in args.state for known in _STATES[state]}),
            tags=(args.tag or "yarn-submitter",),
            types=("skein",),
            queue=args.queue,
            name=args.name,
        )
    except UsageError as error:
        if not args.queue:
            raise
        said = error.problems[0].evidence  # "Unknown queue: ..."
        problem = Problem("queue-unknown", f"The cluster has no queue {args.queue}.", said, f"job queues{site.option}")
        raise UsageError(problem) from error
    found = [(job_id, app) for job_id, app in ours(apps) if not args.name or app.name == args.name]
    return [(job_id, app) for job_id, app in settled(site, found) if not args.state or _known_as(app) in args.state]


def _known_as(app: App) -> str:
    state = state_of(app)
    return "ACCEPTED" if state in _BEFORE_RUNNING else state


def _table(apps: Sequence[App], console: Console, width: int | None, *, users: bool) -> list[str]:
    """Return the lines; on a narrow terminal without what is least missed, then with names cut."""
    cells = [_cells(app) for app in apps]
    columns = [column for column in cells[0] if users or column is not _USER]
    for least_missed in (_STARTED, _QUEUE):
        if width is not None and _wide(columns, cells) > width:
            columns.remove(least_missed)
    too_wide = 0 if width is None else max(0, _wide(columns, cells) - width)
    longest = max(len(row[_NAME]) for row in cells)
    room = max(_NAME.least, longest - too_wide)
    rows = [
        [_cut(row[column], room) if column is _NAME and too_wide else row[column] for column in columns]
        for row in cells
    ]
    return aligned(columns, rows, console.out_ink, width)


def _wide(columns: Sequence[Column], cells: Sequence[dict[Column, str]]) -> int:
    widths = [max(column.least, len(column.title), *(len(row[column]) for row in cells)) for column in columns]
    return sum(widths) + 2 * (len(columns) - 1)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _cells(app: App) -> dict[Column, str]:
    return {
        _APPLICATION: app.id,
        _NAME: "".join(letter if letter.isprintable() else "?" for letter in app.name),  # others chose it
        _USER: app.user,
        _STATE: state_of(app),
        _QUEUE: app.queue,
        _STARTED: time.strftime("%Y-%m-%d %H:%M", time.localtime(app.started_s)),
        _TIME: seconds_text((app.finished_s or time.time()) - app.started_s),
    }


def _document(job_id: str, app: App) -> dict[str, object]:
    return {
        "id": job_id,
        "application_id": app.id,
        "name": app.name,
        "user": app.user,
        "queue": app.queue,
        "state": state_of(app),
        "started_s": app.started_s,
        "ended_s": app.finished_s or None,
    }
