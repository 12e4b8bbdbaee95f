"""What each framework finds in its environment, and whom it will dial.

What is expected lies in tests/golden, a file a job. One in tf_config/ holds a job (`tf_worker0`, `topology`) and the
TF_CONFIG of every task; null for one that gets none. One in environments/ holds a job of another framework (`worker` is
what is said of that role) and all variables of every task that is there; `pytest --update` writes these.
"""

import dataclasses
import json
from pathlib import Path

import pytest
from executor_world import plan

from am import runtimes
from am.contract.job import Resources, RolePlan, split_task
from yarn_submitter.spec import FRAMEWORKS

GOLDEN = sorted((Path(__file__).parent.parent / "golden/tf_config").glob("*.json"))
TASKS = [(path, task) for path in GOLDEN for task in json.loads(path.read_text())["tf_config"]]
TENSORFLOW = dataclasses.replace(plan(), framework="tensorflow")
TOPOLOGY = {"worker": ("a:1", "b:2")}
ENVIRONMENTS = sorted((Path(__file__).parent.parent / "golden/environments").glob("*.json"))


def of(framework, topology=TOPOLOGY, gpus=0, **worker):
    """Return a job of a framework with these tasks."""
    roles = tuple(
        RolePlan(name, len(tasks), Resources(512, 1, gpus), "true", **(worker if name == "worker" else {}))
        for name, tasks in topology.items()
    )
    return dataclasses.replace(plan(), framework=framework, roles=roles)


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=[path.stem for path in ENVIRONMENTS])
def test_the_environment_is_the_golden_one(path, pytestconfig):
    """Every task that is there finds exactly these variables."""
    golden = json.loads(path.read_text())
    topology = {role: tuple(hosts) for role, hosts in golden["topology"].items()}
    job_plan = of(golden["framework"], topology, **golden["worker"])
    found = {
        f"{role}:{n}": runtimes.environment(job_plan, topology, role, n)
        for role, hosts in topology.items()
        for n, host in enumerate(hosts)
        if host
    }
    if pytestconfig.getoption("--update"):
        path.write_text(json.dumps({**golden, "environment": found}, indent=1) + "\n")
        golden["environment"] = found
    assert found == golden["environment"]


def test_every_framework_has_a_golden_environment():
    """A framework that is added is written down; TensorFlow's lie beside."""
    assert {json.loads(path.read_text())["framework"] for path in ENVIRONMENTS} == set(FRAMEWORKS) - {"tensorflow"}


@pytest.mark.parametrize("framework", ["pytorch", "horovod", "jax"])
@pytest.mark.parametrize("workers", [("a:1",), ("a:1", "a:2", "b:3"), ("", "a:1", "", "b:2")])
def test_ranks_have_no_holes(framework, workers):
    """Whoever is there has a rank from 0 to their number; one that is not there, or of another role, has none."""
    name, size_name = {
        "pytorch": ("RANK", "WORLD_SIZE"),
        "horovod": ("HOROVOD_RANK", "HOROVOD_SIZE"),
        "jax": ("JAX_PROCESS_ID", "JAX_NUM_PROCESSES"),
    }[framework]
    topology = {"worker": workers, "watcher": ("c:9",)}
    job_plan = of(framework, topology)
    found = [runtimes.environment(job_plan, topology, "worker", n) for n in range(len(workers))]
    there = [environment for environment, address in zip(found, workers, strict=True) if address]
    assert [environment[name] for environment in there] == [str(n) for n in range(len(there))]
    assert {environment[size_name] for environment in there} == {str(len(there))}
    assert [bool(environment) for environment in found] == [bool(address) for address in workers]
    assert runtimes.environment(job_plan, topology, "watcher", 0) == {}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_who_a_task_is_differs_from_task_to_task(framework):
    """The variables that no user's variable replaces are set, and no two tasks find the same."""
    topology = (
        {"scheduler": ("s:1",), "server": ("t:1",), "worker": ("a:1", "b:2")} if framework == "mxnet" else TOPOLOGY
    )
    job_plan = of(framework, topology)
    names = runtimes.identity(job_plan)
    assert bool(names) is (framework != "generic")
    for role, hosts in topology.items():
        found = [runtimes.environment(job_plan, topology, role, n) for n in range(len(hosts))]
        assert all(set(names) - {"PET_NODE_RANK"} <= set(environment) for environment in found)
        if framework != "mxnet" and names:  # its scheduler gives out the ranks
            assert len({tuple(environment[name] for name in names) for environment in found}) == len(hosts)


