"""A handle on a submitted job, found again by id, application id or name; and what can be done to it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from am.contract import job as contract
from am.contract import states
from am.contract.events import JobEnded, killed
from am.contract.job import JobPlan
from yarn_submitter.agentdoor import AgentGoneError
from yarn_submitter.errors import Problem, StagingError, SubmitterError, UsageError
from yarn_submitter.facts import ClusterFacts
from yarn_submitter.feed import Feed, verdict_left
from yarn_submitter.monitor import JobView, TaskView, begin, fold
from yarn_submitter.rest import ENDED, App
from yarn_submitter.site import Site
from yarn_submitter.store import FileStatus, application_dir
from yarn_submitter.verdicts import cleaned

if TYPE_CHECKING:  # `job show` waits for nothing and reads no logs
    from concurrent.futures import Future

    from yarn_submitter.outputs import LogLine
    from yarn_submitter.pending import Waits
    from yarn_submitter.rest import ResourceManager
    from yarn_submitter.watch import Watch

AGENT = "agent"  # who was told
_TAGGED = "yarn-submitter"
_TAG = "ys-id:"
_SWEPT = 30
_SETTLED_S = 2.0
_LOOKED_INTO = 16
_PART_S = 60.0  # an agent that YARN has just told to end may be about to rename what it writes
JOB_ID = re.compile(r"\d{8}t\d{6}-[0-9a-f]{6}\Z")
_APPLICATION_ID = re.compile(r"application_\d+_\d+\Z")


@dataclass(frozen=True)
class Job:
    """A submitted job, as `submit` and `attach` return it.

    It may be used from several threads; two handles on the same job are equal. What is asked for as an attribute is
    asked of the cluster each time, until the job's end is known.

        job = yarn_submitter.attach("fit")
        print(job.state, [task.host for task in job.tasks.values()])

    Attributes:
        site: Its cluster.
        id: Ours.
        application_id: YARN's; empty when the ResourceManager has forgotten it and the job left no note of it.
        plan: Its job.json.
    """

    site: Site = field(repr=False, compare=False)
    id: str
    application_id: str
    plan: JobPlan = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Return the name that its user gave it."""
        return self.plan.name

    @property
    def state(self) -> str:
        """Return ACCEPTED, STARTING, GATHERING, RUNNING, STOPPING, SUCCEEDED, FAILED, KILLED (am/contract/states.py).

        Raises:
            UnreachableError: The cluster does not answer; so for every attribute below.
        """
        return self._seen().state

    @property
    def tasks(self) -> dict[str, TaskView]:
        """Return `role:index` -> state, host, container, log page, times and exit code of that task."""
        return self._seen().tasks

    @property
    def urls(self) -> dict[str, str]:
        """Return the pages of the job: `application` -> the ResourceManager's, `role:index` -> that task's logs."""
        pages = {"application": f"{self.site.conf.rm_http[0]}/cluster/app/{self.application_id}"}
        return pages | {task.task: task.log_url for task in self.tasks.values() if task.log_url}

    @property
    def verdict(self) -> JobEnded | None:
        """Return how it ended (state, exit_code, problem, message, task, host, tail), or None while it has not."""
        return self._seen().verdict

    def wait(self, timeout_s: float | None = None, on_change: Callable[[JobView], None] | None = None) -> JobEnded:
        """Wait for the job's end and return its verdict, whatever it is: a failed job raises nothing.

            verdict = job.wait(timeout_s=3600)
            if verdict.exit_code != 0:
                print(verdict.task, verdict.message, verdict.tail)

        Args:
            timeout_s: How long, in seconds; None: as long as it takes. The job goes on when the time is up.
            on_change: Called in this thread with the job's view each time something has happened to it.

        Raises:
            LimitError: It has not ended within `timeout_s`. [wait-timeout]
            UnreachableError: Neither agent nor cluster has answered for a minute; the job goes on.
        """
        from yarn_submitter import watch

        return watch.wait(self, timeout_s, on_change)

    def logs(self, task: str = "", *, follow: bool = False) -> Iterator[LogLine]:
        """Yield what the tasks have written, live or finished, one file after the other.

            for line in job.logs("worker", follow=True):
                print(line.task, line.text)

        Args:
            task: A role, a task `role:index`, `agent` for the job's agent, or empty for all tasks.
            follow: Go on until the job ends, lines as they are written.

        Raises:
            UsageError: The job has no such task. [task-unknown]
            LimitError: The logs have left their node and are not aggregated yet. [logs-not-aggregated]
        """
        from yarn_submitter import outputs

        return outputs.follow(self, task) if follow else outputs.lines(self, task)

    def _seen(self) -> JobView:
        return self.watch.ended or self.view()[0]

    @cached_property
    def watch(self) -> Watch:
        """Return the one watch over it, which sleeps until somebody waits."""
        from yarn_submitter.watch import Watch

        return Watch(self)

    def feed(self) -> Feed:
        """Return the stream of what happens to it."""
        return Feed(self.site.resource_manager, self.site.store, self.plan.job_dir, self.application_id)

    def view(self) -> tuple[JobView, str]:
        """Return the job as it is now, and who said so: `agent`, `history` or `resourcemanager`."""
        items, source = self.feed().now()
        return fold(begin(self.plan), items), source

    def why_waiting(self, app: App | None = None) -> list[str]:
        """Return why the job waits for containers, in sentences; none when it does not, or the cluster does not tell.

        One round of requests, in parallel.

        Args:
            app: Its application as YARN has it now; None: it is asked for.
        """
        from yarn_submitter.pending import reasons

        with contextlib.suppress(SubmitterError):
            waits = _ask_waits(self.site.resource_manager, self.application_id, app)
            return reasons(waits) if waits is not None else []
        return []

    def kill(self, reason: str, *, by_yarn: bool = False) -> str:
        """End the job; return who was told: AGENT, or `resourcemanager` when the agent does not answer.

        It returns at once, `wait` returns when all of the job has ended. A job that has ended stays as it is.

            job.kill("the others were better")
            job.wait()

        Args:
            reason: Kept in the job's record.
            by_yarn: Ask YARN, whatever the agent would do: no results are carried then.
        """
        by, door = f"{self.site.user}@{socket.gethostname()}", None if by_yarn else self.feed().door()
        with contextlib.suppress(AgentGoneError):  # it cannot end its job itself then: YARN does
            if door is not None:
                door.stop(by, reason)
                return AGENT
        self.site.resource_manager.kill(self.application_id, killed(by, reason, time.time()).message)
        return "resourcemanager"

    def sweep(self, verdict: JobEnded | None = None) -> None:
        """Remove what only a starting job needs, when nobody else will.

        The agent and Skein's ApplicationMaster do so at a good end, and the last ApplicationMaster at a bad one. For a
        job that YARN ended, who may have lost both, and for one that was killed, of which Skein leaves its own files,
        whoever reads the verdict does it; but not while another ApplicationMaster may need them to repeat the verdict.
        Of a killed job none shall come: YARN is told, who takes Skein's word for it from the last one only.

        Args:
            verdict: How the job ended; None: its application is known to have ended.
        """
        if verdict is not None and verdict.state == states.KILLED:
            with contextlib.suppress(UsageError):  # YARN has forgotten it
                self.site.resource_manager.kill(self.application_id, verdict.message)
        elif verdict is not None and not self._is_left(verdict):
            return
        _sweep(self.site, self.plan.job_dir, self.plan.user, self.application_id)

    def _is_left(self, verdict: JobEnded) -> bool:
        """Return whether nobody on the cluster removes what the job needed to start."""
        app = self.site.resource_manager.get_app(self.application_id) if verdict.origin == "yarn" else None
        return verdict.origin == "yarn" and (app is None or app.ended)


