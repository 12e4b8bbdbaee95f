"""What of a user's ended jobs, and of the cache, may go from the store; and its removal.

Nothing is removed that a live job needs. A job lives when YARN says so, and as long as neither YARN nor its own history
says that it has ended: it may be about to be submitted, or run on another YARN that shares this store.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from am.contract import job as contract
from am.contract.events import JobEnded
from am.contract.job import JobPlan
from yarn_submitter.agentdoor import AgentGoneError
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.feed import Feed
from yarn_submitter.job import JOB_ID, locate, ours
from yarn_submitter.record import Record, read_record
from yarn_submitter.rest import App
from yarn_submitter.site import Site
from yarn_submitter.store import FileStatus, store_path
from yarn_submitter.verdicts import state_of
from yarn_submitter.webhdfs import TEMPORARY

UNKNOWN = "UNKNOWN"  # neither YARN nor the history says how it ended
_YOUNG_S = 3600.0  # a submission stages files first, and may wait for its driver
_UNFINISHED_S = 86400.0  # a file that is being written shows the time of its beginning
_THREADS = 8

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class OldJob:
    """An ended job's directory; `ended_s` in seconds since the epoch, `bytes` as its files hold them."""

    id: str
    name: str
    state: str
    ended_s: float
    path: str
    bytes: int = 0


@dataclass(frozen=True)
class OldObject:
    """A file of the cache that no live job uses; `written_s` in seconds since the epoch."""

    path: str
    bytes: int
    written_s: float


@dataclass(frozen=True)
class Wish:
    """What a user wants to be rid of.

    Attributes:
        names: Jobs by our id, YARN's, or name; none: all that the rest allows.
        jobs: Whether jobs are meant at all.
        older_s: Only what ended so long ago, in seconds.
        states: Only what ended so: SUCCEEDED, FAILED, KILLED; none: in any way.
        cache: Whether the cache is meant, too.
    """

    names: tuple[str, ...] = ()
    jobs: bool = True
    older_s: float = 0.0
    states: tuple[str, ...] = ()
    cache: bool = False


