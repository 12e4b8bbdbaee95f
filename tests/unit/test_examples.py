"""The examples without a cluster: what they are made of, and that their commands can be typed."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from yarn_submitter.load import load

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"

# Stands where the program `job` stands: notes what was typed, and does as the environment says.
JOB = f"""#!{sys.executable} -IS
import json, os, pathlib, signal, sys
words = sys.argv[1:]
with open(os.environ["TYPED"], "a") as file:
    file.write(json.dumps(words) + "\\n")
if words == ["pack", "--agent"]:
    sys.exit(0)
if words[0] == os.environ.get("FAILS"):
    print("job: no space is left. [cache-full]", file=sys.stderr)
    sys.exit(73)
if words[0] == "pack":
    pathlib.Path(words[-1]).write_text("archive")
if words[0] == "run" and "WAITS" in os.environ:
    try:
        print("it runs", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("detached, the job goes on")
        sys.exit(130)
if words[0] == "run":
    print("submitted digits: application_1_0001, id 20260101t000000-abcdef")
if words[0] == "get":
    pathlib.Path(words[words.index("--to") + 1], "metrics.json").write_text('{{"accuracy": 0.97, "seed": 1}}')
if words[0] == "show":
    print("Saved Model Path:  hdfs://nn:8020/jobs/20260101t000000-abcdef/model")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with the digits example, and a venv whose `job` only notes what is typed."""
    shutil.copytree(EXAMPLES / "digits", tmp_path / "examples" / "digits")
    bin_dir = tmp_path / ".venv" / "bin"
    bin_dir.mkdir(parents=True)
    (bin_dir / "python").symlink_to(sys.executable)
    (bin_dir / "job").write_text(JOB)
    (bin_dir / "job").chmod(0o755)
    return tmp_path


def quickstart(checkout: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run the quickstart there; return how it ended and what was typed."""
    typed = checkout / "typed"
    typed.write_text("")
    ended = subprocess.run(
        [".venv/bin/python", "examples/digits/quickstart.py"],
        cwd=checkout,
        env={**os.environ, "TYPED": str(typed), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended, [json.loads(line) for line in typed.read_text().splitlines()]


def environments_packed(typed: list[list[str]]) -> list[list[str]]:
    """Return the commands that packed the training's environment (the agent's is another matter)."""
    return [words for words in typed if words[0] == "pack" and "--agent" not in words]


def test_the_quickstart_types_the_commands_it_shows_and_reports_what_it_fetched(checkout: Path) -> None:
    """Sandbox and archive first, then the job, its metrics and its state; the end tells accuracy, model, commands."""
    ended, typed = quickstart(checkout)
    assert ended.returncode == 0, ended.stderr
    verbs = [words[0] for words in typed]
    assert sorted(verbs[:3]) == ["pack", "pack", "sandbox"]
    assert verbs[3:] == ["run", "get", "show"]
    text = ended.stdout.replace(" \\\n", " ")
    shown = [shlex.split(line.removeprefix("$ "))[1:] for line in text.splitlines() if line.startswith("$ ")]
    assert sorted(shown) == sorted(typed)
    assert "accuracy: 0.9700" in text
    assert "model:    hdfs://nn:8020/jobs/20260101t000000-abcdef/model" in text
    following = [shlex.split(line) for line in text.splitlines() if line.startswith("  .venv/bin/job ")]
    assert [words[1] for words in following] == ["logs", "get", "list", "sandbox"]


def test_a_repeated_quickstart_packs_nothing(checkout: Path) -> None:
    """The archive of an earlier run is used again, unless the note about how it was made says something else."""
    quickstart(checkout)
    _, typed = quickstart(checkout)
    assert not environments_packed(typed)
    (checkout / "build" / "quickstart" / "env.made-by.json").write_text("{}")
    _, typed = quickstart(checkout)
    assert environments_packed(typed)


@pytest.mark.parametrize("step", ["sandbox", "pack", "run", "get"])
def test_a_failing_step_ends_the_quickstart_with_its_exit_code(checkout: Path, step: str) -> None:
    """Its message is shown, its exit code is the quickstart's, there is no traceback, and nothing more is typed."""
    ended, typed = quickstart(checkout, FAILS=step)
    assert ended.returncode == 73
    assert "no space is left. [cache-full]" in ended.stdout
    assert f"job {step} ended with exit code 73" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    assert step in [words[0] for words in typed[-3:]]


def test_an_archive_whose_packing_failed_is_packed_again(checkout: Path) -> None:
    """A failed `job pack` leaves no note that would let the next run trust the archive."""
    quickstart(checkout)
    (checkout / "build" / "quickstart" / "env.made-by.json").write_text("{}")
    quickstart(checkout, FAILS="pack")
    _, typed = quickstart(checkout)
    assert environments_packed(typed)


def test_ctrl_c_ends_the_quickstart_after_the_commands_last_words(checkout: Path) -> None:
    """What `job run` says about coming back is shown; the exit code is 130, without a traceback."""
    environment = {**os.environ, "TYPED": str(checkout / "typed"), "WAITS": "yes"}
    command = [".venv/bin/python", "examples/digits/quickstart.py"]
    with subprocess.Popen(
        command,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        stream = running.stdout
        assert stream is not None
        before = "".join(iter(stream.readline, "it runs\n"))
        os.killpg(running.pid, signal.SIGINT)
        after = stream.read()
    assert running.returncode == 130
    assert "detached, the job goes on" in after
    assert "Traceback" not in before + after


def commands(text: str) -> list[list[str]]:
    """Return the `job` commands of a page's code blocks as words."""
    blocks = text.replace(" \\\n", " ").split("```")[1::2]
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("job ")]


def test_every_job_run_of_the_page_is_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `job run` of examples/README.md is read without a fault, and its commands name programs that are there."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    (tmp_path / "build" / "quickstart").mkdir(parents=True)
    for archive in ("quickstart/env", "mxnet", "jax"):
        (tmp_path / "build" / f"{archive}.tar.gz").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    runs = [words[2:] for words in commands((EXAMPLES / "README.md").read_text()) if words[1] == "run"]
    specs = [load(words)[0] for words in runs]
    names = ["digits", "classic", "mirrored", "ddp", "torchrun", "elastic", "mxnet", "horovod", "jax", "pi", "primes"]
    assert [spec.name for spec in specs] == names
    for spec in specs:
        for role in spec.roles:
            program = next(word for word in shlex.split(role.command) if word.endswith(".py"))
            assert (Path(spec.source_dir) / program).is_file()


def test_the_quickstart_trains_as_the_page_says(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job of the quickstart and that of examples/README.md differ in how much TensorFlow says only."""
    _, typed = quickstart(checkout)
    monkeypatch.chdir(checkout)
    run = next(words for words in typed if words[0] == "run")
    page = next(words for words in commands((EXAMPLES / "README.md").read_text()) if "digits" in words)
    ours, theirs = load(run[1:])[0], load(page[2:])[0]
    assert ours.roles == theirs.roles
    assert ours.localizations == theirs.localizations


PROGRAMS = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/*.py"))
NOT_TRAINING = ("digits/quickstart.py", "api/five_jobs.py")


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program not in NOT_TRAINING])
def test_a_training_program_is_short_and_knows_nothing_of_us(program: str) -> None:
    """Below 150 lines; it imports the standard library, its framework, numpy and scikit-learn, and nothing else."""
    text = (EXAMPLES / program).read_text()
    assert len(text.splitlines()) < 150
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    frameworks = {"pytorch": {"torch"}, "horovod": {"torch", "horovod"}, "mxnet": {"mxnet"}, "jax": {"jax"}}
    framework = frameworks.get(program.split("/", maxsplit=1)[0], {"tensorflow"})
    others = {"numpy", "sklearn", *framework} if "train" in program else set()
    assert names <= others | set(sys.stdlib_module_names)


def test_the_two_roles_of_pi_find_each_other(tmp_path: Path) -> None:
    """A server and two workers, as plain processes with a topology, leave an estimate of pi."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    topology = {"server": [f"127.0.0.1:{port}"], "worker": ["127.0.0.1:1", "127.0.0.1:2"]}

    def start(role: str, index: int) -> subprocess.Popen[str]:
        environment = {
            "YARN_SUBMITTER_TOPOLOGY": json.dumps(topology),
            "YARN_SUBMITTER_ROLE": role,
            "YARN_SUBMITTER_INDEX": str(index),
            "OUTPUT_DIR": str(tmp_path),
        }
        command = [sys.executable, str(EXAMPLES / "generic" / "pi.py"), "--darts", "20000"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    tasks = [start("worker", 0), start("server", 0), start("worker", 1)]
    try:
        for task in tasks:
            said, _ = task.communicate(timeout=60)
            assert task.returncode == 0, said
    finally:
        for task in tasks:
            task.kill()
            task.wait()
    result = json.loads((tmp_path / "pi.json").read_text())
    assert result["darts"] == 40000
    assert abs(result["pi"] - 3.14159) < 0.1


def test_a_leader_finds_its_counters_in_the_file_of_hosts(tmp_path: Path) -> None:
    """A leader and two counters, as plain processes with a file of hosts, count every prime once."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        ports = [held.getsockname()[1] for held in (first, second)]
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1:1 leader 0\n" + "".join(f"127.0.0.1:{ports[n]} counter {n}\n" for n in (0, 1)))
    tasks = []
    for role, index in (("counter", "0"), ("leader", "0"), ("counter", "1")):
        environment = {"HOSTS_FILE": str(hosts), "JOB_NAME": role, "TASK_INDEX": index, "OUTPUT_DIR": str(tmp_path)}
        command = [sys.executable, str(EXAMPLES / "hosts" / "primes.py"), "--below", "50000"]
        started = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        tasks.append(started)
    try:
        for task in tasks:
            said, _ = task.communicate(timeout=60)
            assert task.returncode == 0, said
    finally:
        for task in tasks:
            task.kill()
            task.wait()
    assert json.loads((tmp_path / "primes.json").read_text()) == {"primes": 5133, "below": 50000, "counters": 2}
