"""Below the waterline: how long to wait. The only user of backoff, and the only roller of dice.

Nothing waits here: time comes in as an argument, and what goes out is a number of seconds.
"""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import backoff

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_RETRY_AFTER",
    "TokenBucket",
    "bounded_retry_after",
    "equal_jitter_delay",
    "equal_jitter_delays",
    "full_jitter_delays",
    "random_phase",
]

MAX_RETRY_AFTER = (
    600.0  # seconds: asking again after ten minutes costs one request, staying away for a year costs a year
)


def bounded_retry_after(asked: float | None, own: float) -> float:
    """Return the seconds to wait before the next attempt: the server's wish, within bounds of our own.

    The one rule for ``Retry-After`` of REST, poller, resync and streams alike.

    Args:
        asked: seconds that the server asked for, of any size, or None where it named none.
        own: seconds of our own jittered backoff. The result is never below it, so zero or a date in the past does not
            switch backoff off.
    """
    return max(own, min(asked or 0.0, MAX_RETRY_AFTER))


def full_jitter_delays(base: float, cap: float, rng: random.Random | None = None) -> Iterator[float]:
    """Yield delays that grow twofold from ``base`` to ``cap`` seconds, each drawn evenly from zero to that bound.

    Args:
        base: the first upper bound, in seconds.
        cap: the last upper bound, in seconds.
        rng: the dice; a test hands in a seeded one.
    """
    return _drawn(0.0, base, cap, rng)


def equal_jitter_delays(base: float, cap: float, rng: random.Random | None = None) -> Iterator[float]:
    """Yield delays that grow twofold from ``base`` to ``cap`` seconds, each drawn from the upper half below that bound.

    For looking again at something that needs time: unlike with full jitter, no pause is next to nothing.

    Args:
        base: the first upper bound, in seconds.
        cap: the last upper bound, in seconds.
        rng: the dice; a test hands in a seeded one.
    """
    return _drawn(0.5, base, cap, rng)


def _drawn(least: float, base: float, cap: float, rng: random.Random | None) -> Iterator[float]:
    dice = rng if rng is not None else random.Random()  # noqa: S311 - spreads load; guards nothing
    # backoff's generators first yield None, to be primed.
    bounds = islice(backoff.expo(base=2, factor=base, max_value=cap), 1, None)
    while True:
        bound = min(float(next(bounds)), cap)
        yield dice.uniform(least * bound, bound)


def equal_jitter_delay(turn: int, base: float, cap: float, rng: random.Random | None = None) -> float:
    """Return the delay of one turn of ``equal_jitter_delays``, for who has too many to keep an iterator for each.

    Args:
        turn: 0 for the first.
        base: the first upper bound, in seconds.
        cap: the last upper bound, in seconds.
        rng: the dice; a test hands in a seeded one.
    """
    dice = rng if rng is not None else random
    bound = min(cap, base * 2.0 ** min(turn, 100))
    return dice.uniform(0.5 * bound, bound)


def random_phase(rng: random.Random | None = None) -> float:
    """Return where in a cycle to begin, from 0 to 1, so that many who have the same cycle do not keep step."""
    return (rng if rng is not None else random).random()


class TokenBucket:
    """So many a second, with a burst of one second's worth; who comes too early is told how long to wait.

    Args:
        rate: tokens a second.
        now: the present, in seconds on the caller's clock.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = now

    def reserve(self, now: float) -> float:
        """Take one token, on credit if need be, and return the seconds to wait before it may be used.

        Callers are served in the order in which they reserve, since each later one waits longer.
        """
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def refund(self) -> None:
        """Give a reserved token back that was not used."""
        self._tokens += 1.0
