"""Encode the plain values of a dialect as TOML; ``tomllib`` only decodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["encode_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def encode_toml(values: Mapping[str, Any], inline: frozenset[str] = frozenset()) -> str:
    """Encode a mapping as a TOML document, with a table for each nested mapping.

    Args:
        values: texts, booleans, numbers, lists and mappings of these; TOML has no null.
        inline: names of members of which the mappings are written on one line.
    """
    return "\n".join(_lines(values, (), inline)).strip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...], inline: frozenset[str]) -> Iterator[str]:
    tables: dict[str, Any] = {}
    plain: list[str] = []
    for name, value in table.items():
        if isinstance(value, dict) and name not in inline:
            tables[name] = value
        else:
            plain.append(f"{_key(name)} = {_value(value)}")
    if plain or (path and not tables):
        if path:
            yield f"\n[{'.'.join(map(_key, path))}]"
        yield from plain
    for name, value in tables.items():
        yield from _lines(value, (*path, name), inline)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: Any) -> str:  # noqa: ANN401 - any value of TOML
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f"{_key(name)} = {_value(each)}" for name, each in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, cast("list[Any]", value))) + "]"
    return repr(value)


def _text(text: str) -> str:
    # Strings of JSON are basic strings of TOML, except that TOML wants DEL escaped too.
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007F")
