"""The parts of packing that need no interpreter: patterns, links, the archive's bytes."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from yarn_submitter.envpack import inside
from yarn_submitter.envpack.archive import PIECE_BYTES, Entry, write_archive
from yarn_submitter.envpack.tree import DEFAULT_EXCLUDES, excluder, walk
from yarn_submitter.errors import StagingError


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*.a", "lib/python3.11/site-packages/numpy/libx.a", True),
        ("*.a", "lib/libx.ab", False),
        ("tests", "lib/x/tests", True),
        ("lib/*/test", "lib/python3.11/test", True),
        ("lib/*/test", "lib/python3.11/site-packages/test", False),
        ("lib/**/test", "lib/python3.11/site-packages/test", True),
        ("**/site-packages/pip", "lib/python3.11/site-packages/pip", True),
        ("**/site-packages/pip", "lib/python3.11/site-packages/pipx", False),
        ("/include", "include", True),
        ("/include", "lib/torch/include", False),
        ("a?c", "x/abc", True),
        ("a.c", "x/abc", False),
    ],
)
def test_patterns(pattern, name, fits):
    """`*` stays within a name, `**` crosses directories, a pattern without / fits a name at any depth."""
    assert excluder((pattern,))(name) is fits


def test_default_excludes_keep_what_programs_import():
    """Only the named packages lose their tests; modules that look alike stay."""
    left_out = excluder(DEFAULT_EXCLUDES)
    site = "lib/python3.11/site-packages"
    assert left_out(f"{site}/numpy/linalg/tests")
    assert left_out(f"{site}/tensorflow/include")
    kept = ("torch/include", "numpy/testing", "mine/tests", "tests", "sklearn/utils/_testing.py", "test/support.py")
    assert not any(left_out(f"{site}/{name}") for name in kept)
    assert not left_out("lib/python3.11/unittest/mock.py")


def test_walk_ends_on_links_that_hold_themselves(tmp_path):
    """A directory linked into itself is packed once; a link to nowhere is left out."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "file").write_text("x")
    (outside / "self").symlink_to(outside)
    (outside / "beside").symlink_to("file")
    (root / "there").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "nowhere").symlink_to("nothing")
    found = {entry.name: entry.link for entry in walk(root, "at", lambda _: False)}
    assert found == {"at/there/file": "", "at/there/beside": "file"}


def archived(entries):
    """Return the archive of the entries, and what was said of it."""
    out = io.BytesIO()
    written = write_archive(entries, [out], lambda _: None)
    return out.getvalue(), written


@pytest.mark.parametrize("with_isal", [True, False])
def test_archive_of_many_pieces_is_one_plain_gzip_tar(tmp_path, monkeypatch, with_isal):
    """gzip, tar and Python read it whole, whichever library compressed it."""
    if not with_isal:
        monkeypatch.setitem(sys.modules, "isal", None)
    big = os.urandom(3 * PIECE_BYTES + 17)
    (tmp_path / "big").write_bytes(big)
    long_name = "d" * 90 + "/" + "f" * 90
    entries = [
        Entry("z", source=tmp_path / "big", executable=True),
        Entry(long_name, data=b"text"),
        Entry("link", link="z"),
        Entry("head", source=tmp_path / "big", data=b"0123"),
    ]
    content, written = archived(entries)
    assert written.size_bytes == len(content)
    assert len(gzip.decompress(content)) == written.unpacked_bytes
    (tmp_path / "out").mkdir()
    subprocess.run("gzip -dc | tar xf -", shell=True, cwd=tmp_path / "out", input=content, check=True)  # noqa: S602
    assert (tmp_path / "out/z").read_bytes() == big
    assert (tmp_path / "out/head").read_bytes() == b"0123" + big[4:]
    assert (tmp_path / "out" / long_name).read_text() == "text"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert [(member.name, member.mode) for member in archive if member.isfile()] == [
            (long_name, 0o644), ("head", 0o644), ("z", 0o755),
        ]  # fmt: skip


def test_file_that_shrinks_while_read_is_named(tmp_path):
    """A file that becomes shorter under our hands is an error, not a damaged archive."""
    path = tmp_path / "short"
    path.write_bytes(b"x" * (3 * PIECE_BYTES))

    class CutsWhenWritten:
        def write(self, _data):
            os.truncate(path, PIECE_BYTES)

    many = [Entry(f"a{number}", source=path) for number in range(9)]
    with pytest.raises(StagingError) as error:
        write_archive(many, [CutsWhenWritten()], lambda _: None)
    assert str(path) in str(error.value)


def test_inside_part_is_python_3_7():
    """What runs in the packed interpreter keeps to the oldest one."""
    command = [Path(sys.executable).with_name("vermin"), "-t=3.7-", "--no-tips", "--violations", inside.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_inside_part_describes_this_interpreter():
    """The description names the real interpreter, not the virtualenv's link."""
    said = inside.describe(None)
    assert said["version"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert Path(said["executable"]).is_file()
    assert not Path(said["executable"]).is_symlink()
    assert Path(said["stdlib"], "os.py").is_file()
