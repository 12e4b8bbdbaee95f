"""What may be said of restarts, elastic roles, the order of starts, and deadlines; and what is refused of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from language_world import JOB, MXNET, PS, SCHEDULER, YAML, faults, make_files, planned, spec_of

from am.contract.job import AFTER_FAILURE, Limits
from yarn_submitter.frameworks import FRAMEWORK, failure_table
from yarn_submitter.load import load
from yarn_submitter.localfiles import describe
from yarn_submitter.plan import plan
from yarn_submitter.spec import JobLimits, JobSpec, RoleSpec
from yarn_submitter.units import Ask

GENERIC = ["--name", "fit", "--framework", "generic"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def role(name: str, *more: str, **options: str) -> list[str]:
    """Return the words of a generic role: `more` stands behind its name, `options` are of --role_*."""
    rest = ",".join(["memory=1G", *more])
    words = ["--role", f"{name}:{rest}", "--role_cmd", f"{name}=run"]
    return words + [word for option, text in options.items() for word in (f"--role_{option}", f"{name}={text}")]


def job_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return job.json with placeholders."""
    found: dict[str, Any] = document["plan"]["job"]
    return found


def after(*words: str) -> dict[str, tuple[str, str]]:
    """Return role -> what follows when it fails, and when it is lost."""
    document = planned(*words)
    told = {name: (item["on_failure"], item["on_loss"]) for name, item in document["roles"].items()}
    roles = {item["name"]: (item["on_failure"], item["on_loss"]) for item in job_of(document)["roles"]}
    assert list(roles.values())[: len(told)] == list(told.values())
    return roles


ONE, ALL = ("restart-task", "restart-task"), ("restart-job", "restart-job")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            [*JOB, *PS, "--num_workers", "2", *role("chief"), *role("evaluator"), "--tensorboard"],
            {
                "chief": ALL,
                "worker": ONE,
                "ps": ("fatal", "restart-job"),
                "evaluator": ONE,
                "tensorboard": ("ignore", "restart-task"),
            },
        ),
        ([*JOB, "--num_workers", "2"], {"worker": ALL}),
        ([*JOB, "--num_workers", "2", *role("chief")], {"chief": ALL, "worker": ALL}),
        (["--name", "x", "--num_workers", "0", "--tensorboard"], {"tensorboard": ONE}),
        ([*JOB, "--framework", "pytorch", "--num_workers", "2"], {"worker": ALL}),
        ([*JOB, "--framework", "pytorch", "--num_workers", "2:2"], {"worker": ALL}),
        ([*JOB, "--framework", "pytorch", "--num_workers", "1:2"], {"worker": ONE}),
        ([*MXNET, *PS, *SCHEDULER], {"worker": ALL, "server": ALL, "scheduler": ALL}),
        ([*JOB, "--framework", "horovod"], {"worker": ALL}),
        ([*JOB, "--framework", "jax"], {"worker": ALL}),
        ([*GENERIC, *role("x", "instances=1:2"), *role("y")], {"x": ONE, "y": ONE}),
    ],
)
def test_what_follows_by_default(words: list[str], expected: dict[str, tuple[str, str]]) -> None:
    """Each framework has its table, and job.json has the answer for every role."""
    assert after(*words) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"on_failure": "fatal"}, ("fatal", "restart-task")),
        ({"on_failure": "FAIL"}, ("fatal", "restart-task")),
        ({"on_loss": "fatal"}, ("restart-task", "fatal")),
        ({"on_failure": "ignore"}, ("ignore", "restart-task")),
        ({"on_failure": "ignore", "on_loss": "ignore"}, ("ignore", "ignore")),
        ({"on_failure": "restart-job"}, ("restart-job", "restart-task")),
    ],
)
def test_what_a_role_says_wins(options: dict[str, str], expected: tuple[str, str]) -> None:
    """Each of the two on its own; a role whose failures are ignored gets lost tasks back."""
    assert after(*GENERIC, *role("x", **options)) == {"x": expected}


def test_an_ignored_worker_comes_back_alone() -> None:
    """Where a loss would start the whole job again, it does not for a role whose failures are ignored."""
    assert after(*JOB, "--framework", "jax", "--role_on_failure", "worker=ignore")["worker"] == (
        "ignore",
        "restart-task",
    )


def test_the_table_is_whole() -> None:
    """Every framework and each of its roles, as its tasks are called, has a row of known words."""
    rows = failure_table()
    assert len({row[:2] for row in rows}) == len(rows)
    assert {word for row in rows for word in row[2:]} <= set(AFTER_FAILURE)
    for name, framework in FRAMEWORK.items():
        told = {role.partition(",")[0] for framework_name, role, *_ in rows if framework_name == name}
        known = {framework.calls.get(role, role) for role in framework.roles} or {"any"}
        assert told - {"tensorboard"} == known


