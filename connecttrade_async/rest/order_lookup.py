"""Look orders up by ``cl_order_id`` or ``order_id``, and check the outcome of requests by that.

The API has no endpoint for one order (documented), so every look-up reads the pages of ``GET /orders``.
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
    IncompleteListError,
    MalformedResponseError,
    OrderNotReplacedError,
    TransportError,
    one_line,
)
from connecttrade_async.ids import issued_at
from connecttrade_async.models.enums import Broker, OrderStatus
from connecttrade_async.models.orders import Order, has_ended
from connecttrade_async.rest import wire
from connecttrade_async.rest.reconciliation import OutcomeCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connecttrade_async.rest.pagination import Listing
    from connecttrade_async.tickets import OrderTicket

__all__ = [
    "ONE_DAY",
    "OrderRef",
    "check_cancelled",
    "check_placed",
    "check_replaced",
    "ended_before",
    "find",
    "order_ref",
]

# The window around the time of sending: a ``cl_order_id`` is unique per day (documented), and clocks may disagree.
ONE_DAY = timedelta(days=1)
# How far the clocks of this machine and of the API may differ before an order looks older than its request.
CLOCK_TOLERANCE = timedelta(minutes=5)
# An order created later than this after the request belongs to another request with the same id.
LATEST_START = timedelta(hours=1)
# If the id was generated for this request, the time of creation may be off by a wrong or missing time zone.
ZONE_TOLERANCE = timedelta(hours=14)
EARLIEST_TIME = datetime.min.replace(tzinfo=UTC)
LOOKUP_ERRORS = (TransportError, BrokerError, CursorError)

log = logging.getLogger("connecttrade_async.rest")


class SearchableOrders(Protocol):
    """The part of ``user.orders`` that a look-up needs."""

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

    def without_retries(self) -> Self:
        """Return the same orders, read without retries."""
        ...


class OrderRef(NamedTuple):
    """Identifies the order to be changed.

    Attributes:
        account_id: the account of the order.
        order_id: the id that the API gave the order.
        broker: the broker's code, or None if unknown.
        since: the earliest time to list orders from; None for no bound.
    """

    account_id: str
    order_id: str
    broker: str | None
    since: datetime | None


def order_ref(order: Order | None, account_id: str | None, order_id: str | None, broker: str | None) -> OrderRef:
    """Return the reference to an order, given the order, its ids, or both.

    Raises:
        ConfigurationError: neither an order nor both ids are given.
    """
    _check_order(order)
    if order is not None:
        account_id, order_id, broker = (
            account_id or order.account_id,
            order_id or order.order_id,
            broker or order.broker,
        )
    if not account_id or not order_id:
        msg = "order must be given, or its account_id= and order_id="
        raise ConfigurationError(msg)
    created = creation_time(order) if order is not None else None
    return OrderRef(account_id, order_id, broker, None if created is None else created - ONE_DAY)


def _check_order(order: object) -> None:
    if order is not None and not isinstance(order, Order):
        msg = f"order must be an Order, or None with account_id= and order_id=, got {type(order).__name__}"
        raise ConfigurationError(msg)


def creation_time(order: Order) -> datetime | None:
    """Return when an order was created; None if its time is missing or cannot be read, which is no error here."""
    try:
        return order.created_at
    except MalformedResponseError:
        return None


def with_sent_fields(order: Order, *, account_id: str | None, broker: str | None, cl_order_id: str | None) -> Order:
    """Return an order with the fields that were sent and that the response left out.

    A response has at least ids and a status (assumed). Replacing the order later needs its account and broker.
    """
    return msgspec.structs.replace(
        order,
        account_id=order.account_id or account_id,
        broker=order.broker or (Broker(broker) if broker else None),
        cl_order_id=order.cl_order_id or cl_order_id,
    )


class SentOrder(NamedTuple):
    """One request that creates an order, and the rule that finds its order among those with the same id.

    Attributes:
        cl_order_id: the id that was sent.
        began: when the request began, aware.
        account_id: only orders of this account count; None for any.
        replaces: the ``order_id`` of the order to be replaced, or None for a new order.
    """

    cl_order_id: str
    requested_at: datetime
    account_id: str | None = None
    replaces: str | None = None

    def earliest(self, *, is_known: bool) -> datetime:
        """Return the earliest time at which this request can have created its order.

        Args:
            is_known: whether the API refused the id as used on this day. The day is the day in UTC (assumed).
        """
        earliest = self.requested_at - CLOCK_TOLERANCE
        midnight = self.requested_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return min(earliest, midnight) if is_known else earliest

    def created(self, order: Order, *, is_known: bool) -> bool | None:
        """Return whether this request created an order that has its id; None if the order does not prove it.

        An id is unique per day only, so the time of creation decides. An id that was generated just before the request
        cannot have been used before. It names no other order, so the time may be missing or off by hours.
        """
        if self.replaces is not None and order.replaces is not None:
            return order.replaces == self.replaces
        earliest, when, issued = self.earliest(is_known=is_known), creation_time(order), issued_at(self.cl_order_id)
        is_fresh = issued is not None and earliest <= issued <= self.requested_at + CLOCK_TOLERANCE
        if when is None:
            return True if is_fresh else None
        if is_fresh:
            return abs(when - self.requested_at) <= ZONE_TOLERANCE
        return earliest <= when <= self.requested_at + LATEST_START


async def find(
    orders: SearchableOrders,
    cl_order_id: str,
    since: datetime,
    account_id: str | None = None,
    not_before: datetime | None = None,
) -> Order | None:
    """Return the latest order with an id that the API lists since a time, or None.

    A page that fails is an error only if no order was found before it.

    Args:
        orders: the user's orders.
        cl_order_id: the id to look for.
        since: the earliest time to list orders from.
        account_id: count only orders of this account; None for any.
        not_before: ignore orders created before this time, even if the API lists them.
    """
    found = await _find_all(orders, cl_order_id, since, None, account_id)
    found = [order for order in found if not was_created_before(order, not_before)]
    return max(found, key=lambda order: creation_time(order) or EARLIEST_TIME, default=None)


async def find_sent(orders: SearchableOrders, sent: SentOrder, *, is_known: bool) -> Order | str | None:
    """Return the order that a request created; None if its id is not listed.

    If the id is listed but no order is proven to come from this request, return a text with what is listed.
    """
    since, until = sent.earliest(is_known=is_known) - ONE_DAY, sent.requested_at + ONE_DAY
    found = await _find_all(orders, sent.cl_order_id, since, until, sent.account_id)
    matches = {order.order_id: order for order in found if sent.created(order, is_known=is_known)}
    if len(matches) == 1:
        return next(iter(matches.values()))
    if matches:
        return f"{len(matches)} orders with this id were created around that time: {', '.join(sorted(matches))}"
    if not found:
        return None
    return "; ".join(f"order {order.order_id} with this id {_mismatch_reason(order)}" for order in found[:3])


def _mismatch_reason(order: Order) -> str:
    when = creation_time(order)
    if when is None:
        return "has no time of creation, so it may be another day's"
    return f"was created at {when.isoformat()}, so another request created it"


async def _find_all(
    orders: SearchableOrders,
    cl_order_id: str,
    since: datetime,
    until: datetime | None,
    account_id: str | None,
) -> list[Order]:
    found: list[Order] = []
    try:
        listing = orders.list(status="all", start_time=since, end_time=until, limit=wire.LARGEST_PAGE)
        async for order in listing:
            if order.cl_order_id == cl_order_id and may_be_of_account(order, account_id):
                found.append(order)  # noqa: PERF401 - a comprehension would lose what was found before a failure
        _check_whole(listing, found)
    except LOOKUP_ERRORS as exc:
        if not found:
            raise
        log.warning("order %s was found before its look-up failed: %s", cl_order_id, exc)
    return found


async def find_by_order_id(orders: SearchableOrders, old: OrderRef) -> Order | None:
    """Return the current state of an order, or None if it is not listed."""
    # The API lists the newest first by default, and orders that are changed are seldom old: one page mostly suffices.
    listing = orders.list(status="all", start_time=old.since, limit=wire.LARGEST_PAGE)
    async for order in listing:
        if (
            order.order_id == old.order_id
            and may_be_of_account(order, old.account_id)
            and not was_created_before(order, old.since)
        ):
            return order
    _check_whole(listing)
    return None


def _check_whole(listing: Listing[Order], found: Sequence[Order] = ()) -> None:
    """Refuse to conclude from an incomplete listing that an order does not exist."""
    if listing.may_be_cut_off and not found:
        raise IncompleteListError(request=f"{listing.request.method} {listing.request.path}")


def check_placed(orders: SearchableOrders, ticket: OrderTicket, began: datetime) -> OutcomeCheck:
    """Return the check whether an order was placed."""
    sent = SentOrder(ticket.cl_order_id, began)

    async def check(is_known: bool) -> Order | ConnectTradeError | str | None:  # noqa: FBT001 - see OutcomeCheck
        found = await find_sent(orders.without_retries(), sent, is_known=is_known)
        if not isinstance(found, Order) or matches_ticket(found, ticket):
            return found
        message = f"cl_order_id {ticket.cl_order_id} belongs to another order, {found.order_id}: make a new ticket"
        return ConflictError(status=wire.CONFLICT, message=message, method="POST", path="/orders")

    complete = partial(
        with_sent_fields,
        account_id=ticket.account_id,
        broker=ticket.broker,
        cl_order_id=ticket.cl_order_id,
    )
    return OutcomeCheck("the order was placed", check, complete, cl_order_id=ticket.cl_order_id)


def check_replaced(orders: SearchableOrders, old: OrderRef, new_id: str, began: datetime) -> OutcomeCheck:
    """Return the check of a replacement: it finds the new order, or that the old order ended without it."""
    sent = SentOrder(new_id, began, old.account_id, old.order_id)

    async def check(is_known: bool) -> Order | ConnectTradeError | str | None:  # noqa: FBT001 - see OutcomeCheck
        single = orders.without_retries()
        find_successor = partial(find_sent, single, sent, is_known=is_known)
        successor = await find_successor()
        if isinstance(successor, Order):
            return successor
        before = await find_by_order_id(single, old)
        if before is None or not has_ended(before) or before.status is OrderStatus.REPLACED:
            return successor or _listed_status(before)
        # Between the two look-ups the order may have been replaced, at a broker that lists a replaced order as
        # cancelled. So the successor is looked up once more.
        ended = OrderNotReplacedError(order_id=old.order_id, status=str(before.status))
        return await find_successor() or ended

    complete = partial(with_sent_fields, account_id=old.account_id, broker=old.broker, cl_order_id=new_id)
    return OutcomeCheck(
        f"order {old.order_id} was replaced", check, complete, cl_order_id=new_id, order_id=old.order_id
    )


def check_cancelled(orders: SearchableOrders, old: OrderRef) -> OutcomeCheck:
    """Return the check of a cancellation: it finds the order cancelled, being cancelled, or ended before."""

    async def check(is_known: bool) -> Order | ConnectTradeError | str | None:  # noqa: FBT001 - see OutcomeCheck
        del is_known
        found = await find_by_order_id(orders.without_retries(), old)
        is_settled = found is not None and (has_ended(found) or found.status is OrderStatus.PENDING_CANCEL)
        return found if is_settled else _listed_status(found)

    complete = partial(with_sent_fields, account_id=old.account_id, broker=old.broker, cl_order_id=None)
    return OutcomeCheck(f"order {old.order_id} was cancelled", check, complete, order_id=old.order_id)


def _listed_status(order: Order | None) -> str | None:
    return None if order is None else f"order {order.order_id} is listed as {order.status or 'of no status'}"


async def ended_before(orders: SearchableOrders, old: OrderRef) -> Order | None:
    """Return an order after a refused cancellation if it has ended; None if it has not, or if that is unknown."""
    try:
        found = await find_by_order_id(orders, old)
    except LOOKUP_ERRORS as exc:
        log.warning(
            "order %s could not be looked up after its cancellation was refused: %s", one_line(old.order_id), exc
        )
        return None
    return found if found is not None and has_ended(found) else None


def may_be_of_account(order: Order, account_id: str | None) -> bool:
    """Return whether an order may belong to an account: False only if both ids are given and differ."""
    return not account_id or not order.account_id or order.account_id == account_id


def was_created_before(order: Order, since: datetime | None) -> bool:
    """Return whether an order certainly is from before a time; an ``order_id`` may be given out again (assumed)."""
    when = creation_time(order)
    return since is not None and when is not None and when < since


def matches_ticket(order: Order, ticket: OrderTicket) -> bool:
    """Return whether an order may come from a ticket: no field that both have differs.

    Notation is ignored: brokers write ``BRK.B`` for ``BRK/B``, and some list only ``BUY`` or ``SELL`` as the side.
    """
    pairs = (
        (_letters(order.symbol), _letters(ticket.symbol)),
        (_side(order.side), _side(ticket.side)),
        (order.order_type, ticket.order_type),
        (_amount(order, "order_qty"), ticket.order_qty),
        (_amount(order, "order_notional"), ticket.order_notional),
    )
    return may_be_of_account(order, ticket.account_id) and all(
        listed is None or sent is None or listed == sent for listed, sent in pairs
    )


def _letters(symbol: str | None) -> str | None:
    return re.sub(r"[^A-Z0-9]", "", symbol.upper()) if symbol else None


def _side(side: str | None) -> str | None:
    return side.partition("_")[0] if side else None


def _amount(order: Order, name: str) -> object:
    # A replaced order may list only its unfilled rest, and an amount that cannot be read proves no difference.
    try:
        return getattr(order, name) if order.status is not OrderStatus.REPLACED else None
    except MalformedResponseError:
        return None
