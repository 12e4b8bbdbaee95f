"""What is said of each role, as texts: by its own options, by --role and --role_*, and by a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from yarn_submitter.given import Faults, Given, closest, shown
from yarn_submitter.options import ANY_ROLE, OPTION_ROLES, OPTIONS, Option
from yarn_submitter.yamlfile import YamlJob

_LISTS = ("envs", "localizations", "mounts", "depends_on")
_PAIR_OPTIONS = tuple(option for option in OPTIONS if option.role == ANY_ROLE)


@dataclass
class RoleTexts:
    """One role.

    Attributes:
        place: Where it is named.
        texts: Key of the YAML form -> what was given for it.
        by_role: Whether `--role` defines it.
        in_file: Whether the file does.
    """

    place: Given
    texts: dict[str, list[Given]] = field(default_factory=dict)
    by_role: bool = False
    in_file: bool = False


def own_options(role: str) -> dict[str, str]:
    """Return key of the YAML form -> option, for a role that has options of its own."""
    return {option.key: option.name for option in OPTIONS if option.role == role}


def gather_roles(given: dict[str, list[Given]], file: YamlJob, faults: Faults) -> dict[str, RoleTexts]:
    """Return every role that is named, what --role defines last; what is given twice is noted."""
    by_role: dict[str, RoleTexts] = {}
    for item in given.get("role", []):
        name, role = _role_option(item, faults)
        if name in by_role:
            again = f"again: {shown(item.value)}"
            faults.add("option-twice", f"--role {name} is given twice.", again, "keep one", at=item)
        by_role.setdefault(name, role)
    found: dict[str, RoleTexts] = {}
    for name in OPTION_ROLES:
        _from_options(name, given, found, by_role, faults)
    for name, place in file.places.items():
        _from_file(name, place, file.roles[name], found, by_role, faults)
    found.update(by_role)
    if "worker" not in found and not any(role.by_role or role.in_file for role in found.values()):
        found = {"worker": RoleTexts(Given("worker", "default")), **found}
    for option in _PAIR_OPTIONS:
        for item in given.get(option.name, []):
            _from_pair(option, item, found, faults)
    return found


def _role_option(item: Given, faults: Faults) -> tuple[str, RoleTexts]:
    """Return name and texts of one --role."""
    name, _, rest = item.value.partition(":")
    place = Given(name, f"{item.source} {name}", item.place)
    pairs = [pair for pair in rest.split(",") if pair.strip()]
    counts = [pair.partition("=")[2] for pair in pairs if pair.partition("=")[0].strip() == "instances"]
    if len(counts) > 1:
        faults.add("resources-form", f"{place.source}: instances is given twice in {shown(rest)}.", at=item)
    alone = [pair.strip() for pair in pairs if pair.strip().isdecimal()]
    if alone and not counts:
        sentence = f"{place.source}: {shown(alone[0])} says not of what."
        faults.add("resources-form", sentence, "", f"write instances={alone[0][:9]} for so many tasks", at=item)
        counts, pairs = ["1"], [pair for pair in pairs if pair.strip() != alone[0]]
    resources = ",".join(pair for pair in pairs if pair.partition("=")[0].strip() != "instances")
    texts = {"replicas": [place.part(counts[0] if counts else "1")]}
    if resources:
        texts["resources"] = [place.part(resources)]
    return name, RoleTexts(place, texts, by_role=True)


def _from_options(
    name: str, given: dict[str, list[Given]], found: dict[str, RoleTexts], by_role: dict[str, RoleTexts], faults: Faults
) -> None:
    named = {key: given[option] for key, option in own_options(name).items() if option in given}
    if not named:
        return
    first = min((items[0] for items in named.values()), key=lambda item: item.place)
    if name in by_role:
        both = "--role, and " + ", ".join(items[0].source for items in named.values())
        faults.add("option-in-both", f"Role {name} is given twice.", both, "keep one of them", at=first)
        return
    found[name] = RoleTexts(first, named)


def _from_file(
    name: str,
    place: Given,
    texts: dict[str, list[Given]],
    found: dict[str, RoleTexts],
    by_role: dict[str, RoleTexts],
    faults: Faults,
) -> None:
    if name in by_role:
        both(f"Role {name}", Given("", place.source, place.place), faults)
        return
    role = found.setdefault(name, RoleTexts(place))
    role.in_file = True
    options = own_options(name)
    for key, items in texts.items():
        if key in role.texts:
            both(f"--{options[key]}", items[0], faults)
        role.texts.setdefault(key, items)


def _from_pair(option: Option, item: Given, found: dict[str, RoleTexts], faults: Faults) -> None:
    """Put the text of one --role_cmd, --role_env, ... to its role."""
    key = option.key
    name, equals, text = item.value.partition("=")
    role = found.get(name)
    if not equals:
        sentence = f"{item.source} {shown(item.value)} names no role."
        faults.add("role-unknown", sentence, "", f"write {option.typed} {option.placeholder}", at=item)
    elif role is None:
        close = closest(name, found)
        faults.mean(f"{close}.{key}")
        own = f"use --{own_options(name)[key]}" if key in own_options(name) else ""
        sentence = f"{item.source} names role {shown(name)} that nothing defines."
        hint, define = (f"did you mean {close}?", "") if close else ("", f"add --role {name}:instances=1,memory=1G")
        faults.add("role-unknown", sentence, hint, own or define, at=item)
    elif key in role.texts and role.texts[key][0].place[0] == 1:
        both(f"{item.source} {name}", role.texts[key][0], faults)
    elif key in role.texts and key not in _LISTS:
        other = role.texts[key][0]
        sentence = f"{item.source} {name} is given twice."
        seen = f"{other.source} {shown(other.value)} and {shown(text)}"
        faults.add("option-twice", sentence, seen, "keep one", at=item)
    else:
        role.texts.setdefault(key, []).append(item.part(text))


def both(what: str, in_file: Given, faults: Faults) -> None:
    """Note that file and command line give the same thing."""
    sentence = f"{what} is defined both with YAML config and with CLI argument."
    seen = f"{in_file.source}: {shown(in_file.value)}" if in_file.value else in_file.source
    faults.add("option-in-both", sentence, seen, "keep one of them", at=in_file)
