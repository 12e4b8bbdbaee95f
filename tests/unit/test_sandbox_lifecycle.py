"""Down, without a Hadoop: whatever was started for a sandbox's directory is ended, and nothing else."""

import subprocess
import sys

import pytest

from yarn_submitter.sandbox import Sandbox
from yarn_submitter.sandbox.addresses import MASTER_PORTS, NODE_PORTS
from yarn_submitter.sandbox.daemons import temporary_directory_flag
from yarn_submitter.sandbox.state import SandboxState, Shape, load_state, save_state

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
PROGRAM = "import signal; print('ready', flush=True); signal.pause()"


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    """Return how to start what looks like a daemon of the sandbox of that name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    running = []

    def start(name, *arguments):
        command = [sys.executable, "-c", PROGRAM, temporary_directory_flag(Sandbox(name).directory), *arguments]
        popen = subprocess.Popen(command, stdout=subprocess.PIPE)
        running.append(popen)
        assert popen.stdout.readline() == b"ready\n"
        return popen

    yield start
    for popen in running:
        popen.kill()
        popen.wait()
        popen.stdout.close()


def state(name):
    """Return the state of a sandbox of one node in which nothing was started."""
    uses = (*MASTER_PORTS, *(f"NODE1_{use}" for use in NODE_PORTS))
    ports = {use: 20000 + number for number, use in enumerate(uses)}
    return SandboxState(name, f"id-of-{name}", "ada", "/java", Shape(nodes=1), ("127.0.0.11",), ports, {})


@pytest.mark.parametrize("remembered", [True, False])
def test_down_ends_what_nobody_remembers(daemon, remembered):
    """A daemon whose `up` was killed, or whose state is gone or another's, is ended; other sandboxes' live."""
    if remembered:
        save_state(state("one"))
    mine, other = daemon("one", "-Dyarn.submitter.sandbox.id=an-earlier-one"), daemon("one-more")
    assert Sandbox("one").down() is True
    assert mine.wait(20) == -15
    assert other.poll() is None
    assert Sandbox("one").down() is False


def test_down_of_nothing_leaves_nothing(daemon, tmp_path):
    """A sandbox that never was can be ended and deleted, and leaves no file."""
    assert Sandbox("none").down(delete=True) is False
    assert load_state("none") is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
