"""The executor looks for its job's agent at several ports, some of which may be a stranger's, and waits its turn."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest
from executor_world import FakeAgent
from httpstandin import closed_port

from am.executor.link import AgentLink, LinkDownError, pinned_context


def test_a_stranger_who_says_nothing_is_asked_last_the_next_time() -> None:
    """A port that takes connections and is silent uses up one try at most; refused ones keep their place."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, closed = silent.getsockname()[1], int(closed_port().rpartition(":")[2])
        link = AgentLink("127.0.0.1", [port, closed], ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "token")
        with pytest.raises(LinkDownError, match=f"{port}: .*timed out"):
            link.connect(0.2)
        assert link.ports == [closed, port]
        with pytest.raises(LinkDownError, match=f"{closed}: .*refused"):
            link.connect(0.2)
        assert link.ports == [closed, port]


def test_a_port_whose_packets_are_dropped_leaves_time_for_the_others(
    agent: FakeAgent, certificates: dict[str, tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where TCP gets no answer, as behind a firewall, one port costs a part of the time and not all of it."""
    monkeypatch.setattr("am.executor.link.CONNECT_S", 0.1)
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # it takes no more: Linux drops what comes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        context = pinned_context(str(certificates["ours"][0]))
        link = AgentLink("127.0.0.1", [full.getsockname()[1], agent.port], context, "token")
        link.connect(5.0)
        assert link.ports[0] == agent.port
        link.close()


def test_an_agent_that_is_busy_is_waited_for(
    certificates: dict[str, tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has taken the connection may take its time with the handshake: thousands of tasks meet it at once."""
    monkeypatch.setattr("am.executor.link.CONNECT_S", 0.1)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificates["ours"])
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            threading.Event().wait(0.3)
            with tls.wrap_socket(connection, server_side=True) as met:
                met.recv(1)

        busy = threading.Thread(target=greet)
        busy.start()
        link = AgentLink("127.0.0.1", [server.getsockname()[1]], pinned_context(str(certificates["ours"][0])), "token")
        link.connect(10.0)
        assert link.local_address() == "127.0.0.1"
        link.close()
        busy.join(10)


def test_another_jobs_agent_is_named(certificates: dict[str, tuple[Path, Path]]) -> None:
    """Who answers with another certificate is said to, once it has had the time to show it."""
    stranger = FakeAgent(*certificates["another"])
    link = AgentLink("127.0.0.1", [stranger.port], pinned_context(str(certificates["ours"][0])), "token")
    try:
        with pytest.raises(LinkDownError, match="another certificate than this job's"):
            link.connect(20.0)
    finally:
        stranger.vanish()
