"""A session's parts alone: which order counts, and how a command that runs obeys it."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest
from executor_world import plan

from am.contract import wire
from am.contract.job import Limits
from am.executor import stalls
from am.executor.environment import Directories
from am.executor.happenings import Ended, Leave, Signalled, Stalled
from am.executor.inbox import NODE_GRACE_S, Inbox
from am.executor.interfaces import interface_of
from am.executor.results import Results
from am.executor.running import Running

TAKEN = "OSError: [Errno 98] Address already in use"


class Program:
    """A command: ends when it is killed, and notes what it is told."""

    pid = 7

    def __init__(self, on_exit) -> None:
        self.on_exit = on_exit
        self.told = []

    def signal(self, number) -> None:
        """Take a signal."""
        self.told.append(number)
        if number == signal.SIGKILL:
            self.on_exit(137)

    def tail(self) -> str:
        """Return its last words."""
        return TAKEN


@pytest.fixture
def inbox():
    """What happens to a session; after a while its command ends by itself, so that no test waits for ever."""
    made = Inbox()
    last = threading.Timer(5.0, made.put, (Ended(99),))
    last.start()
    yield made
    last.cancel()


@pytest.fixture
def results(tmp_path):
    """Results of a task that has none."""
    return Results(plan(), "worker:0", Directories(*(str(tmp_path / str(number)) for number in range(6))))


def order(number: int, kind: str, **more) -> wire.Orders:
    """Return an order of the agent."""
    return wire.Orders(number, kind, **more)


def watched(inbox, results, *happenings):
    """Return how a command ends to which this happens, and what it was told."""
    started = []

    def start(on_exit):
        started.append(Program(on_exit))
        return started[0]

    running = Running(inbox, start, Limits(stop_grace_s=0))
    for happening in happenings:
        inbox.put(happening)
    end = running.watch(results)
    return (end.code, end.problem), started[0].told


def test_a_later_order_may_only_hurry_a_stop(inbox, results):
    """TERM is sent once, and KILL comes when the first grace is over, whatever grace comes after it."""
    orders = (order(3, wire.AGAIN, grace_s=0.1), order(4, wire.STOP, grace_s=600.0))
    assert watched(inbox, results, *orders) == ((137, ""), [signal.SIGTERM, signal.SIGKILL])


def test_the_watchdog_of_an_earlier_attempt_stops_nobody(inbox, results):
    """Its word may come when the next command runs already."""
    assert watched(inbox, results, Stalled(6, "program-stalled"), Ended(0)) == ((0, ""), [])


def test_a_silent_command_is_killed_after_its_grace(inbox, results):
    """Its own watchdog's word is its end, whatever it says last."""
    stopped = (75, "program-stalled"), [signal.SIGTERM, signal.SIGKILL]
    assert watched(inbox, results, Stalled(7, "program-stalled")) == stopped


@pytest.mark.parametrize(("happenings", "problem"), [([], "address-in-use"), ([order(3, wire.STOP, grace_s=9.0)], "")])
def test_a_stopped_command_did_not_fail_for_its_port(inbox, results, happenings, problem):
    """What it says while it is ended has no meaning for the next attempt."""
    assert watched(inbox, results, *happenings, Ended(1))[0] == (1, problem)


def test_what_the_node_wants_nobody_takes_back(inbox):
    """After TERM from the node only a STOP counts, which may give more time for results; LEAVE ends it all."""
    inbox.signalled = True
    inbox.put(Signalled(15))
    inbox.put(order(3, wire.AGAIN))
    inbox.catch_up()
    assert (inbox.stop, inbox.take_again()) == (
        order(-1, wire.STOP, grace_s=NODE_GRACE_S, upload_s=NODE_GRACE_S),
        False,
    )
    inbox.put(order(4, wire.STOP, upload_s=60.0))
    inbox.catch_up()
    assert inbox.stop == order(4, wire.STOP, upload_s=60.0)
    inbox.put(order(5, wire.LEAVE))
    with pytest.raises(Leave):
        inbox.catch_up()


def test_an_order_that_has_come_is_taken_at_once(inbox):
    """Nobody has looked into the inbox since: AGAIN is obeyed, and once only."""
    inbox.put(order(3, wire.AGAIN))
    assert (inbox.take_again(), inbox.take_again()) == (True, False)


def test_a_dump_that_hangs_does_not_keep_a_silent_program(tmp_path, monkeypatch):
    """Its stacks are worth `DUMP_S`."""
    monkeypatch.setattr(stalls, "DUMP_S", 0.1)
    spy = tmp_path / "py-spy"
    spy.write_text("#!/bin/sh\nexec sleep 20\n")
    spy.chmod(0o755)
    heard, said = threading.Event(), []
    child = SimpleNamespace(pid=7, members=lambda: [os.getpid()] * 3, written=lambda: 0, note=said.append)

    def on_stall(stalled):
        said.append(stalled)
        heard.set()

    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    watchdog = stalls.Watchdog(child, Limits(stall_s=0.05), lambda: None, path, on_stall)
    assert heard.wait(10)
    watchdog.close()
    assert said == [Stalled(7, "program-stalled")]


def test_a_name_that_means_nothing_is_on_no_interface():
    """Not even on loopback's."""
    assert interface_of("") == ""
