"""What happens to a job comes from whoever knows: agent, history or ResourceManager; in order, once, to a verdict."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from client_fakes import APP, PretendCluster, job_plan
from fakes import SECRET, AgentThread, plan, role, write_job_files
from httpstandin import Reply, closed_port

from am.contract import states, wire
from am.contract.events import AgentStarted, Event, GangComplete, JobEnded, JobStopping, TaskStarted, Waiting, to_line
from am.contract.job import CERTIFICATE_FILE, access_file, agent_file, history_dir
from yarn_submitter.agentdoor import AgentDoor, AgentGoneError
from yarn_submitter.errors import UnreachableError
from yarn_submitter.feed import AppSeen, Feed, Item, MasterLost
from yarn_submitter.verdicts import verdict_of

STARTED = AgentStarted(10.0, 1, "nm1", 20001, APP)
GANG = GangComplete(12.0, {})
GOOD = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
JOB = job_plan()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the ResourceManager sooner: what is told does not depend on how often it is asked."""
    monkeypatch.setattr("yarn_submitter.feed._PAUSE_S", 0.02)


@pytest.fixture
def _agent_leaves_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the agent not wait for clients that ask once and do not come back."""
    monkeypatch.setattr("am.agent.loop.ANSWERS_S", 0.1)


def feed(cluster: PretendCluster, application_id: str = APP, job_dir: str = JOB.job_dir) -> Feed:
    """Return the feed of the job on that cluster."""
    site = cluster.site()
    return Feed(site.resource_manager, site.store, job_dir, application_id)


def words(items: list[Item]) -> list[str]:
    """Return each item in a word or two."""
    return [
        f"app {item.app.state if item.app else None}" if isinstance(item, AppSeen) else type(item).__name__
        for item in items
    ]


def waits(n: int) -> list[Event]:
    """Return events that can be told apart."""
    return [Waiting(float(k), str(k)) for k in range(n)]


def test_history_segments_come_in_the_order_of_their_numbers(cluster: PretendCluster) -> None:
    """By attempt, then by number, not by name; what is no segment is left alone."""
    one, two, three, four = waits(4)
    cluster.add_job(JOB, {"1-2": [two], "1-10": [three], "1-1": [one], "2-1": [four]})
    cluster.put(f"{history_dir(JOB.job_dir)}/1-11.jsonl.ys-tmp-ab", to_line(GOOD))
    assert feed(cluster).history() == [one, two, three, four]


def test_a_line_cut_short_and_an_unknown_event_are_skipped(cluster: PretendCluster) -> None:
    """A crash in the middle of a line, and a newer agent's events, hide nothing else."""
    lines = [to_line(STARTED), '{"event": "Promoted", "time": 1}', to_line(GANG)[:30], "", "[]", to_line(GOOD)]
    cluster.put(f"{history_dir(JOB.job_dir)}/1-1.jsonl", "\n".join(lines))
    assert feed(cluster).history() == [STARTED, GOOD]


def test_no_history(cluster: PretendCluster) -> None:
    """A job of which nothing was written has none."""
    assert feed(cluster).history() == []


def test_an_ended_job_is_told_from_its_history(cluster: PretendCluster) -> None:
    """The verdict of the agent stands, whatever YARN says of the application."""
    cluster.add_app("FINISHED", finalStatus="FAILED", diagnostics="x")
    cluster.add_job(JOB, {"1-1": [STARTED, GANG], "1-2": [GOOD]})
    assert words(list(feed(cluster).follow())) == ["app FINISHED", "AgentStarted", "GangComplete", "JobEnded"]
    assert feed(cluster).now() == (list(feed(cluster).follow()), "history")


