"""A real executor process in a made-up container, against a small agent over TLS."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from executor_world import SECRET, FakeAgent, group_gone, plan

from am.contract import job, wire
from am.executor.process import problem_of


@pytest.fixture
def container(agent, container_of):
    """Makes a container of a job with this agent; changes are the plan's."""
    return lambda **changes: container_of(plan(**{"agent_ports": (agent.port,), **changes}))


def test_a_task_registers_starts_with_the_topology_and_reports_its_exit(agent, container):
    """The agent hears registration, pid, exit code with the last lines of stderr, and done, in this order."""
    here = container(command='echo "$YARN_SUBMITTER_TOPOLOGY"; echo oops >&2; exit 3')
    process = here.start()
    me = agent.told(wire.Register)
    assert (me.role, me.container_id, me.host, me.node_http, me.user) == (
        "worker",
        "container_1_0001_01_000002",
        "127.0.0.1",
        "127.0.0.1:8042",
        "alice",
    )
    assert me.pid == process.pid
    assert len(me.ports) == 1
    agent.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.tail, exit_.problem) == (3, "oops", "")
    assert agent.told(wire.Done) == wire.Done(me.container_id, 0, 0)
    assert here.end() == 3
    assert json.loads(here.out()) == {"worker": [f"127.0.0.1:{me.ports[0]}"]}
    kinds = [type(message).__name__ for message in agent.said if not isinstance(message, wire.Beat)]
    assert kinds == ["Register", "Exit", "Done"]
    assert here.log() == ""


def test_the_pid_comes_at_once_and_not_after_a_held_beat(agent, container):
    """The beat with the command's pid is sent while the command runs, long before a held beat would end."""
    here = container(command="echo $$; read -r line <gate")
    os.mkfifo(here.directory / "gate")
    here.start()
    agent.start()
    beat = agent.told(wire.Beat, lambda beat: beat.pid)
    with (here.directory / "gate").open("w") as gate:
        gate.write("go\n")
    assert here.end() == 0
    assert here.out() == f"{beat.pid}\n"


def test_the_environment_is_the_containers_ours_and_the_users(agent, container):
    """Identity is ours whatever the user sets; HOME, TMPDIR and the carried directories are there and writable."""
    env = {"A": "1,2 = x", "OUTPUT_DIR": "/mine", "YARN_SUBMITTER_INDEX": "7", "TF_CONFIG": "{}"}
    here = container(command="python3 -c 'import os, json; print(json.dumps(dict(os.environ)))'", env=env)
    agent.index = 0
    here.start(SPECIAL="kept")
    agent.start()
    assert here.end() == 0
    found = json.loads(here.out())
    assert found["A"] == "1,2 = x"
    assert found["SPECIAL"] == "kept"
    assert found["OUTPUT_DIR"] == "/mine"
    assert found["YARN_SUBMITTER_INDEX"] == "0"
    assert found["YARN_SUBMITTER_JOB"] == "application_1_0001"
    assert found["HOST_NAME"] == "worker-0"
    assert found["PYTHONUNBUFFERED"] == "1"
    assert "INPUT_PATH" not in found
    for name in ("HOME", "TMPDIR", "MODEL_DIR", "CHECKPOINT_DIR", "JOB_STATE_DIR"):
        assert os.access(found[name], os.W_OK), name
        assert found[name].startswith(str(here.directory))
    assert SECRET not in json.dumps(found)
    assert wire.task_token(SECRET) not in json.dumps(found)


def test_the_command_inherits_no_descriptor_of_ours(agent, container):
    """Only stdin, stdout and stderr are open in the command: no connection, no held port, no lifeline."""
    here = container(command="ls /proc/$$/fd; read -r line; echo $?")
    here.start()
    agent.start()
    assert here.end() == 0
    assert here.out().split() == ["0", "1", "2", "1"]


@pytest.mark.parametrize(
    ("command", "code", "problem"),
    [
        ("no-such-command-here", 127, "command-not-found"),
        ("./fit.sh", 126, "command-not-executable"),
        ("exit 127", 127, ""),
        ("kill -9 $$", 137, ""),
    ],
)
def test_a_command_that_cannot_run_has_its_problem(agent, container, command, code, problem):
    """127 and 126 are the shell's only when its last words say so."""
    here = container(command=command)
    (here.directory / "fit.sh").write_text("true\n")
    here.start()
    agent.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (code, problem)
    assert here.end() == code


