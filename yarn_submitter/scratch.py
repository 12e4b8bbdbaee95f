"""Temporary directories in the user's cache that never outlive their use, and programs that end with us."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.config import cache_dir
from yarn_submitter.errors import Problem, StagingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, BinaryIO

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
NO_SPACE_WORDS = ("No space left on device", "Disk quota exceeded")


@contextmanager
def scratch_dir(purpose: str) -> Iterator[Path]:
    """Give a fresh directory below the cache's tmp/ and remove it at the end, whatever happened.

    Directories that a killed process left behind for the same purpose are removed on the way: a live one holds a lock
    on its directory. Only scratch_dir may use the prefix `<purpose>-` there.

    Raises:
        StagingError: The cache cannot be written, or is full [cache-unwritable, cache-full].
    """
    parent = cache_dir() / "tmp"
    with cache_errors():
        parent.mkdir(parents=True, exist_ok=True)
        with locked(parent):  # nobody sweeps away what another has made and not yet locked
            _sweep(parent, purpose)
            path = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=parent))
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield path
    finally:
        _remove(path)
        os.close(lock)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or directory (flock(2): it ends with the process) during the block."""
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sweep(parent: Path, purpose: str) -> None:
    """Remove our own leftovers only: others keep directories here too, and do not lock them."""
    for path in parent.glob(f"{purpose}-*"):
        if not path.is_dir():
            continue
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(lock)


def _remove(path: Path) -> None:
    """Remove the tree, also when a package left directories without the right to write."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for directory, _, _ in os.walk(path):
            with suppress(OSError):
                os.chmod(directory, 0o700)
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def cache_errors() -> Iterator[None]:
    """Turn what the operating system says about the cache's disk into problems with an id.

    Raises:
        StagingError: [cache-full] or [cache-unwritable].
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise cache_full(str(error)) from error
        mine = str(error.filename).startswith(str(cache_dir()))
        if mine and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise StagingError(
                Problem(
                    "cache-unwritable",
                    f"The cache {cache_dir()} cannot be written.",
                    str(error),
                    "set XDG_CACHE_HOME to a directory that you can write",
                )
            ) from error
        raise


def cache_full(evidence: str) -> StagingError:
    """Return the error for a full disk below the cache."""
    return StagingError(
        Problem(
            "cache-full",
            f"No space is left for the cache {cache_dir()}.",
            evidence,
            "free some space, or set XDG_CACHE_HOME to a directory on a larger disk",
        )
    )


@contextmanager
def child(command: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program in its own process group; on any exception in the block, the whole group is killed."""
    process: subprocess.Popen[Any] = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def memory_log() -> BinaryIO:
    """Return a file for a program's errors that takes no disk, which may be what is full (memfd_create(2))."""
    return os.fdopen(os.memfd_create("log"), "wb+")


def said_in(log: BinaryIO) -> str:
    """Return what was written to a log.

    Raises:
        StagingError: The program ran out of space [cache-full].
    """
    log.seek(0)
    return with_space(log.read().decode("utf-8", "replace"))


def with_space(text: str) -> str:
    """Return a program's output as it is, unless it tells of a full disk.

    Raises:
        StagingError: The program ran out of space [cache-full].
    """
    full = [line for line in text.splitlines() if any(words in line for words in NO_SPACE_WORDS)]
    if full:
        raise cache_full(full[-1].strip())
    return text


def without_python_settings(environment: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return the environment for a program of ours: no foreign Python settings, temporary files in `scratch`."""
    dropped = ("PYTHON", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "VIRTUAL_ENV", "__PYVENV")
    kept = {name: value for name, value in environment.items() if not name.startswith(dropped)}
    return {**kept, "TMPDIR": str(scratch)}
