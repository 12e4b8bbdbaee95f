"""What breaks while jobs are submitted and run: a daemon that hangs or dies, a node lost, ports taken, no Python there.

The daemons that are killed here belong to a sandbox of this module; its nodes have no Python at all for containers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.leftovers import site_of
from cluster.typing_jobs import Result, Running, Typist

from am.contract import job as contract
from yarn_submitter.sandbox import Sandbox, SandboxInfo, SandboxSettings, find

NAME = f"faults-{os.getpid()}"
TOLD_S = 10.0  # what a client can know is said within ten seconds
NOT_WITH_THE_AGENT = "7900M"  # of 8192M that a node has: the agent's container finds no room beside it


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxInfo]:
    """A sandbox of two nodes whose containers find every program of the machine but Python."""
    tools = tmp_path_factory.mktemp("tools")
    for directory in ("/usr/local/bin", "/usr/bin", "/bin"):
        for program in Path(directory).glob("*"):
            if not program.name.startswith(("python", "pypy")) and not (tools / program.name).is_symlink():
                (tools / program.name).symlink_to(program)
    box = Sandbox(NAME)
    try:
        yield box.up(SandboxSettings(nodes=2, properties={"yarn.nodemanager.admin-env": f"PATH={tools}"}))
    finally:
        box.down(delete=True)


@pytest.fixture(scope="module")
def typist(sandbox: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Somebody who types `job ...` with HADOOP_CONF_DIR at this sandbox."""
    return Typist(sandbox, tmp_path_factory.mktemp("typist"))


def signalled(daemon: str, number: int) -> None:
    """Send a daemon of the sandbox a signal."""
    info = find(NAME)
    assert info is not None
    os.kill(info.pids[daemon], number)


@contextlib.contextmanager
def hanging(daemon: str) -> Iterator[None]:
    """Let a daemon take connections and answer nothing during the block."""
    signalled(daemon, signal.SIGSTOP)
    try:
        yield
    finally:
        signalled(daemon, signal.SIGCONT)


@contextlib.contextmanager
def killed(daemon: str) -> Iterator[None]:
    """Kill a daemon, and start it again after the block."""
    signalled(daemon, signal.SIGKILL)
    try:
        yield
    finally:
        Sandbox(NAME).up()


def refused(ended: Result, problem: str, *said: str) -> None:
    """Assert that a command ended because the cluster does not answer, told in a sentence."""
    assert ended.code == 69, ended.err
    assert f"[{problem}]" in ended.err, ended.err
    assert ended.err.count("job: ") == 1, ended.err
    steps = (f"  next: job sandbox up --name {NAME}\n", "  next: check that ")
    assert any(step in ended.err for step in steps), ended.err
    assert "Traceback" not in ended.err, ended.err
    for words in said:
        assert words in ended.err, ended.err


def submitted(running: Running) -> tuple[str, str]:
    """Return the application id and our id of a job, as soon as it is submitted."""
    line = running.wait_line("submitted ")
    application_id, _, job_id = line.partition(": ")[2].strip().partition(", id ")
    return application_id, job_id


def test_a_node_without_any_python(typist: Typist) -> None:
    """The executor brings its own interpreter when the node has none, and the program does not get to see it."""
    command = "command -v python3 && exit 9; echo there is none; echo kept > $OUTPUT_DIR/kept"
    ended = typist.type(*typist.generic("bare", "--json", a=command))
    assert ended.code == 0, ended.err
    fetched = typist.type("get", "bare", "output/a-0/kept", "--to", str(typist.directory))
    assert fetched.code == 0, fetched.err
    assert (typist.directory / "kept").read_text() == "kept\n"


def free(port: int) -> bool:
    """Return whether nobody listens at a port of this machine."""
    with contextlib.suppress(OSError), socket.create_server(("", port)):
        return True
    return False


@pytest.mark.parametrize(("taken", "code"), [(2, 0), (8, 75)])
def test_ports_of_the_agent_are_taken(typist: Typist, sandbox: SandboxInfo, taken: int, code: int) -> None:
    """Strangers who take connections and are silent hold up no job; when they have all ports, it ends with 75."""
    running = typist.start(*typist.generic("ports", a="true"))
    _, job_id = submitted(running)
    store, job_dir = site_of(sandbox).store, site_of(sandbox).paths.job(job_id)
    ports = json.loads(store.read(f"{contract.spec_dir(job_dir)}/job.json"))["agent_ports"]
    with contextlib.ExitStack() as strangers:
        for port in ports[:taken]:
            with contextlib.suppress(OSError):  # a daemon of the sandbox has it: taken as well
                strangers.enter_context(socket.create_server(("", port)))
        first = next((port for port in ports[taken:] if free(port)), None)
        ended = running.end()
    assert ended.code == code, ended.err
    if code:
        assert "[agent-ports-taken]" in ended.err
        assert str(ports[0]) in ended.err
    else:
        assert json.loads(store.read(contract.agent_file(job_dir)))["port"] == first