def _ask_waits(manager: ResourceManager, application_id: str, app: App | None) -> Waits | None:
    """Ask for all that tells why an application waits; None when YARN does not know it."""
    from yarn_submitter.pending import Waits
    from yarn_submitter.web import start

    queues, nodes, labels = start(manager.queues), start(manager.nodes), start(manager.labels)
    words = start(lambda: manager.activities(application_id))
    app = app or manager.get_app(application_id)
    if app is None:
        return None
    found = labels.result()
    cluster = ClusterFacts(
        tuple(queues.result()), tuple(nodes.result()), labels=None if found is None else tuple(found)
    )
    try:
        return Waits(app, cluster, words.result())
    except SubmitterError:  # before Hadoop 3.3, or with another scheduler
        return Waits(app, cluster)


def _sweep(site: Site, job_dir: str, owner: str, application_id: str) -> None:
    site.store.delete(contract.staging_dir(job_dir), recursive=True)
    for directory in (contract.history_dir(job_dir), contract.spec_dir(job_dir)):
        for file in _listed(site, directory):
            if file.name.endswith(contract.PART) and time.time() - file.mtime_ms / 1000 > _PART_S:
                site.store.delete(file.path)
    if application_id:
        site.store.delete(application_dir(owner, application_id), recursive=True)


