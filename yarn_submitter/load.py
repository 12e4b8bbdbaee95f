"""A command line and a YAML file to one JobSpec: every fault at once, each with where the value came from."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from yarn_submitter.argv import read_argv
from yarn_submitter.errors import UsageError
from yarn_submitter.given import Faults, Given, close_match
from yarn_submitter.options import BY_NAME, FLAG, OPTION_ROLES, OPTIONS
from yarn_submitter.spec import JobSpec, RoleSpec
from yarn_submitter.units import Ask
from yarn_submitter.values import (
    INPUT_NAME,
    read_ask,
    read_choice,
    read_count,
    read_flag,
    read_input_path,
    read_localizations,
    read_pairs,
    read_store_path,
)
from yarn_submitter.yamlfile import YamlJob, read_yaml

_ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
_TF_ROLES = ("chief", "worker", "ps", "evaluator")
_ROLE_ORDER = ("chief", "worker", "ps")
# Values that YAML and the command line may both hold without a conflict.
_MERGED = ("verbose", "wait_job_finish")
# What a role needs, as the YAML form calls it -> what to type for a role without options of its own.
_NEEDED = {"resources": "write --role {}:instances=1,memory=1G", "launch_cmd": "add --role_cmd {}=COMMAND"}


@dataclass(frozen=True)
class Controls:
    """How the client is to behave; no part of the job. `warnings` are sentences for the user."""

    cluster: str = ""
    dry_run: bool = False
    detach: bool = False
    json: bool = False
    quiet: bool = False
    logs: str = ""
    warnings: tuple[str, ...] = ()


def load(argv: Sequence[str]) -> tuple[JobSpec, Controls]:
    """Read the words after `job run`.

    Raises:
        UsageError: With every fault that was found.
    """
    faults = Faults()
    given = read_argv(argv, faults)
    file = read_yaml(given["f"][0].value, faults) if "f" in given else YamlJob()
    _merge(given, file, faults)
    spec = _Builder(given, file, faults).job()
    controls = _controls(given, spec, faults)
    if faults.problems:
        raise UsageError(*faults.problems)
    return spec, controls


def _controls(given: dict[str, list[Given]], spec: JobSpec, faults: Faults) -> Controls:
    values: dict[str, object] = {}
    for option in OPTIONS:
        if not option.control or option.name == "f" or option.name not in given:
            continue
        first = given[option.name][0]
        values[option.name] = read_flag(first, faults) if option.kind == FLAG else first.value
    if values.get("logs"):
        _check_logs(given["logs"][0], spec, faults)
    return Controls(**values, warnings=tuple(faults.warnings))  # type: ignore[arg-type]


def _check_logs(wish: Given, spec: JobSpec, faults: Faults) -> None:
    counts = {role.name: role.instances for role in spec.roles}
    role, colon, index = wish.value.partition(":")
    if wish.value == "all" or (role in counts and not colon):
        return
    if role in counts and index in map(str, range(counts[role])):
        return
    hint = close_match(wish.value, ("all", *counts))
    valid = f"valid: {', '.join(['all', *counts])}" + (f"; {hint}" if hint else "")
    faults.add("task-unknown", f"{wish.source}: the job has no task {wish.value!r}.", valid)


def _own_options(role: str) -> dict[str, str]:
    """Return what the YAML form calls it -> the option, for a role that has options of its own."""
    count = "num_ps" if role == "ps" else f"num_{role}s"
    return {"replicas": count, "resources": f"{role}_resources", "launch_cmd": f"{role}_launch_cmd"}


def _merge(given: dict[str, list[Given]], file: YamlJob, faults: Faults) -> None:
    """Put the file's values beside the command line's; a value given by both is a fault."""
    for name, values in file.options.items():
        if name in given and name not in _MERGED:
            _both(f"--{name}", values[0], faults)
        given.setdefault(name, values)
    for role in OPTION_ROLES:
        keys = file.roles.get(role)
        if keys is None:
            continue
        names = _own_options(role)
        for key, name in names.items():
            if name in given and key in keys:
                _both(f"--{name}", keys[key][0], faults)
            if key in keys:
                given.setdefault(name, keys[key])
        given.setdefault(names["replicas"], [Given("1", file.places[role])])


def _both(what: str, in_file: Given, faults: Faults) -> None:
    faults.add(
        "option-in-both",
        f"{what} is defined both with YAML config and with CLI argument.",
        f"{in_file.source}: {in_file.value!r}" if in_file.value else in_file.source,
        "keep one of them",
    )


@dataclass
class _FreeRole:
    """A role without options of its own, as texts: where it stands, and key of the YAML form -> text."""

    place: str
    texts: dict[str, Given] = field(default_factory=dict)


class _Builder:
    """Turns texts into a JobSpec; every method notes its faults and returns something that lets the others go on."""

    def __init__(self, given: dict[str, list[Given]], file: YamlJob, faults: Faults) -> None:
        self.given = given
        self.file = file
        self.faults = faults

    def job(self) -> JobSpec:
        """Return the job; meaningless when there are faults."""
        framework = self.choice("framework")
        roles = self.roles(framework)
        if not self.text("name"):
            self.faults.add("name-absent", "--name is absent.", "", "add --name NAME")
        if "input_path" not in self.given and any(role.name == "worker" for role in roles):
            next_step = 'add --input_path URI, or --input_path ""'
            self.faults.add("input-path-absent", '"--input_path" is absent.', "", next_step)
        input_path = read_input_path(self.one("input_path"), self.faults)
        taken = (INPUT_NAME,) if input_path and "://" not in input_path else ()
        return JobSpec(
            name=self.text("name"),
            framework=framework,
            roles=roles,
            queue=self.text("queue") or "default",
            input_path=input_path,
            checkpoint_path=read_store_path(self.one("checkpoint_path"), self.faults),
            saved_model_path=read_store_path(self.one("saved_model_path"), self.faults),
            env=read_pairs(self.given.get("env", []), self.faults),
            localizations=read_localizations(self.given.get("localization", []), self.faults, taken=taken),
            source_dir=self.source_dir(),
            done_when=self.choice("done_when"),
            tf_worker0=self.choice("tf_worker0"),
            wait_job_finish=self.flag("wait_job_finish"),
            verbose=self.flag("verbose"),
        )

    def one(self, name: str) -> Given:
        """Return an option's text, an empty one when it is not given."""
        return self.given[name][0] if name in self.given else Given("", "default")

    def text(self, name: str) -> str:
        """Return the value of `one`."""
        return self.one(name).value

    def flag(self, name: str) -> bool:
        """Return whether a flag is on."""
        return name in self.given and read_flag(self.given[name][0], self.faults)

    def choice(self, name: str) -> str:
        """Return one of an option's choices."""
        option = BY_NAME[name]
        return read_choice(option, self.given[name][0], self.faults) if name in self.given else option.default

    def source_dir(self) -> str:
        """Return the source directory, absolute, or an empty text."""
        source = self.one("src")
        if source.value and not os.path.isdir(source.value):
            seen = os.path.abspath(source.value)
            self.faults.add("src-missing", f"{source.source}: {source.value!r} is not a directory.", seen)
        return os.path.abspath(source.value) if source.value else ""

    def roles(self, framework: str) -> tuple[RoleSpec, ...]:
        """Return every role with at least one task, in the order in which they are shown."""
        free = self.free_roles()
        roles = [*self.option_roles(free), *(self.free_role(name, role, framework) for name, role in free.items())]
        found = {role.name: role for role in roles if role.instances > 0}
        if not found:
            self.faults.add("no-roles", "The job has no task.", "", "give --num_workers or --role")
        if framework == "tensorflow":
            self.check_tensorflow({name: role.instances for name, role in found.items()})
        order = [*(name for name in _ROLE_ORDER if name in found), *(name for name in found if name not in _ROLE_ORDER)]
        return tuple(found[name] for name in order)

    def check_tensorflow(self, counts: dict[str, int]) -> None:
        """Note role counts that TensorFlow cannot have."""
        if counts.get("ps") and counts.get("worker", 0) + counts.get("chief", 0) < 2:
            self.faults.add("one-worker-with-ps", "Only specified one worker but non-zero PS, please double check.")
        if counts.get("chief", 0) > 1:
            sentence = f"TensorFlow has one chief, not {counts['chief']}."
            self.faults.add("chief-count", sentence, "", "give the others as --num_workers")

    def option_roles(self, free: dict[str, _FreeRole]) -> list[RoleSpec]:
        """Return the roles that have options of their own, worker and ps, and that --role does not give."""
        roles = []
        for name in OPTION_ROLES:
            options = _own_options(name)
            named = [option for option in options.values() if option in self.given]
            if name in free:
                if named:
                    both = "--role, and " + ", ".join(f"--{option}" for option in named)
                    self.faults.add("option-in-both", f"Role {name} is given twice.", both, "keep one of them")
                continue
            others = free or self.file.roles
            default = Given("1" if name == "worker" and (named or not others) else "0", "default")
            instances = read_count(self.given.get(options["replicas"], [default])[0], self.faults)
            texts = {key: self.one(option) for key, option in options.items()}
            if instances:
                for key in _NEEDED:
                    if not texts[key].value:
                        seen = f"{name} has {instances} instances"
                        self.faults.add("role-incomplete", f"--{options[key]} is absent.", seen)
            roles.append(self.role(name, instances, texts))
        return roles

    def role(self, name: str, instances: int, texts: dict[str, Given]) -> RoleSpec:
        """Return one role from its texts and what the file says about it."""
        extra = self.file.roles.get(name, {})
        resources, command = texts.get("resources"), texts.get("launch_cmd")
        return RoleSpec(
            name,
            instances,
            read_ask(resources, self.faults) if resources and resources.value else Ask(0),
            command.value if command else "",
            read_pairs(extra.get("envs", []), self.faults),
            read_localizations(extra.get("localizations", []), self.faults),
        )

    def free_roles(self) -> dict[str, _FreeRole]:
        """Return the roles of --role and --role_cmd, and the file's roles that have no options."""
        found: dict[str, _FreeRole] = {}
        for item in self.given.get("role", []):
            name, role = self.role_option(item)
            if name in found:
                self.faults.add("option-twice", f"--role {name} is given twice.", f"again: {item.value!r}", "keep one")
            found.setdefault(name, role)
        for name, keys in self.file.roles.items():
            if name in found:
                _both(f"Role {name}", Given("", self.file.places[name]), self.faults)
            elif name not in OPTION_ROLES:
                found[name] = _FreeRole(self.file.places[name], {key: texts[0] for key, texts in keys.items()})
        for item in self.given.get("role_cmd", []):
            self.role_command(item, found)
        return found

    def role_option(self, item: Given) -> tuple[str, _FreeRole]:
        """Return name and texts of one --role."""
        name, _, rest = item.value.partition(":")
        place = f"{item.source} {name}"
        pairs = [pair for pair in rest.split(",") if pair.strip()]
        counts = [pair.partition("=")[2] for pair in pairs if pair.partition("=")[0].strip() == "instances"]
        if len(counts) > 1:
            self.faults.add("resources-form", f"{place}: instances is given twice in {rest!r}.")
        resources = ",".join(pair for pair in pairs if pair.partition("=")[0].strip() != "instances")
        texts = {"replicas": counts[0] if counts else "1", "resources": resources}
        return name, _FreeRole(place, {key: Given(text, place) for key, text in texts.items()})

    def role_command(self, item: Given, found: dict[str, _FreeRole]) -> None:
        """Put the command of one --role_cmd to its role."""
        name, equals, command = item.value.partition("=")
        if name in found and equals:
            texts = found[name].texts
            if "launch_cmd" in texts:
                both = f"{texts['launch_cmd'].value!r} and {command!r}"
                self.faults.add("option-twice", f"--role_cmd {name} is given twice.", both, "keep one")
            texts.setdefault("launch_cmd", Given(command, item.source))
        elif not equals:
            sentence = f"--role_cmd {item.value!r} names no role."
            self.faults.add("role-unknown", sentence, "", "write --role_cmd NAME=COMMAND")
        else:
            hint = close_match(name, found)
            own = f"use --{_own_options(name)['launch_cmd']}" if name in OPTION_ROLES else ""
            sentence = f"--role_cmd names role {name!r} that no --role defines."
            self.faults.add("role-unknown", sentence, hint, own or f"add --role {name}:instances=1,memory=1G")

    def free_role(self, name: str, role: _FreeRole, framework: str) -> RoleSpec:
        """Return one role that has no options of its own."""
        instances = read_count(role.texts.get("replicas", Given("1", role.place)), self.faults)
        if not _ROLE_NAME.match(name):
            sentence = f"{role.place}: {name!r} cannot be a role's name."
            self.faults.add("role-name", sentence, "lower-case letters, digits, - and _")
        elif framework == "tensorflow" and name not in _TF_ROLES:
            hint = close_match(name, _TF_ROLES)
            evidence = f"roles of TensorFlow: {', '.join(_TF_ROLES)}" + (f"; {hint}" if hint else "")
            sentence = f"{role.place}: TensorFlow has no role {name!r}."
            self.faults.add("role-unknown", sentence, evidence, "or use --framework generic")
        if instances == 0:
            return RoleSpec(name, 0, Ask(0), "")
        for key, form in _NEEDED.items():
            if key not in role.texts or not role.texts[key].value:
                sentence = f"{role.place}: role {name} has no {key}."
                self.faults.add("role-incomplete", sentence, "", f"{form.format(name)}, or `{key}:` in the file")
        return self.role(name, instances, role.texts)
