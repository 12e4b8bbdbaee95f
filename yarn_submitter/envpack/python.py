"""Ask another interpreter (any CPython from 3.7 on) to describe itself, to compile, and to prove that it works."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yarn_submitter.envpack.archive import Entry
from yarn_submitter.errors import Problem, StagingError
from yarn_submitter.scratch import child, memory_log, said_in, with_space

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarn_submitter.envpack.tree import Interpreter

COMPILERS = 2
PROOF_LIMIT_S = 300
INSIDE = Path(__file__).with_name("inside.py")
PYC_HEADER = b"\1\0\0\0" + b"\0" * 8  # PEP 552: hash-based and unchecked; then the hash, which nobody compares


def last_lines(text: str, count: int = 12) -> str:
    """Return the last lines of a program's output."""
    return "\n".join(text.strip().splitlines()[-count:])


def ask_inside(python: Path, action: str, value: Any, scratch: Path, **options: Any) -> Any:
    """Run one action of inside.py in another interpreter and return its answer.

    Raises:
        StagingError: The interpreter cannot be started or fails [pack-python-failed].
    """
    answer = scratch / f"{action}-{time.monotonic_ns()}.json"
    command = [str(python), "-I", "-B", "-c", INSIDE.read_text("utf-8"), action, str(answer)]
    try:
        with child(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            text=True,
            errors="replace",
            **options,
        ) as process:
            said, _ = process.communicate(json.dumps(value), timeout=PROOF_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise StagingError(_inside_problem(python, action, f"no end after {PROOF_LIMIT_S} s")) from error
    except OSError as error:
        raise StagingError(_inside_problem(python, action, str(error))) from error
    if process.returncode != 0:
        raise StagingError(
            _inside_problem(python, action, f"exit code {process.returncode}\n{last_lines(with_space(said))}")
        )
    return json.loads(answer.read_text("utf-8"))


def _inside_problem(python: Path, action: str, evidence: str) -> Problem:
    if action == "prove":
        return proof_problem(evidence)
    return Problem(
        "pack-python-failed",
        f"{python} does not run, so its environment cannot be packed.",
        evidence,
        "make the virtualenv anew, or name another Python with --python",
    )


def proof_problem(evidence: str) -> Problem:
    """Return the problem of an archive that did not pass its proof."""
    return Problem(
        "pack-proof-failed",
        "The packed environment does not work when unpacked elsewhere.",
        evidence,
        "see that the modules can be imported before packing, and that --exclude names nothing they need",
    )


def compiled(
    python: Interpreter, entries: list[Entry], scratch: Path, progress: Callable[[str], None], *, take_over: bool = True
) -> list[Entry]:
    """Return compiled files for all Python files of the tree, as unchecked-hash ones (times do not matter to them).

    A compiled file that the source has and that is up to date is taken over with another header; the others are
    compiled by the interpreter itself, in parallel. What is taken over names its source by its place on this machine,
    which an import from a directory mends, and one from a zip does not.
    """
    magic = bytes.fromhex(python.magic)
    found: list[Entry] = []
    missing: list[tuple[Path, Path, str, str]] = []
    for entry in entries:
        if not entry.name.endswith(".py") or entry.link or not entry.source or not entry.name.startswith("lib"):
            continue
        place, _, stem = entry.name.removesuffix(".py").rpartition("/")
        name = f"{place}/__pycache__/{stem}.{python.cache_tag}.pyc"
        ready = entry.source.parent / "__pycache__" / f"{stem}.{python.cache_tag}.pyc"
        if take_over and _up_to_date(ready, entry.source, magic):
            found.append(Entry(name, source=ready, data=magic + PYC_HEADER))
        else:
            missing.append((entry.source, scratch / "compiled" / str(len(missing)), entry.name, name))
    if missing:
        progress(f"compiling {len(missing)} Python files")
        _compile_missing(python, [(str(source), str(out), shown) for source, out, shown, _ in missing], scratch)
    return found + [Entry(name, source=out) for _, out, _, name in missing if out.is_file()]


def _up_to_date(ready: Path, source: Path, magic: bytes) -> bool:
    """Say whether a compiled file belongs to its source by time and size (PEP 552's first form)."""
    try:
        with ready.open("rb") as file:
            head = file.read(16)
        stat = source.stat()
    except OSError:
        return False
    expected = (int(stat.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (stat.st_size & 0xFFFFFFFF).to_bytes(
        4, "little"
    )
    return head == magic + b"\0\0\0\0" + expected


def _compile_missing(python: Interpreter, jobs: list[tuple[str, str, str]], scratch: Path) -> None:
    (scratch / "compiled").mkdir()
    # Sets among the constants are written in the order of their hashes, so the hashes must not differ between runs.
    environment = {"PYTHONHASHSEED": "0"}
    options = ["-sSB", "-W", "ignore", "-c", INSIDE.read_text("utf-8"), "compile"]
    with ExitStack() as running:
        log = running.enter_context(memory_log())
        processes = []
        for number in range(COMPILERS):
            share = scratch / f"compile-{number}.jobs"
            share.write_text(json.dumps(jobs[number::COMPILERS]))
            ask = running.enter_context(share.open("rb"))
            command = [python.executable, *options, str(share.with_suffix(".json"))]
            compiler = child(command, stdin=ask, stdout=log, stderr=log, cwd=scratch, env=environment)
            processes.append(running.enter_context(compiler))
        codes = [process.wait() for process in processes]
        if any(codes):
            problem = _inside_problem(Path(python.executable), "compile", last_lines(said_in(log)))
            raise StagingError(problem)
