"""The agent's start: reads the job's files, listens, lets the loop run, leaves. One per job, beside YARN's master."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
import gc
import json
import logging
import os
import signal
import sys
import threading
import typing
from pathlib import Path

from am.agent.threads import in_thread
from am.contract import codes, job, states

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from am.agent.cluster import Cluster
    from am.agent.history import History, Store
    from am.agent.loop import JobLoop
    from am.contract.events import JobEnded

LOG = logging.getLogger("am.agent")
PARENT_S = 1.0  # between two looks at the parent, where the kernel does not tell of its end
ABANDON_S = 2.0  # for the last lines of an agent that another one follows
EARLIER_S = 60.0  # to read the history of earlier attempts
AGAIN_S = 2.0


@dataclasses.dataclass(frozen=True)
class Setting:
    """What the agent is started with.

    Attributes:
        directory: Where the job's files lie (the container's working directory).
        host: The address at which others reach this container.
        application_id: YARN's.
        attempt: Of the ApplicationMaster, from 1.
    """

    directory: Path
    host: str
    application_id: str
    attempt: int

    @staticmethod
    def of(environment: Mapping[str, str], directory: Path) -> Setting:
        """Read YARN's and Skein's variables."""
        address = environment.get("SKEIN_APPMASTER_ADDRESS", "")
        return Setting(
            directory=directory,
            host=environment.get("NM_HOST", "") or address.rpartition(":")[0] or "localhost",
            application_id=environment.get("SKEIN_APPLICATION_ID", ""),
            attempt=attempt_of(environment.get("CONTAINER_ID", "")),
        )


def attempt_of(container_id: str) -> int:
    """Return the attempt in `container[_eNN]_<cluster>_<application>_<attempt>_<number>`; 1 when it is not one."""
    parts = container_id.split("_")
    return int(parts[-2]) if len(parts) >= 5 and parts[-2].isdigit() else 1


def main() -> int:
    """Run the agent of the job in the working directory; return the exit code for YARN's master."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s.%(msecs)03d %(message)s", datefmt="%H:%M:%S"
    )
    gc.set_threshold(50_000, 20, 50)  # connections of thousands of tasks are no garbage: look at them seldom
    setting = Setting.of(os.environ, Path.cwd())
    plan = job.JobPlan.from_text((setting.directory / job.JOB_FILE).read_text())
    from am.agent.cluster import SkeinCluster
    from am.agent.history import WebHdfsStore

    return asyncio.run(Agent(setting, plan, SkeinCluster(), WebHdfsStore(plan.webhdfs, plan.user)).run())


