"""`job list`: the jobs that the cluster remembers, newest first."""

from __future__ import annotations

import argparse
import time

from yarn_submitter.cli.console import Column, Console, aligned
from yarn_submitter.cli.job_arguments import add_cluster
from yarn_submitter.job import ours
from yarn_submitter.rest import App
from yarn_submitter.site import open_site
from yarn_submitter.units import seconds_text

NAME = "list"
HELP = "list jobs"
SCHEMA = 1
_COLUMNS = (
    *(Column("APPLICATION ID", 31), Column("NAME", 19), Column("STATE", 9)),
    *(Column("QUEUE", 13), Column("STARTED", 16), Column("TIME")),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_cluster(parser)
    parser.add_argument("--all_users", "--all-users", action="store_true", help="jobs of every user, not only mine")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    site = open_site(args.cluster, overrides=args.set)
    apps = site.resource_manager.list_apps(
        user="" if args.all_users else site.user, tags=("yarn-submitter",), types=("skein",)
    )
    jobs = ours(apps)
    if args.json:
        console.out_json({"schema": SCHEMA, "jobs": [_document(job_id, app) for job_id, app in jobs]})
        return 0
    if not jobs:
        console.say("no jobs; start one with: job run")
        return 0
    console.out("\n".join(aligned(_COLUMNS, [_cells(app) for _, app in jobs], console.out_ink)))
    return 0


def state_of(app: App) -> str:
    """Return an application's state in one word: its final status once it has ended."""
    if not app.ended:
        return app.state
    return "KILLED" if "KILLED" in (app.state, app.final_status) else app.final_status


def _cells(app: App) -> tuple[str, ...]:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(app.started_s))
    took = seconds_text((app.finished_s or time.time()) - app.started_s)
    return app.id, app.name[:20], state_of(app), app.queue, started, took


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
