"""HDFS over WebHDFS when things go wrong: each fault of NameNode or DataNode is the right error, and leaves nothing.

The stand-in knows one file and what the tests tell it; the real HDFS is met in tests/cluster/test_store.py.
"""

import pytest
from hdfsstandin import conf_for, location, namenode, remote
from httpstandin import Reply, Request, closed_port, serving

from yarn_submitter.errors import DeniedError, StagingError, UnreachableError, UsageError
from yarn_submitter.store import HdfsStore, store_path


def test_write_is_beside_and_renamed():
    """A file is created under a temporary name with its mode, filled, and renamed over what was there."""
    with (
        serving(lambda request: Reply(201, b"")) as data,
        serving(namenode(f"{data.url}/webhdfs/v1/x?op=CREATE")) as name,
    ):
        HdfsStore(conf_for(name.url), "ada").write("/a/ö b", b"content", mode=0o640)
    create, rename = name.asked
    assert create.params["permission"] == "640"
    assert create.params["user.name"] == "ada"
    assert create.path.startswith("/webhdfs/v1/a/%C3%B6%20b.ys-tmp-")
    assert (rename.params["op"], rename.path) == ("RENAME", create.path)
    assert (rename.params["destination"], rename.params["renameoptions"]) == ("/a/ö b", "OVERWRITE")
    assert [request.body for request in data.asked] == [b"content"]


def test_failed_write_leaves_nothing():
    """When the rename is refused the temporary file is removed and the refusal told, naming the target."""

    def others(request: Request) -> Reply:
        if request.params["op"] == "RENAME":
            return remote(403, "FileAlreadyExistsException", "rename destination exists")
        return Reply(body=b'{"boolean":true}')

    with serving(lambda request: Reply(201, b"")) as data, serving(namenode(f"{data.url}/x?op=CREATE", others)) as name:
        with pytest.raises(StagingError) as caught:
            HdfsStore(conf_for(name.url), "ada").write("/a/b", b"x", overwrite=False)
        assert name.asked[-1].params["op"] == "DELETE"
        assert ".ys-tmp-" in name.asked[-1].path
    assert caught.value.problems[0].id == "store-exists"
    assert "/a/b on HDFS" in caught.value.problems[0].sentence


def test_upload_survives_one_dead_datanode(tmp_path):
    """A DataNode that is down is replaced once, and told to the NameNode; progress ends at the file's length."""
    local = tmp_path / "file"
    local.write_bytes(b"0123456789" * 1000)
    sent: list[int] = []
    with serving(lambda request: Reply(201, b"")) as data:
        dead = f"127.2:{closed_port().rpartition(':')[2]}"  # a name of 127.0.0.2: the NameNode knows it by the latter
        places = [f"http://{dead}/x?op=CREATE", f"{data.url}/x?op=CREATE"]

        def answer(request: Request) -> Reply:
            return location(places.pop(0)) if request.params["op"] == "CREATE" else Reply()

        with serving(answer) as name:
            HdfsStore(conf_for(name.url), "ada").upload(local, "/a/file", sent.append)
        assert name.asked[1].params["excludedatanodes"] == "127.2,127.0.0.2"
        assert [request.params["op"] for request in name.asked] == ["CREATE", "CREATE", "RENAME"]
    assert sum(sent) == 10000
    assert data.asked[0].body == local.read_bytes()


def test_file_that_shrinks_while_it_is_sent(tmp_path):
    """A local file that becomes shorter under way is told at once, not after a DataNode's timeout."""
    local = tmp_path / "file"
    local.write_bytes(b"x" * (3 << 20))

    def shrink(count: int) -> None:
        if count > 0:
            with local.open("r+b") as file:
                file.truncate(1 << 20)

    with serving(lambda request: Reply(201, b"")) as data, serving(namenode(f"{data.url}/x?op=CREATE")) as name:
        with pytest.raises(StagingError) as caught:
            HdfsStore(conf_for(name.url), "ada").upload(local, "/a/file", shrink)
        assert name.asked[-1].params["op"] == "DELETE"
    assert caught.value.problems[0].id == "local-file"
    assert str(local) in caught.value.problems[0].sentence


