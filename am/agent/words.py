"""The agent's sentences: how a task ended, what a gang is short of. Pure text, no decision."""

from __future__ import annotations

import typing

from am.agent import faults
from am.agent.snapshot import EXECUTOR
from am.contract import codes, states
from am.contract.events import JobEnded, TaskExited

if typing.TYPE_CHECKING:
    from am.agent.signs import Signs
    from am.agent.snapshot import Snapshot, Task
    from am.contract.job import JobPlan

# What an executor says of a command that the shell could not run at all.
COMMAND_PROBLEMS = frozenset(("command-not-found", "command-not-executable"))
# What the executor ends a program for that does nothing.
IDLE_PROBLEMS = frozenset(("program-stalled", "gpu-idle"))
_CAUSE = "Caused by:"
_HEADINGS = (
    *("Exception from container-launch", "Container id:", "Exit code:", "Exception message:", "Shell output:"),
    faults.STATUSES[-1000].name,  # it does, when another line follows
)

_LOST = {
    "task-silent": "was lost",
    "registration-timeout": "did not come up in time",
    "memory-exceeded": "was killed by YARN for using more memory than it asked for",
    "logs-exceeded": "was killed by YARN for writing more logs than its node allows",
    "preempted": "was preempted by YARN for another queue or job",
    "node-lost": "was lost with its node, or its container was released",
    "container-refused": "was refused by its node",
    "disks-failed": "was stopped by YARN because too many disks of its node are full or broken",
}
_SAID_BY_YARN = frozenset(fault.name for fault in faults.STATUSES.values())
# A node does not know why the ResourceManager takes a container back.
_TAKEN_BACK = faults.STATUSES[-106].name

LESS = "see with `job queues` and `job nodes` what there is; ask for less, or in another queue"


def yarn_end(code: int | None, said: str, *, registered: bool) -> tuple[str, int]:
    """Return problem id and exit code 0..255 of a container that ended without its executor's word.

    Args:
        code: Of its process, below 0 one of YARN's own, None when nobody knows.
        said: What YARN says with it.
        registered: Whether its executor had registered.
    """
    if code is not None and code in faults.STATUS_PROBLEMS:
        return faults.status_problem(code, said), codes.KILLED
    if registered:
        return "executor-lost", code if code is not None and 0 < code < 256 else codes.KILLED
    return "container-ended", code if code is not None and 0 < code < 256 else codes.LOST


def _limit(problem: str, plan: JobPlan | None) -> str:
    """Return the limit that a program has passed which did nothing."""
    if plan is None:
        return ""
    return f" ({plan.limits.stall_s if problem == 'program-stalled' else plan.limits.gpu_idle_s} s)"


def blame(task: Task, exit_: TaskExited, plan: JobPlan | None = None) -> JobEnded:
    """Return the verdict of a job that failed because of this task's end; its time is the end's.

    Args:
        task: The task that is to blame.
        exit_: How it ended.
        plan: The job, for what was asked.
    """
    where = f"{task.name} on {exit_.host}" if exit_.host else task.name
    fault = faults.classify(exit_)
    problem, origin, code = exit_.problem, "task", exit_.code
    if not problem or problem in COMMAND_PROBLEMS:
        problem = problem or "task-failed"
        message = f"{where} exited with code {code} ({faults.of_exit(code).name})"
    elif problem in IDLE_PROBLEMS:
        message = f"{where} was stopped: {fault.name}{_limit(problem, plan)}"
    elif exit_.witness == EXECUTOR and problem not in faults.YARN_PROBLEMS:
        message = f"{where} could not do its work: {_last_line(exit_.tail) or fault.name}"
    else:
        origin = "yarn"
        message = f"{where} {_lost(exit_)}"
        if problem in faults.LOST_PROBLEMS:
            code = codes.LOST
    return JobEnded(
        exit_.time,
        states.FAILED,
        code if 0 < code < 256 else codes.LOST,
        origin,
        problem,
        message,
        task.name,
        exit_.host,
        exit_.tail,
        _advice(task, problem, fault, plan),
    )


def _advice(task: Task, problem: str, fault: faults.Fault, plan: JobPlan | None) -> str:
    if problem == "memory-exceeded" and plan is not None:
        asked = plan.role(task.role).resources.memory_mib
        return f"{task.role} asked for {asked} MiB: {fault.advice}"
    return fault.advice


def _lost(exit_: TaskExited) -> str:
    """Return how a task went of which its executor said nothing, or YARN said why."""
    if exit_.problem == "container-ended":
        known = "" if exit_.code == codes.LOST else f" (exit code {exit_.code})"
        said = _reason(exit_.tail) if exit_.tail.strip() else faults.classify(exit_).name
        return f"ended before its executor could register{known}: {said}"
    if exit_.problem in _LOST:
        said, _, more = exit_.tail.partition("\n")
        lost = _LOST[exit_.problem]
        if said not in _SAID_BY_YARN:
            return f"{lost}: {_reason(exit_.tail)}"
        if said == _TAKEN_BACK:
            lost += ", or its node went out of service"
        return f"{lost}: {_reason(more)}" if more.strip() else lost
    stopped = exit_.witness == EXECUTOR or exit_.problem == "container-stopped"
    return f"{'was stopped by YARN' if stopped else 'was lost without a word from its executor'}: {_reason(exit_.tail)}"


def success(plan: JobPlan, snapshot: Snapshot) -> str:
    """Return the message of a job that succeeded."""
    ended = sum(task.tracked and task.state == states.SUCCEEDED for task in snapshot.tasks.values())
    if snapshot.holding:
        return f"{plan.main_task} exited with code 0"
    return f"{plan.main_task} exited with code 0" if ended == 1 else f"all {ended} tasks exited with code 0"


def shortage(plan: JobPlan, snapshot: Snapshot, signs: Signs) -> str:
    """Return which roles are short of how many tasks, and what was seen of their containers."""
    short = []
    for role in plan.roles:
        missing = sum(not task.up for task in snapshot.role(role.name))
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
    return f"{', '.join(short)} ({', '.join(seen)})"


def open_ports(plan: JobPlan) -> str:
    """Return what to do when a firewall stands between tasks."""
    if plan.port_range:
        first, last = plan.port_range
        return f"let the nodes' firewalls pass TCP between them at ports {first}-{last}"
    return "let the nodes' firewalls pass TCP between them, or name the ports that they pass with --port_range"


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
