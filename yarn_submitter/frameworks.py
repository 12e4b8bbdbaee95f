"""What each framework takes of the language: its roles, and what it refuses (docs/job-run.md, "Frameworks")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yarn_submitter.given import Faults, Given, close_match, valid_words
from yarn_submitter.options import OPTIONS, TENSORBOARD
from yarn_submitter.roletexts import RoleTexts, own_options


@dataclass(frozen=True)
class Framework:
    """A framework.

    Attributes:
        shown: Its name in a sentence.
        roles: The roles it knows; empty: any.
        untracked: Roles whose good end decides nothing, and which are stopped at the job's end.
        tensorboard: Whether it takes a TensorBoard.
    """

    shown: str
    roles: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    tensorboard: bool = False


FRAMEWORK = {
    "tensorflow": Framework("TensorFlow", ("chief", "worker", "ps", "evaluator"), ("ps", "evaluator"), True),
    "pytorch": Framework("PyTorch", ("worker",)),
    "mxnet": Framework("MXNet", ("worker", "ps", "scheduler"), ("ps", "scheduler")),
    "horovod": Framework("Horovod", ("worker",)),
    "jax": Framework("JAX", ("worker",)),
    "generic": Framework("generic"),
}
_REFUSABLE = ("ps", "scheduler")


def check_parameters(
    framework: str, given: Mapping[str, list[Given]], roles: Mapping[str, RoleTexts], faults: Faults
) -> None:
    """Note every option and section that the framework does not take, even for a count of 0."""
    known = FRAMEWORK[framework]
    if not known.tensorboard:
        names = [option.name for option in OPTIONS if option.name.startswith(TENSORBOARD) and option.name in given]
        for name in names:
            _refuse(known, name, given[name][0], faults)
    for role in _REFUSABLE:
        if not known.roles or role in known.roles or role not in roles:
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
    if known.roles and name not in known.roles and (name not in _REFUSABLE or place.source.startswith("--role ")):
        evidence = valid_words(name, known.roles, f"roles of {known.shown}")
        sentence = f"{place.source}: {known.shown} has no role {name!r}."
        faults.add("role-unknown", sentence, evidence, "or use --framework generic", at=place)


def check_counts(framework: str, counts: Mapping[str, int], faults: Faults) -> None:
    """Note numbers of tasks that the framework cannot have."""
    if framework == "tensorflow":
        if counts.get("ps") and counts.get("worker", 0) + counts.get("chief", 0) < 2:
            faults.add("one-worker-with-ps", "Only specified one worker but non-zero PS, please double check.")
        if counts.get("chief", 0) > 1:
            sentence = f"TensorFlow has one chief, not {counts['chief']}."
            faults.add("chief-count", sentence, "", "give the others as --num_workers")
    if framework == "mxnet" and counts.get("scheduler", 0) > 1:
        seen = f"asked: {counts['scheduler']}"
        faults.add("scheduler-count", "--num_schedulers should be 1 or 0.", seen, "write --num_schedulers 1")


def check_logs(wish: Given, counts: Mapping[str, int], faults: Faults) -> None:
    """Note a wish for the output of a task that the job does not have."""
    role, colon, index = wish.value.partition(":")
    if wish.value == "all" or (role in counts and not colon):
        return
    if role in counts and index in map(str, range(counts[role])):
        return
    hint = close_match(wish.value, ("all", *counts))
    valid = f"valid: {', '.join(['all', *counts])}" + (f"; {hint}" if hint else "")
    faults.add("task-unknown", f"{wish.source}: the job has no task {wish.value!r}.", valid, at=wish)
