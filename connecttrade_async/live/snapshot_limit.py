"""Limit the requests and the duration of one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connecttrade_async.errors import MalformedResponseError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from connecttrade_async.books.snapshots import Turn
    from connecttrade_async.clock import Clock

__all__ = ["SnapshotLimit", "UnendingError"]

# Requests beside the pages of orders: the balances and the positions.
BESIDE = 2


class UnendingError(MalformedResponseError):
    """A listing that did not end within the bound of a snapshot."""


class SnapshotLimit:
    """Counts the requests of one snapshot and their time, and raises when one exceeds its bound.

    It is called before each request in place of ``turn``. The wait for the turn does not count.

    Args:
        turn: returns an awaitable until the request may be sent, or None.
        clock: time.
        user_id: the user, for the error.
        pages: pages of orders that the snapshot may take.
        seconds: seconds that its requests may take together; the request that exceeds them is still awaited.
    """

    __slots__ = ("_clock", "_count", "_pages", "_seconds", "_turn", "_until", "_user_id")

    def __init__(self, turn: Turn, clock: Clock, user_id: str, pages: int, seconds: float) -> None:
        self._turn = turn
        self._clock = clock
        self._user_id = user_id
        self._pages = pages
        self._seconds = seconds
        self._count = 0
        self._until = clock.now() + seconds

    def __call__(self) -> Awaitable[None] | None:
        """Count a request; return an awaitable until it may be sent, or None.

        Raises:
            UnendingError: the snapshot has had all its pages, and the listing goes on.
            RequestTimeoutError: the requests so far took longer than allowed.
        """
        self._count += 1
        if self._count > self._pages + BESIDE:
            problem = f"no end after {self._pages} pages; where that is right, raise snapshot_pages"
            raise UnendingError(where=f"the orders of user {self._user_id}", problem=problem)
        if self._clock.now() > self._until:
            detail = f"the snapshot of user {self._user_id} took longer than {self._seconds:.3g} s"
            raise RequestTimeoutError(method="GET", path="/orders", kind="timeout", detail=detail)
        wait = self._turn()
        return None if wait is None else self._wait(wait)

    async def _wait(self, wait: Awaitable[None]) -> None:
        began = self._clock.now()
        await wait
        self._until += self._clock.now() - began
