"""What a command's text holds that its user hardly meant: bash reads it, and takes it as it is. Pure."""

from __future__ import annotations

import re

from yarn_submitter.given import Faults, Given, closest, shown
from yarn_submitter.options import PLACEHOLDERS

_PLACEHOLDER = re.compile(r"%([A-Za-z_]{4,40})%")
# What bash reads as one piece: an escaped letter, a text in quotes, a comment.
_PIECES = re.compile(
    r"""\\. | \$\$ | \$'(?:\\.|[^'\\])*' | '[^']*' | "(?:\\.|[^"\\])*" | (?<![^\s;&|()])\#[^\n]*""",
    re.VERBOSE | re.DOTALL,
)
# Where quotes stand within quotes, as in "$(echo "a")" and "${x:-"a"}", or a text of its own follows.
_NESTING = re.compile(r"\$\(|`|<<|\$\{\w+[^\w}]")
_BEHIND = 20


def check_command(role: str, command: Given, faults: Faults) -> None:
    """Warn of what is nearly a placeholder, and of a quote that is never closed."""
    for word in dict.fromkeys(_PLACEHOLDER.findall(command.value)):
        close = "" if word in PLACEHOLDERS else closest(word, PLACEHOLDERS)
        if close:
            faults.warn(f"role {role} ({command.source}): %{word}% stays as it is; did you mean %{close}%?")
    position = open_quote(command.value)
    if position:
        seen = shown(command.value[position - 1 :][:_BEHIND])
        where = f"letter {position} of the command: {seen}"
        faults.warn(f"role {role} ({command.source}): bash will find a quote that is never closed, {where}")


def open_quote(command: str) -> int:
    """Return at which letter, from 1, a quote begins that is never closed; 0 when each is, or bash alone knows."""
    if _NESTING.search(command):
        return 0
    rest = _PIECES.sub(lambda piece: " " * len(piece[0]), command)
    return min((rest.find(quote) + 1 for quote in "'\"" if quote in rest), default=0)
