"""The rate limit of a poller's requests: over all users, for each user, and after a 429."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from connecttrade_async.futures import resolve
from connecttrade_async.pacing import TokenBucket

if TYPE_CHECKING:
    from connecttrade_async.clock import Clock

__all__ = ["RateLimiter"]


class RateLimiter:
    """Delays requests.

    Args:
        overall: Requests a second over all users; None for no limit.
        per_user: Requests a second for each user; None for no limit.
        clock: The client's clock.

    Attributes:
        is_free: Whether no request has to wait: no rate is set, and there was no hold so far. Callers read it before
            ``delay``, because a poll without limits should not pay for them.
    """

    __slots__ = ("_bucket", "_clock", "_free_at", "_gap", "_held_until", "is_free")

    def __init__(self, overall: float | None, per_user: float | None, clock: Clock) -> None:
        now = clock.now()
        self._bucket = None if overall is None else TokenBucket(overall, now)
        self._gap = None if per_user is None else 1 / per_user
        self._free_at: dict[str, float] = {}
        self._held_until = now
        self._clock = clock
        self.is_free = overall is None and per_user is None

    def delay(self, user_id: str) -> float:
        """Reserve the next request of a user, and return the seconds to wait for it."""
        now = self._clock.now()
        delay = max(0.0, self._held_until - now)
        if self._bucket is not None:
            delay = max(delay, self._bucket.reserve(now))
        if self._gap is not None:
            # A user has no burst: its requests keep their distance.
            delay = max(delay, self._free_at.get(user_id, now) - now)
            self._free_at[user_id] = now + delay + self._gap
        return delay

    async def wait(self, seconds: float) -> None:
        """Wait for a reserved request. If it is cancelled, the reservation is returned."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(resolve, waiter, None))
        try:
            await waiter
        except asyncio.CancelledError:
            if self._bucket is not None:
                self._bucket.refund()
            raise
        finally:
            timer.cancel()

    def hold(self, until: float) -> None:
        """Delay all requests until a time in seconds on the clock."""
        self._held_until = until
        self.is_free = False

    def forget(self, user_id: str) -> None:
        """Drop the state of a removed user."""
        self._free_at.pop(user_id, None)