class Agent:
    """One job's agent, its parts put together.

    Args:
        setting: What it is started with.
        plan: The job.
        cluster: The seam to YARN.
        store: The job's store.

    Attributes:
        port: Where it listens, as soon as it does.
    """

    def __init__(self, setting: Setting, plan: job.JobPlan, cluster: Cluster, store: Store) -> None:
        self._setting = setting
        self._plan = plan
        self._cluster = cluster
        self._store = store
        self._parent = os.getppid()
        self.port: concurrent.futures.Future[int] = concurrent.futures.Future()

    async def run(self) -> int:
        """Return 0 when YARN has the job's end from us, else what YARN must not take for a success."""
        from am.agent.desk import Desk
        from am.agent.history import History
        from am.agent.loop import JobLoop
        from am.agent.server import PortsTaken, Server
        from am.agent.witness import Witness

        events = asyncio.get_running_loop()
        events.set_exception_handler(lambda _, context: LOG.warning("%s", context.get("exception", context["message"])))
        history = History(
            self._store,
            self._plan.job_dir,
            self._setting.attempt,
            lambda sentence: _thread_safe(events, lambda: loop.say(sentence)),
        )
        last = self._setting.attempt >= self._plan.max_attempts
        loop = JobLoop(self._plan, self._cluster, history, last=last)
        if self._setting.attempt > 1:
            self._prepare()
            loop.recall(await self._earlier())
            if loop.snapshot.verdict is not None:  # it is repeated, and no task is started
                return await self._repeat(loop, history, loop.snapshot.verdict)
        _on_term(events, lambda: self._end_by_yarn(loop))
        where = self._setting.directory
        secret = (where / job.SECRET_FILE).read_text().strip()
        server = Server(Desk(loop), secret, str(where / job.CERTIFICATE_FILE), str(where / job.KEY_FILE))
        helpers: list[asyncio.Task[None]] = []
        verdict: JobEnded | None
        try:
            port = await server.listen(self._plan.agent_ports)
            self._announce(loop, history, port)
            self.port.set_result(port)
            parts = (Witness(loop, self._cluster).run(), self._watch_parent(loop))
            helpers = [asyncio.create_task(_guarded(loop, part)) for part in parts]
            verdict = await loop.run()
        except PortsTaken as error:
            message = f"the agent on {self._setting.host} cannot listen: {error}"
            verdict = loop.end_now(states.FAILED, codes.LIMIT, "agent-ports-taken", message)
            self._prepare()
        except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a verdict and the log the traceback
            verdict = _internal(loop, error)
        for helper in helpers:
            helper.cancel()
        history.start()
        took = verdict is not None and await loop.leave()
        await server.close()
        if verdict is None:
            await in_thread(functools.partial(history.flush, ABANDON_S), ABANDON_S + 1)
        history.close()
        return 0 if took else codes.LOST if verdict is None else verdict.exit_code

    async def _repeat(self, loop: JobLoop, history: History, verdict: JobEnded) -> int:
        """Tell YARN once more how the job has ended: it takes only its last attempt's word for a failure."""
        history.start()
        took = await loop.leave()
        history.close()
        return 0 if took else verdict.exit_code

    async def _earlier(self) -> list[str]:
        """Return what earlier agents of the job have written; while the store is away, the job waits for it."""
        from am.agent.history import earlier_lines

        while True:
            try:
                return await in_thread(lambda: earlier_lines(self._store, self._plan.job_dir), EARLIER_S)
            except (OSError, asyncio.TimeoutError) as error:
                LOG.warning("the job's history cannot be read, trying again: %s", error)
                await asyncio.sleep(AGAIN_S)

    def _announce(self, loop: JobLoop, history: History, port: int) -> None:
        setting = self._setting
        address = {
            "host": setting.host,
            "port": port,
            "attempt": setting.attempt,
            "application_id": setting.application_id,
        }
        loop.listening(setting.host, port, setting.application_id, setting.attempt)
        self._prepare()
        history.write_agent_file(json.dumps(address, sort_keys=True) + "\n")
        history.start()

    def _prepare(self) -> None:
        self._cluster.prepare()
        self._store.prepare()

    async def _watch_parent(self, loop: JobLoop) -> None:
        """End the job when YARN's master, our parent, has died: nobody else would end this process.

        YARN takes the job's containers back a second later; until then that is no news of a task.
        """
        try:
            parent = os.pidfd_open(self._parent)
        except (AttributeError, OSError):  # a Linux before 5.3, another system, or it has gone
            while os.getppid() == self._parent:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(PARENT_S)
        else:
            await _readable(parent)
        self._end_by_yarn(loop)

    def _end_by_yarn(self, loop: JobLoop) -> None:
        if not loop.last:
            LOG.warning("YARN's master is gone or told to stop; YARN may start another one")
            loop.abandon()
            return
        if os.getppid() != self._parent:
            message = f"the ApplicationMaster on {self._setting.host} died"
            loop.end_now(states.FAILED, codes.LOST, "am-lost", message)
        else:
            message = f"YARN stopped the ApplicationMaster on {self._setting.host}; somebody may have killed it there"
            loop.end_now(states.KILLED, codes.KILLED, "am-stopped", message)


async def _readable(descriptor: int) -> None:
    """Return when there is something to read; close the descriptor."""
    events, ready = asyncio.get_running_loop(), asyncio.Event()
    events.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        events.remove_reader(descriptor)
        os.close(descriptor)


async def _guarded(loop: JobLoop, part: Coroutine[None, None, None]) -> None:
    """Run a part of the agent; its error ends the job, never silently only the part."""
    try:
        await part
    except Exception as error:  # noqa: BLE001 - said in the verdict and in the log
        _internal(loop, error)


def _internal(loop: JobLoop, error: Exception) -> JobEnded:
    LOG.error("the agent made an error", exc_info=error)
    message = f"the agent made an error ({type(error).__name__}: {error}); please report it with the job's log"
    return loop.end_now(states.FAILED, codes.BUG, "internal", message)


def _on_term(events: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    # Only a main thread gets signals; an agent in another thread is one under test.
    if threading.current_thread() is threading.main_thread():
        events.add_signal_handler(signal.SIGTERM, action)


def _thread_safe(events: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the agent has ended meanwhile
        events.call_soon_threadsafe(action)
