"""Hadoop's jars: the committed list and lock, and a directory that holds exactly what the lock says."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from yarn_submitter.errors import StagingError
from yarn_submitter.sandbox.jars import Jar, complete, format_lock, list_path, lock_path, parse_list, parse_lock


def jar(content: bytes, artifact: str = "thing", classifier: str = "") -> Jar:
    """Return the locked form of a file with this content."""
    return Jar("org.example.sub", artifact, "1.2", classifier, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A Maven repository on this machine, configured as a user would: files by path, and the paths asked for."""
    files, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    (tmp_path / "jgo.conf").write_text(f"[repositories]\nhere = http://127.0.0.1:{server.server_port}/maven\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "jgo.conf"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield files, asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def directory(tmp_path):
    """Where the jars are to lie."""
    path = tmp_path / "jars"
    path.mkdir()
    return path


def test_the_lock_reads_back_as_written():
    """Every field of a locked file survives writing and reading."""
    jars = (jar(b"a", "a"), jar(b"bb", "b", "linux-x86_64"))
    assert parse_lock(format_lock(jars)) == jars
    assert jars[1].repository_path == "org/example/sub/b/1.2/b-1.2-linux-x86_64.jar"


def test_the_committed_lock_belongs_to_the_committed_list():
    """Each module of the list is locked, Hadoop's own in its version, nothing that is left out, no name twice."""
    wanted, locked = parse_list(list_path().read_text()), parse_lock(lock_path().read_text())
    by_module = {f"{jar.group}:{jar.artifact}": jar for jar in locked}
    assert set(wanted.roots) <= set(by_module)
    assert not wanted.excluded & set(by_module)
    assert {jar.version for jar in locked if jar.group == "org.apache.hadoop"} == {wanted.version}
    assert len({jar.file_name for jar in locked}) == len(locked)


def test_what_is_missing_is_fetched_and_what_is_strange_removed(repository, directory):
    """Missing and damaged files are fetched, right ones are not asked for again, unknown ones go."""
    files, asked = repository
    right, damaged, missing = jar(b"right", "right"), jar(b"whole", "damaged"), jar(b"new", "missing")
    for one, content in ((damaged, b"whole"), (missing, b"new")):
        files[f"/maven/{one.repository_path}"] = content
    (directory / right.file_name).write_bytes(b"right")
    (directory / damaged.file_name).write_bytes(b"whol?")
    (directory / ".missing-1.2.jar.part").write_bytes(b"n")
    (directory / "old-1.0.jar").write_bytes(b"old")
    complete([right, damaged, missing], directory, lambda _text: None)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {
        "right-1.2.jar": b"right",
        "damaged-1.2.jar": b"whole",
        "missing-1.2.jar": b"new",
    }
    assert sorted(asked) == sorted(files)


def test_the_users_local_repository_saves_the_download(repository, directory, tmp_path):
    """A file that lies in the local Maven repository with the right sha256 is copied, not fetched."""
    wanted = jar(b"here", "here")
    local = tmp_path / "m2" / wanted.repository_path
    local.parent.mkdir(parents=True)
    local.write_bytes(b"here")
    complete([wanted], directory, lambda _text: None)
    assert (directory / wanted.file_name).read_bytes() == b"here"
    assert repository[1] == []


def test_another_file_than_the_locked_one_is_refused(repository, directory):
    """A file with another sha256 is an error with both sums, and is not kept."""
    files, _asked = repository
    wanted = jar(b"good", "good")
    files[f"/maven/{wanted.repository_path}"] = b"evil"
    with pytest.raises(StagingError) as raised:
        complete([wanted], directory, lambda _text: None)
    problem = raised.value.problems[0]
    assert problem.id == "jar-checksum"
    assert wanted.sha256 in problem.evidence
    assert hashlib.sha256(b"evil").hexdigest() in problem.evidence
    assert list(directory.iterdir()) == []


def test_a_file_that_no_repository_has_is_named(repository, directory):
    """The error names the file, the address that was asked and its answer."""
    with pytest.raises(StagingError) as raised:
        complete([jar(b"x", "nowhere")], directory, lambda _text: None)
    problem = raised.value.problems[0]
    assert problem.id == "jar-download"
    assert "nowhere-1.2.jar" in problem.sentence
    assert "404" in problem.evidence
    assert list(directory.iterdir()) == []
