"""A job that was submitted before, prepared from its own record for one more submission."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from am.contract.job import spec_dir
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.job import Job
from yarn_submitter.localfiles import LocalFile, describe
from yarn_submitter.plan import SubmissionPlan, plan
from yarn_submitter.record import Record, read_record
from yarn_submitter.site import Site
from yarn_submitter.spec import JobSpec, Localization
from yarn_submitter.staging import object_path


@dataclass(frozen=True)
class Rerun:
    """What is needed for the next submission.

    Attributes:
        planned: The plan, which stages nothing that lies in the user's cache.
        checked: The job as preflight is to see it: in place of a local path that nobody needs any more stands the
            object in the cache.
        files: Local path -> what lies there, for the local paths that are left.
    """

    planned: SubmissionPlan
    checked: JobSpec
    files: dict[str, LocalFile]


def prepare(job: Job, name: str = "") -> Rerun:
    """Return what is needed to submit a job again.

    Args:
        job: The job; it may have ended in any way, or live.
        name: Of the new job; empty: that of the old one.

    Raises:
        UsageError: The record does not tell how, or local files that are needed are gone or have changed; with all
            of them.
    """
    record, site = _record(job), job.site
    spec = dataclasses.replace(record.spec, name=name) if name else record.spec
    cached = {path: place for path, file in record.files.items() if (place := _cached(site, file))}
    needed = {path: file for path, file in record.files.items() if path not in cached}
    problems = [*_missing(needed.values()), *_unreadable_secrets(spec)]
    if problems:
        raise UsageError(*problems)
    limits = job.plan.limits
    said = [field.name for field in dataclasses.fields(limits) if _said_now(site, field.name)]
    limits = dataclasses.replace(limits, **{field: getattr(site.settings.limits, field) for field in said})
    own = {field: None for field in vars(spec.limits) if field in said}
    spec = dataclasses.replace(spec, limits=dataclasses.replace(spec.limits, **own))
    return Rerun(plan(spec, record.files, limits), _with_cached(spec, cached), needed)


def _said_now(site: Site, limit: str) -> bool:
    """Return whether the command line sets a limit; others are those that the job had."""
    return site.settings.origin(f"limits.{limit}").startswith("--set")


def _record(job: Job) -> Record:
    file = f"{spec_dir(job.plan.job_dir)}/plan.json"
    step = "submit it anew: job run"
    try:
        record = read_record(job.site.store.read(file).decode())
    except ValueError as error:
        sentence = f"The record of job {job.id} cannot be read; another version may have written it."
        raise UsageError(Problem("job-record-broken", sentence, f"{file}: {error}", step)) from error
    if record is None:
        sentence = f"The record of job {job.id} does not hold its description; another version has written it."
        raise UsageError(Problem("rerun-no-description", sentence, file, step))
    return record


def _cached(site: Site, file: LocalFile) -> str:
    """Return the URI of a file's content in the user's cache; empty when it is not there."""
    path = object_path(site.paths, file)
    return site.conf.default_fs + path if site.store.status(path) else ""


def _missing(files: Iterable[LocalFile]) -> list[Problem]:
    """Return one problem with every file that is neither in the cache nor at its place as it was."""
    seen = [f"{file.path}: {why}" for file in files if (why := _why_not(file))]
    if not seen:
        return []
    count = "1 local file of the job is" if len(seen) == 1 else f"{len(seen)} local files of the job are"
    sentence = f"{count} needed again, and not there as the job had it: the cluster's copy was cleaned."
    return [Problem("rerun-files", sentence, "\n".join(seen), "put them back, or submit what there is now: job run")]


def _why_not(file: LocalFile) -> str:
    try:
        now = describe(file.path, source=file.is_source)
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    return "" if now.sha256 == file.sha256 else "it has changed"


def _unreadable_secrets(spec: JobSpec) -> Iterable[Problem]:
    for secret in spec.secrets:
        try:
            with open(secret.path, "rb") as stream:
                stream.read(1)
        except OSError as error:
            sentence = f"The file of secret {secret.name} is needed again: secrets are kept nowhere else."
            yield Problem("secret-file", sentence, str(error), "put it back")


def _with_cached(spec: JobSpec, cached: Mapping[str, str]) -> JobSpec:
    def seen(items: tuple[Localization, ...]) -> tuple[Localization, ...]:
        return tuple(dataclasses.replace(item, remote=cached.get(item.remote, item.remote)) for item in items)

    roles = tuple(dataclasses.replace(role, localizations=seen(role.localizations)) for role in spec.roles)
    return dataclasses.replace(
        spec,
        roles=roles,
        localizations=seen(spec.localizations),
        input_path=cached.get(spec.input_path, spec.input_path),
    )
