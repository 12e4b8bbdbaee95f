"""A file's content on its way to a DataNode, for as long as there is progress.

A connection of its own, not web.py's pool: that goes by the connect timeout while it sends a body, for a whole piece
at a time, so that a DataNode which pauses looks like one that is away; and a DataNode closes after each file anyway.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url
from urllib3.util.wait import wait_for_read, wait_for_write

from yarn_submitter.errors import Problem, StagingError
from yarn_submitter.web import CONNECT_S, READ_S, Answer, NoAnswerError, reason

_PIECE_BYTES = 1 << 18


@dataclass(frozen=True)
class Patience:
    """How long a DataNode may make no progress, in seconds.

    Attributes:
        quiet_s: After so long it is asked whether it lives.
        asked_s: So soon it has to answer that; with `quiet_s` less than the ten seconds in which a hang is told.
        most_s: Longest time without progress of one that lives; dfs.client.socket-timeout of HDFS's own clients.
    """

    quiet_s: float = 4.0
    asked_s: float = 3.0
    most_s: float = 60.0


class Sent:
    """Bytes or a file on their way out: knows its length, tells how far it has come, can begin again."""

    def __init__(self, data: bytes | IO[bytes], progress: Callable[[int], None] | None = None) -> None:
        self._source = io.BytesIO(data) if isinstance(data, bytes) else data
        self._progress = progress
        self._begin = self._source.tell()
        self.length = self._source.seek(0, os.SEEK_END) - self._begin
        self._gone = 0
        self._source.seek(self._begin)

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most the length that was announced in all."""
        left = self.length - self._gone
        try:
            piece = self._source.read(min(size, left))
        except OSError as error:
            raise _local_failure(self._source, error.strerror or str(error)) from error
        if left and not piece:
            raise _local_failure(self._source, "it became shorter while it was sent")
        self._tell(len(piece))
        return piece

    def rewind(self) -> None:
        """Begin again; progress is told to go back."""
        self._source.seek(self._begin)
        self._tell(-self._gone)

    def _tell(self, count: int) -> None:
        self._gone += count
        if count and self._progress:
            self._progress(count)


def _local_failure(source: IO[bytes], why: str) -> StagingError:
    sentence = f"The local file {getattr(source, 'name', '')} could not be read to its end."
    return StagingError(Problem("local-file", sentence, why, "check the file, and send it again"))


def put(url: str, data: Sent, patience: Patience, lives: Callable[[str], bool]) -> Answer:
    """PUT the data and return the answer, whatever its status.

    Args:
        url: Where the NameNode says, user and all.
        data: What is sent, from where it stands.
        patience: How long there may be no progress.
        lives: Asks the DataNode of a URL whether it lives, within `patience.asked_s`.

    Raises:
        NoAnswerError: It cannot be reached, or there was no progress for too long.
        StagingError: The local file cannot be read. [local-file]
    """
    parts = parse_url(url)  # also writes as URLs have it what the NameNode's answer holds as it is
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.host or "", parts.port, timeout=CONNECT_S)
    connected = False
    try:
        connection.connect()
        connected = True
        connection.timeout = READ_S
        headers = {"Content-Length": str(data.length), "Content-Type": "application/octet-stream"}
        connection.request("PUT", parts.request_uri, headers=headers)
        sock: socket.socket = connection.sock
        _send_body(sock, data, lambda: _wait(url, sock, wait_for_write, patience, lives))
        _wait(url, sock, wait_for_read, patience, lives)
        response = connection.getresponse()
        return Answer(url, response.status, response.headers, response.data)
    except (HTTPError, HTTPException, OSError) as error:
        raise NoAnswerError(url, reason(error, CONNECT_S, READ_S), sent=connected) from error
    finally:
        connection.close()


def _send_body(sock: socket.socket, data: Sent, wait: Callable[[], None]) -> None:
    while piece := data.read(_PIECE_BYTES):
        left = memoryview(piece)
        while left:
            wait()
            try:
                left = left[sock.send(left) :]
            except ConnectionError:
                return  # it has closed without taking all: its answer says why


def _wait(
    url: str, sock: socket.socket, ready: Callable[..., bool], patience: Patience, lives: Callable[[str], bool]
) -> None:
    """Return when the connection can go on.

    Raises:
        NoAnswerError: It could not for `most_s`, or for `quiet_s` and the DataNode does not say that it lives.
    """
    if ready(sock, timeout=patience.quiet_s):
        return
    alive = lives(url)
    if not ready(sock, timeout=patience.most_s - patience.quiet_s if alive else 0):
        waited_s = patience.most_s if alive else patience.quiet_s + patience.asked_s
        raise NoAnswerError(url, f"no answer within {waited_s:g} s", sent=True)
