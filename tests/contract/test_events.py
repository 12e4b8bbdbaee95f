"""Events: every kind survives its line, and a reader older than the writer goes on."""

import dataclasses
import json

import pytest

from am.contract import events
from am.contract.codec import ContractError

VERDICT = events.JobEnded(
    12.5, "FAILED", 3, "task", "task-failed", "worker:1 failed", "worker:1", "n1", "Traceback\nx", "ask for more memory"
)
ALL = (
    events.AgentStarted(1.5, 2, "n1", 40001, "application_1_0001"),
    events.TaskRegistered(
        2.5,
        "worker:1",
        2,
        "container_1",
        "n2",
        "n2:8042",
        "http://n2:8042/x",
        (40010, 40011),
        "n2:40020,10.0.0.2:40020",
    ),
    events.GangReleased(2.6, 2, "1 of 4 tasks had no container in 5 min", 31.5),
    events.HostAvoided(2.7, "n4", "two attempts failed there"),
    events.GangProbing(2.8, {"worker": ("n2:40020,10.0.0.2:40020", "n3:40021")}),
    events.GangComplete(3.5, {"worker": ("n2:40010", "n3:40012"), "ps": ("n2:40013",)}),
    events.RoleReleased(3.6, "worker"),
    events.TaskStarted(4.5, "worker:1", 2, 4711),
    events.TaskExited(5.5, "worker:1", 2, "n2", 137, "yarn", True, "last\nlines ü", "task-lost"),
    events.TaskUploaded(6.5, "worker:1", 2, 3, 4096, "one file was not carried"),
    events.JobRestarting(6.6, 2, "worker:1 failed", "worker:1", True),
    events.TaskRestarting(6.7, "worker:1", 3, "all start again", True, True),
    events.Waiting(7.5, "for 1 of 4 containers"),
    events.JobStopping(8.5, "worker:1 failed", VERDICT, 600.5),
    VERDICT,
)


def test_every_kind_is_tried():
    """A kind that is added to the contract must be added here."""
    assert {type(event).__name__ for event in ALL} == set(events.KINDS)


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_line(event):
    """Every field at a value that is not its default survives; the line is one line."""
    for field in dataclasses.fields(event):
        assert getattr(event, field.name) not in (field.default, None, 0, ""), f"{field.name} is at its default"
    line = events.to_line(event)
    assert "\n" not in line
    assert events.from_line(line) == event


def test_a_newer_kind_is_passed_over():
    """A reader gets None for a kind that it does not know, and known kinds may have unknown fields."""
    assert events.from_line('{"event": "TaskRestarted", "time": 1.0}') is None
    line = json.dumps({**json.loads(events.to_line(ALL[2])), "new": 1})
    assert events.from_line(line) == ALL[2]


@pytest.mark.parametrize(
    "line", ["", "x", "[]", "3", '{"event": "TaskStarted"}', '{"event": "TaskStarted", "time": "x"}']
)
def test_what_is_no_event_is_an_error(line):
    """Broken lines are never taken for events."""
    with pytest.raises(ContractError):
        events.from_line(line)
