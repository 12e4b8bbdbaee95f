"""Unpacking the user's source: all of it arrives, and nothing reaches outside."""

import io
import os
import tarfile

import pytest

from am.executor.source import SourceError, unpack


def pack(path, *members):
    """Write a tar.gz of (name, text) or TarInfo."""
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                info.mode = 0o755
                tar.addfile(info, io.BytesIO(member[1].encode()))
    return str(path)


def link(name, target, kind=tarfile.SYMTYPE):
    """Return a link's header."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def here(tmp_path):
    """A container's working directory."""
    directory = tmp_path / "container"
    directory.mkdir()
    return directory


def test_files_directories_and_links_arrive(tmp_path, here):
    """Modes and links inside the archive are kept."""
    archive = pack(
        tmp_path / "a",
        ("pkg/run.sh", "echo hi"),
        link("pkg/same", "run.sh"),
        link("pkg/hard", "pkg/run.sh", tarfile.LNKTYPE),
        ("./top.py", "x"),
    )
    assert unpack(archive, str(here)) == 4
    assert os.access(here / "pkg/run.sh", os.X_OK)
    assert os.readlink(here / "pkg/same") == "run.sh"
    assert (here / "pkg/hard").read_text() == "echo hi"
    assert (here / "top.py").read_text() == "x"


@pytest.mark.parametrize(
    "member",
    [
        ("/etc/x", "x"),
        ("../x", "x"),
        ("a/../../x", "x"),
        link("a", "/etc/passwd"),
        link("a", "../outside"),
        link("hard", "../outside", tarfile.LNKTYPE),
        link("pipe", "", tarfile.FIFOTYPE),
        link("null", "", tarfile.CHRTYPE),
    ],
    ids=lambda member: member[0] if isinstance(member, tuple) else f"{member.name}-{member.linkname}",
)
def test_what_reaches_outside_is_refused(tmp_path, here, member):
    """Nothing is written outside the working directory, and the archive is said to be at fault."""
    with pytest.raises(SourceError, match="source archive"):
        unpack(pack(tmp_path / "a", member), str(here))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "container"]


def test_what_yarn_localized_is_never_written_through(tmp_path, here):
    """A file of the same name keeps what the user localized; the node's cache stays as it is."""
    cache = tmp_path / "filecache"
    cache.mkdir()
    (cache / "data").write_text("cached")
    (here / "data").symlink_to(cache / "data")
    (here / "dir").symlink_to(cache)
    (here / ".ys.job.json").write_text("ours")
    unpack(pack(tmp_path / "a", ("data", "new"), ("dir/f", "new"), (".ys.job.json", "new"), ("ok", "new")), str(here))
    assert (cache / "data").read_text() == "cached"
    assert sorted(os.listdir(cache)) == ["data"]
    assert (here / ".ys.job.json").read_text() == "ours"
    assert (here / "ok").read_text() == "new"


@pytest.mark.parametrize("damage", ["short", "flipped", "empty", "text"])
def test_a_damaged_archive_is_a_sentence(tmp_path, here, damage):
    """Cut off, altered, empty or no archive at all."""
    archive = pack(tmp_path / "a", ("f", "some text that is long enough" * 99))
    content = bytearray((tmp_path / "a").read_bytes())
    content = {
        "short": content[:-20],
        "flipped": content[:-8] + b"\0\0\0\0" + content[-4:],
        "empty": b"",
        "text": b"no archive",
    }[damage]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SourceError, match="source archive cannot be unpacked"):
        unpack(archive, str(here))
