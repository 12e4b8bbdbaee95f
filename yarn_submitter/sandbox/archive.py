"""A class-data archive of Hadoop: parsed classes that every daemon maps instead of reading them from 168 jars.

Made once per Java and set of jars, at idle priority in the background: the first start's daemons log which classes
they load, and `java -Xshare:dump` turns the merged list into the archive (about 20 s of CPU, 130 MB). A JVM that
cannot use an archive goes on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.sandbox.files import write_beside
from yarn_submitter.sandbox.jars import hadoop_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from yarn_submitter.sandbox.state import SandboxState

# Classes the JVM makes at run time: lambdas, proxies, method handles' glue.
_MADE_AT_RUN_TIME = re.compile(
    r"\$\$Lambda|/0x|\$Proxy\d|LambdaForm\$|GeneratedMethodAccessor|GeneratedConstructorAccessor"
)
DUMP_FLAG = "-Xshare:dump"
# Arguments: the unfinished file, the archive, a file that says "this Java cannot", the command. A Java that was ended
# from outside (HUP, INT, KILL, TERM) could have. After a signal of our own it is waited for: it may still write.
_SCRIPT = """part=$1 archive=$2 failed=$3; shift 3
trap 'ended=1; kill $java' TERM
"$@" & java=$!
wait $java; status=$?
[ "$ended" ] && wait $java
if [ $status = 0 ]; then mv "$part" "$archive"; exit; fi
rm -f "$part"
case $status in 129|130|137|143) ;; *) : > "$failed" ;; esac
"""
# A dump takes a minute on a busy machine; one that failed is tried again another day, for the cause may be gone.
_PART_KEPT_S, _FAILURE_KEPT_S = 3600.0, 86400.0
_LOADED = re.compile(r"^(\S+) source: (?:jrt:/|file:|shared objects file)")


def archive_path(java_home: Path, jars: Sequence[Path]) -> Path:
    """Return where the archive of this Java and these jars lies; it may not exist."""
    digest = hashlib.sha256()
    release = java_home / "release"
    for part in (str(java_home), release.read_text("utf-8") if release.exists() else "", *map(str, jars)):
        digest.update(part.encode() + b"\0")
    return hadoop_dir() / f"classes-{digest.hexdigest()[:12]}.jsa"


def sweep(java_home: Path, jars: Sequence[Path]) -> None:
    """Remove archives, and notes of failures, that no Java uses any more: other jars, another Java, one that is gone.

    Which Java an archive is for stands beside it, in `classes-*.java`. A JVM that uses a removed archive keeps it.

    Args:
        java_home: The Java of now.
        jars: The class path of now.
    """
    directory = hadoop_dir()
    with contextlib.suppress(FileNotFoundError):  # another sandbox sweeps, too
        homes = {java_home, *(Path(note.read_text("utf-8")) for note in directory.glob("classes-*.java"))}
        current = {archive_path(home, jars).stem for home in homes if (home / "bin" / "java").exists()}
        for path in directory.glob("classes-*.*"):
            if path.stem not in current or (path.suffix == ".failed" and _age_s(path) > _FAILURE_KEPT_S):
                path.unlink()
        for part in directory.glob(".classes-*.jsa.*"):
            if _age_s(part) > _PART_KEPT_S:
                part.unlink()


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def archive_flags(java_home: Path, jars: Sequence[Path], class_log: Path) -> list[str]:
    """Return the flags that use the archive, or those that log what it would have to hold."""
    archive = archive_path(java_home, jars)
    if archive.exists():
        return ["-Xshare:auto", f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+path=off"]
    return [f"-Xlog:class+load=info:file={class_log}:none:filecount=0"]


def class_names(log_lines: Iterable[str]) -> set[str]:
    """Return the archivable classes of a JVM's class-load log, as the class list wants them (`java/lang/Object`)."""
    names = set()
    for line in log_lines:
        found = _LOADED.match(line)
        if found and not _MADE_AT_RUN_TIME.search(found[1]):
            names.add(found[1].replace(".", "/"))
    return names


def start_archiving(state: SandboxState, jars: Sequence[Path], directory: Path, mark: str) -> int | None:
    """Start making the archive from the daemons' class logs, at the lowest priority, in a session of its own.

    Args:
        state: The sandbox whose daemons have logged their classes.
        jars: The class path, in order.
        directory: The sandbox's directory.
        mark: An argument that tells the process apart.

    Returns:
        The id of the process, or None when there is nothing to make.
    """
    archive = archive_path(Path(state.java_home), jars)
    temporary = directory / "tmp"
    logs = sorted(temporary.glob("classes-*.log"))
    failed = archive.with_suffix(".failed")
    if archive.exists() or failed.exists() or not logs:
        return None
    names: set[str] = set()
    for path in logs:
        with path.open(encoding="utf-8", errors="replace") as lines:
            names |= class_names(lines)
    class_list = temporary / "classes.list"
    write_beside(class_list, "\n".join(sorted(names)) + "\n")
    write_beside(archive.with_suffix(".java"), state.java_home)
    part = archive.with_name(f".{archive.name}.{os.getpid()}")
    dump = [
        str(Path(state.java_home) / "bin" / "java"),
        mark,
        DUMP_FLAG,
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={temporary}",  # the sandbox's other JVMs have the same
        f"-XX:SharedClassListFile={class_list}",
        f"-XX:SharedArchiveFile={part}",
        "-cp",
        os.pathsep.join(map(str, jars)),
    ]
    nice = ["nice", "-n", "19"] if shutil.which("nice") else []
    with (directory / "logs" / "class-archive.log").open("wb") as output:
        process = subprocess.Popen(
            [*nice, "/bin/sh", "-c", _SCRIPT, mark, str(part), str(archive), str(failed), *dump],
            cwd=temporary,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # it may end while we live: no zombie, no warning
    return process.pid
