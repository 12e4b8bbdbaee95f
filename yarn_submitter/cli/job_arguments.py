"""Arguments that the verbs about one job share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yarn_submitter.cli.console import Console
    from yarn_submitter.site import Site


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add `--cluster`, `--set` and `--json`."""
    parser.add_argument("--cluster", default="", help="a cluster's name, sandbox or sandbox:NAME; else HADOOP_CONF_DIR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for this command")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add the job itself, `--cluster`, `--set` and `--json`."""
    parser.add_argument("job", metavar="JOB", help="application id, our id, or name")
    add_cluster(parser)


def site_of(args: argparse.Namespace, console: Console) -> Site:
    """Return the cluster of a verb that looks at what is there, or steers or ends it: a misspelled key is no obstacle.

    Raises:
        UsageError: As `open_site`, but for unknown keys of files and of the environment, which are told.
    """
    from yarn_submitter.site import open_site

    return open_site(
        args.cluster,
        overrides=args.set,
        warn=lambda problem: console.say(f"job: warning: {problem.text()}"),
    )
