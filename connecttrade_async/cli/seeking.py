"""The front door: an order by an id, its own or the sender's. There is no endpoint for one order (documented)."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.cli.failures import fail
from connecttrade_async.cli.waiting import waiting
from connecttrade_async.cli.whose import choose_account
from connecttrade_async.models import Broker

if TYPE_CHECKING:
    from connecttrade_async.cli.credentials import Caller
    from connecttrade_async.models import Order

__all__ = ["find_order", "find_to_change"]

LARGEST_PAGE = 500


async def find_order(caller: Caller, any_id: str) -> Order:
    """Return the order with this ``order_id`` or ``cl_order_id``, the newest where several days used the id.

    Raises:
        click.exceptions.Exit: there is none, and it was said.
        TransportError: the wire failed. A failure never means that there is none.
        BrokerError: the API said no, or something unreadable.
    """
    async with (
        waiting("Looking for the order", caller.ct) as progress,
        aclosing(aiter(caller.user.orders.list(status="all", sort="desc", limit=LARGEST_PAGE))) as orders,
    ):
        found: Order | None = None
        count = 0
        async for order in orders:
            count += 1
            progress.words = f"Looking for the order among {count:,}"
            if any_id in {order.order_id, order.cl_order_id}:
                found = order
                break
    if found is None:
        fail(f"none of {count:,} orders has the id {any_id!r}; one that was sent just now may be listed in a moment")
    return found


async def find_to_change(caller: Caller, any_id: str, account: str | None, broker: str | None) -> Order:
    """Return an order with everything that is needed to change it.

    Args:
        caller: whose order.
        any_id: its ``order_id`` or ``cl_order_id``.
        account: whose account, where the order does not say.
        broker: at which broker, where the order does not say.

    Raises:
        click.UsageError: it is not clear in which account it is.
        click.exceptions.Exit: there is no such order, and it was said.
        TransportError: the wire failed.
        BrokerError: the API said no, or something unreadable.
    """
    order = await find_order(caller, any_id)
    if order.account_id and order.broker:
        return order
    whose = await choose_account(caller.user, order.account_id or account, order.broker or broker)
    return msgspec.structs.replace(order, account_id=whose.account_id, broker=Broker(whose.broker))
