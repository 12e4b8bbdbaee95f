"""Make an environment archive that runs on any node, and prove it before anyone relies on it.

A source (virtualenv, or requirements installed into a fresh one) becomes a list of entries (tree.py), its Python files
are compiled, the list is written as tar.gz (archive.py), unpacked elsewhere the way YARN unpacks it (`gzip -dc | tar
xf -`, hadoop's FileUtil.unTar), and the unpacked interpreter must import the named modules without touching the source.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from yarn_submitter import __version__
from yarn_submitter.config import cache_dir
from yarn_submitter.envpack import install
from yarn_submitter.envpack.archive import Entry, Written, write_archive
from yarn_submitter.envpack.check import Member, facts_of, remember
from yarn_submitter.envpack.compact import compacted
from yarn_submitter.envpack.install import Requirements
from yarn_submitter.envpack.python import ask_inside, compiled, last_lines, proof_problem
from yarn_submitter.envpack.tree import Interpreter, collect
from yarn_submitter.errors import Problem, StagingError, UsageError
from yarn_submitter.scratch import (
    cache_errors,
    child,
    locked,
    memory_log,
    said_in,
    scratch_dir,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

FORMAT = 1  # goes into the key of cached environments; to be raised when the same source gives another tree
SHARED_PREFIXES = {"/", "/usr", "/usr/local"}  # where an interpreter lies beside everything else of the system


@dataclass(frozen=True)
class PackReport:
    """What was packed and proven.

    Attributes:
        path: The archive.
        size_bytes: Its size.
        unpacked_bytes: Size of the tar in it.
        files: Files and links in it.
        sha256: Hash of the archive.
        python: Version of the interpreter in it.
        imports: Modules that the unpacked interpreter imported.
        system_libraries: Shared libraries beyond the C and C++ runtime that these imports took from the machine; every
            node must have them.
        seconds: Time of each step: install (0 for a virtualenv), compile, archive (and unpack), prove.
    """

    path: Path
    size_bytes: int
    unpacked_bytes: int
    files: int
    sha256: str
    python: str
    imports: tuple[str, ...]
    system_libraries: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the report as lines for a person."""
        size = f"{self.size_bytes / 1e6:.0f} MB, {self.unpacked_bytes / 1e6:.0f} MB unpacked, {self.files} files"
        steps = ", ".join(f"{step} {value:.1f} s" for step, value in self.seconds.items() if value)
        lines = [f"packed Python {self.python}: {size} ({steps})"]
        lines.append(f"proven: unpacked elsewhere, it imports {', '.join(self.imports) or 'the standard library'}")
        if self.system_libraries:
            lines.append(f"every node must have: {', '.join(self.system_libraries)}")
        return lines


def source_of(what: list[str], files: list[Path], *, wheels: Path | None, python: str) -> Path | Requirements:
    """Return what a command line names: one directory that is no project is a virtualenv, all else is for pip.

    Raises:
        UsageError: Nothing is named, or a virtualenv together with requirements [pack-source].
    """
    step = "job pack VENV_DIR -o env.tar.gz, or job pack -r requirements.txt -o env.tar.gz"
    if not what and not files:
        raise UsageError(Problem("pack-source", "Nothing to pack is named.", next_step=step))
    projects = ("pyproject.toml", "setup.py")
    venvs = [item for item in what if (Path(item) / "pyvenv.cfg").is_file()]
    venvs += [
        item for item in what if Path(item).is_dir() and not any((Path(item) / name).exists() for name in projects)
    ]
    if not venvs:
        return Requirements(tuple(what), tuple(files), wheels, python)
    if len(what) > 1 or files or wheels or python:
        sentence = f"{venvs[0]} is packed as it is, so nothing can be installed into it, and it has its own Python."
        raise UsageError(Problem("pack-source", sentence, next_step=step))
    return Path(what[0])


