"""What each framework takes of the language: its roles, and what it refuses (docs/job-run.md, "Frameworks")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from am.contract.job import FATAL, FIRST_COME, IGNORE, RESTART_JOB, RESTART_TASK
from yarn_submitter.given import Faults, Given, shown, valid_words
from yarn_submitter.options import OPTIONS, TENSORBOARD
from yarn_submitter.roleorder import renamed
from yarn_submitter.roletexts import RoleTexts, own_options
from yarn_submitter.spec import FAIL, JobSpec, RoleSpec


@dataclass(frozen=True)
class Framework:
    """A framework.

    Attributes:
        shown: Its name in a sentence.
        roles: The roles it knows; empty: any.
        untracked: Roles whose good end decides nothing, and which are stopped at the job's end; as tasks are called.
        tensorboard: Whether it takes a TensorBoard.
        calls: Role -> what its tasks are called, where that differs.
        elastic: Whether fewer tasks than asked for are enough, where a role says so.
        alone: Whether a task can start before the addresses of all others are known.
    """

    shown: str
    roles: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    tensorboard: bool = False
    calls: Mapping[str, str] = field(default_factory=dict)
    elastic: bool = False
    alone: bool = False


FRAMEWORK = {
    "tensorflow": Framework("TensorFlow", ("chief", "worker", "ps", "evaluator"), ("ps", "evaluator"), True),
    "pytorch": Framework("PyTorch", ("worker",), elastic=True),
    "mxnet": Framework("MXNet", ("worker", "ps", "scheduler"), ("server", "scheduler"), calls={"ps": "server"}),
    "horovod": Framework("Horovod", ("worker",)),
    "jax": Framework("JAX", ("worker",)),
    "generic": Framework("generic", elastic=True, alone=True),
}
_REFUSABLE = ("ps", "scheduler")

_ANY = "any"
_ELASTIC = "worker, elastic"
_WITHOUT_PS = "worker, without ps"
_ONE = (RESTART_TASK, RESTART_TASK)
_ALL = (RESTART_JOB, RESTART_JOB)
# What follows when a task fails (while --max_restarts is not used up, else the job fails), and when the cluster takes
# one away: framework -> task -> (on_failure, on_loss). `_ONE` where the peers of a lost task go on and take it back.
_AFTER: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "tensorflow": {
        "chief": _ALL,
        "worker": _ONE,
        _WITHOUT_PS: _ALL,
        "ps": (FATAL, RESTART_JOB),
        "evaluator": _ONE,
        TENSORBOARD: (IGNORE, RESTART_TASK),
    },
    "pytorch": {"worker": _ALL, _ELASTIC: _ONE},
    "mxnet": dict.fromkeys(("worker", "server", "scheduler"), _ALL),
    "horovod": {"worker": _ALL},
    "jax": {"worker": _ALL},
    "generic": {_ANY: _ONE},
}


def failure_table() -> list[tuple[str, str, str, str]]:
    """Return what follows by default: framework, role, on_failure, on_loss, for docs/failures.md."""
    return [(framework, role, *after) for framework, rows in _AFTER.items() for role, after in rows.items()]


def after_bad_end(spec: JobSpec, role: RoleSpec) -> tuple[str, str]:
    """Return what follows when a task of a role fails, and when the cluster takes it away.

    Args:
        spec: The job, its roles called as their tasks (`with_task_roles`).
        role: One of them, or its TensorBoard.
    """
    rows = _AFTER[spec.framework]
    name = role.name
    if name == "worker" and "ps" in rows and all(other.name != "ps" for other in spec.roles):
        name = _WITHOUT_PS
    elif _ELASTIC in rows and 0 < role.min_instances < role.instances:
        name = _ELASTIC
    if not spec.roles:  # a TensorBoard alone is the job
        on_failure, on_loss = _ONE
    else:
        on_failure, on_loss = rows.get(name) or rows[_ANY]
    if role.on_failure:
        on_failure = FATAL if role.on_failure == FAIL else role.on_failure
        on_loss = RESTART_TASK if on_failure == IGNORE else on_loss
    return on_failure, role.on_loss or on_loss


def with_task_roles(spec: JobSpec) -> JobSpec:
    """Return a job whose roles are called as its framework calls their tasks: MXNet's ps are servers."""

    def called(name: str) -> str:
        return task_role(spec.framework, name)

    roles = tuple(
        replace(role, name=called(role.name), depends_on=renamed(role.depends_on, called)) for role in spec.roles
    )
    return replace(spec, roles=roles)


def task_role(framework: str, role: str) -> str:
    """Return what a role's tasks are called."""
    return FRAMEWORK[framework].calls.get(role, role)


def endless_roles(framework: str) -> tuple[str, ...]:
    """Return the roles that run until the job ends, as users call them."""
    known = FRAMEWORK[framework]
    return tuple(role for role in known.roles if task_role(framework, role) in known.untracked)


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


def check_role(framework: str, role: RoleSpec, count: Given, start: Given, faults: Faults) -> None:
    """Note a number of tasks that is not fixed, and a start one by one, where the framework cannot have it."""
    known = FRAMEWORK[framework]
    if 0 < role.min_instances < role.instances and not known.elastic:
        sentence = f"{count.source}: {known.shown} cannot run with fewer tasks than it was told: {shown(count.value)}."
        elastic = "PyTorch's workers (torchrun) and generic roles can be elastic"
        faults.add("role-not-elastic", sentence, elastic, f"write {role.instances}", at=count)
    if role.start == FIRST_COME and not known.alone:
        sentence = f"{start.source}: tasks of {known.shown} need the addresses of all others, so they start together."
        step = "leave it out, or use --framework generic"
        faults.add("role-not-first-come", sentence, "", step, at=start)


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
