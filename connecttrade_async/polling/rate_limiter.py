"""Delay the requests of a poller."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from connecttrade_async.futures import resolve

if TYPE_CHECKING:
    from connecttrade_async.clock import Clock
    from connecttrade_async.rate_limiter import RateLimiter

__all__ = ["PollRateLimiter"]


class PollRateLimiter:
    """Limits the rate of requests.

    Args:
        limiter: The rates over all users and for each.
        clock: The client's clock.

    Attributes:
        is_free: Whether no request has to wait: no rate is set, and there was no 429 so far.
    """

    __slots__ = ("_clock", "_limiter", "is_free")

    def __init__(self, limiter: RateLimiter, clock: Clock) -> None:
        self._limiter = limiter
        self._clock = clock
        self.is_free = limiter.is_unbounded

    def delay(self, user_id: str) -> float:
        """Reserve the next request, and return the seconds to wait for it."""
        return self._limiter.delay(user_id, self._clock.now())

    def hold(self, until: float) -> None:
        """Delay all requests until a time in seconds on the clock."""
        self._limiter.not_before = until
        self.is_free = False

    def forget(self, user_id: str) -> None:
        """Drop the state of a removed user."""
        self._limiter.forget(user_id)

    async def wait(self, seconds: float) -> None:
        """Wait for a reserved request. If it is cancelled, the reservation is returned."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(resolve, waiter, None))
        try:
            await waiter
        except asyncio.CancelledError:
            self._limiter.refund()
            raise
        finally:
            timer.cancel()
