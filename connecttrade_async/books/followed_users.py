"""Followed users, their accounts, and whether the books of these are current."""

from __future__ import annotations

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

__all__ = ["FollowedAccount", "FollowedUser", "FollowedUsers", "activity"]

# Stands for a frame that names neither an account nor an order, and for ids beyond the bound.
ANYTHING = ""
_NONE: frozenset[str] = frozenset()
MAX_UNMATCHED = 10_000


class FollowedUser(msgspec.Struct, gc=False, eq=False):
    """One followed user and the state of its snapshots.

    Attributes:
        user: the API handle of the user.
        keepers: the keepers of its books, by account id.
        frames: the number of frames received; the most active users are read first.
        missed_count: how many times something of this user alone was missed.
        doubts: how many times an update of this user may have been missed.
        since: when the latest loaded snapshot was requested, aware; None before the first.
        is_due: whether a snapshot is requested but not under way.
        is_reading: whether a snapshot is under way.
        is_gone: whether the user is not followed any more.
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
    frames: int = 0
    missed_count: int = 0
    doubts: int = 0
    since: datetime | None = None
    is_due: bool = False
    is_reading: bool = False
    is_gone: bool = False
    failures: int = 0
    timer: Timer | None = None
    first_read: asyncio.Future[None] | None = None
    unmatched: dict[str, None] = {}  # a dict of None: a set would be tracked by the garbage collector
    retakes: int = 0
    missed_since: datetime | None = None
    absent_count: int = 0
    known: SnapshotDigest | None = None

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
        generation: the number of gaps: a snapshot counts if no gap came since it was requested.
        unread: users without a snapshot that counts.
        suspect: users with updates that may have been missed, until a snapshot requested since then counts. The value
            is the set of account ids concerned, or None for all accounts of the user.
        new_users: users with a first snapshot that is under way.
        is_live: whether the stream is live.
        last: the latest update received.
        received_at: when it was received, aware.
    """

    def __init__(self, keep: OrderRetention) -> None:
        self.keep = keep
        self.by_id: dict[str, FollowedUser] = {}
        self.accounts: dict[str, FollowedAccount] = {}
        self.generation = 0
        self.unread: set[FollowedUser] = set()
        self.suspect: dict[FollowedUser, set[str] | None] = {}
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
        self.unread.add(followed)
        return followed

    def remove(self, user_id: str) -> FollowedUser | None:
        """Stop following a user and drop its books; return the user, or None."""
        followed = self.by_id.pop(user_id, None)
        if followed is not None:
            followed.is_gone = True
            self.unread.discard(followed)
            self.suspect.pop(followed, None)
            followed.cancel_retry()
            for account_id in followed.keepers:
                del self.accounts[account_id]
        return followed

    def mark_stale(self, followed_users: Iterable[FollowedUser]) -> None:
        """Discard all snapshots of some users so far, because something of them was missed."""
        followed_users = tuple(followed_users)
        self._mark_missed(followed_users)
        self.unread.update(followed_users)

    def mark_suspect(self, followed_users: Iterable[FollowedUser], accounts: Collection[str] | None = None) -> None:
        """Mark users because updates of them may have been missed.

        Args:
            followed_users: the users.
            accounts: the ids of the accounts concerned; None for all accounts of the users. The others stay current.
        """
        followed_users = tuple(followed_users)
        self._mark_missed(followed_users)
        for followed in followed_users:
            known = self.suspect.get(followed, set())
            self.suspect[followed] = None if accounts is None or known is None else known.union(accounts)
            followed.doubts += 1

    def _mark_missed(self, followed_users: Sequence[FollowedUser]) -> None:
        when = None if self.last is None else bounded_event_time(self.last.time_text, self.received_at)
        for followed in followed_users:
            # A user that was not read since the last miss has been stale since then.
            if followed not in self.unread and followed not in self.suspect:
                followed.missed_since = when

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
        """Return whether the stream is live and a snapshot of the user counts."""
        return self.is_live and followed not in self.unread and followed not in self.suspect

    def is_current(self, account: FollowedAccount) -> bool:
        """Return whether the book of an account equals the server."""
        keeper, followed = account.keeper, account.followed
        if not (keeper.is_read and self.is_live) or keeper.problem is not None or followed in self.unread:
            return False
        suspect = self.suspect.get(followed, _NONE)
        return suspect is not None and keeper.account_id not in suspect

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
