"""A real Hadoop on this machine: HDFS and YARN as processes of the user, for the first job, tests and trying things.

    sandbox = Sandbox("default")
    info = sandbox.up(SandboxSettings(nodes=2), print)
    os.environ["HADOOP_CONF_DIR"] = str(info.conf_dir)
    sandbox.down()

`find(name)` reads one small file and asks nobody; `Sandbox.status` asks every daemon.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.sandbox.state import (
    DEFAULT_NAME,
    SandboxSettings,
    load_state,
    name_option,
    others,
    parse_properties,
    sandbox_dir,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarn_submitter.sandbox.state import SandboxState

# Not a daemon: the process that makes the class-data archive.
ARCHIVER = "class-archive"

__all__ = [
    "DEFAULT_NAME",
    "DaemonStatus",
    "NodeInfo",
    "Sandbox",
    "SandboxInfo",
    "SandboxSettings",
    "SandboxStatus",
    "find",
    "name_option",
    "others",
    "parse_properties",
    "require",
]


@dataclass(frozen=True)
class NodeInfo:
    """One NodeManager: its name here, the host that YARN knows, host:port of its RPC and web servers, its process."""

    name: str
    host: str
    rpc: str
    http: str
    pid: int | None


@dataclass(frozen=True)
class SandboxInfo:
    """Where a sandbox is and how to use it; says nothing about whether it runs now.

    Attributes:
        name: The sandbox's name.
        id: Value of YARN_SUBMITTER_SANDBOX_ID in its containers' environment.
        user: Who started it: HDFS superuser, YARN administrator.
        directory: Everything of this sandbox.
        conf_dir: What clients name in HADOOP_CONF_DIR (short retries).
        daemon_conf_dir: What daemons and containers use (long retries).
        bin_dir: Holds the `yarn` command that Skein needs on PATH.
        java_home: The Java that runs it.
        rm_http: host:port of the ResourceManager's web server and REST interface.
        nn_http: host:port of the NameNode's web server and WebHDFS.
        fs: HDFS as a URI, such as `hdfs://127.0.0.1:20123`.
        nodes: The NodeManagers.
        pids: Process id by daemon name (`namenode`, `datanode`, `resourcemanager`, `node1`, ...) as last started.
    """

    name: str
    id: str
    user: str
    directory: Path
    conf_dir: Path
    daemon_conf_dir: Path
    bin_dir: Path
    java_home: Path
    rm_http: str
    nn_http: str
    fs: str
    nodes: tuple[NodeInfo, ...]
    pids: dict[str, int]

    def environment(self) -> dict[str, str]:
        """Return the variables that other programs need; PATH holds only what goes before the present one."""
        return {
            "HADOOP_CONF_DIR": str(self.conf_dir),
            "JAVA_HOME": str(self.java_home),
            "PATH": str(self.bin_dir),
        }


@dataclass(frozen=True)
class DaemonStatus:
    """One daemon: its process (None when never started), web address, log, whether it lives and answers."""

    name: str
    pid: int | None
    address: str
    alive: bool
    answering: bool
    log: str


@dataclass(frozen=True)
class SandboxStatus:
    """What every daemon said just now.

    Attributes:
        name: The sandbox's name.
        info: Where it is; None when there is no sandbox of this name.
        daemons: Each daemon; empty when there is no sandbox of this name.
        nodes_running: NodeManagers that the ResourceManager counts as running.
        up: All daemons live and answer, HDFS is writable and every NodeManager runs.
    """

    name: str
    info: SandboxInfo | None
    daemons: tuple[DaemonStatus, ...]
    nodes_running: int
    up: bool

    def to_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        info = self.info
        return {
            "schema": "yarn-submitter/sandbox-status/1",
            "name": self.name,
            "up": self.up,
            "nodes_running": self.nodes_running,
            "id": info.id if info else None,
            "directory": str(info.directory) if info else None,
            "environment": info.environment() if info else None,
            "resourcemanager": f"http://{info.rm_http}/" if info else None,
            "namenode": info.fs if info else None,
            "daemons": [asdict(daemon) for daemon in self.daemons],
        }


class Sandbox:
    """One named sandbox of this user; creating the object touches nothing."""

    def __init__(self, name: str = DEFAULT_NAME) -> None:
        self.name = name
        self.directory = sandbox_dir(name)

    def up(
        self, settings: SandboxSettings | None = None, progress: Callable[[str], None] = lambda _text: None
    ) -> SandboxInfo:
        """Start whatever of the sandbox does not run, and return when jobs can be submitted to it.

        Args:
            settings: What differs from the last time, or from the defaults.
            progress: Told what is waited for, one line at a time.

        Raises:
            UsageError: It runs with other settings.
            StagingError: No Java, no download, a full disk.
            UnreachableError: A daemon died; names the daemon and its log, shows the log's end.
            LimitError: It was not ready by the deadline; says what was missing.
        """
        from yarn_submitter.sandbox.lifecycle import up

        return info_of(up(self.name, settings or SandboxSettings(), progress))

    def status(self) -> SandboxStatus:
        """Ask every daemon; takes two seconds at most."""
        from yarn_submitter.sandbox.lifecycle import status

        return status(self.name)

    def down(self, *, delete: bool = False, progress: Callable[[str], None] = lambda _text: None) -> bool:
        """End the sandbox's daemons and what its containers left; True when there was something to end.

        Args:
            delete: Remove its HDFS, logs and settings too.
            progress: Told what is waited for.
        """
        from yarn_submitter.sandbox.lifecycle import down

        return down(self.name, delete=delete, progress=progress)

    def container_pids(self) -> list[int]:
        """Return the ids of all processes that come from this sandbox's containers (Linux; else none)."""
        from yarn_submitter.sandbox.processes import marked_pids

        state = load_state(self.name)
        return marked_pids(state.id) if state else []


def find(name: str = DEFAULT_NAME) -> SandboxInfo | None:
    """Return what is remembered of a sandbox, without asking whether it runs; None when there is none."""
    state = load_state(name)
    return info_of(state) if state else None


def require(name: str = DEFAULT_NAME) -> SandboxInfo:
    """Return what is remembered of a sandbox, as `find`.

    Raises:
        UsageError: There is none of this name.
    """
    info = find(name)
    if info is None:
        raise UsageError(
            Problem(
                "sandbox-unknown",
                f"There is no sandbox {name!r}.",
                others(name),
                f"job sandbox up{name_option(name)}",
            )
        )
    return info


def info_of(state: SandboxState) -> SandboxInfo:
    """Return the public form of a state."""
    directory, port = sandbox_dir(state.name), state.ports
    pids = {name: process.pid for name, process in state.processes.items() if name != ARCHIVER}
    return SandboxInfo(
        name=state.name,
        id=state.id,
        user=state.user,
        directory=directory,
        conf_dir=directory / "conf" / "client",
        daemon_conf_dir=directory / "conf" / "daemon",
        bin_dir=directory / "bin",
        java_home=Path(state.java_home),
        rm_http=f"127.0.0.1:{port['RM_HTTP']}",
        nn_http=f"127.0.0.1:{port['NN_HTTP']}",
        fs=f"hdfs://127.0.0.1:{port['NN_RPC']}",
        nodes=tuple(
            NodeInfo(
                name=f"node{number}",
                host=address,
                rpc=f"{address}:{port[f'NODE{number}_RPC']}",
                http=f"{address}:{port[f'NODE{number}_HTTP']}",
                pid=pids.get(f"node{number}"),
            )
            for number, address in enumerate(state.node_addresses, 1)
        ),
        pids=pids,
    )
