"""Where a command's words go: results to stdout, talk to stderr, colour and live lines only on a terminal."""

from __future__ import annotations

import json
import time
from typing import Any, TextIO

from yarn_submitter.errors import SubmitterError

_PIPE_PAUSE_S = 2.0  # a log file is read later: it needs no more than a sign of life


class Console:
    """The two streams of a command.

    Args:
        stdout: Takes results only.
        stderr: Takes everything that is meant for a person.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.live = stderr.isatty()
        self._transient = False
        self._last_progress = ""
        self._progress_at = -_PIPE_PAUSE_S

    def out(self, text: str) -> None:
        """Write a result and its newline to stdout, at once."""
        self._clear()
        self.stdout.write(text if text.endswith("\n") else text + "\n")
        self.stdout.flush()

    def out_json(self, value: Any) -> None:
        """Write a result as JSON to stdout."""
        self.out(json.dumps(value, indent=2, ensure_ascii=False))

    def say(self, text: str) -> None:
        """Write a line of talk to stderr."""
        self._clear()
        self.stderr.write(text + "\n")
        self.stderr.flush()

    def progress(self, text: str) -> None:
        """Show how far something is: one line that is replaced on a terminal, now and then a line in a pipe."""
        now = time.monotonic()
        if text == self._last_progress or (not self.live and now - self._progress_at < _PIPE_PAUSE_S):
            return
        self._last_progress, self._progress_at = text, now
        if self.live:
            self._clear()
            self.stderr.write(text)
            self._transient = True
        else:
            self.stderr.write(text + "\n")
        self.stderr.flush()

    def error(self, error: SubmitterError) -> None:
        """Write every problem of an error to stderr."""
        count = len(error.problems)
        if count > 1:
            self.say(f"job: {count} problems:")
        for problem in error.problems:
            self.say(("" if count > 1 else "job: ") + problem.text())

    def _clear(self) -> None:
        if self._transient:
            self.stderr.write("\r\x1b[K")
            self._transient = False
