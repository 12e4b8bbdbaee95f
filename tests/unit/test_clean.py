"""Directories of ended jobs and unused objects are shown and then removed; what a live job needs never is."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from client_fakes import USER, PretendCluster, job_plan
from fakes import SECRET, AgentThread, plan, role, write_job_files

from am.contract import states, wire
from am.contract.events import JobEnded
from am.contract.job import CERTIFICATE_FILE, access_file, agent_file
from yarn_submitter.clean import Cleaning, Wish, find, remove
from yarn_submitter.cli import main
from yarn_submitter.errors import UsageError
from yarn_submitter.record import Record
from yarn_submitter.spec import JobSpec, Localization

BASE = f"/user/{USER}/.yarn-submitter"
DAY_S = 86400.0
NOW_S = time.time()
GOOD, BAD, LIVE, FORGOTTEN, SILENT, FRESH = (f"20260102t03040{n}-aaaaaa" for n in range(6))


def end(state: str, days: float) -> JobEnded:
    """Return a verdict of some days ago."""
    return JobEnded(NOW_S - days * DAY_S, state, 0, "task", "", "")


def add(cluster: PretendCluster, job_id: str, days: float, state: str = "", final: str = "", **plan: Any) -> str:
    """Let a job be there, known to YARN when it has a state; return its directory."""
    job = cluster.add_job(job_plan(job_id, **plan))
    cluster.modified_s[job.job_dir] = NOW_S - days * DAY_S
    if state:
        finished_ms = 0 if state == "RUNNING" else int((NOW_S - days * DAY_S) * 1000)
        app_id = f"application_1700000000000_000{job_id[14]}"
        cluster.add_app(state, app_id, job_id, finalStatus=final or "UNDEFINED", finishedTime=finished_ms)
    return job.job_dir


def uses(cluster: PretendCluster, job_dir: str, *objects: str, remote: str = "hdfs:///none") -> None:
    """Let a job's record name objects of the cache, and something that is brought to its tasks."""
    spec = JobSpec("fit", "generic", (), localizations=(Localization(remote, "x"),))
    record = dataclasses.asdict(Record(spec, {}, objects))
    cluster.put(f"{job_dir}/spec/plan.json", json.dumps({"record": record}))


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with a job of each kind."""
    add(cluster, GOOD, 40, "FINISHED", "SUCCEEDED")
    add(cluster, BAD, 3, "FINISHED", "FAILED")
    uses(cluster, add(cluster, LIVE, 50, "RUNNING"), "used.zip")
    directory = add(cluster, FORGOTTEN, 60)
    cluster.add_job(job_plan(FORGOTTEN), {"1-0": [end(states.KILLED, 60)]})
    cluster.modified_s[directory] = NOW_S - 60 * DAY_S
    add(cluster, SILENT, 70)
    uses(cluster, f"{BASE}/jobs/{SILENT}", "silent.zip")
    cluster.put(f"{BASE}/jobs/{FRESH}/spec/plan.json", "{}")
    cluster.modified_s[f"{BASE}/jobs/{FRESH}"] = NOW_S - 60
    cluster.put(f"{BASE}/jobs/notes/mine.txt", "a user's own")
    for name, days in {"old.zip": 2, "used.zip": 2, "silent.zip": 2, "new.zip": 0.01, "a.ys-tmp-1": 0.5}.items():
        cluster.put(f"{BASE}/cache/{name}", "x" * 10)
        cluster.modified_s[f"{BASE}/cache/{name}"] = NOW_S - days * DAY_S
    return cluster


def there(cluster: PretendCluster) -> list[str]:
    """Return the directories below `jobs`."""
    return sorted({path.split("/")[5] for path in cluster.files if path.startswith(f"{BASE}/jobs/")})


def ids(found: Cleaning) -> list[str]:
    """Return the jobs that may go."""
    return [job.id for job in found.jobs]


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        (Wish(), [FORGOTTEN, GOOD, BAD]),
        (Wish(older_s=30 * DAY_S), [FORGOTTEN, GOOD]),
        (Wish(states=("KILLED",)), [FORGOTTEN]),
        (Wish(states=("FAILED", "SUCCEEDED")), [GOOD, BAD]),
        (Wish((BAD,)), [BAD]),
        (Wish(("application_1700000000000_0000", FORGOTTEN)), [FORGOTTEN, GOOD]),
        (Wish((GOOD, BAD), older_s=30 * DAY_S), [GOOD]),
        (Wish(jobs=False), []),
    ],
)
def test_what_may_go(cluster: PretendCluster, wish: Wish, found: list[str]) -> None:
    """Ended jobs by YARN's word or their own, oldest first; a live one, a silent one, a beginning one are none."""
    assert ids(find(cluster.site(), wish)) == found


