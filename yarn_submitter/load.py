"""A command line and a YAML file to one JobSpec: every fault at once, each with where the value came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from am.contract.job import RESTART_JOB, RESTART_TASK
from yarn_submitter.argv import read_argv
from yarn_submitter.errors import Problem, UsageError
from yarn_submitter.formats import read_file
from yarn_submitter.frameworks import (
    FRAMEWORK,
    read_logs,
    task_role,
)
from yarn_submitter.given import MOST_TEXT_BYTES, Faults, Given, shown
from yarn_submitter.options import BY_NAME, FLAG, HIDDEN, LIST, OPTIONS, OWN_LIMITS, PLACEHOLDERS, TENSORBOARD
from yarn_submitter.properties import Properties, read_properties
from yarn_submitter.remotes import (
    INPUT_NAME,
    check_places,
    read_input_path,
    read_localizations,
    read_mounts,
    read_store_path,
)
from yarn_submitter.rolespecs import RoleReader
from yarn_submitter.roletexts import both
from yarn_submitter.settings import JobDefaults
from yarn_submitter.spec import JobLimits, JobSpec, RoleSpec, Security
from yarn_submitter.values import (
    GivenOptions,
    env_file_lines,
    read_duration,
    read_flag,
    read_image,
    read_label,
    read_limit,
    read_number,
    read_pairs,
    read_port_range,
    read_quicklinks,
    read_secrets,
)
from yarn_submitter.yamlfile import YamlJob

# Values that YAML and the command line may both hold without a conflict.
_MERGED = ("verbose", "wait_job_finish", "insecure", "distribute_keytab", TENSORBOARD)
_MOST_RESTARTS = 100_000
_MOST_AM_ATTEMPTS = 100  # a cluster allows fewer (yarn.resourcemanager.am.max-attempts) and then counts its own
# Faults that a file which could not be read may be the reason of.
_OF_THE_FILE = (
    *("role-unknown", "role-incomplete", "name-absent", "input-path-absent", "no-roles", "one-worker-with-ps"),
    *("task-unknown", "quicklink-task"),
)
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


class _Builder(GivenOptions):
    """Turns texts into a JobSpec; every method notes its faults and returns something that lets the others go on."""

    def __init__(
        self,
        given: dict[str, list[Given]],
        file: YamlJob,
        properties: Properties,
        defaults: JobDefaults,
        faults: Faults,
    ) -> None:
        super().__init__(given, faults)
        self.properties = properties
        self.defaults = defaults
        known = len(faults.problems)
        self.framework = self.choice("framework")
        right = len(faults.problems) == known
        local_input = "://" not in self.text("input_path") and bool(self.text("input_path"))
        self.taken = (INPUT_NAME,) if local_input else ()  # names in the working directory
        self.rules = self.framework if right else "generic"  # a wrong one makes no other fault
        self.reader = RoleReader(self, file, defaults, self.rules, self.taken, checked=right)

    def job(self) -> JobSpec:
        """Return the job; meaningless when there are faults."""
        faults = self.faults
        roles, tensorboard = self.reader.roles()
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
            max_restarts=self.max_restarts(roles),
            am_attempts=self.number("am_attempts", 1, _MOST_AM_ATTEMPTS),
            port_range=read_port_range(self.one("port_range"), faults),
            limits=self.limits(),
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

    def max_restarts(self, roles: Sequence[RoleSpec]) -> int:
        """Return how many restarts the job may have after failures."""
        found = self.number("max_restarts", 0, _MOST_RESTARTS)
        for role in roles:
            if role.on_failure in (RESTART_TASK, RESTART_JOB) and not found:
                self.faults.warn(f"role {role.name}: on_failure {role.on_failure} has no effect without --max_restarts")
        return found

    def limits(self) -> JobLimits:
        """Return the deadlines that the job sets for itself."""
        found: dict[str, int] = {}
        for name, field in OWN_LIMITS.items():
            if name in self.given:
                read = {"gang_tries": read_number, "stop_grace": read_duration}.get(name, read_limit)
                found[field] = read(self.one(name), self.faults)
        return JobLimits(**found)

    def number(self, name: str, least: int, most: int) -> int:
        """Return a number that an option gives, or its default."""
        given = self.one(name)
        return read_number(given if name in self.given else given.part(BY_NAME[name].default), self.faults, least, most)

    def max_runtime_s(self) -> int:
        """Return how long the job may run; 0: as long as it likes."""
        if "max_runtime" not in self.given:
            return self.defaults.max_runtime_s
        return read_duration(self.one("max_runtime"), self.faults)

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
