"""Files on the cluster's default file system: a small interface, and HDFS over WebHDFS.

WebHDFS is spoken with urllib3 (webhdfs.py), as rest.py does, and not with the `hdfs` package: that costs another
30 ms at each start (it imports requests), cannot rename over a file, and follows redirects where we want to know
which DataNode did not answer.

Files are written beside their place, as `<name>.ys-tmp-<random>`, and renamed: who reads sees all of a file or none.
"""

from __future__ import annotations

import os
import posixpath
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar
from urllib.parse import urlsplit

from yarn_submitter.errors import Problem, StagingError, SubmitterError, UsageError
from yarn_submitter.hadoopconf import HadoopConf
from yarn_submitter.readers import integer, items, member, text
from yarn_submitter.sending import Patience, Sent
from yarn_submitter.webhdfs import TEMPORARY, WebHdfs, missing

_THREADS = 8
_LATE_FILE_S = 1.0

T = TypeVar("T")
Progress = Callable[
    [int], None
]  # told how many bytes more have come, from several threads; negative when a try begins again


def application_dir(user: str, application_id: str) -> str:
    """Return where Skein keeps an application's files on the store; its ApplicationMaster removes them, if it can."""
    return f"/user/{user}/.skein/{application_id}"


@dataclass(frozen=True)
class FileStatus:
    """A file or directory: absolute path, length in bytes, modification time in ms, mode as in 0o755."""

    path: str
    is_dir: bool
    length: int
    mtime_ms: int
    owner: str
    group: str
    mode: int

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return posixpath.basename(self.path)


@dataclass(frozen=True)
class Usage:
    """How much a tree holds, once each file (not times its replicas)."""

    bytes: int
    files: int
    directories: int


