"""Install requirements into a fresh virtualenv, with the pip that is there and the user's own pip settings."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.envpack.python import last_lines
from yarn_submitter.errors import Problem, StagingError, UsageError
from yarn_submitter.scratch import child, with_space, without_python_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ODD_NAMES = {"test", "tests", "testing", "docs", "doc", "examples", "example", "benchmarks", "scripts", "tools"}
NOT_SOURCE = {".git", ".hg", ".venv", "venv", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache"}
NOT_SOURCE |= {".ruff_cache", "build", "dist"}


@dataclass(frozen=True)
class Requirements:
    """What to install, in pip's words.

    Attributes:
        items: Requirements as typed: `numpy==2.4`, `/path/pkg.whl[extra]`, `./project[extra]`.
        files: Requirements files.
        wheels: Directory of wheels to install from, and from nowhere else; None for pip's own settings.
        python: The interpreter to pack (path or name); empty for the one that runs this.
    """

    items: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    wheels: Path | None = None
    python: str = ""

    def key_parts(self) -> list[list[str]]:
        """Return everything that tells these requirements from others, with hashes of local files.

        Raises:
            UsageError: A named file is missing [pack-source-missing].
        """
        parts = [["item", item, *_local_hashes(item)] for item in self.items]
        for path in self.files:
            parts += [["file", line, *_local_hashes(line)] for line in _lines(path)]
        if self.wheels is not None:
            names = sorted(path for path in _existing(self.wheels).iterdir() if path.is_file())
            parts += [["wheel", path.name, _file_hash(path)] for path in names]
        return parts


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UsageError(Problem("pack-source-missing", f"{path} does not exist.", next_step="check the path"))
    return path


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a requirements file and of those that it names with -r or -c."""
    for line in _existing(path).read_text("utf-8").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            continue
        yield text
        match = re.match(r"(?:-r|-c|--requirement|--constraint)[\s=]*(.+)", text)
        if match and "://" not in match[1]:
            yield from _lines(path.parent / match[1].strip())


def _local_hashes(item: str) -> list[str]:
    """Return the hashes of the files below a requirement that is a local path (or `name @ file://...`)."""
    text = item.split(" @ ", 1)[-1].removeprefix("-e ").removeprefix("file://").split(";")[0].strip()
    path = Path(re.sub(r"\[[^\]]*\]$", "", text))
    if path.is_file():
        return [_file_hash(path)]
    if not path.is_dir():
        return []
    hashes = []
    for directory, names, files in os.walk(path):
        names[:] = sorted(name for name in names if name not in NOT_SOURCE and not name.endswith(".egg-info"))
        for name in sorted(files):
            file = Path(directory) / name
            if file.is_file():
                hashes.append(f"{file.relative_to(path)} {_file_hash(file)}")
    return hashes


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def virtualenv(path: Path) -> Path:
    """Return the virtualenv's directory as an absolute path.

    Raises:
        UsageError: It is missing, or is something else [pack-source-missing, pack-not-a-virtualenv].
    """
    path = _existing(path).absolute()
    if (path / "pyvenv.cfg").is_file() and (path / "bin" / "python").exists():
        return path
    if (path / "conda-meta").is_dir():
        sentence, step = (
            f"{path} is a conda environment, which has its own packer.",
            "conda install conda-pack; conda pack",
        )
    else:
        sentence, step = (
            f"{path} is not a virtualenv with a Python that runs.",
            "python3 -m venv DIR, or job pack -r FILE",
        )
    looked = "looked for pyvenv.cfg and bin/python"
    raise UsageError(Problem("pack-not-a-virtualenv", sentence, looked, step))


def base_python(wanted: str) -> str:
    """Return the interpreter to make a virtualenv with: the one asked for, else the one that runs this.

    Raises:
        UsageError: No such program [pack-python-missing].
    """
    import shutil

    if not wanted:
        return sys.executable
    found = shutil.which(wanted)
    if found is None:
        raise UsageError(
            Problem("pack-python-missing", f"There is no program {wanted}.", next_step="name a Python with --python")
        )
    return found