def _listed(site: Site, directory: str) -> list[FileStatus]:
    try:
        return site.store.list(directory)
    except StagingError:  # there is none
        return []


def sweep_ended(site: Site, jobs: Sequence[tuple[str, App]] | None = None) -> None:
    """Sweep this user's newest jobs that ended without the time to do it themselves: their master was killed.

    Costs one request for each of at most `_SWEPT` jobs, one for all of them, and more only where something is left.
    What does not succeed is left to the next time; nothing is raised for want of a cluster that answers.

    Args:
        site: The cluster.
        jobs: As `ours` returns them; None: they are asked for.
    """
    with contextlib.suppress(SubmitterError):
        if jobs is None:
            jobs = ours(site.resource_manager.list_apps(user=site.user, tags=(_TAGGED,), states=ENDED))
        ended = [(job_id, app) for job_id, app in jobs if app.ended and app.user == site.user and JOB_ID.match(job_id)]
        # A success is told to YARN by the agent, which sweeps before.
        ended = [(job_id, app) for job_id, app in ended if app.final_status != "SUCCEEDED"][:_SWEPT]
        if not ended:
            return
        of_skein = {status.name for status in _listed(site, application_dir(site.user, "").rstrip("/"))}
        for job_id, app in ended:
            job_dir = site.paths.job(job_id)
            if app.id in of_skein or site.store.status(contract.staging_dir(job_dir)) is not None:
                _sweep(site, job_dir, site.user, app.id)


def sweep_within(deadline_s: float, site: Site, jobs: Sequence[tuple[str, App]] | None = None) -> None:
    """Do as `sweep_ended`, and return after `deadline_s` whatever has been done: a store may not answer."""
    sweeping = threading.Thread(target=sweep_ended, args=(site, jobs), name="sweep", daemon=True)
    sweeping.start()
    sweeping.join(deadline_s)


def ours(apps: Sequence[App]) -> list[tuple[str, App]]:
    """Return (our id, application) of those applications that are jobs of this program."""
    found = []
    for app in apps:
        job_id = next((tag.removeprefix(_TAG) for tag in app.tags if tag.startswith(_TAG)), "")
        if job_id:
            found.append((job_id, app))
    return found


