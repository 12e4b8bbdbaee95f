"""What a job may not leave behind: processes, applications, staging directories, temporary names, stray files."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from cluster.typing_jobs import until

from yarn_submitter.sandbox import SandboxInfo
from yarn_submitter.site import Site, open_site

# Names that Hadoop, Java, Skein, Python's tempfile or this program give to temporary files; others use /tmp, too.
_MADE_BY_US = re.compile(
    r"(hadoop|hsperfdata|skein|[Jj]etty|libnetty|lib\w+jni|leveldb|yarn|nm-|container_|ys[-_.]|tmp[a-z0-9_]{8}$)"
)
_MARK = "YARN_SUBMITTER_SANDBOX_ID="


def container_processes(sandbox: SandboxInfo) -> dict[int, str]:
    """Return pid -> command line of every process that carries the sandbox's id in its environment."""
    wanted = (_MARK + sandbox.id).encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in sandbox.pids.values():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
    return found


def site_of(sandbox: SandboxInfo) -> Site:
    """Return the sandbox as a client sees it."""
    return open_site("", {**os.environ, "HADOOP_CONF_DIR": str(sandbox.conf_dir)})


def temporary_files() -> set[str]:
    """Return the names in the machine's temporary directory that Hadoop, Skein, Java or we could have made."""
    return {name for name in os.listdir(tempfile.gettempdir()) if _MADE_BY_US.match(name)}


class Watch:
    """Remembers how things were before a test and checks them after it."""

    def __init__(self, sandbox: SandboxInfo) -> None:
        self._sandbox = sandbox
        self._site = site_of(sandbox)
        self._temporary = temporary_files()
        self._before = set(self._stray())

    def check(self) -> None:
        """Fail when something is left; what ends by itself within its deadline has ended well."""
        until("every application has ended", lambda: not self._live(), 45)
        until("no process of a job lives", lambda: not self._processes(), 30)
        # Skein's ApplicationMaster removes its own directory after it has told YARN that it ends.
        until(lambda: f"nothing left on HDFS: {sorted(self._left())}", lambda: not self._left(), 10)
        # Other programs of this machine make files there, too, and take them away again.
        until(lambda: f"no new temporary files: {sorted(self._fresh())}", lambda: not self._fresh(), 10)

    def _fresh(self) -> set[str]:
        return temporary_files() - self._temporary

    def _left(self) -> set[str]:
        return set(self._stray()) - self._before

    def _live(self) -> list[str]:
        return [app.id for app in self._site.resource_manager.list_apps() if not app.ended]

    def _processes(self) -> dict[int, str]:
        return container_processes(self._sandbox)

    def _stray(self) -> list[str]:
        store, paths, home = self._site.store, self._site.paths, f"/user/{self._site.user}"
        stray = []
        if store.status(home):
            known = (".skein", ".yarn-submitter")
            stray += [entry.path for entry in store.list(home) if not entry.path.endswith(known)]
        if store.status(paths.base) is None:
            return stray
        known = ("cache", "jobs")
        stray += [entry.path for entry in store.list(paths.base) if entry.path.rpartition("/")[2] not in known]
        places = {"spec", "history", "checkpoint", "model", "output"}
        jobs = store.list(paths.jobs) if store.status(paths.jobs) else []
        below = [entry.path for job in jobs for entry in store.list(job.path)]
        stray += [path for path in below if path.rpartition("/")[2] not in places]
        stray += [found.path for found in store.walk(paths.base) if ".ys-tmp" in found.path]
        if store.status(f"{home}/.skein"):
            stray += [entry.path for entry in store.list(f"{home}/.skein")]
        return stray
