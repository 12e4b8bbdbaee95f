"""Hadoop properties of one job lie over the cluster's own configuration, however that is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from client_fakes import pretend_cluster

from yarn_submitter.hadoopconf import FILES, load_conf
from yarn_submitter.overlay import with_properties
from yarn_submitter.site import open_site

PROPERTY = "<property><name>a</name><value>the site's</value><!-- \xe9 --></property>"
INCLUDE = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="more.xml"/>'


@pytest.mark.parametrize(
    "yarn_site",
    [
        b'<?xml version="1.0"?>\n<configuration/>\n',
        f'<?xml version="1.0" encoding="ISO-8859-1"?><configuration>{PROPERTY}</configuration>'.encode("latin-1"),
        b"<configuration></configuration><!-- was: </configuration> -->",
        f"<configuration>{INCLUDE}</configuration>".encode(),
    ],
    ids=["empty", "latin-1", "comment", "include"],
)
def test_the_job_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, yarn_site: bytes) -> None:
    """In a directory of its own, in each of Hadoop's files; the cluster's own files and the others stay as they are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pretend_cluster(tmp_path / "cluster") as cluster:
        conf_dir = Path(cluster.environ["HADOOP_CONF_DIR"])
        (conf_dir / "more.xml").write_text(f"<configuration>{PROPERTY}</configuration>", encoding="utf-8")
        (conf_dir / "yarn-site.xml").write_bytes(yarn_site)
        site = open_site("", cluster.environ)
        with with_properties(site, {"a": "<the job's> & more"}) as changed:
            directory = Path(changed.environ["HADOOP_CONF_DIR"])
            assert directory != conf_dir
            assert changed.conf.get("a") == "<the job's> & more"
            assert changed.conf.default_fs == site.conf.default_fs
            assert sorted(path.name for path in directory.iterdir()) == sorted({*FILES, "more.xml"})
        assert not directory.exists()
        assert load_conf(conf_dir).get("a") in ("", "the site's")
