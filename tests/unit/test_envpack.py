"""Packing where nothing needs to be packed: sources, keys, refusals, leaks (archives: the cluster tests)."""

from __future__ import annotations

import json
import sys
import venv
from pathlib import Path

import pytest

from yarn_submitter import config
from yarn_submitter.envpack.install import Requirements
from yarn_submitter.envpack.pack import agent_env, agent_requirements, pack, source_of
from yarn_submitter.envpack.python import ask_inside
from yarn_submitter.errors import SubmitterError, UsageError


def ids(error):
    """Return the ids of an error's problems."""
    return [problem.id for problem in error.value.problems]


def quiet(_text):
    """Take progress and say nothing."""


def leftovers():
    """Return the names of temporary trees."""
    tmp = config.cache_dir() / "tmp"
    return [path.name for path in tmp.iterdir()] if tmp.is_dir() else []


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A fresh directory whose cache/ is the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_editable_install_is_refused_naming_what_leads_outside(cache):
    """Code outside of the virtualenv is refused, naming the file that leads there and how to leave it out."""
    venv.create(cache / "venv", symlinks=True)
    site = next((cache / "venv").glob("lib/python3.*/site-packages"))
    (site / "_project.pth").write_text(f"{cache}\n")
    with pytest.raises(UsageError) as error:
        pack(cache / "venv", cache / "env.tar.gz", progress=quiet)
    assert ids(error) == ["pack-editable"]
    assert str(cache) in error.value.problems[0].evidence
    assert "--exclude '_project.pth'" in error.value.problems[0].next_step


def test_whatever_comes_from_the_source_is_a_leak(tmp_path):
    """The judgement of the proof names prefix, search path, module and mapped file that lie in a forbidden place."""
    forbidden = [str(Path(json.__file__).parent), *(path for path in sys.path if path.endswith("lib-dynload"))]
    ask = {"imports": ["json", "_ssl"], "forbidden": forbidden, "tree": str(tmp_path)}
    proof = ask_inside(Path(sys.executable), "prove", ask, tmp_path)
    kinds = ("sys.prefix is", "sys.path holds", "module json comes from", "the process maps")
    assert [kind for kind in kinds if not any(leak.startswith(kind) for leak in proof["leaks"])] == []
    nothing = {"imports": ["json"], "forbidden": [], "tree": proof["prefix"]}
    assert ask_inside(Path(sys.executable), "prove", nothing, tmp_path)["leaks"] == []


def test_what_a_killed_process_left_is_swept(cache):
    """A temporary tree of packing that nobody holds is removed by the next pack; those of other programs are not."""
    (config.cache_dir() / "tmp" / "driver-alive").mkdir(parents=True)
    dead = config.cache_dir() / "tmp" / "pack-dead"
    dead.mkdir()
    (dead / "file").write_text("x")
    with pytest.raises(UsageError):
        pack(cache / "nowhere", cache / "env.tar.gz", progress=quiet)
    assert leftovers() == ["driver-alive"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Path("nowhere"), "pack-source-missing"),
        (Path(), "pack-not-a-virtualenv"),
        (Requirements(("x",), python="no-such-python"), "pack-python-missing"),
        (Requirements(files=(Path("nowhere.txt"),)), "pack-source-missing"),
    ],
)
def test_bad_sources_have_an_id(cache, monkeypatch, source, expected):
    """Each wrong source is one problem with its id, and nothing is left behind."""
    monkeypatch.chdir(cache)
    with pytest.raises(SubmitterError) as error:
        pack(source, cache / "env.tar.gz", progress=quiet)
    assert ids(error) == [expected]
    assert leftovers() == []


def test_target_must_be_writable_and_named_like_a_tar(cache):
    """Where nothing can be written, nothing is packed first."""
    for target in (cache / "no/env.tar.gz", cache / "env.zip"):
        with pytest.raises(UsageError) as error:
            pack(cache, target, progress=quiet)
        assert ids(error) == ["pack-target"]


def test_key_follows_nested_requirement_files(cache):
    """A change in a file named by -r changes the key."""
    (cache / "all.txt").write_text("# comment\n-r more.txt\nnumpy==1\n")
    (cache / "more.txt").write_text("scipy==1\n")
    asked = Requirements(files=(cache / "all.txt",))
    before = json.dumps(asked.key_parts())
    assert "comment" not in before
    (cache / "more.txt").write_text("scipy==2\n")
    assert json.dumps(asked.key_parts()) != before


def test_agent_requirements_lose_the_extra_and_keep_their_marker():
    """The extra's own marker goes, the Python version's stays, other extras are not taken."""
    declared = [
        "hdfs==2.7.3",
        "aiohttp<4,>=3.12; extra == 'agent'",
        "setuptools<82; (python_version >= '3.12') and extra == 'agent'",
        "ruff; extra == 'test'",
    ]
    assert agent_requirements(declared) == ("aiohttp<4,>=3.12", "setuptools<82; (python_version >= '3.12')")


def test_the_agents_environment_is_made_once(cache, monkeypatch):
    """Whoever waits for it hears that this comes once."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    said: list[str] = []
    with pytest.raises(SubmitterError):
        agent_env(said.append)
    assert said[0] == "once on this machine, the agent's Python: making a virtualenv"


def test_command_line_tells_virtualenv_from_requirements(cache):
    """One directory that is no project is a virtualenv; projects and names are for pip; a mix is refused."""
    (cache / "venv").mkdir()
    (cache / "venv/pyvenv.cfg").write_text("")
    (cache / "project").mkdir()
    (cache / "project/pyproject.toml").write_text("")
    venv, project = str(cache / "venv"), str(cache / "project")
    assert source_of([venv], [], wheels=None, python="") == Path(venv)
    assert source_of([project, "numpy"], [], wheels=None, python="") == Requirements((project, "numpy"))
    for what in ([], [venv, "numpy"]):
        with pytest.raises(UsageError) as error:
            source_of(what, [], wheels=None, python="")
        assert ids(error) == ["pack-source"]
