"""Nothing that is written about a job is lost: each option and each YAML key is followed to where it takes effect.

A row names the words, and the place in the plan where they show: in the Skein application, which YARN acts on, or in
job.json, with the function in am/ that reads it there. Without the words the place holds something else, so a field
that is dropped on the way turns its row red.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from language_world import in_yaml

from am.agent import gang, policy, recovery, snapshot
from am.executor import environment, preparation, results, session
from am.executor.secrets import place_secrets
from am.runtimes import tensorflow
from yarn_submitter.load import load
from yarn_submitter.localfiles import describe
from yarn_submitter.options import OPTIONS, TENSORBOARD
from yarn_submitter.plan import local_paths, plan
from yarn_submitter.settings import JobDefaults

WORKER = {"worker_resources": ["memory=1G"], "worker_launch_cmd": ["run %input_path% %saved_model_path%"]}
BASE = {"name": ["fit"], "input_path": ["hdfs://nn/in"], "num_workers": ["2"], **WORKER}
PS = {"num_ps": ["1"], "ps_resources": ["memory=1G"], "ps_launch_cmd": ["serve"]}
MXNET = {**BASE, "framework": ["mxnet"]}
SCHEDULER = {"num_schedulers": ["1"], "scheduler_resources": ["memory=1G"], "scheduler_launch_cmd": ["plan"]}
GENERIC = {"name": ["fit"], "framework": ["generic"], "role": ["x:memory=1G"], "role_cmd": ["x=run"]}
TWO = {**GENERIC, "role": ["x:memory=1G", "y:memory=1G"], "role_cmd": ["x=run", "y=run"]}
BOARD = {**BASE, TENSORBOARD: ["true"]}
DOCKER = {**BASE, "docker_image": ["img"]}
IMAGE = "YARN_CONTAINER_RUNTIME_DOCKER_IMAGE"
MOUNTS = "YARN_CONTAINER_RUNTIME_DOCKER_MOUNTS"


class Row(NamedTuple):
    """How one option takes effect.

    Attributes:
        value: Its text.
        base: The options beside it.
        path: Where it shows.
        expected: What is there then.
        reader: What in am/ acts on it, for what stands in job.json and nowhere else.
        without: What stands there without it when that is not what `base` alone gives: the option is needed.
    """

    value: str
    base: dict[str, list[str]]
    path: str
    expected: Any
    reader: Callable[..., Any] | type | ModuleType | None = None


def service(name: str, rest: str) -> str:
    """Return the path of something in a role's Skein service."""
    return f"application/services/{name}/{rest}"


