"""Carrying directories: what arrives where, what is told, and when it ends."""

import contextlib
import os
import socket
import threading

import pytest
from executor_hdfs import FakeHdfs

from am.executor.checkpoints import CheckpointMirror, CheckpointWatch
from am.executor.files import Carrier, walk
from am.executor.webhdfs import Leash, Store, StoreError, store_path


@pytest.fixture
def hdfs():
    """A store that listens."""
    hdfs = FakeHdfs()
    yield hdfs
    hdfs.close()


@pytest.fixture
def store(hdfs):
    """What asks it."""
    return Store([hdfs.address], "alice", Leash())


@pytest.fixture
def carrier(store):
    """What carries to it for worker 1."""
    return Carrier(store, "worker:1")


@pytest.fixture
def tree(tmp_path):
    """A directory with everything in it that a program may leave."""
    root = tmp_path / "out"
    (root / "deep/er").mkdir(parents=True)
    (root / "hollow").mkdir()
    (root / "a b%c?#&+ü.txt").write_text("odd")
    (root / "deep/er/f").write_text("deep")
    (root / "empty").write_text("")
    (root / "inside").symlink_to("deep/er/f")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "loop").symlink_to("..")
    (root / "deep/up").symlink_to("..")
    (root / ".x.ys-tmp-worker-0").write_text("ours")
    os.mkfifo(root / "pipe")
    return root


def test_a_tree_arrives_whole(hdfs, carrier, tree):
    """Names are kept as they are, links inside followed, everything else that is no file or directory left out."""
    carrier.upload("OUTPUT_DIR", str(tree), "hdfs://cluster:8020/jobs/1/output")
    assert hdfs.text() == {
        "/jobs/1/output/a b%c?#&+ü.txt": "odd",
        "/jobs/1/output/deep/er/f": "deep",
        "/jobs/1/output/empty": "",
        "/jobs/1/output/inside": "deep",
    }
    assert "/jobs/1/output/hollow" in hdfs.files
    assert (carrier.files, carrier.bytes, carrier.moved_bytes, carrier.problems) == (4, 11, 11, [])


@pytest.fixture
def dead(hdfs):
    """A DataNode that does not answer, and that the NameNode names first: by its name, as it knows its own."""
    with socket.socket() as held:
        held.bind(("127.0.0.2", 0))
        address = f"http://127.2:{held.getsockname()[1]}"  # a name of 127.0.0.2
        hdfs.datanodes[address] = "127.0.0.2"
        yield address


def test_a_datanode_that_fails_is_left_out_the_next_time(hdfs, dead, carrier, tmp_path):
    """The NameNode, which knows it by its IP address, names another one; also for the files after."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        carrier.upload("OUTPUT_DIR", str(tmp_path), "/out")
    assert hdfs.text() == {"/out/a": "a", "/out/b": "b"}
    assert carrier.problems == []
    assert hdfs.named[:2] == [dead, hdfs.address]


def test_a_file_is_read_from_another_datanode(hdfs, dead, store):
    """The next try leaves out the one that failed, also when a read breaks off."""
    hdfs.files["/f"] = b"x"
    with pytest.raises(StoreError):
        list(store.read("/f"))
    assert list(store.read("/f")) == [b"x"]
    store.close()
    assert hdfs.named == [dead, hdfs.address]


def test_the_only_datanode_is_tried_again(hdfs, store):
    """Where the NameNode has no other, the one that failed may be back."""
    hdfs.files["/f"] = b"x" * 100
    hdfs.breaks = 1
    with pytest.raises(StoreError):
        list(store.read("/f"))
    assert b"".join(store.read("/f")) == b"x" * 100
    store.write("/g", [b"y"])
    store.close()
    assert hdfs.named == [hdfs.address] * 3


def test_files_are_written_beside_and_renamed(hdfs, carrier, tmp_path):
    """Nobody sees half a file: CREATE never names the file's place."""
    (tmp_path / "f").write_text("new")
    hdfs.files["/o/f"] = b"old"
    carrier.upload("OUTPUT_DIR", str(tmp_path), "/o")
    assert hdfs.asked == [
        ("MKDIRS", "/o"),
        ("CREATE", "/o/.f.ys-tmp-worker-1"),
        ("RENAME", "/o/.f.ys-tmp-worker-1"),
    ]
    assert hdfs.text() == {"/o/f": "new"}


