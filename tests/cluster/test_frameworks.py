"""Each framework trains for real on the sandbox, by the commands of examples/README.md; environments: environments.py.

A test types the page's `job run` as it stands, but for where the environment lies, and takes the accuracy from what the
job left on HDFS. (TensorFlow's parameter servers, both forms, are in test_tensorflow.py.)
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from cluster import environments
from cluster.leftovers import container_processes
from cluster.typing_jobs import Running, Typist

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = re.compile(r"^/opt/torch/bin/python|^build/.+\.tar\.gz")  # as the page names it

pytestmark = pytest.mark.timeout(900)  # the first test of an environment makes it; Horovod's is compiled


@functools.cache
def words_of(name: str) -> list[str]:
    """Return the words of the `job run` whose job has this name, without the cluster."""
    page = (ROOT / "examples" / "README.md").read_text("utf-8").replace(" \\\n", " ")
    lines = [shlex.split(line) for line in page.splitlines() if line.startswith("job run --cluster sandbox ")]
    [words] = [line[4:] for line in lines if name in (line[5], Path(line[5]).parent.name)]
    return words


def start(typist: Typist, name: str, environment: Path | None = None, options: str = "", *more: str) -> Running:
    """Type a command of the page with its environment (a Python or an archive) in the place where it lies here.

    `options` are added to what train.py is given, `more` to the command itself.
    """
    words = words_of(name)
    if environment is not None:
        words = [ENVIRONMENT.sub(str(environment), word) for word in words]
    words = [word.replace("examples/", f"{ROOT}/examples/") for word in words]
    words = [f"{word}{options}" if word.endswith("train.py") else word for word in words]
    if options and words[0] == "-f":
        description = Path(words[1]).read_text("utf-8").replace("train.py", f"train.py{options}")
        words[1] = str(typist.directory / f"{name}.yaml")
        Path(words[1]).write_text(description, "utf-8")
    return typist.start("run", *words, *more)


def succeeded(typist: Typist, name: str, running: Running) -> dict[str, str]:
    """Wait for the good end of a job; return the state of each task."""
    ended = running.end(240)
    assert ended.code == 0, ended.err + ended.out[-3000:]
    return {task["task"]: task["state"] for task in typist.type("show", name, "--json").json()["tasks"]}


def left(typist: Typist, name: str, path: str) -> Any:
    """Return a JSON file that the newest job of this name left on HDFS."""
    directory = typist.directory / name
    directory.mkdir(exist_ok=True)
    fetched = typist.type("get", name, path, "--to", str(directory))
    assert fetched.code == 0, fetched.err
    return json.loads((directory / Path(path).name).read_text("utf-8"))


def test_tensorflow_trains_on_mirrored_workers(typist: Typist) -> None:
    """MultiWorkerMirroredStrategy: two workers find each other by TF_CONFIG, and both end by themselves."""
    archive = environments.tensorflow_archive(typist.sandbox.name)
    states = succeeded(typist, "mirrored", start(typist, "mirrored", archive))
    assert states == {"worker:0": "SUCCEEDED", "worker:1": "SUCCEEDED"}
    metrics = left(typist, "mirrored", "output/worker-0/metrics.json")
    assert metrics["workers"] == 2
    assert metrics["accuracy"] > 0.93


def test_pytorch_trains_over_gloo(typist: Typist) -> None:
    """DistributedDataParallel by MASTER_ADDR, RANK and WORLD_SIZE; the checkpoint and the model are on HDFS after it.

    Debian's PyTorch cannot be packed: the tasks name its Python by a path of this machine, which is every node.
    """
    states = succeeded(typist, "ddp", start(typist, "ddp", environments.torch_python()))
    assert states == {"worker:0": "SUCCEEDED", "worker:1": "SUCCEEDED"}
    metrics = left(typist, "ddp", "output/worker-0/metrics.json")
    assert metrics["workers"] == 2
    assert metrics["accuracy"] > 0.93
    assert left(typist, "ddp", "output/worker-1/metrics.json") == metrics
    for place in ("checkpoint/checkpoint.pt", "model/weights.pt"):
        fetched = typist.type("get", "ddp", place, "--to", str(typist.directory))
        assert fetched.code == 0, fetched.err


def test_torchrun_finds_its_tasks_without_arguments(typist: Typist) -> None:
    """A fixed number of tasks: torchrun's static rendezvous."""
    succeeded(typist, "torchrun", start(typist, "torchrun", environments.torch_python()))
    metrics = left(typist, "torchrun", "output/worker-0/metrics.json")
    assert metrics["workers"] == 2
    assert metrics["accuracy"] > 0.93


