"""Levels of settings, from the lowest to the highest, to the one value that counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yarn_submitter.settings import DEFAULT, Settings, keys
from yarn_submitter.settingtexts import LocalDirectory, Word

SANDBOX = "sandbox"
_CHOOSING = ("cluster", "hadoop_conf_dir")  # within a level the first wins


@dataclass(frozen=True)
class Found:
    """A value that somebody set, and what set it."""

    value: Any
    origin: str


Level = Mapping[tuple[str, ...], Found]


def conf_dirs(levels: Iterable[Level]) -> Iterator[tuple[str, LocalDirectory]]:
    """Yield name and configuration directory of each cluster, those of lower levels first."""
    for level in levels:
        for path, item in level.items():
            if path[0] == "clusters" and path[2:] == ("hadoop_conf_dir",):
                yield path[1], item.value


def merge(levels: Sequence[Level]) -> Settings:
    """Return what counts.

    A value of a higher level wins; within a level a chosen cluster's own value wins over the general one.

    Args:
        levels: The lowest first. An entry `("hadoop_conf_dir",)` chooses a cluster by its directory.
    """
    known = [level for level in levels if level]
    if not known:
        return Settings()
    name, origin = _chosen(known)
    sections = [SANDBOX, name] if name.startswith(f"{SANDBOX}:") else [name] if name else []
    found: dict[tuple[str, ...], Found] = {}
    for level in known:
        found.update((path, item) for path, item in level.items() if path[0] not in _CHOOSING)
        for section in sections:
            found.update((path[2:], item) for path, item in level.items() if path[:2] == ("clusters", section))
    if origin != DEFAULT:
        found["cluster",] = Found(Word(name), origin)
    if not name:
        found.update((path, item) for level in known for path, item in level.items() if path == ("hadoop_conf_dir",))
    counts = {path: item for path, item in found.items() if path[0] != "clusters"}
    values: dict[str, Any] = {"clusters": dict(conf_dirs(known))}
    for path, item in counts.items():
        *owners, last = _fields(path)
        place = values
        for owner in owners:
            place = place.setdefault(owner, {})
        place[last] = item.value
    for name in ("caps", "limits"):
        if name in values:
            values[name] = replace(getattr(Settings(), name), **values[name])
    return Settings(**values, origins={".".join(path): item.origin for path, item in counts.items()})


def _chosen(levels: Sequence[Level]) -> tuple[str, str]:
    """Return the chosen cluster's name, empty when it has none, and what chose it."""
    for level in reversed(levels):
        for chooser in _CHOOSING:
            found = level.get((chooser,))
            if found is None:
                continue
            same = [name for name, place in conf_dirs(levels) if place == found.value]
            name = found.value if chooser == "cluster" else same[0] if same else ""
            return str(name), found.origin
    return "", DEFAULT


def _fields(path: tuple[str, ...]) -> tuple[str, ...]:
    key = keys().get(".".join(path))
    return key.path if key else path