@pytest.mark.parametrize(
    "line",
    [
        "OSError: [Errno 98] Address already in use",
        "DistNetworkError: The server socket has failed to listen. port: 295, code: -98, name: EADDRINUSE, message: -",
        "[W socket.cpp:426] The server socket has failed to bind to 0.0.0.0:29500 (errno: 98 - Adresse belegt).",
        'E chttp2_server.cc:1045] {"description":"Unable to configure socket","os_error":"Address already in use"}',
        "van.cc:356: Check failed: my_node_.port != -1 (-1 vs. -1) : bind failed",
    ],
)
def test_a_taken_port_is_known_by_what_frameworks_print(line):
    """Only of a program that failed, and soon: later the words may be about anything."""
    tail = f"Traceback\n{line}\nmore"
    assert problem_of(1, tail, 9.0) == "address-in-use"
    assert problem_of(0, tail, 9.0) == ""
    assert problem_of(1, tail, 11.0) == ""
    assert problem_of(1, "ValueError: loss 0.98 of 98", 1.0) == ""


def test_a_task_that_ignores_term_is_killed_after_its_grace(agent, container):
    """STOP is TERM at once, KILL to the whole group after the grace, then exit and done."""
    stubborn = "(trap '' TERM; exec sleep 600) & trap 'echo term' TERM; echo $! >said; while :; do wait; done"
    here = container(command=stubborn)
    here.start()
    agent.start()
    inner = int(here.hear()[0])
    began = time.monotonic()
    agent.order(wire.STOP, grace_s=0.5, upload_s=5.0)
    exit_ = agent.told(wire.Exit)
    assert exit_.code == 137
    assert time.monotonic() - began >= 0.5
    assert here.end() == 137
    assert here.out().split() == ["term"]
    group_gone([inner])


def test_what_outlives_its_shell_has_the_rest_of_the_grace(agent, container):
    """TERM ends the shell at once; the program below it may still save what it has, and the exit is told before."""
    trap = """trap 'trap "" TERM; read -r go <gate; echo saved; exit' TERM"""  # a second TERM comes with the sweep
    saving = f"(sleep 600 & {trap}; echo $BASHPID >said; while :; do wait; done) & wait"
    here = container(command=saving)
    os.mkfifo(here.directory / "gate")
    here.start()
    agent.start()
    inner = int(here.hear()[0])
    agent.order(wire.STOP, grace_s=100.0, upload_s=5.0)
    assert agent.told(wire.Exit).code == 143
    os.kill(inner, 0)
    with (here.directory / "gate").open("w") as gate:
        gate.write("go\n")
    assert here.end() == 143
    assert here.out() == "saved\n"


def test_a_task_that_obeys_term_ends_at_once_with_143(agent, container):
    """No grace is waited for when nothing is left of the command."""
    here = container(command="sleep 600")
    here.start()
    agent.start()
    agent.told(wire.Beat, lambda beat: beat.pid)
    agent.order(wire.STOP, grace_s=100.0, upload_s=5.0)
    assert agent.told(wire.Exit).code == 143
    assert here.end() == 143


def test_the_last_words_are_those_of_stderr_or_else_of_stdout(agent, container):
    """A program that says on stdout why it fails is heard, too."""
    here = container(command="echo why; exit 3")
    here.start()
    agent.start()
    assert agent.told(wire.Exit).tail == "why"
    assert here.end() == 3


def test_what_a_command_leaves_in_its_group_is_ended(agent, container):
    """A background process does not outlive its task."""
    here = container(command="sleep 600 & echo $!")
    here.start()
    agent.start()
    assert here.end() == 0
    group_gone([int(here.out())])


def test_what_a_command_starts_in_sessions_of_their_own_is_ended(agent, container):
    """As torchrun starts its workers: they do not outlive their task either, whether they obey TERM or not."""
    here = container(command="setsid sleep 600 & echo $!; (trap '' TERM; exec setsid sleep 601) & echo $!")
    here.start()
    agent.start()
    assert here.end() == 0
    group_gone([int(word) for word in here.out().split()])


def test_leave_kills_what_runs_and_exits_0(agent, container):
    """The agent's LEAVE needs no report."""
    here = container(command="echo $$; trap '' TERM; while :; do sleep 600; done")
    here.start()
    agent.start()
    beat = agent.told(wire.Beat, lambda beat: beat.pid)
    agent.order(wire.LEAVE)
    assert here.end() == 0
    group_gone([beat.pid])
    assert not [message for message in agent.said if isinstance(message, wire.Exit)]


