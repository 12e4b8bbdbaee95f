"""What holds a job up between its containers and its commands: peers behind a firewall, files that come slowly."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.environments import install
from cluster.leftovers import container_processes
from cluster.test_pauses import halted
from cluster.test_restarts import workers
from cluster.typing_jobs import Typist, until

from yarn_submitter.sandbox import SandboxInfo

FIRST, LAST = 12400, 12449  # no port of the sandbox's, of an agent's, or of those that the kernel gives out
REGISTRATION_S = 3
SLOW_S = 3 * REGISTRATION_S


@contextlib.contextmanager
def firewall(host: str, first: int, last: int) -> Iterator[None]:
    """Drop what is sent to these TCP ports of a host during the block."""
    if os.geteuid():
        pytest.fail("this test sets a rule of the firewall, which only root can do", pytrace=False)
    if shutil.which("iptables") is None:
        install("iptables")
    rule = ("INPUT", "-p", "tcp", "-d", host, "--dport", f"{first}:{last}", "-j", "DROP")
    ruled = subprocess.run(["iptables", "-w", "-I", *rule], capture_output=True, text=True, check=False)
    if ruled.returncode:  # as in a container without the right to the network's rules
        pytest.skip(f"this machine lets even root set no rule: {ruled.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def slow_archive(directory: Path) -> Path:
    """Return an archive that is unpacked for about a second and needs no room: one small file, many times."""
    member = tarfile.TarInfo("file")
    member.size = 4 * 2**20
    archive = directory / "slow.tar.gz"
    with archive.open("wb") as file:
        for _ in range(128):
            file.write(gzip.compress(member.tobuf() + bytes(member.size), 1))
        file.write(gzip.compress(bytes(2 * tarfile.BLOCKSIZE)))
    return archive


def unpacking(archive: Path) -> int:
    """Return the process by which a NodeManager unpacks an archive, as soon as there is one."""
    name = hashlib.sha256(archive.read_bytes()).hexdigest()

    def found() -> int | None:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text() == "tar\n" and name in os.readlink(entry / "cwd"):
                    return int(entry.name)
        return None

    return int(until("a node unpacks the archive", found, 60))


def test_peers_that_a_firewall_cuts_off(typist: Typist, sandbox: SandboxInfo) -> None:
    """The pair is named, in the direction that is blocked and in no other, with the address; no command starts."""
    host = sandbox.nodes[1].http.rpartition(":")[0]
    words = ["--port_range", f"{FIRST}-{LAST}", "--set", "limits.probe_s=8", "--am_attempts", "1"]
    with firewall(host, FIRST, LAST):
        ended = typist.type(*workers("cut-off", "echo started", *words, count=2, memory="5G"))
    assert ended.code == 76, ended.err
    assert "[peers-unreachable]" in ended.err
    assert f"let the nodes' firewalls pass TCP between them at ports {FIRST}-{LAST}" in ended.err
    said = re.findall(rf"(w:\d) does not reach (w:\d) \({re.escape(host)}:(\d+): no answer\)", ended.err)
    assert {frozenset(pair[:2]) for pair in said} == {frozenset({"w:0", "w:1"})}, ended.err
    assert len(set(said)) == 1
    assert FIRST <= int(said[0][2]) <= LAST
    assert "started" not in ended.out
    until("no process of it lives", lambda: not container_processes(sandbox), 30)


def test_files_that_come_slowly(typist: Typist, tmp_path: Path) -> None:
    """The time in which an executor must register begins when its files are there, however late YARN has them."""
    archive = slow_archive(tmp_path)
    words = ["--localization", f"{archive}#archive:./slow", "--set", f"limits.registration_s={REGISTRATION_S}"]
    running = typist.start(*workers("late", "ls slow", *words, count=1))
    running.wait_line("submitted ")
    with halted(unpacking(archive)), pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(SLOW_S)
    ended = running.end(60)
    assert ended.code == 0, ended.err
    assert "[w:0] file" in ended.out
    assert "starts again" not in ended.err
