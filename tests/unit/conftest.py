"""What the tests of real executors share: the job's certificate, its agent, its store, its containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from executor_hdfs import FakeHdfs
from executor_world import Container, FakeAgent, credentials

from am.contract.job import JobPlan


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
