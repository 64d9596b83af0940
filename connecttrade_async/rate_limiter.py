"""Below the waterline: how many requests a second, over all users of a poller and for each."""

from __future__ import annotations

from connecttrade_async.pacing import TokenBucket

__all__ = ["RateLimiter"]


class RateLimiter:
    """Tells how long to wait before the next request may be sent.

    Args:
        overall: requests a second over all users; None for as fast as it goes.
        per_user: requests a second for each user; None likewise.
        now: the present, in seconds on the caller's clock.

    Attributes:
        not_before: nothing is sent before that, in seconds on the same clock.
        is_unbounded: whether no pace was asked for.
    """

    __slots__ = ("_bucket", "_free_at", "_gap", "is_unbounded", "not_before")

    def __init__(self, overall: float | None, per_user: float | None, now: float) -> None:
        self._bucket = None if overall is None else TokenBucket(overall, now)
        self._gap = None if per_user is None else 1 / per_user
        self._free_at: dict[str, float] = {}
        self.is_unbounded = overall is None and per_user is None
        self.not_before = now

    def delay(self, user_id: str, now: float) -> float:
        """Take a turn, and return the seconds to wait for it."""
        delay = max(0.0, self.not_before - now)
        if self._bucket is not None:
            delay = max(delay, self._bucket.reserve(now))
        if self._gap is not None:
            # No burst for one user: its requests keep their distance.
            delay = max(delay, self._free_at.get(user_id, now) - now)
            self._free_at[user_id] = now + delay + self._gap
        return delay

    def refund(self) -> None:
        """Give a turn back that was not used."""
        if self._bucket is not None:
            self._bucket.refund()

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user who is gone."""
        self._free_at.pop(user_id, None)
