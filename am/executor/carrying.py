"""The session's part in carrying files: it waits for the threads that carry, and cuts them short when told to."""

from __future__ import annotations

import time
import typing

from am.contract import codes
from am.contract.job import Limits
from am.executor.happenings import Carried, FailureError, Happening, Leave, say
from am.executor.inbox import Inbox
from am.executor.results import Results
from am.executor.webhdfs import Leash

LEAVE_S = 2.0


def fetch(inbox: Inbox, results: Results) -> None:
    """Fetch the checkpoint; a stop or a new beginning ends it.

    Raises:
        FailureError: It cannot be fetched.
        Leave: The agent sends us away, or is silent.
    """
    problem = _until_carried(inbox, results.fetch)
    if problem and inbox.ending is None:
        raise FailureError(codes.STAGING, "checkpoint-fetch-failed", f"The checkpoint was not fetched: {problem}.")


def send_checkpoint(inbox: Inbox, results: Results, limits: Limits) -> None:
    """Send what is new of the checkpoint, which other tasks fetch before they start again.

    Raises:
        Leave: The agent sends us away, or is silent.
    """
    problem = _until_sent(inbox, results, limits, results.send_checkpoint)
    if problem:
        say(f"The checkpoint was not sent: {problem}.")


def carry(inbox: Inbox, results: Results, limits: Limits) -> None:
    """Carry the results; orders may shorten the time for it, and an order to begin again ends it at once.

    Raises:
        Leave: The agent sends us away, or is silent.
    """
    problem = _until_sent(inbox, results, limits, results.carry, for_good=True)
    if problem:
        results.carrier.problems.append(problem)


def _until_sent(
    inbox: Inbox, results: Results, limits: Limits, work: typing.Callable[[], None], for_good: bool = False
) -> str:
    _limit(inbox, results, limits, for_good)
    inbox.in_thread(work)
    lost: typing.Optional[Leave] = None
    while True:
        try:
            happening = inbox.next(None)
        except Leave as leave:
            if leave.code != codes.LOST:
                results.leash.cut()
                _await_carried(inbox)
                raise
            lost = leave  # results are worth a little more time than an agent that is gone
            results.leash.shorten(limits.silence_s)
            continue
        if isinstance(happening, Carried):
            break
        _limit(inbox, results, limits, for_good)
    if lost is not None:
        raise lost
    return happening.problem


def _until_carried(inbox: Inbox, work: typing.Callable[[Leash], typing.Any]) -> str:
    leash = Leash()
    inbox.in_thread(lambda: work(leash))
    happening: typing.Optional[Happening] = None
    try:
        while not isinstance(happening, Carried):
            happening = inbox.next(None)
            if inbox.ending is not None:
                leash.cut()
    finally:
        leash.cut()
    return happening.problem


def _await_carried(inbox: Inbox) -> None:
    """Give the carrying threads a moment to take their temporary names off the store."""
    ends = time.monotonic() + LEAVE_S
    while time.monotonic() < ends:
        try:
            if isinstance(inbox.next(max(0.0, ends - time.monotonic())), Carried):
                return
        except Leave:
            continue


def _limit(inbox: Inbox, results: Results, limits: Limits, for_good: bool) -> None:
    if for_good and inbox.ending is not None and inbox.stop is None:
        results.leash.cut()
        return
    seconds = limits.upload_s if inbox.stop is None else inbox.stop.upload_s
    if seconds:
        results.leash.shorten(seconds)
