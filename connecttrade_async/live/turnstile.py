"""A door: when the next request may be sent."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async.clock import Clock
    from connecttrade_async.live.pace import Pace

__all__ = ["Turnstile"]


class Turnstile:
    """Lets requests pass at a pace.

    Args:
        pace: the pace.
        clock: time.
    """

    __slots__ = ("_clock", "pace")

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self.pace = pace
        self._clock = clock

    def delay(self, user_id: str) -> float:
        """Take a turn, and return the seconds to wait for it."""
        now = self._clock.now()
        if self.pace.is_unbounded and now >= self.pace.not_before:
            return 0.0
        return self.pace.delay(user_id, now)

    async def wait(self, seconds: float) -> None:
        """Wait for a turn that was taken. Cancelling gives it back."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(_let_pass, place))
        try:
            await place
        except asyncio.CancelledError:
            self.pace.refund()
            raise
        finally:
            timer.cancel()


def _let_pass(place: asyncio.Future[None]) -> None:
    if not place.done():
        place.set_result(None)
