"""A value together with where the user gave it, and the list of faults found on the way to a JobSpec."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from yarn_submitter.errors import Problem

_NOWHERE = (9, 0)  # what is missing stands nowhere: it is told last


@dataclass(frozen=True)
class Given:
    """A text that the user gave.

    Attributes:
        value: As written.
        source: `--name` or `job.yaml:3`.
        place: Sorts texts as the user wrote them: the command line first, then the file.
    """

    value: str
    source: str
    place: tuple[int, int] = field(default=_NOWHERE, compare=False)

    def part(self, value: str) -> Given:
        """Return a part of the text, of the same source."""
        return Given(value, self.source, self.place)


class Faults:
    """Collects every fault of a command line and a file."""

    def __init__(self) -> None:
        self._found: list[tuple[tuple[int, int], Problem]] = []
        self.warnings: list[str] = []

    @property
    def problems(self) -> list[Problem]:
        """Return the faults in the order of their places, those of the same place as they were found."""
        return [problem for _, problem in sorted(self._found, key=lambda item: item[0])]

    def add(
        self, problem_id: str, sentence: str, evidence: str = "", next_step: str = "", *, at: Given | None = None
    ) -> None:
        """Note one fault; the same one is noted once.

        Args:
            problem_id: Its id.
            sentence: What is wrong.
            evidence: What was read, what is valid.
            next_step: What to type instead.
            at: What the user gave; none for something that is missing.
        """
        problem = Problem(problem_id, sentence, evidence, next_step)
        if all(problem != known for _, known in self._found):
            self._found.append((at.place if at else _NOWHERE, problem))

    def warn(self, sentence: str) -> None:
        """Note something that is no fault and that its user may not have meant."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def close_match(word: str, valid: Iterable[str], before: str = "") -> str:
    """Return "did you mean X?" when one of `valid` is close to `word`, else an empty text; `before` stands before X."""
    found = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return f"did you mean {before}{found[0]}?" if found else ""


def valid_words(word: str, valid: Iterable[str], what: str = "valid") -> str:
    """Return "valid: a, b, c", with the close match when there is one."""
    known = list(valid)
    hint = close_match(word, known)
    return f"{what}: {', '.join(known)}" + (f"; {hint}" if hint else "")
