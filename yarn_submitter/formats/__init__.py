"""Job descriptions of other systems: whose form a file has, and the loader that turns it into our own texts.

Each loader is one module with `SYSTEM`, the system's name in a sentence, and `load(source, root) -> YamlJob`. What
comes out is what our own form gives, so that everything after (faults with their lines, merging with the command line,
the framework's rules, preflight) is the same. What is carried over, and what is not: docs/other-formats.md.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from yarn_submitter.formats.source import Source
from yarn_submitter.given import Faults, Given
from yarn_submitter.options import BY_NAME, FORMATS, TENSORBOARD
from yarn_submitter.values import read_choice
from yarn_submitter.yamlfile import YamlJob, compose, read_nodes

_OWN = "job"
_FILES_HERE = ("riseml.yml", "riseml.yaml")
# Options that only somebody types who describes a job; the others may stand beside a file.
_A_JOB = frozenset(("name", "role", TENSORBOARD, *(name for name, row in BY_NAME.items() if row.key == "launch_cmd")))
# Keys at the top of a file -> whose form it is; the first line with one of its keys there decides.
_SHAPES = (
    (("configs", "roles"), _OWN),
    (("kind", "apiVersion", "tfReplicaSpecs", "pytorchReplicaSpecs"), "kubeflow"),
    (("meta", "librarySpec", "taskSpecs"), "submarine"),
    (("train", "deploy", "project"), "riseml"),
    (("learners", "data_stores"), "ffdl"),
)


def read_file(given: Mapping[str, list[Given]], faults: Faults) -> YamlJob:
    """Read the job description that the command line names, whosever form it has; faults are noted.

    Args:
        given: The command line, option name -> texts. What it gives is no business of a file's defaults.
        faults: Takes what is wrong, and warnings for what cannot be carried over.

    Raises:
        UsageError: With every fault so far, of a file of another system that tells nothing of a job.
    """
    path = given["f"][0].value if "f" in given else _file_here(given, faults)
    if not path:
        if "format" in given and "f" not in given:
            faults.warn("--format has no effect without -f")
        return YamlJob()
    root = compose(path, faults)
    if root is None:
        return YamlJob()
    wish = given.get("format", [])
    name = read_choice(BY_NAME["format"], wish[0], faults) if wish else ""
    if name not in FORMATS:  # not given, or a wrong word, which is noted
        name = form_of(root)
    if name == _OWN:
        return read_nodes(path, root, faults)
    loader = importlib.import_module(f"{__name__}.{name}")
    source = Source(path, faults, given, loader.SYSTEM)
    source.check_keys(root, set())
    job: YamlJob = loader.load(source, root)
    if "input_path" not in given:
        job.options.setdefault("input_path", [Given("", path, (1, 0))])
    return job


def _file_here(given: Mapping[str, list[Given]], faults: Faults) -> str:
    """Return the file that `riseml train` would have taken, where the command line describes no job; else nothing."""
    found = next((name for name in _FILES_HERE if os.path.isfile(name)), "")
    if not found or faults.meant(*_A_JOB) or not _A_JOB.isdisjoint(given):
        return ""
    faults.warn(f"{found} is taken: the command line has neither a job nor -f")
    return found


def form_of(root: Any) -> str:
    """Return whose form a file has, by the keys at its top; our own when nothing else is seen."""
    import yaml

    entries = root.value if isinstance(root, yaml.MappingNode) else []
    top = {str(key.value): value for key, value in entries if isinstance(key, yaml.ScalarNode)}
    for keys, name in _SHAPES:
        if any(key in top for key in keys):
            return name
    return "ffdl" if isinstance(top.get("framework"), yaml.MappingNode) else _OWN
