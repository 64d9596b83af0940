"""Replies that calls of the market data stream await."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from connecttrade_async.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["PendingReplies"]

ABANDONED = "the feed was closed, or the symbol removed, before the server answered"


class PendingReplies:
    """Futures of awaited replies, by requester and subject.

    A subject is a ``SubscriptionKey`` or the id of a query. A result is None for success, an exception, or a reply; it
    is never set as the future's exception, since several calls may await one future and some may be cancelled.
    """

    __slots__ = ("_closed_by", "_futures")

    def __init__(self) -> None:
        self._futures: dict[tuple[Hashable, Hashable], asyncio.Future[Any]] = {}
        self._closed_by: Exception | None = None

    def expect(self, requester: Hashable, subject: Hashable) -> asyncio.Future[Any]:
        """Return the future of a reply; calls with the same arguments share it until it is resolved."""
        future = self._futures.get((requester, subject))
        if future is None:
            future = self._futures[requester, subject] = asyncio.get_running_loop().create_future()
            if self._closed_by is not None:
                self.resolve(requester, subject, self._closed_by)
        return future

    def is_expected(self, requester: Hashable, subject: Hashable) -> bool:
        """Whether a call awaits this reply."""
        return (requester, subject) in self._futures

    def resolve(self, requester: Hashable, subject: Hashable, result: object) -> None:
        """Set the result of a reply; it is ignored where no call awaits it."""
        future = self._futures.pop((requester, subject), None)
        if future is not None and not future.done():
            future.set_result(result)

    def confirm(self, subjects: Iterable[Hashable]) -> None:
        """Resolve with success each reply about one of these subjects, for every requester."""
        confirmed = set(subjects)
        for requester, subject in [key for key in self._futures if key[1] in confirmed]:
            self.resolve(requester, subject, None)

    def cancel(self, requester: Hashable, subject: Hashable) -> None:
        """Resolve a reply with ``ClosedError``, since it is no longer requested."""
        self.resolve(requester, subject, ClosedError("what was waited for", hint=ABANDONED))

    def close(self, error: Exception) -> None:
        """Resolve every reply with this error, and each later one."""
        self._closed_by = error
        for requester, subject in tuple(self._futures):
            self.resolve(requester, subject, error)
