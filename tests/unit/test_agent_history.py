"""The history's thread, against a store in memory and against a small stand-in of WebHDFS."""

# ruff: noqa: D102, ARG002 - the methods are those of the seam and of the base class

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from fakes import MemoryStore

from am.agent.history import History, WebHdfsStore, earlier_lines

JOB = "/ys/alice/jobs/j-1"


@pytest.fixture
def troubles() -> list[str]:
    """Return what the history complained of."""
    return []


def history(store, troubles, attempt: int = 1) -> History:
    """Return a history that writes."""
    made = History(store, JOB, attempt, troubles.append)
    made.start()
    return made


def test_lines_of_a_moment_are_one_segment_and_segments_are_numbered(troubles):
    """Nothing is lost, nothing is written twice, the order stays."""
    store = MemoryStore()
    made = history(store, troubles, attempt=2)
    for line in ("a", "b"):
        made.append(line)
    assert made.flush(5)
    made.append("c", 0.0)
    assert made.flush(5)
    made.close()
    assert store.files == {f"{JOB}/history/2-0.jsonl": "a\nb\n", f"{JOB}/history/2-1.jsonl": "c\n"}
    assert store.calls == 2


def test_what_earlier_agents_wrote_is_read_in_its_order():
    """Segments count by number, not by letter; what was about to be renamed, or is none, does not count."""
    names = ("1-0", "1-1", "1-2", "1-9", "1-10", "1-11", "2-0", "10-0")
    store = MemoryStore({f"{JOB}/history/{name}.jsonl": f"{name} a\n{name} b\n" for name in reversed(names)})
    store.files |= {f"{JOB}/history/.1-12.jsonl.part": "half\n", f"{JOB}/history/notes.txt": "none\n"}
    assert earlier_lines(store, JOB) == [f"{name} {line}" for name in names for line in "ab"]
    assert earlier_lines(MemoryStore(), JOB) == []


def test_a_dead_store_is_said_once_and_loses_no_line(troubles):
    """Lines are kept while the store is down, the trouble is told once, and all is written when it is back."""
    store = MemoryStore(broken=True)
    made = history(store, troubles)
    made.append("a")
    assert not made.flush(0.3)
    made.append("b")
    assert not made.flush(0.3)
    while not troubles:
        threading.Event().wait(0.01)
    store.broken = False
    assert made.flush(5)
    made.close()
    assert "".join(store.files[path] for path in sorted(store.files)) == "a\nb\n"
    assert troubles == ["the job's store does not take its history, trying again: the store is down"]


def test_a_dead_store_never_holds_up_who_appends(troubles):
    """Taking a line waits for nobody."""
    release = threading.Event()

    class Slow(MemoryStore):
        def put(self, path, text, mode, replace=False):
            release.wait(10)
            super().put(path, text, mode, replace)

    store = Slow()
    made = history(store, troubles)
    made.append("a", 0.0)
    made.append("b", 0.0)
    release.set()
    assert made.flush(5)
    made.close()
    assert "".join(store.files[path] for path in sorted(store.files)) == "a\nb\n"


def test_a_batch_that_failed_is_written_again_as_it_was(troubles):
    """Its file may lie there in spite of the failure; lines that came meanwhile go into the next segment."""

    class AnswerLost(MemoryStore):
        def put(self, path, text, mode, replace=False):
            if self.files.get(path) == text:
                return
            super().put(path, text, mode, replace)
            if self.calls == 1:
                raise OSError("the answer was lost")

    store = AnswerLost()
    made = history(store, troubles)
    made.append("a", 0.0)
    made.flush(0.1)
    made.append("b", 0.0)
    assert made.flush(5)
    made.close()
    assert "".join(store.files[path] for path in sorted(store.files)) == "a\nb\n"


def test_a_staging_directory_that_cannot_be_removed_holds_up_nothing(troubles):
    """Removal is tried once."""

    class NoRemoval(MemoryStore):
        def remove(self, path):
            raise OSError("no")

    made = history(NoRemoval(), troubles)
    made.remove_staging()
    assert made.flush(5)
    made.close()
    assert troubles == []


