"""Open, run and close the parts of live accounts: one stream, many snapshots and a sweep.

No error of a part reaches the task of a caller by itself. The engine keeps it in ``ending``, and every subscriber and
waiter receives it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from anyio import CancelScope

from connecttrade_async.books.change_feed import ChangeFeed
from connecttrade_async.books.followed_users import FollowedUsers
from connecttrade_async.errors import ClosedError, ConfigurationError, one_line
from connecttrade_async.live.resync import Resync
from connecttrade_async.live.status import LiveStatistics
from connecttrade_async.live.sweep import Sweep
from connecttrade_async.live.updates import UpdateApplier
from connecttrade_async.streaming.filters import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from connecttrade_async.books.followed_users import FollowedUser
    from connecttrade_async.books.snapshots import UserApi
    from connecttrade_async.clock import Clock
    from connecttrade_async.config import Reconnect
    from connecttrade_async.live.status import LiveSettings
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream
    from connecttrade_async.streaming.config import Lifetime
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["LiveEngine", "ProgressWatch"]

WHAT = "the live accounts"
CLOSED = "this set of live accounts"
# Periods in which requests are sent and no user is read, until the wait for first snapshots ends.
MAX_IDLE_PERIODS = 10
log = logging.getLogger("connecttrade_async.live")


class ProgressWatch:
    """Ends the wait for the first snapshots of users when it makes no progress.

    Args:
        resync: takes the snapshots.
        followed_users: the users that are waited for.
        clock: time.
        seconds: the wait ends after this many seconds without any request, or ten times as many without any user read.
    """

    __slots__ = (
        "_clock",
        "_done_seen",
        "_followed_users",
        "_idle_periods",
        "_requests_seen",
        "_resync",
        "_seconds",
        "_timer",
    )

    def __init__(self, resync: Resync, followed_users: Iterable[FollowedUser], clock: Clock, seconds: float) -> None:
        self._resync = resync
        self._followed_users = tuple(followed_users)
        self._clock = clock
        self._seconds = seconds
        self._requests_seen: int = resync.requests
        self._done_seen = self._idle_periods = 0
        self._timer = clock.call_later(seconds, self._check)

    def _check(self) -> None:
        waiting = [each for each in self._followed_users if each.first_read is not None and not each.first_read.done()]
        settled, requests = len(self._followed_users) - len(waiting), self._resync.requests
        self._idle_periods = self._idle_periods + 1 if settled == self._done_seen else 0
        if settled == self._done_seen and (requests == self._requests_seen or self._idle_periods >= MAX_IDLE_PERIODS):
            for followed in waiting:
                self._resync.give_up_waiting(followed)
        else:
            self._done_seen, self._requests_seen = settled, requests
            self._timer = self._clock.call_later(self._seconds, self._check)

    def end(self) -> None:
        """Cancel the timer."""
        self._timer.cancel()


class LiveEngine:
    """Keeps the books of followed users current.

    Args:
        stream: the source of updates.
        settings: how books are kept.
        owns_stream: whether the engine opens and closes the stream.
        reconnect: the backoff after a snapshot that failed.
        clock: time.
        owner: the client; when it closes, the engine ends.

    Attributes:
        users: the followed users and their books.
        change_feed: publishes changes.
        resync: takes snapshots.
        ending: why the engine has ended, or None while it has not.
    """

    def __init__(
        self,
        stream: BrokerageStream,
        settings: LiveSettings,
        *,
        owns_stream: bool,
        reconnect: Reconnect,
        clock: Clock,
        owner: Lifetime,
    ) -> None:
        self.ending: Exception | None = None
        self._has_crashed = False
        self.users = FollowedUsers(settings.keep_orders)
        self.change_feed = ChangeFeed(clock)
        self.resync = Resync(
            self.users,
            self.change_feed,
            settings.budget,
            reconnect,
            clock,
            crashed=self._crashed,
        )
        every = settings.sweep_every
        self._sweep = None if every is None else Sweep(self.users, self.resync, clock, every)
        self._stream = stream
        self._owns_stream = owns_stream
        self._capacity = settings.capacity
        self._snapshot_timeout = settings.snapshot_timeout
        self._clock = clock
        self._owner = owner
        self._stop_with_client: Callable[[], object] = bool
        self._events: Subscription | None = None
        self._updates: UpdateApplier | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, users: Iterable[UserApi]) -> None:
        """Open the stream and follow users; return when every user was read or is in ``failed``.

        Raises:
            ConfigurationError: the engine was opened before, or the borrowed stream was never opened.
            ConnectTradeError: the engine, the stream or the client has ended, with the reason.

        Cancelling closes the engine.
        """
        if self.ending is not None:
            raise self.ending.with_traceback(None)
        if self._events is not None:
            raise ConfigurationError(f"{WHAT} were opened before: make new ones with client.live(...)")
        if not self._owns_stream and self._was_never_opened():
            raise ConfigurationError("the stream was never opened: enter it with `async with` around the live accounts")
        try:
            self._owner.check_open()
        except ClosedError as exc:
            self._end(exc)  # subscribers and waiters receive it too
            raise
        self._stop_with_client = self._owner.on_close(self._end)
        try:
            await self._open()
            await self.follow(users)
        except BaseException:
            await self.aclose()
            raise
        if self._sweep is not None:
            self._sweep.start()

    async def _open(self) -> None:
        # Subscribe before opening: updates while the stream opens and snapshots are taken must not be lost.
        topics = (*TOPICS, "lifecycle", "unknown")
        self._events = self._stream.subscribe(*topics, capacity=self._capacity, overflow="drop_oldest")
        if self._owns_stream:
            await self._stream.open()
        self.users.is_live = self._is_live()
        self._updates = UpdateApplier(
            self._events,
            self.users,
            self.change_feed,
            self.resync,
            self._clock,
            is_live=self._is_live,
        )
        self._task = asyncio.create_task(self._run(self._updates), name="connecttrade live accounts")

    async def _run(self, updates: UpdateApplier) -> None:
        try:
            self._end(await updates.run())
        except Exception as exc:  # noqa: BLE001 - subscribers and waiters receive it, and it is logged
            self._crashed(exc)

    async def follow(self, users: Iterable[UserApi]) -> None:
        """Follow users; return when each was read or is in ``failed``.

        Cancelling stops the wait; the users are followed all the same.
        """
        self.check_open()
        followed_users = [self._add(user) for user in users]
        watch = ProgressWatch(self.resync, followed_users, self._clock, self._snapshot_timeout)
        try:
            for followed in followed_users:
                if followed.first_read is not None:
                    await asyncio.shield(followed.first_read)
                    followed.first_read = None
        finally:
            watch.end()
        self.check_open()

    def _add(self, user: UserApi) -> FollowedUser:
        before = self.users.by_id.get(user.user_id)
        followed = self.users.add(user)
        if before is not None:
            self.resync.forget(before)
        followed.first_read = asyncio.get_running_loop().create_future()
        self.resync.enqueue(followed)
        self.change_feed.recheck()
        return followed

    def drop(self, user_id: str) -> None:
        """Stop following a user. No effect if the user is not followed."""
        followed = self.users.remove(user_id)
        if followed is not None:
            self.resync.forget(followed)
            self.change_feed.fail_waiters(lambda name: any(each.order(name) for each in followed.keepers.values()))
            self.change_feed.recheck()

    def check_open(self) -> None:
        """Raise unless the engine is open.

        Raises:
            ConfigurationError: it was not opened.
            ConnectTradeError: it has ended, with the reason.
        """
        if self.ending is not None:
            raise self.ending.with_traceback(None)
        if self._task is None:
            raise ConfigurationError(f"{WHAT} are not open: enter them with `async with`")

    def _is_live(self) -> bool:
        return self._stream.health().state == "LIVE"

    def _was_never_opened(self) -> bool:
        health = self._stream.health()
        return health.state == "CONNECTING" and health.last_message is None

    def _crashed(self, error: BaseException) -> None:
        self._has_crashed = True
        log.error("%s ended because of a mistake in this library", WHAT, exc_info=error)
        self._end(error if isinstance(error, Exception) else ClosedError(CLOSED))

    def _end(self, error: Exception) -> None:
        """End once: no book is current any more, and subscribers and waiters receive the error."""
        if self.ending is not None:
            return
        self.ending = error
        if not isinstance(error, ClosedError) and not self._has_crashed:
            # Without a subscriber or a waiter, this line is the only sign that the books are not kept any more.
            log.error("%s ended: %s", WHAT, one_line(str(error), 1000), extra={"kind": type(error).__name__})
        self._stop_with_client()
        self.users.is_live = False
        if self._sweep is not None:
            self._sweep.stop()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self.resync.stop()
        self.change_feed.close(error)

    async def aclose(self) -> None:
        """Stop everything and wait until it has stopped."""
        # Without the shield, a cancelled scope of anyio would end the waits below before the parts have stopped.
        with CancelScope(shield=True):
            try:
                self._end(ClosedError(CLOSED))
                await self.resync.aclose()
                if self._task is not None and not self._task.done():
                    await asyncio.wait([self._task])
            finally:
                await self._close_stream()

    async def _close_stream(self) -> None:
        try:
            if self._events is not None:
                await self._events.aclose()
        finally:
            if self._owns_stream:
                await self._stream.aclose()

    def statistics(self) -> LiveStatistics:
        """Return the counters so far."""
        updates, counters = self._updates, self.resync.counters
        return LiveStatistics(
            frames=0 if updates is None else updates.frames,
            changes=self.change_feed.published,
            gaps=0 if updates is None else updates.gaps,
            snapshots=counters.loaded,
            outdated=counters.outdated,
            failures=counters.failed,
            recovered=counters.recovered,
            swept=counters.swept,
            conflicting=0 if updates is None else updates.conflicting,
            unknown=0 if updates is None else updates.unknown,
            ignored=0 if updates is None else updates.ignored,
            unchanged=counters.unchanged,
            unlinked=counters.unlinked,
        )
