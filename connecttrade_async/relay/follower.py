"""The follower: reads the log on a connection of its own and publishes the events to the local subscriptions."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from connecttrade_async.errors import RelayError
from connecttrade_async.models.events import Gap, StreamConnecting, StreamLive, StreamLost, UnknownMessage
from connecttrade_async.pacing import full_jitter_delays
from connecttrade_async.relay.alarm import Alarm
from connecttrade_async.relay.log import (
    EPOCH,
    FOREIGN,
    LEFT,
    LogPosition,
    LogReader,
    LogSnapshot,
    MissedEntries,
    decode_entry,
)
from connecttrade_async.streaming.config import StreamCounters, StreamLag

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.relay.fanout import PositionedFanout
    from connecttrade_async.relay.redis import RedisChannel, Rows
    from connecttrade_async.relay.settings import RelaySettings
    from connecttrade_async.streaming.protocol import TopicCodec

__all__ = ["Follower"]

RETRY_BASE, RETRY_CAP = 0.02, 1.0  # seconds between connections to a server that cannot be used
VIEWS = 3  # in the time of one lease
MAX_COUNT, MIN_COUNT = 1000, 16  # entries of one read
READ_BYTES = 4 << 20  # of one read, by the average size of the last one
RENEWAL_MS = 20  # by which the remaining time of a lease must have grown to prove a renewal
NO_LEADER = "the relay has no leader"
_UNKNOWN = msgspec.json.Decoder(UnknownMessage)
log = logging.getLogger("connecttrade_async.relay")


class Follower:
    """Reads the log and publishes its events.

    It is live while the log says that the leader's session is live, and a look at the lease has confirmed that the
    leader is there. After a lost connection, the look counts once the leader has proved that the log lacks nothing: by
    a new entry or by a renewal of its lease.

    Args:
        reader: the position, and the rules of gaps.
        channel: the connection; this object uses it alone.
        fanout: where events are published.
        codec: decodes the frames.
        topics: the topics that are published.
        settings: the settings of the relay.
        clock: the time source.
        on_live: called when the stream is live for the first time.
        on_free: called when the lease is free.

    Attributes:
        counters: the state and the counters of the stream.
    """

    def __init__(
        self,
        reader: LogReader,
        channel: RedisChannel,
        fanout: PositionedFanout,
        *,
        codec: TopicCodec,
        topics: tuple[str, ...],
        settings: RelaySettings,
        clock: Clock,
        on_live: Callable[[], None],
        on_free: Callable[[], None],
    ) -> None:
        self.counters = StreamCounters(role="FOLLOWER")
        self._reader = reader
        self._channel = channel
        self._fanout = fanout
        self._codec = codec.for_connection()
        self._seen: set[bytes] = set()
        self._topics = frozenset(topic.encode() for topic in topics)
        self._period = settings.lease / VIEWS
        self._clock = clock
        self._on_live = on_live
        self._on_free = on_free
        self._alarm = Alarm(clock)
        self._view = LogSnapshot(None)
        self._viewed_at = -math.inf
        self._first_view: tuple[float, LogSnapshot] | None = None
        self._confirmed_until = -math.inf
        self._timer: Timer | None = None
        self._problem = ""
        self._has_failed = False
        self._count = MIN_COUNT

    @property
    def lag(self) -> StreamLag | None:
        """How far the stream is behind the log, as of the latest look."""
        top, position = self._view.top, self._reader.position
        if top is None or position is None:
            return None
        if position >= top:
            return StreamLag(0, 0.0)
        entries = top.sequence - position.sequence if top.epoch == position.epoch else top.sequence + 1
        age = self._clock.wall().timestamp() - self._reader.last_at / 1000 if self._reader.last_at else 0.0
        return StreamLag(entries, max(age, 0.0))

    async def run(self) -> None:
        """Read the log until it is cancelled; connect again after each failure."""
        delays, attempt = full_jitter_delays(RETRY_BASE, RETRY_CAP), 0
        try:
            while True:
                attempt += 1
                if self.counters.state != "LIVE":
                    self._publish(StreamConnecting(attempt=attempt), "CONNECTING")
                try:
                    cursor = await self._attach()
                    delays, attempt = full_jitter_delays(RETRY_BASE, RETRY_CAP), 0
                    await self._follow(cursor)
                except RelayError as exc:
                    self._on_failure(exc)
                await self._alarm.wait(next(delays))
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self._channel.aclose()

    async def _attach(self) -> LogPosition:
        """Look at the log and return the position behind which to read."""
        has_history = self._reader.position is not None
        sent_at = self._clock.now()
        view = await self._channel.view()
        self.counters.connects += 1
        cursor, missed = self._reader.attach(view)
        self._fanout.latest = self._reader.position
        if missed is not None:
            self._publish_gap(missed)
        # Only what a reader has can be wrong: one without a history has nothing to prove.
        self._first_view = (sent_at, view) if has_history else None
        if self._has_failed:
            self._has_failed = False
            log.info("the relay's log can be read again")
        self._on_view(view, sent_at)
        return cursor

    async def _follow(self, cursor: LogPosition) -> None:
        while True:
            rows = await self._channel.read(cursor, self._count, self._period)
            if rows:
                cursor = self._receive(rows) or cursor
            if not rows or self._clock.now() - self._viewed_at >= self._period:
                sent_at = self._clock.now()
                view = await self._channel.view()
                if self._reader.is_reset(view):
                    cursor, missed = self._reader.attach(view)
                    self._fanout.latest = self._reader.position
                    if missed is not None:
                        self._publish_gap(missed)
                self._on_view(view, sent_at)

    def _receive(self, rows: Rows) -> LogPosition | None:
        """Process entries in order; return the position of the last one."""
        reader, deliver, take = self._reader, self._deliver, self._reader.take
        self.counters.last_message = self._clock.now()
        size = 0
        for entry_id, fields in rows:
            kind, value = (fields[0], fields[1]) if len(fields) == 2 else (FOREIGN, b"")  # noqa: PLR2004 - one name, one value
            size += len(value)
            payload = take(entry_id, kind, value)
            if payload is None:
                payload = self._receive_other(entry_id, kind, fields)
            if payload is not None:
                deliver(kind, payload)
            else:
                self._fanout.latest = reader.position
        # The next read holds about as many bytes as fit, whatever the size of the entries.
        average = size // len(rows) + 1
        self._count = max(MIN_COUNT, min(MAX_COUNT, self._count * 2, READ_BYTES // average))
        self._first_view = None
        return LogPosition.parse(rows[-1][0])

    def _receive_other(self, entry_id: bytes, kind: bytes, fields: list[bytes]) -> bytes | None:
        received = self._reader.receive(decode_entry(entry_id, fields))
        if received.missed is not None:
            self._publish_gap(received.missed)
        if kind == LEFT:
            self._on_free()
        elif kind == EPOCH:
            # Another session may write frames in another form, as a new connection of a stream without a relay may.
            self._codec = self._codec.for_connection()
            self._seen.clear()
        self._update()
        return received.payload

    def _deliver(self, kind: bytes, payload: bytes) -> None:
        position = self._reader.position
        if kind == b"unknown":
            self._fanout.publish_at(self._unknown(payload), position)
        elif kind in self._topics:
            event: Any = self._codec.read(payload)
            if kind not in self._seen:
                self._seen.add(kind)
                event = self._codec.read_again(event) if type(event) in self._codec.updates else event
            if getattr(event, "topic", None) != kind.decode() and type(event) is not UnknownMessage:
                event = self._codec.unknown(payload, f"the relay's log has it as one of {kind.decode()}")
            if type(event) is UnknownMessage:
                self._count_unknown(event)
            self._fanout.publish_at(event, position)
        else:
            self._fanout.latest = position

    def _unknown(self, payload: bytes) -> UnknownMessage:
        try:
            event = _UNKNOWN.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            event = self._codec.unknown(payload, "the relay's log has it in another form")
        self._count_unknown(event)
        return event

    def _count_unknown(self, event: UnknownMessage) -> None:
        self.counters.unknown += 1
        level = logging.DEBUG if self.counters.unknown > 1 else logging.WARNING
        log.log(level, "a frame could not be processed: %s", event.problem)

    # The state.

    def _on_view(self, view: LogSnapshot, sent_at: float) -> None:
        self._view, self._viewed_at = view, sent_at
        self.counters.leader = view.leader
        if view.leader is None:
            self._confirmed_until = -math.inf
            self._problem = NO_LEADER
            if not view.standby:
                self._on_free()
        elif self._is_proved(view, sent_at):
            self._confirmed_until = sent_at + view.remaining / 1000
        self._update()

    def _is_proved(self, view: LogSnapshot, sent_at: float) -> bool:
        """Return whether the leader has written or renewed since the connection was opened."""
        if self._first_view is None:
            return True
        first_at, first = self._first_view
        elapsed = (sent_at - first_at) * 1000
        if view.epoch != first.epoch or view.remaining + elapsed > first.remaining + RENEWAL_MS:
            self._first_view = None
            return True
        return False

    def _on_failure(self, error: RelayError) -> None:
        self._problem = error.detail
        if not self._has_failed:
            self._has_failed = True
            level = logging.WARNING if error.kind in ("unreachable", "read-only") else logging.ERROR
            log.log(level, "the relay's log cannot be read; the stream connects again: %s", error.detail)
        self._update()

    def _update(self) -> None:
        """Publish that the stream is live or lost, if that has changed; look again when the confirmation ends."""
        reader, now = self._reader, self._clock.now()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.counters.epoch = None if reader.position is None else reader.position.epoch
        is_live = reader.is_live and now < self._confirmed_until
        if is_live:
            self._timer = self._clock.call_later(self._confirmed_until - now + 0.001, self._update)
        if is_live and self.counters.state != "LIVE":
            self._problem = ""
            self.counters.live_since = self._clock.wall()
            self._publish(StreamLive(), "LIVE")
            self._on_live()
        elif not is_live and self.counters.state == "LIVE":
            cause = reader.cause if not reader.is_live else self._problem or "the relay's leader is silent"
            self.counters.live_since = None
            self._publish(StreamLost(cause=cause), "LOST")
            log.warning("the stream was lost: %s", cause)

    def _publish(self, event: StreamConnecting | StreamLive | StreamLost, state: str) -> None:
        if self.counters.state != "ENDED":  # the stream may have ended while an answer was under way
            self.counters.state = state
            self._fanout.publish(event)

    def _publish_gap(self, missed: MissedEntries) -> None:
        self.counters.gaps += 1
        until = self._clock.wall()
        since = datetime.fromtimestamp(min(missed.since / 1000, until.timestamp()), UTC)
        self._fanout.publish_gap(Gap(cause=missed.cause, since=since, until=until, could_send=False))
        log.info("events may have been missed: %s", missed.cause)
