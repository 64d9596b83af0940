"""A connection pool that never reuses a connection on which data arrived while it was idle.

Data on an idle connection belongs to no request: a proxy's late 400 or 408, a second response, a body after a 204.
aiohttp keeps such a connection in its pool and parses the data as the response to the next request.
"""

from __future__ import annotations

import asyncio
import select
from functools import partial
from typing import TYPE_CHECKING, cast

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["UNSOLICITED_DATA", "CancelledUnsentError", "Connector", "NotSentError", "is_clean"]

UNSOLICITED_DATA = "the peer sends data before it gets a request"
MAX_DIRTY = 3  # new connections in a row on which the peer may send data first, before the request fails


class CancelledUnsentError(asyncio.CancelledError):
    """A request was cancelled before there was a connection to send it on."""


class NotSentError(Exception):
    """There was no connection to send a request on; the message has the reason."""


class Connector(aiohttp.TCPConnector):
    """A connection pool without a limit that drops every connection on which data arrived while it was idle.

    The request was not sent on a dropped connection, so any method may be sent on another one.
    """

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return a connection without unsolicited data.

        Raises:
            NotSentError: the peer sends data on each new connection before it gets a request.
        """
        dirty = 0
        while True:
            try:
                connection = await super().connect(req, traces, timeout)
            except asyncio.CancelledError as exc:
                raise CancelledUnsentError(*exc.args) from None
            protocol = connection.protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None:  # lost already: sending on it raises
                return connection
            guard = transport.get_protocol()
            if isinstance(guard, _IdleGuard):
                if not (protocol.should_close or guard.is_readable()):
                    transport.set_protocol(protocol)
                    connection.add_callback(guard.start)
                    return connection
            elif not protocol.should_close:
                connection.add_callback(_IdleGuard(transport, protocol).start)
                return connection
            else:
                dirty += 1
            connection.close()
            if dirty == MAX_DIRTY:
                raise NotSentError(UNSOLICITED_DATA)


class _IdleGuard(asyncio.Protocol):
    """Replaces aiohttp's protocol while a connection is idle, and drops the connection when data arrives.

    aiohttp's own protocol would feed the data to the parser of the previous response. The beginning of a response would
    vanish there, and the rest would be parsed as the response to the next request.
    """

    __slots__ = ("_protocol", "_transport", "is_readable")

    def __init__(self, transport: asyncio.Transport, protocol: ResponseHandler) -> None:
        self._transport = transport
        self._protocol = protocol
        self.is_readable = _readable_check(transport)

    def start(self) -> None:
        """Guard the connection, which was released to the pool or closed."""
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


def is_clean(connection: Connection) -> bool:
    """Return whether a connection of a borrowed pool, new or used, is free of unsolicited data.

    No ``_IdleGuard`` can stay on it, since other users of the pool would not remove it. So data that the loop has
    already read is missed: the next request fails, but it never gets that data as its response.
    """
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        return True
    # A new TLS connection is readable without being dirty: session tickets follow the handshake.
    is_plain = transport.get_extra_info("sslcontext") is None
    return not (protocol.should_close or (is_plain and _readable_check(transport)()))


def _readable_check(transport: asyncio.BaseTransport) -> Callable[[], object]:
    """Return a function that returns something true if the socket of a transport is readable.

    It polls the socket itself, since a busy loop may not have read the data that has arrived.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or (descriptor := cast("int", sock.fileno())) < 0:
        return bool
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    # Not a lambda: this runs for each request on a used connection, and needs no frame of Python.
    return partial(poll.poll, 0)
