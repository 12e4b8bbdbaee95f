"""Hadoop's XML files become one typed value, and every fault in them is one sentence."""

from pathlib import Path

import pytest

from yarn_submitter.errors import UsageError
from yarn_submitter.hadoopconf import current_user, load_conf, no_cluster


def write(conf_dir: Path, name: str, settings: dict[str, str], extra: str = "") -> None:
    """Write one of Hadoop's files."""
    body = "".join(
        f"<property><name>{key}</name><value>{value}</value></property>\n" for key, value in settings.items()
    )
    (conf_dir / name).write_text(f'<?xml version="1.0"?>\n<configuration>\n{body}{extra}</configuration>\n')


def conf_of(conf_dir: Path, core: dict[str, str], hdfs: dict[str, str], yarn: dict[str, str]):
    """Write all three files and load them."""
    write(conf_dir, "core-site.xml", core)
    write(conf_dir, "hdfs-site.xml", hdfs)
    write(conf_dir, "yarn-site.xml", yarn)
    return load_conf(conf_dir, {"USER": "ada"})


def test_plain_cluster(tmp_path):
    """Addresses come from the settings, variables replaced."""
    conf = conf_of(
        tmp_path,
        {"fs.defaultFS": "hdfs://nn1:9000/"},
        {"dfs.namenode.http-address": "nn1:9870"},
        {
            "yarn.resourcemanager.hostname": "rm1",
            "yarn.resourcemanager.webapp.address": "${yarn.resourcemanager.hostname}:80",
        },
    )
    assert conf.default_fs == "hdfs://nn1:9000"
    assert conf.webhdfs == ("http://nn1:9870",)
    assert conf.rm_http == ("http://rm1:80",)
    assert (conf.log_dir_root, conf.log_suffix, conf.kerberos) == ("/tmp/logs", "logs-tfile", False)  # noqa: S108
    assert conf.get("no.such.key", "other") == "other"


def test_defaults_follow_the_hosts(tmp_path):
    """An address that is not set, or names every interface, is the daemon's host with Hadoop's default port."""
    conf = conf_of(
        tmp_path,
        {"fs.defaultFS": "hdfs://nn1"},
        {"dfs.namenode.http-address": "0.0.0.0:50070"},
        {"yarn.resourcemanager.hostname": "rm1"},
    )
    assert conf.webhdfs == ("http://nn1:50070",)
    assert conf.rm_http == ("http://rm1:8088",)


def test_high_availability(tmp_path):
    """Every NameNode of the default nameservice and every ResourceManager is listed, in the order of the ids."""
    conf = conf_of(
        tmp_path,
        {"fs.defaultFS": "hdfs://prod", "hadoop.security.authentication": "kerberos"},
        {
            "dfs.nameservices": "prod,other",
            "dfs.ha.namenodes.prod": "nn1, nn2",
            "dfs.namenode.http-address.prod.nn1": "a:9870",
            "dfs.namenode.rpc-address.prod.nn2": "b:8020",
            "dfs.ha.namenodes.other": "nn3",
        },
        {
            "yarn.resourcemanager.ha.enabled": "true",
            "yarn.resourcemanager.ha.rm-ids": "rm1,rm2",
            "yarn.resourcemanager.webapp.address.rm1": "c:8088",
            "yarn.resourcemanager.hostname.rm2": "d",
            "yarn.nodemanager.remote-app-log-dir": "/logs",
            "yarn.log-aggregation.TFile.remote-app-log-dir-suffix": "mine",
        },
    )
    assert conf.webhdfs == ("http://a:9870", "http://b:9870")
    assert conf.rm_http == ("http://c:8088", "http://d:8088")
    assert (conf.log_dir_root, conf.log_suffix, conf.kerberos) == ("/logs", "mine", True)


def test_https(tmp_path):
    """Where the cluster's policy is HTTPS only, addresses are https."""
    conf = conf_of(
        tmp_path,
        {"fs.defaultFS": "hdfs://nn1"},
        {"dfs.http.policy": "HTTPS_ONLY"},
        {"yarn.http.policy": "HTTPS_ONLY", "yarn.resourcemanager.hostname": "rm1"},
    )
    assert conf.webhdfs == ("https://nn1:9871",)
    assert conf.rm_http == ("https://rm1:8090",)


def test_other_file_system_has_no_webhdfs(tmp_path):
    """A default file system that is not HDFS has no NameNode."""
    assert conf_of(tmp_path, {"fs.defaultFS": "s3a://bucket"}, {}, {}).webhdfs == ()


def test_final_include_and_environment(tmp_path):
    """A final property stays, an included file counts, `${env.X}` is taken from the environment."""
    final = "<property><name>k</name><value>core</value><final>true</final></property>"
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="more.xml"/>'
    write(tmp_path, "core-site.xml", {"loop": "${loop}"}, final + include)
    write(tmp_path, "more.xml", {"who": "${env.USER}-${env.NONE:-x}-${nothing}"})
    write(tmp_path, "hdfs-site.xml", {"k": "hdfs"})
    write(tmp_path, "yarn-site.xml", {})
    conf = load_conf(tmp_path, {"USER": "ada"})
    assert conf.get("k") == "core"
    assert conf.get("who") == "ada-x-${nothing}"
    assert conf.get("loop") == "${loop}"


def test_missing_file_is_named(tmp_path):
    """A directory without Hadoop's files is one sentence that names the file."""
    with pytest.raises(UsageError) as caught:
        load_conf(tmp_path)
    assert [problem.id for problem in caught.value.problems] == ["conf-broken"]
    assert str(tmp_path / "core-site.xml") in caught.value.problems[0].sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<configuration>\n<property>\n<name>a</nam>", "in line 3: mismatched tag"),
        ("", "in line 1: no element found"),
        ("<html></html>", "begins with <html>"),
    ],
)
def test_broken_file_is_named_with_line(tmp_path, text, said):
    """A file that is no configuration is one sentence with file and line."""
    write(tmp_path, "core-site.xml", {})
    (tmp_path / "hdfs-site.xml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_conf(tmp_path)
    assert caught.value.problems[0].id == "conf-broken"
    assert str(tmp_path / "hdfs-site.xml") in caught.value.problems[0].sentence
    assert said in caught.value.problems[0].sentence


def test_user_from_the_environment():
    """HADOOP_USER_NAME goes before the process's user."""
    assert current_user({"HADOOP_USER_NAME": "ada"}) == "ada"
    assert current_user({})


def test_no_cluster_says_what_to_type():
    """Without a cluster the message names the three ways to one."""
    text = str(no_cluster())
    for word in ("[no-cluster]", "HADOOP_CONF_DIR", "--cluster sandbox", "job sandbox up"):
        assert word in text
