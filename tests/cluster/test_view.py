"""What people see of real jobs: events, attempts and their logs, timings, waiting for jobs, and why a job waits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cluster.test_preflight import Admin, admin  # noqa: F401  a fixture
from cluster.typing_jobs import Running, Typist, until

SLEEPER = "echo ready; exec sleep 300"
FLAKY = 'echo "out $ATTEMPT"; echo "err $ATTEMPT" >&2; sleep 2; [ "$ATTEMPT" = 3 ] || exit 3'
AGAIN = ("--max_restarts", "3", "--role_on_failure", "a=restart-task")


def shown(typist: Typist, name: str) -> Any:
    """Return `job show --json`."""
    return typist.type("show", name, "--json").json()


def read_each_attempt(typist: Typist, name: str) -> list[tuple[str, ...]]:
    """Type each command that `job show --attempts` prints for task a:0; return the lines that it gave."""
    rows = [line for line in typist.type("show", name, "--attempts").out.splitlines() if line.startswith("a:0")]
    commands = [row[row.index("job logs") :].split()[1:] for row in rows if "job logs" in row]
    words = [
        command[: command.index("--attempt") + 2] if "--attempt" in command else command[:3] for command in commands
    ]
    return [tuple(typist.type(*command).out.splitlines()) for command in words]


def test_a_task_that_fails_twice(typist: Typist) -> None:
    """Three rows, three logs that can be read, live and after the end; events as they come; one line per restart."""
    running = typist.start(*typist.generic("flaky", *AGAIN, a=FLAKY, b="sleep 12"))
    running.wait_line("running")
    events, waiting = typist.start("events", "flaky", "-f"), typist.start("wait", "flaky")
    until("the second attempt runs", lambda: shown(typist, "flaky")["tasks"][0]["attempt"] >= 2, 30)
    assert read_each_attempt(typist, "flaky")[0] == ("out 1", "err 1")
    ended = running.end()
    assert ended.code == 0, ended.err
    restarts = [line for line in ended.err.splitlines() if "a:0 starts again" in line]
    assert [line.rpartition("[")[2] for line in restarts] == ["restart 1 of 3]", "restart 2 of 3]"], ended.err
    for attempt in (1, 2, 3):
        assert f"[a:0] out {attempt}" in ended.out
    waited = waiting.end(10)
    assert (waited.code, "job flaky" in waited.out, "SUCCEEDED, exit code 0" in waited.out) == (0, True, True)
    told = events.end(10)
    assert told.out == typist.type("events", "flaky").out
    assert len(typist.type("events", "flaky", "--json").out.splitlines()) == len(told.out.splitlines())
    assert read_each_attempt(typist, "flaky") == [(f"out {n}", f"err {n}") for n in (1, 2, 3)]
    attempts = shown(typist, "flaky")["tasks"][0]["attempts"]
    assert [(one["attempt"], one["exit_code"], one["state"]) for one in attempts] == [
        *((1, 3, "FAILED"), (2, 3, "FAILED"), (3, 0, "SUCCEEDED"))
    ]
    assert all(one["asked_s"] <= one["registered_s"] <= one["started_s"] < one["ended_s"] for one in attempts)


def test_phases_come_one_after_the_other(typist: Typist, tmp_path: Path) -> None:
    """`--timing`: from the preparation to the end, none before the one before; waiting ends in time with 75."""
    go = tmp_path / "go"
    os.mkfifo(go)
    running = typist.start(*typist.generic("timed", a=f"read -r _ < {go}"))
    running.wait_line("running")
    late = typist.type("wait", "timed", "--timeout", "1s")
    assert (late.code, "[wait-timeout]" in late.err) == (75, True)
    go.write_text("\n")
    assert running.end().code == 0
    timing = shown(typist, "timed")["timing"]
    marks = [timing["submitted_s"], timing["launched_s"], *timing["agents_s"], *timing["complete_s"], timing["ended_s"]]
    assert marks == sorted(marks)
    assert len(marks) == 5
    out = typist.type("show", "timed", "--timing").out
    for phase in ("Prepared:", "Submitted:", "Master started:", "Agent up:", "Tasks up:", "Ended:"):
        assert phase in out


@pytest.fixture
def hogs(typist: Typist) -> Iterator[list[Running]]:
    """Jobs that hold what others wait for; ended after the test."""
    held: list[Running] = []
    yield held
    for name in ("hog", "waits"):
        typist.type("kill", name)
    for one in held:
        one.end(60)


CASES: dict[str, tuple[str, dict[str, str], str, str, str, str]] = {
    "a full queue": (
        *("ml", {"maximum-capacity": "25"}, "instances=3,memory=1G,vcores=1", "instances=1,memory=256M,vcores=1"),
        *("queue ml is full: ", "its ApplicationMaster"),
    ),
    "the share of ApplicationMasters": (
        *("default", {"maximum-am-resource-percent": "0.02"}, "memory=256M,vcores=1", "memory=256M,vcores=1"),
        *("queue default has used up its share for ApplicationMasters: ", "another job of the queue ends"),
    ),
    "the limit of a user": (
        *("prod", {"user-limit-factor": "0.5"}, "instances=2,memory=1G,vcores=1", "memory=256M,vcores=1"),
        *("has reached the limit of one user in queue prod", "the job waits for its ApplicationMaster"),
    ),
    "fragmented nodes": (
        *("default", {}, "instances=2,memory=5G,vcores=1", "instances=1,memory=4G,vcores=1"),
        *("no single node has room for a container of 4 GiB", "are free in all"),
    ),
}
BEFORE = {"maximum-capacity": "100", "maximum-am-resource-percent": "1.0", "user-limit-factor": "100"}


def one_role(name: str, queue: str, resources: str) -> list[str]:
    """Return the words of a job of one role that sleeps; what the checks say of its chances is known."""
    role = ["--role", f"a:{resources}", "--role_cmd", f"a={SLEEPER}"]
    words = ["run", "--name", name, "--queue", queue, "--framework", "generic", "--input_path", "", "--force"]
    return [*words, *role]


@pytest.mark.parametrize("case", CASES)
def test_why_a_job_waits(typist: Typist, admin: Admin, hogs: list[Running], case: str) -> None:  # noqa: F811
    """The sentence names the cause with the scheduler's numbers: in `job show`, and after 30 s at `job run`."""
    queue, settings, held, asked, begins, holds = CASES[case]
    changed: Mapping[str, str] = settings
    if changed:
        admin.set_queue(queue, changed)
    try:
        hogs.append(typist.start(*one_role("hog", queue, held)))
        hogs[0].wait_line("running")
        hogs.append(typist.start(*one_role("waits", queue, asked)))
        hogs[1].wait_line("submitted")
        why = until("a reason", lambda: _why(typist, begins), 60)
        assert holds in why
        if case == "a full queue":
            told = hogs[1].wait_line("still waiting: ", 60)
            assert told.startswith(f"still waiting: {begins}")
            assert typist.type("kill", "hog").code == 0
            hogs[1].wait_line("running")
    finally:
        if changed:
            admin.set_queue(queue, {key: BEFORE[key] for key in changed})


def _why(typist: Typist, begins: str) -> str:
    return next((line for line in shown(typist, "waits").get("why", []) if begins in line), "")


def test_a_verdict_counts_while_yarn_starts_the_master_again(typist: Typist) -> None:
    """The second ApplicationMaster only repeats the end: the job is listed as ended, and its name is free."""
    ended = typist.type(*typist.generic("repeats", "--am_attempts", "2", a="exit 3"))
    assert ended.code == 3, ended.err
    (listed,) = typist.type("list", "--name", "repeats", "--json").json()["jobs"]
    assert listed["state"] == "FAILED"
    assert shown(typist, "repeats")["exit_code"] == 3
    checked = typist.type(*typist.generic("repeats", "--check", a="true"))
    assert "name-taken" not in checked.err + checked.out
    state = ["list", "--name", "repeats", "--state", "RUNNING,ACCEPTED", "--json"]
    assert typist.type(*state).json()["jobs"] == []
