"""Every refusal by what the cluster is, once for real: too large by one, queues, labels, rights, Docker; and notes."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import Request, urlopen

import pytest
from cluster.leftovers import site_of
from cluster.refusing import TOLD_S, nothing_submitted, refused  # noqa: F401  the fixture holds for every test here
from cluster.typing_jobs import Typist

from yarn_submitter.sandbox import SandboxInfo

SMALL = "memory=256M,vcores=1"


def job(resources: str, *words: str, name: str = "asked") -> list[str]:
    """Return a job of one role `a`."""
    role = ["--role", f"a:{resources}", "--role_cmd", "a=true"]
    return ["run", "--name", name, "--framework", "generic", "--input_path", "", *role, *words]


class Admin:
    """Changes the cluster as its administrator does, over REST."""

    def __init__(self, sandbox: SandboxInfo) -> None:
        self._base = f"http://{sandbox.rm_http}/ws/v1/cluster"
        self._user = sandbox.user
        self._nodes = [node.id for node in site_of(sandbox).resource_manager.nodes()]

    def send(self, method: str, path: str, body: Any = None) -> None:
        """Send one request."""
        url = f"{self._base}/{path}{'&' if '?' in path else '?'}user.name={self._user}"
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(url, data, {"Content-Type": "application/json"}, method=method), timeout=10) as answer:
            answer.read()

    def set_queue(self, queue: str, values: Mapping[str, str]) -> None:
        """Change settings of a queue."""
        entries = [{"key": key, "value": value} for key, value in values.items()]
        change = {"queue-name": f"root.{queue}", "params": {"entry": entries}}
        self.send("PUT", "scheduler-conf", {"update-queue": [change]})

    @contextlib.contextmanager
    def labels(self, exclusive: Mapping[str, bool], *of_nodes: str) -> Iterator[None]:
        """Give the cluster labels, and its nodes in turn one each, until the block ends."""
        listed = [{"name": name, "exclusivity": value} for name, value in exclusive.items()]
        self.send("POST", "add-node-labels", {"nodeLabelInfo": listed})
        try:
            for node, label in zip(self._nodes, of_nodes, strict=False):
                self.send("POST", f"nodes/{node}/replace-labels?labels={label}")
            yield
        finally:
            for node in self._nodes:
                self.send("POST", f"nodes/{node}/replace-labels?labels=")
            self.send("POST", "remove-node-labels?" + "&".join(f"labels={name}" for name in exclusive))


@pytest.fixture
def admin(sandbox: SandboxInfo) -> Admin:
    """The cluster's administrator."""
    return Admin(sandbox)


@pytest.mark.parametrize(
    ("resources", "problem", "said"),
    [
        ("memory=8193M,vcores=1", "memory-too-large", "a asks 8193 MiB, the largest node has 8 GiB."),
        ("memory=256M,vcores=9", "vcores-too-large", "a asks 9 vcores, the largest node has 8 vcores."),
        ("memory=256M,vcores=1,gpu=5", "gpus-too-large", "a asks 5 GPUs, the largest node has 4 GPUs."),
        ("instances=2,memory=8192M,vcores=1", "gang-too-large", "needs 16896 MiB at the same time"),
        ("instances=9,memory=256M,vcores=1,gpu=1", "gang-too-large", "needs 9 GPUs at the same time"),
        ("memory=256M,vcores=1,fpga=1", "resource-not-expressible", "yarn.io/fpga"),
    ],
)
def test_one_more_than_there_is(typist: Typist, resources: str, problem: str, said: str) -> None:
    """One MiB, one core, one GPU, one container more than fits is refused, with what there is."""
    refused(typist.type(*job(resources), deadline_s=TOLD_S), 64, problem, said)


def test_all_there_is(typist: Typist) -> None:
    """What just fits is not refused."""
    ended = typist.type(*job("instances=2,memory=7680M,vcores=7,gpu=4", "--check"), deadline_s=TOLD_S)
    assert (ended.code, ended.err) == (0, "")


def test_a_stopped_queue(typist: Typist, admin: Admin) -> None:
    """A queue that an administrator has stopped is refused with those that run."""
    admin.set_queue("ml", {"state": "STOPPED"})
    try:
        ended = typist.type(*job(SMALL, "--queue", "ml"), deadline_s=TOLD_S)
        refused(ended, 64, "queue-stopped", "STOPPED", "choose one of these with --queue: default, prod")
        assert re.search(r"^  ml +STOPPED ", typist.type("queues").out, re.MULTILINE)
    finally:
        admin.set_queue("ml", {"state": "RUNNING"})


