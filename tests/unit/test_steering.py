"""A live job is moved, prioritized and given a timeout through YARN, after questions that YARN answers worse itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from client_fakes import APP, JOB, RECORDED, PretendCluster, job_plan
from httpstandin import Reply, Request

from am.contract.job import spec_dir
from yarn_submitter.load import load
from yarn_submitter.record import Record, with_record

IDS = {"schema": 1, "id": JOB, "application_id": APP}


@pytest.fixture
def cluster(cluster: PretendCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendCluster]:
    """A cluster with a job that runs."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    cluster.add_app("RUNNING", priority=1)
    cluster.add_job()
    yield cluster
    monkeypatch.undo()
    time.tzset()


def puts(cluster: PretendCluster) -> list[tuple[str, Any]]:
    """Return what was changed: the last part of the path, and the body."""
    return [
        (request.path.rpartition("/")[2], json.loads(request.body))
        for request in cluster.asked
        if request.method == "PUT"
    ]


@pytest.mark.parametrize("queue", ["ml", "root.ml"])
def test_move(cluster: PretendCluster, typed: Any, queue: str) -> None:
    """YARN is asked with the path, and its answer is told; `job show` tells the new queue."""
    said = f"job fit ({APP}) moved from queue default to ml\n"
    assert typed("move", "fit", queue) == (0, said, "")
    assert puts(cluster) == [("queue", {"queue": "root.ml"})]
    assert json.loads(typed("show", JOB, "--json")[1])["queue"] == "ml"


def test_move_json(cluster: PretendCluster, typed: Any) -> None:
    """Both queues by their paths."""
    document = json.loads(typed("move", JOB, "prod", "--json")[1])
    assert document == {**IDS, "queue_before": "default", "queue": "prod"}


def test_a_move_to_where_it_is_changes_nothing(cluster: PretendCluster, typed: Any) -> None:
    """Said, and YARN is not asked."""
    assert typed("move", JOB, "default") == (0, f"job fit ({APP}) is in queue default already\n", "")
    assert puts(cluster) == []


@pytest.mark.parametrize(("queue", "problem"), [("nosuch", "queue-unknown"), ("root", "queue-not-leaf")])
def test_a_queue_that_takes_no_jobs(cluster: PretendCluster, typed: Any, queue: str, problem: str) -> None:
    """Refused before YARN is asked (which says 403 or 503), with the queues that do take some."""
    code, out, err = typed("move", JOB, queue)
    assert (code, out) == (64, "")
    assert f"[{problem}]" in err
    assert "default, ml, prod" in err
    assert "--queue" not in err
    assert puts(cluster) == []


def put_record(cluster: PretendCluster, *words: str) -> None:
    """Let the job have a record: two roles, and what the words say of their nodes."""
    roles = ["--role", "a:instances=1,memory=1G", "--role", "b:instances=1,memory=1G"]
    commands = ["--role_cmd", "a=x", "--role_cmd", "b=x"]
    spec, _ = load(["--name", "fit", "--framework", "generic", "--input_path", "", *roles, *commands, *words])
    document = with_record({}, Record(spec, {}, ()))
    cluster.put(f"{spec_dir(job_plan().job_dir)}/plan.json", json.dumps(document))


def limit_labels(cluster: PretendCluster, queue: str, *labels: str) -> None:
    """Let a queue get nodes with these labels only."""
    facts = json.loads((RECORDED / "scheduler.json").read_text())
    found = facts["scheduler"]["schedulerInfo"]["queues"]["queue"]
    next(one for one in found if one["queueName"] == queue)["nodeLabels"] = list(labels)
    reply = Reply(body=json.dumps(facts).encode())
    cluster.faults.append(lambda request: reply if request.path.startswith("/ws/v1/cluster/scheduler") else None)


