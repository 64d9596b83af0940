"""Calls of the REST API with responses that a test sets, without a socket."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from connecttrade_async.books.snapshots import OrderListing, UserSnapshot
from connecttrade_async.models.pages import Page, Rows
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.digests import LazyValue
from connecttrade_async.rest.pagination import Listing
from connecttrade_async.rest.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from connecttrade_async import Balance, Order, Position

T = TypeVar("T")
_bodies = itertools.count()


class ScriptedApi:
    """Answers each request with the value of a function, which stands for the decoded response.

    Args:
        answer: returns the value of the response to a request with that query.
        body: the body of each response; None for another body each time.
    """

    def __init__(self, answer: Callable[[str], Awaitable[Any]], body: bytes | None = None) -> None:
        self.answer = answer
        self.body = body
        self.decoded = 0
        self._value: Any = None

    async def send(self, request: Request) -> Response:
        self._value = await self.answer(request.query)
        return Response(200, {}, b"%d" % next(_bodies) if self.body is None else self.body)

    def decode(self, response: Response, request: Request) -> Any:
        del response, request
        self.decoded += 1
        value: Any = self._value
        if type(value) is not list:
            return value
        return Rows(cast("Any", value))

    def call(self, path: str = "/") -> Call[Any]:
        """Return a call of this API."""
        return Call(self, Request(method="GET", path=path), self.decode)

    def listing(self, path: str = "/", **options: Any) -> Listing[Any]:
        """Return a listing that sends its cursor as its query."""

        def request_at(cursor: str | None) -> Request:
            return Request(method="GET", path=path, query=cursor or "")

        return Listing(self, request_at, self.decode, **options)


def answered(value: object) -> Call[Any]:
    """Return a call with a response that has a value."""

    async def answer(_: str) -> object:
        return value

    return ScriptedApi(answer).call()


def lazy(value: T) -> LazyValue[T]:
    """Return a value that is not decoded yet."""
    return LazyValue(lambda _: value, Response(200, {}, b""))


def user_snapshot(orders: Sequence[Order], positions: Sequence[Position], balances: Sequence[Balance]) -> UserSnapshot:
    """Return a snapshot with these rows; the orders are oldest first."""
    listing = OrderListing(lazy(Page(items=tuple(reversed(orders)))))
    return UserSnapshot([listing], lazy(Rows(positions)), lazy(Rows(balances)))
