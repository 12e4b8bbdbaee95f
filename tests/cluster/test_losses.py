"""What a cluster takes from jobs that go on: a node, containers for another queue, an executor that is silent.

The daemons that are killed here belong to a sandbox of this module, whose queues take containers back from one another.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.leftovers import container_processes
from cluster.test_restarts import attempts, processes_of, running_once, workers
from cluster.typing_jobs import Typist, until

from yarn_submitter.sandbox import Sandbox, SandboxInfo, SandboxSettings, find

NAME = f"losses-{os.getpid()}"
MASTER = "com.anaconda.skein.ApplicationMaster"
_PREEMPTION = "yarn.resourcemanager.monitor.capacity.preemption"
# The defaults take back a tenth of the cluster each round, after 15 s: nothing, on a small one.
PREEMPTING = {
    "yarn.resourcemanager.scheduler.monitor.enable": "true",
    f"{_PREEMPTION}.monitoring_interval": "1000",
    f"{_PREEMPTION}.max_wait_before_kill": "1000",
    f"{_PREEMPTION}.total_preemption_per_round": "1.0",
    f"{_PREEMPTION}.max_ignored_over_capacity": "0",
    f"{_PREEMPTION}.natural_termination_factor": "1.0",
}

# A real cluster waits ten minutes. Skein's ApplicationMaster lets YARN hear of it each 5 s.
IMPATIENT = {"yarn.am.liveness-monitor.expiry-interval-ms": "12000"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxInfo]:
    """A sandbox of two nodes with preemption between queues that soon gives a silent ApplicationMaster up."""
    box = Sandbox(NAME)
    try:
        yield box.up(SandboxSettings(nodes=2, properties={**PREEMPTING, **IMPATIENT}))
    finally:
        box.down(delete=True)


@pytest.fixture(scope="module")
def typist(sandbox: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Somebody who types `job ...` with HADOOP_CONF_DIR at this sandbox."""
    return Typist(sandbox, tmp_path_factory.mktemp("typist"))


def test_containers_that_another_queue_takes_back(typist: Typist, tmp_path: Path) -> None:
    """A preempted task starts again when there is room; its job's budget, which is none, is not touched."""
    may_end = tmp_path / "may-end"
    command = f"until [ -e {may_end} ]; do read -r -t 0.5 _ < <(sleep 9); done; true"
    low = typist.start(*workers("low", command, "--queue", "ml", count=5, memory="2500M"))
    low.wait_line("running")
    high = typist.type(*workers("high", "echo had room", count=3, memory="2G"))
    assert high.code == 0, high.err
    line = low.wait_line("starts again in a new container (attempt 2)")
    assert "preempted" in line
    may_end.touch()
    ended = low.end(90)
    assert ended.code == 0, ended.err
    assert "[restart " not in ended.err
    states = [state for rows in attempts(typist, "low").values() for _, state in rows]
    assert states.count("SUCCEEDED") == 5
    assert "FAILED" in states


def test_an_executor_that_stands_still(typist: Typist, sandbox: SandboxInfo) -> None:
    """After `silence_s` its task is given up and gets another container, and the first one is stopped."""
    running = running_once(typist, "silent", "--set", "limits.silence_s=6")
    (executor,) = processes_of(sandbox, "am.executor.__main__")
    os.kill(executor, signal.SIGSTOP)
    ended = running.end(90)
    assert ended.code == 0, ended.err
    assert "was not heard of for 6 s" in ended.err or "was lost" in ended.err
    assert attempts(typist, "silent") == {"w:0": [(1, "FAILED"), (2, "SUCCEEDED")]}
    until("its processes are gone", lambda: not container_processes(sandbox), 20)


def test_masters_that_stand_still(typist: Typist, sandbox: SandboxInfo) -> None:
    """YARN gives them up, with their agents: one job goes on with a second one, the other one was killed meanwhile."""
    goes_on = running_once(typist, "halted-master")
    (first,) = processes_of(sandbox, MASTER)
    killed = running_once(typist, "halted-killed")
    (second,) = set(processes_of(sandbox, MASTER)) - {first}
    for master in (first, second):
        os.kill(master, signal.SIGSTOP)
    said = typist.type("kill", "halted-killed", deadline_s=60)
    assert said.code == 0, said.err
    ended = killed.end(30)
    assert ended.code == 137, ended.err
    assert "[job-killed]" in ended.err
    ended = goes_on.end(60)
    assert ended.code == 0, ended.err
    assert "ApplicationMaster 2 on " in ended.err
    assert attempts(typist, "halted-master") == {"w:0": [(1, "KILLED"), (2, "SUCCEEDED")]}
    until("their processes are gone", lambda: not container_processes(sandbox), 20)


def test_a_node_that_goes_down_with_all_that_runs_there(typist: Typist, sandbox: SandboxInfo) -> None:
    """Its task starts again on the other node within a minute, although YARN has not noticed yet."""
    command = "echo up $ATTEMPT on $NM_HOST; [ $ATTEMPT -ge 2 ] || read -r _ < <(sleep 300)"
    words = workers("node", command, count=1, memory="6G")
    running = typist.start(*words)
    host = running.wait_line("[w:0] up 1 on ").split()[-1]
    info = find(NAME)
    assert info is not None
    (name,) = [node.name for node in sandbox.nodes if node.http.startswith(f"{host}:")]
    try:
        os.kill(info.pids[name], signal.SIGKILL)
        for pid, text in container_processes(sandbox).items():
            if "am.executor" in text or "sleep 300" in text:
                os.kill(pid, signal.SIGKILL)
        ended = running.end(120)
    finally:
        Sandbox(NAME).up()
    assert ended.code == 0, ended.err
    assert "w:0 starts again in a new container (attempt 2)" in ended.err
