"""The leader: holds the lease, opens the session and appends what the session receives to the log."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec

from connecttrade_async.errors import (
    AuthenticationRefusedError,
    ConnectTradeError,
    RelayError,
    SessionTakenError,
)
from connecttrade_async.models.events import Gap, StreamLive, StreamLost, UnknownMessage
from connecttrade_async.pacing import equal_jitter_delays, full_jitter_delays
from connecttrade_async.relay.alarm import Alarm
from connecttrade_async.relay.lease import Lease
from connecttrade_async.relay.log import LIVE, LOST, MARK, ControlPayload, LogPosition, encode_control, encode_value
from connecttrade_async.relay.outbox import Outbox
from connecttrade_async.relay.scripts import ACQUIRE, APPEND, DONE, FENCED, RELEASE, RENEW, SHORT
from connecttrade_async.secret import MASK, secret_forms
from connecttrade_async.streaming.connection import EarlyEvents
from connecttrade_async.streaming.fanout import Fanout
from connecttrade_async.streaming.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async.clock import Clock
    from connecttrade_async.dialect.parts import ErrorMeanings, Handshake
    from connecttrade_async.models.events import Chosen, Event
    from connecttrade_async.models.market import MarketUpdate
    from connecttrade_async.relay.outbox import Batch
    from connecttrade_async.relay.redis import RedisChannel, ScriptReply
    from connecttrade_async.relay.settings import RelaySettings
    from connecttrade_async.secret import Secret
    from connecttrade_async.streaming.codec import AwaitedReply, Ping, Subscribed, Unsubscribed
    from connecttrade_async.streaming.config import StreamConfig, Upstream
    from connecttrade_async.streaming.protocol import Closed, StreamProtocol, TopicCodec

__all__ = ["Leadership", "LeadershipEnd", "encode_claim"]

BUFFER_BYTES = 64 << 20
BUFFER_SECONDS = 30.0
BATCH_ENTRIES, BATCH_BYTES = 256, 1 << 20
RETRY_BASE, RETRY_CAP = 0.02, 0.5  # seconds between calls to a server that cannot be used
CLOSE_SESSION = 0.1  # seconds that closing the session may take before the lease is released all the same
AGE_MARKS = 64  # positions with their times, by which old entries are trimmed
ANOTHER_CLIENT = "a client outside the relay took the session"
log = logging.getLogger("connecttrade_async.relay")


class LeadershipEnd(NamedTuple):
    """How a leadership ended.

    Attributes:
        cause: the reason, in words.
        error: the error that ends the stream of this worker, or None.
    """

    cause: str
    error: ConnectTradeError | None = None


def encode_claim(worker: str) -> bytes:
    """Return the beginning of the payload of an entry ``epoch``, which the script completes."""
    return msgspec.json.encode(ControlPayload(by=worker)).removesuffix(b"}")


class StandDownError(ConnectTradeError):
    """The lease is lost: this worker follows again. It never leaves this module."""


MASKED = MASK.encode()


class LeaseFencedCodec:
    """A codec that encodes the login only while the lease is held.

    A worker that was stopped between opening a WebSocket and its login would otherwise end the session of the next
    leader.

    Args:
        codec: the codec of the stream.
        check_lease: raises if the lease is not held.
    """

    __slots__ = ("_check_lease", "_codec")

    def __init__(self, codec: TopicCodec, check_lease: Callable[[], None]) -> None:
        self._codec = codec
        self._check_lease = check_lease

    def for_connection(self) -> Self:
        """Return a codec for a new connection, which has learned nothing yet."""
        return type(self)(self._codec.for_connection(), self._check_lease)

    @property
    def awaits(self) -> AwaitedReply:
        """What the connection waits for."""
        return self._codec.awaits

    @awaits.setter
    def awaits(self, awaited: AwaitedReply) -> None:
        self._codec.awaits = awaited

    @property
    def updates(self) -> frozenset[type]:
        """The classes of updates."""
        return self._codec.updates

    @property
    def handshake(self) -> Handshake:
        """The steps until a connection is live."""
        return self._codec.handshake

    @property
    def errors(self) -> ErrorMeanings:
        """The meanings of codes and words."""
        return self._codec.errors

    def read(self, raw: bytes) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Decode one frame."""
        return self._codec.read(raw)

    def read_again(self, message: Any) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Return the first update of its kind, read again if its frame has fields under other names."""
        return self._codec.read_again(message)

    def census(self, message: Any) -> Any:  # noqa: ANN401 - each codec has messages of its own
        """Compare the names in an update's frame with those of its model."""
        return self._codec.census(message)

    def pong(self, ping: Ping) -> bytes | None:
        """Encode the reply to a ping, or return None for none."""
        return self._codec.pong(ping)

    def topics_of(self, message: Subscribed | Unsubscribed) -> frozenset[str] | None:
        """Return the topics that a confirmation names, or None for one that names no topic at all."""
        return self._codec.topics_of(message)

    def authenticate(self) -> bytes:
        """Encode the login.

        Raises:
            StandDownError: the lease is not held.
        """
        self._check_lease()
        return self._codec.authenticate()

    def subscribe(self, topics: tuple[str, ...]) -> list[bytes]:
        """Encode the subscription of topics."""
        return self._codec.subscribe(topics)

    def presentable(self, text: str) -> str:
        """Return a text of the server in a form for error texts, without secrets."""
        return self._codec.presentable(text)

    def unknown(self, raw: bytes, problem: str) -> UnknownMessage:
        """Return the event for a frame that is not delivered, without secrets."""
        return self._codec.unknown(raw, problem)


