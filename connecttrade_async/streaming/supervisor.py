"""A loop: dial, converse, wait, again; until it is closed or refused for good.

It never raises into anybody's task. What ends it is a value, ``error``, with which the fan-out is closed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

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
from connecttrade_async.market_data.handover import Handover
from connecttrade_async.models.events import (
    Chosen,
    Gap,
    StreamConnecting,
    StreamEnded,
    StreamLive,
    StreamLost,
    StreamRetrying,
    UnknownMessage,
)
from connecttrade_async.pacing import bounded_retry_after, equal_jitter_delays, full_jitter_delays
from connecttrade_async.rest.wire import retry_after
from connecttrade_async.streaming.config import StreamCounters
from connecttrade_async.streaming.connection import StreamConnection
from connecttrade_async.streaming.protocol import PROVING, Closed, CloseReason, State
from connecttrade_async.streaming.websocket import ConnectionLostError, WebSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async.clock import Timer
    from connecttrade_async.models.market import MarketUpdate
    from connecttrade_async.streaming.config import LoginProvider, StreamConfig

    Outcome = tuple[Closed, float | None]
    """How a link ended, and for how many seconds the server asked us to wait."""

__all__ = ["Supervisor"]

MAX_RETAKES = 3
RETAKE_WINDOW = 600.0
REFUSALS = 3  # refused logins in a row after the stream was live
CLOSES = 3  # live links in FIGHTING seconds that the server closed soon and without naming a trouble
SHORT_LIVED = 60.0
OVERSIZED = 5  # links in a row within FIGHTING seconds that a frame larger than the limit ended
MIN_TIMER = 0.001
CHECK_INTERVAL = 60.0
log = logging.getLogger("connecttrade_async.streaming")


class Supervisor:
    """Keeps one stream alive.

    Args:
        plan: what it needs.

    Attributes:
        tally: what it has seen.
        is_live: done when the stream is live for the first time, or has ended before.
        voices: the links that are spoken over, the one that counts first: while one relieves another there are two.
    """

    def __init__(self, plan: StreamConfig) -> None:
        self._plan = plan
        self.counters = StreamCounters()
        self.is_live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connections: list[StreamConnection] = []
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
        self._relief: asyncio.Task[Outcome] | None = None
        self._renewing: Timer | None = None
        self._overlap: Handover | None = None

    async def run(self) -> None:
        """Keep the stream alive until it ends. Cancelling closes it."""
        error: ConnectTradeError | None = None
        try:
            error = await self._run()
        except ConnectTradeError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001 - logged with its traceback when the stream ends
            self._crash = exc
            error = ConnectTradeError(f"the stream broke off on an unforeseen {type(exc).__name__}")
            error.__cause__ = exc
        finally:
            try:
                await self._cancel()
            finally:
                self.end(error)

    async def _run(self) -> ConnectTradeError:
        reconnect, clock = self._plan.reconnect, self._plan.clock
        failed, delays = 0, self._delays()
        while True:
            self._publish_lifecycle(StreamConnecting(attempt=failed + 1), "CONNECTING")
            ending, asked_for = await self._connect_cycle()
            ending = self._judged(ending)
            self._publish_lifecycle(StreamLost(cause=ending.cause), "LOST")
            if ending.reason is CloseReason.RELIEVED:
                self._record_loss(ending)
                continue
            error = self._final(ending, failed)
            if error is not None:
                return error
            if clock.now() >= self._settled_at:
                failed, delays = 0, self._delays()
            failed += 1
            if reconnect.attempts is not None and failed > reconnect.attempts:
                detail = f"given up after {reconnect.attempts} attempts: {ending.cause}"
                return TransportError(method="STREAM", path=self._plan.url, kind="dropped", detail=detail)
            await self._wait(ending, asked_for, delays)

    async def _connect_cycle(self) -> Outcome:
        """Speak over one link, and over those that relieve it; returns how the last ended."""
        ended = await self._connect_once()
        while self._relief is not None:
            # That the old one ended any other way than by being relieved is our own doing: it has a new token.
            relief, self._relief = self._relief, None
            if ended[0].reason is not CloseReason.RELIEVED:
                self._record_loss(ended[0])
                if self._is_relieved():
                    self._publish_gap()
                else:
                    self._publish_lifecycle(StreamLost(cause=ended[0].cause), "LOST")
            try:
                ended = await relief
            finally:
                relief.cancel()
        return ended

    async def _connect_once(self, *, is_relief: bool = False) -> Outcome:
        plan = self._plan
        if not is_relief:
            self._settled_at = math.inf
            self._was_open = False
        try:
            if plan.login is not None:
                await self._prepare(plan.login, is_renewal=is_relief)
            link = await WebSocket.connect(
                plan.url,
                open_timeout=plan.timeouts.connect,
                close_timeout=plan.timeouts.close / 2,
                ping=plan.timeouts.ping,
                dialing=plan.dialing,
            )
        except ConnectionLostError as exc:
            asked_for = retry_after({"retry-after": exc.retry_after or ""}, plan.clock.wall())
            return Closed(CloseReason.AGAIN, exc.cause), asked_for
        self.counters.connects += 1
        self.counters.fast_path = link.is_fast
        self._was_open = True
        voice = StreamConnection(link, plan.make_protocol(plan.clock.now()), plan.clock, self._on_progress)
        self.connections.append(voice)
        try:
            with link.errors_translated():
                await self._receive(voice)
        except ConnectionLostError as exc:
            verdict = CloseReason.TOO_LARGE if exc.is_too_large else None
            if exc.is_too_large and voice.protocol.outgrown(link.oversized, plan.clock.now()):
                self._oversized.clear()  # what ended these links is not asked for on the next
            voice.protocol.connection_lost(exc.cause, exc.code, reason=exc.reason, verdict=verdict)
            self._on_progress(voice)
        finally:
            self.connections.remove(voice)
            if voice.has_gone_live:
                self._last_received = voice.last_received
            try:
                await voice.aclose()
            finally:
                await link.aclose()
        assert voice.protocol.closed is not None  # noqa: S101 - the conversation goes on until it has one
        return voice.protocol.closed, None

    async def _prepare(self, login: LoginProvider, *, is_renewal: bool) -> None:
        try:
            await login.ensure(is_renewal=is_renewal)
        except (TransportError, ServerError, RateLimitedError) as exc:
            if not self.is_live.done():
                raise
            raise ConnectionLostError(str(exc), retry_after=str(getattr(exc, "retry_after", None) or "")) from exc

    async def _receive(self, voice: StreamConnection) -> None:
        voice.check_deadline()
        if voice.protocol.closed is None:
            await voice.websocket.receive_into(partial(self._on_frames, voice))

    def _on_frames(self, voice: StreamConnection, frames: list[bytes]) -> bool:
        """Take what came; returns whether the life is over."""
        life, moment = voice.protocol, self._plan.clock.now()
        understand, publish = life.receive, self._publisher(voice, moment)
        for raw in frames:
            event = understand(raw, moment)
            if event is None:
                self._on_progress(voice)
                voice.flush()  # and look: the deadline has moved, perhaps to an earlier moment
                publish = self._publisher(voice, moment)  # and what follows may be told another way
                continue
            if type(event) is UnknownMessage:
                self._set_aside(event)
            publish(event)
        self.counters.last_message = voice.last_received = moment
        return life.closed is not None

    def _publisher(self, voice: StreamConnection, moment: float) -> Callable[[Any], None]:
        publish = self._plan.fanout.publish
        if self._lost is not None and not voice.has_gone_live:
            # The gap comes first: whoever hears of it looks again, and goes on with what comes behind it.
            return voice.frames_before_login.append
        overlap = self._overlap
        if overlap is None:
            return publish
        if overlap.is_over(moment):
            self._overlap = None
            return publish

        def publish_once(event: Chosen | MarketUpdate) -> None:
            if overlap.is_new(voice, event):
                publish(event)

        return publish_once

    def _on_progress(self, voice: StreamConnection) -> None:
        """See to what a life has to tell, and to its going live."""
        news, voice.protocol.sync_events[:] = tuple(voice.protocol.sync_events), []
        for each in news:
            if type(each) is UnknownMessage:
                self._set_aside(each)
            if type(each) is UnknownMessage or type(each) in PROVING:
                self._publisher(voice, self._plan.clock.now())(each)
            else:
                self._plan.fanout.handle(each)
        # Where it was ended from outside, its links are still closing, and one may be about to go live.
        if voice.protocol.state is State.LIVE and not voice.has_gone_live and not self._has_ended:
            voice.has_gone_live = True
            self._on_live(voice)

    def flush(self) -> None:
        """Send what there is to say on the links that stand."""
        for voice in self.connections:
            voice.flush()

    def _on_live(self, voice: StreamConnection) -> None:
        # Not every answer counts: what is sent after the refusal that ends a link is lost before that is heard.
        self.counters.last_message = voice.last_received = self._plan.clock.now()
        self._live_at, self._denied = self.counters.last_message, 0
        self._settled_at = self._live_at + self._plan.reconnect.settled
        self._offset = self._wall_offset()
        if self._plan.login is not None:
            self._plan.login.mark_accepted()
        self._renew_in_time()
        if self._overlap is not None:
            self._overlap.until = self.counters.last_message + self._plan.timeouts.login
        if len(self.connections) > 1:
            self._take_over(voice)
            return
        self.counters.live_since = self._plan.clock.wall()
        self._publish_gap()
        self._publish_lifecycle(StreamLive(), "LIVE")
        publish = self._publisher(voice, self.counters.last_message)
        while voice.frames_before_login:
            publish(voice.frames_before_login.popleft())
        if not self.is_live.done():
            self.is_live.set_result(None)

    def _publish_gap(self) -> None:
        """Tell what may have been missed, if something may."""
        if self._lost is not None:
            since, cause = self._lost
            self._lost = None
            self.counters.gaps += 1
            gap = Gap(cause=cause, since=since, until=self._plan.clock.wall(), could_send=False)
            self._plan.fanout.publish_to_all(gap)
            log.info("the stream is live again; it was away since %s", since)

    def _is_relieved(self) -> bool:
        """Whether the new link went live before the end of the old one was heard."""
        return any(voice.has_gone_live for voice in self.connections)

    def _renew_in_time(self) -> None:
        clock, login = self._plan.clock, self._plan.login
        if self._renewing is not None:
            self._renewing.cancel()
        if login is not None and login.renew_in is not None:
            # A timer stands still while the machine sleeps, so it is looked at again before it is due.
            self._renewing = clock.call_later(min(max(login.renew_in, MIN_TIMER), CHECK_INTERVAL), self._check_login)

    def _check_login(self) -> None:
        login = self._plan.login
        if login is not None and login.renew_in is not None and login.renew_in >= MIN_TIMER:
            self._renew_in_time()
        elif self._relief is None and self.connections and self.connections[0].has_gone_live:
            self._overlap = Handover()
            self._relief = asyncio.create_task(self._relieve(), name="connecttrade stream renews")

    async def _relieve(self) -> Outcome:
        """Make a new link while the old one stands; returns how the new one ended."""
        old, login = self.connections[0], self._plan.login
        assert login is not None  # noqa: S101 - it is what asks for relief
        got = login.fetch_count
        try:
            ended = await self._connect_once(is_relief=True)
        except ConnectTradeError as exc:
            if old.protocol.closed is not None:
                raise
            ended = Closed(CloseReason.AGAIN, str(exc)), None
        if old.protocol.closed is None:
            self._relief = None
            self._not_relieved(old, ended[0], has_new=login.fetch_count > got)
        return ended

    def _not_relieved(self, old: StreamConnection, ending: Closed, *, has_new: bool) -> None:
        """Go on with the old link, or where its token is spent, leave it for a new one."""
        self._overlap = None
        log.warning("the login could not be renewed beside the link that stands: %s", ending.cause)
        if has_new:
            old.protocol.replace()
            old.websocket.abort()
        else:
            self._renew_in_time()

    def _take_over(self, voice: StreamConnection) -> None:
        """Leave the old link, once all that it told is read."""
        self.connections.remove(voice)
        self.connections.insert(0, voice)
        now = self._plan.clock.now()
        for old in self.connections[1:]:
            old.protocol.drain(now, self._plan.timeouts.login)
            old.flush()

    async def _cancel(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        if self._relief is not None:
            self._relief.cancel()
            await asyncio.wait([self._relief])

    def _judged(self, ending: Closed) -> Closed:
        """Return an ending with the verdict that only the endings before it can show."""
        now = self._plan.clock.now()
        if ending.reason is not CloseReason.TOO_LARGE:
            self._oversized.clear()
        if ending.reason is CloseReason.DENIED:
            # The first login of a stream and a refusal that repeats are final; one alone may be a passing trouble.
            self._denied += 1
            is_final = not self.is_live.done() or self._denied >= REFUSALS
            return Closed(CloseReason.REFUSED if is_final else CloseReason.AGAIN, ending.cause)
        if ending.reason is CloseReason.CLOSED:
            # A server may close the older of two sessions without a word. Two clients that both came back at once
            # would displace each other for ever.
            self._closed = [when for when in self._closed if now - when < RETAKE_WINDOW]
            if now - self._live_at < SHORT_LIVED:
                self._closed.append(now)
            if len(self._closed) >= CLOSES:
                self._closed.clear()
                words = f"the server closed {CLOSES} live links soon after their login, as for another session"
                return Closed(CloseReason.TAKEN, f"{words}: {ending.cause}")
            return Closed(CloseReason.AGAIN, ending.cause)
        return ending

    def _final(self, ending: Closed, failed: int) -> ConnectTradeError | None:
        """Return the error that ends the stream for good, or None where it goes on."""
        login = self._plan.login
        if ending.reason is CloseReason.REFUSED:
            self._denied = 0
            return (
                AuthenticationRefusedError(cause=ending.cause) if login is None else login.refused_error(ending.cause)
            )
        if ending.reason is CloseReason.TOO_LARGE and self._is_too_large_again():
            detail = f"{ending.cause}; raise Limits.frame_bytes, or ask for less"
            return TransportError(method="STREAM", path=self._plan.url, kind="too-large", detail=detail)
        if ending.reason is CloseReason.AGAIN and not self.is_live.done() and not failed:
            if self._was_open:
                return HandshakeError(method="STREAM", path=self._plan.url, kind="handshake", detail=ending.cause)
            return ConnectError(method="STREAM", path=self._plan.url, kind="unreachable", detail=ending.cause)
        return self._taken_for_good(ending) if ending.reason is CloseReason.TAKEN else None

    def _taken_for_good(self, ending: Closed) -> ConnectTradeError | None:
        # Whoever stands by or fights does so from the first link on: the server may drop the newer session.
        if self._plan.on_taken == "standby":
            return None
        now = self._plan.clock.now()
        self._taken = [when for when in self._taken if now - when < RETAKE_WINDOW]
        if self._plan.on_taken == "retake" and len(self._taken) < MAX_RETAKES:
            self._taken.append(now)
            return None
        login = self._plan.login
        return SessionTakenError(cause=ending.cause) if login is None else login.taken_error(ending.cause)

    def _is_too_large_again(self) -> bool:
        """Take note of a frame that was too large; returns whether no further link is worth its cost."""
        now = self._plan.clock.now()
        self._oversized = [*(when for when in self._oversized if now - when < RETAKE_WINDOW), now]
        return not self.is_live.done() or len(self._oversized) >= OVERSIZED

    async def _wait(self, ending: Closed, asked_for: float | None, delays: Iterator[float]) -> None:
        self._record_loss(ending)
        delay = next(delays)
        if ending.reason is CloseReason.TAKEN and self._plan.on_taken == "standby":
            delay = next(equal_jitter_delays(self._plan.reconnect.standby, self._plan.reconnect.standby))
        delay = bounded_retry_after(asked_for, delay)
        self._publish_lifecycle(StreamRetrying(delay=delay), "RETRYING")
        is_over = asyncio.Event()  # and no Future: it may be cancelled in the very turn in which the timer is due
        timer = self._plan.clock.call_later(delay, is_over.set)
        try:
            await is_over.wait()
        finally:
            timer.cancel()

    def _record_loss(self, ending: Closed) -> None:
        if self._lost is None and self.is_live.done():
            self._lost = (self._last_heard(), ending.cause)
            log.warning("the stream was lost: %s", ending.cause)
        else:
            log.debug("the stream is still away: %s", ending.cause)

    def _delays(self) -> Iterator[float]:
        return full_jitter_delays(self._plan.reconnect.base, self._plan.reconnect.cap)

    def _last_heard(self) -> datetime:
        # What was sent after the last frame that came may be lost, so the gap begins there.
        # If the machine slept since, only one of the clocks has gone on: by the other it was heard just now.
        return datetime.fromtimestamp(self._last_received + min(self._offset, self._wall_offset()), UTC)

    def _wall_offset(self) -> float:
        return self._plan.clock.wall().timestamp() - self._plan.clock.now()

    def _set_aside(self, event: UnknownMessage) -> None:
        self.counters.unknown += 1
        level = logging.DEBUG if self.counters.unknown > 1 else logging.WARNING
        log.log(level, "a frame was set aside: %s", event.problem)

    def _publish_lifecycle(
        self, event: StreamConnecting | StreamLive | StreamLost | StreamRetrying | StreamEnded, state: str
    ) -> None:
        self.counters.state = state
        if state != "LIVE":
            self.counters.live_since = None
        self._plan.fanout.publish(event)

    def end(self, error: ConnectTradeError | None = None) -> None:
        """Tell everybody that the stream is over, and why if it was not closed. Twice is once."""
        if self._has_ended:
            return
        self._has_ended = True
        if error is not None and not isinstance(error, ClosedError):
            facts = {"url": self._plan.url, "error": str(error), "kind": type(error).__name__}
            # Also in the message, since most handlers write no extra fields.
            log.error("stream ended: %s", one_line(str(error), 1000), extra=facts, exc_info=self._crash)
        self._publish_lifecycle(StreamEnded(error="" if error is None else str(error)), "ENDED")
        self._plan.fanout.close(error)
        if not self.is_live.done():
            self.is_live.set_exception(error or ClosedError("the stream"))
            self.is_live.exception()  # whoever was entering meets it; if nobody is there any more, that is no mistake
