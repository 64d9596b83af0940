"""The sandbox's parameters: what a request's query and body say, read strictly.

Each reader answers with a value or raises a `BadRequestError` with a sentence that names the parameter.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import cast
from urllib.parse import urlsplit

from connecttrade_async.sandbox.errors import BadRequestError

__all__ = [
    "Fields",
    "amount",
    "choice",
    "count",
    "day",
    "fields",
    "moment",
    "number",
    "object_of",
    "redirect",
    "symbols",
    "text",
]

Fields = Mapping[str, object]
"""The members of a JSON object, not yet known to be of any type."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DIGITS = re.compile(r"\d{1,15}", re.ASCII)
_AMOUNT = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_MOST = 1_000_000
_MILLISECONDS_FROM = 100_000_000_000
"""From here on digits count milliseconds: as seconds this is the year 5138."""


def fields(body: bytes) -> Fields:
    """The members of a JSON object.

    Raises:
        BadRequestError: the body is no JSON, or no object.
    """
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise BadRequestError("The body must be a JSON object.")
    return cast("Fields", value)


def text(members: Fields, name: str) -> str:
    """A member that must be a string that says something.

    Raises:
        BadRequestError: it is missing, empty, or no string.
    """
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"{name} is needed, as a string that is not empty.")
    return value


def amount(members: Fields, name: str) -> Decimal | None:
    """A member that must be a number above zero, written as the wire has it: a string of plain digits.

    Returns:
        The number, None if the member is missing or null.

    Raises:
        BadRequestError: it is no such string, or has more than nine decimals.
    """
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value) or not Decimal(value):
        raise BadRequestError(f"{name} must be a number above 0 as a string of plain digits, at most 9 decimals.")
    return Decimal(value)


def number(name: str, value: object) -> float:
    """A JSON number that is neither negative nor beyond reason.

    Raises:
        BadRequestError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise BadRequestError(f"{name} must be a number from 0 to {_MOST}.")
    return value


def object_of(name: str, value: object) -> Fields:
    """A JSON object.

    Raises:
        BadRequestError: it is none.
    """
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object.")
    return cast("Fields", value)


def choice(name: str, value: str, known: Iterable[str]) -> str:
    """A value that must be one of the known ones.

    Raises:
        BadRequestError: it is another.
    """
    if value not in known:
        raise BadRequestError(f"{name} must be one of {', '.join(known)}.")
    return value


def count(name: str, value: str, low: int, high: int) -> int:
    """A whole number in plain digits, `low` and `high` included.

    Raises:
        BadRequestError: it is none, or lies outside.
    """
    if not _DIGITS.fullmatch(value) or not low <= int(value) <= high:
        raise BadRequestError(f"{name} must be a whole number from {low} to {high}.")
    return int(value)


def day(name: str, value: str) -> date:
    """A date as YYYY-MM-DD (Assumed).

    Raises:
        BadRequestError: it is none.
    """
    if _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise BadRequestError(f"{name} must be a date as YYYY-MM-DD.")


def moment(name: str, value: str) -> datetime:
    """A time as RFC 3339 with its offset (Assumed), or as epoch digits in seconds or milliseconds.

    Raises:
        BadRequestError: it is none.
    """
    try:
        if _DIGITS.fullmatch(value):
            number = int(value)
            return datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)
        at = datetime.fromisoformat(value)
        if at.utcoffset() is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise BadRequestError(f"{name} must be an RFC 3339 time with its offset, or epoch seconds or milliseconds.")


def symbols(value: str) -> frozenset[str]:
    """Symbols between commas (documented).

    Raises:
        BadRequestError: there is none, or nothing between two commas.
    """
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise BadRequestError("symbols must be one or more symbols with commas between them.")
    return frozenset(names)


def redirect(value: str) -> str:
    """A URL to which a browser can be sent back.

    Raises:
        BadRequestError: it is not absolute, not http or https, or not printable.
    """
    try:
        parts = urlsplit(value)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_web = False
    if not is_web or not value.isascii() or not value.isprintable() or " " in value:
        raise BadRequestError("redirect_url must be an absolute http or https URL.")
    return value
