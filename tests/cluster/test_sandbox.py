"""The sandbox itself, typed: it comes up once, tells how it is, is mended after a kill, ends its own processes only.

One sandbox of one node serves the whole module; a second one beside it first fails to start, then comes up, then goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.leftovers import site_of
from cluster.typing_jobs import JOB, Result, Typist, until

from yarn_submitter.sandbox import Sandbox, SandboxInfo, require

NAME = f"box-{os.getpid()}"
SECOND = f"box2-{os.getpid()}"
BLOCK_BYTES = "3145728"
DAEMONS = {"resourcemanager", "node1", "namenode", "datanode"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxInfo]:
    """A sandbox of one node with a property of its own, as it was typed."""
    words = ["--nodes", "1", "--set", f"dfs.blocksize={BLOCK_BYTES}", "--set", "a.b=x y"]
    try:
        done = subprocess.run([JOB, "sandbox", "up", "--name", NAME, *words], check=False, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        yield require(NAME)
    finally:
        for name in (NAME, SECOND):
            Sandbox(name).down(delete=True)


@pytest.fixture(scope="module")
def typist(sandbox: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Somebody who types `job ...`."""
    return Typist(sandbox, tmp_path_factory.mktemp("typist"))


@pytest.fixture
def box(typist: Typist) -> Box:
    """The module's sandbox, to type at."""
    return Box(typist, NAME)


class Box:
    """One named sandbox, to type `job sandbox ...` at."""

    def __init__(self, typist: Typist, name: str) -> None:
        self.typist = typist
        self.name = name

    def type(self, action: str, *words: str, deadline_s: float = 60.0) -> Result:
        """Run `job sandbox ACTION --name NAME WORDS`."""
        return self.typist.type("sandbox", action, "--name", self.name, *words, deadline_s=deadline_s)

    def daemons(self) -> dict[str, dict[str, object]]:
        """Return each daemon as `status --json` tells it."""
        return {daemon["name"]: daemon for daemon in self.type("status", "--json").json()["daemons"]}

    def pids(self) -> dict[str, int]:
        """Return the process of each daemon."""
        return dict(require(self.name).pids)


def living(directory: Path) -> dict[int, str]:
    """Return the processes whose command line names the directory: those of its sandbox."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if f"{directory}/" in line:
                    found[int(entry.name)] = line
    return found


def answer(url: str) -> str:
    """GET a daemon's page."""
    with urllib.request.urlopen(url, timeout=10) as page:
        text: str = page.read().decode()
        return text


def test_up_again_changes_nothing(box: Box) -> None:
    """A second `up` says that it is up, and starts and ends no process."""
    before = box.pids()
    again = box.type("up", deadline_s=10)
    assert again.code == 0, again.err
    assert f"sandbox {NAME!r} is up already" in again.err
    assert "starting" not in again.err
    assert f"job run --cluster sandbox:{NAME} " in again.err
    assert again.out == ""
    assert box.pids() == before
    assert set(before.values()) <= living(require(NAME).directory).keys()


def test_up_again_ends_what_was_interrupted(box: Box, sandbox: SandboxInfo) -> None:
    """When an `up` was interrupted before HDFS had its directories, the next one makes them."""
    store = site_of(sandbox).store
    assert store.delete(f"/user/{sandbox.user}", recursive=True)
    assert store.delete("/tmp/logs", recursive=True)  # noqa: S108 -- on the sandbox's HDFS
    assert box.type("up").code == 0
    logs, home = store.status("/tmp/logs"), store.status(f"/user/{sandbox.user}")  # noqa: S108
    assert logs is not None
    assert home is not None
    assert (logs.mode, home.mode, home.owner) == (0o1777, 0o755, sandbox.user)


def test_status(box: Box, sandbox: SandboxInfo) -> None:
    """Text and JSON name every daemon with its process, its address, and that it answers."""
    text = box.type("status")
    assert text.code == 0, text.err
    lines = text.out.splitlines()
    assert lines[-1] == f"sandbox {NAME!r} is up"
    told = box.type("status", "--json").json()
    assert (told["schema"], told["name"], told["up"]) == ("yarn-submitter/sandbox-status/1", NAME, True)
    assert told["nodes_running"] == 1
    assert told["resourcemanager"] == f"http://{sandbox.rm_http}/"
    assert {daemon["name"] for daemon in told["daemons"]} == DAEMONS
    for daemon in told["daemons"]:
        assert [daemon["name"], str(daemon["pid"]), daemon["address"], "answers"] in [line.split() for line in lines]
        assert (daemon["alive"], daemon["answering"]) == (True, True)
        assert Path(daemon["log"]).is_file()
        assert answer(f"http://{daemon['address']}/conf?name=hadoop.tmp.dir")
    unknown = box.typist.type("sandbox", "status", "--name", "nobody")
    assert unknown.code == 69
    assert "job sandbox up --name nobody" in unknown.out


