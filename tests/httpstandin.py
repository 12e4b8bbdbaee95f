"""A web server for tests: answers from a table, remembers what it was asked."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What was asked; parameters without repetition."""

    method: str
    path: str
    params: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What is answered; `cut` ends the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass
class StandIn:
    """A running server."""

    address: str
    asked: list[Request]

    @property
    def url(self) -> str:
        """Return `http://host:port`."""
        return f"http://{self.address}"


@contextlib.contextmanager
def serving(answer: Callable[[Request], Reply], host: str = "127.0.0.1") -> Iterator[StandIn]:
    """Serve on a free port until the block ends."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle_one_request()

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            params = {key: values[0] for key, values in parse_qs(parts.query).items()}
            request = Request(self.command, parts.path, params, body)
            asked.append(request)
            reply = answer(request)
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 -- the names that http.server calls

        def log_message(self, *arguments: object) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64  # a client that asks everything at once; beyond the default of 5 it waits a second

    server = Server((host, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield StandIn(f"{host}:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()


def closed_port() -> str:
    """Return `host:port` where nothing listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
