"""Submarine's experiment spec, as its server takes it, and the generic spec of its design documents.

    meta, environment, spec, code                   the server's
    name, librarySpec, submitterSpec, taskSpecs     the design's

Both come down to what holds for every task, and the tasks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from yarn_submitter.formats.roles import fold_master, role_of, unset_when_alone
from yarn_submitter.formats.source import Entries, Source, Wish, with_variables
from yarn_submitter.given import Given
from yarn_submitter.yamlfile import YamlJob

SYSTEM = "Submarine"

_LEFT = {"experimentHandlerSpec": "bring files with --localization", "experimentId": "each run has an id of its own"}
_META_LEFT = {"tags": "a job has no tags of its user's", "experimentId": "each run has an id of its own"}
_TASK_LEFT = {"name": "tasks are called after their roles", "resourceMap": "resources says it"}
_SUBMITTER_LEFT = {
    "kind": "it is for Kubernetes",
    "apiVersion": "it is for Kubernetes",
    "configPath": "the cluster is that of HADOOP_CONF_DIR, or of --cluster",
}
_STORED = (
    "an environment that Submarine's server keeps is not known here; --docker_image, or job pack and --localization"
)
# What the server put into every task's environment; ours has it, too.
_SERVERS_OWN = "SUBMARINE_TENSORBOARD_LOG_DIR"
_DEVICES = {"nvidia.com/gpu": "gpu"}
_LOGIN = re.compile(r"//[^/@]*@")
_ARCHIVE = re.compile(r".*\.(zip|tar|tar\.gz|tgz)\Z")


@dataclass
class _Shared:
    """What holds for every task that says nothing else.

    Attributes:
        tasks: Their mapping and its key; None when there is none.
        cmd: Command.
        envs: Variables; those of a task replace them all.
        localizations: The code.
    """

    tasks: tuple[Any, Given] | None = None
    cmd: Given | None = None
    envs: list[Given] = field(default_factory=list)
    localizations: list[Given] = field(default_factory=list)


def load(source: Source, root: Any) -> YamlJob:
    """Read an experiment."""
    job = YamlJob()
    design = {"librarySpec", "taskSpecs", "submitterSpec"} & set(source.mapping(root, "the file"))
    shared = _design(source, job, root) if design else _experiment(source, job, root)
    if shared.tasks is None:
        source.missing("taskSpecs" if design else "spec")
        source.give_up()
    frameworks = job.options.get("framework", [])
    framework = frameworks[0].value.lower() if frameworks else "tensorflow"
    node, section = shared.tasks
    for task, place in source.mapping(node, section.value).values():
        role = role_of(source, framework, place, job)
        if role:
            _read_task(source, job, role, task, place, shared)
    fold_master(source, job)
    unset_when_alone(job)
    return job


def _option(job: YamlJob, name: str, given: Given | None) -> None:
    if given is not None:
        job.options[name] = [given]


def _experiment(source: Source, job: YamlJob, root: Any) -> _Shared:
    """Read the server's form."""
    top = source.take(root, "", ("meta", "environment", "spec", "code"), _LEFT)
    shared = _Shared(top.get("spec"))
    if "meta" in top:
        known = ("name", "namespace", "framework", "cmd", "envVars")
        meta = source.take(top["meta"][0], "meta", known, _META_LEFT)
        _option(job, "name", source.scalar(meta, "name"))
        _option(job, "framework", source.scalar(meta, "framework"))
        _queue(source, job, meta)
        _commands(source, shared, meta)
    if "environment" in top:
        _environment(source, job, top["environment"][0])
    if "code" in top:
        _code(source, shared, *top["code"])
    return shared


def _environment(source: Source, job: YamlJob, node: Any) -> None:
    left = {"description": "a job has no description"}
    environment = source.take(node, "environment", ("name", "image", "dockerImage", "kernelSpec"), left)
    image = source.scalar(environment, "image") or source.scalar(environment, "dockerImage")
    _option(job, "docker_image", image)
    for key in ("name", "kernelSpec"):
        if key in environment:
            reason = "the image says what tasks run in" if image else _STORED
            source.left(environment[key][1], f"environment.{key}", reason)


