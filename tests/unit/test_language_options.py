"""Sentence by sentence, what docs/job-run.md says of options, frameworks and resources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from language_world import JOB, MXNET, PS, SCHEDULER, YAML, command_of, faults, make_files, planned, spec_of

from yarn_submitter.cli import main
from yarn_submitter.load import load
from yarn_submitter.options import OPTIONS


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("word", ["-h", "--help", "-help"])
@pytest.mark.parametrize("words", [[], ["--nmae", "x"], JOB])
def test_help_anywhere_runs_nothing(word: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The usage is the result, status 0, whatever else stands there."""
    assert main(["run", *words, word]) == 0
    assert capsys.readouterr().out.startswith("usage: job run")


@pytest.mark.parametrize(
    ("words", "on"),
    [
        (["--tensorboard"], True),
        (["-tensorboard"], True),
        (["--tensorboard", "true"], True),
        (["--tensorboard", "TRUE"], True),
        (["--tensorboard=yes"], True),
        (["--tensorboard=false"], False),
        (["--tensorboard", "false"], False),
        (["--tensorboard=no"], False),
    ],
)
def test_flags(words: list[str], on: bool) -> None:
    """A flag stands alone, with a stray `true`, or is off."""
    assert (spec_of(*JOB, *words, "--verbose").tensorboard is not None, spec_of(*JOB, "--verbose").verbose) == (
        on,
        True,
    )


@pytest.mark.parametrize(
    "text",
    [
        "-u fit.py",
        "--lr=0.1",
        "a=b=c",
        "python -c 'print(\"x\")' && echo $HOME `date` %other% 100% \\n",
        "set -e\nfor i in 1 2; do\n\trun $i\ndone\n",
        "é ü 日本 🙂",
        " leading and trailing ",
    ],
)
def test_a_command_is_opaque(text: str) -> None:
    """Shell text reaches the tasks as it was written, by option, by any role, and by file."""
    by_option = planned(*JOB[:-1], text)
    by_role = planned("--name", "x", "--framework", "generic", "--role", "a:memory=1G", "--role_cmd", f"a={text}")
    in_file = planned(yaml=YAML.replace("launch_cmd: run", f"launch_cmd: {json.dumps(text)}"))
    assert [command_of(by_option, "worker"), command_of(by_role, "a"), command_of(in_file, "worker")] == [text] * 3


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (["--name", "x", "--num_workers", "1", "-name", "x"], "--name is given twice"),
        (["\u2013name", "x"], "begins with a long dash"),
        (["\u2014\u2014name", "x"], "type --name"),
        ([" --name", "x"], "take the blank behind the backslash away"),
        ([" ", "--verbose"], "take the blank behind the backslash away"),
        (["name=x"], "write --name=x"),
    ],
)
def test_slips_of_a_tired_hand(words: list[str], pieces: str) -> None:
    """What word processors, backslashes and missing dashes make of options is told as what it is."""
    named = [] if any("name" in word for word in words) else JOB[:2]
    found = faults(*words, *named, *JOB[2:])
    assert pieces in found[0].text()
    assert {"name-absent", "role-incomplete"}.isdisjoint({problem.id for problem in found})


REFUSED = {
    "tensorflow": (("scheduler",), False),
    "pytorch": (("ps", "scheduler"), True),
    "mxnet": ((), True),
    "horovod": (("ps", "scheduler"), True),
    "jax": (("ps", "scheduler"), True),
    "generic": ((), True),
}
NAMES = {"pytorch": "PyTorch", "tensorflow": "TensorFlow", "mxnet": "MXNet", "horovod": "Horovod", "jax": "JAX"}


@pytest.mark.parametrize(
    ("framework", "option"),
    [
        (framework, option.name)
        for framework, (roles, board) in REFUSED.items()
        for option in OPTIONS
        if option.role in roles or (board and option.name.startswith("tensorboard"))
    ],
)
def test_options_that_a_framework_refuses(framework: str, option: str) -> None:
    """Each is an error that names option and framework, even for a count of 0, and the only one."""
    value = "memory=1G" if option.endswith("resources") else "true" if option == "tensorboard" else "0"
    (problem,) = faults(*JOB, "--framework", framework, f"--{option}", value)
    sentence = f"Parameter '{option}' cannot be defined for {NAMES.get(framework, framework)} jobs!"
    assert (problem.sentence, problem.id) == (sentence, "parameter-not-for-framework")


