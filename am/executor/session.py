"""One task from its container's start to its end.

    register -> wait for START -> fetch checkpoint -> command runs -> exit told -> results carried -> done told

Threads put what happens into one queue, and this module alone decides what follows: beats (orders, silence), the
wait for the command's end, and carrying files. Signals come through the same queue.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
import traceback
import typing

from am import runtimes
from am.contract import wire
from am.contract.job import JobPlan
from am.executor.beats import GONE, AgentGoneError, Beats, persist
from am.executor.environment import Task, child_environment
from am.executor.happenings import (
    CODE_BUG,
    CODE_LOST,
    CODE_STAGING,
    CODE_TERMINATED,
    BeatsOver,
    Carried,
    Ended,
    FailureError,
    Happening,
    Leave,
    Signalled,
    say,
)
from am.executor.link import AgentLink, RefusedError, pinned_context
from am.executor.ports import published_host
from am.executor.preparation import Prepared, prepare
from am.executor.process import Child, start_problem
from am.executor.results import Results
from am.executor.webhdfs import Leash, StoreError

LEFTOVER_GRACE_S = 2.0  # for background processes of a command that ended by itself
NODE_GRACE_S = 5.0  # the NodeManager's own KILL comes 0.25 s after its TERM unless it was configured otherwise
LEAVE_S = 2.0
NEVER = float("inf")


class Place(typing.NamedTuple):
    """Where and as what this executor was started.

    Attributes:
        role: Which role it is to be.
        directory: The container's working directory.
        agent_host: Where the agent is.
        certificate: Path of the job's certificate.
        token: The executors' token.
        environment: Of the container.
        started_s: Seconds since the epoch.
    """

    role: str
    directory: str
    agent_host: str
    certificate: str
    token: str
    environment: typing.Dict[str, str]
    started_s: float


class Session:
    """The life of one executor.

    Args:
        plan: The job.
        place: Where we are.
    """

    def __init__(self, plan: JobPlan, place: Place) -> None:
        self._plan = plan
        self._place = place
        self._inbox: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self._container_id = place.environment.get("CONTAINER_ID", "")
        self._context = pinned_context(place.certificate)
        self._signalled = False
        self._stop: typing.Optional[wire.Orders] = None
        self._link: typing.Optional[AgentLink] = None
        self._beats: typing.Optional[Beats] = None
        self._child: typing.Optional[Child] = None

    def run(self) -> int:
        """Live; return the executor's exit code, which is the command's when there was one."""
        self._listen_for_term()
        try:
            return self._live()
        except Leave as leave:
            say(str(leave))
            return leave.code
        finally:
            if self._beats is not None:
                self._beats.close()
            if self._child is not None:
                self._child.sweep(0)

    def _listen_for_term(self) -> None:
        """Have SIGTERM put into the inbox by a thread.

        A handler in Python runs in the main thread only when that wakes up: a signal that comes just before the main
        thread goes to sleep would be handled with the next thing that happens, which may be never.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer)

        def listen() -> None:
            while os.read(reader, 1) != bytes([signal.SIGTERM]):
                pass
            self._signalled = True
            self._inbox.put(Signalled(int(signal.SIGTERM)))

        threading.Thread(target=listen, name="signals", daemon=True).start()

    def _live(self) -> int:
        prepared = failure = None
        try:
            prepared = prepare(self._plan, self._place.directory, self._place.environment)
        except FailureError as error:
            failure = error
        task = self._register(prepared.port.number if prepared is not None else 0)
        if prepared is None:
            return self._fail(failure or FailureError(CODE_BUG, "executor-bug", "Nothing was prepared."))
        results = Results(self._plan, task.name, prepared.directories)
        try:
            code, ran = self._work(task, prepared, results)
            if ran:
                self._carry(results)
        except FailureError as error:
            return self._fail(error)
        except Leave:
            raise
        except Exception:
            self._fail(FailureError(CODE_BUG, "executor-bug", traceback.format_exc()))
            raise
        finally:
            results.leash.cut()
        carrier = results.carrier
        problem = "; ".join(carrier.problems)
        if problem:
            say(problem)
        self._tell("/done", wire.Done(self._container_id, carrier.files, carrier.bytes, problem))
        return code

    def _fail(self, error: FailureError) -> int:
        """Tell the agent that the executor itself could not go on."""
        say(f"{error} [{error.problem}]")
        self._tell("/exit", wire.Exit(self._container_id, error.code, wire.clip_tail(str(error)), error.problem))
        self._tell("/done", wire.Done(self._container_id, 0, 0))
        return error.code

    def _register(self, port: int) -> Task:
        """Find the agent, introduce ourselves, start the beats."""
        plan, place, env = self._plan, self._place, self._place.environment
        link = AgentLink(place.agent_host, plan.agent_ports, self._context, place.token)
        limits_s = (plan.limits.registration_s, plan.limits.call_s)
        node_host = env.get("NM_HOST", "")
        try:
            persist(link.connect, limits_s, lambda: self._signalled)
            me = wire.Register(
                role=place.role,
                container_id=self._container_id,
                host=published_host(node_host, place.agent_host, link.local_address()),
                node_http=f"{node_host}:{env.get('NM_HTTP_PORT', '')}",
                user=env.get("USER", plan.user),
                ports=(port,) if port else (),
                pid=os.getpid(),
                started_s=place.started_s,
            )
            found = persist(
                lambda call_s: link.call("/register", me, wire.Registered, call_s), limits_s, lambda: self._signalled
            )
        except AgentGoneError as error:
            raise Leave(CODE_LOST, str(error)) from error
        except RefusedError as error:
            raise Leave(0 if error.status in GONE else CODE_BUG, f"Not registered: {error}.") from error
        # The kept connection becomes the beats'; reports make one of their own when they are needed.
        self._link = AgentLink(place.agent_host, link.ports, self._context, place.token)
        self._beats = Beats(
            link,
            self._container_id,
            (plan.limits.silence_s, plan.limits.call_s),
            self._inbox.put,
            lambda sentence, sent_away: self._inbox.put(BeatsOver(sentence, sent_away)),
        )
        self._beats.start()
        return Task(place.role, found.index, found.attempt, found.application_id)

    def _work(self, task: Task, prepared: Prepared, results: Results) -> typing.Tuple[int, bool]:
        """Wait for the start, run the command, tell its end; return its code, and whether it ran at all."""
        topology = self._await_start()
        if topology is not None and results.mirror is not None:
            self._fetch(results)
        if topology is None or self._stop is not None:
            self._tell("/exit", wire.Exit(self._container_id, CODE_TERMINATED, "Stopped before the command ran."))
            return CODE_TERMINATED, False
        child = self._child = self._start(task, prepared, topology)
        if self._beats is not None:
            self._beats.tell_pid(child.pid)
        code, grace_s = self._watch(child, results)
        tail = child.tail()
        # What the command left behind may take its grace; the agent hears of the command's end at once.
        sweeping = threading.Thread(target=child.sweep, args=(grace_s,), name="sweep", daemon=True)
        sweeping.start()
        self._tell("/exit", wire.Exit(self._container_id, code, tail, start_problem(code, tail)))
        sweeping.join()
        self._child = None
        return code, True

    def _await_start(self) -> typing.Optional[typing.Dict[str, typing.Tuple[str, ...]]]:
        """Return the topology; None when we were stopped before."""
        while self._stop is None:
            happening = self._next(None)
            if isinstance(happening, wire.Orders) and happening.order == wire.START:
                return happening.topology
        return None

    def _fetch(self, results: Results) -> None:
        """Fetch the checkpoint; a stop ends it."""
        leash = Leash()
        self._in_thread(lambda: results.fetch(leash))
        happening: typing.Optional[Happening] = None
        try:
            while not isinstance(happening, Carried):
                happening = self._next(None)
                if self._stop is not None:
                    leash.cut()
        finally:
            leash.cut()
        if happening.problem and self._stop is None:
            sentence = f"The checkpoint was not fetched: {happening.problem}."
            raise FailureError(CODE_STAGING, "checkpoint-fetch-failed", sentence)

    def _start(self, task: Task, prepared: Prepared, topology: typing.Dict[str, typing.Tuple[str, ...]]) -> Child:
        plan, place = self._plan, self._place
        environment = child_environment(
            place.environment, plan, task, topology, prepared.directories, place.directory, prepared.secrets
        )
        if runtimes.releases_port(plan, task.role):
            prepared.port.release()
        try:
            return Child(
                plan.role(task.role).command,
                environment,
                place.directory,
                prepared.log_dir,
                lambda code: self._inbox.put(Ended(code)),
            )
        except (OSError, ValueError) as error:
            sentence = f"The command of {task.name} cannot be started: {error}."
            raise FailureError(CODE_LOST, "task-cannot-start", sentence) from error

    def _watch(self, child: Child, results: Results) -> typing.Tuple[int, float]:
        """Wait for the command's end, stopping it when told; return its code and the grace left for what it left."""
        kill_at = NEVER
        killed = False
        stopped: typing.Optional[wire.Orders] = None
        while True:
            results.look()
            wake_at = min(kill_at, results.due_at)
            happening = self._next(None if wake_at == NEVER else max(0.0, wake_at - time.monotonic()))
            now = time.monotonic()
            if isinstance(happening, Ended):
                grace_s = LEFTOVER_GRACE_S if stopped is None else kill_at - now
                return happening.code, 0.0 if killed else max(0.0, grace_s)
            if self._stop is not None and self._stop is not stopped:
                if stopped is None:
                    child.signal(signal.SIGTERM)
                stopped = self._stop
                kill_at = min(kill_at, now + stopped.grace_s)
            if now >= kill_at:
                child.signal(signal.SIGKILL)
                killed, kill_at = True, NEVER

    def _carry(self, results: Results) -> None:
        """Carry the results; orders may shorten the time for it, and so does an agent that is silent."""
        self._limit(results)
        if self._beats is not None:
            self._beats.tell_moved(lambda: results.carrier.moved_bytes)
        self._in_thread(results.carry)
        lost: typing.Optional[Leave] = None
        while True:
            try:
                happening = self._next(None)
            except Leave as leave:
                if leave.code != CODE_LOST:
                    results.leash.cut()
                    self._await_carried()
                    raise
                lost = leave  # results are worth a little more time than an agent that is gone
                results.leash.shorten(self._plan.limits.silence_s)
                continue
            if isinstance(happening, Carried):
                break
            self._limit(results)
        if happening.problem:
            results.carrier.problems.append(happening.problem)
        if lost is not None:
            raise lost

    def _await_carried(self) -> None:
        """Give the carrying threads a moment to take their temporary names off the store."""
        ends = time.monotonic() + LEAVE_S
        while time.monotonic() < ends:
            try:
                if isinstance(self._inbox.get(timeout=max(0.0, ends - time.monotonic())), Carried):
                    return
            except queue.Empty:
                return

    def _limit(self, results: Results) -> None:
        seconds = self._plan.limits.upload_s if self._stop is None else self._stop.upload_s
        if seconds:
            results.leash.shorten(seconds)

    def _in_thread(self, work: typing.Callable[[], typing.Any]) -> None:
        """Do the work in a thread; `Carried` says that it is over."""

        def run() -> None:
            problem = ""
            try:
                work()
            except (StoreError, OSError) as error:
                problem = str(error)
            except Exception:  # noqa: BLE001  a thread's death must not leave the session waiting
                problem = traceback.format_exc()
            self._inbox.put(Carried(problem))

        threading.Thread(target=run, name="carry", daemon=True).start()

    def _next(self, timeout_s: typing.Optional[float]) -> typing.Optional[Happening]:
        """Return what happens next, None after `timeout_s`; note a stop.

        Raises:
            Leave: The agent sends us away, or is silent.
        """
        try:
            happening = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(happening, BeatsOver):
            raise Leave(0 if happening.sent_away else CODE_LOST, happening.sentence)
        if isinstance(happening, Signalled):
            say("Told to stop by the node.")
            self._stop = wire.Orders(-1, wire.STOP, grace_s=NODE_GRACE_S, upload_s=NODE_GRACE_S)
        if isinstance(happening, wire.Orders) and happening.order == wire.LEAVE:
            raise Leave(0, "The agent needs nothing more of this container.")
        if isinstance(happening, wire.Orders) and happening.order == wire.STOP:
            self._stop = happening
        return happening

    def _tell(self, path: str, message: typing.Any) -> None:
        """Tell the agent the exit or that all is done; an agent that is gone is told nothing."""
        link, limits = self._link, self._plan.limits
        if link is None:
            return
        try:
            persist(
                lambda call_s: link.call(path, message, wire.Ack, call_s),
                (limits.silence_s, limits.call_s),
                lambda: self._signalled,
            )
        except AgentGoneError as error:
            say(str(error))
        except RefusedError as error:
            if error.status in GONE:
                raise Leave(0, f"Leaving: {error}.") from error
            say(f"Not told: {error}.")
