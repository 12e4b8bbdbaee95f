"""A value together with where the user gave it, and the list of faults found on the way to a JobSpec."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from yarn_submitter.errors import Problem, UsageError

_NOWHERE = (9, 0)  # what is missing stands nowhere: it is told last
_MOST_FAULTS = 200  # nobody reads more
MOST_TEXT_BYTES = 128 * 1024 - 1  # Linux starts no program with a longer argument or variable (MAX_ARG_STRLEN)
_SHOWN = 60  # letters of a user's text in a message
_MOST_LETTERS = 800  # of a line of a message, however many roles or keys it lists
# Control characters, what turns the direction of writing, and halves of characters: a terminal must not see them.
UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


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
    place: tuple[int, ...] = field(default=_NOWHERE, compare=False)

    def part(self, value: str) -> Given:
        """Return a part of the text, of the same source."""
        return Given(value, self.source, self.place)


class Faults:
    """Collects every fault of a command line and a file."""

    def __init__(self) -> None:
        self._found: dict[Problem, tuple[int, ...]] = {}
        self._meant: set[str] = set()
        self.warnings: list[str] = []

    @property
    def problems(self) -> list[Problem]:
        """Return the faults in the order of their places, those of the same place as they were found."""
        return [problem for problem, _ in sorted(self._found.items(), key=lambda item: item[1])]

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

        Raises:
            UsageError: With all faults, when there are more than anybody reads. [too-many-faults]
        """
        seen = "\n".join(_line(line) for line in evidence.split("\n"))
        problem = Problem(problem_id, _line(sentence), seen, _line(next_step))
        self._found.setdefault(problem, at.place if at else _NOWHERE)
        if len(self._found) >= _MOST_FAULTS:
            self._give_up()

    def _give_up(self) -> NoReturn:
        sentence = f"There are more than {_MOST_FAULTS} faults; what comes after these was not read."
        raise UsageError(*self.problems, Problem("too-many-faults", sentence, "", "is this the file that you meant?"))

    def mean(self, *names: str) -> None:
        """Remember what a faulty text was meant to give, so that nobody is told that it is missing, too.

        Args:
            names: Options, or `ROLE.KEY` of a file.
        """
        self._meant.update(names)

    def meant(self, *names: str) -> bool:
        """Return whether one of these was meant to be given."""
        return not self._meant.isdisjoint(names)

    def warn(self, sentence: str) -> None:
        """Note something that is no fault and that its user may not have meant."""
        line = _line(sentence)
        if line not in self.warnings and len(self.warnings) < _MOST_FAULTS:
            self.warnings.append(line)

    def usable(self, item: Given) -> Given:
        """Return a text that a program can be given; what is wrong with one that cannot be is noted and taken out."""
        text = item.value.replace("\0", "").encode(errors="ignore").decode()
        wrong, step = "is no UTF-8 text", "write it in UTF-8"
        if "\0" in item.value:
            wrong, step = "holds a zero byte, which no program can be given", "leave it out"
        elif len(text.encode()) > MOST_TEXT_BYTES:
            wrong = f"is longer than the {MOST_TEXT_BYTES} bytes that Linux gives to a program"
            step, text = "put it into a file and bring that with --localization", ""
        elif text == item.value:
            return item
        self.add("text-unusable", f"{item.source}: the value {wrong}.", f"read: {shown(item.value)}", step, at=item)
        return item.part(text)


def printable(text: str) -> str:
    """Return a text that does nothing to a terminal but show; newlines stay."""
    return UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


def _line(text: str) -> str:
    line = printable(text).replace("\n", "\\n")
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS // 2]} ... {line[-_MOST_LETTERS // 2 :]}"


def shown(text: str) -> str:
    """Return a text as it is quoted in a message."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


def close_match(word: str, valid: Iterable[str], before: str = "") -> str:
    """Return "did you mean X?" when one of `valid` is close to `word`, else an empty text; `before` stands before X."""
    found = closest(word, valid)
    return f"did you mean {before}{found}?" if found else ""


def closest(word: str, valid: Iterable[str]) -> str:
    """Return the one of `valid` that is close to `word`, in whatever case; else an empty text."""
    known = {name.lower(): name for name in valid}
    found = difflib.get_close_matches(word[:_SHOWN].lower(), list(known), n=1, cutoff=0.6)
    return known[found[0]] if found else ""


def valid_words(word: str, valid: Iterable[str], what: str = "valid") -> str:
    """Return "valid: a, b, c", with the close match when there is one."""
    known = list(valid)
    hint = close_match(word, known)
    return f"{what}: {', '.join(known)}" + (f"; {hint}" if hint else "")
