"""A JobSpec made by hand is read like the words of `job run`: the same completions, the same faults, nothing lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import yarn_submitter
from yarn_submitter import (
    Ask,
    JobLimits,
    JobSpec,
    Localization,
    Mount,
    Quicklink,
    RoleSpec,
    Secret,
    Security,
    UsageError,
)
from yarn_submitter.load import load
from yarn_submitter.settings import JobDefaults
from yarn_submitter.words import checked, words

WORKER = RoleSpec("worker", 2, Ask.of("memory=1G"), "python3 fit.py")
JOB = JobSpec("fit", "generic", (WORKER,))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with some files."""
    for name in ("src/fit.py", "data.csv", "env.tar.gz", "key", "me.keytab"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(here: Path) -> JobSpec:
    """Return a job with every field other than by default, as reading leaves it."""
    data = Localization(str(here / "data.csv"), "data", writable=True)
    env = Localization(str(here / "env.tar.gz"), "env", archive=True)
    ask = Ask(1536, 2, {"yarn.io/gpu": 1, "acme.com/npu": 3})
    env_values = {"A": "1,2 = 3", "EMPTY": "", "QUOTES": "\"a\" 'b'\n$c"}
    chief = RoleSpec(
        *("chief", 1, ask, "--odd 'command' = %input_path%", {"B": "=;,:"}, (data,)),
        *((Mount("/x", "/y", writable=True),), "acme/chief:1", "fast", "ignore"),
        *("fatal", 1, "together", ("worker:succeeded",)),
    )
    return JobSpec(
        name="fit it",
        framework="tensorflow",
        roles=(chief, WORKER),
        queue="ml",
        input_path="hdfs://nn:8020/in",
        checkpoint_path="hdfs:///checkpoint",
        saved_model_path="/model",
        env=env_values,
        localizations=(env, Localization("hdfs://nn:8020/words", "words")),
        source_dir=str(here / "src"),
        done_when="all",
        tf_worker0="master",
        wait_job_finish=True,
        verbose=True,
        image="registry:5000/team/image:1.2",
        node_label="gpu",
        mounts=(Mount("/a", "/b"),),
        quicklinks=(Quicklink("UI", "https", "worker:1", 8080),),
        secrets=(Secret("TOKEN", str(here / "key")), Secret("./key", str(here / "key"))),
        conf={"yarn.a": "b=c", "dfs.x": ""},
        security=Security(True, str(here / "me.keytab"), "me@ACME", True),
        tensorboard=RoleSpec("tensorboard", 1, Ask(2048, 1), "", image="acme/board:1"),
        max_runtime_s=5400,
        max_restarts=3,
        am_attempts=4,
        port_range=(20000, 20999),
        limits=JobLimits(0, 1, 2, 3, 4, 5),
    )


def test_nothing_is_lost_on_the_way_through_words(here: Path) -> None:
    """Every field of a JobSpec, and of its roles, comes back from its words as it was."""
    job = everything(here)
    pairs: list[tuple[Any, Any]] = [
        (job, JobSpec("", "", ())),
        (job.roles[0], RoleSpec("", 0, Ask(0), "")),
        (job.limits, JobLimits()),
    ]
    same = [
        field.name
        for value, bare in pairs
        for field in dataclasses.fields(value)
        if getattr(value, field.name) == getattr(bare, field.name)
    ]
    assert same == ["start"], "this test sets every field to something else than its default"
    alone = dataclasses.replace(JOB, **with_worker(start="first-come"))  # which TensorFlow cannot
    for spec in (job, alone):
        assert load(words(spec))[0] == spec
        assert checked(spec, JobDefaults()) == spec


def test_what_is_as_by_default_needs_no_word() -> None:
    """So that a site's defaults count."""
    assert words(JOB) == [
        *("--name=fit", "--framework=generic", "--input_path="),
        *("--role=worker:instances=2,memory=1024M,vcores=1", "--role_cmd=worker=python3 fit.py"),
    ]


def test_a_job_by_hand_is_completed(here: Path) -> None:
    """Roles in the order in which they are shown, without those of no task; absolute paths, names without dots."""
    ps = RoleSpec("ps", 1, Ask(256, others={"yarn.io/gpu": 0}), "true")
    job = JobSpec(
        *("fit", "TensorFlow", (ps, RoleSpec("evaluator", 0, Ask(1), ""), WORKER)),
        localizations=(Localization("data.csv", "./data"), Localization("src", ".")),
        source_dir="src",
        secrets=(Secret("TOKEN", "key"),),
    )
    found = checked(job, JobDefaults())
    assert (found.framework, [role.name for role in found.roles]) == ("tensorflow", ["worker", "ps"])
    assert [item.local for item in found.localizations] == ["data", "src"]
    assert found.roles[1].resources == Ask(256)
    assert {found.source_dir, found.localizations[1].remote} == {str(here / "src")}
    assert found.secrets[0].path == str(here / "key")
    assert yarn_submitter.plan(job) == yarn_submitter.plan(found)


def with_worker(**changes: Any) -> dict[str, Any]:
    """Return the change of a job to another worker."""
    return {"roles": (dataclasses.replace(WORKER, **changes),)}


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"name": ""}, ["name-absent"]),
        ({"framework": "tensorfow"}, ["value-unknown"]),
        ({"roles": ()}, ["no-roles"]),
        ({"roles": (WORKER, WORKER)}, ["option-twice"] * 2),
        (with_worker(name="Worker"), ["role-name"]),
        (with_worker(instances=-1), ["value-not-a-number"]),
        (with_worker(instances=1.5), ["value-not-a-number"]),
        (with_worker(command=""), ["role-incomplete"]),
        (with_worker(resources=Ask(0)), ["resources-form"]),
        (with_worker(resources=Ask(1024, 0)), ["resources-form"]),
        (with_worker(env={"A-B": "x"}), ["env-name"]),
        ({"framework": "tensorflow", **with_worker(name="boss")}, ["role-unknown"]),
        ({"framework": "pytorch", "tensorboard": WORKER}, ["parameter-not-for-framework"] * 2),
        ({"input_path": "nothing-here"}, ["input-path-missing"]),
        ({"checkpoint_path": "relative"}, ["path-relative"]),
        ({"source_dir": "nothing-here"}, ["src-missing"]),
        ({"done_when": "never"}, ["value-unknown"]),
        ({"env": {"": "x"}}, ["env-name"]),
        ({"localizations": (Localization("nothing-here", "x"),)}, ["localization-missing"]),
        ({"localizations": (Localization("hdfs:///a", "x"), Localization("hdfs:///b", "x"))}, ["localization-twice"]),
        ({"localizations": (Localization("file:///a", "../x"),)}, ["localization-form"]),
        ({"mounts": (Mount("a", "/b"),)}, ["mount-form"]),
        ({"quicklinks": (Quicklink("UI", "http", "worker:7", 80),)}, ["quicklink-task"]),
        ({"secrets": (Secret("K", "nothing-here"),)}, ["secret-file"]),
        (
            {"name": "", **with_worker(command="", resources=Ask(0))},
            ["role-incomplete", "resources-form", "name-absent"],
        ),
    ],
)
def test_what_a_job_by_hand_gets_wrong(here: Path, changes: dict[str, Any], problems: list[str]) -> None:
    """Plan and submit refuse it with the problems of `job run`, all at once."""
    job = dataclasses.replace(JOB, **changes)
    with pytest.raises(UsageError) as by_words:
        load(words(job))
    for act in (yarn_submitter.plan, yarn_submitter.submit):
        with pytest.raises(UsageError) as refused:
            act(job)
        assert sorted(problem.id for problem in refused.value.problems) == sorted(problems)
        assert refused.value.problems == by_words.value.problems
        assert refused.value.exit_code == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"A=B": "x"}},
        {"conf": {"yarn.a=b": "x"}},
        with_worker(name="a:instances=1"),
        with_worker(env={"A=B": "x"}),
        {"localizations": (Localization("hdfs:///a", "b:c"),)},
        {"tensorboard": RoleSpec("tensorboard", 2, Ask(512), "tensorboard --port 1"), "framework": "tensorflow"},
    ],
)
def test_what_words_cannot_say_is_refused(changes: dict[str, Any]) -> None:
    """Rather than read as something else."""
    with pytest.raises(UsageError) as refused:
        yarn_submitter.plan(dataclasses.replace(JOB, **changes))
    assert {problem.id for problem in refused.value.problems} & {"spec-not-words", "role-unknown"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (with_worker(resources="memory=1G"), "roles[0].resources should be an Ask, not 'memory=1G'."),
        (with_worker(resources=None), "roles[0].resources should be an Ask, not None."),
        (with_worker(localizations="data.csv:data"), "roles[0].localizations should be a tuple, not 'data.csv:data'."),
        (with_worker(mounts=("/a:/b",)), "roles[0].mounts[0] should be a Mount, not '/a:/b'."),
        (with_worker(command=["fit", "-v"]), "roles[0].command should be a text, not ['fit', '-v']."),
        (with_worker(image=None), "roles[0].image should be a text, not None."),
        ({"roles": Ask(1)}, "roles should be a tuple, not Ask(memory_mib=1, vcores=1, others={})."),
        ({"roles": ("worker",)}, "roles[0] should be a RoleSpec, not 'worker'."),
        ({"env": ["A=b"]}, "env should be a dict, not ['A=b']."),
        ({"env": {"A": None}}, "env['A'] should be a text, not None."),
        ({"tensorboard": True}, "tensorboard should be a RoleSpec, not True."),
        ({"secrets": ("K=@key",)}, "secrets[0] should be a Secret, not 'K=@key'."),
        ({"security": "key.tab"}, "security should be a Security, not 'key.tab'."),
        ({"max_runtime_s": (1, 2)}, "max_runtime_s should be a whole number, not (1, 2)."),
    ],
)
def test_a_value_of_another_type_is_refused(changes: dict[str, Any], sentence: str) -> None:
    """With the field that holds it, before anything is read."""
    for act in (yarn_submitter.plan, yarn_submitter.submit):
        with pytest.raises(UsageError) as refused:
            act(dataclasses.replace(JOB, **changes))
        assert [(problem.id, problem.sentence) for problem in refused.value.problems] == [("spec-type", sentence)]


