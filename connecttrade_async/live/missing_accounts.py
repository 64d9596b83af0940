"""A loop: ask whether accounts that no answer has any more are still linked, and believe a no only if it is one.

Its vow: an account that is missing is not an account that is gone. Who knows that is Connect Trade's own list of the
user's connections, if it is whole, and if it calls accounts what the books call them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connecttrade_async.models.enums import ConnectionType

if TYPE_CHECKING:
    from collections.abc import Collection

    from connecttrade_async.books.snapshots import Turn, UserApi

__all__ = ["find_unlinked"]


async def find_unlinked(user: UserApi, turn: Turn, absent: Collection[str], read: Collection[str]) -> list[str]:
    """Return those of some accounts that no connection of their user opens any more.

    Args:
        user: whose.
        turn: returns what to await until the request may be sent; None where it may be sent at once.
        absent: the accounts.
        read: those of the user that were read just now, so that they must be among the linked.

    Raises:
        ConnectTradeError: it could not be asked.

    Cancelling drops the request.
    """
    if (wait := turn()) is not None:
        await wait
    connections = await user.connections.list()
    linked = {account.account_id for each in connections for account in each.accounts}
    is_whole = all(each.accounts or each.connection_type is ConnectionType.MARKET_DATA for each in connections)
    # Of other names than those of the books nothing follows; where there is no connection, there are no names.
    are_named_alike = linked.issuperset(read) and (not linked or not linked.isdisjoint([*read, *absent]))
    return [each for each in absent if each not in linked] if is_whole and are_named_alike else []
