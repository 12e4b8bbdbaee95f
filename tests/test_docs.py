"""Documentation is tried like code: links lead somewhere, error ids are explained, commands can be typed."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import fnmatch
import importlib
import itertools
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from am.agent import faults
from am.contract import states
from am.contract.job import Limits
from yarn_submitter.cli import VERBS
from yarn_submitter.frameworks import failure_table
from yarn_submitter.load import load
from yarn_submitter.options import BY_NAME, FLAG, OPTIONS, REPEATABLE

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "README.md",
]
MODULES = sorted(path for top in ("am", "yarn_submitter") for path in (ROOT / top).rglob("*.py"))
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ID = re.compile(r"[a-z]+(-[a-z0-9]+)+\Z")


def page_name(page: Path) -> str:
    """Return a page as it is written in the project."""
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return what a link may name within a page: its headings, as they are written in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the project names a file that is there, and a heading of it."""
    broken = []
    for link in LINK.findall(prose(page)):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_found() -> None:
    """Each page of docs/ is linked from the README or from a page that is."""
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        found.add(page)
        links = [
            (page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(page)) if "://" not in link
        ]
        todo += [link for link in links if link.suffix == ".md" and link.exists() and link not in found]
    assert [page_name(page) for page in PAGES if page not in found] == []


def ids_in_code() -> dict[str, str]:
    """Return error id -> a place that raises it."""
    found: dict[str, str] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for problem_id in given_ids(node):
                found.setdefault(problem_id, f"{page_name(path)}:{getattr(node, 'lineno', 0)}")
    return found


def given_ids(node: ast.AST) -> Iterator[str]:
    """Yield what is an error id by its place in the code: of a Problem, a verdict, a lost task, a refused request."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        places = {"Problem": 0, "add": 0, "FailureError": 1, "JobEnded": 4, "never_up": 4, "lose": 4, "end_now": 2,
                  "LoseTask": 1, "Refusal": 1, "_problem": 1, "replace": -1}.get(name)  # fmt: skip
        values = [keyword.value for keyword in node.keywords if keyword.arg in ("problem", "id")]
        values += [node.args[places]] if places is not None and 0 <= places < len(node.args) else []
        yield from (text for value in values for text in texts(value))
    elif isinstance(node, ast.Return) and node.value is not None:
        first = node.value.elts[0] if isinstance(node.value, ast.Tuple) and node.value.elts else node.value
        yield from (text for text in texts(first) if "-" in text)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from re.findall(r"(?<= )\[([a-z]+(?:-[a-z0-9]+)+)\]", node.value)
    elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "problem" for target in node.targets):
        yield from texts(node.value)


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the ids that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and ID.match(node.value):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "*" for part in node.values]
        pattern = "".join(str(part) for part in parts)
        if ID.match(pattern.replace("*", "x")):
            yield pattern
    elif isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.BoolOp):
        yield from (text for value in node.values for text in texts(value))


def explained() -> list[list[str]]:
    """Return the rows of docs/errors.md."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line.startswith("| ")
    ]
    return [row for row in rows if row[0].strip() not in ("id", "---")]


def test_every_error_is_explained() -> None:
    """docs/errors.md has one line for each id in the code, and for no other."""
    in_code, on_page = ids_in_code(), [row[0].strip() for row in explained()]
    words = {
        word
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in re.findall(r"[\w-]+", node.value)
    }
    patterns = [pattern for pattern in in_code if "*" in pattern]
    wrong = {
        "not explained": {key: place for key, place in sorted(in_code.items()) if not fnmatch.filter(on_page, key)},
        "explained, not in the code": sorted(
            key for key in set(on_page) - words if not any(fnmatch.fnmatch(key, pattern) for pattern in patterns)
        ),
        "explained twice": sorted({key for key in on_page if on_page.count(key) > 1}),
    }
    assert wrong == {"not explained": {}, "explained, not in the code": [], "explained twice": []}


def test_every_explanation_is_whole() -> None:
    """Four cells: id, exit code, what it means, what to do."""
    assert [row for row in explained() if len(row) != 4 or not all(cell.strip(" |") for cell in row)] == []


