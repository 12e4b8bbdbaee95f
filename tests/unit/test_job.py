"""A job is found again by id, application id or name; killed by its agent or by YARN; swept when nobody else does."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import pytest
from client_fakes import APP, JOB, USER, FakeYarn, PretendCluster, job_plan
from fakes import SECRET, AgentThread, plan, role, write_job_files
from httpstandin import Reply, Request, closed_port

from am.contract import states, wire
from am.contract.events import AgentStarted, Event, JobEnded
from am.contract.job import CERTIFICATE_FILE, access_file, agent_file, staging_dir
from yarn_submitter.errors import DeniedError, SubmitterError, UsageError
from yarn_submitter.job import find_job, ours, settled, sweep_ended, sweep_within
from yarn_submitter.load import load
from yarn_submitter.plan import plan as plan_of
from yarn_submitter.submit import submit
from yarn_submitter.verdicts import state_of

WORKER = ["--num_workers", "1", "--worker_resources", "memory=1G", "--worker_launch_cmd", "true"]
BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "chief:0 exited with code 3", "chief:0", "nm", "oh")
OTHER_APP, OTHER_JOB = "application_1700000000000_0002", "20260102t030405-bbbbbb"


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster that knows one job of ours."""
    cluster.add_app("RUNNING")
    cluster.add_job()
    return cluster


@pytest.mark.parametrize("name", [APP, JOB, "fit"])
def test_a_job_is_found(cluster: PretendCluster, name: str) -> None:
    """By YARN's id, by ours, by its name."""
    job = find_job(cluster.site(), name)
    assert (job.id, job.application_id, job.plan) == (JOB, APP, job_plan())


@pytest.mark.parametrize(
    ("name", "problem_id"),
    [
        ("application_1700000000000_0009", "job-unknown"),
        ("20260102t030405-ffffff", "job-unknown"),
        ("other", "job-unknown"),
        ("fi", "job-unknown"),
        ("", "job-unknown"),
    ],
)
def test_an_unknown_job(cluster: PretendCluster, name: str, problem_id: str) -> None:
    """What is not there is said to be so, and how to see what is."""
    with pytest.raises(UsageError) as refused:
        find_job(cluster.site(), name)
    (problem,) = refused.value.problems
    assert (problem.id, repr(name) in problem.sentence, "job list" in problem.next_step) == (problem_id, True, True)


def test_somebody_elses_application_is_no_job(cluster: PretendCluster) -> None:
    """An application that we did not submit is none of ours, whatever its name."""
    cluster.apps[0]["applicationTags"] = "other"
    for name in (APP, "fit"):
        with pytest.raises(UsageError, match="job-unknown"):
            find_job(cluster.site(), name)


def test_a_name_means_the_one_that_lives(cluster: PretendCluster) -> None:
    """However many of that name have ended, before or after it."""
    cluster.add_app("FINISHED", OTHER_APP, OTHER_JOB, finalStatus="SUCCEEDED")
    cluster.add_job(job_plan(OTHER_JOB))
    assert find_job(cluster.site(), "fit").id == JOB


def test_a_name_means_the_newest_that_has_ended(cluster: PretendCluster) -> None:
    """When none lives."""
    cluster.apps[0].update(state="FINISHED", finalStatus="FAILED")
    cluster.add_app("KILLED", OTHER_APP, OTHER_JOB, finalStatus="KILLED")
    cluster.add_job(job_plan(OTHER_JOB))
    assert find_job(cluster.site(), "fit").id == OTHER_JOB


def test_a_name_that_several_share_is_an_error(cluster: PretendCluster) -> None:
    """Live ones are listed with what tells them apart."""
    cluster.add_app("ACCEPTED", OTHER_APP, OTHER_JOB)
    with pytest.raises(UsageError) as refused:
        find_job(cluster.site(), "fit")
    (problem,) = refused.value.problems
    assert (problem.id, "2 live jobs" in problem.sentence) == ("job-ambiguous", True)
    assert [line.split() for line in problem.evidence.splitlines()] == [
        [OTHER_APP, OTHER_JOB, USER, "ACCEPTED"],
        [APP, JOB, USER, "RUNNING"],
    ]


