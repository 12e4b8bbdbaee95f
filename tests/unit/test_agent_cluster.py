"""What NodeManagers and Skein say, read as the agent's own words."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from types import SimpleNamespace

import pytest

from am.agent import words
from am.agent.cluster import (
    ASKED,
    DOWN,
    ENDED,
    GIVEN,
    GONE,
    LOCALIZING,
    RUNNING,
    UNKNOWN,
    ClusterError,
    SkeinCluster,
    read_container,
    read_node_word,
)
from am.agent.threads import in_thread

# As NodeManagers of Hadoop 3.5.0 and 3.4.3 answer (the latter may write numbers as strings).
NODE = {"id": "container_1795355209651_0001_01_000001", "state": "RUNNING", "exitCode": -1000, "diagnostics": ""}
LAUNCH_FAILURE = (
    "[2026-11-22 15:47:43.953]Exception from container-launch.\nContainer id: c1\nExit code: 127\n"
    "[2026-11-22 15:47:43.954]bash: python3: command not found\n\tat org.apache.hadoop.X(X.java:1)\n\t... 3 more\n"
)


def answer(**changes) -> bytes:
    """Return a NodeManager's answer about a container."""
    return json.dumps({"container": {**NODE, **changes}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "state", "code"),
    [
        (200, answer(), RUNNING, None),
        (200, answer(state="LOCALIZING"), LOCALIZING, None),
        (200, answer(state="SCHEDULED"), LOCALIZING, None),
        (200, answer(state="KILLING"), RUNNING, None),
        (200, answer(state="DONE", exitCode=0), ENDED, 0),
        (200, answer(state="COMPLETE", exitCode="137"), ENDED, 137),
        (200, answer(state="EXITED_WITH_FAILURE", exitCode="-104"), ENDED, -104),
        (200, answer(state="LOCALIZATION_FAILED"), ENDED, None),
        (200, json.dumps({**NODE, "exitCode": 3}).encode(), ENDED, 3),
        (200, b"<html>", UNKNOWN, None),
        (200, b"[]", UNKNOWN, None),
        (503, b"", UNKNOWN, None),
        (404, b"{}", GONE, None),
    ],
)
def test_a_nodes_word_is_read_whatever_version_wrote_it(status, body, state, code):
    """Running, fetching files, ended with a code, gone, or no answer that means anything."""
    word = read_node_word(status, body)
    assert (word.state, word.code) == (state, code)


def test_a_nodes_words_lose_times_and_java_stacks():
    """What is shown to the user is sentences."""
    word = read_node_word(200, answer(state="DONE", exitCode=127, diagnostics=LAUNCH_FAILURE))
    assert word.words.splitlines()[-1] == "bash: python3: command not found"
    assert words._reason(word.words) == "bash: python3: command not found"
    assert words._reason("A: b\nCaused by: C: d\nCaused by: E: not in gzip format\n") == "E: not in gzip format"
    assert words._reason("") == "YARN gave no reason"


def test_yarns_own_codes_get_a_meaning():
    """A negative code is no exit code of a program; its meaning stands before the node's words."""
    word = read_node_word(200, answer(state="DONE", exitCode=-104, diagnostics="is running 5MB beyond"))
    assert word.words == "it used more memory than it asked for\nis running 5MB beyond"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("WAITING", ASKED),
        ("REQUESTED", ASKED),
        ("RUNNING", GIVEN),
        ("SUCCEEDED", ENDED),
        ("FAILED", ENDED),
        ("KILLED", ENDED),
    ],
)
def test_skeins_states_are_ours(state, expected):
    """Skein's RUNNING means allocated and nothing more."""
    item = SimpleNamespace(
        service_name="worker", state=state, yarn_container_id="c1", yarn_node_http_address="h:1", exit_message="no"
    )
    found = read_container(item)
    assert (found.id, found.role, found.node_http, found.state, found.words) == ("c1", "worker", "h:1", expected, "no")


