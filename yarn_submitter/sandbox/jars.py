"""Hadoop's jars: the committed list with its lock, and the shared directory below the cache that holds them.

The lock (conf/sandbox/jars.lock) has one line per file: sha256, size in bytes, `group:artifact:version[:classifier]`.
Files come from Maven's repositories through jgo with the user's own jgo settings (repositories, local repository);
each is checked against the lock before it is renamed into its place, so an interrupted download costs one file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yarn_submitter.config import bundle_dir, cache_dir
from yarn_submitter.errors import Problem, StagingError
from yarn_submitter.sandbox.files import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

PARALLEL_DOWNLOADS = 8
DOWNLOAD_TIMEOUT_S = 30
DOWNLOAD_TRIES = 3


@dataclass(frozen=True)
class Jar:
    """One locked file: Maven coordinates, size in bytes, sha256 in hexadecimal."""

    group: str
    artifact: str
    version: str
    classifier: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The file's name in a Maven repository and in our directory."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{suffix}.jar"

    @property
    def repository_path(self) -> str:
        """The file's path below the root of a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"


@dataclass(frozen=True)
class JarList:
    """The wanted modules: Hadoop's version, `group:artifact` roots, `group:artifact` to leave out."""

    version: str
    roots: tuple[str, ...]
    excluded: frozenset[str]


