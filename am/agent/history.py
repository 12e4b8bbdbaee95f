"""What outlives the agent: the job's events as files on its store, and the agent's address for later clients.

Segments `history/<attempt>-<n>.jsonl` are written beside (a name that begins with a dot) and renamed, never touched
again. One thread does all of it: a store that is slow or dead never holds up the agent; lines are kept and tried again.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import math
import re
import threading
import time
import typing
from urllib.parse import urlsplit

from am.agent import words
from am.contract.job import PART, agent_file, history_dir, staging_dir

if typing.TYPE_CHECKING:
    from collections.abc import Callable

PAUSE_S = 1.0  # how long a line may wait for others, so that a segment holds what happened in a second
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)  # after the first, second... failure in a row
CONNECT_S, READ_S = 3.0, 10.0
_SEGMENT = re.compile(r"(\d+)-(\d+)\.jsonl")
LOG = logging.getLogger(__name__)


class Store(typing.Protocol):
    """The few things that the history asks of a store; every failure is an OSError."""

    def prepare(self) -> None:
        """Import what takes time; called once, by the main thread, when the agent listens and before anything else."""
        ...

    def put(self, path: str, text: str, mode: str, replace: bool = False) -> None:
        """Write a file beside and rename it into place; make its directories. `mode` is octal text.

        With `replace` the file may exist; without, one of the same size is taken for an earlier try that got through.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file or a whole directory; what is not there is fine."""
        ...

    def lines(self, directory: str) -> dict[str, list[str]]:
        """Return the lines of each file of a directory by its name; nothing when there is no such directory."""
        ...


class WebHdfsStore:
    """Store by WebHDFS.

    Args:
        urls: `http://host:port` of the NameNodes, the active one among them.
        user: As whom.
    """

    def __init__(self, urls: tuple[str, ...], user: str) -> None:
        self._urls = urls
        self._user = user
        self._client: typing.Any = None
        self._failures: tuple[type[Exception], ...] = ()

    def prepare(self) -> None:
        """See Store; why not in a thread, see SkeinCluster."""
        import hdfs
        import requests

        logging.getLogger("hdfs").setLevel(logging.CRITICAL)
        session = requests.Session()
        session.trust_env = False  # a proxy for the outside world is no way to the cluster's own NameNode
        self._client = hdfs.InsecureClient(
            ";".join(self._urls), user=self._user, timeout=(CONNECT_S, READ_S), session=session
        )
        self._failures = (hdfs.HdfsError, requests.RequestException, KeyError, ValueError)

    def put(self, path: str, text: str, mode: str, replace: bool = False) -> None:
        """See Store.

        Raises:
            OSError: The store did not do it.
        """
        directory, _, name = path.rpartition("/")
        with self._errors(f"writing {name}") as client:
            beside = f"{directory}/.{name}{PART}"
            client.write(beside, data=text.encode(), overwrite=True, permission=mode)  # makes the directories too
            if replace:
                client.delete(path)
            try:
                client.rename(beside, path)
            except Exception:  # whatever it was, raised again unless the file lies there
                # An earlier try may have got through although its answer did not.
                if not self._is_there(client, path, len(text.encode())):
                    raise
                client.delete(beside)

    def remove(self, path: str) -> None:
        """See Store.

        Raises:
            OSError: The store did not do it.
        """
        with self._errors(f"removing {path}") as client:
            client.delete(path, recursive=True)

    def lines(self, directory: str) -> dict[str, list[str]]:
        """See Store.

        Raises:
            OSError: The store did not do it.
        """
        with self._errors(f"reading {directory}") as client:
            if client.status(directory, strict=False) is None:
                return {}
            found = {}
            for name in client.list(directory):
                with client.read(f"{directory}/{name}") as reader:
                    found[name] = reader.read().decode().splitlines()
            return found

    @staticmethod
    def _is_there(client: typing.Any, path: str, size: int) -> bool:
        status = client.status(path, strict=False)
        return bool(status) and status["length"] == size

    @contextlib.contextmanager
    def _errors(self, what: str) -> typing.Iterator[typing.Any]:
        began_s = time.monotonic()
        try:
            yield self._client
        except self._failures as error:
            url = getattr(getattr(error, "request", None), "url", "")  # a DataNode's, when it is at fault
            hosts = [urlsplit(each).netloc for each in ([url] if url else self._urls)]
            raise OSError(words.store_failure(hosts, what, time.monotonic() - began_s, _reason(error))) from error


def _reason(error: BaseException) -> str:
    """Return why a request failed: the operating system's words, else the store's first line."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, TimeoutError) or "Timeout" in type(inner).__name__:
            return "no answer in time"
        if isinstance(inner, OSError) and inner.strerror:
            return str(inner.strerror)
        inner = inner.__cause__ or inner.__context__
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__


