"""The budgets of the first job, each measured on a running sandbox: one function per row or per job that gives rows."""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from contest import COLD, OURS, Arena, Run, times
from machine import Watch, alive

from am.contract.events import TaskExited, TaskRegistered, TaskRestarting, TaskStarted

_TASK_LINE = re.compile(r"name: w, index: (\d+), .*status: (SUCCEEDED|FAILED|FINISHED)")
_TASKS = 20


@dataclass(frozen=True)
class Row:
    """One line of the table: what, how much, in what unit, the budget (None: told for information), and a remark."""

    what: str
    measured: float
    unit: str
    budget: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool | None:
        """Tell whether the budget is kept; None without one."""
        return None if self.budget is None else self.measured <= self.budget


def command_rows(arena: Arena, job_id: str, payload: str) -> list[Row]:
    """Return how long the verbs take from the shell, and a refusal."""
    dry = [
        "run",
        "--name",
        "bench",
        "--framework",
        "generic",
        "--input_path",
        "",
        "--localization",
        f"{payload}:./data",
    ]
    dry += ["--role", "w:instances=3,memory=128M,vcores=1", "--role_cmd", "w=true"]
    return [
        _command(arena, "job show", 0.3, 0, "show", job_id),
        _command(arena, "job list", 0.3, 0, "list"),
        _python(arena),
        _command(arena, "job run --dry_run", 0.3, 0, *dry, "--dry_run"),
        _command(arena, "job run --check", 1.0, 0, *dry, "--check"),
        _command(arena, "refusal (unknown queue)", 1.0, 64, *dry, "--queue", "nosuch"),
        _command(arena, "refusal (ten faults of the text)", 1.0, 64, "run", *(f"--fault{n}" for n in range(10))),
        _command(arena, "job queues", 0.3, 0, "queues"),
        _command(arena, "job nodes", 0.3, 0, "nodes"),
    ]


def _python(arena: Arena, runs: int = 10) -> Row:
    """Start the interpreter that starts the verbs, for nothing."""
    taken = []
    for _ in range(runs):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], env=arena.environment, check=True)
        taken.append(time.monotonic() - started)
    return Row(
        f"python -c pass, median of {runs}", statistics.median(taken), "s", None, "what no verb can be quicker than"
    )


def _command(arena: Arena, what: str, budget: float, code: int, *words: str, runs: int = 10) -> Row:
    """Type a command some times; the row's note is its processor time, which other programs disturb less."""
    taken, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(runs):
        took_s, result = arena.job(*words)
        if result.returncode != code:
            raise RuntimeError(f"job {words[0]} ended with {result.returncode}:\n{result.stdout}{result.stderr}")
        taken.append(took_s)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    note = f"{used_s / runs:.2f} s of a core"
    return Row(f"{what}, median of {runs}", statistics.median(taken), "s", budget, note)


def comparison_rows(runs: Iterable[Run]) -> list[Row]:
    """Return our job's times against raw Skein's in the same round."""
    done = list(runs)
    rows = []
    for count in sorted({run.containers for run in done}):
        ours = [run for run in done if (run.contestant, run.containers) == (OURS, count)]
        raw = [run for run in done if (run.contestant, run.containers) == (COLD, count)]
        ratios = sorted(mine.last_s / other.last_s for mine, other in zip(ours, raw, strict=True))
        what = f"typed -> last of {count} commands / raw Skein, cold"
        note = "rounds: " + ", ".join(f"{ratio:.2f}" for ratio in ratios)
        rows.append(Row(what, statistics.median(ratios), "x", 1.05 if count > 1 else None, note))
        if count > 1:
            spread = statistics.median(run.last_s / run.first_s for run in ours)
            rows.append(Row(f"last / first of {count} commands", spread, "x", 1.1))
    seen = [run.peaks for run in done if run.contestant == OURS]
    rows.append(Row("client resident", max(peaks.of("client") for peaks in seen), "MB", 65.0))
    rows.append(Row("client with the process beside the driver", max(peaks.client_mb for peaks in seen), "MB"))
    return rows


def return_rows(arena: Arena, runs: Iterable[Run]) -> list[Row]:
    """Return how soon our client returned after the last exit, and after the verdict was on HDFS."""
    ours = [run for run in runs if run.contestant == OURS]
    after = [run.ended - arena.history(run.job_id)[1] for run in ours]
    return [
        Row("last exit -> client returns, median", statistics.median(run.returned_s for run in ours), "s"),
        Row("verdict in the history -> client returns, median", statistics.median(after), "s", 0.5),
    ]


def news_rows(arena: Arena) -> list[Row]:
    """Return how soon a task's exit is a line of the client's stdout: 20 tasks that end one after another."""
    marks = arena.marks()
    pause = "$((TASK_INDEX * 37 / 100)).$(printf %02d $((TASK_INDEX * 37 % 100)))"
    run = arena.run(OURS, _TASKS, words=arena.job_words(marks, _TASKS, pause), marks=marks)
    ended = [line.split() for line in marks.read_text().splitlines() if line.startswith("exit")]
    exits = {index: float(at) for _, at, index in ended}
    told_s: dict[str, float] = {}
    for arrived, line in run.lines:
        found = _TASK_LINE.search(line)
        if found:
            told_s.setdefault(found[1], arrived)
    delays = [told_s[index] - ended for index, ended in exits.items() if index in told_s]
    if len(delays) != _TASKS:
        raise RuntimeError(f"{len(delays)} of {_TASKS} ends were told")
    return [
        Row("a task's exit -> the client's line, median of 20", statistics.median(delays), "s", 0.5),
        Row("a task's exit -> the client's line, longest of 20", max(delays), "s", 1.0),
    ]


