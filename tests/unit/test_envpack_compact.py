"""Few files of many: what is in the zip is imported from there, what cannot be stays outside, tracebacks keep lines."""

from __future__ import annotations

import py_compile
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from yarn_submitter.envpack import inside
from yarn_submitter.envpack.archive import Entry, write_archive
from yarn_submitter.envpack.compact import compacted
from yarn_submitter.envpack.tree import Interpreter

PYTHON = Interpreter(**inside.describe(None))
LIBRARY, SITE = PYTHON.library, PYTHON.site
ZIP = f"{LIBRARY.replace('.', '')}.zip"
SOURCES = {
    f"{LIBRARY}/os.py": "landmark = 1\n",
    f"{LIBRARY}/nested/__init__.py": "",
    f"{LIBRARY}/nested/fails.py": "def fail():\n    raise ValueError('here')  # a line to be seen\n",
    f"{SITE}/single.py": "import nested.fails as place\n",
    f"{SITE}/spread/part/deep.py": "import single\n",
    f"{SITE}/mixed/__init__.py": "import os.path\nTEXT = open(os.path.dirname(__file__) + '/data.txt').read()\n",
    f"{SITE}/mixed/old.py": "print 'what is not compiled stays as it is'\n",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked tree of these sources, two of which cannot be in a zip or be compiled."""
    scratch = tmp_path_factory.mktemp("scratch")
    entries = [Entry(f"{SITE}/mixed/data.txt", data=b"data"), Entry("bin/tool", data=b"x", executable=True)]
    for number, (name, text) in enumerate(SOURCES.items()):
        source = scratch / f"{number}.py"
        source.write_text(text)
        entries.append(Entry(name, source=source))
        if not name.endswith("old.py"):
            place, _, file = name.removesuffix(".py").rpartition("/")
            code = py_compile.compile(
                str(source), str(scratch / f"{number}.c"), name, True, -1, py_compile.PycInvalidationMode.UNCHECKED_HASH
            )
            entries.append(Entry(f"{place}/__pycache__/{file}.{PYTHON.cache_tag}.pyc", source=Path(str(code))))
    out = scratch / "out.tar.gz"
    with out.open("wb") as file:
        write_archive(compacted(PYTHON, entries, scratch), [file], lambda _: None)
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(out) as archive:
        archive.extractall(unpacked, filter="data")
    return unpacked


def run(tree: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the zip first and site-packages next on its path."""
    begin = f"import sys; sys.path[:0] = [{str(tree / ZIP)!r}, {str(tree / SITE)!r}]\n"
    return subprocess.run([sys.executable, "-I", "-S", "-c", begin + code], capture_output=True, text=True, check=False)


def test_few_files_are_left(tree: Path) -> None:
    """One zip; the landmark; of a package with data all its files, the compiled ones without their sources."""
    found = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    mixed = {f"{SITE}/mixed/{name}" for name in ("__init__.pyc", "old.py", "data.txt")}
    assert found == {"bin/tool", ZIP, f"{LIBRARY}/os.py", *mixed}


def test_everything_is_imported(tree: Path) -> None:
    """Library, single modules and directories without __init__.py come from the zip, compiled; the rest from beside."""
    done = run(tree, "import spread.part.deep, mixed, nested; print(mixed.TEXT, nested.__cached__ or nested.__file__)")
    assert (done.stdout, done.stderr) == (f"data {tree / ZIP}/nested/__init__.pyc\n", "")


def test_a_traceback_shows_the_line(tree: Path) -> None:
    """An error in a module from the zip, as it is logged, names the file in the archive and shows its source."""
    done = run(tree, "import logging, nested.fails\ntry: nested.fails.fail()\nexcept ValueError: logging.exception('')")
    assert f'File "{LIBRARY}/nested/fails.py", line 2, in fail' in done.stderr
    assert "# a line to be seen" in done.stderr
