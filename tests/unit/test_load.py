"""A command line and a YAML file become one JobSpec by docs/job-run.md; all their faults come in one report."""

from __future__ import annotations

from pathlib import Path

import pytest

from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.load import Controls, load
from yarn_submitter.spec import JobSpec, Localization, RoleSpec
from yarn_submitter.units import Ask

WORKER = ["--worker_resources", "memory=1G", "--worker_launch_cmd", "python fit.py"]
PS = ["--num_ps", "1", "--ps_resources", "memory=2G", "--ps_launch_cmd", "python ps.py"]
JOB = ["--name", "fit", "--input_path", "", *WORKER]
GENERIC = ["--name", "fit", "--framework", "generic"]
ROLE = ["--role", "master:instances=2,memory=1G", "--role_cmd", "master=run m"]
YAML = """\
spec: {name: fit}
configs: {input_path: ""}
roles:
  worker: {resources: memory=1G, launch_cmd: python fit.py}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fit.py", "env.zip"):
        Path(name).write_text(name)
    Path("data").mkdir()
    Path("src").mkdir()


def spec_of(*words: str) -> JobSpec:
    """Return the job of a command line without faults."""
    return load(words)[0]


def of_file(text: str, *words: str) -> JobSpec:
    """Return the job of a file, and of further words, without faults."""
    Path("job.yaml").write_text(text)
    return spec_of("-f", "job.yaml", *words)


def problems(*words: str, yaml: str = "") -> list[Problem]:
    """Return the faults of a command line, and of a file when there is one."""
    if yaml:
        Path("job.yaml").write_text(yaml)
        words = ("-f", "job.yaml", *words)
    with pytest.raises(UsageError) as refused:
        load(words)
    return list(refused.value.problems)


def test_the_smallest_job() -> None:
    """What is left out has its documented default."""
    assert load(JOB) == (JobSpec("fit", "tensorflow", (RoleSpec("worker", 1, Ask(1024), "python fit.py"),)), Controls())


def test_every_option_arrives() -> None:
    """Each option of the job is a field of the JobSpec."""
    spec = spec_of(
        *["--name", "fit", "--framework", "TensorFlow", "--queue", "ml", "--input_path", "hdfs://nn:8020/in"],
        *["--checkpoint_path", "hdfs://nn:8020/c", "--saved_model_path", "/m", "--num_workers", "2", *WORKER, *PS],
        *["--env", "A=1,2=3", "--env", "B", "--env", "C=", "--src", "src", "--localization", "hdfs://nn:8020/d:./d"],
        *["--done_when", "ALL", "--tf_worker0", "Master", "--wait_job_finish", "--verbose"],
    )
    assert spec == JobSpec(
        name="fit",
        framework="tensorflow",
        roles=(RoleSpec("worker", 2, Ask(1024), "python fit.py"), RoleSpec("ps", 1, Ask(2048), "python ps.py")),
        queue="ml",
        input_path="hdfs://nn:8020/in",
        checkpoint_path="hdfs://nn:8020/c",
        saved_model_path="/m",
        env={"A": "1,2=3", "B": "", "C": ""},
        localizations=(Localization("hdfs://nn:8020/d", "d"),),
        source_dir=str(Path("src").absolute()),
        done_when="all",
        tf_worker0="master",
        wait_job_finish=True,
        verbose=True,
    )


def test_what_steers_the_client_is_no_part_of_the_job() -> None:
    """`--dry_run` and the like change Controls only."""
    words = ["--cluster", "sandbox", "--dry_run", "--detach", "true", "--json", "--quiet", "--logs", "worker"]
    spec, controls = load([*JOB, *words])
    assert (spec, controls) == (
        spec_of(*JOB),
        Controls(cluster="sandbox", dry_run=True, detach=True, json=True, quiet=True, logs="worker"),
    )
    assert not load([*JOB, "--dry_run=false"])[1].dry_run


@pytest.mark.parametrize("logs", ["all", "worker", "worker:0"])
def test_logs_of_what_there_is(logs: str) -> None:
    """`--logs` takes `all`, a role of the job, or a task of it."""
    assert load([*JOB, "--logs", logs])[1].logs == logs


def test_roles_are_shown_chief_first() -> None:
    """Chief, worker and ps come first, others as given."""
    spec = spec_of(
        *["--role", "evaluator:memory=1G", "--role_cmd", "evaluator=e", *PS, "--num_workers", "2", *JOB],
        *["--role", "chief:memory=1G", "--role_cmd", "chief=c"],
    )
    assert [(role.name, role.instances) for role in spec.roles] == [
        ("chief", 1),
        ("worker", 2),
        ("ps", 1),
        ("evaluator", 1),
    ]


def test_a_generic_job_of_free_roles() -> None:
    """A role's instances, resources and command come by --role and --role_cmd, in any order; no worker is added."""
    spec = spec_of(
        *["--role_cmd", "slave=run a=b", *GENERIC, *ROLE],
        *["--role", "slave:gpu=1, memory = 2G ,instances= 3,"],
    )
    assert spec.roles == (
        RoleSpec("master", 2, Ask(1024), "run m"),
        RoleSpec("slave", 3, Ask(2048, 1, {"yarn.io/gpu": 1}), "run a=b"),
    )


