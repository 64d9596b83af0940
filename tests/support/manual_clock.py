"""A clock that stands still until a test advances it."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


class SteppedTimer:
    """A scheduled call, due when the clock is advanced."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class SteppedClock:
    """A manual clock. ``asked`` are the delays of all scheduled calls, in order."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept = 0.0
        self.asked: list[float] = []
        self._order = count()
        self._timers: list[tuple[float, int, SteppedTimer]] = []
        self._scheduled = asyncio.Event()

    def now(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds + self.slept)

    def call_later(self, delay: float, callback: Callable[[], object]) -> SteppedTimer:
        timer = SteppedTimer(callback)
        heapq.heappush(self._timers, (self.seconds + delay, next(self._order), timer))
        self.asked.append(delay)
        self._scheduled.set()
        return timer

    def advance(self, seconds: float) -> None:
        """Advance the time, and call what is due."""
        until = self.seconds + seconds
        while self._timers and self._timers[0][0] <= until:
            self.seconds, _, timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                timer.callback()
        self.seconds = until

    def sleep(self, seconds: float) -> None:
        """Suspend the machine: the wall clock advances, the monotonic clock does not."""
        self.slept += seconds

    def waiting(self) -> list[float]:
        """Return the remaining seconds of each timer that is not cancelled."""
        return sorted(when - self.seconds for when, _, timer in self._timers if not timer.is_cancelled)

    async def until_asked(self, times: int) -> None:
        """Wait until ``times`` calls were scheduled in all."""
        async with asyncio.timeout(5):
            while len(self.asked) < times:
                self._scheduled.clear()
                await self._scheduled.wait()
