"""What happens to a session, one after the other, and the newest of the agent's orders among it.

Threads put in what they see; the session's own thread alone takes it out and decides what follows.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import traceback
import typing

from am.contract import codes, wire
from am.executor.happenings import BeatsOver, Carried, Happening, Leave, Signalled, say
from am.executor.webhdfs import StoreError

NODE_GRACE_S = 5.0  # the NodeManager's own KILL comes 0.25 s after its TERM unless it was configured otherwise
_NO_ORDER = wire.Orders(-1, wire.WAIT)


class Inbox:
    """The happenings in their order.

    Attributes:
        order: The newest; the node's own TERM counts as a STOP that no AGAIN replaces.
        signalled: The executor was told to stop by its node.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self.order = _NO_ORDER
        self.signalled = False

    @property
    def stop(self) -> typing.Optional[wire.Orders]:
        """Return the order to stop for good, when that is the newest."""
        return self.order if self.order.order == wire.STOP else None

    @property
    def ending(self) -> typing.Optional[wire.Orders]:
        """Return the newest order when it ends the attempt: STOP or AGAIN."""
        return self.order if self.order.order in (wire.STOP, wire.AGAIN) else None

    def put(self, happening: Happening) -> None:
        """Let something have happened; from any thread."""
        self._queue.put(happening)

    def next(self, timeout_s: typing.Optional[float]) -> typing.Optional[Happening]:
        """Return what happens next, None after `timeout_s`; note an order.

        Raises:
            Leave: The agent sends us away, or is silent.
        """
        try:
            happening = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(happening, BeatsOver):
            raise Leave(0 if happening.sent_away else codes.LOST, happening.sentence)
        if isinstance(happening, Signalled):
            say("Told to stop by the node.")
            self.order = wire.Orders(-1, wire.STOP, grace_s=NODE_GRACE_S, upload_s=NODE_GRACE_S)
        if isinstance(happening, wire.Orders):
            if happening.order == wire.LEAVE:
                raise Leave(0, "The agent needs nothing more of this container.")
            if not self.signalled or happening.order == wire.STOP:
                self.order = happening
        return happening

    def take_again(self) -> bool:
        """Return whether the newest order is AGAIN, and take it as obeyed.

        Raises:
            Leave: The agent sends us away, or is silent.
        """
        if self.order.order != wire.AGAIN:
            self.catch_up()
        if self.order.order != wire.AGAIN:
            return False
        self.order = _NO_ORDER
        return True

    def catch_up(self) -> typing.List[Happening]:
        """Return all that has happened by now; the newest order is known then.

        Raises:
            Leave: The agent sends us away, or is silent.
        """
        found = []
        happening = self.next(0.0)
        while happening is not None:
            found.append(happening)
            happening = self.next(0.0)
        return found

    def in_thread(self, work: typing.Callable[[], typing.Any]) -> None:
        """Do some carrying in a thread; `Carried` says that it is over."""

        def run() -> None:
            problem = ""
            try:
                work()
            except (StoreError, OSError) as error:
                problem = str(error)
            except Exception:  # noqa: BLE001  a thread's death must not leave the session waiting
                problem = traceback.format_exc()
            self.put(Carried(problem))

        threading.Thread(target=run, name="carry", daemon=True).start()

    def listen_for_term(self) -> None:
        """Have SIGTERM put in by a thread.

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
            self.signalled = True
            self.put(Signalled(int(signal.SIGTERM)))

        threading.Thread(target=listen, name="signals", daemon=True).start()