def pack(
    source: Path | Requirements,
    target: Path,
    *,
    imports: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    compact: bool = False,
    progress: Callable[[str], None],
) -> PackReport:
    """Pack a virtualenv or requirements as tar.gz at `target`, which appears only when it is proven.

    Args:
        source: A virtualenv's directory, or what to install.
        target: The archive to write; replaced when it exists.
        imports: Modules to import in the proof; for requirements, by default those of the distributions asked for.
        exclude: Patterns beside tree.DEFAULT_EXCLUDES.
        compact: Whether to make few files of many (see compact.py); not for programs that read their own sources.
        progress: Gets a short line now and then.

    Raises:
        UsageError: The source cannot be packed [pack-source-missing, pack-not-a-virtualenv, pack-editable, ...].
        StagingError: Installing, writing or the proof failed [pack-install-failed, pack-proof-failed, cache-full, ...].
    """
    _check_target(target)
    seconds = {"install": 0.0}
    with scratch_dir("pack") as scratch, cache_errors(), _reading():
        if isinstance(source, Requirements):
            with _timed(seconds, "install"):
                venv = install.install(source, scratch, progress)
            imports = imports or install.requested_imports(venv)
        else:
            venv = install.virtualenv(source)
        python = _interpreter(venv, scratch)
        progress("collecting files")
        entries = collect(python, exclude, scratch)
        with _timed(seconds, "compile"):
            entries += compiled(python, entries, scratch, progress, take_over=not compact)
            if compact:
                entries = compacted(python, entries, scratch)
        facts = facts_of(target, "tar", (_member(entry) for entry in entries))  # so that no one has to read it all
        part = _part_file(target)
        try:
            with _timed(seconds, "archive"):
                written = _write_and_unpack(entries, facts.unpacked_bytes, part, scratch / "unpacked", progress)
            if isinstance(source, Requirements):
                venv.rename(scratch / "hidden")
            with _timed(seconds, "prove"):
                proof = _prove(python, venv, imports, scratch, progress)
            part.chmod(0o644)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        remember(facts)
        progress("removing temporary files")
    archive = (target, written.size_bytes, written.unpacked_bytes, written.files, written.sha256)
    rounded = {step: round(value, 1) for step, value in seconds.items()}
    return PackReport(*archive, python.full_version, imports, tuple(proof["libraries"]), rounded)


def _check_target(target: Path) -> None:
    step = "job pack ... -o DIR/env.tar.gz"
    if not target.name.endswith((".tar.gz", ".tgz")):
        sentence = f"{target} does not end with .tar.gz or .tgz, by which YARN knows how to unpack it."
        raise UsageError(Problem("pack-target", sentence, next_step=step))
    if not target.absolute().parent.is_dir() or target.is_dir():
        sentence = f"{target} cannot be written: its directory does not exist, or it is a directory itself."
        raise UsageError(Problem("pack-target", sentence, next_step=step))


@contextmanager
def _reading() -> Iterator[None]:
    """Turn a file of the source that cannot be read into a problem; the cache's own errors are told apart later."""
    try:
        yield
    except PermissionError as error:
        if error.filename is None or str(error.filename).startswith(str(cache_dir())):
            raise
        sentence = f"{error.filename} cannot be read, so it cannot be packed."
        step = "make it readable, or leave it out with --exclude"
        raise StagingError(Problem("pack-unreadable", sentence, next_step=step)) from error


def _interpreter(venv: Path, scratch: Path) -> Interpreter:
    python = Interpreter(**ask_inside(venv / "bin" / "python", "describe", None, scratch))
    if python.implementation != "cpython":
        sentence = f"{venv} belongs to {python.implementation}; only CPython can be packed."
        raise UsageError(Problem("pack-not-cpython", sentence, next_step="make the virtualenv with CPython"))
    return python


def cached_env(
    requirements: Requirements,
    *,
    imports: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    compact: bool = False,
    progress: Callable[[str], None],
) -> Path:
    """Return an archive of the requirements, packed now or by an earlier call with the same key.

    The key covers the requirements' text, the files they name, the Python, our version, `exclude` and `compact`; it
    does not cover what an index offers: pin versions to know what is inside. Raises what `pack` raises.
    """
    python = install.base_python(requirements.python)
    said = [FORMAT, __version__, install.python_identity(python), requirements.key_parts(), exclude, imports, compact]
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
    directory = cache_dir() / "envs"
    target = directory / f"{key}.tar.gz"
    if target.is_file():
        return target
    with cache_errors():
        directory.mkdir(parents=True, exist_ok=True)
        lock = directory / f"{key}.lock"
        lock.touch()
        try:
            with locked(lock):  # two commands at once pack once
                if not target.is_file():
                    pack(requirements, target, imports=imports, exclude=exclude, compact=compact, progress=progress)
        finally:
            lock.unlink(missing_ok=True)
    return target


# What the agent never imports: nodes without Hadoop's native library start a program for every file they localize.
AGENT_EXCLUDES = (
    *(f"**/site-packages/{name}" for name in ("skein/java", "skein/recipes", "cryptography*", "cffi*", "pycparser*")),
    *(f"**/{name}" for name in ("_cffi_backend*", "*.dist-info", "pydoc_data", "lib2to3", "wsgiref")),
    *(f"**/{name}" for name in ("curses", "dbm", "xmlrpc", "unittest", "venv", "macholib", "architecture.rst")),
    *(f"**/site-packages/**/{name}" for name in ("*.typed", "*.pyx", "*.pxd", "*.pxi", "*.cc", "*.h", "*.js")),
    *("bin/*", "lib*/python3.*/distutils/README", "lib*/python3.*/distutils/command/command_template"),
)


