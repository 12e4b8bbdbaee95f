"""The class-data archive: made beside and renamed, given up only when Java says so, removed when no Java uses it."""

import contextlib
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from yarn_submitter.sandbox.archive import archive_path, class_names, start_archiving, sweep
from yarn_submitter.sandbox.jars import hadoop_dir
from yarn_submitter.sandbox.processes import end, start_time
from yarn_submitter.sandbox.state import Process, SandboxState, Shape

MARK = "-Dmark=archive"
JARS = (Path("/jars/a.jar"), Path("/jars/b.jar"))
DAY_S = 86400


@pytest.fixture(autouse=True)
def shared(tmp_path, monkeypatch):
    """The directory that all sandboxes share, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    hadoop_dir().mkdir(parents=True)
    return hadoop_dir()


def a_java(home: Path, script: str = "") -> Path:
    """Make a Java of a shell script; `$part` is the archive that it is to make."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    find = "for word; do case $word in -XX:SharedArchiveFile=*) part=${word#*=};; esac; done\n"
    program.write_text(f"#!/bin/sh\n{find}{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return home


def archiving(home: Path, directory: Path) -> Process:
    """Begin to make an archive from one daemon's class log."""
    for part in ("tmp", "logs"):
        (directory / part).mkdir(parents=True)
    (directory / "tmp" / "classes-namenode.log").write_text("java.lang.Object source: jrt:/java.base\n")
    state = SandboxState("x", "id", "ada", str(home), Shape(), (), {}, {})
    pid = start_archiving(state, JARS, directory, MARK)
    assert pid is not None
    return Process(pid, start_time(pid) or "")


def wait_end(process: Process) -> None:
    """Wait for the end of an archiver; a thread of the module under test collects it."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def names(directory: Path) -> set[str]:
    """Return what lies in the shared directory."""
    return {path.name for path in directory.iterdir()}


def test_an_archive_is_made_beside_and_renamed(tmp_path, shared):
    """The end of the dump is the archive, with the Java that it is for beside it, and nothing else."""
    home = a_java(tmp_path / "java", 'echo archive > "$part"')
    wait_end(archiving(home, tmp_path / "box"))
    archive = archive_path(home, JARS)
    assert archive.read_text() == "archive\n"
    assert names(shared) == {archive.name, archive.with_suffix(".java").name}


def test_a_java_that_cannot_is_not_asked_again_today(tmp_path, shared):
    """A failed dump leaves its note and no archive; a day later the note is gone."""
    home = a_java(tmp_path / "java", 'echo half > "$part"; exit 1')
    wait_end(archiving(home, tmp_path / "box"))
    note = archive_path(home, JARS).with_suffix(".failed")
    assert names(shared) == {note.name, note.with_suffix(".java").name}
    sweep(home, JARS)
    assert note.exists()
    os.utime(note, (0, time.time() - DAY_S - 1))
    sweep(home, JARS)
    assert not note.exists()


@pytest.mark.parametrize("whom", ["the archiver", "its Java"])
def test_a_dump_that_was_ended_may_be_tried_again(tmp_path, shared, whom):
    """Ended from outside, by `down` or for want of memory, it leaves neither a note of failure nor half an archive."""
    os.mkfifo(tmp_path / "ready")
    program = (
        "import os, signal, sys\n"
        "def late(*_):\n    open(sys.argv[1], 'w').write('half'); os._exit(143)\n"
        "signal.signal(signal.SIGTERM, late)\n"
        f"open({str(tmp_path / 'ready')!r}, 'w').write(str(os.getpid()))\n"
        "signal.pause()\n"
    )
    (tmp_path / "program.py").write_text(program)
    home = a_java(tmp_path / "java", f'exec {sys.executable} {tmp_path / "program.py"} "$part"')
    process = archiving(home, tmp_path / "box")
    java = int((tmp_path / "ready").read_text())
    if whom == "its Java":
        os.kill(java, signal.SIGTERM)
        wait_end(process)
    else:
        end([process], MARK, 10)
    assert names(shared) == {archive_path(home, JARS).with_suffix(".java").name}


def test_what_no_java_uses_is_removed(tmp_path, shared):
    """Archives for other jars, a Java that was changed or one that is gone go; another Java's and a new part stay."""
    now, other, changed, gone = (a_java(tmp_path / name) for name in ("now", "other", "changed", "gone"))
    kept = set()
    for home, jars in ((now, JARS), (other, JARS), (changed, JARS), (gone, JARS), (other, JARS[:1])):
        archive = archive_path(home, jars)
        archive.write_text("archive")
        archive.with_suffix(".java").write_text(str(home))
        if jars == JARS and home in (now, other):
            kept |= {archive.name, archive.with_suffix(".java").name}
    (shared / "classes-0123456789ab.jsa").write_text("by an earlier version")
    (shared / "classes-0123456789ab.failed").write_text("")
    (shared / ".classes-0123456789ab.jsa.1").write_text("a dump that was killed")
    (shared / ".classes-0123456789ab.jsa.2").write_text("a dump that runs")
    (shared / "jars").mkdir()
    os.utime(shared / ".classes-0123456789ab.jsa.1", (0, time.time() - DAY_S))
    (changed / "release").write_text("17.0.99")
    (gone / "bin" / "java").unlink()
    sweep(now, JARS)
    assert names(shared) == kept | {"jars", ".classes-0123456789ab.jsa.2"}


def test_classes_made_at_run_time_are_not_archived():
    """The class list holds classes that come from files; generated ones would make the dump complain."""
    lines = [
        "java.lang.Object source: shared objects file",
        "org.apache.hadoop.conf.Configuration source: file:/x/hadoop-common.jar",
        "java.net.Socket source: jrt:/java.base",
        "jdk.proxy1.$Proxy3 source: __JVM_DefineClass__",
        "a.B$$Lambda$12/0x0000 source: a.B",
        "a.B$$Lambda$13 source: file:/x/b.jar",
        "not a line of this kind",
    ]
    assert class_names(lines) == {"java/lang/Object", "org/apache/hadoop/conf/Configuration", "java/net/Socket"}
