"""Hadoop properties of one job's submission (`--conf`): a configuration directory over the cluster's own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET  # hadoopconf.py has read the same files

from yarn_submitter.hadoopconf import FILES, load_conf
from yarn_submitter.scratch import cache_errors, scratch_dir
from yarn_submitter.site import Site

_CONF_DIR = "HADOOP_CONF_DIR"


@contextlib.contextmanager
def with_properties(site: Site, properties: Mapping[str, str]) -> Iterator[Site]:
    """Give the cluster with some properties set, for our own requests and for Skein's driver.

    Raises:
        UsageError: The changed configuration is none.
        StagingError: The cache cannot be written.
    """
    if not properties:
        yield site
        return
    with scratch_dir("conf") as directory:
        with cache_errors():
            _lay_over(Path(site.environ[_CONF_DIR]), properties, directory)
        conf = load_conf(directory)
        yield dataclasses.replace(site, conf=conf, environ={**site.environ, _CONF_DIR: str(directory)})


def _lay_over(conf_dir: Path, properties: Mapping[str, str], target: Path) -> None:
    """Fill `target` with the files of `conf_dir`; the last word in each of Hadoop's own is `properties`."""
    for file in conf_dir.iterdir():
        if file.name not in FILES:
            (target / file.name).symlink_to(file.absolute())
    for name in FILES:
        # Read as XML: an administrator's file may be of any encoding, or `<configuration/>`.
        root = ET.parse(conf_dir / name).getroot()  # noqa: S314 -- the administrator's own, as there
        for key, value in properties.items():
            entry = ET.SubElement(root, "property")
            ET.SubElement(entry, "name").text = key
            ET.SubElement(entry, "value").text = value
        ET.ElementTree(root).write(target / name, encoding="utf-8", xml_declaration=True)
