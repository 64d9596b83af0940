"""A loop: one stream, many snapshots and a sweep, put together: start, end, stop.

It never raises into anybody's task. What ends it is a value, ``ending``, which everybody meets who listens or waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from connecttrade_async.books.change_feed import TOPICS, ChangeFeed
from connecttrade_async.books.followed_users import FollowedUsers
from connecttrade_async.errors import ClosedError, ConfigurationError
from connecttrade_async.live.resync import Resync
from connecttrade_async.live.status import LiveStatistics
from connecttrade_async.live.sweep import Sweep
from connecttrade_async.live.updates import UpdateApplier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from connecttrade_async.books.followed_users import FollowedUser
    from connecttrade_async.books.snapshots import Noting, UserApi
    from connecttrade_async.clock import Clock
    from connecttrade_async.config import Reconnect
    from connecttrade_async.live.status import LiveSettings
    from connecttrade_async.streaming.config import Lifetime
    from connecttrade_async.streaming.stream import BrokerageStream
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["LiveEngine", "Patience"]

WHAT = "the live accounts"
CLOSED = "this set of live accounts"
# Waits of the length of a snapshot in which requests are sent and no user is read.
MOST_TURNS = 10
log = logging.getLogger("connecttrade_async.live")


class Patience:
    """Ends the wait for the first snapshots of users where it makes no progress.

    Args:
        surveyor: takes the snapshots.
        members: the users that are waited for.
        clock: time.
        seconds: seconds without any request after which the wait ends; or ten times as long without any user read.
    """

    __slots__ = ("_clock", "_members", "_seconds", "_seen", "_settled", "_surveyor", "_timer", "_turns")

    def __init__(self, surveyor: Resync, members: Iterable[FollowedUser], clock: Clock, seconds: float) -> None:
        self._surveyor = surveyor
        self._members = tuple(members)
        self._clock = clock
        self._seconds = seconds
        self._seen: int = surveyor.requests
        self._settled = self._turns = 0
        self._timer = clock.call_later(seconds, self._look)

    def _look(self) -> None:
        waiting = [each for each in self._members if each.tried is not None and not each.tried.done()]
        settled, requests = len(self._members) - len(waiting), self._surveyor.requests
        self._turns = self._turns + 1 if settled == self._settled else 0
        if settled == self._settled and (requests == self._seen or self._turns >= MOST_TURNS):
            for member in waiting:
                self._surveyor.give_up_waiting(member)
        else:
            self._settled, self._seen = settled, requests
            self._timer = self._clock.call_later(self._seconds, self._look)

    def end(self) -> None:
        """Stop."""
        self._timer.cancel()


class LiveEngine:
    """Follows users.

    Args:
        stream: what tells the news.
        settings: how books are kept.
        owns_stream: whether the stream is opened and closed here.
        reconnect: how long to wait after a snapshot that failed.
        clock: time.
        owner: with what it ends.
        noting: makes a user who takes notes of what is answered.

    Attributes:
        roster: who is followed.
        teller: who hears of it.
        surveyor: who looks.
        ending: why it is over, or None while it is not.
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
        noting: Noting,
    ) -> None:
        self.ending: Exception | None = None
        self.users = FollowedUsers(settings.keep_orders)
        self.change_feed = ChangeFeed(clock)
        self.resync = Resync(
            self.users,
            settings.budget,
            reconnect,
            clock,
            tell=self.change_feed.publish,
            tell_who_waits=self.change_feed.wake_order_waiters,
            abandon=self.change_feed.fail_waiters,
            crashed=self._crashed,
            noting=noting,
        )
        every = settings.sweep_every
        self._sweep = None if every is None else Sweep(self.users, self.resync, clock, every)
        self._stream = stream
        self._owns_stream = owns_stream
        self._capacity = settings.capacity
        self._patience = settings.snapshot_timeout
        self._clock = clock
        self._owner = owner
        self._stop_with_client: Callable[[], object] = bool
        self._events: Subscription | None = None
        self._updates: UpdateApplier | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, users: Iterable[UserApi]) -> None:
        """Start, and return when every user was read or could not be."""
        if self.ending is not None:
            raise self.ending.with_traceback(None)
        if self._events is not None:
            raise ConfigurationError(f"{WHAT} were entered before: make others")
        if not self._owns_stream and self._was_never_opened():
            raise ConfigurationError("the stream was never opened: use it as `async with`, around the live accounts")
        try:
            self._owner.check_open()
        except ClosedError as exc:
            self._end(exc)  # whoever listens already meets it as well
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
        # Subscribed first: what happens while the stream opens and snapshots are taken must not be lost.
        topics = (*TOPICS, "lifecycle", "unknown")
        self._events = self._stream.subscribe(*topics, capacity=self._capacity, overflow="drop_oldest")
        if self._owns_stream:
            await self._stream.__aenter__()
        self.users.is_live = self._is_live()
        self._updates = UpdateApplier(
            self._events,
            self.users,
            self.resync,
            self._clock,
            tell=self.change_feed.publish,
            tell_who_waits=self.change_feed.wake_order_waiters,
            look=self.change_feed.recheck,
            is_live=self._is_live,
        )
        self._task = asyncio.create_task(self._keep(self._updates), name="connecttrade live accounts")

    async def _keep(self, intake: UpdateApplier) -> None:
        try:
            self._end(await intake.run())
        except Exception as exc:  # noqa: BLE001 - whoever listens meets it, and it is logged
            self._crashed(exc)

    async def follow(self, users: Iterable[UserApi]) -> None:
        """Follow users, and return when each was read or could not be."""
        self.check_open()
        members = [self._added(user) for user in users]
        patience = Patience(self.resync, members, self._clock, self._patience)
        try:
            for member in members:
                if member.tried is not None:
                    await asyncio.shield(member.tried)
                    member.tried = None
        finally:
            patience.end()
        self.check_open()

    def _added(self, user: UserApi) -> FollowedUser:
        before = self.users.members.get(user.user_id)
        member = self.users.add(user)
        if before is not None:
            self.resync.forget(before)
        member.tried = asyncio.get_running_loop().create_future()
        self.resync.enqueue(member)
        self.change_feed.recheck()
        return member

    def drop(self, user_id: str) -> None:
        """Follow a user no more."""
        member = self.users.remove(user_id)
        if member is not None:
            self.resync.forget(member)
            self.change_feed.fail_waiters(lambda name: any(each.order(name) for each in member.keepers.values()))
            self.change_feed.recheck()

    def check_open(self) -> None:
        """Raise why nobody can be followed: it is over, or it was not entered."""
        if self.ending is not None:
            raise self.ending.with_traceback(None)
        if self._task is None:
            raise ConfigurationError(f"{WHAT} are not open: use them as `async with`")

    def _is_live(self) -> bool:
        return self._stream.health().state == "LIVE"

    def _was_never_opened(self) -> bool:
        health = self._stream.health()
        return health.state == "CONNECTING" and health.last_message is None

    def _crashed(self, error: BaseException) -> None:
        log.error("%s are over because of a mistake in them", WHAT, exc_info=error)
        self._end(error if isinstance(error, Exception) else ClosedError(CLOSED))

    def _end(self, error: Exception) -> None:
        """It is over: no book is current any more, and everybody is told why. Twice is once."""
        if self.ending is not None:
            return
        self.ending = error
        self._stop_with_client()
        self.users.is_live = False
        if self._sweep is not None:
            self._sweep.stop()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self.resync.stop()
        self.change_feed.close(error)

    async def aclose(self) -> None:
        """Stop everything, and wait until it has stopped."""
        try:
            self._end(ClosedError(CLOSED))
            await self.resync.aclose()
            if self._task is not None and not self._task.done():
                await asyncio.wait([self._task])
        finally:
            await self._leave_stream()

    async def _leave_stream(self) -> None:
        try:
            if self._events is not None:
                await self._events.__aexit__(None, None, None)
        finally:
            if self._owns_stream:
                await self._stream.aclose()

    def statistics(self) -> LiveStatistics:
        """Return what it came to so far."""
        intake, tally = self._updates, self.resync.tally
        return LiveStatistics(
            frames=0 if intake is None else intake.frames,
            changes=self.change_feed.published,
            gaps=0 if intake is None else intake.gaps,
            snapshots=tally.loaded,
            outdated=tally.outdated,
            failures=tally.failed,
            recovered=tally.recovered,
            swept=tally.swept,
            conflicting=0 if intake is None else intake.conflicting,
            unknown=0 if intake is None else intake.unknown,
            ignored=0 if intake is None else intake.ignored,
            unchanged=tally.unchanged,
            unlinked=tally.unlinked,
        )
