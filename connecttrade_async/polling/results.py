"""What a poller delivers: the result of one poll, events of the platform, and statistics."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar, cast

import msgspec

from connecttrade_async.rest.digests import LazyValue
from connecttrade_async.user import User  # noqa: TC001 - msgspec reads the types of fields, for help() and signature()

__all__ = ["Outage", "OutageEnded", "PollEvent", "PollResult", "PollStatistics", "RateLimited"]

T_co = TypeVar("T_co", covariant=True)


class PollResult(msgspec.Struct, Generic[T_co], eq=False):
    """The result of one poll of one user: a value or an error.

    Attributes:
        user: The handle that was given.
        error: The error of a failed poll, or None.
        changed: False if each response is identical, byte for byte, to that of the last poll of this user. True for the
            first result, for a failure, and for the first success after a failure.
        latency: Seconds from the start of the poll to its end, including waits for the rate and concurrency limits.
        late: Seconds between the turn and the start of the poll; it grows if the poller cannot keep up.
    """

    user: User
    _value: object
    error: Exception | None
    changed: bool
    latency: float
    late: float
    _moment: float
    _anchor: tuple[float, datetime]

    @property
    def due(self) -> datetime:
        """The time of this user's turn, timezone-aware, in UTC; computed when it is read."""
        seconds, wall = self._anchor
        return wall + timedelta(seconds=self._moment - seconds)

    @property
    def value(self) -> T_co | None:
        """What ``fetch`` returned, or None for a failed poll. An unchanged response is decoded when it is read."""
        value = self._value
        return cast("T_co | None", cast("LazyValue[object]", value).value if type(value) is LazyValue else value)

    def get(self) -> T_co:
        """Return what ``fetch`` returned.

        Raises:
            Exception: The ``error`` of a failed poll.
        """
        if self.error is not None:
            raise self.error
        return cast("T_co", self.value)

    def __repr__(self) -> str:
        state = type(self.error).__name__ if self.error is not None else "changed" if self.changed else "unchanged"
        return f"<PollResult {self.user.user_id!r} {state} {self.latency:.3f} s>"


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """All requests fail. Until a probe succeeds, one user at a time is polled, at growing pauses.

    Attributes:
        since: When the first of the failures came, timezone-aware.
        error: The latest failure.
        failures: The number of failures in a row.
    """

    since: datetime
    error: Exception
    failures: int


class OutageEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The platform answers again, and polling continues with its ordinary turns.

    Attributes:
        since: When the outage began, timezone-aware.
        seconds: The duration of the outage.
    """

    since: datetime
    seconds: float


class RateLimited(msgspec.Struct, frozen=True, kw_only=True):
    """The platform answered 429: no request is sent for some seconds, then polling continues with its ordinary turns.

    Attributes:
        seconds: The length of the pause.
        error: The response as an error.
    """

    seconds: float
    error: Exception


PollEvent = Outage | OutageEnded | RateLimited
"""An event that concerns all users."""


class PollStatistics(NamedTuple):
    """Counters and state of a poller.

    Attributes:
        state: ``NEW``, ``POLLING``, ``SLOWED``, ``OUTAGE``, ``ENDED`` by an error, or ``CLOSED``.
        users: The number of users, including parked ones.
        running: Polls in flight.
        waiting: Queued results.
        failing: Users with a failed last poll, excluding parked ones.
        parked: Users that are polled rarely because their secret is refused again and again.
        polls: Finished polls.
        unchanged: Successful polls with the same responses as the one before.
        failures: Failed polls.
        skipped: Turns that were skipped because their user's poll still ran, or the poller or its consumer was slow.
        late: Seconds by which the latest turn was late.
    """

    state: str
    users: int
    running: int
    waiting: int
    failing: int
    parked: int
    polls: int
    unchanged: int
    failures: int
    skipped: int
    late: float
