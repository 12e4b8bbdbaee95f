"""Jobs from a program on the real sandbox: submitted, followed, found again, killed, their results as they come."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.typing_jobs import Typist, until

import yarn_submitter
from yarn_submitter import Ask, JobSpec, LimitError, LogLine, RoleSpec, UsageError

ROOT = Path(__file__).parent.parent.parent
SMALL = Ask.of("memory=256M")
SLEEPER = "echo ready; echo warned >&2; exec sleep 300"
# Another process of the same user: finds the job by its name and waits for its end.
ATTACH = """
import sys, yarn_submitter
job = yarn_submitter.attach(sys.argv[1])
print(job.id, job.state, flush=True)
verdict = job.wait(timeout_s=120)
print(verdict.state, verdict.exit_code, verdict.message, flush=True)
"""


@pytest.fixture
def here(typist: Typist, monkeypatch: pytest.MonkeyPatch) -> Typist:
    """This process, with HADOOP_CONF_DIR at the sandbox."""
    for name in ("HADOOP_CONF_DIR", "JAVA_HOME", "PATH"):
        monkeypatch.setenv(name, typist.environment[name])
    return typist


@pytest.fixture
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is printed, not by a thread, a program that was started, or a warning."""
    capfd.readouterr()
    yield
    assert tuple(capfd.readouterr()) == ("", "")


def test_five_jobs_and_their_results_as_they_come(here: Typist) -> None:
    """The example as it is typed: four results and a best one, and the fifth job fails with its program's own code."""
    command = [sys.executable, str(ROOT / "examples" / "api" / "five_jobs.py")]
    ended = subprocess.run(
        command, env=here.environment, cwd=here.directory, capture_output=True, text=True, check=False, timeout=200
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    *came, best = ended.stdout.splitlines()
    assert sorted(line.partition(":")[0] for line in came) == [
        f"descend-{step_size}" for step_size in (0.01, 0.05, 0.1, 0.3, 3.0)
    ]
    assert "descend-3.0: exit code 3, step size 3 diverges at step 7" in came
    assert best == "best: descend-0.3"


@pytest.mark.usefixtures("silent")
def test_a_job_is_submitted_followed_attached_and_killed(here: Typist) -> None:
    """One job through a handle, without a word printed; another process sees the same end."""
    told: list[str] = []
    spec = JobSpec("by-hand", "generic", (RoleSpec("a", 2, SMALL, SLEEPER), RoleSpec("b", 1, SMALL, SLEEPER)))
    job = yarn_submitter.submit(spec, progress=told.append)
    assert told
    output = job.logs("a", follow=True)
    assert {next(output) for _ in range(4)} == {LogLine(f"a:{n}", text) for n in (0, 1) for text in ("ready", "warned")}
    beside = job.logs("b", follow=True)
    assert {next(beside) for _ in range(2)} == {LogLine("b:0", "ready"), LogLine("b:0", "warned")}
    assert job.state == "RUNNING"
    with pytest.raises(LimitError, match="wait-timeout"):
        job.wait(timeout_s=0.2)
    assert {name: task.state for name, task in job.tasks.items()} == dict.fromkeys(("a:0", "a:1", "b:0"), "RUNNING")
    assert sorted(job.urls) == ["a:0", "a:1", "application", "b:0"]
    for page in job.urls.values():
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert answer.status == 200
    command = [sys.executable, "-c", ATTACH, "by-hand"]
    with subprocess.Popen(
        command, env=here.environment, cwd=here.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stderr is not None
        assert other.stdout.readline().split() == [job.id, "RUNNING"]
        assert job.kill("others were better") == "agent"
        verdict = job.wait(timeout_s=60)
        assert other.stdout.readline() == f"KILLED 137 {verdict.message}\n"
        assert other.stderr.read() == ""
    assert "others were better" in verdict.message
    assert list(output) == list(beside) == []
    until("its agent is gone", lambda: job.kill("again") == "resourcemanager", 20)
    assert job.state == "KILLED"
    assert sorted(job.logs("b")) == [LogLine("b:0", "ready"), LogLine("b:0", "warned")]
    (listed,) = yarn_submitter.list_jobs(name="by-hand")
    assert (listed.id, listed.application_id, listed.state) == (job.id, job.application_id, "KILLED")


@pytest.mark.usefixtures("silent", "here")
def test_threads_submit_and_wait_at_once(tmp_path: Path) -> None:
    """Two jobs submitted by two threads; the one that ends first comes first; a failed one keeps its code and words."""
    go = tmp_path / "go"
    os.mkfifo(go)
    commands = {"slow": f"read -r _ < {go}; echo done", "fails": "echo why >&2; exit 7"}
    jobs: dict[str, yarn_submitter.Job] = {}

    def submit(name: str, command: str) -> None:
        jobs[name] = yarn_submitter.submit(JobSpec(name, "generic", (RoleSpec("a", 1, SMALL, command),)))

    threads = [threading.Thread(target=submit, args=item) for item in commands.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = []
    for job in yarn_submitter.as_completed(jobs.values(), timeout_s=120):
        ended.append((job.name, job.wait().exit_code))
        if job.name == "fails":
            go.write_text("\n")
    assert ended == [("fails", 7), ("slow", 0)]
    verdict = jobs["fails"].verdict
    assert verdict is not None
    assert (verdict.state, verdict.task, verdict.tail) == ("FAILED", "a:0", "why")
    assert list(jobs["slow"].logs()) == [LogLine("a:0", "done")]
    assert list(yarn_submitter.attach(jobs["slow"].application_id).logs(follow=True)) == [LogLine("a:0", "done")]


@pytest.mark.usefixtures("silent", "here")
def test_what_can_never_run_is_refused_as_on_the_command_line() -> None:
    """The same problem and exit code as `job run`; nothing was submitted."""
    spec = JobSpec("too-large", "generic", (RoleSpec("a", 1, Ask.of("memory=900G"), "true"),), queue="no-such-queue")
    with pytest.raises(UsageError) as refused:
        yarn_submitter.submit(spec)
    assert refused.value.exit_code == 64
    assert {"memory-too-large", "queue-unknown"} & {problem.id for problem in refused.value.problems}
    assert yarn_submitter.list_jobs(name="too-large") == []
