"""Every end of a task has a meaning: a name, whose fault it is, whether to try again, what to do."""

from __future__ import annotations

import ast
import dataclasses
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from am.agent import faults
from am.agent.faults import CONTAINERS, PLATFORM, PROBLEMS, PROGRAM, RENDEZVOUS, STATUS_PROBLEMS, STATUSES, STORE
from am.agent.words import yarn_end
from am.contract.events import TaskExited

ROOT = Path(__file__).parent.parent.parent


def exited(code: int, problem: str = "", witness: str = "executor") -> TaskExited:
    """Return an end of a task."""
    return TaskExited(5.0, "worker:1", 1, "h1", code, witness, problem=problem)


def every_fault() -> list[faults.Fault]:
    """Return each row of the table."""
    codes = [faults.of_exit(code) for code in range(256)]
    return [*codes, *STATUSES.values(), *CONTAINERS.values(), *PROBLEMS.values()]


@pytest.mark.parametrize(
    ("code", "problem", "whose", "retry"),
    [
        # the program's own end, as its executor reported it
        (1, "", PROGRAM, True),
        (2, "", PROGRAM, True),
        (3, "", PROGRAM, True),
        (120, "", PROGRAM, True),
        (126, "", PROGRAM, True),
        (127, "", PROGRAM, True),
        (137, "", PROGRAM, True),
        (139, "", PROGRAM, True),
        (143, "", PROGRAM, True),
        (255, "", PROGRAM, True),
        # these are the container-executor's and Docker's only when no executor lived
        (7, "", PROGRAM, True),
        (24, "", PROGRAM, True),
        (125, "", PROGRAM, True),
        # what the shell or the executor said of it
        (127, "command-not-found", PROGRAM, False),
        (126, "command-not-executable", PROGRAM, False),
        (73, "source-archive-broken", PROGRAM, False),
        (73, "checkpoint-fetch-failed", STORE, True),
        (76, "no-log-directory", PLATFORM, True),
        (76, "task-cannot-start", PROGRAM, True),
        (70, "executor-bug", PLATFORM, False),
        (1, "address-in-use", RENDEZVOUS, True),
        (137, "program-stalled", PROGRAM, True),
        (137, "gpu-idle", PROGRAM, False),
        (76, "gpu-missing", PLATFORM, True),
        (1, "a-newer-executors-word", PROGRAM, True),
    ],
)
def test_what_an_executor_reports(code: int, problem: str, whose: str, retry: bool) -> None:
    """Whose fault an end is, and whether anything can be gained by trying again."""
    fault = faults.classify(exited(code, problem))
    assert (fault.whose, fault.retry) == (whose, retry)


@pytest.mark.parametrize(
    ("code", "registered", "problem", "exit_code", "whose", "retry"),
    [
        # YARN's own statuses mean the same before and after the executor's registration
        (-1, False, "container-refused", 137, PROGRAM, False),
        (-100, True, "node-lost", 137, PLATFORM, True),
        (-100, False, "node-lost", 137, PLATFORM, True),
        (-101, True, "disks-failed", 137, PLATFORM, True),
        (-101, False, "disks-failed", 137, PLATFORM, True),
        (-102, True, "preempted", 137, PLATFORM, True),
        (-103, False, "memory-exceeded", 137, PROGRAM, False),
        (-104, True, "memory-exceeded", 137, PROGRAM, False),
        (-105, True, "container-stopped", 137, PLATFORM, True),
        (-106, True, "preempted", 137, PLATFORM, True),
        (-107, True, "container-stopped", 137, PLATFORM, True),
        (-108, True, "preempted", 137, PLATFORM, True),
        (-109, True, "logs-exceeded", 137, PROGRAM, False),
        # after it: the executor vanished, whatever its container's code
        (137, True, "executor-lost", 137, PLATFORM, True),
        (143, True, "executor-lost", 143, PLATFORM, True),
        (1, True, "executor-lost", 1, PLATFORM, True),
        (0, True, "executor-lost", 137, PLATFORM, True),
        (None, True, "executor-lost", 137, PLATFORM, True),
        # before it: the code is that of what starts the container
        (2, False, "container-ended", 2, PROGRAM, False),
        (7, False, "container-ended", 7, PROGRAM, True),
        (22, False, "container-ended", 22, PLATFORM, True),
        (24, False, "container-ended", 24, PLATFORM, True),
        (29, False, "container-ended", 29, PROGRAM, True),
        (35, False, "container-ended", 35, PLATFORM, True),
        (40, False, "container-ended", 40, PROGRAM, False),
        (125, False, "container-ended", 125, PROGRAM, False),
        (126, False, "container-ended", 126, PROGRAM, False),
        (127, False, "container-ended", 127, PROGRAM, False),
        (137, False, "container-ended", 137, PLATFORM, True),
        (139, False, "container-ended", 139, PROGRAM, True),
        (143, False, "container-ended", 143, PLATFORM, True),
        (154, False, "container-ended", 154, PLATFORM, True),
        (1, False, "container-ended", 1, PLATFORM, True),
        (0, False, "container-ended", 76, PLATFORM, True),
        (None, False, "container-ended", 76, PLATFORM, True),
    ],
)
def test_what_yarn_says(
    code: int | None, registered: bool, problem: str, exit_code: int, whose: str, retry: bool
) -> None:
    """A container that ended without its executor's word: what it is called, and what follows."""
    assert yarn_end(code, "YARN's words", registered=registered) == (problem, exit_code)
    fault = faults.classify(exited(exit_code, problem, "yarn"))
    assert (fault.whose, fault.retry) == (whose, retry)


