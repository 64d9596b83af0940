"""The log of order changes, oldest first; the brokerage stream publishes from it."""

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.sandbox.world.orders import Order

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Change", "OrderLog"]


class Change(NamedTuple):
    """An order as it became at a moment.

    Attributes:
        serial: counts the changes from 1.
        at: when it happened.
        order: what the order is from then on.
        fills: how many of its fills are new, the last ones.
    """

    serial: int
    at: datetime
    order: Order
    fills: int


class OrderLog:
    """The last hundred thousand changes, oldest first.

    Attributes:
        last: the serial of the last change, 0 before the first.
        bell: is rung when something was written down, or may now happen sooner than it was planned.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._changes: deque[Change] = deque(maxlen=capacity)
        self.last = 0
        self.bell: Callable[[], object] = _silence

    def __len__(self) -> int:
        return len(self._changes)

    def note(self, at: datetime, order: Order, fills: int) -> None:
        """Write a change down; beyond the capacity the oldest is forgotten."""
        self.last += 1
        self._changes.append(Change(self.last, at, order, fills))
        self.bell()

    def since(self, serial: int = 0) -> list[Change]:
        """The changes after the one of this serial; 0 asks for all that are remembered."""
        skipped = max(0, serial - (self.last - len(self._changes)))
        return [self._changes[place] for place in range(skipped, len(self._changes))]


def _silence() -> None:
    """Do nothing: the default callback."""
