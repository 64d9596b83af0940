"""A loop: ask for what is wanted of one user, once, and say what came of it: a value or an error.

Its vow: whatever is raised in a poll is the result of that poll, and never an empty value. Each call is asked once,
whatever the client's ``Retry`` says: the next turn is the retry.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from connecttrade_async.errors import CallerError, ClosedError
from connecttrade_async.polling.results import PollResult
from connecttrade_async.rest.digests import digest_of_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async.client import User
    from connecttrade_async.polling.rate_limiter import PollRateLimiter
    from connecttrade_async.polling.schedule import Turn
    from connecttrade_async.rest.digest_api import PolledApi
    from connecttrade_async.rest.sender import Api, Sender

__all__ = ["FetchResult", "Fetcher", "PollClient"]

T = TypeVar("T")
FetchResult = tuple[PollResult[T], int | None, float]
"""What came of one poll: what the consumer is told; the digest of all that was answered, None where nothing was; and
when it ended, in seconds on the client's clock."""
ANCHOR_HOLDS = 1.0  # seconds: what the time of day was is asked no more often, for it is seldom read


class PollClient(NamedTuple):
    """What a poller needs of the rooms above it.

    Attributes:
        caller: the client's own way of asking.
        caller_of: tells the way in which a handle asks.
        watched: makes somebody who asks each thing once for the owner of a handle, and is watched; and a handle of it.
        requester_of: tells in whose name a handle asks.
        handle: makes a handle.
        asks_once: tells whether a call sends one request, and returns its answer as it was read.
    """

    caller: Sender
    caller_of: Callable[[User], Sender]
    watched: Callable[[User, PollRateLimiter, int | None], tuple[PolledApi, User]]
    requester_of: Callable[[User], Api]
    handle: Callable[[Api], User]
    asks_once: Callable[[object], bool]


class Fetcher(Generic[T]):
    """Asks.

    Args:
        fetch: asks for what is wanted of one user.
        house: the rooms above.
        turnstile: says when a request may be sent.
    """

    __slots__ = (
        "_anchor",
        "_asks_once",
        "_caller_of",
        "_clock",
        "_fetch",
        "_is_stopped",
        "_turnstile",
        "_watched",
    )

    def __init__(self, fetch: Callable[[User], Awaitable[T]], house: PollClient, turnstile: PollRateLimiter) -> None:
        self._fetch = fetch
        self._caller_of, self._watched, self._asks_once = house.caller_of, house.watched, house.asks_once
        self._turnstile = turnstile
        self._is_stopped = False
        self._clock = clock = house.caller.clock
        self._anchor = (clock.now(), clock.wall())

    def stop(self) -> None:
        """From now on, who is cancelled is meant to end."""
        self._is_stopped = True

    async def fetch(self, turn: Turn) -> FetchResult[T]:
        """Ask for one user.

        Raises:
            ClosedError: the client was closed.

        Cancelling drops what is under way.
        """
        record, began = turn.record, self._clock.now()
        user, last = record.user, record.digest
        requester, handle = self._watched(user, self._turnstile, last)
        value: object = None
        error: Exception | None = None
        try:
            call = self._fetch(handle)
            requester.is_single = self._asks_once(call)
            value = await call
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it is told as the result of this poll
            error = self._as_result(exc)
        if error is not None and issubclass(type(error), ClosedError):
            caller = self._caller_of(user)
            if caller.is_closed or caller.limiter.is_closed:
                raise error
        now, notes, late = self._clock.now(), requester.digests, turn.late
        seen = notes[0] if requester.is_single and notes else digest_of_all(notes)
        if now - self._anchor[0] > ANCHOR_HOLDS:
            self._anchor = (now, self._clock.wall())
        changed = error is not None or seen is None or seen != last
        return PollResult(user, value, error, changed, now - began, late, began - late, self._anchor), seen, now

    def _as_result(self, exc: BaseException) -> Exception:
        """Return the error that the result of a poll has for what ``fetch`` raised.

        Raises:
            BaseException: it is meant for the task: a cancellation from outside, or the end of the program.
        """
        _trim(exc)
        # The type is asked, not the instance: properties of a caller's own error may raise.
        kind = type(exc)
        if issubclass(kind, Exception):
            return cast("Exception", exc)
        is_end = issubclass(kind, KeyboardInterrupt | SystemExit | GeneratorExit)
        if is_end or self._is_stopped or _is_being_cancelled():
            raise exc
        is_cancelled = issubclass(kind, asyncio.CancelledError)
        what = "was cancelled by its own code" if is_cancelled else f"raised {kind.__name__}, which is no Exception"
        error = CallerError(f"the fetch of a poll {what}")
        error.__cause__ = exc
        return error


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _trim(exc: BaseException) -> None:
    # Without the frame of ours that holds the error: the two would keep each other alive.
    with contextlib.suppress(Exception):  # a caller's own error may have any attributes
        BaseException.with_traceback(exc, exc.__traceback__ and exc.__traceback__.tb_next)
