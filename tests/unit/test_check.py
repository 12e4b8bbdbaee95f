"""A job is put to its own files and to the cluster in one round; every answer can be shown, refusals can be forced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from client_fakes import APP, USER, PretendCluster
from httpstandin import Reply, Request

from yarn_submitter.check import Checked, check
from yarn_submitter.cli import main
from yarn_submitter.errors import DeniedError, Problem, UnreachableError, UsageError
from yarn_submitter.findings import NOTE, REFUSED
from yarn_submitter.load import load
from yarn_submitter.localfiles import LocalFile, describe
from yarn_submitter.plan import local_paths
from yarn_submitter.site import Site, open_site
from yarn_submitter.spec import JobSpec

JOB = ["--name", "x", "--input_path", ""]
SMALL = ["--worker_resources", "memory=1G", "--worker_launch_cmd", "python fit.py"]
LARGE = ["--worker_resources", "memory=9000G", *SMALL[2:]]
DENIED = b'{"RemoteException": {"exception": "AccessControlException", "message": "Permission denied: user=ada"}}'


@pytest.fixture
def cluster(cluster: PretendCluster) -> PretendCluster:
    """A cluster with the user's home directory and input; the current directory holds the files of the jobs."""
    for name in ("env.tar.gz", "data/a"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    cluster.files |= {f"/user/{USER}": None, "/in": None}
    return cluster


def refuse(spec: JobSpec, files: dict[str, LocalFile], site: Site) -> None:
    """Raise what refuses a job, as a submission does."""
    refusal = check(spec, files, site).refusal()
    if refusal is not None:
        raise refusal


def checked(cluster: PretendCluster, *words: str) -> Checked:
    """Return what is found of a job."""
    spec, _ = load([*JOB, *words])
    files = {path: describe(path) for path in local_paths(spec)}
    return check(spec, files, cluster.site())


def deny(operation: str, path: str) -> Any:
    """Return a fault: HDFS refuses an operation at a path."""

    def fault(request: Request) -> Reply | None:
        hit = request.params.get("op") == operation and request.path == f"/webhdfs/v1{path}"
        return Reply(403, DENIED) if hit else None

    return fault


def refused(cluster: PretendCluster, *words: str) -> list[Problem]:
    """Return why a job is refused by what the cluster is."""
    spec, _ = load(words)
    files = {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)}
    with pytest.raises(UsageError) as found:
        refuse(spec, files, cluster.site())
    return list(found.value.problems)


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--framework", "pytorch", *SMALL], []),
        (["--worker_resources", "memory=1G,fpga=1", *SMALL[2:]], ["resource-not-expressible"]),
        (["--worker_resources", "memory=9000G", *SMALL[2:]], ["memory-too-large"]),
        ([*SMALL, "--queue", "nowhere"], ["queue-unknown"]),
        ([*SMALL, "--localization", "data:/opt/data"], ["localization-absolute"]),
        ([*SMALL, "--localization", "hdfs://nn:9000/none:./x"], ["localization-missing"]),
        ([*SMALL, "--localization", "/etc/passwd:./x"], []),
        ([*SMALL, "--localization", "env.tar.gz#archive:./env"], ["archive-broken"]),
        ([*SMALL, "--localization", "env.tar.gz:./env"], []),
    ],
)
def test_what_cannot_work_is_refused(cluster: PretendCluster, words: list[str], ids: list[str]) -> None:
    """Before anything is created, with every reason at once."""
    before = dict(cluster.files)
    job = JOB
    if ids:
        assert [problem.id for problem in refused(cluster, *job, *words)] == ids
        both = refused(cluster, *job, *words, "--localization", "hdfs://nn:9000/other:./y")
        assert sorted(problem.id for problem in both) == sorted([*ids, "localization-missing"])
    else:
        spec, _ = load([*job, *words])
        refuse(spec, {path: describe(path) for path in local_paths(spec)}, cluster.site())
    assert cluster.files == before


def test_what_lies_on_the_cluster_is_not_refused(cluster: PretendCluster) -> None:
    """A URI of the cluster's own HDFS that is there, and one of another file system, which is YARN's to find."""
    words = [*JOB, *SMALL, "--localization", "hdfs://nn:9000/in:./x"]
    spec, _ = load([*words, "--localization", "s3a://bucket/y:./y"])
    refuse(spec, {}, cluster.site())


def test_programs_that_submitting_needs(cluster: PretendCluster, tmp_path: Path) -> None:
    """Java and yarn are looked for before anything else is done."""
    for name in ("java", "yarn"):
        (tmp_path / "cluster" / "bin" / name).unlink()
    spec, _ = load([*JOB, *SMALL])
    environ = {**cluster.environ, "PATH": str(tmp_path / "cluster" / "bin")}
    with pytest.raises(UsageError) as found:
        refuse(spec, {}, open_site("", environ))
    assert [problem.id for problem in found.value.problems] == ["java-missing", "yarn-missing"]


