"""Submits five jobs that try five step sizes, takes their results as they come, and says which was best.

    python examples/api/five_jobs.py --cluster sandbox

One step size is too large: its job fails, and the others are none the worse.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from yarn_submitter import Ask, Job, JobSpec, RoleSpec, SubmitterError, as_completed, submit

STEP_SIZES = (0.01, 0.05, 0.1, 0.3, 3.0)


def job_for(step_size: float) -> JobSpec:
    """Return the job that tries one step size."""
    worker = RoleSpec("worker", 1, Ask.of("memory=256M"), f"python3 descend.py --step_size {step_size}")
    return JobSpec(f"descend-{step_size}", "generic", (worker,), source_dir=str(Path(__file__).parent / "src"))


def result_of(job: Job) -> dict[str, float]:
    """Return what the job's program printed last."""
    *_, last = job.logs("worker:0")
    return dict(json.loads(last.text))


def main() -> int:
    """Return 0 when at least one job has succeeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default="", help="`sandbox`, or sandbox:NAME; else HADOOP_CONF_DIR")
    cluster = parser.parse_args().cluster
    results: dict[Job, dict[str, float]] = {}
    try:
        jobs = [submit(job_for(step_size), cluster=cluster) for step_size in STEP_SIZES]
        for job in as_completed(jobs, timeout_s=600):
            verdict = job.wait()
            if verdict.exit_code == 0:
                results[job] = result_of(job)
                print(f"{job.name}: loss {results[job]['loss']:.6f}")
            else:
                print(f"{job.name}: exit code {verdict.exit_code}, {verdict.tail.splitlines()[-1]}")
    except SubmitterError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    best = min(results, key=lambda job: results[job]["loss"], default=None)
    print(f"best: {best.name if best else 'none'}")
    return 0 if best else 1


if __name__ == "__main__":
    sys.exit(main())
