"""Results go to stdout, talk to stderr; a pipe gets plain lines, now and then; errors are sentences with exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from yarn_submitter.cli import VERBS, main
from yarn_submitter.cli.console import PLAIN, Column, Console, Ink, aligned
from yarn_submitter.errors import Problem, UsageError


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_pipe_gets_plain_lines_and_few() -> None:
    """Progress in a pipe is a line at most each two seconds; nothing is coloured or replaced."""
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    for percent in range(100):
        console.progress(f"sending: {percent} %")
    console.say("talk")
    console.out("result")
    assert out.getvalue() == "result\n"
    assert err.getvalue() == "sending: 0 %\ntalk\n"


def test_readers_are_waited_for() -> None:
    """Also where a program beside us has made the pipe one that is not waited for."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    script = "from yarn_submitter.cli import main; main(['--version'])"
    subprocess.run([sys.executable, "-c", script], stdout=theirs, check=True, timeout=60)
    waits = os.get_blocking(theirs)
    os.close(theirs)
    os.close(ours)
    assert waits


@pytest.mark.parametrize(
    ("streams", "code"),
    [
        ("job --version > /dev/full", 74),
        ("job --help > /dev/full", 74),
        ("job --version >&-", 0),
        ("job none 2>&-", 64),
        ("job --help 2>&- | head -1 > /dev/null", 0),
    ],
)
def test_streams_that_take_nothing(streams: str, code: int) -> None:
    """A full disk is told, a stream that was closed is done without; neither is a traceback."""
    command = streams.replace(
        "job", f'{sys.executable} -c "import sys; from yarn_submitter.cli import main; sys.exit(main())"'
    )
    ended = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    assert ("[output-lost]" in ended.stderr) == (code == 74)


def test_a_terminal_gets_one_line_that_changes() -> None:
    """Progress is replaced by the next progress, and cleared before anything else is written."""
    out, err = io.StringIO(), Terminal()
    console = Console(out, err, {"TERM": "xterm"})
    console.progress("one")
    console.progress("two")
    console.progress("two")
    console.out("result\n")
    console.say("talk")
    assert err.getvalue() == "one\r\x1b[Jtwo\r\x1b[Jtalk\n"
    assert out.getvalue() == "result\n"


def test_progress_never_wraps() -> None:
    """What is longer than the terminal is cut: a second row of it could not be replaced."""
    err = Terminal()
    Console(io.StringIO(), err, {"TERM": "xterm"}).progress("x" * 300)
    assert err.getvalue() == "x" * 79


def test_progress_is_one_line() -> None:
    """Words of others may have several: only one row is taken away again, and a pipe counts lines."""
    err, pipe = Terminal(), io.StringIO()
    Console(io.StringIO(), err, {"TERM": "xterm"}).progress("waits for the queue\r\n  two\nthree\n")
    Console(io.StringIO(), pipe).progress("one\ntwo")
    assert (err.getvalue(), pipe.getvalue()) == ("waits for the queue two three", "one two\n")


def test_what_is_ours_is_set_off() -> None:
    """On a terminal `job:` and ids have colours, quoted evidence has none of ours."""
    err = Terminal()
    console = Console(io.StringIO(), err, {"TERM": "xterm"})
    console.error(UsageError(Problem("no-such", "It is not there.", "job: quoted [no-id]")))
    console.say("job: warning: mind this")
    assert err.getvalue().splitlines() == [
        "\x1b[31mjob:\x1b[0m It is not there. \x1b[2m[no-such]\x1b[0m",
        "  job: quoted [no-id]",
        "\x1b[33mjob: warning:\x1b[0m mind this",
    ]


