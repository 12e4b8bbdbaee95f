"""Inspecting archives: what would not work on a node is told before anything is uploaded."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile

import pytest

from yarn_submitter import config
from yarn_submitter.envpack.check import ArchiveFacts, archive_problems, inspect_archive


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make_tar(path, members, mode="w:gz"):
    """Write a tar of (name, content or "-> target", mode) triples."""
    with tarfile.open(path, mode) as archive:
        for name, content, bits in members:
            info = tarfile.TarInfo(name)
            info.mode = bits
            if content.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content[3:]
                archive.addfile(info)
            elif content.startswith("=> "):
                info.type, info.linkname = tarfile.LNKTYPE, content[3:]
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
    return path


def make_zip(path, members):
    """Write a zip of the same triples, links as Info-ZIP's `zip -y` stores them."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, bits in members:
            info = zipfile.ZipInfo(name)
            link = content.startswith("-> ")
            info.external_attr = ((stat.S_IFLNK if link else stat.S_IFREG) | bits) << 16
            archive.writestr(info, content[3:] if link else content)
    return path


def problems(path, *, needs_python=False, **options):
    """Return id and evidence of each problem of an archive."""
    return [(p.id, p.evidence) for p in archive_problems(inspect_archive(path), needs_python, **options)]


PLAIN_VENV = [
    ("pyvenv.cfg", "home = /opt/py/bin\n", 0o644),
    ("bin/python", "-> python3", 0o777),
    ("bin/python3", "-> /opt/py/bin/python3", 0o777),
]
GOOD = [
    ("bin/python", "-> python3.11", 0o777),
    ("bin/python3.11", "elf", 0o755),
    ("lib/python3.11/os.py", "", 0o644),
]


def test_plain_virtualenv_is_refused_naming_link_and_target(tmp_path):
    """The chain of bin/python is followed to the member that leaves the archive."""
    archive = make_tar(tmp_path / "a.tar.gz", PLAIN_VENV)
    assert problems(archive) == [("archive-python-outside", "bin/python3 -> /opt/py/bin/python3")]
    assert problems(archive, interpreter_on_nodes=True) == []


def test_plain_virtualenv_below_one_directory_is_refused(tmp_path):
    """venv/bin/python is looked at like bin/python, also when names begin with a dot."""
    members = [(f"./venv/{name}", content, bits) for name, content, bits in PLAIN_VENV]
    archive = make_tar(tmp_path / "a.tar", members, "w")
    assert problems(archive) == [("archive-python-outside", "venv/bin/python3 -> /opt/py/bin/python3")]


def test_zipped_virtualenv_with_links_has_two_problems(tmp_path):
    """A zip with links is damaged by YARN's unzip, wherever the links lead."""
    archive = make_zip(tmp_path / "a.zip", PLAIN_VENV)
    assert [problem for problem, _ in problems(archive)] == ["archive-zip-links", "archive-python-outside"]


def test_virtualenv_whose_links_were_followed_still_lacks_its_library(tmp_path):
    """A copied bin/python beside a pyvenv.cfg needs the base interpreter's library, which is not in the archive."""
    members = [PLAIN_VENV[0], ("bin/python", "elf", 0o755)]
    archive = make_zip(tmp_path / "a.zip", members)
    assert problems(archive) == [("archive-python-outside", "pyvenv.cfg says home = /opt/py/bin")]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (GOOD, []),
        ([("bin", "-> tools", 0o777), ("tools/python", "elf", 0o755)], []),
        ([("usr/bin/python3", "-> ../lib/py", 0o777), ("usr/lib", "-> ../lib", 0o777), ("lib/py", "elf", 0o755)], []),
        ([("bin/python", "=> lib/py", 0o755), ("lib/py", "elf", 0o755)], []),
        ([("bin/python", "-> ../../elsewhere", 0o777)], ["archive-python-outside"]),
        ([("bin/python", "-> python9", 0o777)], ["archive-python-outside"]),
        ([("bin/python", "-> python", 0o777)], ["archive-python-outside"]),
        ([("bin/python3", "elf", 0o644)], ["archive-python-not-executable"]),
        ([("data/../../etc/x", "", 0o644)], ["archive-escapes"]),
        ([("/etc/x", "", 0o644)], ["archive-escapes"]),
        ([("data/x", "", 0o644)], []),
        ([("share/doc/bin/python", "-> /usr/bin/python", 0o777)], []),
    ],
)
def test_members(tmp_path, members, expected):
    """Links inside are followed through directories; what leaves, is missing or not executable has its id."""
    assert [problem for problem, _ in problems(make_tar(tmp_path / "a.tgz", members))] == expected


def test_data_archive_is_asked_for_python_only_when_one_is_needed(tmp_path):
    """An archive without an interpreter is fine as data, and a problem as environment."""
    archive = make_tar(tmp_path / "a.tgz", [("data/x", "", 0o644)])
    assert problems(archive) == []
    assert problems(archive, needs_python=True) == [("archive-python-missing", "")]


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip", "a.tar"])
def test_truncated_archive_is_broken(tmp_path, name):
    """An archive that was cut off at any place is told, not taken for a smaller one."""
    members = [("data", os.urandom(30000).hex(), 0o644), ("more", "x" * 3000, 0o644)]
    if name.endswith("zip"):
        whole = make_zip(tmp_path / name, members)
    else:
        whole = make_tar(tmp_path / name, members, "w" if name.endswith("tar") else "w:gz")
    content = whole.read_bytes()
    assert problems(whole) == []
    for kept in (0, 5, len(content) // 2):
        whole.write_bytes(content[:kept])
        assert [problem for problem, _ in problems(whole)] == ["archive-broken"], kept


def test_what_is_no_archive_is_broken_and_what_is_not_there_is_missing(tmp_path):
    """A text file and an absent file are told apart."""
    (tmp_path / "text").write_text("hello " * 1000)
    assert [problem for problem, _ in problems(tmp_path / "text")] == ["archive-broken"]
    assert [problem for problem, _ in problems(tmp_path / "none")] == ["archive-missing"]


def test_facts_are_remembered_until_the_file_changes(tmp_path):
    """A second look reads the cache only; another content under the same name is read again."""
    archive = make_tar(tmp_path / "a.tgz", PLAIN_VENV)
    facts = inspect_archive(archive)
    kept = next((config.cache_dir() / "archive-facts").iterdir())
    kept.write_text(kept.read_text().replace("/opt/py", "/remembered"))
    assert inspect_archive(archive).pythons[0].target == "/remembered/bin/python3"
    make_tar(archive, GOOD)
    os.utime(archive, ns=(1, 1))
    assert inspect_archive(archive).pythons[0].state == "inside"
    assert isinstance(facts, ArchiveFacts)
    kept.write_text("{broken")
    assert inspect_archive(archive).pythons[0].state == "inside"
