"""Below the waterline: refuse what is no handle on a user, where it is given.

What was given may hold a secret, so only its kind is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from connecttrade_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_each", "check_iterable", "check_one"]

_HANDLE = "a handle, as ct.user(...) returns it"


def check_one(user: object, is_handle: Callable[[object], bool]) -> None:
    """Refuse what is no handle.

    Raises:
        ConfigurationError: it is none.
    """
    if not is_handle(user):
        msg = f"user must be {_HANDLE}, not {type(user).__name__}"
        raise ConfigurationError(msg)


def check_iterable(users: object, is_handle: Callable[[object], bool]) -> None:
    """Refuse what cannot be iterated over to find handles; it is not iterated over.

    Raises:
        ConfigurationError: it is one handle, a text, or nothing of the kind.
    """
    if is_handle(users):
        msg = "users must be an iterable of handles: for one user, pass [user]"
        raise ConfigurationError(msg)
    if isinstance(users, str | bytes) or not isinstance(users, Iterable):
        msg = f"users must be an iterable of handles, such as [ct.user(...)], not {type(users).__name__}"
        raise ConfigurationError(msg)


def check_each(users: Iterable[object], is_handle: Callable[[object], bool]) -> None:
    """Refuse a collection in which something is no handle.

    Raises:
        ConfigurationError: something is none.
    """
    for user in users:
        if not is_handle(user):
            msg = f"each of users must be {_HANDLE}, not {type(user).__name__}"
            raise ConfigurationError(msg)
