"""Make few files of many: a node without Hadoop's native library starts a program for every file that it localizes.

The standard library and the packages of nothing but Python go into `lib/pythonXY.zip`, where every CPython looks first
(Modules/getpath.py); packages with other files, which cannot be imported from a zip, keep their directories and lose
the sources of what is compiled. A logged traceback through the zip still shows source lines.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yarn_submitter.envpack.archive import Entry

if TYPE_CHECKING:
    from yarn_submitter.envpack.tree import Interpreter

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can tell
PYTHON = (".py", ".pyc")
LANDMARK = "os.py"  # by which an interpreter before 3.11 finds its standard library


def compacted(python: Interpreter, entries: list[Entry], scratch: Path) -> list[Entry]:
    """Return the entries of an environment with all compiled Python outside of `__pycache__`, most of it in one zip.

    Args:
        python: The interpreter in it.
        entries: Everything, with compiled files in `__pycache__`.
        scratch: A directory for the zip.
    """
    library, site = python.library + "/", python.site + "/"
    codes = {
        _beside(entry.name): entry
        for entry in entries
        if entry.name.startswith((library, site)) and entry.name.endswith(PYTHON)
    }
    taken = {entry.name for entry in codes.values()}
    others = [entry for entry in entries if entry.name not in taken]
    mixed = {_package(entry.name, site) for entry in others if entry.name.startswith(site)}
    zipped: dict[str, Entry] = {}
    for name, entry in codes.items():
        if not name.startswith(site):
            zipped[name.removeprefix(library)] = entry
        elif _package(name, site) not in mixed:
            zipped[name.removeprefix(site)] = entry
        elif name + "c" not in codes:
            others.append(replace(entry, name=name))
        if name == library + LANDMARK:
            others.append(entry)
    return [*others, _zip(f"{python.library.replace('.', '')}.zip", zipped, scratch)]


def _package(name: str, site: str) -> str:
    """Return the package or module that a file of site-packages belongs to."""
    return name.removeprefix(site).split("/")[0]


def _beside(name: str) -> str:
    """Return where a compiled file lies that stands for a source (PEP 3147): beside it; sources stay."""
    place, cached, file = name.rpartition("__pycache__/")
    return f"{place}{file.split('.')[0]}.pyc" if cached else name


def _zip(name: str, files: dict[str, Entry], scratch: Path) -> Entry:
    """Write the zip, not compressed (the archive is, and imports are quicker), and return it as an entry."""
    path = scratch / Path(name).name
    directories = {str(above) + "/" for file in files for above in Path(file).parents if above.name}
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted([*files, *directories]):  # a directory without __init__.py is found by its own member
            content = files[file].content() if file in files else b""
            archive.writestr(zipfile.ZipInfo(file, EPOCH), content)
    return Entry(name, source=path)
