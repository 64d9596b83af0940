"""A loop: look orders up, by what they were sent under or by what they are, and tell what that settles.

There is no endpoint for one order (documented), so every look-up walks the pages of ``GET /orders``.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import msgspec

from connecttrade_async.errors import (
    BrokerError,
    ConfigurationError,
    ConflictError,
    ConnectTradeError,
    CursorError,
    MalformedResponseError,
    OrderNotReplacedError,
    TransportError,
    one_line,
)
from connecttrade_async.ids import issued_at
from connecttrade_async.models.enums import Broker, OrderStatus
from connecttrade_async.models.orders import Order
from connecttrade_async.rest import wire
from connecttrade_async.rest.reconciliation import OutcomeCheck

if TYPE_CHECKING:
    from connecttrade_async.rest.pagination import Listing
    from connecttrade_async.tickets import OrderTicket

__all__ = ["ONE_DAY", "OrderRef", "check_cancelled", "check_placed", "check_replaced", "ended_before", "find", "target"]

# Around the time of sending: a ``cl_order_id`` is unique per day (documented), and clocks may disagree.
ONE_DAY = timedelta(days=1)
# How far the clocks of this machine and of the API may differ before an order of ours looks older than its request.
CLOCK_TOLERANCE = timedelta(minutes=5)
# An order made later than this after its request is taken for the order of another request under the same id.
LATEST_START = timedelta(hours=1)
# Under an id that was drawn for this request, a time counts as far as a wrong or missing zone can move it.
ZONE_TOLERANCE = timedelta(hours=14)
FULL_PAGE = 500
LONG_AGO = datetime.min.replace(tzinfo=UTC)
FAILED = (TransportError, BrokerError, CursorError)

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

    def asked_once(self) -> Self:
        """Return these orders, asked for once."""
        ...


class OrderRef(NamedTuple):
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


def target(order: Order | None, account_id: str | None, order_id: str | None, broker: str | None) -> OrderRef:
    """Return which order is meant by an order, or by ids, or by both.

    Raises:
        ConfigurationError: they do not say which.
    """
    _check_order(order)
    if order is not None:
        account_id, order_id, broker = (
            account_id or order.account_id,
            order_id or order.order_id,
            broker or order.broker,
        )
    if not account_id or not order_id:
        msg = "say which order: pass the order, or its account_id= and order_id="
        raise ConfigurationError(msg)
    made = made_at(order) if order is not None else None
    return OrderRef(account_id, order_id, broker, None if made is None else made - ONE_DAY)


def _check_order(order: object) -> None:
    if order is not None and not isinstance(order, Order):
        msg = f"say which order: pass the order itself, not {type(order).__name__}, or its account_id= and order_id="
        raise ConfigurationError(msg)


def made_at(order: Order) -> datetime | None:
    """Return when an order was made; None where that cannot be read, which must not stand in anybody's way."""
    try:
        return order.created_at
    except MalformedResponseError:
        return None


def with_sent_fields(order: Order, *, account_id: str | None, broker: str | None, cl_order_id: str | None) -> Order:
    """Return an order with what was sent, where the answer left it out.

    The least that the API answers is ids and a status (assumed), and changing the order later needs whose it is.
    """
    return msgspec.structs.replace(
        order,
        account_id=order.account_id or account_id,
        broker=order.broker or (Broker(broker) if broker else None),
        cl_order_id=order.cl_order_id or cl_order_id,
    )


class Sent(NamedTuple):
    """One request that makes an order, and the rule that recognizes its order among the orders of the same id.

    Attributes:
        cl_order_id: the id that was sent.
        began: when the request began, aware.
        account_id: the account whose orders count, or None for any.
        replaces: the ``order_id`` of the order to be replaced, or None for a new order.
    """

    cl_order_id: str
    began: datetime
    account_id: str | None = None
    replaces: str | None = None

    def earliest(self, *, is_known: bool) -> datetime:
        """Return the earliest time at which the order of this request can have been made.

        Args:
            is_known: the API refused the id as used on this day. The day is taken as the day in UTC (assumed).
        """
        earliest = self.began - CLOCK_TOLERANCE
        midnight = self.began.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return min(earliest, midnight) if is_known else earliest

    def made(self, order: Order, *, is_known: bool) -> bool | None:
        """Return whether this request made an order that has its id; None where the order does not prove it.

        An id is unique per day only, so the time of creation decides. An id that was drawn too late to have been used
        before names no other order, so it needs no time, and hours of difference do not count against it.
        """
        if self.replaces is not None and order.replaces is not None:
            return order.replaces == self.replaces
        earliest, when, drawn = self.earliest(is_known=is_known), made_at(order), issued_at(self.cl_order_id)
        is_fresh = drawn is not None and earliest <= drawn <= self.began + CLOCK_TOLERANCE
        if when is None:
            return True if is_fresh else None
        if is_fresh:
            return abs(when - self.began) <= ZONE_TOLERANCE
        return earliest <= when <= self.began + LATEST_START