def settled(site: Site, jobs: Sequence[tuple[str, App]]) -> list[tuple[str, App]]:
    """Return the jobs, those as ended whose ApplicationMaster lives on after their verdict, or only repeats it.

    Costs a look into the history of each job that runs, all at once; when they are many, only of those that YARN has
    given another ApplicationMaster. What the store does not tell within `_SETTLED_S` stays as YARN has it.
    """
    running = [(job_id, app) for job_id, app in jobs if JOB_ID.match(job_id) and app.launched]
    again = running if len(running) <= _LOOKED_INTO else [one for one in running if one[1].begun_again]
    if not again:
        return list(jobs)
    from yarn_submitter.web import start

    left = {
        app.id: start(partial(verdict_left, site.store, site.paths_of(app.user).job(job_id))) for job_id, app in again
    }
    ends_s = time.monotonic() + _SETTLED_S
    return [(job_id, _settled(app, left[app.id], ends_s) if app.id in left else app) for job_id, app in jobs]


def _settled(app: App, left: Future[JobEnded | None], ends_s: float) -> App:
    from concurrent.futures import TimeoutError as Late  # Python 3.10 has one of its own

    try:
        verdict = left.result(max(0.0, ends_s - time.monotonic()))
    except (SubmitterError, Late):  # another user's, or a store that does not answer: YARN's word counts
        return app
    if verdict is None:
        return app
    return replace(app, state="FINISHED", final_status=verdict.state, finished_s=verdict.time)


def find_job(site: Site, name: str) -> Job:
    """Return the job that `name` means, as `locate` finds it.

    Raises:
        UsageError: There is no such job, or several live ones share the name, or its record cannot be read.
    """
    job_id, app = locate(site, name)
    return _open(site, job_id, app)


def locate(site: Site, name: str) -> tuple[str, App | None]:
    """Return the job that `name` means (our id, YARN's, or a job's name): our id, and what YARN still knows of it.

    A name means the one live job of that name; when none lives, the newest that has ended. Other users' jobs are meant
    only when the user has none of that name.

    Raises:
        UsageError: There is no such job, or several live ones share the name.
    """
    if _APPLICATION_ID.match(name):
        app = site.resource_manager.get_app(name)
        found = ours([app]) if app else []
    elif JOB_ID.match(name):
        found = ours(site.resource_manager.list_apps(tags=(_TAG + name,)))
        if not found and site.store.status(site.paths.job(name)):
            return name, None
    else:
        found = _by_name(site, name)
    if not found:
        raise UsageError(
            Problem("job-unknown", f"There is no job {name!r} on this cluster.", "", f"job list{site.option}")
        )
    return found[0]


def _by_name(site: Site, name: str) -> list[tuple[str, App]]:
    same = [(job_id, app) for job_id, app in ours(site.resource_manager.list_apps(name=name)) if app.name == name]
    same = [(job_id, app) for job_id, app in same if app.user == site.user] or same
    if all(app.ended for _, app in same[1:]):  # the newest is the one, whether it lives or not
        return same
    living = [one for one, (_, app) in zip(same, settled(site, same), strict=True) if not app.ended]
    if len(living) > 1:
        rows = "\n".join(f"{app.id}  {job_id}  {app.user}  {app.state}" for job_id, app in living)
        raise UsageError(
            Problem("job-ambiguous", f"{len(living)} live jobs are called {name!r}.", rows, "name one by its id")
        )
    return living or same


def _open(site: Site, job_id: str, app: App | None) -> Job:
    paths = site.paths_of(app.user if app else site.user)
    file = f"{contract.spec_dir(paths.job(job_id))}/job.json"
    try:
        plan = JobPlan.from_text(site.store.read(file).decode())
    except StagingError as error:
        if error.problems[0].id != "store-missing":
            raise
        sentence = f"The record of job {job_id} is not on the store; this user has no jobs there."
        problem = Problem("job-record-missing", sentence, file, "see whether YARN_SUBMITTER_ROOT is as at submit")
        if site.store.status(paths.jobs) is not None:
            problem = cleaned(job_id, app, file, site.option)
        raise UsageError(problem) from error
    except ValueError as error:  # a ContractError, too
        sentence = f"The record of job {job_id} cannot be read; another version may have written it."
        raise UsageError(Problem("job-record-broken", sentence, f"{file}: {error}")) from error
    return Job(site, job_id, app.id if app else "", plan)
