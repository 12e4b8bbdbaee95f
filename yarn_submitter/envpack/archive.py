"""Write a tar.gz that depends on nothing but names, modes and contents of what goes in.

The tar stream is cut into pieces, each piece is compressed on its own as a gzip member by a small pool of threads
(compression frees the interpreter lock), and the members are written in order: RFC 1952, 2.2 makes their concatenation
a gzip file, which `gzip -dc`, Java and Python read like any other.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yarn_submitter.errors import Problem, StagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Protocol

    class Sink(Protocol):
        """Takes bytes: an open binary file, a pipe."""

        def write(self, data: bytes, /) -> object:
            """Write all of the data."""


PIECE_BYTES = 1 << 20
THREADS = 2
GZIP_FORMAT_BITS = 31  # zlib's window bits: 15 for the window, 16 for a gzip header (with time 0)


@dataclass(frozen=True)
class Entry:
    """One member of the archive.

    Attributes:
        name: Path in the archive, relative, with `/`.
        source: File that holds the content, or None.
        data: The content when there is no source; with a source, it replaces that many bytes at its start.
        link: Target of a symbolic link, relative; empty for a file.
        executable: Whether the file gets mode 0755 instead of 0644.
    """

    name: str
    source: Path | None = None
    data: bytes = b""
    link: str = ""
    executable: bool = False

    def content(self) -> bytes:
        """Return the whole content of a file."""
        return self.data + (self.source.read_bytes()[len(self.data) :] if self.source else b"")


@dataclass(frozen=True)
class Written:
    """What was written: bytes before and after compression, members, and the SHA-256 of the file."""

    size_bytes: int
    unpacked_bytes: int
    files: int
    sha256: str


def compressor() -> Callable[[bytes], bytes]:
    """Return a function that makes a gzip member: by isal when installed (three times as fast), else by zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return lambda piece: zlib.compress(piece, 1, GZIP_FORMAT_BITS)
    return lambda piece: isal_zlib.compress(piece, 1, GZIP_FORMAT_BITS)


def write_archive(entries: Iterable[Entry], sinks: list[Sink], progress: Callable[[int], None]) -> Written:
    """Write the entries, sorted by name, as tar.gz into every sink at once.

    Args:
        entries: What goes in; directories are not named, tar makes them.
        sinks: Open binary files or pipes; they are not closed.
        progress: Called now and then with the number of uncompressed bytes so far.

    Raises:
        StagingError: A file became shorter while it was read [pack-changed].
        OSError: A file cannot be read or a sink not written.
    """
    stream = _Stream(sinks, progress)
    files = 0
    try:
        for entry in sorted(entries, key=lambda entry: entry.name):
            files += 1
            _write_entry(stream, entry)
        stream.write(b"\0" * (2 * tarfile.BLOCKSIZE))
        stream.finish()
    finally:
        stream.pool.shutdown(wait=True, cancel_futures=True)
    return Written(stream.size_bytes, stream.unpacked_bytes, files, stream.digest.hexdigest())


def _write_entry(stream: _Stream, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mode = 0o755 if entry.executable or entry.link else 0o644
    if entry.link:
        info.type = tarfile.SYMTYPE
        info.linkname = entry.link
        stream.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        return
    if entry.source is None:
        info.size = len(entry.data)
        stream.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        stream.write(entry.data)
    else:
        with entry.source.open("rb", buffering=0) as source:
            info.size = os.fstat(source.fileno()).st_size
            stream.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
            stream.write(entry.data)
            source.seek(len(entry.data))
            left = info.size - len(entry.data)
            while left > 0:
                piece = source.read(min(left, PIECE_BYTES))
                if not piece:
                    raise StagingError(
                        Problem("pack-changed", f"{entry.source} changed while it was packed.", next_step="pack again")
                    )
                stream.write(piece)
                left -= len(piece)
    stream.write(b"\0" * (-info.size % tarfile.BLOCKSIZE))


class _Stream:
    """Collects the tar stream into pieces, compresses them in threads, writes the members in order."""

    def __init__(self, sinks: list[Sink], progress: Callable[[int], None]) -> None:
        self.sinks = sinks
        self.progress = progress
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="gzip")
        self.compress = compressor()
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self.unpacked_bytes = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._pending: deque[Future[bytes]] = deque()

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if self._held >= PIECE_BYTES:
            self._submit()

    def finish(self) -> None:
        self._submit()
        while self._pending:
            self._take()

    def _submit(self) -> None:
        piece = b"".join(self._parts)
        self.unpacked_bytes += self._held
        self._parts, self._held = [], 0
        self._pending.append(self.pool.submit(self.compress, piece))
        if len(self._pending) > 2 * THREADS:
            self._take()
            self.progress(self.unpacked_bytes)

    def _take(self) -> None:
        member = self._pending.popleft().result()
        self.digest.update(member)
        self.size_bytes += len(member)
        for sink in self.sinks:
            sink.write(member)
