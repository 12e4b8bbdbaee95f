"""How many tasks one agent holds: simulated executors in other processes against a real agent, over real TLS.

    .venv/bin/python benchmarks/rendezvous.py [--sizes 10,100,1000,5000] [--profile DIRECTORY] [--update]

The executors are the product's own sessions (registration, beats, orders, reports); only what touches their node is
left out: no directories, no command. The agent is the product's, with a YARN that gives everything at once and a store
that takes everything. All sessions begin at the same moment, which no cluster ever does.

Seconds are this machine's and include what the simulated executors cost it. `growth` says how much a task costs
compared to the size before: 1.0 is linear.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from multiprocessing.connection import Connection
from pathlib import Path

from crowd import SECRET, be_agent, be_executors

from am.contract.job import CERTIFICATE_FILE, JOB_FILE, KEY_FILE, SECRET_FILE, JobPlan, Resources, RolePlan
from yarn_submitter.certificate import certificate_and_key

RESULTS = Path(__file__).with_suffix(".json")
SESSIONS_A_PROCESS = 250
LOOK_S = 20.0  # how long beats are counted, at least
PATIENCE_S = 300.0
TICK_S = os.sysconf("SC_CLK_TCK")
BUDGETS = {5000: {"topology_s": 10.0, "memory_mb": 400.0}, 10: {"memory_mb": 80.0}}


@dataclass
class Row:
    """What was measured with `tasks` tasks.

    Attributes:
        tasks: How many.
        topology_s: From the first registration until the last task had the topology.
        start_cpu_s: The agent's processor time for that, its own start left out.
        crowd_cpu_s: That of the simulated executors, which have this machine's cores, too.
        beats_per_s: Requests while nothing happens.
        beat_cpu_percent: The agent's processor time for them, of one core.
        told_s: From one task's exit until the last other task was told to stop.
        end_s: From that exit until the agent had left, all reports taken.
        steady_mb: The agent's resident memory while nothing happens, 10^6 bytes.
        memory_mb: The same at its peak: when all report their ends at once.
        cpu_s: The agent's processor time from start to end.
    """

    tasks: int
    topology_s: float
    start_cpu_s: float
    crowd_cpu_s: float
    beats_per_s: float
    beat_cpu_percent: float
    told_s: float
    end_s: float
    steady_mb: float
    memory_mb: float
    cpu_s: float


# ---- the measurement --------------------------------------------------------------------------------------------


class Fleet:
    """The processes of simulated executors."""

    def __init__(self, directory: Path, tasks: int) -> None:
        count = min(SESSIONS_A_PROCESS, -(-tasks // 2))
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for first in range(0, tasks, count):
            ours, theirs = context.Pipe()
            arguments = (theirs, str(directory), first, min(count, tasks - first))
            process = context.Process(target=be_executors, args=arguments, daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        self.hear("ready")

    def say(self, order: str) -> None:
        """Give all of them an order."""
        for pipe in self._pipes:
            pipe.send(order)

    def fail_one(self) -> float:
        """Let one task's command fail; return when."""
        self._pipes[0].send("fail")
        return self._hear(self._pipes[0], "failed")

    def hear(self, what: str) -> list[float]:
        """Wait until each has said this; return the numbers that came with it."""
        return [self._hear(pipe, what) for pipe in self._pipes]

    def cpu_s(self) -> float:
        """Return the processor time of all of them so far, in seconds."""
        return sum(cpu_s(process.pid) for process in self._processes if process.pid is not None)

    def close(self) -> None:
        """End them."""
        self.say("end")
        for process in self._processes:
            process.join()

    @staticmethod
    def _hear(pipe: Connection, what: str) -> float:
        if not pipe.poll(PATIENCE_S):
            raise TimeoutError(f"no process said {what!r} within {PATIENCE_S:g} s")
        word, number = pipe.recv()
        if word != what:
            raise RuntimeError(f"a process said {word!r} before {what!r}")
        return float(number)


def measure(tasks: int, profile: str) -> Row:
    """Run one job of so many tasks from start to end."""
    with tempfile.TemporaryDirectory(prefix="rendezvous-") as name:
        directory = Path(name)
        write_job(directory, tasks)
        command = [sys.executable, __file__, "--agent", name, "--profile", profile]
        with (directory / "agent.log").open("wb") as log:
            agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert agent.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            json.loads(agent.stdout.readline())  # it listens
            fleet = Fleet(directory, tasks)
            row = course(fleet, agent, tasks)
            fleet.close()
        except BaseException:
            agent.kill()
            print((directory / "agent.log").read_text()[-2000:], file=sys.stderr)
            raise
        return row


