"""Files of other systems become jobs of ours: what is carried over, what is told, and that nothing is lost between.

The samples lie in tests/golden/formats/, each with what `job run -f SAMPLE --dry_run` prints: the job (.json), when
there is one, and the warnings or faults (.txt). A first line `# words: ...` has the options beside the file.
"""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from yarn_submitter.cli import main
from yarn_submitter.errors import UsageError
from yarn_submitter.formats import form_of
from yarn_submitter.formats.source import memory_mib, shell_word, with_variables
from yarn_submitter.given import Faults
from yarn_submitter.load import load
from yarn_submitter.spec import JobSpec
from yarn_submitter.yamlfile import compose

SAMPLES = sorted((Path(__file__).parent.parent / "golden" / "formats").rglob("*.yaml"))
FAULTY = [sample for sample in SAMPLES if not sample.with_suffix(".json").exists()]
SECRETS = ("leafpassword", "leafuser")
FUZZED = 2000
ODD = (
    *(
        "",
        "null",
        "[]",
        "{}",
        "-1",
        "0",
        "1e999",
        "'",
        "yes",
        "*a",
        "&a x",
        "\u00b2",
        "9" * 40,
        "9" * 5000,
        "[[]]",
        "{a: b}",
    ),
    *(
        "$(A)",
        "{{a}}",
        "$$(",
        "=",
        "a=,b",
        "hdfs://",
        "\\0",
        '"\\0"',
        "? x",
        "<<",
        "|",
        "!!binary x",
        "cpu=1,memory=1E9G",
        "%",
    ),
)


def sample_name(sample: Path) -> str:
    """Return `format/name`."""
    return f"{sample.parent.name}/{sample.stem}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which commands are typed."""
    directory = tmp_path / "here"
    directory.mkdir(mode=0o755)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directory


def put(text: str) -> str:
    """Write a file and return its name."""
    Path("file.yaml").write_text(text)
    Path("file.yaml").chmod(0o644)
    return "file.yaml"


def words_of(sample: Path) -> list[str]:
    """Return the options beside a sample."""
    first = sample.read_text().splitlines()[0]
    return shlex.split(first.removeprefix("# words:")) if first.startswith("# words:") else []


def outcome(text: str, *words: str) -> tuple[JobSpec | None, list[str]]:
    """Return the job and the warnings, or the texts of the faults."""
    try:
        spec, controls = load(["-f", put(text), *words])
    except UsageError as error:
        return None, [problem.text() for problem in error.problems]
    return spec, list(controls.warnings)


def loaded(text: str, *words: str) -> JobSpec:
    """Return the job of a file without faults."""
    spec, told = outcome(text, *words)
    assert spec is not None, told
    return spec


def job_text(printed: str) -> str:
    """Return the job of a printed plan: what follows from it is what follows from our own form."""
    document = json.loads(printed)
    document["staged"] = [file["path"] for file in document.pop("plan")["staged"]]
    return json.dumps(document, indent=2) + "\n"


@pytest.mark.parametrize("sample", SAMPLES, ids=sample_name)
def test_golden(sample: Path, here: Path, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config) -> None:
    """A sample prints what lies beside it (`pytest --update` writes it)."""
    code = main(["run", "-f", put(sample.read_text()), *words_of(sample), "--dry_run"])
    captured = capsys.readouterr()
    assert code in (0, 64), captured.err
    expected = {".json": job_text(captured.out.replace(str(here), "<here>")) if code == 0 else "", ".txt": captured.err}
    for suffix, text in expected.items():
        golden = sample.with_suffix(suffix)
        if pytestconfig.getoption("--update"):
            golden.write_text(text)
            if not text:
                golden.unlink()
        assert (golden.read_text() if golden.exists() else "") == text
    assert not [secret for secret in SECRETS if secret in captured.out + captured.err]


def test_no_golden_file_is_left_over() -> None:
    """Every file beside the samples is what one of them is expected to print."""
    files = [file for sample in SAMPLES for file in sample.parent.iterdir()]
    assert [file for file in files if not file.with_suffix(".yaml").exists()] == []


@pytest.mark.parametrize("sample", FAULTY, ids=sample_name)
def test_a_fault_names_file_and_line(sample: Path) -> None:
    """Every fault of a file says where in the file it is, or that the file lacks a section."""
    _, told = outcome(sample.read_text(), *words_of(sample))
    assert told
    assert [text for text in told if not re.match(r"file\.yaml:(\d+| section)", text)] == []


@pytest.mark.parametrize("sample", SAMPLES, ids=sample_name)
def test_a_form_is_seen_by_its_shape(sample: Path) -> None:
    """Each sample is taken for what it is."""
    assert form_of(compose(str(sample), Faults())) == sample.parent.name


@pytest.mark.parametrize(
    "text",
    [
        *["spec: {}\nconfigs: {}\nroles: {}\n", "spec: {name: x}\n", "[]", "word", "? [a]\n: b\n"],
        *["framework: tensorflow\n", "roles: {}\ntrain: {}\nkind: x\n"],
    ],
)
def test_what_is_nothing_else_is_ours(text: str) -> None:
    """Our own form, and what no system has, is read as our own."""
    assert form_of(compose(put(text), Faults())) == "job"


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every key and list item of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths_of(inner, (*path, key))


