"""Local files and trees are known by their content; a source tree is without what it ignores; hashes are remembered."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from yarn_submitter.localfiles import archive_extension, describe, tree_members

LARGE = b"x" * (1 << 20)  # from here on hashes are remembered


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "yarn-submitter"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree."""
    root = tmp_path / "tree"
    files = [
        "fit.py",
        "a/one.py",
        "a/two.txt",
        "a/b/three.py",
        ".git/config",
        "a/.git/x",
        "a/__pycache__/c.pyc",
        "z.log",
    ]
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "link").symlink_to("fit.py")
    (root / "empty").mkdir()
    return root


def names(root: Path, *, source: bool = False) -> list[str]:
    """Return the relative names below a tree, in their order."""
    return [name for name, _ in tree_members(str(root), source=source)]


@pytest.mark.parametrize(
    ("name", "extension"),
    [("e.zip", ".zip"), ("e.TAR.GZ", ".tar.gz"), ("e.tgz", ".tgz"), ("e.tar", ".tar"), ("e.gz", ""), ("tar", "")],
)
def test_archives_are_known_by_name(name: str, extension: str) -> None:
    """YARN unpacks these kinds, whatever the case."""
    assert archive_extension(name) == extension


def test_a_file(tmp_path: Path) -> None:
    """A file is its path, size, content hash and extension."""
    (tmp_path / "e.tgz").write_bytes(b"abc")
    found = describe(str(tmp_path / "e.tgz"))
    assert (found.path, found.is_tree, found.bytes) == (str(tmp_path / "e.tgz"), False, 3)
    assert (found.sha256, found.extension) == (hashlib.sha256(b"abc").hexdigest(), ".tgz")


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is described does not depend on where it will be read."""
    monkeypatch.chdir(tmp_path)
    Path("x").write_text("x")
    assert describe("./x").path == str(tmp_path / "x")


def test_what_is_below_a_tree(tree: Path) -> None:
    """Everything, sorted, directories before what is in them; links are themselves."""
    assert names(tree) == [
        *[".git", "a", "empty", "fit.py", "link", "z.log", ".git/config"],
        *["a/.git", "a/__pycache__", "a/b", "a/one.py", "a/two.txt", "a/.git/x", "a/__pycache__/c.pyc", "a/b/three.py"],
    ]


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (None, ["a", "a/b", "a/b/three.py", "a/one.py", "a/two.txt", "empty", "fit.py", "link", "z.log"]),
        ("*.log\n", [".jobignore", "a", "a/b", "a/b/three.py", "a/one.py", "a/two.txt", "empty", "fit.py", "link"]),
        ("# all\n\n  a/  \nempty", [".jobignore", "fit.py", "link", "z.log"]),
        ("a/*.py", [".jobignore", "a", "a/b", "a/two.txt", "empty", "fit.py", "link", "z.log"]),
        ("*.py\nlink", [".jobignore", "a", "a/b", "a/two.txt", "empty", "z.log"]),
        ("b", [".jobignore", "a", "a/one.py", "a/two.txt", "empty", "fit.py", "link", "z.log"]),
        ("*", []),
    ],
)
def test_a_source_tree_is_without_what_it_ignores(tree: Path, ignore: str | None, left: list[str]) -> None:
    """`.git` and `__pycache__` anywhere, and the patterns of `.jobignore`: globs on the name or the relative path."""
    if ignore is not None:
        (tree / ".jobignore").write_text(ignore)
    assert sorted(names(tree, source=True)) == sorted(left)


def test_only_a_source_tree_ignores(tree: Path) -> None:
    """A localized directory travels whole."""
    (tree / ".jobignore").write_text("*")
    assert {".git/config", ".jobignore", "a/__pycache__/c.pyc"} <= set(names(tree))


def test_the_hash_of_a_tree_is_that_of_its_content(tree: Path) -> None:
    """Times and the place do not matter; each name, content, mode and link does."""
    first = describe(str(tree))
    assert (first.is_tree, first.extension) == (True, ".tar.gz")
    os.utime(tree / "fit.py", (1, 1))
    moved = tree.rename(tree.with_name("moved"))
    assert describe(str(moved)).sha256 == first.sha256
    hashes = {first.sha256}
    (moved / "fit.py").chmod(0o755)
    hashes.add(describe(str(moved)).sha256)
    (moved / "a" / "one.py").write_text("other")
    hashes.add(describe(str(moved)).sha256)
    (moved / "z.log").rename(moved / "y.log")
    hashes.add(describe(str(moved)).sha256)
    (moved / "link").unlink()
    (moved / "link").symlink_to("y.log")
    hashes.add(describe(str(moved)).sha256)
    (moved / "more").mkdir()
    hashes.add(describe(str(moved)).sha256)
    assert len(hashes) == 6


def test_what_a_source_tree_ignores_does_not_change_it(tree: Path) -> None:
    """A commit or a compiled file changes no source tree."""
    first = describe(str(tree), source=True)
    (tree / ".git" / "config").write_text("other")
    (tree / "a" / "__pycache__" / "d.pyc").write_text("new")
    assert describe(str(tree), source=True) == first
    assert first.is_source


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    """File names are bytes."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / os.fsdecode(b"caf\xe9")).write_text("x")
    (root / ".jobignore").write_bytes(b"*.\xe9\n")
    assert describe(str(root), source=True).bytes > 0


