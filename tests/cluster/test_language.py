"""What a job's text says beyond roles and commands, on the real sandbox: secrets, properties, limits, a TensorBoard."""

from __future__ import annotations

import json
import re
import signal
import urllib.request

import pytest
from cluster.leftovers import site_of
from cluster.typing_jobs import Typist, until

from yarn_submitter.sandbox import SandboxInfo

SECRET = "open-sesame-4711"
# A stand-in for the package: what matters here is that it is started with the right address and sees what is sent.
BOARD = """\
import argparse, functools, http.server
parser = argparse.ArgumentParser()
for name in ("--logdir", "--host", "--port"):
    parser.add_argument(name)
args = parser.parse_args()
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=args.logdir)
http.server.ThreadingHTTPServer((args.host, int(args.port)), handler).serve_forever()
"""


def test_secrets_reach_the_task_and_nothing_else(typist: Typist, sandbox: SandboxInfo) -> None:
    """A variable and a file of mode 0400 in the task; no copy in plan, history, logs, launch script or process list."""
    (typist.directory / "key").write_text(SECRET + "\n")
    (typist.directory / "vars.env").write_text("# shared\nFROM_FILE=a b\n")
    look = (
        'test "$KEY" = ' + SECRET[::-1] + " && exit 9; "  # the text itself must not stand in the command
        'echo "$KEY" | rev; stat -c %a key.txt; rev key.txt; echo "$FROM_FILE"; '
        "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c " + SECRET[:-4] + "[4]711; "
        "grep -l " + SECRET[:9] + " *.sh ../*.sh 2>/dev/null; true"
    )
    words = typist.generic("secrets", only=look)
    ended = typist.type(*words, "--secret", "KEY=@key", "--secret", "./key.txt=@key", "--env_file", "vars.env")
    assert ended.code == 0, ended.err
    lines = re.findall(r"^\[only:0\] (.*)$", ended.out, re.MULTILINE)
    assert lines == [SECRET[::-1], "400", SECRET[::-1], "a b", "0"]
    assert SECRET not in ended.out + ended.err
    job_id = re.search(r"id (\S+)", ended.err)
    assert job_id
    site = site_of(sandbox)
    kept = [
        site.store.read(entry.path) for entry in site.store.walk(site.paths.job(job_id.group(1))) if not entry.is_dir
    ]
    assert kept
    assert not [text for text in kept if SECRET.encode() in text]


def test_a_property_reaches_the_driver(typist: Typist, sandbox: SandboxInfo) -> None:
    """--conf changes what Skein's driver reads: with a short replication its files have it."""
    started = typist.start(*typist.generic("property", only="sleep 60"), "--conf", "dfs.replication=2")
    started.wait_line("the agent is up")
    site = site_of(sandbox)
    (directory,) = site.store.list(f"/user/{site.user}/.skein")
    url = f"{site.conf.webhdfs[0]}/webhdfs/v1{directory.path}?op=LISTSTATUS&user.name={site.user}"
    with urllib.request.urlopen(url) as answer:
        found = json.load(answer)["FileStatuses"]["FileStatus"]
    assert {status["replication"] for status in found if status["type"] == "FILE"} == {2}
    assert typist.type("kill", "property").code == 0
    assert started.end().code == 137


def test_a_job_that_runs_too_long_is_ended_with_its_limit(typist: Typist) -> None:
    """--max_runtime counts from the start of the commands; the job fails with code 75 and the limit's name."""
    ended = typist.type(*typist.generic("too-long", only="exec sleep 300"), "--max_runtime", "2s")
    assert ended.code == 75
    assert "longer than its limit of 2 s" in ended.err
    assert "[runtime-limit]" in ended.err


def test_a_tensorboard_watches_and_decides_nothing(typist: Typist) -> None:
    """It serves what worker 0 put into CHECKPOINT_DIR, where `job show` says; the worker's end counts."""
    package = typist.directory / "board" / "tensorboard"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text(BOARD)
    go = typist.directory / "go"
    train = f"echo 0.25 >$CHECKPOINT_DIR/loss; mkfifo p; until [ -e {go} ]; do read -t 0.1 <>p; done; true"
    words = ["run", "--name", "board", "--input_path", "", "--worker_resources", "memory=256M", "--worker_launch_cmd"]
    board = ["--tensorboard", "--tensorboard_resources", "memory=256M", "--env", "PYTHONPATH=."]
    source = ["--src", str(typist.directory / "board")]
    started = typist.start(*words, train, *board, *source)
    started.wait_line("running")

    def shown() -> str:
        links = {link["label"]: link["url"] for link in typist.type("show", "board", "--json").json()["links"]}
        return str(links.get("TensorBoard", ""))

    address = until("the TensorBoard has an address", shown)
    assert re.fullmatch(r"http://127\.0\.0\.1\d:\d+", address)

    def served() -> bytes:
        try:
            with urllib.request.urlopen(f"{address}/loss", timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return b""

    try:
        assert until("the TensorBoard serves what was sent", served, 150) == b"0.25\n"
    finally:
        go.write_text("")
    ended = started.end()
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("link", "seen"), [("UI=https://only-0:8443/", "https://127.0.0.1"), ("Say=http://only-0:80", "http://127.0.0.1")]
)
def test_a_quicklink_names_the_tasks_host(typist: Typist, link: str, seen: str) -> None:
    """`job show` has the link with the host in place of the task's name."""
    ended = typist.type(*typist.generic("linked", only="true"), "--quicklink", link, "--json")
    assert ended.code == 0, ended.err
    (found,) = ended.json()["links"]
    assert found["label"] == link.partition("=")[0]
    assert found["url"].startswith(seen)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_ends_the_client_ends_the_job_when_that_is_asked_for(
    typist: Typist, number: signal.Signals, code: int
) -> None:
    """With --kill_on_exit the client ends as it does without, for a scheduler's SIGTERM, too, and the job is killed."""
    running = typist.start(*typist.generic("with-me", a="echo ready; sleep 300"), "--kill_on_exit")
    running.wait_line("[a:0] ready")
    running.interrupt(number)
    ended = running.end(30)
    assert ended.code == code
    assert "the job is told to end" in ended.err
    until("it is killed", lambda: typist.type("show", "with-me", "--json").json()["state"] == "KILLED", 90)


def test_a_role_whose_failures_are_ignored(typist: Typist) -> None:
    """Its task fails, the other goes on to its good end, and the job has succeeded."""
    words = typist.generic("forgiving", a="exit 3", b="sleep 3; echo went on")
    ended = typist.type(*words, "--role_on_failure", "a=ignore", "--logs", "all")
    assert ended.code == 0, ended.err
    assert "[b:0] went on" in ended.out
    assert "status: FAILED" in ended.out