def test_my_job_comes_before_anothers_of_that_name(cluster: PretendCluster) -> None:
    """Another user's live job of the same name neither hides mine nor makes the name ambiguous."""
    cluster.add_app("RUNNING", OTHER_APP, OTHER_JOB, user="bob")
    assert find_job(cluster.site(), "fit").id == JOB
    cluster.apps[1].update(state="FINISHED", finalStatus="SUCCEEDED")
    assert find_job(cluster.site(), "fit").id == JOB


def test_anothers_job_is_read_from_its_owners_place(cluster: PretendCluster) -> None:
    """Who may read it, an administrator, sees it by id and by name."""
    cluster.add_app("RUNNING", OTHER_APP, OTHER_JOB, user="bob", name="bobs")
    theirs = job_plan(OTHER_JOB, name="bobs", user="bob", job_dir=f"/user/bob/.yarn-submitter/jobs/{OTHER_JOB}")
    cluster.add_job(theirs)
    for name in (OTHER_APP, OTHER_JOB, "bobs"):
        assert find_job(cluster.site(), name).plan == theirs


def test_a_job_that_yarn_has_forgotten_is_found_by_our_id(cluster: PretendCluster) -> None:
    """Its record on the store is enough."""
    cluster.apps.clear()
    job = find_job(cluster.site(), JOB)
    assert (job.id, job.application_id) == (JOB, "")
    with pytest.raises(UsageError, match="job-unknown"):
        find_job(cluster.site(), "fit")


@pytest.mark.parametrize("damage", ["gone", "no json", "no job"])
def test_a_job_without_a_record(cluster: PretendCluster, damage: str) -> None:
    """A record that is gone or damaged is a sentence, not a bug of ours."""
    path = f"{job_plan().job_dir}/spec/job.json"
    if damage == "gone":
        del cluster.files[path]
    else:
        cluster.put(path, {"no json": "{", "no job": "{}"}[damage])
    with pytest.raises(SubmitterError) as refused:
        find_job(cluster.site(), JOB)
    (problem,) = refused.value.problems
    assert problem.id == ("job-record-missing" if damage == "gone" else "job-record-broken")
    if damage == "gone":
        assert "was cleaned away" in problem.sentence
        assert problem.evidence.startswith(f"YARN still knows: fit, {APP}, RUNNING in queue default, submitted 2023-")
        assert problem.next_step.endswith(f"yarn logs -applicationId {APP}")
    else:
        assert path in problem.evidence


def test_a_forgotten_job_without_a_record(cluster: PretendCluster) -> None:
    """Its directory was just found: it is its record that is gone."""
    cluster.apps.clear()
    path = f"{job_plan().job_dir}/spec/job.json"
    del cluster.files[path]
    with pytest.raises(UsageError, match=r"record of job .* is gone") as refused:
        find_job(cluster.site(), JOB)
    (problem,) = refused.value.problems
    assert (problem.id, problem.evidence) == ("job-record-missing", path)
    assert "no jobs" not in problem.sentence


def test_no_record_of_any_job(cluster: PretendCluster) -> None:
    """Where the user's jobs would be there is nothing: it is the place that is wrong."""
    for path in [path for path in cluster.files if "/jobs" in path]:
        del cluster.files[path]
    with pytest.raises(UsageError, match="this user has no jobs there"):
        find_job(cluster.site(), JOB)


def test_the_view_says_who_was_heard(cluster: PretendCluster) -> None:
    """Of a job that has ended the history speaks."""
    end = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
    cluster.apps[0].update(state="FINISHED", finalStatus="SUCCEEDED")
    cluster.add_job(events={"1-1": [AgentStarted(1.0, 1, "nm", 1, APP), end]})
    view, source = find_job(cluster.site(), JOB).view()
    assert (view.state, view.verdict, source) == (states.SUCCEEDED, end, "history")


