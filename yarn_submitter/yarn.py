"""Submission to YARN: the seam, and its form through Skein's Java driver (the client's only skein import).

The driver, with all that skein imports, lives in a process of its own: its environment (HADOOP_CONF_DIR, PATH, proxies)
is not ours, its memory goes when it goes, and the end of its standard input, for whatever reason, ends it. Parent and
child speak JSON lines:

    parent: {"begin": true}                    child: {"ready": certificate in PEM} or {"failed": why no driver started}
    parent: {"application": specification}     child: {"application_id": id} or {"refused": Skein's and YARN's words}
    parent: end of input                       child: stops the driver and exits

What takes the child's own time (imports, a key) it does before "begin", while the job is checked; no Java is started
for a job that is refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from yarn_submitter.certificate import certificate_and_key
from yarn_submitter.errors import DeniedError, Problem, SubmitterError, UnreachableError, UsageError
from yarn_submitter.scratch import cache_errors, scratch_dir

# The driver's start is what a user waits for: no optimizing compiler, one collector thread, nothing in /tmp.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xshare:auto"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_TAIL_LINES = 15
_START_S = 30  # from our start to "ready": two Java programs, one after the other
_SUBMIT_S = 120  # a submission through a slow ResourceManager; skein itself has no deadline
_WORD_S = 5  # between two words on what is waited for
_END_S = 10  # for a submission under way to come to its end


class Yarn(Protocol):
    """What is needed of a way to submit."""

    def begin(self) -> None:
        """Begin what takes long, in the background: a submission is certain; safe to repeat."""

    def certificate(self) -> str:
        """Return the certificate (PEM) that agent and executors of the application will have."""

    def submit(self, application: Mapping[str, Any]) -> str:
        """Submit an application (plain values, see plan.py) and return its id."""

    def close(self) -> None:
        """Let everything go."""


class SkeinYarn:
    """Submits through Skein's driver, which starts in the background with `begin`.

    Args:
        environ: The process environment, with HADOOP_CONF_DIR and a PATH on which `yarn` and Java are found.
        progress: Told what is waited for, every few seconds.

    Raises:
        UnreachableError: The process cannot be started.
        StagingError: The user's cache cannot be written.
    """

    def __init__(self, environ: Mapping[str, str], progress: Callable[[str], None] = lambda _: None) -> None:
        self._progress = progress
        self._certificate = ""
        self._started_s: float | None = None
        with contextlib.ExitStack() as scratch:
            self._dir = scratch.enter_context(scratch_dir("driver"))
            with cache_errors():
                launch_log = scratch.enter_context((self._dir / "launch.log").open("w"))
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "yarn_submitter.yarn", str(self._dir)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=launch_log,
                    env=driver_environment(environ, self._dir),
                    text=True,
                    start_new_session=True,  # Ctrl-C is ours: the driver must not die in the middle of a submission
                )
            except OSError as error:
                raise _driver_failed(error.strerror or str(error), "") from error
            self._scratch = scratch.pop_all()

    def begin(self) -> None:
        """See Yarn."""
        if self._started_s is None:
            self._started_s = time.monotonic()
            self._say({"begin": True})

    def certificate(self) -> str:
        """Return the application's certificate, waiting until the driver is up.

        Raises:
            UnreachableError: The driver could not be started, or not within `_START_S`.
        """
        if not self._certificate:
            self.begin()
            since_s = self._started_s or time.monotonic()
            if not self._answers(since_s, _START_S, "starting Skein's Java program, which submits"):
                raise _silent(f"Skein's driver did not start within {_START_S} s.", self._last_words(), _NEXT_DRIVER)
            self._certificate = str(self._answer("ready"))
        return self._certificate

    def submit(self, application: Mapping[str, Any]) -> str:
        """Submit an application and return its id.

        Raises:
            UnreachableError: Driver or ResourceManager failed; the sentence tells why.
        """
        self.certificate()
        self._say({"application": application})
        if not self._answers(time.monotonic(), _SUBMIT_S, "submitting to YARN"):
            sentence = f"YARN did not take the application within {_SUBMIT_S} s."
            raise _silent(sentence, self._last_words(), _NEXT_SUBMISSION)
        return str(self._answer("application_id"))

    def close(self) -> None:
        """Stop the driver and remove its temporary files; safe to repeat.

        A submission under way comes to its end first: who asks YARN afterwards sees all that is left of it.
        """
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # what it did not read any more is of no use to it
                self._process.stdin.close()
        if not self._certificate or not self._ends():
            self._kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._scratch.close()

    def _say(self, message: Mapping[str, Any]) -> None:
        """Send the process a line."""
        if self._process.stdin is None:
            raise _driver_ended("")
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise _driver_ended(self._log()) from error

    def _ends(self) -> bool:
        """Return whether the process ends within `_END_S` by itself."""
        for wait_s in (1, _END_S - 1):
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self._progress("waiting for Skein's Java program to end")
            else:
                return True
        return False

    def _kill(self) -> None:
        """Kill our process, and the Java program that it started in a session of its own."""
        if self._process.poll() is not None:
            return
        pid, others = self._process.pid, []
        with contextlib.suppress(OSError):  # proc(5): the kernel may be built without the list
            others = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for group in (*others, pid):
            with contextlib.suppress(ProcessLookupError):  # it ended, or is of a group that ends below
                os.killpg(group, signal.SIGKILL)

    def _answers(self, since_s: float, deadline_s: float, waiting: str) -> bool:
        """Return whether the process says something within `deadline_s` of `since_s`, telling what is waited for."""
        import select

        while True:
            waited_s = time.monotonic() - since_s
            pause_s = max(0.0, min(_WORD_S - waited_s % _WORD_S, deadline_s - waited_s))
            if self._process.stdout is None or select.select([self._process.stdout], [], [], pause_s)[0]:
                return True
            if pause_s == 0:
                return False
            self._progress(f"{waiting}, {time.monotonic() - since_s:.0f} s")

    def _answer(self, key: str) -> Any:
        """Return what the process has said under `key`."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise _driver_ended(self._log())
        answer = json.loads(line)
        if "failed" in answer:
            raise _driver_failed(answer["failed"], self._log())
        if "refused" in answer:
            raise refusal(answer["refused"])
        return answer[key]

    def _last_words(self) -> str:
        self._kill()
        return self._log()

    def _log(self) -> str:
        lines: list[str] = []
        for name in ("launch.log", "driver.log"):  # what `yarn` said, what Java said
            with contextlib.suppress(OSError):
                lines += (self._dir / name).read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if not _STACK.match(line)][-_TAIL_LINES:])


