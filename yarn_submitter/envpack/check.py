"""What an archive of a user holds, read once, and what of it would not work on another machine (pure)."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from yarn_submitter.config import cache_dir
from yarn_submitter.errors import Problem
from yarn_submitter.scratch import cache_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FACTS_VERSION = 1
SHOWN = 3
PYTHON = re.compile(r"((?:[^/]+/)?)bin/python(?:3(?:\.\d+)?)?")
STDLIB = re.compile(r"((?:[^/]+/)?)lib(?:64)?/python3[.\d]*(?:/os\.py|\.zip)")
LINKS_LIMIT = 40  # the kernel's own (ELOOP)


class Member(NamedTuple):
    """One member of an archive: kind is file, dir, link, hard or other; home is what a pyvenv.cfg says."""

    name: str
    kind: str
    link: str
    executable: bool
    size: int
    home: str = ""


@dataclass(frozen=True)
class PythonFact:
    """One interpreter in the archive.

    Attributes:
        name: Its path in the archive.
        state: "inside", "outside" (its chain of links, or its standard library, leaves the archive) or "dangling".
        link: The member that leads outside or nowhere; empty otherwise.
        target: Where that member leads.
        executable: Whether the file at the end of the chain may be executed.
    """

    name: str
    state: str
    link: str
    target: str
    executable: bool


@dataclass(frozen=True)
class ArchiveFacts:
    """What is known of an archive.

    Attributes:
        path: The archive.
        kind: "tar", "zip", or "" when it could not be told.
        broken: Why it cannot be read; "missing" when there is no such file; empty when it can be read.
        members: Number of members.
        unpacked_bytes: Sum of their sizes.
        pythons: One interpreter for each directory `bin` at the root or one level below.
        links: Number of symbolic links.
        first_links: The first few of them.
        escaping: The first few members that would be unpacked outside of the directory.
    """

    path: str
    kind: str
    broken: str = ""
    members: int = 0
    unpacked_bytes: int = 0
    pythons: tuple[PythonFact, ...] = ()
    links: int = 0
    first_links: tuple[str, ...] = ()
    escaping: tuple[str, ...] = ()


def inspect_archive(path: Path) -> ArchiveFacts:
    """Return the facts of a zip, tar, or compressed tar; from the cache when path, size, time and inode are known.

    Raises:
        StagingError: The cache of facts cannot be written [cache-full, cache-unwritable].
    """
    try:
        known = _recall(path)
    except FileNotFoundError:
        return ArchiveFacts(str(path), "", "missing")
    if known is not None:
        return known
    kind = ""
    try:
        with path.open("rb") as file:
            kind = "zip" if file.read(4) in (b"PK\3\4", b"PK\5\6") else "tar"
        members = _zip_members(path) if kind == "zip" else _tar_members(path)
        facts = facts_of(path, kind, members)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        OSError,
        UnicodeDecodeError,
        ValueError,
    ) as error:
        said = f"{error or type(error).__name__}"
        if said.startswith("file could not be opened successfully"):  # and a line for each method that was tried
            said = "it is neither a tar (plain, gz, bz2, xz) nor a zip"
        return ArchiveFacts(str(path), kind, said)
    remember(facts)
    return facts


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            kind = "dir" if info.is_dir() else "link" if stat.S_ISLNK(mode) else "file"
            link = archive.read(info).decode("utf-8", "replace") if kind == "link" else ""
            home = _home(archive.read(info)) if posixpath.basename(info.filename) == "pyvenv.cfg" else ""
            yield Member(info.filename, kind, link, bool(mode & 0o111), info.file_size, home)


def _tar_members(path: Path) -> Iterator[Member]:
    with ExitStack() as stack:
        raw: Any = stack.enter_context(path.open("rb"))
        if raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            raw = stack.enter_context(_gunzip(raw))
            mode = "r|"
        else:
            raw.seek(0)
            mode = "r:*"
        with tarfile.open(fileobj=raw, mode=mode) as archive:  # type: ignore[call-overload]
            for info in archive:
                names = {tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard", tarfile.DIRTYPE: "dir"}
                kind = names.get(info.type, "file" if info.isfile() else "other")
                home = ""
                if kind == "file" and posixpath.basename(info.name) == "pyvenv.cfg":
                    content = archive.extractfile(info)
                    home = _home(content.read()) if content else ""
                yield Member(info.name, kind, info.linkname, bool(info.mode & 0o111), info.size, home)
        while raw.read(1 << 20):  # to the end, so that a cut-off file and a wrong checksum are seen
            pass


def _gunzip(raw: Any) -> Any:
    try:
        from isal import igzip
    except ImportError:
        import gzip

        return gzip.GzipFile(fileobj=raw)
    opened: Any = igzip.GzipFile
    return opened(fileobj=raw)


def _home(content: bytes) -> str:
    match = re.search(r"^home\s*=\s*(.+?)\s*$", content.decode("utf-8", "replace"), re.MULTILINE)
    return match[1] if match else ""


def facts_of(path: Path, kind: str, members: Iterable[Member]) -> ArchiveFacts:
    """Return the facts of an archive with these members (pure but for reading the iterator)."""
    links: dict[str, str] = {}
    executable: dict[str, bool] = {}
    pythons: list[str] = []
    homes: dict[str, str] = {}
    stdlibs: set[str] = set()
    first_links: list[str] = []
    escaping: list[str] = []
    count = link_count = unpacked = 0
    for member in members:
        count += 1
        unpacked += member.size if member.kind == "file" else 0
        name = posixpath.normpath(member.name)
        if name.startswith(("/", "../")) or name == "..":
            escaping.append(member.name)
            continue
        if member.kind == "link":
            link_count += 1
            links[name] = member.link
            first_links.append(f"{name} -> {member.link}")
        elif member.kind == "hard":
            links[name] = posixpath.relpath(member.link, posixpath.dirname(name) or ".")
        else:
            executable[name] = member.executable
        if PYTHON.fullmatch(name) and member.kind != "dir":
            pythons.append(name)
        if member.home:
            homes[posixpath.dirname(name)] = member.home
        if found := STDLIB.fullmatch(name):
            stdlibs.add(found[1].rstrip("/"))
    dirs = {posixpath.dirname(name) for name in pythons}
    tree = _Tree(links, executable, homes, stdlibs)
    chosen = tuple(tree.python(bin_dir, pythons) for bin_dir in sorted(dirs))
    return ArchiveFacts(
        str(path), kind, "", count, unpacked, chosen, link_count, tuple(first_links[:SHOWN]), tuple(escaping[:SHOWN])
    )


@dataclass(frozen=True)
class _Tree:
    links: dict[str, str]
    executable: dict[str, bool]
    homes: dict[str, str]
    stdlibs: set[str]

    def python(self, bin_dir: str, names: list[str]) -> PythonFact:
        """Judge the interpreters of one bin directory: the first that would not work, else the first."""
        here = sorted(name for name in names if posixpath.dirname(name) == bin_dir)
        judged = [self._judge(name) for name in here]
        bad = [fact for fact in judged if fact.state != "inside" or not fact.executable]
        return (bad or judged)[0]

    def _judge(self, name: str) -> PythonFact:
        at = name
        for _ in range(LINKS_LIMIT):
            at, link = self._step(at)
            if not link:
                break
            target = self.links[link]
            if at.startswith(("/", "../")) or at == "..":
                return PythonFact(name, "outside", link, target, executable=False)
        if at not in self.executable:
            return PythonFact(name, "dangling", link or name, at, executable=False)
        root = posixpath.dirname(posixpath.dirname(name))
        if root in self.homes and root not in self.stdlibs:
            config = posixpath.join(root, "pyvenv.cfg")
            return PythonFact(name, "outside", config, self.homes[root], executable=self.executable[at])
        return PythonFact(name, "inside", "", "", executable=self.executable[at])

    def _step(self, path: str) -> tuple[str, str]:
        """Follow the first link on the path: the new path and that link, or the path itself and ""."""
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            head = "/".join(parts[:end])
            if head in self.links:
                after = posixpath.join(posixpath.dirname(head), self.links[head], *parts[end:])
                return posixpath.normpath(after), head
        return path, ""


def archive_problems(facts: ArchiveFacts, needs_python: bool, *, interpreter_on_nodes: bool = False) -> list[Problem]:
    """Return what of an archive would not work on another machine (pure).

    Args:
        facts: What is known of it.
        needs_python: Whether the archive must hold an interpreter. When not, one that is there is still judged.
        interpreter_on_nodes: The user says that the nodes have what the interpreter's links lead to.
    """
    path = facts.path
    if facts.broken == "missing":
        return [Problem("archive-missing", f"The archive {path} does not exist.", next_step="check the path")]
    if facts.broken:
        step = "make it again (job pack makes environment archives)"
        return [Problem("archive-broken", f"The archive {path} cannot be unpacked.", facts.broken, step)]
    problems = []
    if facts.escaping:
        sentence = f"The archive {path} has members that would be unpacked outside of its directory."
        step = "make it again with relative names: tar -C DIR -czf FILE ."
        problems.append(Problem("archive-escapes", sentence, "\n".join(facts.escaping), step))
    if facts.kind == "zip" and facts.links:
        sentence = f"The archive {path} is a zip with {facts.links} symbolic links, which YARN unpacks as text files."
        step = "make a tar.gz instead, or use job pack for a Python environment"
        problems.append(Problem("archive-zip-links", sentence, "\n".join(facts.first_links), step))
    if needs_python and not facts.pythons:
        sentence = f"The archive {path} holds no bin/python."
        problems.append(Problem("archive-python-missing", sentence, "", "job pack VENV_DIR -o env.tar.gz"))
    for python in facts.pythons:
        problems += _python_problems(path, python, interpreter_on_nodes=interpreter_on_nodes)
    return problems


def _python_problems(path: str, python: PythonFact, *, interpreter_on_nodes: bool) -> list[Problem]:
    if python.state != "inside":
        if interpreter_on_nodes and python.state == "outside":
            return []
        sentence = f"{python.name} in the archive {path} leads to {python.target}, which is not in the archive."
        arrow = " says home =" if python.link.endswith("pyvenv.cfg") else " ->"
        step = "job pack VENV_DIR -o env.tar.gz takes the interpreter along"
        return [Problem("archive-python-outside", sentence, f"{python.link}{arrow} {python.target}", step)]
    if not python.executable:
        sentence = f"{python.name} in the archive {path} has lost its right to be executed."
        step = "make it again with tar (a zip made by Python loses modes), or use job pack"
        return [Problem("archive-python-not-executable", sentence, "", step)]
    return []


def _identity(path: Path) -> list[Any]:
    seen = path.stat()
    return [FACTS_VERSION, os.path.realpath(path), seen.st_size, seen.st_mtime_ns, seen.st_ino]


def _facts_file(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return cache_dir() / "archive-facts" / f"{name}.json"


def _recall(path: Path) -> ArchiveFacts | None:
    identity = _identity(path)
    try:
        known = json.loads(_facts_file(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if known.get("identity") != identity:
        return None
    facts = known["facts"]
    facts["pythons"] = tuple(PythonFact(**python) for python in facts["pythons"])
    for name in ("first_links", "escaping"):
        facts[name] = tuple(facts[name])
    return ArchiveFacts(**{**facts, "path": str(path)})


def remember(facts: ArchiveFacts) -> None:
    """Keep the facts of the archive as it is now.

    Raises:
        StagingError: [cache-full, cache-unwritable].
    """
    path = Path(facts.path)
    file = _facts_file(path)
    text = json.dumps({"identity": _identity(path), "facts": asdict(facts)})
    beside = file.with_suffix(f".{os.getpid()}.tmp")
    with cache_errors():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(text, "utf-8")
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
