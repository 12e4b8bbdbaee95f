"""show, list, logs and get, typed at a cluster: what they print, as text and as JSON, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from client_fakes import APP, JOB, USER, PretendCluster, job_plan
from httpstandin import Reply

from am.contract import states
from am.contract.events import AgentStarted, GangComplete, JobEnded, TaskExited, TaskRegistered, TaskStarted
from yarn_submitter.cli import main

BAD = JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "chief:0 exited with code 3", "chief:0", "nm", "oh\nno")
RECORDED_TFILE = Path(__file__).parent / "data" / "rest-3.5.0" / "tfile-none.bin"


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with a job whose chief failed."""
    cluster.add_app("FINISHED", finalStatus="FAILED")
    url = f"http://nm/container_2/{USER}"
    up = TaskRegistered(5.0, "chief:0", 1, "container_2", "nm", cluster.server.address, url)
    ran = [TaskStarted(6.0, "chief:0", 1, 7), TaskExited(20.0, "chief:0", 1, "nm", 3, "executor")]
    cluster.add_job(job_plan(), {"1-1": [AgentStarted(1.0, 1, "nm", 1, APP), up, GangComplete(5.5, {}), *ran, BAD]})
    cluster.logs["container_2"] = {"stdout": b"one\ntwo\nthree\n", "stderr": b"oh\nno\n", "directory.info": b"x"}
    return cluster


def test_show(cluster: PretendCluster, typed: Any) -> None:
    """State, ids, paths, commands, tasks, the end and its last words; what is absent is left out."""
    code, out, err = typed("show", "fit")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for row in (
        "Name:              fit",
        "State:             FAILED",
        f"Application Id:    {APP}",
        f"Id:                {JOB}",
        f"Checkpoint Path:   {job_plan().checkpoint_path}",
        f"Saved Model Path:  {job_plan().saved_model_path}",
        "Run Parameters:    chief x1: run chief; worker x2: run worker; ps x1: run ps",
    ):
        assert row in lines
    assert not any(line.startswith(("Input Path", "Waiting", "Seen by")) for line in lines)
    assert [line.split() for line in lines if line.startswith("chief:0  ")] == [
        ["chief:0", "FAILED", "1", "nm", "14", "s", "3", "job", "logs", JOB, "chief:0"]
    ]
    assert lines[-5:] == [
        "chief:0 exited with code 3 [task-failed]",
        "  | oh",
        "  | no",
        f"  next: job logs {JOB} chief:0",
        "exit code 3 (origin: task)",
    ]


def test_one_form_of_the_output_path(cluster: PretendCluster, typed: Any) -> None:
    """Text and JSON give the same, with the file system: it can be pasted where a path is asked for."""
    place = json.loads(typed("show", JOB, "--json")[1])["output_path"]
    assert place.startswith("hdfs://")
    assert place.endswith(f"{job_plan().job_dir}/output")
    assert f"\nOutput Path:       {place}\n" in typed("show", JOB)[1]


def test_show_says_who_was_heard(cluster: PretendCluster, typed: Any) -> None:
    """Of a job that goes on and whose agent does not answer, that is said."""
    cluster.apps[0].update(state="RUNNING", finalStatus="UNDEFINED")
    cluster.files = {path: content for path, content in cluster.files.items() if "/history" not in path}
    out = typed("show", JOB)[1]
    assert "Seen by:           resourcemanager (the agent does not answer)" in out.splitlines()


def test_show_of_a_lost_master_names_the_log(cluster: PretendCluster, typed: Any) -> None:
    """No task is to blame: what is to be read is the agent's."""
    lost = JobEnded(30.0, "FAILED", 76, "yarn", "am-lost", "the ApplicationMaster died")
    cluster.add_job(job_plan(), {"1-0": [AgentStarted(1.0, 1, "nm", 1, APP), lost]})
    assert f"\n  next: job logs {JOB} agent\n" in typed("show", JOB)[1]


def test_show_json(cluster: PretendCluster, typed: Any) -> None:
    """The document of docs/json.md, and its source."""
    code, out, _ = typed("show", JOB, "--json")
    document = json.loads(out)
    assert code == 0
    assert [document[key] for key in ("schema", "state", "exit_code", "failed_task", "source")] == [
        1,
        "FAILED",
        3,
        "chief:0",
        "history",
    ]


@pytest.mark.parametrize("verb", ["show", "logs", "kill", "get"])
def test_an_unknown_job(cluster: PretendCluster, typed: Any, verb: str) -> None:
    """64, and how to see the jobs that there are."""
    code, out, err = typed(verb, "nothing")
    assert (code, out) == (64, "")
    assert "There is no job 'nothing' on this cluster. [job-unknown]" in err
    assert "job list" in err


