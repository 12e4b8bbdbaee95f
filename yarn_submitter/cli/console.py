"""Where a command's words go: results to stdout, talk to stderr, colour and live lines only on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from am.contract import states
from yarn_submitter.errors import OutputError, Problem, SubmitterError

_PIPE_PAUSE_S = 2.0  # a log file is read later: it needs no more than a sign of life
_ERASE = "\r\x1b[J"  # from where the cursor rests to the end of the screen
_RED, _GREEN, _YELLOW, _BOLD, _DIM = "31", "32", "33", "1", "2"
_STATES = dict.fromkeys((states.RUNNING, states.SUCCEEDED, states.FINISHED), _GREEN)
_STATES |= dict.fromkeys((states.FAILED, states.KILLED), _RED)
# Of our own sentences, which end with an error's id and begin at the margin; quoted logs do not.
_ID = re.compile(r"^(\S.*) (\[[a-z][a-z0-9-]*\])$", re.MULTILINE)
_WHO = re.compile(r"^job:( warning:)?")


class Ink:
    """Colour for one stream.

    Args:
        on: Whether anybody sees it; texts stay as they are otherwise.
    """

    def __init__(self, on: bool) -> None:
        self.on = on

    def state(self, text: str, of: str = "") -> str:
        """Return a state's word in its colour; or what was left of the word `of`."""
        return self._paint(text, _STATES.get(of or text, _YELLOW))

    def states(self, text: str) -> str:
        """Return a text with every state of it in its colour."""
        return re.sub(r"\b[A-Z]{3,}\b", lambda word: self.state(word[0]), text)

    def strong(self, text: str) -> str:
        """Return a text that is seen first."""
        return self._paint(text, _BOLD)

    def faint(self, text: str) -> str:
        """Return a text that is seen last."""
        return self._paint(text, _DIM)

    def talk(self, text: str) -> str:
        """Return a sentence of ours with its beginning `job:` and its ids set off."""
        text = _WHO.sub(lambda who: self._paint(who[0], _YELLOW if who[1] else _RED), text)
        return _ID.sub(lambda line: f"{line[1]} {self.faint(line[2])}", text)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text.strip() else text


PLAIN = Ink(on=False)


class Column(NamedTuple):
    """A column of a table: its title, its least width in letters, whether it is set to the right."""

    title: str
    least: int = 0
    right: bool = False


def aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]], ink: Ink, width: int | None = None) -> list[str]:
    """Return a table's lines, title first, none longer than `width` letters; the column STATE is coloured."""
    titles = [column.title for column in columns]
    cells = [titles, *rows]
    widths = [max(column.least, *(len(row[at]) for row in cells)) for at, column in enumerate(columns)]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(size) if column.right else cell.ljust(size)
            for column, cell, size in zip(columns, row, widths, strict=True)
        ]
        line = "  ".join(padded).rstrip()[:width]
        if row is titles:
            line = ink.faint(line)
        elif "STATE" in titles:
            at = titles.index("STATE")
            left = sum(widths[:at]) + 2 * at
            right = left + len(row[at])
            line = line[:left] + ink.state(line[left:right], row[at]) + line[right:]
        lines.append(line)
    return lines


