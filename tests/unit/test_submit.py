"""Submit substitutes the plan's placeholders and does nothing else; half-way failures leave nothing on the cluster."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from client_fakes import USER, FakeYarn, PretendCluster
from httpstandin import Reply, Request

from am.contract import wire
from am.contract.job import JobPlan
from yarn_submitter.cli.console import Console
from yarn_submitter.errors import Problem, SubmitterError, UnreachableError
from yarn_submitter.load import load
from yarn_submitter.localfiles import describe
from yarn_submitter.plan import SubmissionPlan, local_paths, plan
from yarn_submitter.record import read_record
from yarn_submitter.submit import Submitted, new_id, submit

BASE = f"/user/{USER}/.yarn-submitter"
FS = "hdfs://nn:9000"
SMALL = ["--worker_resources", "memory=1G", "--worker_launch_cmd", "python fit.py %input_path% %checkpoint_path%"]
PS = ["--num_ps", "1", "--ps_resources", "memory=1G", "--ps_launch_cmd", "exec ps '<ys:id>'"]
JOBS = {
    "tensorflow": ["--name", "fit", "--input_path", "hdfs://nn:9000/in", "--num_workers", "2", *SMALL, *PS],
    "files": [
        *["--name", "files", "--framework", "generic", "--input_path", "data", *SMALL, "--src", "src", "--queue", "ml"],
        *["--localization", "env.tar.gz:./env", "--localization", "data:./copy", "--env", "A=<ys:user>"],
        *["--checkpoint_path", "/ckpt", "--done_when", "all", "--tf_worker0", "chief", "--wait_job_finish"],
    ],
}


@pytest.fixture
def cluster(cluster: PretendCluster, tmp_path: Path) -> PretendCluster:
    """A cluster with the user's home directory and input; the current directory holds the files of the jobs."""
    for name in ("env.tar.gz", "data/a", "src/fit.py", "src/.git/x"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    (tmp_path / "agent.tar.gz").write_bytes(b"the agent's environment")
    cluster.files |= {f"/user/{USER}": None, "/in": None}
    return cluster


@dataclass
class Attempt:
    """A submission: the plan, the door, and what came of it."""

    planned: SubmissionPlan
    yarn: FakeYarn
    done: Submitted | None = None


def attempt(cluster: PretendCluster, tmp_path: Path, words: list[str], **fake: Any) -> Attempt:
    """Plan and submit a job."""
    spec, _ = load(words)
    planned = plan(spec, {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)})
    tried = Attempt(planned, FakeYarn(cluster, **fake))
    archive = tmp_path / "agent.tar.gz"
    tried.done = submit(planned, cluster.site(), lambda _: None, tried.yarn, archive)
    return tried


