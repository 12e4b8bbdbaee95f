"""The sandbox's daemons: their command lines, and what each answers when it is ready.

Flags, class-path rules and start traps are those of Hadoop's own scripts for Java 17.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yarn_submitter.sandbox.addresses import LOCALHOST
from yarn_submitter.sandbox.archive import archive_flags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from yarn_submitter.sandbox.state import SandboxState

NAMENODE_CLASS = "org.apache.hadoop.hdfs.server.namenode.NameNode"
OPENED_PACKAGES = (
    "java.io",
    "java.lang",
    "java.lang.reflect",
    "java.math",
    "java.net",
    "java.text",
    "java.util",
    "java.util.concurrent",
    "java.util.zip",
    "sun.security.util",
    "sun.security.x509",
)
# Fast to start and small: no optimizing compiler, one collector thread, no memory-mapped counters in /tmp.
JVM_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xmx256m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
    # Without Hadoop's native library a NodeManager starts a `chmod` for every file that it localizes: thousands, for
    # an environment archive. vfork halves what each costs; the default goes through a helper program.
    "-Djdk.lang.Process.launchMechanism=VFORK",
)
# A node of a real cluster does not have its user's PATH either.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME")
ANSWER_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Daemon:
    """One daemon of a sandbox.

    Attributes:
        name: `namenode`, `datanode`, `resourcemanager`, `node1`, `node2`, ...
        main_class: The Java class that is started.
        conf: Name of its configuration directory.
        port_uses: Uses of the ports it listens on.
        address: host:port of its web server.
        path: What to GET there to see whether it answers.
    """

    name: str
    main_class: str
    conf: str
    port_uses: tuple[str, ...]
    address: str
    path: str


def daemons(state: SandboxState) -> tuple[Daemon, ...]:
    """Return every daemon of the sandbox in the order of their start; the DataNode's disk must fit the NameNode's."""
    port = state.ports
    found = [
        Daemon(
            "resourcemanager",
            "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
            "daemon",
            ("RM_CLIENT", "RM_SCHEDULER", "RM_TRACKER", "RM_ADMIN", "RM_HTTP"),
            f"{LOCALHOST}:{port['RM_HTTP']}",
            "/ws/v1/cluster/info",
        )
    ]
    found += [
        Daemon(
            f"node{number}",
            "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
            f"node{number}",
            tuple(f"NODE{number}_{use}" for use in ("RPC", "LOCALIZER", "HTTP")),
            f"{address}:{port[f'NODE{number}_HTTP']}",
            "/ws/v1/node/info",
        )
        for number, address in enumerate(state.node_addresses, 1)
    ]
    found += [
        Daemon(
            "namenode",
            NAMENODE_CLASS,
            "daemon",
            ("NN_RPC", "NN_HTTP"),
            f"{LOCALHOST}:{port['NN_HTTP']}",
            "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo",
        ),
        Daemon(
            "datanode",
            "org.apache.hadoop.hdfs.server.datanode.DataNode",
            "daemon",
            ("DN_DATA", "DN_HTTP", "DN_IPC"),
            f"{LOCALHOST}:{port['DN_HTTP']}",
            "/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo",
        ),
    ]
    return tuple(found)


def mark(state: SandboxState) -> str:
    """Return the argument that every daemon of this sandbox, and nobody else, has on its command line."""
    return f"-Dyarn.submitter.sandbox.id={state.id}"


def temporary_directory_flag(directory: Path) -> str:
    """Return the argument that every JVM of the sandbox in this directory has."""
    return f"-Djava.io.tmpdir={directory / 'tmp'}"


def java_command(state: SandboxState, directory: Path, jars: Sequence[Path], daemon: Daemon) -> list[str]:
    """Return a daemon's command line.

    The jars come first and are all named, because a class-data archive asks for exactly that; no jar holds a
    configuration file, so the configuration directory at the end is still the only one.
    """
    logs, temporary = directory / "logs", directory / "tmp"
    class_path = os.pathsep.join([*map(str, jars), str(directory / "conf" / daemon.conf)])
    if daemon.conf != "daemon":
        class_path += os.pathsep + str(directory / "conf" / "daemon")
    return [
        str(Path(state.java_home) / "bin" / "java"),
        f"-Dyarn.submitter.sandbox={state.name}",
        mark(state),
        *JVM_FLAGS,
        *archive_flags(Path(state.java_home), jars, temporary / f"classes-{daemon.name}.log"),
        f"-XX:ErrorFile={logs}/hs_err_{daemon.name}_%p.log",
        "-XX:+IgnoreUnrecognizedVMOptions",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED_PACKAGES),
        f"-Djdk.net.hosts.file={directory}/conf/hosts",
        temporary_directory_flag(directory),
        f"-Dhadoop.log.dir={logs}",
        f"-Dyarn.log.dir={logs}",
        "-Dhadoop.root.logger=INFO,console",
        "-cp",
        class_path,
        daemon.main_class,
    ]


def environment(state: SandboxState, directory: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the daemons' whole environment; NodeManagers pass some of it on to containers.

    It is made anew: HADOOP_*, YARN_* and JVM variables of the caller's shell belong to other clusters.
    """
    found = {key: environ[key] for key in PASSED_ON if key in environ}
    bash = shutil.which("bash", path=environ.get("PATH"))
    path = SYSTEM_PATH
    if bash and str(Path(bash).parent) not in path.split(":"):
        path = f"{path}:{Path(bash).parent}"
    return {
        **found,
        "PATH": path,
        "JAVA_HOME": state.java_home,
        "HADOOP_CONF_DIR": str(directory / "conf" / "daemon"),
        "TMPDIR": str(directory / "tmp"),
    }


