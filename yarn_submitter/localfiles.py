"""Local files and directories that a job takes along, with their content hash. Hashes are remembered in the cache."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from yarn_submitter.config import cache_dir
from yarn_submitter.errors import Problem, UsageError

_CHUNK_BYTES = 1 << 20
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


@dataclass(frozen=True)
class LocalFile:
    """A local file or directory as it is now.

    Attributes:
        path: Absolute.
        is_tree: Whether it is a directory; it travels as a tar.gz then.
        bytes: Size of the content, before packing.
        sha256: Of the content; of a directory: of the names, modes and contents below it.
        extension: `.tar.gz`, `.zip`, ...: what YARN reads the kind of an archive from; empty for other files.
        is_source: Whether it is a source tree, without what it ignores.
    """

    path: str
    is_tree: bool
    bytes: int
    sha256: str
    extension: str
    is_source: bool = False


def archive_extension(name: str) -> str:
    """Return the archive extension of a file name, or an empty text."""
    return next((extension for extension in _ARCHIVES if name.lower().endswith(extension)), "")


def describe_all(paths: Iterable[str], source_dir: str = "") -> dict[str, LocalFile]:
    """Return what lies at each path.

    Args:
        paths: Files and directories.
        source_dir: Which of them is a source tree.

    Raises:
        UsageError: One cannot be read.
    """
    found = {}
    for path in paths:
        try:
            found[path] = describe(path, source=path == source_dir)
        except OSError as error:
            step = "check the path and its rights"
            raise UsageError(Problem("file-unreadable", f"{path} cannot be read.", str(error), step)) from error
    return found


def describe(path: str, *, source: bool = False) -> LocalFile:
    """Return what lies at `path`.

    Args:
        path: A file or a directory.
        source: It is a source tree: `.git` and what `.jobignore` names are left out.

    Raises:
        OSError: It cannot be read.
    """
    absolute = os.path.abspath(path)
    if not os.path.isdir(absolute):
        size = os.stat(absolute).st_size
        return LocalFile(absolute, False, size, _file_hash(absolute), archive_extension(absolute))
    whole, size = hashlib.sha256(), 0
    for name, member in tree_members(absolute, source=source):
        status = os.lstat(member)
        mode = "link" if stat.S_ISLNK(status.st_mode) else oct(status.st_mode & 0o777)
        whole.update(os.fsencode(f"{name}\0{mode}\0{_content_key(member, status)}\n"))
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return LocalFile(absolute, True, size, whole.hexdigest(), ".tar.gz", source)


def tree_members(root: str, *, source: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (relative name, absolute path) of everything below a directory, sorted by name.

    A source tree is without `.git`, `__pycache__` and the patterns of its `.jobignore` (one glob a line, `#` comments;
    a pattern matches a relative path or a bare name).

    Raises:
        OSError: A directory cannot be read.
    """
    patterns = [".git", "__pycache__", *_ignore_patterns(root)] if source else []
    for directory, subdirectories, files in os.walk(root, onerror=_raise):
        subdirectories.sort()
        relative = os.path.relpath(directory, root)
        prefix = "" if relative == "." else relative + "/"
        subdirectories[:] = [name for name in subdirectories if not _ignored(prefix + name, name, patterns)]
        for name in sorted(files + subdirectories):
            if name in subdirectories or not _ignored(prefix + name, name, patterns):
                yield prefix + name, os.path.join(directory, name)


def _raise(error: OSError) -> None:
    raise error


def _ignore_patterns(root: str) -> list[str]:
    file = Path(root) / ".jobignore"
    if not file.is_file():
        return []
    lines = (line.strip() for line in os.fsdecode(file.read_bytes()).splitlines())
    return [line.rstrip("/") for line in lines if line and not line.startswith("#")]


def _ignored(relative: str, name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(relative, pattern) or fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _content_key(path: str, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    return _file_hash(path) if stat.S_ISREG(status.st_mode) else ""


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _file_hash(path: str) -> str:
    """Return the content hash, remembered by path, size, time and inode: a gigabyte is read once."""
    status = os.stat(path)
    if status.st_size < _CHUNK_BYTES:
        return _hash(path)
    key = [path, status.st_size, status.st_mtime_ns, status.st_ino]
    memory = cache_dir() / "hashes" / (hashlib.sha256(os.fsencode(path)).hexdigest()[:32] + ".json")
    try:
        known = json.loads(memory.read_text())
        if known["key"] == key:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not remembered, or not readable: hash it
    digest = _hash(path)
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        beside = memory.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps({"key": key, "sha256": digest}))
        beside.replace(memory)
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else
    return digest
