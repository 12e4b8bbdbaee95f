"""job pack: make an environment archive and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.errors import Problem, UsageError

if TYPE_CHECKING:
    import argparse

    from yarn_submitter.cli.console import Console

NAME = "pack"
HELP = "make a tar.gz with interpreter and packages that runs on any node, and prove it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `job pack`."""
    parser.add_argument(
        "what", nargs="*", metavar="VENV_DIR|PKG", help="a virtualenv, or requirements as pip takes them"
    )
    parser.add_argument("-r", "--requirement", action="append", default=[], type=Path, metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, metavar="env.tar.gz", help="the archive to write")
    parser.add_argument(
        "--agent", action="store_true", help="make the agent's own archive now, which the first `job run` would make"
    )
    parser.add_argument(
        "--python", default="", metavar="PY", help="interpreter to pack with requirements (default: ours)"
    )
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="install from these wheels only, without a network")
    parser.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="MODULE", help="import this in the proof"
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="leave out (** crosses directories)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Pack; the archive's path goes to standard output, the measurements to standard error."""
    from yarn_submitter.envpack.pack import agent_env, pack, source_of

    if args.agent:
        console.out(str(agent_env(console.progress)))
        return 0
    if args.output is None:
        raise UsageError(Problem("pack-output", "Where the archive is to be written is not said.", "", "-o env.tar.gz"))
    source = source_of(args.what, args.requirement, wheels=args.wheels, python=args.python)
    report = pack(
        source, args.output, imports=tuple(args.imports), exclude=tuple(args.exclude), progress=console.progress
    )
    for line in report.lines():
        console.say(line)
    console.out(str(report.path))
    return 0