@pytest.mark.parametrize(
    ("state", "final", "words_of_yarn", "expected"),
    [
        ("KILLED", "KILLED", "x", (states.KILLED, 137, "yarn", "killed-by-yarn")),
        ("FINISHED", "KILLED", "x", (states.KILLED, 137, "yarn", "killed-by-yarn")),
        ("FAILED", "FAILED", "AM container exited", (states.FAILED, 76, "yarn", "agent-lost")),
        ("FINISHED", "FAILED", "Application driver failed", (states.FAILED, 76, "yarn", "agent-lost")),
        ("FINISHED", "FAILED", "worker:0 failed", (states.FAILED, 76, "yarn", "verdict-missing")),
        ("FINISHED", "SUCCEEDED", "all is well", (states.SUCCEEDED, 0, "yarn", "")),
    ],
)
def test_yarn_gives_the_verdict_that_the_agent_could_not(
    cluster: PretendCluster, state: str, final: str, words_of_yarn: str, expected: tuple[str, int, str, str]
) -> None:
    """Without a verdict in the history, YARN's word is the end, with YARN's diagnostics."""
    cluster.add_app(state, finalStatus=final, diagnostics=words_of_yarn)
    cluster.add_job(JOB, {"1-1": [STARTED]})
    last = list(feed(cluster).follow())[-1]
    assert isinstance(last, JobEnded)
    assert (last.state, last.exit_code, last.origin, last.problem) == expected
    assert words_of_yarn in (last.tail, last.message)
    assert last.time == 1_700_000_060.0


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (JobEnded(30.0, states.KILLED, 137, "yarn", "am-stopped", "x"), (states.FAILED, 76, "am-lost")),
        (JobEnded(30.0, states.FAILED, 143, "task", "task-failed", "x", "ps:0"), (states.FAILED, 76, "am-lost")),
        (JobEnded(30.0, states.FAILED, 3, "task", "task-failed", "x", "ps:0"), (states.FAILED, 3, "task-failed")),
        (JobEnded(30.0, states.KILLED, 137, "client", "job-killed", "x"), (states.KILLED, 137, "job-killed")),
    ],
)
def test_a_verdict_in_ignorance_is_corrected(
    cluster: PretendCluster, verdict: JobEnded, expected: tuple[str, int, str]
) -> None:
    """What looked like a stop to the agent was the loss of its master, when YARN says FAILED."""
    cluster.add_app("FAILED", finalStatus="FAILED", diagnostics="node lost")
    cluster.add_job(JOB, {"1-1": [STARTED, verdict]})
    last = list(feed(cluster).follow())[-1]
    assert isinstance(last, JobEnded)
    assert (last.state, last.exit_code, last.problem) == expected


@pytest.mark.parametrize("application_id", [APP, ""])
def test_an_application_that_is_forgotten(cluster: PretendCluster, application_id: str) -> None:
    """What the history says counts; if it has no verdict, the application is lost."""
    cluster.add_job(JOB, {"1-1": [STARTED, GOOD]})
    assert list(feed(cluster, application_id).follow())[-1] == GOOD
    cluster.add_job(JOB, {"1-1": [STARTED]})
    last = list(feed(cluster, application_id).follow())[-1]
    assert isinstance(last, JobEnded)
    assert (last.state, last.exit_code, last.problem) == (states.FAILED, 76, "application-lost")


def test_verdict_of_nothing_is_now() -> None:
    """A verdict always has a time."""
    assert verdict_of(None).time > 1_700_000_000


def test_before_the_agent_only_the_resourcemanager_speaks(cluster: PretendCluster) -> None:
    """Its word comes once for each change; `now` says that nobody else was heard."""
    app = cluster.add_app("ACCEPTED")
    cluster.add_job(JOB)
    items, source = feed(cluster).now()
    assert (words(items), source) == (["app ACCEPTED"], "resourcemanager")
    stream = feed(cluster).follow()
    assert words([next(stream)]) == ["app ACCEPTED"]
    app["state"] = "RUNNING"
    assert words([next(stream)]) == ["app RUNNING"]
    app.update(state="FAILED", finalStatus="FAILED")
    assert words(list(stream)) == ["app FAILED", "JobEnded"]


