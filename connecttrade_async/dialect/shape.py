"""Validate the shape of a dialect's values against the types of its parts, with messages that name the key."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, NoReturn, cast, get_args, get_origin

import msgspec

from connecttrade_async.errors import ConfigurationError, shown

__all__ = ["check_shape"]

MAX_SECONDS = 3600.0
MAX_NUMBER = 1e15
MAX_SHOWN = 12  # keys of a table that a message lists


def check_shape(key: str, value: object, expected: Any) -> None:  # noqa: ANN401 - a type or a form of types
    """Validate one value of a dialect.

    Args:
        key: the key of the value, with dots between its levels, for the message.
        value: the value, as decoded from TOML or JSON, or as a part.
        expected: its type: a part, text, bool, float for seconds, ``Literal``, ``tuple``, ``dict``, ``list``, ``Any``,
            or a union of these.

    Raises:
        ConfigurationError: the value is of another type, or a table has an unknown key.
    """
    kind = get_origin(expected) or expected
    if kind is UnionType:
        _check_union(key, value, expected)
    elif kind is Literal:
        _check_literal(key, value, get_args(expected))
    elif kind is float:
        _check_seconds(key, value)
    elif kind is str or kind is bool:
        if not isinstance(value, kind):
            _refuse(key, expected, value)
    elif kind in {tuple, list, dict}:
        _check_items(key, value, expected)
    elif kind is not Any:
        _check_part(key, value, expected)


def _check_items(key: str, value: object, expected: Any) -> None:  # noqa: ANN401 - a type or a form of types
    item = get_args(expected)
    if get_origin(expected) is dict:
        for name, each in _members(key, value, expected):
            check_shape(f"{key}.{name}", each, item[1])
        return
    if not isinstance(value, list | tuple):
        _refuse(key, expected, value)
    for index, each in enumerate(cast("list[object]", value)):
        check_shape(f"{key}[{index}]", each, item[0])


def _check_part(key: str, value: object, part: type[msgspec.Struct]) -> None:
    fields = {each.encode_name: each for each in msgspec.structs.fields(part)}
    if isinstance(value, part):
        members = {name: getattr(value, each.name) for name, each in fields.items()}
    else:
        members = dict(_members(key, value, part))
    for name, each in members.items():
        if name not in fields:
            known = ", ".join(list(fields)[:MAX_SHOWN]) + (", ..." if len(fields) > MAX_SHOWN else "")
            _refuse_key(key, known, name)
        check_shape(f"{key}.{name}" if key else name, each, fields[name].type)
    for name, each in fields.items():
        if each.required and name not in members:
            msg = f"{key} must have the key {name}, got a table without it"
            raise ConfigurationError(msg)


def _refuse_key(key: str, known: str, name: str) -> NoReturn:
    msg = f"each key of {key or 'a dialect'} must be one of {known}, got {shown(name)}"
    raise ConfigurationError(msg)


def _members(key: str, value: object, expected: object) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        _refuse(key, expected, value)
    members = cast("Mapping[object, object]", value)
    for name in members:
        if not isinstance(name, str) or not name:
            msg = f"each key of {key or 'a dialect'} must be a non-empty text, got {shown(name)}"
            raise ConfigurationError(msg)
    return [(cast("str", name), each) for name, each in members.items()]


def _check_union(key: str, value: object, expected: object) -> None:
    for alternative in get_args(expected):
        kind = get_origin(alternative) or alternative
        if isinstance(value, list | tuple if kind in {list, tuple} else kind):
            check_shape(key, value, alternative)
            return
    _refuse(key, expected, value)


def _check_literal(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        msg = f"{key} must be one of {', '.join(allowed)}, got {shown(value)}"
        raise ConfigurationError(msg)


def _check_seconds(key: str, value: object) -> None:
    got = shown(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 < value <= MAX_SECONDS:
            return
        # An int of many digits has no text: Python refuses to convert it.
        got = f"{value:g}" if abs(value) < MAX_NUMBER else got
    msg = f"{key} must be seconds above 0, at most {MAX_SECONDS:g}, got {got}"
    raise ConfigurationError(msg)


def _refuse(key: str, expected: object, value: object) -> NoReturn:
    # A template may hold a secret by mistake, so no value of one is shown.
    got = shown(value) if expected is str or expected is bool else type(value).__name__
    msg = f"{key or 'a dialect'} must be {_described(expected)}, got {got}"
    raise ConfigurationError(msg)


def _described(expected: Any) -> str:  # noqa: ANN401 - a type or a form of types
    kind = get_origin(expected) or expected
    if kind is UnionType:
        return " or ".join(dict.fromkeys(map(_described, get_args(expected))))
    return {str: "text", bool: "true or false", tuple: "a list", list: "a list"}.get(kind, "a table")