def test_unreachable_datanode_is_named():
    """With every DataNode dead the error names it and not the NameNode."""
    dead = closed_port()
    with serving(namenode(f"http://{dead}/x?op=OPEN")) as name, pytest.raises(UnreachableError) as caught:
        HdfsStore(conf_for(name.url), "ada").read("/a/b")
    assert caught.value.problems[0].id == "datanode-unreachable"
    assert dead in caught.value.problems[0].sentence


def test_read_goes_on_where_a_datanode_broke_off():
    """A connection that breaks in the middle is taken up at the byte reached."""
    content = bytes(range(256)) * 1000
    cuts = [100_000, None]

    def data_answer(request: Request) -> Reply:
        start = int(request.params.get("offset", "0"))
        return Reply(body=content[start:], cut=cuts.pop(0))

    with serving(data_answer) as data:

        def answer(request: Request) -> Reply:
            return location(f"{data.url}/x?op=OPEN&offset={request.params.get('offset', '0')}")

        with serving(answer) as name:
            assert HdfsStore(conf_for(name.url), "ada").read("/a/b") == content


def test_read_twice_broken_is_an_error_and_leaves_no_file(tmp_path):
    """A download that breaks off again and again is an error, and no half file remains."""
    file = b'{"FileStatus":{"type":"FILE","length":100,"permission":"644"}}'
    with (
        serving(lambda request: Reply(body=b"x" * 100, cut=10)) as data,
        serving(namenode(f"{data.url}/x?op=OPEN", lambda request: Reply(body=file))) as name,
        pytest.raises(UnreachableError),
    ):
        HdfsStore(conf_for(name.url), "ada").download("/a/b", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("reply", "error", "problem"),
    [
        (remote(403, "AccessControlException", "Permission denied: user=ada"), DeniedError, "store-denied"),
        (remote(404, "FileNotFoundException"), StagingError, "store-missing"),
        (remote(403, "SafeModeException", "Name node is in safe mode."), UnreachableError, "hdfs-safemode"),
        (remote(403, "RetriableException", "NameNode still in safe mode"), UnreachableError, "hdfs-safemode"),
        (remote(403, "DSQuotaExceededException", "quota"), StagingError, "store-full"),
        (
            remote(403, "IOException", "File /a could only be written to 0 of the 1 minReplication nodes."),
            StagingError,
            "store-full",
        ),
        (remote(403, "ParentNotDirectoryException"), StagingError, "store-exists"),
        (remote(500, "IOException", "strange"), StagingError, "store-failed"),
        (Reply(502, b"<html>"), StagingError, "store-failed"),
        (Reply(401, b""), DeniedError, "auth-required"),
        (remote(403, "StandbyException"), UnreachableError, "hdfs-unreachable"),
    ],
)
def test_refusals_are_sentences(reply, error, problem):
    """Every refusal of the NameNode is an error with an id."""
    with serving(lambda request: reply) as name, pytest.raises(error) as caught:
        HdfsStore(conf_for(name.url), "ada").makedirs("/a")
    assert caught.value.problems[0].id == problem


def test_no_space_on_the_datanode():
    """A DataNode that finds no space while it writes is [store-full], and the temporary file is removed."""
    full = remote(403, "IOException", "could only be replicated to 0 nodes")
    with serving(lambda request: full) as data, serving(namenode(f"{data.url}/x?op=CREATE")) as name:
        with pytest.raises(StagingError) as caught:
            HdfsStore(conf_for(name.url), "ada").write("/a/b", b"x")
        assert [request.params["op"] for request in name.asked] == ["CREATE", "DELETE"]
    assert caught.value.problems[0].id == "store-full"


