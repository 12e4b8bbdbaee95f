"""Jobs typed in the language of `job run`, for the tests that go through it sentence by sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.load import load
from yarn_submitter.localfiles import describe
from yarn_submitter.options import ANY_ROLE, LIST, OPTIONS, PAIRS, ROLE_PAIRS, TENSORBOARD, Option
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


# What the commands of tests/golden/corpus name, as far as it is local.
CORPUS_FILES = (
    *(f"path-to/{name}" for name in ("myvenv.zip", "mnist_distributed.py", "image_classification.py")),
    *("path-to/submarine-all-0.6.0-hadoop-3.1.jar", "submarine-current/submarine-all-0.6.0-hadoop-2.9.jar"),
    *(
        f"submarine/{name}"
        for name in ("myvenv.zip", "tf2-venv.zip", "mnist_distributed.py", "image_classification.py")
    ),
    *("submarine/mnist_distributed_tf2.py", "submarine/pytorch_mnist_distributed.py"),
    *("sdk.zip", "myvenv.zip", "submarine-all-0.6.0-hadoop-2.9.jar"),
    *(f"run_{model}.py" for model in ("afm", "deepfm", "fm")),
    *("afm.json", "deepfm.json", "deepfm_distributed.json", "fm_distributed.json"),
    *("entry_script.py", "other_scripts_dir/a.py", "mydir1/a", "mydir3/b", "fit.py", "base.zip", "code/master.py"),
)


def make_corpus_files(directory: Path) -> None:
    """Make what the commands of tests/golden/corpus name."""
    for name in CORPUS_FILES:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(0o644)
        path.parent.chmod(0o755)
    (directory / "key.txt").write_text("hunter2\n")
    (directory / "vars.env").write_text("# for all\nREGION=eu west\nEMPTY=\n")


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


def in_yaml(options: dict[str, list[str]]) -> str:
    """Return options in the YAML form, as the option table places them."""
    document: dict[str, Any] = {"spec": {}, "configs": {}, "roles": {}}
    for option in OPTIONS:
        for value in options.get(option.name, []):
            put(document, option, value)
    return yaml.safe_dump(document)


def put(document: dict[str, Any], option: Option, value: str) -> None:
    """Put one option's text where the YAML form has it."""
    if option.name == TENSORBOARD:
        document.setdefault("tensorBoard", {})
        return
    if option.name == "role":
        name, _, rest = value.partition(":")
        parts = [part for part in rest.split(",") if not part.startswith("instances=")]
        counts = [part.partition("=")[2] for part in rest.split(",") if part.startswith("instances=")]
        document["roles"].setdefault(name, {}).update({"resources": ",".join(parts), "replicas": (counts or ["1"])[0]})
        return
    *sections, key = option.yaml
    if option.kind == ROLE_PAIRS:
        role, _, value = value.partition("=")
        sections = ["roles", role]
        assert option.role == ANY_ROLE
    target = document
    for section in sections:
        target = target.setdefault(section, {})
    if option.kind == PAIRS or key == "envs":
        name, _, text = value.partition("=")
        target.setdefault(key, {})[name] = text
    elif option.kind == LIST or key in ("localizations", "mounts"):
        target.setdefault(key, []).append(value)
    else:
        target[key] = value
