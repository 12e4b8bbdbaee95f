"""A YAML job description becomes option texts exactly as written; every fault has its file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from yarn_submitter.given import Faults
from yarn_submitter.yamlfile import YamlJob, read_yaml

if TYPE_CHECKING:
    from yarn_submitter.errors import Problem

NEEDED = "spec: {}\nconfigs: {}\nroles: {}\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str | bytes) -> tuple[YamlJob, list[Problem]]:
    """Return what a file `job.yaml` with this content gives."""
    Path("job.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    faults = Faults()
    return read_yaml("job.yaml", faults), faults.problems


def options(text: str) -> dict[str, list[str]]:
    """Return option -> texts of a file without faults."""
    job, problems = read(text)
    assert problems == []
    return {name: [item.value for item in items] for name, items in job.options.items()}


def test_every_key_becomes_its_option() -> None:
    """Each documented key arrives under the name of its option, with file, line and key."""
    job, problems = read("""\
spec:
  name: fit
  job_type: anything
  framework: TensorFlow
configs:
  input_path: hdfs://nn:8020/in
  checkpoint_path: hdfs://nn:8020/c
  saved_model_path: /m
  wait_job_finish: yes
  done_when: all
  tf_worker0: chief
  src: .
  envs: {A: 1, B: x=y}
  localizations: ["data:./data", "hdfs://nn/x:."]
scheduling:
  queue: ml
roles:
  worker: {resources: "memory=1G", replicas: 2, launch_cmd: "python fit.py", envs: {R: w}, localizations: [a:./a]}
""")
    assert problems == []
    assert {name: [(item.value, item.source) for item in items] for name, items in job.options.items()} == {
        "name": [("fit", "job.yaml:2 name")],
        "framework": [("TensorFlow", "job.yaml:4 framework")],
        "input_path": [("hdfs://nn:8020/in", "job.yaml:6 input_path")],
        "checkpoint_path": [("hdfs://nn:8020/c", "job.yaml:7 checkpoint_path")],
        "saved_model_path": [("/m", "job.yaml:8 saved_model_path")],
        "wait_job_finish": [("yes", "job.yaml:9 wait_job_finish")],
        "done_when": [("all", "job.yaml:10 done_when")],
        "tf_worker0": [("chief", "job.yaml:11 tf_worker0")],
        "src": [(".", "job.yaml:12 src")],
        "env": [("A=1", "job.yaml:13 envs"), ("B=x=y", "job.yaml:13 envs")],
        "localization": [("data:./data", "job.yaml:14 localizations"), ("hdfs://nn/x:.", "job.yaml:14 localizations")],
        "queue": [("ml", "job.yaml:16 queue")],
    }
    assert {key: [item.value for item in items] for key, items in job.roles["worker"].items()} == {
        "resources": ["memory=1G"],
        "replicas": ["2"],
        "launch_cmd": ["python fit.py"],
        "envs": ["R=w"],
        "localizations": ["a:./a"],
    }


@pytest.mark.parametrize(
    "text",
    [
        "0042",
        "1.10",
        "00123",
        "true",
        "yes",
        "1.50",
        "0x1F",
        "2024-01-05",
        "12:30:45",
        "1e3",
        "1_000",
        "on",
        ".5",
        "=",
        "3",
    ],
)
def test_scalars_keep_their_text(text: str) -> None:
    """What YAML 1.1 would take for a number, a truth, a date or a time arrives as it was written."""
    found = options(f"spec: {{name: {text}}}\nconfigs: {{envs: {{V: {text}}}}}\nroles: {{}}\n")
    assert found == {"name": [text], "env": [f"V={text}"]}


def test_folded_and_literal_text() -> None:
    """Folded text is one line, literal text keeps its lines, quotes are gone."""
    job, problems = read("""\
spec: {name: "a b"}
configs: {}
roles:
  worker:
    launch_cmd: >-
      python
      fit.py
  ps:
    launch_cmd: |
      export A=1
      exec python fit.py
