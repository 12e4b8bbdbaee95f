"""What a job's record keeps of its submission beside the plan's document, so that it can be done again."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from yarn_submitter.localfiles import LocalFile
from yarn_submitter.spec import JobSpec

_KEY = "record"


@dataclass(frozen=True)
class Record:
    """A submission.

    Attributes:
        spec: What the user described.
        files: Local path as `spec` has it -> what lay there.
        objects: Names of what the job uses of its user's cache on the store.
        rerun_of: Our id of the job that was submitted again as this one, or empty.
    """

    spec: JobSpec
    files: dict[str, LocalFile]
    objects: tuple[str, ...]
    rerun_of: str = ""


def with_record(document: dict[str, Any], record: Record) -> dict[str, Any]:
    """Return a plan's document with the record, as plan.json holds it."""
    return {**document, _KEY: dataclasses.asdict(record)}


def read_record(text: str) -> Record | None:
    """Return the record in the text of a plan.json; None when another version of this program left none.

    Fields that a newer version has added are passed over.

    Raises:
        ValueError: The text is no JSON, or the record has another form.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or _KEY not in data:
        return None
    import msgspec

    return msgspec.convert(data[_KEY], Record)  # its ValidationError is a ValueError
