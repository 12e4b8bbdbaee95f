"""A job is submitted again from its own record: without its local files while the cache holds them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from client_fakes import USER, FakeYarn, PretendCluster

from am.contract.job import Limits, spec_dir
from yarn_submitter.errors import SubmitterError, UsageError
from yarn_submitter.job import Job, find_job
from yarn_submitter.load import load
from yarn_submitter.localfiles import describe_all
from yarn_submitter.plan import local_paths, plan
from yarn_submitter.record import read_record
from yarn_submitter.rerun import Rerun, prepare
from yarn_submitter.site import open_site
from yarn_submitter.submit import submit

BASE = f"/user/{USER}/.yarn-submitter"
WORDS = [
    *["--name", "fit", "--framework", "generic", "--input_path", "data", "--src", "src", "--conf", "dfs.replication=1"],
    *[
        "--role",
        "worker:instances=1:2,memory=1G,gpu=1",
        "--role_cmd",
        "worker=fit '<ys:id>'",
        "--role_env",
        "worker=A=b",
    ],
    *["--localization", "env.tar.gz#archive:./env", "--role_localization", "worker=data:./copy"],
    *["--localization", "hdfs://nn:9000/remote:./far", "--secret", "./key=@key", "--max_runtime", "1h"],
    *["--role", "after:memory=1G", "--role_cmd", "after=run", "--role_depends_on", "after=worker:succeeded"],
    *["--role_on_loss", "worker=fatal", "--role_start", "after=first-come", "--max_restarts", "2"],
    *["--am_attempts", "3", "--port_range", "20000-20999", "--stop_grace", "5s", "--gang_tries", "0"],
    *["--quicklink", "UI=http://worker-0:80", "--checkpoint_path", "/ckpt"],
]


@pytest.fixture
def cluster(cluster: PretendCluster, tmp_path: Path) -> PretendCluster:
    """A cluster with the user's home directory and input; the current directory holds the files of the jobs."""
    for name in ("env.tar.gz", "data/a", "src/fit.py", "src/.git/x", "key"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    (tmp_path / "agent.tar.gz").write_bytes(b"the agent's environment")
    cluster.files |= {f"/user/{USER}": None, "/in": None}
    return cluster


@pytest.fixture
def job(cluster: PretendCluster, tmp_path: Path) -> Job:
    """The job, submitted with deadlines of its own, and failed."""
    spec, _ = load(WORDS)
    planned = plan(spec, describe_all(local_paths(spec), spec.source_dir), Limits(gang_hold_s=7))
    done = submit(planned, cluster.site(), lambda _: None, FakeYarn(cluster), tmp_path / "agent.tar.gz")
    cluster.apps[0].update(state="FINISHED", finalStatus="FAILED")
    return find_job(cluster.site(), done.id)


def again(cluster: PretendCluster, tmp_path: Path, rerun: Rerun, job: Job) -> FakeYarn:
    """Submit it."""
    door = FakeYarn(cluster)
    archive = tmp_path / "agent.tar.gz"
    submit(rerun.planned, cluster.site(), lambda _: None, door, archive, rerun_of=job.id)
    return door


def evict(cluster: PretendCluster, *hashes: str) -> None:
    """Remove objects from the cache; all when none is named."""
    for path in [path for path in cluster.files if path.startswith(f"{BASE}/cache/")]:
        if not hashes or any(sha256 in path for sha256 in hashes):
            del cluster.files[path]


def test_the_same_job_without_its_files(cluster: PretendCluster, job: Job, tmp_path: Path) -> None:
    """All local files but the secret's are gone: the same description, plan and objects; another id, and its origin."""
    first = read_record((cluster.files[f"{spec_dir(job.plan.job_dir)}/plan.json"] or b"").decode())
    assert first is not None
    for name in ("env.tar.gz", "data", "src"):
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
    before = len(cluster.names(f"{BASE}/cache"))
    rerun = prepare(job)
    (application,) = again(cluster, tmp_path, rerun, job).taken
    assert len(cluster.names(f"{BASE}/cache")) == before
    new_id = next(tag.removeprefix("ys-id:") for tag in application["tags"] if tag.startswith("ys-id:"))
    assert new_id != job.id
    assert f"ys-rerun-of:{job.id}" in application["tags"]
    second = read_record((cluster.files[f"{BASE}/jobs/{new_id}/spec/plan.json"] or b"").decode())
    assert second == dataclasses.replace(first, rerun_of=job.id)
    new = find_job(cluster.site(), new_id).plan
    known = {"id": new_id, "job_dir": new.job_dir, "agent_ports": new.agent_ports}
    moved = {"saved_model_path": new.saved_model_path}
    assert new == dataclasses.replace(job.plan, **known, **moved)
    assert new.limits == Limits(gang_hold_s=7, lifetime_s=3600, stop_grace_s=5)
    assert (new.max_restarts, new.max_attempts, new.port_range) == (2, 3, (20000, 20999))


def test_preflight_sees_the_cache(job: Job, cluster: PretendCluster) -> None:
    """In place of local paths stand the objects; what is left is what has to be sent."""
    rerun = prepare(job)
    cached = f"hdfs://nn:9000{BASE}/cache/"
    role = next(role for role in rerun.checked.roles if role.name == "worker")
    seen = [item.remote for item in (*rerun.checked.localizations, *role.localizations)]
    assert rerun.files == {}
    assert rerun.checked.input_path.startswith(cached)
    assert [remote.startswith(cached) for remote in seen] == [True, False, True]
    evict(cluster, rerun.planned.files["data"].sha256)
    rerun = prepare(job)
    assert set(rerun.files) == {"data", str(Path("data").resolve())}
    assert rerun.checked.input_path == "data"


def test_evicted_files_are_sent_again(cluster: PretendCluster, job: Job, tmp_path: Path) -> None:
    """When the local ones are as they were."""
    had = cluster.names(f"{BASE}/cache")
    evict(cluster)
    again(cluster, tmp_path, prepare(job), job)
    assert cluster.names(f"{BASE}/cache") == had


def test_what_is_gone_or_changed_is_told_at_once(cluster: PretendCluster, job: Job) -> None:
    """One problem with every file, another for the secret; files that are cached or as they were are not named."""
    evict(cluster)
    Path("env.tar.gz").write_text("another")
    shutil.rmtree("src")
    Path("key").unlink()
    with pytest.raises(UsageError) as refused:
        prepare(job)
    files, secret = refused.value.problems
    assert (files.id, secret.id) == ("rerun-files", "secret-file")
    seen = [line.rpartition("/")[2] for line in files.evidence.splitlines()]
    assert seen == ["env.tar.gz: it has changed", "src: it is gone"]
    assert files.sentence.startswith("2 local files")


def test_another_name_and_other_limits(cluster: PretendCluster, job: Job) -> None:
    """The name, and what the command line sets; the file of settings does not change what the job had."""
    site = open_site("", cluster.environ, ["limits.gang_hold_s=9", "limits.stop_grace_s=6"])
    rerun = prepare(dataclasses.replace(job, site=site), "again")
    assert (rerun.planned.spec.name, rerun.planned.job["name"]) == ("again", "again")
    limits = rerun.planned.job["limits"]
    assert (limits["gang_hold_s"], limits["stop_grace_s"]) == (9, 6)
    site = open_site("", {**cluster.environ, "YARN_SUBMITTER_LIMITS_GANG_HOLD_S": "8"})
    assert prepare(dataclasses.replace(job, site=site)).planned.job["limits"]["gang_hold_s"] == 7


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "rerun-no-description"),
        ("[]", "rerun-no-description"),
        ("{", "job-record-broken"),
        ('{"record": {"spec": {"name": 7}}}', "job-record-broken"),
        (None, "store-missing"),
    ],
)
def test_a_record_that_does_not_tell(cluster: PretendCluster, job: Job, text: str | None, problem: str) -> None:
    """Of another version, cut off, or removed by hand: a sentence."""
    file = f"{spec_dir(job.plan.job_dir)}/plan.json"
    del cluster.files[file]
    if text is not None:
        cluster.put(file, text)
    with pytest.raises(SubmitterError) as refused:
        prepare(job)
    assert refused.value.problems[0].id == problem


def test_a_newer_record(cluster: PretendCluster, job: Job) -> None:
    """Fields that are not known here are passed over."""
    file = f"{spec_dir(job.plan.job_dir)}/plan.json"
    text = json.loads(cluster.files[file] or b"")
    text["record"]["spec"]["colour"] = text["record"]["spec"]["roles"][0]["shape"] = text["record"]["x"] = "new"
    known = prepare(job).planned.spec
    cluster.put(file, json.dumps(text))
    assert prepare(job).planned.spec == known


def test_words_of_the_record_stay_the_users(job: Job) -> None:
    """What looks like a placeholder in a command is none at the second time either."""
    role = prepare(job).planned.job["roles"][0]
    assert role["command"] == "fit '<ys:text>id>'"
