"""A small HTTP key-value store, where processes on gloo without MPI (Horovod) tell one another their addresses.

    PUT    /scope/key   keep the body                 200, 413 too large, 507 full
    GET    /scope/key   what was put                  200, 404 nothing
    DELETE /scope/key   forget it                     200, also when there is nothing

With a prefix every path begins with it, and any other path is 404. Clients poll absent keys every 10 ms and take every
status but 200 and 404 for a failure (horovod/common/gloo/http_store.cc, 0.28). A key is forgotten at once: a process
deletes its own after a barrier of all, when nobody asks any more. It deletes `<rank>` only, but gloo has put
`rank_<rank>` beside that (seen with 0.28.1), so both go: process sets come and go as long as a program runs.
"""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
import typing

REQUEST_TIMEOUT_S = 3.0
# In a full mesh each process puts one value a scope, which holds an address for each of the others.
MAX_ADDRESS_BYTES = 512
MAX_KEYS_OF_A_TASK = 16  # three scopes at a time, and three more for each process set that is being made
MAX_BYTES = 256 * 1024 * 1024
MAX_NAME = 256
MAX_CONNECTIONS = 256


class RendezvousStore:
    """A store that listens from construction to `close`.

    It binds with SO_REUSEPORT, so that a port that is held in the same way, and not listened to, may stay so.

    Raises:
        OSError: The port cannot be listened to.
    """

    def __init__(self, port: int, tasks: int, prefix: str = "") -> None:
        """Listen on every address at `port`.

        Args:
            port: Where; 0: any free one.
            tasks: How many processes meet; it limits how much is kept.
            prefix: First part of every path, without slashes.
        """
        self._server = _Server(port, _Kept(tasks), prefix)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="rendezvous", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and forget everything; may be called twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Kept:
    """Keys and values, as many and as large as `tasks` processes can need."""

    def __init__(self, tasks: int) -> None:
        self.max_value_bytes = 4096 + MAX_ADDRESS_BYTES * tasks
        self._max_keys = MAX_KEYS_OF_A_TASK * (tasks + 4)
        self._lock = threading.Lock()
        self._values: typing.Dict[typing.Tuple[str, str], bytes] = {}
        self._bytes = 0

    def put(self, name: typing.Tuple[str, str], value: bytes) -> bool:
        """Keep a value; False when there is no room."""
        with self._lock:
            bytes_after = self._bytes + len(value) - len(self._values.get(name, b""))
            if bytes_after > MAX_BYTES or (name not in self._values and len(self._values) >= self._max_keys):
                return False
            self._values[name], self._bytes = value, bytes_after
            return True

    def get(self, name: typing.Tuple[str, str]) -> typing.Optional[bytes]:
        """Return a value, None when there is none."""
        with self._lock:
            return self._values.get(name)

    def delete(self, name: typing.Tuple[str, str]) -> None:
        """Forget a value, and gloo's beside it."""
        scope, key = name
        with self._lock:
            for gone in (name, (scope, f"rank_{key}")):
                self._bytes -= len(self._values.pop(gone, b""))


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, kept: _Kept, prefix: str) -> None:
        self.kept = kept
        self.prefix = prefix
        self._room = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name service for this host's name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: typing.Any, client_address: typing.Any) -> None:
        if not self._room.acquire(timeout=REQUEST_TIMEOUT_S):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: typing.Any, client_address: typing.Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: typing.Any, client_address: typing.Any) -> None:
        """Say nothing of a client that went away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        name = self._name()
        value = self.server.kept.get(name) if name else None
        if value is None:
            self._answer(404)
        else:
            self._answer(200, value)

    def do_PUT(self) -> None:
        name = self._name()
        length = self.headers.get("Content-Length", "")
        if name is None:
            self._answer(404)
        elif not length.isdigit():
            self._answer(411)
        elif int(length) > self.server.kept.max_value_bytes:
            self._answer(413)
        else:
            value = self.rfile.read(int(length))
            if len(value) < int(length):
                self.close_connection = True  # half a value is none
            else:
                self._answer(200 if self.server.kept.put(name, value) else 507)

    def do_DELETE(self) -> None:
        name = self._name()
        if name is None:
            self._answer(404)
        else:
            self.server.kept.delete(name)
            self._answer(200)

    def _name(self) -> typing.Optional[typing.Tuple[str, str]]:
        """Return scope and key; None for a path that has not exactly these below the prefix."""
        root, *parts = self.path.split("/")
        if self.server.prefix and (not parts or parts.pop(0) != self.server.prefix):
            return None
        if root or len(parts) != 2 or not all(0 < len(part) <= MAX_NAME for part in parts):
            return None
        return parts[0], parts[1]

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: typing.Any) -> None:
        """Say nothing: the executor's output is the task's."""
