"""Jobs as a tired person types them: one report each, which names every slip once and what to type instead."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from language_world import faults, make_files

from yarn_submitter.commands import open_quote
from yarn_submitter.load import load

D = ["--name", "digits", "--input_path", "hdfs:///d"]
M = ["--worker_resources", "memory=4G"]
C = ["--worker_launch_cmd", "python train.py"]
BESIDE = """\
spec: {name: x, framework: generic}
configs:
roles:
  a:
  envs: {K: V}
  resources: memory=1G
  launch_cmd: x
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            [*D, "--worker_resources", "memory=4096,vcores=2", *C], ["memory=4096M or memory=4096G"], id="unit"
        ),
        pytest.param([*D, "--worker_resources", "4G", *C], ["write memory=4G"], id="amount alone"),
        pytest.param([*D, "--worker_resources", "memory=1.5G", *C], ["write memory=1536M"], id="half a GiB"),
        pytest.param(
            [*D, "--worker_resources", "memory=4G", "vcores=2", *C],
            ["put commas between amounts: --worker_resources memory=4G,vcores=2"],
            id="blank for comma",
        ),
        pytest.param(
            [*D, *M, "--worker_launch_cmd", "python", "train.py", "--lr", "0.1", "--src", "data"],
            ['--worker_launch_cmd "python train.py --lr 0.1"'],
            id="no quotes",
        ),
        pytest.param(
            [*D, *M, *C, "--env", "LR=0.1", "BATCH=3", "--num_worker=2"],
            ["write --env before each: --env BATCH=3", "did you mean --num_workers?"],
            id="several variables behind one option",
        ),
        pytest.param(
            [*D, *M, *C, "--tensorboard", "1"], ["write --tensorboard, or --tensorboard=false"], id="flag with 1"
        ),
        pytest.param(
            [*D, *M, *C, "--num_ps", "1", "--ps_resource", "memory=1G", "--ps_launch_cmd", "x"],
            ["did you mean --ps_resources?", "--num_workers 2 or more"],
            id="a letter lost",
        ),
        pytest.param(
            ["--name", "x", "--input_path", "hdfs:/data", *M, *C, "--saved_model_path", "hdfs:/m"],
            ["write hdfs:///data", "write hdfs:///m"],
            id="a slash lost",
        ),
        pytest.param(
            [*D, *M, *C, "--localization", "hdfs:/x:."], ["write hdfs:///x"], id="a slash lost in a localization"
        ),
        pytest.param([*D, *M, *C, "--secret", "TOKEN=hunter2"], ["write TOKEN=@FILE"], id="secret in the open"),
        pytest.param(
            [*D, *M, *C, "--secret", "TOKEN=hunter2", "x"],
            ["write TOKEN=@FILE", "TOKEN=@FILE x"],
            id="a word behind a secret",
        ),
        pytest.param([*D, *M, *C, "--secret", "hunter2"], ["write NAME=@FILE"], id="secret without a name"),
        pytest.param(
            ["--name", "pi", "--framework", "generic", "--role", "a:2,memory=1G", "--role_cmd", "a=x"],
            ["write instances=2"],
            id="a count alone",
        ),
        pytest.param(
            ["--name", "pi", "--framework", "generic", "--role", "master:memory=1G", "--role_cmd", "mastr=x"],
            ["did you mean master?"],
            id="a letter lost in a role",
        ),
        pytest.param([*D, "--profile", "large", *C], ["there is no profile 'large'"], id="profile"),
        pytest.param([*D, *M, *C, "--max_runtime", "90"], ["write for example 90m"], id="duration"),
        pytest.param([*D, *M, *C, "--quicklink", "UI=http://worker:80"], ["http://ROLE-N:PORT"], id="quicklink"),
        pytest.param([*D, *M, *C, "--quicklink", "UI=http://wroker-0:80"], ["did you mean worker?"], id="its role"),
        pytest.param([*D, *M, *C, "--mount", "./data:/data"], ["both absolute"], id="mount"),
        pytest.param(
            ["-f", "job.yml", "--nmae", "x"], ["did you mean --name?", "No such file or directory"], id="file"
        ),
        pytest.param(
            ["--name", "x", "--input_path", "/in/the/image", *M, *C],
            ['--input_path "" when it lies in the image'],
            id="a path in the image",
        ),
    ],
)
def test_a_slip_is_told_once(words: list[str], expected: list[str]) -> None:
    """With what to type; no other fault is made up, and a secret is not repeated."""
    found = faults(*words)
    assert len(found) == len(expected), found
    for problem, piece in zip(found, expected, strict=True):
        assert piece in problem.text()
        assert "hunter2" not in problem.text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "spec: {name: x}\nconfigs: {input_path: ''}\nroles:\n  workers: {memory: 4G, cmd: x}\n",
            ["did you mean worker?", "did you mean resources?", "did you mean launch_cmd?"],
        ),
        (
            "spec:\n  name: x\nconfigs: {input_path: ''}\nroles:\n  worker:\n    resources: memory: 4G\n",
            ["put a text that holds `: ` in quotes"],
        ),
        ("spec:\n\tname: x\n", ["a tab stands where YAML takes blanks only"]),
        ("spec:\n  name: x\n   framework: jax\n", ["its indentation"]),
        ("spec: {name: x}\n---\nspec: {name: y}\n", ["a second document begins there"]),
        (
            BESIDE,
            ["envs stands beside the role a and not in it"],
        ),
    ],
)
def test_slips_in_a_file(text: str, expected: list[str]) -> None:
    """The same for the YAML form: other systems' words for our keys, colons, tabs, blanks."""
    found = faults(yaml=text)
    assert len(found) == len(expected), found
    for problem, piece in zip(found, expected, strict=True):
        assert piece in problem.text()


