"""What can be changed of a job that lives: its queue, its priority, its timeout in YARN."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable
from dataclasses import dataclass

from am.contract.job import spec_dir
from yarn_submitter.errors import Problem, SubmitterError, UsageError
from yarn_submitter.facts import ClusterFacts, Queue, typed_queue
from yarn_submitter.findings import Finding
from yarn_submitter.job import Job
from yarn_submitter.preflight import label_of, with_instances
from yarn_submitter.preflight_queues import label_findings, queue_findings
from yarn_submitter.record import read_record
from yarn_submitter.rest import App
from yarn_submitter.verdicts import state_of

_SLACK_S = 1.0  # YARN keeps milliseconds, and its clock need not be ours


@dataclass(frozen=True)
class Timeout:
    """A job's timeout in YARN.

    Attributes:
        expires_s: When YARN kills the job, in seconds since the epoch.
        asked_s: What was asked for; later when the queue allows no more.
    """

    expires_s: float
    asked_s: float

    @property
    def cut(self) -> bool:
        """Return whether YARN gives less than was asked for."""
        return self.expires_s < self.asked_s - _SLACK_S


def move(job: Job, queue: str) -> tuple[str, str]:
    """Move a job to another queue; return the queue before and the queue after, as users type them.

    Args:
        job: The job.
        queue: Name or path of a queue that takes jobs of this user.

    Raises:
        UsageError: The job has ended, or there is no such queue, or it takes no jobs, or gets no nodes with a label
            that the job's tasks ask for; with the queues that do.
        DeniedError: The job is somebody else's, and the user does not administer its queue.
    """
    app = _living(job)
    site = job.site
    facts = ClusterFacts(tuple(site.resource_manager.queues()), ())
    user = site.user if site.conf.acls else ""
    before, target = facts.queue(app.queue), facts.queue(queue)
    _refuse(queue_findings(queue, facts, user))
    if target is not None and target == before:
        return target.typed, target.typed
    for label in _labels(job):
        _refuse(label_findings(label, target, facts, user))
    after = site.resource_manager.move(job.application_id, target.path if target else queue)
    return _typed(before, app.queue), _typed(facts.queue(after), after)


def _refuse(findings: Iterable[Finding]) -> None:
    """Raise UsageError with what preflight finds, in the words of `job move`."""
    problems = [finding.problem for finding in findings if finding.problem]
    if problems:
        raise UsageError(
            *(dataclasses.replace(one, next_step=one.next_step.replace(" with --queue", "")) for one in problems)
        )


def _labels(job: Job) -> list[str]:
    """Return the node labels that a job's tasks ask for; none where its record does not say, and YARN is to judge."""
    with contextlib.suppress(SubmitterError, ValueError):
        record = read_record(job.site.store.read(f"{spec_dir(job.plan.job_dir)}/plan.json").decode())
        if record is not None:
            return sorted({label_of(role, record.spec, None) for role in with_instances(record.spec)} - {""})
    return []


def _typed(queue: Queue | None, name: str) -> str:
    return queue.typed if queue else typed_queue(name)


def prioritize(job: Job, priority: int) -> tuple[int, int]:
    """Set a job's priority within its queue; return the priority before and the one that counts now.

    Args:
        job: The job.
        priority: 0 or more; jobs with greater ones are served first. YARN cuts it to the cluster's greatest.

    Raises:
        UsageError: The job has ended.
        DeniedError: The user may not change this job, or not so.
    """
    app = _living(job)
    return app.priority, job.site.resource_manager.set_priority(job.application_id, priority)


def end_within(job: Job, seconds: float) -> Timeout:
    """Let YARN kill a job that has not ended within `seconds` from now.

    An earlier timeout is replaced; the job's own `--max_runtime` stays as it is.

    Raises:
        UsageError: The job has ended.
        DeniedError: The user may not change this job.
    """
    _living(job)
    asked_s = time.time() + seconds
    return Timeout(job.site.resource_manager.set_expiry(job.application_id, asked_s), asked_s)


def _living(job: Job) -> App:
    """Return a job's application.

    Raises:
        UsageError: It has ended, or the ResourceManager has forgotten it. [job-over]
    """
    app = job.site.resource_manager.get_app(job.application_id) if job.application_id else None
    if app is None or app.ended:
        state = state_of(app) if app else "the ResourceManager has forgotten it"
        sentence = f"Job {job.name} ({job.id}) has ended; nothing of it can be changed any more."
        raise UsageError(Problem("job-over", sentence, state, f"job show {job.id}{job.site.option}"))
    return app
