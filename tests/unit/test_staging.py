"""Files are brought to the store by content: once, whole or not at all; what we pack ourselves has stable bytes."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from client_fakes import USER, PretendCluster
from httpstandin import Reply

import am
from yarn_submitter.errors import DeniedError, StagingError, SubmitterError
from yarn_submitter.localfiles import LocalFile, describe
from yarn_submitter.staging import code_zip, make_place, object_path, pack_tree, stage

CACHE = f"/user/{USER}/.yarn-submitter/cache"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree."""
    root = tmp_path / "tree"
    files = ["fit.py", "a/one.py", ".git/config", "skip.log", ".jobignore", "__pycache__/x.pyc"]
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("*.log\n" if name == ".jobignore" else name)
    (root / "link").symlink_to("fit.py")
    (root / "fit.py").chmod(0o755)
    return root


def put(cluster: PretendCluster, *files: LocalFile) -> tuple[dict[str, str], int, list[str]]:
    """Stage files; return their places, the bytes written, and what was said."""
    site, said = cluster.site(), []
    done = stage(files, site.store, site.paths, said.append)
    return done.paths, done.written_bytes, said


def test_the_same_content_is_written_once(cluster: PretendCluster, tmp_path: Path, tree: Path) -> None:
    """A second submit of equal content, from any path and of any age, writes 0 bytes and says nothing."""
    (tmp_path / "env.tgz").write_bytes(b"packed")
    files = [describe(str(tmp_path / "env.tgz")), describe(str(tree), source=True)]
    paths, written, said = put(cluster, *files)
    assert sorted(paths) == sorted(file.sha256 for file in files)
    assert paths[files[0].sha256] == f"{CACHE}/{hashlib.sha256(b'packed').hexdigest()}.tgz"
    assert written == sum(len(cluster.files[path] or b"") for path in paths.values()) > 0
    assert any("env.tgz" in line for line in said)

    before = dict(cluster.files)
    (tmp_path / "copy.tgz").write_bytes(b"packed")
    os.utime(tree / "fit.py", (1, 1))
    again, written, said = put(cluster, describe(str(tmp_path / "copy.tgz")), describe(str(tree), source=True))
    assert (again, written, said) == (paths, 0, [])
    assert cluster.files == before


def test_other_content_is_another_object(cluster: PretendCluster, tmp_path: Path) -> None:
    """Objects are never changed: new content gets a new name."""
    (tmp_path / "x").write_bytes(b"one")
    first = put(cluster, describe(str(tmp_path / "x")))[0]
    (tmp_path / "x").write_bytes(b"two")
    second = put(cluster, describe(str(tmp_path / "x")))[0]
    assert set(first.values()).isdisjoint(second.values())
    assert cluster.files[next(iter(first.values()))] == b"one"


def test_an_object_appears_whole_or_not_at_all(cluster: PretendCluster, tmp_path: Path) -> None:
    """It is written under another name and renamed; when that fails, no name is left."""
    (tmp_path / "x").write_bytes(b"content")
    file = describe(str(tmp_path / "x"))
    seen: list[list[str]] = []

    def look(request):
        if request.params.get("op") == "RENAME":
            seen.append(cluster.names(CACHE))
            return Reply(403, b'{"RemoteException": {"exception": "IOException", "message": "no"}}')
        return None

    cluster.faults.append(look)
    with pytest.raises(StagingError):
        put(cluster, file)
    assert [(len(names), file.sha256 in names[0], ".ys-tmp-" in names[0]) for names in seen] == [(1, True, True)]
    assert cluster.names(CACHE) == []


def test_one_failure_ends_the_others(cluster: PretendCluster, tmp_path: Path) -> None:
    """A file that cannot be sent is the error; what others had begun is removed, what waits is not begun."""
    files = []
    for n in range(30):
        (tmp_path / f"f{n}").write_bytes(str(n).encode())
        files.append(describe(str(tmp_path / f"f{n}")))
    (tmp_path / "f0").unlink()
    with pytest.raises(SubmitterError, match="f0"):
        put(cluster, *files)
    assert all(".ys-tmp-" not in name for name in cluster.names(CACHE))
    assert len(cluster.names(CACHE)) < 29


