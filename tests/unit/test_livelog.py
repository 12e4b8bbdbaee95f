"""The growing output of a task loses no line and shows none twice, however it grows between two questions."""

from __future__ import annotations

import random
import threading
import time

import pytest

from yarn_submitter.errors import Problem, UnreachableError
from yarn_submitter.livelog import LogTail, drain, follow_output
from yarn_submitter.nodemanager import LogFile, LogSlice


class GrowingNode:
    """A NodeManager whose container writes more with every question that is asked about it."""

    def __init__(self, lines: list[str], seed: int) -> None:
        self.content = "".join(f"{line}\n" for line in lines).encode()
        self.dice = random.Random(seed)  # noqa: S311
        self.written = 0
        self.ended = threading.Event()

    def _grow(self) -> None:
        self.written = min(len(self.content), self.written + self.dice.randrange(40))
        if self.written == len(self.content):
            self.ended.set()

    def log_files(self, *_where: str) -> list[LogFile]:
        """Return its two files, of which one is empty."""
        self._grow()
        return [LogFile("stdout", self.written), LogFile("stderr", 0)]

    def read_log(self, *_where: str, last_bytes: int) -> LogSlice:
        """Return its end."""
        self._grow()
        start = max(0, self.written - last_bytes)
        return LogSlice(self.content[start : self.written], start, self.written)


def test_output_that_grows_between_size_and_read_loses_no_line() -> None:
    """The NodeManager gives the last bytes only: what was written in between must be asked for again."""
    for seed in range(20):
        lines = [f"line {number}" for number in range(60)]
        node, shown = GrowingNode(lines, seed), []
        tail = LogTail(node, "node:1", "container_1", "stdout")
        while not node.ended.is_set() or tail.read_bytes < len(node.content):
            file = node.log_files("node:1", "container_1")[0]
            shown += tail.lines(file.size)
        assert shown == lines


def test_the_last_line_without_newline_is_shown_at_the_end() -> None:
    """What a program wrote last is shown even when it ended in the middle of a line."""
    node, shown = GrowingNode(["whole"], 1), []
    node.content += b"half"
    node.written = len(node.content) - 1
    node.log_files("", "")
    follow_output(node, "node:1", "container_1", node.ended, shown.append)
    assert shown == ["whole", "half"]


class ForgetfulNode(GrowingNode):
    """A NodeManager that gives its files up, before they are listed or between that and the reading."""

    def __init__(self, lines: list[str], rounds: int, keeps: int) -> None:
        super().__init__(lines, 1)
        self._rounds = rounds
        self._keeps = keeps

    def log_files(self, *_where: str) -> list[LogFile] | None:
        """Return its files, a few times; then none of them, or all, or all but the one with the output."""
        self._rounds -= 1
        if self._rounds < 0:
            self.ended.set()
        files = super().log_files()
        return files if self._rounds >= 0 else files[self._keeps :] or None

    def read_log(self, *_where: str, last_bytes: int) -> LogSlice | None:
        """Return the file's end while it is there."""
        return super().read_log(last_bytes=last_bytes) if self._rounds >= 0 else None


@pytest.mark.parametrize("keeps", [0, 1, 2])
@pytest.mark.parametrize("rounds", [0, 4])
def test_what_the_node_has_given_up_comes_from_the_store(
    monkeypatch: pytest.MonkeyPatch, rounds: int, keeps: int
) -> None:
    """A follower that was too slow, or came too late, shows each line once all the same."""
    monkeypatch.setattr("yarn_submitter.livelog._PAUSE_S", 0.01)
    lines = [f"line {number}" for number in range(60)]
    node, shown, asked = ForgetfulNode(lines, rounds, keeps), [], []

    def stored() -> dict[str, bytes]:
        asked.append(len(shown))
        return {"stdout": node.content + b"half", "prelaunch.out": b"not the program's\n"}

    follow_output(node, "node:1", "container_1", node.ended, shown.append, stored=stored)
    assert shown == [*lines, "half"]
    assert len(asked) == 1
    assert (asked[0] > 0) == (rounds > 0)


def test_the_store_is_not_asked_for_what_the_node_has() -> None:
    """It would have to be waited for."""
    node, shown = GrowingNode(["whole"], 1), []
    node.written = len(node.content) - 1
    node.log_files()
    follow_output(node, "", "", node.ended, shown.append, stored=lambda: pytest.fail("asked"))
    assert shown == ["whole"]


class SilentNode(GrowingNode):
    """A NodeManager that answers nothing, until it has been asked for long enough."""

    def log_files(self, *_where: str) -> list[LogFile]:
        """Fail."""
        self.written += 1
        if self.written == len(self.content):
            self.ended.set()
        raise UnreachableError(Problem("node-unreachable", "The NodeManager does not answer."))


def test_a_node_that_does_not_answer_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for output is told why none comes, and is not told again."""
    monkeypatch.setattr("yarn_submitter.livelog._PAUSE_S", 0.01)
    node, shown, notes = SilentNode(["seven"], 1), [], []
    follow_output(node, "node:1", "container_1", node.ended, shown.append, notes.append)
    assert (shown, notes) == ([], ["The NodeManager does not answer."])


def test_silent_nodes_are_waited_for_once() -> None:
    """However many tasks were followed, the end of a job is not held up by each of their nodes after the other."""
    hangs = threading.Event()
    tails = [(threading.Thread(target=hangs.wait, daemon=True), threading.Event()) for _ in range(100)]
    for thread, _ in tails:
        thread.start()
    began_s = time.monotonic()
    drain(tails, within_s=0.2)
    took_s = time.monotonic() - began_s
    assert all(thread.is_alive() and ended.is_set() for thread, ended in tails)
    assert took_s < 10  # and not 20
    hangs.set()


def test_an_end_that_cannot_be_read_is_told() -> None:
    """A task of a second whose node was never to be reached has not just written nothing."""
    node, notes = SilentNode(["one"], 1), []
    node.ended.set()
    follow_output(node, "node:1", "container_1", node.ended, lambda _line: None, notes.append)
    assert notes == ["The NodeManager does not answer."]