_STACK = re.compile(r"\s+(at |\.\.\. \d+ more)")  # where in Java it happened helps nobody
_CLASS = re.compile(r"(?:Caused by: )?(?:[a-z_]\w*\.)+(\w+(?:Exception|Error)): ?")
_NEXT_DRIVER = (
    "check that `yarn classpath --glob` prints Hadoop's jars and that this Java runs them: JAVA_HOME, else `java`"
)


_NEXT_SUBMISSION = "check that ResourceManager and NameNode answer (job list), then submit again"


def _silent(sentence: str, log: str, step: str) -> UnreachableError:
    return UnreachableError(Problem("driver-silent", sentence, log, step))


def _driver_failed(reason: str, log: str) -> UnreachableError:
    sentence = f"Skein's driver, which submits to YARN, could not be started: {reason.rstrip('.')}."
    return UnreachableError(Problem("driver-failed", sentence, log, _NEXT_DRIVER))


def _driver_ended(log: str) -> UnreachableError:
    return _driver_failed("it ended by itself", log)


def refusal(said: str) -> SubmitterError:
    """Return the error for what driver and ResourceManager say of a submission: cause first, no Java stack."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _STACK.match(line)]
    causes = [line for line in lines if _CLASS.match(line)] or lines[-1:] or ["no reason was given"]
    words = _CLASS.sub("", causes[-1])
    if "AccessControlException" in said or "does not have permission" in said:
        step = "choose a queue that you may use with --queue, or ask its administrator"
        return DeniedError(Problem("submit-denied", "YARN does not take this job from you.", words, step))
    if any(f".{name}" in said for name in ("ConnectException", "SocketTimeoutException", "UnknownHostException")):
        return UnreachableError(
            Problem("submit-failed", "YARN could not be asked to take the job.", words, _NEXT_SUBMISSION)
        )
    step = "correct what it names; if it names nothing, the ResourceManager's log tells more"
    return UsageError(Problem("submit-refused", "YARN does not take the job.", words, step))


def launch_problems(environ: Mapping[str, str]) -> list[Problem]:
    """Return which programs that submitting needs are not there: Java, and Hadoop's `yarn`."""
    path, home = _program_path(environ), environ.get("JAVA_HOME", "")
    found = []
    if home and shutil.which(f"{home}/bin/java") is None:
        sentence = f"JAVA_HOME is {home}, and there is no program bin/java in it."
        found.append(Problem("java-missing", sentence, "", "set JAVA_HOME to a Java 8, 11 or 17, or unset it"))
    elif not home and shutil.which("java", path=path) is None:
        sentence = "Submitting needs Java: JAVA_HOME is not set, and PATH has no java."
        found.append(Problem("java-missing", sentence, f"PATH={path}", "set JAVA_HOME to a Java 8, 11 or 17"))
    if shutil.which("yarn", path=path) is None:
        sentence = "Submitting needs Hadoop's program yarn, and PATH has none."
        found.append(Problem("yarn-missing", sentence, f"PATH={path}", "set HADOOP_HOME, or add its bin to PATH"))
    return found


