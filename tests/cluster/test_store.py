"""The store against a real HDFS and YARN."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from yarn_submitter.errors import DeniedError, StagingError
from yarn_submitter.hadoopconf import load_conf
from yarn_submitter.sandbox import SandboxInfo
from yarn_submitter.store import HdfsStore

PLACE = "/tmp/store-tests"  # noqa: S108 -- on the sandbox's HDFS


@pytest.fixture
def store(sandbox: SandboxInfo) -> Iterator[HdfsStore]:
    """The sandbox's HDFS as `ada`, with one directory that is hers; it is gone afterwards."""
    conf = load_conf(sandbox.conf_dir)
    admin, ada = HdfsStore(conf, sandbox.user), HdfsStore(conf, "ada")
    admin.makedirs(PLACE)
    admin.set_mode(PLACE, 0o777)
    yield ada
    admin.delete(PLACE, recursive=True)


def test_files_of_every_kind_of_name_and_size(store: HdfsStore, tmp_path: Path) -> None:
    """What is uploaded comes back byte for byte, whatever its name, length and depth, with its mode and owner."""
    tree = tmp_path / "tree"
    contents = {
        "empty": b"",
        "ö ü": b"umlaut",
        "a b+c%20&d=e?f#g": b"signs",
        "deep/er/file": os.urandom(3 << 20),
        **{f"many/{number}": b"x" * number for number in range(20)},
    }
    for name, data in contents.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    sent: list[int] = []
    store.upload(tree, f"{PLACE}/tree", sent.append, mode=0o640)
    size = sum(map(len, contents.values()))
    assert sum(sent) == size
    usage = store.usage(f"{PLACE}/tree")
    assert (usage.bytes, usage.files) == (size, len(contents))
    status = store.status(f"{PLACE}/tree/ö ü")
    assert status is not None
    assert (status.is_dir, status.length, status.owner, status.mode) == (False, 6, "ada", 0o640)
    came: list[int] = []
    assert store.download(f"{PLACE}/tree", tmp_path / "back", came.append) == len(contents)
    assert sum(came) == size
    back = {name: (tmp_path / "back" / name).read_bytes() for name in contents}
    assert back == contents
    assert not [found for found in store.walk(PLACE) if ".ys-tmp-" in found.path]


def test_parts_of_files(store: HdfsStore) -> None:
    """A part of a file is read from anywhere in it; at and behind its end there is nothing."""
    store.write(f"{PLACE}/f", b"0123456789")
    assert store.read(f"{PLACE}/f", 3, 4) == b"3456"
    assert store.read(f"{PLACE}/f", 8, 100) == b"89"
    assert store.read(f"{PLACE}/f", 10) == b""
    assert store.read(f"{PLACE}/f", 11, 5) == b""


def test_writers_at_once_leave_one_whole_file(store: HdfsStore) -> None:
    """Of several writers one wins, and what lies there is all of what it wrote."""
    contents = [bytes([number]) * 10_000 for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda data: store.write(f"{PLACE}/f", data), contents))
    assert store.read(f"{PLACE}/f") in contents
    assert [found.name for found in store.list(PLACE)] == ["f"]


def test_overwrite_and_rename(store: HdfsStore) -> None:
    """A file is replaced only when that is asked for; so is the target of a rename."""
    store.write(f"{PLACE}/f", b"old")
    with pytest.raises(StagingError) as caught:
        store.write(f"{PLACE}/f", b"new", overwrite=False)
    assert caught.value.problems[0].id == "store-exists"
    assert store.read(f"{PLACE}/f") == b"old"
    store.write(f"{PLACE}/f", b"new")
    store.write(f"{PLACE}/g", b"other")
    with pytest.raises(StagingError):
        store.rename(f"{PLACE}/g", f"{PLACE}/f")
    store.rename(f"{PLACE}/g", f"{PLACE}/f", overwrite=True)
    assert store.read(f"{PLACE}/f") == b"other"
    assert [found.name for found in store.list(PLACE)] == ["f"]


def test_directories(store: HdfsStore) -> None:
    """Directories are made with their mode, listed, and removed only as a whole when that is asked for."""
    store.makedirs(f"{PLACE}/d/e", 0o750)
    store.makedirs(f"{PLACE}/d/e", 0o700)
    (made,) = store.list(f"{PLACE}/d")
    assert (made.is_dir, made.mode, made.path) == (True, 0o750, f"{PLACE}/d/e")
    with pytest.raises(StagingError):
        store.delete(f"{PLACE}/d")
    assert store.delete(f"{PLACE}/d", recursive=True) is True
    assert store.delete(f"{PLACE}/d", recursive=True) is False
    assert store.status(f"{PLACE}/d") is None
    for act in (store.list, store.read, store.usage):
        with pytest.raises(StagingError) as caught:
            act(f"{PLACE}/d")
        assert caught.value.problems[0].id == "store-missing"


def test_rights(store: HdfsStore, sandbox: SandboxInfo) -> None:
    """Where the user may not write or read, the error is [store-denied]."""
    with pytest.raises(DeniedError) as caught:
        store.write("/not-hers", b"x")
    assert caught.value.problems[0].id == "store-denied"
    store.write(f"{PLACE}/secret", b"x", mode=0o600)
    with pytest.raises(DeniedError):
        HdfsStore(load_conf(sandbox.conf_dir), "bob").read(f"{PLACE}/secret")
