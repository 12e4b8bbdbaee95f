"""What people see on a terminal while a job runs: on a real pseudo-terminal, read back through an emulator's screen."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyte
import pytest
from client_fakes import APP, JOB, USER, PretendCluster, job_plan, pretend_cluster
from fakes import SECRET, plan, write_job_files
from httpstandin import Reply, closed_port
from pseudoterminal import Terminal

from am.contract import states, wire
from am.contract.events import (
    AgentStarted,
    Event,
    GangComplete,
    JobEnded,
    TaskExited,
    TaskRegistered,
    TaskStarted,
    Waiting,
    to_line,
)
from am.contract.job import CERTIFICATE_FILE, Resources, RolePlan, access_file, agent_file, history_dir
from yarn_submitter.cli.console import PLAIN, Console
from yarn_submitter.cli.live import stage, task_lines
from yarn_submitter.feed import AppSeen
from yarn_submitter.monitor import JobView, begin, fold

# Follows a job as `job run` does.
FOLLOW = """
import sys
from yarn_submitter.cli.console import Console
from yarn_submitter.cli.follow import Follower
from yarn_submitter.job import find_job
from yarn_submitter.site import open_site
console = Console(sys.stdout, sys.stderr)
job = find_job(open_site(""), sys.argv[1])
try:
    sys.exit(Follower(job, console, lambda task: task == "chief:0", json="--json" in sys.argv).run())
except KeyboardInterrupt:
    console.say("detached")
    sys.exit(130)
