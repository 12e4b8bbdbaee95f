"""What all tests share."""

from __future__ import annotations

import signal

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update`: write what the golden tests expect anew; look at the difference before you commit it."""
    parser.addoption("--update", action="store_true", help="write the files of tests/golden/plans anew")


def pytest_configure() -> None:
    """Let the programs that tests start hear what shells (Ctrl-C, in the background) and nohup have them ignore."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
