"""Sentence by sentence, what docs/job-run.md says of the YAML form and of localizations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from language_world import IMAGE, JOB, YAML, faults, launch, make_files, planned, spec_of, task


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (YAML.replace('""', '"", wait_job_finish: "true"'), ["--wait_job_finish"]),
        (YAML.replace('""', '"", wait_job_finish: yes'), ["--wait_job_finish"]),
        (YAML.replace('""', '"", wait_job_finish: off'), []),
        (YAML.replace("replicas: 2", "replicas: '2'"), []),
        (YAML + "tensorBoard: {}\n", ["--tensorboard"]),
        (YAML + "tensorBoard:\n", []),
        (YAML + "tensorBoard: ~\n", ["--tensorboard=false"]),
        (YAML + "tensorBoard: {resources: memory=5G}\n", ["--tensorboard", "--tensorboard_resources", "memory=5G"]),
        (YAML + "  ps:\n", []),
        (YAML + "scheduling:\nsecurity: {}\n", []),
        (YAML.replace("name: fit", "name: fit, job_type: anything"), []),
    ],
)
def test_what_a_file_says(text: str, words: list[str]) -> None:
    """Truths and counts in any of their spellings; null is as if it were left out."""
    assert spec_of(yaml=text) == spec_of(*JOB, "--num_workers", "2", *words)


def test_merge_keys_and_folded_text() -> None:
    """As in any reader of YAML 1.1: own keys win, then what is merged first; folded lines are one."""
    document = planned(
        yaml="""\
spec: {name: fit}
configs: {input_path: ""}
roles:
  worker: &task
    resources: memory=1G
    replicas: 2
    launch_cmd: >-
      python
      fit.py
    envs: &envs {A: 1, B: 2}
  ps:
    <<: *task
    replicas: 1
    envs:
      <<: [{B: 3}, *envs]
      C: 4
"""
    )
    assert {name: role["launch_cmd"] for name, role in document["roles"].items()} == {
        "worker": "python fit.py",
        "ps": "python fit.py",
    }
    assert document["roles"]["ps"]["env"] == {"A": "1", "B": "3", "C": "4"}
    assert document["roles"]["ps"]["instances"] == 1


@pytest.mark.parametrize(
    ("key", "inside"),
    [
        ("envs: {A: role}", {"A": "role", "B": "job"}),
        ("docker_image: own", "own"),
        ("localizations: ['hdfs://nn/own:./x']", "hdfs://nn/own"),
        ("mounts: ['/own:/m']", "/own:/m:ro"),
    ],
)
def test_what_a_role_says_wins_for_that_role_only(key: str, inside: Any) -> None:
    """Submarine parsed these and dropped them."""
    text = f"""\
spec: {{name: fit, framework: generic}}
configs:
  docker_image: all
  envs: {{A: job, B: job}}
  localizations: ['hdfs://nn/all:./x']
  mounts: ['/all:/m']
roles:
  a: {{resources: memory=1G, launch_cmd: x, {key}}}
  b: {{resources: memory=1G, launch_cmd: x}}
