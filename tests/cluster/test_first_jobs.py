"""Plain jobs from `job run` to their exit code, on the real sandbox."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from cluster.leftovers import container_processes, site_of
from cluster.typing_jobs import Typist, until

from yarn_submitter.sandbox import SandboxInfo

SLEEPER = "echo ready; exec sleep 300"


def test_two_roles_meet_and_their_output_is_kept(typist: Typist, sandbox: SandboxInfo) -> None:
    """Two roles in pure Python find each other by the topology, on different nodes, and share only the store."""
    server = (
        "python3 -c \"import json,os,socket; t=json.loads(os.environ['YARN_SUBMITTER_TOPOLOGY']);"
        "h,p=t['server'][0].split(':'); s=socket.create_server((h,int(p))); c,_=s.accept(); d=c.recv(99);"
        "open(os.environ['OUTPUT_DIR']+'/heard','wb').write(d)\""
    )
    client = (
        "python3 -c \"import json,os,socket,time; t=json.loads(os.environ['YARN_SUBMITTER_TOPOLOGY']);"
        "h,p=t['server'][0].split(':');\n"
        "while True:\n"
        "  try: s=socket.create_connection((h,int(p)),1); break\n"
        "  except OSError: time.sleep(0.05)\n"
        "s.sendall(os.environ['NM_HOST'].encode()); open('out','w').write('mine')\""
    )
    more_than_half_a_node = "4500M"
    words = typist.generic("two-roles", "--json", memory=more_than_half_a_node, server=server, client=client)
    ended = typist.type(*words)
    assert ended.code == 0, ended.err
    shown = ended.json()
    assert shown["state"] == "SUCCEEDED"
    hosts = {task["task"]: task["host"] for task in shown["tasks"]}
    assert len(set(hosts.values())) == 2, f"the two tasks ran on one node: {hosts}"
    heard = site_of(sandbox).store.read(f"{shown['job_dir']}/output/server-0/heard")
    assert heard.decode() == hosts["client:0"]


def test_a_failing_worker_is_named_with_host_code_and_last_lines(typist: Typist) -> None:
    """A worker that exits 3 ends the job with code 3; the message names task, host, code and its last line."""
    ended = typist.type(*typist.generic("fails", good=SLEEPER, bad="echo this is why >&2; exit 3"))
    assert ended.code == 3
    assert re.search(r"bad:0 on 127\.0\.0\.1\d exited with code 3", ended.err)
    assert "| this is why" in ended.err
    assert "exit code 3 (origin: task)" in ended.err


def test_a_command_that_is_not_there_is_127_and_says_so(typist: Typist) -> None:
    """The shell's own sentence and code come through."""
    ended = typist.type(*typist.generic("missing", only="no-such-program --now"))
    assert ended.code == 127
    assert "no-such-program: command not found" in ended.err
    assert "[command-not-found]" in ended.err


def test_a_killed_job_ends_its_client_with_137(typist: Typist, sandbox: SandboxInfo) -> None:
    """`job kill` ends job and following client, in YARN's list too and with one master; no process lives after it."""
    running = typist.start(*typist.generic("killed", a=SLEEPER))
    running.wait_line("[a:0] ready")
    killed = typist.type("kill", "killed", "--json")
    assert killed.json()["state"] == "KILLED"
    ended = running.end()
    assert ended.code == 137
    assert "job killed KILLED" in ended.err
    (app,) = [app for app in site_of(sandbox).resource_manager.list_apps() if app.name == "killed"]
    assert (app.state, app.final_status) == ("KILLED", "KILLED")
    assert len(site_of(sandbox).resource_manager.app_attempts(app.id)) == 1
    until("its processes are gone", lambda: not container_processes(sandbox), 30)


