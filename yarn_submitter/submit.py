"""Acts on a plan: stages, substitutes the placeholders, submits. Half-way failures leave nothing."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from am.contract import job as contract
from am.contract import wire
from am.contract.codec import from_json
from yarn_submitter.envpack.pack import agent_env
from yarn_submitter.errors import Problem, StagingError, SubmitterError
from yarn_submitter.interrupts import one_interrupt
from yarn_submitter.job import sweep_ended
from yarn_submitter.localfiles import LocalFile, describe
from yarn_submitter.plan import SubmissionPlan, substitute
from yarn_submitter.record import Record, with_record
from yarn_submitter.site import Site
from yarn_submitter.spec import JobSpec
from yarn_submitter.staging import Staged, code_zip, make_place, object_path, stage
from yarn_submitter.store import application_dir
from yarn_submitter.yarn import SkeinYarn, Yarn

# Below the ephemeral ports of Linux (32768...), so that no outgoing connection takes them. Several agents may share a
# host; each job has candidates of its own, and its certificate tells its agent from others.
_PORTS = range(20000, 32000)
_CANDIDATES = 8
_WRITERS = 4


@dataclass(frozen=True)
class Submitted:
    """A submitted job.

    Attributes:
        id: Ours.
        application_id: YARN's.
        job: Its job.json.
        written_bytes: What was written into the cache on the store.
        seconds: Phase -> how long it took.
    """

    id: str
    application_id: str
    job: contract.JobPlan
    written_bytes: int
    seconds: dict[str, float]


def new_id(now: float) -> str:
    """Return a job id that sorts by time; lower case, since YARN lowers the case of tags."""
    return time.strftime("%Y%m%dt%H%M%S", time.gmtime(now)) + f"-{secrets.token_hex(3)}"


def submit(
    plan: SubmissionPlan,
    site: Site,
    progress: Callable[[str], None],
    yarn: Yarn | None = None,
    agent_archive: Path | None = None,
    rerun_of: str = "",
) -> Submitted:
    """Bring a plan to the cluster and return what became of it.

    Args:
        plan: The plan, already checked (check.py).
        site: The cluster.
        progress: Told what is being done.
        yarn: Another way to submit than Skein's driver.
        agent_archive: Another archive with the agent's environment than the one that is made on this machine.
        rerun_of: Our id of the job that is submitted once more; kept in the record, and a tag for YARN.

    Raises:
        StagingError: Files could not be brought to the store.
        UnreachableError: YARN did not take the application.
    """
    started = time.monotonic()
    job_id = new_id(time.time())
    with (
        one_interrupt(),
        contextlib.closing(yarn or SkeinYarn(site.environ, progress)) as door,
        _place(site, job_id, progress),
        contextlib.closing(door),  # a submission under way comes to its end before its application is looked for
        ThreadPoolExecutor(_WRITERS) as pool,  # what is being written lies there before anything is removed
    ):
        door.begin()
        pool.submit(sweep_ended, site)
        code, code_hash = code_zip()
        python = describe(str(agent_archive or agent_env(progress)))
        code_path = object_path(site.paths, LocalFile("am.zip", False, len(code), code_hash, ".zip"))
        staged = _stage_all([python, *plan.staged], code_path, code, site, progress)
        known = _known(site, job_id, code_path, staged.paths[python.sha256], staged.paths)
        objects = tuple(path.rpartition("/")[2] for path in (code_path, *staged.paths.values()))
        record = Record(plan.spec, plan.files, objects, rerun_of)
        secret = secrets.token_hex(32)
        job = from_json(contract.JobPlan, substitute(plan.job, known))
        application = _tagged(substitute(plan.application, known), rerun_of)
        _write_job(site, job, with_record(plan.document(), record), plan.spec, secret, pool)
        staged_after = time.monotonic()
        # What `job clean --cache` has just taken; from now on it leaves what the record names.
        again = _stage_all([python, *plan.staged], code_path, code, site, progress)
        progress("starting Skein's Java program, which submits")
        certificate = door.certificate()
        driver_after = time.monotonic()
        progress("submitting to YARN")
        access = pool.submit(_write_access, site, job.job_dir, certificate, secret)
        application_id = door.submit(application)
        access.result()
    ends = (started, staged_after, driver_after, time.monotonic())
    seconds = dict(zip(("staging", "driver", "submit"), (b - a for a, b in itertools.pairwise(ends)), strict=True))
    return Submitted(job_id, application_id, job, staged.written_bytes + again.written_bytes, seconds)


def _known(site: Site, job_id: str, code: str, python: str, staged: Mapping[str, str]) -> dict[str, Any]:
    """Return what stands for each placeholder of a plan; `staged` is content hash -> path on the store."""
    fs = site.conf.default_fs
    return {
        "id": job_id,
        "user": site.user,
        "fs": fs,
        "base": site.paths.base,
        "webhdfs": list(site.conf.webhdfs),
        "agent_ports": random.Random(job_id).sample(_PORTS, _CANDIDATES),  # noqa: S311  spread, not secret
        "code": fs + code,
        "python": fs + python,
        **{f"staged:{sha256}": fs + path for sha256, path in staged.items()},
    }


def _tagged(application: dict[str, Any], rerun_of: str) -> dict[str, Any]:
    return {**application, "tags": [*application["tags"], f"ys-rerun-of:{rerun_of}"]} if rerun_of else application


def _stage_all(
    files: Sequence[LocalFile], code_path: str, code: bytes, site: Site, progress: Callable[[str], None]
) -> Staged:
    """Put files and our own code into the cache; what lies there stays as it is."""
    staged = stage(files, site.store, site.paths, progress)
    if site.store.status(code_path) is not None:
        return staged
    site.store.write(code_path, code)
    return Staged(staged.paths, staged.written_bytes + len(code))


def _write_job(
    site: Site, job: contract.JobPlan, document: Mapping[str, Any], spec: JobSpec, secret: str, pool: Executor
) -> None:
    """Write what agent and executors start from, and the job's record."""
    job_dir, job_text = job.job_dir, job.to_text().encode()
    site.store.makedirs(contract.spec_dir(job_dir), 0o700)
    site.store.makedirs(contract.staging_dir(job_dir), 0o700)
    contents = {
        f"{contract.staging_dir(job_dir)}/job.json": job_text,
        f"{contract.staging_dir(job_dir)}/secret": secret.encode(),
        f"{contract.spec_dir(job_dir)}/job.json": job_text,
        f"{contract.spec_dir(job_dir)}/plan.json": json.dumps(document, sort_keys=True).encode(),
    }
    if spec.secrets:
        contents[f"{contract.staging_dir(job_dir)}/secrets.json"] = json.dumps(_secret_texts(spec)).encode()
    # A small WebHDFS write takes 0.03 s or, as often, 0.4 s.
    list(pool.map(lambda item: site.store.write(*item), contents.items()))


