"""The YAML form of a job as texts with their source. Scalars keep their text: `0042` and `yes` arrive as written."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from yarn_submitter.given import Faults, Given, closest, shown
from yarn_submitter.options import ANY_ROLE, LIST, OPTIONS, PAIRS, TENSORBOARD

_ROLE_KEYS = ("replicas", "resources", *(option.key for option in OPTIONS if option.role == ANY_ROLE))
_SECTIONS = ("spec", "configs", "scheduling", "roles", "security", "tensorBoard")
_NEEDED = ("spec", "configs", "roles")
_MAPPINGS = frozenset(("envs", *(option.key for option in OPTIONS if option.kind == PAIRS)))
_LISTS = frozenset(("localizations", "mounts", *(option.key for option in OPTIONS if option.kind == LIST)))
_LISTS_OR_TEXTS = ("depends_on",)
_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
FAILED = "Failed to parse YAML config"
# What others call our keys.
_SAME = {
    **dict.fromkeys(("cmd", "command", "commands", "script"), "launch_cmd"),
    **dict.fromkeys(("count", "instances", "num", "number"), "replicas"),
    **dict.fromkeys(("env", "environment", "variables"), "envs"),
    "image": "docker_image",
    "files": "localizations",
    "resource": "resources",
    "memory": "resources",
}
_MOST_FILE_BYTES = 128 * 1024  # a job takes a few; reading this many takes half a second
_MOST_LETTERS = 1024 * 1024  # of all texts together: aliases can give one text many times


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
    text = _content(path, faults)
    if text is None:
        return None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        _broken(path, error, faults)
        return None
    except yaml.reader.ReaderError as error:
        where = f"{path}:{text.count(chr(10), 0, error.position) + 1}"
        seen = f"the character {chr(error.character)!r} cannot stand in YAML"
        faults.add("yaml-broken", f"{FAILED} {where}.", seen, "take it out", at=start)
        return None
    except (yaml.YAMLError, ValueError) as error:  # PyYAML takes numbers of directives and escapes as they come
        faults.add("yaml-broken", f"{FAILED} {path}.", str(error), "mend the file", at=start)
        return None
    except RecursionError:
        faults.add("yaml-broken", f"{FAILED} {path}.", "it is nested too deeply", "mend the file", at=start)
        return None
    if root is None or is_null(root):
        needed = "sections spec, configs and roles should be defined"
        faults.add("yaml-broken", f"{FAILED} {path}: the file is empty.", "", needed, at=start)
        return None
    return root


def _content(path: str, faults: Faults) -> str | None:
    """Return the text of a file, or None when it cannot be read."""
    start = Given("", path, (1, 0))
    try:
        if os.path.isdir(path):
            sentence = f"{FAILED}: {shown(path)} is a directory."
            faults.add("yaml-unreadable", sentence, "", "name a YAML file after -f", at=start)
            return None
        with open(path, "rb") as stream:  # may be a pipe
            content = stream.read(_MOST_FILE_BYTES + 1)
        if len(content) > _MOST_FILE_BYTES:
            sentence = f"{FAILED}: {shown(path)} has more than {_MOST_FILE_BYTES // 1024} KiB."
            faults.add("yaml-unreadable", sentence, "", "is this the file that you meant?", at=start)
            return None
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        seen = f"line {line} is no UTF-8 text: {error.object[error.start : error.end]!r}"
        faults.add("yaml-unreadable", f"{FAILED}: {shown(path)} cannot be read.", seen, "write it in UTF-8", at=start)
    except OSError as error:
        reason = error.strerror or str(error)
        sentence = f"{FAILED}: {shown(path)} cannot be read."
        faults.add(
            "yaml-unreadable", sentence, f"{reason}: {os.path.abspath(path)}", "check the path after -f", at=start
        )
    return None


def _broken(path: str, error: Any, faults: Faults) -> None:
    mark = error.problem_mark or error.context_mark
    where = f"{path}:{mark.line + 1}" if mark else path
    at = Given("", where, (1, mark.line + 1 if mark else 0))
    problem, step = error.problem or "", "mend that line"
    if "character '\\t'" in problem:
        problem, step = "a tab stands where YAML takes blanks only", "put blanks in its place"
    elif "but found another document" in problem or "<document start>" in problem:
        problem, step = "a second document begins there", "keep one; `---` stands at the top of a file only"
    elif problem.startswith(("expected <block end>, but found '<block", "expected <block end>, but found '-'")):
        problem, step = "its indentation fits none of the lines above it", "mend its indentation"
    elif problem == "mapping values are not allowed here":
        problem, step = "`key:` cannot stand there", "mend its indentation, or put a text that holds `: ` in quotes"
    faults.add("yaml-broken", f"{FAILED} {where}.", problem, step, at=at)


def closest_key(key: str, valid: Collection[str]) -> str:
    """Return the key that one which is not known was most likely meant to be; an empty text when none comes near."""
    same = _SAME.get(key.lower(), "")
    return same if same in valid else closest(key, valid)


def is_null(node: Any) -> bool:
    """Return whether a node is `key:` without anything, `~` or `null`."""
    import yaml

    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class Nodes:
    """Reads one file's nodes, of whatever form: mappings and scalars with their places."""

    begin = ""  # of sentences about the file

    def __init__(self, path: str, faults: Faults) -> None:
        self.path = path
        self.faults = faults
        self._letters = 0
        self._merged: dict[int, dict[str, tuple[Any, Any]]] = {}

    def given(self, value: str, node: Any) -> Given:
        """Return a text that stands where a node stands."""
        line = node.start_mark.line + 1
        return Given(value, f"{self.path}:{line}", (1, line, node.start_mark.column))

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
                sentence = f"{self.begin}{at.source}: a key should be one word."
                self.faults.add("yaml-shape", sentence, "it is a list or a mapping", "write `key: value`", at=at)
            elif at.value in first:
                line = f"first in line {first[at.value].place[1]}"
                sentence = f"{self.begin}{at.source}: key {at.value} is given twice."
                self.faults.add("yaml-key-twice", sentence, line, "keep one of the two", at=at)
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
            sentence = f"{self.begin}{at.source}: {what} should hold `key: value` lines."
            self.faults.add("yaml-shape", sentence, "", "write `key: value`, with a blank behind the colon", at=at)
            return {}
        entries = self._entries(node, ())
        return {name: (value, self.given(name, key)) for name, (key, value) in entries.items()}

    def _entries(self, node: Any, within: tuple[int, ...]) -> dict[str, tuple[Any, Any]]:
        """Return name -> (key, value) of a mapping with what it merges: its own win, then what is merged first.

        Each mapping is read once, whoever merges it: a few lines of aliases must not become millions of entries.
        """
        import yaml

        if id(node) in self._merged:
            return self._merged[id(node)]
        own: dict[str, tuple[Any, Any]] = {}
        merged: dict[str, tuple[Any, Any]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.tag != "tag:yaml.org,2002:merge":
                own[str(key.value)] = (key, value)
                continue
            for item in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(item, yaml.MappingNode) and id(item) not in (*within, id(node)):
                    for name, entry in self._entries(item, (*within, id(node))).items():
                        merged.setdefault(name, entry)
                else:
                    at = self.given("", key)
                    seen = "it merges itself" if isinstance(item, yaml.MappingNode) else "`<<` takes mappings"
                    sentence = f"{FAILED} {at.source}: this cannot be merged."
                    self.faults.add("yaml-broken", sentence, seen, "write `<<: *name` of a mapping", at=at)
        self._merged[id(node)] = {**merged, **own}
        return self._merged[id(node)]

    def unknown(self, key: str, where: Given, valid: Collection[str]) -> None:
        """Note a key that cannot stand where it stands."""
        close = closest_key(key, valid)
        evidence = f"valid here: {', '.join(valid)}" + (f"; did you mean {close}?" if close else "")
        sentence = f"{self.begin}{where.source}: there is no key {key}."
        self.faults.add("yaml-key-unknown", sentence, evidence, at=where)

    def text(self, what: str, node: Any, where: Given) -> str | None:
        """Return a scalar as written; None for what is none, which is noted."""
        import yaml

        if not isinstance(node, yaml.ScalarNode):
            seen = "it is a list" if isinstance(node, yaml.SequenceNode) else "it is a mapping"
            sentence = f"{self.begin}{where.source}: {what} should be one value."
            step = "write one text, in quotes when it begins with [ or { or holds a colon and a blank"
            self.faults.add("yaml-shape", sentence, seen, step, at=where)
            return None
        self._letters += len(node.value)
        if self._letters > _MOST_LETTERS:
            sentence = f"{self.begin}{self.path}: its aliases make more than {_MOST_LETTERS // 1024} KiB of it."
            self.faults.add("yaml-shape", sentence, "", "give less of it again by `*name`")
            return None
        return self.faults.usable(where.part(_joined(str(node.value)))).value


def _joined(text: str) -> str:
    """Return a text with the two halves put together as which JSON writes a letter beyond the first 65536."""
    if not _HALVES.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


class _Reader(Nodes):
    """Reads our own form."""

    begin = f"{FAILED} "

    def job(self, root: Any) -> YamlJob:
        """Return what the file gives."""
        self.check_keys(root, set())
        found = YamlJob()
        sections = self.mapping(root, "the file")
        for name, (node, where) in sections.items():
            if name not in _SECTIONS:
                self.unknown(name, where, _SECTIONS)
                self._mean_section(closest(name, _SECTIONS))
            elif name == "roles":
                self._read_roles(node, found)
            else:
                self._read_section(name, node, where, found)
        for name in _NEEDED:
            if sections and name not in sections and not self.faults.meant(name):
                sentence = f"{self.begin}{self.path}: section {name} should be defined."
                self.faults.add("yaml-section-missing", sentence, "", f"add `{name}:`")
        return found

    def _mean_section(self, section: str) -> None:
        """Take everything that a wrongly named section may give for given."""
        self.faults.mean(section, *(option.name for option in OPTIONS if option.yaml[:1] == (section,)))

    def _read_section(self, section: str, node: Any, where: Given, job: YamlJob) -> None:
        rows = {option.key: option for option in OPTIONS if option.yaml[:1] == (section,)}
        if section == "tensorBoard" and not is_null(node):
            job.options[TENSORBOARD] = [Given("true", f"{where.source} tensorBoard", where.place)]
        for key, (value, place) in self.mapping(node, section).items():
            if (section, key) == ("spec", "job_type"):
                continue
            if key not in rows:
                self.unknown(key, place, rows)
                self.faults.mean(*(rows[name].name for name in [closest_key(key, rows)] if name))
                continue
            texts = self._texts(key, value, place)
            if not texts and not is_null(value):
                self.faults.mean(rows[key].name)
            if texts:
                job.options.setdefault(rows[key].name, []).extend(texts)

    def _read_roles(self, node: Any, job: YamlJob) -> None:
        empty: Given | None = None
        for role, (value, place) in self.mapping(node, "roles").items():
            if is_null(value):
                empty = place
                continue
            if empty is not None and role in _ROLE_KEYS:
                self._beside(empty, role, value, place, job)
                continue
            empty = None
            job.places[role] = place
            found = job.roles.setdefault(role, {})
            for key, (item, where) in self.mapping(value, f"role {role}").items():
                if key not in _ROLE_KEYS:
                    self.unknown(key, where, _ROLE_KEYS)
                    self.faults.mean(f"{role}.{closest_key(key, _ROLE_KEYS)}")
                    continue
                texts = self._texts(key, item, where)
                if not texts and not is_null(item):
                    self.faults.mean(f"{role}.{key}")
                if texts:
                    found[key] = texts

    def _beside(self, role: Given, key: str, node: Any, where: Given, job: YamlJob) -> None:
        """Note once that what describes a role is not indented below it, and read it as if it were."""
        if role.value not in job.places:
            sentence = f"{self.begin}{where.source}: {key} stands beside the role {role.value} and not in it."
            step = f"indent it, and what follows, below {role.value}:"
            self.faults.add("yaml-indentation", sentence, "", step, at=where)
        job.places[role.value] = role
        texts = self._texts(key, node, where)
        job.roles.setdefault(role.value, {}).update({key: texts} if texts else {})

    def _texts(self, key: str, node: Any, where: Given) -> list[Given]:
        """Return the texts below a key; none when it is null: that is as if it were left out."""
        import yaml

        if is_null(node):
            return []
        if key in _MAPPINGS:
            entries = self.mapping(node, key)
            pairs = [(place, self.text(name, item, place)) for name, (item, place) in entries.items()]
            return [
                Given(f"{at.value}={text}", f"{at.source} {key}", at.place) for at, text in pairs if text is not None
            ]
        if key in _LISTS or (key in _LISTS_OR_TEXTS and isinstance(node, yaml.SequenceNode)):
            if not isinstance(node, yaml.SequenceNode):
                sentence = f"{self.begin}{where.source}: {key} should be a list of `- item` lines."
                self.faults.add("yaml-shape", sentence, "", f"write `{key}: [...]`, or `- ` before each", at=where)
                return []
            places = [(item, self.given("", item)) for item in node.value]
            items = [(place, self.text(f"each of {key}", item, place)) for item, place in places]
            return [Given(text, f"{at.source} {key}", at.place) for at, text in items if text is not None]
        scalar = self.text(key, node, where)
        return [] if scalar is None else [Given(scalar, f"{where.source} {key}", where.place)]
