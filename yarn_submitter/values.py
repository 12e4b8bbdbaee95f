"""Texts to values: flags, counts, choices, pairs, resources, localizations, paths (the grammar is in docs/job-run.md).

Every function notes what is wrong with a text, once, and returns something with which reading can go on.
"""

from __future__ import annotations

import os
import posixpath
import re

from yarn_submitter.given import Faults, Given, close_match
from yarn_submitter.localfiles import archive_extension
from yarn_submitter.options import Option
from yarn_submitter.spec import Localization
from yarn_submitter.units import Ask, parse_resources

MOST_TASKS = 100_000  # of a role; ten times what the largest clusters run of one application
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEMES = (
    *("hdfs", "viewfs", "webhdfs", "swebhdfs", "har", "s3a", "s3n", "s3", "gs", "oss"),
    *("wasb", "wasbs", "abfs", "abfss", "adl", "ftp", "http", "https"),
)
# Names in a task's working directory that are ours or Skein's.
_RESERVED = (".ys.", ".skein.")
_FORM = "the form is REMOTE:LOCAL, for example ./data:./data"
INPUT_NAME = "input"


def read_flag(given: Given, faults: Faults) -> bool:
    """Return whether a flag is on."""
    word = given.value.lower()
    if word not in ("true", "yes", "on", "false", "no", "off"):
        faults.add("value-not-boolean", f"{given.source} takes true or false, not {given.value!r}.")
    return word in ("true", "yes", "on")


def read_count(given: Given, faults: Faults) -> int:
    """Return how many tasks a role has."""
    text = given.value.strip()
    if text.isascii() and text.isdigit() and len(text.lstrip("0")) <= len(str(MOST_TASKS)) and int(text) <= MOST_TASKS:
        return int(text)
    shown = repr(text) if len(text) < 40 else f"{text[:40]!r}..."
    faults.add("value-not-a-number", f"{given.source} takes a whole number from 0 to {MOST_TASKS}, not {shown}.")
    return 1


def read_choice(option: Option, given: Given, faults: Faults) -> str:
    """Return one of an option's choices, in lower case."""
    word = given.value.lower()
    if word in option.choices:
        return word
    hint = close_match(word, option.choices)
    valid = f"valid: {', '.join(option.choices)}" + (f"; {hint}" if hint else "")
    faults.add("value-unknown", f"{given.source}: {given.value!r} is not known.", valid)
    return option.default


def read_pairs(items: list[Given], faults: Faults) -> dict[str, str]:
    """Return K=V texts as a dictionary; the first `=` splits, KEY alone is the empty string, the last one counts."""
    found: dict[str, str] = {}
    for item in items:
        key, _, value = item.value.partition("=")
        if not _VARIABLE.match(key):
            faults.add("env-name", f"{item.source}: {key!r} is not a variable's name.", f"read: {item.value!r}")
        if key in found:
            faults.warn(f"{item.source}: variable {key} is given more than once, {value!r} counts")
        found[key] = value
    return found


def read_ask(given: Given, faults: Faults) -> Ask:
    """Return resources."""
    try:
        return parse_resources(given.value)
    except ValueError as error:
        faults.add("resources-form", f"{given.source}: {error}.")
        return Ask(0)


def read_input_path(given: Given, faults: Faults) -> str:
    """Return where the input is: a URI, a local path that exists, or nothing."""
    path = given.value
    if path and not _URI.match(path) and not os.path.exists(path):
        seen = f"{os.path.abspath(path)}\nwhat lies on the cluster begins with its scheme: hdfs:///..."
        faults.add("input-path-missing", f"{given.source}: there is no local {path!r}.", seen, "check the path")
    return path


def read_store_path(given: Given, faults: Faults) -> str:
    """Return a place on the store: a URI, an absolute path, or nothing."""
    path = given.value
    if path and not _URI.match(path) and not path.startswith("/"):
        sentence = f"{given.source}: {path!r} is neither a URI nor an absolute path on the cluster's store."
        faults.add("path-relative", sentence, "", "write for example hdfs:///user/me/model")
    return path


def read_localizations(items: list[Given], faults: Faults, *, taken: tuple[str, ...] = ()) -> tuple[Localization, ...]:
    """Return REMOTE[#archive]:LOCAL[:rw] texts as values; each needs a local name that nothing else has."""
    found: dict[str, Localization] = {}
    for item in items:
        one = _localization(item, faults)
        if one is None:
            continue
        if one.local in found or one.local in taken:
            other = found[one.local].remote if one.local in found else "--input_path"
            sentence = f"{item.source}: the local name {one.local!r} is already taken by {other}."
            faults.add("localization-twice", sentence, f"read: {item.value!r}", "choose another local name")
        found.setdefault(one.local, one)
    return tuple(found.values())


def _localization(item: Given, faults: Faults) -> Localization | None:
    """Return one localization, or None when no good name or source can be read from it."""
    text = item.value
    writable = text.endswith((":rw", ":wr"))
    split = _split(text[:-3] if writable else text)
    if split is None:
        faults.add("localization-form", f"{item.source}: {text!r} has no local name.", _FORM)
        return None
    remote, local = split
    name = _local_name(remote, local)
    if local == "ro":
        faults.add("localization-form", f"{item.source}: the third part of {text!r} can be rw, not ro.", _FORM)
        return None
    if name is None:
        faults.add("localization-form", f"{item.source}: the local name {local!r} cannot be used.", _FORM)
        return None
    archive = remote.endswith("#archive")
    remote = remote.removesuffix("#archive")
    uri = _URI.match(remote)
    if uri:
        _check_scheme(uri.group(1).lower(), item, faults)
    elif not os.path.exists(remote):
        seen = os.path.abspath(remote)
        faults.add("localization-missing", f"{item.source}: there is no {remote}.", seen, "check the path")
        archive = False  # what is not there is no wrong archive
    if archive and not archive_extension(remote):
        kinds = "YARN unpacks .zip, .tar, .tar.gz and .tgz"
        faults.add("archive-kind", f"{item.source}: {remote} is no archive.", kinds)
    return Localization(remote if uri else os.path.abspath(remote), name, archive, writable)


def _split(body: str) -> tuple[str, str] | None:
    """Return REMOTE and LOCAL; the colon of `hdfs://host:8020/path` splits nothing."""
    uri = _URI.match(body)
    start = uri.end() if uri else 0
    remote, _, local = body[start:].rpartition(":")
    is_port = uri is not None and "/" not in remote and local.split("/")[0].isdigit()
    return (body[:start] + remote, local) if remote and local and not is_port else None


def _local_name(remote: str, local: str) -> str | None:
    name = posixpath.normpath(local)
    if name == ".":
        name = posixpath.basename(remote.removesuffix("#archive").rstrip("/"))
    bad = ".." in local.split("/") or name in ("/", "") or name.startswith(_RESERVED)
    return None if bad else name


def _check_scheme(scheme: str, item: Given, faults: Faults) -> None:
    if scheme in _SCHEMES:
        return
    hint = close_match(scheme, _SCHEMES)
    valid = f"known: {', '.join(_SCHEMES)}" + (f"; {hint}" if hint else "")
    next_step = "write local paths without file://" if scheme == "file" else ""
    faults.add("scheme-unknown", f"{item.source}: nothing can be brought from {scheme}://.", valid, next_step)
