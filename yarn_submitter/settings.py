"""What a site and its users may set: one typed value, and its keys, each described in conf/yarn-submitter.yaml."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from am.contract.job import Limits
from yarn_submitter.settingtexts import LocalDirectory, Mebibytes, Resources, Seconds, StorePath, Word

DEFAULT = "default"  # the origin of what nobody set
_MOST = 2**31 - 1
_QUEUE = Word("default")
# Deadlines without which nothing would be tried at all; the others may be 0: no limit.
_AT_LEAST = {"limits.call_s": 1, "limits.stop_grace_s": 1, "limits.upload_s": 1}
_OF_A_JOB = ("limits.lifetime_s",)  # what a job says for itself: --max_runtime
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]*\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def _written(key: str, nothing: str) -> dict[str, str]:
    """Return how a key is written whose field carries a unit, and the word for no value."""
    return {"key": key, "nothing": nothing}


@dataclass(frozen=True)
class Caps:
    """The most that all tasks of one job may have together; None is no cap.

    Attributes:
        instances: Tasks, a TensorBoard among them.
        memory_mib: Memory.
        vcores: Virtual cores.
        gpus: GPUs.
        lifetime_s: How long it may run.
    """

    instances: int | None = None
    memory_mib: Mebibytes | None = field(default=None, metadata=_written("memory", "none"))
    vcores: int | None = None
    gpus: int | None = None
    lifetime_s: Seconds | None = field(default=None, metadata=_written("lifetime", "none"))


@dataclass(frozen=True)
class Settings:
    """What counts for one command.

    Attributes:
        cluster: The chosen cluster's name, `sandbox`, `sandbox:NAME`, or empty: the one of `hadoop_conf_dir`.
        hadoop_conf_dir: The chosen cluster's configuration directory; empty when none is chosen, and for a sandbox.
        clusters: Every cluster that has a name -> its configuration directory.
        staging_root: Users' places are `<staging_root>/<user>`; empty: a directory in each home.
        queue: Of jobs that name none.
        docker_image: Of jobs that name none; empty: no Docker.
        allowed_images: Patterns, one of which an image must match; none: every image is allowed.
        env: Variables of every task.
        profiles: Name -> resources as text.
        caps: The most that a job may ask for.
        retention_s: Directories of jobs that ended longer ago may be cleaned; None: never.
        limits: Deadlines of a job.
        origins: Key as it is written -> what set it, for what is no default.
    """

    cluster: Word = field(default_factory=Word)
    hadoop_conf_dir: LocalDirectory = field(default_factory=LocalDirectory)
    clusters: Mapping[str, LocalDirectory] = field(default_factory=dict)
    staging_root: StorePath = field(default_factory=StorePath)
    queue: Word = _QUEUE
    docker_image: Word = field(default_factory=Word)
    allowed_images: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Resources] = field(default_factory=dict)
    caps: Caps = field(default_factory=Caps)
    retention_s: Seconds | None = field(default=None, metadata=_written("retention", "never"))
    limits: Limits = field(default_factory=Limits)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def origin(self, key: str) -> str:
        """Return what set a key: `/etc/.../yarn-submitter.yaml:12`, a variable, `--set KEY`, or `default`."""
        return self.origins.get(key, DEFAULT)


@dataclass(frozen=True)
class JobDefaults:
    """What a job gets that does not say otherwise.

    Attributes:
        queue: YARN queue.
        image: Docker image of every role, or empty.
        env: Variables of every task; the job's own win.
        profiles: Name -> resources as text.
        max_runtime_s: The cap on a job's lifetime, in seconds; 0: no limit.
    """

    queue: str = "default"
    image: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
    max_runtime_s: int = 0


def job_defaults(settings: Settings) -> JobDefaults:
    """Return what the settings give to a job that does not say otherwise."""
    return JobDefaults(
        queue=settings.queue or "default",
        image=settings.docker_image,
        env=settings.env,
        profiles=settings.profiles,
        max_runtime_s=int(settings.caps.lifetime_s or 0),
    )


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        name: As it is written, with dots: `caps.memory`; `env.*` stands for any name.
        path: The fields that lead to it in Settings.
        kind: The type of its value.
        nothing: The word for None; empty when it cannot be None.
        default: What counts when nobody sets it; None for a name's own entry.
    """

    name: str
    path: tuple[str, ...]
    kind: Any
    nothing: str = ""
    default: Any = None

    @property
    def is_list(self) -> bool:
        """Return whether it takes several texts."""
        return typing.get_origin(self.kind) is tuple

    def read(self, raw: str | tuple[str, ...]) -> Any:
        """Return the typed value of a text, or of a list's texts.

        Raises:
            ValueError: The message goes on after the key's name.
        """
        if self.nothing and raw == self.nothing:
            return None
        try:
            return self._convert(raw)
        except ValueError as error:
            raise ValueError(f"{error} ({self.nothing}: no limit)" if self.nothing else str(error)) from None

    def _convert(self, raw: str | tuple[str, ...]) -> Any:
        if self.kind is str:
            return raw
        if hasattr(self.kind, "parse"):  # a kind of text of ours: many files hold nothing else, and cost no import
            return self.kind.parse(raw)
        import msgspec

        least = _AT_LEAST.get(self.name, 0)
        kind = typing.Annotated[int, msgspec.Meta(ge=least, le=_MOST)] if self.kind is int else self.kind
        try:
            return msgspec.convert(raw, kind, strict=False)
        except msgspec.ValidationError:
            raise ValueError(f"takes a whole number from {least} to {_MOST}, not {raw!r}") from None

    def text(self, value: Any) -> str:
        """Return a value as it is written on a command line."""
        if value is None:
            return self.nothing
        if self.is_list:
            return ",".join(value)
        return str(value.text()) if isinstance(value, (Mebibytes, Seconds)) else str(value)


