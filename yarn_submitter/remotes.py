"""Texts that name files and places: localizations, mounts, paths on the store (the grammar is in docs/job-run.md).

Every function notes what is wrong with a text, once, and returns something with which reading can go on.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable

from yarn_submitter.given import Faults, Given, shown, valid_words
from yarn_submitter.localfiles import archive_extension
from yarn_submitter.spec import Localization, Mount

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ONE_SLASH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/(?!/)")  # Hadoop takes it for a URI; here it would be a name
_SCHEMES = (
    *("hdfs", "viewfs", "webhdfs", "swebhdfs", "har", "s3a", "s3n", "s3", "gs", "oss"),
    *("wasb", "wasbs", "abfs", "abfss", "adl", "ftp", "http", "https"),
)
# Names in a task's working directory that are ours or Skein's.
_RESERVED = (".ys.", ".skein.")
_FORM = "the form is REMOTE:LOCAL, for example ./data:./data"
_MOUNT_FORM = "the form is SOURCE:TARGET[:ro|rw], both absolute and without commas"
INPUT_NAME = "input"


def read_input_path(given: Given, faults: Faults) -> str:
    """Return where the input is: a URI, a local path that exists, or nothing."""
    path = given.value
    slashes = _ONE_SLASH.match(path)
    if path and not _URI.match(path) and not _exists(path):
        sentence, seen = f"{given.source}: there is no local {shown(path)}.", f"looked for: {os.path.abspath(path)}"
        if slashes:
            step = f"write {slashes[1]}://{path[slashes.end() - 1 :]}"
        elif path.startswith("/"):
            step = f'write hdfs://{path} for what lies on the store; {given.source} "" when it lies in the image'
            step += ", or on each node"
        else:
            step = "write hdfs:///user/... for what lies on the store"
        faults.add("input-path-missing", sentence, seen, step, at=given)
    return path


def read_store_path(given: Given, faults: Faults) -> str:
    """Return a place on the store: a URI, an absolute path, or nothing."""
    path = given.value
    slashes = _ONE_SLASH.match(path)
    if path and not _URI.match(path) and not path.startswith("/"):
        sentence = f"{given.source}: {shown(path)} is neither a URI nor an absolute path on the cluster's store."
        example = f"{slashes[1]}://{path[slashes.end() - 1 :]}" if slashes else "for example hdfs:///user/me/model"
        faults.add("path-relative", sentence, "", f"write {example}", at=given)
    return path


def read_localizations(
    items: Iterable[Given], faults: Faults, *, taken: tuple[str, ...] = ()
) -> tuple[Localization, ...]:
    """Return REMOTE[#archive]:LOCAL[:rw] texts as values; each needs a local name that nothing else has."""
    found: dict[str, Localization] = {}
    for item in items:
        one = _localization(item, faults)
        if one is None:
            continue
        if one.local in found or one.local in taken:
            other = found[one.local].remote if one.local in found else "--input_path"
            sentence = f"{item.source}: the local name {one.local!r} is already taken by {other}."
            seen = f"read: {shown(item.value)}"
            faults.add("localization-twice", sentence, seen, "choose another local name", at=item)
        found.setdefault(one.local, one)
    return tuple(found.values())


def _localization(item: Given, faults: Faults) -> Localization | None:
    """Return one localization, or None when no good name or source can be read from it."""
    text = item.value
    writable = text.endswith((":rw", ":wr"))
    split = _split(text[:-3] if writable else text)
    if split is None:
        faults.add("localization-form", f"{item.source}: {shown(text)} has no local name.", _FORM, at=item)
        return None
    remote, local = split
    name = _local_name(remote, local)
    if local == "ro":
        sentence = f"{item.source}: the third part of {shown(text)} can be rw, not ro."
        faults.add("localization-form", sentence, _FORM, at=item)
        return None
    if name is None:
        sentence = f"{item.source}: the local name {shown(local)} cannot be used."
        faults.add("localization-form", sentence, _FORM, at=item)
        return None
    archive = remote.endswith("#archive")
    remote = remote.removesuffix("#archive")
    uri = _URI.match(remote)
    if uri:
        _check_scheme(uri.group(1).lower(), item, faults)
    elif not _exists(remote):
        seen = os.path.abspath(remote)
        slashes = _ONE_SLASH.match(remote)
        step = f"write {slashes[1]}://{remote[slashes.end() - 1 :]}" if slashes else "check the path"
        sentence = f"{item.source}: there is no {remote}."
        faults.add("localization-missing", sentence, seen, step, at=item)
        archive = False  # what is not there is no wrong archive
    if archive and not archive_extension(remote):
        kinds = "YARN unpacks .zip, .tar, .tar.gz and .tgz"
        faults.add("archive-kind", f"{item.source}: {remote} is no archive.", kinds, at=item)
    return Localization(remote if uri else os.path.abspath(remote), name, archive, writable)


def _exists(path: str) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:  # a zero byte
        return False


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
    bad = ".." in local.split("/") or name in ("/", "") or name.startswith(_RESERVED) or "\0" in name
    return None if bad else name


def _check_scheme(scheme: str, item: Given, faults: Faults) -> None:
    if scheme in _SCHEMES:
        return
    evidence = valid_words(scheme, _SCHEMES, "known")
    next_step = "write local paths without file://" if scheme == "file" else ""
    sentence = f"{item.source}: nothing can be brought from {scheme}://."
    faults.add("scheme-unknown", sentence, evidence, next_step, at=item)


def check_places(mounts: Iterable[Mount], localizations: Iterable[Localization], faults: Faults) -> None:
    """Note what is mounted and localized at one place in a container."""
    sources = {posixpath.normpath(mount.target): mount.source for mount in mounts}
    for item in localizations:
        if item.local in sources:
            sentence = (
                f"{item.local} is mounted from {shown(sources[item.local])}, and {shown(item.remote)} lies there, too."
            )
            faults.add("mount-twice", sentence, "", "keep one, or give it another place")


def read_mounts(items: Iterable[Given], faults: Faults) -> tuple[Mount, ...]:
    """Return SOURCE:TARGET[:ro|rw] texts as values; each needs a target that nothing else has."""
    found: dict[str, Mount] = {}
    for item in items:
        source, _, rest = item.value.partition(":")
        target, _, mode = rest.partition(":")
        good = source.startswith("/") and target.startswith("/") and "," not in item.value and "\0" not in item.value
        if not good or mode not in ("", "ro", "rw"):
            sentence = f"{item.source}: {shown(item.value)} is no mount."
            faults.add("mount-form", sentence, _MOUNT_FORM, at=item)
        elif target in found:
            sentence = f"{item.source}: {target} is already mounted from {found[target].source}."
            faults.add("mount-twice", sentence, f"read: {shown(item.value)}", "keep one", at=item)
        else:
            found[target] = Mount(source, target, mode == "rw")
    return tuple(found.values())
