"""One WebSocket: connect, send, receive, close. Errors of ``websockets`` become ``ConnectionLostError``.

``websockets`` logs frames and headers at DEBUG, secrets included. Its logger here never logs at that level.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
import ssl
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.frames import CloseCode

from connecttrade_async.errors import one_line
from connecttrade_async.secret import without_frames
from connecttrade_async.streaming.fast_connection import MAX_FRAME, FastClientConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Sequence

    from websockets.asyncio.client import ClientConnection
    from websockets.http11 import Response

    from connecttrade_async.recording.taps import FrameTap, StreamTapPoint
    from connecttrade_async.secret import Secret

__all__ = ["ConnectOptions", "ConnectionLostError", "WebSocket"]

MAX_CAUSE = 4096  # characters
NEXT_ADDRESS = 0.25  # seconds until the next address of a name is tried beside the first (RFC 8305)
USE_WS = "if that port does not speak TLS, use a ws:// address instead of wss://"
USE_WSS = "if that port speaks TLS, use a wss:// address instead of ws://"


class _NoDebugLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that drops DEBUG records: ``websockets`` logs frames and headers there, secrets included."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        return level > logging.DEBUG and super().isEnabledFor(level)


LOGGER = _NoDebugLogger(logging.getLogger("connecttrade_async.streaming.websocket"), {})


class _NoRedirectConnect(connect):
    """A connect that follows no redirect: the redirect's target would receive the secret."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class ConnectionLostError(Exception):
    """The WebSocket could not be opened, or is lost.

    Attributes:
        cause: the reason in words.
        code: the close code that the server sent, or None.
        reason: the reason in the server's close frame, or ``""``.
        is_too_large: whether a frame above the size limit ended the connection.
        retry_after: the ``Retry-After`` header of a refused upgrade, or None.
        status: the HTTP status of a refused upgrade, or None.
    """

    def __init__(
        self,
        cause: str,
        *,
        code: int | None = None,
        status: int | None = None,
        retry_after: str | None = None,
        reason: str = "",
        is_too_large: bool = False,
    ) -> None:
        # The limit is generous: a secret in the text is masked later, and a secret cut in half would not be found.
        self.cause = one_line(cause, MAX_CAUSE)
        self.code = code
        self.reason = reason
        self.is_too_large = is_too_large
        self.status = status
        self.retry_after = retry_after
        super().__init__(self.cause)


class ConnectOptions(NamedTuple):
    """Options of connecting.

    Attributes:
        largest: the size limit of a frame, in bytes.
        ssl: the TLS context, or None for the system's certificates.
        proxy: the URL of an HTTP proxy, or None for a direct connection.
        tap_point: where opened and refused WebSockets are reported; None for no reports.
    """

    largest: int = MAX_FRAME
    ssl: ssl.SSLContext | None = None
    proxy: Secret | None = None
    tap_point: StreamTapPoint | None = None

    def tls(self, url: str) -> dict[str, Any]:
        """Return the keyword arguments of ``connect`` for the TLS context, if there is one and the URL needs it."""
        if self.ssl is None:
            return {}
        to_server = {"ssl": self.ssl} if _is_secure(url) else {}
        is_secure_proxy = self.proxy is not None and self.proxy.reveal().lower().startswith("https:")
        return to_server | ({"proxy_ssl": self.ssl} if is_secure_proxy else {})


