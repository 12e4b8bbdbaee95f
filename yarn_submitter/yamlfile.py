"""The YAML form of a job as texts with their source. Scalars keep their text: `0042` and `yes` arrive as written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from yarn_submitter.given import Faults, Given, close_match
from yarn_submitter.options import OPTIONS

_ROLE_KEYS = ("resources", "replicas", "launch_cmd", "envs", "localizations")
_SECTIONS = ("spec", "configs", "scheduling", "roles")
_NEEDED = ("spec", "configs", "roles")
_MAPPINGS = ("envs",)
_LISTS = ("localizations",)


@dataclass
class YamlJob:
    """What a file gave.

    Attributes:
        options: Option name -> texts, for what has an option; a pair is `K=V`.
        roles: Role name -> key (`resources`, `replicas`, `launch_cmd`, `envs`, `localizations`) -> texts.
    """

    options: dict[str, list[Given]] = field(default_factory=dict)
    roles: dict[str, dict[str, list[Given]]] = field(default_factory=dict)


def read_yaml(path: str, faults: Faults) -> YamlJob:
    """Read a job description; every fault is noted, none is raised."""
    job = YamlJob()
    root = _compose(path, faults)
    if root is None:
        return job
    sections = _mapping(root, path, "the file", faults)
    for name, (node, where) in sections.items():
        if name not in _SECTIONS:
            _unknown(name, where, _SECTIONS, faults)
        elif name == "roles":
            _read_roles(node, path, job, faults)
        else:
            _read_section(name, node, path, job, faults)
    for name in _NEEDED:
        if name not in sections:
            faults.add("yaml-section-missing", f"{path}: section {name} should be defined.", "", f"add `{name}:`")
    return job


def _compose(path: str, faults: Faults) -> Any:
    import yaml

    if os.path.isdir(path):
        faults.add("yaml-unreadable", f"{path} is a directory, not a job description.", "", "name a YAML file")
        return None
    try:
        with open(path, encoding="utf-8") as stream:
            root = yaml.compose(stream, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        faults.add("yaml-unreadable", f"{path} cannot be read.", str(error), "check the path after -f")
        return None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        faults.add("yaml-broken", f"Failed to parse YAML config {path}:{line}.", error.problem or "", "mend that line")
        return None
    except yaml.YAMLError as error:
        faults.add("yaml-broken", f"Failed to parse YAML config {path}.", str(error), "mend the file")
        return None
    if root is None:
        faults.add("yaml-broken", f"{path} is empty.", "", "sections spec, configs and roles should be defined")
    return root


def _mapping(node: Any, path: str, what: str, faults: Faults) -> dict[str, tuple[Any, str]]:
    """Return key -> (value node, file:line) of a mapping node; null counts as empty."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
        return {}
    if not isinstance(node, yaml.MappingNode):
        faults.add("yaml-shape", f"{path}:{node.start_mark.line + 1}: {what} should hold `key: value` lines.")
        return {}
    yaml.constructor.SafeConstructor().flatten_mapping(node)
    entries: dict[str, tuple[Any, str]] = {}
    for key, value in node.value:
        entries[str(key.value)] = (value, f"{path}:{key.start_mark.line + 1}")
    return entries


def _unknown(key: str, where: str, valid: tuple[str, ...], faults: Faults) -> None:
    hint = close_match(key, valid)
    evidence = f"valid here: {', '.join(valid)}" + (f"; {hint}" if hint else "")
    faults.add("yaml-key-unknown", f"{where}: there is no key {key}.", evidence)


def _read_section(section: str, node: Any, path: str, job: YamlJob, faults: Faults) -> None:
    rows = {option.yaml[1]: option for option in OPTIONS if option.yaml[:1] == (section,)}
    for key, (value, where) in _mapping(node, path, section, faults).items():
        if (section, key) == ("spec", "job_type"):
            continue
        if key not in rows:
            _unknown(key, where, tuple(rows), faults)
            continue
        texts = _texts(key, value, where, faults)
        if texts:
            job.options.setdefault(rows[key].name, []).extend(texts)


def _read_roles(node: Any, path: str, job: YamlJob, faults: Faults) -> None:
    for role, (value, _where) in _mapping(node, path, "roles", faults).items():
        keys = _mapping(value, path, f"role {role}", faults)
        if not keys:
            continue
        found = job.roles.setdefault(role, {})
        for key, (item, where) in keys.items():
            if key not in _ROLE_KEYS:
                _unknown(key, where, _ROLE_KEYS, faults)
            else:
                found[key] = _texts(key, item, where, faults)


def _texts(key: str, node: Any, where: str, faults: Faults) -> list[Given]:
    import yaml

    if key in _MAPPINGS:
        entries = _mapping(node, where.rpartition(":")[0], key, faults)
        return [Given(f"{name}={item.value}", place) for name, (item, place) in entries.items()]
    if key in _LISTS:
        if not isinstance(node, yaml.SequenceNode):
            faults.add("yaml-shape", f"{where}: {key} should be a list of `- item` lines.")
            return []
        return [Given(str(item.value), f"{where.rpartition(':')[0]}:{item.start_mark.line + 1}") for item in node.value]
    if not isinstance(node, yaml.ScalarNode):
        faults.add("yaml-shape", f"{where}: {key} should be one value.")
        return []
    return [Given(str(node.value), where)]