def test_an_agent_out_of_reach_is_followed_by_its_history(cluster: PretendCluster, tmp_path: Path) -> None:
    """Where no connection reaches the agent, what it writes to the store is shown, each event once."""
    app = cluster.add_app("RUNNING")
    cluster.add_job(JOB, {"1-1": [STARTED]})
    offer(cluster, tmp_path, closed_port())
    items, source = feed(cluster).now()
    assert (words(items), source) == (["app RUNNING", "AgentStarted"], "history")

    stream = feed(cluster).follow()
    assert words([next(stream), next(stream)]) == ["app RUNNING", "AgentStarted"]
    cluster.add_job(JOB, {"1-2": [GANG]})
    assert next(stream) == GANG
    app.update(state="FINISHED", finalStatus="SUCCEEDED")
    cluster.add_job(JOB, {"1-3": [GOOD]})
    assert words(list(stream))[-1:] == ["JobEnded"]


def test_a_segment_is_read_once(cluster: PretendCluster, tmp_path: Path) -> None:
    """While a job is followed by its history, a segment that was read is not asked for again."""
    cluster.add_app("RUNNING")
    cluster.add_job(JOB, {"1-1": [STARTED]})
    offer(cluster, tmp_path, closed_port())
    stream = feed(cluster).follow()
    next(stream)
    next(stream)
    cluster.add_job(JOB, {"1-2": [GANG]})
    assert next(stream) == GANG
    reads = [request.path for request in cluster.asked if request.params.get("op") == "OPEN"]
    assert sum(path.endswith("1-1.jsonl") for path in reads) == 1


def test_a_cluster_that_does_not_answer_is_an_error(cluster: PretendCluster) -> None:
    """Who follows is told at once that nobody can be asked, and after a while it is an error; a short loss is none."""
    app = cluster.add_app("ACCEPTED")
    silent = [True]
    cluster.faults.append(lambda request: Reply(503, b"") if silent[0] and "/apps/" in request.path else None)
    site = cluster.site()
    stream = Feed(site.resource_manager, site.store, JOB.job_dir, APP).follow()
    assert words([next(stream)]) == ["Waiting"]
    silent[0] = False
    assert words([next(stream), next(stream)]) == ["Waiting", "app ACCEPTED"]  # the first takes back what was said
    silent[0] = True
    assert words([next(stream)]) == ["Waiting"]
    silent[0] = False
    app.update(state="KILLED", finalStatus="KILLED")
    assert words(list(stream)) == ["Waiting", "app KILLED", "JobEnded"]

    silent[0] = True
    stream = Feed(site.resource_manager, site.store, JOB.job_dir, APP, patience_s=0.0).follow()
    assert words([next(stream)]) == ["Waiting"]
    with pytest.raises(UnreachableError):
        next(stream)


def offer(cluster: PretendCluster, tmp_path: Path, address: str, token: str = SECRET) -> None:
    """Put on HDFS how an agent is reached."""
    certificate = tmp_path / CERTIFICATE_FILE
    if not certificate.exists():
        write_job_files(tmp_path, plan())
    host, _, port = address.partition(":")
    access = {"certificate": certificate.read_text(), "client_token": wire.client_token(token)}
    cluster.put(access_file(JOB.job_dir), json.dumps(access))
    cluster.put(agent_file(JOB.job_dir), json.dumps({"host": host, "port": int(port)}))


def leave_history(cluster: PretendCluster, agent: AgentThread) -> None:
    """Put on HDFS what the agent wrote to its store."""
    for path, text in agent.store.files.items():
        if "/history/" in path:
            cluster.put(f"{history_dir(JOB.job_dir)}/{path.rpartition('/')[2]}", text)