def fetch_json(address: str, path: str) -> Any:
    """GET a daemon's answer as JSON; None when it does not answer, or with something else."""
    import urllib3

    try:
        with urllib3.PoolManager(retries=False, timeout=ANSWER_TIMEOUT_S) as pool:
            answer = pool.request("GET", f"http://{address}{path}", headers={"Accept": "application/json"})
            return json.loads(answer.data) if answer.status == 200 else None
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return None


def answering(found: Iterable[Daemon]) -> dict[str, bool]:
    """Ask every daemon at once whether it answers; the answer by daemon name."""
    every = list(found)
    with ThreadPoolExecutor(len(every)) as pool:
        answers = pool.map(lambda daemon: fetch_json(daemon.address, daemon.path) is not None, every)
        return dict(zip((daemon.name for daemon in every), answers, strict=True))


def hdfs_missing(state: SandboxState) -> str:
    """Return what HDFS still lacks, in words; empty when it can be written to."""
    answer = fetch_json(f"{LOCALHOST}:{state.ports['NN_HTTP']}", "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo")
    beans = (answer or {}).get("beans") or []
    if not beans:
        return "NameNode"
    if not json.loads(beans[0].get("LiveNodes") or "{}"):
        return "DataNode"
    return "HDFS to leave safe mode" if beans[0].get("Safemode") else ""


def yarn_missing(state: SandboxState) -> str:
    """Return what YARN still lacks, in words; empty when all nodes run."""
    address = f"{LOCALHOST}:{state.ports['RM_HTTP']}"
    info = (fetch_json(address, "/ws/v1/cluster/info") or {}).get("clusterInfo") or {}
    if info.get("state") != "STARTED" or info.get("haState") != "ACTIVE":
        return "ResourceManager"
    missing = len(state.node_addresses) - running_nodes(state)
    return f"{missing} of {len(state.node_addresses)} NodeManagers" if missing > 0 else ""


def running_nodes(state: SandboxState) -> int:
    """Return how many NodeManagers the ResourceManager counts as running; 0 when it does not answer."""
    answer = fetch_json(f"{LOCALHOST}:{state.ports['RM_HTTP']}", "/ws/v1/cluster/nodes?states=RUNNING")
    nodes = ((answer or {}).get("nodes") or {}).get("node") or []
    return len(nodes) if isinstance(nodes, list) else 1
