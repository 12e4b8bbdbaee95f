"""Held ports and the published address."""

import socket

import pytest

from am.executor.ports import HeldPort, other_addresses, published_host


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


@pytest.mark.parametrize(
    ("local", "outward", "published"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.8", "192.0.2.7", "192.0.2.8"),
        ("127.0.0.1", "", "node1"),
        ("127.0.0.1", "127.0.0.1", "node1"),
    ],
)
def test_a_name_that_means_loopback_here_is_not_published(local, outward, published):
    """A node whose /etc/hosts says `127.0.1.1 node1`: others with the same line would dial themselves."""
    assert published_host("node1", "agent", local, lambda _: ["127.0.1.1"], lambda: outward) == published


@pytest.mark.parametrize(
    ("published", "local", "others"),
    [
        ("127.0.0.11", "127.0.0.1", ()),
        ("192.0.2.7", "192.0.2.7", ()),
        ("192.0.2.7", "198.51.100.1", ("198.51.100.1",)),
        ("192.0.2.7", "", ()),
    ],
)
def test_other_addresses_are_those_that_differ(published, local, others):
    """Peers need no second way to the same place, and never one to their own loopback."""
    assert other_addresses(published, local) == others


def test_ports_come_from_the_range():
    """Each number of the range once, then a sentence that names the range."""
    with socket.socket() as made:
        made.bind(("", 0))
        first = made.getsockname()[1]
    numbers = range(first, first + 4)
    ports = []

    def hold_all():
        while True:
            ports.append(HeldPort((numbers[0], numbers[-1])))

    with pytest.raises(OSError, match=f"No port from {numbers[0]} to {numbers[-1]} is free"):
        hold_all()
    found = [port.number for port in ports]
    assert len(set(found)) == len(found) > 0
    assert set(found) <= set(numbers)
    for port in ports:
        port.release()


def test_a_port_is_held_again_after_its_programs_connections():
    """What a program's connections leave behind (TIME_WAIT) does not take its number away, and nobody else gets it."""
    port = HeldPort()
    number = port.number
    port.release()
    with socket.create_server(("", number)) as server, socket.create_connection(("127.0.0.1", number)) as client:
        server.accept()[0].close()
        client.recv(1)
    port.hold()
    assert port.number == number
    assert listener("", number, reuse=False) is not None
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("", number))
    port.hold(another=True)
    assert port.number != number
    port.release()
