"""A door: one Request out, one Response in. The only user of aiohttp on the client's side.

Its vow: what is handed in is sent at most once, and what aiohttp raises is translated here.
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
from connecttrade_async.rest.connector import (
    SPEAKS_FIRST,
    CancelledUnsentError,
    Connector,
    NotSentError,
    may_be_used,
)
from connecttrade_async.rest.deadlines import DeadlineTimer
from connecttrade_async.rest.retry import was_never_sent
from connecttrade_async.rest.wire import OK_BELOW, OK_FROM, WINDOW as KEPT_OF_ERRORS, Response
from connecttrade_async.secret import without_frames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from aiohttp.connector import Connection

    from connecttrade_async.config import DialOptions
    from connecttrade_async.rest.deadlines import Deadline
    from connecttrade_async.rest.wire import Request
    from connecttrade_async.secret import Secret

__all__ = ["RequestTimeout", "Transport"]

ClientSession = aiohttp.ClientSession
TraceConfig = aiohttp.TraceConfig
"""What a client may borrow from aiohttp, by names for signatures outside of this module."""

BREATH = 1_048_576  # bytes of a body that are read before other tasks have a turn
SPOILED = 20  # connections of a borrowed pool that may be dropped for one request
OUTSIDE = "requests are sent from within a task: await them under asyncio.run or in a task of your own"


FORKED = "this client was first used in another process, which its connections belong to: make one in each process"
ELSEWHERE = "this client was first used in another event loop, which its connections belong to: make one in each"
BORROWED = "the session that this client borrowed"


class _Forks:
    """How often this process is the child of a fork."""

    count = 0

    @classmethod
    def add(cls) -> None:
        """Count one; called in the child."""
        cls.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Forks.add)


class _ConnectionDroppedError(Exception):
    """Stands for aiohttp's own exceptions on the way through aiohttp: see ``_send_once``."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # When a kept-alive connection drops, aiohttp sends GET, PUT and DELETE again by itself; our cancel is a DELETE. It
    # resends on two exceptions of its own, so neither may reach its loop.
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
        raise _ConnectionDroppedError from exc


class _SpoiledError(Exception):
    """A connection of a borrowed pool was not used, since something arrived on it that no request asked for."""


