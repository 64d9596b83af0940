"""The HTTP session of a client: send one ``Request``, return one ``Response``.

Each request is sent at most once, and every exception of aiohttp is translated into one of this library.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from functools import lru_cache
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from yarl import URL

from connecttrade_async.config import Limits
from connecttrade_async.errors import ClosedError, ConfigurationError, ConnectError, RequestTimeoutError, TransportError
from connecttrade_async.recording.taps import TapPoint
from connecttrade_async.rest.connector import (
    UNSOLICITED_DATA,
    CancelledUnsentError,
    Connector,
    NotSentError,
    is_clean,
)
from connecttrade_async.rest.deadlines import DeadlineTimer
from connecttrade_async.rest.retry import was_never_sent
from connecttrade_async.rest.wire import OK_BELOW, OK_FROM, Response
from connecttrade_async.secret import REDACTION_WINDOW, redact, without_frames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Mapping

    from aiohttp.connector import Connection

    from connecttrade_async.config import DialOptions
    from connecttrade_async.recording.taps import Tap
    from connecttrade_async.rest.deadlines import Deadline
    from connecttrade_async.rest.wire import Request
    from connecttrade_async.secret import Secret

__all__ = ["RequestTimeout", "Transport"]

ClientSession = aiohttp.ClientSession
TraceConfig = aiohttp.TraceConfig
"""Names for the signatures of the client, so that only this module imports aiohttp."""

YIELD_EVERY = 1_048_576  # bytes of a body that are read before other tasks run
MAX_DIRTY = 20  # connections of a borrowed pool that may be dropped for one request
NO_TASK = "a request must be sent from within a task: await it under asyncio.run or in a task of your own"
OTHER_PROCESS = (
    "this client was first used in another process, which its connections belong to: make one in each process"
)
OTHER_LOOP = "this client was first used in another event loop, and its connections belong there: create one in each"
BORROWED = "the session that this client borrowed"


class _ForkCounter:
    """Counts the forks that led to this process, since connections must not be shared with the parent."""

    count = 0

    @classmethod
    def add(cls) -> None:
        """Count one fork; called in the child."""
        cls.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ForkCounter.add)


class _ConnectionDroppedError(Exception):
    """Replaces exceptions of aiohttp on which aiohttp would resend: see ``_send_once``."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # When a kept-alive connection drops, aiohttp resends GET, PUT and DELETE by itself, and cancelling an order is a
    # DELETE. It resends on two exceptions of its own, so neither may reach its retry loop. Every method goes through
    # this middleware, at some 3 us each: aiohttp's only switch for it is private.
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _ConnectionDroppedError from exc


class _DirtyConnectionError(Exception):
    """A connection of a borrowed pool was dropped unused, since unsolicited data arrived on it."""