@pytest.mark.parametrize(
    ("framework", "section", "name"),
    [
        ("pytorch", "  ps: {launch_cmd: x}\n", "roles.ps"),
        ("tensorflow", "  scheduler: {}\n", "roles.scheduler"),
        ("mxnet", "tensorBoard: {resources: memory=1G, docker_image: x}\n", "tensorBoard"),
        ("jax", "tensorBoard: {}\n", "tensorBoard"),
    ],
)
def test_sections_that_a_framework_refuses(framework: str, section: str, name: str) -> None:
    """A section of the file is refused as one, with both names."""
    (problem,) = faults(yaml=YAML.replace("name: fit", f"name: fit, framework: {framework}") + section)
    assert problem.sentence == f"Parameter '{name}' cannot be defined for {NAMES[framework]} jobs!"
    assert "job.yaml:5" in problem.evidence


def test_a_wrong_framework_makes_no_other_fault() -> None:
    """Which options it takes is not known then."""
    (problem,) = faults(*JOB, "--framework", "tf", "--tensorboard", *PS, *SCHEDULER)
    assert problem.id == "value-unknown"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--framework", "mxnet", *SCHEDULER[2:], "--num_schedulers", "2"], "--num_schedulers should be 1 or 0."),
        (PS, "Only specified one worker but non-zero PS, please double check."),
        (["--num_workers", "1", *PS], "Only specified one worker but non-zero PS, please double check."),
    ],
)
def test_numbers_of_tasks(words: list[str], sentence: str) -> None:
    """The numbers that a framework cannot have."""
    assert [problem.sentence for problem in faults(*JOB, *words)] == [sentence]


@pytest.mark.parametrize(
    "words",
    [
        [*MXNET, *PS],
        [*MXNET, *SCHEDULER],
        [*MXNET, "--num_schedulers", "0"],
        [*JOB, *PS, "--num_workers", "2"],
        [*JOB, *PS, "--role", "chief:memory=1G", "--role_cmd", "chief=x"],  # a chief counts as a worker
        [*JOB, "--num_ps", "0", "--ps_resources", "nonsense", "--ps_launch_cmd", ""],  # nobody asks what none has
        ["--name", "x", "--num_workers", "0", "--tensorboard"],
        ["--name", "x", "--num_workers", "0", "--tensorboard", "--tensorboard_resources", "memory=2G,vcores=2"],
        [*JOB, "--keytab", "k"],  # refused at submit, where the cluster's security is known
        [*JOB, "--principal", "p"],
        [*JOB, "--insecure", "--wait_job_finish", "--verbose"],
    ],
)
def test_jobs_that_may_be(words: list[str]) -> None:
    """What the parser takes."""
    spec_of(*words)


def test_mxnets_ps_tasks_are_servers() -> None:
    """They are called so in YARN and in every line; the description keeps its word; both words are understood."""
    words = [*MXNET, *PS, "--quicklink", "a=http://ps-0:1", "--quicklink", "b=http://server-0:2"]
    document = planned(*words)
    assert list(document["roles"]) == ["worker", "ps"]
    assert [(role["name"], role["tracked"]) for role in document["plan"]["job"]["roles"]] == [
        ("worker", True),
        ("server", False),
    ]
    assert list(document["plan"]["application"]["services"]) == ["worker", "server"]
    assert "server:0" in document["plan"]["environment"]
    assert [link["instance"] for link in document["quicklinks"]] == ["server-0", "server-0"]
    assert {load([*words, "--logs", word])[1].logs for word in ("ps", "server")} == {"server"}
    assert load([*words, "--logs", "ps:0"])[1].logs == "server:0"


@pytest.mark.parametrize(
    ("words", "main"),
    [([], "worker-0"), (["--role", "chief:memory=1G", "--role_cmd", "chief=x"], "chief-0")],
)
def test_the_first_worker_is_submarines_master(words: list[str], main: str) -> None:
    """Submarine's help links to the first worker as `master-0`."""
    document = planned(*JOB, *words, "--quicklink", "Notebook_UI=https://master-0:7070")
    assert document["quicklinks"] == [{"label": "Notebook_UI", "protocol": "https", "instance": main, "port": 7070}]