def test_missing_is_none_or_false():
    """Asking for, and removing, what is not there is no error."""
    with serving(lambda request: remote(404, "FileNotFoundException")) as name:
        store = HdfsStore(conf_for(name.url), "ada")
        assert store.status("/nothing") is None
    with serving(lambda request: Reply(body=b'{"boolean":false}')) as name:
        assert HdfsStore(conf_for(name.url), "ada").delete("/nothing") is False


def test_standby_and_dead_namenode_are_passed_over():
    """Of three NameNodes the active one answers, and is asked first from then on."""
    with (
        serving(lambda request: remote(403, "StandbyException")) as standby,
        serving(lambda request: Reply()) as active,
    ):
        store = HdfsStore(conf_for(f"http://{closed_port()}", standby.url, active.url), "ada")
        assert store.reachable(5) is None
        store.makedirs("/a")
        store.makedirs("/b")
        assert [request.params["op"] for request in active.asked[-2:]] == ["MKDIRS", "MKDIRS"]
        assert "MKDIRS" not in [request.params["op"] for request in standby.asked]


def test_write_is_not_repeated_at_another_namenode_when_it_may_have_arrived():
    """A NameNode that takes a rename and dies is not followed by a second rename elsewhere."""
    with serving(lambda request: Reply(body=b"{}" * 10, cut=1)) as dying, serving(lambda request: Reply()) as other:
        with pytest.raises(UnreachableError):
            HdfsStore(conf_for(dying.url, other.url), "ada").rename("/a", "/b")
        assert other.asked == []


def test_nobody_answers():
    """A dead NameNode is one sentence with its address and what to type."""
    dead = closed_port()
    with pytest.raises(UnreachableError) as caught:
        HdfsStore(conf_for(f"http://{dead}"), "ada").status("/")
    for word in ("[hdfs-unreachable]", dead, "connection refused", "curl"):
        assert word in str(caught.value)


def test_first_failure_of_many_is_told(tmp_path):
    """Of many uploads the first failure is raised."""
    files = [tmp_path / f"f{number}" for number in range(50)]
    for file in files[1:]:
        file.write_bytes(b"x")
    refused = remote(403, "AccessControlException")
    with serving(lambda request: refused) as name, pytest.raises(StagingError) as caught:
        HdfsStore(conf_for(name.url), "ada").put_many([(file, f"/a/{file.name}") for file in files])
    assert caught.value.problems[0].id == "local-file"
    assert str(files[0]) in caught.value.problems[0].sentence


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/a/b", "/a/b"),
        ("/a//b/../c/", "/a/c"),
        ("hdfs://nn:9000/a b", "/a b"),
        ("hdfs:///a", "/a"),
        ("hdfs:/a", "/a"),
        ("hdfs://NN:9000", "/"),
        ("/a?b#c", "/a?b#c"),
        ("hdfs://nn:9000/a?b#c", "/a?b#c"),
    ],
)
def test_paths_of_this_store(uri, path):
    """A path, or a URI of the default file system, is a path on it."""
    assert store_path(uri, conf_for()) == path


@pytest.mark.parametrize("uri", ["a/b", "", "hdfs://other:9000/a", "s3a://bucket/a", "file:///a", "hdfs://nn/a"])
def test_paths_of_other_stores(uri):
    """What lies elsewhere, or is no absolute path, is one sentence."""
    with pytest.raises(UsageError) as caught:
        store_path(uri, conf_for())
    assert caught.value.problems[0].id == "store-scheme"


def test_default_port_of_hdfs():
    """Port 8020 may be left out on either side."""
    assert store_path("hdfs://nn:8020/a", conf_for(default_fs="hdfs://nn")) == "/a"
    assert store_path("hdfs://nn/a", conf_for(default_fs="hdfs://nn:8020")) == "/a"


def test_other_default_file_system():
    """A cluster whose default file system is not HDFS is refused in one sentence."""
    with pytest.raises(UsageError) as caught:
        HdfsStore(conf_for(default_fs="s3a://bucket"), "ada")
    assert caught.value.problems[0].id == "store-scheme"
