"""Whatever is typed or written in a file becomes a plan or a report in bounded time, and does nothing else.

The inputs are mutations of tests/golden/corpus by a fixed seed: a failing one is the same in each run.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from language_mutations import COMMANDS, content_of, words_of
from language_world import make_corpus_files

from yarn_submitter.cli import main
from yarn_submitter.errors import UsageError
from yarn_submitter.given import UNPRINTABLE
from yarn_submitter.load import load
from yarn_submitter.localfiles import LocalFile, describe
from yarn_submitter.plan import local_paths, plan, to_text
from yarn_submitter.spec import JobSpec

pytestmark = pytest.mark.thorough
SEED = 20260
WORD_INPUTS, FILE_INPUTS, WHOLE_INPUTS = 7200, 2400, 400
MOST_S = 20.0  # of processor time, where a fraction of a second is usual: what explodes takes minutes
MOST_GROWTH_KIB = 200 * 1024


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which commands are typed; what lies above it is no great matter."""
    directory = tmp_path / "a" / "b" / "here"
    make_corpus_files(directory)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directory


def described(spec: JobSpec, here: Path) -> dict[str, LocalFile]:
    """Return what lies at a job's local paths; what a mutation hits elsewhere on this machine is not read."""
    found = {}
    for path in local_paths(spec):
        inside = path.startswith(str(here))
        found[path] = (
            describe(path, source=path == spec.source_dir) if inside else LocalFile(path, False, 1, "0" * 64, "")
        )
    return found


def check_report(error: UsageError) -> None:
    """A report has at least one problem, each with an id and one sentence, none too long to be read."""
    assert error.problems
    assert error.exit_code == 64
    for problem in error.problems:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", problem.id), problem
        assert problem.sentence.strip(), problem
        assert "\n" not in problem.sentence, problem
        assert len(problem.text()) < 4000, problem


def check(words: list[str], here: Path) -> str:
    """Run one input; return `plan` or `report`."""
    begin = time.process_time()
    try:
        spec, controls = load(words)
        text = to_text(plan(spec, described(spec, here)).document()) + "\n".join(controls.warnings)
        result = "plan"
    except UsageError as error:
        text, result = str(error), "report"
        check_report(error)
    assert not UNPRINTABLE.search(text), "what steers a terminal was printed"
    assert time.process_time() - begin < MOST_S
    return result


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below a directory with its content."""
    found = {str(path): path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}
    return {path: content for path, content in found.items() if not path.endswith("/job.yaml")}


def watched(here: Path, inputs: Iterator[list[str]]) -> dict[str, int]:
    """Run inputs; return how many of them became what. Nothing may be written, and little memory be kept."""
    check(COMMANDS[0], here)
    before, memory = tree(here.parent.parent), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = {"plan": 0, "report": 0}
    for number, words in enumerate(inputs):
        try:
            counts[check(words, here)] += 1
        except Exception as error:
            error.add_note(f"input {number}: {str(words)[:2000]}")
            raise
    assert tree(here.parent.parent) == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MOST_GROWTH_KIB
    return counts


def test_any_command_is_a_plan_or_a_report(here: Path) -> None:
    """Mutated commands: no traceback, no letter that steers a terminal, an end in time each."""
    dice = random.Random(SEED)  # noqa: S311  the same inputs in each run
    counts = watched(here, (words_of(dice) for _ in range(WORD_INPUTS)))
    assert min(counts.values()) > WORD_INPUTS // 20, "inputs that all end alike prove little"


def test_any_file_is_a_plan_or_a_report(here: Path) -> None:
    """Mutated files: the same."""
    dice = random.Random(SEED)  # noqa: S311  the same inputs in each run

    def inputs() -> Iterator[list[str]]:
        for _ in range(FILE_INPUTS):
            (here / "job.yaml").write_bytes(content_of(dice))
            yield ["-f", "job.yaml"]

    counts = watched(here, inputs())
    assert min(counts.values()) > FILE_INPUTS // 20


def test_the_command_ends_with_0_or_64(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the shell: a plan on stdout with status 0, or a report on stderr with status 64 and no plan."""
    dice = random.Random(SEED + 1)  # noqa: S311  the same inputs in each run
    codes = set()
    for _ in range(WHOLE_INPUTS):
        words = words_of(dice)
        if "dry_run" in str(words) or {"-h", "--help"} & set(words) or not is_harmless(words, here):
            continue
        code = main(["run", *words, "--dry_run"])
        printed = capsys.readouterr()
        codes.add(code)
        assert code in (0, 64), printed.err
        assert bool(printed.out) == (code == 0)
        assert "Traceback" not in printed.err + printed.out
        assert not UNPRINTABLE.search(printed.err + printed.out)
        if printed.out:
            json.loads(printed.out)
    assert codes == {0, 64}


