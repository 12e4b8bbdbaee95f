"""`job run --help` shows every option once, in groups, within the terminal's columns; its examples are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from yarn_submitter.cli import main
from yarn_submitter.cli.run_help import help_text
from yarn_submitter.load import load
from yarn_submitter.options import GROUPS, OPTIONS


@pytest.mark.parametrize("columns", [20, 60, 80, 100, 250])
def test_every_option_fits(columns: int) -> None:
    """Between 60 and 100 columns wide, whatever the terminal says."""
    text = help_text(columns)
    assert max(map(len, text.splitlines())) <= min(max(columns, 60), 100)
    assert re.findall(r"^  (--?\w+)", text, re.MULTILINE) == [option.typed for option in OPTIONS]
    assert re.findall(r"^(\w.*):$", text, re.MULTILINE) == [*GROUPS, "For example"]
    words = " ".join(text.split())
    assert not [option.help for option in OPTIONS if " ".join(option.help.split()) not in words]


def test_its_width_is_the_terminals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """COLUMNS counts as everywhere."""
    monkeypatch.setenv("COLUMNS", "72")
    assert main(["run", "--help"]) == 0
    assert capsys.readouterr().out == help_text(72) + "\n"


def test_its_examples_are_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read without a fault."""
    monkeypatch.chdir(tmp_path)
    job = "spec: {name: x}\nconfigs: {input_path: ''}\nroles: {worker: {resources: memory=1G, launch_cmd: x}}\n"
    Path("job.yaml").write_text(job)
    text = help_text(80).partition("For example:\n")[2].replace("\\\n", "")
    commands = [shlex.split(line) for line in text.splitlines()]
    assert len(commands) == 2
    for words in commands:
        assert words[:2] == ["job", "run"]
        load(words[2:])
