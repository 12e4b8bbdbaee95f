"""`job logs`: what a job's tasks wrote, live or finished."""

from __future__ import annotations

import argparse

from am.contract import states
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.follow import Follower
from yarn_submitter.cli.job_arguments import add_job, site_of
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.job import Job, find_job
from yarn_submitter.outputs import check_task, wanted
from yarn_submitter.tasklogs import AGENT, Source, read, sources

NAME = "logs"
HELP = "print the logs of a job's tasks"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    add_job(parser)
    parser.add_argument(
        "task",
        nargs="?",
        default="",
        metavar="ROLE[:INDEX]",
        help="one role, one task, or `agent` (default: all tasks)",
    )
    parser.add_argument(
        "--attempt", type=_count, default=0, metavar="N", help="only the Nth attempt of each task, or of the agent"
    )
    extent = parser.add_mutually_exclusive_group()  # what is followed is shown from its beginning
    extent.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
    extent.add_argument("--tail", type=_count, default=0, metavar="N", help="only the last N lines of each file")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no such number")
    return int(text)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    if args.follow and args.json:
        sentence = "`job logs -f` shows lines as they are written, and --json prints one document."
        raise UsageError(Problem("logs-follow-json", sentence, "", "leave out -f, or --json"))
    job = find_job(site_of(args, console), args.job)
    check_task(job, args.task)
    if args.follow and args.task != AGENT:
        view, _ = job.view()
        if view.state not in states.JOB_ENDED:
            only = {"json": False, "only_output": True, "attempt": args.attempt}
            Follower(job, console, lambda task: wanted(task, args.task), **only).run()
            return 0
    chosen = _chosen(job, args.task, args.attempt)
    documents = []
    tasks = {source.task for source in chosen}
    for source in chosen:
        if len(chosen) > len(tasks) and not args.json:
            console.say(f"{source.task}, attempt {source.attempt}{f' on {source.host}' if source.host else ''}:")
        for name, text in read(job, source):
            lines = text.splitlines()[-args.tail :]
            documents.append({"task": source.task, "attempt": source.attempt, "file": name, "lines": lines})
            if not args.json:
                _print(source, lines, console, prefixed=len(tasks) > 1)
    if args.json:
        console.out_json({"schema": 1, "id": job.id, "logs": documents})
    elif not documents:
        ended = job.view()[0].state in states.JOB_ENDED
        console.say("no task has written anything" + ("" if ended else " (yet)"))
    return 0


def _chosen(job: Job, wish: str, attempt: int) -> list[Source]:
    """Return what is to be read.

    Raises:
        UsageError: There has been no such attempt. [attempt-unknown]
    """
    known = [source for source in sources(job) if wanted(source.task, wish)]
    chosen = [source for source in known if attempt in (0, source.attempt)]
    if known and not chosen:
        newest = max(source.attempt for source in known)
        sentence = f"There is no attempt {attempt} of {wish or 'any task'}; the newest is {newest}."
        raise UsageError(Problem("attempt-unknown", sentence, "", f"job show {job.id} --attempts{job.site.option}"))
    return chosen


def _print(source: Source, lines: list[str], console: Console, *, prefixed: bool) -> None:
    prefix = f"[{source.task}] " if prefixed else ""
    if lines:
        console.out("\n".join(prefix + line for line in lines))