@pytest.mark.parametrize("words", [["--node_label", "gpu"], ["--role_node_label", "b=gpu"]])
def test_a_queue_without_the_jobs_nodes(cluster: PretendCluster, typed: Any, words: list[str]) -> None:
    """A job whose tasks ask for a label stays where it gets such nodes; which labels the queue reaches is told."""
    put_record(cluster, *words)
    limit_labels(cluster, "ml")
    code, out, err = typed("move", JOB, "ml")
    assert (code, out) == (64, "")
    assert "Queue ml gets no nodes with label gpu. [label-denied]" in err
    assert "it gets nodes without a label only" in err
    assert "next: choose one of these: default, prod" in err
    assert puts(cluster) == []
    assert typed("move", JOB, "prod")[0] == 0


@pytest.mark.parametrize("record", ["", "{}", "no JSON", '{"record": 1}'])
def test_a_record_that_tells_no_labels_stops_nothing(cluster: PretendCluster, typed: Any, record: str) -> None:
    """The job of another version is YARN's to judge, and so is one that asks for no label."""
    limit_labels(cluster, "ml")
    if record:
        cluster.put(f"{spec_dir(job_plan().job_dir)}/plan.json", record)
    else:
        put_record(cluster)
    assert typed("move", JOB, "ml")[0] == 0


@pytest.mark.parametrize(("asked", "counts", "said"), [("7", 7, ""), ("99", 10, " (the cluster's greatest: ")])
def test_priority(cluster: PretendCluster, typed: Any, asked: str, counts: int, said: str) -> None:
    """The one that counts, and why it is not the one that was asked for."""
    code, out, _ = typed("priority", JOB, asked)
    assert code == 0
    assert out.startswith(f"job fit ({APP}) has priority {counts}{said}")
    assert out.endswith(", it had 1\n")
    document = json.loads(typed("priority", JOB, "2", "--json")[1])
    assert document == {**IDS, "priority_before": counts, "priority": 2}


def test_timeout(cluster: PretendCluster, typed: Any) -> None:
    """From now on, in the one form of a time that YARN takes: with milliseconds and an offset without a colon."""
    before = time.time()
    code, out, _ = typed("timeout", JOB, "1h30m")
    ((what, body),) = puts(cluster)
    assert (code, what, body["timeout"]["type"]) == (0, "timeout", "LIFETIME")
    expiry = body["timeout"]["expiryTime"]
    assert expiry.endswith("+0000")
    assert len(expiry) == len("2026-11-22T19:32:15.000+0000")
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(before + 5400))[:-3]
    assert out.startswith(f"job fit ({APP}) is killed at {at}")
    assert out.endswith(", in 1 h 30 min, if it has not ended\n")
    document = json.loads(typed("timeout", JOB, "2d", "--json")[1])
    assert document["expires_s"] == pytest.approx(document["asked_s"], abs=0.01)
    assert document["expires_s"] == pytest.approx(before + 2 * 86400, abs=60)


def shown(typed: Any) -> dict[str, str]:
    """Return the labelled lines of `job show`."""
    lines = [line.partition(":") for line in typed("show", JOB)[1].splitlines()]
    return {label: value.strip() for label, colon, value in lines if colon}


def test_what_was_changed_is_shown(cluster: PretendCluster, typed: Any) -> None:
    """Queue, priority and timeout are told as YARN has them now; what is as it was submitted takes no line."""
    cluster.apps[0].update(priority=0, timeouts={"timeout": [{"type": "LIFETIME", "expiryTime": "UNLIMITED"}]})
    before = shown(typed)
    assert (before["Queue"], "Priority" in before, "Timeout" in before) == ("default", False, False)
    for words in (("move", JOB, "ml"), ("priority", JOB, "7"), ("timeout", JOB, "2h")):
        assert typed(*words)[0] == 0
    after = shown(typed)
    assert (after["Queue"], after["Priority"]) == ("ml (moved from default)", "7")
    assert after["Timeout"].startswith("YARN kills the job at 20")
    assert after["Timeout"].endswith(("in 1 h 59 min", "in 2 h 0 min"))
    document = json.loads(typed("show", JOB, "--json")[1])
    assert (document["queue"], document["submitted_queue"], document["priority"]) == ("ml", "default", 7)
    assert document["expires_s"] == pytest.approx(time.time() + 7200, abs=60)


