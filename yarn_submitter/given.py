"""A value together with where the user gave it, and the list of faults found on the way to a JobSpec."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from yarn_submitter.errors import Problem


@dataclass(frozen=True)
class Given:
    """A text that the user gave.

    Attributes:
        value: As written.
        source: `--name` or `job.yaml:3`.
    """

    value: str
    source: str


class Faults:
    """Collects every fault of a command line and a file, in the order in which they are found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def add(self, problem_id: str, sentence: str, evidence: str = "", next_step: str = "") -> None:
        """Note one fault; the same one is noted once."""
        problem = Problem(problem_id, sentence, evidence, next_step)
        if problem not in self.problems:
            self.problems.append(problem)

    def warn(self, sentence: str) -> None:
        """Note something that is no fault and that its user may not have meant."""
        self.warnings.append(sentence)


def close_match(word: str, valid: Iterable[str], before: str = "") -> str:
    """Return "did you mean X?" when one of `valid` is close to `word`, else an empty text; `before` stands before X."""
    found = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return f"did you mean {before}{found[0]}?" if found else ""
