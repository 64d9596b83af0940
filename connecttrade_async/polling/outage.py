"""Below the waterline: is it one user's trouble, or everybody's?

A failure is judged by who could mend it. Where everything fails that is asked, it is no longer the users' trouble: one
event says so, and from then on one probe at a time finds out when it is over.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import TYPE_CHECKING, cast

from connecttrade_async.errors import (
    APIError,
    BrokerError,
    ConnectTradeError,
    RateLimitedError,
    ServerError,
    TransportError,
    one_line,
)
from connecttrade_async.pacing import bounded_retry_after, equal_jitter_delay
from connecttrade_async.rest.retry import rule_for
from connecttrade_async.rest.wire import UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ErrorScope", "OutageDetector", "OutageEvent", "classify_error", "in_words", "retry_after_of"]

MIN_FAILURES = 3
PROBE_AFTER = 1.0
PROBE_AT_LEAST_EVERY = 30.0
SLOW_AFTER = 1.0
SLOWEST = 60.0
CALM = 60.0  # seconds without an outage, after which the probes of the next one begin at the shortest delay again
MAX_DEPTH = 10  # levels of errors in one another that are looked at


class ErrorScope(Enum):
    """Whose trouble a failure is. Of several at once, the first of these counts."""

    RATE_LIMIT = "asked too often: everybody slows down"
    CREDENTIALS = "a secret was refused: asking again will not help"
    PLATFORM = "the wire or their side: it may be everybody's"
    REQUEST = "the platform answered, and the answer was no"
    LOCAL = "nobody was asked, or the caller's own code failed: it says nothing about the platform"


_NUMBERS = (int, float)
_WEIGHT = {whose: weight for weight, whose in enumerate(ErrorScope)}


class OutageEvent(Enum):
    """What a poll has changed for all."""

    OUTAGE = auto()
    RECOVERED = auto()
    SLOWED = auto()


def classify_error(error: BaseException) -> ErrorScope:
    """Return whose trouble a failure is, whatever the caller's own code has wrapped around what the platform said.

    So a group of errors, as ``asyncio.TaskGroup`` raises it, and an error that was raised ``from`` ours, are no less a
    refusal, a plea for patience or a dropped link than these themselves. Never raises, whatever the error is.
    """
    return min(map(_classify_one, _ours_in(error)), key=_WEIGHT.__getitem__, default=ErrorScope.LOCAL)


def retry_after_of(error: BaseException) -> float | None:
    """Return the seconds of patience that the platform asked for, of any size, or None. Never raises."""
    return max((seconds for each in _ours_in(error) if (seconds := _asked_for(each)) is not None), default=None)


def in_words(error: BaseException) -> str:
    """Return an error on one line, for a log. Never raises: ``str`` of a caller's own error runs the caller's code."""
    try:
        return one_line(str(error))
    except Exception:  # noqa: BLE001 - an error of any kind, in any code
        return type(error).__name__


def _ours_in(error: BaseException) -> list[ConnectTradeError]:
    """Collect the errors of this library within an error, each once: causes can form a circle."""
    found: list[ConnectTradeError] = []
    level, seen = [error], set[int]()
    for _ in range(MAX_DEPTH + 1):
        deeper: list[BaseException] = []
        for each in level:
            if id(each) in seen:
                continue
            seen.add(id(each))
            # The type is asked, not the instance: properties of a caller's own error may raise.
            if issubclass(type(each), ConnectTradeError):
                found.append(cast("ConnectTradeError", each))
            else:
                deeper += _inside(each)
        level = deeper
    return found


def _inside(error: BaseException) -> Sequence[BaseException]:
    inside: list[BaseException | None]
    try:
        if issubclass(type(error), BaseExceptionGroup):
            inside = list(cast("BaseExceptionGroup[BaseException]", error).exceptions)
        else:
            inside = [error.__cause__]
    except Exception:  # noqa: BLE001 - a caller's own error, with properties that raise
        return ()
    return [each for each in inside if each is not None]


def _asked_for(error: ConnectTradeError) -> float | None:
    try:
        seconds = error.retry_after if isinstance(error, APIError) else None
    except Exception:  # noqa: BLE001 - a caller's own subclass, with attributes of any kind
        return None
    return seconds if type(seconds) in _NUMBERS else None


def _classify_one(error: ConnectTradeError) -> ErrorScope:
    try:
        return _whose(error)
    except Exception:  # noqa: BLE001 - a subclass of the caller's own, with attributes of any kind
        return ErrorScope.LOCAL


def _whose(error: ConnectTradeError) -> ErrorScope:
    if isinstance(error, RateLimitedError):
        return ErrorScope.RATE_LIMIT
    if isinstance(error, APIError) and error.status == UNAUTHORIZED:
        return ErrorScope.CREDENTIALS
    if isinstance(error, APIError) and not isinstance(error, ServerError) and not rule_for(error).is_transient:
        return ErrorScope.REQUEST
    if isinstance(error, TransportError):
        return ErrorScope.LOCAL if error.kind == "pool-timeout" else ErrorScope.PLATFORM
    return ErrorScope.PLATFORM if isinstance(error, BrokerError) else ErrorScope.LOCAL


class OutageDetector:
    """How the platform stands: well, asking for patience, or away. Time is an argument, in seconds.

    Args:
        delay: how long to wait, of the turn, the first bound and the last, in seconds.

    Attributes:
        in_a_row: failures since the last answer that may be everybody's trouble.
        is_troubled: whether the next good answer would change anything.
        slow_until: nothing is asked before.
        away_since: since when everything fails, or None.
        probe_at: when to look whether that is over.
    """

    __slots__ = (
        "_delay",
        "_first",
        "_probes",
        "_recovered_at",
        "_slowed",
        "away_since",
        "in_a_row",
        "is_troubled",
        "probe_at",
        "slow_until",
    )

    def __init__(self, delay: Callable[[int, float, float], float] = equal_jitter_delay) -> None:
        self._delay = delay
        self._first = 0.0
        self._probes = 0
        self._recovered_at = -math.inf
        self._slowed = 0
        self.in_a_row = 0
        self.is_troubled = False
        self.slow_until = 0.0
        self.away_since: float | None = None
        self.probe_at = 0.0

    def is_well(self, now: float) -> bool:
        """Whether anybody may be asked."""
        return self.away_since is None and now >= self.slow_until

    def answered(self, now: float) -> OutageEvent | None:
        """Take note of an answer, a good one or a no."""
        self.in_a_row = 0
        if now >= self.slow_until:
            self._slowed = 0  # an answer that comes during the pause was asked for before it, so it proves nothing
        self.is_troubled = self._slowed > 0
        if self.away_since is None:
            return None
        self.away_since, self.probe_at, self._recovered_at = None, 0.0, now
        return OutageEvent.RECOVERED

    def failed(self, error: BaseException, now: float, users: int) -> OutageEvent | None:
        """Take note of a failure.

        Args:
            error: what it was.
            now: the present.
            users: how many must fail in a row for it to be everybody's trouble; never fewer than three.
        """
        asked_for = retry_after_of(error)
        whose = classify_error(error)
        if whose is ErrorScope.REQUEST:
            return self.answered(now)
        if whose is ErrorScope.RATE_LIMIT:
            return self._slow_down(asked_for, now)
        if whose is ErrorScope.LOCAL:
            self._probe_again(None, now)
            return None
        return self._count(asked_for, now, users)

    def _slow_down(self, asked_for: float | None, now: float) -> OutageEvent | None:
        if self.away_since is not None:
            self._probe_again(asked_for, now)
            return None
        was_well = now >= self.slow_until
        if was_well:
            self._slowed += 1
            self.is_troubled = True
        own = self._delay(self._slowed, SLOW_AFTER / 2, SLOWEST)
        self.slow_until = max(self.slow_until, now + bounded_retry_after(asked_for, own))
        return OutageEvent.SLOWED if was_well else None

    def _count(self, asked_for: float | None, now: float, users: int) -> OutageEvent | None:
        if not self.in_a_row:
            self._first = now
        self.in_a_row += 1
        self.is_troubled = True
        if self.away_since is not None or self.in_a_row < max(users, MIN_FAILURES):
            self._probe_again(asked_for, now)
            return None
        self.away_since = self._first
        if self._first - self._recovered_at > CALM:
            self._probes = 0  # else the cause goes on: each short recovery would begin a new row of frequent probes
        self._probe_again(asked_for, now)
        return OutageEvent.OUTAGE

    def _probe_again(self, asked_for: float | None, now: float) -> None:
        if self.away_since is None or now < self.probe_at:
            return
        delay = self._delay(self._probes, PROBE_AFTER, PROBE_AT_LEAST_EVERY)
        self.probe_at = now + bounded_retry_after(asked_for, delay)
        self._probes += 1
