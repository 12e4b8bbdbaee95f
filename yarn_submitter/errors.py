"""What can go wrong, as values a person can read and a script can tell apart.

    SubmitterError
    |-- UsageError         64   a wrong command line, file or specification; a refusal by preflight
    |-- UnreachableError   69   the cluster does not answer
    |-- InternalError      70   our own bug
    |-- StagingError       73   files could not be brought to the cluster's store, or packed
    |-- OutputError        74   what was to be printed could not be written
    |-- LimitError         75   a limit or a deadline was reached
    |-- LostError          76   the cluster lost agent, node or container without saying why
    |-- DeniedError        77   the cluster refused for want of a right

Every error is one or more `Problem`s: a sentence, an id that docs/errors.md explains, what was seen, and what to
type next. Expected failures are these exceptions and nothing else; the command line turns them into text.
"""

from __future__ import annotations

from dataclasses import dataclass

from am.contract import codes


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        id: Stable kebab-case name, explained in docs/errors.md.
        sentence: What happened to what, in one sentence ending with a full stop.
        evidence: What was seen (a path, a number, the last lines of a log); may have several lines, or be empty.
        next_step: What to do or to type next; empty when the sentence says it.
    """

    id: str
    sentence: str
    evidence: str = ""
    next_step: str = ""

    def text(self) -> str:
        """Return the problem as lines for a terminal: sentence with id, evidence, next step."""
        lines = [f"{self.sentence} [{self.id}]"]
        lines += [f"  {line}" for line in self.evidence.splitlines()]
        if self.next_step:
            lines.append(f"  next: {self.next_step}")
        return "\n".join(lines)


class SubmitterError(Exception):
    """Base of every expected failure; carries problems and the exit code of the command line."""

    exit_code = codes.BUG

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.text() for problem in problems))


class UsageError(SubmitterError):
    """The command line, a file, or the job itself cannot be right."""

    exit_code = codes.USAGE


class UnreachableError(SubmitterError):
    """ResourceManager, NameNode or the submission driver does not answer."""

    exit_code = codes.UNREACHABLE


class InternalError(SubmitterError):
    """We did something that must not happen; the message asks for a report."""

    exit_code = codes.BUG


class StagingError(SubmitterError):
    """Packing, uploading or downloading files failed."""

    exit_code = codes.STAGING


class OutputError(SubmitterError):
    """Stdout takes no more."""

    exit_code = codes.OUTPUT


class LimitError(SubmitterError):
    """A limit or a deadline was reached."""

    exit_code = codes.LIMIT


class LostError(SubmitterError):
    """The cluster lost something of the job and gave no exit code."""

    exit_code = codes.LOST


class DeniedError(SubmitterError):
    """The cluster refused: the user has no right to do this."""

    exit_code = codes.DENIED