def python_identity(python: str) -> list[str]:
    """Return what tells this interpreter from others without running it: real path, size, time of its binary."""
    real = os.path.realpath(python)
    stat = os.stat(real)
    return [real, str(stat.st_size), str(stat.st_mtime_ns)]


def install(requirements: Requirements, scratch: Path, progress: Callable[[str], None]) -> Path:
    """Make a virtualenv in `scratch` and install the requirements there, not compiled.

    Returns:
        The virtualenv's directory.

    Raises:
        StagingError: [pack-install-failed, pack-no-pip, cache-full].
        UsageError: [pack-source-missing, pack-python-missing].
    """
    for path in (*requirements.files, *([requirements.wheels] if requirements.wheels else [])):
        _existing(path)
    venv = scratch / "venv"
    python = base_python(requirements.python)
    environment = without_python_settings(os.environ, scratch)
    progress("making a virtualenv")
    _run([python, "-I", "-m", "venv", "--without-pip", str(venv)], environment, lambda _: None)
    pip = _pip(python, environment)
    command = [*pip, "--python", str(venv / "bin" / "python"), "install", "--no-compile", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--no-input", "--no-warn-script-location"]
    command += ["--retries", "2"]  # of pip's 5: an index that is out of reach is told after seconds
    if requirements.wheels:
        command += ["--no-index", "--find-links", str(requirements.wheels.absolute())]
    for path in requirements.files:
        command += ["-r", str(path)]

    def show(line: str) -> None:
        if match := re.match(r"\s*(Collecting|Downloading|Building|Installing)\b.{,60}", line):
            progress(f"installing: {match[0].strip()}")

    _run([*command, "--", *requirements.items], environment, show)
    return venv


def _pip(python: str, environment: dict[str, str]) -> list[str]:
    """Return the command of a pip that can install for another interpreter (22.3 or later)."""
    seen = []
    for candidate in dict.fromkeys([python, sys.executable]):
        command = [candidate, "-I", "-m", "pip"]
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        match = re.match(r"pip (\d+)\.(\d+)", done.stdout)
        if match and (int(match[1]), int(match[2])) >= (22, 3):
            return command
        seen.append(f"{candidate}: {done.stdout.strip() or last_lines(done.stderr, 1)}")
    step = "python3 -m pip install --upgrade pip (22.3 or later), or pack a virtualenv that you made"
    raise StagingError(Problem("pack-no-pip", "No pip that can install for another Python.", "\n".join(seen), step))


def _run(command: list[str], environment: dict[str, str], show: Callable[[str], None]) -> None:
    lines = []
    with child(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            show(line)
        code = process.wait()
    if code == 0:
        return
    said = with_space("".join(lines))
    raise StagingError(
        Problem(
            "pack-install-failed",
            f"Installing the requirements failed with exit code {code}.",
            last_lines(said),
            "see pip's message; without a network give --wheels DIR",
        )
    )


def requested_imports(venv: Path) -> tuple[str, ...]:
    """Return the import names of the distributions that were asked for (pip marks them with REQUESTED, PEP 376)."""
    names: set[str] = set()
    for site in venv.glob("lib*/python3*/site-packages"):
        for marker in site.glob("*.dist-info/REQUESTED"):
            names.update(_import_names(marker.parent))
    return tuple(sorted(names))


def _import_names(info: Path) -> Iterator[str]:
    listed = info / "top_level.txt"
    if listed.is_file():
        found = set(listed.read_text("utf-8").split())
    else:
        lines = (info / "RECORD").read_text("utf-8", "replace").splitlines()
        paths = [line.split(",", 1)[0].strip('"') for line in lines]
        found = {path.split("/")[0] for path in paths if path.count("/") == 1 and path.endswith("/__init__.py")}
        found |= {path.removesuffix(".py") for path in paths if "/" not in path and path.endswith(".py")}
    for name in found:
        inside = info.parent / name.replace(".", "/")
        if (
            name.isidentifier()
            and not name.startswith("_")
            and name not in ODD_NAMES
            and ((inside / "__init__.py").is_file() or inside.with_suffix(".py").is_file())
        ):
            yield name
