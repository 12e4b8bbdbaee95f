"""What `make quickstart` runs: from nothing to a trained model on a Hadoop of one's own.

It types the commands that a person would type, and shows each: a sandbox is brought up while an environment with
TensorFlow is packed, then `job run` trains train.py with 1 chief, 2 workers and 1 ps, and `job get` fetches what the
chief left on HDFS. It can be run again at any time: what is up stays up, and what is packed stays packed. Everything
that it writes lies below build/quickstart/ of the checkout and in the user's cache.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "quickstart"
ARCHIVE = BUILD / "env.tar.gz"
JOB = Path(sys.executable).parent / "job"
PACKAGES = ("tensorflow-cpu==2.21.0", "scikit-learn")
QUIET_S = 5.0  # something is said at least this often; on a terminal, where a line can be replaced, each second
LINE_CHARACTERS = 110
PIP_PAUSE_S = 2.0  # pip's single steps are shown at most this often
# TensorFlow says less, and its results do not depend on the processor's kind.
SETTINGS = ("TF_CPP_MIN_LOG_LEVEL=1", "TF_ENABLE_ONEDNN_OPTS=0")
TRAIN = "./env/bin/python train.py"


class StepFailedError(Exception):
    """A command ended badly and has said why."""

    def __init__(self, step: str, code: int) -> None:
        super().__init__(f"{step} ended with exit code {code}")
        self.code = code


@dataclass
class Step:
    """A command that runs, its output merged into one stream.

    Attributes:
        name: Shown in front of its lines when it runs beside others.
        process: The command.
        began_s: When it was started, by the monotonic clock.
        lines: What it said so far.
        shown_s: When its last line was shown.
    """

    name: str
    process: subprocess.Popen[str]
    began_s: float
    lines: list[str] = field(default_factory=list)
    shown_s: float = 0.0


def main() -> int:
    """Return the exit code: 0, or that of the command that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sandbox", default="default", metavar="NAME", help="which sandbox to use")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives another model")
    options = parser.parse_args()
    began_s = time.monotonic()
    try:
        prepare(options.sandbox)
        train_and_show(options.sandbox, options.seed, began_s)
    except StepFailedError as error:
        say(f"quickstart: {error}")
        return error.code
    except KeyboardInterrupt:
        say("quickstart: interrupted; run it again at any time")
        return 130
    return 0


def prepare(sandbox: str) -> None:
    """Bring the sandbox up and pack the environment, both at once."""
    BUILD.mkdir(parents=True, exist_ok=True)
    commands = {
        "sandbox": ["sandbox", "up", *(["--name", sandbox] if sandbox != "default" else [])],
        "pack --agent": ["pack", "--agent"],
    }
    pack = ["pack", *PACKAGES, "-o", shown_path(ARCHIVE)]
    # The archive is kept as long as it would be made the same way; the note beside it says how it was made.
    note, made_by = BUILD / "env.made-by.json", json.dumps({"command": pack[:-1], "python": sys.version})
    if ARCHIVE.exists() and note.exists() and note.read_text("utf-8") == made_by:
        say(f"{shown_path(ARCHIVE)} was packed by an earlier run and is used again")
    else:
        note.unlink(missing_ok=True)
        commands["pack"] = pack
    run_all(commands)
    note.write_text(made_by, "utf-8")


def train_and_show(sandbox: str, seed: int, began_s: float) -> None:
    """Run the job, fetch what it left, and say what to try next."""
    cluster = ["--cluster", "sandbox" if sandbox == "default" else f"sandbox:{sandbox}"]
    [run] = run_all({"run": [*job_words(seed), *cluster]})
    submitted = re.search(r"^submitted digits: \S+, id (\S+)$", "\n".join(run.lines), re.MULTILINE)
    job_id = submitted[1] if submitted else "digits"
    run_all({"get": ["get", job_id, "model/metrics.json", "--to", shown_path(BUILD), *cluster]})
    [show] = run_all({"show": ["show", job_id, *cluster]})
    metrics = json.loads((BUILD / "metrics.json").read_text("utf-8"))
    model = re.search(r"^Saved Model Path:?\s+(\S+)", "\n".join(show.lines), re.MULTILINE | re.IGNORECASE)
    job = shown_path(JOB)
    tail = " ".join(cluster)
    say("")
    say(f"accuracy: {metrics['accuracy']:.4f} on 450 images that were not trained on (seed {metrics['seed']})")
    if model:
        say(f"model:    {model[1]}")
    say(f"all this took {time.monotonic() - began_s:.0f} s")
    say("")
    say("three commands to try next:")
    say(f"  {job} logs {job_id} worker:0 --tail 5 {tail}")
    say(f"  {job} get {job_id} model --to {shown_path(BUILD)} {tail}")
    say(f"  {job} list {tail}")
    say("the sandbox stays up; it is stopped by:")
    say(f"  {job} {shlex.join(['sandbox', 'down', *(['--name', sandbox] if sandbox != 'default' else [])])}")


