"""What can happen to a task's session, and the two ways in which it ends early."""

from __future__ import annotations

import sys
import time
import typing

from am.contract import wire


class FailureError(Exception):
    """The executor itself cannot go on: exit code, id of docs/errors.md, sentence."""

    def __init__(self, code: int, problem: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.problem = problem


class Leave(Exception):  # noqa: N818  no error: the agent wants no more of us, or there is no agent
    """Exit now with `code`, telling nobody; codes.LOST when the agent is silent."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Ended(typing.NamedTuple):
    """The command's process ended with `code`."""

    code: int


class BeatsOver(typing.NamedTuple):
    """Beats have ended; `sent_away` is false when the agent does not answer."""

    sentence: str
    sent_away: bool


class Signalled(typing.NamedTuple):
    """The executor itself was told to stop."""

    number: int


class Carried(typing.NamedTuple):
    """A carrying thread has ended; `problem` is empty when it did its work."""

    problem: str


class Tried(typing.NamedTuple):
    """The peers of a PROBE were tried: task -> address at which it was reached, task -> why it was not."""

    order_id: int
    reached: typing.Dict[str, str]
    missed: typing.Dict[str, str]


class Stalled(typing.NamedTuple):
    """The command with this process id does nothing; `problem` is an id of docs/errors.md."""

    pid: int
    problem: str


Happening = typing.Union[wire.Orders, Ended, BeatsOver, Signalled, Carried, Tried, Stalled]


def say(sentence: str) -> None:
    """Write a line to the executor's own log, the service's log file in the container's log directory."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")
    sys.stderr.flush()