def test_tables_are_aligned() -> None:
    """Columns are as wide as their longest cell and no less than asked for; blanks at the end are left out."""
    columns = (Column("TASK", 6), Column("STATE"), Column("TIME", right=True), Column("LOGS"))
    rows = [("a", "RUNNING", "4 s", ""), ("worker:10", "NEW", "", "url")]
    lines = aligned(columns, rows, PLAIN)
    assert lines == ["TASK       STATE    TIME  LOGS", "a          RUNNING   4 s", "worker:10  NEW            url"]
    assert aligned(columns, rows, Ink(on=True), 15)[1] == "a          \x1b[32mRUNN\x1b[0m"


def test_json_keeps_other_letters() -> None:
    """JSON on stdout is for people, too."""
    out = io.StringIO()
    Console(out, io.StringIO()).out_json({"name": "größer"})
    assert json.loads(out.getvalue()) == {"name": "größer"}
    assert "größer" in out.getvalue()


def test_errors_are_told_with_id_evidence_and_next_step() -> None:
    """One problem is one message; several are counted."""
    err = io.StringIO()
    one = Problem("no-such", "It is not there.", "seen: nothing\nat all", "look elsewhere")
    Console(io.StringIO(), err).error(UsageError(one))
    assert err.getvalue() == "job: It is not there. [no-such]\n  seen: nothing\n  at all\n  next: look elsewhere\n"
    err = io.StringIO()
    Console(io.StringIO(), err).error(UsageError(one, Problem("other", "Neither.")))
    assert err.getvalue().splitlines()[:2] == ["job: 2 problems:", "It is not there. [no-such]"]
    assert err.getvalue().splitlines()[-1] == "Neither. [other]"


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        ([], 64, "usage: job VERB", ""),
        (["--help"], 0, "usage: job VERB", ""),
        (["help"], 0, "usage: job VERB", ""),
        (["--version"], 0, "yarn-submitter 0.", ""),
        (["shwo"], 64, "", "did you mean show? [verb-unknown]"),
        (["run", "--help"], 0, "usage: job run", ""),
        (["run", "--name", "x", "-h"], 0, "usage: job run", ""),
        (["show", "--help"], 0, "usage: job show", ""),
        (["show"], 64, "", "usage: job show"),
        (["show", "a", "b"], 64, "", "unrecognized arguments: b"),
        (["show", "--jso", "a"], 64, "", "--jso"),
        (["list", "--limit", "3"], 64, "", "--limit"),
        (["run"], 64, "", "--name is absent. [name-absent]"),
    ],
)
def test_exit_codes_of_the_command_line(
    words: list[str], code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Help is 0, a wrong command line 64, and nothing is a traceback."""
    assert main(words) == code
    said = capsys.readouterr()
    assert out in said.out
    assert err in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`job VERB --help` works for all of them, and `job --help` tells each in a line."""
    assert main([verb, "--help"]) == 0
    assert f"usage: job {verb}" in capsys.readouterr().out
    main(["--help"])
    assert f"  {verb:<8} {VERBS[verb]}" in capsys.readouterr().out


def test_a_bug_of_ours_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What must not happen ends with 70 and the place of the details."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "yarn_submitter.cli.show", type(sys)("show"))  # a verb without `run`
    assert main(["show", "x"]) == 70
    said = capsys.readouterr().err
    assert "[internal]" in said
    report = tmp_path / "yarn-submitter" / "last-bug.txt"
    assert str(report) in said
    assert "AttributeError" in report.read_text()


def test_a_reader_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """`job --help | head -1` ends quietly."""
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "yarn_submitter.cli", "run", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environ, check=False, timeout=20)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_letters_that_the_terminal_does_not_know(tmp_path: Path) -> None:
    """A terminal of an old encoding gets an escape, not a failure."""
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    words = ["--name", "größer", "--input_path", "", "--worker_resources", "memory=1G", "--worker_launch_cmd", "x"]
    command = [sys.executable, "-m", "yarn_submitter.cli", "run", *words, "--dry_run"]
    done = subprocess.run(command, capture_output=True, env=environ, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"gr\\xf6\\xdfer" in done.stdout