def _program_path(environ: Mapping[str, str]) -> str:
    hadoop_bins = [f"{environ[key]}/bin" for key in ("HADOOP_HOME", "HADOOP_YARN_HOME") if environ.get(key)]
    return os.pathsep.join([*([environ["PATH"]] if environ.get("PATH") else []), *hadoop_bins])


def driver_environment(environ: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return the environment of the driver's process: no proxies, everything temporary in `directory`."""
    env = {key: value for key, value in environ.items() if key not in _PROXIES}
    if not env.get("JAVA_HOME"):
        env.pop("JAVA_HOME", None)  # skein would take an empty one for the root directory
    env["PATH"] = _program_path(env)
    env["SKEIN_CONFIG"] = str(directory / "skein")
    env["TMPDIR"] = str(directory)
    if sys.version_info < (3, 12):  # skein imports distutils; setuptools would put its own before Python's: 0.15 s
        env.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")
    own = f"{_JAVA_OPTIONS} -Djava.io.tmpdir={directory}"
    env["SKEIN_DRIVER_JAVA_OPTIONS"] = f"{own} {env.get('SKEIN_DRIVER_JAVA_OPTIONS', '')}".strip()
    return env


def _serve(directory: Path) -> None:
    """Be the child: start the driver when told, submit what the parent sends, until the parent is gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def answer(**value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    sys.unraisablehook = lambda _: None  # skein's half-made client complains when the driver did not start
    import skein

    certificate, key = certificate_and_key()
    security = skein.Security(cert_bytes=certificate, key_bytes=key)
    if not sys.stdin.readline():  # the job was refused
        return
    try:
        client = skein.Client(security=security, log=str(directory / "driver.log"), log_level="warn")
    except Exception as error:  # noqa: BLE001  whatever skein, grpc or Java raise becomes a sentence in the parent
        answer(failed=str(error))
        return
    with client:
        answer(ready=certificate.decode())
        for line in sys.stdin:
            specification = skein.ApplicationSpec.from_dict(json.loads(line)["application"])
            specification.master.security = security
            try:
                answer(application_id=client.submit(specification))
            except Exception as error:  # noqa: BLE001  the same
                answer(refused=str(error))
        # Nothing of it is under way, and it is asked for no more: its orderly end, and ours, would take half a second.
        client._proc.kill()  # noqa: SLF001  skein has no public name for it
    os._exit(0)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
