"""Packing: what is packed runs elsewhere with its source gone, and what does not run is not written."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from yarn_submitter import config
from yarn_submitter.envpack.check import archive_problems, inspect_archive
from yarn_submitter.envpack.install import Requirements
from yarn_submitter.envpack.pack import agent_env, cached_env, pack
from yarn_submitter.errors import StagingError


def make_wheel(directory, name, files, *, metadata="", scripts=""):
    """Write a pure wheel (PEP 427) of the given files."""
    info = f"{name}-1.0.dist-info"
    contents = dict(files)
    contents[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}"
    contents[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}\n"
    record = []
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(text.encode())}")
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    directory.mkdir(exist_ok=True)
    wheel = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def make_venv(path, *wheels):
    """Make a virtualenv with the wheels in it."""
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", path], check=True)
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", path / "bin/python"]
    subprocess.run([*command, "install", "--no-index", "--no-deps", *wheels], check=True)
    return path


def ids(error):
    """Return the ids of an error's problems."""
    return [problem.id for problem in error.value.problems]


def quiet(_text):
    """Take progress and say nothing."""


def leftovers():
    """Return the names of temporary trees."""
    tmp = config.cache_dir() / "tmp"
    return [path.name for path in tmp.iterdir()] if tmp.is_dir() else []


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A directory with a package that has a script and an extra, and the extra's package."""
    directory = tmp_path_factory.mktemp("wheels")
    make_wheel(
        directory,
        "greeter",
        {"greeter/__init__.py": "from greeter.words import WORD\ndef main():\n    print(WORD, __file__)\n",
         "greeter/words.py": "WORD = 'hello'\nSET = 'x' in {'a', 'b', 'c'}\n",
         "greeter/broken.py": "this is no Python\n",
         "greeter/stubs.pyi": "WORD: str\n"},
        scripts="greet = greeter:main",
        metadata="Provides-Extra: loud\nRequires-Dist: shouter; extra == 'loud'\n",
    )  # fmt: skip
    make_wheel(directory, "shouter", {"shouter.py": "WORD = 'HELLO'\n"})
    return directory


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    """A cache for the tests of this file that share an archive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def packed(module_cache, wheels, tmp_path_factory):
    """A virtualenv packed twice, unpacked, and moved away from where it was."""
    base = tmp_path_factory.mktemp("packed")
    venv = make_venv(base / "venv", wheels / "greeter-1.0-py3-none-any.whl")
    (base / "outside.txt").write_text("outside")
    (venv / "share").mkdir()
    (venv / "share/inside.txt").write_text("inside")
    (venv / "share/link").symlink_to("inside.txt")
    (venv / "share/absolute").symlink_to(venv / "share/inside.txt")
    (venv / "share/escaping").symlink_to("../../outside.txt")
    (next(venv.glob("lib/python3.*/site-packages")) / "_project.pth").write_text(f"{base}\n")
    left_out = ("_project.pth",)
    report = pack(venv, base / "env.tar.gz", imports=("greeter",), exclude=left_out, progress=quiet)
    again = pack(venv, base / "again.tar.gz", imports=("greeter",), exclude=left_out, progress=quiet)
    venv.rename(base / "moved-away")
    (base / "outside.txt").unlink()
    tree = base / "tree"
    tree.mkdir()
    subprocess.run("gzip -dc ../env.tar.gz | tar xf -", shell=True, cwd=tree, check=True)  # noqa: S602
    return report, again, tree


@pytest.fixture(scope="module")
def prototype(wheels, tmp_path_factory):
    """A virtualenv with one package, made once: installing takes longer than copying."""
    return make_venv(tmp_path_factory.mktemp("prototype") / "venv", wheels / "shouter-1.0-py3-none-any.whl")


@pytest.fixture
def venv(prototype, cache):
    """A virtualenv with one package, of this test alone."""
    return Path(shutil.copytree(prototype, cache / "venv", symlinks=True))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A fresh directory whose cache/ is the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_interpreter_and_package_run_with_the_source_moved_away(packed):
    """An unpacked environment imports its package from itself, with nothing set and the virtualenv gone."""
    _, _, tree = packed
    code = "import greeter, sys, ssl, ctypes, sqlite3; print(sys.prefix, greeter.__file__, ssl.__file__)"
    done = subprocess.run([tree / "bin/python", "-I", "-c", code], capture_output=True, text=True, env={}, check=True)
    prefix, *files = done.stdout.split()
    assert prefix == str(tree)
    assert all(file.startswith(str(tree)) for file in files)


def test_console_script_finds_the_python_beside_it(packed, tmp_path):
    """A console script runs in the unpacked tree, also when called by a link from elsewhere."""
    _, _, tree = packed
    (tmp_path / "greet").symlink_to(tree / "bin/greet")
    done = subprocess.run([tmp_path / "greet"], capture_output=True, text=True, check=True)
    library = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
    assert done.stdout == f"hello {tree}/{library}/site-packages/greeter/__init__.py\n"


def test_same_source_gives_the_same_bytes(packed):
    """Two archives of one virtualenv are equal, so the content hash is."""
    report, again, _ = packed
    assert report.sha256 == again.sha256
    assert hashlib.sha256(report.path.read_bytes()).hexdigest() == report.sha256


def test_members_have_no_owner_no_time_and_sorted_names(packed):
    """What differs between machines is not in the archive."""
    report, _, _ = packed
    with tarfile.open(report.path) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members} == {(0, 0, 0, "")}
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert len(members) == report.files


def test_links_stay_inside(packed):
    """A relative link is kept, an absolute one inside becomes relative, one that escapes becomes its target."""
    _, _, tree = packed
    assert os.readlink(tree / "share/link") == "inside.txt"
    assert os.readlink(tree / "share/absolute") == "inside.txt"
    assert not (tree / "share/escaping").is_symlink()
    assert (tree / "share/escaping").read_text() == "outside"


def test_compiled_files_do_not_depend_on_times(packed):
    """Every compiled file is an unchecked-hash one (PEP 552), and what is not Python is passed over."""
    _, _, tree = packed
    compiled = sorted(tree.rglob("*.pyc"))
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\1\0\0\0"}
    stems = {path.name.split(".")[0] for path in compiled if "greeter" in str(path)}
    assert stems == {"__init__", "words"}


def test_what_no_program_needs_is_left_out(packed):
    """Stubs, the interpreter's own tests and the virtualenv's activation are not packed."""
    _, _, tree = packed
    library = next((tree / "lib").glob("python3.*"))
    assert not list(tree.rglob("*.pyi"))
    assert not (library / "test").exists()
    assert not (tree / "bin/activate").exists()
    assert not (tree / "pyvenv.cfg").exists()


def test_what_is_excluded_by_name_is_passed_over(packed):
    """With --exclude an editable install is no reason to refuse, and is not in the archive."""
    _, _, tree = packed
    assert list(tree.rglob("_project.pth")) == []


def test_own_archive_has_no_problems_and_is_known_at_once(packed, module_cache):
    """Preflight finds nothing to say about what pack wrote, and need not read it: the facts are remembered."""
    report, _, _ = packed
    remembered = inspect_archive(report.path)
    shutil.rmtree(config.cache_dir() / "archive-facts")
    assert inspect_archive(report.path) == remembered
    assert archive_problems(remembered, needs_python=True) == []


def test_requirements_with_an_extra_are_installed_and_imported(cache, wheels):
    """From a wheel directory, without an index: the import names are found, the extra's package is there."""
    wheel = wheels / "greeter-1.0-py3-none-any.whl"
    report = pack(Requirements((f"{wheel}[loud]",), wheels=wheels), cache / "env.tar.gz", progress=quiet)
    assert report.imports == ("greeter",)
    with tarfile.open(report.path) as archive:
        names = archive.getnames()
        record = next(name for name in names if name.endswith("greeter-1.0.dist-info/RECORD"))
        lines = archive.extractfile(record).read().decode().splitlines()
    assert any(name.endswith("site-packages/shouter.py") for name in names)
    assert "../../../bin/greet,," in lines
    assert leftovers() == []