def course(fleet: Fleet, agent: subprocess.Popen[str], tasks: int) -> Row:
    """Take the job through its life; return what was measured."""
    before_s, crowd_before_s, went_s = cpu_s(agent.pid), fleet.cpu_s(), time.monotonic()
    fleet.say("go")
    topology_s = max(fleet.hear("started")) - went_s
    start_cpu_s, crowd_cpu_s = cpu_s(agent.pid) - before_s, fleet.cpu_s() - crowd_before_s
    time.sleep(2.0)  # the first beats with a pid are no steady load
    beats, window_cpu_s, window_s = beat_load(fleet, agent.pid, max(LOOK_S, tasks / 100))
    steady_mb = resident_mb(agent.pid)
    failed_s = fleet.fail_one()
    told_s = max(fleet.hear("told")) - failed_s
    fleet.hear("left")
    assert agent.stdout is not None  # noqa: S101 - a pipe was asked for
    took = json.loads(agent.stdout.readline())
    end_s = time.monotonic() - failed_s
    agent.wait(PATIENCE_S)
    return Row(
        tasks,
        topology_s,
        start_cpu_s,
        crowd_cpu_s,
        beats / window_s,
        100 * window_cpu_s / window_s,
        told_s,
        end_s,
        steady_mb,
        took["memory_mb"],
        took["cpu_s"],
    )


def beat_load(fleet: Fleet, pid: int, look_s: float) -> tuple[float, float, float]:
    """Return requests, the agent's processor time and the time itself while nothing happens."""

    def counted() -> float:
        fleet.say("count")
        return sum(fleet.hear("counted"))

    began, cpu_before_s, began_s = counted(), cpu_s(pid), time.monotonic()
    time.sleep(look_s)
    return counted() - began, cpu_s(pid) - cpu_before_s, time.monotonic() - began_s


def write_job(directory: Path, tasks: int) -> None:
    """Write what every container of the job finds."""
    certificate, key = certificate_and_key()
    (directory / CERTIFICATE_FILE).write_bytes(certificate)
    (directory / KEY_FILE).write_bytes(key)
    (directory / SECRET_FILE).write_text(SECRET)
    plan = JobPlan(
        id="20260101-000000-abcd",
        name="rendezvous",
        user="alice",
        framework="generic",
        queue="default",
        roles=(RolePlan("worker", tasks, Resources(128), "true"),),
        main_task="worker:0",
        done_when="all",
        tf_worker0="worker",
        input_path="",
        checkpoint_path="",
        saved_model_path="",
        data_dir="",
        job_dir="/jobs/1",
        webhdfs=(),
        agent_ports=tuple(random.sample(range(20000, 32000), 4)),  # below those that connections get
    )
    (directory / JOB_FILE).write_text(plan.to_text())


def cpu_s(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK_S


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, 10^6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def report(rows: list[Row]) -> bool:
    """Print the rows with their growth; return whether every budget is kept."""
    names = [name for name in asdict(rows[0]) if name != "tasks"]
    print("| tasks | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for before, row in zip([None, *rows[:-1]], rows, strict=True):
        cells = []
        for name in names:
            value = getattr(row, name)
            growth = ""
            if before is not None and name in {"topology_s", "start_cpu_s", "crowd_cpu_s", "told_s", "end_s", "cpu_s"}:
                growth = f" ({value / row.tasks / (getattr(before, name) / before.tasks):.2f})"
            cells.append(f"{value:.2f}{growth}")
        print(f"| {row.tasks} | " + " | ".join(cells) + " |")
    kept = True
    for row in rows:
        for name, most in BUDGETS.get(row.tasks, {}).items():
            value = getattr(row, name)
            kept &= value <= most
            print(f"{row.tasks} tasks: {name} {value:.2f}, budget {most:g}: {'kept' if value <= most else 'NOT KEPT'}")
    return kept


def main() -> int:
    """Measure each size; return 1 when a budget is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,1000,5000", help="numbers of tasks")
    parser.add_argument("--profile", default="", help="file for the profile of the agent's calls")
    parser.add_argument("--update", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--agent", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.agent:
        return be_agent(Path(given.agent), given.profile)
    rows = []
    for size in (int(text) for text in given.sizes.split(",")):
        rows.append(measure(size, given.profile))
        print(json.dumps(asdict(rows[-1])), file=sys.stderr, flush=True)
    kept = report(rows)
    if given.update:
        machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
        when = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
        RESULTS.write_text(
            json.dumps({"when": when, **machine, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
