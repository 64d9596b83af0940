"""A loop: dial, converse, wait, again; until it is closed or refused for good.

It never raises into anybody's task. What ends it is a value, ``error``, with which the fan-out is closed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from connecttrade_async.errors import (
    AuthenticationRefusedError,
    ClosedError,
    ConnectError,
    ConnectTradeError,
    SessionTakenError,
    TransportError,
)
from connecttrade_async.models.events import Connecting, Ended, Gap, Live, Lost, Retrying, UnknownMessage
from connecttrade_async.pacing import full_jitter_delays, growing_delays
from connecttrade_async.rest.wire import retry_after
from connecttrade_async.streaming.link import Link, LinkLostError
from connecttrade_async.streaming.protocol import Ending, LinkLife, State, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.config import Reconnect, Timeouts
    from connecttrade_async.streaming.fanout import Fanout

__all__ = ["OnTaken", "Supervisor", "Tally"]

OnTaken = Literal["stop", "standby", "fight"]
FIGHTS = 3
FIGHTING = 600.0
LONGEST_ASKED = 600.0
log = logging.getLogger("connecttrade_async.streaming")


class Tally(msgspec.Struct):
    """What a stream has seen so far."""

    state: str = "CONNECTING"
    live_since: datetime | None = None
    last_message: float | None = None
    links: int = 0
    gaps: int = 0
    set_aside: int = 0


class Plan(NamedTuple):
    """What a supervisor needs to know and to use."""

    url: str
    make_life: Callable[[float], LinkLife]
    fanout: Fanout
    clock: Clock
    timeouts: Timeouts
    reconnect: Reconnect
    on_taken: OnTaken


class Supervisor:
    """Keeps one stream alive.

    Args:
        plan: what it needs.

    Attributes:
        tally: what it has seen.
        is_live: done when the stream is live for the first time, or has ended before.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.tally = Tally()
        self.is_live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taken: list[float] = []
        self._lost: tuple[datetime, str] | None = None
        self._settled_at = math.inf
        self._has_ended = False

    async def run(self) -> None:
        """Keep the stream alive until it ends. Cancelling closes it."""
        error: ConnectTradeError | None = None
        try:
            error = await self._keep()
        except Exception as exc:
            log.exception("the stream broke off on what nobody foresaw")
            error = ConnectTradeError(f"the stream broke off on an unforeseen {type(exc).__name__}")
            error.__cause__ = exc
        finally:
            self.end(error)

    async def _keep(self) -> ConnectTradeError:
        reconnect, clock = self._plan.reconnect, self._plan.clock
        failed, delays = 0, self._delays()
        while True:
            self._tell(Connecting(attempt=failed + 1), "CONNECTING")
            ending, asked_for = await self._one_link()
            self._tell(Lost(cause=ending.cause), "LOST")
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

    async def _one_link(self) -> tuple[Ending, float | None]:
        plan = self._plan
        self._settled_at = math.inf
        try:
            link = await Link.dial(
                plan.url,
                open_timeout=plan.timeouts.connect,
                close_timeout=plan.timeouts.close / 2,
                ping=plan.timeouts.ping,
            )
        except LinkLostError as exc:
            asked_for = retry_after({"retry-after": exc.retry_after or ""}, plan.clock.wall())
            return Ending(Verdict.AGAIN, exc.cause), asked_for
        self.tally.links += 1
        life = plan.make_life(plan.clock.now())
        try:
            with link.speaking():
                await self._converse(link, life)
        except LinkLostError as exc:
            life.lost(exc.cause, exc.code)
        finally:
            await link.aclose()
        assert life.ending is not None  # noqa: S101 - the conversation goes on until it has one
        return life.ending, None

    async def _converse(self, link: Link, life: LinkLife) -> None:
        now, publish, tally = self._plan.clock.now, self._plan.fanout.publish, self.tally
        receive, understand = link.receive, life.receive
        look, stop = self._watch(link, life)
        try:
            while life.ending is None:
                frames = await receive()
                moment = now()
                for raw in frames:
                    event = understand(raw, moment)
                    if event is None:
                        await self._control(link, life)
                        look()  # the deadline has moved, perhaps to an earlier moment
                        continue
                    if type(event) is UnknownMessage:
                        self._set_aside(event)
                    publish(event)
                tally.last_message = moment
        finally:
            stop()

    async def _control(self, link: Link, life: LinkLife) -> None:
        frames, life.outbox[:] = tuple(life.outbox), []
        for frame in frames:
            await link.send(frame)
        if life.state is State.LIVE and self._settled_at == math.inf:
            self._went_live()

    def _watch(self, link: Link, life: LinkLife) -> tuple[Callable[[], None], Callable[[], None]]:
        """Keep the life's deadline without a timer for each frame; returns how to look again, and how to stop."""
        clock = self._plan.clock
        timer: Timer | None = None

        def look() -> None:
            nonlocal timer
            stop()
            was_over = life.ending is not None
            life.check(clock.now())
            if life.ending is not None and not was_over:
                link.abort()
            elif life.deadline is not None:
                timer = clock.call_later(max(life.deadline - clock.now(), 0.001), look)

        def stop() -> None:
            if timer is not None:
                timer.cancel()

        look()
        return look, stop

    def _went_live(self) -> None:
        now = self._plan.clock.wall()
        self.tally.live_since = now
        # Not every answer counts: what is sent after the refusal that ends a link is lost before that is heard.
        self.tally.last_message = self._plan.clock.now()
        self._settled_at = self.tally.last_message + self._plan.reconnect.settled
        if self._lost is not None:
            since, cause = self._lost
            self._lost = None
            self.tally.gaps += 1
            self._plan.fanout.tell_all(Gap(cause=cause, since=since, until=now, could_send=False))
            log.info("the stream is live again; it was away since %s", since)
        self._tell(Live(), "LIVE")
        if not self.is_live.done():
            self.is_live.set_result(None)

    def _final(self, ending: Ending, failed: int) -> ConnectTradeError | None:
        """Return the error that ends the stream for good, or None where it goes on."""
        if ending.verdict is Verdict.REFUSED:
            return AuthenticationRefusedError(cause=ending.cause)
        if ending.verdict is Verdict.AGAIN and not self.is_live.done() and not failed:
            return ConnectError(method="STREAM", path=self._plan.url, kind="unreachable", detail=ending.cause)
        # Whoever stands by or fights does so from the first link on: the server may drop the newer session.
        if ending.verdict is not Verdict.TAKEN or self._plan.on_taken == "standby":
            return None
        now = self._plan.clock.now()
        self._taken = [when for when in self._taken if now - when < FIGHTING]
        if self._plan.on_taken == "fight" and len(self._taken) < FIGHTS:
            self._taken.append(now)
            return None
        return SessionTakenError(cause=ending.cause)

    async def _wait(self, ending: Ending, asked_for: float | None, delays: Iterator[float]) -> None:
        if self._lost is None and self.is_live.done():
            self._lost = (self._last_heard(), ending.cause)
            log.warning("the stream was lost: %s", ending.cause)
        else:
            log.debug("the stream is still away: %s", ending.cause)
        delay = next(delays)
        if ending.verdict is Verdict.TAKEN and self._plan.on_taken == "standby":
            delay = next(growing_delays(self._plan.reconnect.standby, self._plan.reconnect.standby))
        # What a server asks is heeded, but no answer may keep a stream away for a day: asking again costs one request.
        delay = max(delay, min(asked_for or 0.0, max(self._plan.reconnect.cap, LONGEST_ASKED)))
        self._tell(Retrying(delay=delay), "RETRYING")
        is_over = asyncio.Event()  # and no Future: it may be cancelled in the very turn in which the timer is due
        timer = self._plan.clock.call_later(delay, is_over.set)
        try:
            await is_over.wait()
        finally:
            timer.cancel()

    def _delays(self) -> Iterator[float]:
        return full_jitter_delays(self._plan.reconnect.base, self._plan.reconnect.cap)

    def _last_heard(self) -> datetime:
        # What was sent after the last frame that came may be lost, so the gap begins there.
        clock = self._plan.clock
        heard = self.tally.last_message
        assert heard is not None  # noqa: S101 - the stream was live
        return datetime.fromtimestamp(clock.wall().timestamp() - (clock.now() - heard), UTC)

    def _set_aside(self, event: UnknownMessage) -> None:
        self.tally.set_aside += 1
        level = logging.DEBUG if self.tally.set_aside > 1 else logging.WARNING
        log.log(level, "a frame was set aside: %s", event.problem)

    def _tell(self, event: Connecting | Live | Lost | Retrying | Ended, state: str) -> None:
        self.tally.state = state
        if state != "LIVE":
            self.tally.live_since = None
        self._plan.fanout.publish(event)

    def end(self, error: ConnectTradeError | None = None) -> None:
        """Tell everybody that the stream is over, and why if it was not closed. Twice is once."""
        if self._has_ended:
            return
        self._has_ended = True
        self._tell(Ended(error="" if error is None else str(error)), "ENDED")
        self._plan.fanout.close(error)
        if not self.is_live.done():
            self.is_live.set_exception(error or ClosedError("the stream"))
            self.is_live.exception()  # whoever was entering meets it; if nobody is there any more, that is no mistake
