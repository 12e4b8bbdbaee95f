"""Checks a job against its own files and the real cluster, before anything is created."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from yarn_submitter.envpack.check import archive_problems, inspect_archive
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.localfiles import LocalFile
from yarn_submitter.preflight import RoleAsk, problems
from yarn_submitter.probe import ask
from yarn_submitter.site import Site
from yarn_submitter.spec import RUNNABLE, JobSpec
from yarn_submitter.store import store_path
from yarn_submitter.yarn import launch_problems


def refuse(spec: JobSpec, files: Mapping[str, LocalFile], site: Site) -> None:
    """Check the job against its own files and the real cluster before anything is created.

    Raises:
        UsageError: With every reason.
        UnreachableError: The cluster does not answer.
    """
    found: list[Problem] = launch_problems(site.environ)
    if spec.framework not in RUNNABLE:
        runnable = " and ".join(RUNNABLE)
        found.append(
            Problem("framework-not-yet", f"This version runs {runnable}, not {spec.framework}.", "", "--dry_run works")
        )
    items = [*spec.localizations, *(item for role in spec.roles for item in role.localizations)]
    for path in dict.fromkeys(item.remote for item in items if item.archive):
        if path in files and not files[path].is_tree:
            found += archive_problems(inspect_archive(Path(path)), needs_python=False)
    asks = [_role_ask(role.name, role.instances, role.resources) for role in spec.roles]
    for role in spec.roles:
        others = [name for name in role.resources.others if name != "yarn.io/gpu"]
        found += [_cannot_ask(role.name, name) for name in others]
    for item in items:
        if item.local.startswith("/"):
            sentence = f"{item.remote} cannot be put at {item.local}: an absolute place needs Docker."
            found.append(Problem("localization-absolute", sentence, "", "use a name such as ./data"))
    found += problems(asks, spec.queue, ask(site.conf, site.user), site.user if site.conf.acls else "")
    found += _not_on_store([item.remote for item in items if item.remote not in files], site)
    if found:
        raise UsageError(*found)


def _role_ask(name: str, instances: int, resources: Any) -> RoleAsk:
    return RoleAsk(name, instances, resources.memory_mib, resources.vcores, resources.gpus)


def _not_on_store(uris: Iterable[str], site: Site) -> Iterator[Problem]:
    """Yield a problem for each URI on the cluster's own file system where nothing lies; others are YARN's to find."""
    for uri in dict.fromkeys(uris):
        try:
            path = store_path(uri, site.conf)
        except UsageError:
            continue
        if site.store.status(path) is None:
            yield Problem("localization-missing", f"There is no {uri} on the cluster.", path, "check the path")


def _cannot_ask(role: str, resource: str) -> Problem:
    sentence = f"Role {role} asks for {resource}, which the launcher cannot ask YARN for."
    return Problem("resource-not-expressible", sentence, "memory, vcores and gpu can be asked for", "leave it out")