def test_an_empty_directory_asks_for_nothing(hdfs, carrier, tmp_path):
    """A task without results makes no request."""
    carrier.upload("OUTPUT_DIR", str(tmp_path), "/o")
    carrier.upload("OUTPUT_DIR", str(tmp_path / "missing"), "/o")
    assert hdfs.asked == []
    assert carrier.problems == []


def test_a_directory_is_never_replaced_by_a_file(hdfs, carrier, tmp_path):
    """The file is told as not carried, its temporary name removed, the others arrive."""
    (tmp_path / "d").write_text("file")
    (tmp_path / "e").write_text("fine")
    hdfs.files["/o/d"] = None
    carrier.upload("OUTPUT_DIR", str(tmp_path), "/o")
    assert hdfs.files["/o/d"] is None
    assert hdfs.text() == {"/o/e": "fine"}
    assert len(carrier.problems) == 1
    assert carrier.problems[0].startswith("OUTPUT_DIR was not wholly carried to /o: d: ")


def test_many_faults_are_one_sentence(hdfs, carrier, tmp_path):
    """Three are named, the rest counted; only the first line of the store's words is told."""
    hdfs.denied.add("/o/")
    for n in range(5):
        (tmp_path / f"f{n}").write_text("x")
    carrier.upload("OUTPUT_DIR", str(tmp_path), "/o")
    (problem,) = carrier.problems
    assert problem.count("Permission denied") == 3
    assert problem.endswith("and 2 more")
    assert (carrier.files, carrier.bytes, carrier.moved_bytes) == (0, 0, 0)


def test_a_path_of_another_scheme_is_a_sentence(hdfs, carrier, tmp_path):
    """What we cannot carry is said, not tried."""
    (tmp_path / "f").write_text("x")
    carrier.upload("MODEL_DIR", str(tmp_path), "s3://bucket/model")
    assert carrier.problems == ["MODEL_DIR is not carried: s3://bucket/model is no path on the cluster's HDFS"]
    assert hdfs.asked == []


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/a/b/", "/a/b"),
        ("hdfs://nn:8020/a/b", "/a/b"),
        ("hdfs:///a", "/a"),
        ("webhdfs://nn:9870/a", "/a"),
        ("s3://b/a", ""),
        ("a/b", ""),
        ("", ""),
    ],
)
def test_paths_on_the_store(uri, path):
    """Plain paths and hdfs:// URIs name a path there."""
    assert store_path(uri) == path


def test_a_standby_namenode_is_passed_over(hdfs, tmp_path):
    """The active one is found when the first does not answer and the next is standby for the moment."""
    hdfs.standby = 1
    with contextlib.closing(Store(["http://127.0.0.1:1", hdfs.address], "alice", Leash())) as store:
        store.make_directory("/a")
    assert "/a" in hdfs.files


def test_a_store_that_does_not_answer_ends_with_the_leash(tmp_path):
    """A dead HDFS is tried no longer than results may take, and said once for all files."""
    leash = Leash()
    leash.shorten(0.2)
    carrier = Carrier(Store(["http://127.0.0.1:1"], "alice", leash), "worker:0")
    (tmp_path / "f").write_text("x")
    carrier.upload("OUTPUT_DIR", str(tmp_path), "/o")
    (problem,) = carrier.problems
    assert "HDFS does not answer" in problem


def test_a_cut_leash_ends_a_carrying_and_says_so(hdfs, carrier, tmp_path):
    """What was not carried when the time was over is told."""
    hdfs.slow = threading.Event()
    for n in range(30):
        (tmp_path / f"f{n:02}").write_text("x")
    thread = threading.Thread(target=carrier.upload, args=("OUTPUT_DIR", str(tmp_path), "/o"))
    thread.start()
    carrier.leash.cut()
    hdfs.slow.set()
    thread.join(20)
    (problem,) = carrier.problems
    assert "the time for it was over" in problem
    assert carrier.files < 30


def test_a_file_that_vanishes_is_no_fault(hdfs, carrier, tmp_path):
    """Programs delete their temporary files while we carry."""
    (tmp_path / "f").write_text("x")
    found = list(walk(str(tmp_path)))
    (tmp_path / "f").unlink()
    assert carrier.send("OUTPUT_DIR", "/o", found) == []
    assert carrier.problems == []