def test_a_worker_by_role() -> None:
    """Worker and ps can be given by --role, too."""
    words = ["--name", "fit", "--input_path", "", "--role", "worker:memory=1G", "--role_cmd", "worker=python fit.py"]
    assert spec_of(*words) == spec_of(*JOB)


def test_roles_without_instances_are_left_out() -> None:
    """A count of 0 makes a role vanish, whatever else is said of it."""
    spec = spec_of(*GENERIC, *ROLE, "--num_workers", "0", "--num_ps", "0", "--role", "spare:instances=0")
    assert [role.name for role in spec.roles] == ["master"]


@pytest.mark.parametrize(
    ("words", "problem_id", "pieces"),
    [
        (["--input_path", "", *WORKER], "name-absent", ["--name is absent."]),
        (["--name", "", "--input_path", "", *WORKER], "name-absent", ["--name is absent."]),
        (["--name", "fit", *WORKER], "input-path-absent", ['"--input_path" is absent.']),
        (["--name", "fit", "--input_path", "none", *WORKER], "input-path-missing", ["--input_path", "none", "hdfs://"]),
        ([*JOB, "--framework", ""], "value-unknown", ["--framework", "''", "tensorflow, pytorch, mxnet"]),
        ([*JOB, "--framework", "tensorfow"], "value-unknown", ["'tensorfow'", "did you mean tensorflow?"]),
        ([*JOB, "--done_when", "worker"], "value-unknown", ["--done_when", "chief, all"]),
        ([*JOB, "--tf_worker0", "ps"], "value-unknown", ["--tf_worker0", "worker, chief, master"]),
        ([*JOB, "--num_workers", "-1"], "value-not-a-number", ["--num_workers", "'-1'"]),
        ([*JOB, "--num_workers", "2.0"], "value-not-a-number", ["--num_workers", "'2.0'"]),
        ([*JOB, "--num_workers", ""], "value-not-a-number", ["--num_workers", "''"]),
        ([*JOB, "--num_workers", "²"], "value-not-a-number", ["--num_workers"]),
        ([*JOB, "--num_workers", "9" * 5000], "value-not-a-number", ["--num_workers", "100000"]),
        ([*JOB, "--num_workers", "100001"], "value-not-a-number", ["--num_workers", "100000"]),
        ([*JOB, "--verbose=maybe"], "value-not-boolean", ["--verbose", "'maybe'"]),
        ([*JOB, "--env", "1A=x"], "env-name", ["--env", "'1A'", "'1A=x'"]),
        ([*JOB, "--env", "=x"], "env-name", ["--env", "'=x'"]),
        ([*JOB, "--src", "none"], "src-missing", ["--src", "none"]),
        ([*JOB, "--src", "fit.py"], "src-missing", ["--src", "fit.py"]),
        ([*JOB, "--checkpoint_path", "c"], "path-relative", ["--checkpoint_path", "'c'", "absolute"]),
        ([*JOB, "--saved_model_path", "./m"], "path-relative", ["--saved_model_path", "'./m'"]),
        ([*JOB, "--logs", "wroker"], "task-unknown", ["--logs", "'wroker'", "worker", "did you mean worker?"]),
        ([*JOB, "--logs", "worker:1"], "task-unknown", ["--logs", "'worker:1'"]),
        ([*JOB[:4], *WORKER[2:]], "role-incomplete", ["--worker_resources is absent."]),
        ([*JOB[:4], *WORKER[:2]], "role-incomplete", ["--worker_launch_cmd is absent."]),
        ([*JOB[:4], *WORKER[:3], ""], "role-incomplete", ["--worker_launch_cmd is absent."]),
        ([*JOB, "--num_ps", "1", "--num_workers", "2", *PS[2:4]], "role-incomplete", ["--ps_launch_cmd is absent."]),
        ([*JOB[:4], "--worker_resources", "memory=1", *WORKER[2:]], "resources-form", ["--worker_resources", "=1M"]),
        ([*JOB, *PS], "one-worker-with-ps", ["Only specified one worker but non-zero PS, please double check."]),
        ([*GENERIC, "--num_workers", "0"], "no-roles", ["no task"]),
        ([*JOB, "--role", "chef:memory=1G", "--role_cmd", "chef=x"], "role-unknown", ["'chef'", "did you mean chief?"]),
        ([*JOB, "--role", "chief:memory=1G,instances=2", "--role_cmd", "chief=x"], "chief-count", ["one chief", "2"]),
        ([*GENERIC, *ROLE, "--role", "Big:memory=1G", "--role_cmd", "Big=x"], "role-name", ["'Big'", "lower-case"]),
        ([*GENERIC, *ROLE, "--role", "x:memory=1G"], "role-incomplete", ["role x has no launch_cmd", "--role_cmd x="]),
        (
            [*GENERIC, *ROLE, "--role", "x:memory=1G", "--role_cmd", "x="],
            "role-incomplete",
            ["role x has no launch_cmd", "--role_cmd x="],
        ),
        (
            [*GENERIC, *ROLE, "--role", "x", "--role_cmd", "x=y"],
            "role-incomplete",
            ["--role x", "no resources", "memory"],
        ),
        ([*GENERIC, *ROLE, "--role", "x:memory=1", "--role_cmd", "x=y"], "resources-form", ["--role x", "memory=1M"]),
        (
            [*GENERIC, *ROLE, "--role", "x:memory=1G,instances=two", "--role_cmd", "x=y"],
            "value-not-a-number",
            ["--role x", "'two'"],
        ),
        (
            [*GENERIC, *ROLE, "--role", "x:memory=1G,instances=1,instances=2", "--role_cmd", "x=y"],
            "resources-form",
            ["--role x", "instances is given twice"],
        ),
        ([*GENERIC, *ROLE, "--role_cmd", "mastr=x"], "role-unknown", ["'mastr'", "did you mean master?"]),
        ([*GENERIC, *ROLE, "--role_cmd", "python x.py"], "role-unknown", ["--role_cmd", "ROLE=COMMAND"]),
        (
            [*JOB, "--role_cmd", "worker=x"],
            "option-twice",
            ["--role_cmd worker", "--worker_launch_cmd 'python fit.py'"],
        ),
        ([*GENERIC, *ROLE, "--role", "master:memory=2G"], "option-twice", ["--role master is given twice"]),
        ([*GENERIC, *ROLE, "--role_cmd", "master=x"], "option-twice", ["--role_cmd master is given twice"]),
        ([*JOB, "--role", "worker:memory=2G", "--role_cmd", "worker=x"], "option-in-both", ["Role worker"]),
        (
            [*JOB[:4], "--num_workers", "3", "--role", "worker:memory=2G", "--role_cmd", "worker=x"],
            "option-in-both",
            ["Role worker", "--num_workers"],
        ),
    ],
)
def test_a_fault_is_one_problem(words: list[str], problem_id: str, pieces: list[str]) -> None:
    """One slip is one problem; it names the option, what was read, and what is valid or close."""
    found = problems(*words)
    assert [problem.id for problem in found] == [problem_id], found
    for piece in pieces:
        assert piece in found[0].text()


