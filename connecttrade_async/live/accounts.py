"""What users hold of many accounts: books that are kept true, what changes in them, and waiting for it.

Its vow: a book that says it is current is what the server has, but for what is on its way; and each fill is told once.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from connecttrade_async import analytics
from connecttrade_async.books.book import Book
from connecttrade_async.books.change_feed import CAPACITY, TOPICS, ChangeSubscription, filter_for
from connecttrade_async.books.merge import has_ended
from connecttrade_async.books.snapshots import Noting, UserApi, as_it_is
from connecttrade_async.clock import Clock
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import ClosedError, ConfigurationError, ConnectTradeError
from connecttrade_async.live.engine import LiveEngine
from connecttrade_async.live.status import LiveHealth, LiveSettings, LiveStatistics
from connecttrade_async.models.orders import Order
from connecttrade_async.streaming.config import Lifetime
from connecttrade_async.streaming.stream import BrokerageStream
from connecttrade_async.validation import check_each, check_iterable, check_one

__all__ = ["LiveAccounts"]


class LiveAccounts:
    """The accounts of many users, kept true by one stream and by snapshots.

    Use it as ``async with``: inside, every book that there is equals the server, and who could not be read is in
    ``failed``. It may be entered in one task and left in another.
    """

    def __init__(
        self,
        users: Iterable[UserApi],
        stream: BrokerageStream,
        settings: LiveSettings,
        *,
        owns_stream: bool,
        reconnect: Reconnect,
        clock: Clock,
        owner: Lifetime,
        noting: Noting = as_it_is,
    ) -> None:
        check_iterable(users, _is_reader)
        if not set(TOPICS) <= set(stream.topics):
            raise ConfigurationError(f"books need a stream of {', '.join(TOPICS)}, not only of {stream.topics}")
        self._users = tuple(users)
        check_each(self._users, _is_reader)
        self._following = LiveEngine(
            stream, settings, owns_stream=owns_stream, reconnect=reconnect, clock=clock, owner=owner, noting=noting
        )
        self._roster = self._following.users
        self._teller = self._following.change_feed

    # Who is followed --------------------------------------------------------------------------------------------------

    @property
    def failed(self) -> Mapping[str, ConnectTradeError]:
        """By user id, why there is no snapshot that counts.

        Who was refused is asked about again by the sweep only; everybody else again and again, with growing pauses.
        """
        return MappingProxyType(self._following.resync.failed)

    async def add(self, user: UserApi) -> None:
        """Follow one more user. Returns when the user was read, or is in ``failed``.

        What the user has by then is in the books; what changes later is told. One who is followed already is asked in
        this one's name from now on, with a new secret, say: the books stay, and what they missed is told.

        Raises:
            ConfigurationError: it is no handle.
            ConnectTradeError: the stream has ended, with why, or this was closed.

        Cancelling stops waiting; the user is followed all the same.
        """
        check_one(user, _is_reader)
        await self._following.follow([user])

    async def remove(self, user: UserApi | str) -> None:
        """Follow a user no more: the books go, and nothing more is told of them. Harmless where nobody is followed.

        Who waits for one of the user's orders is told that it is closed.

        Raises:
            ConfigurationError: it is no handle, and no user id.

        Cancelling cannot come in between: it is done at once.
        """
        if not isinstance(user, str):
            check_one(user, _is_reader)
        self._following.drop(user if isinstance(user, str) else user.user_id)

    # What is true now -------------------------------------------------------------------------------------------------

    def book(self, account_id: str) -> Book:
        """Return the book of an account as it is now, as a value.

        An account that no answer has any more keeps its book, not current, for it may be there and could not be read.
        When no answer has had it for two minutes, and no frame, the user's connections are listed: if none of them
        opens it, it is not linked any more, and the book goes. Nothing of it is told to have closed or ended.

        Raises:
            ConfigurationError: no such account is followed, or it is not linked any more.
        """
        book = self._roster.book(account_id)
        if book is None:
            raise ConfigurationError(
                f"no account {account_id!r} is followed: is its user, was the user read, and is it linked?"
            )
        return book

    def books(self) -> tuple[Book, ...]:
        """Return every book as it is now."""
        return tuple(self._roster.books())

    def totals(self, account_ids: Iterable[str] | None = None) -> analytics.DailySummary:
        """Sum accounts up: cash, buying power, and gain or loss in each symbol.

        Args:
            account_ids: which; None is all there are.

        Raises:
            ConfigurationError: no such account is followed, or their balances are in several currencies.
            MalformedResponseError: a text is no number.
        """
        books = self.books() if account_ids is None else [self.book(each) for each in account_ids]
        return analytics.daily_summary(
            [balance for book in books for balance in book.balances.values()],
            [position for book in books for position in book.positions.values()],
        )

    @property
    def is_current(self) -> bool:
        """Whether every book is what the server has, and nobody is still to be read but who is in ``failed``.

        Where somebody cannot be read since the client of the user's handle was closed, it is not.
        """
        roster, failed = self._roster, self._following.resync.failed
        # Whoever is asked after everything that happens must find a no fast.
        if not roster.is_live or len(roster.unread) > len(failed) or len(roster.doubted) > len(failed):
            return False
        are_read = all(_is_given_up(failed.get(member.user.user_id)) for member in (*roster.unread, *roster.doubted))
        return are_read and all(map(roster.is_current, roster.places.values()))

    # What changes -----------------------------------------------------------------------------------------------------

    def changes(
        self,
        *topics: str,
        account_id: str | None = None,
        user_id: str | None = None,
        symbol: str | None = None,
        capacity: int = CAPACITY,
        overflow: str = "close",
    ) -> ChangeSubscription:
        """Add a consumer of changes: an async context manager and an async iterator.

        It yields ``OrderChanged``, ``PositionChanged`` and ``BalanceChanged``, each with its cause, as they are
        learned: what is ``recovered`` may be older than what was told already, and the ``time`` of a fill says so. It
        yields a ``Gap`` where its own queue dropped changes. When the stream ends for good, it raises why, after all
        that was told.

        Args:
            topics: some of ``orders``, ``positions``, ``balances``; none means all.
            account_id: only that account's.
            user_id: only that user's.
            symbol: only that symbol's.
            capacity: changes that may wait.
            overflow: what happens when more would wait: ``close`` ends this consumer with ``SlowConsumerError``,
                ``drop_oldest`` drops and tells a ``Gap``, ``latest`` keeps the latest of each key, without orders.

        Raises:
            ConfigurationError: a topic, the bound or the policy cannot be one.
            ConnectTradeError: the stream has ended, with why, or this was closed.
        """
        return self._teller.subscribe(filter_for(topics, account_id, user_id, symbol), overflow, capacity)

    async def order_done(self, order: Order | str, *, timeout: float | None = None) -> Order:
        """Wait until an order has ended: filled, cancelled, rejected, expired or replaced; return it.

        The news may come by the stream, before or after the answer of ``place``, or by a snapshot. An order that is
        ``replaced`` names its successor in ``replaced_by``.

        An order that had ended before the live accounts were entered, and that no list has, cannot be told from one
        that is still to come: the call waits for it until ``timeout``.

        Args:
            order: the order, or its ``order_id``.
            timeout: seconds; None for ever.

        Returns:
            The order as it ended.

        Raises:
            TimeoutError: it did not end in time.
            ConfigurationError: it had ended, and is not kept any more; or ``order`` is neither an order nor a text; or
                the live accounts were not entered.
            ClosedError: its user is not followed any more, its account is not linked any more, or the live accounts
                were closed.
            ConnectTradeError: the stream has ended, with why.

        Cancelling stops waiting.
        """
        _check_order(order)
        self._following.check_open()
        order_id = order if isinstance(order, str) else order.order_id
        known = self._roster.order(order_id)
        if known is not None and has_ended(known):
            return known
        if isinstance(order, Order) and has_ended(order):
            return order
        if known is None and any(place.keeper.was_evicted(order_id) for place in self._roster.places.values()):
            raise ConfigurationError(f"order {order_id} has ended, and is not kept any more: keep more, or ask for it")
        return await self._teller.wait_order_done(order_id, timeout)

    async def wait(self, predicate: Callable[[LiveAccounts], object], *, timeout: float | None = None) -> None:
        """Wait until something holds: ``await live.wait(lambda live: live.is_current)``.

        Args:
            predicate: is asked now, and whenever something has changed.
            timeout: seconds; None for ever.

        Raises:
            TimeoutError: it did not hold in time.
            ConfigurationError: the predicate cannot be called, or the live accounts were not entered.
            ConnectTradeError: the stream has ended, with why, or this was closed.
            Exception: whatever the predicate raises.

        Cancelling stops waiting.
        """
        _check_predicate(predicate)
        self._following.check_open()
        await self._teller.wait_until(lambda: bool(predicate(self)), timeout)

    # How it is doing --------------------------------------------------------------------------------------------------

    def statistics(self) -> LiveStatistics:
        """Return what following came to so far."""
        return self._following.statistics()

    def health(self) -> LiveHealth:
        """Return how it is doing, at once and without asking anybody."""
        roster = self._roster
        return LiveHealth(
            state=self._state(),
            users=len(roster.members),
            accounts=len(roster.places),
            current=sum(map(roster.is_current, roster.places.values())),
            waiting=self._following.resync.waiting,
            asking=self._following.resync.asking,
            failed={user_id: str(error) for user_id, error in self._following.resync.failed.items()},
            statistics=self.statistics(),
        )

    def _state(self) -> str:
        if self._following.ending is not None:
            return "ENDED"
        if not self._roster.is_live:
            return "AWAY"
        return "CURRENT" if self.is_current else "RESYNCING"

    # Life -------------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close, in bounded time from every state; a stream that was borrowed is left open. Twice is harmless.

        What waits for consumers of changes can still be taken; then they end. Cancelling drops what is under way, and
        the link of a stream that is its own, at once.
        """
        await self._following.aclose()

    async def __aenter__(self) -> Self:
        await self._following.open(self._users)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        health = self.health()
        return (
            f"<LiveAccounts {health.state} {health.users} users, {health.current} of {health.accounts} books current, "
            f"{len(health.failed)} failed>"
        )


def _is_given_up(error: ConnectTradeError | None) -> bool:
    """Whether the server, or the way there, is why a user was not read, and no handle that is closed."""
    return error is not None and not isinstance(error, ClosedError)


def _is_reader(user: object) -> bool:
    return all(hasattr(user, name) for name in ("user_id", "positions"))


def _check_predicate(predicate: object) -> None:
    if not callable(predicate):
        msg = f"predicate must be a function, such as lambda live: live.is_current, not {type(predicate).__name__}"
        raise ConfigurationError(msg)


def _check_order(order: object) -> None:
    if not isinstance(order, str | Order):
        raise ConfigurationError(f"order must be an Order or its order_id, not {type(order).__name__}")
