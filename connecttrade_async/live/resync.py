"""Take snapshots of users, with a bound on concurrency and rate, and publish the changes that they find.

A snapshot counts only if it was requested after the latest gap. A snapshot that fails changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from connecttrade_async.books.followed_users import FollowState, SnapshotState, activity
from connecttrade_async.books.snapshots import SnapshotDigest, oldest, take_snapshot
from connecttrade_async.errors import (
    APIError,
    AuthenticationError,
    ClosedError,
    ConnectTradeError,
    MalformedResponseError,
    RateLimitedError,
    RequestTimeoutError,
    one_line,
)
from connecttrade_async.futures import resolve
from connecttrade_async.live.doubt_budget import DoubtBudget, GrowingPauses
from connecttrade_async.live.missing_accounts import find_unlinked
from connecttrade_async.live.snapshot_limit import SnapshotLimit, UnendingError
from connecttrade_async.pacing import TokenBucket, bounded_retry_after, equal_jitter_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from connecttrade_async.books.book import AccountSnapshot, BookKeeper
    from connecttrade_async.books.change_feed import ChangeFeed
    from connecttrade_async.books.changes import Cause, Change
    from connecttrade_async.books.followed_users import FollowedUser, FollowedUsers
    from connecttrade_async.books.snapshots import UserSnapshot
    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.config import Reconnect
    from connecttrade_async.live.status import SnapshotLimits

__all__ = ["Resync", "ResyncCounters"]

# The longest pause in seconds between two reads because of an absent account, or of a listing that did not end.
LONGEST_ABSENCE = 600.0
# The first pause in seconds after a listing that did not end, which costs many requests.
UNENDING_BASE = 60.0
# The key of gaps, which concern all users.
ALL_USERS = ""
MAX_RETAKES = 3
# An account is checked for being unlinked when neither an answer nor a frame had it for this long.
# A user that links a broker again is done sooner, and keeps the book.
UNLINKED_AFTER = timedelta(minutes=2)
# No snapshot of a user in these states counts.
_UNREAD = frozenset({FollowState.NEW, FollowState.READING, FollowState.STALE})
log = logging.getLogger("connecttrade_async.live")


class ResyncCounters:
    """Counters of snapshots and of their outcomes."""

    __slots__ = ("failed", "loaded", "outdated", "recovered", "swept", "unchanged", "unlinked")

    def __init__(self) -> None:
        self.loaded = self.unchanged = self.failed = self.outdated = self.recovered = self.swept = 0
        self.unlinked = 0


class Resync:
    """Takes snapshots of users that are due.

    Args:
        users: the followed users.
        change_feed: publishes the changes that snapshots find.
        budget: the bounds of the requests.
        reconnect: the backoff after a failure.
        clock: time.
        crashed: ends the engine with an error that no other rule handles.

    Attributes:
        failed: by user id, why no snapshot of the user counts.
        counters: the counters so far.
        requests: the number of requests that were allowed.
    """

    def __init__(
        self,
        users: FollowedUsers,
        change_feed: ChangeFeed,
        budget: SnapshotLimits,
        reconnect: Reconnect,
        clock: Clock,
        *,
        crashed: Callable[[BaseException], None],
    ) -> None:
        self.failed: dict[str, ConnectTradeError] = {}
        self.counters = ResyncCounters()
        self._users = users
        self._concurrency = budget.concurrency
        self._pages, self._seconds = budget.pages, budget.seconds
        rate = budget.requests_per_second
        self._bucket = None if rate is None else TokenBucket(rate, clock.now())
        self._reconnect = reconnect
        self._clock = clock
        self._change_feed = change_feed
        self._queue: deque[FollowedUser] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._crashed = crashed
        self._is_stopped = False
        self._doubt_budget = DoubtBudget(reconnect.base, clock.now())
        self._reread_timers: dict[FollowedUser, Timer] = {}
        self._gap_pauses = GrowingPauses(reconnect.base, reconnect.cap)
        self._resync_timer: Timer | None = None
        self._paused_until = clock.now()
        self._rate_limit_count = 0
        self.requests: int = 0

    @property
    def waiting(self) -> int:
        """The number of users that wait for a snapshot."""
        return len(self._queue)

    @property
    def asking(self) -> int:
        """The number of snapshots under way."""
        return len(self._workers)

    def enqueue(self, followed: FollowedUser) -> None:
        """Enqueue a user for a snapshot, unless it is queued already."""
        followed.cancel_retry()
        if not (followed.is_due or followed.state is FollowState.GONE or self._is_stopped):
            followed.is_due = True
            # If a snapshot of the user is under way, its answer may be too old: the worker enqueues the user again.
            if not followed.is_reading:
                self._queue.append(followed)
                self._start_workers()

    def enqueue_stale(self, followed: FollowedUser) -> None:
        """Discard all snapshots of one user so far, because something was missed, and enqueue it."""
        self._users.mark_stale([followed])
        self.enqueue(followed)

    def enqueue_suspect(self, followed_users: Iterable[FollowedUser], accounts: Collection[str] | None = None) -> None:
        """Read users again after updates of them may have been missed, as soon as the doubt budget allows it.

        Until then the accounts concerned are not current. The users' other accounts stay as they are.

        Args:
            followed_users: the users.
            accounts: the ids of the accounts concerned; None for all accounts of the users.
        """
        followed_users, now = sorted(followed_users, key=activity, reverse=True), self._clock.now()
        self._users.mark_suspect(followed_users, accounts)
        for followed in followed_users:
            self._doubt_budget.note(followed.user.user_id, now)
            # A read that has not begun covers this doubt too.
            if followed.is_due or followed in self._reread_timers or self._is_stopped:
                continue
            delay = self._doubt_budget.reserve(followed.user.user_id, len(self._users.by_id), now)
            # To read at once is wrong: a stream that talks nonsense would cost a snapshot for each frame.
            if delay:
                self._reread_timers[followed] = self._clock.call_later(delay, partial(self._reread, followed))
            else:
                self.enqueue(followed)

    def _reread(self, followed: FollowedUser) -> None:
        del self._reread_timers[followed]
        self.enqueue(followed)

    def _cancel_reread(self, followed: FollowedUser) -> None:
        """Cancel the planned read of a user: a snapshot counts that was requested after the latest doubt."""
        planned = self._reread_timers.pop(followed, None)
        if planned is not None:
            planned.cancel()
            self._doubt_budget.refund(followed.user.user_id)

    def resync_all(self) -> None:
        """Discard all snapshots so far because of a gap, and read all users again, most active first.

        Repeated gaps are followed by growing pauses.
        """
        self._users.mark_stale(self._users.by_id.values())
        if self._resync_timer is not None or self._is_stopped:
            return
        now = self._clock.now()
        self._gap_pauses.note(ALL_USERS, now)
        delay = self._gap_pauses.reserve(ALL_USERS, now)
        if delay:
            self._resync_timer = self._clock.call_later(delay, self._read_all)
        else:
            self._read_all()

    def _read_all(self) -> None:
        self._resync_timer = None
        # A user that is SUSPECT only has a read planned within the doubt budget, which a gap must not spend.
        stale_users = [each for each in self._users.by_activity() if each.is_due or each.state in _UNREAD]
        for followed in stale_users:
            followed.cancel_retry()
            followed.is_due = True
        self._queue = deque(followed for followed in stale_users if not followed.is_reading)
        self._start_workers()

    def forget(self, followed: FollowedUser) -> None:
        """Drop everything that is kept of a user that is not followed any more."""
        self.failed.pop(followed.user.user_id, None)
        self._cancel_reread(followed)
        self._doubt_budget.forget(followed.user.user_id)
        _finish_first_read(followed)

    def stop(self) -> None:
        """Stop: send no further request and cancel the snapshots under way."""
        self._is_stopped = True
        self._queue.clear()
        # A call that waits for a first snapshot would wait for ever.
        for followed in self._users.by_id.values():
            followed.cancel_retry()
            _finish_first_read(followed)
        if self._resync_timer is not None:
            self._resync_timer.cancel()
        for planned in self._reread_timers.values():
            planned.cancel()
        self._reread_timers.clear()
        for worker in self._workers:
            worker.cancel()

    async def aclose(self) -> None:
        """Stop, and wait until no snapshot is under way."""
        self.stop()
        if self._workers:
            await asyncio.wait(tuple(self._workers))

    def _start_workers(self) -> None:
        # Frames and timers start workers, and neither is in a task that could hold a task group of anyio open. A task
        # made for it would be kept by hand like these, and a start would take 22 us in place of 8.
        if self._is_stopped:
            return
        for _ in range(min(len(self._queue), self._concurrency - len(self._workers))):
            worker = asyncio.create_task(self._work(), name="connecttrade snapshots")
            self._workers.add(worker)
            worker.add_done_callback(self._worker_done)

    def _worker_done(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        error = None if worker.cancelled() else worker.exception()
        if error is not None:
            self._crashed(error)
        # A user that was enqueued while the last worker ended found no free worker.
        self._start_workers()

    async def _work(self) -> None:
        while self._queue:
            followed = self._queue.popleft()
            followed.is_due = False
            if followed.state is FollowState.GONE:
                continue
            try:
                await self._take_snapshot(followed)
            except Exception as exc:  # noqa: BLE001 - one odd answer must not end the accounts of all users
                self._on_unexpected_error(followed, exc)
            finally:
                self._users.end_snapshot(followed)
            if followed.is_due:
                self._queue.append(followed)

    async def _take_snapshot(self, followed: FollowedUser) -> None:
        users = self._users
        requested_at = self._clock.wall()
        cause: Cause = "sweep" if users.has_read(followed) else "recovered"
        window = followed.window(requested_at, timedelta(seconds=users.keep.age))
        followed.cancel_retry()
        users.begin_snapshot(followed)
        frames, known = followed.frames, followed.valid_known()
        # Nothing is written to the books before all answers are there: half a snapshot is a wrong book.
        try:
            limit = SnapshotLimit(self._turn, self._clock, followed.user.user_id, self._pages, self._seconds)
            snapshot = await take_snapshot(followed.user, window, limit, () if known is None else known.digests)
            valid_digest = known if known is followed.valid_known() else None
            listed = None if valid_digest is not None and snapshot.is_known else snapshot.by_account(valid_digest)
            unlinked = () if listed is None else await self._find_unlinked(followed, listed)
        except ConnectTradeError as exc:
            self._on_failure(followed, exc)
            return
        # Whatever outdates a snapshot also plans the next one.
        if followed.snapshot is SnapshotState.OUTDATED:
            self.counters.outdated += 1
            return
        if known is not None and followed.known is None:
            # An account moved to another user meanwhile, so the digest no longer says which accounts are new.
            self.counters.outdated += 1
            self.enqueue_stale(followed)
            return
        for account_id in unlinked:
            self._unlink(followed, account_id)
        changes: Sequence[Change] = ()
        if listed is None:
            self._confirm(followed, requested_at)
        else:
            changes = self._load(followed, listed, cause, requested_at)
            is_clean = snapshot.is_plain and frames == followed.frames and followed.is_settled
            followed.known = _known_now(followed, snapshot, valid_digest) if is_clean else None
        if followed in users.new_users and followed.retakes < MAX_RETAKES and followed.has_unmatched():
            # Now the user's accounts are known, so the next snapshot holds the frames that had no match.
            followed.retakes += 1
            followed.since = None
            self.counters.outdated += 1
            self.enqueue_stale(followed)
            return
        if users.accept_snapshot(followed):
            self._cancel_reread(followed)
        self._on_success(followed)
        # Before `publish`: a predicate that runs in it must not see a contradicted book as current.
        self._check_contradictions(followed)
        self._change_feed.publish(changes)

    def _confirm(self, followed: FollowedUser, requested_at: datetime) -> None:
        self._users.confirm(followed, self._clock.wall())
        followed.since = requested_at
        self.counters.unchanged += 1

    def _load(
        self,
        followed: FollowedUser,
        listed: Mapping[str, AccountSnapshot],
        cause: Cause,
        requested_at: datetime,
    ) -> Sequence[Change]:
        users = self._users
        begins = followed.missed_since if cause == "recovered" else None
        before = {account_id: keeper.problem for account_id, keeper in followed.keepers.items()}
        changes, rest = users.load(followed, listed, cause, begins, self._clock.wall())
        for account_id, keeper in followed.keepers.items():
            if keeper.problem is not None and keeper.problem != before.get(account_id):
                name, problem = one_line(account_id), one_line(keeper.problem)
                log.warning("account %s of user %s is not current: %s", name, followed.user.user_id, problem)
        followed.since = requested_at
        if rest:
            self._change_feed.wake_order_waiters(rest)
        for change in changes:
            if change.is_material:
                self.counters.swept += change.cause == "sweep"
                self.counters.recovered += change.cause == "recovered"
        return changes

    def _on_success(self, followed: FollowedUser) -> None:
        if self.failed.pop(followed.user.user_id, None) is not None:
            log.info("user %s was read after failures", followed.user.user_id)
        followed.failures = self._rate_limit_count = 0
        self.counters.loaded += 1
        self._check_absent(followed)
        _finish_first_read(followed)

    def _check_contradictions(self, followed: FollowedUser) -> None:
        """Read a user again, within the doubt budget, if its snapshot left contradictions."""
        doubtful = [keeper for keeper in followed.keepers.values() if keeper.lacks_whole]
        for keeper in doubtful:
            keeper.lacks_whole = False
        if doubtful:
            self.enqueue_suspect([followed], [keeper.account_id for keeper in doubtful])

    def _check_absent(self, followed: FollowedUser) -> None:
        """Read a user again, less and less often, if the snapshot lacked some of its accounts.

        Such an account was not read; it may be unlinked.
        """
        absent = [account_id for account_id, keeper in followed.keepers.items() if not keeper.is_read]
        if not absent:
            followed.absent_count = 0
            return
        level = logging.DEBUG if followed.absent_count else logging.WARNING
        log.log(level, "no answer has account %s of user %s", one_line(", ".join(absent)), followed.user.user_id)
        # The next answer must be decoded whole: an account that it lacks must not be one that was skipped as known.
        followed.known = None
        delay = equal_jitter_delay(followed.absent_count, self._reconnect.base, LONGEST_ABSENCE)
        followed.absent_count += 1
        if not followed.is_due:
            followed.timer = self._clock.call_later(delay, partial(self.enqueue, followed))

    async def _find_unlinked(self, followed: FollowedUser, listed: Mapping[str, AccountSnapshot]) -> Sequence[str]:
        """Return the user's accounts that were not read for long and are not linked any more."""
        absent = [
            name for name, keeper in followed.keepers.items() if name not in listed and self._is_absent_long(keeper)
        ]
        if not absent:
            return ()
        read = [name for name, each in listed.items() if each.is_read]
        try:
            return await find_unlinked(followed.user, self._turn, absent, read)
        except ConnectTradeError as exc:
            self._respect_retry_after(exc)
            log.debug("the connections of user %s could not be listed: %s", followed.user.user_id, exc)
            return ()

    def _is_absent_long(self, keeper: BookKeeper) -> bool:
        since = keeper.absent_since
        last_report = since if keeper.as_of is None or since is None else max(since, keeper.as_of)
        return last_report is not None and self._clock.wall() - last_report >= UNLINKED_AFTER

    def _unlink(self, followed: FollowedUser, account_id: str) -> None:
        keeper = followed.keepers.get(account_id)
        # A frame of the account may have come while its connections were listed.
        if keeper is not None and self._is_absent_long(keeper):
            log.warning("account %s of user %s is not linked any more", one_line(account_id), followed.user.user_id)
            self._users.unlink(followed, account_id)
            self._change_feed.fail_waiters(lambda order_id: keeper.order(order_id) is not None)
            self.counters.unlinked += 1

    def _respect_retry_after(self, error: ConnectTradeError) -> None:
        if isinstance(error, RateLimitedError):
            # The rate limit is of the application and not of one user, so all users wait.
            now = self._clock.now()
            backoff = equal_jitter_delay(self._rate_limit_count, self._reconnect.base, self._reconnect.cap)
            if self._paused_until <= now:  # of concurrent requests only the first makes the pause grow
                self._rate_limit_count += 1
            self._paused_until = max(self._paused_until, now + bounded_retry_after(error.retry_after, backoff))

    def _on_failure(self, followed: FollowedUser, error: ConnectTradeError) -> None:
        self.counters.failed += 1
        self._respect_retry_after(error)
        if followed.state is FollowState.GONE:
            return
        level = logging.DEBUG if followed.failures else logging.WARNING
        log.log(level, "no snapshot of user %s: %s", followed.user.user_id, one_line(str(error)))
        followed.failures += 1
        # A refused secret is no outage: the user may have been deleted or disconnected, so its books are not trusted.
        is_refused = isinstance(error, AuthenticationError)
        if is_refused:
            self._users.mark_stale([followed])
        # While the stream is live and nothing was missed, a sweep that failed makes no book worse.
        if not self._users.has_read(followed):
            self.failed[followed.user.user_id] = error
            if not is_refused and not isinstance(error, ClosedError):
                self._schedule_retry(followed, error)
        _finish_first_read(followed)
        # No change, but `failed` has: predicates of `wait` read it.
        self._change_feed.publish(())

    def _on_unexpected_error(self, followed: FollowedUser, cause: Exception) -> None:
        """Treat an unforeseen error as a failed snapshot; the snapshot may be loaded in part."""
        user_id, name = followed.user.user_id, type(cause).__name__
        log.error("the snapshot of user %s failed with an unexpected error", user_id, exc_info=cause)
        error = MalformedResponseError(
            where=f"the snapshot of user {user_id}", problem=f"it failed with an unexpected error ({name})"
        )
        error.__cause__ = cause
        if followed.state is not FollowState.GONE:
            followed.known = None
            self._users.mark_stale([followed])
        self._on_failure(followed, error)

    def _schedule_retry(self, followed: FollowedUser, error: ConnectTradeError) -> None:
        base, cap = self._reconnect.base, self._reconnect.cap
        if isinstance(error, UnendingError):
            base, cap = UNENDING_BASE, LONGEST_ABSENCE
        retry_after, backoff = (
            error.retry_after if isinstance(error, APIError) else None,
            equal_jitter_delay(followed.failures - 1, base, cap),
        )
        # After a pause for all users each adds its own backoff, so that their requests do not coincide.
        paused = max(0.0, self._paused_until - self._clock.now())
        delay = max(bounded_retry_after(retry_after, backoff), paused + backoff)
        followed.timer = self._clock.call_later(delay, partial(self.enqueue, followed))

    def give_up_waiting(self, followed: FollowedUser) -> None:
        """Count an unread user as failed, so that no call waits for it; it is still read."""
        if followed.first_read is not None and not followed.first_read.done():
            detail = f"user {followed.user.user_id} was not read and there was no progress for {self._seconds:.3g} s"
            error = RequestTimeoutError(method="GET", path="/orders", kind="timeout", detail=detail)
            self.failed.setdefault(followed.user.user_id, error)
            log.warning("no snapshot of user %s: %s", followed.user.user_id, detail)
            _finish_first_read(followed)

    def _turn(self) -> Awaitable[None] | None:
        if self._bucket is None and self._paused_until <= self._clock.now():
            self.requests += 1
            return None
        return self._wait_for_turn()

    async def _wait_for_turn(self) -> None:
        # Another request may have made the pause longer meanwhile.
        while (paused := self._paused_until - self._clock.now()) > 0:
            await pause(self._clock, paused)
        delay = 0.0 if self._bucket is None else self._bucket.reserve(self._clock.now())
        if delay:
            await pause(self._clock, delay)
        self.requests += 1


async def pause(clock: Clock, seconds: float) -> None:
    """Sleep on the given clock. Cancelling cancels the timer."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(seconds, partial(resolve, done, None))
    try:
        await done
    finally:
        timer.cancel()


def _known_now(followed: FollowedUser, snapshot: UserSnapshot, before: SnapshotDigest | None) -> SnapshotDigest:
    # If the orders are the same and no frame came, the open orders are the same.
    first = before.oldest if before is not None and snapshot.has_same_orders(before) else oldest(followed.open_orders())
    return SnapshotDigest(tuple(snapshot.responses), followed.frames, snapshot.only, first)


def _finish_first_read(followed: FollowedUser) -> None:
    if followed.first_read is not None:
        resolve(followed.first_read, None)
