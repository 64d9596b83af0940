"""The front door: what a watcher of live accounts has to tell since it told last, in the order in which it counts.

A book that stopped being current is told before what changed, and one that is current again after it.
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
    from connecttrade_async.streaming.stream import BrokerageStream

__all__ = ["WatchState", "WatchUpdate"]


class WatchUpdate(NamedTuple):
    """What is new.

    Attributes:
        stale: books that are not current any more.
        changes: what changed.
        dropped: changes that there were too many of to tell; the books have them.
        fresh: books to be told whole: those that are new, and all where changes were dropped.
        current: books that are current again.
        failure: why the user cannot be read; None where there is no news of that.
        ending: why it is over, or None.
    """

    stale: tuple[Book, ...]
    changes: tuple[Change, ...]
    dropped: int
    fresh: tuple[Book, ...]
    current: tuple[Book, ...]
    failure: str | None
    ending: ConnectTradeError | None


class WatchState:
    """Watches live accounts.

    Args:
        live: the accounts, open.
        stream: what feeds them, open.
        names: by account, as people know it.
        is_all: whether accounts that have no name yet are meant too.
        clock: time.

    Attributes:
        names: by account, as people know it.
        since: by account, since when its book is not current.
        failure: why the user cannot be read; empty where that is not so.
        trouble: what became of the link; empty while it is live.
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
        self.failure = self.trouble = ""
        self._live = live
        self._is_all = is_all
        self._clock = clock
        self._known: dict[str, bool] = {}
        # Whoever lingers is told of a gap and is shown the books anew: it may take its time.
        self._changes = live.changes(overflow="drop_oldest")
        self._link = stream.subscribe("lifecycle", overflow="drop_oldest")

    def name(self, account_id: str) -> str:
        """Return an account as people know it."""
        return self.names.get(account_id, account_id)

    @property
    def healed(self) -> tuple[int, int]:
        """How many times something may have been missed, and how many changes were recovered."""
        done = self._live.statistics()
        return done.gaps, done.recovered

    def books(self) -> tuple[Book, ...]:
        """Return the books that are watched, as they are now."""
        return tuple(book for book in self._live.books() if self._is_watched(book.account_id))

    async def turn(self) -> WatchUpdate:
        """Wait until there is news, and take it. Cancelling stops waiting, and nothing is lost."""
        try:
            await self._live.wait(lambda _: self._has_news())
        except ConnectTradeError as exc:
            return self.take(exc)
        return self.take()

    def take(self, ending: ConnectTradeError | None = None) -> WatchUpdate:
        """Take what is new, at once; of nothing new each part is empty."""
        ending = self._hear_the_link() or ending
        changes, dropped, ended = self._take_changes()
        books, known = self.books(), self._known
        self._known = {book.account_id: book.is_current for book in books}
        stale = tuple(book for book in books if not book.is_current and known.get(book.account_id))
        current = tuple(book for book in books if book.is_current and known.get(book.account_id) is False)
        fresh = tuple(book for book in books if dropped or book.account_id not in known)
        self._note_since(books)
        failure, self.failure = self.failure, self._failure()
        told = self.failure if self.failure != failure and self.failure else None
        return WatchUpdate(stale, tuple(changes), dropped, fresh, current, told, ended or ending)

    def _has_news(self) -> bool:
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

    def _hear_the_link(self) -> ConnectTradeError | None:
        try:
            while (event := self._link.receive_nowait()) is not None:
                if isinstance(event, StreamLost):
                    self.trouble = f"the stream was lost: {event.cause}"
                elif isinstance(event, StreamRetrying):
                    self.trouble = f"{self.trouble.partition('; ')[0]}; trying again in {event.delay:.1f} s"
                elif isinstance(event, StreamLive):
                    self.trouble = ""
        except ConnectTradeError as exc:
            return exc
        return None

    def _note_since(self, books: tuple[Book, ...]) -> None:
        now = self._clock.wall()
        self.since = {book.account_id: self.since.get(book.account_id, now) for book in books if not book.is_current}
