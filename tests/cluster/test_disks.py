"""Full disks, filled by a program or under it: each node of this module's sandbox has two small ones.

Mounting them takes root. YARN looks at them each second here (by default each two minutes), and itself calls a node
unhealthy, takes its containers back, and refuses to start one there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.leftovers import container_processes, site_of
from cluster.test_pauses import halted
from cluster.test_preflight import Admin
from cluster.test_restarts import attempts, running_once, workers
from cluster.test_starts import slow_archive, unpacking
from cluster.typing_jobs import Typist, until

from yarn_submitter.sandbox import Sandbox, SandboxInfo, SandboxSettings, find
from yarn_submitter.sandbox.state import sandbox_dir

NAME = f"disks-{os.getpid()}"
DISK_MB = 800
SPARE_MB = 12  # of a disk that is full for YARN: what is being unpacked still fits
NOT_WITH_THE_AGENT = "7900M"  # of 8192M that a node has: the agent's container finds no room beside it
_CHECKER = "yarn.nodemanager.disk-health-checker"
_PLACE = "${yarn.nodemanager.recovery.dir}"  # the only directory that each node's own configuration names by itself
CHECKED = {
    "yarn.nodemanager.local-dirs": f"{_PLACE}-disk1,{_PLACE}-disk2",
    f"{_CHECKER}.interval-ms": "1000",
    f"{_CHECKER}.disk-utilization-threshold.enabled": "true",
    f"{_CHECKER}.max-disk-utilization-per-disk-percentage": "98",
    f"{_CHECKER}.min-healthy-disks": "1.0",
    # A ResourceManager that was halted for longer than this takes its nodes for lost.
    "yarn.nm.liveness-monitor.expiry-interval-ms": "120000",
}


def disks_of(node: str) -> tuple[Path, Path]:
    """Return where a node of the sandbox keeps its containers."""
    place = sandbox_dir(NAME) / "data" / node
    return place / "recovery-disk1", place / "recovery-disk2"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxInfo]:
    """A sandbox of two nodes, each with two small disks for its containers, which it looks after."""
    if os.geteuid():
        pytest.fail("these tests mount small file systems, which only root can do", pytrace=False)
    box = Sandbox(NAME)
    with contextlib.ExitStack() as undone:
        undone.callback(box.down, delete=True)
        for disk in (*disks_of("node1"), *disks_of("node2")):
            disk.mkdir(parents=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)]
            mounted = subprocess.run(command, capture_output=True, text=True, check=False)
            if mounted.returncode:  # as in a container without the right to mount
                pytest.skip(f"this machine lets even root mount nothing: {mounted.stderr.strip()}")
            undone.callback(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        undone.callback(box.down)
        yield box.up(SandboxSettings(nodes=2, properties=CHECKED))


@pytest.fixture(scope="module")
def typist(sandbox: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Somebody who types `job ...` with HADOOP_CONF_DIR at this sandbox."""
    return Typist(sandbox, tmp_path_factory.mktemp("typist"))


def is_healthy(node_http: str) -> bool:
    """Return what a NodeManager last told the ResourceManager of its node."""
    with urllib.request.urlopen(f"http://{node_http}/ws/v1/node/info", timeout=10) as answer:
        return bool(json.load(answer)["nodeInfo"]["nodeHealthy"])


def is_full(node_http: str) -> bool:
    """Return whether a NodeManager has found a disk too full, told or not."""
    metrics = f"http://{node_http}/jmx?qry=Hadoop:service=NodeManager,name=NodeManagerMetrics"
    with urllib.request.urlopen(metrics, timeout=10) as answer:
        return bool(json.load(answer)["beans"][0]["BadLocalDirs"])


@pytest.fixture(autouse=True)
def all_healthy(sandbox: SandboxInfo) -> None:
    """Every test begins on good nodes."""
    until("all nodes are healthy", lambda: all(is_healthy(node.http) for node in sandbox.nodes), 20)


@contextlib.contextmanager
def full(*disks: Path) -> Iterator[None]:
    """Fill disks but for SPARE_MB during the block."""
    fillers = [disk / "filler" for disk in disks]
    try:
        for filler in fillers:
            free = os.statvfs(filler.parent)
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - SPARE_MB * 2**20)
        yield
    finally:
        for filler in fillers:
            filler.unlink(missing_ok=True)


