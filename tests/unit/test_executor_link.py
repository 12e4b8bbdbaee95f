"""The executor looks for its job's agent at several ports, some of which may be a stranger's."""

from __future__ import annotations

import socket
import ssl

import pytest
from httpstandin import closed_port

from am.executor.link import AgentLink, LinkDownError


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
