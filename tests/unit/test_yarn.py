"""The process beside Skein's driver: its protocol, its end with ours, what is missing, YARN's refusals as sentences.

Another `skein` stands in for the real one, but in one test; the real driver submits in tests/cluster.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from yarn_submitter.errors import DeniedError, SubmitterError, UnreachableError, UsageError
from yarn_submitter.yarn import SkeinYarn, driver_environment, launch_problems, refusal

SKEIN = """
import os, types
from pathlib import Path

NOTES = Path(os.environ["NOTES"])

class Security:
    def __init__(self, cert_bytes, key_bytes):
        assert b"CERTIFICATE" in cert_bytes and b"PRIVATE KEY" in key_bytes

class ApplicationSpec:
    @staticmethod
    def from_dict(value):
        return types.SimpleNamespace(value=value, master=types.SimpleNamespace(security=None))

class Java:
    def kill(self):
        (NOTES / "killed").touch()

class Client:
    _proc = Java()
    def __init__(self, security, log, log_level):
        Path(log).write_text("SEVERE: no class\\n\\tat com.anaconda.Driver\\n\\t... 3 more\\nthe last line\\n")
        print("what a library prints is no answer")
        if os.environ.get("DRIVER") == "fails":
            raise RuntimeError("Failed to start java process")
        if os.environ.get("DRIVER") == "dies":
            os._exit(1)
    def __enter__(self):
        return self
    def __exit__(self, *_):
        (NOTES / "closed").touch()
    def submit(self, spec):
        name = spec.value["name"]
        if name == "dies":
            os._exit(1)
        if name == "slow":
            (NOTES / "taken").open("w").close()
            (NOTES / "go").open().close()
            (NOTES / "finished").touch()
        if name != "fit":
            raise RuntimeError(name)
        return f"application_1_0001 {spec.value['queue']} {type(spec.master.security).__name__}"
"""


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which `skein` is the one above and the user's cache is empty."""
    (tmp_path / "modules" / "skein").mkdir(parents=True)
    (tmp_path / "modules" / "skein" / "__init__.py").write_text(SKEIN)
    (tmp_path / "notes").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {**os.environ, "PYTHONPATH": str(tmp_path / "modules"), "NOTES": str(tmp_path / "notes")}


def scratch(tmp_path: Path) -> list[Path]:
    """Return what temporary directories are left."""
    return list((tmp_path / "cache" / "yarn-submitter" / "tmp").iterdir())


def test_a_submission(environ: dict[str, str], tmp_path: Path) -> None:
    """Certificate, then applications, one after the other; the end lets the driver go and removes its files."""
    yarn = SkeinYarn(environ)
    assert yarn.certificate() == yarn.certificate()
    assert yarn.certificate().startswith("-----BEGIN CERTIFICATE-----")
    for queue in ("ml", "größer\n"):
        assert yarn.submit({"name": "fit", "queue": queue}) == f"application_1_0001 {queue} Security"
    assert len(scratch(tmp_path)) == 1
    yarn.close()
    yarn.close()
    assert sorted(path.name for path in (tmp_path / "notes").iterdir()) == ["closed", "killed"]
    assert scratch(tmp_path) == []


def test_a_refused_application_is_no_end(environ: dict[str, str]) -> None:
    """What YARN says becomes an error, and the driver goes on."""
    yarn = SkeinYarn(environ)
    with pytest.raises(UsageError, match="a bad queue"):
        yarn.submit({"name": "org.apache.hadoop.yarn.exceptions.YarnException: a bad queue"})
    assert yarn.submit({"name": "fit", "queue": "ml"}).startswith("application_1_0001")
    yarn.close()


@pytest.mark.parametrize(
    ("driver", "name", "words"),
    [
        ("fails", "fit", "could not be started: Failed to start java process."),
        ("dies", "fit", "it ended by itself"),
        ("", "dies", "it ended by itself"),
    ],
)
def test_a_driver_that_fails(environ: dict[str, str], tmp_path: Path, driver: str, name: str, words: str) -> None:
    """One sentence with the last lines of its log, without Java's stack; nothing is left."""
    yarn = SkeinYarn({**environ, "DRIVER": driver})
    with pytest.raises(UnreachableError) as failed:
        yarn.submit({"name": name})
    (problem,) = failed.value.problems
    assert (problem.id, words in problem.sentence) == ("driver-failed", True)
    assert problem.evidence == "SEVERE: no class\nthe last line"
    with pytest.raises(UnreachableError):
        yarn.submit({"name": "fit"})
    yarn.close()
    assert scratch(tmp_path) == []


