"""The YAML form of a job as texts with their source. Scalars keep their text: `0042` and `yes` arrive as written."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from yarn_submitter.given import Faults, Given, valid_words
from yarn_submitter.options import ANY_ROLE, LIST, OPTIONS, PAIRS, TENSORBOARD

_ROLE_KEYS = ("replicas", "resources", *(option.key for option in OPTIONS if option.role == ANY_ROLE))
_SECTIONS = ("spec", "configs", "scheduling", "roles", "security", "tensorBoard")
_NEEDED = ("spec", "configs", "roles")
_MAPPINGS = frozenset(("envs", *(option.key for option in OPTIONS if option.kind == PAIRS)))
_LISTS = frozenset(("localizations", "mounts", *(option.key for option in OPTIONS if option.kind == LIST)))


@dataclass
class YamlJob:
    """What a file gave.

    Attributes:
        options: Option name -> texts, for what has an option; a pair is `K=V`.
        roles: Role name -> key (`resources`, `replicas`, `launch_cmd`, `envs`, `localizations`, ...) -> texts.
        places: Role name -> its name and where it stands.
    """

    options: dict[str, list[Given]] = field(default_factory=dict)
    roles: dict[str, dict[str, list[Given]]] = field(default_factory=dict)
    places: dict[str, Given] = field(default_factory=dict)


def read_yaml(path: str, faults: Faults) -> YamlJob:
    """Read a job description; every fault is noted, none is raised."""
    root = compose(path, faults)
    return YamlJob() if root is None else read_nodes(path, root, faults)


def read_nodes(path: str, root: Any, faults: Faults) -> YamlJob:
    """Read a composed job description of our own form."""
    return _Reader(path, faults).job(root)


def compose(path: str, faults: Faults) -> Any:
    """Return the root node of a YAML file with one document that is not empty, or None when there is a fault."""
    import yaml

    start = Given("", path, (1, 0))
    if os.path.isdir(path):
        sentence = f"{path} is a directory, not a job description."
        faults.add("yaml-unreadable", sentence, "", "name a YAML file", at=start)
        return None
    try:
        with open(path, encoding="utf-8") as stream:
            root = yaml.compose(stream, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        faults.add("yaml-unreadable", f"{path} cannot be read.", str(error), "check the path after -f", at=start)
        return None
    except yaml.MarkedYAMLError as error:
        _broken(path, error, faults)
        return None
    except yaml.YAMLError as error:
        faults.add("yaml-broken", f"Failed to parse YAML config {path}.", str(error), "mend the file", at=start)
        return None
    except RecursionError:
        deep = "it is nested too deeply"
        faults.add("yaml-broken", f"Failed to parse YAML config {path}.", deep, "mend the file", at=start)
        return None
    if root is None or is_null(root):
        needed = "sections spec, configs and roles should be defined"
        faults.add("yaml-broken", f"{path} is empty.", "", needed, at=start)
        return None
    return root


def _broken(path: str, error: Any, faults: Faults) -> None:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}" if mark else path
    at = Given("", where, (1, mark.line + 1 if mark else 0))
    faults.add("yaml-broken", f"Failed to parse YAML config {where}.", error.problem or "", "mend that line", at=at)


def is_null(node: Any) -> bool:
    """Return whether a node is `key:` without anything, `~` or `null`."""
    import yaml

    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class Nodes:
    """Reads one file's nodes, of whatever form: mappings and scalars with their places."""

    def __init__(self, path: str, faults: Faults) -> None:
        self.path = path
        self.faults = faults

    def given(self, value: str, node: Any) -> Given:
        """Return a text that stands where a node stands."""
        line = node.start_mark.line + 1
        return Given(value, f"{self.path}:{line}", (1, line))

    def check_keys(self, node: Any, seen: set[int]) -> None:
        """Note keys that are no words and keys that stand twice; before merging, which gives a key twice by right."""
        import yaml

        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self.check_keys(item, seen)
            return
        first: dict[str, Given] = {}
        for key, value in node.value:
            at = self.given(str(key.value), key)
            if not isinstance(key, yaml.ScalarNode):
                self.faults.add("yaml-shape", f"{at.source}: a key should be one word.", at=at)
            elif at.value in first:
                line = f"first in line {first[at.value].place[1]}"
                self.faults.add("yaml-key-twice", f"{at.source}: key {at.value} is given twice.", line, at=at)
            else:
                first[at.value] = at
            self.check_keys(value, seen)

    def mapping(self, node: Any, what: str) -> dict[str, tuple[Any, Given]]:
        """Return key -> (value node, the key with its place) of a mapping node; null counts as empty."""
        import yaml

        if is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            at = self.given("", node)
            self.faults.add("yaml-shape", f"{at.source}: {what} should hold `key: value` lines.", at=at)
            return {}
        try:
            yaml.constructor.SafeConstructor().flatten_mapping(node)
        except yaml.MarkedYAMLError as error:
            _broken(self.path, error, self.faults)
        entries: dict[str, tuple[Any, Given]] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                entries[str(key.value)] = (value, self.given(str(key.value), key))
        return entries

    def unknown(self, key: str, where: Given, valid: Collection[str]) -> None:
        """Note a key that cannot stand where it stands."""
        evidence = valid_words(key, valid, "valid here")
        self.faults.add("yaml-key-unknown", f"{where.source}: there is no key {key}.", evidence, at=where)

    def text(self, what: str, node: Any, where: Given) -> str | None:
        """Return a scalar as written; None for what is none, which is noted."""
        import yaml

        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        sentence = f"{where.source}: {what} should be one value."
        self.faults.add("yaml-shape", sentence, "", "put it in quotes if it is one", at=where)
        return None


