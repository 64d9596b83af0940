"""Limit concurrency and rate of the requests of one client, first in, first out over all its users.

aiohttp's own pool limit lets a finished task take its connection back before the next waiter wakes, so most tasks
starve under load. Here a released slot goes to the first waiter directly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.errors import ClosedError, RequestTimeoutError
from connecttrade_async.futures import fail, resolve
from connecttrade_async.pacing import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.config import Limits
    from connecttrade_async.rest.wire import Request

__all__ = ["RequestLimiter"]

Slot = asyncio.Future[None]
MIN_TIMER_GAP = 0.005  # seconds between two runs of the timer; a waiter may time out this much late


class Waiter(NamedTuple):
    """A request that waits for a slot.

    Attributes:
        slot: a future that is done when the slot is granted or the wait has failed.
        deadline: when the wait times out, in seconds on the clock.
        seconds: the length of the whole wait, for the message of the timeout.
        request: the request that waits.
    """

    slot: Slot
    deadline: float
    seconds: float
    request: Request


class RequestLimiter:
    """The limits of one client: requests in flight, requests a second, and whether the client is open.

    Args:
        limits: the number of slots, and the requests a second.
        clock: the source of time and timers.

    Attributes:
        is_closed: whether the client is closed.
        close_callbacks: called when the client, or a sender of it, closes.
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
        """Requests that hold a slot."""
        return self._size - self._free

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return sum(not waiter.slot.done() for waiter in self._waiters)

    def acquire_nowait(self) -> bool:
        """Acquire a slot if that needs no waiting; return whether it was acquired."""
        if self._free and not self._waiters and self._bucket is None:
            self._free -= 1
            return True
        return False

    async def acquire(self, request: Request, seconds: float) -> None:
        """Acquire a slot and a turn of the rate limit. Each ``acquire`` needs one ``release``.

        Args:
            request: named in the message of a timeout.
            seconds: how long to wait at most.

        Raises:
            RequestTimeoutError: no slot became free in time; nothing was sent.
            ClosedError: the client was closed meanwhile.

        Cancelling gives up the place in the queue, or passes the slot on.
        """
        if self._free and not self._waiters:
            self._free -= 1
        else:
            await self._wait_for_slot(request, seconds)
        if self._bucket is not None:
            await self._wait_for_token(self._bucket, request, seconds)

    def release(self) -> None:
        """Pass the slot to the first waiter, or free it."""
        waiters = self._waiters
        while waiters:
            slot = waiters.popleft().slot
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1

    async def pause(self, seconds: float) -> None:
        """Sleep for some seconds, but not beyond the close of the client.

        Raises:
            ClosedError: the client was closed meanwhile.
        """
        pause: Slot = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(resolve, pause, None))
        self._pauses.add(pause)
        try:
            await pause
        finally:
            timer.cancel()
            self._pauses.discard(pause)

    def close(self) -> None:
        """Fail all waiters and pauses with ``ClosedError``, and run the close callbacks."""
        self.is_closed = True
        for future in (*(waiter.slot for waiter in self._waiters), *self._pauses):
            fail(future, ClosedError())
        self._waiters.clear()
        if self._timer is not None:
            self._timer[1].cancel()
            self._timer = None
        self.run_close_callbacks()

    def run_close_callbacks(self) -> None:
        """Run the close callbacks; each one checks by itself whether its sender is closed."""
        for callback in tuple(self.close_callbacks):
            callback()

    async def _wait_for_slot(self, request: Request, seconds: float) -> None:
        slot: Slot = asyncio.get_running_loop().create_future()
        deadline = self._clock.now() + seconds
        self._waiters.append(Waiter(slot, deadline, seconds, request))
        if self._timer is None or deadline < self._timer[0]:
            self._start_timer(deadline)
        try:
            await slot
        except asyncio.CancelledError:
            # Cancelled in the same turn of the loop in which the slot was granted: pass it on.
            if slot.done() and not slot.cancelled() and slot.exception() is None:
                self.release()
            raise

    def _start_timer(self, deadline: float) -> None:
        # One timer for the whole queue: nearly all waiters get their slot in time, and a timer for each would cost more
        # than everything else here. It may run when no waiter is due.
        if self._timer is not None:
            self._timer[1].cancel()
        seconds = max(0.0, deadline - self._clock.now())
        self._timer = (deadline, self._clock.call_later(seconds, partial(self._on_timer, deadline)))

    def _on_timer(self, until: float) -> None:
        self._timer = None
        for waiter in self._waiters:
            if waiter.deadline <= until:
                self._expire(waiter)
        self._waiters = deque(waiter for waiter in self._waiters if not waiter.slot.done())
        if self._waiters:
            # The gap keeps thousands of deadlines close to each other from walking the queue once each.
            self._start_timer(max(until + MIN_TIMER_GAP, min(waiter.deadline for waiter in self._waiters)))

    def _expire(self, waiter: Waiter) -> None:
        if not waiter.slot.done():
            detail = (
                f"no slot within {waiter.seconds:.3g} s: {self.in_flight} requests in flight, {self.waiting} waiting"
            )
            waiter.slot.set_exception(_pool_timeout(waiter.request, detail))

    async def _wait_for_token(self, bucket: TokenBucket, request: Request, seconds: float) -> None:
        delay = bucket.reserve(self._clock.now())
        granted = False
        try:
            if delay >= seconds:
                detail = f"the limit of requests a second allows none within {seconds:.3g} s"
                raise _pool_timeout(request, detail)
            if delay:
                await self.pause(delay)
            granted = True
        finally:
            if not granted:
                bucket.refund()
                self.release()


def _pool_timeout(request: Request, detail: str) -> RequestTimeoutError:
    return RequestTimeoutError(method=request.method, path=request.path, kind="pool-timeout", detail=detail)
