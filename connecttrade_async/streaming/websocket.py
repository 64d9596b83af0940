"""A door: one WebSocket. Dial, send, listen, close. The only user of websockets.

Its vow: what websockets raises is translated here, and what it would log of frames and headers is not logged.
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

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.frames import CloseCode
from websockets.protocol import State

from connecttrade_async.errors import one_line
from connecttrade_async.secret import without_frames
from connecttrade_async.streaming.frames import FrameSplitter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence

    from websockets.http11 import Response
    from websockets.typing import DataLike

    from connecttrade_async.secret import Secret

__all__ = ["ConnectOptions", "ConnectionLostError", "WebSocket"]

MAX_CAUSE = 4096
MAX_FRAME = 1 << 22
MAX_PENDING = 4096
MAX_UNSENT = 1 << 20  # bytes; what we send is small, so a peer that leaves so much unread reads nothing at all
NEXT_ADDRESS = 0.25  # seconds until the next address of a name is tried beside the first (RFC 8305)
NOT_READ = "the peer does not read what is sent to it"
END_OF_HEADERS = b"\r\n\r\n"
IF_PLAIN = "if that port is a plain one, the address begins with ws:// and not wss://"
IF_SECURE = "if that port speaks TLS, the address begins with wss:// and not ws://"


class _NoDebugLogger(logging.LoggerAdapter[logging.Logger]):
    """Never lets websockets log at DEBUG, where it prints frames and headers, secrets included."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        return level > logging.DEBUG and super().isEnabledFor(level)


LOGGER = _NoDebugLogger(logging.getLogger("connecttrade_async.streaming.websocket"), {})