def test_a_task_stopped_before_its_start_ends_without_running(agent, container):
    """STOP while waiting for the gang: exit 143, no command."""
    here = container(command="echo ran")
    here.start()
    agent.told(wire.Beat)
    agent.order(wire.STOP, grace_s=5.0, upload_s=5.0)
    assert agent.told(wire.Exit).code == 143
    assert here.end() == 143
    assert not (here.logs / "stdout").exists()


def test_another_jobs_agent_is_never_believed(agent, certificates, container):
    """The first port answers with another certificate; the second is ours."""
    stranger = FakeAgent(*certificates["another"])
    try:
        here = container(agent_ports=(1, stranger.port, agent.port))
        here.start()
        agent.start()
        assert here.end() == 0
        assert stranger.said == []
    finally:
        stranger.vanish()


def test_no_agent_within_the_deadline_is_a_sentence_and_76(certificates, container):
    """However many agents of other jobs answer; test_executor_link has why each is none."""
    stranger = FakeAgent(*certificates["another"])
    try:
        here = container(agent_ports=(stranger.port,), limits={"registration_s": 1})
        here.start()
        assert here.end() == 76
        assert "was not reached within 1 s" in here.log()
        assert "Traceback" not in here.log()
    finally:
        stranger.vanish()


def test_an_executor_whose_agent_vanishes_kills_its_command(agent, container):
    """After `silence_s` without an answer nothing of the task lives; the executor's log says why."""
    here = container(command="echo $$; sleep 600", limits={"silence_s": 3})
    here.start()
    agent.start()
    beat = agent.told(wire.Beat, lambda beat: beat.pid)
    agent.vanish()
    assert here.end() == 76
    group_gone([beat.pid])
    assert "silent for 3 s" in here.log()


def test_a_killed_executor_leaves_nothing_behind(agent, container):
    """SIGKILL to the executor alone: the guardian ends the command's whole group, and itself."""
    here = container(command="trap '' TERM; (exec sleep 600) & echo $! $$ >said; wait")
    process = here.start()
    agent.start()
    pids = [int(word) for word in here.hear()]
    helpers = children_of(process.pid)
    assert len(helpers) == 2, "the command and its guardian"
    process.kill()
    group_gone([*pids, *helpers])


def test_term_from_the_node_stops_the_command(agent, container):
    """The NodeManager's TERM is passed on, the exit reported."""
    here = container(command="echo $$; sleep 600")
    process = here.start()
    agent.start()
    agent.told(wire.Beat, lambda beat: beat.pid)
    process.send_signal(signal.SIGTERM)
    assert agent.told(wire.Exit).code == 143
    assert here.end() == 143


def test_a_container_too_many_leaves_quietly(agent, container):
    """409 at registration: all tasks of the role are taken."""
    agent.refuse = {"register": 409}
    here = container()
    here.start()
    assert here.end() == 0
    assert "the job has ended" in here.log()


def test_a_broken_source_archive_is_the_tasks_exit(agent, container):
    """73 with the problem's id and a sentence; the command never runs."""
    here = container(command="echo ran", has_source=True)
    (here.directory / job.SOURCE_ARCHIVE).write_bytes(b"\x1f\x8b\x08 not really")
    here.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (73, "source-archive-broken")
    assert "source archive cannot be unpacked" in exit_.tail
    assert here.end() == 73
    assert not (here.logs / "stdout").exists()


def test_no_log_directory_is_the_tasks_exit(agent, container):
    """A node without a log directory that can be written to is named."""
    here = container()
    here.start(LOG_DIRS="/nowhere")
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (76, "no-log-directory")
    assert here.end() == 76


def test_a_command_too_long_for_the_kernel_is_a_sentence(agent, container):
    """The kernel's refusal to start the shell is the task's exit, and the guardian goes home."""
    here = container(command="true " + "x" * 200_000)
    here.start()
    agent.start()
    exit_ = agent.told(wire.Exit)
    assert (exit_.code, exit_.problem) == (76, "task-cannot-start")
    assert here.end() == 76


def children_of(pid):
    """Return the process ids of a process's children."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, children.read_text().split())
    return found
