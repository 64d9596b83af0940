"""Followed users, their accounts, and whether the books of these are current.

A book is current if its user is, and that is a state machine of two tables. ``FollowState`` says what the books are
worth, ``SnapshotState`` what the snapshot under way is worth. Each event goes to both.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.books.book import AccountSnapshot, Book, BookKeeper
from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.books.merge import bounded_event_time, event_time
from connecttrade_async.books.order_tracker import LAG
from connecttrade_async.books.snapshots import ONE_DAY, OrderWindow

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from connecttrade_async.books.book import Update
    from connecttrade_async.books.changes import Cause, Change
    from connecttrade_async.books.order_tracker import OrderRetention
    from connecttrade_async.books.snapshots import SnapshotDigest, UserApi
    from connecttrade_async.clock import Timer
    from connecttrade_async.models.orders import Order

__all__ = [
    "FollowState",
    "FollowedAccount",
    "FollowedUser",
    "FollowedUserEvent",
    "FollowedUsers",
    "SnapshotState",
    "activity",
]

# Stands for a frame that names neither an account nor an order, and for ids beyond the bound.
ANYTHING = ""
MAX_UNMATCHED = 10_000


class _Key(Enum):
    """An enum for the keys of tables: its hash needs no code of Python, which that of ``Enum`` runs."""

    __hash__ = object.__hash__


class FollowState(_Key):
    """What the books of a followed user are worth.

    Attributes:
        NEW: not read since the user was added.
        READING: no account is current, and the snapshot that is under way makes them current.
        CURRENT: a snapshot counts, and nothing was missed since it was requested.
        STALE: something was missed, so no account is current until another snapshot.
        SUSPECT: a snapshot counts, but updates of the accounts in ``doubted`` may have been missed; the others are
            current.
        GONE: not followed any more.
    """

    NEW = auto()
    READING = auto()
    CURRENT = auto()
    STALE = auto()
    SUSPECT = auto()
    GONE = auto()


class SnapshotState(_Key):
    """What the snapshot of a user that is under way is worth.

    Attributes:
        NONE: none is under way.
        FRESH: nothing was missed since it was requested.
        DOUBTED: a doubt came since it was requested: it is loaded, and does not clear the doubt.
        OUTDATED: it is discarded.
        LOADED: it was loaded, and its changes are being published.
    """

    NONE = auto()
    FRESH = auto()
    DOUBTED = auto()
    OUTDATED = auto()
    LOADED = auto()


class FollowedUserEvent(_Key):
    """What happens to a followed user.

    Attributes:
        BEGIN: a snapshot is requested.
        DOUBT: updates of some accounts may have been missed.
        OUTDATE: the snapshot under way may be older than an account of the user.
        MISS: something was missed, or the answers cannot be trusted.
        LOAD: a snapshot that began after the latest doubt was loaded.
        LOAD_DOUBTED: a snapshot that began before the latest doubt was loaded.
        END: the snapshot under way was published, failed or was discarded.
        REMOVE: the user is not followed any more.
    """

    BEGIN = auto()
    DOUBT = auto()
    OUTDATE = auto()
    MISS = auto()
    LOAD = auto()
    LOAD_DOUBTED = auto()
    END = auto()
    REMOVE = auto()


NEW, READING, CURRENT, STALE, SUSPECT, GONE = FollowState
NONE, FRESH, DOUBTED, OUTDATED, LOADED = SnapshotState

# The state after each event, by the state before. A pair that is missing cannot happen: `handle` raises.
# CURRENT is entered in the row LOAD only, and that row demands a snapshot that is FRESH.
# fmt: off
_FOLLOW_TABLE: Mapping[FollowedUserEvent, Mapping[FollowState, FollowState]] = {
    FollowedUserEvent.BEGIN: {NEW: READING, CURRENT: CURRENT, STALE: READING, SUSPECT: SUSPECT},
    FollowedUserEvent.DOUBT: {NEW: NEW, READING: READING, CURRENT: SUSPECT, STALE: STALE, SUSPECT: SUSPECT},
    FollowedUserEvent.OUTDATE: {NEW: NEW, READING: STALE, CURRENT: CURRENT, STALE: STALE, SUSPECT: SUSPECT},
    FollowedUserEvent.MISS: {NEW: NEW, READING: STALE, CURRENT: STALE, STALE: STALE, SUSPECT: STALE},
    FollowedUserEvent.LOAD: {READING: CURRENT, CURRENT: CURRENT, SUSPECT: CURRENT},
    FollowedUserEvent.LOAD_DOUBTED: {READING: SUSPECT, SUSPECT: SUSPECT},
    FollowedUserEvent.END: {READING: STALE, CURRENT: CURRENT, STALE: STALE, SUSPECT: SUSPECT, GONE: GONE},
    FollowedUserEvent.REMOVE: {NEW: GONE, READING: GONE, CURRENT: GONE, STALE: GONE, SUSPECT: GONE},
}
_SNAPSHOT_TABLE: Mapping[FollowedUserEvent, Mapping[SnapshotState, SnapshotState]] = {
    FollowedUserEvent.BEGIN: {NONE: FRESH},
    FollowedUserEvent.DOUBT: {NONE: NONE, FRESH: DOUBTED, DOUBTED: DOUBTED, OUTDATED: OUTDATED, LOADED: LOADED},
    FollowedUserEvent.OUTDATE: {NONE: NONE, FRESH: OUTDATED, DOUBTED: OUTDATED, OUTDATED: OUTDATED, LOADED: LOADED},
    FollowedUserEvent.MISS: {NONE: NONE, FRESH: OUTDATED, DOUBTED: OUTDATED, OUTDATED: OUTDATED, LOADED: LOADED},
    FollowedUserEvent.LOAD: {FRESH: LOADED},
    FollowedUserEvent.LOAD_DOUBTED: {DOUBTED: LOADED},
    FollowedUserEvent.END: {FRESH: NONE, DOUBTED: NONE, OUTDATED: NONE, LOADED: NONE},
    FollowedUserEvent.REMOVE: {NONE: NONE, FRESH: OUTDATED, DOUBTED: OUTDATED, OUTDATED: OUTDATED, LOADED: LOADED},
}
# fmt: on


class FollowedUser(msgspec.Struct, gc=False, eq=False):
    """One followed user and the state of its snapshots.

    Attributes:
        user: the API handle of the user.
        keepers: the keepers of its books, by account id.
        state: what the books are worth; only ``handle`` sets it.
        snapshot: what the snapshot under way is worth; only ``handle`` sets it.
        doubted: the ids of the accounts in doubt, as keys; None for all accounts. It is emptied by a snapshot that was
            requested after the latest doubt.
        frames: the number of frames received; the most active users are read first.
        since: when the latest loaded snapshot was requested, aware; None before the first.
        is_due: whether a snapshot is wanted that is not under way yet.
        failures: snapshots that failed in a row.
        timer: the timer of the next attempt, or None.
        first_read: done when the first snapshot was loaded or has failed.
        unmatched: account and order ids of frames that matched no user while the first snapshot was under way.
        retakes: how often the first snapshot was taken again because of unmatched frames.
        missed_since: the time of the last update before something of this user was missed, by the broker's clock.
        absent_count: snapshots in a row that lacked some of the user's accounts.
        known: the digest of the answers that the books were last loaded from, or None; see ``valid_known``.
    """

    user: UserApi
    keepers: dict[str, BookKeeper] = {}
    state: FollowState = NEW
    snapshot: SnapshotState = NONE
    doubted: dict[str, None] | None = {}  # a dict of None: a set would be tracked by the garbage collector
    frames: int = 0
    since: datetime | None = None
    is_due: bool = False
    failures: int = 0
    timer: Timer | None = None
    first_read: asyncio.Future[None] | None = None
    unmatched: dict[str, None] = {}
    retakes: int = 0
    missed_since: datetime | None = None
    absent_count: int = 0
    known: SnapshotDigest | None = None

    def handle(self, event: FollowedUserEvent) -> None:
        """Change the state by the tables.

        Raises:
            RuntimeError: the event cannot happen in this state; neither state has changed.
        """
        state, snapshot = _FOLLOW_TABLE[event].get(self.state), _SNAPSHOT_TABLE[event].get(self.snapshot)
        if state is None or snapshot is None:
            msg = f"{event.name} cannot happen to a user that is {self.state.name} with a snapshot {self.snapshot.name}"
            raise RuntimeError(msg)
        self.state, self.snapshot = state, snapshot

    @property
    def is_reading(self) -> bool:
        """Whether a snapshot is under way."""
        return self.snapshot is not NONE

    @property
    def is_doubted(self) -> bool:
        """Whether an account is in doubt."""
        return self.doubted is None or bool(self.doubted)

    def is_current(self, account_id: str) -> bool:
        """Return whether a snapshot counts for an account and nothing of the account was missed since."""
        if self.state is SUSPECT:
            return self.doubted is not None and account_id not in self.doubted
        return self.state is CURRENT

    @property
    def horizon(self) -> datetime | None:
        """The latest horizon of the user's books."""
        known = [when for each in self.keepers.values() if (when := each.horizon) is not None]
        return max(known, default=None)

    def window(self, now: datetime, age: timedelta) -> OrderWindow:
        """Return the orders that a snapshot requested now needs.

        Args:
            now: the present, aware.
            age: how far back the first snapshot reaches.
        """
        if self.since is None:
            return OrderWindow(_whole_hour(now - age), None, ())
        horizon = self.horizon
        latest = self.since if horizon is None else min(self.since, horizon + LAG)
        since, known = _whole_hour(latest - ONE_DAY), self.valid_known()
        if known is not None and known.oldest >= since:
            return OrderWindow(since, self.keepers, ())  # no open order is older, so none needs a separate listing
        return OrderWindow(since, self.keepers, self.open_orders())

    def open_orders(self) -> list[Order]:
        """Return the orders of the user that can still change."""
        return [order for keeper in self.keepers.values() for order in keeper.open_orders()]

    @property
    def is_settled(self) -> bool:
        """Whether the orders of the latest snapshot are in the books as they were listed."""
        return all(keeper.is_settled for keeper in self.keepers.values())

    def valid_known(self) -> SnapshotDigest | None:
        """Return the digest of the latest answers if no frame came since they were requested, else None."""
        known = self.known
        return known if known is not None and self.since is not None and known.frames == self.frames else None

    def has_unmatched(self) -> bool:
        """Return whether an unmatched frame belongs to this user, or may belong to it."""
        keepers = self.keepers.values()
        return ANYTHING in self.unmatched or any(
            name in self.keepers or any(keeper.order(name) for keeper in keepers) for name in self.unmatched
        )

    def cancel_retry(self) -> None:
        """Cancel the timer of the next attempt, if there is one."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()


class FollowedAccount(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One account of a followed user.

    Attributes:
        keeper: the keeper of its book.
        followed: its user.
        begins: for an account that appeared while its user was followed, the time by the broker's clock since which its
            events are published. None if nothing before its first snapshot is published.
    """

    keeper: BookKeeper
    followed: FollowedUser
    begins: datetime | None

    def is_news(self, change: Change) -> bool:
        """Return whether a change by the first snapshot of the account is published.

        A change that happened before the account was followed is not.
        """
        if change.before is not None:
            return True
        if self.begins is None or not isinstance(change, OrderChanged):
            return False
        when = event_time(change.after.updated_at_text)
        return when is None or when >= self.begins


