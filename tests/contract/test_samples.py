"""A client one version older or newer than a job's agent understands it, and the agent understands the client.

tests/contract/samples/v1 holds what version 1 of the contract writes, and is never changed: what a later version writes
gets a directory of its own. `newer` is the same with fields and kinds of events that nobody knows yet, `older` without
every field that has a default.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_fakes import APP, PretendCluster, pretend_cluster
from fakes import SECRET, AgentThread, plan, role, write_job_files

from am.contract import events, states, wire
from am.contract.codec import to_json
from am.contract.job import FATAL, FORMAT, JobPlan, Limits, access_file, agent_file, history_dir
from yarn_submitter.feed import Feed
from yarn_submitter.job import Job
from yarn_submitter.monitor import JobView, begin, fold
from yarn_submitter.record import read_record
from yarn_submitter.viewjson import document

SAMPLES = Path(__file__).parent / "samples"
AGES = ("older", "v1", "newer")


def text(age: str, name: str) -> str:
    """Return a sample."""
    return (SAMPLES / age / name).read_text(encoding="utf-8")


def lines(age: str) -> list[str]:
    """Return the lines of a history."""
    return text(age, "events.jsonl").splitlines()


def holds(whole: Any, part: Any) -> bool:
    """Return whether every field of `part` is in `whole`, with its value."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and holds(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(holds(one, other) for one, other in zip(whole, part, strict=True))
    return bool(whole == part)


def test_the_samples_are_of_this_version() -> None:
    """A new version of job.json or of the wire adds a directory of samples."""
    assert (FORMAT, wire.VERSION) == (1, 1)


def test_what_version_1_has_written_is_understood() -> None:
    """No field of it is dropped or renamed: what is read holds all that was written."""
    job = json.loads(text("v1", "job.json"))
    assert holds(to_json(JobPlan.from_text(json.dumps(job))), job)
    for line in lines("v1"):
        event = events.from_line(line)
        assert event is not None
        assert holds(json.loads(events.to_line(event)), json.loads(line))
    for kind, message in json.loads(text("v1", "wire.json")).items():
        assert holds(to_json(wire.decode(getattr(wire, kind), json.dumps(message).encode())), message)
    record = json.loads(text("v1", "plan.json"))["record"]
    assert holds(json.loads(json.dumps(dataclasses.asdict(record_of("v1")))), record)


def record_of(age: str) -> Any:
    """Return the record in a plan.json."""
    return read_record(text(age, "plan.json"))


def test_every_kind_has_a_sample() -> None:
    """Each event and each message of the contract."""
    assert {json.loads(line)["event"] for line in lines("v1")} == set(events.KINDS)
    messages = {
        name for name, value in vars(wire).items() if isinstance(value, type) and dataclasses.is_dataclass(value)
    }
    assert set(json.loads(text("v1", "wire.json"))) == messages


def test_what_a_newer_version_adds_is_passed_over() -> None:
    """Fields at any depth and kinds of events; all else is as if they were not there."""
    assert JobPlan.from_text(text("newer", "job.json")) == JobPlan.from_text(text("v1", "job.json"))
    known = [events.from_line(line) for line in lines("newer")]
    assert known.count(None) == len(lines("v1"))
    assert [event for event in known if event] == [events.from_line(line) for line in lines("v1")]
    old, new = json.loads(text("v1", "wire.json")), json.loads(text("newer", "wire.json"))
    for kind, message in old.items():
        read = [wire.decode(getattr(wire, kind), json.dumps(body).encode()) for body in (message, new[kind])]
        assert read[0] == read[1]
    assert record_of("newer") == record_of("v1")


def test_what_an_older_version_leaves_out_has_its_default() -> None:
    """Every field that came later has one; a record that came later is none."""
    job = JobPlan.from_text(text("older", "job.json"))
    assert (job.limits, job.secrets, job.roles[0].resources.vcores, job.roles[0].on_failure) == (
        Limits(),
        (),
        1,
        FATAL,
    )
    assert all(events.from_line(line) for line in lines("older"))
    for kind, message in json.loads(text("older", "wire.json")).items():
        assert wire.decode(getattr(wire, kind), json.dumps(message).encode())
    assert record_of("older") is None


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendCluster]:
    """A cluster that knows the job's application."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pretend_cluster(tmp_path / "cluster") as served:
        served.add_app("FINISHED", finalStatus="FAILED")
        yield served


def seen(cluster: PretendCluster, age: str) -> tuple[JobPlan, JobView]:
    """Return what `job show` makes of a job's record of some age."""
    job = JobPlan.from_text(text(age, "job.json"))
    cluster.put(f"{history_dir(job.job_dir)}/1-0.jsonl", text(age, "events.jsonl"))
    view, source = Job(cluster.site(), job.id, APP, job).view()
    assert source == "history"
    return job, view