def test_the_driver_ends_with_us(environ: dict[str, str], tmp_path: Path) -> None:
    """When our process is killed, the one beside the driver closes it and ends."""
    script = (
        "import os, sys\nfrom yarn_submitter.yarn import SkeinYarn\n"
        "yarn = SkeinYarn(os.environ)\nyarn.certificate()\nprint(yarn._process.pid, flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select.select([child], [], [], 20)
    os.close(child)
    assert ended
    assert (tmp_path / "notes" / "closed").exists()


def test_ctrl_c_does_not_reach_the_driver(environ: dict[str, str]) -> None:
    """It has a session of its own: an interrupt of ours does not end it in the middle of a submission."""
    yarn = SkeinYarn(environ)
    yarn.certificate()
    pid = yarn._process.pid
    assert os.getsid(pid) == os.getpgid(pid) == pid
    yarn.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


def real_skein(environ: dict[str, str], tmp_path: Path, **programs: str) -> dict[str, str]:
    """Return an environment with the real skein and these shell scripts as programs."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, text in programs.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    real = {key: value for key, value in environ.items() if key not in ("PYTHONPATH", "JAVA_HOME")}
    return {**real, "PATH": f"{directory}{os.pathsep}{environ['PATH']}"}


def test_no_java_is_started_for_a_job_that_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    """The process beside us waits for `begin`; let go before that, it has started nothing and leaves nothing."""
    note = tmp_path / "notes" / "started"
    yarn = SkeinYarn(real_skein(environ, tmp_path, java=f"touch {note}; exit 1", yarn=f"touch {note}; echo classpath"))
    yarn.close()
    assert not note.exists()
    assert scratch(tmp_path) == []


@pytest.mark.parametrize("hangs", ["java", "yarn"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_program_that_hangs(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: str, interrupted: bool
) -> None:
    """With the real skein: it is waited for the start's own time, and is gone at the end."""
    monkeypatch.setattr("yarn_submitter.yarn._START_S", 1.0)
    pipe = tmp_path / "notes" / "pid"
    os.mkfifo(pipe)
    scripts = {"java": "exit 1", "yarn": "echo classpath", hangs: f"echo $$ >{pipe}; exec sleep 1000"}
    yarn = SkeinYarn(real_skein(environ, tmp_path, **scripts))
    yarn.begin()
    program = os.pidfd_open(int(pipe.read_text()))
    if not interrupted:
        with pytest.raises(UnreachableError, match=r"did not start within 1\.0 s") as failed:
            yarn.certificate()
        assert failed.value.problems[0].id == "driver-silent"
    yarn.close()
    ended, _, _ = select.select([program], [], [], 5)
    os.close(program)
    assert ended
    assert scratch(tmp_path) == []


def test_a_submission_under_way_comes_to_its_end(environ: dict[str, str], tmp_path: Path) -> None:
    """An interrupt in the middle of it: what YARN then knows of it is all there will be."""
    script = (
        "import os, signal, sys\nfrom yarn_submitter.yarn import SkeinYarn\n"
        "yarn = SkeinYarn(os.environ)\n"
        "try:\n    yarn.submit({'name': 'slow', 'queue': 'ml'})\n"
        "except KeyboardInterrupt:\n    yarn.close()\n    print('let go', flush=True)\n"
    )
    taken, go = tmp_path / "notes" / "taken", tmp_path / "notes" / "go"
    for pipe in (taken, go):
        os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environ, text=True) as parent:
        taken.read_bytes()  # until it is opened
        parent.send_signal(signal.SIGINT)
        go.write_text("")
        assert parent.stdout is not None
        assert parent.stdout.read() == "let go\n"
    assert (tmp_path / "notes" / "finished").exists()
    assert scratch(tmp_path) == []


def test_a_slow_cluster_has_its_own_time(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for a submission is not the start's, and is told, too."""
    os.mkfifo(tmp_path / "notes" / "go")
    words: list[str] = []
    yarn = SkeinYarn(environ, words.append)
    yarn.certificate()
    monkeypatch.setattr("yarn_submitter.yarn._START_S", 0.0)
    monkeypatch.setattr("yarn_submitter.yarn._SUBMIT_S", 0.3)
    monkeypatch.setattr("yarn_submitter.yarn._WORD_S", 0.1)
    with pytest.raises(UnreachableError, match=r"YARN did not take the application within 0\.3 s"):
        yarn.submit({"name": "slow", "queue": "ml"})
    yarn.close()
    assert words[0] == "submitting to YARN, 0 s"


def test_a_java_that_cannot_run_skein(environ: dict[str, str], tmp_path: Path) -> None:
    """With the real skein: a Java that ends at once is a sentence with what it said."""
    yarn = SkeinYarn(
        real_skein(environ, tmp_path, java="echo cannot find the main class >&2; exit 1", yarn="echo classpath")
    )
    with pytest.raises(UnreachableError) as failed:
        yarn.certificate()
    yarn.close()
    (problem,) = failed.value.problems
    assert (problem.id, problem.evidence) == ("driver-failed", "cannot find the main class")


@pytest.mark.parametrize(
    ("said", "kind", "problem_id", "words"),
    [
        (
            "Failed\norg.apache.hadoop.yarn.exceptions.YarnException: Failed to submit to unknown queue: x\n\tat a.X\n",
            UsageError,
            "submit-refused",
            "to unknown queue: x",
        ),
        (
            "org.apache.hadoop.security.AccessControlException: User ada does not have permission for queue ml",
            DeniedError,
            "submit-denied",
            "User ada does not have permission",
        ),
        (
            "java.net.ConnectException: Call From a to b:8032 failed on connection exception",
            UnreachableError,
            "submit-failed",
            "Call From a to b:8032",
        ),
        (
            "java.io.IOException: x\n\tat A\nCaused by: java.net.UnknownHostException: nowhere\n\t... 2 more",
            UnreachableError,
            "submit-failed",
            "nowhere",
        ),
        ("something else", UsageError, "submit-refused", "something else"),
        ("", UsageError, "submit-refused", "no reason was given"),
    ],
)
def test_refusals(said: str, kind: type[SubmitterError], problem_id: str, words: str) -> None:
    """The cause without its Java class and stack, and the exit code of who is to act."""
    error = refusal(said)
    (problem,) = error.problems
    assert (type(error), problem.id) == (kind, problem_id)
    assert words in problem.evidence
    assert not any(word in problem.text() for word in ("\tat ", "2 more", "Exception: "))
    assert problem.next_step


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., Path]:
    """Make a directory that holds programs of these names."""

    def make(directory: str, *names: str) -> Path:
        path = tmp_path / directory
        path.mkdir(parents=True)
        for name in names:
            (path / name).write_text("#!/bin/sh\n")
            (path / name).chmod(0o755)
        return path

    return make


