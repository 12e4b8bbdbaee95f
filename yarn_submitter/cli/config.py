"""`job config`: which settings count and what set them, and whether the files are right."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from yarn_submitter.cli.job_arguments import add_cluster

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from yarn_submitter.cli.console import Console
    from yarn_submitter.errors import Problem
    from yarn_submitter.settings import Key, Settings

NAME = "config"
HELP = "the settings that count, and whether they are right: show, check"
_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/_.=,@:-]*\Z")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two actions of `job config` and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="show|check")
    show = actions.add_parser("show", help="every setting that counts, with its value")
    add_cluster(show)
    show.add_argument("--origin", action="store_true", help="say what set each of them")
    check = actions.add_parser("check", help="read the configuration; exit code 64 and every fault when it is wrong")
    check.add_argument("file", nargs="?", default="", metavar="FILE", help="this file alone (default: all that counts)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one action."""
    if args.action == "check":
        return _check_file(args.file, console) if args.file else _check_all(console)
    from yarn_submitter.siteconfig import load_settings

    settings = load_settings(os.environ, args.set, args.cluster)
    if args.json:
        console.out_json(_document(settings, origin=args.origin))
    else:
        console.out("\n".join(_lines(settings, origin=args.origin)))
    return 0


def _check_file(path: str, console: Console) -> int:
    from yarn_submitter.errors import UsageError
    from yarn_submitter.given import Faults
    from yarn_submitter.siteconfig import read_file

    faults = Faults()
    level = read_file(path, faults, needed=True)
    if faults.problems:
        raise UsageError(*faults.problems)
    console.out(f"{path}: {len(level)} settings, no fault")
    return 0


def _check_all(console: Console) -> int:
    """Read all that counts, and the Hadoop configuration of every cluster that has a name."""
    from yarn_submitter.config import site_file, user_file
    from yarn_submitter.errors import UsageError
    from yarn_submitter.site import open_site
    from yarn_submitter.siteconfig import load_settings

    problems: list[Problem] = []
    settings = load_settings(os.environ)
    for name in settings.clusters:
        try:
            open_site(name)
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(*problems)
    for path in (site_file(os.environ), user_file(os.environ)):
        console.out(f"{path}: {'no fault' if os.path.lexists(path) else 'not there'}")
    console.out(f"{len(settings.clusters)} clusters, no fault")
    return 0


def _entries(settings: Settings) -> Iterator[tuple[str, Key, Any]]:
    """Yield name, key and value of every setting, the entries of open sections too; what is empty has its default."""
    from yarn_submitter.settings import keys

    for name, key in keys().items():
        value: Any = settings
        for field in key.path:
            value = getattr(value, field)
        if name.endswith(".*"):
            for entry, text in value.items():
                yield f"{name[:-1]}{entry}", key, text
        else:
            yield name, key, value


def _document(settings: Settings, *, origin: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"env": {}, "profiles": {}}
    origins = {}
    for name, key, value in _entries(settings):
        section, dot, last = name.partition(".")
        place = found.setdefault(section, {}) if dot else found
        typed = value if value is None or key.kind is int or key.is_list else key.text(value)
        place[last if dot else section] = typed
        origins[name] = settings.origin(name)
    document = {"schema": 1, "settings": found, "clusters": dict(settings.clusters)}
    return {**document, "origins": origins} if origin else document


def _lines(settings: Settings, *, origin: bool) -> Iterator[str]:
    """Yield the settings, much as a file has them; a chosen cluster's own values stand in the general places."""
    told = ""
    for name, key, value in _entries(settings):
        section, dot, last = name.partition(".")
        if dot and section != told:
            yield f"{section}:"
            told = section
        line = f"  {last}: " if dot else f"{section}: "
        line += json.dumps(list(value)) if key.is_list else _scalar(key, value)
        yield f"{line:<40} # {settings.origin(name)}" if origin else line
    yield "clusters:" if settings.clusters else "clusters: {}"
    for name, directory in settings.clusters.items():
        yield f"  {name}: {{hadoop_conf_dir: {_quoted(directory)}}}"


def _scalar(key: Key, value: Any) -> str:
    return key.text(value) if key.kind is int or value is None else _quoted(key.text(value))


def _quoted(text: str) -> str:
    """Return a text as YAML has it: JSON's quotes are YAML's too."""
    return text if _PLAIN.match(text) else json.dumps(text, ensure_ascii=False)
