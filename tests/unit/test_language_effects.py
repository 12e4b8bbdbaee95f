"""Sentence by sentence, what docs/job-run.md says of Docker, variables, properties and the dry run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from language_world import IMAGE, JOB, MXNET, PS, SCHEDULER, faults, launch, make_files, planned, spec_of, task

from yarn_submitter.load import load


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_roles_image_wins_and_any_image_switches_docker_on() -> None:
    """Submarine took no notice of a scheduler's image alone."""
    both = planned(*MXNET, *PS, *SCHEDULER, "--docker_image", "all", "--ps_docker_image", "own")
    assert {role: launch(both, role)[IMAGE] for role in ("worker", "server", "scheduler")} == {
        "worker": "all",
        "server": "own",
        "scheduler": "all",
    }
    alone = planned(*MXNET, *SCHEDULER, "--scheduler_docker_image", "own")
    assert launch(alone, "scheduler") == {"YARN_CONTAINER_RUNTIME_TYPE": "docker", IMAGE: "own"}
    assert launch(alone, "worker") == {}


def test_the_prefix_docker_is_removed_inside_docker_only() -> None:
    """At the beginning of a name, and nowhere else: YARN's own variables keep it."""
    network = "YARN_CONTAINER_RUNTIME_DOCKER_CONTAINER_NETWORK"
    env = ["--env", "DOCKER_JAVA_HOME=/j", "--env", f"{network}=host", "--env", "MY_DOCKER_X=1", "--env", "DOCKER_=z"]
    outside = planned(*JOB, *env)
    assert task(outside, "worker") == {"DOCKER_JAVA_HOME": "/j", network: "host", "MY_DOCKER_X": "1", "DOCKER_": "z"}
    inside = planned(*JOB, *env, "--docker_image", "i")
    assert task(inside, "worker") == {"JAVA_HOME": "/j", network: "host", "MY_DOCKER_X": "1"}
    assert launch(inside, "worker")[network] == "host"


def test_gpus_of_every_role_arrive() -> None:
    """Submarine lost those of ps and scheduler."""
    services = planned(*MXNET, *PS, *SCHEDULER)["plan"]["application"]["services"]
    assert {name: service["resources"]["gpus"] for name, service in services.items()} == {
        "worker": 0,
        "server": 2,
        "scheduler": 3,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1,2", {"A": "1,2"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=", {"A": ""}),
        ("A", {"A": ""}),
        ("A= x ", {"A": " x "}),
        ("A='q' \"r\"\nnext", {"A": "'q' \"r\"\nnext"}),
        ("_a1=x", {"_a1": "x"}),
    ],
)
def test_variables(text: str, expected: dict[str, str]) -> None:
    """The first `=` splits, everything behind it stays."""
    assert task(planned(*JOB, "--env", text), "worker") == expected


def test_a_file_of_variables() -> None:
    """Comments and empty lines are left out, CRLF and a byte order mark, too; blanks behind a value stay."""
    Path("vars").write_bytes("\ufeffA=1\r\n\r\n # no\r\nB=x  \r\n  C=\u2028y\n".encode())
    assert spec_of(*JOB, "--env_file", "vars", "--env", "A=2").env == {"A": "2", "B": "x  ", "C": "\u2028y"}
    Path("vars").write_text("export A=1\n")
    (problem,) = faults(*JOB, "--env_file", "vars")
    assert (problem.id, problem.next_step) == ("env-name", "leave `export` out")
    assert problem.sentence.startswith("vars:1:")


@pytest.mark.parametrize(
    "words",
    [
        ["--conf", "tony.containers.resources=a.zip#archive,b.py"],
        ["--conf", "tony.containers.resources=a.zip#archive, b.py,"],
        ["--conf", "tony.containers.resources=a.zip#archive,\n  b.py"],
        ["--conf", "tony.containers.resources=a.zip#archive,", "b.py"],  # as Submarine's guide breaks it
        ["--conf=tony.containers.resources=a.zip#archive,", "b.py"],
        ["--conf", "tony.containers.resources=a.zip#archive", "--conf", "tony.containers.resources=b.py"],
    ],
)
def test_tonys_list_of_files(words: list[str]) -> None:
    """It is an alias of localization into the working directory; given again, it is added to."""
    found = spec_of(*JOB, *words, "--verbose").localizations
    assert [(Path(item.remote).name, item.local, item.archive) for item in found] == [
        ("a.zip", "a.zip", True),
        ("b.py", "b.py", False),
    ]


