"""HDFS with DataNodes that pause, hang, refuse in the middle: waited for while they live, told soon when they do not.

All deadlines are shortened, and most pauses end when the DataNode was asked whether it lives.
"""

import io
import threading
import time

import pytest
from hdfsstandin import CREATED, conf_for, datanode, namenode_of
from httpstandin import serving

from yarn_submitter.errors import DeniedError, UnreachableError
from yarn_submitter.sending import Patience
from yarn_submitter.store import HdfsStore

LIVES = Patience(quiet_s=0.05, asked_s=20, most_s=20)
HANGS = Patience(quiet_s=0.05, asked_s=0.1, most_s=20)
BIG = bytes(range(256)) * (64 << 10)  # 16 MiB: more than all buffers between two processes take


def take_all(node, visit):
    """Take the body and say so."""
    visit.take()
    visit.say(CREATED)


def ops(name):
    """Return what a NameNode was asked."""
    return [request.params["op"] for request in name.asked]


@pytest.mark.parametrize("body", [b"small", BIG], ids=["small", "big"])
def test_a_datanode_that_answers_late_is_waited_for_while_it_lives(body):
    """A whole body that is not answered for long is waited for, once the DataNode has shown that it lives."""

    def late(node, visit):
        visit.take()
        assert node.lively.wait(10)
        visit.say(CREATED)

    with datanode(late) as data, serving(namenode_of(data.url)) as name:
        HdfsStore(conf_for(name.url), "ada", LIVES).write("/a/ö b", body)
        assert ops(name) == ["CREATE", "RENAME"]
        assert data.visits[0].head.startswith("PUT /webhdfs/v1/a/%C3%B6%20b.ys-tmp-")
        assert [bytes(visit.body) for visit in data.visits] == [body]


def test_a_datanode_that_pauses_in_the_middle_is_waited_for_while_it_lives():
    """A body that stands still on its way goes on when the DataNode does, from where it stood."""

    def pausing(node, visit):
        visit.take(1 << 20)
        assert node.lively.wait(10)
        visit.take()
        visit.say(CREATED)

    with datanode(pausing) as data, serving(namenode_of(data.url)) as name:
        HdfsStore(conf_for(name.url), "ada", LIVES).write("/a/b", BIG)
        assert ops(name) == ["CREATE", "RENAME"]
        assert bytes(data.visits[0].body) == BIG


def test_a_body_may_take_any_time_while_it_makes_progress():
    """No deadline holds for the whole: a DataNode that takes a little now and then takes all of it."""
    patience = Patience(quiet_s=0.5, asked_s=20, most_s=1)

    def slow(node, visit):
        pause = threading.Event()
        while len(visit.body) < visit.length:
            visit.take(1 << 20)
            pause.wait(0.1)
        visit.say(CREATED)

    begun = time.monotonic()
    with datanode(slow) as data, serving(namenode_of(data.url)) as name:
        HdfsStore(conf_for(name.url), "ada", patience).write("/a/b", io.BytesIO(BIG))
        assert ops(name) == ["CREATE", "RENAME"]
    assert time.monotonic() - begun > patience.most_s


@pytest.mark.parametrize("body", [b"small", BIG], ids=["small", "big"])
def test_a_datanode_that_hangs_is_told(body):
    """One that answers nothing at all is given up after the question, long before one that lives would be."""
    with datanode(lambda node, visit: None, lives=False) as data, serving(namenode_of(data.url)) as name:
        with pytest.raises(UnreachableError) as caught:
            HdfsStore(conf_for(name.url), "ada", HANGS).write("/a/b", body)
        assert ops(name) == ["CREATE", "CREATE", "DELETE"]
    (problem,) = caught.value.problems
    assert "for /a/b, does" in problem.sentence
    assert problem.id == "datanode-unreachable"
    assert data.url.removeprefix("http://") in problem.sentence
    assert "no answer within" in problem.evidence


def test_a_datanode_that_lives_and_takes_nothing_is_told():
    """One that answers questions, but never goes on, is given up in the end."""
    patience = Patience(quiet_s=0.05, asked_s=5, most_s=0.3)
    with (
        datanode(lambda node, visit: threading.Event().wait(2)) as data,
        serving(namenode_of(data.url)) as name,
        pytest.raises(UnreachableError) as caught,
    ):
        HdfsStore(conf_for(name.url), "ada", patience).write("/a/b", BIG)
    assert data.lively.is_set()
    assert caught.value.problems[0].id == "datanode-unreachable"


def test_a_datanode_that_wakes_too_late_harms_nothing():
    """After a DataNode that hung the next one gets another name: what the first one may still write is not the file."""
    with (
        datanode(lambda node, visit: None, lives=False) as hung,
        datanode(take_all, host="127.0.0.2") as good,
        serving(namenode_of(hung.url, good.url)) as name,
    ):
        HdfsStore(conf_for(name.url), "ada", Patience(quiet_s=0.5, asked_s=0.5)).write("/a/b", b"content")
        first, second, rename, delete = name.asked
    assert first.path != second.path
    assert (rename.params["op"], rename.path) == ("RENAME", second.path)
    assert (delete.params["op"], delete.path) == ("DELETE", first.path)
    assert bytes(good.visits[0].body) == b"content"


def test_a_refusal_in_the_middle_of_a_body_is_heard():
    """A DataNode that refuses before it has all, and closes, is understood."""

    def refusing(node, visit):
        visit.take(1 << 16)
        said = b'{"RemoteException":{"exception":"AccessControlException","message":"Permission denied"}}'
        head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
        visit.say(head.encode() + said)

    with datanode(refusing) as data, serving(namenode_of(data.url)) as name, pytest.raises(DeniedError) as caught:
        HdfsStore(conf_for(name.url), "ada", LIVES).write("/a/b", BIG)
    assert caught.value.problems[0].id == "store-denied"


def test_the_only_datanode_is_asked_again_for_a_file_while_it_lives():
    """A read that is not answered in time is asked for once more, where no other DataNode has the file."""

    def second_time(node, visit):
        if node.lively.is_set():
            visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent")
        else:
            node.lively.wait(10)

    with datanode(second_time) as data, serving(namenode_of(data.url)) as name:
        assert HdfsStore(conf_for(name.url), "ada", LIVES).read("/a/b") == b"content"
        assert ops(name) == ["OPEN", "OPEN", "OPEN"]


def test_a_datanode_that_hangs_is_told_to_who_reads():
    """One that answers nothing at all is given up."""
    with datanode(lambda node, visit: None, lives=False) as data, serving(namenode_of(data.url)) as name:
        with pytest.raises(UnreachableError) as caught:
            HdfsStore(conf_for(name.url), "ada", HANGS).read("/a/b")
        assert ops(name) == ["OPEN", "OPEN"]
    assert caught.value.problems[0].id == "datanode-unreachable"
