"""The first signal ends a command in good order: it says what goes on without it, and ends what it shall end."""

from __future__ import annotations

import functools
import importlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client_fakes import APP, JOB, PretendCluster, job_plan
from httpstandin import Reply, Request
from pseudoterminal import Terminal

from am.contract import states
from am.contract.events import AgentStarted, JobEnded
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.run import leave_or_follow, run
from yarn_submitter.errors import Problem, StagingError
from yarn_submitter.interrupts import one_interrupt, undisturbed
from yarn_submitter.job import Job, find_job
from yarn_submitter.load import Controls
from yarn_submitter.yarn import SkeinYarn

# Follows a job as `job run` does.
FOLLOW = """
import sys
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.run import leave_or_follow
from yarn_submitter.errors import SubmitterError
from yarn_submitter.job import find_job
from yarn_submitter.load import Controls
from yarn_submitter.site import open_site
console = Console(sys.stdout, sys.stderr)
try:
    controls = Controls(detach="--detach" in sys.argv, kill_on_exit="--kill_on_exit" in sys.argv)
    sys.exit(leave_or_follow(find_job(open_site(""), sys.argv[1]), controls, console))
except SubmitterError as error:
    console.error(error)
    sys.exit(error.exit_code)
"""
STARTED = AgentStarted(1.0, 1, "nm", 20001, APP)
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "worker:1 exited with code 3", "worker:1", "nm2", "a\nb")
RUN = ["--name", "fit", "--framework", "generic", "--input_path", "", "--num_workers", "1"]
RUN += ["--worker_resources", "memory=1G", "--worker_launch_cmd", "true"]
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
        went_on = True
    assert went_on


def test_what_is_tidied_up_is_not_disturbed() -> None:
    """No signal is heard meanwhile; then all is as it was."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with undisturbed():
        for number in SIGNALS:
            signal.raise_signal(number)
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_signals_are_the_main_threads() -> None:
    """A job may be submitted in any thread."""
    ran: list[bool] = []

    def body() -> None:
        with one_interrupt():
            ran.append(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(20)
    assert ran == [True]


LEFT = StagingError(Problem("left-behind", "Something may be left.", "", "job kill x"))


@pytest.mark.parametrize(("kind", "code"), [(KeyboardInterrupt, 130), (functools.partial(SystemExit, 143), 143)])
@pytest.mark.parametrize(("cause", "said"), [(None, "Nothing is left of it."), (LEFT, "left. [left-behind]")])
def test_a_submission_that_is_interrupted_tells_what_is_left(
    cluster: PretendCluster,
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[[], BaseException],
    code: int,
    cause: Exception | None,
    said: str,
) -> None:
    """Its exit code is the signal's."""

    def submit(_plan: object, _site: object, _tell: object, door: SkeinYarn, **_: object) -> None:
        door.close()
        raise kind() from cause

    monkeypatch.setattr(importlib.import_module("yarn_submitter.submit"), "submit", submit)  # a function has its name
    console = Console(io.StringIO(), io.StringIO())
    try:
        ended = run([*RUN, "--force"], console)
    except SystemExit as left:
        ended = int(str(left.code))
    assert ended == code
    assert said in console.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_signal_while_the_job_is_checked_leaves_nothing(
    cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process that waits to submit ends in good order."""
    monkeypatch.setattr("yarn_submitter.check.check", lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit, match="143"):
        run(RUN, Console(io.StringIO(), io.StringIO()))
    assert list(tmp_path.rglob("driver-*")) == []


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


class Disturbed(Job):
    """A job that is told to end in the moment in which the terminal's signal comes."""

    def kill(self, reason: str = "", *, by_yarn: bool = False) -> str:
        """Hear the signal first."""
        signal.raise_signal(signal.SIGHUP)
        return super().kill(reason, by_yarn=by_yarn)


@pytest.mark.parametrize("kills", [False, True])
def test_who_reads_has_enough(cluster: PretendCluster, kills: bool) -> None:
    """The client ends as other programs do, and says what it does with the job; no signal breaks that off."""
    cluster.add_app("RUNNING")
    cluster.add_job()
    job = find_job(cluster.site(), JOB)
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as out:
        err = io.StringIO()
        job = Disturbed(job.site, job.id, job.application_id, job.plan)
        assert (
            leave_or_follow(job, Controls(detach=True, kill_on_exit=kills), Console(out, err)) == 128 + signal.SIGPIPE
        )
    assert ("the job is told to end" if kills else "detached, the job goes on") in err.getvalue()
    assert [app for app, _ in cluster.killed] == [APP] * kills


@pytest.mark.parametrize("kills", [False, True])
def test_a_stdout_that_takes_no_more(cluster: PretendCluster, kills: bool) -> None:
    """A full disk is no bug: the client says so, ends with 74, and does with the job what it does for a signal."""
    cluster.add_app("RUNNING")
    cluster.add_job()
    environ = {**cluster.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(Path.cwd())}
    words = [sys.executable, "-c", FOLLOW, JOB, "--detach", *["--kill_on_exit"] * kills]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            words, env=environ, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert ended.returncode == 74, ended.stderr
    assert "[output-lost]\n  No space left on device\n" in ended.stderr
    assert [app for app, _ in cluster.killed] == [APP] * kills


@pytest.mark.parametrize(("last", "code"), [(GOOD, 74), (BAD, 3)])
def test_the_end_of_a_job_that_cannot_be_written(cluster: PretendCluster, last: JobEnded, code: int) -> None:
    """A failed job's code is its own; and nobody is told that a job goes on that has ended."""
    cluster.add_app("FINISHED")
    cluster.add_job(job_plan(), {"1-1": [STARTED, last]})
    err = io.StringIO()
    with Path("/dev/full").open("w") as full:
        ended = leave_or_follow(find_job(cluster.site(), JOB), Controls(json=True), Console(full, err))
    assert ended == code
    assert "[output-lost]" in err.getvalue()
    assert f"job fit {last.state}" in err.getvalue()
    assert "goes on" not in err.getvalue()


def test_a_job_that_cannot_be_ended(cluster: PretendCluster) -> None:
    """The signal's code stays, and it is said that the job goes on."""
    cluster.add_app("RUNNING")
    cluster.add_job()
    site = cluster.site()
    job = find_job(site, JOB)
    err = io.StringIO()

    def down(_request: Request) -> Reply:
        signal.raise_signal(signal.SIGTERM) if not told else None
        told.append(True)
        return Reply(503)

    told: list[bool] = []
    cluster.faults.append(down)
    with pytest.raises(SystemExit, match="143"):
        leave_or_follow(job, Controls(kill_on_exit=True), Console(io.StringIO(), err))
    assert "the job goes on; come back with: job show" in err.getvalue()
    assert cluster.killed == []


def test_a_window_that_is_closed_ends_the_job_when_that_is_asked_for(cluster: PretendCluster) -> None:
    """The live table is taken away from a terminal that is not there any more."""
    cluster.add_app("RUNNING")
    cluster.add_job()
    environ = {**cluster.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(Path.cwd())}
    terminal = Terminal(["-c", FOLLOW, JOB, "--kill_on_exit"], environ, 80, 24)
    try:
        terminal.shows("chief:0")
        terminal.hang_up()
        deadline = time.monotonic() + 20
        while not cluster.killed and time.monotonic() < deadline:
            threading.Event().wait(0.02)
    finally:
        terminal.close()
    assert [app for app, _ in cluster.killed] == [APP]
