"""Brings a plan's files to the store: by content, once, under a temporary name first, never touched again."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from am.contract.job import JobPaths
from yarn_submitter.config import cache_dir
from yarn_submitter.errors import DeniedError
from yarn_submitter.localfiles import LocalFile, tree_members
from yarn_submitter.preflight_places import no_home
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
    sender = _Sender(store, paths, progress)
    pool = ThreadPoolExecutor(_PARALLEL)
    try:
        written = list(pool.map(sender.send, files))
    finally:  # Ctrl-C, or one file that cannot be sent, ends the sending of the others
        sender.stop.set()
        pool.shutdown(cancel_futures=True)
    return Staged({file.sha256: object_path(paths, file) for file in files}, sum(written))


def make_place(store: Store, paths: JobPaths) -> None:
    """Make the user's directory on the store.

    Raises:
        DeniedError: The user may not make it. [home-denied]
        UnreachableError: The store does not answer.
    """
    try:
        store.makedirs(paths.cache, 0o700)
    except DeniedError as error:
        raise DeniedError(no_home(paths.base, error.problems[0].evidence)) from error


def object_path(paths: JobPaths, file: LocalFile) -> str:
    """Return where an object of this content lies on the store."""
    return f"{paths.cache}/{file.sha256}{file.extension}"


class _StoppedError(Exception):
    """Sending was given up; nobody is told, who stopped it knows."""


class _Sender:
    """Sends files, each in a thread, until told to stop."""

    def __init__(self, store: Store, paths: JobPaths, progress: Callable[[str], None]) -> None:
        self._store = store
        self._paths = paths
        self._progress = progress
        self.stop = threading.Event()

    def send(self, file: LocalFile) -> int:
        """Send one file unless its content is there; return the bytes written."""
        target = object_path(self._paths, file)
        if self._store.status(target) is not None:
            return 0
        if file.is_tree:
            return self._send_tree(file, target)
        self._upload(Path(file.path), target, _title(file), file.bytes)
        return file.bytes

    def _send_tree(self, file: LocalFile, target: str) -> int:
        with scratch_dir("staging") as directory, cache_errors():
            packed = directory / "tree.tar.gz"
            self._progress(f"packing {_title(file)} ({bytes_text(file.bytes)})")
            pack_tree(file, packed, self._go_on)
            size = packed.stat().st_size
            self._upload(packed, target, _title(file), size)
            return size

    def _upload(self, local: Path, target: str, title: str, size: int) -> None:
        gone = 0

        def show(count: int) -> None:
            nonlocal gone
            self._go_on()
            gone += count
            self._progress(f"sending {title}: {gone * 100 // (size or 1)} % of {bytes_text(size)}")

        self._progress(f"sending {title} ({bytes_text(size)})")
        self._store.upload(local, target, show)

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise _StoppedError


def _title(file: LocalFile) -> str:
    """Return what a file is called for the user, who has never seen names in our cache."""
    mine = file.path.startswith(f"{cache_dir()}{os.sep}")
    return "an environment archive" if mine else os.path.basename(file.path)


def pack_tree(file: LocalFile, target: Path, before_each: Callable[[], None] = lambda: None) -> None:
    """Write a directory as tar.gz; a source tree without what it ignores.

    Members have no owner and no time, and neither has the archive: equal trees give equal bytes.
    `before_each` is called before each member; what it raises ends the packing.
    """
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as packed,
    ):
        for name, path in tree_members(file.path, source=file.is_source):
            before_each()
            packed.add(path, name, recursive=False, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member