def test_the_same_variable_twice_is_a_warning() -> None:
    """The last one counts, and the user is told."""
    spec, controls = load([*JOB, "--env", "A=1", "--env", "B=2", "--env", "A=3"])
    assert spec.env == {"A": "3", "B": "2"}
    (warning,) = controls.warnings
    assert "--env" in warning
    assert "A" in warning


def test_all_faults_are_told_together() -> None:
    """Many faults give one report: the command line's, the file's line by line, what is missing."""
    found = problems(
        *["--nmae", "x", "--queue", "ml", "--verbose=maybe", "--logs"],
        yaml="""\
spec: {framework: caffe}
configs: {envs: {1A: x}, localizations: ["none:./n"]}
scheduling: {queue: ml, prio: 1}
roles:
  worker: {resources: 2G, replicas: many, launch_cmd: x}
""",
    )
    assert [problem.id for problem in found] == [
        "option-unknown",
        "value-not-boolean",
        "option-without-value",
        "value-unknown",
        "env-name",
        "localization-missing",
        "option-in-both",
        "yaml-key-unknown",
        "resources-form",
        "value-not-a-number",
        "input-path-absent",
    ]
    text = "\n".join(problem.text() for problem in found)
    for place in ("job.yaml:1", "job.yaml:2", "job.yaml:3", "job.yaml:5"):
        assert place in text


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        (YAML, JOB),
        (
            """\
spec: {name: fit, framework: TensorFlow, job_type: x}
configs:
  input_path: hdfs://nn:8020/in
  checkpoint_path: hdfs://nn:8020/c
  saved_model_path: /m
  wait_job_finish: "yes"
  done_when: all
  tf_worker0: chief
  src: src
  envs: {A: "1,2", B: ''}
  localizations: ["data:./data", "env.zip#archive:./env:rw"]
scheduling: {queue: ml}
roles:
  worker: {resources: "memory=1G", replicas: '2', launch_cmd: python fit.py}
  ps: {resources: "memory=2G", replicas: 1, launch_cmd: python ps.py}
""",
            [
                *["--name", "fit", "--framework", "TensorFlow", "--input_path", "hdfs://nn:8020/in"],
                *["--checkpoint_path", "hdfs://nn:8020/c", "--saved_model_path", "/m", "--wait_job_finish"],
                *["--done_when", "all", "--tf_worker0", "chief", "--src", "src", "--env", "A=1,2", "--env", "B"],
                *["--localization", "data:./data", "--localization", "env.zip#archive:./env:rw", "--queue", "ml"],
                *["--num_workers", "2", *WORKER, *PS],
            ],
        ),
        (
            """\
spec: {name: fit, framework: generic}
configs: {}
roles:
  master: {resources: memory=1G, replicas: 2, launch_cmd: run m}
  slave: {resources: memory=1G, launch_cmd: run s}
  ps:
""",
            [*GENERIC, *ROLE, "--role", "slave:memory=1G", "--role_cmd", "slave=run s"],
        ),
    ],
)
def test_yaml_says_the_same(yaml: str, words: list[str]) -> None:
    """The YAML form of a job is the job of the command line."""
    assert of_file(yaml) == spec_of(*words)


