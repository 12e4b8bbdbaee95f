"""Roles of other systems as ours: what they are called, the master among them, and a task that is alone."""

from __future__ import annotations

import re

from yarn_submitter.formats.source import MASTER, Source
from yarn_submitter.given import Given
from yarn_submitter.yamlfile import YamlJob

_COUNT = re.compile(r"0*(?:0|[1-9][0-9]{0,8})\Z")
# Framework -> a role's name there, in lower case -> ours.
_ROLES = {
    "tensorflow": {
        "chief": "chief",
        MASTER: "chief",
        "worker": "worker",
        "ps": "ps",
        "evaluator": "evaluator",
        "eval": "evaluator",
    },
    "pytorch": {MASTER: MASTER, "worker": "worker"},
    "mxnet": {"scheduler": "scheduler", "server": "ps", "ps": "ps", "worker": "worker"},
}


def role_of(source: Source, framework: str, place: Given, job: YamlJob) -> str:
    """Return our name of a role, whose name stands at `place`; empty when no job here has such a role.

    Args:
        source: The file.
        framework: In lower case; one that is not known has no rules here, and is noted elsewhere.
        place: The role's name as the file has it.
        job: Has the roles before it; a second one of one name is noted.
    """
    name = place.value.lower()
    known = _ROLES.get(framework)
    role = known.get(name, "") if known is not None else name
    if not role:
        shown = ", ".join(word.capitalize() for word in known or ())
        source.refuse(place, f"replicas of the kind {place.value}", f"kinds of {framework}: {shown}")
    elif role in job.places:
        reason = f"the job has a {role} already, at {job.places[role].source}"
        source.refuse(place, f"replicas of the kind {place.value}", reason)
        return ""
    elif role == "chief" and name == MASTER:
        source.faults.warn(f"{place.source}: {place.value} is a chief here, and TF_CONFIG calls it so")
    return role


def fold_master(source: Source, job: YamlJob) -> None:
    """Make the master worker 0: that is what it is, when it does what the workers do.

    A master that does something else is noted.
    """
    if MASTER not in job.places:
        return
    place, master = job.places.pop(MASTER), job.roles.pop(MASTER)
    count = master.get("replicas", [place.part("1")])[0]
    if _COUNT.match(count.value.strip()) and int(count.value) != 1:
        source.refuse(count, f"{count.value} masters", "a job has one, and its worker 0 is it")
        count = count.part("1")
    if "worker" not in job.places:
        source.add_role(job, "worker", place)
        job.roles["worker"] = {**master, "replicas": [count]}
        return
    worker = job.roles["worker"]
    keys = [key for key in dict.fromkeys((*master, *worker)) if key != "replicas"]
    other = [key for key in keys if _values(master, key) != _values(worker, key)]
    if other:
        reason = f"it differs from the workers in {', '.join(other)}, and here worker 0 is the master"
        source.refuse(place, "a master of its own", reason, "make both the same")
    workers = worker.get("replicas", [job.places["worker"].part("1")])[0]
    worker["replicas"] = [workers.part(changed(workers.value, 1))]


def _values(texts: dict[str, list[Given]], key: str) -> list[str]:
    return [item.value for item in texts.get(key, [])]


def changed(count: str, by: int) -> str:
    """Return a count that is more or less, as text; what is no count stays as it is, for it is noted elsewhere."""
    return str(max(0, int(count) + by)) if _COUNT.match(count.strip()) else count


def alone(command: str) -> str:
    """Return the command of a TensorFlow job of one task, which finds no TF_CONFIG in the other systems."""
    return f"unset TF_CONFIG\n{command}"


def unset_when_alone(job: YamlJob) -> None:
    """Unset TF_CONFIG in a TensorFlow job that has one task."""
    if len(job.places) != 1 or [item.value.lower() for item in job.options.get("framework", [])] != ["tensorflow"]:
        return
    (texts,) = (job.roles[name] for name in job.places)
    counts = [item.value.strip() for item in texts.get("replicas", [])]
    if "launch_cmd" in texts and counts in ([], ["1"]):
        texts["launch_cmd"] = [item.part(alone(item.value)) for item in texts["launch_cmd"]]