class _NoRedirectConnect(connect):
    """Goes where it was sent and nowhere else: whoever redirects it would be told the secret elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class FastClientConnection(ClientConnection):
    """Cuts the messages out of what comes, and hands those of a chunk over at once, in the turn in which it came.

    ``recv`` costs a parser in Python, three coroutines and one more turn of the loop for each message. Here it reads
    only what ``FrameSplitter`` hands on. Where websockets does not take its chunks by ``data_received``, and the
    answer to the
    handshake in the turn in which it came, ``recv`` reads all, and nothing is ever gathered here.

    That a text is UTF-8 is for whoever decodes it to see, as with ``recv(decode=False)``.

    Attributes:
        cutter: cuts from the end of the handshake on; None before, and where nothing is cut.
        gathered: what came and was not taken, in order; None for a message that ``recv`` has.
        hear: takes what comes while somebody waits here; says whether that is enough.
        waiter: done when that was enough, or when there is something for ``recv``: it tells which.
        given_up: why the connection was aborted from here, in words, or ``""``.
    """

    def __init__(self, *args: Any, largest: int = MAX_FRAME, **kwargs: Any) -> None:  # noqa: ANN401 - whatever websockets gives
        super().__init__(*args, **kwargs)
        self.given_up = ""
        self._largest = largest
        self.splitter: FrameSplitter | None = None
        self.pending: list[bytes | None] = []
        self.on_frames: Callable[[list[bytes]], bool] = bool
        self.waiter: asyncio.Future[bool] | None = None
        self._handshake: bytes | None = b""
        self._is_discarding = False
        self._is_paused = False
        self._pong: asyncio.Future[float] | None = None

    async def wait(self, hear: Callable[[list[bytes]], bool]) -> bool:
        """Have what comes heard; returns whether that was enough, or false where ``recv`` has the next."""
        self.on_frames, self.waiter = hear, self.loop.create_future()
        try:
            return await self.waiter
        finally:
            self.on_frames, self.waiter = bool, None

    @property
    def is_splitting(self) -> bool:
        """Whether messages may be gathered yet."""
        return self.splitter is not None and not self.splitter.is_stopped

    def data_received(self, data: bytes) -> None:
        """Take a chunk. Whatever comes is a sign of life, so no missing pong ends the link after it."""
        if self._pong is not None:
            self._suppress_ping_timeout()
        if self._handshake is not None:
            data = self._finish_handshake(self._handshake, data)
        if self.splitter is None:
            if data:
                self._pass_on(data)
            return
        if self._is_discarding:
            self.splitter.feed(bytes(data), [])
            return
        if self.state is not State.OPEN:
            self._stop_splitting()
        self.splitter.feed(bytes(data), self.pending)
        self._deliver()

    def eof_received(self) -> None:
        """Take the end of what comes."""
        self._stop_splitting()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for what will not come."""
        self._stop_splitting()
        super().connection_lost(exc)
        self._wake(is_enough=False)

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping; give the connection up if it cannot be sent within the time-out of its answer.

        While nothing is read no pong can come, so then none is awaited.
        """
        self._forget_pings()
        try:
            # websockets waits without a limit for room in the buffer of a peer that does not read.
            async with asyncio.timeout(self.ping_timeout):
                pong = await super().ping(data)
        except TimeoutError:
            self._give_up()
            await self.wait_closed()
            raise
        self._pong = cast("asyncio.Future[float]", pong)
        if self._is_paused:
            self._suppress_ping_timeout()
        return pong

    def _forget_pings(self) -> None:
        """Drop the pings that need no pong any more: websockets keeps each until a pong comes."""
        pings: dict[bytes, Any] = getattr(self, "pending_pings", None) or getattr(self, "pong_waiters", {})
        for key in [key for key, value in pings.items() if value[0].done()]:
            del pings[key]

    def take(self) -> list[bytes]:
        """Return what was gathered, up to the first that ``recv`` has."""
        gathered = self.pending
        whole = len(gathered) if None not in gathered else gathered.index(None)
        self.pending = gathered[whole:]
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()
        return cast("list[bytes]", gathered[:whole])

    def discard(self) -> None:
        """Let go of every message from now on: whoever closes waits for the peer's close behind all of them."""
        self._is_discarding = True
        self.take()
        self.pending.clear()

    def _finish_handshake(self, before: bytes, data: bytes) -> bytes:
        """Hand on the answer to the handshake; returns what came behind it, where that can be cut."""
        so_far = before + data
        end = so_far.find(END_OF_HEADERS) + len(END_OF_HEADERS)
        if end < len(END_OF_HEADERS):
            self._handshake = so_far[1 - len(END_OF_HEADERS) :]
            return data
        self._handshake = None
        end -= len(before)
        super().data_received(data[:end])
        if self.response is not None and self.state is State.OPEN:
            self.splitter = FrameSplitter(self._largest, self._pass_through)
        return data[end:]

    def _pass_on(self, data: bytes) -> None:
        """Let websockets read some bytes. It answers pings at once, whether the peer reads the answers or not."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            self._give_up()

    def _give_up(self) -> None:
        self.given_up = self.given_up or NOT_READ
        self.transport.abort()

    def _pass_through(self, data: bytes) -> bool:
        self._pass_on(data)
        return self._is_discarding or self.state is State.OPEN

    def _stop_splitting(self) -> None:
        if self.splitter is not None and not self.splitter.is_stopped:
            self.splitter.stop()

    def _deliver(self) -> None:
        waiter, is_enough = self.waiter, False
        if waiter is not None and not waiter.done() and self.pending and self.pending[0] is not None:
            try:
                is_enough = self.on_frames(self.take())
            except Exception as exc:  # noqa: BLE001 - raised where the messages are waited for
                waiter.set_exception(exc)
        if is_enough or self.pending or not self.is_splitting:  # the reader, or ``recv``, is to go on
            self._wake(is_enough=is_enough)
        if len(self.pending) > MAX_PENDING:
            self._is_paused = True
            self.transport.pause_reading()  # nobody takes them
            self._suppress_ping_timeout()

    def _suppress_ping_timeout(self) -> None:
        pong, self._pong = self._pong, None
        if pong is not None and not pong.done():
            pong.set_result(self.latency)

    def _wake(self, *, is_enough: bool) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(is_enough)


class ConnectionLostError(Exception):
    """The link could not be made, or is gone.

    Attributes:
        cause: why, in words.
        code: the close code, or None where there was none.
        reason: the words of the close frame that the server sent, or ``""``.
        is_too_large: whether it was given up because a frame was larger than the limit.
        retry_after: the header of a refused upgrade, or None.
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
        # Not shortened much: a secret in it is masked later, and half a secret would not be.
        self.cause = one_line(cause, MAX_CAUSE)
        self.code = code
        self.reason = reason
        self.is_too_large = is_too_large
        self.status = status
        self.retry_after = retry_after
        super().__init__(self.cause)


class ConnectOptions(NamedTuple):
    """How links are dialled.

    Attributes:
        largest: the size of the largest frame, in bytes.
        ssl: the TLS context, or None for the system's certificates.
        proxy: the address of an HTTP proxy, or None for a direct connection.
    """

    largest: int = MAX_FRAME
    ssl: ssl.SSLContext | None = None
    proxy: Secret | None = None

    def tls(self, url: str) -> dict[str, Any]:
        """Return the keywords of ``connect`` that carry the TLS context, where there is one and it has a use."""
        if self.ssl is None:
            return {}
        to_server = {"ssl": self.ssl} if _is_secure(url) else {}
        is_secure_proxy = self.proxy is not None and self.proxy.reveal().lower().startswith("https:")
        return to_server | ({"proxy_ssl": self.ssl} if is_secure_proxy else {})


