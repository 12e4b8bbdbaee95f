"""The wire: every message survives, with every field at a value that is not its default."""

import dataclasses

import pytest

from am.contract import wire
from am.contract.codec import ContractError

ALL = (
    wire.Register(
        "worker", "container_1", "n2", "n2:8042", "alice", (40010, 40011), 4711, 1.5, 40012, ("10.0.0.2",), 1
    ),
    wire.Registered(3, 2, "application_1_0001", 1),
    wire.Beat("container_1", 7, 20.5, 4712, 4096),
    wire.Orders(8, wire.STOP, {"worker": ("n2:40010",), "ps": ("n1:1", "n2:2")}, 30.5, 600.5, 5.5),
    wire.Probed("container_1", 8, {"ps:0": "10.0.0.1"}, {"worker:2": "Connection refused"}),
    wire.Exit("container_1", 137, "last\nlines ü", "command-not-found", 2),
    wire.Done("container_1", 3, 4096, "one file was not carried"),
    wire.Stop("alice@edge", "too slow"),
    wire.Ack(False, True),
    wire.Events(("{}", "{}"), 12),
)


def test_every_message_is_tried():
    """A message that is added to the wire must be added here."""
    kinds = {value for value in vars(wire).values() if isinstance(value, type) and dataclasses.is_dataclass(value)}
    assert {type(message) for message in ALL} == kinds


@pytest.mark.parametrize("message", ALL, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_from_its_body(message):
    """Encoding and decoding loses nothing."""
    for field in dataclasses.fields(message):
        assert getattr(message, field.name) != field.default, f"{field.name} is at its default"
    assert wire.decode(type(message), wire.encode(message)) == message


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[1", b"null", b"{}", b'{"index": "0"}'])
def test_what_is_no_message_is_a_contract_error(body):
    """Whatever comes in, the receiver sees one kind of error."""
    with pytest.raises(ContractError):
        wire.decode(wire.Registered, body)


def test_a_large_body_comes_back(monkeypatch):
    """What is deflated is smaller and loses nothing; what is cut, foreign or too large is a contract error."""
    body = wire.encode(wire.Orders(2, wire.START, {"worker": tuple(f"node{n}:{40000 + n}" for n in range(1000))}))
    packed = wire.deflate(body)
    assert len(packed) < len(body) / 2
    assert wire.inflate(packed) == body
    for wrong in (packed[:-1], b"foreign", b""):
        with pytest.raises(ContractError):
            wire.inflate(wrong)
    monkeypatch.setattr(wire, "MAX_ANSWER_BYTES", len(body) - 1)
    with pytest.raises(ContractError):
        wire.inflate(packed)


def test_tokens_differ_and_hide_the_secret():
    """Clients cannot make the executors' token from theirs."""
    task, client = wire.task_token("s"), wire.client_token("s")
    assert task != client
    assert "s" not in (task, client)
    assert wire.task_token("other") != task


def test_a_tail_is_clipped_to_its_last_lines_and_bytes():
    """50 lines, 8 KiB, never half a character that breaks the text."""
    assert wire.clip_tail("\n".join(map(str, range(100)))).splitlines() == [str(n) for n in range(50, 100)]
    clipped = wire.clip_tail("ü" * 10_000)
    assert len(clipped.encode()) <= wire.MAX_TAIL_BYTES + 2
    assert clipped.endswith("ü")
    assert wire.clip_tail("") == ""