def test_a_machine_without_nodemanager_is_told_from_one_that_is_silent(unused_port, monkeypatch):
    """Both prove nothing about their containers; the first proves that the machine is there."""
    monkeypatch.setattr("am.agent.cluster.NODE_CALL_S", 0.1)
    word = asyncio.run(SkeinCluster().look("c1", f"127.0.0.1:{unused_port}"))
    assert (word.state, word.code, word.words) == (DOWN, None, f"no NodeManager listens at 127.0.0.1:{unused_port}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        word = asyncio.run(SkeinCluster().look("c1", f"127.0.0.1:{silent.getsockname()[1]}"))
    assert (word.state, word.code) == (UNKNOWN, None)
    assert "does not answer" in word.words


class Master:
    """Skein's ApplicationMaster as its `ApplicationClient` shows it: what it has for each service."""

    def __init__(self) -> None:
        self.items = [
            self.item("worker", "RUNNING", "c1"),
            self.item("worker", "REQUESTED"),
            self.item("ps", "WAITING"),
            self.item("worker", "KILLED", "c0"),
        ]

    @staticmethod
    def item(service: str, state: str, container_id: str = "") -> SimpleNamespace:
        """Return a container; Skein's own id is no id of YARN's."""
        return SimpleNamespace(
            id=f"skein_{container_id or state}",
            service_name=service,
            state=state,
            yarn_container_id=container_id,
            yarn_node_http_address="h:1",
            exit_message="",
        )

    def get_containers(self, states):
        """Return those in these states."""
        return [item for item in self.items if item.state in states]

    def kill_container(self, id):  # noqa: A002 - Skein's name
        """End one, or withdraw what is asked for."""
        next(item for item in self.items if item.id == id).state = "KILLED"

    def scale(self, service, count=None, delta=None):
        """Ask for `delta` more, or for so many that there are `count`."""
        live = [item for item in self.items if item.service_name == service and item.state != "KILLED"]
        more = delta if count is None else count - len(live)
        self.items += [self.item(service, "REQUESTED") for _ in range(more)]

    def states(self, service: str) -> list[str]:
        """Return how the containers of a service are."""
        return [item.state for item in self.items if item.service_name == service]


def test_what_is_asked_of_skein():
    """More is more than there is; all is given back, given or only asked for, and those that were given are named."""
    cluster, master = SkeinCluster(), Master()
    cluster._client = master
    asyncio.run(cluster.ask("worker", 2))
    assert master.states("worker") == ["RUNNING", "REQUESTED", "KILLED", "REQUESTED", "REQUESTED"]
    found = asyncio.run(cluster.containers())
    assert [(item.role, item.state) for item in found][:4] == [
        *[("worker", GIVEN), ("worker", ASKED), ("ps", ASKED), ("worker", ENDED)],
    ]
    assert asyncio.run(cluster.release_all()) == {"c1"}
    assert master.states("ps") == ["KILLED"]
    assert "RUNNING" not in master.states("worker")
    asyncio.run(cluster.ask("worker", 1))
    assert master.states("worker")[-1] == "REQUESTED"


def test_a_container_is_stopped_by_its_id():
    """Skein has ids of its own: they are asked for; a container that it does not know is stopped already."""
    cluster, master = SkeinCluster(), Master()
    cluster._client = master
    asyncio.run(cluster.stop("c1"))
    asyncio.run(cluster.stop("c9"))
    assert master.states("worker") == ["KILLED", "REQUESTED", "KILLED"]


def test_a_master_that_does_not_answer_is_an_error_of_the_cluster():
    """Whatever the launcher's library raises becomes one kind of error."""
    with pytest.raises(ClusterError, match="ApplicationMaster"):
        asyncio.run(SkeinCluster().finish("SUCCEEDED", ""))


def test_a_call_that_hangs_is_left_alone():
    """The deadline counts for the caller; the thread does not keep the program from ending."""
    hold = threading.Event()
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        asyncio.run(in_thread(hold.wait, 0.05))
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "agent-call")
    hold.set()


@pytest.fixture
def unused_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