class WebSocket:
    """One open WebSocket."""

    __slots__ = ("_close_timeout", "_socket")

    @property
    def is_fast(self) -> bool:
        """Whether messages are cut out of the chunks as they come, and not received one by one."""
        return isinstance(self._socket, FastClientConnection) and self._socket.is_splitting

    def __init__(self, connection: ClientConnection, close_timeout: float) -> None:
        self._socket = connection
        self._close_timeout = close_timeout

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
        """Open a link.

        Args:
            url: where.
            open_timeout: seconds that it may take.
            close_timeout: seconds that closing it may take.
            ping: seconds between two pings, and as many until anything must have come after one; None for no pings.
            dialing: the TLS context, the proxy and the largest frame; None for the system's, none and 4 MiB.

        Raises:
            ConnectionLostError: it could not be opened in time, or at all.

        Cancelling leaves nothing open.
        """
        try:
            async with asyncio.timeout(open_timeout):
                connection = await cls._connected(url, close_timeout, ping, dialing or ConnectOptions())
        except (OSError, EOFError, TimeoutError, WebSocketException) as exc:
            raise _connect_error(exc, url) from without_frames(exc)
        return cls(connection, close_timeout)

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
            dialled = _NoRedirectConnect(
                url,
                create_connection=cast(
                    "type[ClientConnection]", partial(FastClientConnection, largest=dialing.largest)
                ),
                compression=None,  # inflating costs two fifths of the throughput, and saves bandwidth only
                open_timeout=None,  # one time-out for all of it is around this
                close_timeout=close_timeout,
                ping_interval=ping,
                ping_timeout=ping,
                max_size=dialing.largest,
                # A proxy of the environment is not used, as for REST: errors would show its password.
                proxy=None if dialing.proxy is None else str.__str__(dialing.proxy.reveal()),
                logger=LOGGER,
                **options,
            )
        except BaseException:
            if opened is not None:
                opened.close()
            raise
        return await dialled

    @contextmanager
    def errors_translated(self) -> Generator[None, None, None]:
        """Translate what ends the link while it is spoken over.

        Around the whole conversation, so that a frame costs no translation of its own.

        Raises:
            ConnectionLostError: the link is gone.
        """
        try:
            yield
        except ConnectionClosed as exc:
            given_up = self._socket.given_up if isinstance(self._socket, FastClientConnection) else ""
            raise (ConnectionLostError(given_up) if given_up else _closed_error(exc)) from without_frames(exc)

    async def receive_into(self, hear: Callable[[list[bytes]], bool]) -> None:
        """Have all messages heard in order, at least one at a time, until that is enough. Only while ``speaking``.

        Args:
            hear: takes them, mostly in the very turn of the loop in which they came, so it must not wait; says whether
                that is enough. What it raises is raised here.

        Cancelling loses none.
        """
        connection = self._socket
        gathering = connection if isinstance(connection, FastClientConnection) else None
        while True:
            if gathering is not None and gathering.is_splitting and not gathering.pending:
                if await gathering.wait(hear):
                    return
                continue
            frames = [] if gathering is None else gathering.take()
            if not frames:
                frames = [await connection.recv(decode=False)]
                if gathering is not None and gathering.pending:
                    del gathering.pending[0]  # only now: whoever is cancelled before asks again
            if hear(frames):
                return

    def send(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Send a frame, as text. Call it only while ``speaking``."""
        return self._socket.send(frame, text=True)

    async def aclose(self) -> None:
        """Close, within the link's close time-out; what was not heard is dropped. Cancelling drops the connection."""
        if isinstance(self._socket, FastClientConnection):
            self._socket.discard()
        # The peer's close comes behind all that it sent, and websockets reads no further than 16 frames ahead.
        draining = asyncio.create_task(self._drain(), name="connecttrade stream drains")
        try:
            # websockets waits without end for a peer that does not read before it begins to count.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_timeout):
                    await self._socket.close()
        finally:
            draining.cancel()
            self.abort()

    async def _drain(self) -> None:
        with suppress(WebSocketException):
            while True:
                await self._socket.recv(decode=False)

    @property
    def oversized(self) -> bytes:
        """How the last frame began that was larger than the limit, as far as it is known."""
        cutter = self._socket.splitter if isinstance(self._socket, FastClientConnection) else None
        return b"" if cutter is None else cutter.oversized

    def abort(self) -> None:
        """Drop the connection at once, without a word."""
        self._socket.transport.abort()


async def connected_socket(host: str, port: int) -> socket.socket:
    """Connect to the first address of a name that answers: each next one is tried a quarter second after the last.

    Asyncio can do that too, but where it is cancelled it may leave a connected socket open.

    Raises:
        OSError: none answers.

    Cancelling leaves nothing open.
    """
    loop = asyncio.get_running_loop()
    # A look-up takes a thread, so an address that is one already is not looked up.
    left = _literal(host, port) or _alternating(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    attempts: list[asyncio.Task[socket.socket]] = []
    running: set[asyncio.Task[socket.socket]] = set()
    winner: socket.socket | None = None
    try:
        while winner is None and (left or running):
            if left:
                attempts.append(asyncio.create_task(_connect(loop, left.pop(0)), name="connecttrade stream dials"))
                running.add(attempts[-1])
            delay = NEXT_ADDRESS if left else None
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
    """Return where to connect to, if the host is an address; else nothing."""
    for family, address in ((socket.AF_INET, (host, port)), (socket.AF_INET6, (host, port, 0, 0))):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]
    return []


def _alternating(found: Sequence[AddressInfo]) -> list[AddressInfo]:
    """Return addresses with the families in turn, beginning with that of the first (RFC 8305)."""
    families: dict[int, list[AddressInfo]] = {}
    for info in found:
        families.setdefault(info[0], []).append(info)
    return [info for some in zip_longest(*families.values()) for info in some if info is not None]


async def _connect(loop: asyncio.AbstractEventLoop, info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    one = socket.socket(family, kind, protocol)
    try:
        one.setblocking(False)  # noqa: FBT003 - its only spelling
        await loop.sock_connect(one, address)
    except BaseException:
        one.close()
        raise
    return one


def _is_secure(url: str) -> bool:
    return url[:4].lower() == "wss:"


def _connect_error(exc: BaseException, url: str) -> ConnectionLostError:
    is_secure = _is_secure(url)
    match exc:
        case ProxyError():
            answer = f"answered {exc.response.status_code}" if isinstance(exc, InvalidProxyStatus) else "did not answer"
            return ConnectionLostError(f"no connection through the proxy, which {answer}")
        case InvalidStatus():
            response = exc.response
            asks_for_tls = not is_secure and _asks_for_tls(response)
            return ConnectionLostError(
                f"the upgrade was answered {response.status_code}{f': {IF_SECURE}' if asks_for_tls else ''}",
                status=response.status_code,
                retry_after=response.headers.get("retry-after"),
            )
        case InvalidHandshake():
            hint = f": {IF_SECURE}" if not is_secure and _waits_for_tls(exc.__cause__) else ""
            return ConnectionLostError(f"what answered does not speak WebSocket{hint}")
        case TimeoutError():
            return ConnectionLostError("no connection in time")
        case ssl.SSLError() | ConnectionResetError() if is_secure and not _speaks_tls(exc):
            return ConnectionLostError(f"no secure connection ({_error_text(exc)}): {IF_PLAIN}")
        case _:
            return ConnectionLostError(_unreachable_reason(exc, url))


def _unreachable_reason(exc: BaseException, url: str) -> str:
    """Say in the words of REST why nobody was reached."""
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
    """Whether every address that was tried refused: where a name has several, asyncio tells only their words."""
    tried = re.findall(r"\[Errno (\d+)\]", str(exc))
    return exc.errno == errno.ECONNREFUSED or (exc.errno is None and set(tried) == {str(errno.ECONNREFUSED)})


def _asks_for_tls(response: Response) -> bool:
    """Whether a plain request was answered as those answer who want a secure one."""
    there = response.headers.get("location", "").lower()
    return response.status_code == HTTPStatus.BAD_REQUEST or there.startswith(("https:", "wss:"))


def _waits_for_tls(cause: BaseException | None) -> bool:
    """Whether somebody hung up without a line of HTTP, or refused in an older version than WebSockets have."""
    return isinstance(cause, EOFError) or "HTTP/1.0 400" in str(cause)


def _speaks_tls(exc: OSError) -> bool:
    """Whether the other side showed a certificate, or said in the words of TLS what it does not like."""
    return isinstance(exc, ssl.SSLCertVerificationError) or "ALERT" in (getattr(exc, "reason", None) or "")


def _closed_error(exc: ConnectionClosed) -> ConnectionLostError:
    received, sent = exc.rcvd, exc.sent
    if sent is not None and not exc.rcvd_then_sent and sent.code == CloseCode.MESSAGE_TOO_BIG:
        cause = f"the link was given up with code {sent.code}: {sent.reason or 'a frame is larger than the limit'}"
        return ConnectionLostError(cause, is_too_large=True)
    if received is not None:
        said = f" ({received.reason})" if received.reason else ""
        cause = f"the server closed the link with code {received.code}{said}"
        return ConnectionLostError(cause, code=received.code, reason=received.reason)
    if sent is not None:
        return ConnectionLostError(f"the link was given up with code {sent.code}: {sent.reason}")
    return ConnectionLostError("the link was dropped")


def _error_text(exc: Any) -> str:  # noqa: ANN401 - OSError, or anything of websockets
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
