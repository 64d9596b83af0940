"""What users hold: orders."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import logging
from collections.abc import Coroutine, Hashable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, Self, cast, overload

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
from connecttrade_async.models.fields import Model
from connecttrade_async.models.orders import Order
from connecttrade_async.models.pages import Page
from connecttrade_async.rest import order_lookup, wire
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.rest.reconciliation import LOST, OutcomeCheck, outcome_unknown, reconcile
from connecttrade_async.rest.resources.resource import Resource
from connecttrade_async.rest.retry import is_ambiguous
from connecttrade_async.tickets import OrderTicket, replacement
from connecttrade_async.tickets.parsing import read_text

__all__ = ["Orders"]

MAX_LIMIT = 500
ANSWERED_EMPTY = "the API accepted it with an empty answer"
CURSORS = ("next_cursor", "prev_cursor")
ONE_WEEK = timedelta(days=7)
log = logging.getLogger("connecttrade_async.rest")


class _Envelope(Model, frozen=True, kw_only=True, gc=False):
    """A page as an object: cursors documented, their place ``Assumed:``."""

    orders: tuple[Order, ...]
    next_cursor: str | None = None
    prev_cursor: str | None = None


_ORDER = wire.decoder(Order)
_PAGE = wire.decoder(cast("type[_Envelope | tuple[Order, ...]]", _Envelope | tuple[Order, ...]), key="order_id")


class Orders(Resource):
    """``/orders``: what was asked of brokers, and what became of it."""

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
        """List orders: ``await`` it for one page, ``async for`` it for every order, each once.

        With no filter at all, the API lists the orders that are open since midnight UTC (documented).

        Args:
            status: ``all``, ``open``, ``closed``, or one status (documented).
            account_id: only that account's. ``Assumed:``
            connection_id: only those of one connection. ``Assumed:``
            symbols: only these, CQS or OSI (documented).
            side: only this side (documented).
            start_time: only those from then on, aware (documented).
            end_time: only those until then, aware (documented).
            sort: ``asc`` or ``desc`` (documented; its values ``Assumed:``).
            limit: orders a page, 1 to 500; the API's default is 50 (documented).
            next_cursor: begin at this page and go on.
            prev_cursor: begin at this page and go back, page by page; within a page the order stays.
            extra: any other filters, by their names on the wire, passed on as they are.

        Raises:
            ConfigurationError: at once, for a limit outside 1 to 500, two cursors, an empty filter, or a name in
                ``extra`` that is an argument of its own.
            TypeError: at once, for an unknown keyword.
            NotFoundError: the user has no account or connection of that id.
            CursorError: the API's cursors lead in a circle, or to three pages in a row without a new order.
            TransportError: the wire failed. A failure is never an empty list.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call and changes nothing.
        """
        _check_limit(limit)
        if next_cursor is not None and prev_cursor is not None:
            msg = "pass next_cursor to go on or prev_cursor to go back, not both"
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
        # So that a wrong filter is met here, and not where the listing is awaited.
        first = wire.query_string({**params, cursor_name: start})

        def fetch(cursor: str | None) -> Coroutine[Any, Any, Page[Order]]:
            query = first if cursor == start else wire.query_string({**params, cursor_name: cursor})
            return self._page(query)

        return Listing(fetch, start=start, backwards=prev_cursor is not None, key=_identity)

    @overload
    async def place(self, ticket: OrderTicket, *, dry_run: Literal[True]) -> str: ...
    @overload
    async def place(self, ticket: OrderTicket, *, dry_run: Literal[False] = False) -> Order: ...
    async def place(self, ticket: OrderTicket, *, dry_run: bool = False) -> Order | str:
        """Place an order: once, whatever happens to the answer.

        If the answer is lost, the order is looked for by the ticket's ``cl_order_id`` until it is found or
        ``timeouts.settle`` seconds are over. The id is unique per day only (documented), so an order counts only if it
        was made after the request began, less five minutes for clocks that differ. A ticket that was placed before on
        the same day in UTC, and whose id the API refuses therefore, is found the same way: placing it again returns the
        order that lives. An order of that id that does not say when it was made counts only if the id was drawn just
        before the request; else the outcome is unknown.

        Args:
            ticket: what to send; it was checked when it was made.
            dry_run: send nothing.

        Returns:
            The order; for a dry run, the exact JSON that would be sent.

        Raises:
            ConfigurationError: what was given is no ticket; nothing was sent.
            OrderOutcomeUnknownError: it was sent, and nobody can say yet; it has ``.resolve()``. It may be live.
            BadRequestError: the broker refused it.
            ConflictError: the ticket's id belongs to another order, of another account or with other terms.
            AuthenticationError: the connection is not entitled to trade (documented), or a secret is wrong.
            NotFoundError: the user has no such account.
            APIError: the API refused it otherwise; nothing was placed.
            TransportError: it never left this machine; nothing was placed.

        Cancelling sends nothing more. The order may have been placed: ``find(ticket.cl_order_id)`` finds it then. For
        an id of your own that was used on an earlier day too, give ``find`` a ``since=``.
        """
        _check_ticket(ticket)
        payload = ticket.payload()
        if dry_run:
            return msgspec.json.encode(payload).decode()
        search = order_lookup.check_placed(self, ticket, self._api.sender.clock.wall())
        request = self._api.new_request("POST", "/orders", body=payload, repeat=wire.RetryMode.IF_UNSENT)
        # The broker refuses an id that it knows, so a conflict over ours says that the order exists.
        return await self._send_once(request, search, is_conflict_ours=True)

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
        """Replace an order by one with another quantity or price: once, whatever happens to the answer.

        If the answer is lost, the replacing order and the state of the old one are looked for until either says what
        happened, or ``timeouts.settle`` seconds are over.

        Args:
            order: the order; or else its ``account_id``, ``order_id`` and ``broker``.
            account_id: whose, where the order does not say.
            order_id: which, where no order is given.
            broker: at which broker, where the order does not say.
            qty: shares or contracts.
            notional: money instead of a quantity.
            price: the limit, per share.
            stop: the trigger, per share.
            new_cl_order_id: the id of the replacing order; one is made where none is given.

        Returns:
            The replacing order.

        Raises:
            TicketError: nothing is changed, or a number cannot be sent; nothing was sent.
            ConfigurationError: it is not said which order; nothing was sent.
            OrderOutcomeUnknownError: it was sent, and nobody can say yet; it has ``.resolve()``.
            OrderNotReplacedError: the answer was lost, and the order turned out to have ended before.
            APIError: the broker refused it, for instance because the order has ended; nothing was replaced.
            TransportError: it never left this machine; nothing was replaced.

        Cancelling sends nothing more. The order may have been replaced: ``find(new_cl_order_id)`` tells.
        """
        old = order_lookup.order_ref(order, account_id, order_id, broker)
        if not old.broker:
            msg = "say at which broker the order is: pass broker="
            raise ConfigurationError(msg)
        new_id = new_cl_order_id or new_order_id()
        body = replacement(new_id, old.broker, qty=qty, notional=notional, price=price, stop=stop)
        search = order_lookup.check_replaced(self, old, new_id, self._api.sender.clock.wall())
        request = self._api.new_request("PATCH", _path(old), body=body, repeat=wire.RetryMode.IF_UNSENT)
        # An id that was just drawn cannot be known already; then a conflict is the broker's no.
        return await self._send_once(request, search, is_conflict_ours=new_cl_order_id is not None)

    async def cancel(
        self,
        order: Order | None = None,
        *,
        account_id: str | None = None,
        order_id: str | None = None,
    ) -> Order:
        """Cancel an order, and return it as it then stands.

        An order that had ended before comes back as it ended, filled or cancelled: look at its ``status``. One that is
        ``replaced`` has a successor that goes on working, under an id of its own. If the
        answer is lost or empty, the order's state is looked at until it shows the cancellation, or ``timeouts.settle``
        seconds are over.

        Args:
            order: the order; or else its ``account_id`` and ``order_id``.
            account_id: whose, where the order does not say.
            order_id: which, where no order is given.

        Returns:
            The order: ``cancelled``, ``pending_cancel``, or as it had ended before.

        Raises:
            ConfigurationError: it is not said which order; nothing was sent.
            OrderOutcomeUnknownError: it was sent, and the order still works; it has ``.resolve()``.
            NotFoundError: the user has no such order.
            APIError: the broker refused it, and the order goes on.
            TransportError: it never left this machine; nothing was cancelled.

        Cancelling this call sends nothing more. The order may have been cancelled.
        """
        old = order_lookup.order_ref(order, account_id, order_id, None)
        request = self._api.new_request("DELETE", _path(old), repeat=wire.RetryMode.IF_UNSENT)
        search = order_lookup.check_cancelled(self, old)
        try:
            return await self._send_once(request, search, is_conflict_ours=False)
        except (BadRequestError, ConflictError, NotFoundError):
            truth = await order_lookup.ended_before(self, old)
            if truth is None:
                raise
            return search.complete(truth)

    async def find(
        self,
        cl_order_id: str,
        *,
        account_id: str | None = None,
        since: datetime | None = None,
    ) -> Order | None:
        """Look an order up by the id that it was sent under.

        Args:
            cl_order_id: the id of a ticket or of a replacement.
            account_id: only an order of that account, where the API says whose it is.
            since: how far back to look, aware; orders made before do not count. By default to when the id was drawn, if
                it is one of ours, else a week.

        Returns:
            The order, the latest where several days used the id; or None, which says that it is not listed now, not
            that it never will be.

        Raises:
            ConfigurationError: the id is empty, longer than 256 characters or not printable, and so no order's.
            CursorError: the API's cursors lead in a circle, or nowhere.
            TransportError: the wire failed. A failure is never None.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call and changes nothing.
        """
        _check_own_id(cl_order_id)
        now, born = self._api.sender.clock.wall(), issued_at(cl_order_id)
        # Somebody else's id may look like ours and tell any time.
        is_ours = born is not None and born <= now + order_lookup.ONE_DAY
        default = born - order_lookup.ONE_DAY if born is not None and is_ours else now - ONE_WEEK
        return await order_lookup.find(self, cl_order_id, since or default, account_id, since)

    async def _send_once(self, request: wire.Request, search: OutcomeCheck, *, is_conflict_ours: bool) -> Order:
        """Send what must not be done twice, and settle a lost answer."""
        caller = self._api.sender
        is_known = False
        cause: TransportError | BrokerError
        try:
            response = await self._api.send(request)
            order = wire.read(response, _ORDER, request)
            if order.order_id and search.cl_order_id in {None, order.cl_order_id or search.cl_order_id}:
                return search.complete(order)
            cause = MalformedResponseError(
                where="$", problem="another order than was sent", request=str(request), response=response
            )
        except ClosedError as exc:
            if not exc.may_be_done:
                raise
            raise outcome_unknown(caller, search, exc) from exc
        except (TransportError, BrokerError) as exc:
            is_known, cause = isinstance(exc, ConflictError) and is_conflict_ours, exc
            if not is_known and not is_ambiguous(exc):
                raise
        answered = _what_was_answered(cause)
        # An empty answer accepts what was asked, and is what some APIs answer to every cancellation.
        level = logging.INFO if answered == ANSWERED_EMPTY else logging.WARNING
        log.log(level, "no clear answer, looking whether %s: %s", search.claim, cause)
        try:
            return await reconcile(caller, search, caller.timeouts.settle, is_known=is_known, answered=answered)
        except (OrderOutcomeUnknownError, ConflictError) as exc:
            raise exc from cause

    def without_retries(self) -> Self:
        """Return these orders, asked for once: whoever looks again decides when."""
        caller = self._api.sender
        # Not ``asking_once``, which closes with a view: an order that was sent is looked for also when that is left.
        once = msgspec.structs.replace(caller.retry, attempts=1)
        return type(self)(self._api.with_sender(caller.with_options(None, once)))

    def _page(self, query: str) -> Coroutine[Any, Any, Page[Order]]:
        return self._api.read(self._api.get_request_with_query("/orders", query), _read_page)


def _read_page(response: wire.Response, request: wire.Request) -> Page[Order]:
    body = wire.read(response, _PAGE, request)
    if isinstance(body, _Envelope):
        items, following, previous = body.orders, body.next_cursor, body.prev_cursor
    else:
        items, following, previous = body, None, None
    return Page(
        items=items,
        next_cursor=following or response.headers.get(wire.NEXT_CURSOR) or None,
        prev_cursor=previous or response.headers.get(wire.PREV_CURSOR) or None,
    )


def _identity(order: Order) -> Hashable:
    # What never changes. An ``order_id`` alone may name orders of two accounts, or be given out again.
    return order.account_id, order.order_id, order.cl_order_id, order.symbol, order.side


def _what_was_answered(cause: TransportError | BrokerError) -> str:
    if not isinstance(cause, MalformedResponseError):
        return LOST
    is_empty = cause.response is not None and not cause.response.body.strip()
    return ANSWERED_EMPTY if is_empty else "its answer could not be read"


def _path(order: order_lookup.OrderRef) -> str:
    account = wire.path_segment(order.account_id, "account_id")
    return f"/accounts/{account}/orders/{wire.path_segment(order.order_id, 'order_id')}"


def _check_limit(limit: object) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        msg = f"limit must be from 1 to {MAX_LIMIT}, not {limit!r}"
        raise ConfigurationError(msg)


def _check_ticket(ticket: object) -> None:
    if not isinstance(ticket, OrderTicket):
        msg = (
            f"place takes a ticket, as the functions of connecttrade_async.tickets make it, not {type(ticket).__name__}"
        )
        raise ConfigurationError(msg)


def _check_own_id(cl_order_id: object) -> None:
    # No order has it, and None would be taken for "it was never placed".
    problems: list[str] = []
    if read_text("cl_order_id", cl_order_id, problems) is None:
        msg = f"cl_order_id must be the id of a ticket or of a replacement, not {shown(cl_order_id)}: {problems[0]}"
        raise ConfigurationError(msg)
