"""Texts to values: flags, counts, choices, variables, resources, durations, links (the grammar is in docs/job-run.md).

Every function notes what is wrong with a text, once, and returns something with which reading can go on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from am.contract.job import AFTER_FAILURE, FATAL
from yarn_submitter.given import Faults, Given, close_match, shown, valid_words
from yarn_submitter.options import BY_NAME, Option
from yarn_submitter.spec import FAIL, Quicklink, Secret
from yarn_submitter.units import Ask, parse_duration, parse_resources

MOST_TASKS = 100_000  # of a role; ten times what the largest clusters run of one application
_MOST_FILE_BYTES = 1024 * 1024  # all variables and arguments of a program together may have 2 MiB (Linux)
_MOST_SECRET_BYTES = 64 * 1024  # the kernel takes no variable of 128 KiB, and no key or password comes near
_MOST_DIGITS = 9
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SECRET_FILE = re.compile(r"\./[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_QUICKLINK = re.compile(r"([^=]+)=(https?)://([a-z][a-z0-9_-]*)-(0|[1-9][0-9]{0,5}):([1-9][0-9]{0,4})/?\Z")
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]*\Z")
_PORTS = re.compile(r"\s*([0-9]{1,5})\s*-\s*([0-9]{1,5})\s*\Z", re.ASCII)
_FIRST_PORT, _LAST_PORT = 1024, 65535  # those below are for root
_PORTS_OF_A_TASK = 2  # its own, and the one at which its peers try it
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")


class GivenOptions:
    """What was given for each option, on the command line or in a file.

    Attributes:
        given: Option name -> texts.
        faults: Takes what is wrong.
    """

    def __init__(self, given: dict[str, list[Given]], faults: Faults) -> None:
        self.given = given
        self.faults = faults

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


def read_flag(given: Given, faults: Faults) -> bool:
    """Return whether a flag is on."""
    word = given.value.lower()
    if word not in ("true", "yes", "on", "false", "no", "off"):
        faults.add("value-not-boolean", f"{given.source} takes true or false, not {shown(given.value)}.", at=given)
    return word in ("true", "yes", "on")


def read_number(given: Given, faults: Faults, least: int = 0, most: int = MOST_TASKS) -> int:
    """Return a whole number; `least` for what is none, which is noted."""
    number = _number(given.value)
    if number is not None and least <= number <= most:
        return number
    sentence = f"{given.source} takes a whole number from {least} to {most}, not {shown(given.value.strip())}."
    faults.add("value-not-a-number", sentence, at=given)
    return least


def _number(text: str) -> int | None:
    digits = text.strip()
    return (
        int(digits.lstrip("0") or "0")
        if digits.isascii() and digits.isdigit() and len(digits.lstrip("0")) <= _MOST_DIGITS
        else None
    )


def read_instances(given: Given, faults: Faults) -> tuple[int, int]:
    """Return how many tasks a role has at least, 0 for all of them, and how many at most: `4`, or `2:4`."""
    first, colon, second = given.value.partition(":")
    if not colon:
        known = len(faults.problems)
        count = read_number(given, faults)
        if len(faults.problems) == known:
            return 0, count
        faults.mean("count")
        return 0, 1
    least, most = _number(first), _number(second)
    if least is not None and most is not None and 1 <= least <= most <= MOST_TASKS:
        return least, most
    sentence = f"{given.source}: {shown(given.value)} is not MIN:MAX, two whole numbers from 1 to {MOST_TASKS}."
    step = "write the smaller number first, at least 1, for example 2:4"
    faults.add("value-not-a-number", sentence, "", step, at=given)
    faults.mean("count")
    return 0, 1


def read_choice(option: Option, given: Given, faults: Faults) -> str:
    """Return one of an option's choices, in lower case."""
    return read_word(option.choices, given, faults) or option.default