def agent_env(progress: Callable[[str], None]) -> Path:
    """Return the archive with the interpreter and the packages that the agent needs (our extra `agent`).

    Our own code is not in it: it travels as a zip.

    Raises:
        StagingError: pip could not install the packages [agent-env-failed]; else as `pack`.
    """
    try:
        return cached_env(
            Requirements(items=agent_requirements(metadata.requires("yarn-submitter") or [])),
            imports=("aiohttp", "hdfs", "skein", "skein.core"),
            exclude=AGENT_EXCLUDES,
            compact=True,
            progress=lambda text: progress(f"once on this machine, the agent's Python: {text}"),
        )
    except StagingError as error:
        first = error.problems[0]
        if first.id not in ("pack-install-failed", "pack-no-pip"):
            raise
        sentence = "The environment of the job's agent, which is made once on this machine, could not be made."
        said = [line for line in first.evidence.splitlines() if not line.startswith(("WARNING: Retrying", "Ignoring"))]
        step = (
            "check that pip reaches its index (python3 -m pip download skein); without a network bring the packages "
            "(pip download 'yarn-submitter[agent]') and set PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR"
        )
        raise StagingError(Problem("agent-env-failed", sentence, "\n".join(said), step)) from error


def agent_requirements(declared: list[str]) -> tuple[str, ...]:
    """Return the requirements of the extra `agent` out of a distribution's metadata, without the extra's own marker.

    What remains of a marker (a Python version) is for the installer, which runs the Python that counts.
    """
    clause = re.compile(r"""\s*(?:\band\b)?\s*extra\s*==\s*['"]agent['"]""")
    chosen = (clause.sub("", line).strip() for line in declared if clause.search(line))
    return tuple(sorted(line.removesuffix(";").strip() for line in chosen))


def _write_and_unpack(
    entries: list[Entry], total_bytes: int, part: Path, unpacked: Path, progress: Callable[[str], None]
) -> Written:
    """Write the archive and, in the same breath, unpack it as a NodeManager would."""
    unpacked.mkdir()
    shown = -1

    def show(done_bytes: int) -> None:
        nonlocal shown
        tenths = min(10 * done_bytes // (total_bytes or 1), 9)
        if tenths > shown:
            shown = tenths
            progress(f"writing and unpacking: {tenths * 10} % of {total_bytes / 1e6:.0f} MB")

    with part.open("wb") as file, memory_log() as log:
        command = ["sh", "-c", "gzip -dc | tar xf -"]
        with child(command, stdin=subprocess.PIPE, stderr=log, cwd=unpacked) as unpacker:
            pipe = cast("BinaryIO", unpacker.stdin)
            written = None
            try:
                written = write_archive(entries, [_TargetFile(file, part), pipe], show)
                pipe.close()
            except BrokenPipeError:  # the log says why it ended
                pass
            code = unpacker.wait()
        errors = said_in(log)
    if written is None or code != 0:
        raise StagingError(proof_problem(f"gzip -dc | tar xf - ended with {code}\n{last_lines(errors)}"))
    return written


class _TargetFile:
    """The archive being written: its disk is the user's choice, so its errors are not the cache's."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file = file
        self.path = path

    def write(self, data: bytes) -> None:
        try:
            self.file.write(data)
            self.file.flush()
        except OSError as error:
            raise StagingError(target_problem(self.path.parent, str(error))) from error


def target_problem(directory: Path, evidence: str) -> Problem:
    """Return the problem of a place where the archive cannot be written."""
    sentence = f"The archive cannot be written into {directory}."
    return Problem("pack-target", sentence, evidence, "give another place with -o, or free some space")


def _part_file(target: Path) -> Path:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UsageError(target_problem(target.absolute().parent, str(error))) from error
    os.close(handle)
    return Path(name)


def _prove(
    python: Interpreter, venv: Path, imports: tuple[str, ...], scratch: Path, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Import the modules with the unpacked interpreter, in an empty environment; nothing may come from the source."""
    progress(f"proving: importing {', '.join(imports) or 'the standard library'}")
    home = scratch / "home"
    home.mkdir()
    places = {str(venv), python.prefix, python.stdlib, *python.dynload, *python.sites, python.base_prefix}
    tree = scratch / "unpacked"
    ask = {
        "imports": [*python.standard, *imports],
        "forbidden": sorted(places - SHARED_PREFIXES),
        "tree": str(tree),
    }
    environment = {"HOME": str(home), "TMPDIR": str(home)}  # so that what a module leaves at home goes with the rest
    proof: dict[str, Any] = ask_inside(tree / "bin" / "python3", "prove", ask, scratch, env=environment)
    if proof["leaks"]:
        raise StagingError(proof_problem("\n".join(proof["leaks"][:12])))
    return proof


def _member(entry: Entry) -> Member:
    size = entry.source.stat().st_size if entry.source else len(entry.data)
    return Member(entry.name, "link" if entry.link else "file", entry.link, entry.executable, size)


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[step] = time.monotonic() - start