async def _send_isolated(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send through a borrowed session as through an own one: on a clean connection, and without cookies."""
    send, is_sent = request.send, False

    async def send_if_clean(connection: Connection) -> aiohttp.ClientResponse:
        nonlocal is_sent
        if not is_clean(connection):
            raise _DirtyConnectionError  # aiohttp closes the connection
        is_sent = True
        return await send(connection)

    # The connector of a borrowed session stays, and only this step has the connection before anything is sent.
    request.send = send_if_clean  # type: ignore[assignment,method-assign]
    # The cookies of one user would be sent with the requests of the next, and with those of the owner.
    request.headers.popall("cookie", None)
    for _ in range(MAX_DIRTY):
        try:
            response = await _send_once(request, handler)
        except _DirtyConnectionError:
            continue
        except asyncio.CancelledError as exc:
            if is_sent:
                raise
            raise CancelledUnsentError(*exc.args) from None
        response.cookies = SimpleCookie()  # the session's jar takes them from here
        return response
    raise NotSentError(UNSOLICITED_DATA)


@lru_cache(maxsize=256)
def _address(api: str, path: str, query: str) -> URL:
    # Cached, since aiohttp splits the URL of every request, and yarl caches the parts of a URL in the object.
    return URL(f"{api}{path}{query}", encoded=True)


class _TooLargeError(Exception):
    """A response body exceeds its limit; the message has the limit."""


class _BoundedReader:
    """Replaces the content of a response, and reads its body up to a limit.

    ``aiohttp.ClientResponse.read`` decompresses without a bound: 3 MB of gzip become 1.6 GB.

    Args:
        content: the stream to read from.
        limit: the largest body in bytes, decompressed.
        truncates: whether a larger body is cut off; otherwise it is an error.
    """

    def __init__(self, content: aiohttp.StreamReader, limit: int, *, truncates: bool) -> None:
        self._content = content
        self._limit = limit
        self._truncates = truncates

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever aiohttp's own has
        return getattr(self._content, name)

    async def read(self) -> bytes:
        """Return the body, or its beginning.

        Raises:
            _TooLargeError: the body is larger than the limit.
        """
        blocks: list[bytes] = []
        size = yielded_at = 0
        while block := await self._content.readany():
            blocks.append(block)
            size += len(block)
            if size > self._limit:
                break
            if size - yielded_at > YIELD_EVERY:
                yielded_at = size
                await asyncio.sleep(0)  # decompressing blocks the loop, so let other tasks run
        return limit_body(b"".join(blocks), self._limit, truncates=self._truncates)


def limit_body(body: bytes, limit: int, *, truncates: bool) -> bytes:
    """Return a body that fits into a limit, or the beginning of a larger one.

    Raises:
        _TooLargeError: the body is larger and must not be cut off.
    """
    if len(body) > limit and not truncates:
        msg = f"the response has more than {limit:,} bytes: raise Limits.response_bytes, or request less at once"
        raise _TooLargeError(msg)
    return body[:limit]


class RequestTimeout:
    """The limits of one exchange.

    Args:
        total: seconds from the call to the last byte of the response.
        connect: seconds to get a connection; never more than the total.

    Attributes:
        total: as above.
        connect: as above.
        aiohttp_timeout: the limits for aiohttp. The total is left to ``DeadlineTimer``, since aiohttp would start a
            timer for each request.
    """

    __slots__ = ("aiohttp_timeout", "connect", "total")

    def __init__(self, total: float, connect: float) -> None:
        self.total = total
        self.connect = min(total, connect)
        self.aiohttp_timeout = aiohttp.ClientTimeout(total=None, connect=self.connect)


class Transport:
    """The one HTTP session of a client.

    Args:
        api: the URL of the API, without a trailing slash.
        headers: the headers of every request.
        client_secret: masked in the messages of errors.
        http: a session to borrow; it is never closed here. None creates a session at the first request.
        dial: TLS context and proxy of the created session; None for a direct connection with the system's
            certificates.
        limits: the largest response.
        trace_configs: aiohttp's tracing, for the created session.

    Attributes:
        is_closed: whether ``aclose`` was called.
        tap_point: where a recorder attaches.

    Raises:
        ConfigurationError: a session is borrowed, and options for a created one are given.
    """

    __slots__ = (
        "_api",
        "_borrowed",
        "_client_secret",
        "_deadlines",
        "_dial",
        "_extra",
        "_forks",
        "_headers",
        "_http",
        "_is_unobserved",
        "_loop",
        "_max_body",
        "_max_error_body",
        "_max_line",
        "_traces",
        "is_closed",
        "tap_point",
    )

    def __init__(
        self,
        api: str,
        headers: Mapping[str, str],
        *,
        client_secret: Secret,
        http: aiohttp.ClientSession | None = None,
        dial: DialOptions | None = None,
        limits: Limits | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        _check_session(http, trace_configs)
        _check_dial(http, dial)
        self._api = (
            api if api.isascii() else str(URL(api))
        )  # encoded=True in _address: aiohttp does not encode the host
        self._dial = dial
        limits = Limits() if limits is None else limits
        self._max_body, self._max_line = limits.response_bytes, limits.header_bytes
        self._max_error_body = min(REDACTION_WINDOW, self._max_body)
        self._headers = dict(headers)
        self._client_secret = client_secret
        self._http = http
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forks: int | None = None
        self._deadlines = DeadlineTimer()
        self._traces = list(trace_configs)
        self._borrowed = http is not None
        # Without trace hooks or an owner, no other code observes the steps of an exchange, so some can be skipped.
        self._is_unobserved = not self._borrowed and not self._traces
        # A followed redirect would send the credentials to any host, so a redirect is a response like any other.
        self._extra: dict[str, Any] = {"allow_redirects": False, "middlewares": (_send_once,)}
        if http is not None:
            theirs = getattr(http, "_middlewares", ())
            self._extra |= {
                "raise_for_status": False,
                "middlewares": (*theirs, _send_isolated),
                "max_line_size": self._max_line,
                "max_field_size": self._max_line,
            }
        self.is_closed = False
        self.tap_point = TapPoint()

    def exchange(self, request: Request, limit: RequestTimeout) -> Coroutine[Any, Any, Response]:
        """Send a request once and read the whole response.

        Args:
            request: the request.
            limit: the timeout of this exchange.

        Returns:
            The response, of any status.

        Raises:
            TransportError: no complete response arrived; ``kind`` has the reason.
            ClosedError: the client was closed meanwhile.
            ConfigurationError: the client belongs to another event loop or process, or no task runs.

        Cancelling drops the connection; a request that was sent may still be executed.
        """
        tap = self.tap_point.tap
        return self._exchange(request, limit) if tap is None else self._tapped(tap, request, limit)

    async def _tapped(self, tap: Tap, request: Request, limit: RequestTimeout) -> Response:
        began = tap.began()
        try:
            response = await self._exchange(request, limit)
        except BaseException as exc:
            tap.exchanged(began, request, None, exc)
            raise
        tap.exchanged(began, request, response, None)
        return response

    async def _exchange(self, request: Request, limit: RequestTimeout) -> Response:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.bind_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise ConfigurationError(NO_TASK)
        http = self._open_session()
        is_sent = True
        deadline = self._deadlines.add(task, loop, limit.total)
        try:
            reply = await self._start(http, request, limit)
            body = self._buffered_body(reply) if self._is_unobserved and request.body is None else None
            if body is None:
                body = await self._read(reply)
            return Response(reply.status, reply.headers, body, (self._client_secret, request.user_secret))
        except (aiohttp.ClientError, _ConnectionDroppedError, _TooLargeError, NotSentError, OSError) as exc:
            failure, cause = self._translate(request, exc, limit)
        except (AssertionError, RuntimeError) as exc:
            # aiohttp raises these if a trace hook, or the owner, closes the session during the exchange.
            if not self._closed_owner(http):
                raise
            without_frames(exc)
            failure, cause = self._translate(request, aiohttp.ServerDisconnectedError(), limit)
        except asyncio.CancelledError as exc:
            without_frames(exc)
            if deadline.is_cancelled_by_others() or not (deadline.has_ended or self._closed_owner(http)):
                raise
            is_sent = not isinstance(exc, CancelledUnsentError)
            failure, cause = self._translate(request, _cancellation_cause(deadline, is_sent=is_sent), limit)
        finally:
            self._deadlines.remove(deadline)
        # Raised outside of ``except``: as its context, aiohttp's exception would keep the frames with the secrets.
        if owner := self._closed_owner(http):
            raise ClosedError(owner, may_be_done=is_sent and not was_never_sent(failure))
        raise failure from cause

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        is_error = reply.status >= OK_BELOW
        bounded = _BoundedReader(
            reply.content, self._max_error_body if is_error else self._max_body, truncates=is_error
        )
        reply.content = cast("aiohttp.StreamReader", bounded)
        body = await reply.read()
        if reply.status < OK_FROM:
            reply.close()  # after a switch of protocols, aiohttp leaves the connection to the caller
        return body

    def _buffered_body(self, reply: aiohttp.ClientResponse) -> bytes | None:
        content = reply.content
        if not content.is_eof() or content.exception() is not None or reply.status < OK_FROM:
            return None
        # The whole body arrived with the headers, and the connection is back in the pool: nothing to wait for.
        body = content.read_nowait()
        if len(body) <= self._max_error_body:
            return body
        is_error = reply.status >= OK_BELOW
        return limit_body(body, self._max_error_body if is_error else self._max_body, truncates=is_error)

    def _open_session(self) -> aiohttp.ClientSession:
        http = self._http or self._create_session()
        if owner := self._closed_owner(http):
            raise ClosedError(owner)
        return http

    def _closed_owner(self, http: aiohttp.ClientSession) -> str:
        if self.is_closed:
            return "this client"
        return BORROWED if self._borrowed and http.closed else ""

    def bind_loop(self) -> asyncio.AbstractEventLoop:
        """Bind the connections to the running event loop at the first call, and check it at every other.

        Returns:
            The running event loop.

        Raises:
            ConfigurationError: another event loop runs, or none, or this is another process.
        """
        # First: after a fork in a running loop, asyncio reports no running loop.
        if self._forks != _ForkCounter.count and self._forks is not None:
            raise ConfigurationError(OTHER_PROCESS)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise ConfigurationError(NO_TASK)
        if loop is not self._loop:
            self._bind_loop(loop)
        return loop

    def _start(
        self, http: aiohttp.ClientSession, request: Request, limit: RequestTimeout
    ) -> Awaitable[aiohttp.ClientResponse]:
        headers = request.headers()
        url = _address(self._api, request.path, request.query)
        if self._borrowed:
            headers |= self._headers
        if request.method == "GET":
            return http.get(url, headers=headers, timeout=limit.aiohttp_timeout, **self._extra)
        return http.request(
            request.method, url, data=request.body, headers=headers, timeout=limit.aiohttp_timeout, **self._extra
        )

    def _bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            raise ConfigurationError(OTHER_LOOP)
        theirs = getattr(self._http, "_loop", loop)
        if theirs is not loop:
            state = "is closed" if theirs.is_closed() else "is not the one that runs here"
            raise ConfigurationError(f"{BORROWED} belongs to an event loop that {state}: pass one created in this loop")
        self._loop, self._forks = loop, _ForkCounter.count

    def _translate(
        self,
        request: Request,
        exc: BaseException,
        limit: RequestTimeout,
    ) -> tuple[TransportError, BaseException | None]:
        if isinstance(exc, _ConnectionDroppedError) and exc.__cause__ is not None:
            exc = exc.__cause__
        error_class, kind, detail = _classify(exc, limit)
        cause: BaseException | None = without_frames(exc)
        if self._dial is not None and self._dial.proxy is not None:
            # aiohttp's exceptions hold the URL of the proxy, with its login.
            cause = None
        if kind == "garbled":
            # aiohttp quotes the data received, which may echo the request. The detail is masked, the cause dropped.
            detail = redact(detail, (self._client_secret, request.user_secret))
            cause = None
        return error_class(method=request.method, path=request.path, kind=kind, detail=detail), cause

    def check_closing(self) -> None:
        """Check that the session can be closed from here.

        Raises:
            ConfigurationError: its connections belong to another event loop that still runs, or to another process.
        """
        if self._loop is not None and not self._loop.is_closed():
            self.bind_loop()

    async def aclose(self) -> None:
        """End all exchanges with ``ClosedError``, and close the session unless it is borrowed.

        Raises:
            ConfigurationError: its connections belong to another event loop that still runs, or to another process.
        """
        self.check_closing()
        self.is_closed = True
        # Closing the session does not end an exchange that waits for a host name or a body, or it cancels the task.
        if self._loop is not None and not self._loop.is_closed():
            self._deadlines.end_all(except_for=asyncio.current_task())
        if self._http is not None and not self._borrowed:
            await self._http.close()

    def _create_session(self) -> aiohttp.ClientSession:
        # limit=0: RequestLimiter limits fairly. No cookies: those of one user would be sent for the next.
        context = None if self._dial is None else self._dial.ssl
        proxy = None if self._dial is None else self._dial.proxy
        self._http = aiohttp.ClientSession(
            connector=Connector(limit=0, ssl=True if context is None else context),
            proxy=None if proxy is None else URL(proxy.reveal()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            max_line_size=self._max_line,
            max_field_size=self._max_line,
            trace_configs=self._traces,
        )
        return self._http


def _cancellation_cause(deadline: Deadline, *, is_sent: bool) -> BaseException:
    """Return the exception behind a cancellation that came from the deadline or from aiohttp."""
    if deadline.has_ended:
        return TimeoutError() if is_sent else aiohttp.ConnectionTimeoutError()
    # Closing its session, aiohttp cancels tasks that requests share, such as a DNS look-up.
    return (
        aiohttp.ServerDisconnectedError() if is_sent else NotSentError("the connection was cancelled while it was made")
    )


def _check_session(http: object, trace_configs: object) -> None:
    if http is not None and not isinstance(http, aiohttp.ClientSession):
        msg = f"http must be an aiohttp.ClientSession, got {type(http).__name__}"
        raise ConfigurationError(msg)
    if not isinstance(trace_configs, Sequence) or not all(
        isinstance(each, aiohttp.TraceConfig) for each in cast("Sequence[object]", trace_configs)
    ):
        msg = "trace_configs must be a list of aiohttp.TraceConfig"
        raise ConfigurationError(msg)
    if http is not None and trace_configs:
        msg = "trace_configs must be empty with http=: create that session with them"
        raise ConfigurationError(msg)


def _check_dial(http: object, dial: DialOptions | None) -> None:
    if http is not None and dial is not None and (dial.ssl is not None or dial.proxy is not None):
        msg = "ssl and proxy must be None with http=: create that session with them"
        raise ConfigurationError(msg)


def _classify(exc: BaseException, limit: RequestTimeout) -> tuple[type[TransportError], str, str]:
    """Return the error class, the kind (a key of ``retry.FAILURES``) and the message for an exception of aiohttp."""
    meaning: tuple[type[TransportError], str, str]
    match exc:
        case aiohttp.ConnectionTimeoutError():
            meaning = ConnectError, "connect-timeout", f"no connection within {limit.connect:.3g} s"
        case TimeoutError():
            meaning = RequestTimeoutError, "timeout", f"no complete response within {limit.total:.3g} s"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorError():
            meaning = _classify_connect_error(exc)
        case NotSentError():
            meaning = (
                ConnectError,
                "unreachable",
                f"{exc}, so nothing was sent",
            )
        case aiohttp.ClientHttpProxyError():
            meaning = ConnectError, "unreachable", f"the proxy refused the connection with status {exc.status}"
        case _TooLargeError():
            meaning = TransportError, "too-large", str(exc)
        case aiohttp.ClientPayloadError():
            meaning = TransportError, "torn", "the response is incomplete"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            meaning = TransportError, "dropped", "the connection dropped before a response"
        case _:
            meaning = TransportError, "garbled", f"the response is not valid HTTP: {exc}"
    return meaning


def _classify_connect_error(
    exc: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError,
) -> tuple[type[TransportError], str, str]:
    meaning: tuple[type[TransportError], str, str]
    match exc:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            meaning = ConnectError, "tls", f"no secure connection to {exc.host}:{exc.port} ({_error_text(exc)})"
        case aiohttp.ClientProxyConnectionError():  # its host is the API's, not the proxy's
            meaning = ConnectError, "unreachable", f"no connection to the proxy: {exc.os_error.strerror}"
        case aiohttp.ClientConnectorDNSError():
            meaning = ConnectError, "dns", f"the name {exc.host} was not found: check the address and the network"
        case aiohttp.ClientConnectorError() if exc.os_error.errno == errno.ECONNREFUSED:
            meaning = ConnectError, "refused", f"nothing listens at {exc.host}:{exc.port}: check the address"
        case _:
            meaning = ConnectError, "unreachable", f"no connection to {exc.host}:{exc.port}: {exc.os_error.strerror}"
    return meaning


def _error_text(exc: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    inner = exc.certificate_error if isinstance(exc, aiohttp.ClientConnectorCertificateError) else exc.os_error
    return getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or type(inner).__name__
