"""One stream connection: sends the queued frames of its protocol and enforces the protocol's deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any

from connecttrade_async.streaming.protocol import ConnectionState
from connecttrade_async.streaming.websocket import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.streaming.protocol import StreamProtocol
    from connecttrade_async.streaming.websocket import WebSocket

__all__ = ["StreamConnection"]

MIN_TIMER = 0.001  # seconds: a deadline may lie in the past by a rounding error
MAX_HELD = 10_000  # events: far more than a server sends between a subscription and its confirmation
HELD_BYTES = 16 << 20  # of their frames


class EarlyEvents:
    """A bounded queue of the events that a connection receives before it is live; the oldest are dropped first.

    It holds at most ``MAX_HELD`` events, and frames of at most ``HELD_BYTES`` together.
    """

    __slots__ = ("_bytes", "_events")

    def __init__(self) -> None:
        self._events: deque[Any] = deque()
        self._bytes = 0

    def append(self, event: Any) -> None:  # noqa: ANN401 - an Event or market data
        """Append an event, and drop the oldest events beyond the bounds."""
        self._events.append(event)
        self._bytes += len(event.raw)
        while len(self._events) > MAX_HELD or self._bytes > HELD_BYTES:
            self.popleft()

    def popleft(self) -> Any:  # noqa: ANN401 - an Event or market data
        """Remove the oldest event and return it."""
        event = self._events.popleft()
        self._bytes -= len(event.raw)
        return event

    def __len__(self) -> int:
        return len(self._events)


class StreamConnection:
    """A WebSocket with its protocol and the timer of the protocol's deadline.

    Args:
        websocket: the open WebSocket.
        protocol: the state machine of this connection.
        clock: the time source.
        on_progress: called when the deadline timer has advanced the protocol.

    Attributes:
        websocket: the WebSocket.
        protocol: the state machine of this connection.
        has_gone_live: whether the supervisor has processed that the connection is live.
        last_received: when frames were received last, in seconds on the clock.
        early_events: the latest events received before the connection was live, to be published after the gap. Events
            dropped here, or lost with the connection, fall into that gap.
    """

    __slots__ = (
        "_clock",
        "_interrupt",
        "_on_progress",
        "_sending",
        "_timer",
        "early_events",
        "has_gone_live",
        "last_received",
        "protocol",
        "websocket",
    )

    def __init__(
        self,
        websocket: WebSocket,
        protocol: StreamProtocol,
        clock: Clock,
        on_progress: Callable[[StreamConnection], None],
    ) -> None:
        self.websocket = websocket
        self.protocol = protocol
        self.has_gone_live = False
        self.last_received = 0.0
        self.early_events = EarlyEvents()
        self._clock = clock
        self._on_progress = on_progress
        self._interrupt: asyncio.Timeout | None = None
        self._timer: Timer | None = None
        self._sending: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def until_renewed(self) -> AsyncGenerator[None]:
        """Interrupt the block when ``renew`` is called."""
        try:
            async with asyncio.timeout(None) as self._interrupt:
                yield
        except TimeoutError:
            if self.protocol.closed is None:
                raise

    def renew(self) -> None:
        """End the protocol because the login was renewed, and interrupt receiving; the WebSocket stays open."""
        self.protocol.renew()
        if self._interrupt is not None:
            self._interrupt.reschedule(asyncio.get_running_loop().time())

    async def send(self) -> None:
        """Send all queued frames.

        Call it only inside ``websocket.errors_translated()``. Cancelling leaves some frames unsent.
        """
        outbox = self.protocol.outbox
        while outbox:
            await self.websocket.send(outbox.pop(0))

    def flush(self) -> None:
        """Start sending the queued frames without waiting, and check the deadline."""
        if self.protocol.outbox and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send(), name="connecttrade stream sends")
        self.check_deadline()

    def check_deadline(self) -> None:
        """Run the protocol's check if its deadline has passed, else schedule the next call.

        A frame that moves the deadline later does not touch the timer: the timer fires early and is set again.
        """
        protocol, clock = self.protocol, self._clock
        self._stop_timer()
        if protocol.deadline is None:
            return
        if clock.now() < protocol.deadline:
            self._timer = clock.call_later(max(protocol.deadline - clock.now(), MIN_TIMER), self.check_deadline)
            return
        protocol.check(clock.now())
        if protocol.state is ConnectionState.OVER:
            self.websocket.abort()
        else:
            self._on_progress(self)
            self.flush()

    async def aclose(self) -> None:
        """Stop the timer and the sending task. Cancelling leaves neither running."""
        self._stop_timer()
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send(self) -> None:
        try:
            with self.websocket.errors_translated():
                await self.send()
        except ConnectionLostError:
            return  # the receiving side gets the same error and reports it

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
