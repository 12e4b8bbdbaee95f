"""Texts of roles to RoleSpecs: what each role needs, and what its framework takes of it."""

from __future__ import annotations

import re

from am.contract.job import IGNORE, STARTS, TOGETHER
from yarn_submitter.commands import check_command
from yarn_submitter.frameworks import (
    FRAMEWORK,
    check_counts,
    check_parameters,
    check_role,
    check_role_name,
    endless_roles,
    refuses,
)
from yarn_submitter.given import Given, closest, shown, valid_words
from yarn_submitter.options import BY_NAME, OPTION_ROLES, TENSORBOARD
from yarn_submitter.remotes import read_localizations, read_mounts
from yarn_submitter.roleorder import check_order, read_order
from yarn_submitter.roletexts import RoleTexts, gather_roles, own_options
from yarn_submitter.settings import JobDefaults
from yarn_submitter.spec import RoleSpec
from yarn_submitter.units import Ask
from yarn_submitter.values import (
    MOST_TASKS,
    GivenOptions,
    read_after,
    read_ask,
    read_image,
    read_instances,
    read_label,
    read_pairs,
    read_word,
)
from yarn_submitter.yamlfile import YamlJob

_ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
_ROLE_ORDER = ("chief", "worker", "ps")
_MOST_ROLES = 50
# What a role needs, as the YAML form calls it -> its form, and what to type for a role without options of its own.
_NEEDED = {
    "resources": ("memory=2G,vcores=1", "write --role {}:instances=1,memory=2G"),
    "launch_cmd": ('"python train.py"', "add --role_cmd {}=COMMAND"),
}
_BY_ANY_ROLE = ("role", "role_cmd")  # meant, they may be meant for any


class RoleReader:
    """Turns the texts of roles into RoleSpecs; every method notes its faults and returns something to go on with."""

    def __init__(
        self,
        options: GivenOptions,
        file: YamlJob,
        defaults: JobDefaults,
        rules: str,
        taken: tuple[str, ...],
        *,
        checked: bool,
    ) -> None:
        """Keep what is read.

        Args:
            options: Of the command line and of the file.
            file: Its roles.
            defaults: What the site gives.
            rules: The framework whose rules count.
            taken: Names in the working directory that are in use.
            checked: Whether options that the framework does not take are to be noted.
        """
        self.options = options
        self.file = file
        self.defaults = defaults
        self.rules = rules
        self.taken = taken
        self.checked = checked
        self.faults = options.faults

    def roles(self) -> tuple[tuple[RoleSpec, ...], RoleSpec | None]:
        """Return every role with at least one task, in the order in which they are shown, and the TensorBoard."""
        texts = gather_roles(self.options.given, self.file, self.faults)
        if len(texts) > _MOST_ROLES:
            sentence = f"The job has {len(texts)} roles, and {_MOST_ROLES} are the most."
            self.faults.add("roles-too-many", sentence, "", "give like tasks one role with more instances")
            texts = dict(list(texts.items())[:_MOST_ROLES])
        known = FRAMEWORK[self.rules].roles
        for name in texts:
            close = closest(name, known)
            if close and name not in known:
                self.faults.mean(f"{close}.resources", f"{close}.launch_cmd")
        if self.checked:
            check_parameters(self.rules, self.options.given, texts, self.faults)
        found = {name: self.role(name, role) for name, role in texts.items()}
        found = {name: role for name, role in found.items() if role.instances > 0}
        tensorboard = self.tensorboard()
        if not found and not tensorboard:
            self.faults.add("no-roles", "The job has no task.", "", "give --num_workers or --role")
            for name, role in texts.items():  # whoever gives them tasks hears of the other faults, too
                self.role(name, role, all_faults=True)
        places = {name: texts[name].texts["depends_on"][0] for name, role in found.items() if role.depends_on}
        depends_on = {name: role.depends_on for name, role in found.items()}
        unsure = dict.fromkeys(endless_roles(self.rules), "runs until the job ends")
        ignored = [name for name, role in found.items() if IGNORE in (role.on_failure, role.on_loss)]
        unsure.update(dict.fromkeys(ignored, "may fail and never do so while the job goes on (ignore)"))
        check_order(depends_on, places, unsure, self.faults)
        check_counts(self.rules, {name: role.instances for name, role in found.items()}, self.faults)
        if sum(role.instances for role in found.values()) > MOST_TASKS:
            sentence = f"All roles together have more than {MOST_TASKS} tasks."
            self.faults.add("tasks-too-many", sentence, "", "give fewer instances")
        order = [*(name for name in _ROLE_ORDER if name in found), *(name for name in found if name not in _ROLE_ORDER)]
        return tuple(found[name] for name in order), tensorboard

    def role(self, name: str, role: RoleTexts, *, all_faults: bool = False) -> RoleSpec:
        """Return one role from its texts, which count for nothing when it has no task but for `all_faults`."""
        texts, faults = role.texts, self.faults
        own = own_options(name) if name in OPTION_ROLES and not role.by_role else {}
        default = "1" if name == "worker" or role.in_file else "0"
        count = texts["replicas"][0] if "replicas" in texts else role.place.part(default)
        min_instances, instances = read_instances(count, faults)
        if not own:
            self.check_name(name, role.place)
        if instances == 0 and not all_faults:
            return RoleSpec(name, 0, Ask(0), "")
        needed = {**texts}
        if instances and "profile" in self.options.given and "resources" not in texts:
            needed["resources"] = self.profile()
        for key, (value, form) in _NEEDED.items() if instances else ():
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
        found = RoleSpec(
            name,
            instances,
            read_ask(resources, self.defaults.profiles, faults) if resources.value else Ask(0),
            texts["launch_cmd"][0].value if "launch_cmd" in texts else "",
            read_pairs(texts.get("envs", []), faults),
            read_localizations(texts.get("localizations", []), faults, taken=self.taken),
            read_mounts(texts.get("mounts", []), faults),
            read_image(texts["docker_image"][0], faults) if "docker_image" in texts else "",
            read_label(texts["node_label"][0], faults) if "node_label" in texts else "",
            read_after(texts["on_failure"][0], faults) if "on_failure" in texts else "",
            read_after(texts["on_loss"][0], faults) if "on_loss" in texts else "",
            min_instances,
            (read_word(STARTS, texts["start"][0], faults) if "start" in texts else "") or TOGETHER,
            read_order(texts.get("depends_on", []), faults),
        )
        if instances:
            check_role(self.rules, found, count, texts["start"][0] if "start" in texts else count, faults)
        for command in texts.get("launch_cmd", [])[:1]:
            check_command(name, command, faults)
        return found

    def profile(self) -> list[Given]:
        """Return the text of --profile when the site has one of that name."""
        item, profiles = self.options.given["profile"][0], self.defaults.profiles
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
        wanted = self.options.flag(TENSORBOARD)
        parts = [name for name in ("tensorboard_resources", "tensorboard_docker_image") if name in self.options.given]
        if not wanted:
            for name in parts:
                self.faults.warn(f"{self.options.one(name).source} has no effect without --{TENSORBOARD}")
            return None
        given = self.options.one("tensorboard_resources")
        resources = given if given.value else Given(BY_NAME["tensorboard_resources"].default, "default")
        ask = read_ask(resources, self.defaults.profiles, self.faults)
        return RoleSpec(
            TENSORBOARD, 1, ask, "", image=read_image(self.options.one("tensorboard_docker_image"), self.faults)
        )