def without(document: Any, path: tuple[Any, ...]) -> Any:
    """Return a document without one of its keys or items."""
    key, *rest = path
    if isinstance(document, list):
        kept = [without(item, tuple(rest)) if rest else None for item in document[key : key + 1]]
        return [*document[:key], *(kept if rest else []), *document[key + 1 :]]
    if rest:
        return {**document, key: without(document[key], tuple(rest))}
    return {name: value for name, value in document.items() if name != key}


class _Plain(yaml.SafeDumper):
    """Writes what stands in two places twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the base class's name
        return True


def written(document: Any) -> str:
    """Return a document as a file."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False)


def told_without_lines(text: str, *words: str) -> tuple[JobSpec | None, list[str]]:
    """Return the outcome with the lines left out, and warnings in order."""
    spec, told = outcome(text, *words)
    return spec, sorted(re.sub(r"file\.yaml:\d+", "file.yaml", text) for text in told)


# What says what is so without it.
SAYS_NOTHING = re.compile(
    r"apiVersion|kind|.*/(restartPolicy|distributed|replicas|count|learners)|learners|.*/containers/0/name|meta/framework"
    r"|submitterSpec/type|code/(syncMode|git)"
    r"|train/tensorflow/distributed/master.*"  # alike the workers'
)
# A part of what is told as one.
TOLD_AS_ONE = re.compile(
    r".*(labels|annotations|nodeSelector|hostAliases|ports|valueFrom|persistentVolumeClaim|kernelSpec|connection|metadata"
    r"|evaluation_metrics|install|deploy|tags|git)/.*|data_stores/\d+/(id|type)"
)


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample not in FAULTY], ids=sample_name)
def test_nothing_is_lost_on_the_way(sample: Path) -> None:
    """Without any one key of a sample the job, its warnings or its faults are others."""
    words = words_of(sample)
    document = yaml.load(sample.read_text(), Loader=yaml.BaseLoader)  # noqa: S506  it makes texts only
    whole = told_without_lines(written(document), *words)
    assert whole[0] is not None
    silent = []
    for path in paths_of(document):
        name = "/".join(map(str, path))
        told = SAYS_NOTHING.fullmatch(name) or TOLD_AS_ONE.fullmatch(name)
        if not told and told_without_lines(written(without(document, path)), *words) == whole:
            silent.append(name)
    assert silent == []


WORKER = "spec: {tfReplicaSpecs: {Worker: {template: {spec: {containers: [%s]}}}}}\nkind: TFJob\nmetadata: {name: x}\n"
CONTAINER = "{name: tensorflow, command: [run], resources: {limits: {memory: 1Gi}}}"


def test_the_command_line_stands_beside_a_file() -> None:
    """What the file lacks is taken from it, what both have is a fault, an input may be named."""
    text = WORKER % CONTAINER
    assert loaded(text).input_path == ""
    assert loaded(text, "--input_path", "hdfs://nn/in", "--queue", "ml").input_path == "hdfs://nn/in"
    assert [told.split(" [")[1][:14] for told in outcome(text, "--worker_resources", "memory=2G")[1]] == [
        "option-in-both"
    ]
    bare = WORKER % "{name: tensorflow}"
    assert loaded(bare, "--worker_resources", "memory=2G", "--worker_launch_cmd", "run").roles[0].command == "run"
    assert loaded(bare, "--worker_resources", "memory=2G", "--role_cmd", "worker=run").roles[0].command == "run"


def test_a_form_can_be_named() -> None:
    """`--format` counts more than the shape, in any case of letters; a wrong word is a fault of its own."""
    text = "framework: {name: pytorch, command: run}\nname: x\nmemory: 1Gb\n"
    assert loaded(text, "--format", "FfDL").framework == "pytorch"
    assert "yaml-key-unknown" in outcome(text, "--format", "job")[1][0]
    assert [told.split(" [")[1] for told in outcome(text, "--format", "fdl")[1]] == [
        "value-unknown]\n  valid: job, riseml, ffdl, kubeflow, submarine; did you mean ffdl?"
    ]
    words = ["--name", "x", "--input_path", "", "--worker_resources", "memory=1G", "--worker_launch_cmd", "run"]
    assert load([*words, "--format", "job"])[1].warnings == ("--format has no effect without -f",)


RISEML = "project: p\ntrain: {resources: {cpus: 1, mem: 512, gpus: 0}, run: python3 a.py}\n"