def test_module_that_cannot_be_imported_means_no_archive(cache, venv):
    """A failed proof leaves neither the archive nor a temporary name, and shows the interpreter's last words."""
    with pytest.raises(StagingError) as error:
        pack(venv, cache / "env.tar.gz", imports=("greeter",), progress=quiet)
    assert ids(error) == ["pack-proof-failed"]
    assert "No module named 'greeter'" in error.value.problems[0].evidence
    assert sorted(path.name for path in cache.iterdir()) == ["cache", "venv"]
    assert leftovers() == []


def test_the_agents_archive_is_few_files_that_know_nothing_of_this_machine(tmp_path):
    """A NodeManager without Hadoop's native library starts a program for each; tracebacks name no place of ours."""
    with tarfile.open(agent_env(quiet)) as archive:
        assert len(archive.getnames()) < 500
        archive.extractall(tmp_path, filter="data")
    code = "import json; print(json.loads.__code__.co_filename)"
    done = subprocess.run([tmp_path / "bin/python3", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("lib/python3.")


def test_a_failed_install_leaves_nothing(cache):
    """What pip cannot find is one problem with its id."""
    with pytest.raises(StagingError) as error:
        pack(Requirements(("no-such-package",), wheels=cache), cache / "env.tar.gz", progress=quiet)
    assert ids(error) == ["pack-install-failed"]
    assert leftovers() == []


def test_use_of_the_source_is_found_although_the_import_works(cache, venv):
    """A package that reaches back into the virtualenv imports well here, and yet is refused."""
    site = next(venv.glob("lib/python3.*/site-packages"))
    (site / "leaker.py").write_text(f"import sys\nsys.path.append({str(venv / 'share')!r})\n")
    with pytest.raises(StagingError) as error:
        pack(venv, cache / "env.tar.gz", imports=("leaker",), progress=quiet)
    assert ids(error) == ["pack-proof-failed"]
    assert error.value.problems[0].evidence == f"sys.path holds {venv}/share"


def test_interrupt_leaves_nothing(cache, venv):
    """Ctrl-C in any step removes the temporary tree and the half archive."""
    for step in ("collecting", "writing", "proving"):

        def interrupt(text, step=step):
            if text.startswith(step):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pack(venv, cache / "env.tar.gz", progress=interrupt)
        assert leftovers() == []
        assert sorted(path.name for path in cache.iterdir()) == ["cache", "venv"]


def test_cached_environment_is_packed_once_per_content(cache, wheels):
    """The same requirements give the same file at once; another wheel behind the same name is packed anew."""
    own = cache / "own"
    wheel = make_wheel(own, "shouter", {"shouter.py": "WORD = 1\n"})
    asked = Requirements((str(wheel),), wheels=own)
    said = []
    first = cached_env(asked, progress=said.append)
    assert said
    said.clear()
    assert cached_env(asked, progress=said.append) == first
    assert said == []
    content = first.read_bytes()
    make_wheel(own, "shouter", {"shouter.py": "WORD = 2\n"})

    def begun(_text):
        raise KeyboardInterrupt  # that it begins is what is to be shown: the packing itself is another test's

    with pytest.raises(KeyboardInterrupt):
        cached_env(asked, progress=begun)
    assert first.read_bytes() == content
    assert leftovers() == []
