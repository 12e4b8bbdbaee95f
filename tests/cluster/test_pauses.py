"""What is halted (SIGSTOP) and not killed: a program, the agent, a client. It keeps its connections and is silent."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from cluster.leftovers import container_processes, site_of
from cluster.test_restarts import attempts, workers
from cluster.typing_jobs import Running, Typist, until

from yarn_submitter.sandbox import SandboxInfo

TICKS = "echo up $$; while :; do echo tick; sleep 0.2; done"
AGENT = "am.agent.__main__"
GRACE_S = 2  # from TERM to KILL: a halted program takes no TERM
TOLD_S = 25.0  # beyond the grace, and less than the grace that is used where none is given


def up(running: Running) -> tuple[str, str]:
    """Return the application id, and what the job's first task says with its first line."""
    application_id = running.wait_line("submitted ").partition(": ")[2].partition(",")[0]
    return application_id, running.wait_line("[w:0] up ").partition(" up ")[2].strip()


def processes_of_job(sandbox: SandboxInfo, application_id: str, pattern: str = "") -> list[int]:
    """Return the pids of one job's processes whose command holds `pattern`."""
    found = []
    for pid, command in container_processes(sandbox).items():
        with contextlib.suppress(OSError):
            if pattern in command and application_id in os.readlink(f"/proc/{pid}/cwd"):
                found.append(pid)
    return found


def agent_of(sandbox: SandboxInfo, application_id: str) -> int:
    """Return the pid of a job's agent."""
    found = processes_of_job(sandbox, application_id, AGENT)
    (agent,) = (pid for pid in found if not Path(f"/proc/{pid}/comm").read_text().startswith("bash"))
    return agent


@contextlib.contextmanager
def halted(*pids: int) -> Iterator[None]:
    """Halt processes during the block; what has ended within it is not woken."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_a_program_that_is_halted(typist: Typist, sandbox: SandboxInfo) -> None:
    """It writes nothing, so `--stall_timeout` names it, and so does `job kill` end it: by KILL, after the grace."""
    grace = ["--stop_grace", f"{GRACE_S}s", "--am_attempts", "1"]
    stalls = typist.start(*workers("halted", TICKS, "--stall_timeout", "3s", *grace, count=1))
    os.killpg(int(up(stalls)[1]), signal.SIGSTOP)
    killed = typist.start(*workers("halted-killed", TICKS, *grace, count=1))
    os.killpg(int(up(killed)[1]), signal.SIGSTOP)
    began = time.monotonic()
    typist.type("kill", "halted-killed")
    ended = killed.end(30)
    assert time.monotonic() - began < GRACE_S + TOLD_S
    assert ended.code == 137, ended.err
    assert "[job-killed]" in ended.err
    ended = stalls.end(30)
    assert ended.code == 75, ended.err
    assert "job halted FAILED: w:0 on 127.0.0.1" in ended.err
    assert "[program-stalled]" in ended.err
    until("no process of them lives", lambda: not container_processes(sandbox), 30)


def test_an_agent_that_is_halted(typist: Typist, sandbox: SandboxInfo, tmp_path: Path) -> None:
    """A short halt changes nothing; in a long one tasks end their programs, and the agent, woken, starts them again."""
    may_end, starts = tmp_path / "may-end", tmp_path / "starts"
    wait = f"until [ -e {may_end} ]; do sleep 0.2; done; echo done"
    patient = typist.start(*workers("patient", f"echo up $$; echo p >> {starts}; {wait}", count=1))
    short, _ = up(patient)
    silence = ["--set", "limits.silence_s=4"]
    again = f"echo i$ATTEMPT >> {starts}; echo up $$; [ $ATTEMPT = 2 ] || {{ {wait}; }}"
    impatient = typist.start(*workers("impatient", again, *silence, count=1))
    long, program = up(impatient)
    with halted(agent_of(sandbox, short), agent_of(sandbox, long)):
        until("its program is ended", lambda: not Path(f"/proc/{program}").exists(), 30)
    ended = impatient.end(60)
    assert ended.code == 0, ended.err
    assert "w:0 starts again in a new container (attempt 2): w:0 on " in ended.err
    may_end.touch()
    unharmed = patient.end(30)
    assert unharmed.code == 0, unharmed.err
    assert "starts again" not in unharmed.err
    assert sorted(starts.read_text().split()) == ["i1", "i2", "p"]
    assert attempts(typist, "impatient") == {"w:0": [(1, "FAILED"), (2, "SUCCEEDED")]}
    assert attempts(typist, "patient") == {"w:0": [(1, "SUCCEEDED")]}


def test_a_client_that_is_halted(typist: Typist, sandbox: SandboxInfo, tmp_path: Path) -> None:
    """Woken long after the job's end it still shows all that was written: it finds it where YARN has brought it."""
    may_end = tmp_path / "may-end"
    command = f"echo up $$; until [ -e {may_end} ]; do sleep 0.1; done; seq 1000; printf last; exit 3"
    running = typist.start(*workers("sleepy", command, count=1))
    application_id, _ = up(running)
    manager = site_of(sandbox).resource_manager
    with halted(running.process.pid):
        may_end.touch()
        until("its logs are aggregated", lambda: manager.get_app(application_id).log_aggregation == "SUCCEEDED", 60)
    ended = running.end(30)
    assert ended.code == 3, ended.err
    output = [line for line in ended.out.splitlines() if line.startswith("[w:0] ")]
    assert output[1:] == [*(f"[w:0] {number}" for number in range(1, 1001)), "[w:0] last"]


def test_a_job_whose_agent_is_halted_is_killed(typist: Typist, sandbox: SandboxInfo) -> None:
    """`job kill` does not wait for who does not answer: YARN ends the application, the halted agent with it."""
    running = typist.start(*workers("no-answer", TICKS, "--stop_grace", f"{GRACE_S}s", count=1))
    application_id, _ = up(running)
    with halted(agent_of(sandbox, application_id)):
        said = typist.type("kill", "no-answer", deadline_s=60)
        ended = running.end(30)
        assert said.code == 0, said.err
        assert ended.code == 137, ended.err
        until("no process of it lives", lambda: not processes_of_job(sandbox, application_id), 30)
