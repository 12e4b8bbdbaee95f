"""Small files that several processes share: locks between them, and writes that are never seen half-done."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file for the block; call `on_wait` once when another process has it, then wait for it.

    The lock ends with the process that holds it, so a killed command leaves none behind. Its holder may remove the
    file: whoever waited for it then waits for the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    said = False
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    on_wait()
                said = True
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file.fileno(), path):
                yield
                return


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_beside(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file under a temporary name and rename it into place, so that readers see the old or the new text."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, "utf-8")
    beside.chmod(mode)
    beside.replace(path)
