"""What YARN's Docker runtime finds in a container's environment: pure.

Variables: Hadoop 3.5.0, DockerContainers.md. A mount's source without a leading slash is something localized.
"""

from __future__ import annotations

from collections.abc import Mapping

from yarn_submitter.spec import JobSpec, Localization, Mount, RoleSpec

_PREFIX = "YARN_CONTAINER_RUNTIME_"
_TYPE = f"{_PREFIX}TYPE"
_IMAGE = f"{_PREFIX}DOCKER_IMAGE"
_MOUNTS = f"{_PREFIX}DOCKER_MOUNTS"
_INSIDE = "DOCKER_"
_PLACED = ".ys.at."


def image_of(spec: JobSpec, role: RoleSpec) -> str:
    """Return the image that a role's containers run in; empty when they run on the node itself."""
    own = role.image or spec.image
    if own:
        return own
    env = {**spec.env, **role.env}
    return env.get(_IMAGE, "") if env.get(_TYPE) == "docker" else ""


def launch_environment(spec: JobSpec, role: RoleSpec) -> dict[str, str]:
    """Return the variables that YARN reads before it starts a role's container; what the user gave of them wins."""
    given = {name: value for name, value in {**spec.env, **role.env}.items() if name.startswith(_PREFIX)}
    image = image_of(spec, role)
    if not image:
        return given
    mounts = {mount.target: _mount(mount) for mount in (*spec.mounts, *role.mounts)}  # the role's own wins
    mounts.update({item.local: f"{local_name(item)}:{item.local}:ro" for item in placed(spec, role)})
    ours = {_TYPE: "docker", _IMAGE: image, **({_MOUNTS: ",".join(mounts.values())} if mounts else {})}
    return {**ours, **given}


def task_environment(spec: JobSpec, role: RoleSpec) -> dict[str, str]:
    """Return the user's variables of a role as its command finds them.

    Inside a Docker container `DOCKER_NAME` is NAME: a way to say what holds in the image and not on the node.
    """
    env: Mapping[str, str] = {**spec.env, **role.env}
    if not image_of(spec, role):
        return dict(env)
    plain = {name: value for name, value in env.items() if not name.startswith(_INSIDE)}
    inside = {name.removeprefix(_INSIDE): value for name, value in env.items() if name.startswith(_INSIDE)}
    return {**plain, **{name: value for name, value in inside.items() if name}}


def placed(spec: JobSpec, role: RoleSpec) -> list[Localization]:
    """Return what is localized for a role and lies at an absolute place in its container."""
    return [item for item in (*spec.localizations, *role.localizations) if item.local.startswith("/")]


def local_name(item: Localization) -> str:
    """Return the name of something localized in the container's working directory."""
    return _PLACED + item.local.strip("/").replace("/", ".") if item.local.startswith("/") else item.local


def _mount(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}:{'rw' if mount.writable else 'ro'}"
