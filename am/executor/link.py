"""The executor's line to the agent: short HTTPS requests that trust the job's own certificate and nothing else."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
import typing

from am.contract import wire
from am.contract.codec import ContractError

T = typing.TypeVar("T")

CONNECT_S = 5.0  # for TCP; the agent's turn comes later when thousands of tasks meet it at once


class LinkDownError(Exception):
    """No agent of this job answered; the message says what each port said."""


class RefusedError(Exception):
    """The agent answered and said no.

    Attributes:
        status: HTTP status.
        problem: Id of docs/errors.md, or empty.
        message: The agent's sentence.
    """

    def __init__(self, status: int, problem: str, message: str) -> None:
        known = f" [{problem}]" if problem else ""
        super().__init__(f"the agent answered {status}: {message or 'no reason'}{known}")
        self.status = status
        self.problem = problem
        self.message = message


def pinned_context(certificate_file: str) -> ssl.SSLContext:
    """Return a TLS context that believes the one certificate in the file, whatever host it is met at.

    Raises:
        OSError: The file cannot be read or is no certificate (ssl.SSLError is an OSError).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cafile=certificate_file)
    return context


class AgentLink:
    """One kept connection to the agent, made again when it drops. For one thread at a time.

    Args:
        host: Where the agent runs.
        ports: It listens on one of them; another job's agent may listen on another one.
        context: From `pinned_context`.
        token: The executors' token.

    Attributes:
        free: Taken by the thread that calls, where there are several.
    """

    def __init__(self, host: str, ports: typing.Sequence[int], context: ssl.SSLContext, token: str) -> None:
        self.host = host
        self.ports = list(ports)
        self._context = context
        self._token = token
        self._connection: typing.Optional[http.client.HTTPConnection] = None
        self.free = threading.Lock()

    def connect(self, timeout_s: float) -> None:
        """Connect to the first port where the job's agent answers, the last good one first; no-op when connected.

        Raises:
            LinkDownError: It answers at none of them.
        """
        if self._connection is not None:
            return
        said = []
        ends = time.monotonic() + timeout_s
        for port in list(self.ports):
            left = ends - time.monotonic()
            if left <= 0:
                said.append("no time left for the other ports")
                break
            connection = _Connection(self.host, port, left, self._context)
            try:
                connection.connect()
            except OSError as error:
                said.append(f"{port}: {_words(error)}")
                connection.close()
                if isinstance(error, socket.timeout):  # a stranger that says nothing: the next try begins elsewhere
                    self._move(port, len(self.ports))
                continue
            self._connection = connection
            self._move(port, 0)
            return
        raise LinkDownError(f"at {self.host} no agent of this job answers ({'; '.join(said)})")

    def _move(self, port: int, place: int) -> None:
        self.ports.remove(port)
        self.ports.insert(place, port)

    def local_address(self) -> str:
        """Return the address of our end of the connection; empty when there is none."""
        if self._connection is None or self._connection.sock is None:
            return ""
        return str(self._connection.sock.getsockname()[0])

    def call(self, path: str, message: typing.Any, kind: typing.Type[T], timeout_s: float) -> T:
        """Send one request and return its answer; a kept connection that proves dead is made again once.

        Args:
            path: Below the version prefix, `/register`.
            message: A value of wire.py.
            kind: Type of the answer.
            timeout_s: For connecting, and again for the silence before the answer.

        Raises:
            LinkDownError: No answer.
            RefusedError: The answer is not 200.
        """
        body = wire.encode(message)
        while True:
            kept = self._connection is not None
            self.connect(timeout_s)
            try:
                status, answer, deflated = self._exchange(path, body, timeout_s)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if kept and not isinstance(error, socket.timeout):
                    continue
                raise LinkDownError(f"{self.host}:{self.ports[0]}: {_words(error)}") from error
            if status != http.client.OK:
                raise _refusal(status, answer)
            try:
                return wire.decode(kind, wire.inflate(answer) if deflated else answer)
            except ContractError as error:
                raise LinkDownError(f"{self.host}:{self.ports[0]} is no agent of ours: {error}") from error

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, path: str, body: bytes, timeout_s: float) -> typing.Tuple[int, bytes, bool]:
        connection = self._connection
        if connection is None or connection.sock is None:
            raise http.client.NotConnected
        connection.sock.settimeout(timeout_s)
        headers = {
            "Authorization": "Bearer " + self._token,
            "Content-Type": "application/json",
            "Accept-Encoding": wire.DEFLATED,  # as HTTP wants it said; the agent knows
        }
        connection.request("POST", wire.PREFIX + path, body, headers)
        response = connection.getresponse()
        # Old Pythons make a buffer of the size that is asked for.
        most = wire.MAX_ANSWER_BYTES
        answer = response.read(most if response.length is None else min(response.length, most))
        if response.will_close or not response.isclosed():
            self.close()
        return response.status, answer, response.getheader("Content-Encoding") == wire.DEFLATED


class _Connection(http.client.HTTPConnection):
    """A connection over TLS: a port has CONNECT_S to be there, and who listens at it the rest for the handshake."""

    def __init__(self, host: str, port: int, left_s: float, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=min(CONNECT_S, left_s))
        self._ends = time.monotonic() + left_s
        self._tls = context

    def connect(self) -> None:
        """See HTTPConnection.

        Raises:
            OSError: Nobody listens there, or nobody with this job's certificate.
        """
        super().connect()
        self.sock.settimeout(max(0.1, self._ends - time.monotonic()))
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)


def _refusal(status: int, body: bytes) -> RefusedError:
    try:
        said = json.loads(body.decode())
        return RefusedError(status, str(said.get("problem", "")), str(said.get("message", "")))
    except (ValueError, AttributeError):
        return RefusedError(status, "", "")


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "another certificate than this job's"
    return str(error) or type(error).__name__
