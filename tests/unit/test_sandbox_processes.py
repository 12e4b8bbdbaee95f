"""Processes and ports of a sandbox: ours are known, kept and ended; nobody else's are touched."""

import os
import socket
import subprocess
import sys

import pytest

from yarn_submitter.sandbox.addresses import LAST_PORT, choose_ports, node_addresses
from yarn_submitter.sandbox.lifecycle import log_tail
from yarn_submitter.sandbox.processes import (
    CONTAINER_MARK,
    Children,
    end,
    end_marked,
    is_alive,
    marked_pids,
    with_argument,
)
from yarn_submitter.sandbox.state import Process

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
# Says so when it is ready, then waits for the end; deaf to TERM when told so.
PROGRAM = """
import os, signal, sys
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
if "READY" in os.environ: open(os.environ["READY"], "w").close()
signal.pause()
"""


@pytest.fixture
def started():
    """Start programs with a mark; whatever is left at the end is killed."""
    running = []

    def start(*arguments, **env):
        popen = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, env={**os.environ, **env}
        )
        running.append(popen)
        assert popen.stdout.readline() == b"ready\n"
        return popen

    yield start
    for popen in running:
        popen.kill()
        popen.wait()
        popen.stdout.close()


def remembered(tmp_path, mark):
    """Start one program as a sandbox does, and wait until it runs: the kernel shows its arguments a moment late."""
    children, ready = Children(), tmp_path / "ready"
    os.mkfifo(ready)
    environ = {**os.environ, "READY": str(ready)}
    process = children.start([sys.executable, "-c", PROGRAM, mark], environ, tmp_path / "x.log", tmp_path)
    ready.open().close()
    return children, process


def test_a_process_is_ours_only_with_start_time_and_mark(tmp_path):
    """The same id with another start, or without the mark, is somebody else's: it is neither alive nor ended."""
    children, process = remembered(tmp_path, "-Dmark=1")
    assert is_alive(process, "-Dmark=1")
    assert not is_alive(process, "-Dmark")
    assert not is_alive(Process(process.pid, "0"), "-Dmark=1")
    assert not is_alive(None, "-Dmark=1")
    end([Process(process.pid, "0")], "-Dmark=1", 1)
    end([process], "-Dmark=2", 1)
    assert is_alive(process, "-Dmark=1")
    end([process], "-Dmark=1", 5)
    assert not is_alive(process, "-Dmark=1")
    children.pause(10)  # returns at once: the end of a child is an event


def test_who_does_not_hear_term_is_killed(started):
    """After the grace comes KILL."""
    popen = started("-Dmark=2", "deaf")
    (process,) = with_argument("-Dmark=2")
    assert process.pid == popen.pid
    end([process], "-Dmark=2", 0.05)
    assert popen.wait(20) == -9


@linux_only
def test_containers_are_found_by_their_environment(started):
    """Processes with this sandbox's id are found and ended, those of another sandbox and without one are not."""
    mine, other = started(**{CONTAINER_MARK: "id-1"}), started(**{CONTAINER_MARK: "id-12"})
    assert marked_pids("id-1") == [mine.pid]
    assert end_marked("id-1", 1) == 1
    assert mine.wait(20) == -15
    assert other.poll() is None


def test_the_log_of_the_start_before_is_kept(tmp_path):
    """A second start does not destroy what the first one said."""
    (tmp_path / "x.log").write_text("first")
    _children, process = remembered(tmp_path, "-Dmark=3")
    end([process], "-Dmark=3", 5)
    assert (tmp_path / "x.log.1").read_text() == "first"


def test_ports_are_kept_where_they_are_free_or_ours():
    """A remembered port stays unless another program has it; new ones lie where no outgoing connection takes them."""
    nodes = node_addresses(2)
    first = choose_ports(nodes, {}, frozenset())
    assert len(set(first.values())) == len(first)
    assert max(first.values()) <= LAST_PORT
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["RM_HTTP"]))
        taken.listen()
        second = choose_ports(nodes, first, frozenset())
        assert {use for use in first if first[use] != second[use]} == {"RM_HTTP"}
        assert choose_ports(nodes, first, frozenset({"RM_HTTP"})) == first


@linux_only
def test_every_node_has_its_own_address():
    """127.0.0.11 and up, also beyond one byte."""
    assert node_addresses(2) == ("127.0.0.11", "127.0.0.12")
    many = node_addresses(200)
    assert len(set(many)) == 200
    assert "127.0.0.1" not in many


def test_the_tail_of_a_log_begins_with_its_last_error(tmp_path):
    """Stack frames and the farewell hide the cause; without an error the last lines are shown."""
    log = tmp_path / "x.log"
    log.write_text(
        "INFO a\n2026 ERROR x: first\nINFO b\n2026 ERROR x: last\njava.io.IOException: why\n\tat a.B\n\n"
        "2026 INFO x: SHUTDOWN_MSG: \n/*****\nSHUTDOWN_MSG: Shutting down\n*****/\nbye\n"
    )
    assert log_tail(log) == ["2026 ERROR x: last", "java.io.IOException: why", "bye"]
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    assert log_tail(log)[-1] == "line 99"
    assert len(log_tail(log)) == 10
