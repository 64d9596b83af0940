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
)
from connecttrade_async.models.events import Chosen, Connecting, Ended, Gap, Live, Lost, Retrying, UnknownMessage
from connecttrade_async.pacing import bounded_retry_after, full_jitter_delays, growing_delays
from connecttrade_async.rest.wire import retry_after
from connecttrade_async.streaming.link import Link, LinkLostError
from connecttrade_async.streaming.overlap import Overlap
from connecttrade_async.streaming.plan import Tally
from connecttrade_async.streaming.protocol import PROVING, Ending, State, Verdict
from connecttrade_async.streaming.voice import Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connecttrade_async.clock import Timer
    from connecttrade_async.models.market import MarketUpdate
    from connecttrade_async.streaming.plan import Login, Plan

    Outcome = tuple[Ending, float | None]
    """How a link ended, and for how many seconds the server asked us to wait."""

__all__ = ["Supervisor"]

FIGHTS = 3
FIGHTING = 600.0
REFUSALS = 3  # refused logins in a row after the stream was live
CLOSES = 3  # live links in FIGHTING seconds that the server closed soon and without naming a trouble
SHORT_LIVED = 60.0
OVERSIZED = 5  # links in a row within FIGHTING seconds that a frame larger than the limit ended
SOON = 0.001
LOOK_EVERY = 60.0
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

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.tally = Tally()
        self.is_live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.voices: list[Voice] = []
        self._taken: list[float] = []
        self._closed: list[float] = []
        self._oversized: list[float] = []
        self._denied = 0
        self._live_at = -math.inf
        self._was_open = False
        self._crash: Exception | None = None
        self._lost: tuple[datetime, str] | None = None
        self._settled_at = math.inf
        self._heard = 0.0
        self._offset = 0.0
        self._has_ended = False
        self._relief: asyncio.Task[Outcome] | None = None
        self._renewing: Timer | None = None
        self._overlap: Overlap | None = None

    async def run(self) -> None:
        """Keep the stream alive until it ends. Cancelling closes it."""
        error: ConnectTradeError | None = None
        try:
            error = await self._keep()
        except ConnectTradeError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001 - logged with its traceback when the stream ends
            self._crash = exc
            error = ConnectTradeError(f"the stream broke off on an unforeseen {type(exc).__name__}")
            error.__cause__ = exc
        finally:
            try:
                await self._call_off()
            finally:
                self.end(error)

    async def _keep(self) -> ConnectTradeError:
        reconnect, clock = self._plan.reconnect, self._plan.clock
        failed, delays = 0, self._delays()
        while True:
            self._tell(Connecting(attempt=failed + 1), "CONNECTING")
            ending, asked_for = await self._links()
            ending = self._judged(ending)
            self._tell(Lost(cause=ending.cause), "LOST")
            if ending.verdict is Verdict.RELIEVED:
                self._note_loss(ending)
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

    async def _links(self) -> Outcome:
        """Speak over one link, and over those that relieve it; returns how the last ended."""
        ended = await self._one_link()
        while self._relief is not None:
            # That the old one ended any other way than by being relieved is our own doing: it has a new token.
            relief, self._relief = self._relief, None
            if ended[0].verdict is not Verdict.RELIEVED:
                self._note_loss(ended[0])
                if self._is_relieved():
                    self._tell_of_the_gap()
                else:
                    self._tell(Lost(cause=ended[0].cause), "LOST")
            try:
                ended = await relief
            finally:
                relief.cancel()
        return ended

    async def _one_link(self, *, is_relief: bool = False) -> Outcome:
        plan = self._plan
        if not is_relief:
            self._settled_at = math.inf
            self._was_open = False
        try:
            if plan.login is not None:
                await self._prepare(plan.login, is_renewal=is_relief)
            link = await Link.dial(
                plan.url,
                open_timeout=plan.timeouts.connect,
                close_timeout=plan.timeouts.close / 2,
                ping=plan.timeouts.ping,
                dialing=plan.dialing,
            )
        except LinkLostError as exc:
            asked_for = retry_after({"retry-after": exc.retry_after or ""}, plan.clock.wall())
            return Ending(Verdict.AGAIN, exc.cause), asked_for
        self.tally.links += 1
        self.tally.fast_path = link.is_fast
        self._was_open = True
        voice = Voice(link, plan.make_life(plan.clock.now()), plan.clock, self._moved)
        self.voices.append(voice)
        try:
            with link.speaking():
                await self._converse(voice)
        except LinkLostError as exc:
            verdict = Verdict.TOO_LARGE if exc.is_too_large else None
            if exc.is_too_large and voice.life.outgrown(link.oversized, plan.clock.now()):
                self._oversized.clear()  # what ended these links is not asked for on the next
            voice.life.lost(exc.cause, exc.code, reason=exc.reason, verdict=verdict)
            self._moved(voice)
        finally:
            self.voices.remove(voice)
            if voice.has_gone_live:
                self._heard = voice.heard
            try:
                await voice.aclose()
            finally:
                await link.aclose()
        assert voice.life.ending is not None  # noqa: S101 - the conversation goes on until it has one
        return voice.life.ending, None

    async def _prepare(self, login: Login, *, is_renewal: bool) -> None:
        try:
            await login.prepare(is_renewal=is_renewal)
        except (TransportError, ServerError, RateLimitedError) as exc:
            if not self.is_live.done():
                raise
            raise LinkLostError(str(exc), retry_after=str(getattr(exc, "retry_after", None) or "")) from exc

    async def _converse(self, voice: Voice) -> None:
        voice.look()
        if voice.life.ending is None:
            await voice.link.listen(partial(self._hear, voice))

    def _hear(self, voice: Voice, frames: list[bytes]) -> bool:
        """Take what came; returns whether the life is over."""
        life, moment = voice.life, self._plan.clock.now()
        understand, publish = life.receive, self._publisher(voice, moment)
        for raw in frames:
            event = understand(raw, moment)
            if event is None:
                self._moved(voice)
                voice.speak()  # and look: the deadline has moved, perhaps to an earlier moment
                publish = self._publisher(voice, moment)  # and what follows may be told another way
                continue
            if type(event) is UnknownMessage:
                self._set_aside(event)
            publish(event)
        self.tally.last_message = voice.heard = moment
        return life.ending is not None

    def _publisher(self, voice: Voice, moment: float) -> Callable[[Any], None]:
        publish = self._plan.fanout.publish
        if self._lost is not None and not voice.has_gone_live:
            # The gap comes first: whoever hears of it looks again, and goes on with what comes behind it.
            return voice.early.append
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

    def _moved(self, voice: Voice) -> None:
        """See to what a life has to tell, and to its going live."""
        news, voice.life.news[:] = tuple(voice.life.news), []
        for each in news:
            if type(each) is UnknownMessage:
                self._set_aside(each)
            if type(each) is UnknownMessage or type(each) in PROVING:
                self._publisher(voice, self._plan.clock.now())(each)
            else:
                self._plan.fanout.take(each)
        # Where it was ended from outside, its links are still closing, and one may be about to go live.
        if voice.life.state is State.LIVE and not voice.has_gone_live and not self._has_ended:
            voice.has_gone_live = True
            self._went_live(voice)

    def touch(self) -> None:
        """Send what there is to say on the links that stand."""
        for voice in self.voices:
            voice.speak()

    def _went_live(self, voice: Voice) -> None:
        # Not every answer counts: what is sent after the refusal that ends a link is lost before that is heard.
        self.tally.last_message = voice.heard = self._plan.clock.now()
        self._live_at, self._denied = self.tally.last_message, 0
        self._settled_at = self._live_at + self._plan.reconnect.settled
        self._offset = self._wall_offset()
        if self._plan.login is not None:
            self._plan.login.accepted()
        self._renew_in_time()
        if self._overlap is not None:
            self._overlap.until = self.tally.last_message + self._plan.timeouts.login
        if len(self.voices) > 1:
            self._take_over(voice)
            return
        self.tally.live_since = self._plan.clock.wall()
        self._tell_of_the_gap()
        self._tell(Live(), "LIVE")
        publish = self._publisher(voice, self.tally.last_message)
        while voice.early:
            publish(voice.early.popleft())
        if not self.is_live.done():
            self.is_live.set_result(None)

    def _tell_of_the_gap(self) -> None:
        """Tell what may have been missed, if something may."""
        if self._lost is not None:
            since, cause = self._lost
            self._lost = None
            self.tally.gaps += 1
            gap = Gap(cause=cause, since=since, until=self._plan.clock.wall(), could_send=False)
            self._plan.fanout.tell_all(gap)
            log.info("the stream is live again; it was away since %s", since)

    def _is_relieved(self) -> bool:
        """Whether the new link went live before the end of the old one was heard."""
        return any(voice.has_gone_live for voice in self.voices)

    def _renew_in_time(self) -> None:
        clock, login = self._plan.clock, self._plan.login
        if self._renewing is not None:
            self._renewing.cancel()
        if login is not None and login.renew_in is not None:
            # A timer stands still while the machine sleeps, so it is looked at again before it is due.
            self._renewing = clock.call_later(min(max(login.renew_in, SOON), LOOK_EVERY), self._look_at_the_login)

    def _look_at_the_login(self) -> None:
        login = self._plan.login
        if login is not None and login.renew_in is not None and login.renew_in >= SOON:
            self._renew_in_time()
        elif self._relief is None and self.voices and self.voices[0].has_gone_live:
            self._overlap = Overlap()
            self._relief = asyncio.create_task(self._relieve(), name="connecttrade stream renews")

    async def _relieve(self) -> Outcome:
        """Make a new link while the old one stands; returns how the new one ended."""
        old, login = self.voices[0], self._plan.login
        assert login is not None  # noqa: S101 - it is what asks for relief
        got = login.got
        try:
            ended = await self._one_link(is_relief=True)
        except ConnectTradeError as exc:
            if old.life.ending is not None:
                raise
            ended = Ending(Verdict.AGAIN, str(exc)), None
        if old.life.ending is None:
            self._relief = None
            self._not_relieved(old, ended[0], has_new=login.got > got)
        return ended

    def _not_relieved(self, old: Voice, ending: Ending, *, has_new: bool) -> None:
        """Go on with the old link, or where its token is spent, leave it for a new one."""
        self._overlap = None
        log.warning("the login could not be renewed beside the link that stands: %s", ending.cause)
        if has_new:
            old.life.relieve()
            old.link.abort()
        else:
            self._renew_in_time()

    def _take_over(self, voice: Voice) -> None:
        """Leave the old link, once all that it told is read."""
        self.voices.remove(voice)
        self.voices.insert(0, voice)
        now = self._plan.clock.now()
        for old in self.voices[1:]:
            old.life.leave(now, self._plan.timeouts.login)
            old.speak()

    async def _call_off(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        if self._relief is not None:
            self._relief.cancel()
            await asyncio.wait([self._relief])

    def _judged(self, ending: Ending) -> Ending:
        """Return an ending with the verdict that only the endings before it can show."""
        now = self._plan.clock.now()
        if ending.verdict is not Verdict.TOO_LARGE:
            self._oversized.clear()
        if ending.verdict is Verdict.DENIED:
            # The first login of a stream and a refusal that repeats are final; one alone may be a passing trouble.
            self._denied += 1
            is_final = not self.is_live.done() or self._denied >= REFUSALS
            return Ending(Verdict.REFUSED if is_final else Verdict.AGAIN, ending.cause)
        if ending.verdict is Verdict.CLOSED:
            # A server may close the older of two sessions without a word. Two clients that both came back at once
            # would displace each other for ever.
            self._closed = [when for when in self._closed if now - when < FIGHTING]
            if now - self._live_at < SHORT_LIVED:
                self._closed.append(now)
            if len(self._closed) >= CLOSES:
                self._closed.clear()
                words = f"the server closed {CLOSES} live links soon after their login, as for another session"
                return Ending(Verdict.TAKEN, f"{words}: {ending.cause}")
            return Ending(Verdict.AGAIN, ending.cause)
        return ending

    def _final(self, ending: Ending, failed: int) -> ConnectTradeError | None:
        """Return the error that ends the stream for good, or None where it goes on."""
        login = self._plan.login
        if ending.verdict is Verdict.REFUSED:
            self._denied = 0
            return AuthenticationRefusedError(cause=ending.cause) if login is None else login.refused(ending.cause)
        if ending.verdict is Verdict.TOO_LARGE and self._is_too_large_again():
            detail = f"{ending.cause}; raise Limits.frame_bytes, or ask for less"
            return TransportError(method="STREAM", path=self._plan.url, kind="too-large", detail=detail)
        if ending.verdict is Verdict.AGAIN and not self.is_live.done() and not failed:
            if self._was_open:
                return HandshakeError(method="STREAM", path=self._plan.url, kind="handshake", detail=ending.cause)
            return ConnectError(method="STREAM", path=self._plan.url, kind="unreachable", detail=ending.cause)
        return self._taken_for_good(ending) if ending.verdict is Verdict.TAKEN else None

    def _taken_for_good(self, ending: Ending) -> ConnectTradeError | None:
        # Whoever stands by or fights does so from the first link on: the server may drop the newer session.
        if self._plan.on_taken == "standby":
            return None
        now = self._plan.clock.now()
        self._taken = [when for when in self._taken if now - when < FIGHTING]
        if self._plan.on_taken == "fight" and len(self._taken) < FIGHTS:
            self._taken.append(now)
            return None
        login = self._plan.login
        return SessionTakenError(cause=ending.cause) if login is None else login.taken(ending.cause)

    def _is_too_large_again(self) -> bool:
        """Take note of a frame that was too large; returns whether no further link is worth its cost."""
        now = self._plan.clock.now()
        self._oversized = [*(when for when in self._oversized if now - when < FIGHTING), now]
        return not self.is_live.done() or len(self._oversized) >= OVERSIZED

    async def _wait(self, ending: Ending, asked_for: float | None, delays: Iterator[float]) -> None:
        self._note_loss(ending)
        delay = next(delays)
        if ending.verdict is Verdict.TAKEN and self._plan.on_taken == "standby":
            delay = next(growing_delays(self._plan.reconnect.standby, self._plan.reconnect.standby))
        delay = bounded_retry_after(asked_for, delay)
        self._tell(Retrying(delay=delay), "RETRYING")
        is_over = asyncio.Event()  # and no Future: it may be cancelled in the very turn in which the timer is due
        timer = self._plan.clock.call_later(delay, is_over.set)
        try:
            await is_over.wait()
        finally:
            timer.cancel()

    def _note_loss(self, ending: Ending) -> None:
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
        return datetime.fromtimestamp(self._heard + min(self._offset, self._wall_offset()), UTC)

    def _wall_offset(self) -> float:
        return self._plan.clock.wall().timestamp() - self._plan.clock.now()

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
        if error is not None and not isinstance(error, ClosedError):
            facts = {"url": self._plan.url, "error": str(error), "kind": type(error).__name__}
            log.error("stream ended", extra=facts, exc_info=self._crash)
        self._tell(Ended(error="" if error is None else str(error)), "ENDED")
        self._plan.fanout.close(error)
        if not self.is_live.done():
            self.is_live.set_exception(error or ClosedError("the stream"))
            self.is_live.exception()  # whoever was entering meets it; if nobody is there any more, that is no mistake
