"""What each framework takes of the language: its roles, and what it refuses (docs/job-run.md, "Frameworks")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from yarn_submitter.given import Faults, Given, shown, valid_words
from yarn_submitter.options import OPTIONS, TENSORBOARD
from yarn_submitter.roletexts import RoleTexts, own_options
from yarn_submitter.spec import JobSpec


@dataclass(frozen=True)
class Framework:
    """A framework.

    Attributes:
        shown: Its name in a sentence.
        roles: The roles it knows; empty: any.
        untracked: Roles whose good end decides nothing, and which are stopped at the job's end; as tasks are called.
        tensorboard: Whether it takes a TensorBoard.
        calls: Role -> what its tasks are called, where that differs.
    """

    shown: str
    roles: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    tensorboard: bool = False
    calls: Mapping[str, str] = field(default_factory=dict)


FRAMEWORK = {
    "tensorflow": Framework("TensorFlow", ("chief", "worker", "ps", "evaluator"), ("ps", "evaluator"), True),
    "pytorch": Framework("PyTorch", ("worker",)),
    "mxnet": Framework("MXNet", ("worker", "ps", "scheduler"), ("server", "scheduler"), calls={"ps": "server"}),
    "horovod": Framework("Horovod", ("worker",)),
    "jax": Framework("JAX", ("worker",)),
    "generic": Framework("generic"),
}
_REFUSABLE = ("ps", "scheduler")


def with_task_roles(spec: JobSpec) -> JobSpec:
    """Return a job whose roles are called as its framework calls their tasks: MXNet's ps are servers."""
    roles = tuple(replace(role, name=task_role(spec.framework, role.name)) for role in spec.roles)
    return replace(spec, roles=roles)


def task_role(framework: str, role: str) -> str:
    """Return what a role's tasks are called."""
    return FRAMEWORK[framework].calls.get(role, role)


def refuses(framework: str, role: str) -> bool:
    """Return whether a framework does not know a role."""
    known = FRAMEWORK[framework].roles
    return bool(known) and role not in known


def check_parameters(
    framework: str, given: Mapping[str, list[Given]], roles: Mapping[str, RoleTexts], faults: Faults
) -> None:
    """Note every option and section that the framework does not take, even for a count of 0."""
    known = FRAMEWORK[framework]
    if not known.tensorboard:
        names = [option.name for option in OPTIONS if option.name.startswith(TENSORBOARD) and option.name in given]
        for name in names:
            in_file = given[name][0].place[0] == 1
            if not in_file or name == TENSORBOARD:  # the section stands for what is in it
                _refuse(known, "tensorBoard" if in_file else name, given[name][0], faults)
    for role in _REFUSABLE:
        if not refuses(framework, role) or role not in roles:
            continue
        texts = roles[role]
        for key, name in own_options(role).items():
            if name in given and key in texts.texts:
                _refuse(known, name, given[name][0], faults)
        if texts.in_file:
            _refuse(known, f"roles.{role}", texts.place, faults)


def _refuse(framework: Framework, name: str, item: Given, faults: Faults) -> None:
    sentence = f"Parameter '{name}' cannot be defined for {framework.shown} jobs!"
    evidence = item.source if item.place[0] else ""
    faults.add("parameter-not-for-framework", sentence, evidence, "leave it out", at=item)


def check_role_name(framework: str, name: str, place: Given, faults: Faults) -> None:
    """Note a role that the framework does not know; those with options are check_parameters' part."""
    known = FRAMEWORK[framework]
    if refuses(framework, name) and (name not in _REFUSABLE or place.source.startswith("--role ")):
        evidence = valid_words(name, known.roles, f"roles of {known.shown}")
        sentence = f"{place.source}: {known.shown} has no role {shown(name)}."
        ours = [role for role, called in known.calls.items() if called == name]
        step = f"write {ours[0]}: its tasks are called {name}" if ours else "or use --framework generic"
        faults.add("role-unknown", sentence, "" if ours else evidence, step, at=place)


def check_counts(framework: str, counts: Mapping[str, int], faults: Faults) -> None:
    """Note numbers of tasks that the framework cannot have."""
    if faults.meant("count"):  # one of them is wrong, which is noted
        return
    if framework == "tensorflow":
        if counts.get("ps") and counts.get("worker", 0) + counts.get("chief", 0) < 2:
            sentence = "Only specified one worker but non-zero PS, please double check."
            step = "--num_workers 2 or more, a chief counted as one; or --num_ps 0"
            faults.add("one-worker-with-ps", sentence, f"asked: {counts['ps']} ps", step)
        if counts.get("chief", 0) > 1:
            sentence = f"TensorFlow has one chief, not {counts['chief']}."
            faults.add("chief-count", sentence, "", "give the others as --num_workers")
    if framework == "mxnet" and counts.get("scheduler", 0) > 1:
        seen = f"asked: {counts['scheduler']}"
        faults.add("scheduler-count", "--num_schedulers should be 1 or 0.", seen, "write --num_schedulers 1")


def read_logs(framework: str, wish: Given, counts: Mapping[str, int], faults: Faults) -> str:
    """Return whose output is wanted: `all`, a role, or a task; one that the job does not have is noted.

    Args:
        framework: Of the job.
        wish: `all`, ROLE or ROLE:INDEX.
        counts: What the tasks of each role are called -> how many they are.
        faults: Takes what is wrong.
    """
    word, colon, index = wish.value.partition(":")
    role = word if word in counts else task_role(framework, word)
    if wish.value == "all":
        return "all"
    if role in counts and (not colon or index in map(str, range(counts[role]))):
        return role + colon + index
    faults.add(
        "task-unknown",
        f"{wish.source}: the job has no task {shown(wish.value)}.",
        valid_words(wish.value, ("all", *counts)),
        at=wish,
    )
    return wish.value
