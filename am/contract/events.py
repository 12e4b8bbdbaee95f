"""What happened, as typed values: the truth about a job. Status, history and pages are folds over these.

One event is one JSON line: `{"event": "TaskExited", "time": 1764000000.123, ...}`. `time` is seconds since the epoch by
the agent's clock. Events are numbered by their place in the job's stream, from 0.
"""

from __future__ import annotations

import dataclasses
import json
import typing

from am.contract import codes, states
from am.contract.codec import ContractError, from_json, to_json

KILLED_BY = "the job was killed by "  # what a client reads in YARN's words when YARN did it for us


@dataclasses.dataclass(frozen=True)
class AgentStarted:
    """The agent listens at host:port; attempt counts ApplicationMaster attempts from 1."""

    time: float
    attempt: int
    host: str
    port: int
    application_id: str


@dataclasses.dataclass(frozen=True)
class TaskRegistered:
    """An executor is up: the task has a container.

    `log_url` is the NodeManager's page of its logs, `probe` where peers may try to reach it (`host:port`, alternatives
    after commas; empty: nowhere).
    """

    time: float
    task: str
    attempt: int
    container_id: str
    host: str
    node_http: str
    log_url: str
    ports: typing.Tuple[int, ...] = ()
    probe: str = ""


@dataclasses.dataclass(frozen=True)
class GangProbing:
    """Every task is registered; each tries to reach its peers at `topology`: role -> `host:port[,host:port...]`."""

    time: float
    topology: typing.Dict[str, typing.Tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class GangComplete:
    """Every task is registered; the topology (role -> host:port by index) is out."""

    time: float
    topology: typing.Dict[str, typing.Tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class RoleReleased:
    """What a role's commands had to wait for has come (`depends_on`); they start."""

    time: float
    role: str


@dataclasses.dataclass(frozen=True)
class TaskStarted:
    """The user's command of the task runs."""

    time: float
    task: str
    attempt: int
    pid: int


@dataclasses.dataclass(frozen=True)
class TaskExited:
    """A task's program ended, or its container did without a word.

    Attributes:
        time: When the agent learned it; for a task that was lost, when the agent last heard of it.
        task: `role:index`.
        attempt: Of the task.
        host: Where it ran.
        code: Exit code 0..255 as a shell shows it (128+n for signal n).
        witness: `executor` when its executor reported it, else `yarn`.
        stopped: The agent had asked it to stop before.
        tail: Last lines of its stderr (or YARN's words), at most 50 lines or 8 KiB.
        problem: Id of docs/errors.md when the code is ours or YARN's and not the program's; else empty.
    """

    time: float
    task: str
    attempt: int
    host: str
    code: int
    witness: str
    stopped: bool = False
    tail: str = ""
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class TaskUploaded:
    """A task's results lie on the store: how many files and bytes; `problem` is empty or a sentence."""

    time: float
    task: str
    attempt: int
    files: int
    bytes: int
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class TaskRestarting:
    """A new attempt of a task begins.

    Attributes:
        time: When.
        task: `role:index`, which it keeps.
        attempt: The new one.
        reason: A sentence.
        keeps: It goes on in its container; else another one is asked for.
        counted: It counts against the job's `max_restarts`.
    """

    time: float
    task: str
    attempt: int
    reason: str
    keeps: bool
    counted: bool = False


@dataclasses.dataclass(frozen=True)
class JobRestarting:
    """Every task is stopped and starts again; `round` counts from 2, `task` is the one whose end brought it about.

    A TaskRestarting of each task follows as soon as its attempt has ended, a GangComplete when all are up again.
    """

    time: float
    round: int
    reason: str
    task: str = ""
    counted: bool = False


@dataclasses.dataclass(frozen=True)
class GangReleased:
    """The gang was not complete in time: every container is given back, and asked for again at `again_at`."""

    time: float
    tries: int
    reason: str
    again_at: float


@dataclasses.dataclass(frozen=True)
class HostAvoided:
    """Tasks failed on this host again and again: none is started there any more."""

    time: float
    host: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Waiting:
    """The agent waits for something it cannot hurry; `reason` is a sentence for the user."""

    time: float
    reason: str


@dataclasses.dataclass(frozen=True)
class JobStopping:
    """The end is decided, `reason` says why; tasks are being stopped and results carried.

    Comes again when a client kills a job that is already stopping.

    Attributes:
        time: When.
        reason: A sentence.
        verdict: What JobEnded will say when nothing else goes wrong until then (a success may still lose its results).
        upload_s: How long results may be carried from `time` and the tasks' end on.
    """

    time: float
    reason: str
    verdict: typing.Optional[JobEnded] = None
    upload_s: float = 0.0


@dataclasses.dataclass(frozen=True)
class JobEnded:
    """The verdict. It never changes.

    Attributes:
        time: When it was decided.
        state: SUCCEEDED, FAILED or KILLED.
        exit_code: What `job run` exits with (DESIGN of exit codes in docs/exit-codes.md).
        origin: `task`, `client` or `yarn`: where the exit code comes from.
        problem: Id of docs/errors.md; empty for a success.
        message: One sentence.
        task: The task that is to blame, or empty.
        host: Its host, or empty.
        tail: Its last lines, or empty.
        advice: What to do about it, an imperative without a full stop, or empty.
    """

    time: float
    state: str
    exit_code: int
    origin: str
    problem: str
    message: str
    task: str = ""
    host: str = ""
    tail: str = ""
    advice: str = ""


Event = typing.Union[
    AgentStarted,
    TaskRegistered,
    GangProbing,
    GangComplete,
    GangReleased,
    RoleReleased,
    TaskStarted,
    TaskExited,
    TaskUploaded,
    TaskRestarting,
    JobRestarting,
    HostAvoided,
    Waiting,
    JobStopping,
    JobEnded,
]
KINDS: typing.Dict[str, type] = {
    kind.__name__: kind
    for kind in (
        AgentStarted,
        TaskRegistered,
        GangProbing,
        GangComplete,
        GangReleased,
        RoleReleased,
        TaskStarted,
        TaskExited,
        TaskUploaded,
        TaskRestarting,
        JobRestarting,
        HostAvoided,
        Waiting,
        JobStopping,
        JobEnded,
    )
}


def killed(by: str, reason: str, now_s: float) -> JobEnded:
    """Return the verdict on a job that `by` (user@host) ended; its message is what YARN is told when YARN does it.

    Args:
        by: Who.
        reason: Why; may be empty.
        now_s: When, in seconds since the epoch.
    """
    said = KILLED_BY + by + (f": {reason}" if reason else "")
    return JobEnded(now_s, states.KILLED, codes.KILLED, "client", "job-killed", said)


def to_line(event: object) -> str:
    """Return an event, or what a client adds to a job's events, as one JSON line without its newline."""
    return json.dumps({"event": type(event).__name__, **to_json(event)}, sort_keys=True)


def from_line(line: str) -> typing.Optional[Event]:
    """Read one JSON line; None for a kind of event that a newer agent wrote and this reader does not know.

    Raises:
        ContractError: The line is no event.
    """
    try:
        data = json.loads(line)
    except ValueError as error:
        raise ContractError(f"not a JSON line: {line[:80]!r}") from error
    if not isinstance(data, dict):
        raise ContractError(f"not an event: {line[:80]!r}")
    kind = KINDS.get(str(data.get("event")))
    return None if kind is None else typing.cast("Event", from_json(kind, data))