"""
STARTED = AgentStarted(1.0, 1, "nm", 20001, APP)
GANG = GangComplete(3.0, {})
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "worker:1 exited with code 3", "worker:1", "nm2", "a\nb")
ENDED_APP = {"state": "FINISHED", "finalStatus": "SUCCEEDED", "finishedTime": 1_700_000_060_000}
HEADER = "TASK      STATE      ATTEMPT  HOST  TIME"


class Life:
    """A job in a cluster, whose events come when a test says so."""

    def __init__(self, cluster: PretendCluster, tmp_path: Path) -> None:
        self.cluster = cluster
        self.job = job_plan()
        self.app = cluster.add_app("ACCEPTED", diagnostics="waiting for\nresources")
        self._segments = 0
        self._terminals = contextlib.ExitStack()
        self._environ = {**cluster.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
        cluster.add_job(self.job)
        write_job_files(tmp_path, plan())
        access = {"certificate": (tmp_path / CERTIFICATE_FILE).read_text(), "client_token": wire.client_token(SECRET)}
        host, _, port = closed_port().partition(":")
        cluster.put(access_file(self.job.job_dir), json.dumps(access))
        cluster.put(agent_file(self.job.job_dir), json.dumps({"host": host, "port": int(port)}))

    def happens(self, *events: Event) -> None:
        """Let the job's history have more, and the job be over after a verdict."""
        self._segments += 1
        text = "".join(to_line(event) + "\n" for event in events)
        self.cluster.put(f"{history_dir(self.job.job_dir)}/1-{self._segments}.jsonl", text)
        self.app.update(ENDED_APP if isinstance(events[-1], JobEnded) else {"state": "RUNNING"})

    def up(self, task: str, attempt: int = 1) -> TaskRegistered:
        """Return a task's registration."""
        container = "container_" + task.replace(":", "_")
        address = self.cluster.server.address
        return TaskRegistered(2.0, task, attempt, container, "nm", address, f"http://nm/{container}/{USER}")

    def follow(self, *options: str, columns: int = 80, rows: int = 24, **streams: IO[Any]) -> Terminal:
        """Follow the job on a terminal."""
        return self._open(["-c", FOLLOW, JOB, *options], columns, rows, **streams)

    def type(self, *words: str, environ: dict[str, str] | None = None) -> Terminal:
        """Type a command on a terminal."""
        return self._open(["-m", "yarn_submitter.cli", *words], 200, 50, environ=environ)

    def close(self) -> None:
        """Close the terminals."""
        self._terminals.close()

    def _open(self, words: list[str], columns: int, rows: int, environ: dict[str, str] | None = None,
              **streams: IO[Any]) -> Terminal:  # fmt: skip
        environ = {**self._environ, **(environ or {})}
        opened = Terminal(words, environ, columns, rows, **streams)
        self._terminals.callback(opened.close)
        return opened


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A job that YARN has accepted, with a chief, two workers and a ps."""
    with pretend_cluster(tmp_path / "cluster") as served:
        started = Life(served, tmp_path)
        yield started
        started.close()


def picture(terminal: Terminal) -> list[str]:
    """Return the lines below the cursor, which rests on an empty one."""
    at = terminal.screen.cursor.y
    lines = [line.rstrip() for line in terminal.screen.display]
    assert (lines[at], terminal.screen.cursor.x) == ("", 0)
    return "\n".join(lines[at + 1 :]).rstrip("\n").split("\n")


def test_a_job_from_its_queue_to_its_end(life: Life) -> None:
    """Stage, reason and tasks are redrawn in place, output scrolls above them whole, the tasks stay at the end."""
    terminal = life.follow(columns=100)
    terminal.shows("accepted by YARN in queue default, ", ": waiting for resources", "ps:0")
    assert picture(terminal)[1:] == [HEADER, "chief:0   NEW", "worker:0  NEW", "worker:1  NEW", "ps:0      NEW"]
    life.happens(STARTED, life.up("chief:0"), life.up("ps:0"), Waiting(2.5, "no node has room for worker:1"))
    terminal.shows("2 of 4 tasks up, ", ": no node has room for worker:1", "READY")
    life.cluster.logs["container_chief_0"] = {"stdout": b"step 1\n" + b"x" * 95 + b"\n\x1b[31mred\n", "stderr": b""}
    now = time.time()
    ran = [TaskStarted(now, task, 1, 7) for task in ("chief:0", "worker:0", "worker:1", "ps:0")]
    life.happens(life.up("worker:0"), life.up("worker:1", attempt=2), GANG, *ran)
    terminal.shows("[chief:0] red", "running, ", "worker:1  RUNNING          2  nm")
    assert "room" not in terminal.lines[-6]
    exited = TaskExited(now + 65, "chief:0", 1, "nm", 0, "executor")
    life.happens(exited, GOOD)
    assert terminal.end() == 0
    lines = terminal.lines
    assert [line for line in lines if not line.startswith("Logs for")] == [
        *["[chief:0] step 1", "[chief:0] " + "x" * 90, "x" * 5, "[chief:0] red"],
        "TASK      STATE      ATTEMPT  HOST  TIME",
        "chief:0   SUCCEEDED        1  nm    1 min 5 s",
        *[line for line in lines if "KILLED" in line],
        lines[-1],
    ]
    assert lines[-1].startswith("job fit SUCCEEDED in ")
    assert sum("KILLED" in line for line in lines) == 3
    assert (terminal.screen.cursor.x, pyte.modes.DECAWM in terminal.screen.mode) == (0, True)


def test_a_failed_job(life: Life) -> None:
    """The verdict is red, its id faint, the exit code the task's; states have their colours."""
    life.happens(STARTED, GANG, TaskStarted(4.0, "chief:0", 1, 7))
    terminal = life.follow()
    terminal.shows("running")
    life.happens(TaskExited(20.0, "worker:1", 1, "nm2", 3, "executor"), BAD)
    assert terminal.end() == 3
    assert b"job fit \x1b[31mFAILED\x1b[0m: worker:1 exited with code 3 \x1b[2m[task-failed]\x1b[0m\r\n  | a\r\n" in (
        terminal.sent
    )
    assert b"\x1b[32mRUNNING\x1b[0m" in terminal.sent
    assert "worker:1  FAILED" in "\n".join(terminal.lines)
    assert terminal.lines[-1] == "exit code 3 (origin: task)"


