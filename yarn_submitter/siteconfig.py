"""Settings from where they stand: flags, the environment, the user's file, the site's file; every fault at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from yarn_submitter.config import site_file, user_file
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.given import Faults, close_match
from yarn_submitter.levels import SANDBOX, Found, Level, merge
from yarn_submitter.settings import Key, Settings, find_key, is_name, keys, names_below
from yarn_submitter.settingtexts import LocalDirectory

UNKNOWN = "setting-unknown"
PREFIX = "YARN_SUBMITTER_"
_OWN_VARIABLES = {"staging_root": f"{PREFIX}ROOT"}
# Ours as well and no settings: the site file's place, what a task finds in its environment, a sandbox's mark.
NO_SETTINGS = frozenset(
    f"{PREFIX}{name}"
    for name in ("SITE_FILE", "JOB", "ID", "NAME", "ROLE", "INDEX", "ATTEMPT", "TOPOLOGY", "SANDBOX_ID")
)
_CONF_DIRS = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")
Warn = Callable[[Problem], None]
_Text = str | tuple[str, ...]
_Leaf = tuple[tuple[str, ...], _Text, str]  # path, text or texts, file:line


def load_settings(
    environ: Mapping[str, str], overrides: Iterable[str] = (), cluster: str = "", warn: Warn | None = None
) -> Settings:
    """Return what counts for one command.

    Args:
        environ: The environment; it names the files too.
        overrides: Texts `KEY=VALUE` of `--set`.
        cluster: Text of `--cluster`.
        warn: Told of each key that stands in a file or in the environment and is none; without it they are faults.

    Raises:
        UsageError: With every fault of every level.
    """
    standing, typed = Faults(), Faults()
    levels = [
        read_file(site_file(environ), standing, needed=bool(environ.get("YARN_SUBMITTER_SITE_FILE"))),
        read_file(user_file(environ), standing),
        read_environment(environ, standing),
        read_overrides(overrides, cluster, typed),
    ]
    settings = merge(levels)
    _check_cluster(settings, levels, typed)
    if warn and not typed.problems and all(problem.id == UNKNOWN for problem in standing.problems):
        for problem in standing.problems:
            warn(problem)
    elif standing.problems or typed.problems:
        raise UsageError(*standing.problems, *typed.problems)
    return settings


def is_sandbox(cluster: str) -> bool:
    """Return whether a cluster's name is that of a sandbox."""
    return cluster == SANDBOX or cluster.startswith(f"{SANDBOX}:")


def _check_cluster(settings: Settings, levels: Sequence[Level], faults: Faults) -> None:
    name, named_by = settings.cluster, settings.origin("cluster")
    if not name or is_sandbox(name) or name in settings.clusters:
        return
    known = ["sandbox", "sandbox:NAME", *settings.clusters]
    if any(path[:2] == ("clusters", name) for level in levels for path in level):
        sentence = f"{named_by}: cluster {name!r} has no hadoop_conf_dir."
        faults.add("cluster-unknown", sentence, "", f"add hadoop_conf_dir below clusters: {name}:")
        return
    hint = close_match(name, known)
    seen = f"known: {', '.join(known)}" + (f"; {hint}" if hint else "")
    step = "name it below clusters: in the configuration, or leave --cluster out and set HADOOP_CONF_DIR"
    faults.add("cluster-unknown", f"{named_by}: there is no cluster called {str(name)!r}.", seen, step)


def read_overrides(overrides: Iterable[str], cluster: str, faults: Faults) -> Level:
    """Return the level of the command line."""
    level: dict[tuple[str, ...], Found] = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals:
            step = "write --set KEY=VALUE; `job config show` lists the keys"
            faults.add("setting-form", f"--set takes KEY=VALUE, not {text!r}.", "", step)
            continue
        path = tuple(name.strip().split("."))
        _put(level, path, value, f"--set {name.strip()}", faults)
    if cluster:
        _put(level, ("cluster",), cluster, "--cluster", faults)
    return level


def variable_of(key: Key) -> str:
    """Return the environment variable of a key; of `env.*` what it begins with."""
    return _OWN_VARIABLES.get(key.name) or PREFIX + key.name.removesuffix("*").replace(".", "_").upper()


def read_environment(environ: Mapping[str, str], faults: Faults) -> Level:
    """Return the level of the environment; an empty variable is none."""
    level: dict[tuple[str, ...], Found] = {}
    # hadoop_conf_dir has Hadoop's own variable, and chooses a cluster instead of changing one.
    known = {variable_of(key): key.name for key in keys().values() if key.name != "hadoop_conf_dir"}
    open_sections = {start: name.removesuffix(".*") for start, name in known.items() if name.endswith(".*")}
    for variable in sorted(name for name in environ if name.startswith(PREFIX) and name not in NO_SETTINGS):
        section = next((start for start in open_sections if variable.startswith(start) and variable != start), "")
        if section:
            path: tuple[str, ...] = (open_sections[section], variable.removeprefix(section))
            _put(level, path, environ[variable], variable, faults)
        elif variable not in known:
            hint = close_match(variable, [*known, *NO_SETTINGS])
            faults.add(UNKNOWN, f"{variable}: there is no such setting.", hint, f"unset {variable}")
        elif environ[variable]:
            _put(level, tuple(known[variable].split(".")), environ[variable], variable, faults)
    directory = next((name for name in _CONF_DIRS if environ.get(name)), "")
    if directory:
        level["hadoop_conf_dir",] = Found(LocalDirectory(os.path.normpath(environ[directory])), directory)
    return level