def test_what_cannot_be_read_is_an_error(tree: Path) -> None:
    """A directory without the right to read it is not left out in silence; nor is a missing file."""
    with pytest.raises(FileNotFoundError):
        describe(str(tree / "none"))
    if os.geteuid() == 0:  # root reads everything: a directory that vanishes while it is walked is the same to us
        walk = tree_members(str(tree))
        assert next(walk)[0] == ".git"
        for path in sorted((tree / "a").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tree / "a").rmdir()
        with pytest.raises(FileNotFoundError):
            list(walk)
    else:
        (tree / "a").chmod(0)
        with pytest.raises(PermissionError):
            describe(str(tree))
        (tree / "a").chmod(0o755)


@pytest.mark.parametrize("in_tree", [False, True])
def test_a_large_file_is_read_once(tmp_path: Path, cache: Path, in_tree: bool) -> None:
    """Its hash is remembered by path, size, time and inode; a change of any means reading again."""
    directory = tmp_path / "d"
    directory.mkdir()
    path = directory / "large"
    path.write_bytes(LARGE)
    what = str(directory if in_tree else path)
    first = describe(what)
    (memory,) = (cache / "hashes").iterdir()
    noted = memory.read_text()
    assert hashlib.sha256(LARGE).hexdigest() in noted

    memory.write_text(noted.replace(hashlib.sha256(LARGE).hexdigest(), "0" * 64))  # shows whether it is used
    assert describe(what).sha256 != first.sha256
    path.write_bytes(LARGE + b"y")
    changed = describe(what)
    path.write_bytes(LARGE)
    os.utime(path, ns=(5, 5))
    again = describe(what)
    assert (changed.sha256 != first.sha256, again.sha256) == (True, first.sha256)


def test_small_files_are_not_remembered(tmp_path: Path, cache: Path) -> None:
    """Reading them is quicker."""
    (tmp_path / "small").write_bytes(b"x")
    describe(str(tmp_path / "small"))
    assert not cache.exists()


@pytest.mark.parametrize("memory", ["", "[]", "{}", '{"key": 1}'])
def test_a_damaged_memory_is_no_problem(tmp_path: Path, cache: Path, memory: str) -> None:
    """What is not understood is hashed anew."""
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    first = describe(str(path))
    (file,) = (cache / "hashes").iterdir()
    file.write_text(memory)
    assert describe(str(path)) == first
    assert hashlib.sha256(LARGE).hexdigest() in file.read_text()


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that cannot be noted is computed each time."""
    (tmp_path / "no-directory").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-directory"))
    (tmp_path / "large").write_bytes(LARGE)
    assert describe(str(tmp_path / "large")).sha256 == hashlib.sha256(LARGE).hexdigest()
