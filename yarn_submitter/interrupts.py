"""What a signal does to a program that has something to tidy up."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

# What each of them does to a Python program by itself.
_DEFAULTS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


@contextlib.contextmanager
def one_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C, SIGTERM or SIGHUP end the body in good order, and no other disturb the tidying up.

    A program that has handlers of its own, or ignores a signal (nohup), keeps them; so does one in another thread.

    Raises:
        KeyboardInterrupt: In the body, for Ctrl-C.
        SystemExit: In the body, for the others, with 128 and the signal's number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    ours = {number: handler for number, handler in _DEFAULTS.items() if signal.getsignal(number) == handler}

    def end(number: int, _frame: object) -> None:
        for other in ours:
            signal.signal(other, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no Ctrl-C, SIGTERM or SIGHUP break off the body, which is short and shall come to its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _DEFAULTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
