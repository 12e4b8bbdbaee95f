"""`job list` lets YARN choose the jobs, tells apart what YARN cannot, and fits the terminal."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from client_fakes import USER, PretendCluster
from httpstandin import Reply, Request
from pseudoterminal import Terminal

from yarn_submitter.cli import main

# Name -> what YARN says of it; each has its number in its ids.
APPS: dict[str, dict[str, Any]] = {
    "waits": {"state": "ACCEPTED"},
    "new": {"state": "NEW_SAVING"},
    "runs": {"state": "RUNNING", "queue": "root.ml"},
    "good": {"state": "FINISHED", "finalStatus": "SUCCEEDED"},
    "bad": {"state": "FINISHED", "finalStatus": "FAILED", "queue": "root.ml.deep"},
    "lost": {"state": "FAILED", "finalStatus": "FAILED"},
    "stopped": {"state": "FINISHED", "finalStatus": "KILLED"},
    "killed": {"state": "KILLED", "finalStatus": "KILLED"},
    "others": {"state": "RUNNING", "user": "bob"},
}


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with a job of each kind."""
    for number, (name, app) in enumerate(APPS.items(), 1):
        app_id = f"application_1700000000000_{number:04d}"
        cluster.add_app(app_id=app_id, job_id=f"20260102t030405-{number:06x}", name=name, **app)
    cluster.apps[0]["applicationTags"] += ",ys-rerun-of:20260102t030405-000001"
    cluster.add_app(app_id="application_1700000000000_0099", applicationTags="mine", name="no job of ours")
    return cluster


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str], cluster: PretendCluster):
    """Type `job list --json WORDS`; get the names, oldest first, and what YARN was asked."""

    def run(*words: str) -> tuple[list[str], dict[str, str]]:
        code = main(["list", "--json", *words])
        said = capsys.readouterr()
        assert (code, said.err) == (0, "")
        names = [job["name"] for job in json.loads(said.out)["jobs"]]
        return names[::-1], [request for request in cluster.asked if request.path.endswith("/apps")][-1].params

    return run


@pytest.mark.parametrize(
    ("state", "names", "asked"),
    [
        ("ACCEPTED", ["waits", "new"], "ACCEPTED,NEW,NEW_SAVING,SUBMITTED"),
        ("running", ["runs"], "RUNNING"),
        ("SUCCEEDED", ["good"], "ACCEPTED,FINISHED,RUNNING"),
        ("FAILED", ["bad", "lost"], "ACCEPTED,FAILED,FINISHED,RUNNING"),
        ("KILLED", ["stopped", "killed"], "ACCEPTED,FINISHED,KILLED,RUNNING"),
        ("FAILED, killed", ["bad", "lost", "stopped", "killed"], "ACCEPTED,FAILED,FINISHED,KILLED,RUNNING"),
    ],
)
def test_states(listed: Any, state: str, names: list[str], asked: str) -> None:
    """As we call them; YARN chooses by its own words, and a job whose master has not left yet counts as ended, too."""
    found, params = listed("--state", state)
    assert (found, params["states"], params["user"]) == (names, asked, USER)


@pytest.mark.parametrize(
    ("words", "names", "asked"),
    [
        (["--queue", "ml"], ["runs", "bad"], {"queue": "ml", "user": USER}),
        (["--queue", "root.ml.deep"], ["bad"], {"queue": "root.ml.deep"}),
        (["--name", "good"], ["good"], {"name": "good"}),
        (["--user", "bob"], ["others"], {"user": "bob"}),
        (["--all_users", "--state", "RUNNING"], ["runs", "others"], {"states": "RUNNING"}),
        (["--all_users", "--tag", "ys-rerun-of:20260102t030405-000001"], ["others"], {}),
        (["--all_users", "--tag", "mine"], [], {"applicationTags": "mine"}),
        (["--name", "good", "--state", "FAILED"], [], {"name": "good"}),
    ],
)
def test_filters(listed: Any, words: list[str], names: list[str], asked: dict[str, str]) -> None:
    """Each goes to YARN; what is no job of ours is never listed."""
    found, params = listed(*words)
    assert found == names
    assert asked.items() <= params.items()


def test_a_name_is_the_whole_name(listed: Any, cluster: PretendCluster) -> None:
    """A ResourceManager that does not know the filter tells of all."""
    cluster.faults.append(lambda request: request.params.pop("name", None) and None)
    assert listed("--name", "good")[0] == ["good"]


def test_an_unknown_queue(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """YARN's 400 becomes the sentence of all verbs."""

    def unknown(request: Request) -> Reply | None:
        said = {"exception": "BadRequestException", "message": "Unknown queue: nope"}
        return Reply(400, json.dumps({"RemoteException": said}).encode()) if "queue" in request.params else None

    cluster.faults.append(unknown)
    assert main(["list", "--queue", "nope"]) == 64
    assert "The cluster has no queue nope. [queue-unknown]" in capsys.readouterr().err


@pytest.mark.parametrize("state", ["", "DONE", "RUNNING,x"])
def test_an_unknown_state(cluster: PretendCluster, capsys: pytest.CaptureFixture[str], state: str) -> None:
    """Refused with those that there are, before any cluster is asked."""
    assert main(["list", "--state", state]) == 64
    assert "ACCEPTED, RUNNING, SUCCEEDED, FAILED, KILLED" in capsys.readouterr().err
    assert cluster.asked == []


def test_none_of_many(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Who filters is not told how to start a job."""
    assert main(["list", "--name", "none"]) == 0
    assert capsys.readouterr().err == "no such jobs; see all: job list --all_users\n"


@pytest.mark.parametrize(
    ("columns", "title", "cut"),
    [
        (140, "APPLICATION ID NAME STATE QUEUE STARTED TIME", False),
        (80, "APPLICATION ID NAME STATE TIME", True),
        (110, "APPLICATION ID NAME STATE QUEUE TIME", False),
    ],
)
def test_a_terminal(cluster: PretendCluster, columns: int, title: str, cut: bool) -> None:
    """Every line fits: first without what is least missed, then with names cut; a letter for a terminal is none."""
    for app in cluster.apps:
        if app["name"] == "good":
            app["name"] = "a name of thirty\x1b]2;letters"
    terminal = Terminal(["-m", "yarn_submitter.cli", "list"], dict(os.environ), columns, 24)
    try:
        assert terminal.end() == 0
        lines = [line for line in terminal.lines if line]
        assert len(lines) == len(APPS)
        assert " ".join(lines[0].split()) == title
        (row,) = [line for line in lines if "a name" in line]
        assert ("a name of thirty?]2;letters" in row, "…" in row) == (not cut, cut)
        assert row.rstrip().endswith("1 min 0 s")
    finally:
        terminal.close()
