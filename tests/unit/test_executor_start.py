"""Which Python becomes the executor: the archive's, the node's, or our own; tried with the script that YARN runs."""

# ruff: noqa: D103
from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from am.contract.job import CODE_ZIP, OWN_PYTHON, PYTHON_ARCHIVE
from yarn_submitter.plan import _executor_script

# A Python of the node: tells a version, and lacks ssl when {blocked} says so.
NODE = """\
#!/bin/bash
if [ "$1" = -V ]; then echo "{version}"; exit; fi
code=$4; shift 4
exec {python} -I -S -c "import sys; sys.who = '{who}'; {blocked}
$code" "$@"
"""
NO_SSL = "sys.modules['ssl'] = None"
MAIN = f"""\
import os, sys
def main():
    print(getattr(sys, "who", "ours"), sys.argv[1], os.environ.get("{OWN_PYTHON}", "")[:5])
    return 5
"""


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """A container's directory: our code, and our interpreter packed."""
    package = tmp_path / CODE_ZIP / "am" / "executor"
    package.mkdir(parents=True)
    for directory in (package, package.parent):
        (directory / "__init__.py").write_text("")
    (package / "__main__.py").write_text(MAIN)
    own = tmp_path / "own" / "bin" / "python3"
    script(own, NODE.format(version="", python=sys.executable, who="ours", blocked=""))
    with tarfile.open(tmp_path / PYTHON_ARCHIVE, "w:gz") as archive:
        archive.add(own.parent.parent, ".")
    return tmp_path


def started(container: Path, archives: list[str], **node: str) -> str:
    tools = container / "tools"
    tools.mkdir()
    for name in ("bash", "tar", "gzip", "mkdir"):
        (tools / name).symlink_to(
            next(path for path in (Path("/bin") / name, Path("/usr/bin") / name) if path.exists())
        )
    if node:
        text = NODE.format(**{"python": sys.executable, "who": "node", "blocked": "", **node})
        script(tools / "python3", text)
    ended = subprocess.run(
        ["bash", "-c", _executor_script("worker", archives)],
        cwd=container,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 5, ended.stderr
    return ended.stdout.split("worker")[0].strip()


@pytest.mark.parametrize("version", ["Python 3.7.0", "Python 3.11.2", "Python 3.20.1+", "Python 3.9.7 :: Intel"])
def test_the_nodes_own(container: Path, version: str) -> None:
    """From 3.7 on it is taken, whoever made it."""
    assert started(container, [], version=version) == "node"


@pytest.mark.parametrize("version", ["Python 3.6.15", "Python 2.7.18", "Python 3.1", "bash: python3: not found", ""])
def test_a_node_without_a_fit_one(container: Path, version: str) -> None:
    """Too old, no Python at all, or something else of that name: our own is unpacked."""
    assert started(container, [], version=version) == "ours"


def test_a_node_without_python(container: Path) -> None:
    """Nothing called python3 is there."""
    assert started(container, []) == "ours"


def test_a_node_whose_python_has_no_ssl(container: Path) -> None:
    """It gives way to ours by itself."""
    assert started(container, [], version="Python 3.11.2", blocked=NO_SSL) == "ours"


def test_an_archives_own_comes_first(container: Path) -> None:
    """The first archive whose interpreter works; one that does not is passed over."""
    broken = container / "broken" / "bin" / "python3"
    script(broken, "#!/bin/bash\nexit 127\n")
    good = container / "my env" / "bin" / "python3"
    script(good, NODE.format(version="", python=sys.executable, who="archive", blocked=""))
    assert started(container, ["broken", "my env", "absent"], version="Python 3.11.2") == "archive"