def earlier_lines(store: Store, job_dir: str) -> list[str]:
    """Return all lines that earlier agents of the job have written, in their order.

    Raises:
        OSError: The store did not do it.
    """
    segments = {name: lines for name, lines in store.lines(history_dir(job_dir)).items() if _SEGMENT.fullmatch(name)}
    return [line for name in sorted(segments, key=_number) for line in segments[name]]


def _number(segment: str) -> tuple[int, int]:
    found = _SEGMENT.fullmatch(segment)
    assert found is not None  # noqa: S101 - asked before
    return int(found[1]), int(found[2])


class History:
    """Writes a job's events to its store, in its own thread.

    Args:
        store: Where to.
        job_dir: The job's directory.
        attempt: Of the ApplicationMaster.
        on_trouble: Called from the thread, once each time the store begins to fail, with a sentence.
    """

    def __init__(self, store: Store, job_dir: str, attempt: int, on_trouble: Callable[[str], None]) -> None:
        self._store = store
        self._job_dir = job_dir
        self._attempt = attempt
        self._on_trouble = on_trouble
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._batch: list[str] = []
        self._chores: collections.deque[Callable[[], None]] = collections.deque()
        self._due_s = math.inf  # by the monotonic clock, when what was taken is to be written
        self._closing = False
        self._segments = 0
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Begin to write; a second time changes nothing."""
        if not self._thread.is_alive():
            self._thread.start()

    def append(self, line: str, within_s: float = PAUSE_S) -> None:
        """Take one event line, to be written within so many seconds. Never blocks."""
        with self._changed:
            self._lines.append(line)
            due_s = time.monotonic() + within_s
            if due_s < self._due_s:  # else the thread wakes early enough: it is not to wake for every line
                self._due_s = due_s
                self._changed.notify_all()

    def write_agent_file(self, text: str) -> None:
        """Write the agent's address; tried until it lies there."""
        path = agent_file(self._job_dir)
        self._add_chore(lambda: self._store.put(path, text, "600", replace=True))

    def remove_staging(self) -> None:
        """Remove what only a starting job needs; tried once."""
        path = staging_dir(self._job_dir)

        def remove() -> None:
            try:
                self._store.remove(path)
            except OSError as error:
                LOG.warning("%s was not removed: %s", path, error)

        self._add_chore(remove)

    def flush(self, deadline_s: float) -> bool:
        """Return whether everything taken so far lies on the store within `deadline_s`. Blocks."""
        with self._changed:
            self._due_s = 0.0
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not (self._lines or self._batch or self._chores), deadline_s)

    def close(self) -> None:
        """End the thread; what is not written stays unwritten."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _add_chore(self, chore: Callable[[], None]) -> None:
        with self._changed:
            self._chores.append(chore)
            self._due_s = 0.0
            self._changed.notify_all()

    def _run(self) -> None:
        while self._wait_until_due():
            with self._changed:
                # A batch that failed is tried again as it was: its file may lie there in spite of the failure.
                if not self._batch:
                    self._batch, self._lines = self._lines, []
                chores = list(self._chores)
                self._due_s = math.inf
            done = self._do(chores) and self._write()
            with self._changed:
                if not done:
                    pause_s = RETRY_S[min(self._failures, len(RETRY_S)) - 1]
                    self._changed.wait_for(lambda: self._closing or self._due_s == 0.0, pause_s)
                    self._due_s = 0.0
                elif self._lines:  # they came while an older batch was tried again
                    self._due_s = min(self._due_s, time.monotonic() + PAUSE_S)

    def _wait_until_due(self) -> bool:
        """Return True when there is something to write, False when the history is closed."""
        with self._changed:
            while not self._closing:
                left_s = self._due_s - time.monotonic()
                if left_s <= 0:
                    return True
                self._changed.wait(None if left_s == math.inf else left_s)
            return False

    def _write(self) -> bool:
        if not self._batch:
            return True
        path = f"{history_dir(self._job_dir)}/{self._attempt}-{self._segments}.jsonl"
        text = "".join(f"{line}\n" for line in self._batch)
        if not self._tried(lambda: self._store.put(path, text, "644")):
            return False
        self._segments += 1
        with self._changed:
            self._batch = []
            self._changed.notify_all()
        return True

    def _do(self, chores: list[Callable[[], None]]) -> bool:
        for chore in chores:
            if not self._tried(chore):
                return False
            with self._changed:
                self._chores.popleft()
                self._changed.notify_all()
        return True

    def _tried(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except OSError as error:
            self._failures += 1
            LOG.warning("the store did not take the job's history: %s", error)
            if self._failures == 1:
                self._on_trouble(f"the job's store does not take its history, trying again: {error}")
            return False
        self._failures = 0
        return True