@dataclass(frozen=True)
class Cleaning:
    """What may go.

    Attributes:
        jobs: Oldest first.
        objects: By path.
        kept: Path -> why it stays although it was meant.
    """

    jobs: tuple[OldJob, ...] = ()
    objects: tuple[OldObject, ...] = ()
    kept: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Return how much that is."""
        return sum(job.bytes for job in self.jobs) + sum(found.bytes for found in self.objects)


def find(site: Site, wish: Wish) -> Cleaning:
    """Return what may go, with sizes; nothing is changed.

    Raises:
        UsageError: A job that was named lives or is not there; with all of them. Or a live job's record cannot be
            read, so that nobody knows what it needs.
    """
    found = _look(site, wish)
    sizes = _at_once(lambda job: site.store.usage(job.path).bytes, found.jobs)
    jobs = (dataclasses.replace(job, bytes=size) for job, size in zip(found.jobs, sizes, strict=True))
    return dataclasses.replace(found, jobs=tuple(jobs))


def remove(site: Site, wish: Wish, shown: Cleaning) -> Cleaning:
    """Remove of what `find` has shown whatever may still go, and return that.

    Raises:
        UsageError: As `find`.
        DeniedError: The store refuses; what was removed before is gone.
    """
    now = _look(site, wish)
    ids, paths = {job.id for job in now.jobs}, {found.path for found in now.objects}
    jobs = tuple(job for job in shown.jobs if job.id in ids)
    objects = tuple(found for found in shown.objects if found.path in paths)
    _at_once(lambda path: site.store.delete(path, recursive=True), [job.path for job in jobs])
    _at_once(site.store.delete, [found.path for found in objects])
    return dataclasses.replace(shown, jobs=jobs, objects=objects)


@dataclass(frozen=True)
class _Known:
    """A directory of a job, and what is known of the job."""

    id: str
    directory: FileStatus
    app: App | None
    ended: OldJob | None


def _look(site: Site, wish: Wish) -> Cleaning:
    now_s = time.time()
    apps = dict(ours(site.resource_manager.list_apps(user=site.user, tags=("yarn-submitter",))))
    listed = site.store.list(site.paths.jobs) if site.store.status(site.paths.jobs) else []
    directories = [status for status in listed if status.is_dir and JOB_ID.match(status.name)]
    known = _at_once(lambda status: _known(site, status, apps.get(status.name), now_s), directories)
    named = _named(site, wish.names, known, now_s)
    live = [one for one in known if one.ended is None and one.id not in named]
    records = dict(zip((one.id for one in live), _at_once(lambda one: _record(site, one), live), strict=True))
    ended = [*named.values(), *(one.ended for one in known if one.ended is not None and not wish.names)]
    meant = [job for job in ended if wish.jobs and _is_meant(job, wish, now_s)]
    used = [(job_id, path) for job_id, (plan, record) in records.items() for path in _paths(site, plan, record)]
    kept = {job.path: why for job in meant if (why := _why_kept(job, used))}
    if wish.jobs and not wish.names:
        kept |= {one.directory.path: _SILENT.format(one.id) for one in live if _silent(one, now_s)}
    jobs = sorted((job for job in meant if job.path not in kept), key=lambda job: job.ended_s)
    objects: tuple[OldObject, ...] = ()
    if wish.cache:
        objects, why = _objects(site, records, now_s)
        kept |= {site.paths.cache: why} if why else {}
    return Cleaning(tuple(jobs), objects, kept)


_SILENT = "neither YARN nor its history knows its end; when you do: job clean {}"


def _silent(one: _Known, now_s: float) -> bool:
    return one.app is None and now_s - one.directory.mtime_ms / 1000 > _YOUNG_S


def _known(site: Site, status: FileStatus, app: App | None, now_s: float) -> _Known:
    if app is not None:
        ended = OldJob(status.name, app.name, state_of(app), app.finished_s, status.path) if app.ended else None
        return _Known(status.name, status, app, ended)
    if now_s - status.mtime_ms / 1000 <= _YOUNG_S:
        return _Known(status.name, status, None, None)
    events = Feed(site.resource_manager, site.store, status.path, "").history()
    verdict = next((event for event in events if isinstance(event, JobEnded)), None)
    if verdict is None:
        return _Known(status.name, status, None, None)
    name = _name(site, status.path)
    return _Known(status.name, status, None, OldJob(status.name, name, verdict.state, verdict.time, status.path))


def _name(site: Site, job_dir: str) -> str:
    try:
        plan = _plan(site, job_dir)
    except UsageError:
        return ""  # it has ended: nobody needs to know more
    return plan.name if plan else ""


def _plan(site: Site, job_dir: str) -> JobPlan | None:
    file = f"{contract.spec_dir(job_dir)}/job.json"
    try:
        return JobPlan.from_text(site.store.read(file).decode()) if site.store.status(file) else None
    except ValueError as error:  # a ContractError, too
        raise _unreadable(file, error) from error


def _unreadable(file: str, error: ValueError) -> UsageError:
    sentence = "A job's record cannot be read, so nobody knows what it needs; another version may have written it."
    return UsageError(Problem("job-record-broken", sentence, f"{file}: {error}", "use the version that submitted it"))


def _named(site: Site, names: Iterable[str], known: Sequence[_Known], now_s: float) -> dict[str, OldJob]:
    """Return the jobs that are meant by name, by id."""
    by_id = {one.id: one for one in known}
    found: dict[str, OldJob] = {}
    problems: list[Problem] = []
    for name in dict.fromkeys(names):
        try:
            job_id, app = (name, None) if name in by_id else locate(site, name)
        except UsageError as error:
            problems += error.problems
            continue
        one = by_id.get(job_id)
        if one is None:
            owner = f"; it is a job of {app.user}" if app and app.user != site.user else ""
            evidence = f"{site.paths.job(job_id)} is not there{owner}"
            problems.append(Problem("clean-nothing", f"Job {name} has no directory of yours.", evidence, "job list"))
        elif one.ended is not None:
            found[job_id] = one.ended
        elif why := _lives(site, one, now_s):
            problems.append(
                Problem("clean-live", f"Job {name} lives: nothing of it is removed.", why, f"job kill {name}")
            )
        else:
            found[job_id] = OldJob(
                one.id, _name(site, one.directory.path), UNKNOWN, one.directory.mtime_ms / 1000, one.directory.path
            )
    if problems:
        raise UsageError(*problems)
    return found


def _lives(site: Site, one: _Known, now_s: float) -> str:
    """Return the sign of life of a job whose end is not known; empty when there is none."""
    if one.app is not None:
        return f"YARN says {one.app.state}"
    if not _silent(one, now_s):
        return "it may be about to be submitted: its directory is younger than an hour"
    door = Feed(site.resource_manager, site.store, one.directory.path, "").door()
    try:
        return "its agent answers" if door is not None and door.events(0, 0.0) else ""
    except AgentGoneError:
        return ""


def _is_meant(job: OldJob, wish: Wish, now_s: float) -> bool:
    return now_s - job.ended_s >= wish.older_s and (not wish.states or job.state in wish.states)


def _record(site: Site, one: _Known) -> tuple[JobPlan | None, Record | None]:
    """Return what a live job has written of itself so far."""
    plan = _plan(site, one.directory.path)
    file = f"{contract.spec_dir(one.directory.path)}/plan.json"
    try:
        record = read_record(site.store.read(file).decode()) if site.store.status(file) else None
    except ValueError as error:
        raise _unreadable(file, error) from error
    return plan, record


def _paths(site: Site, plan: JobPlan | None, record: Record | None) -> set[str]:
    """Return the paths on the store that a job's user named, and its own."""
    named = [plan.input_path, plan.checkpoint_path, plan.saved_model_path] if plan else []
    if record:
        items = [*record.spec.localizations, *(item for role in record.spec.roles for item in role.localizations)]
        named += [item.remote for item in items]
    found = set()
    for uri in named:
        try:
            found.add(store_path(uri, site.conf))
        except UsageError:
            continue  # empty, a local path, or on another file system
    return found


def _why_kept(job: OldJob, used: Iterable[tuple[str, str]]) -> str:
    for live_id, path in used:
        if f"{path}/".startswith(f"{job.path}/"):
            return f"the live job {live_id} uses {path}"
    return ""


def _objects(
    site: Site, records: dict[str, tuple[JobPlan | None, Record | None]], now_s: float
) -> tuple[tuple[OldObject, ...], str]:
    """Return the objects that may go, and why all stay."""
    mute = [job_id for job_id, (plan, record) in records.items() if plan is not None and record is None]
    if mute:
        return (), f"the live job {mute[0]} of another version does not say which objects it uses"
    used = {name for _, record in records.values() if record for name in record.objects}
    listed = site.store.list(site.paths.cache) if site.store.status(site.paths.cache) else []
    found = [OldObject(file.path, file.length, file.mtime_ms / 1000) for file in listed if file.name not in used]
    old = (one for one in found if now_s - one.written_s > (_UNFINISHED_S if TEMPORARY in one.path else _YOUNG_S))
    return tuple(old), ""


def _at_once(work: Callable[[T], R], todo: Sequence[T]) -> list[R]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, todo))
