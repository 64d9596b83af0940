"""Find an order by its ``order_id`` or ``cl_order_id``. There is no endpoint for one order (documented).

With an account given, an order of another account is never returned.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.cli.account_choice import choose_account
from connecttrade_async.cli.errors import fail
from connecttrade_async.cli.progress import spinner
from connecttrade_async.models import Broker
from connecttrade_async.rest.wire import LARGEST_PAGE

if TYPE_CHECKING:
    from connecttrade_async.cli.credentials import CliContext
    from connecttrade_async.models import Order

__all__ = ["find_changeable", "find_order", "find_successor"]


async def find_order(context: CliContext, any_id: str, account: str | None = None, broker: str | None = None) -> Order:
    """Return the order of an id; the newest one if the id was used on several days.

    Args:
        context: the client and the user of the order.
        any_id: the ``order_id`` or ``cl_order_id``.
        account: the id or number of the only account to search; None for all.
        broker: the only broker to search; an order without a broker matches.

    Raises:
        click.UsageError: the account does not exist.
        click.exceptions.Exit: no order has the id; the error is printed.
        TransportError: the request failed in transit, which never means that the order does not exist.
        BrokerError: the API refused the request, or its response is malformed.
    """
    account_id = None if account is None else (await choose_account(context.user, account, broker)).account_id
    listing = context.user.orders.list(account_id=account_id, status="all", sort="desc", limit=LARGEST_PAGE)
    async with spinner("Looking for the order", context.ct) as progress, aclosing(aiter(listing)) as orders:
        found: Order | None = None
        count = 0
        async for order in orders:
            count += 1
            progress.text = f"Looking for the order among {count:,}"
            if any_id in {order.order_id, order.cl_order_id} and _is_in(order, account_id, broker):
                found = order
                break
    if found is None:
        where = "".join((f" in {account!r}" if account else "", f" at {broker!r}" if broker else ""))
        note = "an order that was sent just now may be listed in a moment"
        fail(f"none of {count:,} orders{where} has the id {any_id!r}; {note}")
    return found


async def find_successor(context: CliContext, order: Order) -> Order | None:
    """Return the last order in the chain of replacements of an order; None if the listing has no replacement.

    Args:
        context: the client and the user of the order.
        order: the order that was replaced.

    Raises:
        TransportError: the request failed in transit.
        BrokerError: the API refused the request, or its response is malformed.
    """
    listing = context.user.orders.list(status="all", start_time=order.created_at, limit=LARGEST_PAGE)
    by_id: dict[str, Order] = {}
    successors: dict[str, Order] = {}
    async with spinner("Looking for its replacement", context.ct), aclosing(aiter(listing)) as orders:
        async for other in orders:
            by_id[other.order_id] = other
            if other.replaces is not None:
                successors[other.replaces] = other
    last, seen = order, {order.order_id}
    while (
        next_order := by_id.get(last.replaced_by or "", successors.get(last.order_id))
    ) and next_order.order_id not in seen:
        last = next_order
        seen.add(next_order.order_id)  # ends a chain that is circular
    return None if last is order else last


async def find_changeable(context: CliContext, any_id: str, account: str | None, broker: str | None) -> Order:
    """Return the order of an id, with the account and broker that a change requires.

    Args:
        context: the client and the user of the order.
        any_id: the ``order_id`` or ``cl_order_id``.
        account: the id or number of its account; required if the order names none.
        broker: its broker; required if the order names none.

    Raises:
        click.UsageError: the account does not exist or is ambiguous.
        click.exceptions.Exit: no order has the id; the error is printed.
        TransportError: the request failed in transit.
        BrokerError: the API refused the request, or its response is malformed.
    """
    order = await find_order(context, any_id, account, broker)
    if order.account_id and order.broker:
        return order
    choice = await choose_account(context.user, order.account_id or account, order.broker or broker)
    return msgspec.structs.replace(order, account_id=choice.account_id, broker=Broker(choice.broker))


def _is_in(order: Order, account_id: str | None, broker: str | None) -> bool:
    """Return whether an order can be of an account and broker. A missing field matches: the listing was filtered."""
    at_broker = broker is None or order.broker is None or order.broker == Broker(broker)
    return at_broker and (account_id is None or order.account_id in {None, account_id})
