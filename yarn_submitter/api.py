"""What a program does with jobs: plan, submit, find again, wait for many. `import yarn_submitter` offers all of it.

Nothing here prints; what is being done is told to a callback where one is given. Whatever can go wrong is a
SubmitterError with the problems that the command line would print, and its exit code.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.load import Controls, load
from yarn_submitter.localfiles import LocalFile, describe_all
from yarn_submitter.plan import SubmissionPlan, local_paths
from yarn_submitter.plan import plan as plan_of
from yarn_submitter.settings import JobDefaults, job_defaults
from yarn_submitter.siteconfig import load_settings
from yarn_submitter.spec import JobSpec
from yarn_submitter.spectypes import misfits
from yarn_submitter.words import checked

if TYPE_CHECKING:  # what asks a cluster costs a plan nothing
    from yarn_submitter.job import Job

Tell = Callable[[str], None]


@dataclass(frozen=True)
class ListedJob:
    """A job as the ResourceManager lists it; `attach(listed.id)` makes a Job of it.

    Attributes:
        id: Ours.
        application_id: YARN's.
        name: The user's name for it.
        user: Its owner.
        queue: Its queue as users type it.
        state: YARN's state while it lives (ACCEPTED, RUNNING), then SUCCEEDED, FAILED or KILLED.
        started_s: Submission, in seconds since the epoch.
        ended_s: Its end, 0 while it lives.
    """

    id: str
    application_id: str
    name: str
    user: str
    queue: str
    state: str
    started_s: float
    ended_s: float


def job_from_words(words: Sequence[str], *, cluster: str = "", warn: Tell | None = None) -> JobSpec:
    """Return the job that the words after `job run` describe.

        spec = job_from_words(["--name", "fit", "--framework", "generic", "--input_path", "",
                               "--role", "worker:instances=2,memory=1G", "--role_cmd", "worker=python3 fit.py"])

    Args:
        words: As a shell would pass them; options that steer the command and describe no job are refused.
        cluster: As after `--cluster`; its resource profiles have names that the words may use.
        warn: Told of what is no fault and may not be meant.

    Raises:
        UsageError: With every fault.
    """
    profiles = job_defaults(load_settings(os.environ, (), cluster)).profiles
    spec, controls = load(words, lambda _cluster, _set: JobDefaults(profiles=profiles))
    _tell(controls.warnings, warn)
    bare = dataclasses.asdict(Controls(warnings=controls.warnings))
    steering = [name for name, value in dataclasses.asdict(controls).items() if value != bare[name]]
    if steering:
        sentence = f"--{steering[0]} steers the command job run and describes no job."
        raise UsageError(Problem("control-option", sentence, "", "leave it out; submit has arguments of its own"))
    return spec


def job_from_file(path: str | os.PathLike[str], *, cluster: str = "", warn: Tell | None = None) -> JobSpec:
    """Return the job that a file describes, as `job run -f` reads it.

        spec = job_from_file("job.yaml")

    Args:
        path: The file.
        cluster: As after `--cluster`; its resource profiles have names that the file may use.
        warn: Told of what is no fault and may not be meant.

    Raises:
        UsageError: With every fault, each with the line it stands in.
    """
    return job_from_words([f"-f={os.fspath(path)}"], cluster=cluster, warn=warn)


def plan(spec: JobSpec, *, cluster: str = "") -> SubmissionPlan:
    """Check a job by the rules of `job run` and return what would be submitted; no cluster is asked.

        print(plan(spec).document()["roles"])

    Args:
        spec: The job. Relative local paths are taken from the current directory.
        cluster: As after `--cluster`; empty: the one of the configuration or of HADOOP_CONF_DIR. What its site gives
            to jobs that say nothing (a queue, variables, deadlines) is in the plan.

    Raises:
        UsageError: With every fault, in the words of `job run`.
    """
    return _planned(spec, cluster)[0]


def submit(
    job: JobSpec | SubmissionPlan,
    *,
    cluster: str = "",
    force: bool = False,
    progress: Tell | None = None,
    warn: Tell | None = None,
) -> Job:
    """Check a job against its files and the cluster, bring it there, and return it; it runs on when this program ends.

        job = submit(spec, cluster="sandbox", progress=logging.info)

    Args:
        job: The job, or its plan as `plan` returned it for the same cluster.
        cluster: As after `--cluster`; empty: the one of the configuration or of HADOOP_CONF_DIR.
        force: Submit even when a check that may be wrong says no.
        progress: Told what is being done; a submission takes some seconds.
        warn: Told of what the checks found and what does not stop the job.

    Raises:
        UsageError: The job cannot be right, or can never run on this cluster; with every reason.
        StagingError: Its files could not be brought to the cluster.
        UnreachableError: The cluster does not answer.
        DeniedError: The cluster refuses it to this user.
        KeyboardInterrupt: Nothing of the job is left, as after every error.
    """
    from yarn_submitter.check import check
    from yarn_submitter.job import Job
    from yarn_submitter.overlay import with_properties
    from yarn_submitter.site import open_site
    from yarn_submitter.submit import submit as bring

    planned, files = _planned(job.spec if isinstance(job, SubmissionPlan) else job, cluster)
    spec = planned.spec
    if isinstance(job, SubmissionPlan) and planned != job:
        sentence = f"Job {spec.name} is not what was planned: its local files or the site's settings have changed."
        raise UsageError(Problem("plan-outdated", sentence, "", "plan it again"))
    site = open_site(cluster)
    with with_properties(site, spec.conf) as there:
        found = check(spec, files, there)
        found = found.forced() if force else found
        refusal = found.refusal()
        if refusal is not None:
            raise refusal
        _tell((note.text() for note in found.notes), warn)
        submitted = bring(planned, there, progress or _silent)
    return Job(site, submitted.id, submitted.application_id, submitted.job)


def attach(name: str, *, cluster: str = "", warn: Tell | None = None) -> Job:
    """Return a submitted job, from any machine and at any time.

        job = attach("fit")

    Args:
        name: Our id of it, YARN's, or its name: the one live job of that name, else the newest.
        cluster: As after `--cluster`; empty: the one of the configuration or of HADOOP_CONF_DIR.
        warn: Told of unknown keys of the configuration, which do not stop who looks at jobs.

    Raises:
        UsageError: There is no such job [job-unknown], or several live ones share the name [job-ambiguous].
    """
    from yarn_submitter.job import find_job
    from yarn_submitter.site import open_site

    return find_job(open_site(cluster, warn=_teller(warn)), name)


def list_jobs(
    *,
    cluster: str = "",
    name: str = "",
    queue: str = "",
    all_users: bool = False,
    live: bool = False,
    warn: Tell | None = None,
) -> list[ListedJob]:
    """Return the jobs that the cluster remembers, newest first.

        for listed in list_jobs(name="fit", live=True):
            attach(listed.id).kill("a better one is coming")

    Args:
        cluster: As after `--cluster`; empty: the one of the configuration or of HADOOP_CONF_DIR.
        name: Only of this name.
        queue: Only in this queue.
        all_users: Those of every user, not only mine.
        live: Only those that have not ended.
        warn: As for `attach`.
    """
    from yarn_submitter.job import ours, settled
    from yarn_submitter.rest import LIVE
    from yarn_submitter.site import open_site
    from yarn_submitter.verdicts import state_of

    site = open_site(cluster, warn=_teller(warn))
    found = site.resource_manager.list_apps(
        user="" if all_users else site.user,
        states=LIVE if live else (),
        tags=("yarn-submitter",),
        types=("skein",),
        queue=queue,
        name=name,
    )
    return [
        ListedJob(job_id, app.id, app.name, app.user, app.queue, state_of(app), app.started_s, app.finished_s)
        for job_id, app in settled(site, ours(found))
    ]


def as_completed(jobs: Iterable[Job], timeout_s: float | None = None) -> Iterator[Job]:
    """Yield each job when it has ended, the first to end first, however many there are.

        for job in as_completed(jobs, timeout_s=3600):
            print(job.name, job.verdict.exit_code)

    Args:
        jobs: Jobs, of one cluster or of several; each is yielded once.
        timeout_s: How long in all, in seconds from the first result asked for; None: as long as it takes.

    Raises:
        LimitError: Some have not ended within `timeout_s`; they go on. [wait-timeout]
        UnreachableError: A cluster has not answered for a minute; its jobs go on.
    """
    from yarn_submitter import watch

    return watch.as_completed(jobs, timeout_s)


def _planned(spec: JobSpec, cluster: str) -> tuple[SubmissionPlan, dict[str, LocalFile]]:
    """Return a job's plan, and what lies at each of its local paths."""
    wrong = list(misfits(spec, JobSpec))
    if wrong:
        raise UsageError(*wrong)
    settings = load_settings(os.environ, (), cluster)
    spec = checked(spec, job_defaults(settings))
    files = describe_all(local_paths(spec), spec.source_dir)
    return plan_of(spec, files, settings.limits), files


def _tell(sentences: Iterable[str], tell: Tell | None) -> None:
    if tell is not None:
        for sentence in sentences:
            tell(sentence)


def _teller(tell: Tell | None) -> Callable[[Problem], None]:
    return lambda problem: _tell((problem.text(),), tell)


def _silent(_said: str) -> None:
    """Tell nobody."""
