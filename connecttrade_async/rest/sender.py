"""Send requests with retries, within one budget of time.

``limiter`` decides when a request is sent, ``transport`` sends it, and ``retry`` decides whether to repeat it. A
request that succeeds at once allocates nothing for retries.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from connecttrade_async.errors import ClosedError, NotFoundError, TransportError
from connecttrade_async.pacing import full_jitter_delays
from connecttrade_async.rest import wire
from connecttrade_async.rest.call import Call
from connecttrade_async.rest.retry import RetryState
from connecttrade_async.rest.transport import RequestTimeout
from connecttrade_async.rest.wire import RetryMode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from connecttrade_async.clock import Clock
    from connecttrade_async.config import Retry, Timeouts
    from connecttrade_async.errors import APIError
    from connecttrade_async.models.pages import Rows
    from connecttrade_async.rest.codec import ListShape, ObjectShape, RestCodec
    from connecttrade_async.rest.limiter import RequestLimiter
    from connecttrade_async.rest.transport import Transport
    from connecttrade_async.rest.wire import Request, Response
    from connecttrade_async.secret import Secret

__all__ = ["Api", "RequestCounters", "Sender"]

M = TypeVar("M", bound=msgspec.Struct)
SAFE = RetryMode.SAFE
log = logging.getLogger("connecttrade_async.rest")


class RequestCounters(msgspec.Struct):
    """Counters of all requests of a client since it was created.

    Attributes:
        exchanges: requests sent; each attempt counts.
        retries: exchanges that were a repeated attempt.
        failures: calls that ended in an error.
        consecutive_failures: retryable failures since the last successful response.
        last_error: the text of the latest failure, or None.
    """

    exchanges: int = 0
    retries: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    last_error: str | None = None


class Sender:
    """Sends requests with retries; shares transport and limiter, has its own timeouts.

    Args:
        limiter: limits concurrency and rate; shared by all senders of a client.
        transport: the HTTP session; shared.
        timeouts: limits of one exchange, in seconds.
        retry: the retry policy.
        clock: the source of time and timers.
        counters: the counters; shared.
        codec: encodes requests and decodes responses; shared.
    """

    __slots__ = (
        "_first_timeout",
        "_timeout",
        "_without_retries",
        "clock",
        "codec",
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
        codec: RestCodec,
    ) -> None:
        self.limiter = limiter
        self.transport = transport
        self.timeouts = timeouts
        self.retry = retry
        self.clock = clock
        self.counters = counters
        self.codec = codec
        self.is_closed = False
        self._timeout = RequestTimeout(timeouts.call, timeouts.connect)
        # For the first attempt of a repeatable request that waits for no slot: made once, not for each request.
        self._first_timeout = self._timeout_within(retry.budget)
        self._without_retries: Sender | None = None

    def with_options(self, timeouts: Timeouts | None, retry: Retry | None) -> Sender:
        """Return a sender with other timeouts or another retry policy, on the same transport and limiter."""
        return Sender(
            self.limiter,
            self.transport,
            timeouts=timeouts or self.timeouts,
            retry=retry or self.retry,
            clock=self.clock,
            counters=self.counters,
            codec=self.codec,
        )

    def without_retries(self) -> Sender:
        """Return a sender that repeats no request. It is created once, and closes with this sender."""
        if self._without_retries is None:
            self._without_retries = self.with_options(None, msgspec.structs.replace(self.retry, attempts=1))
            self._without_retries.is_closed = self.is_closed
        return self._without_retries

    def close(self) -> None:
        """Refuse every further request of this sender, and run the close callbacks."""
        self.is_closed = True
        if self._without_retries is not None:
            self._without_retries.close()
        self.limiter.run_close_callbacks()

    def check_open(self) -> None:
        """Check that requests can be sent from here, before a stream, live accounts or a poller is opened.

        What is opened ends with the client, so it binds the client to its event loop as a request does.

        Raises:
            ClosedError: this sender or the client is closed.
            ConfigurationError: the client belongs to another event loop or process.
        """
        if self.is_closed or self.limiter.is_closed:
            raise ClosedError
        self.transport.bind_loop()

    def on_close(self, callback: Callable[[ClosedError], None]) -> Callable[[], None]:
        """Register a callback for the close of this sender or of the client; return a function that removes it."""

        def check_closed() -> None:
            # The limiter is shared, so it also runs this when another sender closes.
            if self.is_closed or self.limiter.is_closed:
                callback(ClosedError())

        self.limiter.close_callbacks.add(check_closed)
        return partial(self.limiter.close_callbacks.discard, check_closed)

    def __reduce__(self) -> NoReturn:
        msg = "a client and its users hold connections and cannot be pickled: create a client in each process"
        raise TypeError(msg)

    async def send(self, request: Request) -> Response:
        """Send a request until it succeeds, is refused, or may not be repeated any more.

        Returns:
            The response, with a status of 2xx.

        Raises:
            ClosedError: the client is closed.
            ConfigurationError: the client belongs to another event loop or process.
            TransportError: the last attempt got no complete response.
            APIError: the API refused the request.

        Cancelling releases the slot and drops the connection; a request already sent may still be executed.
        """
        self.transport.bind_loop()  # first: a call from another loop must not touch what all calls share
        limiter, timeout = self.limiter, self._timeout if request.repeat is not SAFE else self._first_timeout
        deadline = self.clock.now() + self.retry.budget
        state: RetryState | None = None
        while True:
            if self.is_closed or limiter.is_closed:
                raise ClosedError
            failure: TransportError | APIError
            try:
                if not limiter.acquire_nowait():
                    timeout = await self._acquire_slot(request, deadline)
                try:
                    self.counters.exchanges += 1
                    response = await self.transport.exchange(request, timeout)
                finally:
                    limiter.release()
            except TransportError as exc:
                failure = exc
            else:
                if wire.OK_FROM <= response.status < wire.OK_BELOW:
                    if self.counters.consecutive_failures:
                        self._record_recovery()
                    response.content_headers = self.codec.content_headers
                    return response
                failure = wire.error_from_response(request, response, self.clock.wall(), self.codec.error_paths)
            if state is None:
                state = self._retry_state(request, deadline)
            elif isinstance(failure, NotFoundError) and request.method == "DELETE" and state.may_have_executed:
                # An earlier attempt deleted the resource, and its response was lost.
                return wire.Response(wire.NO_CONTENT, {}, b"")
            await self._pause_after(failure, state)
            timeout = self._timeout_within(self._time_left(request, deadline))

    async def _acquire_slot(self, request: Request, deadline: float) -> RequestTimeout:
        seconds = self._time_left(request, deadline)
        await self.limiter.acquire(request, min(self.timeouts.call, seconds))
        return self._timeout_within(self._time_left(request, deadline))

    async def _pause_after(self, failure: TransportError | APIError, state: RetryState) -> None:
        pause = state.pause_after(failure, self.clock.now())
        if pause is None:
            self._record_failure(failure)
            raise failure
        self._record_retry(failure, pause)
        await self.limiter.pause(pause)
        self.counters.retries += 1

    def _timeout_within(self, left: float) -> RequestTimeout:
        return self._timeout if left >= self.timeouts.call else RequestTimeout(max(left, 0.001), self.timeouts.connect)

    def _time_left(self, request: Request, deadline: float) -> float:
        # A request that is not repeated gets the whole timeout: ending it early would only leave its outcome unknown.
        return deadline - self.clock.now() if request.repeat is SAFE else self.timeouts.call

    def _retry_state(self, request: Request, deadline: float) -> RetryState:
        delays = full_jitter_delays(self.retry.base, self.retry.cap)
        return RetryState(self.retry, repeat=request.repeat, deadline=deadline, delays=delays)

    def _record_retry(self, error: Exception, pause: float) -> None:
        level = logging.DEBUG if self.counters.consecutive_failures else logging.WARNING
        self.counters.consecutive_failures += 1
        self.counters.last_error = str(error)
        log.log(level, "request failed, retrying in %.3g s: %s", pause, error, extra={"pause": pause})

    def _record_failure(self, error: Exception) -> None:
        self.counters.failures += 1
        self.counters.last_error = str(error)

    def _record_recovery(self) -> None:
        failures, self.counters.consecutive_failures = self.counters.consecutive_failures, 0
        log.info("requests succeed again after %d failed attempts", failures, extra={"failures": failures})


class Api(msgspec.Struct, eq=False):
    """The requests of one user, or of the client itself.

    Attributes:
        sender: sends the requests.
        user_id: the user's id, or None for the client itself.
        user_secret: the user's secret, or None for the client itself.
    """

    sender: Sender
    user_id: str | None
    user_secret: Secret | None

    def __repr__(self) -> str:
        # The generated one would print the fields of subclasses, which hold account data.
        return f"<{type(self).__name__} {self.user_id or 'of the client'}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("user_id", self.user_id)]

    def with_sender(self, sender: Sender) -> Api:
        """Return the same user's requests through another sender."""
        return Api(sender, self.user_id, self.user_secret)

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Send a request with retries; subclasses that observe requests override this."""
        return self.sender.send(request)

    def get(self, path: str, shape: ListShape[M], params: Mapping[str, object] | None = None) -> Call[Rows[M]]:
        """Return the call that GETs a list."""
        return Call(self, self.get_request(path, params), self.sender.codec.list_decoder(shape))

    async def get_object(self, path: str, shape: ObjectShape[M]) -> M:
        """GET an object."""
        request = self.get_request(path, None)
        return self.sender.codec.read(shape, await self.send(request), request)

    def get_request(self, path: str, params: Mapping[str, object] | None) -> Request:
        """Return a GET request for a path with filters."""
        codec, query = self.sender.codec, ""
        if params:
            query = wire.query_string(codec.renamed(params) if codec.is_renaming else params)
        return wire.Request(
            method="GET",
            path=path,
            query=query,
            user_id=self.user_id,
            user_secret=self.user_secret,
            repeat=SAFE,
        )

    async def send_json(self, method: str, path: str, shape: ObjectShape[M], body: Mapping[str, object]) -> M:
        """Send a JSON body without retries, and decode the response."""
        request = self.new_request(method, path, body=self.sender.codec.renamed(body))
        return self.sender.codec.read(shape, await self.send(request), request)

    async def delete(self, path: str) -> None:
        """DELETE a path with retries; the body of the response may be empty (documented) and is ignored."""
        await self.send(self.new_request("DELETE", path, repeat=RetryMode.SAFE))

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
    ) -> Response:
        """Send a request that no method of a resource covers; only a GET is repeated."""
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
        """Return a request of this user; the body is encoded as JSON."""
        return wire.Request(
            method=method,
            path=path,
            query=query,
            body=None if body is None else wire.json_body(body),
            user_id=self.user_id,
            user_secret=self.user_secret,
            repeat=repeat,
        )
