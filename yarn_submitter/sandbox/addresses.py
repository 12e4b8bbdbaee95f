"""Addresses and ports of a sandbox: free when chosen, kept from then on."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from yarn_submitter.errors import LimitError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCALHOST = "127.0.0.1"
MASTER_PORTS = (
    "NN_RPC",
    "NN_HTTP",
    "DN_DATA",
    "DN_HTTP",
    "DN_IPC",
    "RM_CLIENT",
    "RM_SCHEDULER",
    "RM_TRACKER",
    "RM_ADMIN",
    "RM_HTTP",
)
NODE_PORTS = ("RPC", "LOCALIZER", "HTTP")
# Below the range from which systems give ports to outgoing connections: a remembered port stays free.
FIRST_PORT, LAST_PORT = 20000, 32000
TRIES = 2000


def node_addresses(count: int) -> tuple[str, ...]:
    """Return one loopback address per NodeManager, 127.0.0.11 and up; 127.0.0.1 for all where there is only that."""
    if not _can_bind("127.0.0.11", 0):
        return (LOCALHOST,) * count
    return tuple(f"127.0.{(10 + number) // 250}.{(10 + number) % 250}" for number in range(1, count + 1))


def choose_ports(nodes: Sequence[str], remembered: Mapping[str, int], in_use_by_us: frozenset[str]) -> dict[str, int]:
    """Return a port for every use: the remembered one where it is free or ours, else a new one.

    Args:
        nodes: The NodeManagers' addresses.
        remembered: Ports by use from the last time.
        in_use_by_us: Uses whose daemon is running now, so that its port must look taken.

    Raises:
        LimitError: No free port was found.
    """
    uses = [(use, LOCALHOST) for use in MASTER_PORTS]
    uses += [(f"NODE{n}_{port}", address) for n, address in enumerate(nodes, 1) for port in NODE_PORTS]
    chosen: dict[str, int] = {}
    with ExitStack() as held:
        for use, address in uses:
            port = remembered.get(use)
            if port is not None and (use in in_use_by_us or _hold(held, address, port)):
                chosen[use] = port
        for use, address in uses:
            if use not in chosen:
                chosen[use] = _free_port(held, address, avoid=set(chosen.values()))
    return chosen


def _free_port(held: ExitStack, address: str, avoid: set[int]) -> int:
    for _ in range(TRIES):
        port = random.randint(FIRST_PORT, LAST_PORT)  # noqa: S311 - not a secret
        if port not in avoid and _hold(held, address, port):
            return port
    raise LimitError(
        Problem(
            "sandbox-no-port",
            f"No free port was found on {address}.",
            f"tried {TRIES} ports between {FIRST_PORT} and {LAST_PORT}",
            "see who holds them: ss -ltn",
        )
    )


def _hold(held: ExitStack, address: str, port: int) -> bool:
    """Bind the port until `held` is closed; False when somebody has it."""
    server = socket.socket()
    # As Java's servers do, so that connections in TIME_WAIT after a kill do not count.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((address, port))
        server.listen(1)
    except OSError:
        server.close()
        return False
    held.enter_context(closing(server))
    return True


def _can_bind(address: str, port: int) -> bool:
    with ExitStack() as held:
        return _hold(held, address, port)
