"""Aggregated container logs: where YARN puts them, and how the TFile format is read.

Layout of the path and of the file: LogAggregationTFileController, TFile and BCFile of Hadoop 3.5.0; checked on files
that 3.4.3 and 3.5.0 wrote. All integers are big-endian. A file is

    data blocks, index blocks, meta index, tail

The tail is the offset of the meta index (8 bytes), two version numbers (2 + 2) and MAGIC (16, also at the beginning).
The meta index names the block `data:BCFile.index`, which lists the data blocks. A data block, once decompressed, is a
row of records: key and value, the value in chunks. A container's record has its id as key; its value is a row of
(file name, length as decimal text, bytes). The codecs are `none` and `gz`.
"""

from __future__ import annotations

import posixpath
import zlib
from collections.abc import Iterator
from typing import Protocol

from yarn_submitter.errors import Problem, StagingError
from yarn_submitter.hadoopconf import HadoopConf
from yarn_submitter.store import FileStatus, Store, store_path

MAGIC = bytes.fromhex("d111d36891b5d7b639df414092bae150")
PIECE_BYTES = 1 << 20
_TAIL_BYTES = 8 + 2 + 2 + len(MAGIC)
_WRITING = ".tmp"  # what a NodeManager has not finished


class RandomAccess(Protocol):
    """Something of a known size that can be read at any place."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""


class StoreFile:
    """A file on a store, for reading at any place."""

    def __init__(self, store: Store, file: FileStatus) -> None:
        self._store = store
        self._path = file.path
        self._small: bytes | None = None  # all of a small file: one request instead of four
        self.size = file.length

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the file."""
        if self.size <= PIECE_BYTES:
            if self._small is None:
                self._small = self._store.read(self._path)
            return self._small[offset : offset + length]
        return self._store.read(self._path, offset, length)


class _Blob:
    """A whole file in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class _EndError(Exception):
    """The bytes end before what was announced."""


def aggregated(conf: HadoopConf, store: Store, user: str, app_id: str) -> list[FileStatus]:
    """Return the aggregated log files of an application, one per node; none when nothing was aggregated (yet).

    Args:
        conf: Says where logs are aggregated to.
        store: The cluster's default file system.
        user: The application's owner.
        app_id: `application_..._0001`.

    Raises:
        UsageError: Logs are aggregated to another file system. [store-scheme]
        StagingError, UnreachableError, DeniedError: As the store does.
    """
    for directory in log_dirs(conf, user, app_id):
        status = store.status(directory)
        if status is not None:
            return [file for file in store.list(directory) if not file.is_dir and not file.path.endswith(_WRITING)]
    return []


def log_dirs(conf: HadoopConf, user: str, app_id: str) -> list[str]:
    """Return where an application's aggregated logs may lie, likeliest first: Hadoop >= 3.3, then older layouts."""
    mine = posixpath.join(store_path(conf.log_dir_root, conf), user)
    bucket = f"{int(app_id.rpartition('_')[2]) % 10000:04d}"
    older = conf.get("yarn.nodemanager.remote-app-log-dir-suffix", "logs")
    return [
        f"{mine}/bucket-{conf.log_suffix}/{bucket}/{app_id}",
        f"{mine}/{conf.log_suffix}/{app_id}",
        f"{mine}/{older}/{app_id}",
    ]


def read_container_logs(source: bytes | RandomAccess, container_id: str = "") -> Iterator[tuple[str, str, bytes]]:
    """Yield (container id, file name, bytes) for every log in an aggregated file, in its order.

    A log longer than PIECE_BYTES comes in several items, one after the other; an empty log comes once, with no bytes.

    Args:
        source: The file.
        container_id: Only of this container; all when empty.

    Raises:
        StagingError: The file is no TFile, is damaged, or is compressed in a way that is not known. [log-unreadable]
    """
    reader = _Blob(source) if isinstance(source, bytes) else source
    try:
        codec, blocks = _data_blocks(reader)
        for offset, length in blocks:
            yield from _block_logs(_Bytes(_decompressed(reader, codec, offset, length)), container_id)
    except (_EndError, UnicodeDecodeError, ValueError, zlib.error) as error:
        raise _unreadable(f"it is damaged ({error})") from error


