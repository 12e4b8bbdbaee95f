"""Jobs that lose something and go on: programs, executors, ApplicationMasters, gangs; and what is never tried again."""

from __future__ import annotations

import os
import re
import signal
import textwrap
from pathlib import Path

import pytest
from cluster.leftovers import container_processes, site_of
from cluster.typing_jobs import Running, Typist, until

from am.contract import job as contract
from yarn_submitter.sandbox import SandboxInfo

# Fails in every attempt but the third.
THIRD_TIME = "echo attempt $ATTEMPT; echo said by $ATTEMPT >&2; [ $ATTEMPT = 3 ] || exit 7"


def workers(name: str, command: str, *words: str, count: int = 2, memory: str = "128M") -> list[str]:
    """Return the words of a job of like workers."""
    role = f"w:instances={count},memory={memory}"
    start = ["run", "--name", name, "--framework", "generic", "--num_workers", "0"]
    return [*start, "--role", role, *words, "--role_cmd", f"w={command}"]


def processes_of(sandbox: SandboxInfo, pattern: str) -> list[int]:
    """Return the pids of the job's processes whose command holds `pattern`."""
    found = container_processes(sandbox)
    return [pid for pid, command in found.items() if pattern in command and not command.split()[0].endswith("bash")]


def kill(sandbox: SandboxInfo, pattern: str) -> None:
    """Kill one of the job's processes with SIGKILL."""
    pids = processes_of(sandbox, pattern)
    assert pids, f"no process with {pattern}"
    os.kill(pids[0], signal.SIGKILL)


def attempts(typist: Typist, job: str) -> dict[str, list[tuple[int, str]]]:
    """Return task -> (attempt, state) of each of its attempts."""
    tasks = typist.type("show", job, "--attempts", "--json").json()["tasks"]
    return {task["task"]: [(each["attempt"], each["state"]) for each in task["attempts"]] for task in tasks}


def test_a_program_that_fails_twice_and_succeeds(typist: Typist) -> None:
    """Three rows, three readable logs; the budget is used for what failed, and the job succeeds."""
    words = ["--role_on_failure", "w=restart-task", "--max_restarts", "2"]
    ended = typist.type(*workers("thrice", THIRD_TIME, *words, count=1))
    assert ended.code == 0, ended.err
    assert "w:0 starts again in its container (attempt 2): " in ended.err
    assert "[restart 2 of 2]" in ended.err
    assert attempts(typist, "thrice") == {"w:0": [(1, "FAILED"), (2, "FAILED"), (3, "SUCCEEDED")]}
    for attempt in (1, 2, 3):
        shown = typist.type("logs", "thrice", "w:0", "--attempt", str(attempt))
        assert f"attempt {attempt}" in shown.out + shown.err, shown.err
        assert f"attempt {attempt % 3 + 1}" not in shown.out


def test_a_budget_that_is_used_up(typist: Typist) -> None:
    """The next failure is the job's, with its own code; without a budget the first one is."""
    words = ["--role_on_failure", "w=restart-task", "--max_restarts", "1"]
    ended = typist.type(*workers("twice-only", THIRD_TIME, *words, count=1))
    assert ended.code == 7, ended.err
    assert re.search(r"w:0 on .*; --max_restarts 1 is used up \[task-failed\]", ended.err), ended.err
    assert attempts(typist, "twice-only") == {"w:0": [(1, "FAILED"), (2, "FAILED")]}
    none = typist.type(*workers("none", THIRD_TIME, "--role_on_failure", "w=restart-task", count=1))
    assert none.code == 7, none.err
    assert attempts(typist, "none") == {"w:0": [(1, "FAILED")]}


def test_all_start_again_from_the_checkpoint(typist: Typist, tmp_path: Path) -> None:
    """One fails, the other is stopped; both keep their containers, and the checkpoint has what was written before."""
    written = tmp_path / "written"
    os.mkfifo(written)
    command = f"""\
        echo $ATTEMPT >> $CHECKPOINT_DIR/attempts
        if [ $YARN_SUBMITTER_INDEX = 1 ] && [ $ATTEMPT = 1 ]; then read -r _ < {written}; exit 9; fi
        if [ $ATTEMPT = 1 ]; then echo >{written}; read -r _ < <(sleep 60); fi
        echo went on after $(head -1 $CHECKPOINT_DIR/attempts)"""
    words = ["--role_on_failure", "w=restart-job", "--max_restarts", "1"]
    ended = typist.type(*workers("together", textwrap.dedent(command), *words))
    assert ended.code == 0, ended.err
    assert "every task starts again (round 2): w:1 on " in ended.err
    assert "[w:0] went on after 1" in ended.out
    assert attempts(typist, "together") == {
        "w:0": [(1, "KILLED"), (2, "SUCCEEDED")],
        "w:1": [(1, "FAILED"), (2, "SUCCEEDED")],
    }