def test_a_daemon_that_hangs(typist: Typist) -> None:
    """A NameNode or ResourceManager that takes connections and answers nothing is told before anything is begun."""
    words = typist.generic("hangs", a="true")
    with hanging("namenode"):
        refused(typist.type(*words, deadline_s=TOLD_S), "hdfs-unreachable", "no answer within 3 s")
        assert typist.type("list", deadline_s=TOLD_S).code == 0
    with hanging("resourcemanager"):
        refused(typist.type(*words, deadline_s=TOLD_S), "rm-unreachable", "no answer within 3 s")


def test_a_datanode_that_is_down(typist: Typist, tmp_path: Path) -> None:
    """A submission that no DataNode takes ends by naming it, and nothing of it is left."""
    (tmp_path / "new").write_text(os.urandom(8).hex())
    with killed("datanode"):
        ended = typist.type(*typist.generic("nodata", "--localization", f"{tmp_path}/new:./new", a="true"))
        refused(ended, "datanode-unreachable", "connection refused")
        assert "[left-behind]" not in ended.err


def test_a_namenode_that_dies_under_a_job(typist: Typist) -> None:
    """A running job goes on and ends well without HDFS; when that is back, its end is known although unrecorded."""
    running = typist.start(*typist.generic("nohdfs", a="echo up; sleep 5; echo done"))
    running.wait_line("[a:0] up")
    with killed("namenode"):
        refused(typist.type(*typist.generic("more", a="true"), deadline_s=TOLD_S), "hdfs-unreachable", "refused")
        ended = running.end(60)
        assert ended.code == 0, ended.err
        assert "[a:0] done" in ended.out
    shown = typist.type("show", "nohdfs", "--json")
    assert shown.code == 0, shown.err
    assert (shown.json()["state"], shown.json()["exit_code"]) == ("SUCCEEDED", 0)


def test_a_resourcemanager_that_dies_under_a_job(typist: Typist) -> None:
    """A running job and who follows it do not need the ResourceManager; every other command says that it is away."""
    running = typist.start(*typist.generic("norm", a="echo up; sleep 6; echo done"))
    running.wait_line("[a:0] up")
    with killed("resourcemanager"):
        refused(typist.type(*typist.generic("more", a="true"), deadline_s=TOLD_S), "rm-unreachable", "refused")
        refused(typist.type("list", deadline_s=TOLD_S), "rm-unreachable")
        refused(typist.type("show", "norm", deadline_s=TOLD_S), "rm-unreachable")
    ended = running.end(60)
    assert ended.code == 0, ended.err
    assert "[a:0] done" in ended.out
    assert typist.type("show", "norm", "--json").json()["state"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("how", "whose", "code"), [("killed", "task", 0), ("hanging", "task", 0), ("killed", "agent", 76)]
)
def test_a_nodemanager_that_goes_under_a_job(
    typist: Typist, sandbox: SandboxInfo, how: str, whose: str, code: int
) -> None:
    """A task outlives its NodeManager; the agent's is YARN's word for a job that has one ApplicationMaster only."""
    last_s = 60 if whose == "agent" else 15  # YARN misses a node after 13 s
    command = f"echo up; sleep {last_s}; echo done"
    words = typist.generic("nonode", "--am_attempts", "1", memory=NOT_WITH_THE_AGENT, a=command)
    running = typist.start(*words)
    application_id, job_id = submitted(running)
    running.wait_line("[a:0] up")
    app = site_of(sandbox).resource_manager.get_app(application_id)
    assert app is not None
    nodes = {node.http: node.name for node in sandbox.nodes}
    agents = nodes.pop(app.am_node_http)
    (tasks,) = nodes.values()
    lost = killed if how == "killed" else hanging
    with lost(agents if whose == "agent" else tasks):
        ended = running.end(60)
    assert ended.code == code, ended.err
    shown = typist.type("show", job_id, "--json").json()
    assert shown["exit_code"] == code
    if code:
        assert "[am-lost]" in ended.err
        assert "lost* node" in ended.err
        assert "(origin: yarn)" in ended.err
        assert shown["problem"] == "am-lost"
    elif how == "killed":
        assert "the output of a:0 cannot be shown now (The NodeManager at " in ended.err