def test_a_queue_that_allows_less(cluster: PretendCluster, typed: Any) -> None:
    """YARN cuts a timeout to the longest lifetime of the queue; what counts is told, in any time zone."""
    expiry = time.strftime("%Y-%m-%dT%H:%M:%S.000+0530", time.gmtime(time.time() + 600 + 19800))
    reply = json.dumps({"timeout": {"type": "LIFETIME", "expiryTime": expiry}}).encode()
    cluster.faults.append(lambda request: Reply(body=reply) if request.method == "PUT" else None)
    out = typed("timeout", JOB, "2h")[1]
    assert "in 9 min 59 s" in out or "in 10 min 0 s" in out
    assert out.endswith("; its queue allows no more\n")


@pytest.mark.parametrize("answer", [{}, {"timeout": {}}, {"timeout": {"expiryTime": "UNLIMITED"}}])
def test_an_answer_without_a_time(cluster: PretendCluster, typed: Any, answer: dict[str, Any]) -> None:
    """No time is made up: it is said that YARN told none, and where to look."""
    reply = Reply(body=json.dumps(answer).encode())
    cluster.faults.append(lambda request: reply if request.method == "PUT" else None)
    code, out, err = typed("timeout", JOB, "2h")
    assert (code, out) == (69, "")
    assert "does not say when it ends" in err
    assert f"job show {APP}" in err


@pytest.mark.parametrize("words", [("priority", "x"), ("priority", "-1"), ("timeout", "0s"), ("timeout", "soon")])
def test_what_makes_no_sense(cluster: PretendCluster, typed: Any, words: tuple[str, str]) -> None:
    """Refused before any cluster is asked."""
    assert typed(words[0], JOB, words[1])[0] == 64
    assert cluster.asked == []


@pytest.mark.parametrize("words", [("move", "ml"), ("priority", "1"), ("timeout", "1h")])
def test_what_has_ended_stays_as_it_is(cluster: PretendCluster, typed: Any, words: tuple[str, str]) -> None:
    """YARN would take a timeout and a priority without a word."""
    cluster.apps[0].update(state="FINISHED", finalStatus="FAILED")
    code, out, err = typed(words[0], JOB, words[1])
    assert (code, out) == (64, "")
    assert "[job-over]" in err
    assert puts(cluster) == []


def test_somebody_elses_job(cluster: PretendCluster, typed: Any) -> None:
    """The refusal of YARN, which comes as plain text."""

    def deny(request: Request) -> Reply | None:
        return Reply(403, b"Unauthorized attempt to move appid") if request.method == "PUT" else None

    cluster.faults.append(deny)
    code, _, err = typed("move", JOB, "ml")
    assert (code, "[rm-denied]" in err) == (77, True)


def test_what_yarn_itself_refuses(cluster: PretendCluster, typed: Any) -> None:
    """It comes as 503, and is no failure of the ResourceManager."""
    said = {"exception": "UndeclaredThrowableException", "message": "Queue root.ml has too many applications"}
    reply = Reply(503, json.dumps({"RemoteException": said}).encode())
    cluster.faults.append(lambda request: reply if request.method == "PUT" else None)
    code, _, err = typed("move", JOB, "ml")
    assert (code, "[rm-refused]" in err, "too many applications" in err) == (64, True, True)


@pytest.mark.parametrize("words", [["--version"], ["-version"], ["run", "--version"], ["run", "-version"]])
def test_version(typed: Any, words: list[str]) -> None:
    """Alone, and after `run` as other launchers have it."""
    code, out, _ = typed(*words)
    assert (code, out.split()[0]) == (0, "yarn-submitter")
