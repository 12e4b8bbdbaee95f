"""The wire as a real server speaks it: TLS with the job's certificate, tokens, limits, idempotence, held requests."""

from __future__ import annotations

import dataclasses
import json
import socket
import ssl
import threading

import pytest
from fakes import SECRET, AgentThread, Caller, plan, registration, role, write_job_files

from am.contract import wire
from am.contract.events import from_line
from am.contract.job import CERTIFICATE_FILE
from am.executor.link import AgentLink, pinned_context


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Return a directory with the files that a job's containers find."""
    path = tmp_path_factory.mktemp("container")
    write_job_files(path, plan())
    return path


@pytest.fixture
def agent(directory):
    """Return an agent of a job with one worker and one ps; killed at the end."""
    running = AgentThread(plan(role("worker"), role("ps", tracked=False)), directory)
    yield running
    running.kill()


@pytest.fixture
def executor(agent):
    """Return a caller with the executors' token."""
    caller = agent.caller(wire.task_token(SECRET))
    yield caller
    caller.close()


@pytest.fixture
def client(agent):
    """Return a caller with the clients' token."""
    caller = agent.caller(wire.client_token(SECRET))
    yield caller
    caller.close()


def problem(answer: tuple[int, bytes]) -> tuple[int, str]:
    """Return status and problem id of a refusal."""
    status, body = answer
    return status, json.loads(body)["problem"]


REGISTER = wire.encode(registration("worker", "c0"))


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/v1/register", b"{", (400, "not-understood")),
        ("POST", "/v1/register", b"[]", (400, "not-understood")),
        ("POST", "/v1/register", b'{"role": 3}', (400, "not-understood")),
        ("POST", "/v1/register", b"\xff\xfe", (400, "not-understood")),
        ("POST", "/v1/register", wire.encode(registration("chief", "c0")), (400, "unknown-role")),
        ("POST", "/v1/register", b" " * (wire.MAX_BODY_BYTES + 1), (413, "too-large")),
        ("POST", "/v1/beat", wire.encode(wire.Beat("c9", 0, 0.0)), (409, "not-registered")),
        ("POST", "/v1/exit", wire.encode(wire.Exit("c9", 0)), (409, "not-registered")),
        ("POST", "/v1/done", wire.encode(wire.Done("c9", 0, 0)), (409, "not-registered")),
        ("POST", "/v1/stop", wire.encode(wire.Stop("me")), (401, "wrong-token")),
        ("GET", "/v1/events", None, (401, "wrong-token")),
        ("GET", "/v1/register", None, (404, "no-such-path")),
        ("PUT", "/v1/register", REGISTER, (404, "no-such-path")),
        ("POST", "/v2/register", REGISTER, (404, "no-such-path")),
        ("POST", "/register", REGISTER, (404, "no-such-path")),
        ("GET", "/", None, (404, "no-such-path")),
    ],
)
def test_what_is_refused_to_an_executor(executor, method, path, body, expected):
    """Each refusal has its status and id, and the agent answers the next request as before."""
    assert problem(executor.send(method, path, body)) == expected
    executor.connection.close()
    assert executor.post("/register", registration("worker", "c0"), wire.Registered).index == 0


@pytest.mark.parametrize("token", ["", "x", "ä", wire.client_token(SECRET), wire.task_token("another secret")])
def test_only_the_executors_token_registers(agent, token):
    """No token, a wrong one, that of clients or of another job: 401, and nothing happens."""
    caller = agent.caller(token)
    caller.connection.request(
        "POST", "/v1/register", REGISTER, {b"Authorization": b"Bearer " + token.encode()} if token else {}
    )
    answer = caller.connection.getresponse()
    assert problem((answer.status, answer.read())) == (401, "wrong-token")
    caller.close()
    assert not agent.events("TaskRegistered")


@pytest.mark.parametrize(("query", "status"), [("?from=x", 400), ("?wait_s=x", 400), ("?from=-5", 200), ("", 200)])
def test_a_query_that_is_no_number_is_refused(client, query, status):
    """Numbers below 0 count as 0."""
    assert client.send("GET", f"/v1/events{query}")[0] == status


def test_who_trusts_the_job_s_certificate_believes_no_other_agent(agent, tmp_path):
    """A caller with the certificate of another job gets no connection at all."""
    write_job_files(tmp_path, plan(), "another")
    stranger = Caller(agent.port, tmp_path / CERTIFICATE_FILE, wire.task_token(SECRET))
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.send("GET", "/")
    stranger.close()


def finish(executor: Caller, code: int, *containers: str) -> None:
    """Let containers' commands end with `code` and carry nothing."""
    for container in containers:
        executor.post("/exit", wire.Exit(container, code), wire.Ack)
        executor.post("/done", wire.Done(container, 0, 0), wire.Ack)


def test_a_request_sent_again_gets_the_same_answer(executor, agent):
    """Register, exit and done count once per container."""
    first = executor.post("/register", registration("worker", "c0"), wire.Registered)
    executor.post("/register", registration("ps", "c1"), wire.Registered)
    again = executor.post("/register", registration("worker", "c0"), wire.Registered)
    assert dataclasses.replace(again, order_id=first.order_id) == first
    assert (first.order_id, again.order_id) == (1, -1)  # there is more to do by now than to wait
    for _ in range(2):
        assert executor.post("/exit", wire.Exit("c0", 300, "tail"), wire.Ack) == wire.Ack()
        assert executor.post("/done", wire.Done("c0", 1, 2), wire.Ack) == wire.Ack()
    finish(executor, 143, "c1")
    assert agent.verdict().exit_code == 300 & 0xFF
    kinds = [type(event).__name__ for event in agent.store.events()]
    assert [kinds.count(kind) for kind in ("TaskRegistered", "TaskExited", "TaskUploaded")] == [2, 2, 2]


