"""Numbers of JSON as text, with their digits as received."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

__all__ = ["decode_exactly", "number_text", "quote_numbers"]


class Digits(str):
    """The text of a number with a point or an exponent, as received."""

    __slots__ = ()


_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Digits)
# The letter before the quote belongs to a name: inside a text each quote is escaped, and a text begins behind a
# separator. So no digits inside a text match.
_MEMBER_NUMBER = re.compile(rb'(?<=[A-Za-z0-9_])("\s*:\s*)(-?[0-9][0-9.eE+-]*)')


def decode_exactly(raw: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Decode JSON; numbers with a point or an exponent become their text.

    Raises:
        msgspec.MsgspecError: the text is no JSON.
        UnicodeDecodeError: the text is no UTF-8.
        RecursionError: the text is nested too deeply.
    """
    try:
        return _ANYTHING.decode(raw)
    except msgspec.ValidationError:
        return _ANYTHING.decode(quote_numbers(raw))  # an int of more than 64 bits


def number_text(value: Any) -> tuple[Any, bool]:  # noqa: ANN401 - JSON is anything
    """Return a decoded value with numbers as text, and whether there were any."""
    # Numbers are text on the wire (documented). A bare number may still be a fill, so it keeps its digits as written.
    match value:
        case Digits():
            return str(value), True
        case bool() | None | str():
            return value, False
        case int():
            return str(value), True
        case dict():
            members = {name: number_text(each) for name, each in cast("dict[str, Any]", value).items()}
            return {name: text for name, (text, _) in members.items()}, any(found for _, found in members.values())
        case _:
            items = [number_text(each) for each in cast("list[Any]", value)]
            return [text for text, _ in items], any(found for _, found in items)


def quote_numbers(raw: bytes) -> bytes:
    """Return a frame in which the numbers of members are text."""
    return _MEMBER_NUMBER.sub(rb'\1"\2"', raw)