def test_a_port_that_was_taken(typist: Typist, tmp_path: Path) -> None:
    """A program that finds its port taken within seconds gets another rendezvous, which does not count."""
    program = tmp_path / "listen.py"
    program.write_text(
        textwrap.dedent("""\
        import json, os, socket, sys
        topology = json.loads(os.environ["YARN_SUBMITTER_TOPOLOGY"])
        port = int(topology["w"][int(os.environ["YARN_SUBMITTER_INDEX"])].rpartition(":")[2])
        if os.environ["ATTEMPT"] == "1":
            thief = socket.create_server(("", port))
        socket.create_server(("", port))
        print("listens")
        """)
    )
    ended = typist.type(*workers("thief", "python3 listen.py", "--src", str(tmp_path), count=1))
    assert ended.code == 0, ended.err
    assert "[w:0] listens" in ended.out
    assert "every task starts again (round 2)" in ended.err
    assert attempts(typist, "thief") == {"w:0": [(1, "FAILED"), (2, "SUCCEEDED")]}


def running_once(typist: Typist, name: str, *words: str, memory: str = "128M") -> Running:
    """Start a job whose first attempt waits to be killed and whose next one succeeds; its start is recorded."""
    command = "echo up $ATTEMPT; [ $ATTEMPT -ge 2 ] || read -r _ < <(sleep 300)"
    running = typist.start(*workers(name, command, *words, count=1, memory=memory))
    job_id = running.wait_line("submitted ").rpartition(", id ")[2].strip()
    running.wait_line("[w:0] up 1")
    site = site_of(typist.sandbox)
    history = contract.history_dir(site.paths.job(job_id))

    def recorded() -> bool:
        segments = [entry.path for entry in site.store.list(history) if entry.path.endswith(".jsonl")]
        return any(b"TaskStarted" in site.store.read(path) for path in segments)

    until("its start is recorded", recorded)
    return running


def test_an_executor_that_is_killed(typist: Typist, sandbox: SandboxInfo) -> None:
    """Its task gets another container, without any budget; nothing of the first one lives on."""
    running = running_once(typist, "no-executor")
    kill(sandbox, "am.executor.__main__")
    ended = running.end(60)
    assert ended.code == 0, ended.err
    assert "w:0 starts again in a new container (attempt 2)" in ended.err
    assert "[w:0] up 2" in ended.out
    until("its processes are gone", lambda: not container_processes(sandbox), 20)


@pytest.mark.parametrize("victim", ["com.anaconda.skein.ApplicationMaster", "am.agent.__main__"])
def test_a_master_that_is_killed(typist: Typist, sandbox: SandboxInfo, victim: str) -> None:
    """A second ApplicationMaster goes on with the job, the client follows it, and both attempts are shown."""
    running = running_once(typist, "second-master")
    kill(sandbox, victim)
    ended = running.end(90)
    assert ended.code == 0, ended.err
    assert "ApplicationMaster 2 on " in ended.err
    assert "[w:0] up 2" in ended.out
    assert attempts(typist, "second-master") == {"w:0": [(1, "KILLED"), (2, "SUCCEEDED")]}
    until("its processes are gone", lambda: not container_processes(sandbox), 20)


def test_a_failure_is_told_once(typist: Typist, sandbox: SandboxInfo, tmp_path: Path) -> None:
    """After exit 3 YARN starts one more ApplicationMaster: it starts no task and repeats the verdict."""
    starts = tmp_path / "starts"
    ended = typist.type(*workers("failed", f"echo x >> {starts}; exit 3", count=1))
    assert ended.code == 3, ended.err
    application_id = ended.err.partition("submitted failed: ")[2].partition(",")[0]
    manager = site_of(sandbox).resource_manager

    def over() -> bool:
        app = manager.get_app(application_id)
        return app is not None and app.state in {"FINISHED", "FAILED", "KILLED"}

    until("YARN has its end", over, 60)
    app = manager.get_app(application_id)
    assert app is not None
    assert (app.final_status, starts.read_text()) == ("FAILED", "x\n")
    shown = typist.type("show", application_id, "--json").json()
    assert (shown["state"], shown["exit_code"], shown["problem"]) == ("FAILED", 3, "task-failed")