ROWS: dict[str, Row] = {
    "name": Row("other", BASE, "application/name", "other"),
    "framework": Row("generic", BASE, "environment/worker:0", {}),
    "queue": Row("ml", BASE, "application/queue", "ml"),
    "input_path": Row("hdfs://nn/other", BASE, "job/input_path", "hdfs://nn/other", environment.child_environment),
    "checkpoint_path": Row("/c", BASE, "job/checkpoint_path", "/c", results.Results.__init__),
    "saved_model_path": Row("/m", BASE, "job/saved_model_path", "/m", results.Results.carry),
    "docker_image": Row("img", BASE, service("worker", f"env/{IMAGE}"), "img"),
    "num_workers": Row("3", BASE, service("worker", "instances"), 3),
    "worker_resources": Row("memory=2G", BASE, service("worker", "resources/memory"), "2048 MiB"),
    "worker_launch_cmd": Row("other", BASE, "job/roles/0/command", "other", None),
    "worker_docker_image": Row("own", DOCKER, service("worker", f"env/{IMAGE}"), "own"),
    "num_ps": Row("2", {**BASE, **PS}, service("ps", "instances"), 2),
    "ps_resources": Row("memory=1G,vcores=3", {**BASE, **PS}, service("ps", "resources/vcores"), 3),
    "ps_launch_cmd": Row("other", {**BASE, **PS}, "job/roles/1/command", "other"),
    "ps_docker_image": Row("own", {**DOCKER, **PS}, service("ps", f"env/{IMAGE}"), "own"),
    "num_schedulers": Row("1", {**MXNET, **SCHEDULER, "num_schedulers": ["0"]}, service("scheduler", "instances"), 1),
    "scheduler_resources": Row("memory=3M", {**MXNET, **SCHEDULER}, service("scheduler", "resources/memory"), "3 MiB"),
    "scheduler_launch_cmd": Row("other", {**MXNET, **SCHEDULER}, "job/roles/1/command", "other"),
    "scheduler_docker_image": Row("own", {**MXNET, **SCHEDULER}, service("scheduler", f"env/{IMAGE}"), "own"),
    "role": Row("x:memory=1G,instances=2,gpu=1", GENERIC, service("x", "resources/gpus"), 1),
    "role_cmd": Row("x=other", GENERIC, "job/roles/0/command", "other"),
    "role_image": Row("x=img", GENERIC, service("x", f"env/{IMAGE}"), "img"),
    "role_env": Row("x=A=1=2", GENERIC, "job/roles/0/env/A", "1=2", environment.child_environment),
    "role_localization": Row("x=hdfs://nn/d:./d", GENERIC, service("x", "files/d/source"), "hdfs://nn/d"),
    "role_mount": Row("x=/a:/b:rw", {**GENERIC, "role_image": ["x=i"]}, service("x", f"env/{MOUNTS}"), "/a:/b:rw"),
    "role_node_label": Row("x=fast", GENERIC, service("x", "node_label"), "fast"),
    "role_start": Row("x=first-come", GENERIC, "job/roles/0/start", "first-come", snapshot.start),
    "role_depends_on": Row("y=x:succeeded", TWO, "job/roles/1/depends_on", ["x:succeeded"], gang),
    "role_on_failure": Row("x=ignore", GENERIC, "job/roles/0/on_failure", "ignore", snapshot.start),
    "role_on_loss": Row("x=fatal", GENERIC, "job/roles/0/on_loss", "fatal", recovery),
    TENSORBOARD: Row("true", BASE, service("tensorboard", "instances"), 1),
    "tensorboard_resources": Row("memory=5G", BOARD, service("tensorboard", "resources/memory"), "5120 MiB"),
    "tensorboard_docker_image": Row("own", BOARD, service("tensorboard", f"env/{IMAGE}"), "own"),
    "env": Row("A=1,2", BASE, "job/roles/0/env/A", "1,2", environment.child_environment),
    "env_file": Row("vars.env", BASE, "job/roles/0/env", {"B": "a b", "C": ""}, environment.child_environment),
    "secret": Row("KEY=@key", BASE, "job/secrets", ["KEY"], place_secrets),
    "conf": Row(
        "tony.containers.resources=fit.py, job.zip#archive", BASE, service("worker", "files/job.zip/type"), "archive"
    ),
    "localization": Row("fit.py:./fit.py", BASE, "staged/0/path", "<here>/fit.py"),
    "mount": Row("/a:/b", DOCKER, service("worker", f"env/{MOUNTS}"), "/a:/b:ro"),
    "quicklink": Row(
        "UI=https://worker-1:80",
        BASE,
        "job/quicklinks/0",
        {"label": "UI", "protocol": "https", "task": "worker:1", "port": 80},
    ),
    "src": Row(".", BASE, "job/has_source", True, preparation.prepare),
    "profile": Row("big", {**BASE, "worker_resources": []}, service("worker", "resources/memory"), "8192 MiB"),
    "node_label": Row("fast", BASE, service("worker", "node_label"), "fast"),
    "max_runtime": Row("1h30m", BASE, "job/limits/lifetime_s", 5400, policy.decide),
    "max_restarts": Row("3", BASE, "job/max_restarts", 3, recovery),
    "gang_timeout": Row("90s", BASE, "job/limits/gang_hold_s", 90, policy.decide),
    "gang_tries": Row("4", BASE, "job/limits/gang_tries", 4, policy.decide),
    "queue_timeout": Row("1h", BASE, "job/limits/queue_wait_s", 3600, policy.decide),
    "stall_timeout": Row("20m", BASE, "job/limits/stall_s", 1200, session),
    "kill_if_gpu_idle": Row("2h", BASE, "job/limits/gpu_idle_s", 7200, session),
    "stop_grace": Row("5s", BASE, "job/limits/stop_grace_s", 5, policy.decide),
    "port_range": Row("20000-20999", BASE, "job/port_range", [20000, 20999], preparation.prepare),
    "am_attempts": Row("3", BASE, "application/max_attempts", 3),
    "done_when": Row("all", BASE, "job/done_when", "all", policy.decide),
    "tf_worker0": Row("chief", BASE, "job/tf_worker0", "chief", tensorflow.environment),
    "keytab": Row("/k", BASE, "document/security/keytab", "/k"),
    "principal": Row("me@R", BASE, "document/security/principal", "me@R"),
    "distribute_keytab": Row("true", BASE, "document/security/distribute_keytab", True),
    "insecure": Row("true", BASE, "document/security/insecure", True),
    "wait_job_finish": Row("true", BASE, "document/wait_job_finish", True),
    "verbose": Row("true", BASE, "document/verbose", True),
}
CONTROLS = {
    "cluster": ("sandbox", "sandbox"),
    "set": ("queue=ml", ("queue=ml",)),
    "logs": ("worker", "worker"),
    **dict.fromkeys(("dry_run", "check", "force", "detach", "kill_on_exit", "json", "quiet"), ("true", True)),
}
READ_BY_LOAD = {"f", "format"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which commands are typed, with the files that they name."""
    directory = tmp_path / "here"
    directory.mkdir()
    for name, text in {"fit.py": "fit", "job.zip": "z", "key": "s3cret\n", "vars.env": "# x\nB=a b\n\nC=\n"}.items():
        (directory / name).write_text(text)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directory


def typed(options: dict[str, list[str]]) -> list[str]:
    """Return options as words."""
    return [word for name, values in options.items() for value in values for word in (f"--{name}", value)]


def outcome(words: list[str]) -> dict[str, Any]:
    """Return everything that becomes of a job: its plan's parts, and the document."""
    spec, _ = load(words, lambda _cluster, _set: DEFAULTS)
    made = plan(spec, {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)})
    document = made.document()
    return {**document["plan"], "document": document}


