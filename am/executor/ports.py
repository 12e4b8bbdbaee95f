"""Ports that are held for the framework, and the address under which peers reach this container."""

from __future__ import annotations

import socket
import typing


class HeldPort:
    """A TCP port bound with SO_REUSEPORT on every address, not listening, until `release`.

    It is bound on every address, and not only on the published one, because frameworks listen on all of them: two tasks
    with different (loopback) addresses of one machine must not get the same number. The kernel never hands a number out
    twice while it is held; whoever sets SO_REUSEPORT too, as the same user, can listen on it all the same.

    Raises:
        OSError: No port can be had.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.bind(("", 0))
            self.number = int(self._socket.getsockname()[1])
        except OSError:
            self._socket.close()
            raise

    def release(self) -> None:
        """Let the port go; may be called twice."""
        self._socket.close()


def published_host(node_host: str, agent_host: str, local_address: str) -> str:
    """Return the address that this container tells its peers.

    The NodeManager's name, when it means this node to others; a name that means loopback here (a line in /etc/hosts)
    does so only if agent and peers live on this machine too. Else our own address as the agent's connection showed it.

    Args:
        node_host: NM_HOST of the container's environment, may be empty.
        agent_host: Where the agent is.
        local_address: Our end of the connection to the agent.
    """
    addresses = _addresses(node_host)
    if addresses and (not all(map(_is_loopback, addresses)) or _is_loopback(local_address)):
        return node_host
    return local_address or agent_host


def _addresses(host: str) -> typing.List[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except OSError:
        return []
    return [str(entry[4][0]) for entry in found]


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
