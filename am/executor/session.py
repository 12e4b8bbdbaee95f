"""One task from its container's start to its end.

    register -> [PROBE] -> START -> fetch checkpoint -> command runs -> exit told -> results carried -> done told
        ^                                                                   |
        +---------------- AGAIN: a new attempt in the same container -------+

Threads put what happens into the inbox, and this module alone decides what follows: beats (orders, silence), the wait
for the command's end, and carrying files. Signals come through the same inbox.
"""

from __future__ import annotations

import dataclasses
import traceback
import typing

from am import runtimes
from am.contract import codes, wire
from am.contract.job import JobPlan, RolePlan
from am.executor import carrying
from am.executor.environment import GENERIC, Surroundings, Task, Topology, child_environment, write_hosts
from am.executor.happenings import FailureError, Leave, Tried, say
from am.executor.inbox import Inbox
from am.executor.preparation import Place, Prepared, prepare, renew_port
from am.executor.process import ADDRESS_IN_USE, Child, log_files
from am.executor.reporting import Reporter
from am.executor.results import Results
from am.executor.running import STOPPED_BEFORE, End, Running

if typing.TYPE_CHECKING:
    from am.executor.probing import Probing
    from am.executor.rendezvous_store import RendezvousStore
    from am.executor.stalls import Watchdog