def _secret_texts(spec: JobSpec) -> dict[str, str]:
    """Return name -> text; of a variable without the newline that editors put at a file's end.

    Raises:
        StagingError: A file that could be read a moment ago cannot be any more.
    """
    texts = {}
    for secret in spec.secrets:
        try:
            text = Path(secret.path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            sentence = f"The file of secret {secret.name} cannot be read any more."
            raise StagingError(Problem("secret-file", sentence, str(error), "check the file")) from error
        texts[secret.name] = text if secret.name.startswith("./") else text.removesuffix("\n")
    return texts


def _write_access(site: Site, job_dir: str, certificate: str, secret: str) -> None:
    """Write what a later client needs to speak with the agent."""
    access = {"certificate": certificate, "client_token": wire.client_token(secret)}
    site.store.write(contract.access_file(job_dir), json.dumps(access).encode())


@contextlib.contextmanager
def _place(site: Site, job_id: str, progress: Callable[[str], None]) -> Iterator[None]:
    """Make room for the job; remove it, and its application if YARN has one, when the body fails or is interrupted.

    What cannot be removed is told: as one more problem, or as an interrupt's cause.
    """
    make_place(site.store, site.paths)
    try:
        yield
    except BaseException as error:
        progress("removing what was begun")
        left = _remove(site, job_id)
        if not left:
            raise
        if isinstance(error, SubmitterError):
            raise type(error)(*error.problems, left) from error
        raise error from StagingError(left)


def _remove(site: Site, job_id: str) -> Problem | None:
    """Remove what there is of a job; return what could not be removed."""
    try:
        for app in site.resource_manager.list_apps(tags=(f"ys-id:{job_id}",)):
            site.resource_manager.kill(app.id, "its submission was interrupted")
            site.store.delete(application_dir(site.user, app.id), recursive=True)
        site.store.delete(site.paths.job(job_id), recursive=True)
    except SubmitterError as error:
        path = site.paths.job(job_id)
        sentence = f"Something of the job {job_id}, which was not submitted, may be left on the cluster."
        step = f"when the cluster answers again: job kill {job_id}; hdfs dfs -rm -r {path}"
        return Problem("left-behind", sentence, error.problems[0].sentence, step)
    return None
