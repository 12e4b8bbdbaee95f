"""What cannot work is refused before anything is submitted: one sentence with an id, the cause, what to type next."""

from __future__ import annotations

import io
import os
import pty
import select
import shutil
import signal
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from cluster.leftovers import site_of
from cluster.refusing import TOLD_S, nothing_submitted, refused  # noqa: F401  the fixture holds for every test here
from cluster.typing_jobs import JOB, Result, Typist, until

from yarn_submitter.config import cache_dir
from yarn_submitter.localfiles import describe
from yarn_submitter.sandbox import SandboxInfo

CLOSED = "http://127.0.0.1:9"  # the port of `discard`, which nobody serves
PLAIN = ("bash", "sh", "env", "cat", "tar", "gzip")


def programs(directory: Path, *names: str) -> str:
    """Return a PATH that holds these programs and no others."""
    directory.mkdir()
    for name in names:
        (directory / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return str(directory)


def script(path: Path, text: str) -> Path:
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def archive(path: Path, *members: tuple[str, str]) -> None:
    """Write a tar.gz with links and files: (name, "-> target") or (name, text)."""
    with tarfile.open(path, "w:gz") as target:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            if content.startswith("-> "):
                member.type, member.linkname = tarfile.SYMTYPE, content[3:]
            member.size = 0 if member.issym() else len(content)
            target.addfile(member, io.BytesIO(content.encode()))


def make_missing(_path: Path) -> None:
    """Make nothing."""


def make_cut(path: Path) -> None:
    """Make an archive that ends too soon."""
    archive(path, ("data", "x" * 5000))
    path.write_bytes(path.read_bytes()[:60])


def make_text(path: Path) -> None:
    """Make a text with the name of an archive."""
    path.write_text("<html>404</html>")


def make_plain_virtualenv(path: Path) -> None:
    """Make the archive of a virtualenv whose interpreter stayed at home."""
    archive(path, ("bin/python3", "-> /usr/local/bin/python3"), ("pyvenv.cfg", "home = /usr/local/bin\n"))


def make_escaping(path: Path) -> None:
    """Make an archive that writes beside its directory."""
    archive(path, ("../outside", "x"))


def make_zip_with_links(path: Path) -> None:
    """Make a zip that holds a symbolic link."""
    with zipfile.ZipFile(path, "w") as target:
        link = zipfile.ZipInfo("latest")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        target.writestr(link, "data")


@pytest.mark.parametrize(
    ("name", "make", "problem", "said"),
    [
        ("env.tar.gz", make_missing, "localization-missing", "there is no"),
        ("env.tar.gz", make_cut, "archive-broken", "ended before"),
        ("env.tar.gz", make_text, "archive-broken", "neither a tar"),
        ("env.tar.gz", make_plain_virtualenv, "archive-python-outside", "bin/python3 -> /usr/local/bin/python3"),
        ("env.tar.gz", make_escaping, "archive-escapes", "../outside"),
        ("env.zip", make_zip_with_links, "archive-zip-links", "latest -> data"),
        ("env.rar", make_text, "archive-kind", ".tar.gz"),
    ],
)
def test_an_archive_that_no_node_could_use(typist: Typist, tmp_path: Path, name, make, problem, said) -> None:
    """An archive is looked into before anything is sent; the fault is named, with the member that is at fault."""
    path = tmp_path / name
    make(path)
    words = typist.generic("archive", "--localization", f"{path}#archive:./env", a="true")
    ended = typist.type(*words, deadline_s=TOLD_S)
    assert str(path) in ended.err
    assert ended.code == 64
    assert f"[{problem}]" in ended.err
    assert said in ended.err


def test_a_file_on_the_cluster_that_is_not_there(typist: Typist) -> None:
    """A path on HDFS is looked for before anything is sent."""
    words = typist.generic("nowhere", "--localization", "hdfs:///no/such.tar.gz#archive:./env", a="true")
    refused(typist.type(*words, deadline_s=TOLD_S), 64, "localization-missing", "hdfs:///no/such.tar.gz")


@pytest.mark.parametrize(
    ("queue", "user", "problem", "said"),
    [
        ("nope", "", "queue-unknown", "default, ml"),
        ("root", "", "queue-not-leaf", "default, ml"),
        ("prod", "eve", "queue-denied", "choose one of these with --queue: default, ml\n"),
    ],
)
def test_a_queue_that_takes_no_job(typist: Typist, queue: str, user: str, problem: str, said: str) -> None:
    """An unknown queue, one above others, and one closed to the user are refused with those that are open."""
    who = {"HADOOP_USER_NAME": user} if user else {}
    ended = typist.type(*typist.generic("queue", "--queue", queue, a="true"), deadline_s=TOLD_S, **who)
    refused(ended, 64, problem, said)


def test_a_user_without_a_home(typist: Typist) -> None:
    """Whoever may not write to HDFS is told which place was tried and what to ask for; no driver is started."""
    ended = typist.type(*typist.generic("homeless", a="true"), deadline_s=TOLD_S, HADOOP_USER_NAME="nobody-here")
    refused(ended, 77, "home-denied", "/user/nobody-here", "YARN_SUBMITTER_ROOT")


def test_everything_wrong_is_said_at_once(typist: Typist, tmp_path: Path) -> None:
    """Wrong queue, wrong archive and too much memory come as three problems of one answer."""
    make_text(tmp_path / "e.tar.gz")
    words = ["--queue", "nope", "--localization", f"{tmp_path}/e.tar.gz#archive:./e"]
    ended = typist.type(*typist.generic("wrong", *words, memory="100G", a="true"), deadline_s=TOLD_S)
    assert ended.code == 64
    assert "job: 3 problems:" in ended.err
    for problem in ("queue-unknown", "archive-broken", "memory-too-large"):
        assert f"[{problem}]" in ended.err


@pytest.mark.parametrize(
    ("cluster", "conf", "problem", "said"),
    [
        ([], "", "no-cluster", "job sandbox up"),
        ([], "{tmp}/nowhere", "conf-broken", "There is no directory"),
        ([], "{tmp}/empty", "conf-broken", "core-site.xml"),
        ([], "{tmp}/broken", "conf-broken", "hdfs-site.xml is not well-formed XML in line 1"),
        (["--cluster", "nosuch"], "", "cluster-unknown", "'nosuch'"),
        (["--cluster", "sandbox:nosuch"], "", "sandbox-unknown", "job sandbox up --name nosuch"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "list"])
def test_no_cluster_or_a_broken_one(
    typist: Typist, tmp_path: Path, cluster: list[str], conf: str, problem: str, said: str, verb: str
) -> None:
    """Every verb tells a missing or broken configuration in one sentence with the file and what to set."""
    (tmp_path / "empty").mkdir()
    shutil.copytree(typist.environment["HADOOP_CONF_DIR"], tmp_path / "broken")
    (tmp_path / "broken" / "hdfs-site.xml").write_text("<configuration><prop")
    words = typist.generic("nowhere", *cluster, a="true") if verb == "run" else [verb, *cluster]
    ended = typist.type(*words, deadline_s=TOLD_S, HADOOP_CONF_DIR=conf.format(tmp=tmp_path), YARN_CONF_DIR="")
    refused(ended, 64, problem, said)


def test_no_java_or_no_yarn(typist: Typist, sandbox: SandboxInfo, tmp_path: Path) -> None:
    """Java and Hadoop's `yarn` are looked for before staging; which of the variables is wrong is said."""
    words = typist.generic("java", a="true")
    bare = programs(tmp_path / "bin", *PLAIN)
    with_yarn = f"{sandbox.bin_dir}{os.pathsep}{bare}"
    nowhere = typist.type(*words, deadline_s=TOLD_S, PATH=with_yarn, JAVA_HOME="")
    refused(nowhere, 64, "java-missing", "JAVA_HOME is not set, and PATH has no java")
    wrong = typist.type(*words, deadline_s=TOLD_S, JAVA_HOME="/no/such/java")
    refused(wrong, 64, "java-missing", "JAVA_HOME is /no/such/java")
    no_yarn = typist.type(*words, deadline_s=TOLD_S, PATH=bare)
    refused(no_yarn, 64, "yarn-missing", "HADOOP_HOME")


def test_a_driver_that_cannot_start(typist: Typist, sandbox: SandboxInfo, tmp_path: Path) -> None:
    """A Java that fails, or a `yarn` that fails, is shown with its own words, and what had been begun is gone."""
    words = typist.generic("driver", a="true")
    java = script(tmp_path / "jdk" / "bin" / "java", "echo Unsupported class version >&2; exit 1")
    refused(
        typist.type(*words, JAVA_HOME=str(java.parent.parent)),
        69,
        "driver-failed",
        "  Unsupported class version\n",
        "next: check that `yarn classpath --glob`",
    )
    yarn = script(tmp_path / "hadoop" / "bin" / "yarn", "echo HADOOP_HOME is not set >&2; exit 1")
    path = os.pathsep.join([str(yarn.parent), typist.environment["PATH"]])
    refused(typist.type(*words, PATH=path), 69, "driver-failed", "  HADOOP_HOME is not set\n")


def test_an_agent_environment_that_cannot_be_made(typist: Typist, tmp_path: Path) -> None:
    """On a machine whose pip reaches no index, the first submit says so, and how to do without a network."""
    without = {"PIP_INDEX_URL": CLOSED, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    ended = typist.type(*typist.generic("offline", a="true"), XDG_CACHE_HOME=str(tmp_path), **without)
    refused(ended, 73, "agent-env-failed", "No matching distribution found", "PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR")
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


def test_a_cache_without_room_or_rights(typist: Typist, tmp_path: Path) -> None:
    """A full disk below the cache and a cache that cannot be written are told, with the variable that moves it."""
    words = typist.generic("full", a="true")
    (tmp_path / "file").touch()
    unwritable = typist.type(*words, XDG_CACHE_HOME=str(tmp_path / "file"))
    refused(unwritable, 73, "cache-unwritable", "XDG_CACHE_HOME")
    # A disk of its own, that nobody else sees: as root, or where users may have namespaces.
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    mount = f"mount -t tmpfs -o size=2m none {disk}"
    if subprocess.run([*alone, "sh", "-c", mount], capture_output=True, check=False).returncode:
        return
    environment = {**typist.environment, "XDG_CACHE_HOME": str(disk), "HADOOP_USER_NAME": my_name()}
    done = subprocess.run(
        [*alone, "sh", "-c", f'{mount} && exec "$@"', "sh", JOB, *words],
        env=environment,
        cwd=typist.directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    refused(Result(done.returncode, done.stdout, done.stderr), 73, "cache-full", "No space left on device")


def my_name() -> str:
    """Return the name of who runs the tests, whom another user namespace calls root."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [(signal.SIGINT, 130, "sending"), (signal.SIGINT, 130, "submitting"), (signal.SIGTERM, 143, "sending")],
)
def test_an_interrupted_submission_leaves_nothing(
    typist: Typist, sandbox: SandboxInfo, tmp_path: Path, number: int, code: int, moment: str
) -> None:
    """Ctrl-C while files are sent, or while YARN is asked: no job, no half file on HDFS, no driver, and it says so."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate((400 if moment == "sending" else 1) << 20)  # it shall last until it is interrupted
    site = site_of(sandbox)
    site.store.makedirs(site.paths.jobs)
    words = typist.generic("stopped", "--detach", "--localization", f"{large}:./large", a="sleep 300")
    running = typist.start(*words)
    if moment == "sending":
        running.wait_line("sending")
    else:
        jobs = len(site.store.list(site.paths.jobs))
        until("the job's directory is made", lambda: len(site.store.list(site.paths.jobs)) > jobs)
    running.process.send_signal(number)
    ended = running.end(30)
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    if number == signal.SIGINT:
        assert "interrupted before the job was submitted. Nothing is left of it." in ended.err
    objects = [entry.name for entry in site.store.list(site.paths.cache)]
    assert not any(".ys-tmp-" in name for name in objects)
    if moment == "sending":
        assert describe(str(large)).sha256 not in "".join(objects)
    assert not list((cache_dir() / "tmp").glob("driver-*"))


@pytest.mark.parametrize("moment", ["sending", "submitting to YARN"])
def test_a_window_that_is_closed_leaves_nothing(
    typist: Typist, sandbox: SandboxInfo, tmp_path: Path, moment: str
) -> None:
    """While a job is submitted: nothing can be said any more, and all that was begun is removed, or the job ended."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate((400 if moment == "sending" else 1) << 20)  # it shall last until the window is closed
    window, theirs = pty.openpty()
    words = typist.generic("closed", "--localization", f"{large}:./large", "--kill_on_exit", a="sleep 300")
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen([JOB, *words], env={**typist.environment, "TERM": "xterm"}, cwd=tmp_path, **streams)
    os.close(theirs)
    seen = b""
    while moment.encode() not in seen:
        assert select.select([window], [], [], 60)[0], f"never said: {moment}; but {seen!r}"
        seen += os.read(window, 65536)
    os.close(window)
    process.send_signal(signal.SIGHUP)  # as the kernel does for a terminal's own processes
    assert process.wait(30) == 128 + signal.SIGHUP
    site = site_of(sandbox)
    assert not any(".ys-tmp-" in entry.name for entry in site.store.list(site.paths.cache))
    assert not list((cache_dir() / "tmp").glob("driver-*"))
