"""A bell that wakes whoever waits for it now, and nobody who comes later."""

from __future__ import annotations

import asyncio


class Bell:
    """For one event loop.

    An asyncio.Event that is set and cleared at once would miss those whose wait is only being started.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[bool]] = set()

    async def wait(self, timeout_s: float) -> bool:
        """Return whether the bell rang within `timeout_s`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_later(timeout_s, _answer, future, False)
        self._waiting.add(future)
        try:
            return await future
        finally:
            timer.cancel()
            self._waiting.discard(future)

    def ring(self) -> None:
        """Wake all who wait."""
        for future in self._waiting:
            _answer(future, True)


def _answer(future: asyncio.Future[bool], rang: bool) -> None:
    if not future.done():
        future.set_result(rang)
