"""A loop: follow the cursor, one page ahead, and never in a circle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from connecttrade_async.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator

    from connecttrade_async.models.pages import Page

__all__ = ["Listing", "Pages"]

T = TypeVar("T")
EMPTY_PAGES = 3


class Listing(Generic[T]):
    """A listing that was asked for: awaited it is one page, iterated it is every item, ``pages()`` is every page.

    Nothing is sent before it is awaited or iterated, and each ``async for`` begins anew.

    Args:
        fetch: asks for the page at a cursor; None is the first.
        start: the cursor to begin at, or None.
        backwards: whether ``prev_cursor`` is followed instead of ``next_cursor``.
    """

    __slots__ = ("_backwards", "_fetch", "_start")

    def __init__(
        self,
        fetch: Callable[[str | None], Coroutine[Any, Any, Page[T]]],
        *,
        start: str | None = None,
        backwards: bool = False,
    ) -> None:
        self._fetch = fetch
        self._start = start
        self._backwards = backwards

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._fetch(self._start).__await__()

    def __aiter__(self) -> Items[T]:
        return Items(self.pages())

    def pages(self) -> Pages[T]:
        """Return an iterator over the pages; while you work on one, the next is fetched.

        Raises:
            CursorError: a cursor repeats, or page after page is empty and names another.
            TransportError: the wire failed.
            BrokerError: the API said no, or something unreadable.

        Cancelling drops the page that was being fetched; leaving the loop early does too.
        """
        return Pages(self._fetch, start=self._start, backwards=self._backwards)

    def __repr__(self) -> str:
        # Seen by whoever forgot the await: unlike a coroutine, a listing has nothing to complain about.
        return "<Listing, not asked for: await it for one page, or iterate it with async for>"


class Pages(Generic[T]):
    """An async iterator over pages. After an error it can be asked again for the page that failed."""

    __slots__ = ("_ahead", "_astray", "_backwards", "_cursor", "_empty", "_fetch", "_is_done", "_seen")

    def __init__(
        self,
        fetch: Callable[[str | None], Coroutine[Any, Any, Page[T]]],
        *,
        start: str | None,
        backwards: bool,
    ) -> None:
        self._fetch = fetch
        self._backwards = backwards
        self._cursor = start
        self._seen = {start}
        self._empty = 0
        self._ahead: asyncio.Task[Page[T]] | None = None
        self._astray: CursorError | None = None
        self._is_done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page[T]:
        if self._is_done:
            raise StopAsyncIteration
        if self._astray is not None:
            raise self._astray
        ahead, self._ahead = self._ahead, None
        page = await (ahead if ahead is not None else self._fetch(self._cursor))
        self._turn(page)
        return page

    def _turn(self, page: Page[T]) -> None:
        cursor = page.prev_cursor if self._backwards else page.next_cursor
        self._empty = 0 if page.items else self._empty + 1
        if not cursor:
            self._is_done = True
            return
        # The page itself came and is told; only what would follow leads nowhere.
        if cursor in self._seen:
            why = "it was followed before, so the listing would never end"
            self._astray = CursorError(cursor=cursor, why=why)
            return
        if self._empty >= EMPTY_PAGES:
            self._astray = CursorError(cursor=cursor, why=f"{self._empty} pages in a row were empty")
            return
        self._seen.add(cursor)
        self._cursor = cursor
        self._ahead = asyncio.create_task(self._fetch(cursor), name="connecttrade page ahead")
        self._ahead.add_done_callback(_heard)

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
    """An async iterator over the items of pages."""

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
            self._items = iter((await anext(self._pages)).items)

    async def aclose(self) -> None:
        """Stop, and wait until the page that was being fetched is dropped. Closing twice is harmless.

        Cancelling stops waiting; the page is dropped all the same.
        """
        await self._pages.aclose()


def _heard(task: asyncio.Task[Any]) -> None:
    # A page that nobody came for must not complain to the log when it is collected.
    if not task.cancelled():
        task.exception()
