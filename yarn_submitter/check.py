"""Checks a job against its own files and the real cluster, before anything is created."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarn_submitter.caps import over_caps
from yarn_submitter.envpack.check import archive_problems, inspect_archive
from yarn_submitter.errors import DeniedError, Problem, SubmitterError, UsageError
from yarn_submitter.facts import ClusterFacts
from yarn_submitter.findings import NOTE, REFUSED, Finding
from yarn_submitter.job import ours, settled
from yarn_submitter.localfiles import LocalFile, tree_members
from yarn_submitter.preflight import image_of, judge, with_instances
from yarn_submitter.preflight_places import HOME, INPUT, LOCALIZATION, OUTPUT, Want
from yarn_submitter.probe import Questions, ask
from yarn_submitter.remotes import INPUT_NAME
from yarn_submitter.site import Site
from yarn_submitter.spec import JobSpec, Localization
from yarn_submitter.store import store_path
from yarn_submitter.web import start
from yarn_submitter.yarn import launch_problems

SCHEMA = 1
_RIGHTS = ("home-denied", "input-denied", "localization-denied", "output-denied")
_HERE = "./"
_SEVERAL = "*?[{,"  # letters of a path that stands for several


@dataclass(frozen=True)
class Checked:
    """Every question about a job with its answer.

    Attributes:
        answers: In the order in which they are shown.
    """

    answers: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return why the job is refused; empty when it is not."""
        return tuple(answer.problem for answer in self.answers if answer.problem and answer.verdict == REFUSED)

    @property
    def notes(self) -> tuple[Problem, ...]:
        """Return what the user should know and what does not stop the job."""
        return tuple(answer.problem for answer in self.answers if answer.problem and answer.verdict != REFUSED)

    def forced(self) -> Checked:
        """Return it with notes in place of the refusals that could be wrong (findings.MAY_BE_WRONG)."""
        return Checked(
            tuple(
                dataclasses.replace(answer, verdict=NOTE) if answer.may_be_wrong else answer for answer in self.answers
            )
        )

    def refusal(self) -> SubmitterError | None:
        """Return the error with every reason why the job is refused; None when it is not.

        It is a DeniedError when nothing but rights on the store is missing, else a UsageError.
        """
        told = [
            dataclasses.replace(problem, next_step=f"{problem.next_step}; `--force` submits it all the same")
            if answer.may_be_wrong
            else problem
            for answer in self.answers
            if (problem := answer.problem) and answer.verdict == REFUSED
        ]
        if not told:
            return None
        kind = DeniedError if all(problem.id in _RIGHTS for problem in told) else UsageError
        return kind(*told)

    def document(self) -> dict[str, Any]:
        """Return it as JSON values: see docs/json.md."""
        return {
            "schema": SCHEMA,
            "refused": bool(self.problems),
            "answers": [
                {
                    "question": answer.question,
                    "about": answer.about,
                    "asked": answer.asked,
                    "available": answer.available,
                    "verdict": answer.verdict,
                    "problem": answer.problem.id if answer.problem else None,
                    "message": answer.problem.sentence if answer.problem else "",
                    "evidence": answer.problem.evidence if answer.problem else "",
                    "next_step": answer.problem.next_step if answer.problem else "",
                    "may_be_wrong": answer.may_be_wrong,
                }
                for answer in self.answers
            ],
        }


def check(spec: JobSpec, files: Mapping[str, LocalFile], site: Site) -> Checked:
    """Ask the job's own files and the cluster everything that can be known before a submission.

    Args:
        spec: The job.
        files: Local path -> what lies there, for every local path of the job.
        site: The cluster.

    Raises:
        UnreachableError: ResourceManager or NameNode does not answer. When the job is refused by its own files as
            well, that is a UsageError with all of it.
        DeniedError: The cluster refuses to answer this user.
    """
    wants = _wants(spec, files, site)
    labels = dict.fromkeys(role.node_label or spec.node_label for role in with_instances(spec) if image_of(role, spec))
    questions = Questions(
        name=spec.name,
        reads=tuple(want.path for want in wants if want.path and want.reads),
        writes=tuple(want.path for want in wants if want.path and not want.reads),
        docker_labels=tuple(labels),
    )
    facts = start(lambda: ask(site.conf, site.user, questions))  # while the archives are read
    own = Checked(tuple(_own_findings(spec, files, site)))
    try:
        there = judge(spec, wants, _without_ended(facts.result(), site), site.user if site.conf.acls else "")
    except SubmitterError as error:
        if not own.problems:
            raise
        raise UsageError(*own.problems, *error.problems) from error
    return Checked((*own.answers, *there))


def _without_ended(facts: ClusterFacts, site: Site) -> ClusterFacts:
    """Return the facts without the namesakes that live on only to repeat their verdict."""
    if not facts.namesakes:
        return facts
    found = [site.resource_manager.get_app(app_id) for app_id in facts.namesakes]
    living = [app.id for _, app in settled(site, ours([app for app in found if app])) if not app.ended]
    return dataclasses.replace(facts, namesakes=tuple(living))