@pytest.mark.parametrize("name", ["riseml.yml", "riseml.yaml"])
def test_a_project_of_riseml_needs_no_file_named(name: str, here: Path) -> None:
    """Its file in the current directory is the job where the command line has none, and that is told."""
    (here / name).write_text(RISEML)
    spec, controls = load(["--queue", "ml", "--dry_run"])
    assert (spec.name, spec.queue, spec.roles[0].command) == ("p", "ml", "python3 a.py")
    assert controls.warnings[0] == f"{name} is taken: the command line has neither a job nor -f"
    assert load(["--format", "riseml"])[0] == load([])[0] == load(["-f", name])[0]
    assert load(["-f", name])[1].warnings == controls.warnings[1:]
    (here / "riseml.yml").write_text(RISEML.replace(" p\n", " q\n"))
    assert load([])[0].name == "q"


@pytest.mark.parametrize("word", ["--name=x", "--nmae=x", "--worker_launch_cmd=run", "--role=a:memory=1G"])
def test_a_job_on_the_command_line_is_no_project_of_riseml(word: str, here: Path) -> None:
    """What begins to describe a job is told what it lacks, and nothing of a file."""
    (here / "riseml.yml").write_text(RISEML)
    with pytest.raises(UsageError) as refused:
        load([word])
    assert "riseml" not in str(refused.value)
    (here / "riseml.yml").unlink()
    with pytest.raises(UsageError) as without:
        load([word])
    assert str(without.value) == str(refused.value)


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        *[("4Gi", 4096), ("4G", 4096), ("4Gb", 4096), ("4 GiB", 4096), ("1.5gi", 1536), ("512m", 1), ("1", 1)],
        *[("2147483648", 2048), ("2e9", 1908), ("1Ti", 1024**2), ("1025Ki", 2), (".5G", 512), ("128974848000m", 123)],
    ],
)
def test_memory(text: str, mib: int) -> None:
    """Amounts of Kubernetes and FfDL, in MiB and rounded up."""
    assert memory_mib(text) == mib


@pytest.mark.parametrize("text", ["", "0", "-1G", "G", "1Q", "1GG", "1e99", "1 2", "9" * 31, "\u0662G", "3E", "1Gibb"])
def test_no_memory(text: str) -> None:
    """What is no amount, nothing, or more than any cluster has."""
    with pytest.raises(ValueError, match=r"memory|cluster"):
        memory_mib(text)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        *[("a", "a"), ("", "''"), ("a b", "'a b'"), ("$(A)", '"${A}"'), ("x=$(A)/y z", "x=\"${A}\"'/y z'")],
        *[("$(B)", "'$(B)'"), ("$$(A)", "'$(A)'"), ("it's", "'it'\"'\"'s'"), ("$A;ls", "'$A;ls'")],
    ],
)
def test_a_word_of_a_command(word: str, text: str) -> None:
    """A word reaches the program as Kubernetes would give it, with the variables that are set."""
    assert shell_word(word, {"A"}) == text


def test_shell_text_keeps_what_is_the_shells() -> None:
    """In Submarine's commands only known variables are Kubernetes' own."""
    assert with_variables("a $(A) $(date) $A", {"A"}) == "a ${A} $(date) $A"


def torn(text: str, dice: random.Random) -> str:
    """Return a file with some of its lines gone, doubled, moved or overwritten."""
    lines = text.splitlines()
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(lines))
        line, what = lines[at], dice.randrange(4)
        if what == 0:
            lines.insert(dice.randrange(len(lines)), line)
        elif what == 1:
            lines[at] = " " * dice.randrange(8) + line.lstrip()
        elif what == 2:
            cut = dice.randrange(len(line) + 1)
            lines[at] = line[:cut] + dice.choice(ODD) + line[cut + dice.randrange(4) :]
        elif len(lines) > 1:
            del lines[at]
    return "\n".join(lines) + "\n"


def altered(text: str, dice: random.Random) -> str:
    """Return a file with some of its values gone, or others in their place."""
    document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    for _ in range(dice.randint(1, 3)):
        path = dice.choice([*paths_of(document), ("name",)])
        inner = dice.choice([*ODD, None, [], {}, [None], {"name": "x"}, ["a", {"b": []}]])
        document = without(document, path) if dice.random() < 0.3 else put_at(document, path, inner)
    return written(document)


def put_at(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a document with a value in the place of another."""
    if not path:
        return value
    key, *rest = path
    inner = put_at(document[key], tuple(rest), value) if rest else value
    return [*document[:key], inner, *document[key + 1 :]] if isinstance(document, list) else {**document, key: inner}


@pytest.mark.thorough
def test_no_file_makes_a_traceback() -> None:
    """2,000 broken samples, of a fixed seed, are jobs or faults with an id."""
    dice = random.Random(4)  # noqa: S311  it is no secret
    jobs = 0
    for _ in range(FUZZED):
        sample = dice.choice(SAMPLES)
        form = ["--format", sample.parent.name] if dice.random() < 0.8 else []
        change = dice.choice([torn, altered, altered])
        spec, told = outcome(change(sample.read_text(), dice), *words_of(sample), *form)
        assert spec is not None or all(re.search(r" \[[a-z-]+\]$", text.splitlines()[0]) for text in told)
        jobs += spec is not None
    assert FUZZED // 10 < jobs < FUZZED  # what is always broken at its first line proves nothing
