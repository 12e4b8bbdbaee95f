"""HTTP to the cluster's daemons: pooled connections, short timeouts, and the one of several addresses that is active.

urllib3 (63 ms to import on the machine of the budgets) rather than `requests` or `hdfs` (another 30 ms) or
`http.client` (25 ms, but without pool, separate timeouts and streaming).
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from yarn_submitter.errors import DeniedError, Problem, UnreachableError

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
CONNECT_S = 2.0
READ_S = 10.0
CHUNK_BYTES = 1 << 20
_POOL_SIZE = 8  # connections kept per daemon; as many threads as transfers use


class NoAnswerError(Exception):
    """One address gave no HTTP answer. `sent` says whether the request may have arrived there."""

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        self.url = url
        self.reason = reason
        self.sent = sent
        super().__init__(f"{url}: {reason}")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, whole."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; values of a key that occurs twice become a list; None when it is not JSON."""
        try:
            return json.loads(self.body, object_pairs_hook=_merge_pairs)
        except ValueError:
            return None

    def remote_exception(self) -> tuple[str, str]:
        """Return name and message of Hadoop's RemoteException; empty strings when there is none."""
        data = self.json()
        remote = data.get("RemoteException") if isinstance(data, dict) else None
        if not isinstance(remote, dict):
            return "", ""
        return str(remote.get("exception", "")), first_line(str(remote.get("message", "")))


def first_line(text: str) -> str:
    """Return the first line of a Java exception's text, that is without its stack."""
    return text.strip().partition("\n")[0].strip()


def _merge_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; YARN 3.4 writes lists in maps as repeated keys."""
    merged: dict[str, Any] = {}
    repeated: set[str] = set()
    for key, value in pairs:
        if key not in merged:
            merged[key] = value
        elif key in repeated:
            merged[key].append(value)
        else:
            merged[key] = [merged[key], value]
            repeated.add(key)
    return merged


class Web:
    """Requests by one user; safe for threads."""

    def __init__(self, user: str) -> None:
        self.user = user
        self._pool = urllib3.PoolManager(num_pools=64, maxsize=_POOL_SIZE, retries=False, blocksize=CHUNK_BYTES)

    def send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        read_s: float = READ_S,
        connect_s: float = CONNECT_S,
    ) -> Answer:
        """Send one request as the user and return its answer, whatever its status; redirects are not followed.

        Raises:
            NoAnswerError: The daemon could not be reached or did not answer in time.
        """
        response = self._open(method, url, params, body=body, headers=headers, read_s=read_s, connect_s=connect_s)
        try:
            return Answer(url, response.status, response.headers, response.read())
        except (HTTPError, OSError) as error:
            raise NoAnswerError(url, reason(error, connect_s, read_s), sent=True) from error
        finally:
            response.release_conn()

    def stream(self, url: str, params: Mapping[str, str] | None = None, *, read_s: float = READ_S) -> Iterator[bytes]:
        """Yield the body of a GET in pieces of at most CHUNK_BYTES.

        Raises:
            NoAnswerError: As `send`; also when the answer breaks off.
            StatusError: The status is not 200.
        """
        response = self._open("GET", url, params, body=None, headers=None, read_s=read_s, connect_s=CONNECT_S)
        whole = False
        try:
            if response.status != 200:
                raise StatusError(Answer(url, response.status, response.headers, response.read()))
            while piece := response.read(CHUNK_BYTES):
                yield piece
            whole = True
        except (HTTPError, OSError) as error:
            raise NoAnswerError(url, reason(error, CONNECT_S, read_s), sent=True) from error
        finally:
            if whole:
                response.release_conn()
            else:
                response.close()

    def full_url(self, url: str, params: Mapping[str, str] | None = None) -> str:
        """Return the URL with the parameters and the user."""
        where, _, there = url.partition("?")  # a NameNode's redirect names the user already
        me = {} if "user.name=" in there else {"user.name": self.user}
        query = "&".join(part for part in (there, urlencode({**(params or {}), **me})) if part)
        return f"{where}?{query}"

    def _open(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        *,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        read_s: float,
        connect_s: float,
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                method,
                self.full_url(url, params),
                body=body,
                headers=dict(headers or {}),
                timeout=urllib3.Timeout(connect=connect_s, read=read_s),
                redirect=False,
                preload_content=False,
            )
        except (HTTPError, OSError) as error:
            sent = not isinstance(error, (NewConnectionError, ConnectTimeoutError))
            raise NoAnswerError(url, reason(error, connect_s, read_s), sent=sent) from error


class StatusError(Exception):
    """A streamed request was answered with another status than 200."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"{answer.url}: status {answer.status}")


