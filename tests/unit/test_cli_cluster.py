"""queues and nodes, typed at recorded clusters: what they print as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from client_fakes import RECORDED, PretendCluster
from httpstandin import Reply, Request

from yarn_submitter.cli import main
from yarn_submitter.cli.queues import submitters
from yarn_submitter.facts import Queue


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A recorded cluster of two nodes, one of them with a label."""

    def labelled(request: Request) -> Reply | None:
        name = request.path.rpartition("/")[2]
        return Reply(body=(RECORDED / f"{name}-labelled.json").read_bytes()) if name in ("scheduler", "nodes") else None

    cluster.faults.append(labelled)
    return cluster


def test_queues(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A tree with shares, use and who may submit; a line below a queue for each label of which it has a share."""
    assert main(["queues"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "QUEUE STATE SHARE MAX USED PENDING APPS AM SHARE SUBMIT",
        "root RUNNING 100 % 100 % 0 %",
        "(label gpu) 100 % 100 % 0 %",
        "default RUNNING 50 % 100 % 0 % 0 run, 0 wait 0 MiB of 8 GiB everybody",
        "(label gpu) 50 % 100 % 0 % 0 MiB of 4 GiB",
        "ml RUNNING 25 % 100 % 0 % 0 run, 0 wait 0 MiB of 8 GiB everybody",
        "(label gpu) 25 % 100 % 0 % 0 MiB of 2 GiB",
        "prod RUNNING 25 % 100 % 0 % 0 run, 0 wait 0 MiB of 8 GiB everybody",
        "(label gpu) 25 % 100 % 0 % 0 MiB of 2 GiB",
    ]


def test_queues_json(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Schema 1: every queue, parents first, with its shares by label."""
    assert main(["queues", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    queues = {queue["path"]: queue for queue in document["queues"]}
    assert list(queues) == ["root", "root.default", "root.ml", "root.prod"]
    ml = queues["root.ml"]
    assert (ml["leaf"], ml["state"], ml["capacity_percent"], ml["may_submit"]) == (True, "RUNNING", 25.0, True)
    assert ml["am_limit"]["memory_mib"] == 8192
    assert [(part["label"], part["capacity_percent"]) for part in ml["label_shares"]] == [("gpu", 25.0)]


def test_nodes(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Each node with what it has and what is free, its label; the same as JSON."""
    assert main(["nodes"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "localhost:20020 RUNNING 8 GiB of 8 GiB 8 of 8 4 of 4 0",
        "localhost:20030 RUNNING 8 GiB of 8 GiB 8 of 8 4 of 4 0 gpu",
    ]
    assert main(["nodes", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    node = document["nodes"][1]
    assert (node["id"], node["state"], node["labels"]) == ("localhost:20030", "RUNNING", ["gpu"])
    assert node["free"] == {"memory_mib": 8192, "vcores": 8, "others": {"yarn.io/gpu": 4}}


@pytest.mark.parametrize(
    ("acls", "user", "said"),
    [
        ((" ", "*"), "ada", "everybody"),
        (("ada,eve ", " "), "ada", "ada, eve"),
        (("ada staff,ops",), "ada", "ada, group staff, group ops"),
        ((" ", " "), "ada", "nobody"),
        ((" ",), "", "everybody"),
        ((), "ada", "everybody"),
    ],
)
def test_who_may_submit(acls: tuple[str, ...], user: str, said: str) -> None:
    """Users and groups of a queue's lists and of those above it; everybody where YARN does not look at them."""
    assert submitters(Queue("q", "root.q", submit_acls=acls), user) == said


def test_a_cluster_without_nodes(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """None is said on stderr, so that stdout stays empty."""
    cluster.faults.insert(0, lambda request: Reply(body=b'{"nodes": {}}') if "nodes" in request.path else None)
    assert main(["nodes"]) == 0
    said: Any = capsys.readouterr()
    assert (said.out, said.err) == ("", "the cluster has no nodes\n")


@pytest.mark.parametrize("verb", ["queues", "nodes"])
def test_settings_of_one_command(cluster: PretendCluster, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    """`--set` counts here as for every verb: also a wrong one."""
    assert main([verb, "--set", "queu=ml"]) == 64
    assert "there is no setting queu" in capsys.readouterr().err