class LogFanout(Fanout):
    """Takes the place of a fan-out for the leader's session: each event becomes an entry of the log.

    Args:
        put: adds an entry, its kind and its value.
        secrets: the secrets that must not be written to the log in any form.
        clock: the time source.

    Attributes:
        is_live: whether the session is live.
    """

    __slots__ = ("_clock", "_early", "_forms", "_gap", "_put", "_was_live", "is_live")

    def __init__(self, put: Callable[[bytes, bytes], None], secrets: tuple[Secret, ...], clock: Clock) -> None:
        super().__init__(clock.wall)
        self._put = put
        self._forms = tuple(form.encode() for form in secret_forms(secrets))
        self._clock = clock
        self._gap: Gap | None = None
        self._early = EarlyEvents()
        self._was_live = False
        self.is_live = False

    def publish(self, event: Chosen | MarketUpdate) -> None:
        """Put an event, or a change of the session's state, into the log."""
        if isinstance(event, StreamLive):
            # The gap before the first connection of this epoch began with the end of another leader's session.
            since = int(self._gap.since.timestamp() * 1000) if self._gap is not None and self._was_live else None
            self._gap, self._was_live, self.is_live = None, True, True
            self._put(LIVE, encode_control(self._now(), ControlPayload(since=since)))
            while self._early:
                self._put_event(self._early.popleft())
        elif isinstance(event, StreamLost):
            self._early = EarlyEvents()  # they lie in the gap, as without a relay
            if self.is_live:
                self.is_live = False
                self._put(LOST, encode_control(self._now(), ControlPayload(cause=event.cause)))
        elif event.raw or isinstance(event, UnknownMessage):
            if self.is_live:
                self._put_event(event)
            else:
                # An event means to followers that the session is live, and it is not before every topic is confirmed.
                self._early.append(event)

    def publish_to_all(self, event: Event) -> None:
        """Remember a gap of the session: the entry that says that it is live again has its beginning."""
        if isinstance(event, Gap):
            self._gap = event

    def _put_event(self, event: Any) -> None:  # noqa: ANN401 - an Event with a frame
        raw = self._masked(event.raw)
        if isinstance(event, UnknownMessage):
            # Masked before it is encoded, which would hide a secret from the search.
            raw = self._masked(msgspec.json.encode(msgspec.structs.replace(event, raw=raw)))
        self._put(event.topic.encode(), encode_value(self._now(), raw))

    def _masked(self, raw: bytes) -> bytes:
        for form in self._forms:
            if form in raw:
                raw = raw.replace(form, MASKED)
        return raw

    def _now(self) -> int:
        return int(self._clock.wall().timestamp() * 1000)