def test_only_our_applications_are_ours(cluster: PretendCluster) -> None:
    """The tag tells; its value is our id."""
    cluster.add_app("RUNNING", OTHER_APP, applicationTags="yarn-submitter")
    apps = cluster.site().resource_manager.list_apps()
    assert [(job_id, app.id) for job_id, app in ours(apps)] == [(JOB, APP)]


def test_a_kill_goes_to_the_agent(cluster: PretendCluster, tmp_path: Path) -> None:
    """The agent is told who wants it and why, and ends the job itself; YARN is not asked."""
    planned = plan(role("worker", 1))
    write_job_files(tmp_path, planned)
    agent = AgentThread(planned, tmp_path)
    access = {
        "certificate": (tmp_path / CERTIFICATE_FILE).read_text(),
        "client_token": wire.client_token(SECRET),
    }
    cluster.put(access_file(job_plan().job_dir), json.dumps(access))
    cluster.put(agent_file(job_plan().job_dir), json.dumps({"host": "127.0.0.1", "port": agent.port}))
    assert find_job(cluster.site(), JOB).kill("enough") == "agent"
    verdict = agent.verdict()
    assert (verdict.state, verdict.exit_code) == (states.KILLED, 137)
    for word in (USER, "enough"):
        assert word in verdict.message
    assert cluster.killed == []


@pytest.mark.parametrize("agent", [False, True])
def test_without_an_agent_yarn_kills(cluster: PretendCluster, tmp_path: Path, agent: bool) -> None:
    """When there is no agent yet, or it does not answer."""
    if agent:
        write_job_files(tmp_path, plan())
        access = {"certificate": (tmp_path / CERTIFICATE_FILE).read_text(), "client_token": "x"}
        cluster.put(access_file(job_plan().job_dir), json.dumps(access))
        host, _, port = closed_port().partition(":")
        cluster.put(agent_file(job_plan().job_dir), json.dumps({"host": host, "port": int(port)}))
    assert find_job(cluster.site(), JOB).kill("enough") == "resourcemanager"
    assert cluster.killed == [(APP, f"the job was killed by {USER}@{socket.gethostname()}: enough")]


def test_sweeping_leaves_the_jobs_record(cluster: PretendCluster) -> None:
    """Staging and Skein's files of this application go, everything else stays."""
    job_dir = job_plan().job_dir
    cluster.put(f"{staging_dir(job_dir)}/secret", "x")
    cluster.put(f"/user/{USER}/.skein/{APP}/skein.jar", "x")
    cluster.put(f"/user/{USER}/.skein/{OTHER_APP}/skein.jar", "x")
    cluster.put(f"{job_dir}/output/x", "x")
    find_job(cluster.site(), JOB).sweep()
    assert cluster.names(job_dir) == ["output/x", "spec/job.json"]
    assert cluster.names(f"/user/{USER}/.skein") == [f"{OTHER_APP}/skein.jar"]


def leave_behind(cluster: PretendCluster, app_id: str, job_id: str, state: str, **changes: str) -> str:
    """Let there be a job in this state with all that one can leave; return its directory."""
    cluster.add_app(state, app_id, job_id, **changes)
    job_dir: str = job_plan(job_id).job_dir
    cluster.put(f"{staging_dir(job_dir)}/secret", "x")
    cluster.put(f"{job_dir}/history/.1-1.jsonl.part", "x")
    cluster.put(f"{job_dir}/history/1-0.jsonl", "x")
    cluster.put(f"/user/{USER}/.skein/{app_id}/skein.jar", "x")
    return job_dir