def substituted_back(value: Any, known: list[tuple[Any, str]]) -> Any:
    """Return JSON values with every known value replaced by its placeholder."""
    for found, placeholder in known:
        if value == found:
            return placeholder
    if isinstance(value, dict):
        return {key: substituted_back(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [substituted_back(item, known) for item in value]
    if isinstance(value, str):
        value = value.replace("<ys:", "<ys:text>")
        for found, placeholder in known:
            if isinstance(found, str) and len(found) > len(USER):
                value = value.replace(found, placeholder)
    return value


@pytest.mark.parametrize("name", JOBS)
def test_submit_only_substitutes(cluster: PretendCluster, tmp_path: Path, name: str) -> None:
    """What YARN gets and what lies on the store are, with values put back to placeholders, what `--dry_run` prints."""
    tried = attempt(cluster, tmp_path, JOBS[name])
    assert tried.done is not None
    job, (application,) = tried.done.job, tried.yarn.taken
    files = application["master"]["files"]
    staged = {f"{FS}{BASE}/cache/{file.sha256}{file.extension}": file.sha256 for file in tried.planned.staged}
    known = [
        *((uri, f"<ys:staged:{sha256}>") for uri, sha256 in staged.items()),
        (files[".ys.zip"]["source"], "<ys:code>"),
        (files[".ys.python"]["source"], "<ys:python>"),
        (list(job.webhdfs), "<ys:webhdfs>"),
        (list(job.agent_ports), "<ys:agent_ports>"),
        (BASE, "<ys:base>"),
        (FS + "<ys:base>", "<ys:fs><ys:base>"),
        (job.id, "<ys:id>"),
        (USER, "<ys:user>"),
    ]
    document = tried.planned.document()
    assert substituted_back(application, known) == document["plan"]["application"]
    job_dir = f"{BASE}/jobs/{job.id}"
    for path in (f"{job_dir}/staging/job.json", f"{job_dir}/spec/job.json"):
        assert JobPlan.from_text((cluster.files[path] or b"").decode()) == job
        assert substituted_back(json.loads(cluster.files[path] or b""), known) == document["plan"]["job"]
    written = (cluster.files[f"{job_dir}/spec/plan.json"] or b"").decode()
    assert {**json.loads(written), "record": None} == {**json.loads(json.dumps(document)), "record": None}
    cached = tuple(path.rpartition("/")[2] for path in cluster.files if path.startswith(f"{BASE}/cache/"))
    record = read_record(written)
    assert record is not None
    assert (record.spec, record.files, record.rerun_of) == (tried.planned.spec, tried.planned.files, "")
    assert sorted(record.objects) == sorted(cached)


def test_secrets_lie_where_tasks_take_them_from(cluster: PretendCluster, tmp_path: Path) -> None:
    """In one file beside the job's own secret; a variable without the newline of an editor, a file as it is."""
    Path("key").write_text("s3cret\n\n")
    Path("bare").write_text("b4re")
    names = ["--secret", "KEY=@key", "--secret", "./key.pem=@key", "--secret", "BARE=@bare"]
    tried = attempt(cluster, tmp_path, [*JOBS["files"], *names])
    assert tried.done is not None
    job_dir = f"{BASE}/jobs/{tried.done.id}"
    written = cluster.files[f"{job_dir}/staging/secrets.json"] or b""
    assert json.loads(written) == {"KEY": "s3cret\n", "./key.pem": "s3cret\n\n", "BARE": "b4re"}
    others = [content for path, content in cluster.files.items() if not path.endswith("/secrets.json")]
    assert not any(word in (content or b"") for content in others for word in (b"s3cret", b"b4re"))
    assert "s3cret" not in json.dumps(tried.yarn.taken)
    for service in tried.yarn.taken[0]["services"].values():
        assert service["files"][".ys.secrets.json"]["source"] == f"{FS}{job_dir}/staging/secrets.json"


def test_what_a_submission_writes(cluster: PretendCluster, tmp_path: Path) -> None:
    """The job's own directory holds five small files; the cache our code, the agent's environment, the job's files."""
    tried = attempt(cluster, tmp_path, JOBS["files"])
    assert tried.done is not None
    job_dir = f"{BASE}/jobs/{tried.done.id}"
    assert cluster.names(job_dir) == [
        *["spec/access.json", "spec/job.json", "spec/plan.json", "staging/job.json", "staging/secret"],
    ]
    assert sum(len(cluster.files[f"{job_dir}/{name}"] or b"") for name in cluster.names(job_dir)) < 64 << 10
    assert len(cluster.names(f"{BASE}/cache")) == 5
    assert tried.yarn.closed
    written = sum(len(cluster.files[f"{BASE}/cache/{name}"] or b"") for name in cluster.names(f"{BASE}/cache"))
    assert tried.done.written_bytes == written > 0


def test_a_second_submission_writes_nothing_into_the_cache(cluster: PretendCluster, tmp_path: Path) -> None:
    """The same job again: 0 bytes, another id, another secret."""
    first = attempt(cluster, tmp_path, JOBS["files"]).done
    second = attempt(cluster, tmp_path, JOBS["files"]).done
    assert first is not None
    assert second is not None
    assert second.written_bytes == 0
    assert first.id != second.id
    secrets = [cluster.files[f"{BASE}/jobs/{done.id}/staging/secret"] for done in (first, second)]
    assert len(set(secrets)) == 2


def test_a_later_client_gets_its_own_token(cluster: PretendCluster, tmp_path: Path) -> None:
    """access.json has certificate and client token; the secret itself is only where the agent takes it from."""
    done = attempt(cluster, tmp_path, JOBS["tensorflow"]).done
    assert done is not None
    job_dir = f"{BASE}/jobs/{done.id}"
    secret = (cluster.files[f"{job_dir}/staging/secret"] or b"").decode()
    access = json.loads(cluster.files[f"{job_dir}/spec/access.json"] or b"")
    assert access == {"certificate": "a certificate", "client_token": wire.client_token(secret)}
    assert len(secret) == 64
    others = [name for name in cluster.names(job_dir) if name != "staging/secret"]
    assert not any(secret in (cluster.files[f"{job_dir}/{name}"] or b"").decode() for name in others)


def test_what_is_private_is_written_so(cluster: PretendCluster, tmp_path: Path) -> None:
    """Directories are 0700, files 0600."""
    attempt(cluster, tmp_path, JOBS["tensorflow"])
    modes = {
        (request.params["op"], request.params["permission"])
        for request in cluster.asked
        if "permission" in request.params
    }
    assert modes == {("MKDIRS", "700"), ("CREATE", "600")}


NO = UnreachableError(Problem("submit-failed", "YARN could not be asked."))


@pytest.mark.parametrize(
    "fake",
    [
        {"fails": NO},
        {"fails": KeyboardInterrupt()},
        {"fails": ValueError("a bug")},
        {"fails": NO, "too_late": True},
        {"fails": KeyboardInterrupt(), "too_late": True},
        {"fails": KeyboardInterrupt(), "under_way": True},
    ],
    ids=lambda fake: " ".join((type(fake["fails"]).__name__, *list(fake)[1:])),
)
def test_a_failure_half_way_leaves_nothing(cluster: PretendCluster, tmp_path: Path, fake: dict[str, Any]) -> None:
    """No job directory, nothing of Skein's, no live application; the failure is told as it was."""
    with pytest.raises(type(fake["fails"])) as failed:
        attempt(cluster, tmp_path, JOBS["files"], **fake)
    assert "left-behind" not in str(failed.value)
    assert [path for path in cluster.files if "/jobs/" in path] == []
    assert cluster.names(f"/user/{USER}/.skein") == []
    assert [app["state"] for app in cluster.apps] == ["KILLED"] * (len(fake) - 1)
    assert cluster.names(f"{BASE}/cache") != []  # what is there by content is of use to the next try


def test_the_driver_is_let_go(cluster: PretendCluster, tmp_path: Path) -> None:
    """Also when the certificate cannot be had."""
    yarn = FakeYarn(cluster)
    yarn.certificate = lambda: (_ for _ in ()).throw(NO)  # type: ignore[method-assign]
    spec, _ = load(JOBS["tensorflow"])
    with pytest.raises(UnreachableError):
        submit(plan(spec, {}), cluster.site(), lambda _: None, yarn, tmp_path / "agent.tar.gz")
    assert yarn.closed
    assert [path for path in cluster.files if "/jobs/" in path] == []


def test_the_drivers_start_is_used(cluster: PretendCluster, tmp_path: Path) -> None:
    """When the driver is waited for, all that does not need its certificate lies on the store."""
    yarn, found = FakeYarn(cluster), []

    def certificate() -> str:
        found.extend(path.rpartition("/jobs/")[2].partition("/")[2] for path in cluster.files if "/jobs/" in path)
        return "a certificate"

    yarn.certificate = certificate  # type: ignore[method-assign]
    spec, _ = load(JOBS["tensorflow"])
    submit(plan(spec, {}), cluster.site(), lambda _: None, yarn, tmp_path / "agent.tar.gz")
    files = {name for name in found if "." in name or name.endswith("secret")}
    assert files == {"spec/job.json", "spec/plan.json", "staging/job.json", "staging/secret"}


def test_a_certificate_that_is_not_written_is_a_failure(cluster: PretendCluster, tmp_path: Path) -> None:
    """A job of which no later client could ask anything is none: YARN has it already, and it is ended and removed."""
    cluster.faults.append(
        lambda request: (
            Reply(507, b"") if request.params.get("op") == "CREATE" and "access.json" in request.path else None
        )
    )
    with pytest.raises(SubmitterError) as failed:
        attempt(cluster, tmp_path, JOBS["tensorflow"])
    assert "left-behind" not in str(failed.value)
    assert [app["state"] for app in cluster.apps] == ["KILLED"]
    assert [path for path in cluster.files if "/jobs/" in path] == []


def test_what_cannot_be_removed_is_told(cluster: PretendCluster, tmp_path: Path) -> None:
    """When the cluster goes away in the middle, the message says what may be left and how to remove it."""
    gone = [False]

    def down(request: Request) -> Reply | None:
        gone[0] = gone[0] or (request.params.get("op") == "RENAME" and "/jobs/" in request.path)
        return Reply(503, b"") if gone[0] else None

    cluster.faults.append(down)
    with pytest.raises(SubmitterError) as failed:
        attempt(cluster, tmp_path, JOBS["tensorflow"])
    last = failed.value.problems[-1]
    assert last.id == "left-behind"
    assert re.search(r"job kill \d{8}t\d{6}-[0-9a-f]{6}; hdfs dfs -rm -r /user", last.next_step)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_an_interrupt_tells_what_cannot_be_removed(
    cluster: PretendCluster, tmp_path: Path, interrupt: BaseException
) -> None:
    """As its cause: it stays what it is, with its exit code."""

    def down(_request: Request) -> Reply | None:
        return Reply(503, b"") if yarn.closed else None

    cluster.faults.append(down)
    yarn = FakeYarn(cluster, fails=interrupt)
    spec, _ = load(JOBS["tensorflow"])
    with pytest.raises(type(interrupt)) as ended:
        submit(plan(spec, {}), cluster.site(), lambda _: None, yarn, tmp_path / "agent.tar.gz")
    assert ended.value is interrupt
    assert "[left-behind]" in str(ended.value.__cause__)


def test_a_window_that_is_closed_meanwhile_leaves_nothing(cluster: PretendCluster, tmp_path: Path) -> None:
    """What is told while it is removed is told to nobody."""
    ends, window = os.pipe()
    console = Console(io.StringIO(), os.fdopen(window, "w"))
    console.progress("the window is there")
    os.close(ends)
    spec, _ = load(JOBS["tensorflow"])
    door = FakeYarn(cluster, fails=SystemExit(129), under_way=True)
    with pytest.raises(SystemExit, match="129"):
        submit(plan(spec, {}), cluster.site(), console.say, door, tmp_path / "agent.tar.gz")
    assert [app["state"] for app in cluster.apps] == ["KILLED"]
    assert [path for path in cluster.files if "/jobs/" in path] == []
    console.stderr.close()


def test_a_program_keeps_its_own_signal_handlers(cluster: PretendCluster, tmp_path: Path) -> None:
    """Only what would end the program at once is replaced while a job is submitted, and put back after it."""
    heard: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    spec, _ = load(JOBS["tensorflow"])

    def submitted(number: int) -> Submitted:
        def tell(_said: str) -> None:
            signal.raise_signal(number)

        return submit(plan(spec, {}), cluster.site(), tell, FakeYarn(cluster), tmp_path / "agent.tar.gz")

    try:
        assert submitted(signal.SIGTERM).application_id
        assert set(heard) == {signal.SIGTERM}
        with pytest.raises(SystemExit, match=str(128 + signal.SIGHUP)):
            submitted(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            submitted(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGHUP) == before[signal.SIGHUP]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_ids_sort_by_time() -> None:
    """Lower case, since YARN lowers tags; two of one second differ."""
    assert re.fullmatch(r"20231114t221320-[0-9a-f]{6}", new_id(1_700_000_000.0))
    early, late = new_id(1e9), new_id(2e9)
    assert early < late
    assert new_id(1e9) != early
