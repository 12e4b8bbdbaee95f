"""The wire between executors, clients and the agent: JSON over HTTPS, one short request at a time.

The agent's certificate is the job's own; whoever calls trusts that one certificate and nothing else, so an agent of
another job at the same port is never believed. Every request carries `Authorization: Bearer <token>`: executors the
task token, clients the client token; both derive from the job's secret. Paths begin with the version.

    POST /v1/register  Register -> Registered   an executor is up, again after AGAIN; idempotent by container id
    POST /v1/beat      Beat     -> Orders       alive; held until there is a newer order, at most `wait_s`
    POST /v1/probed    Probed   -> Ack          which peers were reached; idempotent by container id and order
    POST /v1/exit      Exit     -> Ack          the user's command ended; idempotent by container id and attempt
    POST /v1/done      Done     -> Ack          results are carried, the executor leaves; idempotent by container id
    POST /v1/stop      Stop     -> Ack          a client wants the job to end; idempotent
    GET  /v1/events?from=N&wait_s=S -> Events   events from number N on; held until there is one, at most S seconds

Status 200 with the answer, else {"problem": id of docs/errors.md, "message": sentence}: 400 not understood or no such
role, 401 wrong token, 404 path, 409 all tasks of this role are taken (register) or not registered (others), 410 the job
has ended, 413 too large. Orders of over PLAIN_BYTES, with a large gang's topology, come deflated (Content-Encoding).
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import typing
import zlib

from am.contract.codec import ContractError, from_json, to_json

VERSION = 1
PREFIX = f"/v{VERSION}"
MAX_BODY_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 8 * 1024 * 1024  # a topology of 5,000 tasks is 0.2 MB
PLAIN_BYTES = 8 * 1024
DEFLATED = "deflate"
MAX_TAIL_LINES = 50
MAX_TAIL_BYTES = 8 * 1024
MAX_HOLD_S = 20.0  # below the idle timeouts of common proxies and firewalls

# What the agent wants of a task; each order replaces the one before.
WAIT = "wait"  # nothing yet: the gang is not complete
PROBE = "probe"  # try the peers that the framework will dial, at the addresses in `topology`; answer with Probed
START = "start"  # run the user's command; `topology` is in the same answer
AGAIN = "again"  # end the command if it runs (TERM, grace, KILL; report), take new ports, register again, keep the rest
STOP = "stop"  # end the user's command: TERM, grace, KILL; then report, carry results for `upload_s`, done
LEAVE = "leave"  # exit now: the job needs nothing of this container


@dataclasses.dataclass(frozen=True)
class Register:
    """An executor introduces itself.

    Attributes:
        role: Its role; the agent gives the index.
        container_id: YARN's.
        host: The address at which peers and agent reach this container.
        node_http: host:port of its NodeManager's web server.
        user: The user as which YARN runs it (part of the log page's URL).
        ports: Held for the framework, the first is the one in the topology.
        pid: Of the executor.
        started_s: Seconds since the epoch at which the executor started.
        probe_port: Where peers may try to reach this container before the commands start; 0: nowhere.
        addresses: Other addresses of this container, which peers try when `host` is not reached.
        attempt: Which attempt of the task it has ended; 0 the first time. A new attempt is registered after AGAIN.
    """

    role: str
    container_id: str
    host: str
    node_http: str
    user: str
    ports: typing.Tuple[int, ...]
    pid: int
    started_s: float
    probe_port: int = 0
    addresses: typing.Tuple[str, ...] = ()
    attempt: int = 0


@dataclasses.dataclass(frozen=True)
class Registered:
    """The task that this container is.

    Attributes:
        index: Of the task in its role.
        attempt: Of the task.
        application_id: YARN's.
        order_id: Of the order of the moment when that is to wait: no beat needs to ask for it. -1: ask.
    """

    index: int
    attempt: int
    application_id: str
    order_id: int = -1


@dataclasses.dataclass(frozen=True)
class Beat:
    """A sign of life.

    Attributes:
        container_id: Who.
        order_id: Newest order seen; the answer is held until a newer one exists.
        wait_s: How long the answer may be held; 0: answer at once.
        pid: Of the user's command, 0 before it runs; the first beat with a pid says that it was started.
        uploaded_bytes: Of results, so far.
    """

    container_id: str
    order_id: int
    wait_s: float
    pid: int = 0
    uploaded_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Orders:
    """What the agent wants of the task now."""

    order_id: int
    order: str
    topology: typing.Dict[str, typing.Tuple[str, ...]] = dataclasses.field(default_factory=dict)
    grace_s: float = 0.0
    upload_s: float = 0.0
    beat_s: float = 0.0  # pause before the next beat; 0 while beats are held


@dataclasses.dataclass(frozen=True)
class Probed:
    """Which peers a task tried to reach.

    Attributes:
        container_id: Who.
        order_id: Of the PROBE that this answers.
        reached: Task -> address (without port) at which it was reached.
        missed: Task -> why it was not, in the system's words.
    """

    container_id: str
    order_id: int
    reached: typing.Dict[str, str] = dataclasses.field(default_factory=dict)
    missed: typing.Dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Exit:
    """The user's command ended.

    Attributes:
        container_id: Who.
        code: 0..255 as a shell shows it.
        tail: Last lines of stderr (MAX_TAIL_LINES, MAX_TAIL_BYTES).
        problem: Id of docs/errors.md when the code is not simply the program's: the executor itself failed (archive,
            download, start), or found the program stalled or its port taken; else empty.
        attempt: Of the task.
    """

    container_id: str
    code: int
    tail: str = ""
    problem: str = ""
    attempt: int = 1


@dataclasses.dataclass(frozen=True)
class Done:
    """Results are carried to the store, or could not be (`problem` is a sentence then); the executor leaves."""

    container_id: str
    files: int
    bytes: int
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Stop:
    """A client ends the job; `by` is user@host, `reason` a sentence or empty."""

    by: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Ack:
    """Understood and done.

    Attributes:
        ok: Always.
        hold: After Exit: the task may start again here. Wait for the next order (AGAIN, STOP or LEAVE) before anything
            is carried.
    """

    ok: bool = True
    hold: bool = False


@dataclasses.dataclass(frozen=True)
class Events:
    """Event lines (see events.py) and the number of the next one."""

    lines: typing.Tuple[str, ...]
    next: int


T = typing.TypeVar("T")


def encode(message: typing.Any) -> bytes:
    """Return a message as its body on the wire."""
    return json.dumps(to_json(message), separators=(",", ":")).encode()


def decode(kind: typing.Type[T], body: bytes) -> T:
    """Return a body as a message of `kind`.

    Raises:
        ContractError: It does not fit; also for what is not JSON at all.
    """
    try:
        data = json.loads(body.decode())
    except ValueError:
        data = None
    return from_json(kind, data)


def deflate(body: bytes) -> bytes:
    """Return a body as it travels when it is large."""
    return zlib.compress(body, 1)


def inflate(body: bytes) -> bytes:
    """Return a body that was deflated.

    Raises:
        ContractError: It was not, or is larger than MAX_ANSWER_BYTES.
    """
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, MAX_ANSWER_BYTES)
    except zlib.error as error:
        raise ContractError(f"a body cannot be inflated: {error}") from error
    if not inflater.eof:
        raise ContractError(f"a body is cut, or larger than {MAX_ANSWER_BYTES} bytes")
    return plain


def task_token(secret: str) -> str:
    """Return the token of the job's executors."""
    return _derive(secret, "task")


def client_token(secret: str) -> str:
    """Return the token of the job's clients; it cannot be turned into the executors'."""
    return _derive(secret, "client")


def _derive(secret: str, purpose: str) -> str:
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def clip_tail(text: str) -> str:
    """Return the last lines of `text` that may travel: MAX_TAIL_LINES lines, MAX_TAIL_BYTES bytes."""
    kept = "\n".join(text.splitlines()[-MAX_TAIL_LINES:])
    return kept.encode()[-MAX_TAIL_BYTES:].decode(errors="replace")
