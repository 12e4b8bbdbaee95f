"""Hadoop's configuration directories, made from the templates in conf/sandbox.

One source, several readers: `daemon` (long retries), `node<N>` (the same plus one NodeManager's own addresses and
directories) and `client` (the same with short retries).
"""

from __future__ import annotations

import re
import shutil
import socket
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from yarn_submitter.config import bundle_dir
from yarn_submitter.sandbox.files import write_beside
from yarn_submitter.sandbox.state import name_option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from yarn_submitter.sandbox.state import SandboxState

SITES = ("core-site", "hdfs-site", "yarn-site", "capacity-scheduler")
# Hadoop's HDFS jar carries no web application, and its daemons do not start without these directories.
WEBAPPS = ("hdfs", "datanode", "static")


def read_template(name: str, values: Mapping[str, object]) -> dict[str, str]:
    """Return the properties of conf/sandbox/<name>.xml with each @NAME@ replaced by its value.

    Raises:
        KeyError: The template names a value that is not given.
    """
    text = (bundle_dir() / "conf" / "sandbox" / f"{name}.xml").read_text("utf-8")
    body = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    properties = {}
    for element in ET.fromstring(body).iter("property"):  # noqa: S314 - a file of this program
        raw = element.findtext("value") or ""
        key = element.findtext("name") or ""
        key, raw = (re.sub(r"@([A-Z_]+)@", lambda match: str(values[match[1]]), part) for part in (key, raw))
        properties[key] = raw
    return properties


def template_values(state: SandboxState, directory: Path, jars: Path) -> dict[str, object]:
    """Return the value of each @NAME@ but the NodeManagers' own."""
    return {
        "STATE": directory,
        "USER": state.user,
        "UP": f"job sandbox up{name_option(state.name)}",
        "ID": state.id,
        "JARS": jars,
        "DAEMON_CONF": directory / "conf" / "daemon",
        "MEMORY_MB": state.shape.memory_mb,
        "VCORES": state.shape.vcores,
        "GPUS": state.shape.gpus,
        **state.ports,
    }


def node_values(state: SandboxState, number: int) -> dict[str, object]:
    """Return the values of one NodeManager's template; nodes count from 1."""
    values: dict[str, object] = {"NODE": number, "NODE_ADDRESS": state.node_addresses[number - 1]}
    for use in ("RPC", "LOCALIZER", "HTTP"):
        values[f"NODE_{use}"] = state.ports[f"NODE{number}_{use}"]
    return values


def site_properties(state: SandboxState, directory: Path, jars: Path) -> dict[str, dict[str, str]]:
    """Return for each configuration directory its properties by site; the caller's own properties stand in every site.

    The keys of the result are `<directory>/<site>`, such as `client/core-site`.
    """
    values = template_values(state, directory, jars)
    sites = {site: read_template(site, values) for site in SITES}
    if len(set(state.node_addresses)) < len(state.node_addresses):
        # All NodeManagers share one address here: only with its port is a node's name its own.
        sites["yarn-site"]["yarn.scheduler.include-port-in-node-name"] = "true"
    client = read_template("client", values)
    result = {}
    for site, properties in sites.items():
        result[f"daemon/{site}"] = {**properties, **state.shape.properties}
        if site != "capacity-scheduler":
            own = {**client, **properties} if site == "yarn-site" else {**properties, **client}
            result[f"client/{site}"] = {**own, **client, **state.shape.properties}
    for number in range(1, len(state.node_addresses) + 1):
        node = read_template("nodemanager", {**values, **node_values(state, number)})
        for site, properties in sites.items():
            own = {**properties, **node} if site == "yarn-site" else properties
            result[f"node{number}/{site}"] = {**own, **state.shape.properties}
    return result


def write_configuration(state: SandboxState, directory: Path, jars: Path) -> None:
    """Write every configuration directory below `directory`/conf and the `yarn` command below `directory`/bin."""
    conf = directory / "conf"
    for key, properties in site_properties(state, directory, jars).items():
        path = conf / f"{key}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_beside(path, site_xml(properties))
    log4j = bundle_dir() / "conf" / "sandbox" / "log4j.properties"
    for path in conf.iterdir():
        if path.is_dir():
            shutil.copyfile(log4j, path / "log4j.properties")
    for webapp in WEBAPPS:
        web_inf = conf / "daemon" / "webapps" / webapp / "WEB-INF"
        web_inf.mkdir(parents=True, exist_ok=True)
        write_beside(web_inf / "web.xml", "<web-app/>\n")
    write_beside(conf / "hosts", hosts_file(state.node_addresses))
    (directory / "bin").mkdir(exist_ok=True)
    write_beside(directory / "bin" / "yarn", yarn_command(conf / "client", jars), mode=0o755)


def site_xml(properties: Mapping[str, str]) -> str:
    """Return a Hadoop site file, sorted by name; values keep their blanks."""
    root = ET.Element("configuration")
    for name, value in sorted(properties.items()):
        element = ET.SubElement(root, "property")
        ET.SubElement(element, "name").text = name
        ET.SubElement(element, "value").text = value
    lines = ET.tostring(root, encoding="unicode").replace("<property>", "\n  <property>").replace("</conf", "\n</conf")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{lines}\n'


def hosts_file(addresses: tuple[str, ...]) -> str:
    """Return the names that the daemons' JVMs know (`-Djdk.net.hosts.file`): each node is called by its address.

    Some resolvers call all of 127/8 `localhost`; a NodeManager would then announce an address where it is not.
    """
    lines = [f"127.0.0.1 {name}" for name in dict.fromkeys(("localhost", socket.gethostname()))]
    lines += [f"{address} {address}" for address in dict.fromkeys(addresses) if address != "127.0.0.1"]
    return "\n".join(lines) + "\n"


def yarn_command(client_conf: Path, jars: Path) -> str:
    """Return a `yarn` command that knows the one thing Skein's driver asks of it: `yarn classpath --glob`.

    The JVM expands `dir/*` itself, so the answer stays far below the limit of one environment variable.
    """
    return f"#!/bin/sh\nprintf '%s:%s\\n' \"${{HADOOP_CONF_DIR:-{client_conf}}}\" '{jars}/*'\n"
