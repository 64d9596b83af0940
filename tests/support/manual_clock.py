"""A clock that stands still until a test steps it."""

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
    """A call that waits for the clock to be stepped."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class SteppedClock:
    """Time, held. ``asked`` are the delays that somebody has asked to wait for, in order."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept = 0.0
        self.asked: list[float] = []
        self._order = count()
        self._timers: list[tuple[float, int, SteppedTimer]] = []
        self._news = asyncio.Event()

    def now(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds + self.slept)

    def call_later(self, delay: float, callback: Callable[[], object]) -> SteppedTimer:
        timer = SteppedTimer(callback)
        heapq.heappush(self._timers, (self.seconds + delay, next(self._order), timer))
        self.asked.append(delay)
        self._news.set()
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass, and call what is due."""
        until = self.seconds + seconds
        while self._timers and self._timers[0][0] <= until:
            self.seconds, _, timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                timer.callback()
        self.seconds = until

    def sleep(self, seconds: float) -> None:
        """Let the machine sleep: the day goes on, and nothing else does."""
        self.slept += seconds

    def waiting(self) -> list[float]:
        """Return in how many seconds each timer is due that is not cancelled."""
        return sorted(when - self.seconds for when, _, timer in self._timers if not timer.is_cancelled)

    async def until_asked(self, times: int) -> None:
        """Wait until somebody has asked to wait so many times in all."""
        async with asyncio.timeout(5):
            while len(self.asked) < times:
                self._news.clear()
                await self._news.wait()