async def find(
    orders: Orders,
    cl_order_id: str,
    since: datetime,
    account_id: str | None = None,
    not_before: datetime | None = None,
) -> Order | None:
    """Return the latest order of that id that the API lists since a time, or None.

    A page that fails is an error only where nothing was found before it.

    Args:
        orders: the user's orders.
        cl_order_id: the id to look for.
        since: how far back to ask.
        account_id: only an order of that account, or None for any.
        not_before: orders that say that they were made before do not count, also where the API lists them.
    """
    found = await _of_id(orders, cl_order_id, since, None, account_id)
    found = [order for order in found if not is_before(order, not_before)]
    return max(found, key=lambda order: made_at(order) or LONG_AGO, default=None)


async def find_sent(orders: Orders, sent: Sent, *, is_known: bool) -> Order | str | None:
    """Return the order that a request made; None where its id is not listed.

    Where the id is listed and no such order is proven to be this request's, returns what is listed, in words.
    """
    since, until = sent.earliest(is_known=is_known) - ONE_DAY, sent.began + ONE_DAY
    found = await _of_id(orders, sent.cl_order_id, since, until, sent.account_id)
    ours = {order.order_id: order for order in found if sent.made(order, is_known=is_known)}
    if len(ours) == 1:
        return next(iter(ours.values()))
    if ours:
        return f"{len(ours)} orders with this id were made around that time: {', '.join(sorted(ours))}"
    if not found:
        return None
    return "; ".join(f"order {order.order_id} with this id {_why_not_ours(order)}" for order in found[:3])


def _why_not_ours(order: Order) -> str:
    when = made_at(order)
    if when is None:
        return "does not say when it was made, so it may be another day's"
    return f"was made at {when.isoformat()}, so another request made it"


async def _of_id(
    orders: Orders,
    cl_order_id: str,
    since: datetime,
    until: datetime | None,
    account_id: str | None,
) -> list[Order]:
    found: list[Order] = []
    try:
        async for order in orders.list(status="all", start_time=since, end_time=until, limit=FULL_PAGE):
            if order.cl_order_id == cl_order_id and is_of(order, account_id):
                found.append(order)  # noqa: PERF401 - a comprehension would lose what was found before a failure
    except FAILED as exc:
        if not found:
            raise
        log.warning("order %s was found before its look-up failed: %s", cl_order_id, exc)
    return found


async def state(orders: Orders, old: OrderRef) -> Order | None:
    """Return an order as it stands, or None where it is not listed."""
    # Newest first is the default, and what is changed is seldom old: most walks end on their first page.
    async for order in orders.list(status="all", start_time=old.since, limit=FULL_PAGE):
        if order.order_id == old.order_id and is_of(order, old.account_id) and not is_before(order, old.since):
            return order
    return None


def check_placed(orders: Orders, ticket: OrderTicket, began: datetime) -> OutcomeCheck:
    """Return the search for an order that was placed."""
    sent = Sent(ticket.cl_order_id, began)

    async def look(is_known: bool) -> Order | ConnectTradeError | str | None:  # noqa: FBT001 - Search calls it so
        found = await find_sent(orders.asked_once(), sent, is_known=is_known)
        if not isinstance(found, Order) or is_what_was_sent(found, ticket):
            return found
        message = f"cl_order_id {ticket.cl_order_id} belongs to another order, {found.order_id}: make a new ticket"
        return ConflictError(status=wire.CONFLICT, message=message, method="POST", path="/orders")

    complete = partial(
        with_sent_fields,
        account_id=ticket.account_id,
        broker=ticket.broker,
        cl_order_id=ticket.cl_order_id,
    )
    return OutcomeCheck("the order was placed", look, complete, cl_order_id=ticket.cl_order_id)


