"""A loop: look at everybody once in a while, spread evenly, for what a broker's feed lost."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async.books.followed_users import FollowedUsers
    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.live.resync import Resync

__all__ = ["Sweep"]

# More wake-ups a second than this would cost more than they spread.
MIN_PERIOD = 0.05


class Sweep:
    """Puts everybody in line once a round.

    Args:
        roster: whom.
        surveyor: where the line is.
        clock: time.
        every: seconds that a round takes.
    """

    __slots__ = ("_clock", "_every", "_owed", "_roster", "_round", "_surveyor", "_timer")

    def __init__(self, roster: FollowedUsers, surveyor: Resync, clock: Clock, every: float) -> None:
        self._roster = roster
        self._surveyor = surveyor
        self._clock = clock
        self._every = every
        self._owed = 0.0
        self._round: deque[str] = deque()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin."""
        count = max(len(self._roster.members), 1)
        self._timer = self._clock.call_later(max(self._every / count, MIN_PERIOD), self._tick)

    def stop(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        count = len(self._roster.members)
        # Where the next one would come sooner than a tick, several come at once; what is left over is owed.
        # Where a whole round would be shorter than a tick, a tick brings one round.
        self._owed = min(self._owed + max(1.0, MIN_PERIOD * count / self._every), count)
        while self._owed >= 1.0:
            self._owed -= 1.0
            self._next()
        self.start()

    def _next(self) -> None:
        if not self._round:
            self._round.extend(self._roster.members)
        while self._round:
            member = self._roster.members.get(self._round.popleft())
            if member is not None:
                self._surveyor.enqueue(member)
                return
