"""The package as a program sees it: cheap to import, its names typed and documented, its page true."""

from __future__ import annotations

import ast
import doctest
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import yarn_submitter

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "python-api.md"
# Prints, for some code, which modules it has imported beyond what Python itself needs.
PROBE = """
import json, sys
before = set(sys.modules)
exec(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""
USER = """
from yarn_submitter import Ask, Job, JobSpec, LogLine, RoleSpec, SubmitterError, as_completed, attach, plan, submit
import yarn_submitter.plan

def best(names: list[str]) -> dict[str, int]:
    jobs: list[Job] = [submit(plan(JobSpec(name, "generic", (RoleSpec("a", 1, Ask(1), "true"),)))) for name in names]
    lines: list[LogLine] = list(attach("fit").logs(follow=True))
    return {job.name: job.wait(timeout_s=1.0).exit_code for job in as_completed(jobs)}

reveal_type(yarn_submitter.submit)
wrong: int = attach("fit").state
yarn_submitter.no_such_name
"""


def imported(code: str) -> list[str]:
    """Return what some code imports, in a process of its own."""
    command = [sys.executable, "-c", PROBE, code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [str(name) for name in json.loads(done.stdout)]


def test_the_import_is_cheap() -> None:
    """It brings no other module of ours; a description brings no network, a plan no cluster."""
    assert [name for name in imported("import yarn_submitter") if name not in sys.stdlib_module_names] == [
        "yarn_submitter"
    ]
    described = imported("from yarn_submitter import JobSpec, RoleSpec, Ask, SubmitterError")
    assert not {"urllib3", "ssl", "yaml", "yarn_submitter.api"} & set(described)
    planned = imported("from yarn_submitter import *; from yarn_submitter import plan; plan")
    assert not {"skein", "grpc", "requests", "hdfs", "aiohttp", "yaml", "asyncio"} & set(planned)
    only_plan = imported("from yarn_submitter import plan")
    assert not {"urllib3", "ssl", "yarn_submitter.job"} & set(only_plan)


def test_every_name_is_there_typed_and_documented() -> None:
    """What is offered at run time is what type checkers are told, and each has a docstring."""
    tree = ast.parse(Path(yarn_submitter.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {*told, "__version__"} == set(yarn_submitter.__all__)
    found = {name: getattr(yarn_submitter, name) for name in yarn_submitter.__all__}
    assert [name for name, value in found.items() if name != "__version__" and not inspect.getdoc(value)] == []
    assert set(yarn_submitter.__all__) <= set(dir(yarn_submitter))
    assert re.match(r"\d+\.\d+\.\d+", yarn_submitter.__version__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = yarn_submitter.no_such_name  # type: ignore[attr-defined]


def test_functions_and_methods_show_how_they_are_used() -> None:
    """Each that does something has an example in its docstring."""
    doing: list[Any] = [
        value for name in yarn_submitter.__all__ if inspect.isfunction(value := getattr(yarn_submitter, name))
    ]
    doing += [yarn_submitter.Job.wait, yarn_submitter.Job.logs, yarn_submitter.Job.kill, yarn_submitter.Job]
    assert len(doing) > 8
    assert [value.__qualname__ for value in doing if not re.search(r"\n\n    \S", inspect.getdoc(value) or "")] == []


def test_plan_and_submit_are_functions_whatever_was_imported() -> None:
    """Modules have these names, too; importing them does not put them into the functions' place."""
    code = (
        "import yarn_submitter.plan, yarn_submitter.submit; from yarn_submitter.plan import SubmissionPlan\n"
        "from yarn_submitter import plan, submit\n"
        "assert callable(plan) and callable(submit) and callable(yarn_submitter.plan)\n"
        "assert sys.modules['yarn_submitter.plan'].SubmissionPlan is SubmissionPlan"
    )
    assert "yarn_submitter.plan" in imported(code)


def test_programs_are_type_checked(tmp_path: Path) -> None:
    """With mypy's strict rules: right uses pass, the page's first program among them, and wrong ones are found."""
    (on_the_page,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    for name, program in (("page.py", on_the_page), ("program.py", USER)):
        (tmp_path / name).write_text(program)
    files = ["page.py", "program.py"]
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(("program.py", "Found 2 errors in 1 file"))] == []
    found = [line.partition(": ")[2] for line in lines if line.startswith("program.py")]
    assert [line for line in found if line.startswith("error")] == [
        'error: Incompatible types in assignment (expression has type "str", variable has type "int")  [assignment]',
        'error: Module has no attribute "no_such_name"  [attr-defined]',
    ]
    (revealed,) = [line for line in found if line.startswith("note")]
    assert "yarn_submitter.job.Job" in revealed


def test_the_package_says_that_it_is_typed() -> None:
    """Both packages of the wheel carry py.typed."""
    assert [(ROOT / package / "py.typed").exists() for package in ("am", "yarn_submitter")] == [True, True]


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/python-api.md types gives what it shows, and its tables name what there is, with its arguments."""
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    sessions = "\n".join(re.findall(r"^```pycon\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    example = doctest.DocTestParser().get_doctest(sessions, {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert (result.failed, result.attempted > 5) == (0, True), "".join(said)
    for shown, name, arguments in re.findall(r"`((\w+)\(([^`]*)\))`", text):
        value = getattr(yarn_submitter, name, None) or getattr(yarn_submitter.Job, name)
        known = inspect.signature(value).parameters
        given = [argument.partition("=")[0].strip() for argument in arguments.split(",")]
        assert [word for word in given if word.isidentifier() and word not in {*known, "spec"}] == [], shown
    attributes = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| of a.*?\n\n", text, re.DOTALL | re.MULTILINE)))
    views = {*yarn_submitter.JobEnded.__annotations__, "role", "index", "application", "agent", "Job"}
    assert [name for name in attributes if name not in dir(yarn_submitter.Job) and name not in views
            and name not in yarn_submitter.Job.__annotations__ and name != "on_change"] == []  # fmt: skip
