"""One WebSocket of the sandbox on a real socket, and every way in which such a connection can end.

The WebSocket is the sans-I/O protocol of ``websockets``. The socket is handled here, so that resets, half-open
connections and truncated frames are real ones.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Protocol, cast

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from connecttrade_async.sandbox.streams.message_log import MessageLog, SentMessage
from connecttrade_async.sandbox.streams.send_buffer import SendBuffer

__all__ = ["SandboxWebSocket", "SessionHandler"]

_PATIENCE = 1.0
"""Seconds that a peer has to answer a close."""
_LARGEST = 1 << 20
"""Bytes of the largest message that is read."""


class _NoDebugLogger(logging.LoggerAdapter[logging.Logger]):
    """Never prints frames, whatever the level: a login has a secret in it."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  the name is logging's
        return level > logging.INFO and super().isEnabledFor(level)


_LOGGER = _NoDebugLogger(logging.getLogger(__name__), {})


class SessionHandler(Protocol):
    """The handler of the messages of one connection."""

    def opened(self) -> None:
        """There is a socket."""

    def requested(self, request: Request) -> None:
        """The peer asks for the upgrade; answer with `Link.accept`, `Link.refuse`, or not at all."""

    def received(self, data: bytes) -> None:
        """A whole message came."""

    def closed(self) -> None:
        """The socket is closed."""


class SandboxWebSocket(asyncio.Protocol):
    """One WebSocket.

    Args:
        number: counts the WebSockets of a stream from 1.
        ledger: where messages are written down.
        delay: seconds that everything takes on its way out.

    Attributes:
        number: as given.
        conversation: the handler of its messages.
    """

    conversation: SessionHandler

    def __init__(self, number: int, ledger: MessageLog, delay: float = 0.0) -> None:
        self.number = number
        self._ledger = ledger
        self._delay = delay
        self._websocket = ServerProtocol(max_size=_LARGEST, logger=_LOGGER)
        self._parts: list[bytes] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._is_cut = False
        self._transport: asyncio.Transport
        self._send_buffer: SendBuffer

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._websocket.state is State.OPEN and not self._is_cut and not self._transport.is_closing()

    @property
    def is_frozen(self) -> bool:
        """Whether it seems alive and is not."""
        return self._send_buffer.is_frozen

    # Callbacks of the socket ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session: the socket is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._send_buffer = SendBuffer(self._transport, self._ledger, self._delay)
        self._ledger.count("connect")
        self.conversation.opened()

    def data_received(self, data: bytes) -> None:
        """Parse bytes and handle their frames."""
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Request):
                self._ledger.count("upgrade")
                self.conversation.requested(event)
            elif isinstance(event, Frame):
                self._receive(event)
        self.flush()

    def eof_received(self) -> None:
        """Handle the end of what the peer sends."""
        self._websocket.receive_eof()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed; the error, if there was one, is the peer's business."""
        del exc
        self._send_buffer.discard()
        if self._deadline is not None:
            self._deadline.cancel()
        self.conversation.closed()
        self._ledger.count("disconnect")

    # Sending ----------------------------------------------------------------------------------------------------------

    def accept(self, request: Request) -> None:
        """Accept the upgrade, if the request is one."""
        self._websocket.send_response(self._websocket.accept(request))

    def refuse(self, status: int, retry_after: str | None = None) -> None:
        """Reject the upgrade."""
        response: Response = self._websocket.reject(status, "The stream is not to be had.\n")
        if retry_after is not None:
            response.headers["Retry-After"] = retry_after
        self._websocket.send_response(response)

    def send(self, message: SentMessage) -> None:
        """Enqueue a message as text, if the WebSocket is open; the next `flush` sends it."""
        if self.is_open:
            self._websocket.send_text(message.text.encode())
            self._pass(message)

    def send_together(self, messages: Sequence[SentMessage], texts: Iterable[str]) -> None:
        """Enqueue messages that share frames, if the WebSocket is open: the texts of the frames, in their order."""
        if self.is_open:
            for text in texts:
                self._websocket.send_text(text.encode())
            self._pass(*messages)

    def truncate(self, message: SentMessage) -> None:
        """Send half a frame, and close the socket."""
        if self.is_open:
            # Serialized here, since the protocol of websockets sends whole frames only.
            frame = Frame(Opcode.TEXT, message.text.encode()).serialize(mask=False)
            self._send_buffer.put(frame[: len(frame) // 2], message._replace(fate="torn"))
            self.cut()

    def flush(self) -> None:
        """Send what is enqueued."""
        self._pass()
        self._send_buffer.flush()

    def _pass(self, *messages: SentMessage) -> None:
        for data in self._websocket.data_to_send():
            self._send_buffer.put(data, *messages)
            messages = ()  # each message is logged once, though its bytes may come in several parts

    def _receive(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            self._parts.append(bytes(frame.data))
            if frame.fin:
                data = b"".join(self._parts)
                self._parts.clear()
                self.conversation.received(data)
        elif frame.opcode is not Opcode.PONG:
            self._ledger.count(frame.opcode.name.lower())

    # Closing ----------------------------------------------------------------------------------------------------------

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in the orderly way; a peer that does not answer is given up after a second.

        Raises:
            ValueError: no peer may be sent this code.
        """
        if self._websocket.state is State.OPEN:
            try:
                self._websocket.send_close(code, reason)
            except ProtocolError as error:
                raise ValueError(f"{code} is no code to close with: {error}") from None
            self.flush()
            self._bound_close()
        else:
            self.cut()

    def cut(self) -> None:
        """Close the socket without a close frame."""
        self.flush()
        self._is_cut = True
        self._send_buffer.put(b"")
        self._bound_close()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        if not self._transport.is_closing():
            self.flush()
            peer: socket.socket = self._transport.get_extra_info("socket")
            # Without a linger of zero, the kernel ends the connection with a FIN and not with a reset.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def abandon(self) -> None:
        """Abort the socket at once, after a close frame if the peer reads."""
        # A close frame to a peer that does not read would wait in the buffer and delay the end of the sandbox.
        if self.is_open and not self.is_frozen and not self._transport.get_write_buffer_size():
            self._websocket.send_close(1001, "The sandbox closes.")
            self.cut()
        if not self._transport.is_closing() or self._transport.get_write_buffer_size():
            self._transport.abort()

    def freeze(self) -> None:
        """Become half-open: read nothing, write nothing, answer no ping, notice no end."""
        self.flush()
        # The kernel goes on to acknowledge what arrives, so the peer sees silence and no error.
        self._send_buffer.freeze()
        self._transport.pause_reading()

    def thaw(self) -> None:
        """Resume; send what was held back first."""
        if self.is_frozen:
            self._send_buffer.thaw()
            if self._is_cut or self._websocket.state is State.CLOSING:
                self._bound_close()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def delay(self, seconds: float) -> None:
        """Delay everything that is sent from now on."""
        self._send_buffer.delay = seconds

    def _bound_close(self) -> None:
        """Give a close a second, unless the connection is frozen, where no peer would notice."""
        if self._deadline is None and not self.is_frozen:
            seconds = self._send_buffer.delay + _PATIENCE
            self._deadline = asyncio.get_running_loop().call_later(seconds, self._transport.abort)
