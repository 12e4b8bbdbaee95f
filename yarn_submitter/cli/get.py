"""`job get`: what a job left on the store, listed or fetched."""

from __future__ import annotations

import argparse
from pathlib import Path

from yarn_submitter.cli.console import Console
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.job import Job, find_job
from yarn_submitter.store import store_path
from yarn_submitter.units import bytes_text

NAME = "get"
HELP = "fetch what a job left on the store"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument(
        "path",
        nargs="?",
        default="",
        metavar="PATH",
        help="what to fetch: model, checkpoint, output/ROLE-INDEX, or anything below them; without it: list",
    )
    parser.add_argument("--to", default=".", metavar="DIR", help="where to put it (default: here)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    site = site_of(args, console)
    job = find_job(site, args.job)
    if not args.path:
        return _list(job, console, as_json=args.json)
    parts = args.path.strip("/").split("/")
    leads_out = any(part in ("", ".", "..") for part in parts)
    source = _source(job, "/".join(parts))
    if leads_out or site.store.status(source) is None:
        step = f"see what there is: job get {args.job}{site.option}"
        raise UsageError(Problem("result-missing", f"The job left no {args.path}.", source, step))
    place = Path(args.to) / parts[-1]
    site.store.download(source, place)
    if args.json:
        console.out_json({"schema": 1, "id": job.id, "source": source, "path": str(place)})
    else:
        console.out(str(place))
    return 0


def _source(job: Job, path: str) -> str:
    """Return where a name of `job get` lies: `model` and `checkpoint` may lie outside the job's directory."""
    first, _, rest = path.partition("/")
    known = {"model": job.plan.saved_model_path, "checkpoint": job.plan.checkpoint_path}
    base = store_path(known[first], job.site.conf) if first in known else f"{job.plan.job_dir}/{first}"
    return f"{base}/{rest}" if rest else base


def _list(job: Job, console: Console, *, as_json: bool) -> int:
    rows: list[tuple[str, int]] = []
    for name in ("model", "checkpoint", "output"):
        try:
            rows += _below(job, name, _source(job, name))
        except UsageError as error:  # on another file system, which is its owner's affair
            console.say(f"{name}: {error.problems[0].sentence}")
    if as_json:
        console.out_json({"schema": 1, "id": job.id, "files": [{"path": path, "bytes": size} for path, size in rows]})
    elif rows:
        console.out("\n".join(f"{bytes_text(size):>10}  {path}" for path, size in rows))
    else:
        console.say("the job left nothing (yet)")
    return 0


def _below(job: Job, name: str, path: str) -> list[tuple[str, int]]:
    store = job.site.store
    status = store.status(path)
    if status is None:
        return []
    if not status.is_dir:
        return [(name, status.length)]
    rows = []
    for child in store.list(path):
        rows += _below(job, f"{name}/{child.path.rpartition('/')[2]}", child.path)
    return rows
