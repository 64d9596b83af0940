"""Delays, jitter, ``Retry-After`` and rate limits. The only module that uses ``backoff`` or random numbers.

Nothing here waits or reads a clock: the current time is an argument, and every result is a number of seconds.
"""

from __future__ import annotations

import random
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING

import backoff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

__all__ = [
    "MAX_RETRY_AFTER",
    "TokenBucket",
    "bounded_retry_after",
    "equal_jitter_delay",
    "equal_jitter_delays",
    "full_jitter_delays",
    "parse_retry_after",
    "random_phase",
]

CENTURY = 36_525 * 86_400.0  # seconds
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")

MAX_RETRY_AFTER = 600.0
"""The longest ``Retry-After`` that is honored, in seconds.

A retry after ten minutes costs one request; honoring a header that says one year would cost a year.
"""


def bounded_retry_after(retry_after: float | None, own_delay: float) -> float:
    """Return the seconds to wait before the next attempt: the server's ``Retry-After`` within bounds.

    REST, poller, resync and streams all use this rule.

    Args:
        retry_after: the seconds that the server sent, of any size, or None where it sent none.
        own_delay: the seconds of the client's own jittered backoff. The result is never below it, so that a
            ``Retry-After`` of zero or a date in the past does not disable backoff.
    """
    return max(own_delay, min(retry_after or 0.0, MAX_RETRY_AFTER))


def full_jitter_delays(base: float, cap: float, rng: random.Random | None = None) -> Iterator[float]:
    """Yield random delays between zero and a bound that doubles from ``base`` to ``cap`` seconds.

    Args:
        base: the first upper bound, in seconds.
        cap: the largest upper bound, in seconds.
        rng: the random generator; a test passes a seeded one.
    """
    return _jittered(0.0, base, cap, rng)


def equal_jitter_delays(base: float, cap: float, rng: random.Random | None = None) -> Iterator[float]:
    """Yield random delays between half of a bound and that bound, which doubles from ``base`` to ``cap`` seconds.

    For polling until something has happened: unlike with full jitter, no delay is close to zero.

    Args:
        base: the first upper bound, in seconds.
        cap: the largest upper bound, in seconds.
        rng: the random generator; a test passes a seeded one.
    """
    return _jittered(0.5, base, cap, rng)


def _jittered(low: float, base: float, cap: float, rng: random.Random | None) -> Iterator[float]:
    generator = rng if rng is not None else random.Random()  # noqa: S311 - spreads load; guards nothing
    # backoff's generators first yield None, to be primed.
    bounds = islice(backoff.expo(base=2, factor=base, max_value=cap), 1, None)
    while True:
        bound = min(float(next(bounds)), cap)
        yield generator.uniform(low * bound, bound)


def equal_jitter_delay(attempt: int, base: float, cap: float, rng: random.Random | None = None) -> float:
    """Return one delay of ``equal_jitter_delays``, where an iterator for each of many users would cost memory.

    Args:
        attempt: the number of the delay, counted from 0.
        base: the first upper bound, in seconds.
        cap: the largest upper bound, in seconds.
        rng: the random generator; a test passes a seeded one.
    """
    generator = rng if rng is not None else random
    # Bounded, because 2.0 ** 1024 raises OverflowError.
    bound = min(cap, base * 2.0 ** min(attempt, 100))
    return generator.uniform(0.5 * bound, bound)


def random_phase(rng: random.Random | None = None) -> float:
    """Return a random point of a cycle, from 0 to 1, so that many cycles of the same length do not synchronize."""
    return (rng if rng is not None else random).random()


class TokenBucket:
    """A token bucket that holds one second's worth of tokens.

    Args:
        rate: tokens per second.
        now: the current time, in seconds of the caller's clock.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = now

    def reserve(self, now: float) -> float:
        """Take one token, on credit if necessary, and return the seconds to wait before it may be used.

        Callers are served in the order of their reservations, since each later one waits longer.
        """
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def refund(self) -> None:
        """Return an unused token to the bucket."""
        self._tokens += 1.0


def parse_retry_after(text: str, now: datetime) -> float | None:
    """Parse the value of ``Retry-After``: seconds, with or without a fraction, or an HTTP date.

    Args:
        text: the value of the header, or an empty text.
        now: the present, aware.

    Returns:
        Seconds from 0 to a century, to be bounded by ``bounded_retry_after``; None if the value has neither form.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), CENTURY)  # 400 digits become infinity, and so a century
    try:
        then = parsedate_to_datetime(text)
        then = then.replace(tzinfo=UTC) if then.tzinfo is None else then.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, (then - now).total_seconds()), CENTURY)
