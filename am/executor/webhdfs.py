"""HDFS over its REST interface (WebHDFS), with what the standard library has: the few calls that carrying files needs.

Operations and answers: Hadoop's "WebHDFS REST API". Reads and writes of content go to a DataNode, whose address the
NameNode gives in a first answer (`noredirect=true`; older NameNodes redirect instead, which is taken too).
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import typing
import urllib.parse

CHUNK_BYTES = 32 * 1024  # by eight threads; larger ones are no faster and break the limit of 25 MB
CALL_S = 30.0  # a NameNode may hold a call for seconds, a DataNode waits for its pipeline
PAUSE_S = 0.5
PATIENCE_S = 60.0  # a NameNode's failover or restart takes about half of this
_TRY_AGAIN = frozenset(("StandbyException", "RetriableException", "SafeModeException", "RetryStartFileException"))


class StoreError(Exception):
    """The store said no, or does not answer; the message is a sentence without its full stop.

    Attributes:
        lost: It does not answer: other files will not fare better.
    """

    def __init__(self, message: str, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class Entry(typing.NamedTuple):
    """One line of a listing, length in bytes; `name` is empty for the status of the path itself."""

    name: str
    is_dir: bool
    length: int
    modified_ms: int


class Leash:
    """How long carrying files may go on; read by the threads that carry, shortened by the one that decides."""

    def __init__(self) -> None:
        self._cut = threading.Event()
        self._ends = float("inf")

    def shorten(self, seconds: float) -> None:
        """Let it end `seconds` from now, unless it ends before."""
        self._ends = min(self._ends, time.monotonic() + seconds)

    def cut(self) -> None:
        """Let it end now."""
        self._cut.set()

    def renew(self) -> None:
        """Let it have no end again, for carrying anew."""
        self._ends = float("inf")
        self._cut.clear()

    def over(self) -> bool:
        """Return whether carrying has to end."""
        return self._cut.is_set() or time.monotonic() > self._ends

    def pause(self, seconds: float) -> None:
        """Wait; `cut` ends it."""
        self._cut.wait(max(0.0, min(seconds, self._ends - time.monotonic())))


class _AgainError(Exception):
    """This NameNode cannot answer now; the next one, or the same one later, may."""


class Store:
    """The cluster's file system. For one thread at a time; `like` makes another one for another thread.

    Args:
        addresses: `http://host:port` of the NameNodes.
        user: Whom we act as.
        leash: When it is over, calls end with StoreError instead of trying again.
        patience_s: How long a call is tried again while no NameNode answers.
    """

    def __init__(
        self, addresses: typing.Sequence[str], user: str, leash: Leash, patience_s: float = PATIENCE_S
    ) -> None:
        self._patience_s = patience_s
        self._addresses = list(addresses)
        self._user = user
        self.leash = leash
        self._failed = ""  # where content went last that no DataNode took, or gave
        self._connection: typing.Optional[http.client.HTTPConnection] = None

    def like(self) -> Store:
        """Return a store that asks the same NameNodes over a connection of its own."""
        return Store(self._addresses, self._user, self.leash, self._patience_s)

    def status(self, path: str) -> typing.Optional[Entry]:
        """Return what lies at `path`, None for nothing."""
        found = self._ask("GET", path, {"op": "GETFILESTATUS"}, missing_ok=True)
        return None if found is None else _entry(found["FileStatus"])

    def listing(self, path: str) -> typing.List[Entry]:
        """Return what lies in the directory `path`."""
        found = self._ask("GET", path, {"op": "LISTSTATUS"}) or {}
        return [_entry(line) for line in found["FileStatuses"]["FileStatus"]]

    def make_directory(self, path: str) -> None:
        """Make a directory and its parents; no-op when it is there."""
        answer = self._ask("PUT", path, {"op": "MKDIRS"}) or {}
        if not answer.get("boolean"):
            raise StoreError(f"the directory {path} cannot be made")

    def replace(self, source: str, target: str) -> None:
        """Rename a file over another one or to a new name, in one step; never over a directory."""
        query = {"op": "RENAME", "destination": target, "renameoptions": "OVERWRITE"}
        self._ask("PUT", source, query)

    def delete(self, path: str) -> None:
        """Delete one file; no-op when it is not there."""
        self._ask("DELETE", path, {"op": "DELETE", "recursive": "false"})

    def write(self, path: str, content: typing.Iterable[bytes]) -> None:
        """Write a file, replacing one that is there; for the caller to repeat when it fails."""
        place = self._data_place("PUT", path, {"op": "CREATE", "overwrite": "true"})
        headers = {"Content-Type": "application/octet-stream", "Transfer-Encoding": "chunked"}
        connection, url = _connect(place)
        try:
            connection.request("PUT", url, body=content, headers=headers, encode_chunked=True)
            response = connection.getresponse()
            said = response.read()
            if response.status not in (http.client.OK, http.client.CREATED):
                raise StoreError(f"{path} cannot be written: {_sentence(response.status, said)[1]}")
        except (OSError, http.client.HTTPException) as error:
            self._failed = place
            raise StoreError(f"{path} cannot be written: {error or type(error).__name__}", lost=True) from error
        finally:
            connection.close()

    def read(self, path: str) -> typing.Iterator[bytes]:
        """Yield a file's content in chunks."""
        place = self._data_place("GET", path, {"op": "OPEN"})
        connection, url = _connect(place)
        try:
            connection.request("GET", url)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise StoreError(f"{path} cannot be read: {_sentence(response.status, response.read())[1]}")
            chunk = response.read(CHUNK_BYTES)
            while chunk:
                yield chunk
                chunk = response.read(CHUNK_BYTES)
            if response.length:  # http.client takes an early end for the end when it reads in pieces
                self._failed = place
                sentence = f"{path} cannot be read: it broke off {response.length} bytes before its end"
                raise StoreError(sentence, lost=True)
        except (OSError, http.client.HTTPException) as error:
            self._failed = place
            raise StoreError(f"{path} cannot be read: {error or type(error).__name__}", lost=True) from error
        finally:
            connection.close()

    def _data_place(self, method: str, path: str, query: typing.Dict[str, str]) -> str:
        """Return where the NameNode sends content: to another DataNode than the one that failed last, if it has one."""
        query = {**query, "noredirect": "true"}
        if self._failed:
            try:
                answer = self._ask(method, path, {**query, "excludedatanodes": _names(self._failed)}) or {}
                return str(answer["Location"])
            except StoreError as error:
                if error.lost:
                    raise
                self._failed = ""
        return str((self._ask(method, path, query) or {})["Location"])

    def close(self) -> None:
        """Drop the kept connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ask(
        self, method: str, path: str, query: typing.Dict[str, str], missing_ok: bool = False
    ) -> typing.Optional[typing.Dict[str, typing.Any]]:
        if not self._addresses:
            raise StoreError("the job names no NameNode", lost=True)
        ends = time.monotonic() + self._patience_s
        tries = 0
        while True:
            try:
                return self._ask_once(method, path, query, missing_ok)
            except (OSError, http.client.HTTPException, _AgainError) as error:
                self.close()
                tries += 1
                self._addresses.append(self._addresses.pop(0))  # the next one is active, perhaps
                words = str(error) or type(error).__name__
                if self.leash.over() or time.monotonic() > ends:
                    raise StoreError(f"HDFS does not answer for {path}: {words}", lost=True) from error
                if tries % len(self._addresses) == 0:
                    self.leash.pause(PAUSE_S)

    def _ask_once(
        self, method: str, path: str, query: typing.Dict[str, str], missing_ok: bool
    ) -> typing.Optional[typing.Dict[str, typing.Any]]:
        if self._connection is None:
            self._connection = _connect(self._addresses[0])[0]
        query = {**query, "user.name": self._user}
        url = f"/webhdfs/v1{urllib.parse.quote(path, errors='surrogateescape')}?{urllib.parse.urlencode(query)}"
        self._connection.request(method, url)
        response = self._connection.getresponse()
        said = response.read()
        if response.will_close:
            self.close()
        if response.status == http.client.TEMPORARY_REDIRECT:
            return {"Location": response.getheader("Location", "")}
        if response.status in (http.client.OK, http.client.CREATED):
            return _parse(said)
        name, sentence = _sentence(response.status, said)
        if name in _TRY_AGAIN:
            raise _AgainError(sentence)
        if missing_ok and name == "FileNotFoundException":
            return None
        raise StoreError(f"{path}: {sentence}")


def store_path(uri: str) -> str:
    """Return the path on the store that a plain path or an hdfs:// URI names; empty for another scheme."""
    scheme, _, rest = uri.partition("://")
    if not rest:
        return uri.rstrip("/") if uri.startswith("/") else ""
    return "/" + rest.partition("/")[2].rstrip("/") if scheme in ("hdfs", "webhdfs") else ""


