"""The sandbox's outlet: the way of bytes from a link into its socket, which may be slow, or frozen shut.

Order is kept whatever happens, and a message is written into the ledger in the moment in which the socket gets it.
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
    """Writes into one socket. No bytes at all, ``b""``, mean the end of it.

    Args:
        transport: the socket.
        ledger: where messages are written down.
        delay: seconds that everything takes on its way.
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
        """Whether nothing goes out."""
        return self._is_frozen

    def put(self, data: bytes, *messages: SentMessage) -> None:
        """Take bytes, and the messages that are in them; they leave with the next `flush`, or when due."""
        if self._is_frozen or self._waiting or self.delay:
            self._waiting.append(_Waiting(self._loop.time() + self.delay, data, messages))
            self._arm()
        else:
            self._let_out(data, messages)

    def flush(self) -> None:
        """Give the socket what is ready, all at once."""
        if self._ready and not self._transport.is_closing():
            self._transport.write(b"".join(self._ready))
        self._ready.clear()
        if self._transport.get_write_buffer_size() > _BACKLOG:
            self._transport.abort()

    def freeze(self) -> None:
        """Let nothing out any more; it is kept."""
        self.flush()
        self._is_frozen = True

    def thaw(self) -> None:
        """Let everything out again, first what was kept."""
        self._is_frozen = False
        self._let_due_out()

    def discard(self) -> None:
        """Forget what was kept; the socket is gone."""
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
