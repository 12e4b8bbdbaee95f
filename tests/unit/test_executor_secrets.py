"""Secrets reach the command as variables and files, and nothing else."""

from __future__ import annotations

import json
import stat

import pytest
from executor_world import plan

from am.contract import codes
from am.contract.job import SECRETS_FILE
from am.executor.happenings import FailureError
from am.executor.secrets import place_secrets

TEXTS = {"KEY": "s3cret", "./token.pem": "pem\n"}


def test_variables_and_files(tmp_path):
    """A variable is returned; a file lies in the working directory, readable by its user alone."""
    (tmp_path / SECRETS_FILE).write_text(json.dumps(TEXTS))
    assert place_secrets(plan(secrets=tuple(TEXTS)), str(tmp_path)) == {"KEY": "s3cret"}
    assert (tmp_path / "token.pem").read_text() == "pem\n"
    assert stat.S_IMODE((tmp_path / "token.pem").stat().st_mode) == 0o400


def test_a_job_without_secrets_reads_none(tmp_path):
    """No file is looked for."""
    assert place_secrets(plan(), str(tmp_path)) == {}


@pytest.mark.parametrize("content", [b"", b'{"KEY": "s3cret"', b"[]", b'{"KEY": 1}', b"\xff", b'{"OTHER": "s3cret"}'])
def test_a_broken_file_is_a_sentence(tmp_path, content):
    """Which names the file and the job's fault, and repeats nothing of it."""
    (tmp_path / SECRETS_FILE).write_bytes(content)
    with pytest.raises(FailureError) as failed:
        place_secrets(plan(secrets=("KEY",)), str(tmp_path))
    assert (failed.value.problem, failed.value.code) == ("task-cannot-start", codes.LOST)
    assert SECRETS_FILE in str(failed.value)
    assert "s3cret" not in str(failed.value)


def test_what_is_there_is_not_overwritten(tmp_path):
    """A localized file of the same name is a fault of the job, and stays as it is."""
    (tmp_path / SECRETS_FILE).write_text(json.dumps(TEXTS))
    (tmp_path / "token.pem").write_text("theirs")
    with pytest.raises(FileExistsError):
        place_secrets(plan(secrets=tuple(TEXTS)), str(tmp_path))
    assert (tmp_path / "token.pem").read_text() == "theirs"
