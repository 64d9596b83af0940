"""A loop: keep the books of users that are polled: ask for all that one has, compare, tell.

Its vow: one poll is all or nothing, so a failed read is never an empty account. Its books stay as they were, are not
current, and what was missed meanwhile is told by the next good poll, with the cause ``recovered``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import msgspec

from connecttrade_async.books.change_feed import ChangeFeed
from connecttrade_async.books.followed_users import FollowedUser, FollowedUsers
from connecttrade_async.books.order_tracker import LAG
from connecttrade_async.books.snapshots import take_snapshot
from connecttrade_async.rest.digest_api import CachedApi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connecttrade_async.books.book import AccountSnapshot
    from connecttrade_async.books.changes import Cause, Change
    from connecttrade_async.books.order_tracker import OrderRetention
    from connecttrade_async.client import User
    from connecttrade_async.polling.fetcher import PollClient
    from connecttrade_async.rest.digest_api import PolledApi

__all__ = ["PolledBooks"]


class PolledUserState(msgspec.Struct, eq=False):
    """What is kept of a user beside the books.

    Attributes:
        member: whose books.
        known: what the last good poll read, by the digest of each answer: the books hold the same values.
        asked: when that was asked for, aware; None before the first.
    """

    member: FollowedUser
    known: dict[int, object] = {}
    asked: datetime | None = None


class PolledBooks:
    """Keeps books by polling.

    Args:
        house: the rooms above.
        keep: how long orders that have ended stay in a book.

    Attributes:
        roster: the books.
        teller: who hears of changes.
        is_followed: whether anybody ever wanted to.
    """

    def __init__(self, house: PollClient, keep: OrderRetention) -> None:
        self._house = house
        self._clock = house.caller.clock
        self._memories: dict[str, PolledUserState] = {}
        self.roster = FollowedUsers(keep)
        self.teller = ChangeFeed(self._clock)
        self.is_followed = False

    async def read(self, user: User) -> tuple[Change, ...]:
        """Ask for all that a user has; tell and return what has changed since the last good poll.

        What a user has at the first is where it begins, and no news.

        Raises:
            ConnectTradeError: something could not be read; then nothing was.

        Cancelling drops the request under way, and changes nothing but that the books are not current.
        """
        memory = self._memory(user)
        member, asked = memory.member, self._clock.wall()
        watched = cast("PolledApi", self._house.requester_of(user))
        recalling = CachedApi.wrap(watched, memory.known)
        window = member.window(asked, timedelta(seconds=self.roster.keep.age))
        changes: tuple[Change, ...] = ()
        try:
            snapshot = await take_snapshot(self._house.handle(recalling), window, _at_once)
            if member.is_gone:
                return ()
            if recalling.is_unchanged:
                self.roster.confirm(member, self._clock.wall())
            else:
                memory.known = {}  # what fails half-way is loaded again, whatever is answered then
                changes = self._load(memory, snapshot.by_account(), asked)
                # An answer that the books did not take is read again, for what it repeats may count then.
                is_taken = all(keeper.problem is None for keeper in member.keepers.values())
                memory.known = recalling.values if is_taken else {}
        except BaseException:
            if not member.is_gone:
                self.roster.unread.add(member)
            raise
        memory.asked = asked
        self.roster.unread.discard(member)
        self.teller.publish(changes)
        return changes

    def _load(
        self, memory: PolledUserState, listed: Mapping[str, AccountSnapshot], asked: datetime
    ) -> tuple[Change, ...]:
        member = memory.member
        cause: Cause = "recovered" if member in self.roster.unread else "poll"
        begins = None if memory.asked is None else memory.asked - LAG
        news, _ = self.roster.load(member, listed, cause, begins, self._clock.wall())
        changes = tuple(news)
        # The window of orders moves on with what happens: while nothing does, the same is asked, and answered.
        if member.since is None or changes:
            member.since = asked
        return changes

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user."""
        self._memories.pop(user_id, None)
        self.roster.remove(user_id)

    def _memory(self, user: User) -> PolledUserState:
        memory = self._memories.get(user.user_id)
        if memory is None:
            memory = self._memories[user.user_id] = PolledUserState(self.roster.add(user))
        return memory


def _at_once() -> None:
    """Wait for nothing: requests wait for their turn where they are sent."""
