"""A cluster is found by --cluster or HADOOP_CONF_DIR; what is wrong with either is a sentence with the next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from client_fakes import USER, PretendCluster
from httpstandin import closed_port

from yarn_submitter.errors import UnreachableError, UsageError
from yarn_submitter.site import open_site


@pytest.fixture(autouse=True)
def _no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_cluster_of_the_environment(cluster: PretendCluster) -> None:
    """HADOOP_CONF_DIR names it, HADOOP_USER_NAME who works on it; nothing is asked before it is needed."""
    site = open_site("", cluster.environ)
    assert (site.name, site.user, site.option) == (str(cluster.conf_dir), USER, "")
    assert site.conf.default_fs == "hdfs://nn:9000"
    assert cluster.asked == []
    assert site.store.status("/") is not None


@pytest.mark.parametrize(
    ("root", "base"), [("", f"/user/{USER}/.yarn-submitter"), ("/ys", f"/ys/{USER}"), ("/ys/", f"/ys/{USER}")]
)
def test_the_users_place(cluster: PretendCluster, root: str, base: str) -> None:
    """In the home, or below YARN_SUBMITTER_ROOT; the same rule tells another user's."""
    site = open_site("", {**cluster.environ, "YARN_SUBMITTER_ROOT": root})
    assert site.paths.base == base
    assert site.paths_of("bob").base == base.replace(USER, "bob")


@pytest.mark.parametrize(
    ("option", "environ", "problem_id", "words"),
    [
        ("", {}, "no-cluster", ["HADOOP_CONF_DIR", "--cluster sandbox", "job sandbox up"]),
        ("", {"HADOOP_CONF_DIR": ""}, "no-cluster", ["HADOOP_CONF_DIR"]),
        ("", {"HADOOP_CONF_DIR": "/none"}, "conf-broken", ["/none"]),
        ("prod", {}, "cluster-unknown", ["'prod'", "sandbox:NAME", "HADOOP_CONF_DIR"]),
        ("sandbox", {}, "sandbox-unknown", ["job sandbox up"]),
        ("sandbox:", {}, "sandbox-unknown", ["job sandbox up"]),
        ("sandbox:two", {}, "sandbox-unknown", ["two", "job sandbox up"]),
        ("", {"HADOOP_CONF_DIR": "/none", "YARN_SUBMITTER_ROOT": "ys"}, "setting-value", ["ROOT", "'ys'", "absolute"]),
    ],
)
def test_no_cluster(option: str, environ: dict[str, str], problem_id: str, words: list[str]) -> None:
    """Each way of having none has its sentence."""
    with pytest.raises(UsageError) as refused:
        open_site(option, environ)
    (problem,) = refused.value.problems
    assert problem.id == problem_id
    for word in words:
        assert word in problem.text()


@pytest.mark.parametrize("start", ["", "job sandbox up --name x"])
def test_a_cluster_that_does_not_answer(cluster: PretendCluster, start: str) -> None:
    """A sandbox that is down says how it is started; any other cluster how to see whether it is up."""
    row = f"<property><name>yarn-submitter.start</name><value>{start}</value></property></configuration>"
    for file in cluster.conf_dir.iterdir():
        text = file.read_text().replace(cluster.server.address, closed_port().rpartition("/")[2])
        file.write_text(text.replace("</configuration>", row))
    site = open_site("", cluster.environ)
    for ask in (site.resource_manager.list_apps, lambda: site.store.status("/")):
        with pytest.raises(UnreachableError) as down:
            ask()
        (problem,) = down.value.problems
        assert problem.next_step == start or (not start and "curl -m 5 'http" in problem.next_step)