class SessionSupervisor(Supervisor):
    """The supervisor of the leader's session. Its end is a value, not the end of the stream.

    Args:
        config: the configuration of the session.
        is_first: whether the stream of this worker was never live. Then a failure to connect is final.

    Attributes:
        error: the error with which the session ended, or None.
    """

    def __init__(self, config: StreamConfig, *, is_first: bool) -> None:
        super().__init__(config)
        self.error: ConnectTradeError | None = None
        if not is_first:
            self.is_live.set_result(None)

    def end(self, error: ConnectTradeError | None = None) -> None:
        """End the session without an error of the stream."""
        self.error = self.error or error
        if self._crash is not None:
            log.error("the session of the leader ended because of a mistake in this library", exc_info=self._crash)
        super().end()

    def _session_taken_error(self, closed: Closed) -> ConnectTradeError | None:
        # A server that refuses the newer session instead of the older one is asked again with the standby delay.
        return SessionTakenError(cause=closed.cause) if self._settled_at < math.inf else None


class Leadership:
    """One leadership: from the acquired lease until it is released or lost.

    Args:
        lease: the acquired lease.
        upstream: opens the session.
        settings: the settings of the relay.
        channel: the connection for the lease and the log; this object uses it alone.
        secrets: the secrets that must not be written to the log in any form.
        is_first: whether the stream of this worker was never live.

    Attributes:
        supervisor: the supervisor of the session.
    """

    def __init__(
        self,
        lease: Lease,
        upstream: Upstream,
        settings: RelaySettings,
        channel: RedisChannel,
        secrets: tuple[Secret, ...],
        *,
        is_first: bool,
    ) -> None:
        clock = upstream.config.clock
        self._lease = lease
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._alarm = Alarm(clock)
        self._renewed = asyncio.Event()
        self._outbox = Outbox(lease.epoch, max_bytes=BUFFER_BYTES, max_seconds=BUFFER_SECONDS)
        self._fanout = LogFanout(self._put, secrets, clock)
        self._ages: deque[tuple[float, LogPosition]] = deque([(clock.now(), LogPosition(lease.epoch, 0))])
        self._is_confirmed = True
        self._has_failed = False
        self._codec = LeaseFencedCodec(upstream.codec, self._check_lease)
        self._make_protocol = upstream.make_protocol
        self._standby = upstream.config.reconnect.standby
        self._release_timeout = upstream.config.timeouts.close / 2
        config = upstream.config._replace(
            make_protocol=self._protocol,
            fanout=self._fanout,
            on_taken="standby",
            login=LeaseLogin(self._wait_for_lease),
        )
        self.supervisor = SessionSupervisor(config, is_first=is_first)

    async def run(self) -> LeadershipEnd:
        """Lead until the lease is lost or the session ends for good; then release the lease.

        Cancelling closes the session and releases the lease.
        """
        session = asyncio.create_task(self.supervisor.run(), name="connecttrade relay session")
        writer = asyncio.create_task(self._write(), name="connecttrade relay log")
        try:
            await asyncio.wait([session, writer], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._close(session, writer, LeadershipEnd("the leader was closed"))
            raise
        outcome = self._outcome(session, writer)
        await self._close(session, writer, outcome)
        return outcome

    def _outcome(self, session: asyncio.Task[None], writer: asyncio.Task[None]) -> LeadershipEnd:
        if writer.done():
            failure = writer.exception()
            if isinstance(failure, StandDownError):
                return LeadershipEnd(str(failure))
            if failure is not None:
                raise failure
        if not session.done():
            return LeadershipEnd("the leader was closed")
        error = self.supervisor.error
        if isinstance(error, SessionTakenError):
            is_held = self._lease.is_held(self._clock.now())
            return LeadershipEnd(ANOTHER_CLIENT if is_held else "another leader took the session")
        if isinstance(error, StandDownError):
            return LeadershipEnd(str(error))
        return LeadershipEnd("the session of the leader has ended", error)

    async def _close(self, session: asyncio.Task[None], writer: asyncio.Task[None], outcome: LeadershipEnd) -> None:
        """Close the session, then release the lease if it is still held."""
        writer.cancel()
        session.cancel()
        try:
            await asyncio.wait([writer])
            await asyncio.wait([session], timeout=CLOSE_SESSION)
            async with asyncio.timeout(self._release_timeout):
                await self._release(outcome.cause)
        except (RelayError, TimeoutError) as exc:
            log.info("the lease could not be released and ends by itself: %s", exc)
        finally:
            await asyncio.wait([session, writer])
            if not writer.cancelled():
                writer.exception()  # mark it as retrieved: the lease may be lost while the leader closes

    async def _release(self, cause: str) -> None:
        """Append what waits, and give the lease to the next leader."""
        while self._lease.is_held(self._clock.now()):
            batch = self._outbox.batch(BATCH_ENTRIES, BATCH_BYTES)
            if batch is not None:
                if await self._append(batch) != DONE:
                    return
                continue
            standby = round(next(equal_jitter_delays(self._standby, self._standby)) * 1000)
            value = encode_control(self._now(), ControlPayload(cause=cause))
            last = self._outbox.acknowledged
            await self._channel.run(
                RELEASE,
                self._lease.owner,
                self._settings.keep_ms,
                self._settings.keep.events,
                str(LogPosition(last.epoch, last.sequence + 1)),
                value,
                standby if cause == ANOTHER_CLIENT else 0,
            )
            return

    # The log.

    def _put(self, kind: bytes, value: bytes) -> None:
        self._outbox.put(kind, value, self._clock.now())
        self._alarm.set()

    async def _write(self) -> None:
        """Append entries and renew the lease until it is lost.

        Raises:
            StandDownError: the lease is lost, or the entries that wait exceed their bounds.
        """
        delays = full_jitter_delays(RETRY_BASE, RETRY_CAP)
        while True:
            now = self._clock.now()
            if self._outbox.is_over(now):
                raise StandDownError("the log could not be written for too long")
            try:
                if not self._is_confirmed or now >= self._lease.renew_at:
                    await self._renew(now)
                elif (batch := self._outbox.batch(BATCH_ENTRIES, BATCH_BYTES)) is not None:
                    await self._append_confirmed(batch)
                else:
                    await self._alarm.wait(self._lease.renew_at - now)
                    continue
            except RelayError as exc:
                self._on_failure(exc)
                await self._pause(next(delays))
            else:
                if self._has_failed and self._is_confirmed:
                    self._has_failed = False
                    log.info("the relay's log can be written again")
                delays = full_jitter_delays(RETRY_BASE, RETRY_CAP)

    def _on_failure(self, error: RelayError) -> None:
        # An append may have been done, and another leader may have the lease by now.
        self._is_confirmed = False
        if not self._has_failed:
            self._has_failed = True
            log.warning("the relay's log cannot be written, and entries wait: %s", error.detail)

    async def _pause(self, delay: float) -> None:
        # Not the alarm, which every event sets.
        await Alarm(self._clock).wait(delay)

    async def _renew(self, now: float) -> None:
        has_lapsed = not self._lease.is_held(now)
        if has_lapsed and not self._may_continue:
            raise StandDownError("the lease has ended while the session was lost")
        last = self._outbox.acknowledged
        reply = await self._channel.run(
            RENEW,
            self._lease.owner,
            self._settings.lease_ms,
            self._settings.keep_ms,
            "live" if self._outbox.is_live else "lost",
            last.epoch,
            last.sequence,
            self._oldest_kept(now),
        )
        if reply.word == DONE:
            self._set_lease(self._lease.renewed(now))
        elif reply.word == SHORT:
            # The server lost entries. The next one shows followers the hole, so there must be one.
            if not self._outbox:
                self._put(MARK, encode_control(self._now(), ControlPayload()))
            batch = self._outbox.batch(BATCH_ENTRIES, BATCH_BYTES)
            if batch is not None:
                await self._append_confirmed(batch)
        else:
            await self._begin_epoch(reply)

    async def _append_confirmed(self, batch: Batch) -> None:
        word = await self._append(batch)
        if word != DONE:
            self._is_confirmed = False

    async def _append(self, batch: Batch) -> bytes:
        entries = [part for entry in batch.entries for part in entry]
        reply = await self._channel.run(
            APPEND,
            self._lease.owner,
            self._settings.keep_ms,
            self._settings.keep.events,
            batch.first.epoch,
            batch.first.sequence,
            batch.state or b"",
            *entries,
        )
        if reply.word == DONE:
            self._outbox.acknowledge(batch.last.sequence)
        return reply.word

    @property
    def _may_continue(self) -> bool:
        """Whether the session was held all along, so that no other leader can have had newer events."""
        return self._fanout.is_live and self._outbox.is_unbroken

    async def _begin_epoch(self, reply: ScriptReply) -> None:
        """Continue in a new epoch if the lease is free, or ours in a log with a foreign top."""
        is_free = reply.word == FENCED and not reply.text
        if reply.word == FENCED and not (is_free and self._may_continue):
            raise StandDownError("another leader has the lease" if reply.text else "the lease has ended")
        last, is_live = self._outbox.acknowledged, self._outbox.is_live
        now = self._clock.now()
        acquired = await self._channel.run(
            ACQUIRE,
            self._lease.worker,
            self._settings.lease_ms,
            self._settings.keep_ms,
            self._settings.keep.events,
            last.epoch,
            last.sequence,
            1 if is_live else 0,
            encode_claim(self._lease.worker),
        )
        if acquired.word != DONE:
            raise StandDownError(f"the lease was not acquired again: {acquired.word.decode().lower()}")
        epoch = int(acquired.text)
        self._outbox.acknowledge(acquired.number)
        self._outbox.begin_epoch(epoch)
        self._ages.append((now, LogPosition(epoch, 0)))
        self._set_lease(Lease(worker=self._lease.worker, epoch=epoch, ttl=self._lease.ttl, sent_at=now))
        log.info("the leader continues in a new epoch", extra={"epoch": epoch, "after": str(last)})

    def _oldest_kept(self, now: float) -> str:
        """Return the id below which entries are older than they need to be kept, or an empty text."""
        last, age = self._outbox.acknowledged, self._settings.keep.age
        if last != self._ages[-1][1] and now - self._ages[-1][0] >= age / AGE_MARKS:
            self._ages.append((now, last))
        while len(self._ages) > 1 and self._ages[1][0] <= now - age:
            self._ages.popleft()
        return str(self._ages[0][1]) if self._ages[0][0] <= now - age else ""

    # The lease.

    @property
    def lease(self) -> Lease:
        """The lease as it was confirmed last."""
        return self._lease

    def _set_lease(self, lease: Lease) -> None:
        self._lease = lease
        self._is_confirmed = True
        self._renewed.set()

    def _protocol(self, now: float) -> StreamProtocol:
        return self._make_protocol(self._codec, now)

    def _check_lease(self) -> None:
        if not self._lease.is_held(self._clock.now()):
            raise StandDownError("the lease has ended before the login")

    async def _wait_for_lease(self) -> None:
        """Wait until the lease is held: without it, no session may be opened."""
        while not self._lease.is_held(self._clock.now()):
            self._renewed.clear()
            await self._renewed.wait()

    def _now(self) -> int:
        return int(self._clock.wall().timestamp() * 1000)


class LeaseLogin:
    """Lets a supervisor connect only while the lease is held.

    Args:
        wait_for_lease: waits until the lease is held.
    """

    renew_in: float | None = None
    __slots__ = ("_wait_for_lease",)

    def __init__(self, wait_for_lease: Callable[[], Awaitable[None]]) -> None:
        self._wait_for_lease = wait_for_lease

    async def ensure(self, *, is_renewal: bool) -> None:
        """Wait until the lease is held."""
        del is_renewal
        await self._wait_for_lease()

    def mark_accepted(self) -> None:
        """Do nothing."""

    def refused_error(self, cause: str) -> ConnectTradeError:
        """Return the error for a refused login."""
        return AuthenticationRefusedError(cause=cause)

    def taken_error(self, cause: str) -> ConnectTradeError:
        """Return the error for a session that another client has taken."""
        return SessionTakenError(cause=cause)