def test_the_records_of_an_older_version() -> None:
    """They say `fail` where nobody said anything."""
    role = RoleSpec("worker", 1, Ask(1), "run", on_failure="fail")
    (made,) = plan(JobSpec("x", "jax", (role,)), {}).job["roles"]
    assert (made["on_failure"], made["on_loss"]) == ("fatal", "restart-job")


def test_restarts_that_cannot_be() -> None:
    """on_failure restarts only with --max_restarts, which is told; the default of a framework is nobody's wish."""
    words = [*GENERIC, *role("x", on_failure="restart-task"), *role("y")]
    assert load(words)[1].warnings == ("role x: on_failure restart-task has no effect without --max_restarts",)
    assert load([*words, "--max_restarts", "1"])[1].warnings == ()


@pytest.mark.parametrize("text", ["2:4", "02:4"])
def test_elastic_roles(text: str) -> None:
    """As an option, in --role, and in a file without quotes, which YAML 1.1 would take for 124 in base 60."""
    pytorch = [*JOB, "--framework", "pytorch"]
    in_file = YAML.replace("replicas: 2", f"replicas: {text}").replace("name: fit", "name: fit, framework: pytorch")
    for spec in (
        spec_of(*pytorch, "--num_workers", text),
        spec_of(yaml=in_file),
        spec_of(yaml=in_file.replace(text, f'"{text}"')),
        spec_of(*GENERIC, *role("worker", f"instances={text}"), "--input_path", ""),
    ):
        (worker,) = spec.roles
        assert (worker.min_instances, worker.instances) == (2, 4)
    document = planned(*pytorch, "--num_workers", text)
    assert (document["roles"]["worker"]["min_instances"], document["roles"]["worker"]["instances"]) == (2, 4)
    assert job_of(document)["roles"][0]["min_instances"] == 2
    assert document["plan"]["application"]["services"]["worker"]["instances"] == 4
    assert spec_of(*pytorch, "--num_workers", " 2 : 4 ").roles == spec_of(*pytorch, "--num_workers", text).roles
    fixed = planned(*pytorch, "--num_workers", "3")["roles"]["worker"]
    assert (fixed["min_instances"], fixed["instances"]) == (3, 3)


@pytest.mark.parametrize("text", ["4:2", "0:2", ":2", "2:", "1:2:3", "a:b", "1:100001", "-1:2", "9" * 5000 + ":1"])
def test_wrong_ranges_of_tasks(text: str) -> None:
    """What is no MIN:MAX is told with an example, and is the only fault."""
    (problem,) = faults(*JOB, "--num_workers", text)
    assert (problem.id, "for example 2:4" in problem.next_step) == ("value-not-a-number", True)


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ([*JOB, "--num_workers", "2:4"], "--num_workers"),
        ([*JOB, "--framework", "jax", "--num_workers", "1:4"], "--num_workers"),
        ([*MXNET, *PS[2:], "--num_ps", "1:2", *SCHEDULER], "--num_ps"),
        ([*JOB, *role("evaluator", "instances=1:2")], "--role evaluator"),
    ],
)
def test_frameworks_that_are_not_elastic(words: list[str], source: str) -> None:
    """They need every task that they were told of."""
    (problem,) = faults(*words)
    assert (problem.id, problem.sentence.partition(": ")[0]) == ("role-not-elastic", source)


def test_who_starts_first_come() -> None:
    """Generic roles; those that read one another's addresses cannot, and are refused."""
    document = planned(*GENERIC, *role("x", start="First-Come"), *role("y"))
    assert [item["start"] for item in job_of(document)["roles"]] == ["first-come", "together"]
    (problem,) = faults(*JOB, "--role_start", "worker=first-come")
    assert (problem.id, "--framework generic" in problem.next_step) == ("role-not-first-come", True)
    (problem,) = faults(*GENERIC, *role("x", start="frist-come"))
    assert (problem.id, problem.evidence) == ("value-unknown", "valid: together, first-come; did you mean first-come?")


def test_the_order_of_starts() -> None:
    """As texts with commas, given again, as a list or as a text of a file; MXNet's ps are called server."""
    three = [*role("a"), *role("b"), *role("c", depends_on="a, b:Succeeded")]
    expected = ["a", "b:succeeded"]
    assert job_of(planned(*GENERIC, *three))["roles"][2]["depends_on"] == expected
    again = [*role("a"), *role("b"), *role("c", depends_on="a"), "--role_depends_on", "c=b:succeeded"]
    assert job_of(planned(*GENERIC, *again))["roles"][2]["depends_on"] == expected
    for text in ("[a, b:succeeded]", "a,b:succeeded", '["a", "b:succeeded"]', "\n      - a\n      - b:succeeded"):
        lines = "".join(f"  {name}: {{resources: memory=1G, launch_cmd: run}}\n" for name in "ab")
        file = f"spec: {{name: x, framework: generic}}\nconfigs: {{}}\nroles:\n{lines}"
        file += f"  c:\n    resources: memory=1G\n    launch_cmd: run\n    depends_on: {text}\n"
        assert job_of(planned(yaml=file))["roles"][2]["depends_on"] == expected
    mxnet = job_of(planned(*MXNET, *PS, *SCHEDULER, "--role_depends_on", "worker=ps,scheduler"))
    assert mxnet["roles"][0]["depends_on"] == ["server", "scheduler"]


