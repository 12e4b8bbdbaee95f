"""Measures the first job: `job run` beside raw Skein on one sandbox, in turns, and every budget that can be measured.

python benchmarks/first_job.py [--runs N] [--containers 1,3,10] [--update]

It brings up a sandbox of its own and removes it. Absolute numbers are the machine's; ratios of one run are what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from contest import COLD, HERE, OURS, WARM, Arena, Run
from machine import description
from rows import (
    Row,
    command_rows,
    comparison_rows,
    kill_rows,
    news_rows,
    registration_rows,
    restart_rows,
    return_rows,
    staging_rows,
)

from yarn_submitter.sandbox import Sandbox, SandboxSettings

_PAYLOAD_BYTES = 32 * 1024 * 1024
_BASELINE = HERE / "baseline.json"


def main() -> int:
    """Measure, print, return 0 when every budget was kept, else 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="rounds of the comparison (3)")
    parser.add_argument("--containers", default="1,3,10", help="sizes of its jobs (1,3,10)")
    parser.add_argument("--update", action="store_true", help="write baseline.json")
    chosen = parser.parse_args()
    sizes = [int(word) for word in chosen.containers.split(",")]
    sandbox, load_before = Sandbox(f"bench-{os.getpid()}"), os.getloadavg()[0]
    try:
        info = sandbox.up(SandboxSettings(nodes=2, vcores=32), say)
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            arena = Arena(sandbox, info, Path(scratch))
            try:
                table, submits, runs = measure(arena, chosen.runs, sizes)
            finally:
                arena.close()
    finally:
        sandbox.down(delete=True)
    document = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": description(load_before),
        "rounds": chosen.runs,
        "budgets": [{**vars(row), "measured": round(row.measured, 3), "kept": row.kept} for row in table],
        "jobs": comparison(runs),
        "submits": {which: _rounded(columns) for which, columns in submits.items()},
    }
    show(document, table)
    if chosen.update:
        _BASELINE.write_text(json.dumps(document, indent=1) + "\n")
    return int(any(row.kept is False for row in table))


def measure(arena: Arena, rounds: int, sizes: list[int]) -> tuple[list[Row], dict[str, dict[str, float]], list[Run]]:
    """Run everything; return the budgets, the first and second submits, and the jobs of the comparison."""
    payload = arena.scratch / "payload.bin"
    payload.write_bytes(os.urandom(_PAYLOAD_BYTES))
    say("first and second submit")
    table, submits = staging_rows(arena, str(payload))
    arena.run(WARM, 1)
    runs = []
    for number in range(rounds):
        for size in sizes:
            order = [OURS, COLD, WARM]
            for contestant in order[number % 3 :] + order[: number % 3]:
                say(f"round {number + 1} of {rounds}: {contestant}, {size} containers")
                runs.append(arena.run(contestant, size))
    table = [*comparison_rows(runs), *return_rows(arena, runs), *table]
    say("verbs")
    table += command_rows(arena, runs[0].application_id, str(payload))
    say("registration")
    table += registration_rows(arena)
    say("restarts")
    table += restart_rows(arena)
    say("news of 20 tasks")
    table += news_rows(arena)
    say("kill")
    table += kill_rows(arena)
    return table, submits, runs


def comparison(runs: Iterable[Run]) -> dict[str, dict[str, float]]:
    """Return the medians of each contestant and size."""
    groups: dict[str, list[dict[str, float]]] = {}
    for run in sorted(runs, key=lambda run: run.containers):
        groups.setdefault(f"{run.contestant} x{run.containers}", []).append(run.columns())
    return {
        name: _rounded({column: statistics.median(row[column] for row in rows) for column in rows[0]})
        for name, rows in groups.items()
    }


def _rounded(columns: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in columns.items()}


def show(document: dict[str, object], table: list[Row]) -> None:
    """Print the tables."""
    print(json.dumps(document["machine"]))
    for part in ("jobs", "submits"):
        columns = document[part]
        print()
        print_columns(part, columns)  # type: ignore[arg-type]
    print(f"\n{'row':58} {'measured':>12} {'budget':>9}  ok")
    for row in table:
        budget = "" if row.budget is None else f"{row.budget:g} {row.unit}"
        kept = {True: "yes", False: "NO", None: ""}[row.kept]
        print(f"{row.what:58} {f'{row.measured:.3g} {row.unit}':>12} {budget:>9}  {kept:4}{row.note}".rstrip())


def print_columns(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print rows of equal columns."""
    names = list(next(iter(rows.values())))
    widths = [max(len(name), 8) for name in names]
    print(f"{title:26}" + " ".join(f"{name:>{width}}" for name, width in zip(names, widths, strict=True)))
    for name, columns in rows.items():
        cells = (f"{value:>{width}.2f}" for value, width in zip(columns.values(), widths, strict=True))
        print(f"{name:26}" + " ".join(cells))


def say(text: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
