"""What a JobSpec made by a program holds that is no value of its field's type (pure)."""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from yarn_submitter.errors import Problem
from yarn_submitter.units import Ask

# What may stand for a type: numbers and paths for texts, too. And what the type is called.
_SCALARS = (str, int, float, os.PathLike)
_TAKEN: dict[Any, Any] = {str: _SCALARS, int: _SCALARS, bool: _SCALARS, tuple: (tuple, list), dict: Mapping}
_NAMES = {str: "a text", int: "a whole number", bool: "True or False", tuple: "a tuple", dict: "a dict", Ask: "an Ask"}
_SHOWN = 60  # letters of a value in a message


def misfits(value: Any, kind: Any, where: str = "") -> Iterator[Problem]:
    """Yield a problem `spec-type` for each value of another type than its field's, at any depth.

    Args:
        value: A JobSpec, or a part of one.
        kind: Its type.
        where: The fields that lead to it, such as `roles[0].resources`.
    """
    inner = typing.get_args(kind)
    plain = typing.get_origin(kind) or kind
    if type(None) in inner:
        if value is not None:
            yield from misfits(value, next(one for one in inner if one is not type(None)), where)
    elif not isinstance(value, _TAKEN.get(plain, plain)):
        yield _problem(value, plain, where)
    elif dataclasses.is_dataclass(plain):
        for name, hint in typing.get_type_hints(plain).items():
            yield from misfits(getattr(value, name), hint, f"{where}.{name}" if where else name)
    elif plain is dict:
        for key, item in value.items():
            yield from misfits(item, inner[1], f"{where}[{key!r}]")
    elif plain is tuple:
        for number, item in enumerate(value):
            yield from misfits(item, inner[0], f"{where}[{number}]")


def _problem(value: Any, kind: Any, where: str) -> Problem:
    text = repr(value)
    seen = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    sentence = f"{where or 'The job'} should be {_NAMES.get(kind) or f'a {kind.__name__}'}, not {seen}."
    step = f"write Ask.of({text})" if kind is Ask and isinstance(value, str) else ""
    return Problem("spec-type", sentence, "", step)
