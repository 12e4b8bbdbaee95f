"""Commands and files as people bring them become the plans, or the reports, that lie beside them.

tests/golden/corpus/index.yaml tells where each is from. `pytest --update` writes what is expected; look at the
difference before you commit.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from language_world import make_corpus_files

from yarn_submitter.cli import main

CORPUS = Path(__file__).parent.parent / "golden" / "corpus"
INDEX: dict[str, dict[str, Any]] = yaml.safe_load((CORPUS / "index.yaml").read_text())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which commands are typed, with the files that they name."""
    directory = tmp_path / "here"
    make_corpus_files(directory)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directory


def words_of(name: str) -> list[str]:
    """Return the words after `job run` of a command or a file of the corpus."""
    text = (CORPUS / name).read_text()
    if name.endswith(".yaml"):
        Path(name).write_text(text)
        return ["-f", name]
    words = shlex.split(text.replace("\\\n", ""))
    assert words[:2] == ["job", "run"]
    return words[2:]


def trimmed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a plan without what is the same in every one of them; tests/golden/plans has it."""
    application = document["plan"]["application"]
    for service in application["services"].values():
        del service["script"]
        service["files"] = {name: file for name, file in service["files"].items() if not name.startswith(".ys.")}
    kept = {key: value for key, value in application.items() if key != "master"}
    return {**document, "plan": {**document["plan"], "application": kept}}


@pytest.mark.parametrize("name", INDEX)
def test_corpus(name: str, here: Path, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config) -> None:
    """Each becomes its plan, or is refused with its report; a secret's content stands in neither."""
    words = words_of(name)
    code = main(["run", *words, "--dry_run"])
    printed = capsys.readouterr()
    assert (code, bool(printed.out)) == ((0, True) if INDEX[name]["plan"] else (64, False)), printed.err
    if code == 0:
        golden = CORPUS / f"{Path(name).stem}.json"
        found = json.dumps(trimmed(json.loads(printed.out)), indent=1, ensure_ascii=False) + "\n" + printed.err
    else:
        golden = CORPUS / f"{Path(name).stem}.txt"
        found = printed.err
    found = found.replace(str(here), "<here>")
    assert "hunter2" not in found
    if pytestconfig.getoption("--update"):
        golden.write_text(found)
    assert found == golden.read_text()


def test_the_index_is_whole() -> None:
    """Each command and file has its row, each expectation its command, and each row says where it is from."""
    inputs = {path.name for path in CORPUS.iterdir() if path.suffix in (".sh", ".yaml")} - {"index.yaml"}
    assert inputs == set(INDEX)
    expected = {Path(name).stem + (".json" if row["plan"] else ".txt") for name, row in INDEX.items()}
    assert {path.name for path in CORPUS.iterdir() if path.suffix in (".json", ".txt")} == expected
    assert all(row["source"] for row in INDEX.values())


def test_what_is_to_run_on_a_sandbox_can() -> None:
    """No job that is marked for the sandbox asks for Docker, Kerberos or a device."""
    for name in (name for name, row in INDEX.items() if row["sandbox"]):
        document = json.loads((CORPUS / f"{Path(name).stem}.json").read_text().partition("\n}\n")[0] + "\n}")
        roles = document["roles"].values()
        assert not document["docker_image"], name
        assert not document["security"]["keytab"], name
        assert all(not role["docker_image"] and not role["resources"]["gpus"] for role in roles), name
