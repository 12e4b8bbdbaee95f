"""What all tests share."""

from __future__ import annotations

import signal

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update`: write what the golden tests expect anew; look at the difference before you commit it."""
    parser.addoption("--update", action="store_true", help="write the files of tests/golden/plans anew")


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C: a shell starts background jobs with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