def test_env_in_a_bare_shell(box: Box, sandbox: SandboxInfo, tmp_path: Path) -> None:
    """What `env` prints is all that a bare shell needs for `yarn` and for `job`, also with a blank in its PATH."""
    keys = ("HOME", "XDG_CACHE_HOME")
    bare = {key: os.environ[key] for key in keys if key in os.environ} | {"PATH": "/usr/bin:/bin:/some dir/x y"}
    words = f"yarn classpath --glob && {JOB} list --json && $JAVA_HOME/bin/java -version"
    done = subprocess.run(
        ["/bin/sh", "-c", f'eval "$({JOB} sandbox env --name {NAME})" && {words}'],
        env=bare,
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    class_path, _, listed = done.stdout.partition("\n")
    assert class_path.startswith(f"{sandbox.conf_dir}:")
    assert json.loads(listed)["jobs"] == []
    assert '"17' in done.stderr


def test_properties_reach_the_daemons(box: Box, sandbox: SandboxInfo) -> None:
    """`--set` is in force in every daemon, and is remembered."""
    for daemon in box.daemons().values():
        assert f"<value>{BLOCK_BYTES}</value>" in answer(f"http://{daemon['address']}/conf?name=dfs.blocksize")
        assert "<value>x y</value>" in answer(f"http://{daemon['address']}/conf?name=a.b")
    changed = box.type("up", "--set", "dfs.blocksize=1048576")
    assert changed.code == 64
    assert "[sandbox-settings]" in changed.err
    assert BLOCK_BYTES in changed.err
    assert f"job sandbox down --name {NAME}" in changed.err


def test_killed_daemons_are_mended(box: Box) -> None:
    """`status` sees which daemons are gone; `up` starts those and leaves the others alone."""
    before = box.pids()
    for name in ("datanode", "node1"):
        os.kill(before[name], signal.SIGKILL)
    told = box.type("status")
    assert told.code == 69
    gone = {line.split()[0] for line in told.out.splitlines() if "not running" in line}
    assert gone == {"datanode", "node1"}
    assert told.out.endswith(f"sandbox {NAME!r} is not up\n")
    mended = box.type("up")
    assert mended.code == 0, mended.err
    assert "starting node1, datanode\n" in mended.err
    after = box.pids()
    assert {name for name in after if after[name] != before[name]} == {"datanode", "node1"}
    assert box.type("status").code == 0


def test_hanging_daemons_are_told_soon(box: Box) -> None:
    """Daemons that take connections and answer nothing are told within seconds, however many they are."""
    began = time.monotonic()
    assert box.type("status").code == 0
    usual_s = time.monotonic() - began
    stopped = [box.pids()[name] for name in ("resourcemanager", "namenode", "datanode")]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        told = box.type("status", deadline_s=min(9, 5 + 2 * usual_s))  # YARN gives nodes up after 10 s
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert told.code == 69
    assert told.out.count("runs, does not answer (log: ") == 3
    until("it is up again", lambda: box.type("status").code == 0, 30)


def test_more_nodes_without_a_restart(box: Box) -> None:
    """A running sandbox takes another node, and is ready only when that runs."""
    before = box.pids()
    more = box.type("up", "--nodes", "2")
    assert more.code == 0, more.err
    assert "starting node2\n" in more.err
    assert {name: pid for name, pid in box.pids().items() if name != "node2"} == before
    assert "nodes running    2 of 2\n" in box.type("status").out


def test_two_side_by_side(box: Box, sandbox: SandboxInfo) -> None:
    """One that cannot start says why and leaves no process; set right, it runs beside the first and ends alone.

    Even when what it remembers is lost, `up` ends the daemons that it had, which would be in the way.
    """
    first, second = box.pids(), Box(box.typist, SECOND)
    directory = Sandbox(SECOND).directory
    failed = second.type("up", "--nodes", "1", "--set", "yarn.scheduler.minimum-allocation-mb=-1")
    log = directory / "logs" / "resourcemanager.log"
    assert failed.code == 69
    assert failed.err.count("job: ") == 1
    assert f"The resourcemanager of sandbox {SECOND!r} died while it started; its log is {log}. [" in failed.err
    assert "[sandbox-daemon-died]" in failed.err
    assert "yarn.scheduler.minimum-allocation-mb=-1" in failed.err
    assert "Traceback" not in failed.err
    assert log.is_file()
    assert living(directory) == {}
    assert second.type("status").code == 69
    good = second.type("up", "--set", "dfs.blocksize=1048576")
    assert good.code == 0, good.err
    assert "1 node," in good.err
    addresses = {str(daemon["address"]) for daemon in second.daemons().values()}
    assert not addresses & {str(daemon["address"]) for daemon in box.daemons().values()}
    assert (require(SECOND).fs, require(SECOND).id) != (sandbox.fs, sandbox.id)
    forgotten = living(directory)
    (directory / "state.json").unlink()
    assert second.type("up", "--nodes", "1").code == 0
    assert not forgotten.keys() & living(directory).keys()
    down = second.type("down", "--delete")
    assert down.code == 0, down.err
    assert living(directory) == {}
    assert not directory.exists()
    assert box.pids() == first
    assert box.type("status").code == 0
