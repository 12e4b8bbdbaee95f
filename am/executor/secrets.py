"""The job's secrets: variables of the command, and files that only its user reads. They are never logged."""

from __future__ import annotations

import json
import os
import typing

from am.contract import codes
from am.contract.job import SECRETS_FILE, JobPlan
from am.executor.happenings import FailureError

_FILE = "./"


def place_secrets(plan: JobPlan, directory: str) -> typing.Dict[str, str]:
    """Write the secrets that are files into the working directory, mode 0400, and return those that are variables.

    Args:
        plan: The job.
        directory: The container's working directory.

    Raises:
        OSError: They cannot be read or written.
        FailureError: They are not what the client writes.
    """
    if not plan.secrets:
        return {}
    texts = _read(plan, directory)
    for name, text in texts.items():
        if name.startswith(_FILE):
            path = os.path.join(directory, name[len(_FILE) :])
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="utf-8") as file:
                file.write(text)
    return {name: text for name, text in texts.items() if not name.startswith(_FILE)}


def _read(plan: JobPlan, directory: str) -> typing.Dict[str, str]:
    with open(os.path.join(directory, SECRETS_FILE), "rb") as stream:
        content = stream.read()
    try:
        found = json.loads(content.decode())
        texts = {name: found[name] for name in plan.secrets}
    except (ValueError, LookupError, TypeError):
        texts = {"": None}
    if not all(isinstance(text, str) for text in texts.values()):  # nothing of it is repeated
        sentence = f"The job's secrets cannot be read: {SECRETS_FILE} is not what its client wrote."
        raise FailureError(codes.LOST, "task-cannot-start", sentence)
    return texts
