"""What `--json` prints of a job is what docs/json.md says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from client_fakes import job_plan

from yarn_submitter.feed import MasterLost
from yarn_submitter.monitor import begin, fold
from yarn_submitter.viewjson import document

DOCS = Path(__file__).parents[2] / "docs"
LOST = MasterLost(15.0, 1, "exitCode: 137")


def test_every_field_is_told() -> None:
    """Of the job and of its tasks; none that the table has is missing."""
    found = document(fold(begin(job_plan()), [LOST]), job_plan(), "", "")
    table = (DOCS / "json.md").read_text().partition("| field |")[2].partition("Times are")[0]
    named = set(re.findall(r"`([a-z_]+)`", table))
    keys = {*found, *found["timing"], *found["tasks"][0], *found["lost_masters"][0]} - {"schema"}
    assert keys - named == set()
    assert found["lost_masters"] == [{"attempt": 1, "ended_s": 15.0, "said": "exitCode: 137"}]


@pytest.mark.parametrize("file", ["json.md", "watching.md"])
def test_what_stands_in_no_history_is_told(file: str) -> None:
    """`job events --json` prints a line of YARN's among those of the agent."""
    assert f"`{MasterLost.__name__}`" in (DOCS / file).read_text()
    fields = {field.name for field in dataclasses.fields(MasterLost)}
    told = (DOCS / "json.md").read_text().partition(f"`{MasterLost.__name__}`")[2].partition(".\n")[0]
    assert fields <= set(re.findall(r"`([a-z_]+)`", told))