def test_the_cluster_is_asked_once(cluster: PretendCluster) -> None:
    """Each fact is one request, however many roles ask about it: counted, so that nobody adds a second round."""
    roles = [*SMALL, "--num_ps", "1", "--ps_resources", "memory=1G", "--ps_launch_cmd", "ps", "--num_workers", "2"]
    spec, _ = load(["--name", "x", "--input_path", "hdfs:///in", *roles])
    check(spec, {}, cluster.site())
    home, rm = f"/webhdfs/v1/user/{USER}", "/ws/v1/cluster"
    assert sorted(f"{request.path} {request.params.get('op', '')}".strip() for request in cluster.asked) == [
        "/jmx",
        "/webhdfs/v1/ GETFILESTATUS",
        "/webhdfs/v1/in CHECKACCESS",
        f"{home} CHECKACCESS",
        f"{home} GETFILESTATUS",
        f"{home}/.yarn-submitter GETFILESTATUS",
        *(f"{rm}/{name}" for name in ("apps", "get-node-labels", "info", "nodes", "scheduler")),
    ]


@pytest.mark.parametrize(
    ("words", "fault", "error", "problem"),
    [
        (["--checkpoint_path", "/in/new/c"], deny("CHECKACCESS", "/in"), DeniedError, "output-denied"),
        (["--saved_model_path", "/in/model"], deny("GETFILESTATUS", "/in/model"), DeniedError, "output-denied"),
        (["--localization", "hdfs:///in:./x"], deny("CHECKACCESS", "/in"), DeniedError, "localization-denied"),
        ([], deny("CHECKACCESS", f"/user/{USER}"), DeniedError, "home-denied"),
        (["--queue", "no"], deny("CHECKACCESS", f"/user/{USER}"), UsageError, "home-denied"),
    ],
)
def test_rights_on_the_store(cluster: PretendCluster, words: list[str], fault: Any, error: Any, problem: str) -> None:
    """HDFS itself says what this user may do; the nearest directory that exists counts for what is to be made."""
    cluster.faults.append(fault)
    refusal = checked(cluster, *SMALL, *words).refusal()
    assert type(refusal) is error
    assert problem in [found.id for found in refusal.problems]
    assert "user=ada" in refusal.problems[-1].evidence


def test_a_place_that_is_a_file(cluster: PretendCluster) -> None:
    """Results need a directory."""
    cluster.put("/in/file", "x")
    (problem,) = checked(cluster, *SMALL, "--saved_model_path", "/in/file").problems
    assert problem.id == "output-not-directory"


def test_a_job_of_the_same_name(cluster: PretendCluster) -> None:
    """Only live jobs of the same user and name are told, and the job is not refused."""
    cluster.add_app("FINISHED", name="x", app_id="application_1700000000000_0002")
    assert [found.question for found in checked(cluster, *SMALL).answers if found.verdict == NOTE] == []
    cluster.add_app("RUNNING", name="x", app_id=APP)
    (note,) = checked(cluster, *SMALL).notes
    assert (note.id, note.evidence) == ("name-taken", APP)


def test_an_image_asks_the_nodes(cluster: PretendCluster) -> None:
    """How containers are started is asked of a live node, and only when the job has an image."""
    settings = {
        "yarn.nodemanager.container-executor.class": "org.apache.hadoop.yarn.server.nodemanager.LinuxContainerExecutor",
        "yarn.nodemanager.runtime.linux.allowed-runtimes": "default,docker",
    }

    def conf(request: Request) -> Reply | None:
        if request.path.endswith("/ws/v1/cluster/nodes"):
            body = {"nodes": {"node": [{"id": "nm:1", "nodeHTTPAddress": cluster.server.address, "state": "RUNNING"}]}}
            return Reply(body=json.dumps(body).encode())
        if request.path == "/conf":
            key = request.params["name"]
            return Reply(body=json.dumps({"property": {"key": key, "value": settings[key]}}).encode())
        return None

    cluster.faults.append(conf)
    image = ["--docker_image", "python:3.11"]
    told = {found.question: found.verdict for found in checked(cluster, *SMALL, *image).answers}
    assert told["docker"] == "ok"
    settings["yarn.nodemanager.runtime.linux.allowed-runtimes"] = "default"
    assert "docker-not-allowed" in [problem.id for problem in checked(cluster, *SMALL, *image).problems]
    before = len([request for request in cluster.asked if request.path == "/conf"])
    checked(cluster, *SMALL)
    assert len([request for request in cluster.asked if request.path == "/conf"]) == before == 4


def test_what_only_an_image_makes_possible(cluster: PretendCluster) -> None:
    """Mounts and absolute places are refused for a role without an image, and not for one with."""
    words = [*SMALL, "--mount", "/data:/data", "--localization", "data:/opt/data"]
    assert [problem.id for problem in checked(cluster, *words).problems] == [
        "localization-absolute",
        "mount-without-image",
    ]
    ids = [problem.id for problem in checked(cluster, *words, "--docker_image", "python:3.11").problems]
    assert "mount-without-image" not in ids
    assert "localization-absolute" not in ids


