"""The client's side of the wire to a job's agent: HTTPS with the job's own certificate and the client token."""

from __future__ import annotations

import ssl
from typing import TypeVar

import urllib3

from am.contract import wire
from am.contract.codec import ContractError

_CONNECT_S = 1.0  # an agent out of reach must not hold up a user who could read the history instead
_ANSWER_S = 10.0
T = TypeVar("T")


class AgentGoneError(Exception):
    """The agent cannot be reached, or what answers there is not this job's agent."""


class AgentDoor:
    """One job's agent.

    Args:
        host: Where it listens.
        port: Where it listens.
        certificate: The job's certificate in PEM; nothing else is trusted.
        token: The client token.
    """

    def __init__(self, host: str, port: int, certificate: str, token: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the certificate itself is pinned, its name says nothing
        context.load_verify_locations(cadata=certificate)
        self._pool = urllib3.HTTPSConnectionPool(
            host, port, ssl_context=context, assert_hostname=False, retries=False, maxsize=2
        )
        self._headers = {"Authorization": f"Bearer {token}"}

    def events(self, start: int, wait_s: float) -> wire.Events:
        """Return events from number `start` on; waits up to `wait_s` for the first.

        Raises:
            AgentGoneError: There is no such agent.
        """
        return self._call("GET", f"/events?from={start}&wait_s={wait_s:g}", b"", wire.Events, wait_s)

    def stop(self, by: str, reason: str) -> None:
        """End the job.

        Raises:
            AgentGoneError: There is no such agent.
        """
        self._call("POST", "/stop", wire.encode(wire.Stop(by, reason)), wire.Ack, 0.0)

    def _call(self, method: str, path: str, body: bytes, answer: type[T], wait_s: float) -> T:
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=wait_s + _ANSWER_S)
        try:
            response = self._pool.request(
                method, wire.PREFIX + path, body=body or None, headers=self._headers, timeout=timeout
            )
            if response.status != 200:
                raise AgentGoneError(f"the agent answered {response.status}: {response.data[:200]!r}")
            return wire.decode(answer, response.data)
        except (urllib3.exceptions.HTTPError, ContractError, OSError) as error:
            raise AgentGoneError(str(error)) from error