def test_a_checkpoint_is_fetched_and_only_what_is_new_is_sent_back(hdfs, store, carrier, tmp_path):
    """Fetched files are not sent; changed ones are, oldest first; without news there are no requests."""
    hdfs.files.update({"/c": None, "/c/d": None, "/c/d/w-1": b"one", "/c/checkpoint": b"w-1", "/c/.x.ys-tmp-a-0": b""})
    mirror = CheckpointMirror(carrier, str(tmp_path), "/c")
    assert mirror.fetch(store) == 2
    assert (tmp_path / "d/w-1").read_text() == "one"
    assert not (tmp_path / ".x.ys-tmp-a-0").exists()
    hdfs.asked.clear()
    mirror.update()
    assert hdfs.asked == []
    (tmp_path / "checkpoint").write_text("w-2")
    os.utime(tmp_path / "checkpoint", (2_000_000_002, 2_000_000_002))
    (tmp_path / "d/w-2").write_text("two")
    os.utime(tmp_path / "d/w-2", (2_000_000_001, 2_000_000_001))
    mirror.update()
    assert [path for operation, path in hdfs.asked if operation == "RENAME"] == [
        "/c/d/.w-2.ys-tmp-worker-1",
        "/c/.checkpoint.ys-tmp-worker-1",
    ]
    assert hdfs.files["/c/checkpoint"] == b"w-2"


def test_only_what_this_task_sent_is_deleted_with_its_original(hdfs, store, carrier, tmp_path):
    """A program that keeps its last checkpoint keeps one there; what lay there before stays."""
    hdfs.files.update({"/c": None, "/c/w-1": b"one"})
    mirror = CheckpointMirror(carrier, str(tmp_path), "/c")
    mirror.fetch(store)
    (tmp_path / "w-2").write_text("two")
    mirror.update()
    (tmp_path / "w-1").unlink()
    (tmp_path / "w-2").unlink()
    (tmp_path / "w-3").write_text("three")
    mirror.update()
    assert hdfs.text() == {"/c/w-1": "one", "/c/w-3": "three"}


def test_a_checkpoint_goes_on_after_the_store_was_away(hdfs, store, tmp_path):
    """An HDFS that was down for a while costs nothing but time: what was missed is sent the next time."""
    carrier = Carrier(Store([hdfs.address], "alice", Leash(), patience_s=0.0), "worker:1")
    mirror = CheckpointMirror(carrier, str(tmp_path), "/c")
    mirror.fetch(store)
    (tmp_path / "w").write_text("one")
    hdfs.standby = 10**9
    mirror.update()
    (problem,) = carrier.begin_anew()
    assert "HDFS does not answer" in problem
    hdfs.standby = 0
    mirror.update()
    assert hdfs.text() == {"/c/w": "one"}
    assert carrier.problems == []


def test_a_checkpoint_that_is_not_there_yet_is_no_fault(hdfs, store, carrier, tmp_path):
    """The first run of a job starts with an empty directory."""
    assert CheckpointMirror(carrier, str(tmp_path), "/none").fetch(store) == 0


def test_a_checkpoint_that_cannot_be_read_is_an_error(store, carrier, tmp_path):
    """The job must not start from nothing when its checkpoint cannot be had."""
    with pytest.raises(StoreError, match="is no path on the cluster's HDFS"):
        CheckpointMirror(carrier, str(tmp_path), "gs://b/c").fetch(store)


def test_a_watched_checkpoint_is_followed(hdfs, store, tmp_path):
    """What is new on the store is fetched, what is deleted there is deleted; without news nothing is read."""
    watch = CheckpointWatch(str(tmp_path), "/c")
    watch.update(store)
    assert list(tmp_path.iterdir()) == []
    hdfs.files.update({"/c": None, "/c/d": None, "/c/d/events": b"one", "/c/w-1": b"1", "/c/.x.ys-tmp-a-0": b""})
    watch.update(store)
    assert (tmp_path / "d/events").read_text() == "one"
    assert (tmp_path / "w-1").read_text() == "1"
    hdfs.asked.clear()
    watch.update(store)
    assert {operation for operation, _ in hdfs.asked} == {"GETFILESTATUS", "LISTSTATUS"}
    hdfs.files["/c/d/events"] = b"two"
    hdfs.times["/c/d/events"] = 2_000
    del hdfs.files["/c/w-1"]
    watch.update(store)
    assert {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"events": "two"}


def test_a_watch_tells_what_it_cannot_read(store, tmp_path):
    """A checkpoint path on another store is an error, not an empty directory."""
    with pytest.raises(StoreError, match="is no path on the cluster's HDFS"):
        CheckpointWatch(str(tmp_path), "gs://b/c").update(store)