def reason(error: Exception, connect_s: float, read_s: float) -> str:
    """Say in a few words why there is no answer."""
    cause = error.__cause__ or error.__context__ or error
    if isinstance(error, NameResolutionError):
        return "the host name is unknown on this machine"
    if isinstance(error, NewConnectionError):
        return (getattr(cause, "strerror", "") or "no connection").lower()
    if isinstance(error, ConnectTimeoutError):
        return f"no connection within {connect_s:g} s"
    if isinstance(error, (ReadTimeoutError, TimeoutError)):
        return f"no answer within {read_s:g} s"
    return f"the connection broke off ({first_line(str(error))[:120]})"


@dataclass(frozen=True)
class Service:
    """What is said about a service that does not answer.

    Attributes:
        name: `ResourceManager` or `NameNode`.
        problem: Id of the problem.
        check_path: What to ask, also with curl, to see that it is up.
        start: What to type to start it, where that is the user's to do; else empty.
    """

    name: str
    problem: str
    check_path: str
    start: str = ""

    def unreachable(self, tried: Mapping[str, str]) -> UnreachableError:
        """Return the error that names every address with the reason; `tried` maps address to reason."""
        where = " and ".join(tried) or "(no address is configured)"
        step = self.start or f"check that the {self.name} is up: curl -m 5 '{next(iter(tried), '')}{self.check_path}'"
        evidence = "\n".join(f"{address}: {reason}" for address, reason in tried.items())
        sentence = f"The {self.name} at {where} does not answer."
        return UnreachableError(Problem(self.problem, sentence, evidence, step if tried else ""))


class Doors:
    """A service with one or more addresses, of which one is active; the active one is remembered."""

    def __init__(
        self, service: Service, addresses: tuple[str, ...], web: Web, standby: Callable[[Answer], str]
    ) -> None:
        """Make it.

        Args:
            service: For messages.
            addresses: `http://host:port` each.
            web: Who asks.
            standby: Returns why an answer does not count because another address is active, else "".
        """
        self.service = service
        self.web = web
        self._addresses = list(addresses)
        self._standby = standby

    def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        read_s: float = READ_S,
    ) -> Answer:
        """Ask the active address.

        Raises:
            UnreachableError: None answers. [rm-unreachable, hdfs-unreachable]
            DeniedError: It wants Kerberos. [auth-required]
        """
        tried: dict[str, str] = {}
        todo = list(self._addresses)
        while todo:
            address = todo.pop(0)
            try:
                answer = self._send_once(method, address + path, params, body=body, headers=headers, read_s=read_s)
            except NoAnswerError as error:
                tried[address] = error.reason
                if error.sent and method != "GET":
                    break  # it may have been done: asking another address could do it twice
                continue
            reason = self._standby(answer)
            if not reason:
                self._remember(address)
                self._refuse_login(answer)
                return answer
            tried[address] = reason
            other = origin(answer.headers.get("Location", ""))
            if other and other not in tried and other not in todo:
                todo.append(other)
        raise self.service.unreachable(tried)

    def _send_once(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        *,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        read_s: float,
    ) -> Answer:
        """Send; a read that meets a kept connection just closed by the daemon is sent once more."""
        try:
            return self.web.send(method, url, params, body=body, headers=headers, read_s=read_s)
        except NoAnswerError as error:
            if method != "GET" or not isinstance(error.__cause__, ProtocolError):
                raise
            return self.web.send(method, url, params, body=body, headers=headers, read_s=read_s)

    def _remember(self, address: str) -> None:
        if self._addresses[:1] != [address]:
            self._addresses = [address, *(other for other in self._addresses if other != address)]

    def _refuse_login(self, answer: Answer) -> None:
        if answer.status == 401:
            sentence = f"The {self.service.name} at {origin(answer.url)} demands a login (Kerberos)."
            step = "this version speaks to clusters without Kerberos only"
            raise DeniedError(Problem("auth-required", sentence, answer.headers.get("WWW-Authenticate", ""), step))

    def reachable(self, deadline_s: float) -> Problem | None:
        """Ask every address at once; return None as soon as an active one answers, else the problem.

        Args:
            deadline_s: Waits no longer than this, whatever name services and routers do.
        """
        results: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        addresses = list(self._addresses)

        def ask(address: str) -> None:
            try:
                answer = self.web.send(
                    "GET", address + self.service.check_path, connect_s=deadline_s, read_s=deadline_s
                )
            except NoAnswerError as error:
                results.put((address, error.reason))
            else:
                results.put((address, self._standby(answer)))

        for address in addresses:
            threading.Thread(target=ask, args=(address,), daemon=True).start()
        tried = dict.fromkeys(addresses, f"no answer within {deadline_s:g} s")
        end = time.monotonic() + deadline_s
        for _ in addresses:
            try:
                address, reason = results.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if not reason:
                self._remember(address)
                return None
            tried[address] = reason
        return self.service.unreachable(tried).problems[0]


def origin(url: str) -> str:
    """Return `scheme://host:port` of a URL, or "" of what is none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""


def start(work: Callable[[], T]) -> Future[T]:
    """Do something in a thread of its own that nobody waits for at the end of the program; return its outcome."""
    from concurrent.futures import Future

    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  raised again where the outcome is looked at
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome
