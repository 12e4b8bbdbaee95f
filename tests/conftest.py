"""What all tests share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update`: write what the golden tests expect anew; look at the difference before you commit it."""
    parser.addoption("--update", action="store_true", help="write the files of tests/golden/plans anew")
