"""A NameNode that names DataNodes, and DataNodes that are slower than any real one; the store meets them in tests."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from httpstandin import Reply, Request

from yarn_submitter.hadoopconf import HadoopConf

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def conf_for(*webhdfs: str, default_fs: str = "hdfs://nn:9000") -> HadoopConf:
    """Return a configuration with these NameNodes."""
    return HadoopConf(Path("/conf"), default_fs, webhdfs, (), "/logs", "logs-tfile", kerberos=False, raw={}, environ={})


def remote(status: int, name: str, message: str = "said") -> Reply:
    """Return an error as WebHDFS writes it."""
    return Reply(status, json.dumps({"RemoteException": {"exception": name, "message": message}}).encode())


def location(url: str) -> Reply:
    """Return the NameNode's answer that names a DataNode."""
    return Reply(body=json.dumps({"Location": url}).encode())


def namenode(
    data_url: str, others: Callable[[Request], Reply] = lambda request: Reply(body=b'{"boolean":true}')
) -> Callable[[Request], Reply]:
    """Return a NameNode that sends data to `data_url`."""

    def answer(request: Request) -> Reply:
        if request.params["op"] in ("CREATE", "OPEN"):
            return location(data_url)
        return others(request)

    return answer


def namenode_of(*data_urls: str) -> Callable[[Request], Reply]:
    """Return a NameNode with these DataNodes, which names the first one that was not asked to be left out."""

    def answer(request: Request) -> Reply:
        if request.params["op"] not in ("CREATE", "OPEN"):
            return Reply(body=b'{"boolean":true}')
        left = [url for url in data_urls if request.params.get("excludedatanodes", "-") not in url]
        full = "could only be written to 0 of the 1 minReplication nodes."
        if not left:
            return remote(403, "IOException", full)
        # HDFS writes the path as it is, not as URLs have it.
        return location(f"{left[0]}{unquote(request.path)}?op={request.params['op']}")

    return answer


@dataclass
class Visit:
    """One connection to a DataNode: what was asked, how much of the body has come, whether the client lives."""

    connection: socket.socket
    head: str
    body: bytearray

    @property
    def length(self) -> int:
        """Return the announced length of the body."""
        found = [line for line in self.head.splitlines() if line.lower().startswith("content-length:")]
        return int(found[0].partition(":")[2]) if found else 0

    def take(self, count: int | None = None) -> None:
        """Take so many bytes more of the body, or all."""
        until = self.length if count is None else min(self.length, len(self.body) + count)
        while len(self.body) < until:
            piece = self.connection.recv(min(1 << 16, until - len(self.body)))
            if not piece:
                raise ConnectionError("the client has gone")
            self.body += piece

    def say(self, answer: bytes) -> None:
        """Answer."""
        self.connection.sendall(answer)


@dataclass
class DataNode:
    """A DataNode that does with a file what the test tells it; `lively` is set when it was asked whether it lives."""

    url: str
    lively: threading.Event = field(default_factory=threading.Event)
    visits: list[Visit] = field(default_factory=list)


@contextlib.contextmanager
def datanode(
    work: Callable[[DataNode, Visit], None], *, lives: bool = True, host: str = "127.0.0.1"
) -> Iterator[DataNode]:
    """Run a DataNode whose buffers are small; every connection is met by a thread.

    Args:
        work: What it does with a file, once the head of the request has come.
        lives: Whether it answers who asks only that.
        host: Its address.
    """
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        server.bind((host, 0))
        server.listen()
        node = DataNode(f"http://{host}:{server.getsockname()[1]}")

        def meet(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                head = bytearray()
                while not head.endswith(b"\r\n\r\n"):
                    piece = connection.recv(1)
                    if not piece:
                        return
                    head += piece
                visit = Visit(connection, head.decode(), bytearray())
                if "op=" not in visit.head.partition("\n")[0]:
                    node.lively.set()
                    if lives:
                        visit.say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    else:
                        over.wait(30)
                    return
                node.visits.append(visit)
                work(node, visit)
                if not lives:
                    over.wait(30)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while not over.is_set():
                    connection, _ = server.accept()
                    threading.Thread(target=meet, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield node
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
