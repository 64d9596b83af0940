"""A door: one WebSocket. Dial, send, receive, close. The only user of websockets.

Its vow: what websockets raises is translated here, and what it would log of frames and headers is not logged.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from connecttrade_async.secret import without_frames

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from websockets.http11 import Request, Response

__all__ = ["Link", "LinkLostError"]

LARGEST_FRAME = 1 << 22
MANY = 4096
DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class _Discreet(logging.LoggerAdapter[logging.Logger]):
    """Never lets websockets log at DEBUG, where it prints frames and headers, secrets included."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        return level > logging.DEBUG and super().isEnabledFor(level)


LOGGER = _Discreet(logging.getLogger("connecttrade_async.streaming.link"), {})


class _Straight(connect):
    """Goes where it was sent and nowhere else: whoever redirects it would be told the secret elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Gathering(ClientConnection):
    """Gathers whole frames as they come, so that all of a chunk can be taken at once.

    ``recv`` costs three coroutines for each message; without them a stream delivered 1.01 instead of 0.78 times what
    bare websockets and msgspec do. A message that comes in pieces is left to it: a None stands where that begins.

    Attributes:
        has_begun: whether frames come here at all: it is websockets that decides which methods it calls.
        gathered: what came.
        waiter: done when something came or the link is gone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever websockets gives
        super().__init__(*args, **kwargs)
        self.has_begun = False
        self.gathered: list[bytes | None] = []
        self.waiter: asyncio.Future[None] | None = None

    def process_event(self, event: Request | Response | Frame) -> None:
        """Take a frame, or the answer to the handshake, which comes first."""
        if type(event) is not Frame or event.opcode not in DATA:
            self.has_begun = True
            super().process_event(event)
            return
        if event.fin and event.opcode is not Opcode.CONT:
            self.gathered.append(bytes(event.data))
        else:
            super().process_event(event)
            if event.opcode is Opcode.CONT:
                return
            self.gathered.append(None)
        if len(self.gathered) > MANY:
            self.transport.pause_reading()  # nobody takes them
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for what will not come."""
        super().connection_lost(exc)
        self.wake()

    def take(self) -> list[bytes]:
        """Return what came, up to where a message in pieces begins."""
        gathered = self.gathered
        whole = len(gathered) if None not in gathered else gathered.index(None)
        self.gathered = gathered[whole:]
        if len(gathered) > MANY:
            self.transport.resume_reading()
        return cast("list[bytes]", gathered[:whole])

    def wake(self) -> None:
        """Wake whoever waits."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class LinkLostError(Exception):
    """The link could not be made, or is gone.

    Attributes:
        cause: why, in words.
        code: the close code, or None where there was none.
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
    ) -> None:
        self.cause = cause
        self.code = code
        self.status = status
        self.retry_after = retry_after
        super().__init__(cause)


class Link:
    """One open WebSocket."""

    __slots__ = ("_close_timeout", "_socket")

    def __init__(self, socket: ClientConnection, close_timeout: float) -> None:
        self._socket = socket
        self._close_timeout = close_timeout

    @classmethod
    async def dial(cls, url: str, *, open_timeout: float, close_timeout: float, ping: float) -> Link:
        """Open a link.

        Args:
            url: where.
            open_timeout: seconds that it may take.
            close_timeout: seconds that closing it may take.
            ping: seconds between two pings, and as many that the answer to one may take.

        Raises:
            LinkLostError: it could not be opened in time, or at all.

        Cancelling leaves nothing open.
        """
        try:
            socket = await _Straight(
                url,
                create_connection=_Gathering,
                compression=None,  # inflating costs two fifths of the throughput, and saves bandwidth only
                open_timeout=open_timeout,
                close_timeout=close_timeout,
                ping_interval=ping,
                ping_timeout=ping,
                max_size=LARGEST_FRAME,
                proxy=None,  # as for REST: a proxy of the environment would be told of, password and all, in errors
                logger=LOGGER,
            )
        except (OSError, EOFError, TimeoutError, WebSocketException) as exc:
            raise _undialled(exc) from without_frames(exc)
        return cls(socket, close_timeout)

    @contextmanager
    def speaking(self) -> Generator[None, None, None]:
        """Translate what ends the link while it is spoken over.

        Around the whole conversation, so that a frame costs no translation of its own.

        Raises:
            LinkLostError: the link is gone.
        """
        try:
            yield
        except ConnectionClosed as exc:
            raise _closed(exc) from without_frames(exc)

    async def receive(self) -> list[bytes]:
        """Return the frames that came, at least one; cancelling loses none. Call it only while ``speaking``."""
        socket = self._socket
        if not isinstance(socket, _Gathering) or not socket.has_begun:
            return [await socket.recv(decode=False)]
        while not socket.gathered and socket.state is not State.CLOSED:
            socket.waiter = asyncio.get_running_loop().create_future()
            try:
                await socket.waiter
            finally:
                socket.waiter = None
        if frames := socket.take():
            return frames
        whole = await socket.recv(decode=False)
        del socket.gathered[0]  # only now: whoever is cancelled before asks again
        return [whole]

    def send(self, frame: bytes) -> Coroutine[Any, Any, None]:
        """Send a frame, as text. Call it only while ``speaking``."""
        return self._socket.send(frame, text=True)

    async def aclose(self) -> None:
        """Close, within the link's close time-out. Cancelling drops the connection at once."""
        try:
            # websockets waits without end for a peer that does not read before it begins to count.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_timeout):
                    await self._socket.close()
        finally:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once, without a word."""
        self._socket.transport.abort()


def _undialled(exc: BaseException) -> LinkLostError:
    match exc:
        case InvalidStatus():
            response = exc.response
            return LinkLostError(
                f"the upgrade was answered {response.status_code}",
                status=response.status_code,
                retry_after=response.headers.get("retry-after"),
            )
        case InvalidHandshake():
            return LinkLostError("what answered does not speak WebSocket")
        case TimeoutError():
            return LinkLostError("no connection in time")
        case _:
            return LinkLostError(f"no connection: {_words(exc)}")


def _closed(exc: ConnectionClosed) -> LinkLostError:
    received = exc.rcvd
    if received is not None:
        said = f" ({received.reason})" if received.reason else ""
        return LinkLostError(f"the server closed the link with code {received.code}{said}", code=received.code)
    if exc.sent is not None:
        return LinkLostError(f"the link was given up with code {exc.sent.code}: {exc.sent.reason}")
    return LinkLostError("the link was dropped")


def _words(exc: Any) -> str:  # noqa: ANN401 - OSError, or anything of websockets
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
