"""The front door: an order by an id, its own or the sender's. There is no endpoint for one order (documented).

Its vow: where an account was named, no order of another account is ever found.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.cli.account_choice import choose_account
from connecttrade_async.cli.errors import fail
from connecttrade_async.cli.progress import waiting
from connecttrade_async.models import Broker

if TYPE_CHECKING:
    from connecttrade_async.cli.credentials import CliContext
    from connecttrade_async.models import Order

__all__ = ["find_order", "find_successor", "find_to_change"]

LARGEST_PAGE = 500


async def find_order(caller: CliContext, any_id: str, account: str | None = None, broker: str | None = None) -> Order:
    """Return the order with this ``order_id`` or ``cl_order_id``, the newest where several days used the id.

    Args:
        caller: whose order.
        any_id: its ``order_id`` or ``cl_order_id``.
        account: look only in this account, by its id or its number.
        broker: look only at this broker; an order that does not name its own may be there.

    Raises:
        click.UsageError: there is no such account.
        click.exceptions.Exit: there is none, and it was said.
        TransportError: the wire failed. A failure never means that there is none.
        BrokerError: the API said no, or something unreadable.
    """
    account_id = None if account is None else (await choose_account(caller.user, account, broker)).account_id
    listing = caller.user.orders.list(account_id=account_id, status="all", sort="desc", limit=LARGEST_PAGE)
    async with waiting("Looking for the order", caller.ct) as progress, aclosing(aiter(listing)) as orders:
        found: Order | None = None
        count = 0
        async for order in orders:
            count += 1
            progress.words = f"Looking for the order among {count:,}"
            if any_id in {order.order_id, order.cl_order_id} and _is_in(order, account_id, broker):
                found = order
                break
    if found is None:
        where = "".join((f" in {account!r}" if account else "", f" at {broker!r}" if broker else ""))
        later = "one that was sent just now may be listed in a moment"
        fail(f"none of {count:,} orders{where} has the id {any_id!r}; {later}")
    return found


async def find_successor(caller: CliContext, order: Order) -> Order | None:
    """Return the last of the orders that took the place of one after another, or None if the listing shows none.

    Args:
        caller: whose order.
        order: one that was replaced.

    Raises:
        TransportError: the wire failed.
        BrokerError: the API said no, or something unreadable.
    """
    listing = caller.user.orders.list(status="all", start_time=order.created_at, limit=LARGEST_PAGE)
    by_id: dict[str, Order] = {}
    heirs: dict[str, Order] = {}
    async with waiting("Looking for what took its place", caller.ct), aclosing(aiter(listing)) as orders:
        async for other in orders:
            by_id[other.order_id] = other
            if other.replaces is not None:
                heirs[other.replaces] = other
    last, met = order, {order.order_id}
    while (heir := by_id.get(last.replaced_by or "", heirs.get(last.order_id))) and heir.order_id not in met:
        last = heir
        met.add(heir.order_id)  # so that a listing that goes in circles ends too
    return None if last is order else last


async def find_to_change(caller: CliContext, any_id: str, account: str | None, broker: str | None) -> Order:
    """Return an order with everything that is needed to change it.

    Args:
        caller: whose order.
        any_id: its ``order_id`` or ``cl_order_id``.
        account: in this account only, by its id or its number; needed where the order does not say.
        broker: at this broker only; needed where the order does not say.

    Raises:
        click.UsageError: it is not clear in which account it is.
        click.exceptions.Exit: there is no such order, and it was said.
        TransportError: the wire failed.
        BrokerError: the API said no, or something unreadable.
    """
    order = await find_order(caller, any_id, account, broker)
    if order.account_id and order.broker:
        return order
    whose = await choose_account(caller.user, order.account_id or account, order.broker or broker)
    return msgspec.structs.replace(order, account_id=whose.account_id, broker=Broker(whose.broker))


def _is_in(order: Order, account_id: str | None, broker: str | None) -> bool:
    """Whether an order may be of an account and a broker; what it does not say, the listing was asked for."""
    at_broker = broker is None or order.broker is None or order.broker == Broker(broker)
    return at_broker and (account_id is None or order.account_id in {None, account_id})
