"""What an executor says to its agent, over real TLS and as few connections as there can be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from executor_world import LONG_S, SECRET, FakeAgent, plan

from am.contract import wire
from am.executor.inbox import Inbox
from am.executor.preparation import Place
from am.executor.reporting import Reporter


@pytest.fixture
def inbox() -> Inbox:
    """What comes to the session."""
    return Inbox()


@pytest.fixture
def reporter(
    agent: FakeAgent,
    certificates: dict[str, tuple[Path, Path]],
    inbox: Inbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reporter]:
    """The line to the agent; after an order that ends an attempt it keeps the connection free for very long."""
    monkeypatch.setattr("am.executor.beats.REPORT_S", 600.0)
    environment = {"CONTAINER_ID": "c0", "NM_HOST": "127.0.0.1", "NM_HTTP_PORT": "8042"}
    place = Place(
        "worker", str(tmp_path), "127.0.0.1", str(certificates["ours"][0]), wire.task_token(SECRET), environment, 0.0
    )
    made = Reporter(plan(agent_ports=(agent.port,)), place, inbox)
    yield made
    made.close()
    agent.order(wire.LEAVE)
    for thread in threading.enumerate():
        if thread.name == "beats":
            thread.join(LONG_S)
    for link in (made._shared, made._own):  # an executor that ends closes them with its process
        link.close()


def test_the_first_beat_knows_the_order_that_came_with_the_registration(agent: FakeAgent, reporter: Reporter) -> None:
    """So the agent may hold it at once; without an order the first beat asks for one."""
    agent.known = agent.orders.order_id
    reporter.register(0, 0)
    beat = agent.told(wire.Beat)
    assert (beat.order_id, beat.wait_s > 0) == (agent.known, True)


def test_a_registration_without_an_order_is_followed_by_a_question(agent: FakeAgent, reporter: Reporter) -> None:
    """The first beat is answered at once."""
    reporter.register(0, 0)
    beat = agent.told(wire.Beat)
    assert (beat.order_id, beat.wait_s) == (-1, 0.0)


@pytest.mark.parametrize("order", [wire.STOP, wire.AGAIN])
def test_a_report_that_is_due_goes_by_the_connection_of_the_beats(
    agent: FakeAgent, reporter: Reporter, inbox: Inbox, order: str
) -> None:
    """After an order that ends the attempt no beat takes it: the next thing to say is how the attempt ended."""
    reporter.register(0, 0)
    agent.told(wire.Beat)
    agent.order(order)
    while inbox.order.order != order:
        assert inbox.next(LONG_S) is not None
    reporter.tell_exit(143, "", "", 1)
    assert agent.told(wire.Exit).code == 143
    assert len(agent.sockets) == 1


def test_beats_go_on_with_the_next_attempt(agent: FakeAgent, reporter: Reporter, inbox: Inbox) -> None:
    """At once, since the next order is waited for."""
    reporter.register(0, 0)
    agent.told(wire.Beat)
    agent.order(wire.AGAIN)
    again = agent.orders.order_id
    while inbox.order.order != wire.AGAIN:
        assert inbox.next(LONG_S) is not None
    reporter.tell_exit(143, "", "", 1)
    assert reporter.register(0, 0).attempt == 2
    agent.told(wire.Beat, lambda beat: beat.order_id == again)
