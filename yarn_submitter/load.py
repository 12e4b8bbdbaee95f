"""A command line and a YAML file to one JobSpec: every fault at once, each with where the value came from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from yarn_submitter.argv import read_argv
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.formats import read_file
from yarn_submitter.frameworks import (
    FRAMEWORK,
    check_counts,
    check_parameters,
    check_role_name,
    read_logs,
    refuses,
    task_role,
)
from yarn_submitter.given import MOST_TEXT_BYTES, Faults, Given, closest, shown, valid_words
from yarn_submitter.options import BY_NAME, FLAG, HIDDEN, LIST, OPTION_ROLES, OPTIONS, PLACEHOLDERS, TENSORBOARD
from yarn_submitter.properties import Properties, read_properties
from yarn_submitter.remotes import (
    INPUT_NAME,
    check_places,
    read_input_path,
    read_localizations,
    read_mounts,
    read_store_path,
)
from yarn_submitter.roletexts import RoleTexts, both, gather_roles, own_options
from yarn_submitter.settings import JobDefaults
from yarn_submitter.spec import ON_FAILURE, JobSpec, RoleSpec, Security
from yarn_submitter.units import Ask
from yarn_submitter.values import (
    MOST_TASKS,
    env_file_lines,
    read_ask,
    read_choice,
    read_count,
    read_duration,
    read_flag,
    read_image,
    read_label,
    read_pairs,
    read_quicklinks,
    read_secrets,
    read_word,
)
from yarn_submitter.yamlfile import YamlJob

_ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
_ROLE_ORDER = ("chief", "worker", "ps")
_MOST_ROLES = 50
# Values that YAML and the command line may both hold without a conflict.
_MERGED = ("verbose", "wait_job_finish", "insecure", "distribute_keytab", TENSORBOARD)
# What a role needs, as the YAML form calls it -> its form, and what to type for a role without options of its own.
_NEEDED = {
    "resources": ("memory=2G,vcores=1", "write --role {}:instances=1,memory=2G"),
    "launch_cmd": ('"python train.py"', "add --role_cmd {}=COMMAND"),
}
# Faults that a file which could not be read may be the reason of.
_OF_THE_FILE = (
    *("role-unknown", "role-incomplete", "name-absent", "input-path-absent", "no-roles", "one-worker-with-ps"),
    *("task-unknown", "quicklink-task"),
)
_BY_ANY_ROLE = ("role", "role_cmd")  # meant, they may be meant for any
_UNREAD = ("yaml-unreadable", "yaml-broken")


@dataclass(frozen=True)
class Controls:
    """How the client is to behave; no part of the job. `warnings` are sentences for the user."""

    cluster: str = ""
    set: tuple[str, ...] = ()
    dry_run: bool = False
    check: bool = False
    force: bool = False
    detach: bool = False
    kill_on_exit: bool = False
    json: bool = False
    quiet: bool = False
    logs: str = ""
    warnings: tuple[str, ...] = ()


def load(
    argv: Sequence[str],
    defaults_for: Callable[[str, Sequence[str]], JobDefaults] = lambda _cluster, _set: JobDefaults(),
) -> tuple[JobSpec, Controls]:
    """Read the words after `job run`.

    Args:
        argv: The words.
        defaults_for: Returns what the site gives to jobs, for the texts of `--cluster` and `--set`.

    Raises:
        UsageError: With every fault that was found.
    """
    faults = Faults()
    _check_directory()
    given = read_argv(argv, faults)
    file = read_file(given, faults)
    _merge(given, file, faults)
    properties = read_properties(given.get("conf", []), faults)
    controls = _controls(given, faults)
    controls["set"] = (*properties.settings, *controls["set"])
    wrong_settings: tuple[Problem, ...] = ()
    try:
        defaults = defaults_for(controls["cluster"], controls["set"])
    except UsageError as error:
        defaults, wrong_settings = JobDefaults(), error.problems
        faults.mean("settings")
    builder = _Builder(given, file, properties, defaults, faults)
    spec = builder.job()
    if controls["logs"]:
        controls["logs"] = read_logs(builder.rules, given["logs"][0], builder.task_counts(spec.roles), faults)
    problems = faults.problems
    if any(problem.id in _UNREAD for problem in problems):
        problems = [problem for problem in problems if problem.id not in _OF_THE_FILE]
    if problems or wrong_settings:
        raise UsageError(*problems, *wrong_settings)
    return spec, Controls(**controls, warnings=tuple(faults.warnings))


def _check_directory() -> None:
    """Raise UsageError when local paths mean nothing: the shell stands in a directory that was removed."""
    try:
        os.getcwd()
    except OSError as error:
        sentence, step = "The directory in which this was typed is gone.", "go to one that is there: cd"
        raise UsageError(Problem("directory-gone", sentence, error.strerror or "", step)) from error


def _controls(given: dict[str, list[Given]], faults: Faults) -> dict[str, Any]:
    values: dict[str, Any] = {"cluster": "", "set": (), "logs": ""}
    for option in OPTIONS:
        if not option.control or option.name in ("f", "format") or option.name not in given:
            continue
        first = given[option.name][0]
        values[option.name] = read_flag(first, faults) if option.kind == FLAG else first.value
        if option.kind == LIST:
            values[option.name] = tuple(item.value for item in given[option.name])
    return values


def _merge(given: dict[str, list[Given]], file: YamlJob, faults: Faults) -> None:
    """Put the file's values beside the command line's; a value given by both is a fault."""
    for name, values in file.options.items():
        if name in given and name not in _MERGED:
            both(f"--{name}", values[0].part("") if name == HIDDEN else values[0], faults)
        given.setdefault(name, values)


class _Builder:
    """Turns texts into a JobSpec; every method notes its faults and returns something that lets the others go on."""

    def __init__(
        self,
        given: dict[str, list[Given]],
        file: YamlJob,
        properties: Properties,
        defaults: JobDefaults,
        faults: Faults,
    ) -> None:
        self.given = given
        self.file = file
        self.properties = properties
        self.defaults = defaults
        self.faults = faults
        known = len(faults.problems)
        self.framework = self.choice("framework")
        right = len(faults.problems) == known
        local_input = "://" not in self.text("input_path") and bool(self.text("input_path"))
        self.taken = (INPUT_NAME,) if local_input else ()  # names in the working directory
        self.rules = self.framework if right else "generic"  # a wrong one makes no other fault

    def job(self) -> JobSpec:
        """Return the job; meaningless when there are faults."""
        faults = self.faults
        roles, tensorboard = self.roles()
        if not self.text("name") and not faults.meant("name"):
            faults.add("name-absent", "--name is absent.", "", "add --name NAME")
        if (
            "input_path" not in self.given
            and not faults.meant("input_path")
            and any(role.name == "worker" for role in roles)
        ):
            next_step = 'add --input_path URI, or --input_path ""'
            faults.add("input-path-absent", '"--input_path" is absent.', "", next_step)
        input_path = read_input_path(self.one("input_path"), faults)
        counts = self.task_counts((*roles, *([tensorboard] if tensorboard else [])))
        first = next((name for name in ("chief", "worker") if name in counts), "")
        calls = {"master": first, **FRAMEWORK[self.rules].calls}  # as Submarine's help calls the first worker
        localizations = [*self.given.get("localization", []), *self.properties.localizations]
        self.check_lengths(roles)
        localized = read_localizations(localizations, faults, taken=self.taken)
        mounts = read_mounts(self.given.get("mount", []), faults)
        for of in ((mounts, localized), *((role.mounts, role.localizations) for role in roles)):
            check_places(*of, faults)
        return JobSpec(
            name=self.text("name"),
            framework=self.framework,
            roles=roles,
            queue=self.text("queue") or self.defaults.queue,
            input_path=input_path,
            checkpoint_path=read_store_path(self.one("checkpoint_path"), faults),
            saved_model_path=read_store_path(self.one("saved_model_path"), faults),
            env=self.env(),
            localizations=localized,
            source_dir=self.source_dir(),
            done_when=self.choice("done_when"),
            tf_worker0=self.choice("tf_worker0"),
            wait_job_finish=self.flag("wait_job_finish"),
            verbose=self.flag("verbose"),
            image=read_image(self.one("docker_image"), faults) or self.defaults.image,
            node_label=read_label(self.one("node_label"), faults),
            mounts=mounts,
            quicklinks=read_quicklinks(self.given.get("quicklink", []), counts, calls, faults),
            secrets=read_secrets(self.given.get("secret", []), faults),
            conf=self.properties.hadoop,
            security=Security(
                self.flag("insecure"), self.text("keytab"), self.text("principal"), self.flag("distribute_keytab")
            ),
            tensorboard=tensorboard,
            max_runtime_s=self.max_runtime_s(),
        )

    def task_counts(self, roles: Sequence[RoleSpec]) -> dict[str, int]:
        """Return what the tasks of each role are called -> how many they are."""
        return {task_role(self.rules, role.name): role.instances for role in roles}

    def check_lengths(self, roles: Sequence[RoleSpec]) -> None:
        """Note a command that would be too long with its paths filled in."""
        paths = {f"%{name}%": self.text(name) or "/" * 200 for name in PLACEHOLDERS}
        for role in roles:
            letters = sum(role.command.count(name) * len(path) for name, path in paths.items()) + len(role.command)
            if letters > MOST_TEXT_BYTES:
                sentence = f"The command of role {role.name} has {letters} letters with its paths filled in."
                most = f"Linux gives a program {MOST_TEXT_BYTES} bytes at most"
                self.faults.add("text-unusable", sentence, most, "put it into a script")

    def max_runtime_s(self) -> int:
        """Return how long the job may run; 0: as long as it likes."""
        if "max_runtime" not in self.given:
            return self.defaults.max_runtime_s
        return read_duration(self.one("max_runtime"), self.faults)

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
        if not source.value:
            return ""
        if "\0" in source.value or not os.path.isdir(source.value):
            seen = os.path.abspath(source.value)
            self.faults.add(
                "src-missing", f"{source.source}: {shown(source.value)} is not a directory.", seen, at=source
            )
        return os.path.abspath(source.value)

    def env(self) -> dict[str, str]:
        """Return the variables of every task: the site's, those of files, those given one by one."""
        from_files = read_pairs(env_file_lines(self.given.get("env_file", []), self.faults), self.faults)
        return {**self.defaults.env, **from_files, **read_pairs(self.given.get("env", []), self.faults)}

    def roles(self) -> tuple[tuple[RoleSpec, ...], RoleSpec | None]:
        """Return every role with at least one task, in the order in which they are shown, and the TensorBoard."""
        texts = gather_roles(self.given, self.file, self.faults)
        if len(texts) > _MOST_ROLES:
            sentence = f"The job has {len(texts)} roles, and {_MOST_ROLES} are the most."
            self.faults.add("roles-too-many", sentence, "", "give like tasks one role with more instances")
            texts = dict(list(texts.items())[:_MOST_ROLES])
        known = FRAMEWORK[self.rules].roles
        for name in texts:
            close = closest(name, known)
            if close and name not in known:
                self.faults.mean(f"{close}.resources", f"{close}.launch_cmd")
        if self.rules == self.framework:
            check_parameters(self.rules, self.given, texts, self.faults)
        found = {name: self.role(name, role) for name, role in texts.items()}
        found = {name: role for name, role in found.items() if role.instances > 0}
        tensorboard = self.tensorboard()
        if not found and not tensorboard:
            self.faults.add("no-roles", "The job has no task.", "", "give --num_workers or --role")
        check_counts(self.rules, {name: role.instances for name, role in found.items()}, self.faults)
        if sum(role.instances for role in found.values()) > MOST_TASKS:
            sentence = f"All roles together have more than {MOST_TASKS} tasks."
            self.faults.add("tasks-too-many", sentence, "", "give fewer instances")
        order = [*(name for name in _ROLE_ORDER if name in found), *(name for name in found if name not in _ROLE_ORDER)]
        return tuple(found[name] for name in order), tensorboard

    def role(self, name: str, role: RoleTexts) -> RoleSpec:
        """Return one role from its texts."""
        texts, faults = role.texts, self.faults
        own = own_options(name) if name in OPTION_ROLES and not role.by_role else {}
        default = "1" if name == "worker" or role.in_file else "0"
        instances = read_count(texts["replicas"][0] if "replicas" in texts else role.place.part(default), faults)
        if not own:
            self.check_name(name, role.place)
        if instances == 0:
            return RoleSpec(name, 0, Ask(0), "")
        needed = {**texts}
        if "profile" in self.given and "resources" not in texts:
            needed["resources"] = self.profile()
        for key, (value, form) in _NEEDED.items():
            if key in needed and needed[key][0].value:
                continue
            if refuses(self.rules, name) or faults.meant(f"{name}.{key}", own.get(key, ""), *_BY_ANY_ROLE):
                continue
            if own:
                seen, step = self.instances_text(name, instances, role), f"add --{own[key]} {value}"
                step += f", or `{key}:` below `{name}:` in {role.place.source}" if role.in_file else ""
                faults.add("role-incomplete", f"--{own[key]} is absent.", seen, step, at=role.place)
            else:
                sentence = f"{role.place.source}: role {name} has no {key}."
                step = f"write `{key}:` there" if role.in_file else form.format(name)
                faults.add("role-incomplete", sentence, "", step, at=role.place)
        resources = needed.get("resources", [Given("", "")])[0]
        return RoleSpec(
            name,
            instances,
            read_ask(resources, self.defaults.profiles, faults) if resources.value else Ask(0),
            texts["launch_cmd"][0].value if "launch_cmd" in texts else "",
            read_pairs(texts.get("envs", []), faults),
            read_localizations(texts.get("localizations", []), faults, taken=self.taken),
            read_mounts(texts.get("mounts", []), faults),
            read_image(texts["docker_image"][0], faults) if "docker_image" in texts else "",
            read_label(texts["node_label"][0], faults) if "node_label" in texts else "",
            read_word(ON_FAILURE, texts["on_failure"][0], faults) if "on_failure" in texts else ON_FAILURE[0],
        )

    def profile(self) -> list[Given]:
        """Return the text of --profile when the site has one of that name."""
        item, profiles = self.given["profile"][0], self.defaults.profiles
        if item.value in profiles:
            return [item]
        if self.faults.meant("settings"):  # which are wrong, and nobody knows what they would have given
            return [item.part("memory=1G")]
        valid = valid_words(item.value, profiles, "profiles") if profiles else "the configuration has none"
        sentence = f"{item.source}: there is no profile {shown(item.value)}."
        self.faults.add("profile-unknown", sentence, valid, "job config show lists them", at=item)
        return [item.part("memory=1G")]

    def instances_text(self, name: str, instances: int, role: RoleTexts) -> str:
        """Return how many tasks a role has, and why when nobody said so."""
        count = f"{name} has {instances} instance{'s' if instances > 1 else ''}"
        asked = "replicas" in role.texts
        return count if asked else f"{count}, which is what it has when --num_{name.removesuffix('s')}s does not say"

    def check_name(self, name: str, place: Given) -> None:
        """Note a role's name that cannot be one, or that the framework does not know."""
        if not _ROLE_NAME.match(name):
            sentence = f"{place.source}: {shown(name)} cannot be a role's name."
            self.faults.add("role-name", sentence, "lower-case letters, digits, - and _", at=place)
        else:
            check_role_name(self.rules, name, place, self.faults)

    def tensorboard(self) -> RoleSpec | None:
        """Return the TensorBoard when the job has one; its command is the planner's."""
        wanted = self.flag(TENSORBOARD)
        parts = [name for name in ("tensorboard_resources", "tensorboard_docker_image") if name in self.given]
        if not wanted:
            for name in parts:
                self.faults.warn(f"{self.one(name).source} has no effect without --{TENSORBOARD}")
            return None
        given = self.one("tensorboard_resources")
        resources = given if given.value else Given(BY_NAME["tensorboard_resources"].default, "default")
        ask = read_ask(resources, self.defaults.profiles, self.faults)
        return RoleSpec(TENSORBOARD, 1, ask, "", image=read_image(self.one("tensorboard_docker_image"), self.faults))
