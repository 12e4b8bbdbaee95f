"""The WebHDFS protocol: one call, reading and writing in two steps, and its errors as ours.

Operations and errors: "WebHDFS REST API" of Hadoop 3.5.0. Data goes to and comes from a DataNode that the NameNode
names (`noredirect=true`), so that we know and say which DataNode did not answer.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from yarn_submitter.errors import DeniedError, Problem, StagingError, SubmitterError, UnreachableError
from yarn_submitter.readers import items, text
from yarn_submitter.sending import Patience, Sent, put
from yarn_submitter.web import READ_S, Answer, Doors, NoAnswerError, Service, StatusError, Web, first_line, origin

_PREFIX = "/webhdfs/v1"
_NO_SPACE = (
    "QuotaExceeded",
    "DiskOutOfSpace",
    "could only be replicated to 0",
    "could only be written to 0",
    "No space left",
)
TEMPORARY = ".ys-tmp-"  # then some letters: part of the name of a file that is not whole yet
_PATIENCE = Patience()
_MISSING = "FileNotFoundException"
_BEYOND = "out of the range"  # said of an offset at or behind the end
_EXISTS = ("FileAlreadyExistsException", "ParentNotDirectoryException")


class WebHdfs:
    """One user's calls to the active NameNode and to DataNodes. Errors raised: see store.Store."""

    def __init__(self, addresses: tuple[str, ...], user: str, patience: Patience = _PATIENCE, start: str = "") -> None:
        self._web = Web(user)
        self._patience = patience
        service = Service("NameNode", "hdfs-unreachable", f"{_PREFIX}/?op=GETFILESTATUS", start)
        self._doors = Doors(service, addresses, self._web, _standby)

    def reachable(self, deadline_s: float) -> Problem | None:
        """Return None when an active NameNode answers within `deadline_s`, else the problem."""
        return self._doors.reachable(deadline_s)

    def safe_mode(self) -> str:
        """Return why the NameNode takes no writes now; empty when it does (also when it does not say)."""
        answer = self._doors.send("GET", "/jmx", {"qry": "Hadoop:service=NameNode,name=NameNodeInfo"})
        beans = items(answer.json(), "beans") if answer.status == 200 else []
        return first_line(text(beans[0], "Safemode")) if beans else ""

    def call(
        self,
        method: str,
        path: str,
        op: str,
        params: Mapping[str, str] | None = None,
        *,
        missing_ok: bool = False,
        about: str = "",
    ) -> Any:
        """Return the JSON of one operation, {} when it has none; None when `missing_ok` and the path is missing.

        `about` is the path that a file in the way is said to be in the way of, when it is not `path`.
        """
        answer = self._doors.send(method, _PREFIX + quote(path), {"op": op, **(params or {})})
        if answer.status in (200, 201):
            return answer.json() if answer.body else {}
        if missing_ok and answer.remote_exception()[0] == _MISSING:
            return None
        taken = answer.remote_exception()[0] in _EXISTS
        raise _refusal(answer, about if about and taken else path)

    def open(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield a file's bytes; a DataNode that breaks off is replaced once, at the byte reached."""
        if length == 0:
            return
        position, end = offset, None if length is None else offset + length
        failed: NoAnswerError | None = None
        while True:
            wanted = {"offset": str(position)} if position else {}
            if end is not None:
                wanted["length"] = str(end - position)
            try:
                location = self._data_location("GET", path, "OPEN", wanted, failed)
                read_s = READ_S if failed else self._patience.quiet_s
                for piece in self._web.stream(location, read_s=read_s):
                    position += len(piece)
                    yield piece
            except StagingError as error:
                if not (position and _BEYOND in error.problems[0].evidence):
                    raise
                return
            except StatusError as error:
                raise _refusal(error.answer, path) from None
            except NoAnswerError as error:
                failed = _first_failure(failed, error, path)
            else:
                return

    def create(self, path: str, data: Sent, mode: int, tries: list[str]) -> None:
        """Write a new file beside `path`; a DataNode that does not answer is replaced once.

        The second one writes to another place: the first may still write what it got.

        Args:
            path: What the file is to be.
            data: What is written.
            mode: The file's permission bits.
            tries: Gets the path of every file that was begun; the last one is whole when this returns.
        """
        failed: NoAnswerError | None = None
        while True:
            beside = f"{path}{TEMPORARY}{os.urandom(4).hex()}"
            wanted = {"permission": f"{mode:o}", "overwrite": "true"}
            location = self._data_location("PUT", beside, "CREATE", wanted, failed)
            tries.append(beside)
            try:
                answer = put(self._web.full_url(location), data, self._patience, self._lives)
            except NoAnswerError as error:
                if not error.sent:
                    tries.pop()
                failed = _first_failure(failed, error, path)
                data.rewind()
                continue
            if answer.status != 201:
                raise _refusal(answer, path)
            return

    def _lives(self, url: str) -> bool:
        """Return whether the daemon of a URL answers anything at all."""
        wait_s = self._patience.asked_s
        try:
            self._web.send("GET", f"{origin(url)}/", connect_s=wait_s, read_s=wait_s)
        except NoAnswerError:
            return False
        return True

    def _data_location(
        self, method: str, path: str, op: str, params: Mapping[str, str], failed: NoAnswerError | None
    ) -> str:
        """Ask the NameNode which DataNode to go to: another one than that which failed.

        Where it has no other, one that lives is read from once more; to write, it was waited for long enough.
        """
        asked = {**params, "noredirect": "true"}
        if failed is not None:
            try:
                avoid = {**asked, "excludedatanodes": ",".join(_names(failed.url))}
                return text(self.call(method, path, op, avoid), "Location")
            except (StagingError, DeniedError):
                if method != "GET" or not self._lives(failed.url):
                    raise _no_datanode(failed, path.partition(TEMPORARY)[0]) from None
        return text(self.call(method, path, op, asked), "Location")


def missing(path: str) -> StagingError:
    """Return the error for a path that is not there."""
    return StagingError(Problem("store-missing", f"There is no {path} on the cluster's HDFS."))


def _standby(answer: Answer) -> str:
    """Say that a NameNode is not the active one, or not ready to answer."""
    if answer.status == 200:
        return ""
    name, message = answer.remote_exception()
    if name == "StandbyException":
        return "it is the standby"
    return f"it is starting ({message})" if name == "RetriableException" and "safe mode" not in message.lower() else ""


def _refusal(answer: Answer, path: str) -> SubmitterError:
    """Return the error for an answer that is no success."""
    name, message = answer.remote_exception()
    said = f"{name}: {message}" if name else f"status {answer.status} of {answer.url.partition('?')[0]}"
    if name == _MISSING:
        return missing(path)
    if name in _EXISTS:
        step = "remove it, or name another place"
        return StagingError(
            Problem("store-exists", f"{path} on HDFS cannot be made: something is in its place.", said, step)
        )
    if name in ("AccessControlException", "SecurityException"):
        step = "choose a place that you may write, or ask its owner for the right"
        return DeniedError(Problem("store-denied", f"HDFS refuses access to {path}.", message, step))
    if name == "SafeModeException" or "safe mode" in message.lower():
        step = "wait until it has left it; an administrator sees why with `hdfs dfsadmin -safemode get`"
        return UnreachableError(Problem("hdfs-safemode", "HDFS is in safe mode and takes no writes.", message, step))
    if any(word in f"{name} {message}" for word in _NO_SPACE):
        step = "`job clean` frees what old jobs left; else ask for a greater quota or more DataNodes"
        return StagingError(Problem("store-full", f"HDFS has no space or quota left for {path}.", said, step))
    return StagingError(Problem("store-failed", f"HDFS failed at {path}.", said))


def _first_failure(before: NoAnswerError | None, error: NoAnswerError, path: str) -> NoAnswerError:
    """Return the failure of the first DataNode that was tried; the second one's is raised."""
    if before is not None:
        raise _no_datanode(error, path) from None
    return error


def _names(url: str) -> list[str]:
    """Return a DataNode as a NameNode may know it: by its name, by its IP addresses (HDFS's Host2NodesMap)."""
    host = urlsplit(url).hostname or ""
    found: set[str] = set()
    with contextlib.suppress(OSError):
        found = {str(line[4][0]) for line in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return [host, *sorted(found - {host})]


def _no_datanode(error: NoAnswerError, path: str) -> UnreachableError:
    where = urlsplit(error.url)
    sentence = f"The DataNode {where.netloc}, which the NameNode named for {path}, does not answer."
    step = f"check that this machine reaches it: curl -m 5 http://{where.netloc}/"
    return UnreachableError(Problem("datanode-unreachable", sentence, error.reason, step))
