"""A command line and a YAML file to one JobSpec: every fault at once, each with where the value came from."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from yarn_submitter.argv import read_argv
from yarn_submitter.errors import UsageError
from yarn_submitter.given import Faults, Given, close_match
from yarn_submitter.localfiles import archive_extension
from yarn_submitter.options import CHOICE, FLAG, OPTION_ROLES, OPTIONS
from yarn_submitter.spec import JobSpec, Localization, RoleSpec
from yarn_submitter.units import Ask, parse_resources
from yarn_submitter.yamlfile import YamlJob, read_yaml

_ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TF_ROLES = ("chief", "worker", "ps", "evaluator")
_ROLE_ORDER = ("chief", "worker", "ps")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://")
# Values that YAML and the command line may both hold without a conflict.
_MERGED = ("verbose", "wait_job_finish")


@dataclass(frozen=True)
class Controls:
    """How the client is to behave; no part of the job."""

    cluster: str = ""
    dry_run: bool = False
    detach: bool = False
    json: bool = False
    quiet: bool = False
    logs: str = ""


def load(argv: Sequence[str]) -> tuple[JobSpec, Controls]:
    """Read the words after `job run`.

    Raises:
        UsageError: With every fault that was found.
    """
    faults = Faults()
    given = read_argv(argv, faults)
    controls = _controls(given, faults)
    file = read_yaml(given["f"][0].value, faults) if "f" in given else YamlJob()
    _merge(given, file, faults)
    spec = _Builder(given, file.roles, faults).job()
    if faults.problems:
        raise UsageError(*faults.problems)
    return spec, controls


def _controls(given: dict[str, list[Given]], faults: Faults) -> Controls:
    values: dict[str, object] = {}
    for option in OPTIONS:
        if not option.control or option.name == "f" or option.name not in given:
            continue
        first = given[option.name][0]
        values[option.name] = _flag(first, faults) if option.kind == FLAG else first.value
    return Controls(**values)  # type: ignore[arg-type]


def _merge(given: dict[str, list[Given]], file: YamlJob, faults: Faults) -> None:
    """Put the file's values beside the command line's; a value given by both is a fault."""
    for name, values in file.options.items():
        if name in given and name not in _MERGED:
            _both(name, values[0], faults)
        given.setdefault(name, values)
    for role in OPTION_ROLES:
        plural = "ps" if role == "ps" else f"{role}s"
        names = {"replicas": f"num_{plural}", "resources": f"{role}_resources", "launch_cmd": f"{role}_launch_cmd"}
        keys = file.roles.get(role)
        if keys is None:
            continue
        for key, name in names.items():
            if name in given and key in keys:
                _both(name, keys[key][0], faults)
            if key in keys:
                given.setdefault(name, keys[key])
        given.setdefault(names["replicas"], [Given("1", "roles")])


def _both(name: str, in_file: Given, faults: Faults) -> None:
    faults.add(
        "option-in-both",
        f"--{name} is defined both with YAML config and with CLI argument.",
        f"{in_file.source}: {in_file.value!r}",
        "keep one of them",
    )


def _flag(given: Given, faults: Faults) -> bool:
    word = given.value.lower()
    if word not in ("true", "yes", "on", "false", "no", "off"):
        faults.add("value-not-boolean", f"{given.source} takes true or false, not {given.value!r}.")
    return word in ("true", "yes", "on")


class _Builder:
    """Turns texts into a JobSpec; every method notes its faults and returns something that lets the others go on."""

    def __init__(
        self, given: dict[str, list[Given]], file_roles: dict[str, dict[str, list[Given]]], faults: Faults
    ) -> None:
        self.given = given
        self.file_roles = file_roles
        self.faults = faults

    def job(self) -> JobSpec:
        """Return the job; meaningless when there are faults."""
        framework = self.choice("framework").lower()
        roles = self.roles(framework)
        if not self.text("name"):
            self.faults.add("name-absent", "--name is absent.", "", "add --name NAME")
        if "input_path" not in self.given and any(role.name == "worker" for role in roles):
            self.faults.add(
                "input-path-absent", '"--input_path" is absent.', "", 'add --input_path URI, or --input_path ""'
            )
        source = self.text("src")
        if source and not os.path.isdir(source):
            self.faults.add("src-missing", f"--src {source} is not a directory.", os.path.abspath(source))
        return JobSpec(
            name=self.text("name"),
            framework=framework,
            roles=roles,
            queue=self.text("queue") or "default",
            input_path=self.text("input_path"),
            checkpoint_path=self.text("checkpoint_path"),
            saved_model_path=self.text("saved_model_path"),
            env=self.pairs(self.given.get("env", [])),
            localizations=self.localizations(self.given.get("localization", [])),
            source_dir=os.path.abspath(source) if source else "",
            done_when=self.choice("done_when"),
            tf_worker0=self.choice("tf_worker0"),
            wait_job_finish=self.flag("wait_job_finish"),
            verbose=self.flag("verbose"),
        )

    def text(self, name: str) -> str:
        """Return an option's text, or an empty one."""
        return self.given[name][0].value if name in self.given else ""

    def flag(self, name: str) -> bool:
        """Return whether a flag is on."""
        return _flag(self.given[name][0], self.faults) if name in self.given else False

    def choice(self, name: str) -> str:
        """Return an option's text, one of its choices."""
        option = next(option for option in OPTIONS if option.name == name and option.kind == CHOICE)
        if name not in self.given:
            return option.default
        given = self.given[name][0]
        if given.value.lower() not in option.choices:
            hint = close_match(given.value.lower(), option.choices)
            valid = f"valid: {', '.join(option.choices)}" + (f"; {hint}" if hint else "")
            self.faults.add("value-unknown", f"{given.source}: {given.value!r} is not known.", valid)
            return option.default
        return given.value.lower()

    def count(self, given: Given) -> int:
        """Return a whole number of at least 0."""
        if not given.value.strip().isdigit():
            self.faults.add("value-not-a-number", f"{given.source} takes a whole number, not {given.value!r}.")
            return 0
        return int(given.value)

    def pairs(self, items: list[Given]) -> dict[str, str]:
        """Return K=V texts as a dictionary; the first `=` splits, KEY alone is the empty string."""
        found: dict[str, str] = {}
        for item in items:
            key, _, value = item.value.partition("=")
            if not _VARIABLE.match(key):
                self.faults.add(
                    "env-name", f"{item.source}: {key!r} is not a variable's name.", f"read: {item.value!r}"
                )
            found[key] = value
        return found

    def localizations(self, items: list[Given]) -> tuple[Localization, ...]:
        """Return REMOTE[#archive]:LOCAL[:rw] texts as values."""
        return tuple(found for found in (self.localization(item) for item in items) if found)

    def localization(self, item: Given) -> Localization | None:
        """Return one localization, or None when it is wrong."""
        text = item.value
        writable = text.endswith((":rw", ":wr"))
        body = text[:-3] if writable else text
        scheme = _SCHEME.match(body)
        start = scheme.end() if scheme else 0
        colon = body.rfind(":")
        has_local = colon > start and not (scheme and body[colon + 1 :].split("/")[0].isdigit())
        if not has_local or not body[colon + 1 :]:
            form = "REMOTE:LOCAL, for example ./data:./data"
            self.faults.add("localization-form", f"{item.source}: {text!r} has no local name.", f"the form is {form}")
            return None
        remote, local = body[:colon], body[colon + 1 :]
        archive = remote.endswith("#archive")
        remote = remote.removesuffix("#archive")
        name = os.path.basename(remote.rstrip("/")) if local in (".", "./") else local.removeprefix("./").rstrip("/")
        if ".." in name.split("/") or local == "ro" or not name or name.startswith(".ys."):
            self.faults.add("localization-form", f"{item.source}: the local name {local!r} cannot be used.")
        if not scheme and not os.path.exists(remote):
            self.faults.add(
                "localization-missing",
                f"{item.source}: there is no {remote}.",
                os.path.abspath(remote),
                "check the path",
            )
        if archive and not archive_extension(remote):
            self.faults.add(
                "archive-kind", f"{item.source}: {remote} is no archive.", "YARN unpacks .zip, .tar, .tar.gz and .tgz"
            )
        return Localization(remote if scheme else os.path.abspath(remote), name, archive, writable)

    def roles(self, framework: str) -> tuple[RoleSpec, ...]:
        """Return every role with at least one task, in the order in which they are shown."""
        found = {role.name: role for role in (*self.option_roles(), *self.free_roles(framework)) if role.instances > 0}
        if not found:
            self.faults.add("no-roles", "The job has no task.", "", "give --num_workers or --role")
        workers = sum(found[name].instances for name in ("worker", "chief") if name in found)
        if framework == "tensorflow" and "ps" in found and workers < 2:
            self.faults.add("one-worker-with-ps", "Only specified one worker but non-zero PS, please double check.")
        order = [*(name for name in _ROLE_ORDER if name in found), *(name for name in found if name not in _ROLE_ORDER)]
        return tuple(found[name] for name in order)

    def option_roles(self) -> list[RoleSpec]:
        """Return the roles that have options of their own: worker and ps."""
        roles = []
        for name in OPTION_ROLES:
            count = f"num_{name}s" if name != "ps" else "num_ps"
            named = any(key in self.given for key in (count, f"{name}_resources", f"{name}_launch_cmd"))
            default = Given("1" if name == "worker" and (named or not self.given.get("role")) else "0", "default")
            instances = self.count(self.given.get(count, [default])[0])
            if instances == 0:
                continue
            keys = {"resources": f"{name}_resources", "launch_cmd": f"{name}_launch_cmd"}
            texts = {key: self.given[option][0] for key, option in keys.items() if option in self.given}
            for key, option in keys.items():
                if key not in texts:
                    self.faults.add("role-incomplete", f"--{option} is absent.", f"{name} has {instances} instances")
            roles.append(self.role(name, instances, texts))
        return roles

    def role(self, name: str, instances: int, texts: dict[str, Given]) -> RoleSpec:
        """Return one role from its texts and what the file says about it."""
        extra = self.file_roles.get(name, {})
        resources, command = texts.get("resources"), texts.get("launch_cmd")
        return RoleSpec(
            name,
            instances,
            self.ask(resources) if resources else Ask(0),
            command.value if command else "",
            self.pairs(extra.get("envs", [])),
            self.localizations(extra.get("localizations", [])),
        )

    def ask(self, given: Given) -> Ask:
        """Return resources; a fault names option and pair."""
        try:
            return parse_resources(given.value)
        except ValueError as error:
            self.faults.add("resources-form", f"{given.source}: {error}.")
            return Ask(0)

    def free_roles(self, framework: str) -> list[RoleSpec]:
        """Return the roles of --role and --role_cmd, and the file's roles that have no options."""
        texts: dict[str, dict[str, Given]] = {}
        for item in self.given.get("role", []):
            name, _, rest = item.value.partition(":")
            pairs = [pair.partition("=") for pair in rest.split(",")]
            count = next((value for key, _, value in pairs if key.strip() == "instances"), "1")
            resources = ",".join(f"{key}={value}" for key, _, value in pairs if key.strip() != "instances")
            texts[name] = {"replicas": Given(count, item.source), "resources": Given(resources, item.source)}
        for item in self.given.get("role_cmd", []):
            name, _, command = item.value.partition("=")
            if name not in texts:
                self.faults.add("role-unknown", f"--role_cmd names role {name!r} that no --role defines.")
            texts.setdefault(name, {})["launch_cmd"] = Given(command, item.source)
        for name, keys in self.file_roles.items():
            if name not in OPTION_ROLES:
                texts.setdefault(name, {}).update({key: values[0] for key, values in keys.items() if values})
        return [self.free_role(name, found, framework) for name, found in texts.items()]

    def free_role(self, name: str, texts: dict[str, Given], framework: str) -> RoleSpec:
        """Return one role that has no options of its own."""
        if not _ROLE_NAME.match(name):
            self.faults.add("role-name", f"{name!r} cannot be a role's name.", "lower-case letters, digits, - and _")
        if framework == "tensorflow" and name not in _TF_ROLES:
            hint = close_match(name, _TF_ROLES)
            evidence = f"roles of TensorFlow: {', '.join(_TF_ROLES)}" + (f"; {hint}" if hint else "")
            self.faults.add("role-unknown", f"TensorFlow has no role {name!r}.", evidence, "or use --framework generic")
        if name in OPTION_ROLES and any(key.startswith(f"{name}_") for key in self.given):
            self.faults.add("option-in-both", f"Role {name} is given by --role and by options of its own.")
        for key, option in (("resources", "role"), ("launch_cmd", "role_cmd")):
            if key not in texts:
                self.faults.add("role-incomplete", f"Role {name} has no {key}.", "", f"add --{option} for {name}")
        return self.role(name, self.count(texts.get("replicas", Given("1", "default"))), texts)