class Store(Protocol):
    """What we need of a file system; paths are absolute paths on it.

    Every method raises UnreachableError [hdfs-unreachable, datanode-unreachable, hdfs-safemode], DeniedError
    [store-denied], StagingError [store-full, store-failed]; those that need a path to exist StagingError
    [store-missing], those that need it not to exist StagingError [store-exists].
    """

    def makedirs(self, path: str, mode: int = 0o700) -> None:
        """Make a directory and its parents; one that exists is left as it is."""

    def status(self, path: str) -> FileStatus | None:
        """Return what lies at a path, None when there is nothing."""

    def list(self, path: str) -> list[FileStatus]:
        """Return what lies directly in a directory, by name."""

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return a file's bytes from `offset` on, at most `length`."""

    def open(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield a file's bytes in pieces of at most 1 MiB."""

    def write(self, path: str, data: bytes | IO[bytes], *, mode: int = 0o600, overwrite: bool = True) -> None:
        """Write a file beside its place and rename it there; its directory is made when it is missing."""

    def upload(self, local: Path, path: str, progress: Progress | None = None, *, mode: int = 0o600) -> None:
        """Write a local file, or every file of a local directory, as `write` does."""

    def put_many(
        self, files: Sequence[tuple[Path, str]], progress: Progress | None = None, *, mode: int = 0o600
    ) -> None:
        """Upload several files (local, path) at once."""

    def download(self, path: str, local: Path, progress: Progress | None = None) -> int:
        """Copy a file to a local file, or a tree into a local directory; return the number of files."""

    def rename(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Move a file or directory in one step."""

    def delete(self, path: str, *, recursive: bool = False) -> bool:
        """Remove it; return whether there was something."""

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits."""

    def usage(self, path: str) -> Usage:
        """Return how much a file or tree holds."""


def store_path(uri: str, conf: HadoopConf) -> str:
    """Return the absolute path on the cluster's default file system that a URI or an absolute path means.

    Raises:
        UsageError: It lies on another file system, or is no absolute path. [store-scheme]
    """
    parts = urlsplit(uri)
    ours = urlsplit(conf.default_fs)
    if not parts.scheme and not parts.netloc and uri.startswith("/"):
        path = uri
    elif parts.scheme == ours.scheme and _authority(parts.netloc) in ("", _authority(ours.netloc)):
        path = uri.partition("://")[2].removeprefix(parts.netloc) if "://" in uri else uri.partition(":")[2]
    else:
        where = f"{parts.scheme}://{parts.netloc}" if parts.scheme else "no file system"
        sentence = f"{uri} does not lie on this cluster's file system {conf.default_fs}, but on {where}."
        if not parts.scheme:
            sentence = f"{uri} is not an absolute path on the cluster's file system."
        raise UsageError(
            Problem(
                "store-scheme",
                sentence,
                next_step=f"use a path such as /user/me/data, or {conf.default_fs}/user/me/data",
            )
        )
    return posixpath.normpath("/" + path.lstrip("/"))


def _authority(netloc: str) -> str:
    return netloc.removesuffix(":8020").lower()  # 8020 is what HDFS takes when none is given


class HdfsStore:
    """The cluster's HDFS, as one user; its methods are described in Store."""

    def __init__(self, conf: HadoopConf, user: str, patience: Patience | None = None) -> None:
        """Make it; nothing is sent.

        Args:
            conf: Where its NameNodes are.
            user: Who we are there.
            patience: With DataNodes.

        Raises:
            UsageError: The cluster's default file system is not HDFS. [store-scheme]
        """
        if not conf.webhdfs:
            sentence = f"The cluster's default file system is {conf.default_fs}, and only HDFS can be used."
            step = f"set fs.defaultFS in {conf.conf_dir / 'core-site.xml'} to hdfs://..."
            raise UsageError(Problem("store-scheme", sentence, next_step=step))
        self._hdfs = WebHdfs(conf.webhdfs, user, patience or Patience(), conf.start)
        self.home = f"{conf.get('dfs.user.home.dir.prefix', '/user').rstrip('/')}/{user}"

    def reachable(self, deadline_s: float) -> Problem | None:
        """Return None when an active NameNode answers within `deadline_s`, else the problem."""
        return self._hdfs.reachable(deadline_s)

    def safe_mode(self) -> str:
        """Return why the NameNode takes no writes now; empty when it does (also when it does not say)."""
        return self._hdfs.safe_mode()

    def makedirs(self, path: str, mode: int = 0o700) -> None:
        """See Store."""
        self._hdfs.call("PUT", path, "MKDIRS", {"permission": f"{mode:o}"})

    def status(self, path: str) -> FileStatus | None:
        """See Store."""
        data = self._hdfs.call("GET", path, "GETFILESTATUS", missing_ok=True)
        return None if data is None else _file_status(member(data, "FileStatus"), path)

    def list(self, path: str) -> list[FileStatus]:
        """See Store."""
        found = items(self._hdfs.call("GET", path, "LISTSTATUS"), "FileStatuses", "FileStatus")
        base = path.rstrip("/")
        named = [(text(data, "pathSuffix"), data) for data in found]
        listed = [_file_status(data, f"{base}/{name}" if name else path) for name, data in named]
        return sorted(listed, key=lambda status: status.path)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """See Store."""
        return b"".join(self.open(path, offset, length))

    def open(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See Store."""
        return self._hdfs.open(path, offset, length)

    def write(self, path: str, data: bytes | IO[bytes], *, mode: int = 0o600, overwrite: bool = True) -> None:
        """See Store."""
        self._write(path, Sent(data), mode, overwrite=overwrite)

    def upload(self, local: Path, path: str, progress: Progress | None = None, *, mode: int = 0o600) -> None:
        """See Store."""
        if local.is_dir():
            files = [file for file in sorted(local.rglob("*")) if file.is_file()]
            pairs = [(file, f"{path}/{file.relative_to(local).as_posix()}") for file in files]
            self.put_many(pairs, progress, mode=mode)
            return
        try:
            source = local.open("rb")
        except OSError as error:
            raise _local_failure(local, "read", error) from error
        with source:
            self._write(path, Sent(source, progress), mode, overwrite=True)

    def put_many(
        self, files: Sequence[tuple[Path, str]], progress: Progress | None = None, *, mode: int = 0o600
    ) -> None:
        """See Store."""
        _all_at_once(lambda pair: self.upload(pair[0], pair[1], progress, mode=mode), files)

    def download(self, path: str, local: Path, progress: Progress | None = None) -> int:
        """See Store; each file is written beside its place and renamed."""
        there = self.status(path)
        if there is None:
            raise missing(path)
        files = list(self.walk(path)) if there.is_dir else [there]
        base = path.rstrip("/") + "/"
        pairs = [(file.path, local / file.path.removeprefix(base) if there.is_dir else local) for file in files]
        _all_at_once(lambda pair: self._fetch(pair[0], pair[1], progress), pairs)
        return len(files)

    def walk(self, path: str) -> Iterator[FileStatus]:
        """Yield every file below a directory."""
        for status in self.list(path):
            if status.is_dir:
                yield from self.walk(status.path)
            else:
                yield status

    def rename(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """See Store."""
        options = {"destination": target, "renameoptions": "OVERWRITE" if overwrite else "NONE"}
        self._hdfs.call("PUT", source, "RENAME", options, about=target)

    def delete(self, path: str, *, recursive: bool = False) -> bool:
        """See Store."""
        answer = self._hdfs.call("DELETE", path, "DELETE", {"recursive": str(recursive).lower()}, missing_ok=True)
        return bool(member(answer, "boolean")) if isinstance(answer, dict) else False

    def set_mode(self, path: str, mode: int) -> None:
        """See Store."""
        self._hdfs.call("PUT", path, "SETPERMISSION", {"permission": f"{mode:o}"})

    def usage(self, path: str) -> Usage:
        """See Store."""
        data = member(self._hdfs.call("GET", path, "GETCONTENTSUMMARY"), "ContentSummary")
        return Usage(integer(data, "length"), integer(data, "fileCount"), integer(data, "directoryCount"))

    def _write(self, path: str, data: Sent, mode: int, *, overwrite: bool) -> None:
        tries: list[str] = []
        try:
            self._hdfs.create(path, data, mode, tries)
            self.rename(tries[-1], path, overwrite=overwrite)
            tries.pop()
        finally:
            for unfinished in tries:
                self._discard(unfinished)

    def _discard(self, path: str) -> None:
        """Remove a file that was not finished, if that is possible; the reason why it was not finished is told.

        A DataNode makes the file in its own time, perhaps after we have closed the connection.
        """
        pause, end = threading.Event(), time.monotonic() + _LATE_FILE_S
        try:
            while not self.delete(path) and time.monotonic() < end:
                pause.wait(0.1)
        except SubmitterError:
            return

    def _fetch(self, path: str, local: Path, progress: Progress | None) -> None:
        beside = local.with_name(f"{local.name}{TEMPORARY}{os.urandom(4).hex()}")
        try:
            local.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as target:
                for piece in self.open(path):
                    target.write(piece)
                    if progress:
                        progress(len(piece))
            beside.replace(local)
        except OSError as error:
            raise _local_failure(local, "written", error) from error
        finally:
            beside.unlink(missing_ok=True)


def _all_at_once(work: Callable[[T], object], todo: Iterable[T]) -> None:
    """Do a few at a time; the first failure is raised, and nothing new is begun after it."""
    from concurrent.futures import ThreadPoolExecutor  # 9 ms that most commands need not spend

    pool = ThreadPoolExecutor(_THREADS)
    try:
        for future in [pool.submit(work, one) for one in todo]:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _file_status(data: object, path: str) -> FileStatus:
    return FileStatus(
        path=path,
        is_dir=text(data, "type") == "DIRECTORY",
        length=integer(data, "length"),
        mtime_ms=integer(data, "modificationTime"),
        owner=text(data, "owner"),
        group=text(data, "group"),
        mode=int(text(data, "permission") or "0", 8),
    )


def _local_failure(local: Path, what: str, error: OSError) -> StagingError:
    sentence = f"The local file {local} could not be {what}."
    return StagingError(
        Problem("local-file", sentence, error.strerror or str(error), "check its path, rights and space")
    )
