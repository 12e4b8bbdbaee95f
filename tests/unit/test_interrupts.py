"""The first signal ends a command in good order: it says what goes on without it, and ends what it shall end."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator

import pytest
from client_fakes import APP, JOB, PretendCluster

from yarn_submitter.cli.console import Console
from yarn_submitter.cli.run import leave_or_follow
from yarn_submitter.interrupts import one_interrupt
from yarn_submitter.job import find_job
from yarn_submitter.load import Controls

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Nobody but us has handlers."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in SIGNALS[1:]:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_ends_the_body_and_others_wait_for_its_tidying_up(number: signal.Signals) -> None:
    """As KeyboardInterrupt, or as the exit code that a shell shows for the signal; then all is as it was."""
    tidied: list[object] = []

    def body() -> None:
        try:
            signal.raise_signal(number)
        finally:
            tidied.extend(signal.raise_signal(other) for other in SIGNALS)

    with pytest.raises((KeyboardInterrupt, SystemExit)) as ended, one_interrupt():
        body()
    assert getattr(ended.value, "code", 130) == 128 + number
    assert len(tidied) == len(SIGNALS)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_who_ignores_a_signal_goes_on() -> None:
    """As nohup lets a program ignore SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with one_interrupt():
        signal.raise_signal(signal.SIGHUP)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("kills", [False, True])
def test_a_signal_leaves_the_job_alone_unless_it_shall_end(
    cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, kills: bool
) -> None:
    """It is said which, and how to come back."""
    cluster.add_app("RUNNING")
    cluster.add_job()
    monkeypatch.setattr("yarn_submitter.cli.follow.Follower.run", lambda _: signal.raise_signal(number))
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    try:
        code = leave_or_follow(find_job(cluster.site(), JOB), Controls(kill_on_exit=kills), console)
    except SystemExit as ended:
        code = ended.code
    assert code == 128 + number
    said = "the job is told to end" if kills else "detached, the job goes on"
    assert said in err.getvalue()
    assert [app for app, _ in cluster.killed] == [APP] * kills
