"""`job wait` and `job events`: which exit code it is, what is said once, and when a day is named."""

from __future__ import annotations

import json
import time
from typing import Any

from client_fakes import APP, JOB, PretendCluster, job_plan

from am.contract import states
from am.contract.events import AgentStarted, JobEnded

OTHER_APP, OTHER_JOB = "application_1700000000000_0002", "20260102t030405-bbbbbb"


def ended(cluster: PretendCluster, app_id: str, job_id: str, code: int) -> None:
    """Let there be a job that failed with this code."""
    cluster.add_app("FINISHED", app_id, job_id, name=job_id, finalStatus="FAILED")
    verdict = JobEnded(30.0, states.FAILED, code, "task", "task-failed", "it failed", "chief:0", "nm")
    cluster.add_job(job_plan(job_id, name=job_id), {"1-0": [AgentStarted(1.0, 1, "nm", 1, app_id), verdict]})


def test_the_code_is_that_of_the_first_named(cluster: PretendCluster, typed: Any) -> None:
    """Not the largest, and not that of the first to end; a job that is named twice is one."""
    ended(cluster, APP, JOB, 3)
    ended(cluster, OTHER_APP, OTHER_JOB, 9)
    assert typed("wait", JOB, OTHER_JOB)[0] == 3
    assert typed("wait", OTHER_JOB, JOB)[0] == 9
    code, out, _ = typed("wait", JOB, APP, JOB, "--json")
    assert (code, [job["id"] for job in json.loads(out)["jobs"]]) == (3, [JOB])


def test_a_day_is_named_when_it_is_not_today(cluster: PretendCluster, typed: Any) -> None:
    """Once before the first event of each day."""
    now_s = time.time()
    cluster.add_app("FINISHED", finalStatus="FAILED", finishedTime=int(now_s * 1000))
    times = (now_s - 3 * 86400, now_s - 3 * 86400, now_s - 86400, now_s)
    cluster.add_job(events={"1-0": [AgentStarted(time_s, 1, "nm", 1, APP) for time_s in times]})
    days = [time.strftime("%Y-%m-%d", time.localtime(time_s)) for time_s in times]
    lines = typed("events", JOB)[1].splitlines()
    assert [line for line in lines if "  " not in line] == [days[0], days[2]]
    assert (lines[0], lines[3]) == (days[0], days[2])