@pytest.mark.parametrize(
    ("name", "words", "by"),
    [
        ("./fit.py", ["--src", "src"], "--src"),
        ("./deep", ["--src", "src"], "--src"),
        ("./words", ["--localization", "hdfs://nn:9000/in:words"], "hdfs://nn:9000/in"),
        ("./words", ["--role_localization", "worker=env.tar.gz:words"], "env.tar.gz"),
        ("./input", ["--input_path", "data"], "--input_path"),
    ],
)
def test_a_secret_takes_nobodys_name(cluster: PretendCluster, name: str, words: list[str], by: str) -> None:
    """A file that the job brings anyway would be in its way in every task, minutes later."""
    for path in ("src/fit.py", "src/deep/words", "src/.git/config", "src/x.tmp"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("x")
    Path("src/.jobignore").write_text("*.tmp\n")
    Path("key").write_text("s3cret")
    job = ["--name", "x", "--framework", "generic", *([] if "--input_path" in words else ["--input_path", ""]), *words]
    role = ["--role", "worker:instances=1,memory=1G", "--role_cmd", "worker=run"]
    (problem,) = refused(cluster, *job, *role, "--secret", f"{name}=@key")
    assert (problem.id, by in problem.sentence) == ("secret-name-taken", True)
    for free in ("KEY", "./other", "./x.tmp"):
        spec, _ = load([*job, *role, "--secret", f"{free}=@key"])
        files = {path: describe(path, source=path == spec.source_dir) for path in local_paths(spec)}
        assert "secret-name-taken" not in [one.id for one in check(spec, files, cluster.site()).problems]


def test_kerberos_wants_keytab_and_principal(cluster: PretendCluster) -> None:
    """One without the other is refused on a cluster with Kerberos, and nowhere else."""
    words = [*SMALL, "--principal", "ada@R"]
    assert checked(cluster, *words).problems == ()
    core = cluster.conf_dir / "core-site.xml"
    setting = "<property><name>hadoop.security.authentication</name><value>kerberos</value></property></configuration>"
    core.write_text(core.read_text().replace("</configuration>", setting))
    assert [problem.id for problem in checked(cluster, *words).problems] == ["keytab-incomplete"]
    assert checked(cluster, *SMALL).problems == ()


def test_forced(cluster: PretendCluster) -> None:
    """What could be wrong becomes a note; what the cluster would repeat at once stays a refusal."""
    found = checked(cluster, *LARGE, "--queue", "nowhere")
    refusal = found.refusal()
    assert refusal is not None
    steps = {problem.id: problem.next_step for problem in refusal.problems}
    assert "--force" in steps["memory-too-large"]
    assert "--force" not in steps["queue-unknown"]
    forced = found.forced()
    assert [problem.id for problem in forced.problems] == ["queue-unknown"]
    assert [problem.id for problem in forced.notes] == ["memory-too-large"]
    assert len(forced.answers) == len(found.answers)


def test_wrong_files_and_no_cluster(cluster: PretendCluster) -> None:
    """A job with faults of its own on a cluster that does not answer is told both; it is not worth a second try."""
    words = ["--localization", "env.tar.gz#archive:./env"]
    cluster.faults.append(lambda request: Reply(500) if "/ws/v1/cluster/scheduler" in request.path else None)
    with pytest.raises(UsageError) as found:
        checked(cluster, *SMALL, *words)
    assert [problem.id for problem in found.value.problems] == ["archive-broken", "rm-failed"]
    with pytest.raises(UnreachableError):
        checked(cluster, *SMALL)


def test_job_run_check(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` prints every question with its answer, submits nothing, and ends like a submission would."""
    assert main(["run", *JOB, *SMALL, "--check"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["QUESTION", "ASKED", "AVAILABLE"]
    assert {line[0] for line in lines[1:]} == {"ok"}
    assert any(line.startswith("ok  memory worker ") and "1 GiB" in line for line in said.out.splitlines())
    assert main(["run", *JOB, *LARGE, "--check"]) == 64
    said = capsys.readouterr()
    assert "refused  memory worker" in said.out
    assert "[memory-too-large]" in said.err
    assert main(["run", *JOB, *LARGE, "--check", "--force"]) == 0
    said = capsys.readouterr()
    assert "job: note: worker asks 9000 GiB" in said.err
    assert not any(request.method != "GET" for request in cluster.asked)


def test_job_run_check_json(cluster: PretendCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Schema 1: whether the job is refused, and the answers with what is said about each."""
    assert main(["run", *JOB, *LARGE, "--check", "--json"]) == 64
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["refused"]) == (1, True)
    (refused_answer,) = [found for found in document["answers"] if found["verdict"] == REFUSED]
    assert refused_answer == {
        "question": "memory",
        "about": "worker",
        "asked": "9000 GiB",
        "available": "the largest node has 8 GiB",
        "verdict": "refused",
        "problem": "memory-too-large",
        "message": "worker asks 9000 GiB, the largest node has 8 GiB.",
        "evidence": "",
        "next_step": "ask at most memory=8192M for worker",
        "may_be_wrong": True,
    }
