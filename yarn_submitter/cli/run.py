"""`job run`: a training job from its description to its exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from am.contract.job import split_task
from yarn_submitter.cli import DETACHED
from yarn_submitter.cli.console import Column, Console, Ink, aligned
from yarn_submitter.errors import OutputError, SubmitterError
from yarn_submitter.interrupts import one_interrupt, undisturbed
from yarn_submitter.load import Controls, load
from yarn_submitter.localfiles import LocalFile, describe_all
from yarn_submitter.plan import SubmissionPlan, local_paths, plan, to_text
from yarn_submitter.settings import JobDefaults, Settings, job_defaults
from yarn_submitter.siteconfig import load_settings
from yarn_submitter.spec import JobSpec

if TYPE_CHECKING:  # what asks a cluster costs a dry run nothing
    from yarn_submitter.check import Checked
    from yarn_submitter.job import Job
    from yarn_submitter.site import Site
    from yarn_submitter.yarn import SkeinYarn

NAME = "run"
HELP = "run a training job and follow it"


def run(words: Sequence[str], console: Console) -> int:
    """Run the verb; return the job's exit code."""
    if any(word in ("-h", "--help", "-help") for word in words):
        from yarn_submitter.cli.run_help import help_text

        console.out(help_text(shutil.get_terminal_size().columns))
        return 0
    settings = Settings()

    def defaults_for(cluster: str, overrides: Sequence[str]) -> JobDefaults:
        nonlocal settings
        settings = load_settings(os.environ, overrides, cluster)
        return job_defaults(settings)

    spec, controls = load(words, defaults_for)
    for warning in controls.warnings:
        console.say(f"job: warning: {warning}")
    files = describe_all(local_paths(spec), spec.source_dir)
    planned = plan(spec, files, settings.limits)
    if controls.dry_run:
        console.out(to_text(planned.document()))
        return 0
    return _submit_and_follow(spec, files, planned, controls, console)


def _submit_and_follow(
    spec: JobSpec, files: dict[str, LocalFile], planned: SubmissionPlan, controls: Controls, console: Console
) -> int:
    from yarn_submitter.overlay import with_properties
    from yarn_submitter.site import open_site

    with with_properties(open_site(controls.cluster, overrides=controls.set), spec.conf) as site:
        return submit_to(site, spec, files, planned, controls, console)


@one_interrupt()
def submit_to(
    site: Site,
    spec: JobSpec,
    files: dict[str, LocalFile],
    planned: SubmissionPlan,
    controls: Controls,
    console: Console,
    rerun_of: str = "",
) -> int:
    """Check a job, submit it, and follow it unless it is to be left alone; return the exit code.

    Args:
        site: The cluster.
        spec: The job as the checks are to see it.
        files: Local path of `spec` -> what lies there.
        planned: The plan.
        controls: How to behave.
        console: Where to.
        rerun_of: Our id of the job that is submitted once more, or empty.
    """
    from yarn_submitter.check import check
    from yarn_submitter.job import Job
    from yarn_submitter.submit import submit

    with contextlib.ExitStack() as beside:
        door = None if controls.check else beside.enter_context(_door(site, console))
        checked = check(spec, files, site)
        if controls.force:
            checked = checked.forced()
        if controls.check:
            return _tell_check(checked, controls, console)
        refusal = checked.refusal()
        if refusal is not None:
            raise refusal
        for note in checked.notes:
            console.say(f"job: note: {note.text()}")
        beside.pop_all()  # submit closes it
    try:
        submitted = submit(planned, site, console.progress, door, rerun_of=rerun_of)
    except (KeyboardInterrupt, SystemExit) as interrupt:
        console.say(f"interrupted before the job was submitted. {interrupt.__cause__ or 'Nothing is left of it.'}")
        if isinstance(interrupt, SystemExit):
            raise
        return DETACHED
    job = Job(site, submitted.id, submitted.application_id, submitted.job)
    return leave_or_follow(job, controls, console)


def _door(site: Site, console: Console) -> contextlib.closing[SkeinYarn]:
    """Return the way to YARN; what it needs before it is certain that a job is submitted, it does beside the checks."""
    from yarn_submitter.yarn import SkeinYarn

    return contextlib.closing(SkeinYarn(site.environ, console.progress))


def _tell_check(checked: Checked, controls: Controls, console: Console) -> int:
    """Print every question with its answer; refusals are told as a submission would tell them."""
    if controls.json:
        console.out_json(checked.document())
    else:
        console.out(_table(checked, console.out_ink))
        for note in checked.notes:
            console.say(f"job: note: {note.text()}")
    refusal = checked.refusal()
    if refusal is not None:
        raise refusal
    return 0


def _table(checked: Checked, ink: Ink) -> str:
    rows = [
        (answer.verdict, f"{answer.question} {answer.about}".strip(), answer.asked, answer.available)
        for answer in checked.answers
    ]
    return "\n".join(aligned(tuple(map(Column, ("", "QUESTION", "ASKED", "AVAILABLE"))), rows, ink))


@one_interrupt()
def leave_or_follow(job: Job, controls: Controls, console: Console) -> int:
    """Tell of a submitted job and follow it, unless it is to be left alone."""
    option = job.site.option
    come_back = f"job show {job.id}{option}, job logs {job.id} -f{option}, job kill {job.id}{option}"
    try:
        if not controls.detach:
            return _follow(job, controls, console)
        if controls.json:
            console.out_json({"schema": 1, "id": job.id, "application_id": job.application_id})
        else:
            console.out(job.application_id)
    except KeyboardInterrupt:
        _leave(job, controls, console, come_back)
        return DETACHED
    except SystemExit:
        _leave(job, controls, console, come_back)
        raise
    except BrokenPipeError:
        _leave(job, controls, console, come_back)
        return 128 + signal.SIGPIPE
    except OutputError:
        _leave(job, controls, console, come_back)
        raise
    except SubmitterError:
        console.say(f"lost sight of the job, it may go on; come back with: {come_back}")
        raise
    return 0


def _leave(job: Job, controls: Controls, console: Console, come_back: str) -> None:
    """Do what the end of a client asks for: it changes nothing for the job, unless it shall."""
    said = f"detached, the job goes on; come back with: {come_back}"
    with undisturbed():
        if controls.kill_on_exit:
            try:
                job.kill("its client was interrupted, and --kill_on_exit was given")
                said = f"interrupted; the job is told to end. See: job show {job.id}{job.site.option}"
            except SubmitterError as error:
                console.error(error)
        console.say(said)


def _follow(job: Job, controls: Controls, console: Console) -> int:
    from yarn_submitter.cli.follow import Follower

    def shows(task: str) -> bool:
        if controls.quiet or controls.json:
            return False
        if controls.logs:
            return controls.logs in ("all", task, split_task(task)[0])
        return task == job.plan.main_task

    console.say(f"submitted {job.plan.name}: {job.application_id}, id {job.id}")
    tasks = sum(role.instances for role in job.plan.roles)
    if tasks > 1 and not (controls.logs or controls.quiet or controls.json):
        console.say(f"showing the output of {job.plan.main_task}; of all tasks: --logs all")
    return Follower(job, console, shows, json=controls.json).run()
