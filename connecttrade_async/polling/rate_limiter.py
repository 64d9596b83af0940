"""A door: when the next request may be sent."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connecttrade_async.clock import Clock
    from connecttrade_async.rate_limiter import RateLimiter

__all__ = ["PollRateLimiter"]


class PollRateLimiter:
    """Lets requests pass at a pace.

    Args:
        pace: the pace.
        clock: time.

    Attributes:
        is_free: whether nobody has to wait: no pace was asked for, and no patience so far.
    """

    __slots__ = ("_clock", "_pace", "is_free")

    def __init__(self, pace: RateLimiter, clock: Clock) -> None:
        self._pace = pace
        self._clock = clock
        self.is_free = pace.is_unbounded

    def delay(self, user_id: str) -> float:
        """Take a turn, and return the seconds to wait for it."""
        return self._pace.delay(user_id, self._clock.now())

    def hold(self, until: float) -> None:
        """Let nobody pass before that, in seconds on the clock."""
        self._pace.not_before = until
        self.is_free = False

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user who is gone."""
        self._pace.forget(user_id)

    async def wait(self, seconds: float) -> None:
        """Wait for a turn that was taken. Cancelling gives it back."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(_let_pass, place))
        try:
            await place
        except asyncio.CancelledError:
            self._pace.refund()
            raise
        finally:
            timer.cancel()


def _let_pass(place: asyncio.Future[None]) -> None:
    if not place.done():
        place.set_result(None)
