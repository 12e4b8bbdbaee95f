"""What is brought to tasks: REMOTE[#archive]:LOCAL[:rw] as docs/job-run.md says; one slip is one fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.load import load
from yarn_submitter.spec import JobSpec, Localization

WORKER = ["--worker_resources", "memory=1G", "--worker_launch_cmd", "python fit.py"]
JOB = ["--name", "fit", "--input_path", "", *WORKER]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fit.py", "env.zip", "env.tar.gz", "my env.tgz"):
        Path(name).write_text(name)
    Path("data").mkdir()
    Path("src").mkdir()


def spec_of(*words: str) -> JobSpec:
    """Return the job of a command line without faults."""
    return load(words)[0]


def problems(*words: str) -> list[Problem]:
    """Return the faults of a command line."""
    with pytest.raises(UsageError) as refused:
        load(words)
    return list(refused.value.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data:./data", Localization("{here}/data", "data")),
        ("data/:.", Localization("{here}/data/", "data")),
        ("./data:./", Localization("{here}/data", "data")),
        ("data:d", Localization("{here}/data", "d")),
        ("data:./d/", Localization("{here}/data", "d")),
        ("data:./a/b", Localization("{here}/data", "a/b")),
        ("data:/opt/data", Localization("{here}/data", "/opt/data")),
        ("data:./d:rw", Localization("{here}/data", "d", writable=True)),
        ("data:./d:wr", Localization("{here}/data", "d", writable=True)),
        ("fit.py:.", Localization("{here}/fit.py", "fit.py")),
        ("env.zip:./env.zip", Localization("{here}/env.zip", "env.zip")),
        ("env.zip#archive:./env", Localization("{here}/env.zip", "env", archive=True)),
        ("env.tar.gz#archive:.", Localization("{here}/env.tar.gz", "env.tar.gz", archive=True)),
        ("my env.tgz#archive:./my env", Localization("{here}/my env.tgz", "my env", archive=True)),
        ("hdfs://nn:8020/d:./d", Localization("hdfs://nn:8020/d", "d")),
        ("hdfs://nn/d:.", Localization("hdfs://nn/d", "d")),
        ("hdfs:///d/e:./d:rw", Localization("hdfs:///d/e", "d", writable=True)),
        ("hdfs://nn/d:2024", Localization("hdfs://nn/d", "2024")),
        ("hdfs://nn:8020/e.zip#archive:./e", Localization("hdfs://nn:8020/e.zip", "e", archive=True)),
        ("s3a://b/k:./k", Localization("s3a://b/k", "k")),
        ("https://h:8443/k.tgz#archive:./k", Localization("https://h:8443/k.tgz", "k", archive=True)),
    ],
)
def test_localizations(text: str, expected: Localization) -> None:
    """REMOTE[#archive]:LOCAL[:rw]; a port does not confuse the split, local paths become absolute."""
    (found,) = spec_of(*JOB, "--localization", text).localizations
    here = str(Path.cwd())
    remote = expected.remote.replace("{here}", here).rstrip("/")
    assert (found.remote, found.local, found.archive, found.writable) == (
        remote,
        expected.local,
        expected.archive,
        expected.writable,
    )


@pytest.mark.parametrize(
    ("text", "problem_id", "words"),
    [
        ("data", "localization-form", ["'data' has no local name", "REMOTE:LOCAL"]),
        ("data:", "localization-form", ["has no local name"]),
        (":./data", "localization-form", ["REMOTE:LOCAL"]),
        ("", "localization-form", ["REMOTE:LOCAL"]),
        ("hdfs://nn:8020/data", "localization-form", ["has no local name"]),
        ("data:../data", "localization-form", ["'../data'"]),
        ("data:./a/../../b", "localization-form", ["'./a/../../b'"]),
        ("data:/", "localization-form", ["'/'"]),
        ("data:./data:ro", "localization-form", ["rw", "ro"]),
        ("hdfs://nn/d:./d:ro", "localization-form", ["rw", "ro"]),
        ("data:./.ys.zip", "localization-form", [".ys.zip"]),
        ("data:./.skein.crt", "localization-form", [".skein.crt"]),
        ("none:./none", "localization-missing", ["there is no none", "/none"]),
        ("fit.py#archive:./x", "archive-kind", ["fit.py", ".tar.gz"]),
        ("hdfs://nn/x#archive:./x", "archive-kind", ["hdfs://nn/x", ".zip"]),
        ("hfds://nn/d:./d", "scheme-unknown", ["hfds", "did you mean hdfs?"]),
        ("file:///d:./d", "scheme-unknown", ["file", "without file://"]),
    ],
)
def test_wrong_localizations(text: str, problem_id: str, words: list[str]) -> None:
    """A wrong localization is one fault that names the option and what was read."""
    (problem,) = problems(*JOB, "--localization", text)
    assert problem.id == problem_id
    for piece in ("--localization", *words):
        assert piece in problem.text()


def test_two_things_cannot_have_one_name() -> None:
    """Neither two localizations nor a localization and the local input; that would lose one without a word."""
    two = ["--localization", "data:./x", "--localization", "fit.py:x"]
    (problem,) = problems(*JOB, *two)
    assert (problem.id, "'x'" in problem.sentence) == ("localization-twice", True)
    (problem,) = problems("--name", "fit", "--input_path", "data", *WORKER, "--localization", "src:./input")
    assert (problem.id, "'input'" in problem.sentence) == ("localization-twice", True)
    (problem,) = problems("--name", "fit", "--input_path", "data", *WORKER, "--role_localization", "worker=src:./input")
    assert (problem.id, "'input'" in problem.sentence) == ("localization-twice", True)