def test_a_secret_in_both_is_not_repeated() -> None:
    """Whoever wrote it into the file gets no second copy of it on the terminal."""
    text = "spec: {name: x}\nconfigs: {input_path: '', secrets: {TOKEN: hunter2}}\n"
    text += "roles: {worker: {resources: memory=1G}}\n"
    Path("key").write_text("x")
    found = faults(*C, "--secret", "TOKEN=@key", yaml=text)
    assert [problem.id for problem in found] == ["option-in-both"]
    assert "hunter2" not in found[0].text()


def warned(*words: str) -> tuple[str, ...]:
    """Return what a job that can be read is warned of."""
    return load(["--name", "x", "--framework", "generic", "--input_path", "", *words])[1].warnings


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("train --data %input_pth%", "role a (--role_cmd): %input_pth% stays as it is; did you mean %input_path%?"),
        ("train %INPUT_PATH%", "did you mean %input_path%?"),
        ("date +%Y%m%d_%input_path%", ""),
        (
            "echo it's",
            'role a (--role_cmd): bash will find a quote that is never closed, letter 8 of the command: "\'s"',
        ),
        ("echo \"it's\" # don't", ""),
        ('echo "$(date "+%Y")" \\" $\'it\\\'s\'', ""),
        ('echo "a', "letter 6"),
        ("cat <<END\nit's\nEND", ""),
    ],
)
def test_a_command_that_bash_will_not_like(command: str, expected: str) -> None:
    """A warning, for bash has the last word: what is nearly a placeholder, which quote is never closed."""
    said = warned("--role", "a:instances=1,memory=1G", "--role_cmd", f"a={command}")
    assert [expected in line for line in said] == [True] * bool(expected), said


@pytest.mark.parametrize(
    "command",
    [
        "echo hi;# don't",
        "echo `# it's`",
        "(# it's\n true)",
        """echo "$(grep 'a"b' f)\"""",
        "while read l; do # don't\n :; done",
        "echo a#b'c' # it's",
        "echo 'a '#'b'",
        "echo $$'a\\' 'b'",
        """echo "${x:-"it's"}\"""",
        """echo "${x#'"'}\"""",
        "echo \\\n# it's\nls",
        """tr -d \\'\\\"""",
        'cat <<< "it\'s"',
        "x=(a # it's\n b)",
        "echo \"don't\" $'it\\'s' ${#x} $#",
    ],
)
def test_what_bash_takes_is_not_warned_of(command: str) -> None:
    """Bash itself says so: comments behind `;` and `(`, quotes within quotes, process ids."""
    assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
    assert open_quote(command) == 0


@pytest.mark.parametrize(
    "command", ["echo it's", "a=1# don't", "echo 'a '# don't", "echo ${#x} ${x} it's", 'echo "a\\"']
)
def test_what_bash_does_not_take_is_warned_of(command: str) -> None:
    """A `#` within a word begins no comment."""
    assert subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False).returncode != 0
    assert open_quote(command) > 0


def test_a_role_without_tasks_hides_nothing() -> None:
    """A job that is refused for want of tasks hears of the other faults of its roles; beside others it is left out."""
    empty = ["--role", "b:instances=0,memory=1,cpu=2"]
    found = faults("--name", "x", "--framework", "generic", *empty)
    assert [problem.id for problem in found] == ["resources-form", "no-roles"]
    assert warned("--role", "a:instances=1,memory=1G", "--role_cmd", "a=x", *empty) == ()
