"""Arguments that the verbs about one job share."""

from __future__ import annotations

import argparse


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add `--cluster`, `--set` and `--json`."""
    parser.add_argument("--cluster", default="", help="a cluster's name, sandbox or sandbox:NAME; else HADOOP_CONF_DIR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for this command")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add the job itself, `--cluster`, `--set` and `--json`."""
    parser.add_argument("job", metavar="JOB", help="application id, our id, or name")
    add_cluster(parser)
