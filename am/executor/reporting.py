"""All that is said to the agent: the introduction, signs of life, and what became of the task."""

from __future__ import annotations

import dataclasses
import os
import typing

from am.contract import codes, wire
from am.contract.job import JobPlan
from am.executor.beats import GONE, AgentGoneError, Beats, persist
from am.executor.environment import Task
from am.executor.happenings import BeatsOver, Leave, Tried, say
from am.executor.inbox import Inbox
from am.executor.link import AgentLink, RefusedError, pinned_context
from am.executor.ports import other_addresses, published_host
from am.executor.preparation import Place

T = typing.TypeVar("T")


class Reporter:
    """The line of one session to its agent.

    Args:
        plan: The job.
        place: Where we are.
        inbox: For what the agent orders.

    Raises:
        OSError: The job's certificate cannot be used.
    """

    def __init__(self, plan: JobPlan, place: Place, inbox: Inbox) -> None:
        self._plan = plan
        self._place = place
        self._inbox = inbox
        context = pinned_context(place.certificate)
        self._container_id = place.environment.get("CONTAINER_ID", "")
        self._shared = AgentLink(place.agent_host, plan.agent_ports, context, place.token)  # with the beats
        self._own = AgentLink(place.agent_host, plan.agent_ports, context, place.token)  # while that holds a beat
        self._me: typing.Optional[wire.Register] = None
        self._beats: typing.Optional[Beats] = None
        self._attempt = 0

    def register(self, port: int, probe_port: int) -> Task:
        """Introduce ourselves, the first time after finding the agent; later register the attempt that follows.

        Args:
            port: Held for the framework; 0: none.
            probe_port: Where peers may try us; 0: nowhere.

        Raises:
            Leave: There is no agent, or it does not want us.
        """
        limits, ports = self._plan.limits, (port,) if port else ()
        if self._me is None or self._beats is None:
            return self._register_first(ports, probe_port)
        self._me = dataclasses.replace(self._me, ports=ports, probe_port=probe_port, attempt=self._attempt)
        task, _ = self._register(self._me, (limits.silence_s, limits.call_s))
        self._beats.go_on()
        return task

    def _register_first(self, ports: typing.Tuple[int, ...], probe_port: int) -> Task:
        limits = self._plan.limits
        limits_s = (limits.registration_s, limits.call_s)
        self._persist(self._shared.connect, limits_s)
        self._own.ports = list(self._shared.ports)  # the one that was found first
        self._me = self._introduction(self._shared.local_address(), ports, probe_port)
        task, order_id = self._register(self._me, limits_s)
        self._beats = Beats(
            self._shared,
            self._container_id,
            order_id,
            (limits.silence_s, limits.call_s),
            self._inbox.put,
            lambda sentence, sent_away: self._inbox.put(BeatsOver(sentence, sent_away)),
        )
        self._beats.start()
        return task

    def tell_pid(self, pid: int) -> None:
        """Tell at once that the command runs."""
        if self._beats is not None:
            self._beats.tell_pid(pid)

    def tell_moved(self, moved: typing.Callable[[], int]) -> None:
        """From now on tell how many bytes of results were sent."""
        if self._beats is not None:
            self._beats.tell_moved(moved)

    def tell_exit(self, code: int, tail: str, problem: str, attempt: int) -> bool:
        """Tell how the attempt ended; return whether the container is kept until the next order."""
        said = self._tell("/exit", wire.Exit(self._container_id, code, wire.clip_tail(tail), problem, attempt))
        if self._beats is not None:
            self._beats.tell_over()  # before the next attempt is ordered: it must not be taken for one that runs
        return said.hold

    def tell_probed(self, tried: Tried) -> None:
        """Tell which peers were reached."""
        self._tell("/probed", wire.Probed(self._container_id, tried.order_id, tried.reached, tried.missed))

    def tell_done(self, files: int, size: int, problem: str) -> None:
        """Tell that all is over: how many files and bytes lie on the store, and what could not be carried."""
        self._tell("/done", wire.Done(self._container_id, files, size, problem))

    def close(self) -> None:
        """Give no more signs of life."""
        if self._beats is not None:
            self._beats.close()

    def _introduction(self, local_address: str, ports: typing.Tuple[int, ...], probe_port: int) -> wire.Register:
        place, env = self._place, self._place.environment
        node_host = env.get("NM_HOST", "")
        host = published_host(node_host, place.agent_host, local_address)
        return wire.Register(
            role=place.role,
            container_id=self._container_id,
            host=host,
            node_http=f"{node_host}:{env.get('NM_HTTP_PORT', '')}",
            user=env.get("USER", self._plan.user),
            ports=ports,
            pid=os.getpid(),
            started_s=place.started_s,
            probe_port=probe_port,
            addresses=other_addresses(host, local_address),
        )

    def _register(self, me: wire.Register, limits_s: typing.Tuple[float, float]) -> typing.Tuple[Task, int]:
        """Register; return the task, and the order that is known with it."""
        found = self._persist(lambda call_s: self._call("/register", me, wire.Registered, call_s), limits_s)
        self._attempt = found.attempt
        return Task(me.role, found.index, found.attempt, found.application_id), found.order_id

    def _persist(self, call: typing.Callable[[float], T], limits_s: typing.Tuple[float, float]) -> T:
        try:
            return persist(call, limits_s, lambda: self._inbox.signalled)
        except AgentGoneError as error:
            raise Leave(codes.LOST, str(error)) from error
        except RefusedError as error:
            raise Leave(0 if error.status in GONE else codes.BUG, f"Not registered: {error}.") from error

    def _call(self, path: str, message: typing.Any, kind: typing.Type[T], timeout_s: float) -> T:
        """Ask by the connection that there is; by another one while that holds a beat.

        Raises:
            LinkDownError: No answer.
            RefusedError: The agent said no.
        """
        if not self._shared.free.acquire(blocking=False):
            return self._own.call(path, message, kind, timeout_s)
        try:
            return self._shared.call(path, message, kind, timeout_s)
        finally:
            self._shared.free.release()

    def _tell(self, path: str, message: typing.Any) -> wire.Ack:
        """Tell the agent something; one that is gone, or was never met, is told nothing."""
        limits = self._plan.limits
        if self._beats is None:  # it has never heard of us
            return wire.Ack()
        try:
            return persist(
                lambda call_s: self._call(path, message, wire.Ack, call_s),
                (limits.silence_s, limits.call_s),
                lambda: self._inbox.signalled,
            )
        except AgentGoneError as error:
            say(str(error))
        except RefusedError as error:
            if error.status in GONE:
                raise Leave(0, f"Leaving: {error}.") from error
            say(f"Not told: {error}.")
        return wire.Ack()