def test_the_store_of_horovod_is_served_by_rank_0_below_a_path_that_the_secret_makes():
    """Address and port, put together as Horovod does, lead to the prefix of the served store; others serve none."""
    job_plan = of("horovod")
    store = runtimes.served_store(job_plan, TOPOLOGY, "worker", 0, "secret")
    for index in (0, 1):
        found = runtimes.environment(job_plan, TOPOLOGY, "worker", index, "secret")
        url = f"http://{found['HOROVOD_GLOO_RENDEZVOUS_ADDR']}:{found['HOROVOD_GLOO_RENDEZVOUS_PORT']}/global/0"
        assert url == f"http://a:1/{store.prefix}/global/0"
    assert (store.port, store.tasks) == (1, 2)
    assert "secret" not in store.prefix
    assert store != runtimes.served_store(job_plan, TOPOLOGY, "worker", 0, "another")
    assert store != runtimes.served_store(job_plan, {"worker": ("a:9", "b:2")}, "worker", 0, "secret")
    assert runtimes.served_store(job_plan, TOPOLOGY, "worker", 1, "secret") is None
    assert runtimes.served_store(of("jax"), TOPOLOGY, "worker", 0, "secret") is None


def test_a_hosts_file_names_every_task():
    """A line a task, with address, role and index; none for a task that is not there."""
    topology = {"master": ("m:9",), "worker": ("a:1", "", "c:3")}
    assert runtimes.hosts_text(topology) == "m:9 master 0\na:1 worker 0\nc:3 worker 2\n"


def tasks(**counts):
    """Return a topology with so many tasks of each role."""
    return {role: tuple(f"{role}{n}:1" for n in range(count)) for role, count in counts.items()}


@pytest.mark.parametrize(
    ("framework", "counts", "task", "expected"),
    [
        ("pytorch", {"worker": 4}, "worker:2", ["worker:0"]),
        ("pytorch", {"worker": 4}, "worker:0", []),
        ("jax", {"worker": 4}, "worker:3", ["worker:0"]),
        ("horovod", {"worker": 5}, "worker:3", ["worker:0", "worker:2", "worker:4"]),
        ("horovod", {"worker": 5}, "worker:0", ["worker:4", "worker:1"]),
        ("horovod", {"worker": 1}, "worker:0", []),
        ("mxnet", {"worker": 2, "server": 2, "scheduler": 1}, "worker:1", ["scheduler:0", "server:0", "server:1"]),
        ("mxnet", {"worker": 2, "server": 2, "scheduler": 1}, "server:1", ["scheduler:0", "worker:0", "worker:1"]),
        ("mxnet", {"worker": 1, "server": 1, "scheduler": 1}, "scheduler:0", ["server:0", "worker:0"]),
        ("tensorflow", {"worker": 2, "ps": 1, "chief": 1}, "worker:0", ["chief:0", "ps:0", "worker:1"]),
        ("tensorflow", {"worker": 1, "ps": 1, "evaluator": 1}, "evaluator:0", []),
        ("tensorflow", {"worker": 1, "ps": 1, "tensorboard": 1}, "worker:0", ["ps:0"]),
        ("generic", {"master": 1, "slave": 2}, "slave:1", ["master:0", "slave:0"]),
    ],
)
def test_the_peers_of_a_task_are_those_that_it_will_dial(framework, counts, task, expected):
    """The framework's own, and never the task itself."""
    topology = tasks(**counts)
    assert list(runtimes.peers(of(framework, topology), topology, *split_task(task))) == expected


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_many_tasks_try_a_few_peers_each_and_every_one_is_tried(framework):
    """At most 16, each once, never itself; where a framework dials all, each task is tried by a few others."""
    counts = {"chief": 1, "ps": 9, "server": 9, "scheduler": 1, "worker": 190}
    known = {"tensorflow": ("chief", "ps", "worker"), "mxnet": ("scheduler", "server", "worker")}
    topology = tasks(**{role: counts[role] for role in known.get(framework, ("worker",))})
    job_plan = of(framework, topology)
    times = dict.fromkeys((f"{role}:{n}" for role, hosts in topology.items() for n in range(len(hosts))), 0)
    for task in list(times):
        found = runtimes.peers(job_plan, topology, *split_task(task))
        assert len(set(found)) == len(found) <= 16
        assert task not in found
        for peer in found:
            times[peer] += 1
    if framework in ("tensorflow", "generic", "horovod"):
        assert min(times.values()) >= 2
    if framework in ("pytorch", "jax", "horovod"):
        assert times["worker:0"] == 189