@functools.cache
def keys() -> dict[str, Key]:
    """Return every key by its name, without the section of a cluster."""
    no_keys = ("origins", "clusters", *_OF_A_JOB)
    found = [key for key in _keys_of(Settings, "", ()) if not key.name.startswith(no_keys)]
    return {key.name: key for key in found}


def _keys_of(owner: Any, section: str, path: tuple[str, ...]) -> Iterable[Key]:
    hints = typing.get_type_hints(owner)
    for item in dataclasses.fields(owner):
        name = section + item.metadata.get("key", item.name)
        kind, here = hints[item.name], (*path, item.name)
        if dataclasses.is_dataclass(kind):
            yield from _keys_of(kind, f"{name}.", here)
        elif typing.get_origin(kind) is Mapping:
            yield Key(f"{name}.*", here, typing.get_args(kind)[1])
        else:
            choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
            optional = type(None) in typing.get_args(kind)
            nothing = item.metadata.get("nothing", "none") if optional else ""
            default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
            yield Key(name, here, choices[0] if optional else kind, nothing, default)


def find_key(path: Sequence[str]) -> Key | None:
    """Return the key that stands at a path, such as `("caps", "memory")`; None when there is none."""
    inner = tuple(path)
    if len(inner) > 2 and inner[0] == "clusters":
        inner = inner[2:]
        if inner[0] == "cluster":
            return None
    elif inner[:1] == ("hadoop_conf_dir",):
        return None
    if len(inner) == 2 and f"{inner[0]}.*" in keys():
        return keys()[f"{inner[0]}.*"]
    return keys().get(".".join(inner))


def names_below(path: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names that can stand below a path, `*` for any; None when no section is there."""
    if not path:
        return ("clusters", *(name for name in _first_names() if name != "hadoop_conf_dir"))
    if path[0] == "clusters":
        if len(path) == 1:
            return ("*",)
        if len(path) == 2:
            return tuple(name for name in _first_names() if name != "cluster")
        path = path[2:]
    below = tuple(name.partition(".")[2] for name in keys() if name.startswith(f"{path[0]}.")) if len(path) == 1 else ()
    return below or None


def _first_names() -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.partition(".")[0] for name in keys()))


def is_name(section: str, name: str) -> bool:
    """Return whether a name of the user's own can stand in a section: a variable's, a cluster's, a profile's."""
    return bool((_VARIABLE if section == "env" else _NAME).match(name))
