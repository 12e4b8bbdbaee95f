"""`job logs`: what a job's tasks wrote, live or finished."""

from __future__ import annotations

import argparse

from am.contract import states
from am.contract.job import split_task
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.follow import Follower
from yarn_submitter.cli.job_arguments import add_job
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.job import Job, find_job
from yarn_submitter.site import open_site
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
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
    parser.add_argument("--tail", type=_count, default=0, metavar="N", help="only the last N lines of each file")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines")
    return int(text)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb."""
    job = find_job(open_site(args.cluster, overrides=args.set), args.job)
    _check(job, args.task)
    if args.follow and args.task != AGENT:
        view, _ = job.view()
        if view.state not in states.JOB_ENDED:
            follower = Follower(job, console, lambda task: _wanted(task, args.task), json=False, only_output=True)
            follower.run()
            return 0
    chosen = [source for source in sources(job) if _wanted(source.task, args.task)]
    documents = []
    for source in chosen:
        for name, text in read(job, source):
            lines = text.splitlines()[-args.tail :]
            documents.append({"task": source.task, "file": name, "lines": lines})
            if not args.json:
                _print(source, lines, console, prefixed=len(chosen) > 1)
    if args.json:
        console.out_json({"schema": 1, "id": job.id, "logs": documents})
    elif not documents:
        console.say("no task has written anything (yet)")
    return 0


def _print(source: Source, lines: list[str], console: Console, *, prefixed: bool) -> None:
    prefix = f"[{source.task}] " if prefixed else ""
    if lines:
        console.out("\n".join(prefix + line for line in lines))


def _wanted(task: str, wish: str) -> bool:
    if task == AGENT:
        return wish == AGENT
    return not wish or wish in (task, split_task(task)[0])


def _check(job: Job, wish: str) -> None:
    """Refuse a task that the job does not have."""
    roles = {role.name: role.instances for role in job.plan.roles}
    role, _, index = wish.partition(":")
    known = wish in ("", AGENT) or (
        role in roles and (not index or (index.isdigit() and int(index) < roles[role])) and wish[-1:] != ":"
    )
    if not known:
        tasks = ", ".join(f"{name}:0..{count - 1}" if count > 1 else f"{name}:0" for name, count in roles.items())
        raise UsageError(Problem("task-unknown", f"The job has no task {wish!r}.", f"it has {tasks}, and agent"))