class WebHdfs(BaseHTTPRequestHandler):
    """The few operations of WebHDFS that the agent uses, NameNode and DataNode in one."""

    files: dict[str, bytes]
    modes: dict[str, str]
    requests: list[str]
    fail: set[str]

    def do_PUT(self) -> None:
        path, options = self._parts()
        op = options["op"]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if op in self.fail:
            self._answer(403, {"RemoteException": {"exception": "AccessControlException", "message": "denied"}})
        elif op == "CREATE" and "data" not in options:
            host, port = self.server.server_address[:2]
            self.send_response(307)
            self.send_header("Location", f"http://{host}:{port}{self.path}&data=true")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif op == "CREATE":
            self.files[path] = body
            self.modes[path] = options.get("permission", "")
            self._answer(201, {})
        elif op == "RENAME":
            target = options["destination"]
            done = path in self.files and target not in self.files
            if done:
                self.files[target] = self.files.pop(path)
                self.modes[target] = self.modes.pop(path)
            self._answer(200, {"boolean": done})

    def do_DELETE(self) -> None:
        path, _ = self._parts()
        gone = [name for name in self.files if name == path or name.startswith(path + "/")]
        for name in gone:
            del self.files[name]
        self._answer(200, {"boolean": bool(gone)})

    def do_GET(self) -> None:
        path, _ = self._parts()
        if path in self.files:
            self._answer(200, {"FileStatus": {"length": len(self.files[path]), "type": "FILE"}})
        else:
            self._answer(404, {"RemoteException": {"exception": "FileNotFoundException", "message": "none"}})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _parts(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        options = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.requests.append(f"{options['op']} {options.get('user.name', '')}")
        return parts.path.removeprefix("/webhdfs/v1"), options

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def webhdfs():
    """Return a stand-in of WebHDFS that serves."""

    class Handler(WebHdfs):
        files, modes, requests, fail = {}, {}, [], set()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        Handler.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield Handler
        server.shutdown()
        thread.join()


def store_at(*urls: str) -> WebHdfsStore:
    """Return a store that is ready."""
    made = WebHdfsStore(urls, "alice")
    made.prepare()
    return made


def test_a_segment_is_written_beside_and_renamed(webhdfs):
    """Three requests as the job's user, no temporary name left, the mode as asked."""
    store_at(webhdfs.url).put(f"{JOB}/history/1-0.jsonl", "ä\n", "644")
    assert webhdfs.files == {f"{JOB}/history/1-0.jsonl": "ä\n".encode()}
    assert webhdfs.modes == {f"{JOB}/history/1-0.jsonl": "644"}
    assert webhdfs.requests == ["CREATE alice", "CREATE alice", "RENAME alice"]


def test_a_file_that_lies_there_already_is_taken_for_an_earlier_try(webhdfs):
    """Of the same size it is, and the temporary file goes; of another size it is an error."""
    path = f"{JOB}/history/1-0.jsonl"
    webhdfs.files[path] = b"a\n"
    store = store_at(webhdfs.url)
    store.put(path, "a\n", "644")
    assert list(webhdfs.files) == [path]
    with pytest.raises(OSError, match="rename"):
        store.put(path, "a\nb\n", "644")


def test_the_agents_address_replaces_the_last_one(webhdfs):
    """A second attempt of the ApplicationMaster writes over the first one's address."""
    store = store_at(webhdfs.url)
    for text in ("one", "another"):
        store.put(f"{JOB}/spec/agent.json", text, "600", replace=True)
    assert webhdfs.files == {f"{JOB}/spec/agent.json": b"another"}
    store.remove(f"{JOB}/spec")
    store.remove(f"{JOB}/spec")
    assert webhdfs.files == {}


def test_every_failure_of_the_store_is_an_oserror(webhdfs):
    """A refusal, and a NameNode that is not there; the second of two NameNodes is tried."""
    store_at("http://127.0.0.1:1", webhdfs.url).put("/a", "a", "644")
    webhdfs.fail.add("CREATE")
    with pytest.raises(OSError, match="denied"):
        store_at(webhdfs.url).put("/b", "b", "644")
    with pytest.raises(OSError, match="refused"):
        store_at("http://127.0.0.1:1").put("/c", "c", "644")


def test_a_failure_of_the_store_is_a_sentence(webhdfs):
    """What was tried, at which host, for how long, and why it failed; no library speaks."""
    host = webhdfs.url.removeprefix("http://")
    webhdfs.fail.add("CREATE")
    with pytest.raises(OSError, match=rf"^writing 1-0.jsonl at {host} failed after \d\.\d s: denied$"):
        store_at(webhdfs.url).put("/b/1-0.jsonl", "b", "644")
    with pytest.raises(OSError, match=r"^removing /c at 127\.0\.0\.1:1 failed after \d\.\d s: Connection refused$"):
        store_at("http://127.0.0.1:1").remove("/c")


def test_a_store_that_is_silent_is_a_sentence(monkeypatch):
    """The operating system takes the connection and nobody answers."""
    monkeypatch.setattr("am.agent.history.READ_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OSError, match=rf"^writing 1-0.jsonl at {host} failed after \d\.\d s: no answer in time$"):
            store_at(f"http://{host}").put("/b/1-0.jsonl", "b", "644")