def test_placeholders_are_replaced_in_every_role() -> None:
    """The scheduler's, too, which Submarine forgot; without a path for it, the model goes where checkpoints do."""
    text = "%input_path% %checkpoint_path% %saved_model_path% %% %d"
    words = ["--input_path", "hdfs://nn/in", "--checkpoint_path", "hdfs://nn/c", "--framework", "mxnet"]
    for role in ("worker", "ps", "scheduler"):
        words += [f"--{role}_launch_cmd", text, f"--{role}_resources", "memory=1G"]
    document = planned("--name", "x", *words, "--num_ps", "1", "--num_schedulers", "1")
    expected = "hdfs://nn/in hdfs://nn/c hdfs://nn/c %% %d"
    assert [role["launch_cmd"] for role in document["roles"].values()] == [expected] * 3
    assert {command_of(document, role) for role in ("worker", "server", "scheduler")} == {expected}
    own = planned(*JOB)
    assert own["checkpoint_path"].endswith("/checkpoint")
    assert own["saved_model_path"].endswith("/model")


def test_a_command_may_not_explode() -> None:
    """Paths are filled in before anything is sent: what no program could be given is told here."""
    path = "hdfs://nn/" + "x" * 4000
    (problem,) = faults("--name", "x", "--input_path", path, *JOB[4:-1], "%input_path% " * 40)
    assert (problem.id, "role worker" in problem.sentence) == ("text-unusable", True)


@pytest.mark.parametrize("option", ["worker_resources", "ps_resources", "scheduler_resources", "tensorboard_resources"])
@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("memory=1.5G", "'memory=1.5G' has no whole number; write memory=1536M"),
        ("a=1,,b=2", "'' is not of the form key=amount"),
        ("memory=1G;vcores=2", "'memory=1G;vcores=2'"),
        ("memory=2T", "Acceptable units are M/G"),
        ("memory=-1G", "'memory=-1G'"),
        ("memory=99999999999G", "more than any cluster has"),
        ("vcores=2", "memory is left out"),
        ("memory=2048", "memory=2048M"),
    ],
)
def test_a_resource_fault_names_option_and_pair(option: str, text: str, piece: str) -> None:
    """Whichever role it is, what was read and what is right are told."""
    framework = "tensorflow" if option == "tensorboard_resources" else "mxnet"
    words = {
        **dict(zip(JOB[::2], JOB[1::2], strict=True)),
        **(
            {} if framework == "tensorflow" else dict(zip([*PS, *SCHEDULER][::2], [*PS, *SCHEDULER][1::2], strict=True))
        ),
        **({"--tensorboard": "true"} if framework == "tensorflow" else {}),
        "--framework": framework,
        f"--{option}": text,
    }
    (problem,) = faults(*(word for pair in words.items() for word in pair))
    assert problem.sentence.startswith(f"--{option}: ")
    assert piece in problem.sentence


@pytest.mark.parametrize(
    ("words", "untracked"),
    [
        ([*JOB, *PS, "--num_workers", "2"], ["ps"]),
        ([*JOB, "--role", "evaluator:memory=1G", "--role_cmd", "evaluator=x"], ["evaluator"]),
        ([*MXNET, *PS, *SCHEDULER], ["server", "scheduler"]),
        ([*JOB, "--framework", "pytorch", "--num_workers", "2"], []),
        ([*JOB, "--tensorboard"], ["tensorboard"]),
        (["--name", "x", "--num_workers", "0", "--tensorboard"], []),
    ],
)
def test_who_decides(words: list[str], untracked: list[str]) -> None:
    """Parameter servers, evaluators, schedulers and a TensorBoard decide nothing by a good end, unless they are all."""
    roles = planned(*words)["plan"]["job"]["roles"]
    assert [role["name"] for role in roles if not role["tracked"]] == untracked


def test_failures_that_are_ignored() -> None:
    """A role may say that the others go on without its failed tasks; `fail` is an old word for `fatal`."""
    roles = planned(*JOB, "--role_on_failure", "worker=ignore")["plan"]["job"]["roles"]
    assert [role["on_failure"] for role in roles] == ["ignore"]
    in_file = planned(yaml=YAML.replace("replicas: 2", "on_failure: Ignore"))["plan"]["job"]["roles"]
    assert in_file == roles
    (problem,) = faults(*JOB, "--role_on_failure", "worker=never")
    assert (problem.id, problem.evidence) == ("value-unknown", "valid: fatal, restart-task, restart-job, ignore")
    (worker,) = spec_of(*JOB, "--role_on_failure", "worker=fail").roles
    assert worker.on_failure == "fatal"