@pytest.mark.parametrize(
    ("words", "problem_id", "pieces"),
    [
        ([*GENERIC, *role("loader"), *role("b", depends_on="laoder")], "role-unknown", ["'laoder'", "mean loader?"]),
        ([*JOB, "--role_depends_on", "worker=ps"], "role-unknown", ["role worker depends on 'ps'"]),
        ([*GENERIC, *role("a", depends_on="a")], "role-cycle", ["role a depends on itself"]),
        (
            [*GENERIC, *role("a", depends_on="b"), *role("b", depends_on="c:succeeded"), *role("c", depends_on="a")],
            "role-cycle",
            ["a -> b -> c -> a", "take b out of what a depends on"],
        ),
        (
            [*JOB, *PS, "--num_workers", "2", "--role_depends_on", "worker=ps:succeeded"],
            "role-never-succeeds",
            ["role worker waits for ps to succeed", "write ps:"],
        ),
        (
            [*GENERIC, *role("a", on_loss="ignore"), *role("b", depends_on="a:succeeded")],
            "role-never-succeeds",
            ["role b waits for a to succeed, which may fail and never do so"],
        ),
        ([*GENERIC, *role("a"), *role("b", depends_on="a:done")], "value-unknown", ["'done'", "valid: succeeded"]),
    ],
)
def test_orders_that_cannot_be(words: list[str], problem_id: str, pieces: list[str]) -> None:
    """Each is one fault that names the roles."""
    (problem,) = faults(*words)
    assert problem.id == problem_id
    for piece in pieces:
        assert piece in problem.text()


def test_large_orders_are_read_at_once() -> None:
    """Fifty roles, each of which waits for all before it, have more paths than anybody can walk."""
    names = [f"r{n}" for n in range(50)]
    words = [
        word
        for n, name in enumerate(names)
        for word in role(name, **({"depends_on": ",".join(names[:n])} if n else {}))
    ]
    assert len(spec_of(*GENERIC, *words).roles) == 50


def test_deadlines_of_a_job_win_over_the_sites() -> None:
    """What the job does not say stays the site's; `none` and 0 are no limit."""
    words = ["--gang_timeout", "None", "--gang_tries", "0", "--queue_timeout", "1h30m", "--stop_grace", "5s"]
    spec = spec_of(*JOB, *words, "--stall_timeout", "0")
    assert spec.limits == JobLimits(0, 0, 5400, 0, None, 5)
    site = Limits(gang_hold_s=7, gang_tries=3, gpu_idle_s=8, stall_s=9, call_s=11)
    made = plan(spec, {path: describe(path) for path in ()}, site).job["limits"]
    expected = Limits(
        gang_hold_s=0, gang_tries=0, queue_wait_s=5400, stall_s=0, gpu_idle_s=8, stop_grace_s=5, call_s=11
    )
    assert made == dataclasses.asdict(expected)


@pytest.mark.parametrize(
    ("words", "problem_id", "piece"),
    [
        (["--gang_timeout", "5"], "duration-form", "write for example 90m"),
        (["--stop_grace", "none"], "duration-form", "--stop_grace"),
        (["--stop_grace", "0s"], "duration-form", "no time at all"),
        (["--gang_tries", "-1"], "value-not-a-number", "from 0 to"),
        (["--max_restarts", "many"], "value-not-a-number", "--max_restarts"),
        (["--am_attempts", "0"], "value-not-a-number", "from 1 to 100"),
        (["--port_range", "20000"], "port-range-form", "20000-20999"),
        (["--port_range", "80-90"], "port-range-form", "from 1024 to 65535"),
        (["--port_range", "30000-20000"], "port-range-form", "the smaller one first"),
        (["--port_range", "20000-20000"], "port-range-form", "2 or more"),
        (["--port_range", "20000-65536"], "port-range-form", "20000-65536"),
        (["--role_on_loss", "worker=restart"], "value-unknown", "did you mean restart-job?"),
    ],
)
def test_wrong_values(words: list[str], problem_id: str, piece: str) -> None:
    """Each is one fault that names the option and what is valid."""
    (problem,) = faults(*JOB, *words)
    assert (problem.id, piece in problem.text()) == (problem_id, True)
