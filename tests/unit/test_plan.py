"""Planning is pure, its document has stable keys, and what `--dry_run` prints is what lies in tests/golden/plans/."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from am.contract.codec import from_json
from am.contract.job import JobPlan
from yarn_submitter.cli import main
from yarn_submitter.load import load
from yarn_submitter.localfiles import LocalFile, describe
from yarn_submitter.plan import SubmissionPlan, local_paths, plan, substitute, to_text
from yarn_submitter.spec import JobLimits, JobSpec, Localization, Mount, Quicklink, RoleSpec, Secret, Security
from yarn_submitter.units import Ask

GOLDEN = Path(__file__).parent.parent / "golden" / "plans"
SMALL = ["--worker_resources", "memory=1G", "--worker_launch_cmd", "python fit.py"]
PS_WORKER = [
    *["--name", "fit", "--input_path", "", "--num_workers", "2", *SMALL],
    *["--num_ps", "1", "--ps_resources", "memory=2G,vcores=2", "--ps_launch_cmd", "python ps.py"],
]
CASES = {
    "tensorflow_chief_worker_ps": [
        *[*PS_WORKER, "--role", "chief:memory=1G,gpu=1", "--role_cmd", "chief=python fit.py --out %saved_model_path%"],
        *["--env", "A=1,2", "--queue", "ml", "--checkpoint_path", "hdfs://nn:8020/c", "--done_when", "all"],
    ],
    "tensorflow_worker0_worker": PS_WORKER,
    "tensorflow_worker0_chief": [*PS_WORKER, "--tf_worker0", "chief"],
    "tensorflow_worker0_master": [*PS_WORKER, "--tf_worker0", "master"],
    "generic_two_roles": [
        *["--name", "pi", "--framework", "generic", "--wait_job_finish", "--verbose"],
        *["--role", "master:instances=1,memory=512M", "--role_cmd", "master=python3 pi.py %checkpoint_path% 100%"],
        *["--role", "slave:instances=3,memory=256M,vcores=2,fpga=1", "--role_cmd", "slave=exec ./pi 'a b'"],
    ],
    "files": [
        *["--name", "files", "--framework", "generic", "--input_path", "data", *SMALL, "--src", "src"],
        *["--localization", "fit.py:./fit.py", "--localization", "data:./copy:rw"],
        *["--localization", "env.tar.gz#archive:./my env", "--localization", "hdfs://nn:8020/m.zip#archive:./model"],
    ],
}
YAML = """\
spec: {name: fit, framework: TensorFlow}
configs: {input_path: ""}
roles:
  worker: {replicas: 2, resources: memory=1G, launch_cmd: python fit.py}
  ps: {resources: "memory=2G,vcores=2", launch_cmd: python ps.py}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which commands are typed, with the files that they name."""
    directory = tmp_path / "here"
    for name, text in {
        "fit.py": "fit",
        "env.tar.gz": "packed",
        "data/a": "1",
        "src/run.py": "run",
        "src/.git/x": "x",
    }.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    for path in (directory / "data", directory / "src"):
        path.chmod(0o755)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return directory


def planned(*words: str) -> SubmissionPlan:
    """Return the plan of a command line."""
    spec, _ = load(words)
    return plan(spec, {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)})


def dry_run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what `job run ... --dry_run` prints."""
    assert main(["run", *words, "--dry_run"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, here: Path, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config) -> None:
    """The printed plan is, but for paths, the file in tests/golden/plans/ (`pytest --update` writes it)."""
    printed = dry_run(capsys, *CASES[case]).replace(str(here), "<here>")
    golden = GOLDEN / f"{case}.json"
    if pytestconfig.getoption("--update"):
        golden.write_text(printed)
    assert printed == golden.read_text()


def test_no_golden_file_is_left_over() -> None:
    """Every file of tests/golden/plans/ is somebody's expectation."""
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def test_yaml_gives_the_same_bytes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The YAML form and the command line of a job print the same plan, byte for byte."""
    (here / "job.yaml").write_text(YAML)
    assert dry_run(capsys, "-f", "job.yaml") == dry_run(capsys, *PS_WORKER)


@pytest.mark.parametrize("case", CASES)
def test_planning_is_pure(case: str) -> None:
    """The same description gives an equal plan, and neither description nor files are changed by it."""
    spec, _ = load(CASES[case])
    files = {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)}
    spec_before, files_before = deepcopy(spec), deepcopy(files)
    first, second = plan(spec, files), plan(spec, files)
    assert first == second
    assert to_text(first.document()) == to_text(second.document())
    assert (spec, files) == (spec_before, files_before)


def test_planning_touches_nothing() -> None:
    """With files described, a plan opens no file, makes no socket, starts nothing and imports nothing."""
    spec, _ = load(CASES["files"])
    files = {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)}
    shutil.rmtree(Path.cwd())
    events: list[str] = []
    active = [True]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if active[0] and event.split(".", maxsplit=1)[0] in ("open", "socket", "subprocess", "os", "import"):
            events.append(event)

    sys.addaudithook(hook)  # cannot be removed; it is deaf after this test
    text = to_text(plan(spec, files).document())
    active[0] = False
    assert events == []
    assert "fit.py" in text


def test_the_stable_keys() -> None:
    """Scripts find what docs/job-run.md promises where it promises it."""
    document = planned(*CASES["tensorflow_chief_worker_ps"]).document()
    assert list(document) == [
        *["name", "framework", "queue", "node_label", "input_path", "checkpoint_path", "saved_model_path"],
        *["docker_image", "wait_job_finish", "verbose", "distributed", "max_runtime_s", "max_restarts", "am_attempts"],
        *["port_range", "env", "secrets", "conf"],
        *["localizations", "mounts", "quicklinks", "security", "tensorboard", "roles", "plan"],
    ]
    assert document["distributed"] is True
    assert document["env"] == {"A": "1,2"}
    assert list(document["roles"]) == ["chief", "worker", "ps"]
    assert document["roles"]["chief"] == {
        "instances": 1,
        "min_instances": 1,
        "resources": {"memory_mb": 1024, "vcores": 1, "gpus": 1, "fpgas": 0},
        "launch_cmd": "python fit.py --out hdfs://nn:8020/c",
        "docker_image": "",
        "node_label": "",
        "env": {},
        "localizations": [],
        "mounts": [],
        "tracked": True,
        "start": "together",
        "depends_on": [],
        "on_failure": "restart-job",
        "on_loss": "restart-job",
    }
    assert set(document["plan"]) == {"format", "staged", "job", "environment", "application"}


def test_a_single_task_is_not_distributed() -> None:
    """`/distributed` tells one task from several."""
    assert planned("--name", "one", "--input_path", "", *SMALL).document()["distributed"] is False


def test_what_is_staged() -> None:
    """Each local file once, with path, bytes and hash; what lies on the store already is named as it is."""
    made = planned(*CASES["files"], "--localization", "fit.py:./again.py")
    paths = [(Path(file.path).name, file.is_tree, file.bytes) for file in made.staged]
    assert paths == [("fit.py", False, 3), ("data", True, 1), ("env.tar.gz", False, 6), ("src", True, 3)]
    wanted = made.application["services"]["worker"]["files"]
    assert wanted["fit.py"] == wanted["again.py"]
    assert wanted["model"] == {"source": "hdfs://nn:8020/m.zip", "type": "archive", "visibility": "private"}
    assert (wanted["copy"]["type"], wanted["input"]["type"], wanted["my env"]["type"]) == ("archive",) * 3


def test_the_archive_of_equal_files_keeps_its_extension(here: Path) -> None:
    """YARN takes the kind of an archive from its name: of two files with one content the archive's name is used."""
    shutil.copy("env.tar.gz", "plain")
    brought = [*["--localization", "env.tar.gz#archive:./env"], *["--localization", "plain:./plain"]]
    made = planned("--name", "x", "--input_path", "", *SMALL, *brought)
    (file,) = made.staged
    assert file.extension == ".tar.gz"


def test_a_roles_own_localization_wins() -> None:
    """Under one name, a role finds its own and not the job's."""
    own = Localization("hdfs://nn/own.txt", "x")
    spec = JobSpec(
        "fit",
        "generic",
        (RoleSpec("a", 1, Ask(256), "true", localizations=(own,)), RoleSpec("b", 1, Ask(256), "true")),
        localizations=(Localization("hdfs://nn/all.zip", "x", archive=True),),
    )
    services = plan(spec, {}).application["services"]
    assert services["a"]["files"]["x"] == {"source": "hdfs://nn/own.txt", "type": "file", "visibility": "private"}
    assert "./x/" not in services["a"]["script"]
    assert services["b"]["files"]["x"]["type"] == "archive"


def test_a_roles_own_variable_wins() -> None:
    """A role's variables stand over the job's."""
    role = RoleSpec("a", 1, Ask(256), "true", env={"A": "role"})
    made = plan(JobSpec("fit", "generic", (role,), env={"A": "job", "B": "job"}), {})
    assert made.job["roles"][0]["env"] == {"A": "role", "B": "job"}


def test_path_placeholders_are_replaced_once_and_nothing_else() -> None:
    """All occurrences, in every role; other `%` stay, and what a path brings along is not replaced again."""
    made = planned(
        *["--name", "x", "--framework", "generic", "--input_path", "hdfs://nn/%checkpoint_path%"],
        *["--checkpoint_path", "/c", "--role", "a:memory=1G"],
        *["--role_cmd", "a=x %input_path% %input_path% %checkpoint_path% %saved_model_path% 5% %other% %%input_path%%"],
    )
    (role,) = made.job["roles"]
    path = "hdfs://nn/%checkpoint_path%"
    assert role["command"] == f"x {path} {path} /c /c 5% %other% %{path}%"


@pytest.mark.parametrize(
    "text", ["<ys:id>", "<ys:nothing>", "<ys:text>", "a <ys:staged:" + "0" * 64 + "> b", "<ys:<ys:id>>"]
)
def test_what_looks_like_a_placeholder_stays_the_users(text: str) -> None:
    """A user's text with `<ys:...>` in it reaches the task as it was written."""
    made = planned(
        "--name",
        text,
        *PS_WORKER[2:-1],
        text,
        "--env",
        f"A={text}",
        "--queue",
        text,
        "--localization",
        f"hdfs://nn/{text}:./x",
    )
    job = substitute({**made.job, "webhdfs": [], "agent_ports": []}, KNOWN)
    application = substitute(made.application, KNOWN)
    assert job["name"] == job["queue"] == application["name"] == application["queue"] == text
    assert [role["command"] for role in job["roles"]] == ["python fit.py", text]
    assert job["roles"][0]["env"] == {"A": text}
    assert application["services"]["ps"]["files"]["x"]["source"] == f"hdfs://nn/{text}"


KNOWN = {
    **{name: f"({name})" for name in ("id", "user", "fs", "base", "code", "python")},
    "webhdfs": ["http://nn:9870"],
    "agent_ports": [20001, 20002],
}


def test_substitution() -> None:
    """A placeholder within a text becomes text, one that stands alone may become a list; keys are texts, too."""
    value = {"<ys:id>": ["<ys:webhdfs>", "at <ys:fs><ys:base>/x", 3, None, True]}
    assert substitute(value, KNOWN) == {"(id)": [["http://nn:9870"], "at (fs)(base)/x", 3, None, True]}
    with pytest.raises(KeyError):
        substitute("<ys:unheard>", KNOWN)


@pytest.mark.parametrize("case", [case for case in CASES if case != "files"])
def test_the_planned_job_is_a_job(case: str) -> None:
    """With its placeholders substituted, the planned job.json is one that agent and executors read."""
    job = from_json(JobPlan, substitute(planned(*CASES[case]).job, KNOWN))
    assert job.webhdfs == ("http://nn:9870",)
    assert job.agent_ports == (20001, 20002)
    assert JobPlan.from_text(job.to_text()) == job


@pytest.mark.parametrize(
    ("case", "main_task", "untracked"),
    [
        ("tensorflow_chief_worker_ps", "chief:0", ["ps"]),
        ("tensorflow_worker0_worker", "worker:0", ["ps"]),
        ("generic_two_roles", "master:0", []),
    ],
)
def test_who_decides(case: str, main_task: str, untracked: list[str]) -> None:
    """The chief, else worker 0, else the first task is the main one; a TensorFlow ps decides nothing."""
    job = planned(*CASES[case]).job
    assert job["main_task"] == main_task
    assert [role["name"] for role in job["roles"] if not role["tracked"]] == untracked


def test_a_local_input_is_named_where_it_is() -> None:
    """`%input_path%` of what was brought along is its place in the working directory."""
    made = planned("--name", "x", "--input_path", "data", *SMALL[:3], "python fit.py %input_path%")
    assert made.job["roles"][0]["command"] == "python fit.py ./input"


def test_only_a_local_input_is_localized() -> None:
    """DATA_DIR is `input` for a local path, and the URI else."""
    assert planned(*CASES["files"]).job["data_dir"] == "input"
    remote = planned("--name", "x", "--input_path", "hdfs://nn/in", *SMALL)
    assert (remote.job["data_dir"], remote.staged) == ("", ())
    assert "input" not in remote.application["services"]["worker"]["files"]


def test_the_executor_is_started_by_the_first_python(here: Path) -> None:
    """The shell text tries each archive's Python, names with blanks among them, then the node's."""
    (here / "my env" / "bin").mkdir(parents=True)
    python = here / "my env" / "bin" / "python3"
    python.write_text('#!/bin/sh\ncase "$4" in *version_info*) exit 0;; esac\necho "in my env: $5"\n')
    python.chmod(0o755)
    script = planned(*CASES["files"]).application["services"]["worker"]["script"]
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=20)
    assert (done.stdout, done.stderr) == ("in my env: worker\n", "")


