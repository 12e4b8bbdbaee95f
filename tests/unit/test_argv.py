"""The words of a command line become option texts by the grammar of docs/job-run.md; every wrong word is one fault."""

from __future__ import annotations

import pytest

from yarn_submitter.argv import read_argv
from yarn_submitter.given import Faults


def read(*words: str) -> tuple[dict[str, list[str]], Faults]:
    """Return option -> texts, and the faults."""
    faults = Faults()
    given = read_argv(words, faults)
    return {name: [item.value for item in items] for name, items in given.items()}, faults


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--name", "fit"], {"name": ["fit"]}),
        (["-name", "fit"], {"name": ["fit"]}),
        (["--name=fit"], {"name": ["fit"]}),
        (["-name=fit"], {"name": ["fit"]}),
        (["--num-workers", "2"], {"num_workers": ["2"]}),
        (["-num_workers=2"], {"num_workers": ["2"]}),
        (["--name", ""], {"name": [""]}),
        (["--name="], {"name": [""]}),
        (["--name", "a b\n'c' \"d\""], {"name": ["a b\n'c' \"d\""]}),
        (["--worker_launch_cmd", "-u fit.py"], {"worker_launch_cmd": ["-u fit.py"]}),
        (["--worker_launch_cmd", "--lr=0.1"], {"worker_launch_cmd": ["--lr=0.1"]}),
        (["--worker_launch_cmd", "-"], {"worker_launch_cmd": ["-"]}),
        (["--worker_launch_cmd", "--name fit"], {"worker_launch_cmd": ["--name fit"]}),
        (["--worker_launch_cmd=--name"], {"worker_launch_cmd": ["--name"]}),
        (["--worker_resources=memory=2G,vcores=1"], {"worker_resources": ["memory=2G,vcores=1"]}),
        (["--worker_resources", "memory=2G"], {"worker_resources": ["memory=2G"]}),
        (["--env", "A=1=2,3", "--env=B=x y"], {"env": ["A=1=2,3", "B=x y"]}),
        (["--verbose"], {"verbose": ["true"]}),
        (["--verbose", "true", "--name", "fit"], {"verbose": ["true"], "name": ["fit"]}),
        (["--verbose", "False"], {"verbose": ["False"]}),
        (["--verbose=false"], {"verbose": ["false"]}),
        (["-f", "job.yaml"], {"f": ["job.yaml"]}),
        (["--f=job.yaml"], {"f": ["job.yaml"]}),
        ([], {}),
    ],
)
def test_what_is_read(words: list[str], options: dict[str, list[str]]) -> None:
    """One dash or two, a blank or the first `=`; values keep dashes, blanks, quotes, `=`, newlines."""
    given, faults = read(*words)
    assert (given, faults.problems) == (options, [])


def test_a_text_knows_where_it_was_given() -> None:
    """The source is the option in its documented spelling."""
    (item,) = read_argv(["-num-workers=2"], Faults())["num_workers"]
    assert (item.value, item.source) == ("2", "--num_workers")


@pytest.mark.parametrize(
    ("words", "problem_id", "words_of_it"),
    [
        (["--nmae", "fit"], "option-unknown", ["--nmae", "did you mean --name?"]),
        (["--nmae=fit"], "option-unknown", ["--nmae", "did you mean --name?"]),
        (["--num_worker", "2"], "option-unknown", ["--num_worker.", "did you mean --num_workers?"]),
        (["--nam", "fit"], "option-unknown", ["--nam."]),  # no abbreviations
        (["---name", "fit"], "option-unknown", ["---name"]),
        (["--zzz"], "option-unknown", ["--zzz", "job run --help"]),
        (["fit"], "argument-unexpected", ["'fit'"]),
        (["--name", "a", "b"], "argument-unexpected", ["'b'", "quotes"]),
        (["--verbose", "yes"], "argument-unexpected", ["'yes'"]),
        (["--name"], "option-without-value", ["--name needs a value", "last word", "--name=VALUE"]),
        (["--name", "--queue", "ml"], "option-without-value", ["--name needs a value", "--queue"]),
        (["--name", "--queue=ml"], "option-without-value", ["--name needs a value"]),
        (["--env", "-verbose"], "option-without-value", ["--env needs a value", "-verbose"]),
        (["--name", "a", "--name", "b"], "option-twice", ["--name is given twice", "'a' and 'b'"]),
        (["--name=a", "-name", "a"], "option-twice", ["--name is given twice"]),
        (["-f", "a.yaml", "-f", "b.yaml"], "option-twice", ["-f is given twice"]),
        (["--num_workers=1", "--num-workers=2"], "option-twice", ["--num_workers is given twice"]),
    ],
)
def test_a_wrong_word_is_one_fault(words: list[str], problem_id: str, words_of_it: list[str]) -> None:
    """The fault says what was read and what comes close or is right."""
    _, faults = read(*words)
    (problem,) = faults.problems
    assert problem.id == problem_id
    for piece in words_of_it:
        assert piece in problem.text()


def test_an_option_that_took_no_value_leaves_the_next_one_alone() -> None:
    """`--name --queue ml` loses the name only."""
    given, _ = read("--name", "--queue", "ml")
    assert given == {"queue": ["ml"]}


def test_the_first_of_two_values_stays() -> None:
    """A value given twice is a fault, and never silently the last one."""
    given, _ = read("--name", "a", "--name", "b")
    assert given == {"name": ["a"]}


def test_faults_come_in_order_and_once() -> None:
    """Every wrong word of a line is told, in its order; the same fault is told once."""
    _, faults = read("one", "--nmae", "x", "--queue", "one", "--queue")
    assert [problem.id for problem in faults.problems] == [
        "argument-unexpected",
        "option-unknown",
        "option-without-value",
    ]
    assert "'one'" in faults.problems[0].sentence
