"""Waiting on a clock that a test can stop, until a moment or until something happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async.clock import Clock

__all__ = ["Alarm"]

MIN_TIMER = 0.001  # seconds


class Alarm:
    """Wakes its one waiter at a moment of a clock, or when it is set.

    Args:
        clock: the time source.
    """

    __slots__ = ("_clock", "_event")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the waiter, or let the next wait return at once."""
        self._event.set()

    async def wait(self, delay: float) -> None:
        """Wait for some seconds, or until the alarm is set."""
        timer = self._clock.call_later(max(delay, MIN_TIMER), self._event.set)
        try:
            await self._event.wait()
        finally:
            timer.cancel()
            self._event.clear()
