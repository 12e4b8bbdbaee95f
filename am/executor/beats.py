"""Signs of life in a thread of their own: orders come in, pid and progress go out, silence is noticed."""

from __future__ import annotations

import os
import threading
import time
import typing

from am.contract import wire
from am.executor.link import AgentLink, LinkDownError, RefusedError

T = typing.TypeVar("T")

GONE = frozenset((409, 410))  # all tasks of the role are taken; the job has ended
START_PAUSE_S = 0.1
MAX_PAUSE_S = 1.0
PROGRESS_S = 2.0
START_S = 0.25  # most commands run by then, and their pid goes with the next beat
FETCH_S = 1.0
REPORT_S = 1.0  # most commands end so soon after they were told to


class AgentGoneError(Exception):
    """The agent did not answer for as long as it may be silent; the message is a sentence."""


class Beats:
    """Beats until `close`, a refusal or a silence.

    Args:
        link: To the agent; held while a beat is, else free for reports.
        container_id: Who we are.
        order_id: Of the newest order that is known.
        limits_s: (silence, call) of the job's limits.
        on_orders: Called with each newer order.
        on_end: Called once, with a sentence and whether the agent sent us away (else it was silent).
    """

    def __init__(
        self,
        link: AgentLink,
        container_id: str,
        order_id: int,
        limits_s: typing.Tuple[float, float],
        on_orders: typing.Callable[[wire.Orders], None],
        on_end: typing.Callable[[str, bool], None],
    ) -> None:
        self._link = link
        self._container_id = container_id
        self._order_id = order_id
        self._silence_s, self._call_s = limits_s
        self._hold_s = min(wire.MAX_HOLD_S, self._silence_s / 3) if self._silence_s else wire.MAX_HOLD_S
        self._on_orders = on_orders
        self._on_end = on_end
        self._wake = threading.Event()
        self._closed = False
        self._pid = 0
        self._starting = False
        self._moved: typing.Optional[typing.Callable[[], int]] = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name="beats", daemon=True).start()

    def tell_pid(self, pid: int) -> None:
        """Send the command's process id with the next beat, at once."""
        self._pid = pid
        self._starting = False
        self._wake.set()

    def tell_moved(self, moved: typing.Callable[[], int]) -> None:
        """From now on send how many bytes were carried, every few seconds."""
        self._moved = moved

    def go_on(self) -> None:
        """Beat at once: what the last order asked for is done."""
        self._wake.set()

    def tell_over(self) -> None:
        """From now on no command runs and nothing is carried."""
        self._pid = 0
        self._moved = None

    def close(self) -> None:
        """Beat no more."""
        self._closed = True
        self._wake.set()

    def _run(self) -> None:
        heard = time.monotonic()
        failures = 0
        while not self._closed:
            began = time.monotonic()
            wait_s = 0.0 if self._order_id < 0 else self._held_s()
            try:
                orders = self._beat(wait_s, heard)
            except (LinkDownError, RefusedError) as error:
                if isinstance(error, RefusedError) and error.status in GONE:
                    self._on_end(f"Leaving: {error}.", True)
                    return
                if self._silence_s and time.monotonic() - heard >= self._silence_s:
                    self._on_end(f"The agent has been silent for {self._silence_s:g} s: {error}.", False)
                    return
                orders = None
            if orders is None:
                failures += 1
                self._pause(backoff_s(failures))
                continue
            heard, failures = time.monotonic(), 0
            if orders.order_id != self._order_id:
                self._order_id = orders.order_id
                self._starting = orders.order == wire.START and not self._pid
                self._wake.clear()  # what woke us belongs to the order before
                self._on_orders(orders)
                self._pause(self._following_s(orders))
            elif orders.beat_s or wait_s == 0.0 or heard - began < wait_s / 2:
                self._pause(orders.beat_s or MAX_PAUSE_S)

    def _following_s(self, orders: wire.Orders) -> float:
        """Return the pause after a new order, in seconds: meanwhile reports go by the same connection."""
        if self._starting:
            return START_S
        return max(orders.beat_s, REPORT_S) if orders.order in (wire.STOP, wire.AGAIN) else orders.beat_s

    def _held_s(self) -> float:
        if self._starting:  # a checkpoint is being fetched: the beat with the pid must not wait long behind this one
            return min(self._hold_s, FETCH_S)
        return min(self._hold_s, PROGRESS_S) if self._moved else self._hold_s

    def _beat(self, wait_s: float, heard: float) -> wire.Orders:
        with self._link.free:
            timeout_s = wait_s + self._call_s
            if self._silence_s:
                timeout_s = max(0.1, min(timeout_s, heard + self._silence_s - time.monotonic()))
            moved = self._moved() if self._moved else 0
            beat = wire.Beat(self._container_id, self._order_id, wait_s, self._pid, moved)
            return self._link.call("/beat", beat, wire.Orders, timeout_s)

    def _pause(self, seconds: float) -> None:
        if seconds:
            self._wake.wait(seconds)
        self._wake.clear()


def persist(
    call: typing.Callable[[float], T], limits_s: typing.Tuple[float, float], given_up: typing.Callable[[], bool]
) -> T:
    """Repeat a call to the agent until it is answered; its receiver takes a repetition for the same.

    Args:
        call: Gets the time that one call may take, in seconds.
        limits_s: (in all, one call) how long to try; 0 in all: for ever.
        given_up: Asked between tries.

    Raises:
        AgentGoneError: Nobody answered for so long, or it was given up.
        RefusedError: The agent said no.
    """
    patience_s, call_s = limits_s
    ends = time.monotonic() + patience_s if patience_s else float("inf")
    failures = 0
    while True:
        try:
            return call(max(0.1, min(call_s, ends - time.monotonic())))
        except (LinkDownError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.status < 500:
                raise
            failures += 1
            pause_s = backoff_s(failures)
            if given_up():
                raise AgentGoneError(f"Told to stop; {error}.") from error
            if time.monotonic() + pause_s > ends:
                raise AgentGoneError(f"The agent was not reached within {patience_s:g} s: {error}.") from error
            time.sleep(pause_s)


def backoff_s(failures: int) -> float:
    """Return the pause after so many failures in a row: 0.1 s, growing to 1 s, give or take a half."""
    dice = int.from_bytes(os.urandom(2), "big") / 65536
    return min(MAX_PAUSE_S, START_PAUSE_S * 1.3 ** min(failures - 1, 20)) * (0.5 + dice)
