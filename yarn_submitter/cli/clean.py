"""`job clean`: directories of ended jobs, and cached files that no live job uses, go from the store."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from yarn_submitter.clean import Cleaning, Wish, find, remove
from yarn_submitter.cli.console import Column, Console, aligned
from yarn_submitter.cli.job_arguments import add_cluster
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.site import Site, open_site
from yarn_submitter.units import bytes_text, parse_duration, seconds_text

NAME = "clean"
HELP = "remove directories of ended jobs, and cached files that no live job uses"
SCHEMA = 1
_DAY_S = 86400
_STATES = ("SUCCEEDED", "FAILED", "KILLED")
_JOBS = (
    *(Column("ID", 22), Column("NAME"), Column("STATE", 9), Column("ENDED", 16)),
    *(Column("AGE", right=True), Column("SIZE", right=True)),
)
_OBJECTS = (Column("CACHED FILE"), Column("WRITTEN", 16), Column("AGE", right=True), Column("SIZE", right=True))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="application id, our id, or name (default: all, by age)")
    parser.add_argument(
        "--older",
        type=_duration,
        metavar="DURATION",
        help="only jobs that ended so long ago, such as 30d (default without JOB: the setting retention)",
    )
    parser.add_argument("--state", type=_states, default=(), metavar="STATE,...", help=f"only {', '.join(_STATES)}")
    parser.add_argument("--cache", action="store_true", help="cached files, too, that no live job uses")
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    add_cluster(parser)


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _states(text: str) -> tuple[str, ...]:
    states = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    if not states or not set(states) <= set(_STATES):
        raise argparse.ArgumentTypeError(f"{text!r}: jobs end as {', '.join(_STATES)}")
    return states


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    site = open_site(args.cluster, overrides=args.set)
    wish = _wish(args, site)
    shown = find(site, wish)
    if not args.json:
        _show(shown, console)
    something = bool(shown.jobs or shown.objects)
    agreed = something and (args.yes or _asked(shown, console))
    if agreed:
        console.progress("removing")
        shown = remove(site, wish, shown)
    if args.json:
        console.out_json(_document(shown, removed=bool(agreed)))
    elif agreed:
        console.say(f"removed {_total(shown)}")
    elif agreed is None:
        console.say("nothing was removed")
    if something and agreed is False:
        step = "add --yes to remove what is shown"
        raise UsageError(Problem("clean-unconfirmed", "Nothing was removed: there is no terminal to ask on.", "", step))
    return 0


def _wish(args: argparse.Namespace, site: Site) -> Wish:
    """Return what is meant; the setting `retention` when neither jobs nor an age are named."""
    retention = site.settings.retention_s
    older_s, jobs = args.older, True
    if older_s is None and not args.jobs:
        older_s, jobs = retention, retention is not None
        if not jobs and not args.cache:
            evidence = f"retention is never (set by: {site.settings.origin('retention')})"
            step = "name jobs, or an age: job clean --older 30d"
            sentence = "It is not said which jobs may be cleaned."
            raise UsageError(Problem("clean-what", sentence, evidence, step))
    return Wish(tuple(args.jobs), jobs, float(older_s or 0), args.state, args.cache)


def _asked(shown: Cleaning, console: Console) -> bool | None:
    """Return the answer of a person: None for no; False when there is nobody to ask."""
    if not (sys.stdin.isatty() and console.stderr.isatty()):
        return False
    console.erase()
    console.stderr.write(f"remove {_total(shown)} for ever? [y/N] ")
    console.stderr.flush()
    return True if sys.stdin.readline().strip().lower() in ("y", "yes") else None


def _total(shown: Cleaning) -> str:
    counts = []
    if shown.jobs:
        counts.append(f"{len(shown.jobs)} job{'s' * (len(shown.jobs) > 1)}")
    if shown.objects:
        counts.append(f"{len(shown.objects)} cached file{'s' * (len(shown.objects) > 1)}")
    return f"{' and '.join(counts)}, {bytes_text(shown.bytes)}" if counts else "nothing"


def _show(shown: Cleaning, console: Console) -> None:
    now_s = time.time()
    if shown.jobs:
        rows = [
            (job.id, job.name, job.state, _when(job.ended_s), _age(now_s - job.ended_s), bytes_text(job.bytes))
            for job in shown.jobs
        ]
        console.out("\n".join(aligned(_JOBS, rows, console.out_ink)))
    if shown.objects:
        files = [
            (
                found.path.rpartition("/")[2],
                _when(found.written_s),
                _age(now_s - found.written_s),
                bytes_text(found.bytes),
            )
            for found in shown.objects
        ]
        console.out("\n".join(aligned(_OBJECTS, files, console.out_ink)))
    for path, why in shown.kept.items():
        console.say(f"kept {path}: {why}")
    if not shown.jobs and not shown.objects:
        console.say("there is nothing to clean")


def _when(time_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_s))


def _age(seconds: float) -> str:
    return f"{int(seconds) // _DAY_S} d" if seconds >= 2 * _DAY_S else seconds_text(max(0.0, seconds))


def _document(shown: Cleaning, *, removed: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "removed": removed,
        "bytes": shown.bytes,
        "jobs": [
            {
                "id": job.id,
                "name": job.name,
                "state": job.state,
                "ended_s": job.ended_s,
                "path": job.path,
                "bytes": job.bytes,
            }
            for job in shown.jobs
        ],
        "cached": [{"path": found.path, "written_s": found.written_s, "bytes": found.bytes} for found in shown.objects],
        "kept": [{"path": path, "why": why} for path, why in shown.kept.items()],
    }
