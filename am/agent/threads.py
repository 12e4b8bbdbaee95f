"""Blocking calls beside the event loop, in daemon threads: one that hangs never keeps the agent from ending."""

from __future__ import annotations

import asyncio
import threading
import typing

if typing.TYPE_CHECKING:
    from collections.abc import Callable

T = typing.TypeVar("T")


async def in_thread(function: Callable[[], T], deadline_s: float) -> T:
    """Return what `function` returns, or raise what it raises.

    Raises:
        TimeoutError: It took longer than `deadline_s`; its thread is left alone then.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(typing.cast("T", result))

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as caught:  # noqa: BLE001 - raised again where the result is awaited
            error = caught
        try:
            loop.call_soon_threadsafe(deliver, result, error)
        except RuntimeError:
            return  # the loop has ended: nobody waits any more

    threading.Thread(target=work, name="agent-call", daemon=True).start()
    try:
        return await asyncio.wait_for(future, deadline_s)
    except asyncio.TimeoutError:
        raise TimeoutError(f"no answer within {deadline_s:g} s") from None
