"""Submission to YARN: the seam, and its form through Skein's Java driver (the client's only skein import).

The driver, with all that skein imports, lives in a process of its own: its environment (HADOOP_CONF_DIR, PATH, proxies)
is not ours, its memory goes when it goes, and the end of its standard input, for whatever reason, ends it. Parent and
child speak JSON lines:

    child:  {"ready": certificate in PEM}  or {"failed": [id, sentence, evidence]}
    parent: {"application": specification}     child: {"application_id": id} or {"failed": ...}
    parent: end of input                       child: stops the driver and exits
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from yarn_submitter.errors import Problem, UnreachableError
from yarn_submitter.scratch import scratch_dir

# The driver's start is what a user waits for: no optimizing compiler, one collector thread, nothing in /tmp.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xshare:auto"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_TAIL_LINES = 15
_DEADLINE_S = 120  # a submission through a slow ResourceManager; skein itself has no deadline


def application_dir(user: str, application_id: str) -> str:
    """Return where Skein keeps an application's files on the store; its ApplicationMaster removes them, if it can."""
    return f"/user/{user}/.skein/{application_id}"


class Yarn(Protocol):
    """What is needed of a way to submit."""

    def certificate(self) -> str:
        """Return the certificate (PEM) that agent and executors of the application will have."""

    def submit(self, application: Mapping[str, Any]) -> str:
        """Submit an application (plain values, see plan.py) and return its id."""

    def close(self) -> None:
        """Let everything go."""


class SkeinYarn:
    """Submits through Skein's driver, which starts in the background as soon as this object is made.

    Args:
        environ: The process environment, with HADOOP_CONF_DIR and a PATH on which `yarn` and Java are found.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._scratch = contextlib.ExitStack()
        self._dir = self._scratch.enter_context(scratch_dir("driver"))
        self._certificate = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "yarn_submitter.yarn", str(self._dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=driver_environment(environ, self._dir),
            text=True,
            start_new_session=True,  # Ctrl-C is ours: the driver must not die in the middle of a submission
        )

    def certificate(self) -> str:
        """Return the application's certificate, waiting until the driver is up.

        Raises:
            UnreachableError: The driver could not be started.
        """
        if not self._certificate:
            self._certificate = str(self._answer("ready"))
        return self._certificate

    def submit(self, application: Mapping[str, Any]) -> str:
        """Submit an application and return its id.

        Raises:
            UnreachableError: Driver or ResourceManager failed; the sentence tells why.
        """
        self.certificate()
        if self._process.stdin is None:
            raise _driver_ended("")
        try:
            self._process.stdin.write(json.dumps({"application": application}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise _driver_ended(self._log()) from error
        return str(self._answer("application_id"))

    def close(self) -> None:
        """Stop the driver and remove its temporary files; safe to repeat."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._scratch.close()

    def _answer(self, key: str) -> Any:
        import select

        stdout = self._process.stdout
        if stdout is None:
            raise _driver_ended("")
        if not select.select([stdout], [], [], _DEADLINE_S)[0]:
            self._process.kill()
            raise UnreachableError(
                Problem("driver-silent", f"Skein's driver did not answer within {_DEADLINE_S} s.", self._log())
            )
        line = stdout.readline()
        if not line:
            raise _driver_ended(self._log())
        answer = json.loads(line)
        if "failed" in answer:
            problem_id, sentence, evidence = answer["failed"]
            raise UnreachableError(Problem(problem_id, sentence, evidence or self._log(), _NEXT.get(problem_id, "")))
        return answer[key]

    def _log(self) -> str:
        try:
            lines = (self._dir / "driver.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])


_NEXT = {
    "java-missing": "set JAVA_HOME to a Java 8, 11 or 17, or put java on PATH",
    "yarn-missing": "put Hadoop's bin directory on PATH, or set HADOOP_HOME",
    "driver-failed": "check HADOOP_CONF_DIR and JAVA_HOME",
    "submit-failed": "check the ResourceManager's log",
}


def _driver_ended(log: str) -> UnreachableError:
    return UnreachableError(Problem("driver-failed", "Skein's driver ended.", log, _NEXT["driver-failed"]))


def driver_environment(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the environment of the driver's process: no proxies, everything temporary in `directory`."""
    env = {key: value for key, value in environ.items() if key not in _PROXIES}
    hadoop_bins = [f"{env[key]}/bin" for key in ("HADOOP_HOME", "HADOOP_YARN_HOME") if env.get(key)]
    env["PATH"] = os.pathsep.join([*([env["PATH"]] if env.get("PATH") else []), *hadoop_bins])
    env["SKEIN_CONFIG"] = str(directory / "skein")
    env["TMPDIR"] = str(directory)
    own = f"{_JAVA_OPTIONS} -Djava.io.tmpdir={directory}"
    env["SKEIN_DRIVER_JAVA_OPTIONS"] = f"{own} {env.get('SKEIN_DRIVER_JAVA_OPTIONS', '')}".strip()
    return env


def _serve(directory: Path) -> None:
    """Be the child: start the driver, submit what the parent sends, until the parent is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def answer(**value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    java = f"{os.environ['JAVA_HOME']}/bin/java" if os.environ.get("JAVA_HOME") else "java"
    for program, problem_id in ((java, "java-missing"), ("yarn", "yarn-missing")):
        if shutil.which(program) is None:
            answer(failed=[problem_id, f"There is no program {program} on this machine.", f"PATH={os.environ['PATH']}"])
            return
    import skein

    security = skein.Security.new_credentials()
    try:
        client = skein.Client(security=security, log=str(directory / "driver.log"), log_level="warn")
    except Exception as error:  # noqa: BLE001  whatever skein, grpc or Java raise becomes a sentence in the parent
        answer(failed=["driver-failed", f"Skein's driver could not be started: {error}.", ""])
        return
    with client:
        answer(ready=security._get_bytes("cert").decode())  # noqa: SLF001  skein has no public reader for it
        for line in sys.stdin:
            specification = skein.ApplicationSpec.from_dict(json.loads(line)["application"])
            specification.master.security = security
            try:
                answer(application_id=client.submit(specification))
            except Exception as error:  # noqa: BLE001  the same
                answer(failed=["submit-failed", "YARN did not take the application.", str(error)])


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
