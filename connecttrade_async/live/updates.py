"""Apply the updates of the stream to the books, in their order.

An update is applied at once, also while a snapshot is under way: the book keeps which of its values may be newer than
the snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from connecttrade_async.books.followed_users import FollowedUserEvent
from connecttrade_async.books.merge import bounded_event_time
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
    from collections.abc import Callable
    from datetime import datetime

    from connecttrade_async.books.book import Update
    from connecttrade_async.books.change_feed import ChangeFeed
    from connecttrade_async.books.followed_users import FollowedAccount, FollowedUser, FollowedUsers
    from connecttrade_async.clock import Clock
    from connecttrade_async.live.resync import Resync
    from connecttrade_async.models.events import Event
    from connecttrade_async.models.mentions import Mentions
    from connecttrade_async.streaming.subscriptions import Subscription

__all__ = ["UpdateApplier"]

# Events applied in one turn of the event loop; then other tasks run.
MAX_BATCH = 250
UPDATES = frozenset({OrderUpdate, PositionUpdate, BalanceUpdate})
log = logging.getLogger("connecttrade_async.live")


class UpdateApplier:
    """Applies stream events to the books of followed users.

    Args:
        events: the subscription to the stream; when it is full it drops the oldest events and yields a gap.
        users: the followed users and their books.
        change_feed: publishes the changes that updates make.
        resync: takes the snapshots that a gap or a doubt needs.
        clock: time.
        is_live: returns whether the stream is live at this moment.

    Attributes:
        frames: updates that were applied.
        unknown: updates of unknown accounts.
        ignored: of these, updates of users that are not followed.
        crashes: events that could not be applied because of a mistake in this library.
        conflicting: updates that were not applied, because they name a user that does not own the account.
        gaps: gaps of the stream.
    """

    def __init__(
        self,
        events: Subscription,
        users: FollowedUsers,
        change_feed: ChangeFeed,
        resync: Resync,
        clock: Clock,
        *,
        is_live: Callable[[], bool],
    ) -> None:
        self.frames = self.unknown = self.ignored = self.conflicting = self.crashes = self.gaps = 0
        self._events = events
        self._users = users
        self._accounts = users.accounts
        self._resync = resync
        self._clock = clock
        self._change_feed = change_feed
        self._is_live = is_live
        self._is_stale = not is_live()

    async def run(self) -> ConnectTradeError:
        """Apply events until the stream ends; return the error that it ended with.

        Cancelling stops between two events.
        """
        receive, receive_nowait, take = self._events.receive, self._events.receive_nowait, self._handle
        try:
            while True:
                event: Event | None = await receive()
                at, left = self._clock.wall(), MAX_BATCH
                self._users.received_at = at
                while event is not None:
                    try:
                        take(event, at)
                    except Exception as exc:  # noqa: BLE001 - one odd frame must not end the accounts of all users
                        self._on_unexpected_error(event, exc)
                    left -= 1
                    event = receive_nowait() if left else None
                if not left:
                    await asyncio.sleep(0)
        except ConnectTradeError as exc:
            self._users.is_live = False
            return exc

    def _handle(self, event: Any, at: datetime) -> None:  # noqa: ANN401 - an Event; the type is tested once, below
        if type(event) not in UPDATES:
            self._on_lifecycle(event)
            return
        account, user_id = self._accounts.get(event.account_id), event.user_id
        if account is None or (user_id and user_id != account.keeper.user_id):
            account = self._find_accounts(event, at)
            if account is None:
                return
        followed = account.followed
        self._users.last = event
        self.frames += 1
        followed.frames += 1
        changes = account.keeper.apply(event, at)
        if changes:
            if followed.since is not None:
                self._change_feed.publish(changes)
            else:
                # Before a user's first snapshot nothing is published.
                # The change can only complete an order that is waited for.
                self._change_feed.wake_order_waiters(changes)
        if account.keeper.lacks_whole:
            account.keeper.lacks_whole = False
            self._resync.enqueue_suspect([followed], [account.keeper.account_id])
            self._change_feed.recheck()

    def _find_accounts(self, event: Update, at: datetime) -> FollowedAccount | None:
        """Return the account of an update that names no known account or another owner; None if it has none.

        An update that names a user that does not own the account is applied to no book: both users are read again.
        """
        account = self._accounts.get(event.account_id or "")
        if not event.account_id and isinstance(event, OrderUpdate):
            account = self._users.account_of_order(event.order.order_id)
        if account is None:
            return self._unknown_account(event, at)
        if event.user_id and event.user_id != account.keeper.user_id:
            self._reject_conflict(event.user_id, account)
            return None
        return account

    def _reject_conflict(self, user_id: str, account: FollowedAccount) -> None:
        self.conflicting += 1
        owner, named = account.followed, self._users.by_id.get(user_id)
        followed_users, account_id = [owner] if named is None else [owner, named], account.keeper.account_id
        level = logging.DEBUG if all(followed.is_doubted for followed in followed_users) else logging.WARNING
        names = user_id, account_id, account.keeper.user_id
        log.log(level, "a frame of user %r names account %r of user %r: it is not applied, both are read again", *names)
        # Either name may be the wrong one, so the update may be of any account of the named user.
        self._resync.enqueue_suspect(followed_users)
        self._change_feed.recheck()

    def _unknown_account(self, event: Update, at: datetime) -> FollowedAccount | None:
        """Return a new account for an update of a followed user; None if the update is applied nowhere."""
        account_id, user_id = event.account_id, event.user_id
        self.unknown += 1
        followed = self._users.by_id.get(user_id or "")
        if followed is None:
            self.ignored += 1
            if not user_id:
                order_id = event.order.order_id if isinstance(event, OrderUpdate) else None
                self._users.note_unmatched(account_id or order_id)
                if not account_id:
                    # The order may be of any followed user.
                    self._resync.enqueue_suspect(self._users.by_id.values())
                    self._change_feed.recheck()
            return None
        if not account_id:
            self._resync.enqueue_suspect([followed])
            self._change_feed.recheck()
            return None
        log.info("user %s has a new account", followed.user.user_id)
        # An update that was missed before this one may have been of the new account.
        missed_since = None if self._users.has_read(followed) else followed.missed_since
        begins = [bounded_event_time(event.time_text, at), missed_since]
        # A snapshot under way may be older than the account. The user's other accounts missed nothing.
        followed.handle(FollowedUserEvent.OUTDATE)
        self._resync.enqueue_suspect([followed], [account_id])
        return self._users.account_for(followed, account_id, min(filter(None, begins), default=None))

    def _on_unexpected_error(self, event: Any, error: Exception) -> None:  # noqa: ANN401 - an Event
        """Skip an event that could not be applied, and read again the accounts that it names."""
        level = logging.DEBUG if self.crashes else logging.ERROR
        self.crashes += 1
        log.log(level, "an event could not be applied; the accounts that it names are read again", exc_info=error)
        raw = getattr(event, "raw", b"")
        if raw:
            self._reread_mentioned(raw, None)
        else:
            self._resync.enqueue_suspect(self._users.by_id.values())
        self._change_feed.recheck()

    def _on_lifecycle(self, event: Event) -> None:
        match event:
            case Gap():
                if event.dropped:
                    # A dropped event may be the one that says that the stream is live.
                    # An event of a later loss is still queued.
                    self._users.is_live = self._is_live()
                self._is_stale = False
                self._resync_all(event.cause)
            case StreamLive():
                # After a gap this event follows it. Without a gap the stream is live for the first time.
                self._users.is_live = True
                if self._is_stale:
                    self._is_stale = False
                    self._resync_all("the stream was not live before")
            case StreamLost():
                self._users.is_live, self._is_stale = False, True
            case UnknownMessage():
                self._reread_mentioned(event.raw, event.mentions)
            case _:
                return
        self._change_feed.recheck()

    def _reread_mentioned(self, raw: bytes, mentions: Mentions | None) -> None:
        """Read again the users and accounts that a frame names that was not understood: its update was missed.

        A frame that names no user, no account and no known order may be an update of any user. It is one if it looks
        like an update; otherwise it is a heartbeat and is ignored.

        Args:
            raw: the frame, or its beginning.
            mentions: the ids in the whole frame, where ``raw`` is only its beginning.
        """
        named, users = mentions_in(raw) if mentions is None else mentions, self._users
        named_users = [name for name in named.references if name in users.by_id]
        found = list(
            filter(
                None,
                (
                    *map(users.accounts.get, (*named.accounts, *named.references)),
                    *map(users.account_of_order, named.orders),
                ),
            )
        )
        if not (named.is_update or named_users or found):
            return
        named_users += named.users
        if named.is_unclear or not (named_users or named.accounts or found):
            self._resync.enqueue_suspect(users.by_id.values())
            return
        concerned: dict[FollowedUser, set[str]] = {}
        for account in found:
            concerned.setdefault(account.followed, set()).add(account.keeper.account_id)
        # An unknown account is a new one of the user that the frame names.
        new = {name for name in named.accounts if name not in users.accounts}
        for name in named_users:
            followed = users.by_id.get(name)
            if followed is not None:
                accounts = concerned.pop(followed, set())
                is_new = bool(new) and len(named_users) == 1
                self._resync.enqueue_suspect([followed], accounts | new if accounts or is_new else None)
        for followed, accounts in concerned.items():
            self._resync.enqueue_suspect([followed], accounts)
        if not named_users:
            for name in new:
                users.note_unmatched(name)

    def _resync_all(self, cause: str) -> None:
        self.gaps += 1
        log.info("updates may have been missed: %s; all users are read again", cause)
        self._resync.resync_all()