""")
    assert problems == []
    assert job.options["name"][0].value == "a b"
    assert job.roles["worker"]["launch_cmd"][0].value == "python fit.py"
    assert job.roles["ps"]["launch_cmd"][0].value == "export A=1\nexec python fit.py\n"


def test_merge_keys_and_aliases() -> None:
    """`<<` brings what is not there, an alias brings all; overriding is no double key."""
    job, problems = read("""\
spec: {name: fit}
configs: {}
roles:
  worker: &w
    resources: memory=1G
    replicas: 2
    launch_cmd: python fit.py
  ps: &p
    <<: *w
    replicas: 1
  third: *p
""")
    assert problems == []
    for role in ("ps", "third"):
        assert {key: items[0].value for key, items in job.roles[role].items()} == {
            "resources": "memory=1G",
            "replicas": "1",
            "launch_cmd": "python fit.py",
        }


@pytest.mark.parametrize("null", ["", "~", "null"])
def test_null_is_not_given(null: str) -> None:
    """A key, a list or a role without a value counts as left out."""
    job, problems = read(f"""\
spec:
  name: {null}
configs:
  envs: {null}
  localizations: {null}
scheduling: {null}
roles:
  ps: {null}
  worker:
    resources: {null}
""")
    assert problems == []
    assert (job.options, job.roles) == ({}, {"worker": {}})


def test_a_variable_without_a_value_is_empty() -> None:
    """`KEY:` in envs is the empty string."""
    assert options("spec: {}\nconfigs:\n  envs:\n    A:\n    B: ''\nroles: {}\n") == {"env": ["A=", "B="]}


def test_a_role_with_nothing_in_it_is_defined() -> None:
    """`worker: {}` is a role whose keys are left out, other than `worker:`."""
    job, problems = read("spec: {}\nconfigs: {}\nroles: {worker: {}}\n")
    assert (job.roles, problems) == ({"worker": {}}, [])


@pytest.mark.parametrize(
    ("text", "problem_id", "words"),
    [
        ("", "yaml-broken", ["Failed to parse YAML config job.yaml: the file is empty", "spec, configs and roles"]),
        ("# nothing\n", "yaml-broken", ["Failed to parse YAML config job.yaml: the file is empty"]),
        ("---\n", "yaml-broken", ["Failed to parse YAML config job.yaml: the file is empty"]),
        ("just words\n", "yaml-shape", ["job.yaml:1", "key: value"]),
        ("- a\n- b\n", "yaml-shape", ["job.yaml:1", "key: value"]),
        (NEEDED + "\tqueue: ml\n", "yaml-broken", ["Failed to parse YAML config job.yaml:4", "a tab stands"]),
        (NEEDED + "a:\n  b: 1\n c: 2\n", "yaml-broken", ["Failed to parse YAML config job.yaml:6"]),
        (NEEDED + "a: [1, 2\n", "yaml-broken", ["Failed to parse YAML config job.yaml:5"]),
        (NEEDED + "---\nspec: {}\n", "yaml-broken", ["Failed to parse YAML config job.yaml:4", "document"]),
        (NEEDED + "scheduling: *x\n", "yaml-broken", ["job.yaml:4", "alias"]),
        (b"spec: \xff\n", "yaml-unreadable", ["job.yaml", "line 1", "UTF-8"]),
        ("spec: \0\n", "yaml-broken", ["job.yaml"]),
        ("[" * 1000, "yaml-broken", ["job.yaml", "nested"]),
        (
            NEEDED + "skeduling: {queue: ml}\n",
            "yaml-key-unknown",
            ["job.yaml:4", "skeduling", "did you mean scheduling?"],
        ),
        (NEEDED + "Scheduling: {}\n", "yaml-key-unknown", ["job.yaml:4", "Scheduling", "valid here: spec, configs"]),
        ("spec: {nmae: x}\nconfigs: {}\nroles: {}\n", "yaml-key-unknown", ["job.yaml:1", "nmae", "did you mean name?"]),
        (
            "spec: {}\nconfigs: {}\nroles:\n  worker:\n    command: x\n",
            "yaml-key-unknown",
            ["job.yaml:5", "command", "launch_cmd"],
        ),
        ("configs: {}\nroles: {}\n", "yaml-section-missing", ["job.yaml", "section spec should be defined"]),
        ("spec: {}\nroles: {}\n", "yaml-section-missing", ["section configs should be defined"]),
        ("spec: {}\nconfigs: {}\n", "yaml-section-missing", ["section roles should be defined"]),
        ("spec: {name: [a]}\nconfigs: {}\nroles: {}\n", "yaml-shape", ["job.yaml:1", "name should be one value"]),
        ("spec: words\nconfigs: {}\nroles: {}\n", "yaml-shape", ["job.yaml:1", "spec should hold"]),
        ("spec: {}\nconfigs: {envs: [A=1]}\nroles: {}\n", "yaml-shape", ["job.yaml:2", "envs should hold"]),
        ("spec: {}\nconfigs: {envs: {A: [1]}}\nroles: {}\n", "yaml-shape", ["job.yaml:2", "A should be one value"]),
        ("spec: {}\nconfigs: {localizations: a:./b}\nroles: {}\n", "yaml-shape", ["job.yaml:2", "should be a list"]),
        (
            "spec: {}\nconfigs:\n  localizations:\n    - a: ./b\nroles: {}\n",
            "yaml-shape",
            ["job.yaml:4", "localizations", "one value"],
        ),
        ("spec: {}\nconfigs: {}\nroles: {worker: 2}\n", "yaml-shape", ["job.yaml:3", "role worker should hold"]),
        (
            "spec: {}\nconfigs: {}\nroles:\n  worker:\n    resources: {memory: 2G}\n",
            "yaml-shape",
            ["job.yaml:5", "resources should be one value"],
        ),
        ("spec: {? [a] : b}\nconfigs: {}\nroles: {}\n", "yaml-shape", ["job.yaml:1", "key"]),
        ("spec: {name: a, name: b}\nconfigs: {}\nroles: {}\n", "yaml-key-twice", ["job.yaml:1", "name"]),
        (NEEDED + "roles: {}\n", "yaml-key-twice", ["job.yaml:4", "roles", "line 3"]),
        ("spec: {<<: 3}\nconfigs: {}\nroles: {}\n", "yaml-broken", ["job.yaml:1", "merg"]),
    ],
)
def test_a_fault_is_one_problem(text: str | bytes, problem_id: str, words: list[str]) -> None:
    """One fault of a file is one problem with file, line, key as written, and what is valid."""
    _, problems = read(text)
    assert [problem.id for problem in problems] == [problem_id]
    for piece in words:
        assert piece in problems[0].text()


@pytest.mark.parametrize(("path", "words"), [("none.yaml", "No such file"), (".", "is a directory")])
def test_no_file(path: str, words: str) -> None:
    """A missing file and a directory are said to be what they are."""
    faults = Faults()
    read_yaml(path, faults)
    assert [problem.id for problem in faults.problems] == ["yaml-unreadable"]
    assert words in faults.problems[0].text()


def test_all_faults_of_a_file_are_told_in_their_order() -> None:
    """A wrong key hides no other fault."""
    _, problems = read("spec: {nmae: x}\nconfigs:\n  envs: 3\nroles:\n  ps: {replica: 2}\nmisc: 1\n")
    assert [
        (problem.id, problem.sentence.removeprefix("Failed to parse YAML config ").partition(": ")[0])
        for problem in problems
    ] == [
        ("yaml-key-unknown", "job.yaml:1"),
        ("yaml-shape", "job.yaml:3"),
        ("yaml-key-unknown", "job.yaml:5"),
        ("yaml-key-unknown", "job.yaml:6"),
    ]