def test_a_newer_jobs_history_gives_the_same_view(cluster: PretendCluster) -> None:
    """`job show` and its JSON are as they would be without what is not known here."""
    job, view = seen(cluster, "newer")
    assert (view.state, view.tasks["worker:1"].exit_code, view.uploads["worker:1"].files) == (states.FAILED, 137, 3)
    assert "worker:9" not in view.tasks
    assert document(view, job, APP, "") == document(seen(cluster, "v1")[1], job, APP, "")


def test_an_older_jobs_history_gives_a_view(cluster: PretendCluster) -> None:
    """With everything that it does say."""
    _, view = seen(cluster, "older")
    verdict = view.verdict
    assert verdict is not None
    assert (verdict.state, verdict.exit_code, verdict.task) == ("FAILED", 3, "")
    assert (view.tasks["worker:1"].host, view.tasks["worker:1"].exit_code) == ("n2", 137)


def test_a_follower_counts_what_it_does_not_know(cluster: PretendCluster) -> None:
    """Events are asked for by their number, known or not: none comes twice, none is left out."""
    seen(cluster, "newer")
    job = JobPlan.from_text(text("v1", "job.json"))
    site = cluster.site()
    items = list(Feed(site.resource_manager, site.store, job.job_dir, APP).follow())
    assert [item for item in items if type(item).__name__ in events.KINDS] == [
        events.from_line(line) for line in lines("v1")
    ]
    assert fold(begin(job), items).state == states.FAILED


@pytest.mark.parametrize("age", AGES)
def test_the_agent_takes_messages_of_any_age(tmp_path: Path, age: str) -> None:
    """An executor that registers, beats, exits and leaves, and a client that ends the job, one version away."""
    planned = plan(role("worker", 1))
    write_job_files(tmp_path, planned)
    agent = AgentThread(planned, tmp_path)
    messages = json.loads(text(age, "wire.json"))
    executor = agent.caller(wire.task_token(SECRET))
    sent = {"register": "Register", "beat": "Beat", "exit": "Exit"}
    first = {"register": {"attempt": 0}, "beat": {"wait_s": 0.0}, "exit": {}}
    for path, kind in sent.items():
        body = {**messages[kind], **first[path]}
        status, answer = executor.send("POST", f"{wire.PREFIX}/{path}", json.dumps(body).encode())
        assert status == 200, answer
    client = agent.caller(wire.client_token(SECRET))
    status, answer = client.send("POST", f"{wire.PREFIX}/stop", json.dumps(messages["Stop"]).encode())
    assert status == 200, answer
    status, answer = executor.send("POST", f"{wire.PREFIX}/done", json.dumps(messages["Done"]).encode())
    assert status == 200, answer
    executor.close()
    client.close()
    assert agent.verdict().exit_code == 137


def test_how_a_newer_agent_is_found(cluster: PretendCluster, tmp_path: Path) -> None:
    """agent.json and access.json may say more than is known here."""
    planned = plan(role("worker", 1))
    write_job_files(tmp_path, planned)
    agent = AgentThread(planned, tmp_path)
    job = JobPlan.from_text(text("v1", "job.json"))
    found = {"host": "127.0.0.1", "port": agent.port, "attempt": 1, "application_id": APP, "also_at": ["::1"]}
    access = {"certificate": agent.certificate.read_text(), "client_token": wire.client_token(SECRET), "expires": 1}
    cluster.put(agent_file(job.job_dir), json.dumps(found))
    cluster.put(access_file(job.job_dir), json.dumps(access))
    cluster.apps[0].update(state="RUNNING", finalStatus="UNDEFINED")
    view, source = Job(cluster.site(), job.id, APP, job).view()
    assert (view.state, source) == (states.GATHERING, "agent")
    agent.kill()
