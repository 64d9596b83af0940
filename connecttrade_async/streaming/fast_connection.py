"""A ``websockets`` client connection with a fast path: whole text messages bypass the parser and ``recv``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.protocol import State

from connecttrade_async.futures import resolve
from connecttrade_async.streaming.frames import FrameSplitter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from websockets.typing import DataLike

__all__ = ["MAX_FRAME", "FastClientConnection"]

MAX_FRAME = 1 << 22  # bytes
MAX_PENDING = 4096  # messages
MAX_UNSENT = 1 << 20  # bytes; this client sends little, so a peer that leaves this much unread reads nothing at all
PEER_NOT_READING = "the connection was aborted: the server does not read the frames that the client sends"
END_OF_HEADERS = b"\r\n\r\n"


def _ignore(frames: list[bytes]) -> bool:
    """Keep messages pending: no consumer is waiting."""
    del frames
    return False


class FastClientConnection(ClientConnection):
    """A client connection that splits received chunks into messages and delivers those of a chunk in one call.

    ``recv`` of ``websockets`` costs a parser in Python, three coroutines and one more loop iteration for each message.
    Here it reads only the frames that ``FrameSplitter`` passes on. If the installed ``websockets`` does not receive
    chunks in ``data_received``, or does not process the handshake response synchronously, ``recv`` reads everything
    and ``pending`` stays empty.

    Messages are not checked for valid UTF-8, as with ``recv(decode=False)``.

    Args:
        largest: the size limit of a message, in bytes.

    Attributes:
        splitter: splits the bytes after the handshake; None before, and if nothing is split.
        pending: received messages that were not taken yet, in order; None for a message that ``recv`` returns.
        on_frames: takes messages while ``wait`` is waiting; returns whether the caller of ``wait`` has enough.
        waiter: the future of ``wait``, done when ``on_frames`` returned true (True) or ``recv`` has a message (False).
        given_up: why this client aborted the connection, in words, or ``""``.
    """

    def __init__(self, *args: Any, largest: int = MAX_FRAME, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of websockets
        super().__init__(*args, **kwargs)
        self.given_up = ""
        self._largest = largest
        self.splitter: FrameSplitter | None = None
        self.pending: list[bytes | None] = []
        self.on_frames: Callable[[list[bytes]], bool] = _ignore
        self.waiter: asyncio.Future[bool] | None = None
        self._handshake: bytes | None = b""
        self._is_discarding = False
        self._is_paused = False
        self._pong: asyncio.Future[float] | None = None
        self._abort_timer: asyncio.TimerHandle | None = None

    async def wait(self, on_frames: Callable[[list[bytes]], bool]) -> bool:
        """Pass received messages to a callback until it returns true.

        Args:
            on_frames: takes messages; returns whether the caller has enough.

        Returns:
            True once the callback returned true, or False if the next message has to be read with ``recv``.

        Cancelling loses no message.
        """
        self.on_frames, self.waiter = on_frames, self.loop.create_future()
        try:
            return await self.waiter
        finally:
            self.on_frames, self.waiter = _ignore, None

    @property
    def is_splitting(self) -> bool:
        """Whether messages are split out of chunks."""
        return self.splitter is not None and not self.splitter.is_stopped

    def data_received(self, data: bytes) -> None:
        """Process a chunk. Any chunk proves that the connection is alive, so a pending ping needs no pong."""
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
        """Process the end of the received data."""
        self._stop_splitting()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Process the loss of the connection: wake the waiter."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._stop_splitting()
        super().connection_lost(exc)
        self._wake(is_enough=False)

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping, and abort the connection if that takes longer than ``ping_timeout``.

        While reading is paused no pong can arrive, so no pong is required then.
        """
        self._forget_pings()
        try:
            # websockets waits without a limit for room in the write buffer if the peer does not read.
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
        """Remove pings that need no pong: websockets keeps each one until a pong arrives."""
        pings: dict[bytes, Any] = getattr(self, "pending_pings", None) or getattr(self, "pong_waiters", {})
        for key in [key for key, value in pings.items() if value[0].done()]:
            del pings[key]

    def take(self) -> list[bytes]:
        """Remove and return the pending messages before the first one that ``recv`` returns."""
        pending = self.pending
        count = len(pending) if None not in pending else pending.index(None)
        self.pending = pending[count:]
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()
        return cast("list[bytes]", pending[:count])

    def discard(self) -> None:
        """Drop all messages from now on: closing has to reach the peer's close frame behind them."""
        self._is_discarding = True
        self.take()
        self.pending.clear()

    def _finish_handshake(self, before: bytes, data: bytes) -> bytes:
        """Pass on the handshake response; return the bytes behind it.

        Args:
            before: the last bytes received before, which may hold the beginning of the end of the headers.
            data: the received bytes.
        """
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
        """Pass bytes to websockets, which replies to pings at once even if the peer does not read the replies."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            self._give_up()
        if self._abort_timer is None and self.state is State.CLOSING:
            # websockets waits for the peer to close the socket, and enforces its close timeout only when the next ping
            # or message is sent. Until then the stream would seem live and receive nothing.
            self._abort_timer = self.loop.call_later(self.close_timeout or 0, self.transport.abort)

    def _give_up(self) -> None:
        self.given_up = self.given_up or PEER_NOT_READING
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
            except Exception as exc:  # noqa: BLE001 - raised in ``wait``
                waiter.set_exception(exc)
        if is_enough or self.pending or not self.is_splitting:  # ``wait`` returns, and ``recv`` may be next
            self._wake(is_enough=is_enough)
        if len(self.pending) > MAX_PENDING:
            self._is_paused = True
            self.transport.pause_reading()  # the consumer is not taking messages
            self._suppress_ping_timeout()

    def _suppress_ping_timeout(self) -> None:
        pong, self._pong = self._pong, None
        if pong is not None:
            resolve(pong, self.latency)

    def _wake(self, *, is_enough: bool) -> None:
        if self.waiter is not None:
            resolve(self.waiter, is_enough)
