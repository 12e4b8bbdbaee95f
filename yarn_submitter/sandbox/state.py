"""What a sandbox remembers on disk: settings, addresses, ports, and which processes it started.

Everything of one sandbox lies below `<cache>/sandbox/<name>/`:

    state.json   this module's value
    conf/        daemon, node1, node2, ... and client: complete Hadoop configuration directories
    bin/         the `yarn` command that Skein's driver asks for a class path
    data/        what NameNode, DataNode, ResourceManager and NodeManagers keep
    logs/        one file per daemon, and the one of the start before
    tmp/         working and temporary directory of every daemon
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from dataclasses import fields as fields_of
from typing import TYPE_CHECKING, Any

from yarn_submitter.config import cache_dir
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.given import valid_words
from yarn_submitter.sandbox.files import write_beside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STATE_VERSION = 1
DEFAULT_NAME = "default"
# Lowest and highest value of each number; memory: the daemons' smallest allocation, and what fits their 32 bits.
_LIMITS = {"nodes": (1, 200), "memory_mb": (64, 2**31 - 1), "vcores": (1, 2**31 - 1), "gpus": (0, 2**31 - 1)}


@dataclass(frozen=True)
class SandboxSettings:
    """What the caller of `up` asks for; None means: as the last time, else the default.

    Attributes:
        nodes: NodeManagers (default 2).
        memory_mb: Memory that each NodeManager offers, in MB (default 8192); nothing checks that the machine has it.
        vcores: Virtual cores that each NodeManager offers (default 8).
        gpus: GPUs that each NodeManager claims to have (default 4).
        properties: Any Hadoop properties, put into every configuration file.
        forget: Start from the defaults, not from the last time.
        deadline_s: Longest wait for the daemons, in seconds.
    """

    nodes: int | None = None
    memory_mb: int | None = None
    vcores: int | None = None
    gpus: int | None = None
    properties: Mapping[str, str] | None = None
    forget: bool = False
    deadline_s: float = 180


@dataclass(frozen=True)
class Shape:
    """The settings in force; see SandboxSettings."""

    nodes: int = 2
    memory_mb: int = 8192
    vcores: int = 8
    gpus: int = 4
    properties: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the settings as they are typed."""
        numbers = (f"--{key} {getattr(self, key)}" for key in _LIMITS)
        return " ".join([*numbers, *(f"--set {key}={value}" for key, value in self.properties.items())])

    def changed_by(self, settings: SandboxSettings) -> Shape:
        """Return this shape with everything that `settings` names.

        Raises:
            UsageError: A number is out of its range.
        """
        fields = {item.name for item in fields_of(self)}
        asked = {key: value for key, value in asdict(settings).items() if value is not None and key in fields}
        for key, (lowest, highest) in _LIMITS.items():
            if key in asked and not lowest <= asked[key] <= highest:
                raise UsageError(
                    Problem(
                        "sandbox-value",
                        f"A sandbox cannot have --{key} {asked[key]}.",
                        f"from {lowest} to {highest} it can",
                        f"job sandbox up --{key} {min(max(asked[key], lowest), highest)}",
                    )
                )
        return replace(Shape() if settings.forget else self, **asked)


@dataclass(frozen=True)
class Process:
    """A process we started: its id, and its start time as the system gives it, since ids are used again."""

    pid: int
    started: str


@dataclass(frozen=True)
class SandboxState:
    """The content of state.json.

    Attributes:
        name: The sandbox's name.
        id: Unique mark on the command lines of its daemons and in the environment of its containers.
        user: Who started it; the superuser of its HDFS and the administrator of its YARN.
        java_home: The Java that runs it.
        shape: The settings in force.
        node_addresses: IP address of each NodeManager.
        ports: Port by use, such as `NN_HTTP` or `NODE1_RPC`.
        processes: Process by daemon name, of those that were started and not ended by us.
    """

    name: str
    id: str
    user: str
    java_home: str
    shape: Shape
    node_addresses: tuple[str, ...]
    ports: Mapping[str, int]
    processes: Mapping[str, Process]


def parse_properties(words: Sequence[str]) -> dict[str, str]:
    """Read `key=value` words; the last one of a key wins.

    Raises:
        UsageError: A word has no `=`, or no key.
    """
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                Problem(
                    "sandbox-property",
                    f"--set {word!r} is not a property.",
                    "a property is key=value",
                    "job sandbox up --set dfs.replication=1",
                )
            )
        found[key.strip()] = value
    return found


def others(name: str) -> str:
    """Return in words which sandboxes this user has on this machine, and which one may be meant by `name`."""
    found = sorted(file.parent.name for file in (cache_dir() / "sandbox").glob("*/state.json"))
    return valid_words(name, found, "sandboxes") if found else "there is no sandbox on this machine"


def sandbox_dir(name: str) -> Path:
    """Return the directory of one sandbox; it may not exist yet.

    Raises:
        UsageError: The name cannot be a directory's name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", name):
        raise UsageError(
            Problem(
                "sandbox-name",
                f"{name!r} cannot be the name of a sandbox.",
                "a name has 1 to 31 letters, digits, `-` or `_`, and begins with a letter or a digit\n" + others(name),
                "job sandbox up --name trial",
            )
        )
    return cache_dir() / "sandbox" / name


def name_option(name: str) -> str:
    """Return what is typed behind `job sandbox ACTION` to mean this sandbox; a blank comes first."""
    return "" if name == DEFAULT_NAME else f" --name {name}"


def refuse_odd_path(directory: Path) -> None:
    """Refuse a directory whose name YARN's launch scripts, class paths or lists of directories would take apart.

    Raises:
        UsageError: The path has a blank, a comma, a colon, a quote or the like.
    """
    if odd := re.search(r"[^\w./@+~=-]", str(directory)):
        raise UsageError(
            Problem(
                "sandbox-path",
                f"A sandbox cannot lie below a path with {odd[0]!r}: Hadoop would take it apart.",
                str(directory),
                "name another place: XDG_CACHE_HOME=/some/where job sandbox up",
            )
        )


def load_state(name: str) -> SandboxState | None:
    """Return what is remembered of a sandbox, or None when there is none of this name.

    Raises:
        UsageError: The name is not one, or the file is not ours.
    """
    path = sandbox_dir(name) / "state.json"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return _from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            Problem(
                "sandbox-state",
                f"The state of sandbox {name!r} cannot be read.",
                f"{path}: {type(error).__name__}: {error}",
                f"end its processes, then remove the directory {path.parent}",
            )
        ) from None


def save_state(state: SandboxState) -> None:
    """Write state.json, renamed into place."""
    directory = sandbox_dir(state.name)
    directory.mkdir(parents=True, exist_ok=True)
    value = {"version": STATE_VERSION, **asdict(state)}
    write_beside(directory / "state.json", json.dumps(value, indent=1) + "\n")


def _from_json(value: dict[str, Any]) -> SandboxState:
    if value.pop("version") != STATE_VERSION:
        raise ValueError("made by another version of this program")
    value["shape"] = Shape(**value["shape"])
    value["node_addresses"] = tuple(value["node_addresses"])
    value["processes"] = {name: Process(**process) for name, process in value["processes"].items()}
    return SandboxState(**value)
