"""A loop's memory: which users are followed, which accounts they have, and whether their books are current."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.books.book import AccountSnapshot, Book, BookKeeper
from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.books.merge import event_time, happened
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

# What names neither an account nor an order, or is one too many to remember.
ANYTHING = ""
_NONE: frozenset[str] = frozenset()
MAX_UNMATCHED = 10_000


class FollowedUser(msgspec.Struct, gc=False, eq=False):
    """One user who is followed.

    Attributes:
        user: who, and how to ask.
        keepers: by account.
        frames: how many were heard: the most active are asked about first.
        misses: how many times something of this user alone was missed.
        doubts: how many times something of this user may have been missed.
        since: when the latest snapshot that was loaded was asked for; None before the first.
        is_due: whether a snapshot is wanted.
        is_asking: whether one is being taken.
        is_gone: whether the user is followed no more.
        failures: snapshots that failed in a row.
        timer: until the next attempt, or None.
        tried: done when the first snapshot was loaded or has failed.
        strays: while the first snapshot is taken, the accounts and orders heard of that nobody could be found for.
        rereads: how often that snapshot was taken once more for their sake.
        missed_since: when the last thing happened that was heard before something of this user was missed, by the
            broker's clock.
        absences: snapshots in a row that had not all of the user's accounts.
        known: what the books were last loaded from, or None; see ``valid_known``.
    """

    user: UserApi
    keepers: dict[str, BookKeeper] = {}
    frames: int = 0
    missed_count: int = 0
    doubts: int = 0
    since: datetime | None = None
    is_due: bool = False
    is_asking: bool = False
    is_gone: bool = False
    failures: int = 0
    timer: Timer | None = None
    tried: asyncio.Future[None] | None = None
    unmatched: dict[str, None] = {}  # no set: that would be the one thing of a user that the garbage collector tracks
    retakes: int = 0
    missed_since: datetime | None = None
    absences: int = 0
    known: SnapshotDigest | None = None

    @property
    def horizon(self) -> datetime | None:
        """The latest horizon of the user's books."""
        known = [when for each in self.keepers.values() if (when := each.horizon) is not None]
        return max(known, default=None)

    def window(self, now: datetime, age: timedelta) -> OrderWindow:
        """Return which orders a snapshot that is asked for now needs."""
        if self.since is None:
            return OrderWindow(_whole_hour(now - age), None, ())
        horizon = self.horizon
        latest = self.since if horizon is None else min(self.since, horizon + LAG)
        since, known = _whole_hour(latest - ONE_DAY), self.valid_known()
        if known is not None and known.oldest >= since:
            return OrderWindow(since, self.keepers, ())  # no order is older, so none has to be looked for
        return OrderWindow(since, self.keepers, self.open_orders())

    def open_orders(self) -> list[Order]:
        """Return the orders of the user that can still change."""
        return [order for keeper in self.keepers.values() for order in keeper.open_orders()]

    @property
    def is_settled(self) -> bool:
        """Whether the orders of the latest snapshot are known just as it had them."""
        return all(keeper.is_settled for keeper in self.keepers.values())

    def valid_known(self) -> SnapshotDigest | None:
        """Return what the books were last loaded from, if nothing was heard since it was asked for."""
        known = self.known
        return known if known is not None and self.since is not None and known.frames == self.frames else None

    def has_unmatched(self) -> bool:
        """Say whether some of what was heard, and nobody could be found for, was this user's, or may have been."""
        keepers = self.keepers.values()
        return ANYTHING in self.unmatched or any(
            stray in self.keepers or any(keeper.order(stray) for keeper in keepers) for stray in self.unmatched
        )

    def call_off(self) -> None:
        """Call off the next attempt, if one is planned."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()


class FollowedAccount(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Where an account's frames go.

    Attributes:
        keeper: of its book.
        member: whose it is.
        begins: for an account that appeared while its user was followed: from when on what happens is news, by the
            broker's clock; None where nothing before its first snapshot is.
    """

    keeper: BookKeeper
    member: FollowedUser
    begins: datetime | None

    def is_news(self, change: Change) -> bool:
        """Say whether what the first snapshot of an account changed is news, or was so before anybody listened."""
        if change.before is not None:
            return True
        if self.begins is None or not isinstance(change, OrderChanged):
            return False
        when = event_time(change.after.updated_at_text)
        return when is None or when >= self.begins