def test_labels(typist: Typist, admin: Admin) -> None:
    """An unknown label, one of which the queue has no share, one that no node carries; and then one that works."""
    with admin.labels({"gpu": True, "ssd": True}):
        unknown = typist.type(*job(SMALL, "--role_node_label", "a=red"), deadline_s=TOLD_S)
        refused(unknown, 64, "label-unknown", "the cluster has: gpu, ssd")
        foreign = typist.type(*job(SMALL, "--role_node_label", "a=ssd"), deadline_s=TOLD_S)
        refused(foreign, 64, "label-denied", "default", "it gets nodes with: gpu")
        empty = typist.type(*job(SMALL, "--role_node_label", "a=gpu"), deadline_s=TOLD_S)
        refused(empty, 64, "label-no-node", "job nodes")
    with admin.labels({"gpu": True}, "gpu"):
        there = typist.type(*job(SMALL, "--role_node_label", "a=gpu", "--check"), deadline_s=TOLD_S)
        assert (there.code, there.err) == (0, "")
        two = typist.type(*job("instances=2,memory=8192M,vcores=1"), deadline_s=TOLD_S)
        refused(two, 64, "gang-too-large", "the cluster's 1 node has 8192 MiB")
        assert [node["labels"] for node in typist.type("nodes", "--json").json()["nodes"]].count(["gpu"]) == 1
    with admin.labels({"gpu": True}, "gpu", "gpu"):
        # YARN keeps the ApplicationMaster of a job without a label off nodes that have one: it would wait for ever.
        taken = typist.type(*job(SMALL), deadline_s=TOLD_S)
        assert taken.code == 64
        assert "[am-no-node]" in taken.err


@pytest.fixture
def eve(typist: Typist, sandbox: SandboxInfo) -> Iterator[dict[str, str]]:
    """The environment of another user, who has a place for jobs, and things of ours that she may not touch."""
    site = site_of(sandbox)
    base = "/preflight"
    site.store.makedirs(f"{base}/place")
    for path, mode in ((base, 0o755), (f"{base}/place", 0o777)):
        site.store.set_mode(path, mode)
    site.store.write(f"{base}/mine", b"x", mode=0o600)
    site.store.write(f"{base}/ours", b"x", mode=0o644)
    yield {"HADOOP_USER_NAME": "eve", "YARN_SUBMITTER_ROOT": f"{base}/place"}
    site.store.delete(base, recursive=True)


@pytest.mark.parametrize(
    ("words", "code", "problem", "said"),
    [
        (
            ["--localization", "hdfs:///preflight/none:./x"],
            64,
            "localization-missing",
            "hdfs:///preflight/none",
        ),
        (["--localization", "hdfs:///preflight/mine:./x"], 77, "localization-denied", "user=eve"),
        (["--checkpoint_path", "/preflight/out/c"], 77, "output-denied", "below /preflight."),
        (["--saved_model_path", "/preflight/ours"], 77, "output-denied", "access=WRITE"),
        (["--saved_model_path", "/preflight/ours/m"], 64, "output-not-directory", "below one"),
    ],
)
def test_rights(typist: Typist, eve: dict[str, str], words: list[str], code: int, problem: str, said: str) -> None:
    """What is not there, and what this user may not read or write, is refused in the words of HDFS."""
    refused(typist.type(*job(SMALL, *words), deadline_s=TOLD_S, **eve), code, problem, said)


@pytest.mark.parametrize(
    ("uri", "code", "problem"),
    [("hdfs:///preflight/none", 64, "input-missing"), ("hdfs:///preflight/mine", 77, "input-denied")],
)
def test_input(typist: Typist, eve: dict[str, str], uri: str, code: int, problem: str) -> None:
    """The input must be there, and be readable by this user."""
    words = [uri if word == "" else word for word in job(SMALL)]
    refused(typist.type(*words, deadline_s=TOLD_S, **eve), code, problem, uri)


def test_results_in_a_file(typist: Typist, eve: dict[str, str]) -> None:
    """Results need a directory, also where the user may write."""
    ended = typist.type(*job(SMALL, "--saved_model_path", "/preflight/ours"), deadline_s=TOLD_S)
    refused(ended, 64, "output-not-directory", "/preflight/ours")


def test_docker_where_nodes_know_none(typist: Typist) -> None:
    """The sandbox's nodes have the default executor, which would run an image's job on the host without a word."""
    ended = typist.type(*job(SMALL, "--docker_image", "python:3.11"), deadline_s=TOLD_S)
    refused(ended, 64, "docker-ignored", "DefaultContainerExecutor", "--force")
    forced = typist.type(*job(SMALL, "--docker_image", "python:3.11", "--check", "--force"), deadline_s=TOLD_S)
    assert forced.code == 0
    assert "job: note: " in forced.err
    ended = typist.type(*job(SMALL, "--mount", "/data:/data"), deadline_s=TOLD_S)
    refused(ended, 64, "mount-without-image")


def test_check_tells_every_answer(typist: Typist) -> None:
    """As text and as JSON, for a job that is refused, too; YARN hears of no application."""
    ended = typist.type(*job("memory=8193M,vcores=1,gpu=1", "--check", "--json"), deadline_s=TOLD_S)
    assert ended.code == 64
    verdicts = {(found["question"], found["about"]): found["verdict"] for found in ended.json()["answers"]}
    assert verdicts[("memory", "a")] == "refused"
    assert verdicts[("gpu", "a")] == verdicts[("queue", "")] == verdicts[("name", "")] == "ok"