def test_a_live_agent_is_followed_to_its_verdict(cluster: PretendCluster, tmp_path: Path) -> None:
    """From a real agent: everything so far, then each event as it happens, once, until the verdict."""
    job = plan(role("worker", 1))
    write_job_files(tmp_path, job)
    agent = AgentThread(job, tmp_path)
    app = cluster.add_app("RUNNING")
    offer(cluster, tmp_path, f"127.0.0.1:{agent.port}")
    items: list[Item] = []
    heard = threading.Event()

    def follow() -> None:
        for item in feed(cluster).follow():
            items.append(item)
            heard.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert heard.wait(20)
    agent.executor("worker", "container_1", 0).join(20)
    agent.verdict()
    leave_history(cluster, agent)
    app.update(state="FINISHED", finalStatus="SUCCEEDED")
    follower.join(20)
    events = [item for item in items if not isinstance(item, (AppSeen, MasterLost))]
    assert words(items)[0] == "app RUNNING"
    assert events == agent.store.events()
    assert isinstance(events[-1], JobEnded)
    assert events[-1].state == states.SUCCEEDED


@pytest.mark.usefixtures("_agent_leaves_soon")
def test_what_a_live_agent_says_now(cluster: PretendCluster, tmp_path: Path) -> None:
    """`now` does not wait, and says that the agent was heard; a stop through its door ends the job."""
    job = plan(role("worker", 1))
    write_job_files(tmp_path, job)
    agent = AgentThread(job, tmp_path)
    agent.executor("worker", "container_1", None)
    agent.await_event("TaskStarted")
    cluster.add_app("RUNNING")
    offer(cluster, tmp_path, f"127.0.0.1:{agent.port}")
    items, source = feed(cluster).now()
    assert source == "agent"
    assert [type(item) for item in items][-1] is TaskStarted
    door = feed(cluster).door()
    assert door is not None
    door.stop("ada", "enough")
    verdict = agent.verdict()
    assert (verdict.state, "enough" in verdict.message) == (states.KILLED, True)


@pytest.mark.usefixtures("_agent_leaves_soon")
def test_an_agent_that_goes_is_replaced_by_the_history(cluster: PretendCluster, tmp_path: Path) -> None:
    """When the agent dies in the middle, its history tells the rest, and no event comes twice."""
    job = plan(role("worker", 1))
    write_job_files(tmp_path, job)
    agent = AgentThread(job, tmp_path)
    agent.executor("worker", "container_1", None)
    agent.await_event("TaskStarted")
    app = cluster.add_app("RUNNING")
    offer(cluster, tmp_path, f"127.0.0.1:{agent.port}")
    stream = feed(cluster).follow()
    heard: list[Item] = []
    while not heard or not isinstance(heard[-1], TaskStarted):
        heard.append(next(stream))
    agent.kill()
    leave_history(cluster, agent)
    app.update(state="FINISHED", finalStatus="KILLED")
    heard += list(stream)
    assert [item for item in heard if not isinstance(item, (AppSeen, MasterLost))] == agent.store.events()


def test_unknown_events_do_not_shift_the_stream(cluster: PretendCluster, tmp_path: Path) -> None:
    """After events of a newer agent, a lost connection is taken up at the right place: nothing twice, nothing lost."""
    unknown = '{"event": "Promoted", "time": 1}'
    lines = [to_line(STARTED), unknown, unknown, to_line(GANG)]
    app = cluster.add_app("RUNNING")
    cluster.put(f"{history_dir(JOB.job_dir)}/1-1.jsonl", "\n".join(lines) + "\n")
    offer(cluster, tmp_path, closed_port())
    stream = feed(cluster).follow()
    assert words([next(stream), next(stream), next(stream)]) == ["app RUNNING", "AgentStarted", "GangComplete"]
    stopping = JobStopping(25.0, "the end")
    cluster.put(f"{history_dir(JOB.job_dir)}/1-2.jsonl", to_line(stopping) + "\n" + to_line(GOOD) + "\n")
    app.update(state="FINISHED", finalStatus="SUCCEEDED")
    assert [item for item in stream if not isinstance(item, (AppSeen, MasterLost))] == [stopping, GOOD]