def test_a_terminal_that_changes_its_size(life: Life) -> None:
    """After it became narrow, low, tiny and large again: one picture, that fits, and every line of output once."""
    life.cluster.logs["container_chief_0"] = {"stdout": b"one\n", "stderr": b""}
    life.happens(STARTED, life.up("chief:0"), GANG, TaskStarted(4.0, "chief:0", 1, 7))
    terminal = life.follow(columns=90, rows=30)
    terminal.shows("[chief:0] one", "running", "ps:0")
    terminal.resize(24, 30)
    terminal.until(lambda: "TASK      STATE      ATT" in terminal.lines)
    assert "\n".join(terminal.lines).count("running") == 1
    terminal.resize(90, 8)
    terminal.shows("worker 2: 2 NEW")
    assert len(picture(terminal)) <= 4
    terminal.resize(90, 30)
    terminal.shows("worker:1  NEW", "ps:0")
    assert "\n".join(terminal.lines).count("ps:0") == 1
    assert terminal.sent.count(b"[chief:0] one") == 1


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda terminal: terminal.press(b"\x03"), 130),
        (lambda terminal: terminal.send(signal.SIGTERM), -signal.SIGTERM),
        (lambda terminal: terminal.send(signal.SIGHUP), -signal.SIGHUP),
        (lambda terminal: terminal.press(b"\x1c"), -signal.SIGQUIT),
    ],
    ids=["ctrl-c", "sigterm", "sighup", "ctrl-backslash"],
)
def test_every_way_out_leaves_a_clean_terminal(life: Life, end: Callable[[Terminal], None], code: int) -> None:
    """The picture is gone, the cursor seen and at the left; a signal ends the program as it always does."""
    life.happens(STARTED)
    terminal = life.follow()
    terminal.shows("0 of 4 tasks up", "ps:0")
    end(terminal)
    assert terminal.end() == code
    assert terminal.lines == (["detached"] if code == 130 else [""])
    screen = terminal.screen
    assert (screen.cursor.x, screen.cursor.hidden, pyte.modes.DECAWM in screen.mode) == (0, False, True)


def test_a_program_that_is_stopped_and_goes_on(life: Life) -> None:
    """Ctrl-Z leaves a clean terminal to the shell; with `fg` the picture is there again."""
    life.happens(STARTED)
    terminal = life.follow()
    terminal.shows("0 of 4 tasks up", "ps:0")
    terminal.press(b"\x1a")
    terminal.until(lambda: terminal.screen.title == "stopped")
    assert terminal.lines == [""]
    terminal.go_on()
    terminal.shows("0 of 4 tasks up", "ps:0")
    life.happens(GOOD)
    assert terminal.end() == 0


def test_an_error_takes_the_picture_away(life: Life) -> None:
    """What ends the following with an exception is told on a clean terminal."""
    terminal = life.follow(rows=60)
    terminal.shows("accepted", "ps:0")
    life.cluster.faults.append(lambda _: Reply(403, b"{}"))
    assert terminal.end() == 1
    assert "Traceback (most recent call last):" in terminal.lines[0]
    assert not any(line.startswith(("TASK ", "accepted")) for line in terminal.lines)


def test_results_in_a_file_and_the_picture_on_the_terminal(life: Life, tmp_path: Path) -> None:
    """`job run > FILE`: the file has the lines of a pipe without colour, the terminal the picture."""
    life.cluster.logs["container_chief_0"] = {"stdout": b"one\n", "stderr": b""}
    with open(tmp_path / "results", "w+b") as results:
        terminal = life.follow(stdout=results)
        life.happens(STARTED, life.up("chief:0"), GANG, TaskStarted(4.0, "chief:0", 1, 7))
        terminal.shows("running", "ps:0")
        life.happens(GOOD)
        assert terminal.end() == 0
        results.seek(0)
        lines = results.read().decode().splitlines()
    url = f"http://nm/container_chief_0/{USER}"
    info = f"Task status updated: [TaskInfo] name: chief, index: 0, url: {url}, status: "
    assert lines[:3] == [f"{info}READY", f"Logs for chief 0 at: {url}", f"{info}RUNNING"]
    assert "[chief:0] one" in lines
    assert not any("TaskInfo" in line or "[chief:0]" in line for line in terminal.lines)
    assert terminal.lines[0] == "TASK      STATE      ATTEMPT  HOST  TIME"


def test_json_in_a_pipe_and_the_picture_on_the_terminal(life: Life) -> None:
    """`job run --json | jq`: the pipe has one document and nothing else."""
    read, write = os.pipe()
    with open(read) as results:
        with open(write, "w") as stdout:
            terminal = life.follow("--json", stdout=stdout)
        life.happens(STARTED, life.up("chief:0"))
        terminal.shows("1 of 4 tasks up", "ps:0")
        life.happens(GOOD)
        assert terminal.end() == 0
        assert json.load(results)["state"] == "SUCCEEDED"


def test_talk_in_a_file_and_results_on_the_terminal(life: Life, tmp_path: Path) -> None:
    """`job run 2> FILE`: plain lines in the file, results with coloured states on the terminal, no picture anywhere."""
    with open(tmp_path / "talk", "w+b") as talk:
        terminal = life.follow(stderr=talk, columns=200)
        life.happens(STARTED, life.up("chief:0"), GANG)
        life.happens(GOOD)
        assert terminal.end() == 0
        talk.seek(0)
        said = talk.read().decode()
    assert "\x1b" not in said
    assert said.splitlines()[-3:-1] == ["1 of 4 tasks are up", "running"]
    assert b"status: \x1b[33mREADY\x1b[0m\r\n" in terminal.sent
    assert b"\x1b[J" not in terminal.sent