def beside_the_agent(sandbox: SandboxInfo, application_id: str) -> str:
    """Return the node that the agent is not on."""
    app = site_of(sandbox).resource_manager.get_app(application_id)
    assert app is not None
    (node,) = [node.name for node in sandbox.nodes if node.http != app.am_node_http]
    return node


def test_a_program_that_fills_its_disk(typist: Typist, sandbox: SandboxInfo) -> None:
    """It fails by its own code, and its own last words are shown."""
    command = "dd if=/dev/zero of=big bs=1M"
    ended = typist.type(*workers("fills", command, "--am_attempts", "1", count=1, memory=NOT_WITH_THE_AGENT))
    assert ended.code == 1, ended.err
    assert "job fills FAILED: w:0 on 127.0.0.1" in ended.err
    assert " exited with code 1 " in ended.err
    assert "[task-failed]" in ended.err
    assert "  | dd: error writing 'big': No space left on device" in ended.err
    until("its processes are gone", lambda: not container_processes(sandbox), 20)


def test_a_disk_that_becomes_full_under_a_program(typist: Typist, sandbox: SandboxInfo) -> None:
    """YARN takes its container back; it starts again when there is room, without any budget."""
    running = running_once(typist, "under", memory=NOT_WITH_THE_AGENT)
    (app,) = [app for app in site_of(sandbox).resource_manager.list_apps() if not app.ended]
    with full(*disks_of(beside_the_agent(sandbox, app.id))):
        line = running.wait_line("starts again in a new container (attempt 2)", 60)
    assert "or its node went out of service" in line
    ended = running.end(60)
    assert ended.code == 0, ended.err
    assert "[restart " not in ended.err
    assert attempts(typist, "under") == {"w:0": [(1, "FAILED"), (2, "SUCCEEDED")]}
    until("its processes are gone", lambda: not container_processes(sandbox), 20)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "was stopped by YARN because too many disks of its node are full or broken"),
        (2, ": No space available in any of the local directories"),
    ],
    ids=["-101", "-1"],
)
def test_disks_that_are_full_when_a_container_is_to_start(
    typist: Typist, sandbox: SandboxInfo, tmp_path: Path, count: int, said: str
) -> None:
    """YARN's own -101, and its -1: the ResourceManager does not know yet what the node refuses; it is tried again."""
    info = find(NAME)
    assert info is not None
    archive, may_end = slow_archive(tmp_path), tmp_path / "may-end"
    # The first task fetches all that both need: nothing but the archive is to be fetched when the disk is full.
    words = typist.generic("full", a=f"echo up; until [ -e {may_end} ]; do sleep 0.2; done", b="ls slow")
    words += ["--role_start", "a=first-come", "--role_localization", f"b={archive}#archive:./slow", "--logs", "all"]
    words += ["--role_node_label", "a=gpu", "--role_node_label", "b=gpu"]
    with Admin(sandbox).labels({"gpu": True}, "gpu"):
        running = typist.start(*words)
        unpacks = unpacking(archive)
        with halted(unpacks):
            where = Path(f"/proc/{unpacks}/cwd").resolve()
            (node,) = [node for node in sandbox.nodes if set(disks_of(node.name)) & set(where.parents)]
            others_first = sorted(disks_of(node.name), key=lambda disk: disk in where.parents)
            running.wait_line("[a:0] up")
            with halted(info.pids["resourcemanager"]):
                with full(*others_first[:count]):
                    until("the node has seen that its disk is full", lambda: is_full(node.http), 20)
                    os.kill(unpacks, signal.SIGCONT)
                    line = running.wait_line("b:0 starts again in a new container (attempt 2)", 60)
                until("the node has seen that there is room", lambda: not is_full(node.http), 20)
        running.wait_line("[b:0] file")
        may_end.touch()
        ended = running.end(60)
    assert said in line
    assert ended.code == 0, ended.err
    assert "[restart " not in ended.err
    assert attempts(typist, "full") == {"a:0": [(1, "SUCCEEDED")], "b:0": [(1, "FAILED"), (2, "SUCCEEDED")]}
    until("its processes are gone", lambda: not container_processes(sandbox), 20)
