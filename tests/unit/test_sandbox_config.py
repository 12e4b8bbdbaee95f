"""The sandbox's Hadoop configuration, as its daemons and its clients will read it."""

import os
import subprocess
from xml.etree import ElementTree as ET

import pytest

from yarn_submitter.sandbox.addresses import MASTER_PORTS, NODE_PORTS
from yarn_submitter.sandbox.config import site_properties, write_configuration
from yarn_submitter.sandbox.daemons import daemons, environment, java_command
from yarn_submitter.sandbox.state import Process, SandboxState, Shape


def make_state(**changes) -> SandboxState:
    """Return the state of a sandbox with numbers that are nobody's default."""
    addresses = changes.pop("node_addresses", ("127.0.0.11", "127.0.0.12"))
    uses = [*MASTER_PORTS, *(f"NODE{n}_{use}" for n in range(1, len(addresses) + 1) for use in NODE_PORTS)]
    return SandboxState(
        name="trial",
        id="abc123",
        user="ada",
        java_home="/opt/java",
        shape=Shape(nodes=len(addresses), memory_mb=3000, vcores=5, gpus=3, **changes),
        node_addresses=addresses,
        ports={use: 20000 + number for number, use in enumerate(uses)},
        processes={"namenode": Process(1, "1")},
    )


def read_xml(path) -> dict[str, str]:
    """Read a site file as Hadoop does, blanks included."""
    return {item.findtext("name"): item.findtext("value") for item in ET.parse(path).iter("property")}  # noqa: S314 - written just now


def test_clients_give_up_in_seconds_and_daemons_do_not(tmp_path):
    """The same addresses, other patience."""
    sites = site_properties(make_state(), tmp_path, tmp_path / "jars")
    client, daemon = sites["client/core-site"], sites["daemon/core-site"]
    assert client["fs.defaultFS"] == daemon["fs.defaultFS"] == "hdfs://127.0.0.1:20000"
    assert (client["yarn-submitter.start"], "yarn-submitter.start" in daemon) == ("job sandbox up --name trial", False)
    assert int(client["ipc.client.connect.max.retries"]) <= 2
    assert int(daemon["ipc.client.connect.max.retries"]) >= 50
    assert int(sites["client/yarn-site"]["yarn.resourcemanager.connect.max-wait.ms"]) <= 5000
    assert "yarn.resourcemanager.connect.max-wait.ms" not in sites["daemon/yarn-site"]


def test_each_nodemanager_has_its_own_address_and_directories(tmp_path):
    """Nothing that two NodeManagers write or listen on is the same."""
    sites = site_properties(make_state(), tmp_path, tmp_path / "jars")
    first, second = sites["node1/yarn-site"], sites["node2/yarn-site"]
    assert first["yarn.nodemanager.address"].startswith("127.0.0.11:")
    assert second["yarn.nodemanager.address"].startswith("127.0.0.12:")
    for key in ("address", "localizer.address", "webapp.address", "local-dirs", "log-dirs", "recovery.dir"):
        assert first[f"yarn.nodemanager.{key}"] != second[f"yarn.nodemanager.{key}"]
    assert "yarn.scheduler.include-port-in-node-name" not in first


def test_nodes_with_one_address_are_told_apart_by_port(tmp_path):
    """Where the system has only 127.0.0.1, YARN calls nodes host:port."""
    sites = site_properties(make_state(node_addresses=("127.0.0.1", "127.0.0.1")), tmp_path, tmp_path / "jars")
    for site in ("daemon", "client", "node1"):
        assert sites[f"{site}/yarn-site"]["yarn.scheduler.include-port-in-node-name"] == "true"


def test_a_set_property_wins_in_every_file(tmp_path):
    """`--set` reaches every reader, over templates and over the clients' own values."""
    state = make_state(properties={"ipc.client.connect.max.retries": "7", "any.name": "1"})
    for properties in site_properties(state, tmp_path, tmp_path / "jars").values():
        assert properties["ipc.client.connect.max.retries"] == "7"
        assert properties["any.name"] == "1"


def test_the_files_say_what_was_asked_for(tmp_path):
    """Written and read again: sizes, fake GPUs, queues, and root's submit list of one blank that closes it."""
    write_configuration(make_state(properties={"odd": "<&> ü"}), tmp_path, tmp_path / "jars")
    yarn = read_xml(tmp_path / "conf" / "node2" / "yarn-site.xml")
    assert yarn["yarn.nodemanager.resource.memory-mb"] == "3000"
    assert yarn["yarn.nodemanager.resource.cpu-vcores"] == "5"
    assert yarn["yarn.nodemanager.resource-type.yarn.io/gpu"] == "3"
    assert yarn["yarn.nodemanager.admin-env"].endswith("YARN_SUBMITTER_SANDBOX_ID=abc123")
    assert yarn["odd"] == "<&> ü"
    queues = read_xml(tmp_path / "conf" / "daemon" / "capacity-scheduler.xml")
    assert queues["yarn.scheduler.capacity.root.queues"] == "default,ml,prod"
    assert queues["yarn.scheduler.capacity.root.acl_submit_applications"] == " "
    assert queues["yarn.scheduler.capacity.root.prod.acl_submit_applications"] == "ada"
    assert not (tmp_path / "conf" / "client" / "capacity-scheduler.xml").exists()
    for path in tmp_path.rglob("*.xml"):
        assert "@" not in path.read_text().replace("@DAEMON", ""), path


def test_the_yarn_command_answers_skein(tmp_path):
    """`yarn classpath --glob` prints the clients' configuration before the jars."""
    write_configuration(make_state(), tmp_path, tmp_path / "jars")
    answer = subprocess.run(
        [tmp_path / "bin" / "yarn", "classpath", "--glob"], capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"{tmp_path}/conf/client:{tmp_path}/jars/*\n"


def test_daemons_carry_the_mark_and_write_below_the_sandbox(tmp_path, monkeypatch):
    """Every command line has name and id, all jars before the configuration, and no temporary place elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    state, jars = make_state(), [tmp_path / "a.jar", tmp_path / "b.jar"]
    names = []
    for daemon in daemons(state):
        names.append(daemon.name)
        command = java_command(state, tmp_path, jars, daemon)
        assert command[0] == "/opt/java/bin/java"
        assert "-Dyarn.submitter.sandbox=trial" in command
        assert "-Dyarn.submitter.sandbox.id=abc123" in command
        assert f"-Djava.io.tmpdir={tmp_path / 'tmp'}" in command
        assert "-XX:-UsePerfData" in command
        class_path = command[command.index("-cp") + 1].split(os.pathsep)
        assert class_path[:2] == [str(path) for path in jars]
        assert class_path[2] == f"{tmp_path}/conf/{daemon.conf}"
    assert sorted(names) == ["datanode", "namenode", "node1", "node2", "resourcemanager"]


@pytest.mark.parametrize("name", ["HADOOP_CONF_DIR", "HADOOP_USER_NAME", "_JAVA_OPTIONS", "YARN_SUBMITTER_SANDBOX_ID"])
def test_the_callers_shell_does_not_reach_the_daemons(tmp_path, name):
    """Variables that belong to other clusters or Javas are replaced or left out."""
    found = environment(
        make_state(), tmp_path, {name: "foreign", "HOME": "/home/ada", "PATH": "/venv/bin:/usr/bin:/bin"}
    )
    assert "foreign" not in found.values()
    assert found["HOME"] == "/home/ada"
    assert "/venv/bin" not in found["PATH"]
    assert found["HADOOP_CONF_DIR"] == f"{tmp_path}/conf/daemon"