def test_the_environment_of_large_roles_is_shown_by_examples() -> None:
    """Each task's TF_CONFIG names all hosts: of a thousand workers the first two and the last are shown."""
    words = [*PS_WORKER]
    words[words.index("2")] = "1000"
    made = planned(*words)
    assert list(made.environment) == ["worker:0", "worker:1", "worker:999", "ps:0"]
    assert len(to_text(made.document())) < 1 << 20


def test_two_plans_differ_where_their_jobs_do() -> None:
    """A golden file that any plan fits would prove nothing: every field of the spec changes the document."""
    base = JobSpec("fit", "tensorflow", (RoleSpec("worker", 2, Ask(1024), "true"),))
    changes: dict[str, object] = {
        "name": "other",
        "framework": "generic",
        "roles": (RoleSpec("worker", 3, Ask(1024), "true"),),
        "queue": "ml",
        "input_path": "hdfs://nn/i",
        "checkpoint_path": "/c",
        "saved_model_path": "/m",
        "env": {"A": "1"},
        "localizations": (Localization("hdfs://nn/x", "x"),),
        "source_dir": "/src",
        "done_when": "all",
        "tf_worker0": "chief",
        "wait_job_finish": True,
        "verbose": True,
        "image": "i",
        "node_label": "fast",
        "mounts": (Mount("/a", "/b"),),
        "quicklinks": (Quicklink("ui", "http", "worker:0", 80),),
        "secrets": (Secret("KEY", "/k"),),
        "conf": {"dfs.replication": "2"},
        "security": Security(insecure=True),
        "tensorboard": RoleSpec("tensorboard", 1, Ask(1024), ""),
        "max_runtime_s": 60,
        "max_restarts": 1,
        "am_attempts": 3,
        "port_range": (20000, 20999),
        "limits": JobLimits(gang_hold_s=1),
    }
    assert set(changes) == {field.name for field in dataclasses.fields(JobSpec)}
    files = {"/src": LocalFile("/src", True, 1, "0" * 64, ".tar.gz", True)}
    texts = {json.dumps(plan(base, files).document())}
    for name, value in changes.items():
        texts.add(json.dumps(plan(dataclasses.replace(base, **{name: value}), files).document()))
    assert len(texts) == len(changes) + 1


def test_two_plans_differ_where_their_roles_do() -> None:
    """Nothing that is said of a role is lost on the way to the document."""
    base = RoleSpec("worker", 1, Ask(1024), "true", image="i")
    changes: dict[str, object] = {
        "name": "other",
        "instances": 2,
        "resources": Ask(1024, 2),
        "command": "false",
        "env": {"A": "1"},
        "localizations": (Localization("hdfs://nn/x", "x"),),
        "mounts": (Mount("/a", "/b"),),
        "image": "j",
        "node_label": "fast",
        "on_failure": "ignore",
        "on_loss": "fatal",
        "min_instances": 1,
        "start": "first-come",
        "depends_on": ("other",),
    }
    assert set(changes) == {field.name for field in dataclasses.fields(RoleSpec)}
    texts = {json.dumps(plan(JobSpec("fit", "generic", (base,)), {}).document())}
    for name, value in changes.items():
        role = dataclasses.replace(base, **{name: value})
        texts.add(json.dumps(plan(JobSpec("fit", "generic", (role,)), {}).document()))
    assert len(texts) == len(changes) + 1
