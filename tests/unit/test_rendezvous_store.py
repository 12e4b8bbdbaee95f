"""The store where Horovod's processes meet, over real sockets: what is put is found, and it is no open disk."""

import http.client
import socket
import threading

import pytest

from am.executor import rendezvous_store
from am.executor.rendezvous_store import RendezvousStore

PREFIX = "3f2a:4001"


@pytest.fixture
def store():
    """A store for two processes below a prefix."""
    found = RendezvousStore(0, 2, PREFIX)
    yield found
    found.close()


def ask(store, method, path, body=b""):
    """Return status and body of one request on a connection of its own, as Horovod makes them."""
    connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_is_put_is_found_until_it_is_deleted(store):
    """Any bytes; a second value replaces the first; an absent key is 404, and deleting it is no fault."""
    path = f"/{PREFIX}/global/0"
    assert ask(store, "GET", path) == (404, b"")
    assert ask(store, "PUT", path, b"first")[0] == 200
    assert ask(store, "PUT", path, bytes(range(256))) == (200, b"")
    assert ask(store, "GET", path) == (200, bytes(range(256)))
    assert ask(store, "GET", f"/{PREFIX}/cross_0/0") == (404, b"")
    assert ask(store, "DELETE", path) == (200, b"")
    assert ask(store, "DELETE", path) == (200, b"")
    assert ask(store, "GET", path) == (404, b"")
    assert ask(store, "PUT", path, b"")[0] == 200
    assert ask(store, "GET", path) == (200, b"")


def test_a_process_that_deletes_its_rank_leaves_nothing(store):
    """What gloo has put beside it goes too, and what others have put stays; else process sets would fill the store."""
    for key in ("0", "rank_0", "1", "rank_1", "rank_10"):
        ask(store, "PUT", f"/{PREFIX}/global/{key}", b"v")
    ask(store, "DELETE", f"/{PREFIX}/global/0")
    left = [
        key
        for key in ("0", "rank_0", "1", "rank_1", "rank_10")
        if ask(store, "GET", f"/{PREFIX}/global/{key}")[0] == 200
    ]
    assert left == ["1", "rank_1", "rank_10"]


@pytest.mark.parametrize(
    "path", ["/global/0", f"/{PREFIX}/global", f"/{PREFIX}/a/b/c", f"/{PREFIX}//0", f"/x{PREFIX}/global/0", "/", "*"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_who_does_not_know_the_prefix_finds_nothing(store, method, path):
    """A path that is not prefix, scope and key is absent, and nothing is kept there."""
    ask(store, "PUT", f"/{PREFIX}/global/0", b"value")
    assert ask(store, method, path, b"other") == (404, b"")
    assert ask(store, "GET", f"/{PREFIX}/global/0") == (200, b"value")


def test_without_a_prefix_a_path_is_scope_and_key():
    """As Horovod's own store has it."""
    store = RendezvousStore(0, 2)
    try:
        assert ask(store, "PUT", "/local_node-1/0", b"value")[0] == 200
        assert ask(store, "GET", "/local_node-1/0") == (200, b"value")
    finally:
        store.close()


def test_a_value_is_as_large_as_so_many_processes_need(store):
    """A larger one is refused before it is read."""
    largest = 4096 + 2 * rendezvous_store.MAX_ADDRESS_BYTES
    assert ask(store, "PUT", f"/{PREFIX}/global/0", bytes(largest))[0] == 200
    with socket.create_connection(("127.0.0.1", store.port), timeout=10) as sock:
        sock.sendall(f"PUT /{PREFIX}/global/1 HTTP/1.1\r\nContent-Length: {largest + 1}\r\n\r\n".encode())
        assert sock.recv(100).split()[1] == b"413"


def test_there_is_room_for_so_many_keys_and_no_more(store):
    """What is there may still be replaced, and what is deleted makes room."""
    statuses = [ask(store, "PUT", f"/{PREFIX}/scope/{n}", b"v")[0] for n in range(100)]
    room = rendezvous_store.MAX_KEYS_OF_A_TASK * 6
    assert statuses == [200] * room + [507] * (100 - room)
    assert ask(store, "PUT", f"/{PREFIX}/scope/0", b"w")[0] == 200
    ask(store, "DELETE", f"/{PREFIX}/scope/0")
    assert ask(store, "PUT", f"/{PREFIX}/scope/other", b"v")[0] == 200


def test_there_is_room_for_so_many_bytes_and_no_more(store, monkeypatch):
    """All values together have a limit too; a replaced or deleted one gives its bytes back."""
    monkeypatch.setattr(rendezvous_store, "MAX_BYTES", 1000)
    assert ask(store, "PUT", f"/{PREFIX}/scope/0", bytes(900))[0] == 200
    assert ask(store, "PUT", f"/{PREFIX}/scope/1", bytes(101))[0] == 507
    assert ask(store, "PUT", f"/{PREFIX}/scope/0", bytes(800))[0] == 200
    assert ask(store, "PUT", f"/{PREFIX}/scope/1", bytes(101))[0] == 200
    ask(store, "DELETE", f"/{PREFIX}/scope/0")
    assert ask(store, "PUT", f"/{PREFIX}/scope/2", bytes(850))[0] == 200


@pytest.mark.parametrize(
    ("request_line", "status"), [("PUT", b"411"), ("PUT -1", b"411"), ("PUT many", b"411"), ("POST 0", b"501")]
)
def test_what_is_not_understood_is_refused(store, request_line, status):
    """With a status that says so, and the next request is served."""
    method, _, length = request_line.partition(" ")
    header = f"Content-Length: {length}\r\n" if length else ""
    with socket.create_connection(("127.0.0.1", store.port), timeout=10) as sock:
        sock.sendall(f"{method} /{PREFIX}/s/k HTTP/1.1\r\n{header}\r\n".encode())
        assert sock.recv(200).split()[1] == status
    assert ask(store, "GET", f"/{PREFIX}/s/k") == (404, b"")


def test_half_a_value_is_not_kept(store):
    """A process that dies while it puts leaves nothing behind that others would take for an address."""
    with socket.create_connection(("127.0.0.1", store.port), timeout=10) as sock:
        sock.sendall(f"PUT /{PREFIX}/global/0 HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf".encode())
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    assert ask(store, "GET", f"/{PREFIX}/global/0") == (404, b"")


def test_many_meet_at_once(store):
    """Every process finds every other's value, whoever comes first."""
    wrong = []

    def meet(rank):
        ask(store, "PUT", f"/{PREFIX}/global/{rank}", str(rank).encode())
        for other in range(20):
            while (found := ask(store, "GET", f"/{PREFIX}/global/{other}"))[0] == 404:
                pass
            if found != (200, str(other).encode()):
                wrong.append((rank, other, found))

    threads = [threading.Thread(target=meet, args=(rank,), daemon=True) for rank in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_it_listens_on_a_port_that_is_held_and_leaves_it_held():
    """The executor need not let the port go first; a second store there, after the first, begins empty."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 0))
        for _ in range(2):
            store = RendezvousStore(held.getsockname()[1], 2)
            assert ask(store, "GET", "/global/0")[0] == 404
            assert ask(store, "PUT", "/global/0", b"v")[0] == 200
            store.close()
            with pytest.raises(ConnectionRefusedError):
                ask(store, "GET", "/global/0")
        store.close()


def test_a_port_that_somebody_else_has_is_said_so():
    """An OSError, for the executor to tell."""
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            RendezvousStore(taken.getsockname()[1], 2)