@pytest.mark.parametrize(
    ("environ", "live", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_what_the_terminal_can_do_and_wants(environ: dict[str, str], live: bool, colour: bool) -> None:
    """NO_COLOR takes the colours, TERM=dumb all; a stream that is no terminal has neither."""
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal, open(os.devnull, "w") as file:
        on, off = Console(terminal, terminal, environ), Console(file, file, environ)
    os.close(ours)
    assert (on.live, on.out_ink.on, on.err_ink.on) == (live, colour, colour)
    assert (off.live, off.out_ink.on, off.err_ink.on) == (False, False, False)


@pytest.mark.parametrize("words", [["show", JOB], ["list"]])
def test_tables_are_coloured_on_a_terminal_only(life: Life, words: list[str]) -> None:
    """Show and list: without colour, the terminal's lines are the pipe's."""
    life.happens(
        STARTED, life.up("chief:0"), TaskStarted(4.0, "chief:0", 1, 7), TaskExited(9.0, "chief:0", 1, "nm", 3, ""), BAD
    )
    terminal = life.type(*words)
    assert terminal.end() == 0
    piped = subprocess.run([sys.executable, "-m", "yarn_submitter.cli", *words], env=life._environ, check=True,
                           capture_output=True, text=True, timeout=20).stdout  # fmt: skip
    assert "\x1b" not in piped
    assert terminal.lines == [line[:200] for line in piped.splitlines()]
    assert (b"\x1b[31mFAILED" if words[0] == "show" else b"\x1b[32mSUCCEEDED") in terminal.sent
    plain = life.type(*words, environ={"NO_COLOR": "1"})
    assert (plain.end(), b"\x1b[" in plain.sent) == (0, False)


def test_errors_are_coloured_on_a_terminal(life: Life) -> None:
    """`job:` is red, the id faint."""
    terminal = life.type("show", "nothing")
    assert terminal.end() == 64
    assert terminal.sent.startswith(
        b"\x1b[31mjob:\x1b[0m There is no job 'nothing' on this cluster. \x1b[2m[job-unknown]"
    )


def view_of(*events: Event, workers: int = 2) -> JobView:
    """Return the view of a job with that many workers."""
    roles = tuple(RolePlan(name, count, Resources(128), "x") for name, count in (("ps", 1), ("worker", workers)))
    return fold(begin(job_plan(roles=roles)), events)


def test_large_roles_become_a_line() -> None:
    """The largest first, only as many as must, and never more lines than there is room for."""
    ran = [TaskStarted(4.0, f"worker:{n}", 1, 7) for n in range(60)]
    view = view_of(*ran, workers=64)
    assert task_lines(view, 70, None, PLAIN)[-1].startswith("worker:63")
    assert task_lines(view, 66, None, PLAIN)[-1].startswith("worker:63")
    assert task_lines(view, 65, None, PLAIN)[1:] == ["ps:0  NEW", "worker 64: 60 RUNNING, 4 NEW"]
    assert task_lines(view, 3, 12, PLAIN)[1:] == ["ps:0  NEW", "worker 64: 6"]
    assert task_lines(view, 2, None, PLAIN) == ["ps 1: 1 NEW", "worker 64: 60 RUNNING, 4 NEW"]
    assert task_lines(view, 1, None, PLAIN) == []
    many = tuple(RolePlan(f"role{n}", 1, Resources(128), "x") for n in range(30))
    lines = task_lines(begin(job_plan(roles=many)), 5, None, PLAIN)
    assert (len(lines), lines[-1]) == (5, "and 26 more")


def test_the_stage_in_one_line(life: Life) -> None:
    """What is waited for is told on one line, whatever letters it has."""
    view = view_of()
    assert stage(view, "", 0.5) == "submitted, 0 s"
    life.app["diagnostics"] = "a\n\x1b[2J b\tc"
    view = fold(view, [AppSeen(life.cluster.site().resource_manager.get_app(APP))])
    assert stage(view, "", 65) == "accepted by YARN in queue default, 1 min 5 s: a  [2J b c"
    assert stage(fold(view, [STARTED]), "no room", 3) == "0 of 3 tasks up, 3 s: no room"
    assert stage(fold(view, [STARTED, GANG]), "no word from the agent", 3) == "running, 3 s"
