"""Record the traffic of a client to a file, from which secrets and identities are removed."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from connecttrade_async.client import ConnectTrade, traffic_of
from connecttrade_async.errors import ClosedError, ConfigurationError, ConnectTradeError
from connecttrade_async.recording.entries import (
    Entry,
    EntryEncoder,
    Exchange,
    FrameSeen,
    SocketClosed,
    SocketOpened,
    SocketRefused,
)
from connecttrade_async.recording.pseudonyms import Pseudonyms
from connecttrade_async.recording.redaction import PseudonymPolicy, Redactor
from connecttrade_async.recording.taps import StreamName
from connecttrade_async.recording.writer import RecordingLimits, RecordingWriter
from connecttrade_async.rest.wire import Request, Response
from connecttrade_async.secret import Secret
from connecttrade_async.validation import positive_int, positive_number

__all__ = ["Recorder"]

MAX_BYTES = 256 << 20
BACKLOG_BYTES = 64 << 20
SALT_BYTES = 16
OVERHEAD = 200  # bytes of an entry in memory beside its texts
log = logging.getLogger("connecttrade_async.recording")


class Recorder:
    """Records every request and every message of both streams of a client, until it is closed.

    Use it as ``async with``, around the streams that it records: a WebSocket that is open already is recorded from its
    next connection on. Views of the client share the recorder.

    The file has one JSON object a line. Secrets and tokens are masked. Ids, account numbers, names, addresses and free
    text are replaced by pseudonyms of the same shape, equal ones by equal ones. Symbols, enumerated words, times,
    prices, quantities and amounts stay. A line in which a known secret, user id or account number is left in any
    spelling is withheld. Only the owner of the file can read it.

    Recording never delays or fails the traffic: a thread redacts and writes. Where the file cannot be written, or a
    limit is reached, the recording ends, and the client continues.

    Args:
        ct: the client.
        path: the file to create; it must not exist.
        max_bytes: the largest size of the file. The recording ends there, with a last line that says so.
        close_timeout: seconds in which closing writes what is queued.

    Raises:
        ConfigurationError: an argument is invalid.
    """

    def __init__(
        self,
        ct: ConnectTrade,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = MAX_BYTES,
        close_timeout: float = 10.0,
    ) -> None:
        if not _is_client(ct):
            msg = f"ct must be a ConnectTrade client, got {type(ct).__name__}"
            raise ConfigurationError(msg)
        positive_int("max_bytes", max_bytes)
        positive_number("close_timeout", close_timeout)
        self.path = Path(path)
        self._limits = RecordingLimits(max_bytes, BACKLOG_BYTES)
        self._close_timeout = close_timeout
        self._traffic = traffic_of(ct)
        redactor = self._new_redactor(self._traffic.client_secret)
        redactor.add_identity(self._traffic.client_id)
        self._encoder = EntryEncoder(redactor)
        self._writer: RecordingWriter | None = None
        self._is_closed = False
        self._begin = 0.0
        self._tap: ClientTap | None = None

    def _new_redactor(self, secret: Secret) -> Redactor:
        """Return what redacts the traffic."""
        return Redactor(PseudonymPolicy(Pseudonyms(secrets.token_bytes(SALT_BYTES))), [secret])

    @property
    def is_recording(self) -> bool:
        """Whether traffic is recorded now. False before it is entered, and after it is closed or has ended."""
        return self._writer is not None and not self._writer.is_ended

    @property
    def entries(self) -> int:
        """The lines written so far, without the first and the last."""
        return 0 if self._writer is None else self._writer.entries

    @property
    def withheld(self) -> int:
        """The lines of which only the time was written, since a secret or an id was left in them."""
        return self._encoder.withheld

    @property
    def error(self) -> OSError | None:
        """Why the file could not be written, or None."""
        return None if self._writer is None else self._writer.error

    async def open(self) -> None:
        """Create the file and begin to record; ``async with`` calls it.

        Raises:
            ConfigurationError: the file exists or cannot be created, or another recorder is attached to the client.
            ClosedError: the recorder was closed.

        Cancelling may leave an empty file.
        """
        if self._is_closed:
            raise ClosedError("the recorder")
        if self._traffic.tap_point.tap is not None:
            msg = "a client can have one recorder at a time, and this client has one: close it first"
            raise ConfigurationError(msg)
        self._begin = self._traffic.clock.now()
        self._writer = await asyncio.to_thread(RecordingWriter, self.path, self._encoder, self._limits, self._now)
        self._tap = self._traffic.tap_point.tap = ClientTap(self._writer, self._now)

    async def aclose(self) -> None:
        """End the recording, and write what is queued within the close timeout. Closing twice does nothing.

        Cancelling ends the recording; the rest is written in the background.
        """
        if self._tap is not None and self._traffic.tap_point.tap is self._tap:
            self._traffic.tap_point.tap = None
        self._is_closed = True
        if self._writer is not None and not await asyncio.to_thread(self._writer.close, self._close_timeout):
            log.warning(
                "the recording is not written after the close timeout: its end may be missing",
                extra={"timeout": self._close_timeout},
            )

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        state = (
            "RECORDING" if self.is_recording else "CLOSED" if self._is_closed else "ENDED" if self._writer else "NEW"
        )
        return f"<Recorder {str(self.path)!r} {state} {self.entries} entries>"

    def _now(self) -> float:
        return self._traffic.clock.now() - self._begin


def _is_client(ct: object) -> bool:
    return isinstance(ct, ConnectTrade)


class ClientTap:
    """Passes the traffic of one client to the writer.

    Args:
        writer: the writer.
        now: returns the seconds since the recording began.
    """

    __slots__ = ("_now", "_put", "_sessions")

    def __init__(self, writer: RecordingWriter, now: Callable[[], float]) -> None:
        self._put = writer.put
        self._now = now
        self._sessions = 0

    def began(self) -> float:
        """Return the time at which a request is sent."""
        return self._now()

    def exchanged(self, began: float, request: Request, response: Response | None, error: BaseException | None) -> None:
        """Record a request."""
        size = len(request.body or b"") + (0 if response is None else len(response.body))
        # The text at once: the traceback of a queued exception would keep the frames of the call alive.
        words = str(error) if isinstance(error, ConnectTradeError) else type(error).__name__
        exchange = Exchange(began, self._now() - began, request, response, None if error is None else words)
        self._put(exchange, size + OVERHEAD)

    def opened(self, stream: StreamName) -> SocketTap:
        """Record that a WebSocket was opened."""
        self._sessions += 1
        self._put(SocketOpened(self._now(), stream, self._sessions), OVERHEAD)
        return SocketTap(self._put, self._now, self._sessions)

    def refused(self, stream: StreamName, reason: str) -> None:
        """Record that a WebSocket could not be opened."""
        self._put(SocketRefused(self._now(), stream, reason), OVERHEAD)


class SocketTap:
    """Passes the messages of one WebSocket to the writer.

    Args:
        put: queues an entry of a size.
        now: returns the seconds since the recording began.
        session: the number of the WebSocket in the recording.
    """

    __slots__ = ("_is_closed", "_now", "_put", "_session")

    def __init__(self, put: Callable[[Entry, int], None], now: Callable[[], float], session: int) -> None:
        self._put = put
        self._now = now
        self._session = session
        self._is_closed = False

    def received(self, frames: Sequence[bytes]) -> None:
        """Record received messages."""
        put, at, session = self._put, self._now(), self._session
        for frame in frames:
            put(FrameSeen(at, session, False, frame), len(frame) + OVERHEAD)  # noqa: FBT003 - a field of a tuple

    def sent(self, frame: bytes) -> None:
        """Record a sent message."""
        self._put(FrameSeen(self._now(), self._session, True, frame), len(frame) + OVERHEAD)  # noqa: FBT003 - as above

    def closed(self, code: int, reason: str) -> None:
        """Record the end, once."""
        if not self._is_closed:
            self._is_closed = True
            self._put(SocketClosed(self._now(), self._session, code, reason), OVERHEAD)
