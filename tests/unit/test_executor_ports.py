"""Held ports and the published address."""

import socket

import pytest

from am.executor.ports import HeldPort, published_host


def listener(host, port, *, reuse):
    """Try to listen; return the error, None for success."""
    with socket.socket() as made:
        if reuse:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            made.bind((host, port))
            made.listen()
        except OSError as error:
            return error
    return None


@pytest.mark.parametrize("host", ["", "127.0.0.1", "127.0.0.11"])
def test_a_held_port_is_free_for_who_shares_it_and_nobody_else(host):
    """TensorFlow (SO_REUSEPORT) can listen on it, a program without that cannot, until it is released."""
    port = HeldPort()
    assert listener(host, port.number, reuse=True) is None
    assert listener(host, port.number, reuse=False) is not None
    port.release()
    assert listener(host, port.number, reuse=False) is None


def test_no_number_is_given_out_twice():
    """Tasks on one machine never share a number, for their frameworks listen on all addresses."""
    ports = [HeldPort() for _ in range(200)]
    assert len({port.number for port in ports}) == 200
    for port in ports:
        port.release()


@pytest.mark.parametrize(
    ("node_host", "local", "published"),
    [
        ("127.0.0.11", "127.0.0.1", "127.0.0.11"),  # the sandbox: all on this machine
        ("localhost", "127.0.0.1", "localhost"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "127.0.0.1", "192.0.2.7"),  # the agent is on this node
        ("localhost", "192.0.2.7", "192.0.2.7"),  # a node that thinks it is called localhost
        ("127.0.1.1", "192.0.2.7", "192.0.2.7"),
        ("no-such-host.invalid", "192.0.2.7", "192.0.2.7"),
        ("", "192.0.2.7", "192.0.2.7"),
        ("", "", "agent"),
    ],
)
def test_the_published_address_is_one_that_peers_reach(node_host, local, published):
    """NM_HOST, unless it means loopback here while the cluster does not live on loopback."""
    assert published_host(node_host, "agent", local) == published
