"""Real TensorFlow training on the real sandbox: the quickstart as a newcomer runs it, and the classic form."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.leftovers import container_processes
from cluster.typing_jobs import Typist

from yarn_submitter.sandbox import SandboxInfo

ROOT = Path(__file__).parent.parent.parent
ARCHIVE = ROOT / "build" / "quickstart" / "env.tar.gz"
TRAIN = "./env/bin/python train.py"
QUIET = ("--env", "TF_CPP_MIN_LOG_LEVEL=2", "--env", "TF_ENABLE_ONEDNN_OPTS=0")

pytestmark = pytest.mark.timeout(600)  # the first test packs TensorFlow's environment


def quickstart(sandbox: SandboxInfo, seed: int) -> tuple[str, dict[str, float]]:
    """Run the quickstart's program as make does; return what it printed and the metrics that it fetched."""
    command = [sys.executable, "examples/digits/quickstart.py", "--sandbox", sandbox.name, "--seed", str(seed)]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout, json.loads((ARCHIVE.parent / "metrics.json").read_text())


@pytest.fixture(scope="module")
def first(sandbox: SandboxInfo) -> tuple[str, dict[str, float]]:
    """The quickstart with its own seed; the environment archive is there after it."""
    return quickstart(sandbox, 1)


def test_the_quickstart_trains_on_a_ps_and_its_commands_work(first: tuple[str, dict[str, float]]) -> None:
    """Its variables lie on /job:ps, the accuracy comes back from HDFS, and the three printed commands run."""
    printed, metrics = first
    assert re.search(r"variable \S+ lies on /job:ps/", printed)
    assert metrics["accuracy"] > 0.9
    assert f"accuracy: {metrics['accuracy']:.4f}" in printed
    assert re.search(r"model: +hdfs://\S+/model$", printed, re.MULTILINE)
    commands = re.search(r"three commands to try next:\n((?:  .+\n){3})", printed)
    assert commands, printed
    for command in commands[1].splitlines():
        ended = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{command}\n{ended.stderr}"
        assert ended.stdout


def test_another_seed_gives_another_number(first: tuple[str, dict[str, float]], sandbox: SandboxInfo) -> None:
    """The number is the training's own: the seed changes it."""
    _, other = quickstart(sandbox, 2)
    assert other["accuracy"] > 0.9
    assert other["test_loss"] != first[1]["test_loss"]


def test_killing_the_ps_in_the_middle_fails_the_job_and_names_it(
    first: tuple[str, dict[str, float]], typist: Typist, sandbox: SandboxInfo
) -> None:
    """A parameter server that is killed ends the job at once with its code; nobody else is blamed."""
    words = ["run", "--name", "no-ps", "--input_path", "", "--src", str(ROOT / "examples" / "digits"), *QUIET]
    words += ["--localization", f"{ARCHIVE}#archive:./env"]
    words += ["--role", "chief:instances=1,memory=1G", "--role_cmd", f"chief={TRAIN} --epochs 100000"]
    words += ["--num_workers", "1", "--worker_resources", "memory=1G", "--worker_launch_cmd", TRAIN]
    words += ["--num_ps", "1", "--ps_resources", "memory=1G", "--ps_launch_cmd", TRAIN]
    running = typist.start(*words)
    running.wait_line("[chief:0] epoch 3", 120)
    [ps] = [pid for pid in container_processes(sandbox) if b"YARN_SUBMITTER_ROLE=ps" in environment(pid)]
    os.kill(ps, signal.SIGKILL)
    ended = running.end(30)
    assert ended.code == 137, ended.err
    assert re.search(r"job no-ps FAILED: ps:0 on 127\.0\.0\.1\d ", ended.err)


def environment(pid: int) -> bytes:
    """Return a process's environment when it is the user's program, else nothing."""
    program = Path(f"/proc/{pid}/cmdline").read_bytes()
    return Path(f"/proc/{pid}/environ").read_bytes() if b"train.py" in program and b"bash" not in program else b""


def test_a_classic_job_trains_between_graphs(
    first: tuple[str, dict[str, float]], typist: Typist, tmp_path: Path
) -> None:
    """TensorFlow 1's ps/worker form: worker 0 leads, the workers exit by themselves, the ps is stopped.

    A worker that comes when the other one has left does not wait for it.
    """
    go = tmp_path / "go"
    os.mkfifo(go)
    late = f"if [ $YARN_SUBMITTER_ROLE:$YARN_SUBMITTER_INDEX = worker:1 ]; then read -r _ < {go}; fi; {TRAIN}"
    words = ["run", "--name", "classic", "--input_path", "", "--src", str(ROOT / "examples" / "classic"), *QUIET]
    words += ["--localization", f"{ARCHIVE}#archive:./env"]
    words += ["--num_workers", "2", "--worker_resources", "memory=1G", "--worker_launch_cmd", late]
    words += ["--num_ps", "1", "--ps_resources", "memory=1G", "--ps_launch_cmd", TRAIN]
    running = typist.start(*words)
    running.wait_line("status: SUCCEEDED", 120)
    go.write_text("\n")
    ended = running.end(60)
    assert ended.code == 0, ended.err
    shown = typist.type("show", "classic", "--json").json()
    states = {task["task"]: task["state"] for task in shown["tasks"]}
    assert states == {"worker:0": "SUCCEEDED", "worker:1": "SUCCEEDED", "ps:0": "FINISHED"}
    fetched = typist.type("get", "classic", "model/metrics.json", "--to", str(typist.directory))
    assert fetched.code == 0, fetched.err
    assert json.loads((typist.directory / "metrics.json").read_text())["accuracy"] > 0.9
