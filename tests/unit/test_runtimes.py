"""What each framework finds in its environment; what is expected lies in tests/golden/tf_config/, a file a job.

A golden file holds a job (`tf_worker0`, `topology`) and the TF_CONFIG of every task; null for one that gets none.
"""

import dataclasses
import json
from pathlib import Path

import pytest
from executor_world import plan

from am import runtimes
from am.contract.job import split_task

GOLDEN = sorted((Path(__file__).parent.parent / "golden/tf_config").glob("*.json"))
TASKS = [(path, task) for path in GOLDEN for task in json.loads(path.read_text())["tf_config"]]
TENSORFLOW = dataclasses.replace(plan(), framework="tensorflow")
TOPOLOGY = {"worker": ("a:1", "b:2")}


def test_there_are_golden_files():
    """Every form that issue and design name has one."""
    assert {path.stem for path in GOLDEN} >= {
        "ps_worker_as_worker",
        "ps_worker_as_chief",
        "ps_worker_as_master",
        "chief_worker_ps",
        "single_worker",
        "evaluator",
    }


@pytest.mark.parametrize(("path", "task"), TASKS, ids=[f"{path.stem}-{task}" for path, task in TASKS])
def test_tf_config_is_the_golden_one(path, task):
    """Cluster and task are what TensorFlow's resolver expects, and the server may listen on a held port."""
    golden = json.loads(path.read_text())
    job_plan = dataclasses.replace(TENSORFLOW, tf_worker0=golden["tf_worker0"])
    topology = {role: tuple(hosts) for role, hosts in golden["topology"].items()}
    found = runtimes.environment(job_plan, topology, *split_task(task))
    expected = golden["tf_config"][task]
    if expected is None:
        assert "TF_CONFIG" not in found
    else:
        assert json.loads(found["TF_CONFIG"]) == expected
        assert found["TF_GRPC_REUSE_PORT"] == "true"


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_every_task_of_a_cluster_sees_the_same_cluster_and_a_place_of_its_own(path):
    """The cluster is one and the same for all; an index is a place in the list; no two tasks are the same one."""
    golden = json.loads(path.read_text())
    assert set(golden["tf_config"]) == {
        f"{role}:{n}" for role, hosts in golden["topology"].items() for n in range(len(hosts))
    }
    configs = {task: config for task, config in golden["tf_config"].items() if config is not None}
    clusters = [config["cluster"] for config in configs.values()]
    assert all(cluster == clusters[0] for cluster in clusters)
    assert len({json.dumps(config["task"]) for config in configs.values()}) == len(configs)
    for name, config in configs.items():
        role, index = split_task(name)
        me = config["task"]
        if role != "evaluator":
            assert config["cluster"][me["type"]][me["index"]] == golden["topology"][role][index]


def test_who_a_task_is_cannot_be_overwritten():
    """TF_CONFIG belongs to the identity of a TensorFlow task, to nothing in a generic one."""
    assert runtimes.identity(TENSORFLOW) == ("TF_CONFIG",)
    assert runtimes.identity(plan()) == ()


def test_a_generic_job_gets_nothing_of_a_framework():
    """Peers stand in YARN_SUBMITTER_TOPOLOGY."""
    assert runtimes.environment(plan(), TOPOLOGY, "worker", 1) == {}


@pytest.mark.parametrize(("framework", "released"), [("tensorflow", False), ("generic", True), ("pytorch", True)])
def test_only_tensorflow_listens_on_a_held_port(framework, released):
    """Everybody else needs the port to be let go first."""
    assert runtimes.releases_port(dataclasses.replace(plan(), framework=framework), "worker") is released


def test_a_tensorboard_finds_where_to_listen():
    """It stands in nobody's cluster, gets its published address, and its port is let go before it starts."""
    topology = {**TOPOLOGY, "tensorboard": ("h9:9999",)}
    assert runtimes.environment(TENSORFLOW, topology, "tensorboard", 0) == {"TB_HOST": "h9", "TB_PORT": "9999"}
    assert runtimes.releases_port(TENSORFLOW, "tensorboard")
    config = json.loads(runtimes.environment(TENSORFLOW, topology, "worker", 0)["TF_CONFIG"])
    assert "tensorboard" not in config["cluster"]
