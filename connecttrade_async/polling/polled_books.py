"""Keep the books of polled users: read a snapshot, compare it with the books, publish the changes.

A snapshot counts only if all of it was read, so a failed read is never an empty account. After a failed read the books
stay as they are and are not current; the next successful one publishes the missed changes with the cause ``recovered``.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads the types of fields, for signature()
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from connecttrade_async.books.change_feed import ChangeFeed
from connecttrade_async.books.followed_users import FollowedUser, FollowedUsers, FollowState
from connecttrade_async.books.order_tracker import LAG
from connecttrade_async.books.snapshots import take_snapshot
from connecttrade_async.rest.digests import LazyValue  # noqa: TC001 - msgspec reads the types of fields, for signature()

if TYPE_CHECKING:
    from connecttrade_async.books.book import AccountSnapshot
    from connecttrade_async.books.changes import Cause, Change
    from connecttrade_async.books.order_tracker import OrderRetention
    from connecttrade_async.clock import Clock
    from connecttrade_async.user import User

__all__ = ["PolledBooks"]


class PolledUserState(msgspec.Struct, eq=False):
    """What is kept of a polled user besides its books.

    Attributes:
        followed: The user and its books.
        known: The responses of the last successful snapshot by digest; the books hold the same values.
        requested_at: When that snapshot was requested, timezone-aware; None before the first.
    """

    followed: FollowedUser
    known: Mapping[int, LazyValue[Any]] = {}
    requested_at: datetime | None = None


class PolledBooks:
    """Keeps books by polling.

    Args:
        clock: The source of time.
        keep: How long completed orders stay in a book.

    Attributes:
        users: The users and their books.
        change_feed: The subscriptions of changes.
        is_followed: Whether there ever was such a subscription.
    """

    def __init__(self, clock: Clock, keep: OrderRetention) -> None:
        self._clock = clock
        self._states: dict[str, PolledUserState] = {}
        self.users = FollowedUsers(keep)
        self.change_feed = ChangeFeed(self._clock)
        self.is_followed = False

    async def read(self, user: User) -> tuple[Change, ...]:
        """Read a snapshot of a user; publish and return what has changed since the last one.

        The first snapshot is the starting point and publishes no changes.

        Raises:
            ConnectTradeError: A request failed; the books are unchanged.

        Cancelling cancels the request in flight; the books stay as they are and are not current.
        """
        state = self._state_of(user)
        followed, requested_at = state.followed, self._clock.wall()
        window = followed.window(requested_at, timedelta(seconds=self.users.keep.age))
        changes: tuple[Change, ...] = ()
        cause: Cause = "poll" if followed.state is FollowState.CURRENT else "recovered"
        self.users.begin_snapshot(followed)
        try:
            snapshot = await take_snapshot(user, window, _no_limit, values=state.known)
            if followed.state is FollowState.GONE:
                return ()
            if snapshot.responses.keys() == state.known.keys():
                self.users.confirm(followed, self._clock.wall())
            else:
                state.known = {}  # if loading fails half-way, the next snapshot is loaded even if it is the same
                changes = self._load(state, snapshot.by_account(), cause, requested_at)
                # A snapshot that a book refused is loaded again even if it is the same: it may be accepted then.
                is_accepted = all(keeper.problem is None for keeper in followed.keepers.values())
                state.known = snapshot.responses if is_accepted else {}
        except BaseException:
            if followed.state is not FollowState.GONE:
                self.users.mark_stale([followed])
            raise
        else:
            self.users.accept_snapshot(followed)
        finally:
            self.users.end_snapshot(followed)
        state.requested_at = requested_at
        self.change_feed.publish(changes)
        return changes

    def _load(
        self, state: PolledUserState, snapshots: Mapping[str, AccountSnapshot], cause: Cause, requested_at: datetime
    ) -> tuple[Change, ...]:
        followed = state.followed
        since = None if state.requested_at is None else state.requested_at - LAG
        found, _ = self.users.load(followed, snapshots, cause, since, self._clock.wall())
        changes = tuple(found)
        # The window of orders moves only with changes: without them the same request brings the same response.
        if followed.since is None or changes:
            followed.since = requested_at
        return changes

    def forget(self, user_id: str) -> None:
        """Drop all state of a removed user."""
        self._states.pop(user_id, None)
        self.users.remove(user_id)

    def _state_of(self, user: User) -> PolledUserState:
        state = self._states.get(user.user_id)
        if state is None:
            state = self._states[user.user_id] = PolledUserState(self.users.add(user))
        return state


def _no_limit() -> None:
    """Do nothing: the rate limiter of the poller delays requests where they are sent."""