def test_what_to_write_for_resources() -> None:
    """The text that was given is most likely the one that `Ask.of` takes; all fields are told at once."""
    job = dataclasses.replace(JOB, **with_worker(resources="memory=1G", env="A=b"))
    with pytest.raises(UsageError) as refused:
        yarn_submitter.plan(job)
    steps = [problem.next_step for problem in refused.value.problems]
    assert steps == ["write Ask.of('memory=1G')", ""]


def test_values_that_are_no_texts_are_read_as_texts() -> None:
    """`env={"N": 3}` and a list of roles are what people write."""
    found = checked(dataclasses.replace(JOB, env={"N": 3, "ON": True}, roles=[WORKER]), JobDefaults())  # type: ignore[arg-type,dict-item]
    assert (found.env, found.roles) == ({"N": "3", "ON": "True"}, (WORKER,))


@pytest.mark.parametrize("text", ["", "1G", "memory=1", "memory=1G,gpu=x"])
def test_resources_from_a_text(text: str) -> None:
    """In the grammar of `job run`, and with its problem."""
    assert Ask.of("memory=2G,vcores=3,gpu=1") == Ask(2048, 3, {"yarn.io/gpu": 1})
    with pytest.raises(UsageError, match="resources-form"):
        Ask.of(text)


def test_a_job_from_words_and_from_a_file(here: Path) -> None:
    """What a shell would pass, or the YAML form; warnings are told to who asks for them."""
    asked: list[str] = []
    by_words = yarn_submitter.job_from_words(
        [
            *("--name", "fit", "--framework", "generic", "--input_path", "", "--env", "A=1", "--env", "A=2"),
            *("--num_workers", "2", "--worker_resources", "memory=1G", "--worker_launch_cmd", "python3 fit.py"),
        ],
        warn=asked.append,
    )
    assert by_words == dataclasses.replace(JOB, env={"A": "2"})
    assert "more than once" in asked[0]
    (here / "job.yaml").write_text(
        "spec: {name: fit, framework: generic}\nconfigs: {input_path: ''}\n"
        "roles: {worker: {replicas: 2, resources: memory=1G, launch_cmd: python3 fit.py}}\n"
    )
    assert yarn_submitter.job_from_file("job.yaml") == JOB
    assert yarn_submitter.job_from_file(here / "job.yaml") == JOB
    with pytest.raises(UsageError, match="yaml-unreadable"):
        yarn_submitter.job_from_file("nothing-here")