class FollowedUsers:
    """All followed users and the books of their accounts.

    Args:
        keep: how long orders that have ended stay in a book.

    Attributes:
        by_id: the users, by user id.
        accounts: the accounts, by account id.
        not_current: the users in another state than CURRENT.
        new_users: users with a first snapshot that is under way.
        is_live: whether the stream is live.
        last: the latest update received.
        received_at: when it was received, aware.
    """

    def __init__(self, keep: OrderRetention) -> None:
        self.keep = keep
        self.by_id: dict[str, FollowedUser] = {}
        self.accounts: dict[str, FollowedAccount] = {}
        self.not_current: set[FollowedUser] = set()
        self.new_users: set[FollowedUser] = set()
        self.is_live = False
        self.last: Update | None = None
        self.received_at: datetime | None = None

    def add(self, user: UserApi) -> FollowedUser:
        """Follow a user; one with the same id is replaced, and its books go to the new one."""
        followed, before = FollowedUser(user), self.by_id.get(user.user_id)
        if before is not None:
            self.mark_stale([before])
            # A snapshot that was requested with the old handle must not reach the books any more.
            keepers, before.keepers = before.keepers, {}
            accounts = {account_id: self.accounts[account_id] for account_id in keepers}
            self.remove(user.user_id)
            followed.keepers, followed.frames, followed.since = keepers, before.frames, before.since
            followed.missed_since = before.missed_since
            self.accounts |= {
                name: FollowedAccount(account.keeper, followed, account.begins) for name, account in accounts.items()
            }
        self.by_id[user.user_id] = followed
        self.not_current.add(followed)
        return followed

    def remove(self, user_id: str) -> FollowedUser | None:
        """Stop following a user and drop its books; return the user, or None."""
        followed = self.by_id.pop(user_id, None)
        if followed is not None:
            followed.handle(FollowedUserEvent.REMOVE)
            self.not_current.discard(followed)
            self.new_users.discard(followed)
            followed.cancel_retry()
            for account_id in followed.keepers:
                del self.accounts[account_id]
        return followed

    def begin_snapshot(self, followed: FollowedUser) -> None:
        """Note that a snapshot of a user is requested: frames from now on may be newer than its answers."""
        followed.handle(FollowedUserEvent.BEGIN)
        if followed.since is None:
            followed.unmatched.clear()
            self.new_users.add(followed)
        for keeper in followed.keepers.values():
            keeper.begin_snapshot()

    def accept_snapshot(self, followed: FollowedUser) -> bool:
        """Let the snapshot that was loaded count; return whether it was requested after the latest doubt.

        Precondition: the snapshot is not OUTDATED. It is under way until ``end_snapshot``.
        """
        is_clean = followed.snapshot is FRESH
        followed.handle(FollowedUserEvent.LOAD if is_clean else FollowedUserEvent.LOAD_DOUBTED)
        if is_clean:
            followed.doubted = {}
            self.not_current.discard(followed)
        return is_clean

    def end_snapshot(self, followed: FollowedUser) -> None:
        """End the snapshot under way. No effect if there is none."""
        if not followed.is_reading:
            return
        followed.handle(FollowedUserEvent.END)
        self.new_users.discard(followed)
        for keeper in followed.keepers.values():
            keeper.abort_snapshot()

    def mark_stale(self, followed_users: Iterable[FollowedUser]) -> None:
        """Discard all snapshots of some users so far, because something of them was missed."""
        for followed in tuple(followed_users):
            self._leave_current(followed, FollowedUserEvent.MISS)

    def mark_suspect(self, followed_users: Iterable[FollowedUser], accounts: Collection[str] | None = None) -> None:
        """Mark users because updates of them may have been missed.

        Args:
            followed_users: the users.
            accounts: the ids of the accounts concerned; None for all accounts of the users. The others stay current.
        """
        for followed in tuple(followed_users):
            self._leave_current(followed, FollowedUserEvent.DOUBT)
            if accounts is None:
                followed.doubted = None
            elif followed.doubted is not None:
                followed.doubted |= dict.fromkeys(accounts)

    def _leave_current(self, followed: FollowedUser, event: FollowedUserEvent) -> None:
        # A user that was not read since the last miss has been stale since then.
        if followed.state is CURRENT:
            last = self.last
            followed.missed_since = None if last is None else bounded_event_time(last.time_text, self.received_at)
            self.not_current.add(followed)
        followed.handle(event)

    def account_for(self, followed: FollowedUser, account_id: str, begins: datetime | None) -> FollowedAccount:
        """Return the account of a user; create it where there is none.

        An account that another user had moves to this user with an empty book.
        """
        account = self.accounts.get(account_id)
        if account is not None and account.followed is followed:
            return account
        if account is not None:  # the account moved from another user
            del account.followed.keepers[account_id]
            account.followed.known = None
        followed.known = None
        keeper = BookKeeper.of(account_id, followed.user.user_id, self.keep)
        if followed.is_reading:
            keeper.begin_snapshot()
        followed.keepers[account_id] = keeper
        account = self.accounts[account_id] = FollowedAccount(keeper, followed, begins)
        return account

    def unlink(self, followed: FollowedUser, account_id: str) -> None:
        """Drop the account of a user and its book."""
        del followed.keepers[account_id], self.accounts[account_id]

    def load(
        self,
        followed: FollowedUser,
        listed: Mapping[str, AccountSnapshot],
        cause: Cause,
        begins: datetime | None,
        now: datetime,
    ) -> tuple[Sequence[Change], Sequence[Change]]:
        """Load a snapshot of a user; return the changes to publish, and the other changes.

        Args:
            followed: the user; if its ``since`` is None, this is its first snapshot.
            listed: the snapshots of its accounts, by account id.
            cause: how the changes were learned.
            begins: since when events of a new account are published; see ``FollowedAccount``.
            now: when the snapshot was answered, aware.
        """
        for account_id in listed:
            self.account_for(followed, account_id, begins)
        news: list[Change] = []
        rest: list[Change] = []
        for account_id, keeper in followed.keepers.items():
            is_known, account = keeper.is_loaded, self.accounts[account_id]
            # Changes of an account while no snapshot had it were missed.
            cause_now: Cause = "recovered" if keeper.is_loaded and not keeper.is_read else cause
            changes = keeper.load(listed.get(account_id, AccountSnapshot()), cause_now, now)
            # The state at the first snapshot is where following begins, so it is not published.
            if followed.since is None:
                rest += changes
            elif is_known:
                news += changes
            else:
                for change in changes:
                    (news if account.is_news(change) else rest).append(change)
        return news, rest

    def confirm(self, followed: FollowedUser, now: datetime) -> None:
        """Take a snapshot that equals the latest one, if no frame came since that was requested."""
        for keeper in followed.keepers.values():
            keeper.confirm(now)

    def has_read(self, followed: FollowedUser) -> bool:
        """Return whether the stream is live and a snapshot of the user counts for all its accounts."""
        return self.is_live and followed.state is CURRENT

    def is_current(self, account: FollowedAccount) -> bool:
        """Return whether the book of an account equals the server."""
        keeper = account.keeper
        return (
            keeper.is_read
            and self.is_live
            and keeper.problem is None
            and account.followed.is_current(keeper.account_id)
        )

    def book(self, account_id: str) -> Book | None:
        """Return the book of an account as it is now, or None where there is none."""
        account = self.accounts.get(account_id)
        return None if account is None else account.keeper.book(is_current=self.is_current(account))

    def order(self, order_id: str) -> Order | None:
        """Return an order from any book, or None where no book has it."""
        found = (account.keeper.order(order_id) for account in self.accounts.values())
        return next((order for order in found if order is not None), None)

    def account_of_order(self, order_id: str) -> FollowedAccount | None:
        """Return the account of an order, or None where no book has the order."""
        return next((account for account in self.accounts.values() if account.keeper.order(order_id) is not None), None)

    def note_unmatched(self, name: str | None) -> None:
        """Note an account or order id that matched no user: it may be of a user that is being read."""
        for followed in self.new_users:
            followed.unmatched[name if name and len(followed.unmatched) < MAX_UNMATCHED else ANYTHING] = None

    def books(self) -> Iterator[Book]:
        """Yield every book as it is now."""
        return (account.keeper.book(is_current=self.is_current(account)) for account in self.accounts.values())

    def by_activity(self) -> list[FollowedUser]:
        """Return the users, most active first."""
        return sorted(self.by_id.values(), key=activity, reverse=True)


def _whole_hour(when: datetime) -> datetime:
    # All users then send the same query, so its encoded URL can be reused.
    return when.replace(minute=0, second=0, microsecond=0)


def activity(followed: FollowedUser) -> int:
    """Return the number of frames received of a user."""
    return followed.frames
