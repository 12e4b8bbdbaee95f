"""The codec: what is written is read back, and what does not fit is named."""

# ruff: noqa: UP006, UP045  the forms that the contract has to use
import dataclasses
import json
import typing

import pytest

from am.contract.codec import ContractError, from_json, to_json
from am.contract.job import JobPaths, JobPlan, Limits, Quicklink, Resources, RolePlan, output_dir, split_task, task_name

RULES = ("ignore", "restart-task", 1, "first-come", ("ps:succeeded",), True)
FULL = JobPlan(
    id="20260102-030405-abcd",
    name="digits",
    user="alice",
    framework="generic",
    queue="ml",
    roles=(
        RolePlan("master", 2, Resources(512, 3, 1), "echo 'a b' \"$X\"", {"X": "1,2=ü", "EMPTY": ""}, False, *RULES),
        RolePlan("worker", 4, Resources(2048, 2, 2), "line 1\nline 2", {"Y": "2"}, False, *RULES),
    ),
    main_task="master:1",
    done_when="chief",
    tf_worker0="master",
    input_path="hdfs:///in",
    checkpoint_path="/ckpt",
    saved_model_path="hdfs://c/model",
    data_dir="in",
    job_dir="/apps/alice/jobs/1",
    webhdfs=("http://a:9870", "http://b:9870"),
    agent_ports=(40001, 40002),
    has_source=True,
    secrets=("KEY", "./key.pem"),
    quicklinks=(Quicklink("ui", "https", "worker:0", 8080),),
    max_restarts=3,
    max_attempts=2,
    port_range=(40000, 40100),
    limits=Limits(*range(1, 13)),
    format=7,
)


@dataclasses.dataclass(frozen=True)
class Inner:
    """A value in a value."""

    number: int
    share: float = 0.5


@dataclasses.dataclass(frozen=True)
class Outer:
    """One field of every kind that the contract uses."""

    name: str
    flag: bool
    inner: Inner
    many: typing.Tuple[Inner, ...]
    named: typing.Dict[str, typing.Tuple[str, ...]]
    maybe: typing.Optional[Inner] = None
    any: typing.Any = None


OUTER = Outer("n", True, Inner(1, 2.5), (Inner(2), Inner(3)), {"a": ("x", "y"), "b": ()}, Inner(4), {"k": [1, None]})


def field_values(value) -> dict:
    """Return a dataclass's fields by name."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def defaults(kind) -> dict:
    """Return the defaults of a dataclass's fields that have one."""
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def test_every_kind_of_field_comes_back():
    """Scalars, nested values, tuples, dictionaries and optional values survive JSON."""
    assert from_json(Outer, json.loads(json.dumps(to_json(OUTER)))) == OUTER


def test_job_json_comes_back_whole():
    """Every field of a JobPlan and of what it holds, none at its default, survives job.json."""
    for value in (FULL, FULL.limits, *FULL.roles, *(role.resources for role in FULL.roles)):
        same = {name for name, default in defaults(type(value)).items() if field_values(value)[name] == default}
        assert not same, f"{type(value).__name__} has fields at their default: {same}"
    assert JobPlan.from_text(FULL.to_text()) == FULL


def test_the_same_plan_gives_the_same_text():
    """job.json does not depend on the order in which dictionaries were filled."""
    turned = dataclasses.replace(FULL.roles[0], env=dict(reversed(FULL.roles[0].env.items())))
    other = dataclasses.replace(FULL, roles=(turned, FULL.roles[1]))
    assert other.to_text() == FULL.to_text()
    assert FULL.to_text().endswith("}\n")


def test_a_reader_takes_what_it_does_not_know_and_what_is_missing():
    """Unknown fields are passed over; missing ones get their default."""
    assert from_json(Inner, {"number": 1, "new": [1]}) == Inner(1, 0.5)
    assert from_json(Inner, {"number": 1, "share": 2}) == Inner(1, 2.0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"share": 1.0}, "Inner.number is missing"),
        ({"number": "1"}, "Inner.number must be of type int, not '1'"),
        ({"number": True}, "Inner.number must be of type int"),
        ({"number": 1, "share": "x"}, "Inner.share must be a number"),
        ({"number": 1, "share": False}, "Inner.share must be a number"),
        ([], "Inner must be an object"),
        (None, "Inner must be an object"),
    ],
)
def test_what_does_not_fit_is_named(data, words):
    """The message holds the path of the field."""
    with pytest.raises(ContractError, match=words):
        from_json(Inner, data)


def test_the_path_leads_into_lists_and_objects():
    """Nested fields are named with their place."""
    data = to_json(OUTER)
    data["many"][1]["number"] = None
    with pytest.raises(ContractError, match=r"Outer\.many\[1\]\.number"):
        from_json(Outer, data)
    data = to_json(OUTER)
    data["named"]["a"] = "x"
    with pytest.raises(ContractError, match=r"Outer\.named\.a must be a list"):
        from_json(Outer, data)


def test_paths_and_names_have_one_owner():
    """Names of tasks turn around; a role may hold a colon; output lies below the job, without one."""
    assert split_task(task_name("worker", 12)) == ("worker", 12)
    assert output_dir("/jobs/1", "worker:12") == "/jobs/1/output/worker-12"
    assert JobPaths("/apps/alice").job("1") == "/apps/alice/jobs/1"
    with pytest.raises(KeyError):
        FULL.role("ps")
    assert FULL.role("worker").instances == 4
