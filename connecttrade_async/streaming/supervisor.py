"""The supervisor of a stream: connects, receives, waits and reconnects until the stream is closed or refused.

The supervisor never raises into another task. An error that ends the stream is a value: subscriptions raise it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from connecttrade_async.errors import (
    AuthenticationRefusedError,
    ClosedError,
    ConnectError,
    ConnectTradeError,
    HandshakeError,
    RateLimitedError,
    ServerError,
    SessionTakenError,
    TransportError,
    one_line,
)
from connecttrade_async.futures import resolve
from connecttrade_async.models.events import (
    Gap,
    StreamConnecting,
    StreamEnded,
    StreamLive,
    StreamLost,
    StreamRetrying,
    UnknownMessage,
)
from connecttrade_async.pacing import bounded_retry_after, equal_jitter_delays, full_jitter_delays, parse_retry_after
from connecttrade_async.streaming.census import Census
from connecttrade_async.streaming.config import StreamCounters
from connecttrade_async.streaming.connection import StreamConnection
from connecttrade_async.streaming.protocol import CONFIRMING, RENEWED, Closed, CloseReason, ConnectionState
from connecttrade_async.streaming.websocket import ConnectionLostError, WebSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async.clock import Timer
    from connecttrade_async.streaming.config import LoginProvider, StreamConfig

    Outcome = tuple[Closed, float | None]
    """The end of a connection, and the delay in seconds that the server requested, or None."""

__all__ = ["Supervisor"]

# A second worker with the same credentials is the usual reason why a session is taken.
SHARE_ONE_SESSION = (
    "the API allows one session for these credentials: in several processes, "
    "use connecttrade_async.relay.Relay to share one session"
)
MAX_RETAKES = 3  # within RETAKE_WINDOW, for ``on_taken="retake"``
RETAKE_WINDOW = 600.0  # seconds
MAX_REFUSALS = 3  # refused logins in a row after the stream was live
MAX_CLOSES = 3  # live connections within RETAKE_WINDOW that the server closed early and without a reason
SHORT_LIVED = 60.0  # seconds: a live connection that ends within them was closed early
MAX_OVERSIZED = 5  # connections in a row within RETAKE_WINDOW that a frame above the size limit ended
MIN_TIMER = 0.001  # seconds
UNUSUAL = frozenset({UnknownMessage, list})  # events that are counted, or are several
CHECK_INTERVAL = 60.0  # seconds between two checks whether the login is due for renewal
log = logging.getLogger("connecttrade_async.streaming")


class Supervisor:
    """Keeps one stream connected.

    Args:
        config: the configuration of the stream.

    Attributes:
        counters: the state and the counters of the stream.
        is_live: done when the stream is live for the first time, or has ended before that.
        connection: the open connection, or None.
    """

    def __init__(self, config: StreamConfig) -> None:
        self._config = config
        self.counters = StreamCounters()
        self.is_live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connection: StreamConnection | None = None
        self._taken: list[float] = []
        self._closed: list[float] = []
        self._oversized: list[float] = []
        self._denied = 0
        self._live_at = -math.inf
        self._was_open = False
        self._crash: Exception | None = None
        self._lost: tuple[datetime, str] | None = None
        self._settled_at = math.inf
        self._last_received = 0.0
        self._offset = 0.0
        self._has_ended = False
        self._census: dict[str, Census] = {}
        self._renewal: asyncio.Task[bool] | None = None
        self._renewal_timer: Timer | None = None

    async def run(self) -> None:
        """Keep the stream connected until it ends. Cancelling closes it."""
        error: ConnectTradeError | None = None
        try:
            error = await self._run()
        except ConnectTradeError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001 - logged with its traceback when the stream ends
            self._crash = exc
            error = ConnectTradeError(f"the stream ended on an unexpected {type(exc).__name__}")
            error.__cause__ = exc
        finally:
            try:
                await self._cancel()
            finally:
                self.end(error)

    async def _run(self) -> ConnectTradeError:
        reconnect, clock = self._config.reconnect, self._config.clock
        failed, delays, is_renewed = 0, self._delays(), False
        while True:
            self._publish_lifecycle(StreamConnecting(attempt=failed + 1), "CONNECTING")
            closed, retry_after = await self._connect_once(has_new_login=is_renewed)
            closed = self._with_history(closed)
            self._publish_lifecycle(StreamLost(cause=closed.cause), "LOST")
            if clock.now() >= self._settled_at:
                failed, delays = 0, self._delays()
            closed = await self._after_renewal(closed)
            is_renewed = closed.reason is CloseReason.RENEWED
            if is_renewed:
                self._record_loss(closed)
                continue  # without a delay: the reconnect is planned
            error = self._final_error(closed, failed)
            if error is not None:
                return error
            failed += 1
            if reconnect.attempts is not None and failed > reconnect.attempts:
                detail = f"given up after {reconnect.attempts} attempts: {closed.cause}"
                return TransportError(method="STREAM", path=self._config.url, kind="dropped", detail=detail)
            await self._wait(closed, retry_after, delays)

    async def _connect_once(self, *, has_new_login: bool) -> Outcome:
        """Run one connection; return how it ended. A new login is not fetched again, even if it looks expired."""
        config = self._config
        self._settled_at = math.inf
        self._was_open = False
        try:
            if config.login is not None and not has_new_login:
                await self._ensure_login(config.login)
            websocket = await WebSocket.connect(
                config.url,
                open_timeout=config.timeouts.connect,
                close_timeout=config.timeouts.close / 2,
                ping=config.timeouts.ping,
                dialing=config.dialing,
            )
        except ConnectionLostError as exc:
            delay = parse_retry_after(exc.retry_after or "", config.clock.wall())
            return Closed(CloseReason.AGAIN, exc.cause), delay
        self.counters.connects += 1
        self.counters.fast_path = websocket.is_fast
        self._was_open = True
        protocol = config.make_protocol(config.clock.now())
        connection = StreamConnection(websocket, protocol, config.clock, self._on_progress)
        self.connection = connection
        try:
            async with connection.until_renewed():
                with websocket.errors_translated():
                    await self._receive(connection)
        except ConnectionLostError as exc:
            reason = CloseReason.TOO_LARGE if exc.is_too_large else None
            if exc.is_too_large and protocol.outgrown(websocket.oversized, config.clock.now()):
                self._oversized.clear()  # the next connection does not request the subscription of these frames
            protocol.connection_lost(exc.cause, exc.code, reason=exc.reason, verdict=reason)
            self._on_progress(connection)
        finally:
            self.connection = None
            if connection.has_gone_live:
                self._last_received = connection.last_received
            try:
                await connection.aclose()
            finally:
                await websocket.aclose()
        assert protocol.closed is not None  # noqa: S101 - ``_receive`` returns or raises only after the end
        return protocol.closed, None

    async def _ensure_login(self, login: LoginProvider) -> None:
        try:
            await login.ensure(is_renewal=False)
        except (TransportError, ServerError, RateLimitedError) as exc:
            if not self.is_live.done():
                raise
            raise ConnectionLostError(str(exc), retry_after=str(getattr(exc, "retry_after", None) or "")) from exc

    async def _receive(self, connection: StreamConnection) -> None:
        connection.check_deadline()
        if connection.protocol.closed is None:
            await connection.websocket.receive_into(partial(self._on_frames, connection))

    def _on_frames(self, connection: StreamConnection, frames: list[bytes]) -> bool:
        """Process received frames; return whether the connection has ended."""
        protocol, now = connection.protocol, self._config.clock.now()
        receive, publish = protocol.receive, self._publisher(connection)
        for raw in frames:
            event = receive(raw, now)
            if event is None:
                self._on_progress(connection)
                connection.flush()  # this also checks the deadline, which may be earlier now
                publish = self._publisher(connection)  # the state may have changed how events are published
                continue
            if event.__class__ in UNUSUAL:
                if type(event) is list:
                    for each in event:
                        if each.__class__ is UnknownMessage:
                            self._count_unknown(each)
                        publish(each)
                    if protocol.sync_events or protocol.outbox or not connection.has_gone_live or protocol.closed:
                        self._on_progress(connection)
                        connection.flush()
                        publish = self._publisher(connection)
                    continue
                self._count_unknown(cast("UnknownMessage", event))
            publish(event)
        if protocol.sync_events:
            self._on_progress(connection)
        self.counters.last_message = connection.last_received = now
        return protocol.closed is not None

    def _publisher(self, connection: StreamConnection) -> Callable[[Any], None]:
        """Return the function that publishes the events of a connection in its current state."""
        if self._lost is not None and not connection.has_gone_live:
            # The gap comes first: a subscriber takes a snapshot on it, and applies the events behind the gap to that.
            # A bar feed fills the gap from the last bar that it delivered, so a live bar must not come before the gap.
            return connection.early_events.append
        return self._config.fanout.publish

    def _on_progress(self, connection: StreamConnection) -> None:
        """Process the sync events of a connection, and its transition to live."""
        events, connection.protocol.sync_events[:] = tuple(connection.protocol.sync_events), []
        for event in events:
            if type(event) is UnknownMessage:
                self._count_unknown(event)
            if type(event) is UnknownMessage or type(event) in CONFIRMING:
                self._publisher(connection)(event)
            elif type(event) is Census:
                self._report(event)
            else:
                self._config.fanout.handle(event)
        # After ``end`` the connection is still closing, and may become live meanwhile.
        if connection.protocol.state is ConnectionState.LIVE and not connection.has_gone_live and not self._has_ended:
            connection.has_gone_live = True
            self._on_live(connection)

    def flush(self) -> None:
        """Start sending the queued frames of the connection."""
        if self.connection is not None:
            self.connection.flush()

    def _on_live(self, connection: StreamConnection) -> None:
        # Replies before this moment do not count as received: events that a server sends behind the refusal that ends a
        # connection are lost.
        self.counters.last_message = connection.last_received = self._config.clock.now()
        self._live_at, self._denied = self.counters.last_message, 0
        self._settled_at = self._live_at + self._config.reconnect.settled
        self._offset = self._wall_offset()
        if self._config.login is not None:
            self._config.login.mark_accepted()
        self._schedule_renewal()
        self.counters.live_since = self._config.clock.wall()
        self._publish_gap()
        self._publish_lifecycle(StreamLive(), "LIVE")
        publish = self._publisher(connection)
        while connection.early_events:
            publish(connection.early_events.popleft())
        resolve(self.is_live, None)

    def _publish_gap(self) -> None:
        """Publish a gap if the stream was lost before."""
        if self._lost is not None:
            since, cause = self._lost
            self._lost = None
            self.counters.gaps += 1
            gap = Gap(cause=cause, since=since, until=self._config.clock.wall(), could_send=False)
            self._config.fanout.publish_to_all(gap)
            log.info("the stream is live again; it was lost at %s", since)

    def _schedule_renewal(self) -> None:
        clock, login = self._config.clock, self._config.login
        if self._renewal_timer is not None:
            self._renewal_timer.cancel()
        if login is not None and login.renew_in is not None:
            # Timers stop while the machine sleeps, so the due time is checked again at least every CHECK_INTERVAL.
            delay = min(max(login.renew_in, MIN_TIMER), CHECK_INTERVAL)
            self._renewal_timer = clock.call_later(delay, partial(self._check_renewal, login))

    def _check_renewal(self, login: LoginProvider) -> None:
        """Start a renewal if it is due and the connection is live; ``_on_live`` schedules the next check otherwise."""
        if login.renew_in is not None and login.renew_in >= MIN_TIMER:
            self._schedule_renewal()
        elif self._renewal is None and self.connection is not None and self.connection.has_gone_live:
            self._renewal = asyncio.create_task(self._renew(login), name="connecttrade stream renews")

    async def _renew(self, login: LoginProvider) -> bool:
        """Fetch a new login, and end the connection so that the stream reconnects with it.

        Returns:
            Whether a new login was fetched; else the connection stays, and the renewal is tried again later.
        """
        try:
            await login.ensure(is_renewal=True)
        except ConnectTradeError as exc:
            log.warning("the login could not be renewed: %s", exc)
            self._renewal = None
            self._schedule_renewal()
            return False
        if self.connection is not None:
            self.connection.renew()
        return True

    async def _after_renewal(self, closed: Closed) -> Closed:
        """Wait for a renewal under way; with a new login, any end of the old connection is a planned reconnect.

        The server may end a connection as soon as its token is replaced, before the renewal ends it.
        """
        renewal = self._renewal
        if renewal is None:
            return closed
        await asyncio.wait([renewal])
        self._renewal = None
        return RENEWED if renewal.result() else closed

    async def _cancel(self) -> None:
        if self._renewal_timer is not None:
            self._renewal_timer.cancel()
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    def _with_history(self, closed: Closed) -> Closed:
        """Return the end of a connection with the reason that earlier ends imply."""
        now = self._config.clock.now()
        if closed.reason is not CloseReason.TOO_LARGE:
            self._oversized.clear()
        if closed.reason is CloseReason.DENIED:
            # A refusal of the first login is final, and so is a repeated one. A single later one may be temporary.
            self._denied += 1
            is_final = not self.is_live.done() or self._denied >= MAX_REFUSALS
            return Closed(CloseReason.REFUSED if is_final else CloseReason.AGAIN, closed.cause)
        if closed.reason is CloseReason.CLOSED:
            # A server may close the older of two sessions without a reason. Two clients that both reconnect at once
            # would displace each other without end.
            self._closed = [when for when in self._closed if now - when < RETAKE_WINDOW]
            if now - self._live_at < SHORT_LIVED:
                self._closed.append(now)
            if len(self._closed) >= MAX_CLOSES:
                self._closed.clear()
                text = f"the server closed {MAX_CLOSES} live connections early, as it does for another session"
                return Closed(CloseReason.TAKEN, f"{text}: {closed.cause}")
            return Closed(CloseReason.AGAIN, closed.cause)
        return closed

    def _final_error(self, closed: Closed, failed: int) -> ConnectTradeError | None:
        """Return the error that ends the stream, or None if the stream reconnects."""
        login = self._config.login
        if closed.reason is CloseReason.REFUSED:
            self._denied = 0
            return (
                AuthenticationRefusedError(cause=closed.cause) if login is None else login.refused_error(closed.cause)
            )
        if closed.reason is CloseReason.TOO_LARGE and self._is_too_large_again():
            detail = f"{closed.cause}; raise Limits.frame_bytes, or subscribe to less"
            return TransportError(method="STREAM", path=self._config.url, kind="too-large", detail=detail)
        if closed.reason is CloseReason.AGAIN and not self.is_live.done() and not failed:
            if self._was_open:
                return HandshakeError(method="STREAM", path=self._config.url, kind="handshake", detail=closed.cause)
            return ConnectError(method="STREAM", path=self._config.url, kind="unreachable", detail=closed.cause)
        return self._session_taken_error(closed) if closed.reason is CloseReason.TAKEN else None

    def _session_taken_error(self, closed: Closed) -> ConnectTradeError | None:
        # ``standby`` and ``retake`` apply from the first connection on: the server may close the newer session.
        if self._config.on_taken == "standby":
            return None
        now = self._config.clock.now()
        self._taken = [when for when in self._taken if now - when < RETAKE_WINDOW]
        if self._config.on_taken == "retake" and len(self._taken) < MAX_RETAKES:
            self._taken.append(now)
            return None
        login = self._config.login
        if login is not None:
            return login.taken_error(closed.cause)
        return SessionTakenError(cause=closed.cause, hint=SHARE_ONE_SESSION)

    def _is_too_large_again(self) -> bool:
        """Record a frame above the size limit; return whether the stream gives up."""
        now = self._config.clock.now()
        self._oversized = [*(when for when in self._oversized if now - when < RETAKE_WINDOW), now]
        return not self.is_live.done() or len(self._oversized) >= MAX_OVERSIZED

    async def _wait(self, closed: Closed, retry_after: float | None, delays: Iterator[float]) -> None:
        self._record_loss(closed)
        delay = next(delays)
        if closed.reason is CloseReason.TAKEN and self._config.on_taken == "standby":
            delay = next(equal_jitter_delays(self._config.reconnect.standby, self._config.reconnect.standby))
        delay = bounded_retry_after(retry_after, delay)
        self._publish_lifecycle(StreamRetrying(delay=delay), "RETRYING")
        is_over = asyncio.Event()  # not a Future, which may be cancelled in the iteration in which the timer is due
        timer = self._config.clock.call_later(delay, is_over.set)
        try:
            await is_over.wait()
        finally:
            timer.cancel()

    def _record_loss(self, closed: Closed) -> None:
        if self._lost is None and self.is_live.done():
            self._lost = (self._last_received_at(), closed.cause)
            if closed.reason is CloseReason.RENEWED:
                log.info("the stream reconnects: %s", closed.cause)
            else:
                log.warning("the stream was lost: %s", closed.cause)
        else:
            log.debug("reconnecting has failed: %s", closed.cause)

    def _delays(self) -> Iterator[float]:
        return full_jitter_delays(self._config.reconnect.base, self._config.reconnect.cap)

    def _last_received_at(self) -> datetime:
        # Frames that the server sent after the last received one may be lost, so the gap begins there. If the machine
        # slept since, only one of the two clocks has advanced; the smaller offset gives the earlier time.
        return datetime.fromtimestamp(self._last_received + min(self._offset, self._wall_offset()), UTC)

    def _wall_offset(self) -> float:
        return self._config.clock.wall().timestamp() - self._config.clock.now()

    def _count_unknown(self, event: UnknownMessage) -> None:
        self.counters.unknown += 1
        level = logging.DEBUG if self.counters.unknown > 1 else logging.WARNING
        log.log(level, "a frame could not be processed: %s", event.problem)

    def _report(self, census: Census) -> None:
        """Log the names that a kind of frame has and the model lacks, and the other way round."""
        self.counters.unread[census.kind] = census.unread
        if self._census.get(census.kind) == census:
            return  # as on the connection before
        self._census[census.kind] = census
        unread, absent = ", ".join(census.unread) or "none", ", ".join(census.absent) or "none"
        log.info("frames of the kind %s have names that are not read: %s", census.kind, unread)
        log.info("frames of the kind %s lack names that are expected: %s", census.kind, absent)
        if census.lacks_numbers:
            text = "no number of the first frame of the kind %s was found: its names may differ, see Dialect"
            log.warning(text, census.kind)

    def _publish_lifecycle(
        self, event: StreamConnecting | StreamLive | StreamLost | StreamRetrying | StreamEnded, state: str
    ) -> None:
        self.counters.state = state
        if state != "LIVE":
            self.counters.live_since = None
        self._config.fanout.publish(event)

    def end(self, error: ConnectTradeError | None = None) -> None:
        """End the stream: publish its end and close all subscriptions. A second call does nothing.

        Args:
            error: the reason, or None if the stream was closed by its user.
        """
        if self._has_ended:
            return
        self._has_ended = True
        if error is not None and not isinstance(error, ClosedError):
            fields = {"url": self._config.url, "error": str(error), "kind": type(error).__name__}
            # The text is in the message too, since most handlers do not write extra fields.
            log.error("stream ended: %s", one_line(str(error), 1000), extra=fields, exc_info=self._crash)
        self._publish_lifecycle(StreamEnded(error="" if error is None else str(error)), "ENDED")
        self._config.fanout.close(error)
        if not self.is_live.done():
            self.is_live.set_exception(error or ClosedError("the stream"))
            self.is_live.exception()  # mark it as retrieved: the task that entered the stream may be gone
