"""The command line: finds the verb, runs it, turns errors into text and exit codes. The only place that catches all.

A verb is one module here with NAME, HELP, `configure(parser)` and `run(args, console) -> exit code`; only the module of
the verb that was typed is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from am.contract import codes
from yarn_submitter.cli.console import Console
from yarn_submitter.errors import SubmitterError

VERBS = {
    "run": "run a training job and follow it",
    "rerun": "submit a job again from its own record",
    "list": "list jobs",
    "show": "show a job: how far it is, why it waits, tasks, paths",
    "events": "print what happened to a job",
    "wait": "wait until jobs have ended, and exit with their code",
    "logs": "print the logs of a job's tasks",
    "kill": "end a job",
    "move": "move a job to another queue",
    "priority": "set a job's priority within its queue",
    "timeout": "let YARN kill a job that has not ended in time",
    "get": "fetch what a job left on the store",
    "clean": "remove directories of ended jobs, and cached files that no job uses",
    "queues": "show the queues: shares, use, who may submit",
    "nodes": "show the nodes: resources, what is free, labels, health",
    "pack": "make an environment archive",
    "config": "the settings that count: show, check",
    "sandbox": "a real Hadoop on this machine",
}
DETACHED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a module here, once `job list` has run
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)
    console = Console(sys.stdout, sys.stderr)
    try:
        return _command(words, console)
    except SubmitterError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.say("interrupted")
        return DETACHED
    except BrokenPipeError:
        # The reader of our output is gone (`job logs | head`): nothing more to say, and nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  the last line of defence: a bug of ours gets a sentence too
        return _bug(error, console)


def _prepared(stream: TextIO | None) -> TextIO:
    """Return a stream that takes every letter and waits for its reader; one that goes nowhere where it was closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a terminal need not know every letter of a job's output
        with contextlib.suppress(OSError, ValueError):  # no file
            os.set_blocking(stream.fileno(), True)  # a program beside us may have it otherwise
    return stream


def _command(words: list[str], console: Console) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        console.out(_usage())
        return 0 if words else codes.USAGE
    if words[0] in ("--version", "-version", "version") or words in (["run", "--version"], ["run", "-version"]):
        from yarn_submitter import __version__

        console.out(f"yarn-submitter {__version__}")
        return 0
    if words[0] not in VERBS:
        from yarn_submitter.given import close_match

        hint = close_match(words[0], VERBS)
        console.say(f"job: there is no verb {words[0]!r}{'; ' + hint if hint else ''} [verb-unknown]\n{_usage()}")
        return codes.USAGE
    return _run_verb(words[0], words[1:], console)


def _run_verb(verb: str, words: list[str], console: Console) -> int:
    module = importlib.import_module(f"yarn_submitter.cli.{verb}")
    if verb == "run":  # its language is older than argparse's rules
        return int(module.run(words, console))
    parser = argparse.ArgumentParser(f"job {verb}", description=module.HELP, allow_abbrev=False)
    module.configure(parser)
    try:
        args = parser.parse_args(words)
    except SystemExit as ended:
        return 0 if ended.code in (0, None) else codes.USAGE
    return int(module.run(args, console))


def _bug(error: Exception, console: Console) -> int:
    import traceback

    from yarn_submitter.config import cache_dir

    report = cache_dir() / "last-bug.txt"
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text("".join(traceback.format_exception(error)))
        place = f"the details are in {report}"
    except OSError:
        place = "the details could not be written"
    console.say(f"job: a bug of ours: {type(error).__name__}: {error} [internal]\n  {place}\n  next: please report it")
    return codes.BUG


def _usage() -> str:
    rows = "\n".join(f"  {name:<8} {text}" for name, text in VERBS.items())
    return f"usage: job VERB ...\n\n{rows}\n\n`job VERB --help` tells more."
