"""The queue of results: a deque, and a Future only while the consumer waits on an empty one.

It is not an ``asyncio.Queue``, because results and events are put without a task switch and the end carries an error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.futures import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ResultQueue"]

T = TypeVar("T")


class ResultQueue(Generic[T]):
    """An unbounded queue for one consumer. Callers of ``put`` keep the bound: only they know what is still in flight.

    Args:
        name: The name of the owner for ``ClosedError``.

    Attributes:
        items: The queued items, oldest first. A caller may take items from the left without ``receive``.
    """

    __slots__ = ("_close_error", "_has_waiter", "_name", "_waiter", "items")

    def __init__(self, name: str) -> None:
        self._name = name
        self.items: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None  # None again as soon as its result is set
        self._has_waiter = False
        self._close_error: Exception | None = None

    def __len__(self) -> int:
        return len(self.items)

    def put(self, item: T) -> None:
        """Add an item; never waits. After ``close`` the item is dropped."""
        if self._close_error is None:
            self.items.append(item)
            if self._waiter is not None:
                self._wake()

    def close(self, error: Exception | None = None) -> None:
        """Close the queue: queued items can still be received, then ``receive`` raises.

        Args:
            error: The error that ``receive`` raises; None for ``ClosedError``.
        """
        if self._close_error is None:
            self._close_error = error if error is not None else ClosedError(self._name)
            self._wake()

    def clear(self) -> None:
        """Drop all queued items."""
        self.items.clear()

    def drop_oldest(self) -> None:
        """Drop the oldest item."""
        self.items.popleft()

    def keep(self, predicate: Callable[[T], bool]) -> None:
        """Drop the items for which ``predicate`` is false."""
        self.items = deque(item for item in self.items if predicate(item))

    async def receive(self) -> T:
        """Return the oldest item, and wait for one if there is none.

        Raises:
            ClosedError: The queue is closed and empty.
            Exception: The error with which the queue was closed.
            ConfigurationError: Another task already waits.

        Cancelling loses no item.
        """
        while not self.items:
            if self._close_error is not None:
                raise self._close_error.with_traceback(None)
            if self._has_waiter:
                msg = (
                    f"{self._name} has one consumer, and another task already waits: let that task forward the results"
                )
                raise ConfigurationError(msg)
            self._waiter = waiter = asyncio.get_running_loop().create_future()
            self._has_waiter = True
            try:
                await waiter
            finally:
                self._waiter, self._has_waiter = None, False
        return self.items.popleft()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            resolve(waiter, None)
