"""The agent's sentences: how a task ended, what a gang is short of. Pure text, no decision."""

from __future__ import annotations

import signal
import typing

from am.agent.cluster import MEMORY_CODES, PREEMPTED_CODE
from am.agent.snapshot import EXECUTOR
from am.contract import states
from am.contract.events import JobEnded, TaskExited

if typing.TYPE_CHECKING:
    from am.agent.snapshot import Signs, Snapshot, Task
    from am.contract.job import JobPlan

KILLED_CODE = 137
LOST_CODE = 76
# What YARN's own witness means for the job's exit code; every other problem keeps the code that was reported.
LOST_PROBLEMS = frozenset(("executor-lost", "task-silent", "preempted"))
# What a node is asked about when an executor reports that its program was told to end.
NODE_PROBLEMS = frozenset(("memory-exceeded", "preempted", "executor-lost"))
# What an executor says of a command that the shell could not run at all.
COMMAND_PROBLEMS = frozenset(("command-not-found", "command-not-executable"))
_CAUSE = "Caused by:"
_HEADINGS = ("Exception from container-launch", "Container id:", "Exit code:", "Exception message:", "Shell output:")

_CODES = {
    1: "the program's own error",
    2: "the program's own error, often a wrong argument",
    126: "the command was found but could not be run: is it executable, and for this kind of machine?",
    127: "command not found: name a program that is in the task's environment or image, or ship it with --src",
}
_SIGNALS = {
    signal.SIGKILL: "killed, often out of memory",
    signal.SIGSEGV: "the program crashed in native code",
    signal.SIGABRT: "the program gave up, often an assertion in native code",
    signal.SIGTERM: "told to end by somebody on its node",
    signal.SIGBUS: "the program crashed in native code, often a full /dev/shm",
}


def meaning(code: int) -> str:
    """Return what an exit code as a shell shows it (0..255) means, in words."""
    if code in _CODES:
        return _CODES[code]
    if code > 128:
        try:
            number = signal.Signals(code - 128)
        except ValueError:
            return "the program's own error"
        said = _SIGNALS.get(number)
        return f"{number.name}: {said}" if said else number.name
    return "the program's own error"


def yarn_end(code: int | None, *, registered: bool) -> tuple[str, int]:
    """Return problem id and exit code 0..255 of a container that ended without its executor's word.

    Args:
        code: Of its process, below 0 one of YARN's own, None when nobody knows.
        registered: Whether its executor had registered.
    """
    if code in MEMORY_CODES:
        return "memory-exceeded", KILLED_CODE
    if code == PREEMPTED_CODE:
        return "preempted", KILLED_CODE
    if registered:
        return "executor-lost", code if code is not None and 0 < code < 256 else KILLED_CODE
    return "container-ended", code if code is not None and 0 < code < 256 else LOST_CODE


def blame(task: Task, exit_: TaskExited) -> JobEnded:
    """Return the verdict of a job that failed because of this task's end; its time is the end's."""
    where = f"{task.name} on {exit_.host}" if exit_.host else task.name
    problem, origin, code = exit_.problem, "task", exit_.code
    if not problem or problem in COMMAND_PROBLEMS:
        problem = problem or "task-failed"
        message = f"{where} exited with code {code} ({meaning(code)})"
    elif exit_.witness == EXECUTOR and problem not in NODE_PROBLEMS:
        message = f"{where} could not do its work: {_last_line(exit_.tail) or meaning(code)}"
    else:
        origin = "yarn"
        message = f"{where} {_lost(problem, code, exit_.witness)}: {_reason(exit_.tail)}"
        if problem in LOST_PROBLEMS:
            code = LOST_CODE
    code = code if 0 < code < 256 else LOST_CODE
    return JobEnded(exit_.time, states.FAILED, code, origin, problem, message, task.name, exit_.host, exit_.tail)


def _lost(problem: str, code: int, witness: str) -> str:
    if problem == "task-silent":
        return "was lost"
    if problem == "container-ended":
        return "ended before its executor could register" + ("" if code == LOST_CODE else f" (exit code {code})")
    if problem == "registration-timeout":
        return "did not come up in time"
    if problem == "memory-exceeded":
        return "was killed by YARN for using more memory than it asked for"
    if problem == "preempted":
        return "was preempted by YARN for another queue or job"
    return "was lost without a word from its executor" if witness != EXECUTOR else "was stopped by YARN"


def success(plan: JobPlan, snapshot: Snapshot) -> str:
    """Return the message of a job that succeeded."""
    ended = sum(task.tracked and task.state == states.SUCCEEDED for task in snapshot.tasks.values())
    if snapshot.holding:
        return f"{plan.main_task} exited with code 0"
    return f"{plan.main_task} exited with code 0" if ended == 1 else f"all {ended} tasks exited with code 0"


def shortage(plan: JobPlan, snapshot: Snapshot, signs: Signs) -> str:
    """Return which roles are short of how many tasks, in which queue, and what was seen of their containers."""
    short = []
    for role in plan.roles:
        missing = sum(not task.container_id for task in snapshot.role(role.name))
        if missing:
            short.append(f"{missing} of {role.instances} {role.name}")
    given = len(signs.sightings)
    localizing = sum(seen.localizing for seen in signs.sightings.values())
    silent = sum(seen.silent for seen in signs.sightings.values())
    asked = len(snapshot.tasks) - snapshot.registered - given
    seen = [
        text
        for count, text in (
            (asked, f"{asked} asked for and not given by YARN"),
            (localizing, f"{localizing} fetching files"),
            (given - localizing - silent, f"{given - localizing - silent} started and not registered"),
            (silent, f"{silent} on nodes that do not answer"),
        )
        if count > 0
    ]
    where = f" in queue {plan.queue}" if plan.queue else ""
    return f"{', '.join(short)}{where} ({', '.join(seen)})"


def node_gone(silent_s: float, node: str) -> str:
    """Return why a task is given up of which neither executor nor node says anything."""
    return f"its executor has been silent for {silent_s:.0f} s, and {node}"


def store_failure(hosts: typing.Sequence[str], what: str, tried_s: float, why: str) -> str:
    """Return who of the store did not do what, after how long, and why."""
    return f"{what} at {' or '.join(hosts) or 'HDFS'} failed after {tried_s:.1f} s: {why}"


def _reason(text: str) -> str:
    """Return the line of YARN's words that says most: the innermost cause, else the first that is no mere heading."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line.removeprefix(_CAUSE).strip() for line in lines if line.startswith(_CAUSE)]
    if causes:
        return causes[-1]
    said = [line for line in lines if not line.startswith(_HEADINGS)]
    return (said or lines or ["YARN gave no reason"])[0]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
