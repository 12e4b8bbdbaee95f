"""Hadoop's own XML files as one typed value, and who the user is for Hadoop.

Names and defaults of the settings: core-default.xml, hdfs-default.xml and yarn-default.xml of Hadoop 3.5.0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET  # the files are the administrator's own, as trusted as Hadoop itself

from yarn_submitter.errors import Problem, UsageError

FILES = ("core-site.xml", "hdfs-site.xml", "yarn-site.xml")
_INCLUDE = "{http://www.w3.org/2001/XInclude}include"
_VARIABLE = re.compile(r"\$\{([^}$\s]+)\}")
_MAX_SUBSTITUTIONS = 20  # as many rounds as Hadoop makes
_NN_HTTP = "dfs.namenode.http-address"
_ANY_HOST = ("", "0.0.0.0", "::", "[::]")  # noqa: S104 -- compared, never bound


@dataclass(frozen=True)
class HadoopConf:
    """One cluster as its configuration directory describes it.

    Attributes:
        conf_dir: Where the files lie.
        default_fs: fs.defaultFS, `hdfs://host:port` or `hdfs://nameservice`.
        webhdfs: `http://host:port` of each NameNode of the default file system (https when dfs.http.policy is
            HTTPS_ONLY); empty when the default file system is not HDFS.
        rm_http: `http://host:port` of each ResourceManager (https when yarn.http.policy is HTTPS_ONLY).
        log_dir_root: Where NodeManagers put aggregated logs, a path or a URI.
        log_suffix: Name of the directory below `<root>/<user>` for logs in TFile format, without its `bucket-`.
        kerberos: Whether the cluster demands Kerberos.
        raw: Every setting of the three files, variables not yet replaced.
        environ: What `${env.NAME}` is taken from.
        acls: Whether YARN looks at who may submit to a queue.
    """

    conf_dir: Path
    default_fs: str
    webhdfs: tuple[str, ...]
    rm_http: tuple[str, ...]
    log_dir_root: str
    log_suffix: str
    kerberos: bool
    raw: Mapping[str, str] = field(repr=False, compare=False)
    environ: Mapping[str, str] = field(repr=False, compare=False)
    acls: bool = False

    @property
    def start(self) -> str:
        """Return what starts this cluster when it does not answer; empty for all but a sandbox."""
        return self.get("yarn-submitter.start")

    def get(self, key: str, default: str = "") -> str:
        """Return a setting with its variables replaced; `default` when it is not set or empty."""
        return _value(self.raw, self.environ, key) or default


def no_cluster() -> UsageError:
    """Return the error for a command that needs a cluster when none is configured."""
    sentence = "No cluster is configured: neither --cluster, HADOOP_CONF_DIR nor the key `cluster` names one."
    step = (
        "export HADOOP_CONF_DIR=/path/to/the/cluster's/conf, or try it on this machine: "
        "`job sandbox up`, then `--cluster sandbox` with every command, or export YARN_SUBMITTER_CLUSTER=sandbox"
    )
    return UsageError(Problem("no-cluster", sentence, next_step=step))


def current_user(environ: Mapping[str, str]) -> str:
    """Return whom Hadoop takes us for without Kerberos: HADOOP_USER_NAME, else the user of this process.

    Raises:
        UsageError: The process runs as a user id that has no name. [user-unknown]
    """
    named = environ.get("HADOOP_USER_NAME", "").strip()
    if named:
        return named
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        sentence = f"The user id {os.getuid()} has no name on this machine, and Hadoop needs one."
        problem = Problem("user-unknown", sentence, next_step="export HADOOP_USER_NAME=your-name-on-the-cluster")
        raise UsageError(problem) from None


def load_conf(
    conf_dir: Path, environ: Mapping[str, str] | None = None, named_by: str = "HADOOP_CONF_DIR"
) -> HadoopConf:
    """Read core-site.xml, hdfs-site.xml and yarn-site.xml of a directory.

    Args:
        conf_dir: The directory.
        environ: For `${env.NAME}`; the process's own when None.
        named_by: What named the directory, for messages.

    Raises:
        UsageError: A file is missing or cannot be read as Hadoop's configuration. [conf-broken]
    """
    environ = os.environ if environ is None else environ
    if not conf_dir.is_dir():
        step = f"name the directory that holds {', '.join(FILES)}"
        sentence = f"There is no directory {conf_dir}, which {named_by} names."
        raise UsageError(Problem("conf-broken", sentence, next_step=step))
    raw: dict[str, str] = {}
    final: set[str] = set()
    for name in FILES:
        for key, value, is_final in _properties(conf_dir / name):
            if key in final:
                continue
            raw[key] = value
            if is_final:
                final.add(key)

    def get(key: str, default: str = "") -> str:
        return _value(raw, environ, key) or default

    default_fs = get("fs.defaultFS", get("fs.default.name", "file:///")).rstrip("/") or "file:///"
    tfile = "yarn.log-aggregation.TFile.remote-app-log-dir"
    return HadoopConf(
        conf_dir=conf_dir,
        default_fs=default_fs,
        webhdfs=tuple(_namenodes(get, default_fs)),
        rm_http=tuple(_resource_managers(get)),
        log_dir_root=get(tfile, get("yarn.nodemanager.remote-app-log-dir", "/tmp/logs")),  # noqa: S108 -- on HDFS
        log_suffix=get(f"{tfile}-suffix", get("yarn.nodemanager.remote-app-log-dir-suffix", "logs") + "-tfile"),
        kerberos=get("hadoop.security.authentication").lower() == "kerberos",
        raw=raw,
        environ=environ,
        acls=get("yarn.acl.enable").lower() == "true",
    )


def _properties(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield name, value and finality of each property of a file and of the files that it includes."""
    try:
        root = ET.fromstring(path.read_bytes())  # noqa: S314 -- see the import
    except FileNotFoundError:
        step = f"check the configuration directory: it must hold {', '.join(FILES)}"
        raise UsageError(Problem("conf-broken", f"The Hadoop configuration has no {path}.", next_step=step)) from None
    except (OSError, NotADirectoryError) as error:
        raise _broken(f"The Hadoop configuration {path} cannot be read: {error.strerror}.") from None
    except ET.ParseError as error:
        line = error.position[0]
        reason = str(error).partition(":")[0]
        raise _broken(f"The Hadoop configuration {path} is not well-formed XML in line {line}: {reason}.") from None
    if root.tag != "configuration":
        raise _broken(f"The Hadoop configuration {path} begins with <{root.tag}> instead of <configuration>.")
    for element in root:
        if element.tag == _INCLUDE:
            yield from _properties(path.parent / element.get("href", ""))
        elif element.tag == "property":
            name = (element.findtext("name") or element.get("name") or "").strip()
            value = element.findtext("value")
            value = (element.get("value") or "") if value is None else value
            is_final = (element.findtext("final") or element.get("final") or "").strip() == "true"
            if name:
                yield name, value.strip(), is_final