def test_exactly_what_was_shown_goes(cluster: PretendCluster) -> None:
    """Whole directories; nothing else changes."""
    site, wish = cluster.site(), Wish(older_s=30 * DAY_S)
    shown = find(site, wish)
    assert [job.bytes for job in shown.jobs] == [
        sum(len(cluster.files[f"{job.path}/{name}"] or b"") for name in cluster.names(job.path)) for job in shown.jobs
    ]
    before = dict(cluster.files)
    assert remove(site, wish, shown) == shown
    gone = {path for path in before if any(f"{path}/".startswith(f"{job.path}/") for job in shown.jobs)}
    assert set(before) - set(cluster.files) == gone
    assert there(cluster) == [BAD, LIVE, SILENT, FRESH, "notes"]


def test_what_has_changed_since_it_was_shown_stays(cluster: PretendCluster) -> None:
    """While a person thinks, a job begins that uses something; and what ended meanwhile was not shown."""
    site, wish = cluster.site(), Wish(cache=True)
    shown = find(site, wish)
    for app in cluster.apps:
        if app["finalStatus"] == "FAILED":
            app.update(state="RUNNING", finalStatus="UNDEFINED")
        elif app["state"] == "RUNNING":
            app.update(state="KILLED", finalStatus="KILLED", finishedTime=1)
    uses(cluster, f"{BASE}/jobs/{BAD}", "old.zip", remote=f"hdfs://nn:9000{BASE}/jobs/{GOOD}/model")
    removed = remove(site, wish, shown)
    assert (ids(removed), removed.objects) == ([FORGOTTEN], ())
    assert there(cluster) == [GOOD, BAD, LIVE, SILENT, FRESH, "notes"]


def test_what_a_live_job_uses_stays(cluster: PretendCluster) -> None:
    """It goes on from an ended job's checkpoint, reads its model, or brings its output along; by any of its names."""
    fs = "hdfs://nn:9000"
    places = {
        "checkpoint_path": f"{fs}{BASE}/jobs/{GOOD}/checkpoint",
        "input_path": f"{BASE}/jobs/{BAD}",
        "saved_model_path": "s3a://elsewhere/model",
    }
    job = cluster.add_job(job_plan(LIVE, **places))
    uses(cluster, job.job_dir, "used.zip", remote=f"hdfs:{BASE}/jobs/{FORGOTTEN}/output/a-0")
    found = find(cluster.site(), Wish())
    assert ids(found) == []
    assert sorted(path.rpartition("/")[2] for path in found.kept) == [GOOD, BAD, FORGOTTEN, SILENT]
    assert f"the live job {LIVE} uses {BASE}/jobs/{GOOD}/checkpoint" in found.kept.values()


def test_a_silent_job(cluster: PretendCluster) -> None:
    """Nobody knows its end: it is not taken by age, but told; it goes when its user names it."""
    found = find(cluster.site(), Wish(older_s=30 * DAY_S))
    assert found.kept == {
        f"{BASE}/jobs/{SILENT}": f"neither YARN nor its history knows its end; when you do: job clean {SILENT}"
    }
    (named,) = find(cluster.site(), Wish((SILENT,))).jobs
    assert (named.state, named.name) == ("UNKNOWN", "fit")


def test_a_silent_job_whose_agent_answers(cluster: PretendCluster, tmp_path: Path) -> None:
    """It runs on another YARN that shares the store; when it has left, the job may go."""
    planned = plan(role("worker", 1))
    write_job_files(tmp_path, planned)
    agent = AgentThread(planned, tmp_path)
    job_dir = f"{BASE}/jobs/{SILENT}"
    access = {"certificate": (tmp_path / CERTIFICATE_FILE).read_text(), "client_token": wire.client_token(SECRET)}
    cluster.put(access_file(job_dir), json.dumps(access))
    cluster.put(agent_file(job_dir), json.dumps({"host": "127.0.0.1", "port": agent.port}))
    with pytest.raises(UsageError, match="its agent answers"):
        find(cluster.site(), Wish((SILENT,)))
    agent.kill()
    assert ids(find(cluster.site(), Wish((SILENT,)))) == [SILENT]


def test_every_name_that_cannot_be_is_told(cluster: PretendCluster) -> None:
    """A live job, one about to be submitted, one without a directory, an unknown one: at once, and nothing goes."""
    cluster.add_app(
        "FINISHED", "application_1700000000000_0009", "20260102t030409-aaaaaa", finalStatus="FAILED", user="bob"
    )
    names = (GOOD, LIVE, FRESH, "application_1700000000000_0009", "nobody")
    with pytest.raises(UsageError) as refused:
        find(cluster.site(), Wish(names))
    assert [problem.id for problem in refused.value.problems] == [
        *("clean-live", "clean-live", "clean-nothing", "job-unknown"),
    ]