class Console:
    """The two streams of a command.

    Args:
        stdout: Takes results only.
        stderr: Takes everything that is meant for a person.
        environ: Tells what the terminal can do (TERM) and whether colour is wanted (NO_COLOR); ours by default.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        able = environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
        colour = able and not environ.get("NO_COLOR")
        self.stdout = stdout
        self.stderr = stderr
        self.live = able and stderr.isatty()
        self.out_ink = Ink(colour and stdout.isatty())
        self.err_ink = Ink(colour and stderr.isatty())
        # `| tee` shows results on the terminal as well, a moment after they were written.
        self.piped = _is_pipe(stdout)
        self._same_screen = stdout.isatty() or self.piped
        self._drawn = False
        self._last_progress = ""
        self._progress_at = -_PIPE_PAUSE_S

    def out(self, text: str) -> None:
        """Write a result and its newline to stdout, at once.

        Raises:
            BrokenPipeError: Who reads it has enough.
            OutputError: It cannot be written for another reason.
        """
        if self._same_screen:
            self.erase()
        try:
            self.stdout.write(text if text.endswith("\n") else text + "\n")
            self.stdout.flush()
        except OSError as error:
            _let_go(self.stdout)
            if isinstance(error, BrokenPipeError):
                raise
            sentence = "What this command prints could not be written to its stdout."
            step = "give it a terminal that stays, or a file on a disk with room"
            raise OutputError(Problem("output-lost", sentence, error.strerror or "", step)) from error

    def out_json(self, value: Any) -> None:
        """Write a result as JSON to stdout."""
        self.out(json.dumps(value, indent=2, ensure_ascii=False))

    def say(self, text: str) -> None:
        """Write a line of talk to stderr."""
        self.erase()
        self._talk(self.err_ink.talk(text) + "\n")

    def progress(self, text: str) -> None:
        """Show how far something is: one line that is replaced on a terminal, now and then a line in a pipe."""
        now, text = time.monotonic(), " ".join(text.split())
        if text == self._last_progress or (not self.live and now - self._progress_at < _PIPE_PAUSE_S):
            return
        self._last_progress, self._progress_at = text, now
        if self.live:
            self.erase()
            self._talk(text[: self.size().columns - 1])
            self._drawn = True
        else:
            self._talk(text + "\n")

    def draw(self, lines: Sequence[str]) -> None:
        """Show lines below everything else on the terminal, in place of those that were drawn last.

        The cursor rests on an empty line above them, so that erasing never has to count rows: not after the terminal
        was resized and has wrapped or cut them, and what others write there (an echoed ^C) hits none of them.

        Args:
            lines: Fewer than the terminal's rows, none longer than its columns.
        """
        if not self.live or not lines or not _in_foreground(self.stderr):
            return
        # The colour that the program's output may have left on is put off; a line that the terminal sees as longer
        # than we do is cut by it instead of being wrapped.
        rest = f"\x1b[{len(lines)}A\r\x1b[?7h"
        before, self._drawn = (_ERASE if self._drawn else "\r"), True  # also for a signal that comes before the end
        self._talk(before + "\x1b[0m\x1b[?7l\n" + "\n".join(lines) + rest)
        self._drawn = True  # and when we were stopped in between, and go on

    def erase(self) -> None:
        """Take away what was drawn, at once and below all buffers: a signal may have come while they were in use."""
        if not self._drawn:
            return
        self._drawn = False
        try:
            os.write(self.stderr.fileno(), _ERASE.encode())
        except (OSError, ValueError):  # no file, or no terminal any more
            self._talk(_ERASE)

    def size(self) -> os.terminal_size:
        """Return columns and rows of stderr's terminal, 80 x 24 when it does not say."""
        with contextlib.suppress(OSError, ValueError):
            size = os.get_terminal_size(self.stderr.fileno())
            if size.columns and size.lines:
                return size
        return os.terminal_size((80, 24))

    def _talk(self, text: str) -> None:
        """Write to stderr; where nobody can hear it any more, what is being done goes on in silence."""
        try:
            self.stderr.write(text)
            self.stderr.flush()
        except OSError:
            _let_go(self.stderr)

    def error(self, error: SubmitterError) -> None:
        """Write every problem of an error to stderr."""
        count = len(error.problems)
        if count > 1:
            self.say(f"job: {count} problems:")
        for problem in error.problems:
            self.say(("" if count > 1 else "job: ") + problem.text())


def _let_go(stream: TextIO) -> None:
    """Send what is left in a stream's buffer, and all that follows, nowhere: the exit code stays ours."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_pipe(stream: TextIO) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    return False


def _in_foreground(stream: TextIO) -> bool:
    """Tell whether the terminal is ours to draw on, and not the shell's that has put us in the background."""
    with contextlib.suppress(OSError, ValueError):
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    return True
