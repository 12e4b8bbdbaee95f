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
        places: Role name -> file:line.
    """

    options: dict[str, list[Given]] = field(default_factory=dict)
    roles: dict[str, dict[str, list[Given]]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


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
        if sections and name not in sections:
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
        _broken(path, error, faults)
        return None
    except yaml.YAMLError as error:
        faults.add("yaml-broken", f"Failed to parse YAML config {path}.", str(error), "mend the file")
        return None
    except RecursionError:
        faults.add("yaml-broken", f"Failed to parse YAML config {path}.", "it is nested too deeply", "mend the file")
        return None
    if root is None or _is_null(root):
        faults.add("yaml-broken", f"{path} is empty.", "", "sections spec, configs and roles should be defined")
        return None
    _check_keys(root, path, faults, set())
    return root


def _broken(path: str, error: Any, faults: Faults) -> None:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}" if mark else path
    faults.add("yaml-broken", f"Failed to parse YAML config {where}.", error.problem or "", "mend that line")


def _check_keys(node: Any, path: str, faults: Faults, seen: set[int]) -> None:
    """Note keys that are no words and keys that stand twice; before merging, which gives a key twice by right."""
    import yaml

    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, path, faults, seen)
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            faults.add("yaml-shape", f"{path}:{line}: a key should be one word.")
        elif str(key.value) in lines:
            first = lines[str(key.value)]
            faults.add("yaml-key-twice", f"{path}:{line}: key {key.value} is given twice.", f"first in line {first}")
        else:
            lines[str(key.value)] = line
        _check_keys(value, path, faults, seen)


def _is_null(node: Any) -> bool:
    import yaml

    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _mapping(node: Any, path: str, what: str, faults: Faults) -> dict[str, tuple[Any, str]]:
    """Return key -> (value node, file:line) of a mapping node; null counts as empty."""
    import yaml

    if _is_null(node):
        return {}
    if not isinstance(node, yaml.MappingNode):
        faults.add("yaml-shape", f"{path}:{node.start_mark.line + 1}: {what} should hold `key: value` lines.")
        return {}
    try:
        yaml.constructor.SafeConstructor().flatten_mapping(node)
    except yaml.MarkedYAMLError as error:
        _broken(path, error, faults)
    entries: dict[str, tuple[Any, str]] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
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
        texts = _texts(key, value, path, where, faults)
        if texts:
            job.options.setdefault(rows[key].name, []).extend(texts)


def _read_roles(node: Any, path: str, job: YamlJob, faults: Faults) -> None:
    for role, (value, place) in _mapping(node, path, "roles", faults).items():
        if _is_null(value):
            continue
        job.places[role] = place
        found = job.roles.setdefault(role, {})
        for key, (item, where) in _mapping(value, path, f"role {role}", faults).items():
            if key not in _ROLE_KEYS:
                _unknown(key, where, _ROLE_KEYS, faults)
                continue
            texts = _texts(key, item, path, where, faults)
            if texts:
                found[key] = texts


def _texts(key: str, node: Any, path: str, where: str, faults: Faults) -> list[Given]:
    """Return the texts below a key; none when it is null: that is as if it were left out."""
    import yaml

    if _is_null(node):
        return []
    if key in _MAPPINGS:
        entries = _mapping(node, path, key, faults)
        pairs = [(name, _text(name, item, place, faults), place) for name, (item, place) in entries.items()]
        return [Given(f"{name}={text}", place) for name, text, place in pairs if text is not None]
    if key in _LISTS:
        if not isinstance(node, yaml.SequenceNode):
            faults.add("yaml-shape", f"{where}: {key} should be a list of `- item` lines.")
            return []
        places = [(item, f"{path}:{item.start_mark.line + 1}") for item in node.value]
        items = [(_text(f"each of {key}", item, place, faults), place) for item, place in places]
        return [Given(text, place) for text, place in items if text is not None]
    text = _text(key, node, where, faults)
    return [] if text is None else [Given(text, where)]


def _text(what: str, node: Any, where: str, faults: Faults) -> str | None:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    faults.add("yaml-shape", f"{where}: {what} should be one value.", "", "put it in quotes if it is one")
    return None
