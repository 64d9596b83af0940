"""Separate failures of one user from failures of the platform.

``classify_error`` gives each error a scope. ``OutageDetector`` counts errors that may concern the platform: when
requests of all users fail in a row, an outage begins, and single probes are sent until one of them succeeds.
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

__all__ = ["ErrorScope", "OutageDetector", "OutageEvent", "classify_error", "error_text", "retry_after_of"]

MIN_FAILURES = 3
MIN_PROBE_DELAY = 1.0
MAX_PROBE_DELAY = 30.0
MIN_PAUSE = 1.0
MAX_PAUSE = 60.0
CALM_PERIOD = 60.0  # seconds without an outage, after which the delays between probes start at the minimum again
MAX_NESTING = 10  # levels of causes and groups that are searched


class ErrorScope(Enum):
    """What a failure concerns. If an error contains several, the member that is listed first here counts."""

    RATE_LIMIT = "too many requests: all users slow down"
    CREDENTIALS = "a user's secret was refused: a repeated request will not help"
    PLATFORM = "the network or the server: other users may be affected"
    REQUEST = "the platform answered and refused this request"
    LOCAL = "no request was sent, or the caller's own code failed: no evidence about the platform"


_NUMBERS = (int, float)
_PRECEDENCE = {scope: rank for rank, scope in enumerate(ErrorScope)}


class OutageEvent(Enum):
    """A change of the platform's state, caused by one poll."""

    OUTAGE = auto()
    RECOVERED = auto()
    SLOWED = auto()


def classify_error(error: BaseException) -> ErrorScope:
    """Return the scope of a failure. Never raises.

    Errors of this library count also if the caller's own code has wrapped them: in a group, as ``asyncio.TaskGroup``
    raises it, or as the cause of another error.
    """
    return min(
        map(_classify_library_error, _library_errors(error)), key=_PRECEDENCE.__getitem__, default=ErrorScope.LOCAL
    )


def retry_after_of(error: BaseException) -> float | None:
    """Return the longest ``Retry-After`` within an error in seconds, unbounded, or None. Never raises."""
    return max(
        (seconds for each in _library_errors(error) if (seconds := _retry_after(each)) is not None), default=None
    )


def error_text(error: BaseException) -> str:
    """Return an error on one line, for a log. Never raises, although ``str`` of the caller's own error may."""
    try:
        return one_line(str(error))
    except Exception:  # noqa: BLE001 - the caller's own ``__str__`` may raise anything
        return type(error).__name__


def _library_errors(error: BaseException) -> list[ConnectTradeError]:
    """Return the errors of this library within an error, each once: causes may form a cycle."""
    found: list[ConnectTradeError] = []
    level, seen = [error], set[int]()
    for _ in range(MAX_NESTING + 1):
        deeper: list[BaseException] = []
        for each in level:
            if id(each) in seen:
                continue
            seen.add(id(each))
            # ``isinstance`` reads ``__class__``, and a property of the caller's own error may raise.
            if issubclass(type(each), ConnectTradeError):
                found.append(cast("ConnectTradeError", each))
            else:
                deeper += _nested_errors(each)
        level = deeper
    return found


def _nested_errors(error: BaseException) -> Sequence[BaseException]:
    nested: list[BaseException | None]
    try:
        if issubclass(type(error), BaseExceptionGroup):
            nested = list(cast("BaseExceptionGroup[BaseException]", error).exceptions)
        else:
            nested = [error.__cause__]
    except Exception:  # noqa: BLE001 - a property of the caller's own error may raise
        return ()
    return [each for each in nested if each is not None]


def _retry_after(error: ConnectTradeError) -> float | None:
    try:
        seconds = error.retry_after if isinstance(error, APIError) else None
    except Exception:  # noqa: BLE001 - an attribute of the caller's own subclass may raise
        return None
    return seconds if type(seconds) in _NUMBERS else None


def _classify_library_error(error: ConnectTradeError) -> ErrorScope:
    try:
        return _scope_of(error)
    except Exception:  # noqa: BLE001 - an attribute of the caller's own subclass may raise
        return ErrorScope.LOCAL


