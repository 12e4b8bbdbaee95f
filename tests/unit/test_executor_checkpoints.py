"""Checkpoints that come from the store: whole, in the order in which they were written, or not at all."""

import os

import pytest
from executor_hdfs import FakeHdfs

from am.executor.checkpoints import CheckpointMirror, CheckpointWatch
from am.executor.files import TRIES, Carrier
from am.executor.webhdfs import Leash, Store, StoreError


@pytest.fixture
def hdfs():
    """A store that listens, with one checkpoint."""
    hdfs = FakeHdfs()
    hdfs.files.update({"/c": None, "/c/w": b"0123456789"})
    yield hdfs
    hdfs.close()


@pytest.fixture
def store(hdfs):
    """What asks it."""
    return Store([hdfs.address], "alice", Leash())


def test_a_datanode_that_breaks_off_is_asked_again(hdfs, store, tmp_path):
    """Half a checkpoint is none: what was announced has to come."""
    hdfs.breaks = 1
    assert CheckpointMirror(Carrier(store, "worker:0"), str(tmp_path), "/c").fetch(store) == 1
    assert (tmp_path / "w").read_bytes() == b"0123456789"


def test_a_checkpoint_that_never_comes_whole_is_an_error(hdfs, store, tmp_path):
    """The job must not go on from half of its checkpoint; a watching task keeps what it has."""
    hdfs.breaks = TRIES
    with pytest.raises(StoreError, match="/c/w cannot be read: it broke off 5 bytes before its end"):
        CheckpointMirror(Carrier(store, "worker:0"), str(tmp_path), "/c").fetch(store)
    (tmp_path / "w").write_bytes(b"old")
    hdfs.breaks = TRIES
    with pytest.raises(StoreError, match="broke off"):
        CheckpointWatch(str(tmp_path), "/c").update(store)
    assert (tmp_path / "w").read_bytes() == b"old"


def test_a_watched_checkpoint_comes_oldest_first(hdfs, store, tmp_path):
    """The file that names the newest checkpoint is written last, and must not name what is not here yet."""
    hdfs.files.update({"/c/checkpoint": b"w-2", "/c/w-2": b"two"})
    hdfs.times.update({"/c/checkpoint": 3_000, "/c/w-2": 2_000})
    hdfs.files = dict(sorted(hdfs.files.items()))  # LISTSTATUS goes by name
    CheckpointWatch(str(tmp_path), "/c").update(store)
    read = [os.path.basename(path) for operation, path in hdfs.asked if operation == "OPEN"]
    assert read == ["w", "w-2", "checkpoint"]