def test_interrupting_the_client_leaves_the_job_alone(typist: Typist) -> None:
    """Ctrl-C ends the client with 130 and says how to come back; the job goes on and can be followed by logs -f."""
    running = typist.start(*typist.generic("goes-on", a="echo ready; read -r _ < <(sleep 6); echo finished"))
    running.wait_line("[a:0] ready")
    running.interrupt()
    ended = running.end(10)
    assert ended.code == 130
    assert "job show" in ended.err
    followed = typist.type("logs", "goes-on", "-f")
    assert followed.code == 0, followed.err
    assert "finished" in followed.out
    assert typist.type("show", "goes-on", "--json").json()["state"] in ("RUNNING", "STOPPING", "SUCCEEDED")


def test_another_shell_comes_back_without_any_java(typist: Typist, tmp_path: Path) -> None:
    """By name or id, with an empty home: show, list, logs, get and kill work, and none of them starts a JVM."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\ntouch {tmp_path}/java-was-started\nexit 1\n")
    java.chmod(0o755)
    shell = typist.another_shell(tmp_path)
    shell["PATH"] = f"{java.parent}{os.pathsep}{shell['PATH']}"
    detached = typist.type(*typist.generic("later", "--detach", a="echo kept > $OUTPUT_DIR/f; " + SLEEPER))
    application_id = detached.out.strip()
    assert re.fullmatch(r"application_\d+_\d+", application_id)
    until("it runs", lambda: typist.type("show", "later", "--json", **shell).json()["state"] == "RUNNING", 60)
    listed = typist.type("list", "--json", **shell).json()["jobs"]
    assert application_id in [job["application_id"] for job in listed]
    until("its output shows", lambda: "ready" in typist.type("logs", application_id, **shell).out)
    assert typist.type("kill", application_id, **shell).code == 0
    shown = typist.type("show", application_id, "--json", **shell).json()
    assert shown["state"] == "KILLED"
    assert "ready" in typist.type("logs", shown["id"], "a:0", **shell).out
    fetched = typist.type("get", application_id, "output/a-0/f", "--to", str(tmp_path), **shell)
    assert fetched.code == 0, fetched.err
    assert (tmp_path / "f").read_text() == "kept\n"
    assert not (tmp_path / "java-was-started").exists()


def test_a_second_identical_submit_writes_nothing_into_the_cache(typist: Typist, sandbox: SandboxInfo) -> None:
    """Objects in the cache are named by content, written once and never touched again."""
    source = typist.directory / "src"
    source.mkdir(exist_ok=True)
    (source / "hello.py").write_text("print('hello from src')\n")
    words = typist.generic("twice", "--src", str(source), a="python3 hello.py")
    store, cache = site_of(sandbox).store, site_of(sandbox).paths.cache
    first = typist.type(*words)
    assert first.code == 0, first.err
    before = [(entry.path, entry.mtime_ms) for entry in store.list(cache)]
    second = typist.type(*words)
    assert second.code == 0, second.err
    assert "[a:0] hello from src" in second.out
    assert [(entry.path, entry.mtime_ms) for entry in store.list(cache)] == before


@pytest.mark.parametrize(
    ("victim", "pattern", "code"),
    [
        ("the ApplicationMaster", "com.anaconda.skein.ApplicationMaster", 76),
        ("the agent", "am.agent.__main__", 76),
        ("an executor", "am.executor.__main__", 76),
    ],
)
def test_what_dies_by_kill_9_ends_the_job(
    typist: Typist, sandbox: SandboxInfo, victim: str, pattern: str, code: int
) -> None:
    """A job that may not start again returns with 76 and a sentence, and no process of it lives on."""
    words = ["--am_attempts", "1", "--role_on_loss", "a=fatal"]
    running = typist.start(*typist.generic("victim", *words, a=SLEEPER))
    running.wait_line("[a:0] ready")
    pids = [
        pid
        for pid, command in container_processes(sandbox).items()
        if pattern in command and not command.split()[0].endswith("bash")
    ]
    assert pids, f"no process of {victim}"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    ended = running.end(45)
    assert ended.code == code, ended.err
    assert "job victim FAILED" in ended.err
    until("its processes are gone", lambda: not container_processes(sandbox), 20)
