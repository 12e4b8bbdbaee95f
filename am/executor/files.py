"""Carrying a task's directories to and from the store.

Nothing there is ever seen half-written: a file is written beside its place (`.<name>.ys-tmp-<role>-<index>`) and then
renamed into it. A directory is added to, never replaced. Memory does not grow with the size of files.
"""

from __future__ import annotations

import contextlib
import os
import queue
import stat
import threading
import typing

from am.executor.webhdfs import CHUNK_BYTES, Leash, Store, StoreError, store_path

THREADS = 8  # a DataNode may take 0.4 s to close even a small file
TRIES = 3
MAX_TOLD = 3
TEMPORARY = ".ys-tmp-"

Stamp = typing.Tuple[int, int]  # bytes, modification time in ns


class Found(typing.NamedTuple):
    """A file or directory below a local directory; `relative` uses slashes."""

    relative: str
    path: str
    is_dir: bool
    stamp: Stamp


class Carrier:
    """Carries directories of one task; counts over all of them.

    Args:
        store: Where to; each carrying thread gets its own like it.
        task: `role:index`.

    Attributes:
        files: That lie on the store now.
        bytes: Of those files.
        moved_bytes: Sent so far, those of an unfinished file included.
        problems: Sentences about what could not be carried.
    """

    def __init__(self, store: Store, task: str) -> None:
        self._store = store
        self._tag = task.replace(":", "-")
        self._lock = threading.Lock()
        self._lost = False
        self.files = 0
        self.bytes = 0
        self.moved_bytes = 0
        self.problems: typing.List[str] = []

    @property
    def leash(self) -> Leash:
        """Return what limits the carrying."""
        return self._store.leash

    def begin_anew(self) -> typing.List[str]:
        """Forget what went wrong so far, and return it: what was not carried then is tried again now."""
        with self._lock:
            told, self.problems = self.problems, []
            self._lost = False
        return told

    def upload(self, name: str, local: str, uri: str) -> None:
        """Carry everything below the local directory to the directory `uri`; what fails is told in `problems`.

        Args:
            name: Of the directory, for the user.
            local: Path; an empty or missing directory asks for nothing.
            uri: Path or hdfs:// URI.
        """
        remote = self._remote(name, uri)
        found = walk(local) if remote else iter(())
        first = next(found, None)
        if first is None:
            return
        before = len(self.problems)
        waiting: queue.Queue[typing.Optional[Found]] = queue.Queue(THREADS * 4)
        workers = [
            threading.Thread(target=self._work, args=(waiting, remote), name=f"carry{n}", daemon=True)
            for n in range(THREADS)
        ]
        for worker in workers:
            worker.start()
        with contextlib.closing(self._store.like()) as store:
            self._feed(first, found, waiting, store, remote)
        for _ in workers:
            waiting.put(None)
        for worker in workers:
            worker.join()
        self._sum_up(name, uri, before)

    def send(self, name: str, uri: str, chosen: typing.Sequence[Found]) -> typing.List[str]:
        """Carry some files of a directory one after the other; return the relative paths of those that arrived."""
        remote = self._remote(name, uri)
        if not remote:
            return []
        before = len(self.problems)
        arrived = []
        made = set()
        with contextlib.closing(self._store.like()) as store:
            for file in chosen:
                parent = os.path.dirname(file.relative)
                with self._telling(file.relative):
                    if parent not in made:
                        store.make_directory(f"{remote}/{parent}".rstrip("/"))
                        made.add(parent)
                    self._carry_file(store, file, remote)
                    arrived.append(file.relative)
        self._sum_up(name, uri, before)
        return arrived

    def forget(self, name: str, uri: str, relatives: typing.Iterable[str]) -> None:
        """Delete files on the store that the user's program has deleted here."""
        remote = self._remote(name, uri)
        with contextlib.closing(self._store.like()) as store:
            for relative in relatives:
                with self._telling(relative):
                    store.delete(f"{remote}/{relative}")

    def _remote(self, name: str, uri: str) -> str:
        path = store_path(uri)
        if not path:
            self._tell(f"{name} is not carried: {uri} is no path on the cluster's HDFS")
        return path

    def _feed(
        self,
        first: Found,
        rest: typing.Iterator[Found],
        waiting: queue.Queue[typing.Optional[Found]],
        store: Store,
        remote: str,
    ) -> None:
        item: typing.Optional[Found] = first
        try:
            store.make_directory(remote)
            while item is not None:
                self._go_on()
                if item.is_dir:
                    with self._telling(item.relative):
                        store.make_directory(f"{remote}/{item.relative}")
                else:
                    waiting.put(item)
                item = next(rest, None)
        except StoreError as error:
            self._tell(str(error))

    def _work(self, waiting: queue.Queue[typing.Optional[Found]], remote: str) -> None:
        with contextlib.closing(self._store.like()) as store:
            file = waiting.get()
            while file is not None:
                with self._telling(file.relative):
                    self._carry_file(store, file, remote)
                file = waiting.get()

    def _carry_file(self, store: Store, file: Found, remote: str) -> None:
        target = f"{remote}/{file.relative}"
        parent, _, name = target.rpartition("/")
        beside = f"{parent}/.{name}{TEMPORARY}{self._tag}"
        for left in reversed(range(TRIES)):
            sent = [0]
            try:
                self._go_on()
                with open(file.path, "rb") as content:
                    store.write(beside, self._counted(content, sent))
                store.replace(beside, target)
            except (StoreError, OSError) as error:
                with self._lock:
                    self.moved_bytes -= sent[0]
                lost = isinstance(error, StoreError) and error.lost
                if lost and left and not self.leash.over():
                    continue
                self._lost = self._lost or lost
                if not self._lost:
                    with contextlib.suppress(StoreError):
                        store.delete(beside)
                raise
            with self._lock:
                self.files += 1
                self.bytes += sent[0]
            return

    def _counted(self, content: typing.IO[bytes], sent: typing.List[int]) -> typing.Iterator[bytes]:
        chunk = content.read(CHUNK_BYTES)
        while chunk:
            self._go_on()
            yield chunk
            with self._lock:
                self.moved_bytes += len(chunk)
            sent[0] += len(chunk)
            chunk = content.read(CHUNK_BYTES)

    def _go_on(self) -> None:
        """Raise StoreError when carrying has to end."""
        if self.leash.over():
            raise StoreError("the time for it was over")
        if self._lost:
            raise StoreError("HDFS does not answer", lost=True)

    @contextlib.contextmanager
    def _telling(self, relative: str) -> typing.Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass  # the program's own temporary file, gone meanwhile
        except (StoreError, OSError, LookupError, ValueError) as error:
            self._tell(f"{relative}: {error}")

    def _tell(self, sentence: str) -> None:
        with self._lock:
            self.problems.append(sentence)

    def _sum_up(self, name: str, uri: str, before: int) -> None:
        """Make one sentence of the problems since `before`."""
        with self._lock:
            new = self.problems[before:]
            if new:
                more = f" and {len(new) - MAX_TOLD} more" if len(new) > MAX_TOLD else ""
                told = "; ".join(new[:MAX_TOLD])
                self.problems[before:] = [f"{name} was not wholly carried to {uri}: {told}{more}"[:1000]]


def walk(root: str) -> typing.Iterator[Found]:
    """Yield what lies below a directory: directories before their content, files, nothing else.

    Links are followed when they lead to something inside `root`; other links, and links to a directory above, are left
    out, as are our own temporary names, pipes, sockets and devices.
    """
    return _walk(root, "", os.path.realpath(root), ())


def _walk(root: str, relative: str, real_root: str, above: typing.Tuple[str, ...]) -> typing.Iterator[Found]:
    here = os.path.join(root, relative)
    real_here = os.path.realpath(here)
    try:
        names = sorted(os.listdir(here))
    except OSError:
        return
    for name in names:
        path = os.path.join(here, name)
        inner = f"{relative}/{name}" if relative else name
        real = os.path.realpath(path)
        if TEMPORARY in name or not real.startswith(real_root + os.sep) or real in (*above, real_here):
            continue
        try:
            state = os.stat(path)
        except OSError:
            continue
        if stat.S_ISDIR(state.st_mode):
            yield Found(inner, path, True, (0, 0))
            yield from _walk(root, inner, real_root, (*above, real_here))
        elif stat.S_ISREG(state.st_mode):
            yield Found(inner, path, False, (state.st_size, state.st_mtime_ns))