def _connect(address: str) -> typing.Tuple[http.client.HTTPConnection, str]:
    parts = urllib.parse.urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    # A NameNode's Location has some characters escaped and others, such as umlauts, not.
    target = urllib.parse.quote(f"{parts.path}?{parts.query}", safe="/%?&=:+,;@!$'()*~")
    return kind(parts.hostname or "", parts.port, timeout=CALL_S), target


def _names(address: str) -> str:
    """Return a host as a NameNode may know it: by the name that it gave itself, by its IP addresses (Host2NodesMap)."""
    host = urllib.parse.urlsplit(address).hostname or ""
    try:
        found = {str(line[4][0]) for line in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        found = set()
    return ",".join([host, *sorted(found - {host})])


def _parse(body: bytes) -> typing.Dict[str, typing.Any]:
    try:
        return typing.cast("typing.Dict[str, typing.Any]", json.loads(body.decode())) if body else {}
    except ValueError as error:
        raise StoreError(f"what answers is no NameNode: {body[:80]!r}") from error


def _entry(line: typing.Dict[str, typing.Any]) -> Entry:
    return Entry(
        str(line["pathSuffix"]), line["type"] == "DIRECTORY", int(line["length"]), int(line["modificationTime"])
    )


def _sentence(status: int, body: bytes) -> typing.Tuple[str, str]:
    """Return exception name and first line of the message of an error's answer."""
    try:
        said = json.loads(body.decode())["RemoteException"]
        return str(said["exception"]), str(said["message"]).splitlines()[0][:300]
    except (ValueError, LookupError, TypeError):
        return "", f"HTTP {status}"
