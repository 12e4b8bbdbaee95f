"""Trying the peers that the framework will dial, before any command starts: each at its addresses, all at once."""

from __future__ import annotations

import socket
import threading
import time
import typing

from am import runtimes
from am.contract import wire
from am.contract.job import JobPlan, split_task
from am.executor.environment import Topology
from am.executor.happenings import Tried

TRY_S = 3.0
PAUSE_S = 0.1
MAX_PAUSE_S = 1.0


class Probing:
    """Tries until every peer was reached or the time is over.

    Args:
        plan: The job; its `probe_s` limits the trying, 0 stands for one try.
        order: PROBE, with `host:port` of every task's open port, alternatives after commas.
        role: Of this task.
        index: Of this task.
        on_end: Called once, from another thread, with what was reached; never after `cancel`.

    Attributes:
        order_id: Of the order.
    """

    def __init__(
        self, plan: JobPlan, order: wire.Orders, role: str, index: int, on_end: typing.Callable[[Tried], None]
    ) -> None:
        self.order_id = order.order_id
        peers = runtimes.peers(plan, order.topology, role, index)
        self._ways = {peer: _ways(order.topology, peer) for peer in peers}
        self._ends = time.monotonic() + (plan.limits.probe_s or TRY_S)
        self._on_end = on_end
        self._cancelled = threading.Event()
        self._changed = threading.Condition()
        self._reached: typing.Dict[str, str] = {}
        self._said: typing.Dict[str, str] = {}

    def start(self) -> None:
        """Begin, in threads of its own."""
        for peer, ways in self._ways.items():
            threading.Thread(target=self._try, args=(peer, ways), name=f"probe {peer}", daemon=True).start()
        threading.Thread(target=self._await_all, name="probe", daemon=True).start()

    def cancel(self) -> None:
        """Tell nothing any more."""
        self._cancelled.set()
        with self._changed:
            self._changed.notify_all()

    def _await_all(self) -> None:
        # A name service may hold a try for longer than there is time.
        with self._changed:
            self._changed.wait_for(self._over, max(0.0, self._ends - time.monotonic()))
            reached = dict(self._reached)
            missed = {
                peer: self._said.get(peer, "no answer in time") for peer in self._ways if peer not in self._reached
            }
        if not self._cancelled.is_set():
            self._on_end(Tried(self.order_id, reached, missed))

    def _over(self) -> bool:
        return self._cancelled.is_set() or len(self._reached) == len(self._ways)

    def _try(self, peer: str, ways: typing.Sequence[typing.Tuple[str, int]]) -> None:
        pause_s = PAUSE_S
        while not self._cancelled.is_set():
            said = []
            for host, port in ways:
                problem = _reach(host, port, min(TRY_S, self._ends - time.monotonic()))
                if not problem:
                    with self._changed:
                        self._reached[peer] = host
                        self._changed.notify_all()
                    return
                said.append(f"{host}:{port}: {problem}")
            with self._changed:
                self._said[peer] = "; ".join(said)
            if time.monotonic() + pause_s > self._ends:
                return
            self._cancelled.wait(pause_s)
            pause_s = min(MAX_PAUSE_S, 2 * pause_s)


def _ways(topology: Topology, peer: str) -> typing.List[typing.Tuple[str, int]]:
    role, index = split_task(peer)
    found = []
    for way in topology[role][index].split(","):
        host, _, port = way.rpartition(":")
        found.append((host.strip("[]"), int(port)))
    return found


def _reach(host: str, port: int, timeout_s: float) -> str:
    """Connect; return why not, in the system's words, or nothing."""
    try:
        with socket.create_connection((host, port), timeout=max(0.1, timeout_s)):
            return ""
    except socket.timeout:
        return "no answer"
    except OSError as error:
        return error.strerror or str(error)
