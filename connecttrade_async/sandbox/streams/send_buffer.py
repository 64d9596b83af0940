"""The buffer between a WebSocket and its socket, which can be delayed or frozen.

The order of the bytes never changes. A message is logged when the socket gets its bytes.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from connecttrade_async.sandbox.streams.message_log import MessageLog, SentMessage

__all__ = ["SendBuffer"]

_BACKLOG = 256 << 20
"""Bytes that may wait for a peer that does not read; beyond them it is given up."""


class _Waiting(NamedTuple):
    due: float
    data: bytes
    messages: tuple[SentMessage, ...]


class SendBuffer:
    """Writes into one socket. An empty value, ``b""``, closes it.

    Args:
        transport: the socket.
        ledger: the log of messages.
        delay: seconds before bytes are sent.
    """

    def __init__(self, transport: asyncio.Transport, ledger: MessageLog, delay: float) -> None:
        self.delay = delay
        self._transport = transport
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._is_frozen = False
        self._waiting: deque[_Waiting] = deque()
        self._ready: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is sent."""
        return self._is_frozen

    def put(self, data: bytes, *messages: SentMessage) -> None:
        """Enqueue bytes and the messages in them, for the next `flush` or until they are due."""
        # While older bytes wait, new ones wait too: out of order they would be no frames.
        if self._is_frozen or self._waiting or self.delay:
            self._waiting.append(_Waiting(self._loop.time() + self.delay, data, messages))
            self._arm()
        else:
            self._let_out(data, messages)

    def flush(self) -> None:
        """Write everything that is ready, in one call."""
        if self._ready and not self._transport.is_closing():
            self._transport.write(b"".join(self._ready))
        self._ready.clear()
        # A peer that does not read would let the buffer grow without bound.
        if self._transport.get_write_buffer_size() > _BACKLOG:
            self._transport.abort()

    def freeze(self) -> None:
        """Hold back everything from now on."""
        self.flush()
        self._is_frozen = True

    def thaw(self) -> None:
        """Send what was held back, and stop holding back."""
        self._is_frozen = False
        self._let_due_out()

    def discard(self) -> None:
        """Drop what was held back: the socket is closed."""
        self._waiting.clear()
        self._ready.clear()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_out(self, data: bytes, messages: tuple[SentMessage, ...]) -> None:
        for message in messages:
            self._ledger.note(message)
        if data:
            self._ready.append(data)
        else:
            self.flush()
            self._transport.close()

    def _let_due_out(self) -> None:
        self._stop_timer()
        while self._waiting and not self._is_frozen and self._waiting[0].due <= self._loop.time():
            _, data, messages = self._waiting.popleft()
            self._let_out(data, messages)
        self.flush()
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._waiting and not self._is_frozen:
            self._timer = self._loop.call_at(self._waiting[0].due, self._let_due_out)
