"""Rate limits over all users of a poller and for each user."""

from __future__ import annotations

from connecttrade_async.pacing import TokenBucket

__all__ = ["RateLimiter"]


class RateLimiter:
    """Rate limits over all users and for each user; computes the wait before the next request.

    Args:
        overall: requests per second over all users; None for no limit.
        per_user: requests per second for each user; None for no limit.
        now: the current time, in seconds of the caller's clock.

    Attributes:
        not_before: the earliest time of the next request, in seconds of the same clock.
        is_unbounded: whether there is no limit.
    """

    __slots__ = ("_bucket", "_free_at", "_gap", "is_unbounded", "not_before")

    def __init__(self, overall: float | None, per_user: float | None, now: float) -> None:
        self._bucket = None if overall is None else TokenBucket(overall, now)
        self._gap = None if per_user is None else 1 / per_user
        self._free_at: dict[str, float] = {}
        self.is_unbounded = overall is None and per_user is None
        self.not_before = now

    def delay(self, user_id: str, now: float) -> float:
        """Reserve one request of a user, and return the seconds to wait before sending it."""
        delay = max(0.0, self.not_before - now)
        if self._bucket is not None:
            delay = max(delay, self._bucket.reserve(now))
        if self._gap is not None:
            # No burst for one user: its requests are spaced evenly.
            delay = max(delay, self._free_at.get(user_id, now) - now)
            self._free_at[user_id] = now + delay + self._gap
        return delay

    def refund(self) -> None:
        """Return an unused reservation."""
        if self._bucket is not None:
            self._bucket.refund()

    def forget(self, user_id: str) -> None:
        """Drop the state of a removed user."""
        self._free_at.pop(user_id, None)
