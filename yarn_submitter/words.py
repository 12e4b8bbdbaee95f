"""A JobSpec as the words of `job run`, so that one made by hand is read, checked and completed like any other."""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Iterator
from typing import Any

from am.contract.job import FATAL, TOGETHER
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.load import load
from yarn_submitter.options import BY_NAME, COUNT, OWN_LIMITS
from yarn_submitter.settings import JobDefaults
from yarn_submitter.spec import FAIL, JobSpec, Localization, Mount, RoleSpec, Secret
from yarn_submitter.units import Ask

# Fields whose text is their option's value: field -> option.
_TEXTS = {
    "queue": "queue",
    "checkpoint_path": "checkpoint_path",
    "saved_model_path": "saved_model_path",
    "source_dir": "src",
    "done_when": "done_when",
    "tf_worker0": "tf_worker0",
    "image": "docker_image",
    "node_label": "node_label",
}
_FLAGS = ("wait_job_finish", "verbose")
_CHOICES = ("framework", "done_when", "tf_worker0", "on_failure", "on_loss", "start")
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(JobSpec)}


def checked(spec: JobSpec, defaults: JobDefaults) -> JobSpec:
    """Return a job as `job run` would have read it: its roles in order, its local paths absolute.

    Args:
        spec: The job.
        defaults: What it gets where it says nothing.

    Raises:
        UsageError: With every fault, in the words of `job run`; or words cannot say what it holds. [spec-not-words]
    """
    read, _ = load(words(spec))
    given, found = _plain(spec), _plain(read)
    problems = [
        Problem(
            "spec-not-words",
            f"The words of job run cannot say {name} of this JobSpec.",
            f"given: {value}\nread:  {found[name]}",
        )
        for name, value in given.items()
        if value != found[name]
    ]
    if problems:
        raise UsageError(*problems)
    return load(words(spec), lambda _cluster, _set: defaults)[0]


def words(spec: JobSpec) -> list[str]:
    """Return the words after `job run` that describe the job; what is as it is by default is left out."""
    return list(_words(spec))


def _words(spec: JobSpec) -> Iterator[str]:
    yield from (f"--name={spec.name}", f"--framework={spec.framework}", f"--input_path={spec.input_path}")
    for name, option in _TEXTS.items():
        if getattr(spec, name) != _DEFAULTS[name]:
            yield f"--{option}={getattr(spec, name)}"
    yield from (f"--{name}=true" for name in _FLAGS if getattr(spec, name))
    yield from _waits_and_restarts(spec)
    yield from (f"--env={key}={value}" for key, value in spec.env.items())
    yield from (f"--conf={key}={value}" for key, value in spec.conf.items())
    yield from (f"--secret={secret.name}=@{secret.path}" for secret in spec.secrets)
    yield from (f"--localization={_localization(item)}" for item in spec.localizations)
    yield from (f"--mount={_mount(item)}" for item in spec.mounts)
    for link in spec.quicklinks:
        yield f"--quicklink={link.label}={link.protocol}://{'-'.join(link.task.rsplit(':', 1))}:{link.port}"
    security = spec.security
    yield from (f"--{name}={text}" for name in ("keytab", "principal") if (text := getattr(security, name)))
    yield from (f"--{name}=true" for name in ("insecure", "distribute_keytab") if getattr(security, name))
    if not spec.roles:
        yield "--num_workers=0"
    for role in spec.roles:
        yield from _role(role)
    if spec.tensorboard is not None:
        yield from ("--tensorboard=true", f"--tensorboard_resources={_resources(spec.tensorboard.resources)}")
        if spec.tensorboard.image:
            yield f"--tensorboard_docker_image={spec.tensorboard.image}"


def _waits_and_restarts(spec: JobSpec) -> Iterator[str]:
    if spec.max_runtime_s:
        yield f"--max_runtime={spec.max_runtime_s}s"
    for name in ("max_restarts", "am_attempts"):
        if getattr(spec, name) != _DEFAULTS[name]:
            yield f"--{name}={getattr(spec, name)}"
    if spec.port_range:
        yield f"--port_range={'-'.join(map(str, spec.port_range))}"
    for option, field in OWN_LIMITS.items():
        value = getattr(spec.limits, field)
        if value is not None:
            yield f"--{option}={value}{'' if BY_NAME[option].kind == COUNT else 's'}"


def _role(role: RoleSpec) -> Iterator[str]:
    instances = f"{role.min_instances}:{role.instances}" if role.min_instances else role.instances
    yield f"--role={role.name}:instances={instances},{_resources(role.resources)}"
    yield from (f"--role_env={role.name}={key}={value}" for key, value in role.env.items())
    yield from (f"--role_localization={role.name}={_localization(item)}" for item in role.localizations)
    yield from (f"--role_mount={role.name}={_mount(item)}" for item in role.mounts)
    texts = {"cmd": role.command, "image": role.image, "node_label": role.node_label}
    texts |= {"on_failure": role.on_failure, "on_loss": role.on_loss, "depends_on": ",".join(role.depends_on)}
    if role.start != TOGETHER:
        texts["start"] = role.start
    yield from (f"--role_{option}={role.name}={text}" for option, text in texts.items() if text)


def _resources(ask: Ask) -> str:
    amounts = {"memory": f"{ask.memory_mib}M", "vcores": ask.vcores, **ask.others}
    return ",".join(f"{key}={amount}" for key, amount in amounts.items())


def _localization(item: Localization) -> str:
    return f"{item.remote}{'#archive' if item.archive else ''}:{item.local}{':rw' if item.writable else ''}"


def _mount(item: Mount) -> str:
    return f"{item.source}:{item.target}:{'rw' if item.writable else 'ro'}"


def _plain(value: Any, field: str = "") -> Any:
    """Return a value in the one form that reading gives it: texts, absolute paths, roles that have tasks, sorted."""
    if isinstance(value, Localization):
        remote = value.remote if "://" in value.remote else os.path.abspath(value.remote)
        local = posixpath.normpath(value.local)
        name = posixpath.basename(remote.rstrip("/")) if local == "." else local
        return [remote, name, value.archive, value.writable]
    if isinstance(value, Secret):
        return [value.name, os.path.abspath(value.path)]
    if isinstance(value, Ask):
        return _resources(dataclasses.replace(value, others={key: n for key, n in value.others.items() if n}))
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name), item.name) for item in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return sorted((_plain(item) for item in value if getattr(item, "instances", 1)), key=str)
    if isinstance(value, dict):
        return {str(key): str(item) for key, item in value.items()}
    text = str(value)
    if field == "source_dir" and text:
        return os.path.abspath(text)
    if field in ("on_failure", "on_loss") and text.lower() == FAIL:
        return FATAL
    return text.lower() if field in _CHOICES else text
