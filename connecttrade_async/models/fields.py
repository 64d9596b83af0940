"""Descriptors that parse the wire's text on access.

A model keeps the received text unchanged in a field named ``..._text``; a descriptor beside it parses that text. So a
page of orders decodes at the speed of text, and one malformed value does not hide the others. The received text can
also be forwarded unchanged.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Generic, NoReturn, Self, TypeVar, overload

import msgspec

from connecttrade_async.amounts import MOST_DIGITS
from connecttrade_async.errors import MalformedResponseError

__all__ = ["Model", "day", "moment", "number"]

T = TypeVar("T")
_PLAIN_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")  # bounded: a body may hold a million digits
_START = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NUMBER = 4 * MOST_DIGITS  # with leading zeros and an exponent; a longer text is not even parsed
UNREADABLE = (ValueError, OverflowError, OSError)  # OSError where the machine's own calendar ends
MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138, as milliseconds it is 1973


class Model(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all models: an immutable struct of strings. Unknown fields on the wire are ignored.

    The garbage collector does not track models: they hold text and other models, never a cycle.
    """


class Field(Generic[T]):
    """A descriptor that parses one text field of a model; None where the text is null, ``""`` or absent."""

    expected = "readable"
    __slots__ = ("_name", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._name = text

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    @overload
    def __get__(self, model: None, owner: type) -> Self: ...
    @overload
    def __get__(self, model: object, owner: type) -> T | None: ...
    def __get__(self, model: object | None, owner: type) -> Self | T | None:
        if model is None:
            return self
        text = getattr(model, self._text)
        return self._read(text) if text else None

    def _read(self, text: str) -> T:
        raise NotImplementedError

    def _refuse(self, text: str, cause: Exception) -> NoReturn:
        problem = str(cause) if isinstance(cause, NumberTooLongError) else f"the text is not {self.expected}"
        raise MalformedResponseError(where=self._name, problem=problem, excerpt=text[:80]) from cause


class NumberTooLongError(ValueError):
    """A number has more digits than the limit, which bounds the memory and time that parsing takes."""

    def __init__(self) -> None:
        super().__init__(f"the number has more than {MOST_DIGITS} digits before or after its point")


class number(Field[Decimal]):  # noqa: N801 - reads as a declaration in the models
    """A decimal number, exact to the last digit, of at most 30 digits before its point and 30 after it."""

    expected = "a number"
    __slots__ = ()

    def _read(self, text: str) -> Decimal:
        try:
            return as_number(text)
        except (ValueError, InvalidOperation) as exc:
            self._refuse(text, exc)


class moment(Field[datetime]):  # noqa: N801 - reads as a declaration in the models
    """A point in time, aware: RFC 3339 (UTC where it names no zone), or epoch seconds or milliseconds as digits."""

    expected = "a time"
    __slots__ = ()

    def _read(self, text: str) -> datetime:
        try:
            return as_moment(text)
        except UNREADABLE as exc:
            self._refuse(text, exc)


class day(Field[date]):  # noqa: N801 - reads as a declaration in the models
    """A calendar day: ``YYYY-MM-DD``, or the day in UTC of any text that ``moment`` parses."""

    expected = "a date"
    __slots__ = ()

    def _read(self, text: str) -> date:
        try:
            return date.fromisoformat(text) if _PLAIN_DAY.fullmatch(text) else as_moment(text).date()
        except UNREADABLE as exc:
            self._refuse(text, exc)


def as_number(text: str) -> Decimal:
    """Parse a number as the ``number`` descriptor does.

    Args:
        text: an optional sign, digits with at most one point, and an optional exponent.

    Returns:
        The number with all digits of the text, whatever the application's decimal context is.

    Raises:
        ValueError: the text is not a number; a ``NumberTooLongError`` if it has more than 30 digits before or after
            the point.
        InvalidOperation: the text is not a number.
    """
    if len(text) > _LONGEST_NUMBER:
        raise NumberTooLongError if text.lstrip("+-.")[:1].isdecimal() else ValueError(text[:_LONGEST_NUMBER])
    value = Decimal(text)
    # Decimal() also accepts NaN, Infinity, 1_000 and the digits of every script; none of them is a price.
    if not value.is_finite() or "_" in text or not text.isascii():
        raise ValueError(text)
    # A short text without an exponent is within the bounds; this saves most calls the slow as_tuple().
    may_be_long = len(text) > MOST_DIGITS or "e" in text or "E" in text
    if may_be_long and (value.adjusted() >= MOST_DIGITS or int(value.as_tuple().exponent) < -MOST_DIGITS):
        raise NumberTooLongError
    return value


def as_moment(text: str) -> datetime:
    """Parse a time as the ``moment`` descriptor does.

    Raises:
        UNREADABLE: one of these exceptions, where the text is not a time.
    """
    if epoch := _EPOCH.fullmatch(text):
        # Integer arithmetic: decimal arithmetic would depend on the application's context.
        whole, part = int(epoch[1]), epoch[2] or ""
        decimals = 3 if whole >= MILLISECONDS_FROM else 6
        micros = int(f"{whole}{part[:decimals].ljust(decimals, '0')}")
        return _START + timedelta(microseconds=micros)
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is UTC:
        return parsed
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
