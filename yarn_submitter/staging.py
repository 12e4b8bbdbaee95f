"""Brings a plan's files to the store: by content, once, under a temporary name first, never touched again."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from am.contract.job import JobPaths
from yarn_submitter.localfiles import LocalFile, tree_members
from yarn_submitter.scratch import cache_errors, scratch_dir
from yarn_submitter.store import Store
from yarn_submitter.units import bytes_text

_PARALLEL = 4
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold: equal code gives equal bytes


@dataclass(frozen=True)
class Staged:
    """What staging did.

    Attributes:
        paths: Content hash -> absolute path on the store.
        written_bytes: Into the cache; 0 when everything was there already.
    """

    paths: dict[str, str]
    written_bytes: int


def code_zip() -> tuple[bytes, str]:
    """Return the zip of the package `am`, which agent and executors run, and its content hash."""
    import am

    root = Path(am.__path__[0])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(root.rglob("*.py")):
            entry = zipfile.ZipInfo(f"am/{file.relative_to(root).as_posix()}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            target.writestr(entry, file.read_bytes())
    content = packed.getvalue()
    return content, hashlib.sha256(content).hexdigest()


def stage(files: Sequence[LocalFile], store: Store, paths: JobPaths, progress: Callable[[str], None]) -> Staged:
    """Put every file into the user's cache on the store, unless its content is there.

    Args:
        files: Local files and directories.
        store: Where to.
        paths: The user's places on it.
        progress: Told what is being sent.

    Raises:
        StagingError: A file could not be read, packed or written.
        UnreachableError: The store does not answer.
    """
    store.makedirs(paths.cache, 0o700)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        written = list(pool.map(lambda file: _stage_one(file, store, paths, progress), files))
    return Staged({file.sha256: object_path(paths, file) for file in files}, sum(written))


def object_path(paths: JobPaths, file: LocalFile) -> str:
    """Return where an object of this content lies on the store."""
    return f"{paths.cache}/{file.sha256}{file.extension}"


def _stage_one(file: LocalFile, store: Store, paths: JobPaths, progress: Callable[[str], None]) -> int:
    target = object_path(paths, file)
    if store.status(target) is not None:
        return 0
    progress(f"sending {os.path.basename(file.path)} ({bytes_text(file.bytes)})")
    if not file.is_tree:
        store.upload(Path(file.path), target)
        return file.bytes
    return _send_tree(file, store, target)


def _send_tree(file: LocalFile, store: Store, target: str) -> int:
    with scratch_dir("staging") as directory, cache_errors():
        packed = directory / "tree.tar.gz"
        pack_tree(file, packed)
        store.upload(packed, target)
        return packed.stat().st_size


def pack_tree(file: LocalFile, target: Path) -> None:
    """Write a directory as tar.gz, its members without owner and time; a source tree without what it ignores."""
    with tarfile.open(target, "w:gz", compresslevel=1) as packed:
        for name, path in tree_members(file.path, source=file.is_source):
            packed.add(path, name, recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member
