"""A loop: one end of one link. It sends what the link's life has to say, and keeps its deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from connecttrade_async.streaming.protocol import State
from connecttrade_async.streaming.websocket import ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.streaming.protocol import StreamProtocol
    from connecttrade_async.streaming.websocket import WebSocket

__all__ = ["StreamConnection"]

MAX_HELD = 10_000  # events: far more than comes between a wish and its answer
HELD_BYTES = 16 << 20  # of their frames


class Early:
    """The latest events before a link went live, at most ``MAX_HELD`` of them and ``HELD_BYTES`` of their frames."""

    __slots__ = ("_bytes", "_events")

    def __init__(self) -> None:
        self._events: deque[Any] = deque()
        self._bytes = 0

    def append(self, event: Any) -> None:  # noqa: ANN401 - an Event or market data
        """Take an event; the oldest go where there are too many or too large ones."""
        self._events.append(event)
        self._bytes += len(event.raw)
        while len(self._events) > MAX_HELD or self._bytes > HELD_BYTES:
            self.popleft()

    def popleft(self) -> Any:  # noqa: ANN401 - an Event or market data
        """Return the oldest event, and hold it no more."""
        event = self._events.popleft()
        self._bytes -= len(event.raw)
        return event

    def __len__(self) -> int:
        return len(self._events)


class StreamConnection:
    """Speaks for a life on its link.

    Args:
        link: the link.
        life: its life.
        clock: time.
        moved: what to do when time has moved the life on.

    Attributes:
        link: the link.
        life: its life.
        has_gone_live: whether it is known that the link went live.
        heard: when frames came last, on the clock.
        early: what came before the link went live and is to be told after the gap, the latest of it. What is let go,
            or ends with the link, lies in that gap.
    """

    __slots__ = (
        "_clock",
        "_on_progress",
        "_sending",
        "_timer",
        "frames_before_login",
        "has_gone_live",
        "last_received",
        "protocol",
        "websocket",
    )

    def __init__(
        self, link: WebSocket, life: StreamProtocol, clock: Clock, moved: Callable[[StreamConnection], None]
    ) -> None:
        self.websocket = link
        self.protocol = life
        self.has_gone_live = False
        self.last_received = 0.0
        self.frames_before_login = Early()
        self._clock = clock
        self._on_progress = moved
        self._timer: Timer | None = None
        self._sending: asyncio.Task[None] | None = None

    async def send(self) -> None:
        """Send what is to be sent. Call it only while the link is spoken over; cancelling may leave some unsent."""
        outbox = self.protocol.outbox
        while outbox:
            await self.websocket.send(outbox.pop(0))

    def flush(self) -> None:
        """Send what is to be sent, without waiting for it."""
        if self.protocol.outbox and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send(), name="connecttrade stream sends")
        self.check_deadline()

    def check_deadline(self) -> None:
        """End the life if its deadline has passed, and look again at the next: no frame costs a timer."""
        life, clock = self.protocol, self._clock
        self._stop()
        if life.deadline is None:
            return
        if clock.now() < life.deadline:
            self._timer = clock.call_later(max(life.deadline - clock.now(), 0.001), self.check_deadline)
            return
        life.check(clock.now())
        if life.state is State.OVER:
            self.websocket.abort()
        else:
            self._on_progress(self)
            self.flush()

    async def aclose(self) -> None:
        """Say no more. Cancelling leaves nothing that speaks."""
        self._stop()
        if self._sending is not None and not self._sending.done():
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send(self) -> None:
        try:
            with self.websocket.errors_translated():
                await self.send()
        except ConnectionLostError:
            return  # whoever reads meets the same, and says so

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