def _scope_of(error: ConnectTradeError) -> ErrorScope:
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
    """The state of the platform: available, rate limited, or in an outage.

    It reads no clock: each method takes the time in seconds on the caller's clock.

    Args:
        delay: Return a delay from an attempt's number, the first bound and the last bound, in seconds.

    Attributes:
        consecutive_failures: Failures since the last answer that may concern the platform.
        is_degraded: Whether an answer would change this state.
        paused_until: The end of the pause after a 429.
        outage_since: The time of the first failure of the present outage, or None.
        probe_at: The time of the next probe in an outage.
    """

    __slots__ = (
        "_delay",
        "_first_failure_at",
        "_pause_count",
        "_probe_count",
        "_recovered_at",
        "consecutive_failures",
        "is_degraded",
        "outage_since",
        "paused_until",
        "probe_at",
    )

    def __init__(self, delay: Callable[[int, float, float], float] = equal_jitter_delay) -> None:
        self._delay = delay
        self._first_failure_at = 0.0
        self._probe_count = 0
        self._recovered_at = -math.inf
        self._pause_count = 0
        self.consecutive_failures = 0
        self.is_degraded = False
        self.paused_until = 0.0
        self.outage_since: float | None = None
        self.probe_at = 0.0

    def is_available(self, now: float) -> bool:
        """Return whether requests may be sent for all users."""
        return self.outage_since is None and now >= self.paused_until

    def record_answer(self, now: float) -> OutageEvent | None:
        """Record a response, either a success or a refusal of one request.

        Returns:
            ``RECOVERED`` if an outage ends, else None.
        """
        self.consecutive_failures = 0
        if now >= self.paused_until:
            self._pause_count = (
                0  # a response during the pause belongs to a request sent before it, so it proves nothing
            )
        self.is_degraded = self._pause_count > 0
        if self.outage_since is None:
            return None
        self.outage_since, self.probe_at, self._recovered_at = None, 0.0, now
        return OutageEvent.RECOVERED

    def record_failure(self, error: BaseException, now: float, users: int) -> OutageEvent | None:
        """Record a failed poll.

        Args:
            error: The error.
            now: The current time in seconds.
            users: Failures in a row that make an outage; at least ``MIN_FAILURES`` are needed.

        Returns:
            ``OUTAGE`` if an outage begins, ``RECOVERED`` if one ends, ``SLOWED`` if a pause begins, else None.
        """
        retry_after = retry_after_of(error)
        scope = classify_error(error)
        if scope is ErrorScope.REQUEST:
            return self.record_answer(now)
        if scope is ErrorScope.RATE_LIMIT:
            return self._pause(retry_after, now)
        if scope is ErrorScope.LOCAL:
            self._schedule_probe(None, now)
            return None
        return self._count_failure(retry_after, now, users)

    def _pause(self, retry_after: float | None, now: float) -> OutageEvent | None:
        if self.outage_since is not None:
            self._schedule_probe(retry_after, now)
            return None
        was_unpaused = now >= self.paused_until
        if was_unpaused:
            self._pause_count += 1
            self.is_degraded = True
        backoff = self._delay(self._pause_count, MIN_PAUSE / 2, MAX_PAUSE)
        self.paused_until = max(self.paused_until, now + bounded_retry_after(retry_after, backoff))
        return OutageEvent.SLOWED if was_unpaused else None

    def _count_failure(self, retry_after: float | None, now: float, users: int) -> OutageEvent | None:
        if not self.consecutive_failures:
            self._first_failure_at = now
        self.consecutive_failures += 1
        self.is_degraded = True
        if self.outage_since is not None or self.consecutive_failures < max(users, MIN_FAILURES):
            self._schedule_probe(retry_after, now)
            return None
        self.outage_since = self._first_failure_at
        if self._first_failure_at - self._recovered_at > CALM_PERIOD:
            self._probe_count = 0  # else the cause persists, and each short recovery would start frequent probes again
        self._schedule_probe(retry_after, now)
        return OutageEvent.OUTAGE

    def _schedule_probe(self, retry_after: float | None, now: float) -> None:
        if self.outage_since is None or now < self.probe_at:
            return
        delay = self._delay(self._probe_count, MIN_PROBE_DELAY, MAX_PROBE_DELAY)
        self.probe_at = now + bounded_retry_after(retry_after, delay)
        self._probe_count += 1
