"""Keep-alive connections: one on which the peer spoke while it was idle is never used again.

What arrives on an idle connection answers no request: a proxy's late 400 or 408, an answer too many, a body behind
a 204. aiohttp keeps such a connection in its pool and takes the bytes for the answer to the next request.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, cast

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["SPEAKS_FIRST", "CancelledUnsentError", "Connector", "NotSentError", "may_be_used"]

SPEAKS_FIRST = "what listens there sends data before it is asked"
UNASKED = 3  # new connections in a row on which the peer may speak first, before the request fails


class CancelledUnsentError(asyncio.CancelledError):
    """A request was canceled before there was a connection to send it on."""


class NotSentError(Exception):
    """There was no connection to send a request on; the text says why."""


class Connector(aiohttp.TCPConnector):
    """A connection pool without a limit that drops every connection on which something arrived while it was idle.

    Nothing was sent on a connection that is dropped, so any request may go out on another.
    """

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return a connection on which nothing was received that no request asked for.

        Raises:
            NotSentError: the peer sends data on each new connection before it is asked.
        """
        spoken = 0
        while True:
            try:
                connection = await super().connect(req, traces, timeout)
            except asyncio.CancelledError as exc:
                raise CancelledUnsentError(*exc.args) from None
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:  # lost already: sending on it says so
                return connection
            watch = transport.get_protocol()
            if isinstance(watch, _IdleWatch):
                if not (protocol.should_close or watch.is_readable()):
                    transport.set_protocol(protocol)
                    connection.add_callback(watch.begin)
                    return connection
            elif not protocol.should_close:
                connection.add_callback(_IdleWatch(transport, protocol).begin)
                return connection
            else:
                spoken += 1
            connection.close()
            if spoken == UNASKED:
                raise NotSentError(SPEAKS_FIRST)


class _IdleWatch(asyncio.Protocol):
    """Takes the place of aiohttp's protocol while a connection is idle, and drops the connection when data arrives.

    aiohttp's own protocol would feed the data to the parser of the answer before. The beginning of an answer then shows
    nowhere, and its rest is taken for an answer to the next request.
    """

    __slots__ = ("_protocol", "_transport", "is_readable")

    def __init__(self, transport: asyncio.Transport, protocol: ResponseHandler) -> None:
        self._transport = transport
        self._protocol = protocol
        self.is_readable = _poll(transport)

    def begin(self) -> None:
        """Watch the connection, which is released to the pool, or closed."""
        if not self._transport.is_closing():
            self._transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        del data
        self._drop()

    def eof_received(self) -> None:
        self._drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def _drop(self) -> None:
        self._protocol.force_close()
        self._transport.abort()


def may_be_used(connection: Connection) -> bool:
    """Say whether a connection of a borrowed pool may carry a request; it may be new, or used by others before.

    A watch cannot be left on it, since others who borrow the pool would not take it off again. So the beginning of an
    answer that was read already does not show; the request after it fails, and is never given that answer.
    """
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        return True
    # A new TLS connection is readable, and rightly: session tickets follow the handshake.
    is_plain = transport.get_extra_info("sslcontext") is None
    return not (protocol.should_close or (is_plain and _poll(transport)()))


def _poll(transport: asyncio.BaseTransport) -> Callable[[], bool]:
    """Return a function that says whether the socket of a transport has data, or the end of the stream, to be read.

    The system is asked: where the loop was busy, it has not read yet what arrived meanwhile.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or (descriptor := cast("int", sock.fileno())) < 0:
        return bool
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ask = poll.poll
    return lambda: bool(ask(0))