def test_what_a_role_says_in_yaml_is_for_that_role() -> None:
    """Role-level variables and localizations stay with their role."""
    spec = of_file("""\
spec: {name: fit}
configs: {input_path: "", envs: {A: 1}}
roles:
  worker:
    resources: memory=1G
    launch_cmd: x
    envs: {A: 2}
    localizations: ["data:./data"]
""")
    (worker,) = spec.roles
    assert (spec.env, worker.env) == ({"A": "1"}, {"A": "2"})
    assert worker.localizations == (Localization(str(Path("data").absolute()), "data"),)


def test_a_file_and_a_command_line_are_merged() -> None:
    """What the file leaves out may come from the command line; flags may stand in both."""
    merged = of_file(YAML + "scheduling:\n", "--queue", "ml", "--env", "A=1", *PS, "--num_workers", "2")
    assert merged == spec_of(*JOB, "--queue", "ml", "--env", "A=1", *PS, "--num_workers", "2")
    waits = YAML.replace('""', '"", wait_job_finish: true')
    assert of_file(waits, "--wait_job_finish").wait_job_finish


@pytest.mark.parametrize(
    ("yaml", "words", "name"),
    [
        (YAML, ["--name", "other"], "--name"),
        (YAML, ["--name", "fit"], "--name"),  # an equal value, too
        (YAML, ["--input_path", ""], "--input_path"),
        (YAML, ["--worker_resources", "memory=1G"], "--worker_resources"),
        (YAML.replace("{resources", "{replicas: 1, resources"), ["--num_workers", "2"], "--num_workers"),
        (YAML + "scheduling: {queue: a}\n", ["--queue", "b"], "--queue"),
        (YAML.replace('""', '"", envs: {A: 1}'), ["--env", "B=2"], "--env"),
        (YAML.replace('""', '"", localizations: ["data:./data"]'), ["--localization", "src:./src"], "--localization"),
        (YAML.replace("worker:", "chief:"), ["--role", "chief:memory=1G", "--role_cmd", "chief=x"], "chief"),
    ],
)
def test_a_value_in_both_is_a_fault(yaml: str, words: list[str], name: str) -> None:
    """What the file and the command line both give is refused, with the file's line and text."""
    (problem,) = problems(*words, yaml=yaml)
    assert problem.id == "option-in-both"
    assert f"{name} is defined both with YAML config and with CLI argument" in problem.sentence
    assert "job.yaml:" in problem.evidence


