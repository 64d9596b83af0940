"""Below the waterline: what a poller tells. The result of one poll, and what happens to the platform as a whole."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar, cast

import msgspec

from connecttrade_async.client import User  # noqa: TC001 - msgspec reads the types of fields, for help() and signature()
from connecttrade_async.rest.digests import UndecodedResponse

__all__ = ["Outage", "OutageEnded", "PollEvent", "PollResult", "PollStatistics", "RateLimited"]

T_co = TypeVar("T_co", covariant=True)


class PollResult(msgspec.Struct, Generic[T_co], eq=False):
    """What one poll of one user brought: a value or an error.

    Attributes:
        user: whose, the handle that was given.
        error: why there is no value, or None.
        changed: False where every answer is byte for byte that of the last poll of this user. True for the first, for a
            failure, and for the first good one after that.
        latency: seconds from asking to the answer, its time in line included.
        late: seconds after its turn at which the asking began; growing where the poller cannot keep up.
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
        """When it was this user's turn, aware, in UTC; reckoned when it is read."""
        seconds, wall = self._anchor
        return wall + timedelta(seconds=self._moment - seconds)

    @property
    def value(self) -> T_co | None:
        """What was fetched, or None where it failed. What has not changed is read here, and not before."""
        return cast("T_co | None", self._value.read() if isinstance(self._value, UndecodedResponse) else self._value)

    def get(self) -> T_co:
        """Return what was fetched.

        Raises:
            Exception: the ``error`` of a poll that failed.
        """
        if self.error is not None:
            raise self.error
        return cast("T_co", self.value)

    def __repr__(self) -> str:
        state = type(self.error).__name__ if self.error is not None else "changed" if self.changed else "unchanged"
        return f"<PollResult {self.user.user_id!r} {state} {self.latency:.3f} s>"


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything fails that is asked. Until it is over nobody is asked but one probe at a time, more and more rarely.

    Attributes:
        since: when the first of the failures came, aware.
        error: the latest of them.
        failures: how many there were in a row.
    """

    since: datetime
    error: Exception
    failures: int


class OutageEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The platform answers again, and polling goes on at its ordinary pace.

    Attributes:
        since: when the outage began, aware.
        seconds: how long it was.
    """

    since: datetime
    seconds: float


class RateLimited(msgspec.Struct, frozen=True, kw_only=True):
    """The platform asked for patience (429): nobody is asked for so long, and then at the ordinary pace.

    Attributes:
        seconds: how long.
        error: what it said.
    """

    seconds: float
    error: Exception


PollEvent = Outage | OutageEnded | RateLimited
"""What happens to the platform as a whole."""


class PollStatistics(NamedTuple):
    """How a poller is doing.

    Attributes:
        state: ``NEW``, ``POLLING``, ``SLOWED``, ``OUTAGE``, ``ENDED`` by an error, or ``CLOSED``.
        users: how many there are, the parked ones among them.
        running: polls under way.
        waiting: results that wait for the consumer.
        failing: users whose last poll failed, the parked ones not among them.
        parked: users that are asked only rarely since their secret is refused again and again.
        polls: polls that have ended.
        unchanged: of these, good ones that brought what the last one brought.
        failures: of these, the failed ones.
        skipped: turns that were skipped: their user was still being asked, or the poller or its consumer was slow.
        late: seconds that the latest turn came late.
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