class Session:
    """The life of one executor.

    Args:
        plan: The job.
        place: Where we are.
    """

    def __init__(self, plan: JobPlan, place: Place) -> None:
        self._plan = plan
        self._place = place
        self._inbox = Inbox()
        self._reporter = Reporter(plan, place, self._inbox)
        self._prepared: typing.Optional[Prepared] = None
        self._results: typing.Optional[Results] = None
        self._running: typing.Optional[Running] = None
        self._ran = False
        self._store: typing.Optional[RendezvousStore] = None

    def run(self) -> int:
        """Live; return the executor's exit code, which is the command's when there was one."""
        self._inbox.listen_for_term()
        try:
            return self._live()
        except Leave as leave:
            say(str(leave))
            return leave.code
        except Exception as error:
            self._reporter.tell_done(0, 0, f"the executor made an error: {error!r}")
            raise
        finally:
            self._reporter.close()
            if self._running is not None:
                self._running.kill()
            if self._results is not None:
                self._results.leash.cut()

    def _live(self) -> int:
        another_port = False
        while True:
            failure = self._make_ready(another_port)
            prepared = self._prepared
            task = self._reporter.register(*((0, 0) if prepared is None else prepared.port_numbers()))
            end = failure or self._attempt(task)
            if not self._goes_on(task, end):
                return self._leave(end)
            another_port = end.problem == ADDRESS_IN_USE

    def _make_ready(self, another_port: bool) -> typing.Optional[End]:
        """Make the container ready for an attempt; return its end when it cannot be."""
        try:
            if self._prepared is None:
                self._prepared = prepare(self._plan, self._place)
            else:
                renew_port(self._plan, self._place, self._prepared.port, another_port)
        except FailureError as error:
            return End.of(error)
        return None

    def _attempt(self, task: Task) -> End:
        """Wait for the start, run the command; return how it ended.

        Raises:
            Leave: The agent sends us away, or is silent.
        """
        try:
            return self._try(task)
        except FailureError as error:
            return End.of(error)
        except Leave:
            raise
        except Exception:  # noqa: BLE001  a bug of ours is the task's end, and the agent has to hear of it
            return End.of(FailureError(codes.BUG, "executor-bug", traceback.format_exc()))

    def _try(self, task: Task) -> End:
        prepared = self._prepared
        if prepared is None:
            raise FailureError(codes.BUG, "executor-bug", "Nothing was prepared.")
        if self._results is None:
            self._results = Results(self._plan, task.name, prepared.directories)
        results = self._results
        results.renew()
        topology = self._await_start(task)
        if topology is not None and results.fetches(task.attempt):
            carrying.fetch(self._inbox, results)
        if topology is None or self._inbox.ending is not None:
            return STOPPED_BEFORE
        return self._run(task, prepared, topology, results)

    def _await_start(self, task: Task) -> typing.Optional[Topology]:
        """Return the topology, trying peers when that is ordered; None when the attempt is to end before."""
        inbox = self._inbox
        probing: typing.Optional[Probing] = None
        while True:
            order = inbox.order
            if probing is not None and probing.order_id != order.order_id:
                probing.cancel()
                probing = None
            if order.order == wire.START:
                return order.topology
            if inbox.ending is not None:
                return None
            if order.order == wire.PROBE and probing is None:
                probing = self._probe(task, order)
            for happening in (inbox.next(None), *inbox.catch_up()):
                if isinstance(happening, Tried) and happening.order_id == inbox.order.order_id:
                    self._reporter.tell_probed(happening)

    def _probe(self, task: Task, order: wire.Orders) -> Probing:
        from am.executor.probing import Probing  # for tasks with peers only

        probing = Probing(self._plan, order, task.role, task.number, self._inbox.put)
        probing.start()
        return probing

    def _run(self, task: Task, prepared: Prepared, topology: Topology, results: Results) -> End:
        """Run the command; return how it ended."""
        plan, place = self._plan, self._place
        here = Surroundings(place.environment, place.directory, prepared.directories, prepared.secrets, place.token)
        environment = child_environment(plan, task, topology, here)
        logs = log_files(prepared.log_dir, task.attempt)

        def start(on_exit: typing.Callable[[int], None]) -> Child:
            return Child(plan.role(task.role).command, environment, place.directory, logs, on_exit)

        try:
            if plan.framework == GENERIC:
                write_hosts(place.directory, topology)
            if runtimes.releases_port(plan, task.role):
                prepared.port.release()
            self._serve_store(task, topology)
            running = self._running = Running(self._inbox, start, plan.limits)
        except (OSError, ValueError) as error:
            sentence = f"The command of {task.name} cannot be started: {error}."
            raise FailureError(codes.LOST, "task-cannot-start", sentence) from error
        self._reporter.tell_pid(running.child.pid)
        watchdog = self._watchdog(plan.role(task.role), running.child, environment)
        try:
            return running.watch(results)
        finally:
            if watchdog is not None:
                watchdog.close()

    def _watchdog(
        self, role: RolePlan, child: Child, environment: typing.Mapping[str, str]
    ) -> typing.Optional[Watchdog]:
        """Return who notices that the command does nothing; None where nobody wants to know.

        What serves others (an untracked role: a parameter server) may be silent as long as it likes.
        """
        limits = dataclasses.replace(
            self._plan.limits,
            stall_s=self._plan.limits.stall_s if role.tracked else 0,
            gpu_idle_s=self._plan.limits.gpu_idle_s if role.resources.gpus else 0,
        )
        if not limits.stall_s and not limits.gpu_idle_s:
            return None
        from am.executor import gpu, stalls  # for jobs with such limits only

        def readings() -> typing.Optional[typing.Sequence[int]]:
            return gpu.utilization(environment) if role.resources.gpus else None

        return stalls.Watchdog(child, limits, readings, environment, self._inbox.put)

    def _serve_store(self, task: Task, topology: Topology) -> None:
        """Serve the store at which the processes of the framework meet, if this task is the one that does."""
        wanted = runtimes.served_store(self._plan, topology, task.role, task.number, self._place.token)
        if wanted is not None:
            from am.executor.rendezvous_store import RendezvousStore  # an HTTP server, for Horovod alone

            self._store = RendezvousStore(wanted.port, wanted.tasks, wanted.prefix)

    def _goes_on(self, task: Task, end: End) -> bool:
        """Tell how an attempt ended, wait while the task may start again, carry results; return whether it does."""
        inbox, results, limits = self._inbox, self._results, self._plan.limits
        if end is STOPPED_BEFORE and inbox.take_again():
            return True  # nothing ran, nothing to tell
        held = self._tell_end(task, end)
        self._ran = self._ran or end.ran
        if results is not None and end.ran and (held or inbox.order.order == wire.AGAIN):
            carrying.send_checkpoint(inbox, results, limits)
        while held and inbox.ending is None:
            inbox.next(None)
        if inbox.take_again():
            return True
        if results is not None and self._ran:  # what an earlier attempt left is there, too
            self._reporter.tell_moved(lambda: results.carrier.moved_bytes)
            carrying.carry(inbox, results, limits)
        return inbox.take_again()

    def _tell_end(self, task: Task, end: End) -> bool:
        """Tell how an attempt ended while what it left is swept away; return whether the container is kept."""
        running = self._running
        if running is not None:
            # What the command left behind may take its grace; the agent hears of the command's end at once.
            running.begin_sweep()
        held = self._reporter.tell_exit(end.code, end.tail, end.problem, task.attempt)
        self._close_store()
        if running is not None:
            running.end_sweep()
            self._running = None
        return held

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _leave(self, end: End) -> int:
        """Tell that all is over; return the executor's exit code."""
        carrier = self._results.carrier if self._results is not None else None
        problem = "; ".join(carrier.problems) if carrier is not None else ""
        if problem:
            say(problem)
        self._reporter.tell_done(carrier.files if carrier else 0, carrier.bytes if carrier else 0, problem)
        return end.code
