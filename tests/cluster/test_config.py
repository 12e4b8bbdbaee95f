"""A cluster that a user's file names is a whole cluster: found, asked, submitted to, with its own defaults and caps."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.leftovers import site_of
from cluster.typing_jobs import Typist

SITE = """\
env: {GREETING: from the site, COLOUR: green}
caps: {memory: 1G}
"""
USER = """\
cluster: mine
profiles: {small: "memory=256M,vcores=1"}
clusters:
  mine:
    hadoop_conf_dir: CONF
    staging_root: /user/USER/elsewhere
    env: {GREETING: from the cluster}
"""


@pytest.fixture
def configured(typist: Typist, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A user whose file names the sandbox `mine`; nothing in the environment does."""
    own = tmp_path / "xdg" / "yarn-submitter" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(USER.replace("CONF", typist.environment["HADOOP_CONF_DIR"]).replace("/USER", f"/{whoami()}"))
    (tmp_path / "site.yaml").write_text(SITE)
    yield {
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "YARN_SUBMITTER_SITE_FILE": str(tmp_path / "site.yaml"),
        "HADOOP_CONF_DIR": "",
        "YARN_CONF_DIR": "",
    }
    site_of(typist.sandbox).store.delete(f"/user/{whoami()}/elsewhere", recursive=True)


def whoami() -> str:
    """Return the user of this process."""
    return pwd.getpwuid(os.getuid()).pw_name


def test_a_named_cluster_runs_jobs(typist: Typist, configured: dict[str, str]) -> None:
    """`job run` without --cluster and HADOOP_CONF_DIR; its place, profile and variables are the configuration's."""
    assert typist.type("config", "check", **configured).code == 0
    says = 'echo "$GREETING, $COLOUR, $OWN"'
    words = ["--env", "COLOUR=red", "--set", "env.OWN=flag", "--role", "worker:instances=1,memory=256M"]
    ended = typist.type(
        *["run", "--name", "configured", "--framework", "generic", "--input_path", "", *words],
        *["--role_cmd", f"worker={says}"],
        **configured,
    )
    assert ended.code == 0, ended.err
    assert "from the cluster, red, flag" in ended.out
    job_id = ended.err.partition(", id ")[2].split()[0]
    shown = typist.type("show", job_id, "--cluster", "mine", "--json", **configured)
    assert shown.code == 0, shown.err
    assert f"/user/{whoami()}/elsewhere/{whoami()}/jobs/{job_id}" in shown.out
    elsewhere = typist.type("show", job_id, "--set", f"staging_root=/user/{whoami()}/none", **configured)
    assert (elsewhere.code, "[job-record-missing]" in elsewhere.err) == (64, True)


def test_caps_refuse_before_anything_is_created(typist: Typist, configured: dict[str, str]) -> None:
    """What the site caps is refused with the line of its file; a wrong key stops new jobs, and no look at old ones."""
    refused = typist.type(*typist.generic("capped", memory="600M", a="true", b="true"), **configured)
    assert refused.code == 64
    assert "The job asks for 1200M memory in all; the most is 1G." in refused.err
    assert f"caps.memory is set by {configured['YARN_SUBMITTER_SITE_FILE']}:2" in refused.err
    wrong = {**configured, "YARN_SUBMITTER_QUEU": "x"}
    listed = typist.type("list", **wrong)
    assert (listed.code, "did you mean YARN_SUBMITTER_QUEUE?" in listed.err) == (0, True)
    refused = typist.type(*typist.generic("misspelled", a="true", b="true"), **wrong)
    assert (refused.code, "[setting-unknown]" in refused.err) == (64, True)