@pytest.mark.parametrize("asked", ["list", "nothing", "submit"])
def test_what_killed_jobs_left_goes(cluster: PretendCluster, tmp_path: Path, asked: str) -> None:
    """Of jobs that ended and are mine; what is a job's record stays, and a job that lives keeps all it has."""
    ends: dict[str, tuple[str, dict[str, str]]] = {
        "application_1700000000000_0011": ("FAILED", {"finalStatus": "FAILED"}),
        "application_1700000000000_0012": ("KILLED", {"finalStatus": "KILLED"}),
        "application_1700000000000_0013": ("FINISHED", {"finalStatus": "FAILED"}),
    }
    left: dict[str, tuple[str, dict[str, str]]] = {
        "application_1700000000000_0014": ("RUNNING", {}),
        "application_1700000000000_0015": ("ACCEPTED", {}),
        "application_1700000000000_0016": ("KILLED", {"finalStatus": "KILLED", "user": "bob"}),
    }
    dirs = {
        app_id: leave_behind(cluster, app_id, f"20260102t030405-{app_id[-6:]}".replace("_", "a"), state, **changes)
        for app_id, (state, changes) in {**ends, **left}.items()
    }
    before = {app_id: cluster.names(dirs[app_id]) for app_id in left}
    if asked == "submit":
        spec, _ = load(["--name", "x", "--input_path", "", "--framework", "generic", *WORKER])
        (tmp_path / "agent.tar.gz").write_bytes(b"x")
        submit(plan_of(spec, {}), cluster.site(), lambda _: None, FakeYarn(cluster), tmp_path / "agent.tar.gz")
    else:
        site = cluster.site()
        jobs = ours(site.resource_manager.list_apps()) if asked == "list" else None
        sweep_within(20, site, jobs)
    assert {app_id: cluster.names(dirs[app_id]) for app_id in ends} == {
        app_id: ["history/1-0.jsonl"] for app_id in ends
    }
    assert {app_id: cluster.names(dirs[app_id]) for app_id in left} == before
    assert set(left) <= {name.partition("/")[0] for name in cluster.names(f"/user/{USER}/.skein")}
    assert not set(ends) & {name.partition("/")[0] for name in cluster.names(f"/user/{USER}/.skein")}


def test_a_sweep_is_cheap(cluster: PretendCluster) -> None:
    """However many jobs have ended: one listing of each, one look for each of the newest, nothing about successes."""
    for number in range(100, 160):
        cluster.add_app("KILLED", f"application_1700000000000_0{number}", f"20260102t030405-000{number}")
    for number in range(200, 260):
        names = (f"application_1700000000000_0{number}", f"20260102t030405-000{number}")
        cluster.add_app("FINISHED", *names, finalStatus="SUCCEEDED")
    before = len(cluster.asked)
    sweep_ended(cluster.site())
    asked = [request.params.get("op", request.path) for request in cluster.asked[before:]]
    assert asked == ["/ws/v1/cluster/apps", "LISTSTATUS", *["GETFILESTATUS"] * 30]


def test_an_agent_that_still_writes_is_left_alone(cluster: PretendCluster) -> None:
    """YARN has ended the job, its agent writes its last lines: the file that it is about to rename stays."""
    job_dir = leave_behind(cluster, OTHER_APP, OTHER_JOB, "KILLED", finalStatus="KILLED")
    entry = {"pathSuffix": ".1-1.jsonl.part", "type": "FILE", "length": 1, "permission": "644"}
    young = {"FileStatuses": {"FileStatus": [{**entry, "modificationTime": int(time.time() * 1000)}]}}

    def listing(request: Request) -> Reply | None:
        mine = request.params.get("op") == "LISTSTATUS" and request.path.endswith(f"{job_dir}/history")
        return Reply(body=json.dumps(young).encode()) if mine else None

    cluster.faults.append(listing)
    sweep_ended(cluster.site())
    assert cluster.names(job_dir) == ["history/.1-1.jsonl.part", "history/1-0.jsonl"]