def test_the_peers_that_a_task_tries_lie_far_apart():
    """A broken rack or switch is seen by every task, wherever it is itself."""
    topology = tasks(worker=161)
    found = [split_task(peer)[1] for peer in runtimes.peers(of("generic", topology), topology, "worker", 7)]
    assert len(found) == 16
    assert {(after - before) % 161 for before, after in zip(found, found[1:] + found[:1], strict=True)} <= {10, 11}


def test_torchrun_starts_its_processes_again_as_often_as_the_job_may():
    """And never less often than its own documentation has it."""
    topology = tasks(worker=2)
    for allowed, expected in ((0, "3"), (3, "3"), (7, "7")):
        job_plan = dataclasses.replace(of("pytorch", topology, min_instances=1), max_restarts=allowed)
        assert runtimes.environment(job_plan, topology, "worker", 0)["PET_MAX_RESTARTS"] == expected


def test_a_task_that_is_not_there_is_nobodys_peer():
    """An elastic job begins without it; the first that is there is rank 0."""
    topology = {"worker": ("", "b:1", "", "d:1")}
    assert runtimes.peers(of("pytorch", topology), topology, "worker", 3) == ("worker:1",)
    assert runtimes.peers(of("horovod", topology), topology, "worker", 1) == ("worker:3",)
    assert runtimes.peers(of("generic", topology), topology, "worker", 1) == ("worker:3",)


def test_interfaces_and_numbers_are_asked_for_where_a_framework_reads_them():
    """A name of an interface for NCCL and gloo; an address in digits for ps-lite."""
    assert "GLOO_SOCKET_IFNAME" in runtimes.network_interface_variables(of("pytorch"))
    assert "HOROVOD_GLOO_IFACE" in runtimes.network_interface_variables(of("horovod"))
    assert runtimes.network_interface_variables(of("mxnet")) == ()
    assert runtimes.numeric_variables(of("mxnet")) == ("DMLC_NODE_HOST",)
    assert runtimes.numeric_variables(of("pytorch")) == ()


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


@pytest.mark.parametrize(
    ("framework", "role", "released"),
    [
        ("tensorflow", "worker", False),
        ("jax", "worker", False),
        ("horovod", "worker", False),
        ("generic", "worker", True),
        ("pytorch", "worker", True),
        ("mxnet", "worker", True),
        ("mxnet", "server", True),
        ("mxnet", "scheduler", True),
    ],
)
def test_a_port_is_let_go_where_the_framework_cannot_listen_on_a_held_one(framework, role, released):
    """TensorFlow and JAX listen with SO_REUSEPORT; where Horovod meets, our own executor listens."""
    assert runtimes.releases_port(of(framework), role) is released


def test_a_tensorboard_finds_where_to_listen():
    """It stands in nobody's cluster, gets its published address, and its port is let go before it starts."""
    topology = {**TOPOLOGY, "tensorboard": ("h9:9999",)}
    assert runtimes.environment(TENSORFLOW, topology, "tensorboard", 0) == {"TB_HOST": "h9", "TB_PORT": "9999"}
    assert runtimes.releases_port(TENSORFLOW, "tensorboard")
    config = json.loads(runtimes.environment(TENSORFLOW, topology, "worker", 0)["TF_CONFIG"])
    assert "tensorboard" not in config["cluster"]
