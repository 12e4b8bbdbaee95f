"""One Hadoop cluster as its users see it: configuration, who I am, my place on its store, the doors to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from am.contract.job import JobPaths
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.hadoopconf import HadoopConf, current_user, find_conf_dir, load_conf, no_cluster
from yarn_submitter.rest import ResourceManager
from yarn_submitter.store import HdfsStore

_ROOT = "YARN_SUBMITTER_ROOT"


@dataclass(frozen=True)
class Site:
    """A cluster.

    Attributes:
        name: `sandbox`, `sandbox:NAME`, or the configuration directory.
        conf: Its configuration.
        user: Who works on it.
        environ: The environment in which a Hadoop program finds this cluster.
    """

    name: str
    conf: HadoopConf
    user: str
    environ: Mapping[str, str]

    @property
    def option(self) -> str:
        """Return what a command line needs to name this cluster, with a blank before it; empty for HADOOP_CONF_DIR."""
        return f" --cluster {self.name}" if self.name.startswith("sandbox") else ""

    @cached_property
    def store(self) -> HdfsStore:
        """Return the cluster's default file system."""
        return HdfsStore(self.conf, self.user)

    @cached_property
    def resource_manager(self) -> ResourceManager:
        """Return the ResourceManager's REST door."""
        return ResourceManager(self.conf, self.user)

    @property
    def paths(self) -> JobPaths:
        """Return the user's place on the store."""
        return self.paths_of(self.user)

    def paths_of(self, user: str) -> JobPaths:
        """Return a user's place on the store: below YARN_SUBMITTER_ROOT when it is set, else in the home."""
        root = self.environ.get(_ROOT, "").rstrip("/")
        return JobPaths(f"{root}/{user}" if root else f"/user/{user}/.yarn-submitter")


def open_site(cluster: str, environ: Mapping[str, str] | None = None) -> Site:
    """Return the cluster that `--cluster` names, or the one of HADOOP_CONF_DIR when it names none.

    Raises:
        UsageError: There is none, or its configuration is broken, or YARN_SUBMITTER_ROOT is no absolute path.
    """
    env = dict(os.environ if environ is None else environ)
    root = env.get(_ROOT, "")
    if root and not root.startswith("/"):
        sentence = f"{_ROOT} is {root!r}, which is not an absolute path on the cluster's store."
        raise UsageError(Problem("root-relative", sentence, "", f"export {_ROOT}=/some/directory, or unset it"))
    if cluster:
        return _sandbox_site(cluster, env)
    conf_dir = find_conf_dir(env)
    if conf_dir is None:
        raise no_cluster()
    return Site(str(conf_dir), load_conf(conf_dir), current_user(env), env)


def _sandbox_site(cluster: str, env: dict[str, str]) -> Site:
    from yarn_submitter.sandbox import DEFAULT_NAME, require

    kind, _, name = cluster.partition(":")
    if kind != "sandbox":
        raise UsageError(
            Problem(
                "cluster-unknown",
                f"There is no cluster called {cluster!r}.",
                "known: sandbox, sandbox:NAME; every other cluster by HADOOP_CONF_DIR",
                "leave --cluster out and set HADOOP_CONF_DIR, or use --cluster sandbox",
            )
        )
    info = require(name or DEFAULT_NAME)
    env.update(info.environment())
    env["PATH"] = f"{info.bin_dir}{os.pathsep}{env.get('PATH', '')}"
    return Site(cluster, load_conf(Path(info.conf_dir)), current_user(env), env)