DEFAULTS = JobDefaults(profiles={"big": "memory=8G"})


def look(value: Any, path: str, here: Path) -> Any:
    """Return what lies at a path, None where there is nothing."""
    parts = (
        path.split("/")
        if "files/" not in path
        else [*path.split("files/", maxsplit=1)[0].strip("/").split("/"), "files"]
    )
    if "files/" in path:
        parts += path.split("files/")[1].rsplit("/", 1)
    for part in parts:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError):
            return None
    return value.replace(str(here), "<here>") if isinstance(value, str) else value


def test_every_option_has_a_row() -> None:
    """An option without a place where it takes effect is lost."""
    assert {option.name for option in OPTIONS} - READ_BY_LOAD == set(ROWS) | set(CONTROLS)


@pytest.mark.parametrize("name", ROWS)
def test_an_option_takes_effect(name: str, here: Path) -> None:
    """With the words their place holds what they say; without them something else."""
    row = ROWS[name]
    without = {**row.base}
    with_it = {**row.base, name: [row.value]}
    assert look(outcome(typed(with_it)), row.path, here) == row.expected
    if name != "profile":  # the base without it is no job
        assert look(outcome(typed(without)), row.path, here) != row.expected


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.reader])
def test_what_stands_in_job_json_is_read_there(name: str) -> None:
    """The function that a row names reads the field of job.json, or calls one of its module that does."""
    row = ROWS[name]
    assert row.reader is not None
    field = row.path.split("/")[1 if row.path.count("/") == 1 else -1]
    field = "env" if "/env" in row.path else field
    module = inspect.getmodule(row.reader)
    assert module is not None
    attributes = {
        node.attr for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Attribute)
    }
    assert field in attributes, f"{module.__name__} does not read {field}"


@pytest.mark.parametrize("name", [option.name for option in OPTIONS if option.yaml or option.name == TENSORBOARD])
def test_its_yaml_key_says_the_same(name: str) -> None:
    """The YAML form of each row gives the same plan as its words."""
    row = ROWS[name]
    options = {**row.base, name: [row.value]}
    Path("job.yaml").write_text(in_yaml(options))
    assert outcome(["-f", "job.yaml"]) == outcome(typed(options))


@pytest.mark.parametrize("name", CONTROLS)
def test_what_steers_the_client_arrives(name: str) -> None:
    """Each control is a field of Controls."""
    text, expected = CONTROLS[name]
    _, controls = load([*typed(BASE), f"--{name}", text])
    assert getattr(controls, name) == expected
