"""Where things lie on this machine: the files of the installation and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def bundle_dir() -> Path:
    """Return the directory that holds conf/, docker/ and examples/: inside the wheel, or the checkout's root."""
    package = Path(__file__).parent
    installed = package / "_bundle"
    return installed if installed.is_dir() else package.parent


def cache_dir() -> Path:
    """Return the user's cache directory for this program (XDG_CACHE_HOME, else ~/.cache); it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "yarn-submitter"
