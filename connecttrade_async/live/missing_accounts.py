"""Find out whether an account that no answer has any more is still linked.

A missing account is not an unlinked account. Only Connect Trade's list of the user's connections can say that an
account is unlinked, and only if the list is whole and uses the same account ids as the books.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connecttrade_async.models.enums import ConnectionType

if TYPE_CHECKING:
    from collections.abc import Collection

    from connecttrade_async.books.snapshots import Turn, UserApi

__all__ = ["find_unlinked"]


async def find_unlinked(user: UserApi, turn: Turn, absent: Collection[str], read: Collection[str]) -> list[str]:
    """Return the given accounts that no connection of their user opens any more.

    Args:
        user: the user's API handle.
        turn: returns an awaitable until the request may be sent; None where it may be sent at once.
        absent: the ids of the accounts to check.
        read: the ids of the user's accounts that were read just now; a usable list of connections has all of them.

    Raises:
        ConnectTradeError: the connections could not be listed.

    Cancelling drops the request.
    """
    if (wait := turn()) is not None:
        await wait
    connections = await user.connections.list()
    linked = {account.account_id for each in connections for account in each.accounts}
    is_whole = all(each.accounts or each.connection_type is ConnectionType.MARKET_DATA for each in connections)
    # A list with other account ids than those of the books proves nothing. A list without connections has no ids.
    are_named_alike = linked.issuperset(read) and (not linked or not linked.isdisjoint([*read, *absent]))
    return [each for each in absent if each not in linked] if is_whole and are_named_alike else []
