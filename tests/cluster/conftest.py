"""One real sandbox for the whole run, a way to type `job ...` at it, and a look at what every test leaves behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.leftovers import Watch
from cluster.typing_jobs import JOB, Typist

import yarn_submitter
from yarn_submitter.sandbox import Sandbox, SandboxInfo, require

ROOT = Path(__file__).parent.parent.parent
NAME = f"tests-{os.getpid()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below this directory."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a cluster test was left out: a test that did not run proves nothing."""
    if not any(item.get_closest_marker("cluster") for item in session.items):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    left_out = [kind for kind in ("skipped", "xfailed", "xpassed", "deselected") if reporter.stats.get(kind)]
    if left_out and session.exitstatus == 0:
        reporter.write_line(f"cluster tests were {', '.join(left_out)}: this fails the run", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def installed_wheel() -> None:
    """The packages under test are the wheel's, not the checkout's."""
    if ROOT in Path(yarn_submitter.__file__).parents and "site-packages" not in yarn_submitter.__file__:
        pytest.exit("the cluster tests run against the installed wheel: python tests/run_cluster.py", returncode=2)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxInfo]:
    """A sandbox of two nodes, up for the whole run, gone after it; the agent's archive is packed beside it."""
    packing = subprocess.Popen([JOB, "pack", "--agent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        subprocess.run([JOB, "sandbox", "up", "--name", NAME, "--nodes", "2"], check=True, capture_output=True)
        assert packing.wait() == 0
        yield require(NAME)
    finally:
        packing.wait()
        Sandbox(NAME).down(delete=True)


@pytest.fixture(scope="session")
def typist(sandbox: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Somebody who types `job ...` with HADOOP_CONF_DIR at the sandbox."""
    return Typist(sandbox, tmp_path_factory.mktemp("typist"))


@pytest.fixture(autouse=True)
def nothing_left(sandbox: SandboxInfo) -> Iterator[None]:
    """After every test nothing of its jobs lives or lies about: see leftovers.py."""
    watch = Watch(sandbox)
    yield
    watch.check()