def test_a_role_that_is_complete_takes_nobody(executor):
    """The second container of a role with one task gets 409."""
    executor.post("/register", registration("worker", "c0"), wire.Registered)
    assert executor.post("/register", registration("worker", "c1"), wire.Registered) == (409, "role-complete")


def test_a_job_that_stops_takes_nobody(directory):
    """Who comes after the end was decided gets 410."""
    running = AgentThread(plan(role("worker"), role("ps")), directory)
    caller = running.caller(wire.task_token(SECRET))
    for name in ("worker", "ps"):
        caller.post("/register", registration(name, name), wire.Registered)
    running.kill(wait=False)
    assert caller.post("/register", registration("worker", "late"), wire.Registered) == (410, "job-ended")
    finish(caller, 143, "worker", "ps")
    caller.close()
    assert running.verdict().state == "KILLED"


def test_a_beat_is_held_until_there_is_an_order(agent, executor):
    """The first task's beat is answered when the second registers, with the topology, once."""
    executor.post("/register", registration("worker", "c0", port=1000), wire.Registered)
    first = executor.post("/beat", wire.Beat("c0", -1, 20.0), wire.Orders)
    assert (first.order, first.order_id, first.beat_s) == (wire.WAIT, 1, 0.0)
    short = executor.post("/beat", wire.Beat("c0", 1, 0.05), wire.Orders)
    assert (short.order, short.order_id) == (wire.WAIT, 1)
    answers = []
    held = agent.caller(wire.task_token(SECRET))
    waiting = threading.Thread(target=lambda: answers.append(held.post("/beat", wire.Beat("c0", 1, 20.0), wire.Orders)))
    waiting.start()
    executor.post("/register", registration("ps", "c1", port=1001), wire.Registered)
    waiting.join(10)
    held.close()
    (start,) = answers
    assert (start.order, start.order_id) == (wire.START, 2)
    assert start.topology == {"worker": ("127.0.0.11:1000",), "ps": ("127.0.0.11:1001",)}
    known = executor.post("/beat", wire.Beat("c0", 2, 0.0), wire.Orders)
    assert (known.order, known.topology) == (wire.START, {})
    finish(executor, 1, "c0", "c1")
    assert agent.verdict().state == "FAILED"


def test_beats_of_a_very_large_job_are_not_held(directory, monkeypatch):
    """Beyond some number of tasks each answer comes at once and says when to come again."""
    monkeypatch.setattr("am.agent.loop.HELD_TASKS", 256)
    running = AgentThread(plan(role("worker", 300)), directory)
    caller = running.caller(wire.task_token(SECRET))
    caller.post("/register", registration("worker", "c0"), wire.Registered)
    order = caller.post("/beat", wire.Beat("c0", 1, 20.0), wire.Orders)
    assert (order.order, order.beat_s) == (wire.WAIT, 1.5)
    caller.close()
    running.kill()


def test_a_large_topology_arrives_whole(directory):
    """It is deflated and sent in pieces: what its executors get is what a small one would be."""
    running = AgentThread(plan(role("worker", 400)), directory)
    caller = running.caller(wire.task_token(SECRET))
    for index in range(400):
        caller.post("/register", registration("worker", f"c{index}", host=f"node{index}.example"), wire.Registered)
    order = caller.post("/beat", wire.Beat("c7", 1, 20.0), wire.Orders)
    assert order.topology == {"worker": tuple(f"node{index}.example:2222" for index in range(400))}
    link = AgentLink("127.0.0.1", [running.port], pinned_context(str(running.certificate)), wire.task_token(SECRET))
    again = link.call("/beat", wire.Beat("c8", 1, 20.0), wire.Orders, 10.0)
    assert again == order
    link.close()
    caller.close()
    running.kill(wait=False)


def test_a_client_reads_on_from_a_number(client, executor):
    """Lines from N on, the number of the next, and nothing after a short wait when there is nothing new."""

    def read(query: str) -> wire.Events:
        return wire.decode(wire.Events, client.send("GET", f"/v1/events?{query}")[1])

    executor.post("/register", registration("worker", "c0"), wire.Registered)
    first = read("from=0")
    assert [type(from_line(line)).__name__ for line in first.lines] == ["AgentStarted", "TaskRegistered"]
    assert first.next == 2
    assert read("from=1").lines == first.lines[1:]
    assert read("from=2&wait_s=0.05") == wire.Events((), 2)


def test_the_next_port_is_taken_when_one_is_not_free(directory):
    """The agent listens on the first free one of the job's ports."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 - as the agent does
        taken.listen()
        running = AgentThread(plan(agent_ports=(taken.getsockname()[1], 0)), directory)
        assert running.port != taken.getsockname()[1]
        running.kill()


def test_without_a_free_port_the_job_fails_in_one_sentence(directory):
    """Nobody could register: the verdict names the ports."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 - as the agent does
        taken.listen()
        port = taken.getsockname()[1]
        running = AgentThread(plan(agent_ports=(port,)), directory, listens=False)
        verdict = running.verdict()
    assert (verdict.problem, verdict.exit_code) == ("agent-ports-taken", 75)
    assert str(port) in verdict.message
    assert running.cluster.finished[0][0] == "FAILED"