def commands(page: Path) -> Iterator[str]:
    """Yield each `job` command line in a page's blocks `sh` and `console`, continued lines put together."""
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language not in ("sh", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            typed = line.strip().split(" # ")[0].strip()
            if language == "console" and not typed.startswith("$ "):
                continue  # what the command answered
            words = typed.removeprefix("$ ").split()
            if Path(words[0]).name == "job" and "..." not in words:
                yield typed.removeprefix("$ ")


SHOWN = [(page_name(page), command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_shown_command_can_be_typed(page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `job` command of the documentation is one that the program takes."""
    words = shlex.split(command)[1:]
    assert words[0] in VERBS or words[0].startswith("-"), command
    if words[0] == "run":
        monkeypatch.chdir(tmp_path)
        make_what_it_names(words[1:])
        load(words[1:])
    elif words[0] in VERBS:
        module = importlib.import_module(f"yarn_submitter.cli.{words[0]}")
        parser = argparse.ArgumentParser(f"job {words[0]}", allow_abbrev=False)
        module.configure(parser)
        parser.parse_args(words[1:])


def make_what_it_names(words: list[str]) -> None:
    """Put the local files of a command line into the current directory."""
    for option, value in itertools.pairwise(words):
        if option == "--localization" and "://" not in value:
            path = Path(value.split("#")[0].split(":")[0])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        elif option == "--src":
            Path(value).mkdir(parents=True, exist_ok=True)
        elif option == "-f":
            Path(value).parent.mkdir(parents=True, exist_ok=True)
            source = ROOT / value
            assert source.exists(), value
            Path(value).write_text(source.read_text())


def test_there_are_commands_to_try() -> None:
    """The pattern that finds commands finds some on the pages that have most."""
    assert {"README.md", "examples/README.md", "docs/quickstart.md"} <= {page for page, _ in SHOWN}


def option_table() -> str:
    """Return the option table as docs/job-run.md has it."""
    lines = ["| option | value | default | |", "|---|---|---|---|"]
    for option in OPTIONS:
        value = option.placeholder or ("" if option.kind == FLAG else ", ".join(option.choices) or option.kind)
        again = " (repeatable)" if option.kind in REPEATABLE else ""
        value = f"`{value}`{again}".replace("|", "\\|") if value else ""
        lines.append(f"| `{option.typed}` | {value} | {option.default} | {option.help.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def test_the_option_table_is_the_programs(pytestconfig: pytest.Config) -> None:
    """docs/job-run.md shows each option as options.py has it (`pytest --update` writes it); no other one is named."""
    path = ROOT / "docs" / "job-run.md"
    page = path.read_text(encoding="utf-8")
    table = re.compile(r"^\| option .*?\n(?!\|)", re.DOTALL | re.MULTILINE)
    if pytestconfig.getoption("--update"):
        page = table.sub(lambda _: option_table(), page)
        path.write_text(page, encoding="utf-8")
    assert table.findall(page) == [option_table()]
    mentioned = set(re.findall(r"(?<![\w-])--(\w+)", page)) - {"help", "option"}
    assert mentioned - set(BY_NAME) == set()


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table as pages have it."""
    lines = [f"| {' | '.join(row)} |" for row in (heads, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(heads)}", *lines[1:], ""])


def fault_rows(known: dict[str, faults.Fault]) -> list[tuple[str, ...]]:
    """Return rows of the table of faults; ends that mean the same share one."""
    shared: dict[faults.Fault, list[str]] = {}
    for name, fault in known.items():
        shared.setdefault(fault, []).append(name)
    return [
        (", ".join(names), fault.name, fault.whose, "yes" if fault.retry else "no", fault.advice or "-")
        for fault, names in shared.items()
    ]


def failures_page() -> dict[str, str]:
    """Return what docs/failures.md takes from the code: name of a part -> its text."""
    drawn = (states.__doc__ or "").partition("\n\n")[2].strip("\n")
    codes = [code for code in faults.EXITS if code] + sorted(128 + number for number in faults.SIGNALS)
    exits = {
        **{str(code): faults.of_exit(code) for code in codes},
        "128 and another signal": dataclasses.replace(faults.of_exit(128 + signal.SIGUSR1), name="the signal's name"),
        "any other": faults.of_exit(3),
    }
    heads = ("what happened", "whose", "again", "what to do")
    return {
        "states": f"```\n{drawn}\n```\n",
        "frameworks": table(("framework", "task", "on_failure", "on_loss"), list(failure_table())),
        "problems": table(("id", *heads), fault_rows({f"`{key}`": fault for key, fault in faults.PROBLEMS.items()})),
        "exits": table(("code", *heads), fault_rows(exits)),
        "containers": table(
            ("code", *heads), fault_rows({str(code): fault for code, fault in faults.CONTAINERS.items()})
        ),
        "statuses": table(
            ("status", "id", *heads),
            [
                (
                    row[0],
                    f"`{faults.STATUS_PROBLEMS[code]}`" if code in faults.STATUS_PROBLEMS else "what else is known",
                    *row[1:],
                )
                for code, fault in faults.STATUSES.items()
                for row in fault_rows({str(code): fault})
            ],
        ),
    }


def test_the_page_of_failures_is_the_codes(pytestconfig: pytest.Config) -> None:
    """docs/failures.md shows states, faults and what follows as the code has them (`pytest --update` writes it)."""
    path = ROOT / "docs" / "failures.md"
    page = path.read_text(encoding="utf-8")
    part = re.compile(r"(?<=^<!-- generated: )(\w+)( -->\n)(.*?)(?=^<!-- end -->$)", re.DOTALL | re.MULTILINE)
    wanted = failures_page()
    if pytestconfig.getoption("--update"):
        page = part.sub(lambda found: found[1] + found[2] + wanted[found[1]], page)
        path.write_text(page, encoding="utf-8")
    assert {found[1]: found[3] for found in part.finditer(page)} == wanted


def test_the_limits_of_the_page_of_failures_are_the_jobs() -> None:
    """docs/failures.md names each limit with the value that it has when nobody sets it."""
    page = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    named = {name: int(value) for name, value in re.findall(r"`(\w+)` (\d+)\b", page)}
    assert named == {field.name: field.default for field in dataclasses.fields(Limits)}


def test_the_page_of_failures_names_known_errors() -> None:
    """Each id on docs/failures.md is explained, but for those of a table that is generated."""
    page = re.sub(r"<!-- generated.*?<!-- end -->", "", (ROOT / "docs" / "failures.md").read_text(), flags=re.DOTALL)
    known = {row[0].strip() for row in explained()}
    words = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", page))
    assert words - known - {"restart-task", "restart-job"} == set()


def test_no_page_speaks_of_this_machine() -> None:
    """No path of a machine on which this was written stands in what goes out."""
    places = re.compile(r"(?<![\w.])/(work|root|tmp/pytest)\b")
    skipped = {".git", ".venv", "build", "dist"}
    files = [
        path
        for path in ROOT.rglob("*")
        if path.suffix in (".md", ".py", ".toml", ".yaml", ".xml", ".json", ".list")
        and not skipped & {part for part in path.relative_to(ROOT).parts if part in skipped or part.startswith(".")}
    ]
    found = [
        f"{page_name(path)}:{number}: {line.strip()[:80]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if places.search(line)
    ]
    assert found == []