def test_only_the_jobs_own_agent_is_believed(cluster: PretendCluster, tmp_path: Path) -> None:
    """Another certificate at the port, or a token that is refused, is no agent of this job."""
    job = plan(role("worker", 1))
    (tmp_path / "other").mkdir()
    write_job_files(tmp_path / "other", job, "another")
    agent = AgentThread(job, tmp_path / "other")
    try:
        cluster.add_app("RUNNING")
        offer(cluster, tmp_path, f"127.0.0.1:{agent.port}")
        assert feed(cluster).now()[1] == "resourcemanager"
        certificate = (tmp_path / "other" / CERTIFICATE_FILE).read_text()
        for token in ("", "wrong"):
            with pytest.raises(AgentGoneError, match="401"):
                AgentDoor("127.0.0.1", agent.port, certificate, token).events(0, 0.0)
    finally:
        agent.kill()


def test_requests_of_now(cluster: PretendCluster) -> None:
    """An ended job costs few requests: they are what `job show` spends its time on."""
    cluster.add_app("FINISHED", finalStatus="SUCCEEDED")
    cluster.add_job(JOB, {"1-1": [STARTED, GOOD]})
    asking = feed(cluster)
    before = len(cluster.asked)
    asking.now()
    asked = [request.params.get("op", request.path.rpartition("/")[2]) for request in cluster.asked[before:]]
    assert asked == [APP, "LISTSTATUS", "OPEN", "1-1.jsonl"]


class ScriptedDoor(AgentDoor):
    """An agent that tells what it is given, and then is gone."""

    def __init__(self, lines: list[Event]) -> None:
        self._lines = [to_line(event) for event in lines]

    def events(self, start: int, wait_s: float) -> wire.Events:  # noqa: ARG002  what is scripted is there
        """Tell everything from a number on."""
        if start >= len(self._lines):
            raise AgentGoneError("it is gone")
        return wire.Events(tuple(self._lines[start:]), len(self._lines))


def test_a_second_agent_numbers_its_events_after_what_reached_the_store(cluster: PretendCluster) -> None:
    """The first told more than it could still write: nothing of the second is left out, nothing comes twice."""
    again = AgentStarted(20.0, 2, "nm2", 20001, APP)
    one, two, lost, late = waits(4)
    cluster.add_job(JOB, {"1-0": [STARTED, one]})
    cluster.add_app("RUNNING")
    stream = [STARTED, one, again, two, late, GOOD]

    class Scripted(Feed):
        def door(self) -> AgentDoor:
            self._attempt += self._attempt < 2
            return ScriptedDoor([STARTED, one, lost] if self._attempt == 1 else stream)

    site = cluster.site()
    items = list(Scripted(site.resource_manager, site.store, JOB.job_dir, APP).follow())
    assert [item for item in items if not isinstance(item, (AppSeen, MasterLost))] == [STARTED, one, lost, *stream[2:]]


def test_what_a_second_agent_wrote_is_told_after_the_end(cluster: PretendCluster) -> None:
    """Also when the client never reached it, and had heard more of the first than the store has."""
    again = AgentStarted(20.0, 2, "nm2", 20001, APP)
    one, lost = waits(2)
    cluster.add_app("RUNNING")
    cluster.add_job(JOB, {"1-0": [STARTED]})

    class Scripted(Feed):
        def door(self) -> AgentDoor:
            self._attempt = 1
            cluster.add_job(JOB, {"2-0": [again, GOOD]})
            cluster.apps[0].update(state="FINISHED", finalStatus="SUCCEEDED")
            return ScriptedDoor([STARTED, one, lost])

    site = cluster.site()
    items = list(Scripted(site.resource_manager, site.store, JOB.job_dir, APP).follow())
    assert [item for item in items if not isinstance(item, (AppSeen, MasterLost))] == [STARTED, one, lost, again, GOOD]
