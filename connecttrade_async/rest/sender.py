"""A loop: ask, and where that is harmless ask again, within one budget of time.

Below it stand three doors and one rule: ``gate`` says when, ``transport`` exchanges, ``clock`` is time, and ``retry``
judges. On the way of a call that succeeds nothing is made that it does not need.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from connecttrade_async.errors import ClosedError, NotFoundError, TransportError
from connecttrade_async.pacing import full_jitter_delays
from connecttrade_async.rest import wire
from connecttrade_async.rest.retry import RetryState
from connecttrade_async.rest.transport import RequestTimeout
from connecttrade_async.rest.wire import RetryMode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from connecttrade_async.clock import Clock
    from connecttrade_async.config import Retry, Timeouts
    from connecttrade_async.errors import APIError
    from connecttrade_async.rest.limiter import RequestLimiter
    from connecttrade_async.rest.transport import Transport
    from connecttrade_async.rest.wire import Request, Response
    from connecttrade_async.secret import Secret

__all__ = ["Api", "RequestCounters", "Sender"]

T = TypeVar("T")
SAFE = RetryMode.SAFE
log = logging.getLogger("connecttrade_async.rest")


class RequestCounters(msgspec.Struct):
    """Counters over the life of a client.

    Attributes:
        exchanges: requests sent, each attempt counted.
        retries: exchanges that were another attempt.
        failures: calls that ended in an error.
        troubles: retryable failures since the last good answer; 0 while all is well.
        last_error: the latest failure in words, or None.
    """

    exchanges: int = 0
    retries: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    last_error: str | None = None


class Sender:
    """One way of asking: shared doors, and its own patience.

    Args:
        gate: the limits, shared.
        transport: the session, shared.
        timeouts: how long an exchange may take.
        retry: how patiently to ask again.
        clock: time.
        traffic: the counters, shared.
    """

    __slots__ = (
        "_first_timeout",
        "_timeout",
        "_without_retries",
        "clock",
        "counters",
        "is_closed",
        "limiter",
        "retry",
        "timeouts",
        "transport",
    )

    def __init__(
        self,
        limiter: RequestLimiter,
        transport: Transport,
        *,
        timeouts: Timeouts,
        retry: Retry,
        clock: Clock,
        counters: RequestCounters,
    ) -> None:
        self.limiter = limiter
        self.transport = transport
        self.timeouts = timeouts
        self.retry = retry
        self.clock = clock
        self.counters = counters
        self.is_closed = False
        self._timeout = RequestTimeout(timeouts.call, timeouts.connect)
        # Of a request that is sent as soon as it is made, and may be repeated.
        self._first_timeout = self._timeout_within(retry.budget)
        self._without_retries: Sender | None = None

    def with_options(self, timeouts: Timeouts | None, retry: Retry | None) -> Sender:
        """Return another way of asking through the same doors."""
        return Sender(
            self.limiter,
            self.transport,
            timeouts=timeouts or self.timeouts,
            retry=retry or self.retry,
            clock=self.clock,
            counters=self.counters,
        )

    def without_retries(self) -> Sender:
        """Return the same way of asking, but nothing is asked twice. It is made once, and closed with this one."""
        if self._without_retries is None:
            self._without_retries = self.with_options(None, msgspec.structs.replace(self.retry, attempts=1))
            self._without_retries.is_closed = self.is_closed
        return self._without_retries

    def close(self) -> None:
        """From now on, nothing can be asked in this way."""
        self.is_closed = True
        if self._without_retries is not None:
            self._without_retries.close()
        self.limiter.run_close_callbacks()

    def check_open(self) -> None:
        """See to it that something can still be asked in this way.

        Raises:
            ClosedError: the client is closed.
        """
        if self.is_closed or self.limiter.is_closed:
            raise ClosedError

    def on_close(self, end: Callable[[ClosedError], None]) -> Callable[[], None]:
        """Have something ended as soon as nothing can be asked in this way any more; returns what calls that off."""

        def look() -> None:
            if self.is_closed or self.limiter.is_closed:
                end(ClosedError())

        self.limiter.close_callbacks.add(look)
        return partial(self.limiter.close_callbacks.discard, look)

    def __reduce__(self) -> NoReturn:
        msg = "a client and its users hold connections, which cannot be pickled: make a client in each process"
        raise TypeError(msg)

    async def send(self, request: Request) -> Response:
        """Ask until there is an answer, a refusal, or no more patience.

        Raises:
            ClosedError: the client is closed.
            ConfigurationError: the client belongs to another event loop or process.
            TransportError: the wire failed, for the last time.
            APIError: the API said no.

        Cancelling gives the place in line back and drops the connection; a request already sent may still be done.
        """
        self.transport.settle()  # before anything is touched that the calls of another loop share
        gate, limit = self.limiter, self._timeout if request.repeat is not SAFE else self._first_timeout
        deadline = self.clock.now() + self.retry.budget
        patience: RetryState | None = None
        while True:
            if self.is_closed or gate.is_closed:
                raise ClosedError
            outcome: TransportError | APIError
            try:
                if not gate.acquire_nowait():
                    limit = await self._acquire_slot(request, deadline)
                try:
                    self.counters.exchanges += 1
                    response = await self.transport.exchange(request, limit)
                finally:
                    gate.release()
            except TransportError as exc:
                outcome = exc
            else:
                if wire.OK_FROM <= response.status < wire.OK_BELOW:
                    if self.counters.consecutive_failures:
                        self._record_recovery()
                    return response
                outcome = wire.error_from_response(request, response, self.clock.wall())
            if patience is None:
                patience = self._retry_state(request, deadline)
            elif isinstance(outcome, NotFoundError) and request.method == "DELETE" and patience.may_have_executed:
                # An earlier attempt deleted it, and its answer was lost.
                return wire.Response(wire.NO_CONTENT, {}, b"")
            await self._pause_after(outcome, patience)
            limit = self._timeout_within(self._time_left(request, deadline))

    async def _acquire_slot(self, request: Request, deadline: float) -> RequestTimeout:
        seconds = self._time_left(request, deadline)
        await self.limiter.acquire(request, min(self.timeouts.call, seconds))
        return self._timeout_within(self._time_left(request, deadline))

    async def _pause_after(self, outcome: TransportError | APIError, patience: RetryState) -> None:
        pause = patience.pause_after(outcome, self.clock.now())
        if pause is None:
            self._record_failure(outcome)
            raise outcome
        self._record_retry(outcome, pause)
        await self.limiter.pause(pause)
        self.counters.retries += 1

    def _timeout_within(self, left: float) -> RequestTimeout:
        return self._timeout if left >= self.timeouts.call else RequestTimeout(max(left, 0.001), self.timeouts.connect)

    def _time_left(self, request: Request, deadline: float) -> float:
        # To cut short what cannot be repeated would only make its outcome unknown.
        return deadline - self.clock.now() if request.repeat is SAFE else self.timeouts.call

    def _retry_state(self, request: Request, deadline: float) -> RetryState:
        delays = full_jitter_delays(self.retry.base, self.retry.cap)
        return RetryState(self.retry, repeat=request.repeat, deadline=deadline, delays=delays)

    def _record_retry(self, error: Exception, pause: float) -> None:
        level = logging.DEBUG if self.counters.consecutive_failures else logging.WARNING
        self.counters.consecutive_failures += 1
        self.counters.last_error = str(error)
        log.log(level, "asking again in %.3g s: %s", pause, error)

    def _record_failure(self, error: Exception) -> None:
        self.counters.failures += 1
        self.counters.last_error = str(error)

    def _record_recovery(self) -> None:
        log.info("answers again; failed attempts before: %d", self.counters.consecutive_failures)
        self.counters.consecutive_failures = 0


class Api(msgspec.Struct, eq=False):
    """Somebody in whose name things are asked: a user, or the client itself.

    Attributes:
        caller: the way of asking.
        user_id: the user's name, or None for the client itself.
        user_secret: likewise.
    """

    sender: Sender
    user_id: str | None
    user_secret: Secret | None

    def __repr__(self) -> str:
        # Those who ask and take notes hold what people own, which is nothing to print.
        return f"<{type(self).__name__} {self.user_id or 'of the client'}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("user_id", self.user_id)]

    def with_sender(self, sender: Sender) -> Api:
        """Return the same somebody, asking in another way."""
        return Api(sender, self.user_id, self.user_secret)

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Send a request; whoever watches what is asked does it here."""
        return self.sender.send(request)

    async def get(self, path: str, decoder: msgspec.json.Decoder[T], params: Mapping[str, object] | None = None) -> T:
        """GET a path and read the answer."""
        request = self.get_request(path, params)
        return wire.read(await self.send(request), decoder, request)

    async def read(self, request: Request, decode: Callable[[Response, Request], T]) -> T:
        """Send a request, and read the answer as it needs."""
        return decode(await self.send(request), request)

    def get_request(self, path: str, params: Mapping[str, object] | None) -> Request:
        """Return the request for a GET of a path."""
        return self.get_request_with_query(path, wire.query_string(params) if params else "")

    def get_request_with_query(self, path: str, query: str) -> Request:
        """Return the request for a GET of a path with a query that is spelled already."""
        return wire.Request(
            method="GET",
            path=path,
            query=query,
            user_id=self.user_id,
            user_secret=self.user_secret,
            repeat=SAFE,
        )

    async def send_json(self, method: str, path: str, decoder: msgspec.json.Decoder[T], body: object) -> T:
        """Send a body with a method that is never repeated, and read the answer."""
        request = self.new_request(method, path, body=body)
        return wire.read(await self.send(request), decoder, request)

    async def delete(self, path: str) -> None:
        """DELETE what is harmless to delete twice; the answer's body is not needed, and may be empty (documented)."""
        await self.send(self.new_request("DELETE", path, repeat=RetryMode.SAFE))

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> Response:
        """Send anything; only a GET is ever repeated."""
        query = wire.query_string(wire.checked_params(params))
        method = wire.checked_method(method)
        repeat = RetryMode.SAFE if method == "GET" else RetryMode.NEVER
        return await self.send(
            self.new_request(method, wire.checked_path(path), query=query, body=json, repeat=repeat),
        )

    def new_request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: object = None,
        repeat: RetryMode = RetryMode.NEVER,
    ) -> Request:
        """Return a request in this name; a body is spelled as JSON."""
        return wire.Request(
            method=method,
            path=path,
            query=query,
            body=None if body is None else wire.json_body(body),
            user_id=self.user_id,
            user_secret=self.user_secret,
            repeat=repeat,
        )
