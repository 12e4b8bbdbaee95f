"""Hadoop properties of one job's submission (`--conf`): a configuration directory over the cluster's own."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from yarn_submitter.hadoopconf import FILES, load_conf
from yarn_submitter.scratch import cache_errors, scratch_dir
from yarn_submitter.site import Site

_CONF_DIR = "HADOOP_CONF_DIR"
_END = "</configuration>"


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
    entries = "".join(
        f"<property><name>{escape(key)}</name><value>{escape(value)}</value></property>\n"
        for key, value in properties.items()
    )
    for name in FILES:
        text = (conf_dir / name).read_text() if (conf_dir / name).exists() else f"<configuration>\n{_END}\n"
        before, end, after = text.rpartition(_END)
        (target / name).write_text(f"{before}{entries}{end}{after}")
