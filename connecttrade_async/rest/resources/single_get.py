"""What of all this asks but once: one request, and its answer read as it came is the result."""

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

# By identity: code is compared, and hashed, by all that is in it.
_ASKING_ONCE = frozenset(id(kind.list.__code__) for kind in (Accounts, Balances, Connections, Positions, Transactions))


def asks_once(call: object) -> bool:
    """Say whether a call that has not begun is one of those. A page of a listing is; a caller's own coroutine is not.

    What is not known to ask once may go on with the answer in any way, so it always gets it read.

    Raises:
        ConfigurationError: it cannot be awaited, so it is no call at all.
    """
    if isinstance(call, CoroutineType):
        return id(call.cr_code) in _ASKING_ONCE
    if type(call) is Listing:
        return True
    if not isawaitable(call):
        msg = (
            "fetch must return what can be awaited, as an async function does, or lambda user: user.positions.list(), "
            f"not {type(call).__name__}"
        )
        raise ConfigurationError(msg)
    return False
