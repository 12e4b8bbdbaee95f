"""Commands of Submarine's documentation run as they are, their programs replaced by ones of today."""

from __future__ import annotations

import re
import shlex
import zipfile
from pathlib import Path

import pytest
import yaml
from cluster.typing_jobs import Typist

CORPUS = Path(__file__).parent.parent / "golden" / "corpus"
INDEX = yaml.safe_load((CORPUS / "index.yaml").read_text())
NAMES = [name for name, row in INDEX.items() if row["sandbox"]]
# What the documentation's virtual environments hold is nothing but a program called python here: it says what it was
# given, and whether its framework would have found its place.
PYTHON = """\
#!/bin/bash
test -e "$1" || exit 9
echo "ran: $*"
task="$RANK/$WORLD_SIZE"
[[ "$TF_CONFIG" == *'"type": "'"$JOB_NAME"'"'* || "$DMLC_ROLE" == "$JOB_NAME" || "$task" == "$TASK_INDEX/2" ]]
"""


@pytest.fixture
def typed_here(typist: Typist, tmp_path: Path) -> Typist:
    """Somebody in a directory with every file that the corpus names."""
    files = (
        "mnist_distributed.py",
        "mnist_distributed_tf2.py",
        "pytorch_mnist_distributed.py",
        "image_classification.py",
    )
    files += ("run_fm.py", "fm_distributed.json", "run_afm.py", "afm.json", "run_deepfm.py", "deepfm.json", "fit.py")
    jars = ("submarine-all-0.6.0-hadoop-3.1.jar", "submarine-all-0.6.0-hadoop-2.9.jar")
    for place in ("", "path-to/", "submarine/", "submarine-current/"):
        (tmp_path / place).mkdir(exist_ok=True)
        for name in (*files, *jars):
            (tmp_path / place / name).write_text(f"# {name}\n")
        for name, inside in (("myvenv.zip", "venv"), ("tf2-venv.zip", "tf2-venv"), ("sdk.zip", "sdk")):
            with zipfile.ZipFile(tmp_path / place / name, "w") as archive:
                program = zipfile.ZipInfo(f"{inside}/bin/python")
                program.external_attr = 0o755 << 16
                archive.writestr(program, PYTHON)
    (tmp_path / "code").mkdir()
    for name in ("master.py", "slave.py"):
        (tmp_path / "code" / name).write_text("import sys; print('ran:', *sys.argv)\n")
    return Typist(typist.sandbox, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_documented_command_runs(typed_here: Typist, name: str) -> None:
    """Unchanged, from its first word to its exit code; every task has run what the text says."""
    text = (CORPUS / name).read_text()
    if name.endswith(".yaml"):
        (typed_here.directory / name).write_text(text.replace("python fit.py", "python3 fit.py"))
        words = ["-f", name]
        (typed_here.directory / "fit.py").write_text("print('ran: fit.py')\n")
        words += ["--localization", "fit.py:."]
    else:
        words = shlex.split(text.replace("\\\n", ""))[2:]
    ended = typed_here.type("run", *words, *([] if "--logs" in words else ["--logs", "all"]))
    assert ended.code == 0, ended.err
    shown = [line for line in ended.out.splitlines() if "] ran: " in line]
    expected = [word for word in words if ".py" in word and " " in word]
    for command in expected:
        given = re.split(r"python3? ", command, maxsplit=1)[1].partition(" $")[0]
        assert any(f"] ran: {given}" in line for line in shown), (command, shown)