@pytest.mark.parametrize(
    ("environ_of", "ids"),
    [
        (lambda p: {"PATH": f"{p('bin', 'java', 'yarn')}"}, []),
        (lambda p: {"PATH": f"{p('bin', 'yarn')}"}, ["java-missing"]),
        (lambda p: {"PATH": f"{p('bin', 'java')}"}, ["yarn-missing"]),
        (lambda p: {"PATH": f"{p('bin')}"}, ["java-missing", "yarn-missing"]),
        (lambda p: {}, ["java-missing", "yarn-missing"]),
        (lambda p: {"PATH": f"{p('bin', 'yarn')}", "JAVA_HOME": f"{p('jdk/bin', 'java').parent}"}, []),
        (lambda p: {"PATH": f"{p('bin', 'java', 'yarn')}", "JAVA_HOME": "/none"}, ["java-missing"]),
        (lambda p: {"PATH": f"{p('bin', 'java', 'yarn')}", "JAVA_HOME": ""}, []),
        (lambda p: {"PATH": f"{p('bin', 'java')}", "HADOOP_HOME": f"{p('hadoop/bin', 'yarn').parent}"}, []),
        (lambda p: {"PATH": f"{p('bin', 'java')}", "HADOOP_YARN_HOME": f"{p('hadoop/bin', 'yarn').parent}"}, []),
    ],
)
def test_programs_that_submitting_needs(
    programs: Callable[..., Path], environ_of: Callable[..., dict[str, str]], ids: list[str]
) -> None:
    """Java by JAVA_HOME, else on PATH; yarn on PATH or in Hadoop's home. Each missing one has its sentence."""
    found = launch_problems(environ_of(programs))
    assert [problem.id for problem in found] == ids
    assert all(problem.next_step for problem in found)


def test_the_drivers_environment(tmp_path: Path) -> None:
    """No proxies between us and the cluster; temporary and credential files in the driver's own directory."""
    given = {
        "PATH": "/bin",
        "http_proxy": "p",
        "HTTPS_PROXY": "p",
        "JAVA_HOME": "",
        "HADOOP_HOME": "/opt/hadoop",
        "HADOOP_CONF_DIR": "/conf",
        "SKEIN_DRIVER_JAVA_OPTIONS": "-Xmx200m",
    }
    before = json.dumps(given)
    made = driver_environment(given, tmp_path)
    assert json.dumps(given) == before
    assert not {"http_proxy", "HTTPS_PROXY", "JAVA_HOME"} & set(made)
    assert made["PATH"] == f"/bin{os.pathsep}/opt/hadoop/bin"
    assert (made["HADOOP_CONF_DIR"], made["TMPDIR"]) == ("/conf", str(tmp_path))
    assert made["SKEIN_CONFIG"].startswith(str(tmp_path))
    options = made["SKEIN_DRIVER_JAVA_OPTIONS"].split()
    assert options[-1] == "-Xmx200m"
    assert f"-Djava.io.tmpdir={tmp_path}" in options


def test_a_process_that_cannot_be_started(environ: dict[str, str], tmp_path: Path) -> None:
    """Here for a variable longer than Linux takes: a sentence with the system's words, and nothing is left behind."""
    with pytest.raises(UnreachableError) as failed:
        SkeinYarn({**environ, "LONG": "x" * 200_000})
    (problem,) = failed.value.problems
    assert problem.id == "driver-failed"
    assert problem.sentence.endswith("could not be started: Argument list too long.")
    assert scratch(tmp_path) == []
