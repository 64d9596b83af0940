"""Iterate over the pages and items of a listing: prefetch one page, and detect cursors that repeat."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterator
from typing import Any, Generic, Self, TypeVar

from connecttrade_async.errors import CursorError
from connecttrade_async.models.pages import Page
from connecttrade_async.rest.call import Call, RequestApi, ResponseDecoder
from connecttrade_async.rest.wire import Request, Response

__all__ = ["Listing", "Pages"]

T = TypeVar("T")
# Pages in a row without a new item after which the next cursor is not followed. A filter may leave a page empty, and an
# item may move to the next page while pages are read, so one such page proves nothing.
MAX_STALE_PAGES = 3


class Listing(Call[Page[T]], Generic[T]):
    """A paginated listing: ``await`` returns one page, ``async for`` yields every item, ``pages()`` every page.

    Nothing is sent before the listing is awaited or iterated. It is awaited once, as ``Call`` says, and iterated any
    number of times: each ``async for`` starts at the first page. An item on two pages is yielded once, as on the first
    of them.

    Args:
        api: sends the requests.
        request_at: returns the request for the page at a cursor; None is the first page.
        decode: decodes a page.
        start: the cursor of the first page, or None.
        backwards: whether to follow ``prev_cursor`` instead of ``next_cursor``.
        key: returns the identity of an item; by default the item itself.

    Attributes:
        may_be_cut_off: whether a page that iterating has read may be cut off, as ``Page`` has it. Such items prove no
            absence.
    """

    __slots__ = ("_backwards", "_key", "_request_at", "_start_cursor", "may_be_cut_off")

    def __init__(
        self,
        api: RequestApi,
        request_at: Callable[[str | None], Request],
        decode: ResponseDecoder[Page[T]],
        *,
        start: str | None = None,
        backwards: bool = False,
        key: Callable[[T], Hashable] | None = None,
    ) -> None:
        super().__init__(api, request_at(start), decode)
        self._request_at = request_at
        self._key = key
        self._start_cursor = start
        self._backwards = backwards
        self.may_be_cut_off = False

    def __aiter__(self) -> Items[T]:
        return Items(self.pages())

    def pages(self) -> Pages[T]:
        """Return an iterator over the pages; the next page is fetched while the loop body runs.

        Raises:
            CursorError: a cursor repeats, or three pages in a row have no new item and name another page. All fetched
                pages are yielded first.
            TransportError: the request got no complete response.
            BrokerError: the API refused the request, or the response cannot be decoded.

        Cancelling drops the page that is being fetched; so does a ``break``.
        """
        return Pages(self._page_at, start=self._start_cursor, backwards=self._backwards, key=self._key)

    def _page_at(self, cursor: str | None) -> Call[Page[T]]:
        return Call(self._api, self._request_at(cursor), self._decode_page)

    def _decode_page(self, response: Response, request: Request) -> Page[T]:
        page = self._decode(response, request)
        self.may_be_cut_off |= page.may_be_cut_off
        return page

    def __repr__(self) -> str:
        # Shows up if the ``await`` is missing.
        if self._is_started:
            return "<Listing, sent>"
        return "<Listing, not sent yet: await it for one page, or iterate it with async for>"


class Pages(Generic[T]):
    """An async iterator over pages. After an error, ``anext`` fetches the failed page again.

    Attributes:
        new_items: the items of the latest page that were on no page before it.
    """

    __slots__ = (
        "_ahead",
        "_backwards",
        "_cursor",
        "_cursor_error",
        "_fetch",
        "_is_done",
        "_key",
        "_seen_cursors",
        "_seen_keys",
        "_stale_pages",
        "new_items",
    )

    def __init__(
        self,
        fetch: Callable[[str | None], Coroutine[Any, Any, Page[T]]],
        *,
        start: str | None,
        backwards: bool,
        key: Callable[[T], Hashable] | None = None,
    ) -> None:
        self._fetch = fetch
        self._key = key
        self._seen_keys: set[Hashable] = set()
        self.new_items: tuple[T, ...] = ()
        self._backwards = backwards
        self._cursor = start
        self._seen_cursors = {start}
        self._stale_pages = 0
        self._ahead: asyncio.Task[Page[T]] | None = None
        self._cursor_error: CursorError | None = None
        self._is_done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page[T]:
        if self._is_done:
            raise StopAsyncIteration
        if self._cursor_error is not None:
            raise self._cursor_error
        ahead, self._ahead = self._ahead, None
        page = await (ahead if ahead is not None else self._fetch(self._cursor))
        self._advance(page)
        return page

    def _advance(self, page: Page[T]) -> None:
        cursor = page.prev_cursor if self._backwards else page.next_cursor
        self.new_items = self._new_among(page.items, is_last=not cursor)
        self._stale_pages = 0 if self.new_items else self._stale_pages + 1
        if not cursor:
            self._is_done = True
            return
        # The page itself is yielded; the error is raised for the next one.
        if cursor in self._seen_cursors:
            why = "it was followed before, so the listing would never end"
            self._cursor_error = CursorError(cursor=cursor, why=why)
            return
        if self._stale_pages >= MAX_STALE_PAGES:
            self._cursor_error = CursorError(cursor=cursor, why=f"{self._stale_pages} pages in a row had no new item")
            return
        self._seen_cursors.add(cursor)
        self._cursor = cursor
        self._ahead = asyncio.create_task(self._fetch(cursor), name="connecttrade page ahead")
        self._ahead.add_done_callback(_retrieve_exception)

    def _new_among(self, items: tuple[T, ...], *, is_last: bool) -> tuple[T, ...]:
        if is_last and not self._seen_keys:
            return items  # a listing of one page needs no keys
        keys: list[Hashable] = [self._key(item) for item in items] if self._key is not None else [*items]
        new = tuple([item for item, key in zip(items, keys, strict=True) if key not in self._seen_keys])
        # Only now: items with the same key on one page are different items, since the server lists both.
        self._seen_keys.update(keys)
        return new

    async def aclose(self) -> None:
        """Stop, and wait until the page that is being fetched is dropped. Idempotent.

        Cancelling stops waiting; the page is dropped all the same.
        """
        self._is_done = True
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])

    def __del__(self) -> None:
        # ``async for`` does not close its iterator on ``break``, so only the finalizer can drop the page.
        ahead = getattr(self, "_ahead", None)
        if ahead is not None and not ahead.get_loop().is_closed():
            ahead.cancel()


class Items(Generic[T]):
    """An async iterator over the items of pages, each yielded once."""

    __slots__ = ("_items", "_pages")

    def __init__(self, pages: Pages[T]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._items:
                return item
            await anext(self._pages)
            self._items = iter(self._pages.new_items)

    async def aclose(self) -> None:
        """Stop, and wait until the page that is being fetched is dropped. Idempotent.

        Cancelling stops waiting; the page is dropped all the same.
        """
        await self._pages.aclose()


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    # The exception of a page that is never awaited would be logged when the task is collected.
    if not task.cancelled():
        task.exception()
