"""What tests share: for clients a cluster and a keyboard; for real executors certificate, agent, store, containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client_fakes import PretendCluster, pretend_cluster
from executor_hdfs import FakeHdfs
from executor_world import Container, FakeAgent, credentials

from am.contract.job import JobPlan
from yarn_submitter.cli import main


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendCluster]:
    """A cluster without jobs, named by the environment; the user's cache and the current directory are empty."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pretend_cluster(tmp_path / "cluster") as served:
        for name, value in served.environ.items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Type a command; get its exit code and both streams."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        assert "[internal]" not in said.err
        return code, said.out, said.err

    return run


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Two jobs' certificates with their keys."""
    where = tmp_path_factory.mktemp("certificates")
    return {name: credentials(where, name) for name in ("ours", "another")}


@pytest.fixture
def agent(certificates: dict[str, tuple[Path, Path]]) -> Iterator[FakeAgent]:
    """The job's agent."""
    made = FakeAgent(*certificates["ours"])
    yield made
    made.vanish()


@pytest.fixture
def hdfs() -> Iterator[FakeHdfs]:
    """The job's store."""
    made = FakeHdfs()
    yield made
    made.close()


@pytest.fixture
def container_of(
    tmp_path: Path, certificates: dict[str, tuple[Path, Path]]
) -> Iterator[Callable[[JobPlan], Container]]:
    """Makes a container of a job; none of its processes outlives the test."""
    made: list[Container] = []

    def make(job_plan: JobPlan) -> Container:
        made.append(Container.make(tmp_path, job_plan, certificates["ours"][0]))
        return made[-1]

    yield make
    for each in made:
        each.close()
