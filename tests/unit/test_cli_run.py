"""`job run` and its way to YARN: a process that is begun beside the checks, and let go however it ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from client_fakes import USER, PretendCluster
from httpstandin import Reply

from yarn_submitter.cli import main

JOB = [
    *["--name", "fit", "--framework", "generic", "--input_path", "", "--num_workers", "1"],
    *["--worker_resources", "memory=1G", "--worker_launch_cmd", "true"],
]


DENIED = Reply(403, json.dumps({"RemoteException": {"exception": "AccessControlException", "message": "no"}}).encode())


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with the user's home directory."""
    cluster.files |= {f"/user/{USER}": None}
    return cluster


@pytest.fixture
def left(tmp_path: Path) -> Callable[[], tuple[list[str], list[Path]]]:
    """Tell what the command has left: programs (by their commands) and temporary directories."""

    def children() -> set[str]:
        found: set[str] = set()
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
                found |= set((task / "children").read_text().split())
        return found

    def look() -> tuple[list[str], list[Path]]:
        commands = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in children() - before]
        return commands, list((tmp_path / "cache" / "yarn-submitter" / "tmp").glob("*"))

    before = children()
    return look


def test_a_job_that_is_refused_leaves_nothing(cluster: PretendCluster, left: Callable, capsys) -> None:
    """The process that would have submitted it has ended, and its files are gone."""
    assert main(["run", *JOB, "--queue", "none"]) == 64
    assert "queue-unknown" in capsys.readouterr().err
    assert left() == ([], [])


def test_a_submission_that_fails_leaves_nothing(cluster: PretendCluster, left: Callable, capsys) -> None:
    """It is the same process that was begun beside the checks: there is no second one."""
    cluster.faults.append(lambda request: DENIED if request.params.get("op") == "MKDIRS" else None)
    assert main(["run", *JOB, "--force"]) != 0
    assert "denied" in capsys.readouterr().err
    assert left() == ([], [])
