"""Beats alone, over a line that a test holds in its hand."""

from __future__ import annotations

import contextlib
import queue
import threading

import pytest

from am.contract import wire
from am.executor.beats import Beats

WAIT_S = 10.0


class Line:
    """A link whose calls wait for a test's answers; remembers what was sent and how long it may take."""

    def __init__(self) -> None:
        self.free = threading.Lock()
        self.sent: queue.SimpleQueue[tuple[wire.Beat, float]] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[wire.Orders] = queue.SimpleQueue()

    def call(self, _path: str, message: wire.Beat, _kind: type, timeout_s: float) -> wire.Orders:
        """Note the beat; answer when the test does."""
        self.sent.put((message, timeout_s))
        return self.answers.get(timeout=WAIT_S)


@pytest.fixture
def line() -> Line:
    """Return a line that has said nothing yet."""
    return Line()


def test_the_pid_goes_with_the_first_beat_after_the_start(line, monkeypatch):
    """Who was woken while a beat was held still waits for the command's pid after the order to start."""
    monkeypatch.setattr("am.executor.beats.START_S", WAIT_S)

    def on_orders(_orders: wire.Orders) -> None:
        threading.Timer(0.01, lambda: beats.tell_pid(7)).start()

    beats = Beats(line, "c0", 1, (60.0, 10.0), on_orders, lambda *_: None)
    beats.start()
    line.sent.get(timeout=WAIT_S)
    beats.go_on()
    line.answers.put(wire.Orders(2, wire.START))
    assert line.sent.get(timeout=WAIT_S)[0].pid == 7
    beats.close()
    line.answers.put(wire.Orders(2, wire.START))


class Report(contextlib.AbstractContextManager[None]):
    """A report that has the line for a while when a beat wants it."""

    def __enter__(self) -> None:
        """Wait for its end."""
        threading.Event().wait(0.3)

    def __exit__(self, *_: object) -> None:
        """Nothing has to be given back."""


def test_a_report_that_takes_the_line_costs_the_beat_its_time(line):
    """A beat that waits for the line may then be silent for the rest of the time only."""
    line.free = Report()
    beats = Beats(line, "c0", -1, (0.5, 10.0), lambda _: None, lambda *_: None)
    beats.start()
    assert line.sent.get(timeout=WAIT_S)[1] <= 0.2
    beats.close()
    line.answers.put(wire.Orders(1, wire.WAIT))
