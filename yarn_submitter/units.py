"""Resources as people write them: "memory=2G,vcores=2,gpu=1" (the grammar is in docs/job-run.md)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from yarn_submitter.errors import Problem, UsageError

_AMOUNT = re.compile(r"([0-9]+)\s*([A-Za-z]*)\Z", re.ASCII)
_FRACTION = re.compile(r"([0-9]{1,6}\.[0-9]{1,6})\s*[gG]\Z", re.ASCII)
_UNITS_MIB = {"m": 1, "g": 1024}
_ALIASES = {"gpu": "yarn.io/gpu", "fpga": "yarn.io/fpga"}
_KNOWN = ("memory", "vcores", "gpu", "fpga", "memory-mb")
_OTHER_NAMES = {
    **dict.fromkeys(("cpu", "cpus", "core", "cores", "vcpu", "vcpus", "vcore"), "vcores"),
    **dict.fromkeys(("mem", "ram"), "memory"),
}
_DURATION = re.compile(r"(?:[0-9]+\s*[dhms]\s*)+\Z")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_MOST = 2**31 - 1
_SHOWN = 60  # letters of a wrong pair in a message
FORM = "memory=2G,vcores=2,gpu=1"


@dataclass(frozen=True)
class Ask:
    """What one container of a role is asked to have.

    Attributes:
        memory_mib: Memory in MiB.
        vcores: Virtual cores.
        others: Every other YARN resource type by its full name, `yarn.io/gpu` among them.
    """

    memory_mib: int
    vcores: int = 1
    others: dict[str, int] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """Return the number of GPUs."""
        return self.others.get("yarn.io/gpu", 0)

    @classmethod
    def of(cls, text: str) -> Ask:
        """Return what a text such as `memory=2G,vcores=2,gpu=1` asks for.

        Raises:
            UsageError: It is none. [resources-form]
        """
        try:
            return parse_resources(text)
        except ValueError as error:
            raise UsageError(Problem("resources-form", f"{error}.")) from error


def parse_resources(text: str) -> Ask:
    """Read a resource text.

    Raises:
        ValueError: The message names the pair that is wrong and what is acceptable.
    """
    amounts: dict[str, int] = {}
    shown = repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."
    pairs = text.rstrip().removesuffix(",").split(",")
    for pair in pairs:
        key, amount = _read_pair(pair)
        if key in amounts:
            raise ValueError(f"{key} is given twice in {shown}")
        amounts[key] = amount
    if "memory" not in amounts:
        raise ValueError(f"memory is left out in {shown}; write for example {FORM}")
    memory_mib = amounts.pop("memory")
    vcores = amounts.pop("vcores", 1)
    if memory_mib < 1 or vcores < 1:
        raise ValueError(f"memory and vcores must be at least 1 in {shown}")
    return Ask(memory_mib, vcores, {key: amount for key, amount in amounts.items() if amount})


def _read_pair(pair: str) -> tuple[str, int]:
    shown = repr(pair.strip() if len(pair) <= _SHOWN else pair.strip()[:_SHOWN] + "...")
    key, equals, amount_text = (part.strip() for part in pair.partition("="))
    if not equals or not key or len(key.split()) > 1:
        amount = _AMOUNT.match(key)
        known = not equals and amount and amount.group(2).lower() in _UNITS_MIB
        raise ValueError(
            f"{shown} is not of the form key=amount; write {f'memory={key}' if known else f'for example {FORM}'}"
        )
    meant = _meant(key)
    if meant:
        raise ValueError(f"{shown} names no resource; write {meant}={amount_text[:_SHOWN]}")
    amount = _AMOUNT.match(amount_text)
    if not amount:
        raise ValueError(f"{shown} has no whole number; write {_instead(key, amount_text)}")
    digits, unit = amount.group(1).lstrip("0") or "0", amount.group(2).lower()
    if len(digits) > len(str(_MOST)):
        raise ValueError(f"{shown} is more than any cluster has")
    number = int(digits)
    if key == "memory" or key.lower() == "memory-mb":
        if not unit and key == "memory":
            raise ValueError(f"{shown} needs a unit: memory={number}M or memory={number}G")
        if unit and unit not in _UNITS_MIB:
            raise ValueError(f"{shown} has an unknown unit. Acceptable units are M/G: write {key}={number}G")
        key, number = "memory", number * _UNITS_MIB.get(unit, 1)
    elif unit:
        from difflib import get_close_matches  # a slip alone costs it

        nearly = unit in _UNITS_MIB and get_close_matches(key.lower(), ["memory"], cutoff=0.8)
        hint = f"; did you mean memory={amount_text}?" if nearly else ""
        raise ValueError(f"{shown} takes a number without a unit{hint}")
    if number > _MOST:
        raise ValueError(f"{shown} is more than any cluster has")
    return ("vcores" if key.lower() == "vcores" else _ALIASES.get(key, key)), number


def _meant(key: str) -> str:
    """Return what a well-known other name, or ours in wrong capitals, stands for; empty for what a cluster may have."""
    word = key.lower()
    if key in _KNOWN or word in ("memory-mb", "vcores"):
        return ""
    return word if word in _KNOWN else _OTHER_NAMES.get(word, "")


def _instead(key: str, amount: str) -> str:
    """Return what says the same in whole numbers as `memory=1.5G`, else an example."""
    parts = _FRACTION.match(amount)
    return f"memory={float(parts.group(1)) * 1024:.0f}M" if key == "memory" and parts else f"for example {FORM}"


def parse_duration(text: str) -> int:
    """Return the seconds of `2h`, `90m`, `1h30m`, `45s` or `2d`.

    Raises:
        ValueError: The message says what is acceptable.
    """
    shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    word = text.strip().lower()
    if not word.isascii() or len(word) > _SHOWN or not _DURATION.match(word):
        raise ValueError(f"{shown} is no duration; write for example 90m, 2h or 1d12h")
    parts = re.findall(r"([0-9]+)\s*([dhms])", word)
    if any(len(digits.lstrip("0")) > len(str(_MOST)) for digits, _ in parts):
        raise ValueError(f"{shown} is too long")
    seconds = sum(int(digits) * _SECONDS[unit] for digits, unit in parts)
    if not 0 < seconds <= _MOST:
        raise ValueError(f"{shown} is {'no time at all' if not seconds else 'too long'}")
    return seconds


def bytes_text(count: int) -> str:
    """Return a number of bytes for people: `512 B`, `1.5 GiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def memory_text(memory_mib: int) -> str:
    """Return an amount of memory for people: `900 MiB`, `4 GiB`."""
    return f"{memory_mib // 1024} GiB" if memory_mib % 1024 == 0 and memory_mib else f"{memory_mib} MiB"


def when_text(time_s: float) -> str:
    """Return a moment for people, in their own time: `2026-01-31 17:05:09`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_s))


def seconds_text(seconds: float) -> str:
    """Return a duration for people: `4 s`, `2 min 5 s`, `3 h 20 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