def _wants(spec: JobSpec, files: Mapping[str, LocalFile], site: Site) -> list[Want]:
    """Return every path on a store that the job reads or writes, and the user's own place."""
    items = [item.remote for item in _localizations(spec)]
    reads = [(INPUT, spec.input_path), *((LOCALIZATION, remote) for remote in items)]
    writes = [(OUTPUT, spec.checkpoint_path), (OUTPUT, spec.saved_model_path), (HOME, site.paths.base)]
    named = [(kind, uri) for kind, uri in (*reads, *writes) if uri and uri not in files]
    return [Want(kind, uri, _on_store(uri, site)) for kind, uri in dict.fromkeys(named)]


def _on_store(uri: str, site: Site) -> str:
    try:
        return "" if any(letter in uri for letter in _SEVERAL) else store_path(uri, site.conf)
    except UsageError:
        return ""  # another file system: YARN's or the program's to find


def _localizations(spec: JobSpec) -> list[Localization]:
    return [*spec.localizations, *(item for role in with_instances(spec) for item in role.localizations)]


def _own_findings(spec: JobSpec, files: Mapping[str, LocalFile], site: Site) -> Iterator[Finding]:
    """Yield what this machine knows of the job by itself."""
    yield from _one("programs", "", "java and yarn", "found", launch_problems(site.environ))
    yield from _one("site", "", "what the site allows", "yes", over_caps(spec, site.settings))
    for path in dict.fromkeys(item.remote for item in _localizations(spec) if item.archive):
        if path in files and not files[path].is_tree:
            problems = archive_problems(inspect_archive(Path(path)), needs_python=False)
            yield from _one("archive", path, "unpacks on every node", "yes", problems)
    yield from _secret_files(spec, files)
    yield from _without_image(spec)
    yield from _kerberos(spec, site)


def _one(question: str, about: str, asked: str, available: str, problems: Sequence[Problem]) -> Iterator[Finding]:
    """Yield a refusal for each problem, or that all is well."""
    for problem in problems:
        yield Finding(question, about, asked, problem.sentence, REFUSED, problem)
    if not problems:
        yield Finding(question, about, asked, available)


def _secret_files(spec: JobSpec, files: Mapping[str, LocalFile]) -> Iterator[Finding]:
    """Yield a refusal for each secret file of a name that something else brings into the working directory."""
    names = {secret.name.removeprefix(_HERE): secret for secret in spec.secrets if secret.name.startswith(_HERE)}
    taken = {item.local.partition("/")[0]: item.remote for item in _localizations(spec)}
    if spec.input_path in files:
        taken[INPUT_NAME] = f"--input_path {spec.input_path}"
    if names and spec.source_dir in files:
        members = (name for name, _ in tree_members(spec.source_dir, source=True))
        taken |= dict.fromkeys(itertools.takewhile(lambda name: "/" not in name, members), f"--src {spec.source_dir}")
    for name, secret in names.items():
        if name in taken:
            sentence = f"The file of secret {secret.name} cannot be made: {taken[name]} brings something of this name."
            problem = Problem("secret-name-taken", sentence, "", "give the secret another name, or leave the other out")
            yield Finding("secret", secret.name, "a name of its own", taken[name], REFUSED, problem)


def _without_image(spec: JobSpec) -> Iterator[Finding]:
    """Yield refusals of what only an image makes possible, for roles that have none."""
    for role in with_instances(spec):
        if image_of(role, spec):
            continue
        for item in (*spec.localizations, *role.localizations):
            if item.local.startswith("/"):
                sentence = (
                    f"{item.remote} cannot be put at {item.local} of {role.name}: an absolute place needs Docker."
                )
                problem = Problem("localization-absolute", sentence, "", "use a name such as ./data, or name an image")
                yield Finding("localization", item.remote, item.local, "needs Docker", REFUSED, problem)
        for mount in (*spec.mounts, *role.mounts):
            sentence = f"{mount.source} cannot be mounted into {role.name}: a mount needs Docker, and it has no image."
            problem = Problem("mount-without-image", sentence, "", "name an image, or leave the mount out")
            yield Finding("mount", role.name, f"{mount.source}:{mount.target}", "needs Docker", REFUSED, problem)


def _kerberos(spec: JobSpec, site: Site) -> Iterator[Finding]:
    """Yield whether keytab and principal are both there or both not, where the cluster looks at them."""
    given = {"keytab": spec.security.keytab, "principal": spec.security.principal}
    if not site.conf.kerberos or not any(given.values()):
        return
    missing = [name for name, value in given.items() if not value]
    problems = []
    if missing:
        there = next(name for name, value in given.items() if value)
        sentence = f"The cluster demands Kerberos, and the job has a {there} without a {missing[0]}."
        problems = [Problem("keytab-incomplete", sentence, "", f"add --{missing[0]}, or leave --{there} out")]
    yield from _one("kerberos", "", "keytab and principal", "both given", problems)