def test_two_gangs_that_block_each_other(typist: Typist) -> None:
    """Each asks for more than half of the cluster: one gives back what it has, and both finish."""
    words = ["--gang_timeout", "8s"]
    both = [typist.start(*workers(f"gang-{name}", "sleep 1", *words, count=5, memory="1800M")) for name in "ab"]
    ended = [running.end(150) for running in both]
    assert [each.code for each in ended] == [0, 0], ended[0].err + ended[1].err


def test_a_gang_that_is_not_complete_in_time(typist: Typist) -> None:
    """With --gang_tries it fails in the end, and says which role is short by how many, in which queue."""
    words = ["--gang_timeout", "4s", "--gang_tries", "1", "--force"]
    ended = typist.type(
        *workers(
            "part",
            "true",
            *words,
            count=9,
            memory="1800M",
        )
    )
    assert ended.code == 75, ended.err
    assert "[gang-timeout]" in ended.err
    assert " of 9 w (" in ended.err
    assert "every container is given back, and asked for again at " in ended.err


def test_an_elastic_role_starts_with_what_there_is(typist: Typist) -> None:
    """Asked for 2 to 12 where 8 fit: those start, know of one another, and are the job."""
    role = ["--role", "w:instances=2:12,memory=1800M", "--role_cmd"]
    command = 'w=echo "$YARN_SUBMITTER_TOPOLOGY" | tr , "\\n" | wc -l'
    ended = typist.type("run", "--name", "elastic", "--framework", "generic", "--num_workers", "0", *role, command)
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.out.splitlines() if line.startswith("[w:0] ")]
    assert 2 <= int(line.split()[-1]) < 12


def test_an_elastic_role_whose_tasks_are_lost(typist: Typist, tmp_path: Path) -> None:
    """One of its workers comes back alone; worker 0, at which they all meet, with everybody."""
    may_end = tmp_path / "may-end"
    command = f"echo $PPID > {tmp_path}/new.$RANK; mv {tmp_path}/new.$RANK {tmp_path}/$RANK.$ATTEMPT"
    command += f"; until [ -e {may_end} ]; do sleep 0.2; done"
    words = ["run", "--name", "elastic-lost", "--framework", "pytorch", "--input_path", "", "--num_workers", "2:3"]
    running = typist.start(*words, "--worker_resources", "memory=256M", "--worker_launch_cmd", command)

    def executor(rank: int, attempt: int) -> int:
        path = tmp_path / f"{rank}.{attempt}"
        until(f"{path.name} runs", path.exists, 60)
        return int(path.read_text())

    executors = [executor(rank, 1) for rank in range(3)]
    os.kill(executors[1], signal.SIGKILL)
    executor(1, 2)
    os.kill(executors[0], signal.SIGKILL)
    for rank, attempt in ((0, 2), (1, 3), (2, 2)):
        executor(rank, attempt)
    may_end.touch()
    ended = running.end(60)
    assert ended.code == 0, ended.err
    assert "worker:1 starts again in a new container (attempt 2): " in ended.err
    assert "every task starts again (round 2): worker:0 on " in ended.err
    assert attempts(typist, "elastic-lost") == {
        "worker:0": [(1, "FAILED"), (2, "SUCCEEDED")],
        "worker:1": [(1, "FAILED"), (2, "KILLED"), (3, "SUCCEEDED")],
        "worker:2": [(1, "KILLED"), (2, "SUCCEEDED")],
    }


def test_roles_that_wait_for_others(typist: Typist) -> None:
    """`depends_on` lets training begin when what it needs has succeeded; `first-come` waits for nobody."""
    roles = [
        *("--role", "prepare:instances=1,memory=128M", "--role_start", "prepare=first-come"),
        *("--role", "train:instances=1,memory=128M", "--role_depends_on", "train=prepare:succeeded"),
        *("--role_cmd", "prepare=sleep 2; date +%s.%N", "--role_cmd", "train=date +%s.%N"),
    ]
    words = ["run", "--name", "order", "--framework", "generic", "--num_workers", "0", *roles, "--logs", "all"]
    ended = typist.type(*words)
    assert ended.code == 0, ended.err
    when = dict(line.split() for line in ended.out.splitlines() if line.startswith("["))
    assert float(when["[prepare:0]"]) < float(when["[train:0]"])


def test_a_program_that_stands_still(typist: Typist) -> None:
    """With --stall_timeout a program that writes nothing for so long is stopped, and named."""
    ended = typist.type(*workers("still", "echo up; read -r _ < <(sleep 300)", "--stall_timeout", "3s", count=1))
    assert ended.code == 75, ended.err
    assert "[program-stalled]" in ended.err
    assert "w:0 on " in ended.err
