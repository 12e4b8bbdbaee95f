"""Builds the wheel, installs it into an environment of its own and runs the cluster tests against it.

The tests must not see the checkout's packages: pytest is started as a program, not with `-m`, from another directory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"


def main() -> int:
    """Return pytest's exit code."""
    dist, home = BUILD / "dist", BUILD / "venv-wheel"
    for old in dist.glob("*.whl"):
        old.unlink()
    say("building the wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(dist), str(ROOT))
    wheel = next(dist.glob("*.whl"))
    if not (home / "bin" / "python").exists():
        say("making an environment for it")
        venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    say(f"installing {wheel.name}")
    pip(python, "install", f"{wheel}[sandbox]", "pytest==9.2.0", "pytest-timeout==2.4.0")
    pip(python, "install", "--force-reinstall", "--no-deps", str(wheel))
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "HADOOP_CONF_DIR")}
    environment["PATH"] = f"{home / 'bin'}{os.pathsep}{environment['PATH']}"
    command = [str(home / "bin" / "pytest"), "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    chosen = any(not word.startswith("-") for word in sys.argv[1:])
    arguments = [*sys.argv[1:], *([] if chosen else [str(ROOT / "tests" / "cluster")])]
    return subprocess.run([*command, "-v", *arguments], env=environment, cwd=BUILD, check=False).returncode


def pip(python: str, *words: str) -> None:
    """Run pip with an interpreter, quietly."""
    subprocess.run([python, "-m", "pip", *words[:1], "--quiet", *words[1:]], check=True)


def say(text: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
