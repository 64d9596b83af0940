"""The public object of live accounts: current books, their changes, and waiting for both.

A book that is current equals the server but for updates that are on their way, and each fill is published once.
"""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Self

from connecttrade_async import analytics
from connecttrade_async.books.book import Book
from connecttrade_async.books.change_feed import ChangeSubscription, filter_for
from connecttrade_async.books.snapshots import UserApi
from connecttrade_async.clock import Clock
from connecttrade_async.config import Reconnect
from connecttrade_async.errors import ClosedError, ConfigurationError, ConnectTradeError
from connecttrade_async.live.engine import LiveEngine
from connecttrade_async.live.status import LiveHealth, LiveSettings, LiveStatistics
from connecttrade_async.models.orders import Order, has_ended
from connecttrade_async.streaming.brokerage_stream import BrokerageStream
from connecttrade_async.streaming.config import Lifetime
from connecttrade_async.streaming.filters import TOPICS
from connecttrade_async.streaming.subscriptions import CAPACITY
from connecttrade_async.validation import check_each, check_iterable, check_one

__all__ = ["LiveAccounts"]


class LiveAccounts:
    """The accounts of many users, kept current by one stream and by snapshots.

    Use it as ``async with``: inside, every book equals the server, and users that could not be read are in ``failed``.
    It may be entered in one task and closed in another.
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
    ) -> None:
        check_iterable(users, _is_user_handle)
        if not set(TOPICS) <= set(stream.topics):
            raise ConfigurationError(f"stream must have the topics {', '.join(TOPICS)}, got {stream.topics}")
        self._initial_users = tuple(users)
        check_each(self._initial_users, _is_user_handle)
        self._engine = LiveEngine(
            stream, settings, owns_stream=owns_stream, reconnect=reconnect, clock=clock, owner=owner
        )
        self._users = self._engine.users
        self._change_feed = self._engine.change_feed

    # Followed users ---------------------------------------------------------------------------------------------------

    @property
    def failed(self) -> Mapping[str, ConnectTradeError]:
        """By user id, why no snapshot of the user counts.

        A user with a rejected secret is read again by the sweep only. Every other user is read again with growing
        pauses.
        """
        return MappingProxyType(self._engine.resync.failed)

    async def add(self, user: UserApi) -> None:
        """Follow one more user. Returns when the user was read, or is in ``failed``.

        The user's state at that moment is in the books; later changes are published. A user that is followed already is
        read with this handle from now on, for example after its secret was renewed. The books stay, and changes that
        they missed are published.

        Raises:
            ConfigurationError: ``user`` is no user handle.
            ConnectTradeError: the stream has ended, with the reason, or the live accounts were closed.

        Cancelling stops waiting; the user is followed all the same.
        """
        check_one(user, _is_user_handle)
        await self._engine.follow([user])

    async def remove(self, user: UserApi | str) -> None:
        """Stop following a user: its books are dropped and its changes are not published any more.

        Calls of ``order_done`` for the user's orders raise ``ClosedError``. No effect if the user is not followed.

        Raises:
            ConfigurationError: ``user`` is neither a user handle nor a user id.

        It completes without suspending, so cancelling cannot interrupt it.
        """
        if not isinstance(user, str):
            check_one(user, _is_user_handle)
        self._engine.drop(user if isinstance(user, str) else user.user_id)

    # Books ------------------------------------------------------------------------------------------------------------

    def book(self, account_id: str) -> Book:
        """Return the book of an account as it is now, as a value.

        An account that answers do not have any more keeps its book, not current: it may exist and be unreadable. After
        two minutes without an answer or a frame that has it, the user's connections are listed. If none of them opens
        the account, it is not linked any more and the book is dropped. No change of it is published then.

        Raises:
            ConfigurationError: no such account is followed, or it is not linked any more.
        """
        book = self._users.book(account_id)
        if book is None:
            raise ConfigurationError(
                f"no account {account_id!r} is followed: check that its user was added and read, and that it is linked"
            )
        return book

    def books(self) -> tuple[Book, ...]:
        """Return every book as it is now."""
        return tuple(self._users.books())

    def totals(self, account_ids: Iterable[str] | None = None) -> analytics.DailySummary:
        """Add accounts up: cash, buying power, and gain or loss by symbol.

        Args:
            account_ids: the accounts; None for all.

        Raises:
            ConfigurationError: no such account is followed, or the balances are in several currencies.
            MalformedResponseError: a text is no number.
        """
        books = self.books() if account_ids is None else [self.book(each) for each in account_ids]
        return analytics.daily_summary(
            [balance for book in books for balance in book.balances.values()],
            [position for book in books for position in book.positions.values()],
        )

    @property
    def is_current(self) -> bool:
        """Whether every book is current, and every user was read or is in ``failed``.

        It is False while a user cannot be read because the client of its handle was closed.
        """
        users, failed = self._users, self._engine.resync.failed
        # Predicates of `wait` read this after every change, so the common False must be fast.
        if not users.is_live or len(users.not_current) > len(failed):
            return False
        are_read = all(_is_server_failure(failed.get(followed.user.user_id)) for followed in users.not_current)
        return are_read and all(map(users.is_current, users.accounts.values()))

    # Changes ----------------------------------------------------------------------------------------------------------

    def changes(
        self,
        *topics: str,
        account_id: str | None = None,
        user_id: str | None = None,
        symbol: str | None = None,
        capacity: int = CAPACITY,
        overflow: str = "close",
    ) -> ChangeSubscription:
        """Subscribe to changes: returns an async context manager and async iterator.

        It yields ``OrderChanged``, ``PositionChanged`` and ``BalanceChanged``, each with its cause, as they are
        learned. A ``recovered`` change may be older than changes that were yielded already; the ``time`` of a fill
        shows it. It yields a ``Gap`` where its own queue dropped changes. When the stream ends for good, it raises the
        reason after all queued changes.

        Args:
            topics: some of ``orders``, ``positions``, ``balances``; none means all.
            account_id: yield only the changes of this account.
            user_id: yield only the changes of this user.
            symbol: yield only the changes of this symbol.
            capacity: the number of changes that the queue holds.
            overflow: the policy for a full queue: ``close`` ends this subscription with ``SlowConsumerError``,
                ``drop_oldest`` drops changes and yields a ``Gap``, ``latest`` keeps the latest of each key, without
                orders.

        Raises:
            ConfigurationError: a topic, the capacity or the policy is invalid.
            ConnectTradeError: the stream has ended, with the reason, or the live accounts were closed.
        """
        return self._change_feed.subscribe(filter_for(topics, account_id, user_id, symbol), overflow, capacity)

    async def order_done(self, order: Order | str, *, timeout: float | None = None) -> Order:
        """Wait until an order has ended: filled, cancelled, rejected, expired or replaced; return it.

        The stream may report the end before or after the answer of ``place``, or a snapshot finds it. An order that is
        ``replaced`` names its successor in ``replaced_by``.

        An order that ended before the live accounts were opened, and that no list has, looks like an order that is
        still to come: the call waits for it until ``timeout``.

        Args:
            order: the order, or its ``order_id``.
            timeout: seconds; None for no limit.

        Returns:
            The order as it ended.

        Raises:
            TimeoutError: the order did not end in time.
            ConfigurationError: the order has ended and is not kept any more, or ``order`` is neither an order nor a
                text, or the live accounts are not open.
            ClosedError: its user is not followed any more, its account is not linked any more, or the live accounts
                were closed.
            ConnectTradeError: the stream has ended, with the reason.

        Cancelling stops waiting.
        """
        _check_order(order)
        self._engine.check_open()
        order_id = order if isinstance(order, str) else order.order_id
        known = self._users.order(order_id)
        if known is not None and has_ended(known):
            return known
        if isinstance(order, Order) and has_ended(order):
            return order
        if known is None and any(account.keeper.was_evicted(order_id) for account in self._users.accounts.values()):
            raise ConfigurationError(
                f"order {order_id} has ended and is not kept any more: raise keep_orders, or find it with orders.list"
            )
        return await self._change_feed.wait_order_done(order_id, timeout)

    async def wait(self, predicate: Callable[[LiveAccounts], object], *, timeout: float | None = None) -> None:
        """Wait until a condition holds: ``await live.wait(lambda live: live.is_current)``.

        Args:
            predicate: is called now and after every change.
            timeout: seconds; None for no limit.

        Raises:
            TimeoutError: the condition did not hold in time.
            ConfigurationError: the predicate cannot be called, or the live accounts are not open.
            ConnectTradeError: the stream has ended, with the reason, or the live accounts were closed.
            Exception: an exception of the predicate.

        Cancelling stops waiting.
        """
        _check_predicate(predicate)
        self._engine.check_open()
        await self._change_feed.wait_until(lambda: bool(predicate(self)), timeout)

    # Health -----------------------------------------------------------------------------------------------------------

    def statistics(self) -> LiveStatistics:
        """Return the counters so far."""
        return self._engine.statistics()

    def health(self) -> LiveHealth:
        """Return the state, at once and without any request."""
        users = self._users
        return LiveHealth(
            state=self._state(),
            users=len(users.by_id),
            accounts=len(users.accounts),
            current=sum(map(users.is_current, users.accounts.values())),
            waiting=self._engine.resync.waiting,
            asking=self._engine.resync.asking,
            failed={user_id: str(error) for user_id, error in self._engine.resync.failed.items()},
            statistics=self.statistics(),
        )

    def _state(self) -> str:
        if self._engine.ending is not None:
            return "ENDED"
        if not self._users.is_live:
            return "AWAY"
        return "CURRENT" if self.is_current else "RESYNCING"

    # Lifecycle --------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close, in bounded time from every state; a borrowed stream stays open. A second call has no effect.

        Queued changes can still be received; then the subscriptions end. Cancelling the task drops the close handshake
        of an owned stream at once. A cancel scope of anyio does not interrupt the close.
        """
        await self._engine.aclose()

    async def __aenter__(self) -> Self:
        await self._engine.open(self._initial_users)
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


def _is_server_failure(error: ConnectTradeError | None) -> bool:
    """Return whether the server or the network is why a user was not read, and not a closed handle."""
    return error is not None and not isinstance(error, ClosedError)


def _is_user_handle(user: object) -> bool:
    return all(hasattr(user, name) for name in ("user_id", "positions"))


def _check_predicate(predicate: object) -> None:
    if not callable(predicate):
        msg = f"predicate must be a function such as lambda live: live.is_current, got {type(predicate).__name__}"
        raise ConfigurationError(msg)


def _check_order(order: object) -> None:
    if not isinstance(order, str | Order):
        raise ConfigurationError(f"order must be an Order or its order_id, got {type(order).__name__}")