def is_harmless(words: list[str], here: Path) -> bool:
    """Return whether a job takes along nothing of this machine outside the test's directory."""
    try:
        spec, _ = load(words)
    except UsageError:
        return True
    return all(path.startswith(str(here)) for path in local_paths(spec))


GOOD = "spec: {name: x}\nconfigs: {input_path: ''%s}\nroles:\n  worker: {resources: memory=1G, launch_cmd: run%s}\n"
BOMB = "\n".join(
    ["x0: &x0 [lol, lol]", *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12)), GOOD % ("", "")]
)
MERGES = "\n".join(
    [
        "x0: &x0 {a: 1, b: 2}",
        *(f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 9)}], k{n}: {n}}}" for n in range(1, 40)),
        GOOD % (", envs: {<<: *x39}", ""),
    ]
)
LONG = "&l " + "x" * 60_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(BOMB, "report", id="aliases of aliases"),
        pytest.param(MERGES, "report", id="merges of merges"),
        pytest.param(
            GOOD % (f", envs: {{A: {LONG}{', B%d: *l' * 60 % tuple(range(60))}}}", ""), "report", id="one text often"
        ),
        pytest.param("spec: &a {<<: *a, name: x}\n" + GOOD.partition("\n")[2] % ("", ""), "report", id="merges itself"),
        pytest.param(GOOD % ("", ", envs: &e {A: *e}"), "report", id="holds itself"),
        pytest.param("[" * 100_000, "report", id="deep"),
        pytest.param("{a: " * 30_000, "report", id="deep mappings"),
        pytest.param("? " * 100_000, "report", id="deep keys"),
        pytest.param("- " * 100_000, "report", id="deep lists"),
        pytest.param("a: b\n" * 2_000_000, "report", id="10 MB"),
        pytest.param("\n".join(f"k{n}: 1" for n in range(20_000)), "report", id="many unknown keys"),
        pytest.param(
            GOOD % ("", "") + "".join(f"  r{n}: {{replicas: 100000}}\n" for n in range(3000)), "report", id="many roles"
        ),
        pytest.param(
            GOOD % ("", "") + "  ps: {replicas: 99999, resources: memory=1G, launch_cmd: x}\n",
            "report",
            id="many tasks",
        ),
        pytest.param(
            GOOD % (f", envs: {{{', '.join(f'A{n}: x' for n in range(9000))}}}", ""), "plan", id="many variables"
        ),
        pytest.param(GOOD % ("", ", replicas: 100000"), "plan", id="as many tasks as can be"),
    ],
)
def test_bombs(text: str, expected: str, here: Path) -> None:
    """What is small and would become huge is refused before it does; large is taken."""
    (here / "job.yaml").write_text(text)
    assert watched(here, iter([["-f", "job.yaml"]]))[expected] == 1


@pytest.mark.parametrize("option", ["-f", "--env_file", "--secret", "--src", "--input_path"])
def test_files_without_an_end(option: str, here: Path) -> None:
    """A device is read as far as a file may go."""
    words = [*COMMANDS[0], *((option, "K=@/dev/zero") if option == "--secret" else (option, "/dev/zero"))]
    check(words, here)


def test_a_directory_that_is_gone(here: Path) -> None:
    """Who types in a directory that was removed gets a sentence."""
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    assert check(["--name", "x", "--input_path", "data", "--src", "."], here) == "report"