def _data_blocks(reader: RandomAccess) -> tuple[str, list[tuple[int, int]]]:
    """Return codec, and offset and length of every data block."""
    tail = reader.read_at(max(0, reader.size - _TAIL_BYTES), _TAIL_BYTES)
    if len(tail) < _TAIL_BYTES or not tail.endswith(MAGIC):
        raise _unreadable("it is not a TFile")
    start = int.from_bytes(tail[:8], "big", signed=True)
    meta = _Bytes(iter([reader.read_at(start, reader.size - _TAIL_BYTES - start)]))
    for _ in range(meta.vlong()):
        name, codec = meta.text(), meta.text()
        offset, length, _ = meta.vlong(), meta.vlong(), meta.vlong()
        if name == "data:BCFile.index":
            index = _Bytes(_decompressed(reader, codec, offset, length))
            data_codec = index.text()
            regions = [(index.vlong(), index.vlong(), index.vlong()) for _ in range(index.vlong())]
            return data_codec, [(offset, length) for offset, length, _ in regions]
    raise _unreadable("it has no index")


def _decompressed(reader: RandomAccess, codec: str, offset: int, length: int) -> Iterator[bytes]:
    """Yield the content of a block in pieces."""
    if codec not in ("none", "gz"):
        raise _unreadable(f"it is compressed with {codec}, which is not known here")
    inflate = zlib.decompressobj(wbits=47) if codec == "gz" else None  # 47: gzip or zlib, as its header says
    end = offset + length
    while offset < end:
        raw = reader.read_at(offset, min(PIECE_BYTES, end - offset))
        if not raw:
            raise _EndError("a block is cut off")
        offset += len(raw)
        if inflate is None:
            yield raw
            continue
        while raw:
            yield inflate.decompress(raw, PIECE_BYTES)
            raw = inflate.unconsumed_tail
    if inflate is not None:
        yield inflate.flush()


def _block_logs(block: _Bytes, wanted: str) -> Iterator[tuple[str, str, bytes]]:
    while not block.at_end():
        key = _Bytes(iter([block.take(block.vlong())])).java_text()
        value = _Bytes(block.chunks())
        if key.startswith("container_") and wanted in ("", key):
            while not value.at_end():
                name, length = value.java_text(), int(value.java_text())
                if length == 0:
                    yield key, name, b""
                for piece in value.pieces(length):
                    yield key, name, piece
        value.skip_all()


class _Bytes:
    """A stream of bytes with TFile's ways to write numbers and texts."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._have = b""

    def at_end(self) -> bool:
        """Return whether nothing is left."""
        while not self._have:
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._have = piece
        return False

    def pieces(self, length: int) -> Iterator[bytes]:
        """Yield the next `length` bytes as they come."""
        while length > 0:
            if self.at_end():
                raise _EndError(f"{length} bytes are missing")
            piece, self._have = self._have[:length], self._have[length:]
            length -= len(piece)
            yield piece

    def take(self, length: int) -> bytes:
        """Return the next `length` bytes."""
        return b"".join(self.pieces(length))

    def skip_all(self) -> None:
        """Go to the end."""
        while not self.at_end():
            self._have = b""

    def vlong(self) -> int:
        """Return a number of 1 to 9 bytes (org.apache.hadoop.io.file.tfile.Utils.readVLong)."""
        first = int.from_bytes(self.take(1), "big", signed=True)
        if first >= -32:
            return first
        kind = (first + 128) // 8
        if kind >= 7:
            return ((first + 52) << 8) | self.take(1)[0]
        if kind >= 3:
            return ((first + 88) << 16) | int.from_bytes(self.take(2), "big")
        if kind >= 1:
            return ((first + 112) << 24) | int.from_bytes(self.take(3), "big")
        return int.from_bytes(self.take(first + 129), "big", signed=True)

    def text(self) -> str:
        """Return a text with its length as a vlong before it."""
        return self.take(self.vlong()).decode()

    def java_text(self) -> str:
        """Return a text as java.io.DataOutput.writeUTF writes it: two bytes of length before it."""
        return self.take(int.from_bytes(self.take(2), "big")).decode(errors="replace")

    def chunks(self) -> Iterator[bytes]:
        """Yield a value that was written in chunks; a negative length says that more chunks follow."""
        more = True
        while more:
            length = self.vlong()
            more = length < 0
            yield from self.pieces(abs(length))


def _unreadable(reason: str) -> StagingError:
    sentence = f"An aggregated log file cannot be read: {reason}."
    step = "`yarn logs -applicationId ...` of a Hadoop installation reads every format"
    return StagingError(Problem("log-unreadable", sentence, next_step=step))
