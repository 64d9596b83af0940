"""A loop: take what the stream tells, in its order, and never wait for anything but the next of it.

A frame is applied to its book at once, also while a snapshot is under way: the book holds what may be newer.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

from connecttrade_async.errors import ConnectTradeError
from connecttrade_async.live.merging import happened
from connecttrade_async.models.events import BalanceUpdate, Gap, Live, Lost, OrderUpdate, PositionUpdate, UnknownMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from connecttrade_async.clock import Clock
    from connecttrade_async.live.book import Update
    from connecttrade_async.live.changes import Change
    from connecttrade_async.live.roster import Place, Roster
    from connecttrade_async.live.surveyor import Surveyor
    from connecttrade_async.models.events import Event
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["Intake"]

# So many events are taken in one turn of the loop, and then everybody else has one.
BATCH = 250
UPDATES = frozenset({OrderUpdate, PositionUpdate, BalanceUpdate})
_ACCOUNT = re.compile(rb'"account_id"\s*:\s*"([^"\\]{1,200})"')
_USER = re.compile(rb'"user_id"\s*:\s*"([^"\\]{1,200})"')
_KIND = re.compile(rb'"type"\s*:\s*"([^"\\]{1,200})"')
KINDS = frozenset({b"order", b"position", b"balance"})
log = logging.getLogger("connecttrade_async.live")


class Intake:
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
        gaps: times that something may have been missed.
    """

    def __init__(
        self,
        events: Subscription,
        roster: Roster,
        surveyor: Surveyor,
        clock: Clock,
        *,
        tell: Callable[[Sequence[Change]], None],
        tell_who_waits: Callable[[Sequence[Change]], None],
        look: Callable[[], None],
        is_live: Callable[[], bool],
    ) -> None:
        self.frames = self.unknown = self.ignored = self.gaps = 0
        self._events = events
        self._roster = roster
        self._places = roster.places
        self._surveyor = surveyor
        self._clock = clock
        self._tell = tell
        self._tell_who_waits = tell_who_waits
        self._look = look
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
                    take(event, at)
                    left -= 1
                    event = receive_nowait() if left else None
                if not left:
                    await asyncio.sleep(0)
        except ConnectTradeError as exc:
            self._roster.is_live = False
            return exc

    def _take(self, event: Any, at: datetime) -> None:  # noqa: ANN401 - an Event; what kind is asked once, below
        if type(event) not in UPDATES:
            self._notice(event)
            return
        place = self._places.get(event.account_id)
        if place is None and (place := self._stranger(event, at)) is None:
            return
        member = place.member
        self._roster.last = event
        self.frames += 1
        member.frames += 1
        changes = place.keeper.apply(event, at)
        if changes:
            if member.since is not None:
                self._tell(changes)
            else:
                # Before a user's first snapshot nobody was promised news: it only helps to make that right.
                self._tell_who_waits(changes)
        if place.keeper.lacks_whole:
            place.keeper.lacks_whole = False
            self._surveyor.doubt([member])
            self._look()

    def _stranger(self, event: Update, at: datetime) -> Place | None:
        """Return where the frame of an account that nobody knows goes; if its user is ours, the account is new."""
        account_id = event.account_id or _payload(event).account_id
        place = self._roster.places.get(account_id or "")
        if place is not None:
            return place
        if not account_id and isinstance(event, OrderUpdate):
            place = self._roster.place_of(event.order.order_id)
            if place is not None:
                return place
        self.unknown += 1
        member = self._roster.members.get(event.user_id or "")
        if member is None:
            self.ignored += 1
            if not event.user_id:
                order_id = event.order.order_id if isinstance(event, OrderUpdate) else None
                self._roster.note_stray(account_id or order_id)
                if not account_id:
                    # Whose it is nobody says, so it may be anybody's.
                    self._surveyor.doubt(self._roster.members.values())
                    self._look()
            return None
        if not account_id:
            self._surveyor.doubt([member])
            self._look()
            return None
        log.info("user %s has an account that is new here", member.user.user_id)
        # What was missed before may have been the account's too.
        begins = [happened(event.time_text, at), None if self._roster.has_read(member) else member.missed_since]
        self._surveyor.missed(member)
        return self._roster.place_for(member, account_id, min(filter(None, begins), default=None))

    def _notice(self, event: Event) -> None:
        match event:
            case Gap():
                if event.dropped:
                    # What was dropped may be the word that the stream is live. What it lost since is still to come.
                    self._roster.is_live = self._is_live()
                self._is_stale = False
                self._resync(event.cause)
            case Live():
                # Told after the gap where there was one; where there was none, it is the first time.
                self._roster.is_live = True
                if self._is_stale:
                    self._is_stale = False
                    self._resync("the stream was not live before")
            case Lost():
                self._roster.is_live, self._is_stale = False, True
            case UnknownMessage():
                self._set_aside(event.raw)
            case _:
                return
        self._look()

    def _set_aside(self, raw: bytes) -> None:
        """Look again at whose the frame was that could not be read: what it told was missed.

        If nobody knows whose it was, everybody is looked at, but what calls itself something else is no news.
        """
        named = _ACCOUNT.search(raw)
        place = self._roster.places.get(named[1].decode(errors="replace")) if named is not None else None
        if place is not None:
            self._surveyor.doubt([place.member])
            return
        named, kind = _USER.search(raw), _KIND.search(raw)
        if named is not None:
            member = self._roster.members.get(named[1].decode(errors="replace"))
            self._surveyor.doubt([] if member is None else [member])
        elif kind is None or kind[1] in KINDS:
            self._surveyor.doubt(self._roster.members.values())

    def _resync(self, cause: str) -> None:
        self.gaps += 1
        log.info("something may have been missed: %s; everybody is looked at again", cause)
        self._surveyor.resync()


def _payload(event: Update) -> Any:  # noqa: ANN401 - an order, a position or a balance: each has an account_id
    if isinstance(event, OrderUpdate):
        return event.order
    return event.position if isinstance(event, PositionUpdate) else event.balance
