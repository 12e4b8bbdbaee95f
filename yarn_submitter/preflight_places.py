"""Whether what a job reads is there, what it writes can be written, and its nodes start what it asks for (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yarn_submitter.errors import Problem
from yarn_submitter.facts import ClusterFacts, Launcher, Place
from yarn_submitter.findings import NOTE, OK, REFUSED, UNKNOWN, Finding

INPUT = "input"
LOCALIZATION = "localization"
OUTPUT = "output"
HOME = "home"
_BELOW_A_FILE = "is not a directory"  # what HDFS says then, as a refusal of access
_DEFAULT_EXECUTOR = "DefaultContainerExecutor"


@dataclass(frozen=True)
class Want:
    """A path that a job reads or writes.

    Attributes:
        kind: INPUT, LOCALIZATION (both are read), OUTPUT or HOME (both are written).
        uri: As the user wrote it.
        path: On the cluster's own store; empty when it lies elsewhere, or is no single path.
    """

    kind: str
    uri: str
    path: str

    @property
    def reads(self) -> bool:
        """Return whether it must be there already."""
        return self.kind in (INPUT, LOCALIZATION)


def place_findings(wants: Sequence[Want], facts: ClusterFacts) -> Iterator[Finding]:
    """Yield what is to be said of every path of a job."""
    for want in wants:
        asked = "readable" if want.reads else "writable"
        place = (facts.readable if want.reads else facts.writable).get(want.path)
        if place is None:
            yield Finding(want.kind, want.uri, asked, "not looked at: not on the cluster's own HDFS", UNKNOWN)
            continue
        problem = _unread(want, place) if want.reads else _unwritten(want, place)
        available = "yes" if problem is None else (place.denied or ("a file" if place.exists else "not there"))
        yield Finding(want.kind, want.uri, asked, available, REFUSED if problem else OK, problem)


def _unread(want: Want, place: Place) -> Problem | None:
    if not place.exists:
        sentence = f"There is no {want.uri} on the cluster."
        return Problem(f"{want.kind}-missing", sentence, want.path, "check the path")
    if place.denied:
        sentence = f"You may not read {want.uri}."
        return Problem(f"{want.kind}-denied", sentence, place.denied, "ask its owner for the right, or name another")
    return None


def _unwritten(want: Want, place: Place) -> Problem | None:
    if _BELOW_A_FILE in place.denied or (place.exists and not place.is_dir and not place.denied):
        sentence = f"{want.uri} is a file, or lies below one, and results need a directory."
        step = "name a directory, or one that is not there yet"
        return Problem("output-not-directory", sentence, place.denied or want.path, step)
    if place.denied and want.kind == HOME:
        return no_home(want.path, place.denied)
    if place.denied:
        where = "" if place.nearest == want.path else f", below {place.nearest}"
        sentence = f"You may not write to {want.uri}{where}."
        return Problem("output-denied", sentence, place.denied, "choose a place that you may write, or leave it out")
    return None


def no_home(base: str, said: str) -> Problem:
    """Return what is said to a user without a place on the store; `said` are the store's words."""
    sentence = f"You have no place for jobs on HDFS: {base} cannot be made."
    step = (
        "ask an administrator for a home directory (hdfs dfs -mkdir and -chown), "
        "or name a place that you may write: export YARN_SUBMITTER_ROOT=/path"
    )
    return Problem("home-denied", sentence, said, step)


def docker_findings(roles: Sequence[str], facts: ClusterFacts) -> Iterator[Finding]:
    """Yield whether nodes start containers by Docker; `roles` are those with an image.

    The default executor runs such a job on the host without a word.
    """
    about = ", ".join(roles)
    told = [launcher for launcher in facts.launchers if launcher.executor]
    ignoring = [launcher for launcher in told if launcher.executor.endswith(_DEFAULT_EXECUTOR)]
    refusing = [launcher for launcher in told if launcher not in ignoring and "docker" not in launcher.runtimes]
    available = "; ".join(map(_launcher_text, facts.launchers[:3])) or "no node could be asked"
    step = f"leave the image of {about} out, or ask an administrator for Docker on YARN"
    verdict, problem = OK, None
    if ignoring:
        sentence = f"{about} would run on the bare node, not in the image: its NodeManager knows no Docker."
        verdict, problem = REFUSED, Problem("docker-ignored", sentence, available, step)
    elif refusing:
        sentence = f"The NodeManager would not start {about}: its allowed runtimes do not name docker."
        verdict, problem = REFUSED, Problem("docker-not-allowed", sentence, available, step)
    elif not told:
        sentence = (
            f"No NodeManager said whether it runs Docker, which {about} needs. One without runs it on the bare node."
        )
        verdict, problem = UNKNOWN, Problem("docker-unknown", sentence, available, "ask an administrator")
    yield Finding("docker", about, "an image", available, verdict, problem)


def _launcher_text(launcher: Launcher) -> str:
    if not launcher.executor:
        return f"{launcher.node}: {launcher.silence}"
    return f"{launcher.node}: {launcher.executor.rpartition('.')[2]}, runtimes {', '.join(launcher.runtimes)}"


def namesake_findings(name: str, facts: ClusterFacts) -> Iterator[Finding]:
    """Yield whether the user's live jobs have this name already; several may, but the name alone is none of them."""
    same = facts.namesakes
    if not same:
        yield Finding("name", "", name, "free")
        return
    listed = ", ".join(same[:3]) + (", ..." if len(same) > 3 else "")
    sentence = f"A job named {name} is live already: `job show {name}` and the like will want an id."
    problem = Problem("name-taken", sentence, listed, "name a job by its id, or choose another --name")
    yield Finding("name", "", name, listed, NOTE, problem)
