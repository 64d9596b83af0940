"""The engine of a stream on a relay: follows the log, and stands for election."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from connecttrade_async.errors import ClosedError, ConnectTradeError, RelayError, one_line
from connecttrade_async.futures import resolve
from connecttrade_async.models.events import StreamEnded
from connecttrade_async.pacing import full_jitter_delays, random_phase
from connecttrade_async.relay.alarm import Alarm
from connecttrade_async.relay.follower import RETRY_BASE, RETRY_CAP, Follower
from connecttrade_async.relay.leader import Leadership, encode_claim
from connecttrade_async.relay.lease import Lease, election_delay
from connecttrade_async.relay.log import LogReader
from connecttrade_async.relay.scripts import ACQUIRE, DONE, FENCED, STANDBY

if TYPE_CHECKING:
    from connecttrade_async.relay.fanout import PositionedFanout
    from connecttrade_async.relay.log import LogPosition
    from connecttrade_async.relay.redis import RedisAddress, RedisChannel
    from connecttrade_async.relay.scripts import RelayKeys
    from connecttrade_async.relay.settings import RelaySettings
    from connecttrade_async.secret import Secret
    from connecttrade_async.streaming.config import StreamCounters, Upstream

__all__ = ["RelayEngine"]

CALLS = 3  # in the time of one lease, so that a call without an answer does not end it
TEMPORARY = ("unreachable", "read-only", "full")
log = logging.getLogger("connecttrade_async.relay")


class RelayEngine:
    """Runs one stream on a relay.

    Every worker follows the log, the leader too: so no event is published twice or lost when the role changes.

    Args:
        worker: the name of this worker, unique among all.
        upstream: opens the session.
        address: the Redis server.
        keys: the keys of the relay.
        settings: the settings of the relay.
        fanout: the fan-out of the stream.
        since: the position to continue behind, or None.
        secrets: the secrets that must not be written to the log.

    Attributes:
        is_live: done when the stream is live for the first time, or has ended before that.
    """

    def __init__(
        self,
        worker: str,
        upstream: Upstream,
        *,
        address: RedisAddress,
        keys: RelayKeys,
        settings: RelaySettings,
        fanout: PositionedFanout,
        since: LogPosition | None,
        secrets: tuple[Secret, ...],
    ) -> None:
        self._worker = worker
        self._upstream = upstream
        self._address = address
        self._keys = keys
        self._settings = settings
        self._fanout = fanout
        self._clock = upstream.config.clock
        self._secrets = secrets
        self._is_free = Alarm(self._clock)
        self._leadership: Leadership | None = None
        self._has_ended = False
        self._crash: Exception | None = None
        self.is_live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._follower = Follower(
            LogReader(since),
            self._channel(),
            fanout,
            codec=upstream.codec,
            topics=upstream.topics,
            settings=settings,
            clock=self._clock,
            on_live=self._on_live,
            on_free=self._is_free.set,
        )

    @property
    def counters(self) -> StreamCounters:
        """The state and the counters of the stream."""
        counters = self._follower.counters
        counters.lag = self._follower.lag
        counters.role = "FOLLOWER" if self._leadership is None else "LEADER"
        session = None if self._leadership is None else self._leadership.supervisor.counters
        counters.fast_path = session is not None and session.fast_path
        return counters

    async def run(self) -> None:
        """Run until the stream ends. Cancelling closes it."""
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
            self.end(error)

    async def _run(self) -> ConnectTradeError | None:
        await self._check()
        tasks: list[asyncio.Task[ConnectTradeError | None]]
        tasks = [asyncio.create_task(self._follow(), name="connecttrade relay follower")]
        if self._settings.lead:
            tasks.append(asyncio.create_task(self._stand(), name="connecttrade relay candidate"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(filter(None, [task.result() for task in done]), None)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _follow(self) -> None:
        await self._follower.run()

    async def _check(self) -> None:
        """Check the server before anything is sent to the API.

        Raises:
            RelayError: the server cannot be used.
        """
        # Nothing depends on the lease yet, so a slow server is given more time.
        channel = self._address.channel(self._keys, self._upstream.config.timeouts.connect)
        delays = full_jitter_delays(RETRY_BASE, RETRY_CAP)
        try:
            while True:
                try:
                    await channel.check(leads=self._settings.lead)
                except RelayError as exc:
                    if self._settings.lead or exc.kind not in TEMPORARY:
                        raise
                    log.warning("the relay waits for its Redis server: %s", exc.detail)
                    await Alarm(self._clock).wait(next(delays))
                else:
                    return
        finally:
            await channel.aclose()

    async def _stand(self) -> ConnectTradeError | None:
        """Stand for election whenever the lease is free, and lead; return the error that ends the stream."""
        channel, has_failed = self._channel(), False
        try:
            while True:
                sent_at = self._clock.now()
                try:
                    reply = await channel.run(ACQUIRE, *self._claim())
                except RelayError as exc:
                    level = logging.DEBUG if has_failed else logging.WARNING
                    has_failed = True
                    log.log(level, "the relay's lease cannot be acquired: %s", exc.detail)
                    # A leader that still has the session calls more often, so that it keeps the session.
                    await Alarm(self._clock).wait(self._settings.lease * (1 + random_phase()) / 2)
                    continue
                has_failed = False
                if reply.word == DONE:
                    error = await self._lead(int(reply.text), sent_at, channel)
                    if error is not None:
                        return error
                elif reply.word in (FENCED, STANDBY):
                    delay = election_delay(reply.number / 1000, self._settings.lease, random_phase())
                    await self._is_free.wait(delay)
                else:
                    detail = f"the log {self._keys.log} has a foreign entry {reply.text} above all ids: delete the key"
                    return RelayError(kind="key", detail=detail)
        finally:
            await channel.aclose()

    async def _lead(self, epoch: int, sent_at: float, channel: RedisChannel) -> ConnectTradeError | None:
        lease = Lease(worker=self._worker, epoch=epoch, ttl=self._settings.lease, sent_at=sent_at)
        log.info("this worker leads", extra={"worker": self._worker, "epoch": epoch})
        self._leadership = Leadership(
            lease, self._upstream, self._settings, channel, self._secrets, is_first=not self.is_live.done()
        )
        try:
            outcome = await self._leadership.run()
        finally:
            self._leadership = None
        log.warning("this worker leads no more: %s", outcome.cause, extra={"worker": self._worker, "epoch": epoch})
        return outcome.error

    def _claim(self) -> tuple[str | bytes | int, ...]:
        settings = self._settings
        limits = (settings.lease_ms, settings.keep_ms, settings.keep.events)
        return self._worker, *limits, "", 0, 0, encode_claim(self._worker)

    def _channel(self) -> RedisChannel:
        return self._address.channel(self._keys, self._settings.lease / CALLS)

    def _on_live(self) -> None:
        resolve(self.is_live, None)

    def end(self, error: ConnectTradeError | None = None) -> None:
        """End the stream: publish its end and close all subscriptions. A second call does nothing.

        Args:
            error: the reason, or None if the stream was closed by its user.
        """
        if self._has_ended:
            return
        self._has_ended = True
        if error is not None and not isinstance(error, ClosedError):
            fields = {"worker": self._worker, "error": str(error), "kind": type(error).__name__}
            log.error("stream ended: %s", one_line(str(error), 1000), extra=fields, exc_info=self._crash)
        self._follower.counters.state, self._follower.counters.live_since = "ENDED", None
        self._fanout.publish(StreamEnded(error="" if error is None else str(error)))
        self._fanout.close(error)
        if not self.is_live.done():
            self.is_live.set_exception(error or ClosedError("the stream"))
            self.is_live.exception()  # mark it as retrieved: the task that entered the stream may be gone