def _design(source: Source, job: YamlJob, root: Any) -> _Shared:
    """Read the design's form."""
    top = source.take(root, "", ("name", "librarySpec", "submitterSpec", "taskSpecs"))
    shared = _Shared(top.get("taskSpecs"))
    _option(job, "name", source.scalar(top, "name"))
    if "librarySpec" in top:
        known = ("name", "version", "image", "cmd", "envVars")
        library = source.take(top["librarySpec"][0], "librarySpec", known)
        _option(job, "framework", source.scalar(library, "name"))
        image, version = source.scalar(library, "image"), source.scalar(library, "version")
        _option(job, "docker_image", image)
        if version:
            source.left(version, "librarySpec.version", "the framework is that of the image or of the environment")
        _commands(source, shared, library)
    if "submitterSpec" in top:
        submitter = source.take(top["submitterSpec"][0], "submitterSpec", ("type", "namespace"), _SUBMITTER_LEFT)
        kind = source.scalar(submitter, "type")
        if kind is None or kind.value.lower().startswith("yarn"):
            _queue(source, job, submitter)
            return shared
        source.left(kind, f"submitterSpec.type {kind.value}", "jobs run on YARN")
        if "namespace" in submitter:
            source.left(submitter["namespace"][1], "submitterSpec.namespace", "it is Kubernetes'; see --queue")
    return shared


def _queue(source: Source, job: YamlJob, entries: Entries) -> None:
    """Read the namespace, which is YARN's queue; one that is typed counts."""
    namespace = source.scalar(entries, "namespace")
    if namespace and "queue" in source.command_line:
        source.left(namespace, f"namespace {namespace.value}", "--queue says where the job runs")
    else:
        _option(job, "queue", namespace)


def _commands(source: Source, shared: _Shared, entries: Entries) -> None:
    shared.cmd = source.scalar(entries, "cmd")
    shared.envs = source.pairs("envVars", entries["envVars"][0]) if "envVars" in entries else []


def _code(source: Source, shared: _Shared, node: Any, place: Given) -> None:
    """Read where the code is: what YARN can fetch is brought as ./code, a repository is not."""
    code = source.take(node, "code", ("syncMode", "url", "git"))
    mode = source.scalar(code, "syncMode") or place.part("git")
    git = (
        source.take(code["git"][0], "git", ("url", "branch", "username", "password", "trustCerts"))
        if "git" in code
        else {}
    )
    url = source.scalar(git, "url") or source.scalar(code, "url")
    if "src" in source.command_line:
        source.left(place, "code", "--src says where it is")
    elif mode.value.lower() in ("hdfs", "s3") and url:
        archive = "#archive" if _ARCHIVE.match(url.value) else ""
        shared.localizations = [url.part(f"{url.value}{archive}:./code")]
        source.faults.warn(f"{place.source}: the code is in ./code of every task here, not in /code")
    else:
        place_of = _LOGIN.sub("//", url.value) if url else ""
        step = f"git clone {place_of} code, then add --src code" if url else "add --src DIR with the code"
        source.refuse(place, f"code of syncMode {mode.value}", "it is not fetched from there", step)


def _read_task(source: Source, job: YamlJob, role: str, node: Any, place: Given, shared: _Shared) -> None:
    """Read one kind of tasks."""
    name = place.value
    task = source.take(node, name, ("replicas", "resources", "image", "cmd", "envVars"), _TASK_LEFT)
    source.add_role(job, role, place)
    replicas, image = source.scalar(task, "replicas"), source.scalar(task, "image")
    command = source.scalar(task, "cmd") or shared.cmd
    envs = source.pairs("envVars", task["envVars"][0]) if "envVars" in task else shared.envs
    source.put(job, role, "replicas", [replicas] if replicas else [])
    source.put(job, role, "docker_image", [image] if image else [])
    source.put(job, role, "envs", envs)
    source.put(job, role, "localizations", shared.localizations)
    if command:
        names = {*(item.value.partition("=")[0] for item in envs), _SERVERS_OWN}
        command = command.part(with_variables(command.value, names))
    source.put_command(job, role, command, place, "`cmd:`")
    source.put_wish(job, role, _wish(source, task, place), "`memory=4G` into its resources")


def _wish(source: Source, task: Entries, place: Given) -> Wish:
    """Return what `cpu=1,memory=1024M,nvidia.com/gpu=1` asks for."""
    given = source.scalar(task, "resources")
    if given is None:
        return Wish(place)
    amounts: dict[str, Given] = {}
    for pair in given.value.rstrip().removesuffix(",").split(","):
        key, equals, value = (part.strip() for part in pair.partition("="))
        key = "vcores" if key == "cpu" else key
        if not key or not equals or key in amounts:
            sentence = f"{given.source}: {pair.strip()!r} is no pair of its own."
            source.faults.add("resources-form", sentence, "write for example cpu=1,memory=1024M", at=given)
            return Wish(given, broken=True)
        amounts[key] = given.part(value)
    memory, cpu = amounts.pop("memory", None), amounts.pop("vcores", None)
    return source.wish(given, memory, cpu, {_DEVICES.get(key, key): value for key, value in amounts.items()})
