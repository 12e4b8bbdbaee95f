"""A NameNode and DataNode in one small HTTP server, for the executor's tests of what it carries where.

It knows the operations that am/executor/webhdfs.py uses and keeps HDFS's rules that matter: renames with OVERWRITE
replace files and no directories, content goes to the address that CREATE and OPEN answer. The real thing is tried in
tests/cluster.
"""

from __future__ import annotations

import functools
import http.server
import json
import threading
import urllib.parse


class Server(http.server.ThreadingHTTPServer):
    """A server that ends with its test, and says nothing of connections that break."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """Say nothing."""


class FakeHdfs:
    """Files by path; a directory's value is None.

    Attributes:
        files: What lies there.
        times: Modification times in ms, of those that are not 1000.
        asked: (operation, path) of every request to the NameNode.
        standby: Answer the next so many requests as a standby NameNode does.
        slow: A write waits for this event, when there is one.
        denied: Paths that nobody may write to.
        breaks: The next so many reads break off half-way, as when a DataNode is killed.
        datanodes: `http://host:port` -> IP address of other DataNodes, which are named before this one.
        named: The DataNode of each answer that named one.
    """

    def __init__(self) -> None:
        self.files = {"/": None}
        self.times = {}
        self.asked = []
        self.standby = 0
        self.slow = None
        self.denied = set()
        self.breaks = 0
        self.datanodes = {}
        self.named = []
        self.changed = threading.Condition()
        hdfs = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do(self):
                parts = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(parts.query))
                path = urllib.parse.unquote(parts.path).removeprefix("/webhdfs/v1").removeprefix("/data")
                if parts.path.startswith("/data"):
                    status, answer = hdfs.content(self.command, path, self.body())
                else:
                    status, answer = hdfs.answer(query, path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if parts.path.startswith("/data") and self.command == "GET" and hdfs.breaks:
                    hdfs.breaks -= 1
                    self.close_connection = True
                    answer = answer[: len(answer) // 2]
                self.wfile.write(answer)

            do_GET = do_PUT = do_DELETE = do  # noqa: N815

            def body(self):
                read = bytearray()
                while self.headers.get("Transfer-Encoding") == "chunked":
                    size = int(self.rfile.readline(), 16)
                    read += self.rfile.read(size)
                    self.rfile.readline()
                    if not size:
                        break
                return bytes(read)

            def log_message(self, *arguments):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=functools.partial(self.server.serve_forever, poll_interval=0.02))
        self.thread.start()

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def wait_for(self, operation: str) -> None:
        """Wait until an operation was asked for."""
        with self.changed:
            assert self.changed.wait_for(lambda: operation in [asked for asked, _ in self.asked], 20)

    def text(self) -> dict:
        """Return path -> text of the files."""
        return {path: content.decode() for path, content in sorted(self.files.items()) if content is not None}

    def answer(self, query, path):
        """Answer as a NameNode."""
        operation = query["op"]
        with self.changed:
            self.asked.append((operation, path))
            self.changed.notify_all()
        if self.standby:
            self.standby -= 1
            return _error(403, "StandbyException", "Operation category READ is not supported in state standby")
        if operation in ("CREATE", "OPEN"):
            if operation == "OPEN" and self.files.get(path) is None:
                return _error(404, "FileNotFoundException", f"File {path} not found.")
            return self._data_place(path, query.get("excludedatanodes", "").split(","))
        return getattr(self, "_" + operation.lower())(path, query)

    def content(self, method, path, body):
        """Answer as a DataNode."""
        if method == "GET":
            return 200, self.files[path]
        if self.slow is not None:
            self.slow.wait(20)
        if any(path.startswith(denied) for denied in self.denied):
            return _error(403, "AccessControlException", f'Permission denied: inode="{path}"\nmore')
        self.files[path] = body
        return 201, b""

    def _data_place(self, path, excluded):
        # A NameNode knows the DataNodes that it is to leave out by their IP addresses (Host2NodesMap).
        there = {**self.datanodes, self.address: "127.0.0.1"}
        left = [address for address, ip in there.items() if ip not in excluded]
        if not left:
            return _error(403, "IOException", "Failed to find datanode, suggest to check cluster health.")
        self.named.append(left[0])
        return 200, json.dumps({"Location": f"{left[0]}/data{urllib.parse.quote(path)}"}).encode()

    def _mkdirs(self, path, _query):
        parts = path.split("/")
        for n in range(1, len(parts) + 1):
            self.files.setdefault("/".join(parts[:n]) or "/", None)
        return 200, b'{"boolean": true}'

    def _rename(self, path, query):
        target = query["destination"]
        assert query["renameoptions"] == "OVERWRITE"
        if target in self.files and self.files[target] is None:
            return _error(403, "IOException", f"Source {path} and destination {target} must both be directories")
        self.files[target] = self.files.pop(path)
        return 200, b""

    def _delete(self, path, _query):
        return 200, json.dumps({"boolean": self.files.pop(path, None) is not None}).encode()

    def _getfilestatus(self, path, _query):
        if path not in self.files:
            return _error(404, "FileNotFoundException", f"File does not exist: {path}")
        return 200, json.dumps({"FileStatus": self._line(path, "")}).encode()

    def _liststatus(self, path, _query):
        found = [other for other in self.files if other.rpartition("/")[0] == path and other != "/"]
        lines = [self._line(other, other.rpartition("/")[2]) for other in found]
        return 200, json.dumps({"FileStatuses": {"FileStatus": lines}}).encode()

    def _line(self, path, name):
        content = self.files[path]
        kind = "DIRECTORY" if content is None else "FILE"
        times = {"modificationTime": self.times.get(path, 1_000)}
        return {"pathSuffix": name, "type": kind, "length": len(content or b""), **times}


def _error(status, exception, message):
    return status, json.dumps({"RemoteException": {"exception": exception, "message": message}}).encode()