def check_replaced(orders: Orders, old: OrderRef, new_id: str, began: datetime) -> OutcomeCheck:
    """Return the search for the outcome of a replacement: the new order, or the old one ended without it."""
    sent = Sent(new_id, began, old.account_id, old.order_id)

    async def look(is_known: bool) -> Order | ConnectTradeError | str | None:  # noqa: FBT001 - Search calls it so
        asked = orders.asked_once()
        search = partial(find_sent, asked, sent, is_known=is_known)
        replacing = await search()
        if isinstance(replacing, Order):
            return replacing
        before = await state(asked, old)
        if before is None or not has_ended(before) or before.status is OrderStatus.REPLACED:
            return replacing or _as_it_stands(before)
        # It may have been replaced between the two looks, by a broker that calls that cancelled.
        ended = OrderNotReplacedError(order_id=old.order_id, status=str(before.status))
        return await search() or ended

    complete = partial(with_sent_fields, account_id=old.account_id, broker=old.broker, cl_order_id=new_id)
    return OutcomeCheck(f"order {old.order_id} was replaced", look, complete, cl_order_id=new_id, order_id=old.order_id)


def check_cancelled(orders: Orders, old: OrderRef) -> OutcomeCheck:
    """Return the search for the outcome of a cancellation: heard, or come too late."""

    async def look(is_known: bool) -> Order | ConnectTradeError | str | None:  # noqa: FBT001 - Search calls it so
        del is_known
        found = await state(orders.asked_once(), old)
        is_settled = found is not None and (has_ended(found) or found.status is OrderStatus.PENDING_CANCEL)
        return found if is_settled else _as_it_stands(found)

    complete = partial(with_sent_fields, account_id=old.account_id, broker=old.broker, cl_order_id=None)
    return OutcomeCheck(f"order {old.order_id} was cancelled", look, complete, order_id=old.order_id)


def _as_it_stands(order: Order | None) -> str | None:
    return None if order is None else f"order {order.order_id} is listed as {order.status or 'of no status'}"


async def ended_before(orders: Orders, old: OrderRef) -> Order | None:
    """Return an order whose cancellation was refused, if it has ended; None if it has not, or if that is unknown."""
    try:
        found = await state(orders, old)
    except FAILED as exc:
        log.warning(
            "order %s could not be looked up after its cancellation was refused: %s", one_line(old.order_id), exc
        )
        return None
    return found if found is not None and has_ended(found) else None


def has_ended(order: Order) -> bool:
    """Say whether an order can never change again."""
    return order.status is not None and order.status.is_terminal


def is_of(order: Order, account_id: str | None) -> bool:
    """Say whether an order may be of an account: only where both say whose it is can they differ."""
    return not account_id or not order.account_id or order.account_id == account_id


def is_before(order: Order, since: datetime | None) -> bool:
    """Say whether an order says that it was made before a time; an id may be given out again (assumed)."""
    when = made_at(order)
    return since is not None and when is not None and when < since


def is_what_was_sent(order: Order, ticket: OrderTicket) -> bool:
    """Say whether an order may be the one of a ticket: nothing that both say differs.

    Spellings are not held against it: brokers write ``BRK.B`` for ``BRK/B``, and some only ``BUY`` or ``SELL``.
    """
    pairs = (
        (_letters(order.symbol), _letters(ticket.symbol)),
        (_way(order.side), _way(ticket.side)),
        (order.order_type, ticket.order_type),
        (_amount(order, "order_qty"), ticket.order_qty),
        (_amount(order, "order_notional"), ticket.order_notional),
    )
    return is_of(order, ticket.account_id) and all(
        theirs is None or ours is None or theirs == ours for theirs, ours in pairs
    )


def _letters(symbol: str | None) -> str | None:
    return re.sub(r"[^A-Z0-9]", "", symbol.upper()) if symbol else None


def _way(side: str | None) -> str | None:
    return side.partition("_")[0] if side else None


def _amount(order: Order, name: str) -> object:
    # What replaced another may count only the rest, and what cannot be read cannot differ.
    try:
        return getattr(order, name) if order.status is not OrderStatus.REPLACED else None
    except MalformedResponseError:
        return None