class FollowedUsers:
    """Everybody who is followed.

    Args:
        keep: how long orders that have ended stay in a book.

    Attributes:
        members: by user.
        places: by account.
        generation: how many gaps there were: a snapshot counts if there was none since it was asked for.
        unread: those of whom no snapshot counts.
        doubted: those of whom something may have been missed, until a snapshot that was asked for since then counts;
            with the accounts concerned, or None where it may be any of the user's.
        newcomers: those whose first snapshot is being taken.
        is_live: whether the stream tells what happens.
        last: the last update that was heard.
        heard_at: when that was, aware.
    """

    def __init__(self, keep: OrderRetention) -> None:
        self.keep = keep
        self.members: dict[str, FollowedUser] = {}
        self.places: dict[str, FollowedAccount] = {}
        self.generation = 0
        self.unread: set[FollowedUser] = set()
        self.doubted: dict[FollowedUser, set[str] | None] = {}
        self.newcomers: set[FollowedUser] = set()
        self.is_live = False
        self.last: Update | None = None
        self.heard_at: datetime | None = None

    def add(self, user: UserApi) -> FollowedUser:
        """Follow a user; one of the same name is asked no more, and leaves the books behind."""
        member, before = FollowedUser(user), self.members.get(user.user_id)
        if before is not None:
            self.mark_stale([before])
            # What was asked for in the name of the one before must not reach the books any more.
            keepers, before.keepers = before.keepers, {}
            places = {account_id: self.places[account_id] for account_id in keepers}
            self.remove(user.user_id)
            member.keepers, member.frames, member.since = keepers, before.frames, before.since
            member.missed_since = before.missed_since
            self.places |= {name: FollowedAccount(place.keeper, member, place.begins) for name, place in places.items()}
        self.members[user.user_id] = member
        self.unread.add(member)
        return member

    def remove(self, user_id: str) -> FollowedUser | None:
        """Follow a user no more; returns who that was."""
        member = self.members.pop(user_id, None)
        if member is not None:
            member.is_gone = True
            self.unread.discard(member)
            self.doubted.pop(member, None)
            member.call_off()
            for account_id in member.keepers:
                del self.places[account_id]
        return member

    def mark_stale(self, members: Iterable[FollowedUser]) -> None:
        """Of some users something was missed: no snapshot so far counts."""
        members = tuple(members)
        self._mark_missed(members)
        self.unread.update(members)

    def mark_suspect(self, members: Iterable[FollowedUser], accounts: Collection[str] | None = None) -> None:
        """Take note that news of some users may have been missed.

        Args:
            members: the users.
            accounts: the accounts concerned; None where it may be any of the user's. The others stay current.
        """
        members = tuple(members)
        self._mark_missed(members)
        for member in members:
            known = self.doubted.get(member, set())
            self.doubted[member] = None if accounts is None or known is None else known.union(accounts)
            member.doubts += 1

    def _mark_missed(self, members: Sequence[FollowedUser]) -> None:
        when = None if self.last is None else happened(self.last.time_text, self.heard_at)
        for member in members:
            # Of one who was not looked at since the last time, it began then.
            if member not in self.unread and member not in self.doubted:
                member.missed_since = when

    def place_for(self, member: FollowedUser, account_id: str, begins: datetime | None) -> FollowedAccount:
        """Return the place of a user's account; a new one where there is none."""
        place = self.places.get(account_id)
        if place is not None and place.member is member:
            return place
        if place is not None:  # the account is another user's now
            del place.member.keepers[account_id]
            place.member.known = None
        member.known = None
        keeper = BookKeeper.of(account_id, member.user.user_id, self.keep)
        if member.is_asking:
            keeper.begin_snapshot()
        member.keepers[account_id] = keeper
        place = self.places[account_id] = FollowedAccount(keeper, member, begins)
        return place

    def unlink(self, member: FollowedUser, account_id: str) -> None:
        """Keep a user's account no more."""
        del member.keepers[account_id], self.places[account_id]

    def load(
        self,
        member: FollowedUser,
        listed: Mapping[str, AccountSnapshot],
        cause: Cause,
        begins: datetime | None,
        now: datetime,
    ) -> tuple[Sequence[Change], Sequence[Change]]:
        """Take a snapshot of a user into the books; return what of it is news, and what is not.

        Args:
            member: whose; one whose ``since`` is None has no other yet.
            listed: what the snapshot has, by account.
            cause: how it was learned.
            begins: from when on what happened in an account that is new is news; see ``FollowedAccount``.
            now: when it was answered, aware.
        """
        for account_id in listed:
            self.place_for(member, account_id, begins)
        news: list[Change] = []
        rest: list[Change] = []
        for account_id, keeper in member.keepers.items():
            is_known, place = keeper.is_loaded, self.places[account_id]
            # What an account did while no snapshot had it was missed.
            why: Cause = "recovered" if keeper.is_loaded and not keeper.is_read else cause
            changes = keeper.load(listed.get(account_id, AccountSnapshot()), why, now)
            # What a user has when the following begins is where it begins, and no news.
            if member.since is None:
                rest += changes
            elif is_known:
                news += changes
            else:
                for change in changes:
                    (news if place.is_news(change) else rest).append(change)
        return news, rest

    def confirm(self, member: FollowedUser, now: datetime) -> None:
        """Take a snapshot of a user that is the same as the latest one, while nothing was heard since."""
        for keeper in member.keepers.values():
            keeper.confirm(now)

    def has_read(self, member: FollowedUser) -> bool:
        """Say whether a snapshot of a user was asked for after the latest gap, and the stream is live."""
        return self.is_live and member not in self.unread and member not in self.doubted

    def is_current(self, place: FollowedAccount) -> bool:
        """Say whether a book is what the server has."""
        keeper, member = place.keeper, place.member
        if not (keeper.is_read and self.is_live) or keeper.problem is not None or member in self.unread:
            return False
        doubted = self.doubted.get(member, _NONE)
        return doubted is not None and keeper.account_id not in doubted

    def book(self, account_id: str) -> Book | None:
        """Return the book of an account as it is, or None where there is none."""
        place = self.places.get(account_id)
        return None if place is None else place.keeper.book(is_current=self.is_current(place))

    def order(self, order_id: str) -> Order | None:
        """Return an order of anybody, or None where no book has it."""
        found = (place.keeper.order(order_id) for place in self.places.values())
        return next((order for order in found if order is not None), None)

    def place_of(self, order_id: str) -> FollowedAccount | None:
        """Return where an order is, or None where no book has it."""
        return next((place for place in self.places.values() if place.keeper.order(order_id) is not None), None)

    def note_unmatched(self, name: str | None) -> None:
        """Remember an account or an order nobody could be found for: it may be somebody's who is being read."""
        for member in self.newcomers:
            member.unmatched[name if name and len(member.unmatched) < MAX_UNMATCHED else ANYTHING] = None

    def books(self) -> Iterator[Book]:
        """Return every book as it is."""
        return (place.keeper.book(is_current=self.is_current(place)) for place in self.places.values())

    def by_activity(self) -> list[FollowedUser]:
        """Return everybody, those first of whom most was heard."""
        return sorted(self.members.values(), key=activity, reverse=True)


def _whole_hour(when: datetime) -> datetime:
    # Everybody is then asked about in the same words, whose address is kept and not spelled anew.
    return when.replace(minute=0, second=0, microsecond=0)


def activity(member: FollowedUser) -> int:
    """Say how much was heard of a user."""
    return member.frames