"""
    document = planned(yaml=text)
    services = document["plan"]["application"]["services"]
    look = {
        "envs": lambda role: task(document, role),
        "docker_image": lambda role: launch(document, role)[IMAGE],
        "localizations": lambda role: services[role]["files"]["x"]["source"],
        "mounts": lambda role: launch(document, role)["YARN_CONTAINER_RUNTIME_DOCKER_MOUNTS"],
    }[key.partition(":")[0]]
    assert look("a") == inside
    outside = {"envs": {"A": "job", "B": "job"}, "docker_image": "all", "localizations": "hdfs://nn/all"}
    assert look("b") == outside.get(key.partition(":")[0], "/all:/m:ro")


@pytest.mark.parametrize(
    ("yaml", "words", "ids"),
    [
        ("spec: {nmae: x}\nconfigs: {input_pth: ''}\n" + YAML.partition("\n")[2].partition("\n")[2], [], 2),
        ("Spec: {name: x}\n" + YAML.partition("\n")[2], [], 1),
        (YAML.replace("launch_cmd: run", "launch_cmd: [python, x]"), [], 1),
        (YAML.replace("resources: memory=1G", "resource: memory=1G"), [], 1),
        (YAML.replace("replicas: 2", "replicas: two") + "  ps: {resources: memory=1G, launch_cmd: x}\n", [], 1),
        ("spec: {name: x\n", ["--role_cmd", "worker=x", "--logs", "ps"], 1),
        (YAML.replace("configs", "confgs"), ["--verbose=maybe"], 2),
    ],
)
def test_one_slip_is_one_fault(yaml: str, words: list[str], ids: int) -> None:
    """What was meant to be given is not said to be missing, too; nor is what a broken file may have given."""
    assert len(faults(*words, yaml=yaml)) == ids


def test_every_fault_of_a_file_has_its_line_and_key() -> None:
    """Keys and values alike, in the order of the file, the command line's before them."""
    found = faults(
        *["--env", "1=2", "--num_workers", "x"],
        yaml="""\
spec: {name: fit, framework: tensorfow}
configs:
  input_path: ""
  quicklinks:
  - UI
  mounts: [a:b]
  wait_job_finish: maybe
scheduling: {max_runtime: soon}
roles:
  worker: {resources: 2G, launch_cmd: run, node_label: a b}
""",
    )
    assert [problem.sentence.partition(": ")[0].partition(" takes")[0] for problem in found] == [
        "--env",
        "--num_workers",
        "job.yaml:1 framework",
        "job.yaml:5 quicklinks",
        "job.yaml:6 mounts",
        "job.yaml:7 wait_job_finish",
        "job.yaml:8 max_runtime",
        "job.yaml:10 resources",
        "job.yaml:10 node_label",
    ]


@pytest.mark.parametrize(
    "word",
    ["verbose", "insecure", "wait_job_finish", "tensorboard"],
)
def test_flags_may_stand_in_both(word: str) -> None:
    """The file's and the command line's are one."""
    text = YAML.replace('""', '"", wait_job_finish: true') + "tensorBoard: {}\n"
    spec_of(f"--{word}", yaml=text)


SCHEMES = (
    *("hdfs", "viewfs", "webhdfs", "swebhdfs", "har", "s3a", "s3n", "s3", "gs", "oss"),
    *("wasb", "wasbs", "abfs", "abfss", "adl", "ftp", "http", "https"),
)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("authority", ["", "host", "host:8020", "user@host:1"])
@pytest.mark.parametrize("tail", ["", ":rw"])
def test_schemes_and_ports(scheme: str, authority: str, tail: str) -> None:
    """A port in the authority splits nothing."""
    remote = f"{scheme}://{authority}/a/b.zip"
    (found,) = spec_of(*JOB, "--localization", f"{remote}#archive:./b{tail}").localizations
    assert (found.remote, found.local, found.archive, found.writable) == (remote, "b", True, bool(tail))


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "A.ZIP"])
def test_archives(name: str) -> None:
    """YARN unpacks these, under the name given."""
    document = planned(*JOB, "--localization", f"hdfs://nn/{name}#archive:./{name}")
    (found,) = [
        file for local, file in document["plan"]["application"]["services"]["worker"]["files"].items() if local == name
    ]
    assert found["type"] == "archive"


def test_one_place_holds_one_thing() -> None:
    """A mount and something localized cannot lie at one place; a role's own mount takes the place of the job's."""
    words = ["--docker_image", "i", "--mount", "/a:/b/"]
    (problem,) = faults(*JOB, *words, "--localization", "data:/b")
    assert (problem.id, "/b is mounted from '/a'" in problem.sentence) == ("mount-twice", True)
    document = planned(*JOB, *words, "--role_mount", "worker=/c:/b/")
    assert launch(document, "worker")["YARN_CONTAINER_RUNTIME_DOCKER_MOUNTS"] == "/c:/b/:ro"
