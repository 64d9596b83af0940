"""A loop: follow the cursor, one page ahead, and never in a circle."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Hashable, Iterator
from typing import Any, Generic, Self, TypeVar

from connecttrade_async.errors import CursorError
from connecttrade_async.models.pages import Page

__all__ = ["Listing", "Pages"]

T = TypeVar("T")
# Pages in a row without a new row after which the next cursor is not followed. Filters may leave a page empty, and a
# row may move to the next page while pages are read, so one such page proves nothing.
MAX_STALE_PAGES = 3


class Listing(Generic[T]):
    """A listing that was asked for: awaited it is one page, iterated it is every item, ``pages()`` is every page.

    Nothing is sent before it is awaited or iterated, and each ``async for`` begins anew. An item that stands on two
    pages is delivered once, as it stood on the first.

    Args:
        fetch: asks for the page at a cursor; None is the first.
        start: the cursor to begin at, or None.
        backwards: whether ``prev_cursor`` is followed instead of ``next_cursor``.
        key: returns what identifies an item; by default the item itself.
    """

    __slots__ = ("_backwards", "_fetch", "_key", "_start")

    def __init__(
        self,
        fetch: Callable[[str | None], Coroutine[Any, Any, Page[T]]],
        *,
        start: str | None = None,
        backwards: bool = False,
        key: Callable[[T], Hashable] | None = None,
    ) -> None:
        self._fetch = fetch
        self._key = key
        self._start = start
        self._backwards = backwards

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._fetch(self._start).__await__()

    def __aiter__(self) -> Items[T]:
        return Items(self.pages())

    def pages(self) -> Pages[T]:
        """Return an iterator over the pages as they came; while you work on one, the next is fetched.

        Raises:
            CursorError: a cursor repeats, or three pages in a row have no new item and name another page. All pages
                that came are delivered first.
            TransportError: the wire failed.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the page that was being fetched; leaving the loop early does too.
        """
        return Pages(self._fetch, start=self._start, backwards=self._backwards, key=self._key)

    def __repr__(self) -> str:
        # Seen by whoever forgot the await: unlike a coroutine, a listing has nothing to complain about.
        return "<Listing, not asked for: await it for one page, or iterate it with async for>"


class Pages(Generic[T]):
    """An async iterator over pages. After an error it can be asked again for the page that failed.

    Attributes:
        new_items: the items of the latest page that stood on no page before it.
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
        # The page itself came and is told; only what would follow leads nowhere.
        if cursor in self._seen_cursors:
            why = "it was followed before, so the listing would never end"
            self._cursor_error = CursorError(cursor=cursor, why=why)
            return
        if self._stale_pages >= MAX_STALE_PAGES:
            self._cursor_error = CursorError(cursor=cursor, why=f"{self._stale_pages} pages in a row had no new row")
            return
        self._seen_cursors.add(cursor)
        self._cursor = cursor
        self._ahead = asyncio.create_task(self._fetch(cursor), name="connecttrade page ahead")
        self._ahead.add_done_callback(_retrieve_exception)

    def _new_among(self, items: tuple[T, ...], *, is_last: bool) -> tuple[T, ...]:
        if is_last and not self._seen_keys:
            return items  # of a listing of one page, nothing need be remembered
        keys: list[Hashable] = [self._key(item) for item in items] if self._key is not None else [*items]
        new = tuple([item for item, key in zip(items, keys, strict=True) if key not in self._seen_keys])
        # Only now: rows that share a key on one page are different rows, since the server lists them side by side.
        self._seen_keys.update(keys)
        return new

    async def aclose(self) -> None:
        """Stop, and wait until the page that was being fetched is dropped. Closing twice is harmless.

        Cancelling stops waiting; the page is dropped all the same.
        """
        self._is_done = True
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])

    def __del__(self) -> None:
        # ``async for`` says nothing when its body breaks out, so this is the only way to learn of it.
        ahead = getattr(self, "_ahead", None)
        if ahead is not None and not ahead.get_loop().is_closed():
            ahead.cancel()


class Items(Generic[T]):
    """An async iterator over the items of pages, each of them once."""

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
        """Stop, and wait until the page that was being fetched is dropped. Closing twice is harmless.

        Cancelling stops waiting; the page is dropped all the same.
        """
        await self._pages.aclose()


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    # A page that nobody came for must not complain to the log when it is collected.
    if not task.cancelled():
        task.exception()
