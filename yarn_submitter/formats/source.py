"""A file of another system: its nodes, what it asks for, and what of it stays behind."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from yarn_submitter.errors import UsageError
from yarn_submitter.given import Faults, Given, shown
from yarn_submitter.options import OPTION_ROLES
from yarn_submitter.yamlfile import Nodes, YamlJob, is_null

_AMOUNT = re.compile(r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE]([+-]?[0-9]{1,2}))?\s*([A-Za-z]*)\Z")
_MIB = 1024 * 1024
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_MOST = 2**31 - 1
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")

# A role of these files that no job here has: its task is worker 0, or a chief.
MASTER = "master"

_T = TypeVar("_T")
Entries = dict[str, tuple[Any, Given]]


@dataclass
class Wish:
    """What a file asks for one task of a role.

    Attributes:
        place: Where it asks.
        memory_mib: None when it does not say.
        vcores: None when it does not say.
        others: `gpu` and other resource types.
        broken: Whether something of it could not be read, which is noted.
    """

    place: Given
    memory_mib: int | None = None
    vcores: int | None = None
    others: dict[str, int] = field(default_factory=dict)
    broken: bool = False

    @property
    def text(self) -> str:
        """Return it in our language."""
        pairs = {"vcores": self.vcores, **self.others}
        memory = [] if self.memory_mib is None else [f"memory={self.memory_mib}M"]
        return ",".join([*memory, *(f"{key}={count}" for key, count in pairs.items() if count)])


class Source(Nodes):
    """Reads one file of another system.

    Attributes:
        path: As it was named.
        faults: Takes faults and warnings.
        command_line: Option name -> texts; what it gives need not stand in the file.
        system: The system's name in a sentence.
    """

    def __init__(self, path: str, faults: Faults, command_line: Mapping[str, list[Given]], system: str) -> None:
        super().__init__(path, faults)
        self.command_line = command_line
        self.system = system

    def left(self, place: Given, what: str, reason: str) -> None:
        """Warn of something that is not carried over."""
        self.faults.warn(f"{place.source}: {what} is not carried over: {reason}")

    def refuse(self, place: Given, what: str, reason: str, step: str = "") -> None:
        """Note something that means what no job here can be."""
        self.faults.add("format-refused", f"{place.source}: {what} cannot be carried over.", reason, step, at=place)

    def take(
        self,
        node: Any,
        what: str,
        known: Collection[str],
        left: Mapping[str, str] | None = None,
        *,
        open_ended: bool = False,
    ) -> Entries:
        """Return the entries that a mapping has of the known keys; each other key is told.

        Args:
            node: The mapping.
            what: Its name in sentences, empty for the whole file.
            known: Keys whose entries are wanted; those without a value are left out.
            left: Keys that are not carried over -> why.
            open_ended: Whether the system lets others put keys there: one that nothing here knows is a warning then,
                and else a fault.
        """
        left = left or {}
        found: Entries = {}
        for key, (value, place) in self.mapping(node, what or "the file").items():
            name = f"{what}.{key}" if what else key
            if key in known:
                if not is_null(value):
                    found[key] = (value, place)
            elif key in left:
                if not is_null(value):
                    self.left(place, name, left[key])
            elif open_ended:
                self.left(place, name, "nothing is known of it here")
            else:
                self.unknown(key, place, (*known, *left))
        return found

    def scalar(self, entries: Entries, key: str) -> Given | None:
        """Return the text below a key with the key's place; None when there is none."""
        if key not in entries:
            return None
        node, place = entries[key]
        text = self.text(key, node, place)
        return None if text is None else place.part(text)

    def texts(self, what: str, node: Any, place: Given) -> list[Given]:
        """Return a list of texts, each with its own place; a single text is a list of one."""
        import yaml

        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        places = [self.given("", item) if isinstance(node, yaml.SequenceNode) else place for item in items]
        found = [(at, self.text(f"each of {what}", item, at)) for item, at in zip(items, places, strict=True)]
        return [at.part(text) for at, text in found if text is not None]

    def items(self, what: str, node: Any, place: Given) -> list[Any]:
        """Return the nodes of a list."""
        import yaml

        if isinstance(node, yaml.SequenceNode):
            return list(node.value)
        self.faults.add("yaml-shape", f"{place.source}: {what} should be a list of `- item` lines.", at=place)
        return []

    def pairs(self, what: str, node: Any) -> list[Given]:
        """Return a mapping of variables as K=V texts."""
        entries = self.mapping(node, what)
        values = [(at, "" if is_null(item) else self.text(name, item, at)) for name, (item, at) in entries.items()]
        return [at.part(f"{at.value}={text}") for at, text in values if text is not None]

    def is_true(self, given: Given | None) -> bool:
        """Return whether a switch is on."""
        return given is not None and given.value.lower() in ("true", "yes", "on")

    def wish(
        self, place: Given, memory: Given | None, cpus: Given | None, devices: Mapping[str, Given], unit: str = ""
    ) -> Wish:
        """Return what is asked for one task; what cannot be read is noted.

        Args:
            place: Where it is asked.
            memory: Its text.
            cpus: Their number as text; parts of one are rounded up, with a warning.
            devices: Resource type -> number as text, `gpu` among them.
            unit: Of memory that is a number alone.
        """
        found = Wish(place)
        if memory:
            found.memory_mib = self._read(memory, lambda: memory_mib(memory.value, unit))
            found.broken |= found.memory_mib is None
        if cpus:
            found.vcores = self._vcores(cpus)
            found.broken |= found.vcores is None
        for name, text in devices.items():
            count = self._whole(text, name)
            found.broken |= count is None
            found.others[name] = count or 0
        return found

    def _vcores(self, given: Given) -> int | None:
        exact = self._read(given, lambda: amount(given.value))
        if exact is None:
            return None
        count = max(1, math.ceil(exact))
        if count != exact:
            self.faults.warn(f"{given.source}: {given.value} of a CPU is {count} of YARN's vcores, which are whole")
        return count

    def _whole(self, given: Given, what: str) -> int | None:
        exact = self._read(given, lambda: amount(given.value))
        if exact is None or exact == int(exact):
            return None if exact is None else int(exact)
        sentence = f"{given.source}: {what} is {shown(given.value)}, and YARN gives whole ones only."
        self.faults.add("resources-form", sentence, at=given)
        return None

    def _read(self, given: Given, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except ValueError as error:
            self.faults.add("resources-form", f"{given.source}: {error}.", at=given)
            return None

    def put(self, job: YamlJob, role: str, key: str, texts: list[Given]) -> None:
        """Put texts to a role, if there are any."""
        if texts:
            job.roles[role][key] = texts

    def put_wish(self, job: YamlJob, role: str, wish: Wish, form: str) -> None:
        """Put what a file asks for a role's tasks to the role; memory that it does not ask for may be typed.

        Args:
            job: Takes it.
            role: Our name of the role.
            wish: What it asks.
            form: What is written in the file to ask for memory.
        """
        texts = job.roles[role]
        if wish.memory_mib is not None and not wish.broken:
            texts["resources"] = [wish.place.part(wish.text)]
            return
        ours = "worker" if role == MASTER else role
        option = f"{ours}_resources" if ours in OPTION_ROLES else ""
        typed = [name for name in (option, "profile") if name in self.command_line]
        if typed and not wish.broken:
            if wish.text:
                self.left(wish.place, wish.text, f"what --{typed[0]} says counts")
            return
        if not wish.broken:
            more = f",{wish.text}" if wish.text else ""
            step = f"write {form}" + (f", or give --{option} memory=4G{more}" if option else "")
            sentence = f"{wish.place.source}: role {role} does not say how much memory a task needs."
            self.faults.add("role-incomplete", sentence, "", step, at=wish.place)
        texts["resources"] = [wish.place.part("memory=1G")]  # the fault is noted; that there are none is no second one

    def put_command(self, job: YamlJob, role: str, command: Given | None, place: Given, form: str) -> None:
        """Put a command to a role; one that the file does not have may be typed.

        Args:
            job: Takes it.
            role: Our name of the role.
            command: Shell text.
            place: Where the role stands.
            form: What is written in the file to have one.
        """
        texts = job.roles[role]
        ours = "worker" if role == MASTER else role
        option = f"{ours}_launch_cmd"
        typed = any(item.value.startswith(f"{ours}=") for item in self.command_line.get("role_cmd", []))
        if command is not None:
            texts["launch_cmd"] = [command]
        elif not typed and option not in self.command_line:
            step = f"--{option} COMMAND" if ours in OPTION_ROLES else f"--role_cmd {ours}=COMMAND"
            sentence = f"{place.source}: role {role} has no command."
            self.faults.add("role-incomplete", sentence, "", f"write {form}, or give {step}", at=place)
            texts["launch_cmd"] = [place.part("true")]  # one fault, as above

    def missing(self, section: str, parent: str = "") -> None:
        """Note a section that has to be there."""
        where = f" below `{parent}:`" if parent else ""
        step = f"add `{section.split(maxsplit=1)[0]}:`{where}"
        sentence = f"{self.path}: section {section} should be defined."
        self.faults.add("yaml-section-missing", sentence, "", step)

    def give_up(self) -> NoReturn:
        """End reading a file that tells nothing of its job: what a job lacks would only be said of an empty one.

        Raises:
            UsageError: With what was found.
        """
        raise UsageError(*self.faults.problems)

    def add_role(self, job: YamlJob, role: str, place: Given) -> None:
        """Begin a role."""
        job.places[role] = place.part(role)
        job.roles[role] = {}

    def version_left(self, place: Given, what: str, image: str, *, has_image: bool = False) -> None:
        """Warn of a version, which the system made an image of.

        Args:
            place: Where it stands.
            what: Its key.
            image: What the system ran it in.
            has_image: Whether the file names another one.
        """
        typed = [
            name
            for name in ("docker_image", "worker_docker_image", "role_image", "localization")
            if name in self.command_line
        ]
        reason = f"{self.system} ran it in an image; --docker_image {image} does so here, or bring an environment"
        if typed or has_image:
            self.left(place, what, f"{f'--{typed[0]}' if typed else 'the image'} says what tasks run in")
        else:
            self.left(place, what, f"{reason} with --localization")


def amount(text: str) -> Decimal:
    """Return a quantity without a unit: `2`, `0.5`, `500m`, `1e3`.

    Raises:
        ValueError: It is none, or is more than any cluster has.
    """
    number, unit = _split(text)
    if unit not in ("", "m"):
        raise ValueError(f"{shown(text)} is no number")
    return number / 1000 if unit == "m" else number


def memory_mib(text: str, unit: str = "") -> int:
    """Return an amount of memory in MiB, rounded up.

    `4Gi`, `4G`, `4Gb` and `4GiB` are all 4096: nobody who wrote one of them meant the difference, and a task gets at
    least what it asked for. A number alone counts in `unit`, else in bytes.

    Raises:
        ValueError: It is none, is nothing, or is more than any cluster has.
    """
    try:
        number, given_unit = _split(text)
    except ValueError:
        number, given_unit = Decimal(0), "?"
    letters = given_unit or unit
    power = _POWERS.get(letters[:1].lower())
    if letters == "m":  # Kubernetes: thousandths, and here of a byte
        number, power = number / 1000, 0
    if power is None or letters[1:].lower() not in ("", "i", "b", "ib"):
        raise ValueError(f"{shown(text)} is no amount of memory; write for example 4Gi or 512Mi")
    mib: int = math.ceil(number * 1024**power / _MIB)
    if not 0 < mib <= _MOST:
        raise ValueError(f"{shown(text)} is {'no memory at all' if mib == 0 else 'more than any cluster has'}")
    return mib


def _split(text: str) -> tuple[Decimal, str]:
    match = _AMOUNT.match(text.strip())
    if not match:
        raise ValueError(f"{shown(text)} is no amount")
    digits, exponent, unit = match.groups()
    return Decimal(digits).scaleb(int(exponent or 0)), unit


def with_variables(text: str, names: Collection[str]) -> str:
    """Return a command in which Kubernetes' `$(NAME)` is the shell's `${NAME}`, for variables that are set.

    Args:
        text: Shell text; a `$(...)` that names no variable of these stays as it is written.
        names: Variables that are set.
    """
    return _REFERENCE.sub(lambda match: f"${{{match.group(1)}}}" if match.group(1) in names else match.group(), text)


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the values of the variables that it names as `$(NAME)`."""
    return _REFERENCE.sub(lambda match: values.get(match.group(1), match.group()), text)


def shell_word(word: str, names: Collection[str]) -> str:
    """Return one word of a command that Kubernetes starts without a shell as a word of shell text.

    Args:
        word: `$(NAME)` in it is the variable's value when there is one, and `$$(` is `$(`.
        names: Variables that are set.
    """
    parts: list[str] = []
    between = ""
    position = 0
    while position < len(word):
        match = _REFERENCE.match(word, position)
        if match and match.group(1) in names:
            parts += [shlex.quote(between)] * bool(between) + [f'"${{{match.group(1)}}}"']
            between, position = "", match.end()
        else:
            escaped = word.startswith("$$(", position)
            between, position = between + ("$(" if escaped else word[position]), position + (3 if escaped else 1)
    return "".join([*parts, shlex.quote(between)] if between or not parts else parts)