class _Reader(Nodes):
    """Reads our own form."""

    def job(self, root: Any) -> YamlJob:
        """Return what the file gives."""
        self.check_keys(root, set())
        found = YamlJob()
        sections = self.mapping(root, "the file")
        for name, (node, where) in sections.items():
            if name not in _SECTIONS:
                self.unknown(name, where, _SECTIONS)
            elif name == "roles":
                self._read_roles(node, found)
            else:
                self._read_section(name, node, where, found)
        for name in _NEEDED:
            if sections and name not in sections:
                sentence = f"{self.path}: section {name} should be defined."
                self.faults.add("yaml-section-missing", sentence, "", f"add `{name}:`")
        return found

    def _read_section(self, section: str, node: Any, where: Given, job: YamlJob) -> None:
        rows = {option.key: option for option in OPTIONS if option.yaml[:1] == (section,)}
        if section == "tensorBoard" and not is_null(node):
            job.options[TENSORBOARD] = [Given("true", f"{where.source} tensorBoard", where.place)]
        for key, (value, place) in self.mapping(node, section).items():
            if (section, key) == ("spec", "job_type"):
                continue
            if key not in rows:
                self.unknown(key, place, rows)
                continue
            texts = self._texts(key, value, place)
            if texts:
                job.options.setdefault(rows[key].name, []).extend(texts)

    def _read_roles(self, node: Any, job: YamlJob) -> None:
        for role, (value, place) in self.mapping(node, "roles").items():
            if is_null(value):
                continue
            job.places[role] = place
            found = job.roles.setdefault(role, {})
            for key, (item, where) in self.mapping(value, f"role {role}").items():
                if key not in _ROLE_KEYS:
                    self.unknown(key, where, _ROLE_KEYS)
                    continue
                texts = self._texts(key, item, where)
                if texts:
                    found[key] = texts

    def _texts(self, key: str, node: Any, where: Given) -> list[Given]:
        """Return the texts below a key; none when it is null: that is as if it were left out."""
        import yaml

        if is_null(node):
            return []
        if key in _MAPPINGS:
            entries = self.mapping(node, key)
            pairs = [(place, self.text(name, item, place)) for name, (item, place) in entries.items()]
            return [place.part(f"{place.value}={text}") for place, text in pairs if text is not None]
        if key in _LISTS:
            if not isinstance(node, yaml.SequenceNode):
                sentence = f"{where.source}: {key} should be a list of `- item` lines."
                self.faults.add("yaml-shape", sentence, at=where)
                return []
            places = [(item, self.given("", item)) for item in node.value]
            items = [(place, self.text(f"each of {key}", item, place)) for item, place in places]
            return [place.part(text) for place, text in items if text is not None]
        scalar = self.text(key, node, where)
        return [] if scalar is None else [where.part(scalar)]
