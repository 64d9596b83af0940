"""Recognize the calls that send exactly one request and return its decoded response."""

from __future__ import annotations

from inspect import isawaitable
from types import CoroutineType

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.rest.resources.accounts import Accounts
from connecttrade_async.rest.resources.balances import Balances
from connecttrade_async.rest.resources.connections import Connections
from connecttrade_async.rest.resources.positions import Positions
from connecttrade_async.rest.resources.transactions import Transactions

__all__ = ["asks_once"]

# By identity: ``==`` and ``hash`` of code objects compare their whole content, which is slow.
_ASKING_ONCE = frozenset(id(kind.list.__code__) for kind in (Accounts, Balances, Connections, Positions, Transactions))


def asks_once(call: object) -> bool:
    """Return whether a call that has not started is a single GET: a method of a resource, or a page of a listing.

    Any other call may use the response in any way, so its responses are always decoded.

    Args:
        call: the result of the user's ``fetch``.

    Raises:
        ConfigurationError: it cannot be awaited.
    """
    if isinstance(call, CoroutineType):
        return id(call.cr_code) in _ASKING_ONCE
    if type(call) is Listing:
        return True
    if not isawaitable(call):
        msg = (
            "fetch must return an awaitable, as an async function or lambda user: user.positions.list() does, "
            f"got {type(call).__name__}"
        )
        raise ConfigurationError(msg)
    return False
