"""What users hold: orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.fields import Model
from connecttrade_async.models.orders import Order
from connecttrade_async.models.pages import Page
from connecttrade_async.rest import wire
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.rest.resources.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["Orders"]

MAX_LIMIT = 500


class _Envelope(Model, frozen=True, kw_only=True, gc=False):
    """A page as an object: cursors documented, their place ``Assumed:``."""

    orders: tuple[Order, ...]
    next_cursor: str | None = None
    prev_cursor: str | None = None


_PAGE = wire.decoder(cast("type[_Envelope | tuple[Order, ...]]", _Envelope | tuple[Order, ...]))


class Orders(Resource):
    """``/orders``: what was asked of brokers, and what became of it."""

    __slots__ = ()

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
        **filters: str,
    ) -> Listing[Order]:
        """List orders: ``await`` it for one page, ``async for`` it for every order.

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
            filters: any other, passed on as it is.

        Raises:
            ConfigurationError: at once, for a limit outside 1 to 500, two cursors, or an empty filter.
            NotFoundError: the user has no account or connection of that id.
            CursorError: the API's cursors lead in a circle, or nowhere.
            TransportError: the wire failed. A failure is never an empty list.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the call and changes nothing.
        """
        if limit is not None and (isinstance(limit, bool) or not 1 <= limit <= MAX_LIMIT):
            msg = f"limit must be from 1 to {MAX_LIMIT}, not {limit!r}"
            raise ConfigurationError(msg)
        if next_cursor is not None and prev_cursor is not None:
            msg = "pass next_cursor to go on or prev_cursor to go back, not both"
            raise ConfigurationError(msg)
        params = {
            "status": status,
            "account_id": account_id,
            "connection_id": connection_id,
            "symbols": symbols if symbols is None or isinstance(symbols, str) else tuple(symbols),
            "side": side,
            "start_time": start_time,
            "end_time": end_time,
            "sort": sort,
            "limit": limit,
            **filters,
        }
        wire.query_string(params)  # so that a wrong filter is met here, and not where the listing is awaited
        cursor_name = "next_cursor" if prev_cursor is None else "prev_cursor"

        async def fetch(cursor: str | None) -> Page[Order]:
            return await self._page({**params, cursor_name: cursor})

        return Listing(fetch, start=next_cursor or prev_cursor, backwards=prev_cursor is not None)

    async def _page(self, params: dict[str, object]) -> Page[Order]:
        request = self._requester.asking("/orders", params)
        response = await self._requester.caller.send(request)
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