def read_file(path: str, faults: Faults, *, needed: bool = False) -> Level:
    """Return the level of a file; an empty one when the file does not exist and is not needed."""
    level: dict[tuple[str, ...], Found] = {}
    if not path or (not needed and not os.path.lexists(path)):
        return level
    root = _compose(path, faults)
    if root is not None:
        for place, value, where in _leaves(root, (), f"{path}:{root.start_mark.line + 1}", faults):
            _put(level, place, value, where, faults)
    return level


def _compose(path: str, faults: Faults) -> Any:
    import yaml

    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.compose(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        faults.add("yaml-unreadable", f"The configuration {path} cannot be read.", str(error), "check the path")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else path
        faults.add("yaml-broken", f"{where}: this is no YAML.", error.problem or error.context or "", "mend that line")
    except (yaml.YAMLError, RecursionError) as error:
        faults.add("yaml-broken", f"{path} is no YAML.", str(error), "mend the file")
    return None


def _leaves(node: Any, path: tuple[str, ...], where: str, faults: Faults) -> Iterator[_Leaf]:
    """Yield what is set at a node and below it; null is as if it were left out."""
    import yaml

    below, name = names_below(path), ".".join(path)
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return
    if below is not None and isinstance(node, yaml.MappingNode):
        for key, value, line in _entries(node, where.rpartition(":")[0], faults):
            place = (*path, key)
            if _known(place, line, faults):
                yield from _leaves(value, place, line, faults)
    elif below is not None:
        faults.add("yaml-shape", f"{where}: {name or 'the file'} should hold `key: value` lines.", _valid(below))
    elif isinstance(node, yaml.ScalarNode):
        yield path, str(node.value), where
    elif isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        yield path, tuple(str(item.value) for item in node.value), where
    else:
        faults.add("yaml-shape", f"{where}: {name} should be one value.", "", "put it in quotes if it is one")


def _entries(node: Any, file: str, faults: Faults) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value node and file:line of each entry of a mapping, merged ones too."""
    import yaml

    lines: dict[str, int] = {}
    for key, _ in node.value:  # before merging, which gives a key twice by right
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            faults.add("yaml-shape", f"{file}:{line}: a key should be one word.")
        elif key.value in lines:
            first = f"first in line {lines[key.value]}"
            faults.add(
                "yaml-key-twice", f"{file}:{line}: key {key.value} is given twice.", first, "keep one of the two"
            )
        else:
            lines[key.value] = line
    try:
        yaml.constructor.SafeConstructor().flatten_mapping(node)
    except (yaml.MarkedYAMLError, RecursionError) as error:
        reason = getattr(error, "problem", "") or "it merges itself"
        faults.add("yaml-broken", f"{file}:{node.start_mark.line + 1}: this cannot be merged.", reason, "mend it")
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield str(key.value), value, f"{file}:{key.start_mark.line + 1}"


def _known(path: tuple[str, ...], where: str, faults: Faults) -> bool:
    """Return whether something can stand at a path; note it when not."""
    for depth, name in enumerate(path):
        valid = names_below(path[:depth])
        if valid == ("*",):
            if not is_name(path[depth - 1], name):
                what = "a variable's name" if path[depth - 1] == "env" else "a name: letters, digits, - and _"
                faults.add("setting-name", f"{where}: {name!r} is not {what}.")
                return False
        elif valid is None or name not in valid:
            sentence = f"{where}: there is no setting {'.'.join(path[: depth + 1])}."
            step = "write it below clusters: NAME:, or set HADOOP_CONF_DIR" if name == "hadoop_conf_dir" else ""
            faults.add(UNKNOWN, sentence, _valid(valid or (), name), step)
            return False
    if path[0] == "clusters" and path[2:] == ("hadoop_conf_dir",) and is_sandbox(path[1]):
        faults.add("setting-value", f"{where}: {'.'.join(path)} cannot be set: a sandbox has its own.")
        return False
    return True


def _valid(names: Sequence[str], word: str = "") -> str:
    hint = close_match(word, names) if word else ""
    return (f"valid here: {', '.join(names)}" if names else "") + (f"; {hint}" if hint else "")


def _put(
    level: dict[tuple[str, ...], Found],
    path: tuple[str, ...],
    value: str | tuple[str, ...],
    origin: str,
    faults: Faults,
) -> None:
    """Put one typed value into a level, or note what is wrong with it."""
    if not _known(path, origin, faults):
        return
    key = find_key(path)
    name = ".".join(path)
    if key is None:
        faults.add(UNKNOWN, f"{origin}: {name} is a section, not a setting.", _valid(names_below(path) or ()))
        return
    if key.is_list and isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, tuple) and not key.is_list:
        faults.add("setting-value", f"{origin}: {name} takes one value, not a list.")
        return
    try:
        level[path] = Found(key.read(value), origin)
    except ValueError as error:
        faults.add("setting-value", f"{origin}: {name} {error}.")
