"""`job config show` and `check`, and `--set` at other verbs, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from client_fakes import APP, JOB, USER, PretendCluster, job_plan, pretend_cluster

SITE = """\
cluster: prod
queue: research
env: {NCCL_DEBUG: "a: b"}
profiles: {small: "memory=2G,vcores=1"}
caps: {memory: 512G, lifetime: 12h}
retention: 30d
allowed_images: [registry/ml/*, "python:3.1?"]
clusters:
  prod:
    hadoop_conf_dir: CONF
    staging_root: /apps/ml
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a site's file; return the file."""
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    site = tmp_path / "site.yaml"
    site.write_text(SITE.replace("CONF", str(tmp_path / "none")))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("YARN_SUBMITTER_SITE_FILE", str(site))
    return site


def test_show_with_origins(machine: Path, typed: Any) -> None:
    """Each setting as a file has it, with its file and line, its flag, or `default`."""
    code, out, err = typed("config", "show", "--origin", "--set", "queue=mine")
    assert (code, err) == (0, "")
    rows = [[part.strip() for part in line.partition(" # ")[::2]] for line in out.splitlines()]
    for row in (
        ["cluster: prod", f"{machine}:1"],
        ["queue: mine", "--set queue"],
        ["staging_root: /apps/ml", f"{machine}:11"],
        ['NCCL_DEBUG: "a: b"', f"{machine}:3"],
        ["small: memory=2G,vcores=1", f"{machine}:4"],
        ["memory: 512G", f"{machine}:5"],
        ["lifetime: 12h", f"{machine}:5"],
        ["gpus: none", "default"],
        ["retention: 30d", f"{machine}:6"],
        ['allowed_images: ["registry/ml/*", "python:3.1?"]', f"{machine}:7"],
        ["call_s: 10", "default"],
    ):
        assert row in rows, out


def test_what_show_prints_is_yaml(machine: Path, typed: Any, tmp_path: Path) -> None:
    """Given to a site's file, the lines of `show` mean the same; a chosen directory has no place there."""
    _, out, _ = typed("config", "show")
    again = tmp_path / "again.yaml"
    again.write_text("".join(line for line in out.splitlines(True) if not line.startswith("hadoop_conf_dir")))
    assert typed("config", "check", str(again))[0] == 0
    again_out = (typed("config", "show")[1], machine.write_text(again.read_text()), typed("config", "show")[1])
    assert again_out[0] == again_out[2]


def test_show_as_json(machine: Path, typed: Any) -> None:
    """The same as one document."""
    document = json.loads(typed("config", "show", "--json", "--origin")[1])
    assert document["schema"] == 1
    settings = document["settings"]
    assert (settings["queue"], settings["caps"]["memory"], settings["caps"]["gpus"]) == ("research", "512G", None)
    assert (settings["limits"]["call_s"], settings["env"]) == (10, {"NCCL_DEBUG": "a: b"})
    assert document["clusters"] == {"prod": str(machine.parent / "none")}
    assert document["origins"]["caps.memory"] == f"{machine}:5"
    assert "origins" not in json.loads(typed("config", "show", "--json")[1])


def test_check_tells_every_fault(machine: Path, typed: Any, tmp_path: Path) -> None:
    """A file alone, or all that counts with every cluster's Hadoop configuration; 64 when something is wrong."""
    assert typed("config", "check", str(machine))[:2] == (0, f"{machine}: 10 settings, no fault\n")
    code, out, err = typed("config", "check")
    assert (code, out) == (64, "")
    assert f"There is no directory {tmp_path / 'none'}, which {machine}:10 names." in err
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("quue: x\ncaps: {gpus: x}\n")
    code, out, err = typed("config", "check", str(wrong))
    assert (code, out) == (64, "")
    assert "2 problems" in err
    assert f"{wrong}:1: there is no setting quue. [setting-unknown]" in err
    assert f"{wrong}:2: caps.gpus takes a whole number" in err
    assert typed("config", "check", str(tmp_path / "none.yaml"))[0] == 64
    machine.write_text("queue: a\n")
    code, out, _ = typed("config", "check")
    assert (code, out.splitlines()[0]) == (0, f"{machine}: no fault")


def test_other_verbs_take_settings(machine: Path, typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named cluster is asked at its own place; `--set` counts for one command; a wrong one is refused."""
    with pretend_cluster(tmp_path / "cluster") as served:
        monkeypatch.setenv("HADOOP_USER_NAME", USER)
        machine.write_text(SITE.replace("CONF", str(served.conf_dir)))
        assert typed("config", "check")[0] == 0
        assert asked_places(served, typed, "show", JOB) == {f"/apps/ml/{USER}/jobs/{JOB}"}
        assert asked_places(served, typed, "show", JOB, "--set", "staging_root=/o") == {f"/o/{USER}/jobs/{JOB}"}
        for verb in ("show", "logs", "kill", "get"):
            code, _, err = typed(verb, JOB, "--set", "staging_rot=/o")
            assert (code, "did you mean staging_root?" in err) == (64, True)
        assert typed("list", "--set", "x")[0] == 64


def test_a_misspelled_key_stops_no_running_job(
    machine: Path, typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is about a live job goes on with one warning a key; what starts or removes something is refused."""
    with pretend_cluster(tmp_path / "cluster") as served:
        monkeypatch.setenv("HADOOP_USER_NAME", USER)
        monkeypatch.setenv("YARN_SUBMITTER_QUEU", "x")
        machine.write_text(f"quue: x\n{SITE.replace('CONF', str(served.conf_dir))}")
        served.add_app("RUNNING")
        served.put(f"/apps/ml/{USER}/jobs/{JOB}/spec/job.json", job_plan().to_text())
        verbs = (["list"], ["show", JOB], ["logs", JOB], ["get", JOB], ["queues"], ["nodes"])
        for words in (*verbs, ["move", JOB, "ml"], ["priority", JOB, "1"], ["timeout", JOB, "1h"], ["kill", JOB]):
            code, _, err = typed(*words)
            assert code == 0, err
            assert err.count("job: warning: ") == err.count("[setting-unknown]") == 2
            assert f"job: warning: {machine}:1: there is no setting quue. [setting-unknown]\n" in err
            assert "job: warning: YARN_SUBMITTER_QUEU: there is no such setting. [setting-unknown]\n" in err
        assert [app for app, _ in served.killed] == [APP]
        run = ["run", "--name", "n", "--num_workers", "0", "--dry_run"]
        for words in (run, ["rerun", JOB], ["clean", JOB], ["config", "check"], ["config", "show"]):
            code, out, err = typed(*words)
            assert (code, out) == (64, ""), words
            assert err.count("[setting-unknown]") == 2
            assert "warning" not in err
        machine.write_text(machine.read_text() + "retention: soon\n")
        assert typed("kill", JOB)[0] == 64


def asked_places(cluster: PretendCluster, typed: Any, *words: str) -> set[str]:
    """Return the job directories that a command asked the NameNode for."""
    before = len(cluster.asked)
    assert typed(*words)[0] == 64
    paths = [request.path.partition("/webhdfs/v1")[2].partition("?")[0] for request in cluster.asked[before:]]
    return {path.partition("/spec")[0] for path in paths if path}