@pytest.mark.parametrize(
    ("yaml", "problem_id", "pieces"),
    [
        (YAML.replace("memory=1G", "[a]"), "yaml-shape", ["job.yaml:4", "resources"]),
        (YAML.replace("resources: memory=1G, ", ""), "role-incomplete", ["--worker_resources is absent."]),
        (YAML.replace("{resources: memory=1G, launch_cmd: python fit.py}", "{}"), "role-incomplete", ["_resources"]),
        (YAML + "  ps: {}\n", "role-incomplete", ["--ps_resources is absent."]),
        (YAML.replace("memory=1G", "memory=1"), "resources-form", ["job.yaml:4", "memory=1M"]),
        (YAML.replace("{res", "{replicas: 1.5, res"), "value-not-a-number", ["job.yaml:4", "'1.5'"]),
        (YAML.replace('""', '"", src: none'), "src-missing", ["job.yaml:2", "none"]),
        (YAML.replace('""', "none"), "input-path-missing", ["job.yaml:2", "none"]),
        (YAML.replace('""', '"", localizations: [x]'), "localization-form", ["job.yaml:2", "'x'"]),
        (YAML.replace('""', '"", wait_job_finish: 3'), "value-not-boolean", ["job.yaml:2", "'3'"]),
        (
            YAML + "  cheif: {resources: memory=1G, launch_cmd: x}\n",
            "role-unknown",
            ["job.yaml:5", "did you mean chief?"],
        ),
        (YAML + "  chief: {launch_cmd: x}\n", "role-incomplete", ["job.yaml:5: role chief has no resources"]),
    ],
)
def test_a_fault_in_yaml_has_its_line(yaml: str, problem_id: str, pieces: list[str]) -> None:
    """Wrong values of a file are told with file and line, once."""
    found = problems(yaml=yaml)
    assert problem_id in [problem.id for problem in found]
    (problem,) = [problem for problem in found if problem.id == problem_id][:1]
    for piece in pieces:
        assert piece in problem.text()


def test_no_file_hides_no_other_fault() -> None:
    """A file that cannot be read is told beside the faults of the command line."""
    assert [problem.id for problem in problems("-f", "none.yaml", "--nmae", "x")][:2] == [
        "option-unknown",
        "yaml-unreadable",
    ]