def kill_rows(arena: Arena, containers: int = 10) -> list[Row]:
    """Return what a waiting job of 10 tasks holds, and how soon it is gone after a kill."""
    marks = arena.marks()
    with Watch(arena.info.id) as watch:
        words = arena.job_words(marks, containers, live="600")[1:]
        _, result = arena.job(*words, "--detach")
        application = result.stdout.strip()
        arena.until("the tasks run", lambda: len(times(marks, "start")) == containers)
        time.sleep(2.0)  # beats have come and gone
        executors = watch.peaks.pids("executor")
        agent_mb, executor_mb = watch.peaks.of("agent"), watch.peaks.of("executor")
        if not agent_mb or not executor_mb:
            raise RuntimeError("agent or executors were not seen: nothing was measured")
        began = time.perf_counter()
        killer = arena.start("kill", application)
        arena.until("the executors are gone", lambda: not any(alive(pid) for pid in executors), pause_s=0.02)
        gone_s = time.perf_counter() - began
        killer.communicate()
        killed_s = time.perf_counter() - began
        arena.settle()
    return [
        Row("job kill typed -> executors of 10 tasks gone", gone_s, "s", 3.0),
        Row("job kill typed -> returns", killed_s, "s"),
        Row("agent resident at 10 tasks", agent_mb, "MB", 80.0),
        Row("executor resident", executor_mb, "MB", 25.0),
    ]


def restart_rows(arena: Arena) -> list[Row]:
    """Return how soon a task runs again: in its container after its exit, and in a new one after that registered.

    Twenty restarts are budgeted; the last attempts run in another container, because its first host is avoided then.
    """
    command = "w=sleep 1; [ $ATTEMPT -gt 4 ] || exit 1"  # a command that ends at once is never seen to run
    words = ["--name", "bench", "--framework", "generic", "--input_path", "", "--num_workers", "0"]
    role = ["--role", "w:instances=2,memory=128M", "--role_cmd", command]
    restarts = ["--role_on_failure", "w=restart-task", "--max_restarts", "20", "--detach"]
    _, result = arena.job("run", *words, *role, *restarts)
    application = result.stdout.strip()
    arena.job("wait", application)
    _, shown = arena.job("show", application, "--json")
    events, _ = arena.history(json.loads(shown.stdout)["id"])
    at: dict[tuple[str, int, type], float] = {
        (event.task, event.attempt, type(event)): event.time
        for event in events
        if isinstance(event, TaskRegistered | TaskStarted | TaskExited)
    }
    kept = [event for event in events if isinstance(event, TaskRestarting)]
    same, other = [], []
    for event in kept:
        started = at[event.task, event.attempt, TaskStarted]
        if event.keeps:
            same.append(started - at[event.task, event.attempt - 1, TaskExited])
        else:
            other.append(started - at[event.task, event.attempt, TaskRegistered])
    rows = [Row(f"a failed task's exit -> it runs again, median of {len(same)}", statistics.median(same), "s", 1.0)]
    if other:
        what = f"a new container's executor registered -> it runs, median of {len(other)}"
        rows.append(Row(what, statistics.median(other), "s", 1.0))
    return rows


def registration_rows(arena: Arena, runs: int = 3) -> list[Row]:
    """Return how soon an executor is registered; its start is seen by looking at /proc each 20 ms."""
    taken = []
    for _ in range(runs):
        run = arena.run(OURS, 1, period_s=0.02)
        began = min(seen.since_s for seen in run.peaks.processes.values() if seen.kind == "executor")
        registered = [event.time for event in arena.history(run.job_id)[0] if isinstance(event, TaskRegistered)]
        taken.append(min(registered) - began)
    return [Row(f"executor's exec -> registered, median of {runs}", statistics.median(taken), "s", 0.3)]


def staging_rows(arena: Arena, payload: str) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Return what a first and a second identical submit write, ours and raw Skein's, and how long they take."""
    cache, table, written = arena.site.paths.cache, {}, 0
    for which in ("first", "second"):
        before = arena.usage(cache)
        mine = arena.run(OURS, 1, files=(payload,), weigh=True)
        written = arena.usage(cache) - before
        raw = arena.run(COLD, 1, files=(payload,), weigh=True)
        table[which] = {
            "ours: MB into the cache": written / 1e6,
            "ours: MB by Skein": mine.uploaded_bytes / 1e6,
            "ours: T1 s": mine.submitted_s,
            "raw Skein: MB": raw.uploaded_bytes / 1e6,
            "raw Skein: T1 s": raw.submitted_s,
        }
    return [Row("second identical submit, bytes into the cache", float(written), "B", 0.0)], table