def parse_list(text: str) -> JarList:
    """Read conf/sandbox/jars.list (its own comments describe the format)."""
    version, roots, excluded = "", [], set()
    for line in _lines(text):
        if line.startswith("version "):
            version = line.removeprefix("version ").strip()
        elif line.startswith("-"):
            excluded.add(line[1:])
        else:
            roots.append(line)
    return JarList(version, tuple(roots), frozenset(excluded))


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read conf/sandbox/jars.lock: `sha256 size group:artifact:version[:classifier]` per line."""
    jars = []
    for line in _lines(text):
        sha256, size, coordinates = line.split()
        group, artifact, version, *rest = coordinates.split(":")
        jars.append(Jar(group, artifact, version, rest[0] if rest else "", int(size), sha256))
    return tuple(jars)


def format_lock(jars: Iterable[Jar]) -> str:
    """Return the text of a lock, sorted by coordinates."""
    lines = ["# Made by `python -m yarn_submitter.sandbox.jars relock` from jars.list: sha256, bytes, coordinates."]
    for jar in sorted(jars, key=lambda jar: (jar.group, jar.artifact, jar.classifier)):
        coordinates = ":".join(filter(None, (jar.group, jar.artifact, jar.version, jar.classifier)))
        lines.append(f"{jar.sha256} {jar.size} {coordinates}")
    return "\n".join(lines) + "\n"


def _lines(text: str) -> list[str]:
    return [line for raw in text.splitlines() if (line := raw.split("#")[0].strip())]


def list_path() -> Path:
    """Return the path of the committed list of modules."""
    return bundle_dir() / "conf" / "sandbox" / "jars.list"


def lock_path() -> Path:
    """Return the path of the committed lock."""
    return bundle_dir() / "conf" / "sandbox" / "jars.lock"


def hadoop_version() -> str:
    """Return the Hadoop version of the committed list."""
    return parse_list(list_path().read_text("utf-8")).version


def hadoop_dir() -> Path:
    """Return the directory that all sandboxes of this Hadoop version share; it may not exist yet."""
    return cache_dir() / f"hadoop-{hadoop_version()}"


def ensure_jars(progress: Callable[[str], None]) -> tuple[Path, ...]:
    """Bring every locked jar into the shared directory and return the files in the lock's order.

    Costs one `stat` per file when nothing has changed since the last check.

    Raises:
        StagingError: A file cannot be downloaded, differs from the lock, or the disk is full.
    """
    lock_text = lock_path().read_text("utf-8")
    jars = parse_lock(lock_text)
    directory = hadoop_dir() / "jars"
    with disk_full_is_an_error(directory):
        directory.mkdir(parents=True, exist_ok=True)
        stamp = hadoop_dir() / "jars.checked"
        if not (stamp.exists() and stamp.read_text("utf-8") == _fingerprint(lock_text, directory)):
            with locked(hadoop_dir() / "jars.lock-file", lambda: progress("waiting for another download of Hadoop")):
                complete(jars, directory, progress)
                stamp.write_text(_fingerprint(lock_text, directory), "utf-8")
    return tuple(directory / jar.file_name for jar in jars)


def _fingerprint(lock_text: str, directory: Path) -> str:
    """Return a digest of the lock and of each file's name, size and modification time."""
    digest = hashlib.sha256(lock_text.encode())
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        status = entry.stat()
        digest.update(f"{entry.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def complete(jars: Sequence[Jar], directory: Path, progress: Callable[[str], None]) -> None:
    """Make the directory hold exactly the jars: remove what is not one of them, keep what equals them, fetch the rest.

    Raises:
        StagingError: A file cannot be downloaded, or differs from its sha256.
    """
    wanted = {jar.file_name: jar for jar in jars}
    for path in directory.iterdir():
        jar = wanted.get(path.name)
        if jar is None or not _matches(path, jar):
            path.unlink()
    missing = [jar for jar in jars if not (directory / jar.file_name).exists()]
    if missing:
        _download(missing, directory, progress)


def _download(jars: Sequence[Jar], directory: Path, progress: Callable[[str], None]) -> None:
    repositories = tuple(_maven(hadoop_dir(), "Hadoop's jars are not in the cache").remote_repos.values())
    total_mb = sum(jar.size for jar in jars) / 1e6
    done_mb, said = 0.0, 0
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        # The largest first: the last seconds are then spent on small files, by all threads.
        todo = sorted(jars, key=lambda jar: -jar.size)
        running: set[Future[Jar]] = {pool.submit(_fetch, repositories, jar, directory) for jar in todo}
        progress(f"downloading Hadoop {hadoop_version()}: {len(jars)} files, {total_mb:.0f} MB")
        try:
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                done_mb += sum(future.result().size for future in finished) / 1e6
                if (percent := int(100 * done_mb / total_mb) // 5 * 5) > said:
                    said = percent
                    progress(f"downloading Hadoop {hadoop_version()}: {done_mb:.0f} of {total_mb:.0f} MB")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(repositories: Sequence[str], jar: Jar, directory: Path) -> Jar:
    """Bring one file into its place: from the user's local Maven repository if it is there, else from a remote one."""
    target = directory / jar.file_name
    beside = target.with_name(f".{jar.file_name}.part")
    local = _local_repository() / jar.repository_path
    if _matches(local, jar):
        shutil.copyfile(local, beside)
    else:
        _fetch_remote([f"{base.rstrip('/')}/{jar.repository_path}" for base in repositories], jar, beside)
    if not _matches(beside, jar):
        seen = f"{beside.stat().st_size} bytes, sha256 {_sha256(beside)}"
        beside.unlink()
        raise StagingError(
            Problem(
                "jar-checksum",
                f"{jar.file_name} from the Maven repository is not the file that the lock names.",
                f"expected {jar.size} bytes, sha256 {jar.sha256}\ngot      {seen}",
                "look at the mirror or proxy between here and the repository, then run the command again",
            )
        )
    beside.replace(target)
    return jar


def _fetch_remote(urls: Sequence[str], jar: Jar, target: Path) -> None:
    """Write the first answer of the addresses to `target`; each is asked up to DOWNLOAD_TRIES times."""
    import requests  # jgo's own HTTP library: the user's proxies, certificates and .netrc count

    failures = []
    for url in list(urls) * DOWNLOAD_TRIES:
        try:
            with _session().get(url, stream=True, timeout=DOWNLOAD_TIMEOUT_S) as answer, target.open("wb") as file:
                if answer.status_code == requests.codes.ok:
                    for block in answer.iter_content(1 << 18):
                        file.write(block)
                    return
                failures.append(f"{url}: HTTP status {answer.status_code}")
        except requests.RequestException as error:
            failures.append(f"{url}: {error}")
    target.unlink(missing_ok=True)
    raise StagingError(
        Problem(
            "jar-download",
            f"{jar.file_name} could not be downloaded from a Maven repository.",
            "\n".join(dict.fromkeys(failures)),
            "look at the network (or at [repositories] in ~/.config/jgo.conf), then run the command again: "
            "complete files are kept",
        )
    )


_thread = threading.local()


def _session() -> Any:
    """Return this thread's HTTP session: one connection serves many files."""
    import requests

    if not hasattr(_thread, "session"):
        _thread.session = requests.Session()
    return _thread.session


def _maven(repository_cache: Path, purpose: str) -> Any:
    """Return jgo's context with the user's repositories, writing its files below `repository_cache`."""
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise StagingError(
            Problem(
                "jgo-missing",
                f"The package jgo is not installed, and {purpose}.",
                f"looked for: jgo, by {sys.executable}",
                "pip install 'yarn-submitter[sandbox]'",
            )
        ) from None
    return MavenContext(
        # Lenient: a POM names artifacts of other platforms whose versions only other profiles define.
        resolver=PythonResolver(lenient=True),
        repo_cache=repository_cache,
        remote_repos=GlobalSettings.load().repositories or None,
        timeout=DOWNLOAD_TIMEOUT_S,
    )


def _local_repository() -> Path:
    """Return the user's local Maven repository (M2_REPO, else ~/.m2/repository), which is only read."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def _matches(path: Path, jar: Jar) -> bool:
    return path.is_file() and path.stat().st_size == jar.size and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class disk_full_is_an_error:  # noqa: N801 - reads as a statement where it is used
    """Context that turns "no space left" into a StagingError naming the directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        """Raise StagingError in the place of an OSError that means a full disk or quota."""
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StagingError(
                Problem(
                    "cache-full",
                    f"The disk below {self.directory} is full.",
                    str(error),
                    "make room, or name another place with XDG_CACHE_HOME, then run the command again",
                )
            ) from None


def relock() -> str:
    """Resolve conf/sandbox/jars.list with jgo, download every file once and return the new lock's text.

    Raises:
        StagingError: The list cannot be resolved or a file cannot be downloaded.
    """
    wanted = parse_list(list_path().read_text("utf-8"))
    hadoop_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="relock-", dir=hadoop_dir()) as temporary:
        context = _maven(Path(temporary), "it resolves the list")
        roots = [
            context.create_dependency(
                f"{root}:{wanted.version if root.startswith('org.apache.hadoop:') else 'MANAGED'}"
            )
            for root in wanted.roots
        ]
        inputs, transitive = context.resolver.resolve(roots)
        found = {}
        for dependency in [*inputs, *transitive]:
            if f"{dependency.groupId}:{dependency.artifactId}" in wanted.excluded or dependency.type != "jar":
                continue
            found[(dependency.groupId, dependency.artifactId, dependency.classifier)] = dependency.artifact
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            return format_lock(pool.map(_locked_jar, found.values()))


def _locked_jar(artifact: Any) -> Jar:
    jar = Jar(artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier or "", 0, "")
    path = Path(artifact.resolve())
    return Jar(jar.group, jar.artifact, jar.version, jar.classifier, path.stat().st_size, _sha256(path))


if __name__ == "__main__":
    if sys.argv[1:] != ["relock"]:
        sys.exit("usage: python -m yarn_submitter.sandbox.jars relock")
    lock_path().write_text(relock(), "utf-8")