def test_properties_of_hadoop_and_settings_of_ours() -> None:
    """Hadoop's keys go with the submission, ours are as with --set; one that has no effect is refused."""
    spec, controls = load([*JOB, "--conf", "dfs.replication=2", "--conf", "queue=ml", "--set", "docker_image=i"])
    assert spec.conf == {"dfs.replication": "2"}
    assert controls.set == ("queue=ml", "docker_image=i")
    _, controls = load([*JOB, "--conf", "dfs.replication=2", "--conf", "dfs.replication=3"])
    assert controls.warnings == ("--conf: dfs.replication is given more than once, the last one counts",)


@pytest.mark.parametrize(
    ("words", "problem_id", "pieces"),
    [
        (["dfs.replication"], "conf-form", ["'dfs.replication' gives no value", "--conf KEY=VALUE"]),
        (["a.b=c"], "conf-unknown", ["'a.b'", "leave it out"]),
        (["tony.docker.containers.image=x"], "conf-unknown", ["write --docker_image IMAGE"]),
        (
            ["tony.chief.instances=1", "tony.chief.memory=4G", "tony.chief.command=run it"],
            "conf-unknown",
            ["role chief", "--role chief:instances=1,memory=4G --role_cmd 'chief=run it'"],
        ),
    ],
)
def test_properties_without_effect(words: list[str], problem_id: str, pieces: list[str]) -> None:
    """What TonY called otherwise is told in our words."""
    (problem,) = faults(*JOB, *(part for word in words for part in ("--conf", word)))
    assert problem.id == problem_id
    for piece in pieces:
        assert piece in problem.text()


def test_a_dry_run_needs_no_hadoop_and_no_java(tmp_path: Path) -> None:
    """It contacts nothing, starts nothing, imports no Skein, and gives the same bytes again."""
    Path("key").write_text("hunter2")
    script = (
        "import sys; from yarn_submitter.cli import main\n"
        "def hook(event, arguments):\n"
        "    if event in ('socket.connect', 'subprocess.Popen', 'os.posix_spawn', 'os.fork'): raise SystemExit(event)\n"
        "sys.addaudithook(hook)\n"
        "code = main(sys.argv[1:])\n"
        "assert 'skein' not in sys.modules\n"
        "sys.exit(code)"
    )
    environment = {"PATH": "/nowhere", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = [*JOB, "--secret", "API_KEY=@key", "--localization", "data:./data", "--dry_run"]
    done = [
        subprocess.run(
            [sys.executable, "-c", script, "run", *words],
            env={**environment, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for seed in ("1", "2")
    ]
    assert [(run.returncode, run.stderr) for run in done] == [(0, "")] * 2
    assert done[0].stdout == done[1].stdout
    assert "hunter2" not in done[0].stdout
    assert json.loads(done[0].stdout)["secrets"] == [{"name": "API_KEY", "file": str(Path("key").absolute())}]


def test_the_stable_keys_hold_everything() -> None:
    """Each part of the description stands where scripts look for it."""
    document = planned(
        *[*JOB, *PS, "--num_workers", "2", "--docker_image", "i", "--ps_docker_image", "p", "--env", "A=1"],
        *["--localization", "a.zip#archive:./env:rw", "--mount", "/a:/b:rw", "--quicklink", "UI=http://ps-0:80"],
        *["--keytab", "/k", "--principal", "p@R", "--distribute_keytab", "--insecure", "--tensorboard"],
    )
    here = str(Path.cwd())
    assert document["distributed"] is True
    assert document["env"] == {"A": "1"}
    assert document["localizations"] == [
        {"remote_uri": f"{here}/a.zip#archive", "local_path": "env", "permission": "rw"}
    ]
    assert document["mounts"] == [{"source": "/a", "target": "/b", "permission": "rw"}]
    assert document["quicklinks"] == [{"label": "UI", "protocol": "http", "instance": "ps-0", "port": 80}]
    assert document["security"] == {
        "insecure": True,
        "keytab": "/k",
        "principal": "p@R",
        "distribute_keytab": True,
    }
    assert document["tensorboard"] == {
        "enabled": True,
        "resources": {"memory_mb": 4096, "vcores": 1, "gpus": 0, "fpgas": 0},
        "docker_image": "",
    }
    assert document["roles"]["ps"]["resources"] == {"memory_mb": 1024, "vcores": 1, "gpus": 2, "fpgas": 0}
    assert document["roles"]["ps"]["docker_image"] == "p"
    assert {role: launch(document, role)[IMAGE] for role in ("worker", "ps", "tensorboard")} == {
        "worker": "i",
        "ps": "p",
        "tensorboard": "i",
    }
    assert json.loads(document["plan"]["environment"]["ps:0"]["TF_CONFIG"])["task"] == {"type": "ps", "index": 0}
