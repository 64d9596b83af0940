"""A door: who may ask now. One line for all users of a client, first come, first served.

aiohttp's own pool limit lets a finished caller take its connection back before the next in line wakes, so most callers
starve under load. Here a place that becomes free is handed to the first in line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.errors import ClosedError, RequestTimeoutError
from connecttrade_async.pacing import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.config import Limits
    from connecttrade_async.rest.wire import Request

__all__ = ["RequestLimiter"]

Slot = asyncio.Future[None]
MIN_TIMER_GAP = 0.005  # seconds: a wait in line may end so much later than it should


class Waiter(NamedTuple):
    """Somebody in line.

    Attributes:
        place: done when the wait is over.
        deadline: when it is over at the latest, in seconds on the clock.
        seconds: how long that was from the start.
        request: what for.
    """

    slot: Slot
    deadline: float
    seconds: float
    request: Request


class RequestLimiter:
    """The limits of one client: places in flight, requests a second, and whether it is open at all.

    Args:
        limits: how many, and how many a second.
        clock: time.

    Attributes:
        is_closed: whether nothing more can be asked.
        watchers: are called when the client, or a view of it, is closed.
    """

    __slots__ = ("_bucket", "_clock", "_free", "_pauses", "_size", "_timer", "_waiters", "close_callbacks", "is_closed")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._size = self._free = limits.connections
        self._waiters: deque[Waiter] = deque()
        self._timer: tuple[float, Timer] | None = None
        self._pauses: set[Slot] = set()
        rate = limits.requests_per_second
        self._bucket = None if rate is None else TokenBucket(rate, clock.now())
        self.close_callbacks: set[Callable[[], None]] = set()
        self.is_closed = False

    @property
    def in_flight(self) -> int:
        """Requests that hold a place."""
        return self._size - self._free

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return sum(not waiting.slot.done() for waiting in self._waiters)

    def acquire_nowait(self) -> bool:
        """Take a place if one is free and nothing else has to be waited for; say whether it was."""
        if self._free and not self._waiters and self._bucket is None:
            self._free -= 1
            return True
        return False

    async def acquire(self, request: Request, seconds: float) -> None:
        """Take a place, waiting in line for at most so many seconds. Each ``enter`` needs one ``leave``.

        Raises:
            RequestTimeoutError: no place became free in time; nothing was sent.
            ClosedError: the client was closed meanwhile.

        Cancelling leaves the line, or passes the place on.
        """
        if self._free and not self._waiters:
            self._free -= 1
        else:
            await self._wait_for_slot(request, seconds)
        if self._bucket is not None:
            await self._wait_for_token(self._bucket, request, seconds)

    def release(self) -> None:
        """Give the place to the first in line, or back."""
        line = self._waiters
        while line:
            place = line.popleft().slot
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    async def pause(self, seconds: float) -> None:
        """Wait; closing the client ends the wait.

        Raises:
            ClosedError: the client was closed meanwhile.
        """
        place: Slot = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(_grant, place))
        self._pauses.add(place)
        try:
            await place
        finally:
            timer.cancel()
            self._pauses.discard(place)

    def close(self) -> None:
        """Send everybody home who waits."""
        self.is_closed = True
        for place in (*(waiting.slot for waiting in self._waiters), *self._pauses):
            if not place.done():
                place.set_exception(ClosedError())
        self._waiters.clear()
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None
        self.run_close_callbacks()

    def run_close_callbacks(self) -> None:
        """Let those look who end with the client, or with a view of it."""
        for watcher in tuple(self.close_callbacks):
            watcher()

    async def _wait_for_slot(self, request: Request, seconds: float) -> None:
        place: Slot = asyncio.get_running_loop().create_future()
        deadline = self._clock.now() + seconds
        self._waiters.append(Waiter(place, deadline, seconds, request))
        if self._timer is None or deadline < self._timer[0]:
            self._start_timer(deadline)
        try:
            await place
        except asyncio.CancelledError:
            # Cancelled in the same turn of the loop in which the place was granted: pass it on.
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release()
            raise

    def _start_timer(self, deadline: float) -> None:
        # One for the whole line: nearly all who stand in it are served in time, and a timer for each would cost more
        # than all else here. It may ring for nobody.
        if self._timer is not None:
            self._timer[1].cancel()
        seconds = max(0.0, deadline - self._clock.now())
        self._timer = (deadline, self._clock.call_later(seconds, partial(self._on_timer, deadline)))

    def _on_timer(self, until: float) -> None:
        self._timer = None
        for waiting in self._waiters:
            if waiting.deadline <= until:
                _expire(waiting.slot, waiting.request, self, waiting.seconds)
        self._waiters = deque(waiting for waiting in self._waiters if not waiting.slot.done())
        if self._waiters:
            # Where thousands end one after another, the line is not walked for each of them.
            self._start_timer(max(until + MIN_TIMER_GAP, min(waiting.deadline for waiting in self._waiters)))

    async def _wait_for_token(self, bucket: TokenBucket, request: Request, seconds: float) -> None:
        delay = bucket.reserve(self._clock.now())
        granted = False
        try:
            if delay >= seconds:
                detail = f"the limit of requests a second leaves no turn within {seconds:.3g} s"
                raise _pool_timeout(request, detail)
            if delay:
                await self.pause(delay)
            granted = True
        finally:
            if not granted:
                bucket.refund()
                self.release()


def _grant(place: Slot) -> None:
    if not place.done():
        place.set_result(None)


def _expire(place: Slot, request: Request, gate: RequestLimiter, seconds: float) -> None:
    if not place.done():
        detail = f"no place within {seconds:.3g} s: {gate.in_flight} requests in flight, {gate.waiting} in line"
        place.set_exception(_pool_timeout(request, detail))


def _pool_timeout(request: Request, detail: str) -> RequestTimeoutError:
    return RequestTimeoutError(method=request.method, path=request.path, kind="pool-timeout", detail=detail)