def job_words(seed: int) -> list[str]:
    """Return the words of `job run`, without the cluster."""
    words = ["run", "--name", "digits", "--framework", "tensorflow", "--input_path", ""]
    words += ["--src", shown_path(ROOT / "examples" / "digits")]
    words += ["--localization", f"{shown_path(ARCHIVE)}#archive:./env"]
    words += ["--role", "chief:instances=1,memory=1G", "--role_cmd", f"chief={TRAIN} --seed {seed}"]
    words += ["--num_workers", "2", "--worker_resources", "memory=1G", "--worker_launch_cmd", TRAIN]
    words += ["--num_ps", "1", "--ps_resources", "memory=1G", "--ps_launch_cmd", TRAIN]
    for setting in SETTINGS:
        words += ["--env", setting]
    return words


def run_all(commands: Mapping[str, list[str]]) -> list[Step]:
    """Run `job` with each of the commands, at the same time; show them and what they say.

    Raises:
        StepFailedError: One has failed; the others were interrupted and have ended.
    """
    news: queue.Queue[tuple[Step, str | None]] = queue.Queue()  # None: the command has ended
    steps = [start(name, words, news) for name, words in commands.items()]
    running, failed = list(steps), None
    try:
        while running:
            try:
                step, line = news.get(timeout=1.0 if sys.stdout.isatty() else QUIET_S)
            except queue.Empty:
                still_at(running, commands)
                continue
            if line is not None:
                if failed is None:  # what a command says that was interrupted is of no interest
                    show(step, line, prefix(step, commands))
                continue
            running.remove(step)
            if step.process.wait() and failed is None:
                code = step.process.returncode
                failed = StepFailedError(f"job {step.name}", code if code > 0 else 128 - code)
                interrupt(running)
    except KeyboardInterrupt:  # the terminal has sent it to the commands, too, and they have their last words
        while running:
            step, line = news.get()
            if line is None:
                running.remove(step)
            else:
                show(step, line, prefix(step, commands))
        raise
    if failed:
        raise failed
    return steps


def start(name: str, words: list[str], news: queue.Queue[tuple[Step, str | None]]) -> Step:
    """Show a command, start it, and let a thread bring its lines."""
    say(f"\n$ {as_typed(words)}")
    process = subprocess.Popen(
        [str(JOB), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    step = Step(name, process, time.monotonic())

    def read() -> None:
        with process.stdout as stream:
            for line in stream:
                news.put((step, line.rstrip("\n")))
        news.put((step, None))

    threading.Thread(target=read, daemon=True).start()
    return step


def show(step: Step, line: str, before: str) -> None:
    """Keep a line of a command's output, and print it."""
    step.lines.append(line)
    now_s = time.monotonic()
    if line.startswith("installing: ") and now_s - step.shown_s < PIP_PAUSE_S:
        return
    step.shown_s = now_s
    say(before + line)


def still_at(steps: list[Step], commands: Mapping[str, list[str]]) -> None:
    """Tell what the commands are at, when nothing is heard of them."""
    texts = []
    for step in steps:
        # The one line of a task's state is long and says nothing about the job as a whole.
        news = [line for line in step.lines if not line.startswith(("Task status", "Logs for"))] or ["started"]
        texts.append(f"{prefix(step, commands)}... {news[-1].strip()[:60]} ({time.monotonic() - step.began_s:.0f} s)")
    if sys.stdout.isatty():
        sys.stdout.write("\r\x1b[K" + "   ".join(texts)[:LINE_CHARACTERS] + "\r")
        sys.stdout.flush()
    else:
        say("\n".join(texts))


def prefix(step: Step, commands: Mapping[str, list[str]]) -> str:
    """Return what stands before a command's lines."""
    return f"[{step.name}] " if len(commands) > 1 else ""


def interrupt(steps: list[Step]) -> None:
    """End commands as Ctrl-C does, so that they clean up."""
    for step in steps:
        step.process.send_signal(signal.SIGINT)


def as_typed(words: list[str]) -> str:
    """Return a command as a person would type it; a long one has an option on each line."""
    command = f"{shown_path(JOB)} {shlex.join(words)}"
    if len(command) <= LINE_CHARACTERS:
        return command
    lines = [shown_path(JOB)]
    for word in words:
        lines += [shlex.quote(word)] if word.startswith("--") else [f"{lines.pop()} {shlex.quote(word)}"]
    return " \\\n    ".join(lines)


def shown_path(path: Path) -> str:
    """Return a path as short as it can be typed here."""
    here = os.path.relpath(path)
    return str(path) if here.startswith("..") else here


def say(text: str) -> None:
    """Print a line, at once."""
    print(("\x1b[K" if sys.stdout.isatty() else "") + text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
