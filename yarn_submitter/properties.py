"""The texts of `--conf`: Hadoop's properties, settings of ours, TonY's list of files; what to write for the rest.

TonY's names: its TonyConfigurationKeys. Submarine 0.6.0 handed them on, so old scripts have them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from yarn_submitter.given import Faults, Given, shown
from yarn_submitter.options import RESOURCE_LIST
from yarn_submitter.settings import find_key

_HADOOP = re.compile(
    r"(dfs|fs|yarn|hadoop|ipc|io|net|mapreduce|mapred|security|ssl|ha|rpc|httpfs|nfs|zookeeper)\.[A-Za-z0-9._*-]+\Z"
)
_TONY_ROLE = re.compile(r"tony\.([a-z][a-z0-9_-]*)\.(instances|memory|vcores|gpus|command|resources|node-label)\Z")
_AMOUNTS = {"instances": "instances", "memory": "memory", "vcores": "vcores", "gpus": "gpu"}
_NO_ROLES = ("am", "application", "containers", "docker", "task")
# What else has a word of its own here: TonY's key -> what to do.
_INSTEAD = {
    "tony.application.name": "write --name NAME",
    "tony.application.framework": "write --framework NAME",
    "tony.application.node-label": "write --node_label LABEL",
    "tony.application.timeout": "write --max_runtime 2h",
    "tony.application.security.enabled": "leave it out: security is read from Hadoop's configuration",
    "tony.application.fail-on-worker-failure-enabled": "write --role_on_failure worker=ignore for false, else nothing",
    "tony.am.retry-count": "write --max_restarts N",
    "tony.application.prepare-stage": "write --role_depends_on ROLE=OTHER:succeeded",
    "tony.application.training-stage": "write --role_depends_on ROLE=OTHER:succeeded",
    "tony.application.single-node": "write --framework generic --num_workers 1",
    "tony.application.untracked.jobtypes": "leave it out: a framework's own rules say who decides",
    "tony.docker.containers.image": "write --docker_image IMAGE",
    "tony.docker.enabled": "leave it out: an image switches Docker on",
    "tony.docker.containers.mount": "write --mount SOURCE:TARGET",
    "tony.containers.envs": "write --env K=V",
    "tony.execution.envs": "write --env K=V",
    "tony.yarn.queue": "write --queue QUEUE",
}


class Properties(NamedTuple):
    """What `--conf` gave.

    Attributes:
        hadoop: Hadoop's properties.
        settings: Settings of ours, as `--set` takes them.
        localizations: What TonY's list names.
    """

    hadoop: dict[str, str]
    settings: list[str]
    localizations: list[Given]


def read_properties(items: Iterable[Given], faults: Faults) -> Properties:
    """Return what K=V texts give; a list that is given again is added to, of anything else the last one counts."""
    found = Properties({}, [], [])
    tony: dict[str, list[Given]] = {}
    for item in items:
        key, equals, value = item.value.partition("=")
        key = key.strip()
        role = _TONY_ROLE.match(key)
        if not equals:
            form = "write --conf KEY=VALUE"
            faults.add("conf-form", f"{item.source}: {shown(item.value)} gives no value.", "", form, at=item)
        elif key == RESOURCE_LIST:
            found.localizations.extend(_resources(item, value))
        elif _HADOOP.match(key):
            if key in found.hadoop:
                faults.warn(f"{item.source}: {key} is given more than once, the last one counts")
            found.hadoop[key] = value
        elif find_key(tuple(key.split("."))):
            found.settings.append(f"{key}={value}")
        elif role and role.group(1) not in _NO_ROLES:
            tony.setdefault(role.group(1), []).append(item)
        else:
            _refuse(key, item, faults)
    for name, given in tony.items():
        _refuse_role(name, given, faults)
    return found


def _resources(item: Given, text: str) -> list[Given]:
    """Return the localizations of TonY's `a.zip#archive, b.py`: each into the working directory under its own name."""
    parts = [part.strip() for part in text.split(",")]
    return [Given(f"{part}:.", f"{item.source} {RESOURCE_LIST}", item.place) for part in parts if part]


def _refuse(key: str, item: Given, faults: Faults) -> None:
    sentence = f"{item.source}: {shown(key)} is no property that has an effect here."
    known = f"known: Hadoop's own (yarn.*, dfs.*, fs.*, hadoop.*, ...), our settings (job config show), {RESOURCE_LIST}"
    faults.add("conf-unknown", sentence, known, _INSTEAD.get(key, "leave it out"), at=item)


def _refuse_role(name: str, items: list[Given], faults: Faults) -> None:
    """Refuse a role that is given by TonY's properties, with what says the same."""
    texts = {item.value.partition("=")[0].rpartition(".")[2]: item.value.partition("=")[2] for item in items}
    amounts = [f"{ours}={texts[key]}" for key, ours in _AMOUNTS.items() if key in texts]
    words = [f"--role {name}:{','.join(amounts)}"]
    if "command" in texts:
        words.append(f"--role_cmd {shlex.quote(f'{name}=' + texts['command'])}")
    if "node-label" in texts:
        words.append(f"--role_node_label {name}={texts['node-label']}")
    if "resources" in texts:
        words.append(f"--role_localization {name}=FILE:.")
    sentence = f"{items[0].source}: role {name} is given by properties of TonY's, which have no effect here."
    seen = "read: " + ", ".join(item.value.partition("=")[0] for item in items)
    faults.add("conf-unknown", sentence, seen, f"write {' '.join(words)}", at=items[0])
