"""The output of a running task, as it grows, from its NodeManager's log server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping

from yarn_submitter.errors import SubmitterError
from yarn_submitter.nodemanager import NodeManager

# The NodeManager's log server can only be asked again and again; output half a second old is live enough to read.
_PAUSE_S = 0.4
_FAILURES_TOLD = 5
DRAIN_S = 5.0
Tail = tuple[threading.Thread, threading.Event]  # one that runs follow_output, and what ends it


def files_of(attempt: int) -> tuple[str, str]:
    """Return the names under which an attempt's output lies in its container (am/executor/process.py)."""
    ending = f".{attempt}" if attempt > 1 else ""
    return f"stdout{ending}", f"stderr{ending}"


class LogTail:
    """One growing log file of one container.

    Args:
        nodes: The NodeManagers' door.
        node_http: host:port of the container's NodeManager.
        container_id: YARN's.
        name: Of the file.
    """

    def __init__(self, nodes: NodeManager, node_http: str, container_id: str, name: str) -> None:
        self._nodes = nodes
        self._where = (node_http, container_id, name)
        self.read_bytes = 0
        self._partial = b""

    def lines(self, size: int) -> list[str]:
        """Return the lines that have been completed up to `size` bytes and were not returned yet."""
        wanted = size - self.read_bytes
        if wanted <= 0:
            return []
        piece = self._nodes.read_log(*self._where, last_bytes=wanted)
        while piece is not None and piece.start > self.read_bytes:  # it has grown since its size was read
            piece = self._nodes.read_log(*self._where, last_bytes=2 * (piece.total - self.read_bytes))
        if piece is None:
            return []
        return self.take(piece.data[max(0, self.read_bytes - piece.start) :])

    def take(self, data: bytes) -> list[str]:
        """Return the lines that the file's next bytes complete."""
        self.read_bytes += len(data)
        *whole, self._partial = (self._partial + data).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def rest(self) -> list[str]:
        """Return the last line when it has no newline."""
        last, self._partial = self._partial, b""
        return [last.decode(errors="replace")] if last else []


def follow_output(
    nodes: NodeManager,
    node_http: str,
    container_id: str,
    ended: threading.Event,
    emit: Callable[[str], None],
    note: Callable[[str], None] = lambda _sentence: None,
    attempt: int = 1,
    stored: Callable[[], Mapping[str, bytes]] = dict,
) -> None:
    """Emit an attempt's output line by line until `ended` is set and all that was written until then has been emitted.

    `note` is told, once, why nothing can be read for a while. When the node has given the files up before they were
    read to their end, `stored` is asked for them, whole.
    """
    failures = 0
    tails = {name: LogTail(nodes, node_http, container_id, name) for name in files_of(attempt)}
    last_round = False
    while True:
        try:
            files = nodes.log_files(node_http, container_id)
            sizes = {file.name: file.size for file in files or ()}
            for name, tail in tails.items():
                for line in tail.lines(sizes.get(name, 0)):
                    emit(line)
            whole = all(name in sizes and tail.read_bytes >= sizes[name] for name, tail in tails.items())
            if last_round and not whole:
                _emit_stored(stored(), tails, emit)
            failures = 0
        except SubmitterError as error:  # the node may be gone or busy; the task itself may go on
            failures += 1
            if failures == _FAILURES_TOLD or (last_round and failures < _FAILURES_TOLD):
                note(error.problems[0].sentence)
        if last_round:
            break
        last_round = ended.wait(_PAUSE_S)
    for tail in tails.values():
        for line in tail.rest():
            emit(line)


def _emit_stored(contents: Mapping[str, bytes], tails: Mapping[str, LogTail], emit: Callable[[str], None]) -> None:
    for name, tail in tails.items():
        for line in tail.take(contents.get(name, b"")[tail.read_bytes :]):
            emit(line)


def drain(tails: Collection[Tail], within_s: float = DRAIN_S) -> None:
    """Let every tail emit what has been written until now and end; nodes that do not answer are not waited for.

    Args:
        tails: All of them.
        within_s: How long they are waited for in all, in seconds.
    """
    for _, ended in tails:
        ended.set()
    end_s = time.monotonic() + within_s
    for thread, _ in tails:
        thread.join(max(0.0, end_s - time.monotonic()))