def test_an_elastic_torchrun_goes_on_after_a_process_was_killed(typist: Typist) -> None:
    """Two of `1:2` workers train; a process is killed; both torchruns meet anew and go on from the checkpoint."""
    running = start(typist, "elastic", environments.torch_python(), " --epoch_s 0.3")
    running.wait_line("of 2: epoch 5 of", 120)
    kill_training(typist, "YARN_SUBMITTER_INDEX=1")
    succeeded(typist, "elastic", running)
    metrics = left(typist, "elastic", "output/worker-0/metrics.json")
    assert metrics["first_epoch"] > 5
    assert metrics["workers"] == 2
    assert metrics["accuracy"] > 0.93


def kill_training(typist: Typist, variable: str) -> None:
    """Kill the one training program that has this variable: not its torchrun, nor the shell that started it."""
    found = []
    for pid, words in container_processes(typist.sandbox).items():
        if "train.py" in words and not re.search(r"torch\.distributed\.run|\bbash\b|am\.executor", words):
            variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            found += [pid] if variable in variables else []
    assert len(found) == 1, found
    os.kill(found[0], signal.SIGKILL)


def test_pytorch_goes_on_from_its_checkpoint_after_a_worker_was_killed(typist: Typist) -> None:
    """restart-job: all meet anew, and worker 1, whose checkpoint nobody kept, takes worker 0's."""
    again = ("--role_on_failure", "worker=restart-job", "--max_restarts", "1")
    running = start(typist, "ddp", environments.torch_python(), " --epoch_s 0.3", *again)
    running.wait_line("rank 0 of 2: epoch 5 of", 120)
    kill_training(typist, "RANK=1")
    succeeded(typist, "ddp", running)
    metrics = left(typist, "ddp", "output/worker-0/metrics.json")
    assert metrics["first_epoch"] > 5
    assert metrics["workers"] == 2
    assert metrics["accuracy"] > 0.93


def test_mxnet_trains_with_scheduler_and_server(typist: Typist) -> None:
    """dist_sync: the workers' end is the job's; scheduler and server have ended or are stopped."""
    states = succeeded(typist, "mxnet", start(typist, "mxnet", environments.mxnet_archive()))
    assert states.keys() == {"scheduler:0", "server:0", "worker:0", "worker:1"}
    assert states["worker:0"] == states["worker:1"] == "SUCCEEDED"
    metrics = left(typist, "mxnet", "output/worker-0/metrics.json")
    assert metrics["workers"] == 2
    assert metrics["accuracy"] > 0.93


def test_mxnet_does_not_hang_when_a_worker_was_killed(typist: Typist) -> None:
    """Scheduler, server and the other worker would wait for ever; the job ends at once, and names the worker."""
    running = start(typist, "mxnet", environments.mxnet_archive(), " --epochs 100000")
    running.wait_line("of 2: epoch 5 of", 120)
    kill_training(typist, "YARN_SUBMITTER_INDEX=1")
    ended = running.end(60)
    assert ended.code == 137, ended.err
    assert re.search(r"job mxnet FAILED: worker:1 on 127\.0\.0\.1\d ", ended.err)


def test_horovod_trains_without_mpirun(typist: Typist) -> None:
    """Gloo's rendezvous is the store that the executor of rank 0 serves; Horovod is compiled once and kept."""
    states = succeeded(typist, "horovod", start(typist, "horovod", environments.horovod_python()))
    assert states == {"worker:0": "SUCCEEDED", "worker:1": "SUCCEEDED"}
    metrics = left(typist, "horovod", "output/worker-0/metrics.json")
    assert metrics["workers"] == 2
    assert metrics["accuracy"] > 0.93


def test_jax_trains_on_two_processes(typist: Typist) -> None:
    """The coordinator is process 0's; the compiled step exchanges gradients between both."""
    states = succeeded(typist, "jax", start(typist, "jax", environments.jax_archive()))
    assert states == {"worker:0": "SUCCEEDED", "worker:1": "SUCCEEDED"}
    metrics = left(typist, "jax", "output/worker-0/metrics.json")
    assert metrics["processes"] == 2
    assert metrics["accuracy"] > 0.93


def test_two_roles_find_each_other_in_the_file_of_hosts(typist: Typist) -> None:
    """A leader calls the counters that HOSTS_FILE names; their sum is the right number of primes."""
    states = succeeded(typist, "primes", start(typist, "primes"))
    assert states == {"leader:0": "SUCCEEDED", "counter:0": "SUCCEEDED", "counter:1": "SUCCEEDED"}
    found = left(typist, "primes", "output/leader-0/primes.json")
    assert found == {"primes": 17984, "below": 200000, "counters": 2}
