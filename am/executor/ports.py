"""Ports that are held for the framework, and the address under which peers reach this container."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
import typing

BACKLOG = 1024
ACCEPT_PAUSE_S = 0.1
ELSEWHERE = "192.0.2.1"  # an address of documentation (RFC 5737): the way to it is the way out


class HeldPort:
    """A TCP port bound with SO_REUSEPORT on every address, not listening, until `release`.

    It is bound on every address, and not only on the published one, because frameworks listen on all of them: two tasks
    with different (loopback) addresses of one machine must not get the same number. The kernel never hands a number out
    twice while it is held; whoever sets SO_REUSEPORT too, as the same user, can listen on it all the same.

    Args:
        port_range: First and last number that it may have; empty: any.

    Attributes:
        number: Of the port.

    Raises:
        OSError: No port can be had.
    """

    def __init__(self, port_range: typing.Sequence[int] = ()) -> None:
        self._range = port_range
        self._socket = _bound(port_range)
        self.number = int(self._socket.getsockname()[1])

    def release(self) -> None:
        """Let the port go; may be called twice."""
        self._socket.close()

    def hold(self, another: bool = False) -> None:
        """Hold the port again if it was released: the same number when it is still to be had, else another one.

        Args:
            another: Hold another number in any case.

        Raises:
            OSError: No port can be had.
        """
        if self._socket.fileno() >= 0 and not another:
            return
        old, found = self._socket, None
        if not another:
            with contextlib.suppress(OSError):
                # What the program's connections leave behind (TIME_WAIT) keeps a number from others only.
                found = _bind(self.number, after_us=True)
        self._socket = found or _bound(self._range)
        old.close()
        self.number = int(self._socket.getsockname()[1])


class OpenPort:
    """A port that peers may try: it accepts connections and closes them.

    Args:
        port_range: First and last number that it may have; empty: any.

    Raises:
        OSError: No port can be had.
    """

    def __init__(self, port_range: typing.Sequence[int] = ()) -> None:
        self._socket = _bound(port_range)
        self._socket.listen(BACKLOG)
        self.number = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, name="probed", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:  # too many open files, or the caller has gone: the next one is welcome
                time.sleep(ACCEPT_PAUSE_S)


def _bound(port_range: typing.Sequence[int]) -> socket.socket:
    """Return a socket bound to a port of the range, from a random one on."""
    if not port_range:
        return _bind(0)
    first, last = port_range
    count = last - first + 1
    start = int.from_bytes(os.urandom(4), "big") % count
    for step in range(count):
        try:
            return _bind(first + (start + step) % count)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise OSError(errno.EADDRINUSE, f"No port from {first} to {last} is free")


def _bind(number: int, after_us: bool = False) -> socket.socket:
    """Return a socket bound to a number that nobody has; `after_us`: but connections that ended may have it."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(after_us))
        made.bind(("", number))
        # Only now: set before, it would let another task's held number be taken for free.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        made.close()
        raise
    return made


def addresses_of(host: str) -> typing.List[str]:
    """Return what a name means here; nothing when it means nothing."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except OSError:
        return []
    return [str(entry[4][0]) for entry in found]


def outward_address() -> str:
    """Return our own address on the way out of this machine; empty when there is no way. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect((ELSEWHERE, 9))
            return str(asked.getsockname()[0])
        except OSError:
            return ""


def published_host(
    node_host: str,
    agent_host: str,
    local_address: str,
    resolve: typing.Callable[[str], typing.Sequence[str]] = addresses_of,
    outward: typing.Callable[[], str] = outward_address,
) -> str:
    """Return the address that this container tells its peers.

    The NodeManager's name, when it means this node to others; else our own address as the agent's connection showed it.
    Loopback is published only where the cluster itself lives on it: when the NodeManager is called by such an address,
    or `localhost`. A name that means loopback (a line `127.0.1.1 NAME` in /etc/hosts) is another node's own loopback
    for others that have the same line, so our address on the way out stands in for it.

    Args:
        node_host: NM_HOST of the container's environment, may be empty.
        agent_host: Where the agent is.
        local_address: Our end of the connection to the agent.
        resolve: Name to addresses.
        outward: Our address on the way out.
    """
    addresses = resolve(node_host)
    if addresses and not all(map(is_loopback, addresses)):
        return node_host
    if local_address and not is_loopback(local_address):
        return local_address
    if node_host and not is_loopback(node_host):
        away = outward()
        if away and not is_loopback(away):
            return away
    return node_host if addresses else local_address or agent_host


def numeric(host: str) -> str:
    """Return a name's address in digits, one that is not loopback if it has one; the name itself when it has none."""
    addresses = addresses_of(host)
    return next((address for address in addresses if not is_loopback(address)), addresses[0] if addresses else host)


def other_addresses(published: str, local_address: str) -> typing.Tuple[str, ...]:
    """Return addresses at which peers may reach this container when they do not reach the published one.

    Args:
        published: From `published_host`.
        local_address: Our end of the connection to the agent.
    """
    if not local_address or is_loopback(local_address) or local_address in (published, *addresses_of(published)):
        return ()
    return (local_address,)


def is_loopback(address: str) -> bool:
    """Return whether an address, or a name by itself, says loopback."""
    return address.startswith("127.") or address in ("::1", "localhost")