class WebSocket:
    """One open WebSocket."""

    __slots__ = ("_close_timeout", "_socket", "_tap")

    @property
    def is_fast(self) -> bool:
        """Whether messages are split out of chunks instead of received one by one."""
        return isinstance(self._socket, FastClientConnection) and self._socket.is_splitting

    def __init__(self, connection: ClientConnection, close_timeout: float, tap: FrameTap | None = None) -> None:
        self._socket = connection
        self._close_timeout = close_timeout
        self._tap = tap

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        open_timeout: float,
        close_timeout: float,
        ping: float | None,
        dialing: ConnectOptions | None = None,
    ) -> WebSocket:
        """Open a WebSocket.

        Args:
            url: the address, ``ws://`` or ``wss://``.
            open_timeout: the time limit for opening it, in seconds.
            close_timeout: the time limit for closing it, in seconds.
            ping: the interval of pings, and the time limit for any data after a ping, in seconds; None for no pings.
            dialing: the TLS context, the proxy and the size limit of a frame; None for the defaults.

        Returns:
            The open WebSocket.

        Raises:
            ConnectionLostError: it could not be opened in time, or at all.

        Cancelling leaves no socket open.
        """
        try:
            async with asyncio.timeout(open_timeout):
                connection = await cls._connected(url, close_timeout, ping, dialing or ConnectOptions())
        except (OSError, EOFError, TimeoutError, WebSocketException) as exc:
            error = _connect_error(exc, url)
            if dialing is not None and dialing.tap_point is not None:
                dialing.tap_point.refused(error.cause)
            raise error from without_frames(exc)
        tap = None if dialing is None or dialing.tap_point is None else dialing.tap_point.opened()
        return cls(connection, close_timeout, tap)

    @staticmethod
    async def _connected(
        url: str, close_timeout: float, ping: float | None, dialing: ConnectOptions
    ) -> ClientConnection:
        """Open the WebSocket, directly or through the proxy."""
        options: dict[str, Any] = dialing.tls(url)
        opened: socket.socket | None = None
        if dialing.proxy is None:
            options["sock"] = opened = await connected_socket(*_host_and_port(url))
        else:
            options["happy_eyeballs_delay"] = NEXT_ADDRESS
        try:
            connecting = _NoRedirectConnect(
                url,
                create_connection=cast(
                    "type[ClientConnection]", partial(FastClientConnection, largest=dialing.largest)
                ),
                compression=None,  # inflating costs two fifths of the throughput and only saves bandwidth
                open_timeout=None,  # one timeout covers everything
                close_timeout=close_timeout,
                ping_interval=ping,
                ping_timeout=ping,
                max_size=dialing.largest,
                # Proxies of the environment are not used, as for REST: errors would show their passwords.
                proxy=None if dialing.proxy is None else str.__str__(dialing.proxy.reveal()),
                logger=LOGGER,
                **options,
            )
        except BaseException:
            if opened is not None:
                opened.close()
            raise
        return await connecting

    @contextmanager
    def errors_translated(self) -> Generator[None, None, None]:
        """Translate the errors of ``websockets`` inside the block.

        Enter it once around all sending and receiving, so that a frame costs no context manager.

        Raises:
            ConnectionLostError: the WebSocket is lost.
        """
        try:
            yield
        except ConnectionClosed as exc:
            self._tap_close()
            given_up = self._socket.given_up if isinstance(self._socket, FastClientConnection) else ""
            raise (ConnectionLostError(given_up) if given_up else _closed_error(exc)) from without_frames(exc)

    async def receive_into(self, on_frames: Callable[[list[bytes]], bool]) -> None:
        """Pass all received messages to a callback in order, until it returns true.

        Call it only inside ``errors_translated``.

        Args:
            on_frames: takes one or more messages; returns whether to stop. It is usually called in the loop iteration
                in which the messages arrive, so it must not block. Its exceptions are raised here.

        Cancelling loses no message.
        """
        if self._tap is not None:
            on_frames = _observed(on_frames, self._tap)
        connection = self._socket
        fast = connection if isinstance(connection, FastClientConnection) else None
        while True:
            if fast is not None and fast.is_splitting and not fast.pending:
                if await fast.wait(on_frames):
                    return
                continue
            frames = [] if fast is None else fast.take()
            if not frames:
                frames = [await connection.recv(decode=False)]
                if fast is not None and fast.pending:
                    del fast.pending[0]  # after ``recv``: cancelling it leaves the message and its mark in place
            if on_frames(frames):
                return

    def send(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Send a text frame. Call it only inside ``errors_translated``."""
        if self._tap is not None:
            self._tap.sent(frame)
        return self._socket.send(frame, text=True)

    async def aclose(self) -> None:
        """Close the WebSocket within its close timeout, and drop unread messages. Cancelling aborts the connection."""
        if isinstance(self._socket, FastClientConnection):
            self._socket.discard()
        # The peer's close frame is behind all its messages, and websockets reads at most 16 frames ahead.
        draining = asyncio.create_task(self._drain(), name="connecttrade stream drains")
        try:
            # The close timeout of websockets starts after the close frame is written, and a peer that does not read
            # blocks that write.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_timeout):
                    await self._socket.close()
        finally:
            draining.cancel()
            self.abort()
            self._tap_close()

    def _tap_close(self) -> None:
        if self._tap is not None:
            self._tap.closed(self._socket.close_code or CloseCode.ABNORMAL_CLOSURE, self._socket.close_reason or "")

    async def _drain(self) -> None:
        with suppress(WebSocketException):
            while True:
                await self._socket.recv(decode=False)

    @property
    def oversized(self) -> bytes:
        """The beginning of the last frame above the size limit, as far as it is known."""
        splitter = self._socket.splitter if isinstance(self._socket, FastClientConnection) else None
        return b"" if splitter is None else splitter.oversized

    def abort(self) -> None:
        """Drop the connection at once, without a close frame."""
        self._socket.transport.abort()


def _observed(on_frames: Callable[[list[bytes]], bool], tap: FrameTap) -> Callable[[list[bytes]], bool]:
    """Return a callback for frames that passes them to a tap first."""

    def observe(frames: list[bytes]) -> bool:
        tap.received(frames)
        return on_frames(frames)

    return observe


async def connected_socket(host: str, port: int) -> socket.socket:
    """Connect to the first address of a host that accepts (Happy Eyeballs, RFC 8305).

    Each next address is tried 0.25 s after the last one. ``loop.create_connection`` can do this too, but cancelling it
    may leave a connected socket open.

    Args:
        host: a name or an address.
        port: the port.

    Returns:
        The connected socket.

    Raises:
        OSError: no address accepts.

    Cancelling leaves no socket open.
    """
    loop = asyncio.get_running_loop()
    # A lookup takes a thread, so a literal address is not looked up.
    remaining = _literal(host, port) or _alternating(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    attempts: list[asyncio.Task[socket.socket]] = []
    running: set[asyncio.Task[socket.socket]] = set()
    winner: socket.socket | None = None
    try:
        while winner is None and (remaining or running):
            if remaining:
                connecting = _connect(loop, remaining.pop(0))
                attempts.append(asyncio.create_task(connecting, name="connecttrade stream connects"))
                running.add(attempts[-1])
            delay = NEXT_ADDRESS if remaining else None
            done, running = await asyncio.wait(running, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            winner = next((attempt.result() for attempt in done if attempt.exception() is None), None)
    finally:
        for attempt in running:
            attempt.cancel()
        if running:
            await asyncio.wait(running)
        for attempt in attempts:
            is_open = attempt.done() and not attempt.cancelled() and attempt.exception() is None
            if is_open and attempt.result() is not winner:
                attempt.result().close()
    if winner is None:
        errors = [error for attempt in attempts if (error := attempt.exception()) is not None]
        if len({str(error) for error in errors}) == 1:
            raise errors[0]
        msg = "no address answered: " + "; ".join(map(str, errors)) if errors else f"the name {host} has no address"
        raise OSError(msg)
    return winner


AddressInfo = tuple[int, int, int, str, Any]


def _literal(host: str, port: int) -> list[AddressInfo]:
    """Return the address info of a host that is a literal address, or an empty list for a name."""
    for family, address in ((socket.AF_INET, (host, port)), (socket.AF_INET6, (host, port, 0, 0))):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]
    return []


def _alternating(infos: Sequence[AddressInfo]) -> list[AddressInfo]:
    """Return addresses with alternating families, beginning with that of the first (RFC 8305)."""
    families: dict[int, list[AddressInfo]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    return [info for group in zip_longest(*families.values()) for info in group if info is not None]


async def _connect(loop: asyncio.AbstractEventLoop, info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the parameter is positional only
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_secure(url: str) -> bool:
    return url[:4].lower() == "wss:"


def _connect_error(exc: BaseException, url: str) -> ConnectionLostError:
    is_secure = _is_secure(url)
    match exc:
        case ProxyError():
            status = exc.response.status_code if isinstance(exc, InvalidProxyStatus) else None
            result = "did not answer" if status is None else f"answered with HTTP status {status}"
            return ConnectionLostError(f"the proxy {result}: no connection to the server")
        case InvalidStatus():
            response = exc.response
            hint = f": {USE_WSS}" if not is_secure and _requires_tls(response) else ""
            return ConnectionLostError(
                f"the WebSocket upgrade was refused with HTTP status {response.status_code}{hint}",
                status=response.status_code,
                retry_after=response.headers.get("retry-after"),
            )
        case InvalidHandshake():
            hint = f": {USE_WSS}" if not is_secure and _may_require_tls(exc.__cause__) else ""
            return ConnectionLostError(f"the server does not speak WebSocket{hint}")
        case TimeoutError():
            return ConnectionLostError("the connection was not opened in time")
        case ssl.SSLError() | ConnectionResetError() if is_secure and not _speaks_tls(exc):
            return ConnectionLostError(f"no secure connection ({_error_text(exc)}): {USE_WS}")
        case _:
            return ConnectionLostError(_unreachable_reason(exc, url))


def _unreachable_reason(exc: BaseException, url: str) -> str:
    """Return why the server could not be reached, in the wording of the REST transport."""
    host, port = _host_and_port(url)
    if isinstance(exc, socket.gaierror):
        return f"the name {host} was not found: check the address and the network"
    if isinstance(exc, OSError) and _is_refused(exc):
        return f"nothing listens at {host}:{port}: check the address"
    return f"no connection: {_error_text(exc)}"


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)


def _is_refused(exc: OSError) -> bool:
    """Return whether every tried address refused: for several addresses asyncio gives only their error texts."""
    tried = re.findall(r"\[Errno (\d+)\]", str(exc))
    return exc.errno == errno.ECONNREFUSED or (exc.errno is None and set(tried) == {str(errno.ECONNREFUSED)})


def _requires_tls(response: Response) -> bool:
    """Return whether the response to a plain request is one that TLS servers give."""
    location = response.headers.get("location", "").lower()
    return response.status_code == HTTPStatus.BAD_REQUEST or location.startswith(("https:", "wss:"))


def _may_require_tls(cause: BaseException | None) -> bool:
    """Return whether the peer closed without an HTTP response, or refused with HTTP/1.0, as TLS servers do."""
    return isinstance(cause, EOFError) or "HTTP/1.0 400" in str(cause)


def _speaks_tls(exc: OSError) -> bool:
    """Return whether the peer sent a certificate or a TLS alert."""
    return isinstance(exc, ssl.SSLCertVerificationError) or "ALERT" in (getattr(exc, "reason", None) or "")


def _closed_error(exc: ConnectionClosed) -> ConnectionLostError:
    received, sent = exc.rcvd, exc.sent
    if sent is not None and not exc.rcvd_then_sent and sent.code == CloseCode.MESSAGE_TOO_BIG:
        cause = f"the client closed the connection with code {sent.code}: {sent.reason or 'a frame is too large'}"
        return ConnectionLostError(cause, is_too_large=True)
    if received is not None:
        reason = f" ({received.reason})" if received.reason else ""
        cause = f"the server closed the connection with code {received.code}{reason}"
        return ConnectionLostError(cause, code=received.code, reason=received.reason)
    if sent is not None:
        return ConnectionLostError(f"the client closed the connection with code {sent.code}: {sent.reason}")
    return ConnectionLostError("the connection was dropped")


def _error_text(exc: Any) -> str:  # noqa: ANN401 - OSError, or anything of websockets
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