def _broken(sentence: str) -> UsageError:
    return UsageError(Problem("conf-broken", sentence, next_step="correct that file, or name another directory"))


def _value(raw: Mapping[str, str], environ: Mapping[str, str], key: str) -> str:
    """Return a setting with `${other.setting}`, `${env.NAME}`, `${env.NAME:-default}` and `${user.name}` replaced."""
    value = raw.get(key, "")
    for _ in range(_MAX_SUBSTITUTIONS):
        replaced = _VARIABLE.sub(lambda match: _variable(raw, environ, match.group(0), match.group(1)), value)
        if replaced == value:
            break
        value = replaced
    return value


def _variable(raw: Mapping[str, str], environ: Mapping[str, str], whole: str, name: str) -> str:
    if name.startswith("env."):
        variable, _, default = name[4:].partition(":-")
        return environ.get(variable) or default or whole
    if name == "user.name":
        return current_user(environ)
    return raw.get(name, whole)


def _namenodes(get: Callable[[str, str], str], default_fs: str) -> Iterator[str]:
    """Yield the web address of each NameNode that serves the default file system."""
    uri = urlsplit(default_fs)
    if uri.scheme != "hdfs":
        return
    secure = get("dfs.http.policy", "HTTP_ONLY") == "HTTPS_ONLY"
    scheme, key, port = ("https", "dfs.namenode.https-address", 9871) if secure else ("http", _NN_HTTP, 9870)
    service = uri.netloc
    ids = _words(get(f"dfs.ha.namenodes.{service}", ""))
    for namenode in ids:
        address = get(f"{key}.{service}.{namenode}", "")
        rpc_host = get(f"dfs.namenode.rpc-address.{service}.{namenode}", "").partition(":")[0]
        yield f"{scheme}://{_address(address, rpc_host, port)}"
    if not ids:
        yield f"{scheme}://{_address(get(f'{key}.{service}', get(key, '')), uri.hostname or 'localhost', port)}"


def _resource_managers(get: Callable[[str, str], str]) -> Iterator[str]:
    """Yield the web address of each ResourceManager."""
    secure = get("yarn.http.policy", "HTTP_ONLY") == "HTTPS_ONLY"
    scheme, key, port = ("https", "webapp.https.address", 8090) if secure else ("http", "webapp.address", 8088)
    ids = (
        _words(get("yarn.resourcemanager.ha.rm-ids", ""))
        if get("yarn.resourcemanager.ha.enabled", "") == "true"
        else []
    )
    for end in [f".{rm}" for rm in ids] or [""]:
        host = get(f"yarn.resourcemanager.hostname{end}", "")
        yield f"{scheme}://{_address(get(f'yarn.resourcemanager.{key}{end}', ''), host, port)}"


def _address(address: str, fallback_host: str, default_port: int) -> str:
    """Return host:port; the fallback's host when the address names none or every interface."""
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "")
    if host in _ANY_HOST:
        host = fallback_host if fallback_host not in _ANY_HOST else "localhost"
    return f"{host}:{port or default_port}"


def _words(value: str) -> list[str]:
    return [word for word in (part.strip() for part in value.split(",")) if word]