def read_word(choices: Sequence[str], given: Given, faults: Faults) -> str:
    """Return one of some words, in lower case; an empty text for another one, which is noted."""
    word = given.value.lower()
    if word in choices:
        return word
    evidence = valid_words(word, choices)
    faults.add("value-unknown", f"{given.source}: {shown(given.value)} is not known.", evidence, at=given)
    return ""


def read_pairs(items: Iterable[Given], faults: Faults) -> dict[str, str]:
    """Return K=V texts as a dictionary; the first `=` splits, KEY alone is the empty string, the last one counts."""
    found: dict[str, str] = {}
    for item in items:
        key, _, value = item.value.partition("=")
        if not _VARIABLE.match(key):
            sentence = f"{item.source}: {shown(key)} is not a variable's name."
            step = "leave `export` out" if key.startswith("export ") else "letters, digits and _; no digit first"
            faults.add("env-name", sentence, f"read: {shown(item.value)}", step, at=item)
        if key in found:
            faults.warn(f"{item.source}: variable {key} is given more than once, the last one counts")
        found[key] = value
    return found


def env_file_lines(items: Iterable[Given], faults: Faults) -> Iterator[Given]:
    """Yield the K=V lines of files of variables; empty lines and those that begin with # are left out."""
    for item in items:
        try:
            lines = _variable_lines(item.value)
        except (OSError, ValueError) as error:
            sentence = f"{item.source}: {shown(item.value)} cannot be read."
            faults.add("file-unreadable", sentence, _reason(error), "check the path and its rights", at=item)
            continue
        for number, line in enumerate(lines, 1):
            text = line.removesuffix("\r").lstrip()
            if text and not text.startswith("#"):
                yield faults.usable(Given(text, f"{item.value}:{number}", item.place))


def _variable_lines(path: str) -> list[str]:
    with open(path, "rb") as stream:  # may be a pipe
        content = stream.read(_MOST_FILE_BYTES + 1)
    if len(content) > _MOST_FILE_BYTES:
        raise ValueError(f"it has more than {_MOST_FILE_BYTES // 1024} KiB")
    return content.decode("utf-8-sig").split("\n")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is no UTF-8 text"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_secrets(items: Iterable[Given], faults: Faults) -> tuple[Secret, ...]:
    """Return K=@FILE texts; the files are read at submit, by nobody else."""
    found: dict[str, Secret] = {}
    for item in items:
        name, equals, path = item.value.partition("=")
        if not equals:
            sentence = f"{item.source}: a secret has a name and a file, and this has no `=`."
            faults.add("secret-form", sentence, "", "write NAME=@FILE", at=item)
        elif not _VARIABLE.match(name) and not _SECRET_FILE.match(name):
            form = "a variable's name, or ./NAME for a file"
            faults.add("secret-name", f"{item.source}: {shown(name)} cannot be a secret's name.", form, at=item)
        elif not path.startswith("@") or len(path) == 1:
            form = f"write {name}=@FILE: a value on the command line is seen by everybody on this machine"
            faults.add("secret-form", f"{item.source}: secret {name} names no file.", "", form, at=item)
        elif problem := _secret_file_problem(path[1:]):
            sentence = f"{item.source}: the file of secret {name} cannot be used."
            faults.add(
                "secret-file", sentence, f"{os.path.abspath(path[1:])}: {problem}", "check path and rights", at=item
            )
        elif name in found:
            faults.add("option-twice", f"{item.source}: secret {name} is given twice.", "", "keep one", at=item)
        else:
            found[name] = Secret(name, os.path.abspath(path[1:]))
    return tuple(found.values())


