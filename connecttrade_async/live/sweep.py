"""Read every user once per interval, evenly spread, to find changes that the stream lost."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async.books.followed_users import FollowedUsers
    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.live.resync import Resync

__all__ = ["Sweep"]

# The shortest period of the timer in seconds: more wake-ups cost more than an even spread is worth.
MIN_PERIOD = 0.05


class Sweep:
    """Enqueues every followed user once per interval.

    Args:
        users: the followed users.
        resync: takes the snapshots.
        clock: time.
        every: the interval in seconds.
    """

    __slots__ = ("_clock", "_cycle", "_due", "_every", "_resync", "_timer", "_users")

    def __init__(self, users: FollowedUsers, resync: Resync, clock: Clock, every: float) -> None:
        self._users = users
        self._resync = resync
        self._clock = clock
        self._every = every
        self._due = 0.0
        self._cycle: deque[str] = deque()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Start the timer."""
        count = max(len(self._users.by_id), 1)
        self._timer = self._clock.call_later(max(self._every / count, MIN_PERIOD), self._on_timer)

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_timer(self) -> None:
        count = len(self._users.by_id)
        # With many users, one tick enqueues several; `_due` carries the fraction to the next tick.
        # Where the whole interval is shorter than a tick, a tick enqueues each user once.
        self._due = min(self._due + max(1.0, MIN_PERIOD * count / self._every), count)
        while self._due >= 1.0:
            self._due -= 1.0
            self._enqueue_next()
        self.start()

    def _enqueue_next(self) -> None:
        if not self._cycle:
            self._cycle.extend(self._users.by_id)
        while self._cycle:
            followed = self._users.by_id.get(self._cycle.popleft())
            if followed is not None:
                self._resync.enqueue(followed)
                return
