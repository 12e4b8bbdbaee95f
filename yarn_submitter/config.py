"""Where things lie on this machine: the files of the installation, the user's cache, the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
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


def site_file(environ: Mapping[str, str]) -> str:
    """Return the administrator's settings (YARN_SUBMITTER_SITE_FILE, else below /etc); it may not exist."""
    return environ.get("YARN_SUBMITTER_SITE_FILE") or "/etc/yarn-submitter/yarn-submitter.yaml"


def user_file(environ: Mapping[str, str]) -> str:
    """Return the user's settings (below XDG_CONFIG_HOME, else ~/.config); may not exist; empty without a home."""
    base = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    return f"{base}/yarn-submitter/config.yaml" if base else ""
