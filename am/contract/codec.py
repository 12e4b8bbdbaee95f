"""Turn the contract's frozen dataclasses into JSON values and back, one rule for all of them.

Readers ignore fields that they do not know and take the default for fields that are missing, so that a client, an agent
and an executor one version apart understand each other. A missing field without a default is an error.
"""

from __future__ import annotations

import dataclasses
import functools
import typing

T = typing.TypeVar("T")


class ContractError(ValueError):
    """A JSON value does not fit the type that was expected; the message names the field."""


def to_json(value: typing.Any) -> typing.Any:
    """Return `value` (dataclasses, tuples, dicts and scalars, nested) as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return value


def from_json(kind: typing.Type[T], data: typing.Any, where: str = "") -> T:
    """Return `data` (parsed JSON) as a value of `kind`.

    Args:
        kind: A frozen dataclass of the contract.
        data: What json.loads gave.
        where: Path of the value, for the message.

    Raises:
        ContractError: A field is missing or has another type.
    """
    return typing.cast("T", _read(kind, data, where or kind.__name__))


@functools.lru_cache(maxsize=None)
def _hints(kind: type) -> typing.Dict[str, typing.Any]:
    return typing.get_type_hints(kind)


def _read(kind: typing.Any, data: typing.Any, where: str) -> typing.Any:
    if kind is typing.Any:
        return data
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, data, where)
    origin = getattr(kind, "__origin__", None)
    if origin is typing.Union:
        inner = [option for option in kind.__args__ if option is not type(None)]
        return None if data is None else _read(inner[0], data, where)
    if origin is tuple:
        _expect(isinstance(data, list), "a list", data, where)
        if set(map(type, data)) == {kind.__args__[0]}:  # thousands of addresses, read by each of thousands of tasks
            return tuple(data)
        return tuple(_read(kind.__args__[0], item, f"{where}[{n}]") for n, item in enumerate(data))
    if origin is dict:
        _expect(isinstance(data, dict), "an object", data, where)
        return {key: _read(kind.__args__[1], item, f"{where}.{key}") for key, item in data.items()}
    if kind is float:
        _expect(isinstance(data, (int, float)) and not isinstance(data, bool), "a number", data, where)
        return float(data)
    _expect(type(data) is kind, f"of type {kind.__name__}", data, where)
    return data


def _read_dataclass(kind: typing.Any, data: typing.Any, where: str) -> typing.Any:
    _expect(isinstance(data, dict), "an object", data, where)
    hints = _hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _read(hints[field.name], data[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ContractError(f"{where}.{field.name} is missing")
    return kind(**values)


def _expect(fits: bool, what: str, data: typing.Any, where: str) -> None:
    if not fits:
        raise ContractError(f"{where} must be {what}, not {data!r}"[:300])