def test_the_cache(cluster: PretendCluster) -> None:
    """Objects older than an hour that no live, silent or beginning job names; unfinished ones after a day."""
    site, wish = cluster.site(), Wish(jobs=False, cache=True)
    shown = find(site, wish)
    assert [found.path.rpartition("/")[2] for found in shown.objects] == ["old.zip"]
    assert (shown.bytes, shown.kept) == (10, {})
    remove(site, wish, shown)
    assert cluster.names(f"{BASE}/cache") == ["a.ys-tmp-1", "new.zip", "silent.zip", "used.zip"]


def test_the_cache_of_a_live_job_that_does_not_say(cluster: PretendCluster) -> None:
    """A job of a version that kept no list of its objects may use any of them."""
    del cluster.files[f"{BASE}/jobs/{LIVE}/spec/plan.json"]
    shown = find(cluster.site(), Wish(jobs=False, cache=True))
    assert shown.objects == ()
    assert LIVE in shown.kept[f"{BASE}/cache"]


def test_a_live_job_that_cannot_be_read(cluster: PretendCluster) -> None:
    """Nobody knows what it needs: nothing is removed. Of an ended one nobody needs to know."""
    cluster.put(f"{BASE}/jobs/{FORGOTTEN}/spec/job.json", "{")
    assert ids(find(cluster.site(), Wish())) == [FORGOTTEN, GOOD, BAD]
    cluster.put(f"{BASE}/jobs/{LIVE}/spec/job.json", "{")
    with pytest.raises(UsageError, match="job-record-broken"):
        find(cluster.site(), Wish())


def test_a_user_without_jobs(cluster: PretendCluster) -> None:
    """There is nothing to clean."""
    cluster.files = {"/": None}
    cluster.apps.clear()
    assert find(cluster.site(), Wish(cache=True)) == Cleaning()


class Keyboard(io.StringIO):
    """A terminal on which somebody has typed something; and the one on which they read."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Type `job clean WORDS`, and perhaps an answer; get exit code and both streams."""

    def run(*words: str, answer: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO() if answer is None else Keyboard(answer))
        screen = Keyboard()
        if answer is not None:
            monkeypatch.setattr(sys, "stderr", screen)
        code = main(["clean", *words])
        said = capsys.readouterr()
        return code, said.out, said.err + screen.getvalue()

    return run


def test_asking(cluster: PretendCluster, typed: Any) -> None:
    """On a terminal: what goes, a question, and an answer that is not yes changes nothing."""
    for answer in ("n\n", "\n", ""):
        code, out, err = typed("--older", "30d", answer=answer)
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()] == ["ID", FORGOTTEN, GOOD]
        assert "remove 2 jobs, " in err
        assert "nothing was removed" in err
    assert GOOD in there(cluster)
    code, _, err = typed("--older", "30d", answer="y\n")
    assert (code, "removed 2 jobs, " in err) == (0, True)
    assert there(cluster) == [BAD, LIVE, SILENT, FRESH, "notes"]


def test_nobody_to_ask(cluster: PretendCluster, typed: Any) -> None:
    """In a pipe nothing goes without --yes, and the exit code says so."""
    code, out, err = typed("--older", "30d")
    assert (code, len(out.splitlines()), "[clean-unconfirmed]" in err) == (64, 3, True)
    code, out, err = typed("--older", "30d", "--json")
    assert (code, json.loads(out)["removed"]) == (64, False)
    assert GOOD in there(cluster)
    code, out, _ = typed("--older", "30d", "--json", "--yes")
    document = json.loads(out)
    assert (code, document["schema"], document["removed"]) == (0, 1, True)
    assert [job["id"] for job in document["jobs"]] == [FORGOTTEN, GOOD]
    assert document["bytes"] == sum(job["bytes"] for job in document["jobs"]) > 0
    assert document["kept"][0]["path"].endswith(SILENT)
    code, out, err = typed("--older", "30d")
    assert (code, out, "there is nothing to clean" in err) == (0, "", True)


def test_retention(cluster: PretendCluster, typed: Any) -> None:
    """Without jobs and an age the setting counts; `never` is said."""
    code, out, err = typed("--yes")
    assert (code, out) == (64, "")
    assert "retention is never (set by: default)" in err
    assert typed("--set", "retention=50d", "--yes")[0] == 0
    assert there(cluster) == [GOOD, BAD, LIVE, SILENT, FRESH, "notes"]
    assert typed("--cache", "--yes")[0] == 0
    assert there(cluster) == [GOOD, BAD, LIVE, SILENT, FRESH, "notes"]
    assert "old.zip" not in cluster.names(f"{BASE}/cache")


@pytest.mark.parametrize("words", [["--older", "soon"], ["--state", "RUNNING"], ["--state", ""]])
def test_what_makes_no_sense(cluster: PretendCluster, typed: Any, words: list[str]) -> None:
    """Refused before any cluster is asked."""
    assert typed(*words)[0] == 64
    assert cluster.asked == []
