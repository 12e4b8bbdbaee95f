"""What is said of ends: which task, on which host, with what meaning, and what to do about it."""

from __future__ import annotations

import pytest
from fakes import plan, role

from am.agent import faults, words
from am.agent.snapshot import Task
from am.contract.events import JobEnded, TaskExited

WORKER = Task("worker:1", "worker", 1)


def verdict(code: int, problem: str = "", witness: str = "executor", tail: str = "last words") -> JobEnded:
    """Return what is said of such an end."""
    exit_ = TaskExited(5.0, "worker:1", 1, "h1", code, witness, tail=tail, problem=problem)
    return words.blame(WORKER, exit_, plan(role("worker", 2)))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "own error"),
        (126, "could not be run"),
        (127, "command not found"),
        (134, "SIGABRT"),
        (137, "out of memory"),
        (139, "SIGSEGV"),
        (143, "SIGTERM"),
        (200, "own error"),
        (255, "own error"),
    ],
)
def test_an_exit_code_in_words(code: int, said: str) -> None:
    """Signals have their names, 126 and 127 the shell's meaning."""
    assert f"worker:1 on h1 exited with code {code} (" in verdict(code).message
    assert said in verdict(code).message


@pytest.mark.parametrize(
    ("code", "problem", "witness", "tail", "message"),
    [
        (
            137,
            "memory-exceeded",
            "yarn",
            "it used more memory than it asked for\nc1 is 5MB over",
            "worker:1 on h1 was killed by YARN for using more memory than it asked for: c1 is 5MB over",
        ),
        (
            137,
            "memory-exceeded",
            "yarn",
            "it used more memory than it asked for",
            "worker:1 on h1 was killed by YARN for using more memory than it asked for",
        ),
        (
            137,
            "preempted",
            "yarn",
            "it was preempted\nContainer preempted by scheduler",
            "worker:1 on h1 was preempted by YARN for another queue or job: Container preempted by scheduler",
        ),
        (
            137,
            "preempted",
            "yarn",
            f"{faults.STATUSES[-106].name}\nwhy",
            "worker:1 on h1 was preempted by YARN for another queue or job, or its node went out of service: why",
        ),
        (
            137,
            "disks-failed",
            "executor",
            "too many disks of its node are full or broken",
            "worker:1 on h1 was stopped by YARN because too many disks of its node are full or broken",
        ),
        (
            137,
            "node-lost",
            "yarn",
            "it went away",
            "worker:1 on h1 was lost with its node, or its container was released: it went away",
        ),
        (
            137,
            "container-stopped",
            "yarn",
            "it was stopped by the ResourceManager",
            "worker:1 on h1 was stopped by YARN: it was stopped by the ResourceManager",
        ),
        (
            137,
            "executor-lost",
            "yarn",
            "Killed",
            "worker:1 on h1 was lost without a word from its executor: Killed",
        ),
        (
            137,
            "executor-lost",
            "yarn",
            "its node does not say how it ended\nContainer killed on request. Exit code is 137",
            "worker:1 on h1 was lost without a word from its executor: Container killed on request. Exit code is 137",
        ),
        (
            137,
            "executor-lost",
            "yarn",
            "its node does not say how it ended",
            "worker:1 on h1 was lost without a word from its executor: its node does not say how it ended",
        ),
        (
            125,
            "container-ended",
            "yarn",
            "docker: no such image",
            "worker:1 on h1 ended before its executor could register (exit code 125): docker: no such image",
        ),
        (
            125,
            "container-ended",
            "yarn",
            "",
            "worker:1 on h1 ended before its executor could register (exit code 125): Docker could not make the ",
        ),
        (
            76,
            "container-ended",
            "yarn",
            "not in gzip format",
            "worker:1 on h1 ended before its executor could register: not in gzip format",
        ),
        (1, "address-in-use", "executor", "", "worker:1 on h1 could not do its work: another program had taken the "),
    ],
)
def test_an_executor_that_vanished_is_told_from_a_program_that_exited(
    code: int, problem: str, witness: str, tail: str, message: str
) -> None:
    """YARN's words are given once, without the heading that our own sentence says already."""
    said = verdict(code, problem, witness, tail).message
    assert said.startswith(message)
    assert len(said) <= len(message) + 60
    assert "exited with code" not in said


def test_advice_comes_with_the_verdict() -> None:
    """What to do, from the table of faults; what was asked for is named where more is needed."""
    assert verdict(137, "memory-exceeded", "yarn").advice == (
        "worker asked for 128 MiB: ask for more memory in the role's resources, or let the program use less"
    )
    assert "seccomp" in verdict(159).advice
    assert verdict(3).advice == ""


@pytest.mark.parametrize(
    ("problem", "code"),
    [("node-lost", 76), ("disks-failed", 76), ("container-stopped", 76), ("logs-exceeded", 137)],
)
def test_the_jobs_code_of_yarns_ends(problem: str, code: int) -> None:
    """What the cluster lost is 76; what YARN killed for its own excess keeps the code."""
    assert (verdict(137, problem, "yarn").exit_code, verdict(137, problem, "yarn").origin) == (code, "yarn")