def _secret_file_problem(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MOST_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        return _reason(error)
    if len(content) > _MOST_SECRET_BYTES:
        return f"it has more than {_MOST_SECRET_BYTES} bytes"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "it is not UTF-8 text"
    return "it holds a zero byte" if "\0" in text else ""


def read_ask(given: Given, profiles: Mapping[str, str], faults: Faults) -> Ask:
    """Return resources: a text of amounts, or the name of a profile."""
    text = given.value.strip()
    if text in profiles:
        return read_ask(Given(profiles[text], f"{given.source} {text}", given.place), {}, faults)
    try:
        return parse_resources(given.value)
    except ValueError as error:
        known = "" if "=" in text or not profiles else valid_words(text, profiles, "profiles")
        faults.add("resources-form", f"{given.source}: {error}.", known, at=given)
        return Ask(0)


def read_duration(given: Given, faults: Faults) -> int:
    """Return a duration in seconds."""
    try:
        return parse_duration(given.value)
    except ValueError as error:
        faults.add("duration-form", f"{given.source}: {error}.", at=given)
        return 0


def read_limit(given: Given, faults: Faults) -> int:
    """Return a duration in seconds, 0 for `none` and `0`: no limit."""
    return 0 if given.value.strip().lower() in ("none", "0", "0s") else read_duration(given, faults)


def read_after(given: Given, faults: Faults) -> str:
    """Return what follows when a task ends badly, one of AFTER_FAILURE; an empty text for another word."""
    return FATAL if given.value.strip().lower() == FAIL else read_word(AFTER_FAILURE, given, faults)


def read_port_range(given: Given, faults: Faults) -> tuple[int, ...]:
    """Return first and last port of `20000-20999`; nothing when nothing is given."""
    if not given.value:
        return ()
    found = _PORTS.match(given.value)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if _FIRST_PORT <= first <= last - _PORTS_OF_A_TASK + 1 and last <= _LAST_PORT:
        return first, last
    sentence = f"{given.source}: {shown(given.value)} is no range of ports."
    seen = f"from {_FIRST_PORT} to {_LAST_PORT}, the smaller one first, {_PORTS_OF_A_TASK} or more: a task needs them"
    faults.add("port-range-form", sentence, seen, "write for example 20000-20999", at=given)
    return ()


def read_image(given: Given, faults: Faults) -> str:
    """Return a Docker image's name."""
    return _worded(given, _IMAGE, "image-form", "is not an image's name, such as registry:5000/team/image:1.2", faults)


def read_label(given: Given, faults: Faults) -> str:
    """Return a node label."""
    return _worded(given, _LABEL, "label-form", "is not a node label: letters, digits, - and _", faults)


def _worded(given: Given, form: re.Pattern[str], problem_id: str, what: str, faults: Faults) -> str:
    if given.value and not form.match(given.value):
        faults.add(problem_id, f"{given.source}: {shown(given.value)} {what}.", at=given)
    return given.value


def read_quicklinks(
    items: Iterable[Given], counts: Mapping[str, int], calls: Mapping[str, str], faults: Faults
) -> tuple[Quicklink, ...]:
    """Return LABEL=http[s]://ROLE-N:PORT texts.

    Args:
        items: The texts.
        counts: What the tasks of each role are called -> how many they are.
        calls: Other names of roles -> what their tasks are called.
        faults: Takes what is wrong.
    """
    found = []
    for item in items:
        match = _QUICKLINK.match(item.value)
        if not match or int(match.group(5)) > 65535:
            form = "write LABEL=http://ROLE-N:PORT, for example UI=http://worker-0:8080"
            faults.add("quicklink-form", f"{item.source}: {shown(item.value)} is no quicklink.", "", form, at=item)
            continue
        label, protocol, role, index, port = match.groups()
        role = role if role in counts else calls.get(role, role)
        if int(index) >= counts.get(role, 0):
            tasks = [f"{name}-0 to {name}-{count - 1}" if count > 1 else f"{name}-0" for name, count in counts.items()]
            sentence = f"{item.source}: quicklink {label} names {role}-{index}, and the job has no such task."
            hint = close_match(role, counts)
            evidence = f"the job's tasks: {', '.join(tasks)}" + (f"; {hint}" if hint and role not in counts else "")
            faults.add("quicklink-task", sentence, evidence, at=item)
        found.append(Quicklink(label, protocol, f"{role}:{index}", int(port)))
    return tuple(found)