@pytest.mark.parametrize("option", ["--cluster=sandbox", "--dry_run", "--detach", "--json", "--logs=all"])
def test_words_that_steer_the_command_are_refused(option: str) -> None:
    """They would be lost."""
    with pytest.raises(UsageError, match="control-option") as refused:
        yarn_submitter.job_from_words([*words(JOB), option])
    assert option.partition("=")[0] in refused.value.problems[0].sentence


def test_a_plan_is_of_the_files_as_they_were(here: Path) -> None:
    """What was looked at is what is submitted, or nothing is."""
    job = dataclasses.replace(JOB, source_dir="src")
    planned = yarn_submitter.plan(job)
    assert planned.document()["roles"]["worker"]["instances"] == 2
    (here / "src" / "fit.py").write_text("something else")
    with pytest.raises(UsageError, match="plan-outdated"):
        yarn_submitter.submit(planned)


def test_a_site_completes_jobs_and_names_resources(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the configuration gives to a job of `job run`, it gives to one by hand; a word of the job's own wins."""
    (here / "site.yaml").write_text("queue: ml\nenv: {A: site, B: site}\nprofiles: {small: 'memory=2G,vcores=3'}\n")
    monkeypatch.setenv("YARN_SUBMITTER_SITE_FILE", str(here / "site.yaml"))
    named = ["--name=fit", "--framework=generic", "--input_path=", "--worker_resources=small", "--env=A=job"]
    spec = yarn_submitter.job_from_words([*named, "--worker_launch_cmd=true"])
    assert (spec.roles[0].resources, spec.queue, spec.env) == (Ask(2048, 3), "default", {"A": "job"})
    planned = yarn_submitter.plan(spec)
    assert (planned.spec.queue, planned.spec.env) == ("ml", {"A": "job", "B": "site"})
    assert yarn_submitter.plan(planned.spec) == planned


def test_a_file_that_cannot_be_read() -> None:
    """Is a problem, too (the first page of a process's memory is nobody's)."""
    with pytest.raises(UsageError, match="file-unreadable"):
        yarn_submitter.plan(dataclasses.replace(JOB, localizations=(Localization("/proc/self/mem", "x"),)))