@pytest.mark.parametrize("verb", ["show", "list", "logs", "kill", "get"])
def test_no_cluster(typed: Any, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64, and how to name one."""
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    code, out, err = typed(verb, *([] if verb == "list" else ["x"]))
    assert (code, out) == (64, "")
    assert "[no-cluster]" in err


@pytest.mark.parametrize("verb", ["show", "list", "kill"])
def test_a_cluster_that_is_down(cluster: PretendCluster, typed: Any, verb: str) -> None:
    """69, with the address that does not answer."""
    cluster.faults.append(lambda _: Reply(503, b""))
    code, out, err = typed(verb, *([] if verb == "list" else [JOB]))
    assert (code, out) == (69, "")
    assert "[rm-" in err


def test_list(cluster: PretendCluster, typed: Any) -> None:
    """Mine, newest first, with their final state; others' when asked for."""
    cluster.add_app("RUNNING", "application_1700000000000_0002", "20260102t030405-bbbbbb", name="a" * 30)
    cluster.add_app("FINISHED", "application_1700000000000_0003", "x", finalStatus="SUCCEEDED", user="bob")
    cluster.add_app("RUNNING", "application_1700000000000_0004", applicationTags="", name="no job of ours")
    code, out, _ = typed("list")
    rows = [line.split()[:4] for line in out.splitlines()[1:]]
    assert (code, rows) == (
        0,
        [
            ["application_1700000000000_0002", "a" * 30, "RUNNING", "default"],
            [APP, "fit", "FAILED", "default"],
        ],
    )
    for option in ("--all_users", "--all-users"):
        assert len(typed("list", option)[1].splitlines()) == 4


def test_list_json_and_none(cluster: PretendCluster, typed: Any) -> None:
    """Schema 1; an empty list is said on stderr, so that stdout stays empty."""
    document = json.loads(typed("list", "--json")[1])
    assert document == {
        "schema": 1,
        "jobs": [
            {
                "id": JOB,
                "application_id": APP,
                "name": "fit",
                "user": USER,
                "queue": "default",
                "state": "FAILED",
                "started_s": 1_700_000_000.0,
                "ended_s": 1_700_000_060.0,
            }
        ],
    }
    cluster.apps.clear()
    assert typed("list") == (0, "", "no jobs; start one with: job run\n")
    assert json.loads(typed("list", "--json")[1])["jobs"] == []


@pytest.mark.parametrize(
    ("words", "out"),
    [
        ([], "one\ntwo\nthree\noh\nno\n"),
        (["chief"], "one\ntwo\nthree\noh\nno\n"),
        (["chief:0", "--tail", "1"], "three\nno\n"),
        (["chief:0", "-f"], "one\ntwo\nthree\noh\nno\n"),
        (["agent"], "agent's word\n"),
    ],
)
def test_logs(cluster: PretendCluster, typed: Any, words: list[str], out: str) -> None:
    """Stdout and stderr of what was asked for; Skein's and the agent's own only by `agent`."""
    cluster.logs["container_1_0001_01_000001"] = {"application.driver.log": b"agent's word\n"}
    assert typed("logs", JOB, *words) == (0, out, "")


def test_logs_of_several_tasks_have_names(cluster: PretendCluster, typed: Any) -> None:
    """Each line says whose it is when several are shown."""
    up = TaskRegistered(5.0, "ps:0", 1, "container_3", "nm", cluster.server.address, "http://nm/")
    cluster.add_job(job_plan(), {"1-0": [up]})
    cluster.logs["container_3"] = {"stdout": b"waits\n"}
    out = typed("logs", JOB, "--tail", "1")[1]
    assert out == "[chief:0] three\n[chief:0] no\n[ps:0] waits\n"


def test_logs_json(cluster: PretendCluster, typed: Any) -> None:
    """Task, file and lines."""
    document = json.loads(typed("logs", JOB, "chief:0", "--tail", "1", "--json")[1])
    assert document == {
        "schema": 1,
        "id": JOB,
        "logs": [
            {"task": "chief:0", "attempt": 1, "file": "stdout", "lines": ["three"]},
            {"task": "chief:0", "attempt": 1, "file": "stderr", "lines": ["no"]},
        ],
    }


def test_logs_that_are_followed_are_no_document(cluster: PretendCluster, typed: Any) -> None:
    """Refused before anything is asked, and not passed over."""
    code, out, err = typed("logs", JOB, "-f", "--json")
    assert (code, out, "[logs-follow-json]" in err) == (64, "", True)
    assert cluster.asked == []


@pytest.mark.parametrize("listed", [False, True])
def test_aggregated_logs(cluster: PretendCluster, typed: Any, listed: bool) -> None:
    """When the NodeManager has given them up, also just after it listed them, they come from the file YARN made."""
    from yarn_submitter.tfile import read_container_logs

    container, _, _ = next(read_container_logs(RECORDED_TFILE.read_bytes()))
    up = TaskRegistered(5.0, "worker:0", 1, container, "nm", cluster.server.address, "http://nm/")
    cluster.add_job(job_plan(), {"1-0": [up]})
    cluster.put(f"/tmp/logs/{USER}/bucket-logs-tfile/0001/{APP}/nm_1", RECORDED_TFILE.read_bytes())  # noqa: S108
    if listed:
        cluster.logs[container] = {"stdout": None}
    code, out, err = typed("logs", JOB, "worker:0", "--tail", "1")
    assert (code, err) == (0, "")
    assert out


@pytest.mark.parametrize("task", ["wroker", "chief:1", "chief:", "chief:x", ":0"])
def test_logs_of_nobody(cluster: PretendCluster, typed: Any, task: str) -> None:
    """A task that the job has not is refused, with those that it has."""
    code, out, err = typed("logs", JOB, task)
    assert (code, out) == (64, "")
    assert "[task-unknown]" in err
    assert "chief:0, worker:0..1, ps:0, and agent" in err


def test_no_logs(cluster: PretendCluster, typed: Any) -> None:
    """A task that never had a container has written nothing; while the job lives it may do so yet."""
    assert typed("logs", JOB, "worker") == (0, "", "no task has written anything\n")
    cluster.apps[0].update(state="RUNNING", finalStatus="UNDEFINED")
    cluster.add_job(job_plan(), {"1-1": []})
    assert typed("logs", JOB, "worker") == (0, "", "no task has written anything (yet)\n")


def test_a_negative_tail_is_refused(cluster: PretendCluster, typed: Any) -> None:
    """It would mean something else to everybody."""
    assert typed("logs", JOB, "--tail", "-1")[0] == 64
    assert typed("logs", JOB, "--tail=-1")[0] == 64


@pytest.fixture
def results(cluster: PretendCluster) -> str:
    """What the job left."""
    job_dir = job_plan().job_dir
    for name, text in {"model/saved.pb": "m", "model/a/v": "vv", "output/chief-0/log": "l", "spec/x": "x"}.items():
        cluster.put(f"{job_dir}/{name}", text)
    return job_dir


def test_get_lists(results: str, typed: Any) -> None:
    """Model, checkpoint and output, with sizes; not what is ours."""
    code, out, _ = typed("get", JOB)
    rows = [line.split() for line in out.splitlines()]
    assert (code, rows) == (
        0,
        [["2", "B", "model/a/v"], ["1", "B", "model/saved.pb"], ["1", "B", "output/chief-0/log"]],
    )
    document = json.loads(typed("get", JOB, "--json")[1])
    assert document["files"][0] == {"path": "model/a/v", "bytes": 2}


@pytest.mark.parametrize(
    ("path", "place", "content"),
    [
        ("model", "model/a/v", "vv"),
        ("model/", "model/saved.pb", "m"),
        ("model/saved.pb", "saved.pb", "m"),
        ("output/chief-0", "chief-0/log", "l"),
    ],
)
def test_get(results: str, typed: Any, path: str, place: str, content: str) -> None:
    """A file or a directory arrives under its own name, here or where --to says."""
    code, out, _ = typed("get", JOB, path)
    assert (code, out.strip()) == (0, place.split("/", maxsplit=1)[0])
    assert Path(place).read_text() == content
    typed("get", JOB, path, "--to", "there/deep")
    assert (Path("there/deep") / place).read_text() == content


@pytest.mark.parametrize("path", ["checkpoint", "model/none", "output/worker-0", "../x", "model/..", ".", "model/."])
def test_get_nothing(results: str, typed: Any, path: str) -> None:
    """What is not there is refused, and so is what leads out of what the job left."""
    code, out, err = typed("get", JOB, path)
    assert (code, out) == (64, "")
    assert "[result-missing]" in err
    assert f"job get {JOB}" in err


def test_a_job_that_left_nothing(cluster: PretendCluster, typed: Any) -> None:
    """Said on stderr."""
    assert typed("get", JOB) == (0, "", "the job left nothing (yet)\n")


def test_results_on_another_file_system(cluster: PretendCluster, typed: Any) -> None:
    """The list goes on without them, and says where they are."""
    cluster.add_job(job_plan(saved_model_path="s3a://bucket/m"))
    cluster.put(f"{job_plan().job_dir}/output/chief-0/log", "l")
    code, out, err = typed("get", JOB)
    assert (code, out.split()) == (0, ["1", "B", "output/chief-0/log"])
    assert "s3a://bucket/m" in err
    assert typed("get", JOB, "model")[0] == 64


def test_a_broken_download_leaves_nothing(cluster: PretendCluster, results: str, typed: Any) -> None:
    """A file that breaks off on its way is no file."""
    content = b"x" * 1000
    cluster.put(f"{results}/model/large", content)

    def cut(request: Any) -> Reply | None:
        return Reply(body=content, cut=10) if request.path.startswith("/data") else None

    cluster.faults.append(cut)
    code, _, err = typed("get", JOB, "model/large")
    assert code in (69, 73)
    assert "Traceback" not in err
    assert list(Path.cwd().glob("large*")) == []


def test_logs_do_not_ignore_a_wish(capsys: pytest.CaptureFixture[str]) -> None:
    """Who follows sees all from the beginning: a number of last lines is refused, not passed over."""
    assert main(["logs", "fit", "-f", "--tail", "5"]) == 64
    assert "not allowed with" in capsys.readouterr().err
