"""Collect what changed in live accounts since the last update.

The order of an update matters: books that became stale, changes, new books, books that are current again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.errors import ConnectTradeError
from connecttrade_async.models.events import Gap, StreamLive, StreamLost, StreamRetrying

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from connecttrade_async.books.book import Book
    from connecttrade_async.books.changes import Change
    from connecttrade_async.clock import Clock
    from connecttrade_async.live.accounts import LiveAccounts
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream

__all__ = ["WatchState", "WatchUpdate"]


class WatchUpdate(NamedTuple):
    """What changed since the last update.

    Attributes:
        stale: the books that are no longer current.
        changes: the changes, in order.
        dropped: the number of changes that overflowed the queue; the books include them.
        fresh: the books to print whole: new books, or all books after an overflow.
        current: the books that are current again.
        failure: why the user cannot be read; None if that is unchanged.
        ending: the error that ended the stream, or None.
    """

    stale: tuple[Book, ...]
    changes: tuple[Change, ...]
    dropped: int
    fresh: tuple[Book, ...]
    current: tuple[Book, ...]
    failure: str | None
    ending: ConnectTradeError | None


class WatchState:
    """Collects the changes of live accounts and of their stream.

    Args:
        live: the open live accounts.
        stream: the open stream that feeds them.
        names: the display names by account id.
        is_all: whether accounts without a name are watched too.
        clock: the clock.

    Attributes:
        names: the display names by account id.
        since: by account id, the time since which its book is not current.
        failure: why the user cannot be read; empty if it can.
        stream_problem: why the stream is not live; empty while it is.
    """

    def __init__(
        self,
        live: LiveAccounts,
        stream: BrokerageStream,
        names: Mapping[str, str],
        *,
        is_all: bool,
        clock: Clock,
    ) -> None:
        self.names = names
        self.since: dict[str, datetime] = {}
        self.failure = self.stream_problem = ""
        self._live = live
        self._is_all = is_all
        self._clock = clock
        self._known: dict[str, bool] = {}
        # A slow terminal drops changes and gets the whole books again; it must not block the stream.
        self._changes = live.changes(overflow="drop_oldest")
        self._lifecycle = stream.subscribe("lifecycle", overflow="drop_oldest")

    def name(self, account_id: str) -> str:
        """Return the display name of an account."""
        return self.names.get(account_id, account_id)

    @property
    def recovery(self) -> tuple[int, int]:
        """The number of gaps, and of changes that were recovered after them."""
        statistics = self._live.statistics()
        return statistics.gaps, statistics.recovered

    def books(self) -> tuple[Book, ...]:
        """Return the watched books."""
        return tuple(book for book in self._live.books() if self._is_watched(book.account_id))

    async def wait(self) -> WatchUpdate:
        """Wait for changes and return them. Cancelling loses no change."""
        try:
            await self._live.wait(lambda _: self._has_changes())
        except ConnectTradeError as exc:
            return self.take(exc)
        return self.take()

    def take(self, ending: ConnectTradeError | None = None) -> WatchUpdate:
        """Return the changes since the last call, without waiting; every field may be empty."""
        ending = self._read_lifecycle() or ending
        changes, dropped, ended = self._take_changes()
        books, known = self.books(), self._known
        self._known = {book.account_id: book.is_current for book in books}
        stale = tuple(book for book in books if not book.is_current and known.get(book.account_id))
        # ``is False``: a book that was unknown is fresh, not current again.
        current = tuple(book for book in books if book.is_current and known.get(book.account_id) is False)
        fresh = tuple(book for book in books if dropped or book.account_id not in known)
        self._note_since(books)
        failure, self.failure = self.failure, self._failure()
        reported = self.failure if self.failure != failure and self.failure else None
        return WatchUpdate(stale, tuple(changes), dropped, fresh, current, reported, ended or ending)

    def _has_changes(self) -> bool:
        is_current = {book.account_id: book.is_current for book in self.books()}
        return bool(self._changes.statistics().waiting) or is_current != self._known or self._failure() != self.failure

    def _is_watched(self, account_id: str) -> bool:
        return self._is_all or account_id in self.names

    def _failure(self) -> str:
        return "; ".join(str(error).rstrip(".") for error in self._live.failed.values())

    def _take_changes(self) -> tuple[list[Change], int, ConnectTradeError | None]:
        changes: list[Change] = []
        dropped = 0
        try:
            while (change := self._changes.receive_nowait()) is not None:
                if isinstance(change, Gap):
                    dropped += change.dropped
                elif self._is_watched(change.account_id):
                    changes.append(change)
        except ConnectTradeError as exc:
            return changes, dropped, exc
        return changes, dropped, None

    def _read_lifecycle(self) -> ConnectTradeError | None:
        try:
            while (event := self._lifecycle.receive_nowait()) is not None:
                if isinstance(event, StreamLost):
                    self.stream_problem = f"the stream was lost: {event.cause}"
                elif isinstance(event, StreamRetrying):
                    self.stream_problem = (
                        f"{self.stream_problem.partition('; ')[0]}; trying again in {event.delay:.1f} s"
                    )
                elif isinstance(event, StreamLive):
                    self.stream_problem = ""
        except ConnectTradeError as exc:
            return exc
        return None

    def _note_since(self, books: tuple[Book, ...]) -> None:
        now = self._clock.wall()
        self.since = {book.account_id: self.since.get(book.account_id, now) for book in books if not book.is_current}