def test_a_node_without_room_is_no_fault_of_the_job() -> None:
    """A node refuses by -1 what it may not start, and what it has no disk for: the second can go elsewhere."""
    said = "its node refused to start it\nNo space available in any of the local directories on hosth1/10.0.0.1"
    problem, code = yarn_end(-1, said, registered=False)
    assert problem == "disks-failed"
    fault = faults.classify(exited(code, problem, "yarn"))
    assert (fault.whose, fault.retry) == (PLATFORM, True)
    assert fault.advice == faults.STATUSES[-101].advice


@pytest.mark.parametrize(
    "said",
    [
        "java.util.concurrent.ExecutionException\nCaused by: ZipException: not in gzip format",
        "Resource hdfs://nn/x changed on src filesystem - expected: 1, was: 2",
        "Caused by: java.io.FileNotFoundException: File does not exist: /x",
        "Caused by: org.apache.hadoop.security.AccessControlException: Permission denied: user=alice",
    ],
)
def test_files_that_cannot_be_had_are_not_asked_for_again(said: str) -> None:
    """A container whose files are broken, gone or forbidden ends for a reason that the next one would meet, too."""
    fault = faults.classify(dataclasses.replace(exited(76, "container-ended", "yarn"), tail=said))
    assert (fault.whose, fault.retry) == (STORE, False)


@pytest.mark.parametrize("problem", ["task-silent", "registration-timeout"])
def test_what_the_agent_gives_up(problem: str) -> None:
    """A task of which nothing is heard is the platform's fault."""
    assert faults.classify(exited(137, problem, "yarn")).whose == PLATFORM


def test_what_counts() -> None:
    """The platform's faults and taken ports never use up the job's restarts."""
    counted = {fault.whose: fault.counted for fault in every_fault()}
    assert counted == {PROGRAM: True, STORE: True, PLATFORM: False, RENDEZVOUS: False}


def test_every_row_can_be_read() -> None:
    """Each fault has a name, and advice unless only the program can know; both go on in a sentence."""
    for fault in every_fault():
        assert fault.name, fault
        assert not fault.name.endswith("."), fault
        assert fault.advice or (fault.whose == PROGRAM and not fault.name.startswith("SIG")), fault
        assert not fault.advice.endswith("."), fault
        assert fault.whose in faults.WHOSE


def test_every_signal_has_its_name() -> None:
    """128 and the number of a signal names it; a number that is none is the program's own."""
    for number in signal.Signals:
        assert faults.of_exit(128 + number).name.startswith(number.name)
    assert faults.of_exit(200) == faults.of_exit(1)


def test_every_status_of_yarn_has_a_name_among_the_problems() -> None:
    """A status becomes a problem of the same fault; only those that tell nothing more have none."""
    assert set(STATUSES) - set(STATUS_PROBLEMS) == {-1000}
    for code, problem in STATUS_PROBLEMS.items():
        ours, theirs = PROBLEMS[problem], STATUSES[code]
        assert (ours.whose, ours.retry) == (theirs.whose, theirs.retry), code


def given_problems() -> Iterator[tuple[str, str]]:
    """Yield the ids that the code gives to ends of tasks: (id, file)."""
    places = {"FailureError": 1, "never_up": 4, "lose": 4}
    for path in sorted([*(ROOT / "am" / "executor").glob("*.py"), *(ROOT / "am" / "agent").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found: list[ast.expr] = []
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                place = places.get(name)
                found += node.args[place : place + 1] if place is not None else []
            elif isinstance(node, ast.FunctionDef) and "problem" in node.name.split("_"):
                found += [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]
            elif isinstance(node, ast.Assign) and path.parent.name == "executor":
                found.append(node.value)
            yield from ((text, path.name) for text in map(written, found) if text)


def written(node: ast.expr) -> str:
    """Return a constant that may be the id of a problem, else nothing."""
    text = node.value if isinstance(node, ast.Constant) else ""
    return text if isinstance(text, str) and re.fullmatch(r"[a-z]+(-[a-z]+)+", text) else ""


def test_no_end_falls_through_the_table() -> None:
    """Each id that executor or agent gives to the end of a task is classed by name."""
    given = dict(given_problems())
    assert {
        "address-in-use",
        "gpu-missing",
        "command-not-found",
        "source-archive-broken",
        "registration-timeout",
        "task-silent",
    } <= set(given)
    assert {problem: place for problem, place in given.items() if problem not in PROBLEMS} == {}
