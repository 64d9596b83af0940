"""A door: results that wait for their consumer. A deque, and one Future only while the consumer waits empty-handed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from connecttrade_async.errors import ClosedError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ResultQueue"]

T = TypeVar("T")


class ResultQueue(Generic[T]):
    """One consumer's queue. Its bound is kept by whoever puts, for only they know what is still to come.

    Args:
        what: what has ended when it is closed without an error.

    Attributes:
        items: what waits, the oldest first; whoever finds some takes them from the left.
    """

    __slots__ = ("_ending", "_is_awaited", "_waiter", "_what", "items")

    def __init__(self, what: str) -> None:
        self._what = what
        self.items: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None  # None again as soon as it is woken
        self._is_awaited = False
        self._ending: Exception | None = None

    def __len__(self) -> int:
        return len(self.items)

    def put(self, item: T) -> None:
        """Take an item; never waits."""
        if self._ending is None:
            self.items.append(item)
            if self._waiter is not None:
                self._wake()

    def close(self, error: Exception | None = None) -> None:
        """End it: what waits can still be taken, and then the ending is met."""
        if self._ending is None:
            self._ending = error if error is not None else ClosedError(self._what)
            self._wake()

    def clear(self) -> None:
        """Drop what waits."""
        self.items.clear()

    def drop_oldest(self) -> None:
        """Drop what has waited the longest."""
        self.items.popleft()

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Drop what is not wanted any more."""
        self.items = deque(item for item in self.items if wanted(item))

    async def receive(self) -> T:
        """Return the next item.

        Raises:
            ClosedError: it was closed, and nothing waits.
            Exception: the error with which it was closed.
            ConfigurationError: another task waits already.

        Cancelling loses nothing.
        """
        while not self.items:
            if self._ending is not None:
                raise self._ending.with_traceback(None)
            if self._is_awaited:
                msg = f"two tasks wait on {self._what}: let one take the results and hand them on"
                raise ConfigurationError(msg)
            self._waiter = waiter = asyncio.get_running_loop().create_future()
            self._is_awaited = True
            try:
                await waiter
            finally:
                self._waiter, self._is_awaited = None, False
        return self.items.popleft()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
