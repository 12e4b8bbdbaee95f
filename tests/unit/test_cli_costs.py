"""What a command costs is counted, not timed: modules imported, programs started, connections made, requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from client_fakes import APP, JOB, PretendCluster, job_plan, pretend_cluster

from am.contract import states
from am.contract.events import AgentStarted, JobEnded, TaskRegistered

# Runs a command as the shell would, and leaves in a file what it did.
DRIVER = """
import json, sys
done = []
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system", "socket.connect"):
        done.append(event)
sys.addaudithook(hook)
before = set(sys.modules)
from yarn_submitter.cli import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as told:
    json.dump({"code": code, "done": done, "modules": sorted(set(sys.modules) - before)}, told)
"""
HEAVY = ("skein", "grpc", "pyarrow", "requests", "hdfs", "aiohttp", "jgo", "asyncio")
DRY_RUN = [
    *["run", "--name", "fit", "--framework", "tensorflow", "--input_path", "", "--num_workers", "2"],
    *["--worker_resources", "memory=1G", "--worker_launch_cmd", "python fit.py", "--dry_run"],
]
YAML = """\
spec: {name: fit}
configs: {input_path: ""}
roles:
  worker: {replicas: 2, resources: memory=1G, launch_cmd: python fit.py}
"""


@dataclass(frozen=True)
class Cost:
    """What a command did: exit code, programs and connections, modules, and its two streams."""

    code: int
    done: list[str]
    modules: list[str]
    out: str
    err: str

    def imported(self, *names: str) -> list[str]:
        """Return which of these packages were imported."""
        return [name for name in names if name in self.modules]


def run(words: list[str], environ: dict[str, str], directory: Path) -> Cost:
    """Run a command in a process of its own."""
    told = directory / "told.json"
    command = [sys.executable, "-c", DRIVER, str(told), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=directory, check=False, timeout=60)
    assert told.exists(), done.stderr
    return Cost(**json.loads(told.read_text()), out=done.stdout, err=done.stderr)


def bare(directory: Path) -> dict[str, str]:
    """Return an environment without Hadoop and Java, and with an empty home."""
    home = directory / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": "/nonexistent", "HOME": str(home)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PretendCluster]:
    """A cluster that knows a job which has ended, with its history and logs."""
    with pretend_cluster(tmp_path_factory.mktemp("cluster")) as served:
        served.add_app("FINISHED", finalStatus="SUCCEEDED")
        end = JobEnded(30.0, states.SUCCEEDED, 0, "task", "", "all is well")
        up = TaskRegistered(5.0, "chief:0", 1, "container_2", "nm", served.server.address, "http://nm/logs")
        served.add_job(job_plan(), {"1-1": [AgentStarted(1.0, 1, "nm", 1, APP), up, end]})
        served.logs["container_2"] = {"stdout": b"hello\n", "stderr": b""}
        yield served


def test_a_dry_run_costs_nothing(tmp_path: Path) -> None:
    """No Hadoop, no Java, no PATH, an empty home: no heavy module, no program, no connection, no file in the home."""
    cost = run(DRY_RUN, bare(tmp_path), tmp_path)
    assert (cost.code, cost.err, cost.done) == (0, "", [])
    assert json.loads(cost.out)["name"] == "fit"
    assert cost.imported(*HEAVY, "urllib3", "yaml", "ssl", "concurrent.futures") == []
    assert list((tmp_path / "home").iterdir()) == []


def test_only_a_file_costs_yaml(tmp_path: Path) -> None:
    """With -f the YAML reader is imported, and nothing else more."""
    (tmp_path / "job.yaml").write_text(YAML)
    cost = run(["run", "-f", "job.yaml", "--dry_run"], bare(tmp_path), tmp_path)
    assert (cost.code, cost.err, cost.done) == (0, "", [])
    assert cost.imported(*HEAVY, "urllib3", "ssl", "concurrent.futures") == []
    assert cost.imported("yaml") == ["yaml"]


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["run", "--nmae", "x"], ["shwo"]])
def test_help_and_mistakes_cost_nothing(words: list[str], tmp_path: Path) -> None:
    """Nor does being told what is wrong."""
    cost = run(words, bare(tmp_path), tmp_path)
    assert (cost.code in (0, 64), cost.done) == (True, [])
    assert cost.imported(*HEAVY, "urllib3", "yaml", "ssl") == []


# Modules are those that are new when the command ends: as measured with Python 3.11, and a tenth more.
@pytest.mark.parametrize(
    ("words", "most_modules", "most_requests"),
    [
        (["show", JOB], 206, 9),
        (["show", APP, "--json"], 206, 9),
        (["list"], 206, 1),
        (["queues"], 206, 1),
        (["nodes"], 206, 1),
        (["logs", JOB, "chief"], 212, 12),
        (["kill", JOB], 206, 9),
    ],
)
def test_coming_back_starts_no_program(
    words: list[str], most_modules: int, most_requests: int, cluster: PretendCluster, tmp_path: Path
) -> None:
    """show, list, logs and kill start no JVM, import nothing heavy, and ask little."""
    before = len(cluster.asked)
    environ = {**bare(tmp_path), **cluster.environ, "PATH": "/nonexistent"}
    cost = run(words, environ, tmp_path)
    assert cost.code == 0, cost.err
    assert set(cost.done) <= {"socket.connect"}
    assert cost.imported(*HEAVY, "yaml", "yarn_submitter.yarn") == []
    assert len(cost.modules) <= most_modules
    assert len(cluster.asked) - before <= most_requests
