"""A loop: take what the stream tells, in its order, and never wait for anything but the next of it.

A frame is applied to its book at once, also while a snapshot is under way: the book holds what may be newer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from connecttrade_async.books.merge import happened
from connecttrade_async.errors import ConnectTradeError
from connecttrade_async.models.events import (
    BalanceUpdate,
    Gap,
    OrderUpdate,
    PositionUpdate,
    StreamLive,
    StreamLost,
    UnknownMessage,
)
from connecttrade_async.models.mentions import mentions_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from connecttrade_async.books.book import Update
    from connecttrade_async.books.changes import Change
    from connecttrade_async.books.followed_users import FollowedAccount, FollowedUser, FollowedUsers
    from connecttrade_async.clock import Clock
    from connecttrade_async.live.resync import Resync
    from connecttrade_async.models.events import Event
    from connecttrade_async.models.mentions import Mentions
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["UpdateApplier"]

# So many events are taken in one turn of the loop, and then everybody else has one.
BATCH = 250
UPDATES = frozenset({OrderUpdate, PositionUpdate, BalanceUpdate})
log = logging.getLogger("connecttrade_async.live")


class UpdateApplier:
    """Feeds the books from the stream.

    Args:
        events: what the stream tells; full, it drops the oldest and tells a gap.
        roster: whose books.
        surveyor: who looks again.
        clock: time.
        tell: takes what changed.
        tell_who_waits: takes what changed and is no news.
        look: called where nothing changed but whether books are current.
        is_live: tells whether the stream is live at this moment.

    Attributes:
        frames: updates that were applied.
        unknown: updates of accounts that nobody knew.
        ignored: of these, updates of nobody who is followed.
        crashes: events that could not be taken because of a mistake in this library.
        conflicting: updates that were not applied, since they name a user that does not own the account.
        gaps: times that something may have been missed.
    """

    def __init__(
        self,
        events: Subscription,
        roster: FollowedUsers,
        surveyor: Resync,
        clock: Clock,
        *,
        tell: Callable[[Sequence[Change]], None],
        tell_who_waits: Callable[[Sequence[Change]], None],
        look: Callable[[], None],
        is_live: Callable[[], bool],
    ) -> None:
        self.frames = self.unknown = self.ignored = self.conflicting = self.crashes = self.gaps = 0
        self._events = events
        self._roster = roster
        self._places = roster.places
        self._surveyor = surveyor
        self._clock = clock
        self._publish = tell
        self._wake_order_waiters = tell_who_waits
        self._recheck = look
        self._is_live = is_live
        self._is_stale = not is_live()

    async def run(self) -> ConnectTradeError:
        """Take events until the stream ends; returns why it did. Cancelling stops it."""
        receive, receive_nowait, take = self._events.receive, self._events.receive_nowait, self._take
        try:
            while True:
                event: Event | None = await receive()
                at, left = self._clock.wall(), BATCH
                self._roster.heard_at = at
                while event is not None:
                    try:
                        take(event, at)
                    except Exception as exc:  # noqa: BLE001 - one odd frame must not end the accounts of all users
                        self._give_up(event, exc)
                    left -= 1
                    event = receive_nowait() if left else None
                if not left:
                    await asyncio.sleep(0)
        except ConnectTradeError as exc:
            self._roster.is_live = False
            return exc

    def _take(self, event: Any, at: datetime) -> None:  # noqa: ANN401 - an Event; what kind is asked once, below
        if type(event) not in UPDATES:
            self._on_lifecycle(event)
            return
        place, user_id = self._places.get(event.account_id), event.user_id
        if place is None or (user_id and user_id != place.keeper.user_id):
            place = self._find_accounts(event, at)
            if place is None:
                return
        member = place.member
        self._roster.last = event
        self.frames += 1
        member.frames += 1
        changes = place.keeper.apply(event, at)
        if changes:
            if member.since is not None:
                self._publish(changes)
            else:
                # Before a user's first snapshot nobody was promised news: it only helps to make that right.
                self._wake_order_waiters(changes)
        if place.keeper.lacks_whole:
            place.keeper.lacks_whole = False
            self._surveyor.doubt([member], [place.keeper.account_id])
            self._recheck()

    def _find_accounts(self, event: Update, at: datetime) -> FollowedAccount | None:
        """Return where a frame goes whose account is unknown or named with another owner; None where it goes nowhere.

        A frame that names a user that does not own the account is applied to no book: both users are read again.
        """
        place = self._places.get(event.account_id or "")
        if not event.account_id and isinstance(event, OrderUpdate):
            place = self._roster.place_of(event.order.order_id)
        if place is None:
            return self._unknown_account(event, at)
        if event.user_id and event.user_id != place.keeper.user_id:
            self._refuse(event.user_id, place)
            return None
        return place

    def _refuse(self, user_id: str, place: FollowedAccount) -> None:
        self.conflicting += 1
        owner, named = place.member, self._roster.members.get(user_id)
        members, account_id = [owner] if named is None else [owner, named], place.keeper.account_id
        level = logging.DEBUG if all(member in self._roster.doubted for member in members) else logging.WARNING
        names = user_id, account_id, place.keeper.user_id
        log.log(level, "a frame of user %r names account %r of user %r: it is not applied, both are read again", *names)
        self._surveyor.doubt(members, [account_id])
        self._recheck()

    def _unknown_account(self, event: Update, at: datetime) -> FollowedAccount | None:
        """Return where the frame of an account that nobody knows goes; if its user is ours, the account is new."""
        account_id, user_id = event.account_id, event.user_id
        self.unknown += 1
        member = self._roster.members.get(user_id or "")
        if member is None:
            self.ignored += 1
            if not user_id:
                order_id = event.order.order_id if isinstance(event, OrderUpdate) else None
                self._roster.note_unmatched(account_id or order_id)
                if not account_id:
                    # Whose it is nobody says, so it may be anybody's.
                    self._surveyor.doubt(self._roster.members.values())
                    self._recheck()
            return None
        if not account_id:
            self._surveyor.doubt([member])
            self._recheck()
            return None
        log.info("user %s has an account that is new here", member.user.user_id)
        # What was missed before may have been the account's too.
        begins = [happened(event.time_text, at), None if self._roster.has_read(member) else member.missed_since]
        # A snapshot under way may be older than the account; the user's other accounts lack nothing.
        member.missed_count += 1
        self._surveyor.doubt([member], [account_id])
        return self._roster.place_for(member, account_id, min(filter(None, begins), default=None))

    def _give_up(self, event: Any, error: Exception) -> None:  # noqa: ANN401 - an Event
        """Set an event aside that could not be taken: what it names is read again, and the rest goes on."""
        level = logging.DEBUG if self.crashes else logging.ERROR
        self.crashes += 1
        log.log(level, "an event could not be taken; the accounts that it names are read again", exc_info=error)
        raw = getattr(event, "raw", b"")
        if raw:
            self._set_aside(raw, None)
        else:
            self._surveyor.doubt(self._roster.members.values())
        self._recheck()

    def _on_lifecycle(self, event: Event) -> None:
        match event:
            case Gap():
                if event.dropped:
                    # What was dropped may be the word that the stream is live. What it lost since is still to come.
                    self._roster.is_live = self._is_live()
                self._is_stale = False
                self._resync(event.cause)
            case StreamLive():
                # Told after the gap where there was one; where there was none, it is the first time.
                self._roster.is_live = True
                if self._is_stale:
                    self._is_stale = False
                    self._resync("the stream was not live before")
            case StreamLost():
                self._roster.is_live, self._is_stale = False, True
            case UnknownMessage():
                self._set_aside(event.raw, event.mentions)
            case _:
                return
        self._recheck()

    def _set_aside(self, raw: bytes, mentions: Mentions | None) -> None:
        """Read all users again that a frame names which could not be read: its news was missed.

        A frame that names no user, no account and no known order is an update of any user if it looks like an update;
        otherwise it is a heartbeat, and no news.

        Args:
            raw: the frame, or its beginning.
            mentions: what the whole frame names, where ``raw`` is only its beginning.
        """
        named, roster = mentions_in(raw) if mentions is None else mentions, self._roster
        if not named.is_update:
            return
        found = list(filter(None, (*map(roster.places.get, named.accounts), *map(roster.place_of, named.orders))))
        if named.is_unclear or not (named.users or named.accounts or found):
            self._surveyor.doubt(roster.members.values())
            return
        concerned: dict[FollowedUser, set[str]] = {}
        for place in found:
            concerned.setdefault(place.member, set()).add(place.keeper.account_id)
        # An account that is unknown here is a new one of the user that the frame names.
        new = {name for name in named.accounts if name not in roster.places}
        for name in named.users:
            member = roster.members.get(name)
            if member is not None:
                accounts = concerned.pop(member, set())
                is_new = bool(new) and len(named.users) == 1
                self._surveyor.doubt([member], accounts | new if accounts or is_new else None)
        for member, accounts in concerned.items():
            self._surveyor.doubt([member], accounts)
        if not named.users:
            for name in new:
                roster.note_unmatched(name)

    def _resync(self, cause: str) -> None:
        self.gaps += 1
        log.info("something may have been missed: %s; everybody is looked at again", cause)
        self._surveyor.resync()
