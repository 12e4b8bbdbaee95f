"""The JSON document of a plan, as `--dry_run` prints it: stable keys first, everything else below `plan`. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from yarn_submitter.localfiles import LocalFile
from yarn_submitter.spec import JobSpec, Localization, Mount, Quicklink, RoleSpec
from yarn_submitter.units import Ask

FORMAT = 1


def plan_document(
    spec: JobSpec, staged: Sequence[LocalFile], job: Mapping[str, Any], rest: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the document.

    Args:
        spec: What the user described.
        staged: What would be brought to the store.
        job: job.json with placeholders.
        rest: Further entries of `plan`.
    """
    board = spec.tensorboard
    return {
        "name": spec.name,
        "framework": spec.framework,
        "queue": spec.queue,
        "node_label": spec.node_label,
        "input_path": spec.input_path,
        "checkpoint_path": job["checkpoint_path"],
        "saved_model_path": job["saved_model_path"],
        "docker_image": spec.image,
        "wait_job_finish": spec.wait_job_finish,
        "verbose": spec.verbose,
        "distributed": sum(role.instances for role in spec.roles) > 1,
        "max_runtime_s": spec.max_runtime_s,
        "max_restarts": spec.max_restarts,
        "am_attempts": spec.am_attempts,
        "port_range": list(spec.port_range),
        "env": spec.env,
        "secrets": [{"name": secret.name, "file": secret.path} for secret in spec.secrets],
        "conf": spec.conf,
        "localizations": [_localization(item) for item in spec.localizations],
        "mounts": [_mount(mount) for mount in spec.mounts],
        "quicklinks": [_quicklink(link) for link in spec.quicklinks],
        "security": dataclasses.asdict(spec.security),
        "tensorboard": {
            "enabled": board is not None,
            **({"resources": _resources(board.resources), "docker_image": board.image} if board else {}),
        },
        "roles": {role.name: _role(role, planned) for role, planned in zip(spec.roles, job["roles"], strict=False)},
        "plan": {
            "format": FORMAT,
            "staged": [_staged(file) for file in staged],
            "job": job,
            **rest,
        },
    }


def _staged(file: LocalFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "directory": file.is_tree,
        "extension": file.extension,
    }


def _quicklink(link: Quicklink) -> dict[str, Any]:
    instance = link.task.replace(":", "-")
    return {"label": link.label, "protocol": link.protocol, "instance": instance, "port": link.port}


def _localization(item: Localization) -> dict[str, str]:
    return {
        "remote_uri": item.remote + ("#archive" if item.archive else ""),
        "local_path": item.local,
        "permission": "rw" if item.writable else "ro",
    }


def _mount(mount: Mount) -> dict[str, str]:
    return {"source": mount.source, "target": mount.target, "permission": "rw" if mount.writable else "ro"}


def _resources(ask: Ask) -> dict[str, int]:
    return {
        "memory_mb": ask.memory_mib,
        "vcores": ask.vcores,
        "gpus": ask.gpus,
        "fpgas": ask.others.get("yarn.io/fpga", 0),
    }


def _role(role: RoleSpec, planned: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "instances": role.instances,
        "min_instances": role.min_instances or role.instances,
        "resources": _resources(role.resources),
        "launch_cmd": planned["command"],
        "docker_image": role.image,
        "node_label": role.node_label,
        "env": role.env,
        "localizations": [_localization(item) for item in role.localizations],
        "mounts": [_mount(mount) for mount in role.mounts],
        **{key: planned[key] for key in ("tracked", "start", "depends_on", "on_failure", "on_loss")},
    }