async def _send_as_ours(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send through a borrowed session what is to go out as through our own: on a clean connection, without cookies."""
    send, is_sent = request.send, False

    async def send_if_clean(connection: Connection) -> aiohttp.ClientResponse:
        nonlocal is_sent
        if not may_be_used(connection):
            raise _SpoiledError  # aiohttp closes the connection
        is_sent = True
        return await send(connection)

    # Its connector is not ours to replace, and this is the only step that knows the connection before anything is sent.
    request.send = send_if_clean  # type: ignore[assignment,method-assign]
    # One user's cookies would travel with the requests of the next, and with those of the session's other uses.
    request.headers.popall("cookie", None)
    for _ in range(SPOILED):
        try:
            response = await _send_once(request, handler)
        except _SpoiledError:
            continue
        except asyncio.CancelledError as exc:
            if is_sent:
                raise
            raise CancelledUnsentError(*exc.args) from None
        response.cookies = SimpleCookie()  # the session's jar takes them from here
        return response
    raise NotSentError(SPEAKS_FIRST)


@lru_cache(maxsize=256)
def _address(api: str, path: str, query: str) -> URL:
    # Kept, since aiohttp takes an address apart each time anew, and yarl remembers the parts of one that it knows.
    return URL(f"{api}{path}{query}", encoded=True)


class _TooLargeError(Exception):
    """The body of an answer goes beyond its limit; the text says which."""


class _BoundedReader:
    """Stands for the content of an answer whose body is read whole: it reads up to a limit, and no further.

    aiohttp decompresses without a bound what is read in one go: 3 MB of gzip become 1.6 GB.

    Args:
        content: where to read.
        limit: the largest body in bytes, decompressed.
        is_kept: whether the beginning of a larger one is wanted; else it is an error.
    """

    def __init__(self, content: aiohttp.StreamReader, limit: int, *, is_kept: bool) -> None:
        self._content = content
        self._limit = limit
        self._is_kept = is_kept

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever aiohttp's own has
        return getattr(self._content, name)

    async def read(self) -> bytes:
        """Return the body, or its beginning.

        Raises:
            _TooLargeError: it is larger than the limit.
        """
        blocks: list[bytes] = []
        size = breath = 0
        while block := await self._content.readany():
            blocks.append(block)
            size += len(block)
            if size > self._limit:
                break
            if size - breath > BREATH:
                breath = size
                await asyncio.sleep(0)  # to decompress costs time, and others wait
        return within(b"".join(blocks), self._limit, is_kept=self._is_kept)


def within(body: bytes, limit: int, *, is_kept: bool) -> bytes:
    """Return a body that is no larger than a limit, or the beginning of one whose beginning is wanted.

    Raises:
        _TooLargeError: it is larger, and wanted whole.
    """
    if len(body) > limit and not is_kept:
        msg = f"the answer has more than {limit:,} bytes: raise Limits.response_bytes, or ask for less at once"
        raise _TooLargeError(msg)
    return body[:limit]


class RequestTimeout:
    """How long one exchange may take.

    Args:
        total: from the call to the last byte of the answer, in seconds.
        connect: for a connection, in seconds; never more than the total.

    Attributes:
        total: likewise.
        connect: likewise.
        spelled: what aiohttp is told of it. Of the total it is told nothing, since it would make a timer for each.
    """

    __slots__ = ("connect", "spelled", "total")

    def __init__(self, total: float, connect: float) -> None:
        self.total = total
        self.connect = min(total, connect)
        self.spelled = aiohttp.ClientTimeout(total=None, connect=self.connect)


class Transport:
    """The one HTTP session of a client.

    Args:
        api: the address of the API, without a trailing slash.
        headers: those of every request.
        client_secret: to keep it out of what the other side says.
        http: a session to borrow; it is left open. None: one is made at the first request.
        dial: how the connections of the session that is made are made; None for directly, with the system's
            certificates.
        limits: how large an answer may be.
        trace_configs: aiohttp's tracing, for the session that is made.

    Raises:
        ConfigurationError: a session is borrowed, and options are given for one that would be made.
    """

    __slots__ = (
        "_always_kept",
        "_api",
        "_borrowed",
        "_client_secret",
        "_deadlines",
        "_dial",
        "_extra",
        "_extra_for_get",
        "_forks",
        "_headers",
        "_http",
        "_is_untouched",
        "_largest",
        "_longest_line",
        "_loop",
        "_traces",
        "is_closed",
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
        self._api = api if api.isascii() else str(URL(api))  # aiohttp sends the name as it stands
        self._dial = dial
        limits = Limits() if limits is None else limits
        self._largest, self._longest_line = limits.response_bytes, limits.header_bytes
        self._always_kept = min(KEPT_OF_ERRORS, self._largest)
        self._headers = dict(headers)
        self._client_secret = client_secret
        self._http = http
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forks: int | None = None
        self._deadlines = DeadlineTimer()
        self._traces = list(trace_configs)
        self._borrowed = http is not None
        # Whether nobody else looks on, who would have to be told of every step.
        self._is_untouched = not self._borrowed and not self._traces
        # A redirect would carry the credentials to wherever it points, so it is an answer like any other.
        self._extra: dict[str, Any] = {"allow_redirects": False, "middlewares": (_send_once,)}
        if http is not None:
            theirs = getattr(http, "_middlewares", ())
            self._extra |= {
                "raise_for_status": False,
                "middlewares": (*theirs, _send_as_ours),
                "max_line_size": self._longest_line,
                "max_field_size": self._longest_line,
            }
        self._extra_for_get: dict[str, Any] = self._extra
        self.is_closed = False

    async def exchange(self, request: Request, limit: RequestTimeout) -> Response:
        """Send a request once and read its answer whole.

        Raises:
            TransportError: no whole answer came; its ``kind`` says why.
            ClosedError: the client was closed meanwhile.

        Cancelling drops the connection; what was sent may still be done by the other side.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self.settle()
        task = asyncio.current_task(loop)
        if task is None:
            raise ConfigurationError(OUTSIDE)
        http = self._open_session()
        is_sent = True
        deadline = self._deadlines.add(task, loop, limit.total)
        try:
            reply = await self._asking(http, request, limit)
            body = self._body_at_hand(reply) if self._is_untouched and request.body is None else None
            if body is None:
                body = await self._read(reply)
            return Response(reply.status, reply.headers, body, (self._client_secret, request.user_secret))
        except (aiohttp.ClientError, _ConnectionDroppedError, _TooLargeError, NotSentError, OSError) as exc:
            failure, cause = self._translated(request, exc, limit)
        except (AssertionError, RuntimeError) as exc:
            # As aiohttp has it for a session that a trace hook, or its owner, closed on the way.
            if not self._what_is_closed(http):
                raise
            without_frames(exc)
            failure, cause = self._translated(request, aiohttp.ServerDisconnectedError(), limit)
        except asyncio.CancelledError as exc:
            without_frames(exc)
            if deadline.is_cancelled_by_others() or not (deadline.has_ended or self._what_is_closed(http)):
                raise
            is_sent = not isinstance(exc, CancelledUnsentError)
            failure, cause = self._translated(request, _cut_short(deadline, is_sent=is_sent), limit)
        finally:
            self._deadlines.remove(deadline)
        # Raised out here so that the error's context is not what aiohttp raised, with all its frames.
        if what := self._what_is_closed(http):
            raise ClosedError(what, may_be_done=is_sent and not was_never_sent(failure))
        raise failure from cause

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        is_kept = reply.status >= OK_BELOW
        bounded = _BoundedReader(reply.content, self._always_kept if is_kept else self._largest, is_kept=is_kept)
        reply.content = cast("aiohttp.StreamReader", bounded)
        body = await reply.read()
        if reply.status < OK_FROM:
            reply.close()  # the peer has switched to another protocol, so aiohttp keeps the connection for it
        return body

    def _body_at_hand(self, reply: aiohttp.ClientResponse) -> bytes | None:
        content = reply.content
        if not content.is_eof() or content.exception() is not None or reply.status < OK_FROM:
            return None
        # All of it came with its head, and the connection is back in the pool: there is nothing to wait for.
        body = content.read_nowait()
        if len(body) <= self._always_kept:
            return body
        is_kept = reply.status >= OK_BELOW
        return within(body, self._always_kept if is_kept else self._largest, is_kept=is_kept)

    def _open_session(self) -> aiohttp.ClientSession:
        http = self._http or self._make()
        if what := self._what_is_closed(http):
            raise ClosedError(what)
        return http

    def _what_is_closed(self, http: aiohttp.ClientSession) -> str:
        if self.is_closed:
            return "this client"
        return BORROWED if self._borrowed and http.closed else ""

    def settle(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop, to which the connections belong from the first call on.

        Raises:
            ConfigurationError: the caller runs in another event loop, in another process, or in none.
        """
        # Asked first: after a fork in a running loop, asyncio denies that it runs.
        if self._forks != _Forks.count and self._forks is not None:
            raise ConfigurationError(FORKED)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            raise ConfigurationError(OUTSIDE)
        if loop is not self._loop:
            self._settle_in(loop)
        return loop

    def _asking(
        self, http: aiohttp.ClientSession, request: Request, limit: RequestTimeout
    ) -> Awaitable[aiohttp.ClientResponse]:
        headers = request.headers()
        url = _address(self._api, request.path, request.query)
        if self._borrowed:
            headers |= self._headers
        if request.method == "GET":
            return http.get(url, headers=headers, timeout=limit.spelled, **self._extra_for_get)
        return http.request(
            request.method, url, data=request.body, headers=headers, timeout=limit.spelled, **self._extra
        )

    def _settle_in(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            raise ConfigurationError(ELSEWHERE)
        theirs = getattr(self._http, "_loop", loop)
        if theirs is not loop:
            state = "is closed" if theirs.is_closed() else "is not the one that runs here"
            raise ConfigurationError(f"{BORROWED} belongs to an event loop that {state}: lend one made in this loop")
        self._loop, self._forks = loop, _Forks.count

    def _translated(
        self,
        request: Request,
        exc: BaseException,
        limit: RequestTimeout,
    ) -> tuple[TransportError, BaseException | None]:
        if isinstance(exc, _ConnectionDroppedError) and exc.__cause__ is not None:
            exc = exc.__cause__
        make, kind, detail = _meaning(exc, limit)
        cause: BaseException | None = without_frames(exc)
        if self._dial is not None and self._dial.proxy is not None:
            # aiohttp's exceptions carry the address of the proxy, with its login.
            cause = None
        if kind == "garbled":
            # Here aiohttp quotes what came, which may quote us. Ours is masked, so theirs is left out.
            detail = Response(0, {}, b"", (self._client_secret, request.user_secret)).presentable(detail)
            cause = None
        return make(method=request.method, path=request.path, kind=kind, detail=detail), cause

    def check_closing(self) -> None:
        """See to it that the session can be closed from here.

        Raises:
            ConfigurationError: its connections belong to another event loop that still runs, or to another process.
        """
        if self._loop is not None and not self._loop.is_closed():
            self.settle()

    async def aclose(self) -> None:
        """End all exchanges with ``ClosedError``, and close the session, unless it was borrowed.

        Raises:
            ConfigurationError: its connections belong to another event loop that still runs, or to another process.
        """
        self.check_closing()
        self.is_closed = True
        # aiohttp lets go of what waits for a name or for a body only at its deadline, or cancels it.
        if self._loop is not None and not self._loop.is_closed():
            self._deadlines.end_all(except_for=asyncio.current_task())
        if self._http is not None and not self._borrowed:
            await self._http.close()

    def _make(self) -> aiohttp.ClientSession:
        # limit=0: the gate in front is the limit, and a fair one. No cookies: one user's would be sent for the next.
        context = None if self._dial is None else self._dial.ssl
        proxy = None if self._dial is None else self._dial.proxy
        self._http = aiohttp.ClientSession(
            connector=Connector(limit=0, ssl=True if context is None else context),
            proxy=None if proxy is None else URL(proxy.reveal()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            max_line_size=self._longest_line,
            max_field_size=self._longest_line,
            trace_configs=self._traces,
        )
        if hasattr(self._http, "_retry_connection"):
            # aiohttp's own switch, which is not public. It is trusted only with what is harmless to send twice, where
            # it saves the middleware, some two microseconds.
            self._http._retry_connection = False  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - see above
            self._extra_for_get = {"allow_redirects": False}
        return self._http


def _cut_short(deadline: Deadline, *, is_sent: bool) -> BaseException:
    """Return what a cancelling that nobody outside asked for stands for."""
    if deadline.has_ended:
        return TimeoutError() if is_sent else aiohttp.ConnectionTimeoutError()
    # aiohttp cancels what it shares between requests, such as the look-up of a name, when its session is closed.
    return (
        aiohttp.ServerDisconnectedError() if is_sent else NotSentError("the connection was given up while it was made")
    )


def _check_session(http: object, trace_configs: object) -> None:
    if http is not None and not isinstance(http, aiohttp.ClientSession):
        msg = f"http must be an aiohttp.ClientSession to borrow, not {type(http).__name__}"
        raise ConfigurationError(msg)
    if not isinstance(trace_configs, Sequence) or not all(
        isinstance(each, aiohttp.TraceConfig) for each in cast("Sequence[object]", trace_configs)
    ):
        msg = "trace_configs must be a list of aiohttp.TraceConfig"
        raise ConfigurationError(msg)
    if http is not None and trace_configs:
        msg = "trace_configs belong to the session: pass them to the one you lend"
        raise ConfigurationError(msg)


def _check_dial(http: object, dial: DialOptions | None) -> None:
    if http is not None and dial is not None and (dial.ssl is not None or dial.proxy is not None):
        msg = "ssl and proxy belong to the session: make the one you lend with them, or pass no http"
        raise ConfigurationError(msg)


def _meaning(exc: BaseException, limit: RequestTimeout) -> tuple[type[TransportError], str, str]:
    """Return the class, the row of the table in ``retry.py`` and the sentence for one of aiohttp's exceptions."""
    meaning: tuple[type[TransportError], str, str]
    match exc:
        case aiohttp.ConnectionTimeoutError():
            meaning = ConnectError, "connect-timeout", f"no connection within {limit.connect:.3g} s"
        case TimeoutError():
            meaning = RequestTimeoutError, "timeout", f"no complete answer within {limit.total:.3g} s"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorError():
            meaning = _meaning_of_no_connection(exc)
        case NotSentError():
            meaning = (
                ConnectError,
                "unreachable",
                "what listens there sends data before it is asked, so nothing was sent",
            )
        case aiohttp.ClientHttpProxyError():
            meaning = ConnectError, "unreachable", f"the proxy refused the connection with status {exc.status}"
        case _TooLargeError():
            meaning = TransportError, "too-large", str(exc)
        case aiohttp.ClientPayloadError():
            meaning = TransportError, "torn", "the answer broke off in the middle"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            meaning = TransportError, "dropped", "the link was dropped before an answer came"
        case _:
            meaning = TransportError, "garbled", f"what answered does not speak HTTP as it should: {exc}"
    return meaning


def _meaning_of_no_connection(
    exc: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError,
) -> tuple[type[TransportError], str, str]:
    meaning: tuple[type[TransportError], str, str]
    match exc:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            meaning = ConnectError, "tls", f"no secure connection to {exc.host}:{exc.port} ({_error_text(exc)})"
        case aiohttp.ClientProxyConnectionError():  # it carries the host that was asked for, not the proxy's
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
