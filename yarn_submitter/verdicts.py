"""How a job ended, where its agent could not know or say it: the ResourceManager's word. Pure but for the clock."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from am.contract import codes, states
from am.contract.events import KILLED_BY, JobEnded, killed
from yarn_submitter.errors import Problem
from yarn_submitter.rest import App
from yarn_submitter.units import seconds_text, when_text

_CODE = re.compile(r"exitCode: (-?\d+)")
_KILLED_BY = re.compile(KILLED_BY + r"(\S+@.*)", re.DOTALL)
_DATE = re.compile(r"^\[[^\]]*\]\s*")
_HEADING = "Failing this attempt.Diagnostics: "
_NOTHING_NEW = re.compile(  # headings, and what the code says already
    r"exitCode:|Container (killed on request|exited with|id:)|"
    r"Exception from container-launch|Exit code:|Exception message:|Shell output:|Last \d+ bytes of"
)
# RMAppImpl's and RMAppAttemptImpl's words around the reason, which stand on its line as often as not.
_AROUND = re.compile(r"^Application \S+ failed \d+ times.*? due to |(For more detailed|[. ]*Failing the app).*")
_AM_STOPPED = "am-stopped"  # the agent's word when YARN told its master to go,
_AM_LOST = "am-lost"  # when its master died,
_TASK_STOPPED = "executor-lost"  # and when YARN stopped a task
AGENTS_LOG = frozenset(("am-lost", "agent-lost", "internal"))  # problems of which the agent's log may say more
_STOP_CODES = (codes.KILLED, codes.TERMINATED)
_OUT_OF_TIME = "exceeded the lifetime"  # RMAppLifetimeMonitor's
_NO_AGENT = "Application driver "  # Skein's words when the agent ended without finishing the application


def verdict_of(app: App | None) -> JobEnded:
    """Return the verdict on a job whose agent left none, from the ResourceManager's word."""
    if app is None:
        sentence = "The ResourceManager does not know the application and the job left no verdict."
        return JobEnded(time.time(), states.FAILED, codes.LOST, "yarn", "application-lost", sentence)
    if _out_of_time(app):
        sentence = f"The job ran longer than its timeout in YARN{_limit(app)}."
        return JobEnded(
            app.finished_s, states.KILLED, codes.LIMIT, "yarn", "yarn-timeout", sentence, tail=app.diagnostics
        )
    by = _KILLED_BY.search(app.diagnostics)
    if app.state == "KILLED" and by:
        return killed(by[1], "", app.finished_s)
    if "KILLED" in (app.state, app.final_status):
        sentence = "The application was killed through YARN."
        return JobEnded(
            app.finished_s, states.KILLED, codes.KILLED, "yarn", "killed-by-yarn", sentence, tail=app.diagnostics
        )
    if app.state == "FINISHED" and app.final_status == "SUCCEEDED":
        return JobEnded(app.finished_s, states.SUCCEEDED, 0, "yarn", "", app.diagnostics)
    if app.state == "FINISHED" and _NO_AGENT not in app.diagnostics:
        sentence = "The job failed, and its own record of that did not reach the store; YARN has the reason."
        return JobEnded(
            app.finished_s, states.FAILED, codes.LOST, "yarn", "verdict-missing", sentence, tail=app.diagnostics
        )
    sentence = "The job's agent ended without a verdict: its ApplicationMaster was lost or could not start."
    return JobEnded(app.finished_s, states.FAILED, codes.LOST, "yarn", "agent-lost", sentence, tail=app.diagnostics)


def _limit(app: App) -> str:
    """Return when an application was to end, and who may have said so."""
    who = "(`job timeout`, or its queue's longest lifetime)"
    if not app.expires_s:
        return f" {who}"
    after = seconds_text(app.expires_s - app.started_s)
    return f": it had until {when_text(app.expires_s)}, {after} after its submission {who}"


def _out_of_time(app: App) -> bool:
    return app.state == "KILLED" and _OUT_OF_TIME in app.diagnostics


def doubtful(verdict: JobEnded) -> bool:
    """Return whether a verdict may be no more than what the loss of the ApplicationMaster looked like.

    When YARN loses the master, with its node, it stops everything of the job; an agent that still lives sees only that.
    """
    stopped = verdict.exit_code in _STOP_CODES or verdict.problem == _TASK_STOPPED
    return (verdict.state == states.FAILED and stopped) or of_master(verdict)


def of_master(verdict: JobEnded) -> bool:
    """Return whether an agent says that its master is gone: YARN, which ends the application then, knows why."""
    return verdict.problem in (_AM_STOPPED, _AM_LOST)


def with_yarn(verdict: JobEnded, app: App | None) -> JobEnded:
    """Return the verdict, corrected when YARN knows better: FAILED, out of time, or whom it killed the job for."""
    if not doubtful(verdict) or app is None:
        return verdict
    if _out_of_time(app) or (app.state == "KILLED" and _KILLED_BY.search(app.diagnostics)):
        return replace(verdict_of(app), time=verdict.time)
    if app.state != "FAILED":
        return verdict
    who = verdict.message if verdict.problem == _AM_LOST else "the ApplicationMaster was lost"
    said = yarns_words(app.diagnostics)
    return replace(
        verdict,
        state=states.FAILED,
        exit_code=codes.LOST,
        origin="yarn",
        problem=_AM_LOST,
        message=f"{who}: {said}" if said else who,
        task="",
        tail=app.diagnostics,
    )


def yarns_words(said: str) -> str:
    """Return what YARN says of an ApplicationMaster's end, short: `exit code 137, Killed by external signal`."""
    bare = [_AROUND.sub("", line.strip()).removeprefix(_HEADING) for line in said.splitlines()]
    lines = [_DATE.sub("", line).strip().rstrip(".") for line in bare]
    told = [line for line in lines if line and not _NOTHING_NEW.search(line)]
    return ", ".join([f"exit code {code}" for code in _CODE.findall(said)[:1]] + told[:2])


def state_of(app: App) -> str:
    """Return an application's state in one word: its final status once it has ended."""
    if not app.ended:
        return app.state
    return "KILLED" if "KILLED" in (app.state, app.final_status) else app.final_status


def cleaned(job_id: str, app: App | None, record: str, option: str) -> Problem:
    """Return what is still known of a job whose record, a file on the store, is gone: YARN's word, if it has one.

    Args:
        job_id: Ours.
        app: What YARN knows; None: nothing.
        record: The file's path.
        option: What names the cluster on a command line, see Site.option.
    """
    if app is None:
        sentence = f"The record of job {job_id} is gone, or not written yet, and YARN does not know the job."
        return Problem("job-record-missing", sentence, record, f"job clean {job_id}{option}")
    sentence = f"The directory of job {job_id} was cleaned away (`job clean`), or YARN_SUBMITTER_ROOT was another one."
    said = f"{app.name}, {app.id}, {state_of(app)} in queue {app.queue}, submitted {when_text(app.started_s)}"
    step = f"what its tasks wrote, while YARN keeps it: yarn logs -applicationId {app.id}"
    return Problem("job-record-missing", sentence, f"YARN still knows: {said}\n{app.diagnostics}".strip(), step)
