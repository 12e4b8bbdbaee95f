"""One Hadoop cluster as its users see it: configuration, who I am, my place on its store, the doors to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from am.contract.job import JobPaths
from yarn_submitter.hadoopconf import HadoopConf, current_user, load_conf, no_cluster
from yarn_submitter.rest import ResourceManager
from yarn_submitter.settings import Settings
from yarn_submitter.siteconfig import Warn, is_sandbox, load_settings
from yarn_submitter.store import HdfsStore


@dataclass(frozen=True)
class Site:
    """A cluster.

    Attributes:
        name: Its name in the settings, `sandbox`, `sandbox:NAME`, or the configuration directory.
        conf: Its configuration.
        user: Who works on it.
        environ: The environment in which a Hadoop program finds this cluster.
        settings: What its users' jobs get and may ask for.
    """

    name: str
    conf: HadoopConf
    user: str
    environ: Mapping[str, str]
    settings: Settings

    @property
    def option(self) -> str:
        """Return what a command line needs to name this cluster, with a blank before it; empty for HADOOP_CONF_DIR."""
        return f" --cluster {self.settings.cluster}" if self.settings.cluster else ""

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
        """Return a user's place on the store: below the staging root when it is set, else in the home."""
        root = self.settings.staging_root
        return JobPaths(f"{root}/{user}" if root else f"/user/{user}/.yarn-submitter")


def open_site(
    cluster: str, environ: Mapping[str, str] | None = None, overrides: Iterable[str] = (), warn: Warn | None = None
) -> Site:
    """Return the cluster that `--cluster` names, else the one of the environment or of the configuration.

    Args:
        cluster: Text of `--cluster`.
        environ: The environment; the process's own when None.
        overrides: Texts `KEY=VALUE` of `--set`.
        warn: As for `load_settings`.

    Raises:
        UsageError: There is none, or its Hadoop configuration is broken, or a setting is wrong.
    """
    env = dict(os.environ if environ is None else environ)
    settings = load_settings(env, overrides, cluster, warn)
    if is_sandbox(settings.cluster):
        from yarn_submitter.sandbox import DEFAULT_NAME, require

        info = require(settings.cluster.partition(":")[2] or DEFAULT_NAME)
        path = f"{info.bin_dir}{os.pathsep}{env.get('PATH', '')}"
        env |= {**info.environment(), "PATH": path}
        conf_dir = Path(info.conf_dir)
    elif settings.hadoop_conf_dir:
        conf_dir = Path(settings.hadoop_conf_dir)
        env["HADOOP_CONF_DIR"] = str(conf_dir)
    else:
        raise no_cluster()
    env.pop("YARN_CONF_DIR", None)  # Hadoop's programs would prefer it
    conf = load_conf(conf_dir, named_by=settings.origin("hadoop_conf_dir"))
    return Site(settings.cluster or str(conf_dir), conf, current_user(env), env, settings)
