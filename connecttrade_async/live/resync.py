"""A loop: take snapshots of those who are due, so many at once, and tell what they find.

Its vow: a snapshot counts only if it was asked for after the latest gap, and a failed one changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from connecttrade_async.books.followed_users import activity
from connecttrade_async.books.snapshots import SnapshotDigest, as_it_is, oldest, take_snapshot
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
from connecttrade_async.live.doubt_budget import DoubtBudget, GrowingPauses
from connecttrade_async.live.missing_accounts import find_unlinked
from connecttrade_async.live.snapshot_limit import SnapshotLimit, UnendingError
from connecttrade_async.pacing import TokenBucket, bounded_retry_after, equal_jitter_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from connecttrade_async.books.book import AccountSnapshot, BookKeeper
    from connecttrade_async.books.changes import Cause, Change
    from connecttrade_async.books.followed_users import FollowedUser, FollowedUsers
    from connecttrade_async.books.snapshots import Noting, Snapshot
    from connecttrade_async.clock import Clock, Timer
    from connecttrade_async.config import Reconnect
    from connecttrade_async.live.status import SnapshotLimits

__all__ = ["Resync", "ResyncCounters"]

# Seconds at most between two looks for an account that is absent, or at a listing that did not end.
LONGEST_ABSENCE = 600.0
# Seconds at first after a listing that did not end, which costs many requests.
UNENDING = 60.0
# Gaps concern all users, and are counted under no user's name.
ALL = ""
MOST_REREADS = 3
# It is asked whether an account is still linked when no answer has had it for so long, and no frame: who links a broker
# anew is soon done, and keeps the book.
SILENCE = timedelta(minutes=2)
log = logging.getLogger("connecttrade_async.live")


class ResyncCounters:
    """What snapshots came to."""

    __slots__ = ("failed", "loaded", "outdated", "recovered", "swept", "unchanged", "unlinked")

    def __init__(self) -> None:
        self.loaded = self.unchanged = self.failed = self.outdated = self.recovered = self.swept = 0
        self.unlinked = 0


class Resync:
    """Takes snapshots.

    Args:
        roster: of whom.
        budget: how fast.
        reconnect: how long to wait after a failure.
        clock: time.
        tell: takes what was found, and nothing where only what is current has changed.
        tell_who_waits: takes what was found and is no news.
        abandon: sends those home who wait for some orders.
        crashed: takes what nobody foresaw.
        noting: makes a user who takes notes of what is answered, and leaves unread what is known.

    Attributes:
        failed: by user, why there is no snapshot that counts.
        tally: what came of it.
        requests: how many requests were let through.
    """

    def __init__(
        self,
        roster: FollowedUsers,
        budget: SnapshotLimits,
        reconnect: Reconnect,
        clock: Clock,
        *,
        tell: Callable[[Sequence[Change]], None],
        tell_who_waits: Callable[[Sequence[Change]], None],
        abandon: Callable[[Callable[[str], bool]], None],
        crashed: Callable[[BaseException], None],
        noting: Noting = as_it_is,
    ) -> None:
        self.failed: dict[str, ConnectTradeError] = {}
        self.tally = ResyncCounters()
        self._roster = roster
        self._concurrency = budget.concurrency
        self._pages, self._seconds = budget.pages, budget.seconds
        rate = budget.requests_per_second
        self._bucket = None if rate is None else TokenBucket(rate, clock.now())
        self._reconnect = reconnect
        self._clock = clock
        self._publish = tell
        self._wake_order_waiters = tell_who_waits
        self._line: deque[FollowedUser] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._abandon = abandon
        self._crashed = crashed
        self._noting = noting
        self._is_over = False
        self._doubts = DoubtBudget(reconnect.base, clock.now())
        self._planned: dict[FollowedUser, Timer] = {}
        self._gaps = GrowingPauses(reconnect.base, reconnect.cap)
        self._resyncing: Timer | None = None
        self._held_until = clock.now()
        self._limited = 0
        self.requests: int = 0

    @property
    def waiting(self) -> int:
        """Users in line."""
        return len(self._line)

    @property
    def asking(self) -> int:
        """Users who are being asked about."""
        return len(self._workers)

    def enqueue(self, member: FollowedUser) -> None:
        """Put a user in line, unless one is there already."""
        member.call_off()
        if not (member.is_due or member.is_gone or self._is_over):
            member.is_due = True
            # Of a user who is being asked about, the answer under way may be too old: once more, when it is here.
            if not member.is_asking:
                self._line.append(member)
                self._start_workers()

    def missed(self, member: FollowedUser) -> None:
        """Something of one user was missed: no snapshot so far counts any more."""
        self._roster.mark_stale([member])
        member.missed_count += 1
        self.enqueue(member)

    def doubt(self, members: Iterable[FollowedUser], accounts: Collection[str] | None = None) -> None:
        """Read users again of whom something may have been missed, as soon as the budget for doubts allows it.

        Until then the accounts concerned are not current; the users' other accounts stay as they are.

        Args:
            members: the users.
            accounts: the accounts concerned; None where it may be any of the user's.
        """
        members, now = sorted(members, key=activity, reverse=True), self._clock.now()
        self._roster.mark_suspect(members, accounts)
        for member in members:
            self._doubts.note(member.user.user_id, now)
            # A read that is still to begin covers this doubt too.
            if member.is_due or member in self._planned or self._is_over:
                continue
            delay = self._doubts.reserve(member.user.user_id, len(self._roster.members), now)
            if delay:
                self._planned[member] = self._clock.call_later(delay, partial(self._read_doubted, member))
            else:
                self.enqueue(member)

    def _read_doubted(self, member: FollowedUser) -> None:
        del self._planned[member]
        self.enqueue(member)

    def _settle_doubt(self, member: FollowedUser) -> None:
        """Take a user for read: a snapshot counts that was asked for after the latest doubt."""
        self._roster.doubted.pop(member, None)
        planned = self._planned.pop(member, None)
        if planned is not None:
            planned.cancel()
            self._doubts.refund(member.user.user_id)

    def resync(self) -> None:
        """There was a gap: no snapshot so far counts any more. Everybody is due, the most active first.

        Gap after gap, with growing pauses.
        """
        self._roster.generation += 1
        self._roster.mark_stale(self._roster.members.values())
        if self._resyncing is not None or self._is_over:
            return
        now = self._clock.now()
        self._gaps.note(ALL, now)
        delay = self._gaps.reserve(ALL, now)
        if delay:
            self._resyncing = self._clock.call_later(delay, self._read_all)
        else:
            self._read_all()

    def _read_all(self) -> None:
        self._resyncing = None
        unread = self._roster.unread
        everybody = [each for each in self._roster.by_activity() if each.is_due or each in unread]
        for member in everybody:
            member.call_off()
            member.is_due = True
        self._line = deque(member for member in everybody if not member.is_asking)
        self._start_workers()

    def forget(self, member: FollowedUser) -> None:
        """A user is followed no more."""
        self.failed.pop(member.user.user_id, None)
        self._settle_doubt(member)
        self._doubts.forget(member.user.user_id)
        _settle(member)

    def stop(self) -> None:
        """Ask nothing more; what is being asked is dropped."""
        self._is_over = True
        self._line.clear()
        for member in self._roster.members.values():
            member.call_off()
            _settle(member)
        if self._resyncing is not None:
            self._resyncing.cancel()
        for planned in self._planned.values():
            planned.cancel()
        self._planned.clear()
        for worker in self._workers:
            worker.cancel()

    async def aclose(self) -> None:
        """Stop, and wait until nothing is being asked any more."""
        self.stop()
        if self._workers:
            await asyncio.wait(tuple(self._workers))

    def _start_workers(self) -> None:
        if self._is_over:
            return
        for _ in range(min(len(self._line), self._concurrency - len(self._workers))):
            worker = asyncio.create_task(self._work(), name="connecttrade snapshots")
            self._workers.add(worker)
            worker.add_done_callback(self._worker_done)

    def _worker_done(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        error = None if worker.cancelled() else worker.exception()
        if error is not None:
            self._crashed(error)
        # Whoever came into line while the last worker was leaving found nobody to hire.
        self._start_workers()

    async def _work(self) -> None:
        while self._line:
            member = self._line.popleft()
            member.is_due = False
            if member.is_gone:
                continue
            try:
                await self._take_snapshot(member)
            except Exception as exc:  # noqa: BLE001 - one odd answer must not end the accounts of all users
                self._gives_up(member, exc)
            finally:
                member.is_asking = False
                self._roster.newcomers.discard(member)
                for keeper in member.keepers.values():
                    keeper.abort_snapshot()
            if member.is_due:
                self._line.append(member)

    async def _take_snapshot(self, member: FollowedUser) -> None:
        roster = self._roster
        generation, misses, asked = roster.generation, member.missed_count, self._clock.wall()
        doubts = member.doubts
        cause: Cause = "sweep" if roster.has_read(member) else "recovered"
        window = member.window(asked, timedelta(seconds=roster.keep.age))
        member.call_off()
        member.is_asking = True
        if member.since is None:
            member.unmatched.clear()
            roster.newcomers.add(member)
        for keeper in member.keepers.values():
            keeper.begin_snapshot()
        frames, known = member.frames, member.valid_known()
        reader, seen = self._noting(member.user, () if known is None else known.digests)
        try:
            limit = SnapshotLimit(self._turn, self._clock, member.user.user_id, self._pages, self._seconds)
            snapshot = await take_snapshot(reader, window, limit)
            still = known if known is member.valid_known() else None
            listed = None if still is not None and snapshot.is_unread else snapshot.by_account(still)
            gone = () if listed is None else await self._check_gone(member, listed)
        except ConnectTradeError as exc:
            self._fails(member, exc)
            return
        if member.is_gone or (generation, misses) != (roster.generation, member.missed_count):
            self.tally.outdated += 1
            return
        if known is not None and member.known is None:
            # An account became another's meanwhile, so what is known no longer says which accounts are new.
            self.tally.outdated += 1
            self.missed(member)
            return
        for account_id in gone:
            self._unlink(member, account_id)
        changes: Sequence[Change] = ()
        if listed is None:
            self._confirm(member, asked)
        else:
            changes = self._load(member, listed, cause, asked)
            is_clean = seen and snapshot.is_plain and frames == member.frames and member.is_settled
            member.known = _known_now(member, snapshot, seen, still) if is_clean else None
        if member in roster.newcomers and member.retakes < MOST_REREADS and member.has_unmatched():
            # Now that it is known what is this user's, the frames find it: it begins with the next snapshot.
            member.retakes += 1
            member.since = None
            self.tally.outdated += 1
            self.missed(member)
            return
        roster.unread.discard(member)
        if doubts == member.doubts:
            self._settle_doubt(member)
        self._succeeds(member)
        self._check_doubt(member)
        self._publish(changes)

    def _confirm(self, member: FollowedUser, asked: datetime) -> None:
        self._roster.confirm(member, self._clock.wall())
        member.since = asked
        self.tally.unchanged += 1

    def _load(
        self,
        member: FollowedUser,
        listed: Mapping[str, AccountSnapshot],
        cause: Cause,
        asked: datetime,
    ) -> Sequence[Change]:
        roster = self._roster
        begins = member.missed_since if cause == "recovered" else None
        before = {account_id: keeper.problem for account_id, keeper in member.keepers.items()}
        changes, rest = roster.load(member, listed, cause, begins, self._clock.wall())
        for account_id, keeper in member.keepers.items():
            if keeper.problem is not None and keeper.problem != before.get(account_id):
                name, problem = one_line(account_id), one_line(keeper.problem)
                log.warning("account %s of user %s is not current: %s", name, member.user.user_id, problem)
        member.since = asked
        if rest:
            self._wake_order_waiters(rest)
        for change in changes:
            if change.is_material:
                self.tally.swept += change.cause == "sweep"
                self.tally.recovered += change.cause == "recovered"
        return changes

    def _succeeds(self, member: FollowedUser) -> None:
        if self.failed.pop(member.user.user_id, None) is not None:
            log.info("user %s is read again", member.user.user_id)
        member.failures = self._limited = 0
        self.tally.loaded += 1
        self._check_absent(member)
        _settle(member)

    def _check_doubt(self, member: FollowedUser) -> None:
        """Take another snapshot of a user, within the budget for doubts, if this one did not settle what is true."""
        doubtful = [keeper for keeper in member.keepers.values() if keeper.lacks_whole]
        for keeper in doubtful:
            keeper.lacks_whole = False
        if doubtful:
            self.doubt([member], [keeper.account_id for keeper in doubtful])

    def _check_absent(self, member: FollowedUser) -> None:
        """An account that the answer did not have was not read: try again, more and more seldom, for it may be gone."""
        absent = [account_id for account_id, keeper in member.keepers.items() if not keeper.is_read]
        if not absent:
            member.absences = 0
            return
        level = logging.DEBUG if member.absences else logging.WARNING
        log.log(level, "no answer has account %s of user %s", one_line(", ".join(absent)), member.user.user_id)
        # So that the next answer is read whole: what it has not must not be what was left out of it.
        member.known = None
        delay = equal_jitter_delay(member.absences, self._reconnect.base, LONGEST_ABSENCE)
        member.absences += 1
        if not member.is_due:
            member.timer = self._clock.call_later(delay, partial(self.enqueue, member))

    async def _check_gone(self, member: FollowedUser, listed: Mapping[str, AccountSnapshot]) -> Sequence[str]:
        """Return the user's accounts that were not read for long, and are not linked any more."""
        absent = [name for name, keeper in member.keepers.items() if name not in listed and self._is_silent(keeper)]
        if not absent:
            return ()
        read = [name for name, each in listed.items() if each.is_read]
        try:
            return await find_unlinked(member.user, self._turn, absent, read)
        except ConnectTradeError as exc:
            self._respect_retry_after(exc)
            log.debug("the connections of user %s could not be listed: %s", member.user.user_id, exc)
            return ()

    def _is_silent(self, keeper: BookKeeper) -> bool:
        since = keeper.absent_since
        heard = since if keeper.as_of is None or since is None else max(since, keeper.as_of)
        return heard is not None and self._clock.wall() - heard >= SILENCE

    def _unlink(self, member: FollowedUser, account_id: str) -> None:
        keeper = member.keepers.get(account_id)
        # Something may have been heard of it while it was asked about.
        if keeper is not None and self._is_silent(keeper):
            log.warning("account %s of user %s is not linked any more", one_line(account_id), member.user.user_id)
            self._roster.unlink(member, account_id)
            self._abandon(lambda order_id: keeper.order(order_id) is not None)
            self.tally.unlinked += 1

    def _respect_retry_after(self, error: ConnectTradeError) -> None:
        if isinstance(error, RateLimitedError):
            # Who asks too often is the platform, not one of its users: nobody is asked about before that.
            now = self._clock.now()
            own = equal_jitter_delay(self._limited, self._reconnect.base, self._reconnect.cap)
            if self._held_until <= now:  # of requests that were sent together the first alone makes pauses grow
                self._limited += 1
            self._held_until = max(self._held_until, now + bounded_retry_after(error.retry_after, own))

    def _fails(self, member: FollowedUser, error: ConnectTradeError) -> None:
        self.tally.failed += 1
        self._respect_retry_after(error)
        if member.is_gone:
            return
        level = logging.DEBUG if member.failures else logging.WARNING
        log.log(level, "no snapshot of user %s: %s", member.user.user_id, one_line(str(error)))
        member.failures += 1
        is_refused = isinstance(error, AuthenticationError)
        if is_refused:
            self._roster.mark_stale([member])
        # While the stream tells everything, the books are no worse for a sweep that failed.
        if not self._roster.has_read(member):
            self.failed[member.user.user_id] = error
            if not is_refused and not isinstance(error, ClosedError):
                self._try_again(member, error)
        _settle(member)
        self._publish(())

    def _gives_up(self, member: FollowedUser, cause: Exception) -> None:
        """Take an error that is none of this library's for a snapshot that failed; it may be loaded in part."""
        user_id, name = member.user.user_id, type(cause).__name__
        log.error("the snapshot of user %s could not be taken", user_id, exc_info=cause)
        error = MalformedResponseError(
            where=f"the snapshot of user {user_id}", problem=f"it could not be taken ({name})"
        )
        error.__cause__ = cause
        if not member.is_gone:
            member.known = None
            self._roster.mark_stale([member])
        self._fails(member, error)

    def _try_again(self, member: FollowedUser, error: ConnectTradeError) -> None:
        base, cap = self._reconnect.base, self._reconnect.cap
        if isinstance(error, UnendingError):
            base, cap = UNENDING, LONGEST_ABSENCE
        asked, own = (
            error.retry_after if isinstance(error, APIError) else None,
            equal_jitter_delay(member.failures - 1, base, cap),
        )
        # After a pause of all users each has its own backoff besides, so that they do not ask at the same moment.
        held = max(0.0, self._held_until - self._clock.now())
        delay = max(bounded_retry_after(asked, own), held + own)
        member.timer = self._clock.call_later(delay, partial(self.enqueue, member))

    def give_up_waiting(self, member: FollowedUser) -> None:
        """Take a user who was not read for failed, so that nothing waits for it; it is still read."""
        if member.tried is not None and not member.tried.done():
            detail = f"user {member.user.user_id} was not read, and nothing else happened, for {self._seconds:.3g} s"
            error = RequestTimeoutError(method="GET", path="/orders", kind="timeout", detail=detail)
            self.failed.setdefault(member.user.user_id, error)
            log.warning("no snapshot of user %s: %s", member.user.user_id, detail)
            _settle(member)

    def _turn(self) -> Awaitable[None] | None:
        if self._bucket is None and self._held_until <= self._clock.now():
            self.requests += 1
            return None
        return self._wait_for_turn()

    async def _wait_for_turn(self) -> None:
        while (held := self._held_until - self._clock.now()) > 0:
            await pause(self._clock, held)
        delay = 0.0 if self._bucket is None else self._bucket.reserve(self._clock.now())
        if delay:
            await pause(self._clock, delay)
        self.requests += 1


async def pause(clock: Clock, seconds: float) -> None:
    """Wait. Cancelling leaves nothing behind."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(seconds, partial(_set, done))
    try:
        await done
    finally:
        timer.cancel()


def _known_now(
    member: FollowedUser, snapshot: Snapshot, seen: Sequence[int], before: SnapshotDigest | None
) -> SnapshotDigest:
    # Where the orders are the same, and no frame was heard, those are open that were.
    first = before.oldest if before is not None and snapshot.has_same_orders(before) else oldest(member.open_orders())
    return SnapshotDigest(tuple(seen), member.frames, snapshot.only, first)


def _settle(member: FollowedUser) -> None:
    if member.tried is not None:
        _set(member.tried)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
