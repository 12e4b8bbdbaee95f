"""Jobs typed in the language of `job run`, for the tests that go through it sentence by sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.load import load
from yarn_submitter.localfiles import describe
from yarn_submitter.plan import local_paths, plan
from yarn_submitter.spec import JobSpec

JOB = ["--name", "fit", "--input_path", "", "--worker_resources", "memory=1G", "--worker_launch_cmd", "run"]
PS = ["--num_ps", "1", "--ps_resources", "memory=1G,gpu=2", "--ps_launch_cmd", "serve"]
SCHEDULER = ["--num_schedulers", "1", "--scheduler_resources", "memory=1G,gpu=3", "--scheduler_launch_cmd", "plan"]
MXNET = [*JOB, "--framework", "mxnet"]
YAML = """\
spec: {name: fit}
configs: {input_path: ""}
roles:
  worker: {resources: memory=1G, launch_cmd: run, replicas: 2}
"""
IMAGE = "YARN_CONTAINER_RUNTIME_DOCKER_IMAGE"


def make_files(directory: Path) -> None:
    """Make what the jobs name."""
    directory.mkdir()
    for name in ("a.zip", "b.py", "c.txt"):
        (directory / name).write_text(name)
    (directory / "data").mkdir()


def spec_of(*words: str, yaml: str = "") -> JobSpec:
    """Return the job of words, and of a file when there is one, without faults."""
    return load(typed(words, yaml))[0]


def typed(words: tuple[str, ...], yaml: str) -> list[str]:
    """Return words with `-f job.yaml` before them when there is a file."""
    if not yaml:
        return list(words)
    Path("job.yaml").write_text(yaml)
    return ["-f", "job.yaml", *words]


def planned(*words: str, yaml: str = "") -> dict[str, Any]:
    """Return the document of a plan."""
    spec = spec_of(*words, yaml=yaml)
    files = {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)}
    return plan(spec, files).document()


def faults(*words: str, yaml: str = "") -> list[Problem]:
    """Return what is wrong."""
    with pytest.raises(UsageError) as refused:
        load(typed(words, yaml))
    return list(refused.value.problems)


def command_of(document: dict[str, Any], role: str) -> str:
    """Return a role's command as its tasks run it."""
    (found,) = [item["command"] for item in document["plan"]["job"]["roles"] if item["name"] == role]
    return str(found)


def launch(document: dict[str, Any], role: str) -> dict[str, str]:
    """Return the environment that YARN reads before it starts a role's containers."""
    found: dict[str, str] = document["plan"]["application"]["services"][role].get("env", {})
    return found


def task(document: dict[str, Any], role: str) -> dict[str, str]:
    """Return the user's variables that a role's tasks find."""
    (found,) = [item["env"] for item in document["plan"]["job"]["roles"] if item["name"] == role]
    return dict(found)
