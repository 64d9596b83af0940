"""A change feed that records its calls, for tests of the parts that publish changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connecttrade_async.books.change_feed import ChangeFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.books.changes import Change
    from connecttrade_async.clock import Clock

__all__ = ["RecordingChangeFeed"]


class RecordingChangeFeed(ChangeFeed):
    """Records what is published.

    Attributes:
        batches: the changes of each call of ``publish``.
        unpublished: the changes that only woke the waiters of orders.
        failed: the conditions given to ``fail_waiters``.
        error: raised by ``publish`` where it is set.
    """

    def __init__(self, clock: Clock, error: Exception | None = None) -> None:
        super().__init__(clock)
        self.batches: list[Sequence[Change]] = []
        self.unpublished: list[Change] = []
        self.failed: list[Callable[[str], bool]] = []
        self.error = error

    @property
    def changes(self) -> list[Change]:
        """All published changes."""
        return [change for batch in self.batches for change in batch]

    def publish(self, changes: Sequence[Change]) -> None:
        if self.error is not None:
            raise self.error
        self.batches.append(changes)
        super().publish(changes)

    def wake_order_waiters(self, changes: Sequence[Change]) -> None:
        self.unpublished += changes
        super().wake_order_waiters(changes)

    def fail_waiters(self, is_meant: Callable[[str], bool]) -> None:
        self.failed.append(is_meant)
        super().fail_waiters(is_meant)
