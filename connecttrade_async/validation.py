"""Validation of arguments: numbers, counts, choices, texts and user handles.

Every message has the form ``<argument> must be <rule>, got <value>``. A value that may hold a secret is not shown: the
message has the name of its type instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from connecttrade_async.errors import ConfigurationError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = [
    "check_each",
    "check_iterable",
    "check_one",
    "non_empty_text",
    "one_of",
    "positive_int",
    "positive_number",
]

_HANDLE = "a handle, as ct.user(...) returns it"
_MAX_SHOWN_BITS = 64


def positive_number(name: str, value: object, unit: str = "", *, alternative: str = "") -> float:
    """Return a value that is a positive, finite number.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        unit: the unit of the number, such as ``seconds``.
        alternative: another accepted form that the caller has already excluded, such as ``None``; for the message.

    Raises:
        ConfigurationError: the value is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        rule = "a positive number" + (f" of {unit}" if unit else "") + (f", or {alternative}" if alternative else "")
        msg = f"{name} must be {rule}, got {_described(value)}"
        raise ConfigurationError(msg)
    return value


def positive_int(name: str, value: object, *, most: float = math.inf) -> int:
    """Return a value that is an int of at least 1.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        most: the largest value.

    Raises:
        ConfigurationError: the value is not such an int.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        rule = "a positive whole number" if most == math.inf else f"a whole number from 1 to {most}"
        msg = f"{name} must be {rule}, got {_described(value)}"
        raise ConfigurationError(msg)
    return value


def one_of(name: str, value: object, allowed: Collection[str]) -> str:
    """Return a text that is one of the allowed ones.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        allowed: the allowed texts.

    Raises:
        ConfigurationError: the value is none of them.
    """
    # Not every value can be hashed, and `allowed` may be a set.
    if not isinstance(value, str) or value not in allowed:
        msg = f"{name} must be one of {', '.join(allowed)}, got {_described(value)}"
        raise ConfigurationError(msg)
    return value


def non_empty_text(name: str, value: object) -> str:
    """Return a text that is not empty.

    Args:
        name: the argument's name, for the message.
        value: the argument.

    Raises:
        ConfigurationError: the value is empty or not text.
    """
    if not isinstance(value, str) or not value:
        msg = f"{name} must be a non-empty text, got {_described(value)}"
        raise ConfigurationError(msg)
    return value


def check_one(user: object, is_handle: Callable[[object], bool]) -> None:
    """Reject an object that is not a user handle.

    Raises:
        ConfigurationError: the object is not a handle.
    """
    if not is_handle(user):
        msg = f"user must be {_HANDLE}, got {type(user).__name__}"
        raise ConfigurationError(msg)


def check_iterable(users: object, is_handle: Callable[[object], bool]) -> None:
    """Reject an object that cannot be an iterable of user handles, without iterating over it.

    Raises:
        ConfigurationError: the object is a single handle, a text, or not iterable.
    """
    if is_handle(users):
        msg = "users must be an iterable of handles, got one handle: for one user, pass [user]"
        raise ConfigurationError(msg)
    if isinstance(users, str | bytes) or not isinstance(users, Iterable):
        msg = f"users must be an iterable of handles, such as [ct.user(...)], got {type(users).__name__}"
        raise ConfigurationError(msg)


def check_each(users: Iterable[object], is_handle: Callable[[object], bool]) -> None:
    """Reject a collection that has an object that is not a user handle.

    Raises:
        ConfigurationError: an object of the collection is not a handle.
    """
    for user in users:
        if not is_handle(user):
            msg = f"each of users must be {_HANDLE}, got {type(user).__name__}"
            raise ConfigurationError(msg)


def _described(value: object) -> str:
    if value is None or isinstance(value, str | bool | float):
        return shown(value)
    # A larger int may have more digits than Python converts.
    is_short = isinstance(value, int) and value.bit_length() <= _MAX_SHOWN_BITS
    return repr(value) if is_short else type(value).__name__
