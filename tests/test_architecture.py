"""The rules of the house that no linter knows: sizes, names, layers, the oldest Python, the page that draws it all."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = sorted(path for top in ("am", "yarn_submitter") for path in (ROOT / top).rglob("*.py"))
MODULES = [path for path in PRODUCT if "_bundle" not in path.parts]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
DRAWERS = re.compile(r"util|helper|misc|common")


def name_of(path: Path) -> str:
    """Return a path as it is written in the project."""
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    """Return a module's tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_file_is_long() -> None:
    """A file of 400 lines is asking to be two."""
    long = {name_of(path): len(path.read_text().splitlines()) for path in MODULES + TESTS}
    assert {name: lines for name, lines in long.items() if lines >= MOST_LINES} == {}


def test_no_function_is_long() -> None:
    """A function of 60 lines is asking to be two."""
    found = {
        f"{name_of(path)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES + TESTS
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: lines for name, lines in found.items() if lines >= MOST_FUNCTION_LINES} == {}


def test_no_module_is_a_drawer() -> None:
    """A module is called after what it does."""
    assert [name_of(path) for path in MODULES + TESTS if DRAWERS.search(path.stem)] == []


def test_every_module_says_what_it_is_for() -> None:
    """Packages may be silent, modules may not."""
    silent = [name_of(path) for path in MODULES + TESTS if not ast.get_docstring(parsed(path)) and path.read_text()]
    assert silent == []


def test_only_the_command_line_prints() -> None:
    """Everything else tells its caller."""
    prints = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    # These two are programs of their own: what they print is their answer to the process that started them.
    allowed = ("yarn_submitter/cli/", "yarn_submitter/envpack/inside.py", "am/executor/", "am/agent/__main__.py")
    assert [place for place in prints if not place.startswith(allowed)] == []


def test_nothing_happens_at_import() -> None:
    """Importing a module defines things: no calls stand alone at its top, but those of a program's main block."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in parsed(path).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert found == []


def test_who_may_import_whom() -> None:
    """The import contracts of pyproject.toml hold, through other modules too."""
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["am/contract", "am/runtimes", "am/executor"])
def test_what_runs_on_nodes_is_python_3_7(package: str) -> None:
    """No syntax and no standard library of a later Python stands where the oldest one must do."""
    command = [Path(sys.executable).parent / "vermin", "--no-tips", "--violations", "-t=3.7-", package]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def drawn_modules() -> list[str]:
    """Return the modules that docs/architecture.md draws, in its order."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    (tree,) = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    found, directory = [], ""
    for line in tree.splitlines():
        if line.strip() and not line.startswith(" "):
            directory = line.split()[0]
        elif line.strip():
            found.append(directory + line.split()[0])
    return found


def test_the_page_draws_every_module_and_no_other() -> None:
    """docs/architecture.md names each module once; an `__init__.py` that holds no code needs no line."""
    drawn = drawn_modules()
    code = {
        name_of(path)
        for path in MODULES
        if path.name != "__init__.py" or any(not isinstance(node, ast.Expr) for node in parsed(path).body)
    }
    assert sorted(set(drawn)) == sorted(drawn)
    assert {"drawn, not there": sorted(set(drawn) - code), "there, not drawn": sorted(code - set(drawn))} == {
        "drawn, not there": [],
        "there, not drawn": [],
    }
