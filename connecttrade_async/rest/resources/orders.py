"""``/orders``: list, place, replace, cancel and find orders."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, Self, overload

import msgspec

from connecttrade_async.amounts import Amount
from connecttrade_async.errors import (
    BadRequestError,
    BrokerError,
    ClosedError,
    ConfigurationError,
    ConflictError,
    MalformedResponseError,
    NotFoundError,
    OrderOutcomeUnknownError,
    TransportError,
    shown,
)
from connecttrade_async.ids import issued_at, new_order_id
from connecttrade_async.models.orders import Order
from connecttrade_async.models.pages import Page
from connecttrade_async.rest import order_lookup, wire
from connecttrade_async.rest.codec import ListShape, ObjectShape, RestCodec
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.rest.reconciliation import LOST, OutcomeCheck, outcome_unknown, reconcile
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.retry import is_ambiguous
from connecttrade_async.tickets import OrderTicket, replacement
from connecttrade_async.tickets.validation import read_text
from connecttrade_async.validation import positive_int

__all__ = ["Orders"]

ANSWERED_EMPTY = "the API accepted it with an empty response"
CURSORS = ("next_cursor", "prev_cursor")
ONE_WEEK = timedelta(days=7)
log = logging.getLogger("connecttrade_async.rest")


_ORDER = ObjectShape(Order, "/orders")
_CHANGED = ObjectShape(Order, "/accounts/{account_id}/orders/{order_id}")
_ORDERS = ListShape(Order, "/orders", key="order_id", has_pages=True)


class Orders(Resource):
    """``/orders``: the orders of the user's accounts."""

    def list(
        self,
        *,
        status: str | None = None,
        account_id: str | None = None,
        connection_id: str | None = None,
        symbols: str | Iterable[str] | None = None,
        side: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        next_cursor: str | None = None,
        prev_cursor: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> Listing[Order]:
        """List orders: ``await`` returns one page, ``async for`` yields every order once.

        Without any filter, the API lists the orders that are open since midnight UTC (documented).

        Args:
            status: ``all``, ``open``, ``closed``, or one status (documented).
            account_id: only orders of one account (assumed).
            connection_id: only orders of one connection (assumed).
            symbols: only these symbols, in CQS or OSI notation (documented).
            side: only this side (documented).
            start_time: the earliest time, aware (documented).
            end_time: the latest time, aware (documented).
            sort: ``asc`` or ``desc`` (the argument is documented, its values are assumed).
            limit: orders per page, 1 to 500; the API's default is 50 (documented).
            next_cursor: start at this page and go on.
            prev_cursor: start at this page and go back page by page; the sequence within a page stays.
            extra: other filters, by their names in the query, passed on as they are.

        Raises:
            ConfigurationError: at once, for a limit outside 1 to 500, two cursors, an empty filter, or an argument's
                name in ``extra``.
            TypeError: at once, for an unknown keyword.
            NotFoundError: the user has no account or connection with that id.
            CursorError: the cursors of the API repeat, or three pages in a row have no new order.
            TransportError: the request got no complete response. A failure is never an empty list.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request and changes nothing.
        """
        _check_limit(limit)
        if next_cursor is not None and prev_cursor is not None:
            msg = "next_cursor and prev_cursor must not be given together: one goes on, the other back"
            raise ConfigurationError(msg)
        params: Mapping[str, object] = {
            "status": status,
            "account_id": account_id,
            "connection_id": connection_id,
            "symbols": symbols if symbols is None or isinstance(symbols, str) else tuple(symbols),
            "side": side,
            "start_time": start_time,
            "end_time": end_time,
            "sort": sort,
            "limit": limit,
        }
        params = wire.with_extra(params, extra, CURSORS)
        cursor_name, start = ("next_cursor", next_cursor) if prev_cursor is None else ("prev_cursor", prev_cursor)

        def request_at(cursor: str | None) -> wire.Request:
            return self._api.get_request(_ORDERS.endpoint, {**params, cursor_name: cursor})

        # The first request is made here, so that a wrong filter raises at the call and not where it is awaited.
        decode = partial(_read_page, self._api.sender.codec)
        return Listing(self._api, request_at, decode, start=start, backwards=prev_cursor is not None, key=_identity)

    @overload
    async def place(self, ticket: OrderTicket, *, dry_run: Literal[True]) -> str: ...
    @overload
    async def place(self, ticket: OrderTicket, *, dry_run: Literal[False] = False) -> Order: ...
    async def place(self, ticket: OrderTicket, *, dry_run: bool = False) -> Order | str:
        """Place an order. The request is sent at most once, even if its response is lost.

        After a lost response the order is looked up by ``cl_order_id``, for at most ``timeouts.settle`` seconds. The id
        is unique per day only (documented). So an order counts only if it was created after the request began, with
        five minutes of tolerance for clocks that differ. An order without a time of creation counts only if its id was
        generated just before the request; otherwise the outcome is unknown.

        Placing a ticket again on the same day in UTC is idempotent: the API refuses the id as taken, and the order that
        exists is looked up in the same way and returned.

        Args:
            ticket: the ticket; it was validated when it was created.
            dry_run: send nothing.

        Returns:
            The order; for a dry run, the exact JSON that would be sent.

        Raises:
            ConfigurationError: ``ticket`` is no ticket; nothing was sent.
            OrderOutcomeUnknownError: the request was sent, and its outcome is unknown. The order may be live;
                ``resolve()`` continues the look-up.
            BadRequestError: the broker refused the order.
            ConflictError: the id of the ticket belongs to another order, of another account or with other terms.
            AuthenticationError: the connection is not entitled to trade (documented), or a secret is wrong.
            NotFoundError: the user has no such account.
            APIError: the API refused the order for another reason; nothing was placed.
            TransportError: the request never left this machine; nothing was placed.

        Cancelling sends nothing more. The order may have been placed: look it up with ``find(ticket.cl_order_id)``. For
        an id of your own that was also used on an earlier day, pass ``since=`` to ``find``.
        """
        _check_ticket(ticket)
        payload = self._api.sender.codec.renamed(ticket.payload())
        if dry_run:
            return msgspec.json.encode(payload).decode()
        check = order_lookup.check_placed(self, ticket, self._api.sender.clock.wall())
        request = self._api.new_request("POST", "/orders", body=payload, repeat=wire.RetryMode.IF_UNSENT)
        # The broker refuses an id that is taken, so a conflict may mean that this order exists already.
        return await self._send_once(request, check, is_conflict_ours=True)

    async def replace(
        self,
        order: Order | None = None,
        *,
        account_id: str | None = None,
        order_id: str | None = None,
        broker: str | None = None,
        qty: Amount | None = None,
        notional: Amount | None = None,
        price: Amount | None = None,
        stop: Amount | None = None,
        new_cl_order_id: str | None = None,
    ) -> Order:
        """Replace an order by one with another quantity or price. The request is sent at most once.

        After a lost response the new order and the state of the old one are looked up until either proves the outcome,
        for at most ``timeouts.settle`` seconds.

        Args:
            order: the order, or None with its ``account_id``, ``order_id`` and ``broker``.
            account_id: the account, if ``order`` lacks it.
            order_id: the id of the order, if ``order`` is None.
            broker: the broker's code, if ``order`` lacks it.
            qty: the number of shares or contracts.
            notional: an amount of money instead of a quantity.
            price: the limit price, per share.
            stop: the stop price, per share.
            new_cl_order_id: the id of the new order; None generates one.

        Returns:
            The new order.

        Raises:
            TicketError: no change is given, or a number cannot be sent; nothing was sent.
            ConfigurationError: the order is not identified; nothing was sent.
            OrderOutcomeUnknownError: the request was sent, and its outcome is unknown; ``resolve()`` continues the
                look-up.
            OrderNotReplacedError: the response was lost, and the order had ended without being replaced.
            APIError: the broker refused it, for instance because the order has ended; nothing was replaced.
            TransportError: the request never left this machine; nothing was replaced.

        Cancelling sends nothing more. The order may have been replaced: look it up with ``find(new_cl_order_id)``.
        """
        old = order_lookup.order_ref(order, account_id, order_id, broker)
        if not old.broker:
            msg = "broker must be given, since the order has none"
            raise ConfigurationError(msg)
        new_id = new_cl_order_id or new_order_id()
        changes = replacement(new_id, old.broker, qty=qty, notional=notional, price=price, stop=stop)
        body = self._api.sender.codec.renamed(changes)
        check = order_lookup.check_replaced(self, old, new_id, self._api.sender.clock.wall())
        request = self._api.new_request("PATCH", _path(old), body=body, repeat=wire.RetryMode.IF_UNSENT)
        # An id that was just generated cannot be taken, so a conflict is then a refusal of the replacement.
        return await self._send_once(request, check, is_conflict_ours=new_cl_order_id is not None)

    async def cancel(
        self,
        order: Order | None = None,
        *,
        account_id: str | None = None,
        order_id: str | None = None,
    ) -> Order:
        """Cancel an order, and return its state after that.

        An order that had ended before is returned as it ended: check its ``status``, which may be ``filled``. A
        ``replaced`` order has a successor that is still working, with an id of its own.

        After a lost or empty response the order is looked up until its state shows the cancellation, for at most
        ``timeouts.settle`` seconds.

        Args:
            order: the order, or None with its ``account_id`` and ``order_id``.
            account_id: the account, if ``order`` lacks it.
            order_id: the id of the order, if ``order`` is None.

        Returns:
            The order: ``cancelled``, ``pending_cancel``, or as it had ended before.

        Raises:
            ConfigurationError: the order is not identified; nothing was sent.
            OrderOutcomeUnknownError: the request was sent, and the order is still working; ``resolve()`` continues the
                look-up.
            NotFoundError: the user has no such order.
            APIError: the broker refused it, and the order is still working.
            TransportError: the request never left this machine; nothing was cancelled.

        Cancelling the task sends nothing more. The order may have been cancelled.
        """
        old = order_lookup.order_ref(order, account_id, order_id, None)
        request = self._api.new_request("DELETE", _path(old), repeat=wire.RetryMode.IF_UNSENT)
        check = order_lookup.check_cancelled(self, old)
        try:
            return await self._send_once(request, check, is_conflict_ours=False)
        except (BadRequestError, ConflictError, NotFoundError):
            ended = await order_lookup.ended_before(self, old)
            if ended is None:
                raise
            return check.complete(ended)

    async def find(
        self,
        cl_order_id: str,
        *,
        account_id: str | None = None,
        since: datetime | None = None,
    ) -> Order | None:
        """Look up an order by its ``cl_order_id``.

        Args:
            cl_order_id: the id of a ticket or of a replacement.
            account_id: only an order of this account, if the API lists the account.
            since: the earliest time of creation, aware. By default the day before this library generated the id; a
                week ago, if it did not.

        Returns:
            The order, the latest if the id was used on several days. None means that the order is not listed now; it
            may be listed later.

        Raises:
            ConfigurationError: the id is empty, longer than 256 characters or not printable, so no order can have it.
            CursorError: the cursors of the API repeat, or three pages in a row have no new order.
            IncompleteListError: the order is not in a list that may be cut off, so it may exist all the same.
            TransportError: the request got no complete response. A failure is never None.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the request and changes nothing.
        """
        _check_own_id(cl_order_id)
        now, issued = self._api.sender.clock.wall(), issued_at(cl_order_id)
        # A foreign id may have the same form, with any time in it.
        is_own = issued is not None and issued <= now + order_lookup.ONE_DAY
        default = issued - order_lookup.ONE_DAY if issued is not None and is_own else now - ONE_WEEK
        return await order_lookup.find(self, cl_order_id, since or default, account_id, since)

    async def _send_once(self, request: wire.Request, check: OutcomeCheck, *, is_conflict_ours: bool) -> Order:
        """Send a request that must not be repeated, and reconcile if its outcome is unknown.

        Args:
            request: the request.
            check: finds out the outcome.
            is_conflict_ours: whether a 409 may mean that an earlier request with this id succeeded.
        """
        sender = self._api.sender
        is_known = False
        cause: TransportError | BrokerError
        try:
            response = await self._api.send(request)
            order = sender.codec.read(_ORDER if request.method == "POST" else _CHANGED, response, request)
            if order.order_id and check.cl_order_id in {None, order.cl_order_id or check.cl_order_id}:
                return check.complete(order)
            cause = MalformedResponseError(
                where="$", problem="another order than the one sent", request=str(request), response=response
            )
        except ClosedError as exc:
            if not exc.may_be_done:
                raise
            raise outcome_unknown(sender, check, exc) from exc
        except (TransportError, BrokerError) as exc:
            is_known, cause = isinstance(exc, ConflictError) and is_conflict_ours, exc
            if not is_known and not is_ambiguous(exc):
                raise
        answered = _response_state(cause)
        # An empty response accepts the request, and is what some APIs return for every cancellation.
        level = logging.INFO if answered == ANSWERED_EMPTY else logging.WARNING
        ids = {"cl_order_id": check.cl_order_id, "order_id": check.order_id}
        log.log(level, "outcome unknown, checking whether %s: %s", check.claim, cause, extra=ids)
        try:
            return await reconcile(sender, check, sender.timeouts.settle, is_known=is_known, answered=answered)
        except (OrderOutcomeUnknownError, ConflictError) as exc:
            raise exc from cause

    def without_retries(self) -> Self:
        """Return the same orders, read without retries: reconciling has its own pauses."""
        sender = self._api.sender
        # Not ``Sender.without_retries``, which closes with its sender: the order must be looked up after that, too.
        single_attempt = msgspec.structs.replace(sender.retry, attempts=1)
        return type(self)(self._api.with_sender(sender.with_options(None, single_attempt)))


def _read_page(codec: RestCodec, response: wire.Response, request: wire.Request) -> Page[Order]:
    rows = codec.read_list(_ORDERS, response, request)
    return Page(
        items=tuple(rows),
        next_cursor=rows.next_cursor,
        prev_cursor=rows.prev_cursor,
        may_be_cut_off=rows.may_be_cut_off,
    )


def _identity(order: Order) -> Hashable:
    # The fields that never change. An ``order_id`` alone may be that of two accounts, or be given out again.
    return order.account_id, order.order_id, order.cl_order_id, order.symbol, order.side


def _response_state(cause: TransportError | BrokerError) -> str:
    if not isinstance(cause, MalformedResponseError):
        return LOST
    is_empty = cause.response is not None and not cause.response.body.strip()
    return ANSWERED_EMPTY if is_empty else "its response could not be decoded"


def _path(order: order_lookup.OrderRef) -> str:
    account = wire.path_segment(order.account_id, "account_id")
    return f"/accounts/{account}/orders/{wire.path_segment(order.order_id, 'order_id')}"


def _check_limit(limit: object) -> None:
    if limit is not None:
        positive_int("limit", limit, most=wire.LARGEST_PAGE)


def _check_ticket(ticket: object) -> None:
    if not isinstance(ticket, OrderTicket):
        msg = f"ticket must be an OrderTicket, as connecttrade_async.tickets creates it, got {type(ticket).__name__}"
        raise ConfigurationError(msg)


def _check_own_id(cl_order_id: object) -> None:
    # No order can have such an id, and returning None would mean that the order was never placed.
    problems: list[str] = []
    if read_text("cl_order_id", cl_order_id, problems) is None:
        msg = f"cl_order_id must be the id of a ticket or of a replacement, got {shown(cl_order_id)}: {problems[0]}"
        raise ConfigurationError(msg)