def test_a_sweep_never_fails(cluster: PretendCluster) -> None:
    """The store refuses: the next one may have more luck."""
    leave_behind(cluster, OTHER_APP, OTHER_JOB, "KILLED", finalStatus="KILLED")
    cluster.faults.append(lambda request: Reply(403, b"{}") if "op" in request.params else None)
    sweep_ended(cluster.site())
    assert any("op" in request.params for request in cluster.asked)


def test_a_sweep_keeps_nobody_waiting(cluster: PretendCluster) -> None:
    """Nobody answers: it goes on beside."""
    release = threading.Event()
    cluster.faults.append(lambda _: Reply(503, b"") if release.wait(20) else None)
    sweep_within(0.05, cluster.site())
    (sweeping,) = [thread for thread in threading.enumerate() if thread.name == "sweep"]
    cluster.faults.clear()
    release.set()
    sweeping.join(20)
    assert not sweeping.is_alive()


def test_a_refused_kill_is_told(cluster: PretendCluster) -> None:
    """Who may not end a job learns that."""
    cluster.faults.append(lambda request: Reply(403, b"{}") if request.method == "PUT" else None)
    with pytest.raises(DeniedError, match="rm-denied"):
        find_job(cluster.site(), JOB).kill("")


def second_master(cluster: PretendCluster, *events: Event) -> None:
    """Let a job's second ApplicationMaster run, its history being what has happened."""
    cluster.add_job(job_plan(), {"1-0": list(events), "2-1": [AgentStarted(40.0, 2, "nm", 1, APP)]})
    master = f"{cluster.server.url}/node/containerlogs/container_1_0001_02_000001/{USER}"
    cluster.apps[0].update(state="RUNNING", finalStatus="UNDEFINED", amContainerLogs=master)


def test_a_job_that_only_repeats_its_verdict_has_ended(cluster: PretendCluster) -> None:
    """YARN has started it once more: it is shown and listed as ended, and its name is free."""
    second_master(cluster, AgentStarted(1.0, 1, "nm", 1, APP), BAD)
    site = cluster.site()
    job = find_job(site, JOB)
    view, source = job.view()
    assert (view.state, view.verdict, source) == ("FAILED", BAD, "history")
    (settled_job,) = settled(site, ours(site.resource_manager.list_apps()))
    assert (settled_job[1].ended, state_of(settled_job[1])) == (True, "FAILED")
    cluster.add_app("RUNNING", OTHER_APP, OTHER_JOB)
    cluster.add_job(job_plan(OTHER_JOB))
    assert find_job(site, "fit").id == OTHER_JOB


def test_a_job_that_goes_on_with_a_second_master_lives(cluster: PretendCluster) -> None:
    """No verdict, no end; between two masters and beside one that has not left yet, the verdict is the end."""
    second_master(cluster, AgentStarted(1.0, 1, "nm", 1, APP))
    site = cluster.site()

    def ended() -> bool:
        return settled(site, ours(site.resource_manager.list_apps()))[0][1].ended

    assert not ended()
    second_master(cluster, AgentStarted(1.0, 1, "nm", 1, APP), BAD)
    cluster.apps[0].update(state="ACCEPTED", amContainerLogs="", launchTime=1_700_000_001_000)
    assert ended()
    cluster.apps[0].update(state="RUNNING", amContainerLogs="http://nm/node/containerlogs/container_1_0001_01_000001/x")
    assert ended()
    cluster.apps[0].update(state="ACCEPTED", amContainerLogs="", launchTime=0)
    asked = len(cluster.asked)
    assert not ended()
    assert len(cluster.asked) == asked + 1


def test_the_histories_of_many_jobs_are_not_read(cluster: PretendCluster) -> None:
    """Only of those that YARN has given another ApplicationMaster."""
    for number in range(2, 40):
        cluster.add_app("RUNNING", f"application_1700000000000_{number:04}", f"20260102t030405-{number:06x}")
    site = cluster.site()
    jobs = ours(site.resource_manager.list_apps())
    asked = len(cluster.asked)
    assert settled(site, jobs) == jobs
    assert len(cluster.asked) == asked
