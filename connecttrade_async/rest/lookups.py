"""A loop: look orders up, by what they were sent under or by what they are, and tell what that settles.

There is no endpoint for one order (documented), so every look-up walks the pages of ``GET /orders``.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import msgspec

from connecttrade_async.errors import (
    BrokerError,
    ConfigurationError,
    CursorError,
    OrderNotReplacedError,
    TransportError,
)
from connecttrade_async.models.enums import Broker, OrderStatus
from connecttrade_async.rest.settling import Search

if TYPE_CHECKING:
    from connecttrade_async.models.orders import Order
    from connecttrade_async.rest.pagination import Listing

__all__ = [
    "MARGIN",
    "Target",
    "completed",
    "ended_before",
    "find",
    "for_ended",
    "for_placed",
    "for_replacing",
    "target",
]

# Their clock and ours may disagree by so much before an order is looked for in the wrong window.
MARGIN = timedelta(minutes=15)
# A ``cl_order_id`` is unique per day (documented), so an id that is taken belongs to an order of the day at the most.
ONE_DAY = timedelta(days=1)
WHOLE_PAGE = 500
LONG_AGO = datetime.min.replace(tzinfo=UTC)

log = logging.getLogger("connecttrade_async.rest")


class Orders(Protocol):
    """What a look-up asks: somebody's orders."""

    def list(
        self,
        *,
        status: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        limit: int | None = None,
    ) -> Listing[Order]:
        """List orders."""
        ...

    def asked_within(self, seconds: float) -> Self:
        """Return these orders, asked for once and for at most so many seconds."""
        ...


class Target(NamedTuple):
    """Which order is to be changed.

    Attributes:
        account_id: whose.
        order_id: which.
        broker: at which broker, or None where nobody said.
        since: how far back to look for it; None for as far as there is.
    """

    account_id: str
    order_id: str
    broker: str | None
    since: datetime | None


def target(order: Order | None, account_id: str | None, order_id: str | None, broker: str | None) -> Target:
    """Return which order is meant by an order, or by ids, or by both.

    Raises:
        ConfigurationError: they do not say which.
    """
    if order is not None:
        account_id, order_id, broker = (
            account_id or order.account_id,
            order_id or order.order_id,
            broker or order.broker,
        )
    if not account_id or not order_id:
        msg = "say which order: pass the order, or its account_id= and order_id="
        raise ConfigurationError(msg)
    since = order.created_at - MARGIN if order is not None and order.created_at is not None else None
    return Target(account_id, order_id, broker, since)


def completed(order: Order, account_id: str | None, broker: str | None, cl_order_id: str | None) -> Order:
    """Return an order with what was sent, where the answer left it out.

    The least that the API answers is ids and a status (assumed), and changing the order later needs whose it is.
    """
    return msgspec.structs.replace(
        order,
        account_id=order.account_id or account_id,
        broker=order.broker or (Broker(broker) if broker else None),
        cl_order_id=order.cl_order_id or cl_order_id,
    )


async def find(orders: Orders, cl_order_id: str, since: datetime, until: datetime | None = None) -> Order | None:
    """Return the latest order of that id in a window of time, all pages of it, or None."""
    listing = orders.list(status="all", start_time=since, end_time=until, limit=WHOLE_PAGE)
    found = [order async for order in listing if order.cl_order_id == cl_order_id]
    return max(found, key=lambda order: order.created_at or LONG_AGO, default=None)


async def state(orders: Orders, old: Target) -> Order | None:
    """Return an order as it stands, or None where it is not listed."""
    # Newest first is the default, and what is changed is seldom old: most walks end on their first page.
    async for order in orders.list(status="all", start_time=old.since, limit=WHOLE_PAGE):
        if order.order_id == old.order_id:
            return order
    return None


def for_placed(orders: Orders, cl_order_id: str, began: datetime, *, is_old: bool) -> Search:
    """Return the search for an order that was placed; ``is_old`` where the API says that the id was known before."""
    since = began - (ONE_DAY if is_old else MARGIN)

    async def look(seconds: float, now: datetime) -> Order | None:
        return await find(orders.asked_within(seconds), cl_order_id, since, now + MARGIN)

    return Search("the order was placed", look, cl_order_id=cl_order_id)


def for_replacing(orders: Orders, old: Target, new_id: str, began: datetime, *, is_old: bool) -> Search:
    """Return the search for the outcome of a replacement: the new order, or the old one ended without it."""
    since = began - (ONE_DAY if is_old else MARGIN)

    async def look(seconds: float, now: datetime) -> Order | None:
        asked = orders.asked_within(seconds)
        replacing = await find(asked, new_id, since, now + MARGIN)
        if replacing is None:
            before = await state(asked, old)
            if before is not None and has_ended(before) and before.status is not OrderStatus.REPLACED:
                raise OrderNotReplacedError(order_id=old.order_id, status=str(before.status))
        return replacing

    return Search(f"order {old.order_id} was replaced", look, cl_order_id=new_id, order_id=old.order_id)


def for_ended(orders: Orders, old: Target) -> Search:
    """Return the search for the outcome of a cancellation: heard, or come too late."""

    async def look(seconds: float, now: datetime) -> Order | None:
        del now
        found = await state(orders.asked_within(seconds), old)
        return found if found is not None and (has_ended(found) or found.status is OrderStatus.PENDING_CANCEL) else None

    return Search(f"order {old.order_id} was cancelled", look, order_id=old.order_id)


async def ended_before(orders: Orders, old: Target) -> Order | None:
    """Return an order whose cancellation was refused, if it has ended; None if it has not, or if that is unknown."""
    try:
        found = await state(orders, old)
    except (TransportError, BrokerError, CursorError) as exc:
        log.warning("order %s could not be looked up after its cancellation was refused: %s", old.order_id, exc)
        return None
    return found if found is not None and has_ended(found) else None


def has_ended(order: Order) -> bool:
    """Say whether an order can never change again."""
    return order.status is not None and order.status.is_terminal