def test_a_tree_arrives_as_it_is(cluster: PretendCluster, tree: Path) -> None:
    """Names, contents, modes and links; a source tree without what it ignores; no owner, no time."""
    file = describe(str(tree), source=True)
    paths, _, _ = put(cluster, file)
    content = cluster.files[paths[file.sha256]]
    assert paths[file.sha256] == f"{CACHE}/{file.sha256}.tar.gz"
    with tarfile.open(fileobj=BytesIO(content or b"")) as packed:
        members = {member.name: member for member in packed}
        assert sorted(members) == [".jobignore", "a", "a/one.py", "fit.py", "link"]
        assert packed.extractfile("fit.py").read() == b"fit.py"
    assert (members["fit.py"].mode & 0o777, members["link"].linkname) == (0o755, "fit.py")
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members.values()} == {(0, 0, "", "", 0)}


def test_a_localized_directory_arrives_whole(tree: Path, tmp_path: Path) -> None:
    """Only a source tree ignores anything."""
    pack_tree(describe(str(tree)), tmp_path / "t.tar.gz")
    with tarfile.open(tmp_path / "t.tar.gz") as packed:
        assert {".git/config", "skip.log", "__pycache__/x.pyc"} <= set(packed.getnames())


def test_equal_trees_have_equal_bytes(tree: Path, tmp_path: Path) -> None:
    """Whatever the time and the place: an archive's bytes come from its content."""
    pack_tree(describe(str(tree)), tmp_path / "one.tar.gz")
    moved = tree.rename(tmp_path / "moved")
    for path in moved.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (5, 5))
    pack_tree(describe(str(moved)), tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert (tmp_path / "one.tar.gz").read_bytes()[4:8] == bytes(4)  # gzip's own time stamp


def test_a_stop_ends_packing(tree: Path, tmp_path: Path) -> None:
    """Ctrl-C is heard before each member."""
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise InterruptedError
        stop.set()

    with pytest.raises(InterruptedError):
        pack_tree(describe(str(tree)), tmp_path / "t.tar.gz", check)


def test_our_code_has_stable_bytes_and_is_whole() -> None:
    """Every module of `am`, each with its content, nothing else; equal code gives equal bytes."""
    content, sha256 = code_zip()
    assert (content, sha256) == code_zip()
    assert sha256 == hashlib.sha256(content).hexdigest()
    root = Path(am.__path__[0])
    with zipfile.ZipFile(BytesIO(content)) as packed:
        assert sorted(packed.namelist()) == sorted(f"am/{path.relative_to(root)}" for path in root.rglob("*.py"))
        for name in packed.namelist():
            assert packed.read(name) == (root.parent / name).read_bytes()
        assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert len(content) < 256 << 10


def test_our_code_runs_from_the_zip(tmp_path: Path) -> None:
    """The executor's entry point is found in it by an isolated interpreter."""
    import subprocess
    import sys

    (tmp_path / "code.zip").write_bytes(code_zip()[0])
    script = "import sys; sys.path.insert(0, 'code.zip'); from am.executor.__main__ import main; print(main.__module__)"
    command = [sys.executable, "-I", "-S", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20)
    assert (done.stdout, done.stderr) == ("am.executor.__main__\n", "")


def test_the_name_of_an_object(cluster: PretendCluster) -> None:
    """The hash, and the extension from which YARN reads the kind of an archive."""
    paths = cluster.site().paths
    assert object_path(paths, LocalFile("/x/e.TGZ", False, 1, "ab", ".tgz")) == f"{CACHE}/ab.tgz"
    assert object_path(paths, LocalFile("/x/e", False, 1, "ab", "")) == f"{CACHE}/ab"


def test_who_has_no_place_is_told_how_to_get_one(cluster: PretendCluster) -> None:
    """A home directory that cannot be made is a sentence of its own."""
    refused = b'{"RemoteException": {"exception": "AccessControlException", "message": "Permission denied: user=ada"}}'
    cluster.faults.append(lambda request: Reply(403, refused) if request.params.get("op") == "MKDIRS" else None)
    site = cluster.site()
    with pytest.raises(DeniedError, match="YARN_SUBMITTER_ROOT") as caught:
        make_place(site.store, site.paths)
    assert caught.value.problems[0].id == "home-denied"
