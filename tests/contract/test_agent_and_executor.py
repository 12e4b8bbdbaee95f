"""The real agent and real executor processes over the real wire; only YARN and the history's store are stand-ins."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading

import pytest
from executor_hdfs import FakeHdfs
from executor_world import SECRET, Container, credentials, group_gone, plan
from fakes import Caller, FakeCluster, MemoryStore, run_agent

from am.agent.__main__ import Agent, Setting
from am.contract import events, wire
from am.contract.job import CERTIFICATE_FILE, KEY_FILE, SECRET_FILE, Resources, RolePlan


class World:
    """One job: an agent in a thread, executors in processes, a small HDFS."""

    def __init__(self, where, roles, **changes):
        where.mkdir(exist_ok=True)
        certificate, key = credentials(where, "job")
        certificate.rename(where / CERTIFICATE_FILE)
        key.rename(where / KEY_FILE)
        (where / SECRET_FILE).write_text(SECRET)
        self.where, self.hdfs, self.cluster, self.store = where, FakeHdfs(), FakeCluster(), MemoryStore()
        base = plan(webhdfs=(self.hdfs.address,), agent_ports=(0,), **changes)
        self.plan = dataclasses.replace(base, roles=tuple(roles))
        self.agent = Agent(Setting(where, "127.0.0.1", "application_1_0001", 1), self.plan, self.cluster, self.store)
        self.thread = threading.Thread(target=run_agent, args=(self.agent,))
        self.thread.start()
        self.port = self.agent.port.result(10)
        self.plan = dataclasses.replace(self.plan, agent_ports=(1, self.port))
        self.containers = []

    def start(self):
        """Start an executor for every task."""
        for role in self.plan.roles:
            for _ in range(role.instances):
                place = self.where / f"node{len(self.containers)}"
                here = Container.make(place, self.plan, self.where / CERTIFICATE_FILE)
                self.containers.append(here)
                here.start(role.name, CONTAINER_ID=f"container_{len(self.containers)}")
        return self

    def until(self, kind, count=1):
        """Wait until there are so many events of a kind; return them."""
        found = []
        client = Caller(self.port, self.where / CERTIFICATE_FILE, wire.client_token(SECRET))
        number = 0
        try:
            while len(found) < count:
                status, body = client.send("GET", f"{wire.PREFIX}/events?from={number}&wait_s=20")
                assert status == 200
                news = wire.decode(wire.Events, body)
                assert news.lines, f"waited for {kind.__name__}"
                number = news.next
                found += [event for event in map(events.from_line, news.lines) if isinstance(event, kind)]
        finally:
            client.close()
        return found

    def verdict(self):
        """Wait for the job's end."""
        self.thread.join(30)
        assert not self.thread.is_alive()
        return next(event for event in self.store.events("/apps/alice/jobs/1") if isinstance(event, events.JobEnded))

    def close(self):
        """End what still lives."""
        for container in self.containers:
            container.close()
        if self.thread.is_alive():
            client = Caller(self.port, self.where / CERTIFICATE_FILE, wire.client_token(SECRET))
            client.post("/stop", wire.Stop("test"), wire.Ack)
            client.close()
            self.thread.join(60)
        self.hdfs.close()


@pytest.fixture
def world(tmp_path):
    """Makes the job."""
    made = []

    def make(*roles, **changes):
        made.append(World(tmp_path / "agent", roles, **changes))
        return made[-1].start()

    yield make
    for each in made:
        each.close()


def role(name, instances, command, **more):
    """Return a role of small tasks."""
    return RolePlan(name, instances, Resources(128), command, **more)


def test_a_tensorflow_job_succeeds_and_its_ps_is_stopped(world):
    """Tasks agree on the cluster, the ps ends as FINISHED, results lie on the store."""
    show = 'echo "$TF_CONFIG"; echo "$TASK_INDEX" >$OUTPUT_DIR/index; echo up >said'
    ps, worker = role("ps", 1, f"{show}; sleep 600", tracked=False), role("worker", 2, f"{show}; read -r line <said")
    job = world(ps, worker, framework="tensorflow")
    for container in job.containers:
        container.hear()
    for container in job.containers[1:]:
        (container.directory / "said").write_text("go\n")
    verdict = job.verdict()
    assert (verdict.state, verdict.exit_code) == ("SUCCEEDED", 0)
    assert [container.end() for container in job.containers] in ([143, 0, 0], [0, 0, 0])
    clusters = [json.loads(container.out())["cluster"] for container in job.containers]
    assert clusters[0] == clusters[1] == clusters[2]
    assert {path: text for path, text in job.hdfs.text().items() if "/output/" in path} == {
        "/apps/alice/jobs/1/output/ps-0/index": "0\n",
        "/apps/alice/jobs/1/output/worker-0/index": "0\n",
        "/apps/alice/jobs/1/output/worker-1/index": "1\n",
    }
    (ps,) = (event for event in job.store.events("/apps/alice/jobs/1") if getattr(event, "stopped", False))
    assert (ps.task, ps.code) == ("ps:0", 143)


def test_a_worker_that_exits_3_ends_the_job_with_its_last_words(world):
    """The other worker, which would run on, is stopped; both containers are gone."""
    fail = 'test "$TASK_INDEX" = 0 && sleep 600; echo "no such column" >&2; exit 3'
    job = world(role("worker", 2, fail))
    verdict = job.verdict()
    assert (verdict.state, verdict.exit_code, verdict.task, verdict.tail) == (
        "FAILED",
        3,
        "worker:1",
        "no such column",
    )
    assert sorted(container.end() for container in job.containers) in ([3, 143], [0, 3])


def test_a_client_stops_a_job_of_tasks_that_ignore_term(world):
    """KILL comes after the grace, and nothing of the tasks lives."""
    stubborn = "trap '' TERM; echo $$ >said; while :; do sleep 600; done"
    job = world(role("worker", 2, stubborn), limits={"stop_grace_s": 1})
    pids = [int(container.hear()[0]) for container in job.containers]
    client = Caller(job.port, job.where / CERTIFICATE_FILE, wire.client_token(SECRET))
    client.post("/stop", wire.Stop("alice@edge"), wire.Ack)
    client.close()
    verdict = job.verdict()
    assert (verdict.state, verdict.exit_code) == ("KILLED", 137)
    group_gone(pids)


def test_an_executor_too_many_leaves_and_the_job_goes_on(world):
    """YARN may give more containers than were asked for."""
    job = world(role("worker", 1, "echo $$ >said; read -r line <said"))
    job.containers[0].hear()
    extra = Container.make(job.where / "extra", job.plan, job.where / CERTIFICATE_FILE)
    job.containers.append(extra)
    extra.start("worker", CONTAINER_ID="container_extra")
    assert extra.end() == 0
    (job.containers[0].directory / "said").write_text("go\n")
    assert job.verdict().state == "SUCCEEDED"


def test_term_from_the_node_is_the_tasks_exit(world):
    """A container that its node stops reports 143 before it goes."""
    job = world(role("worker", 1, "echo >said; sleep 600"))
    job.containers[0].hear()
    job.containers[0].process.send_signal(signal.SIGTERM)
    verdict = job.verdict()
    assert (verdict.state, verdict.exit_code, verdict.task) == ("FAILED", 143, "worker:0")
