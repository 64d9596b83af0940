"""The public poller: enter it, iterate over its results, add and remove users."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Generic, Self, TypeVar

from anyio import CancelScope

import connecttrade_async  # the package is above this module, so its names are resolved when they are used
from connecttrade_async.books.book import Book
from connecttrade_async.books.change_feed import ChangeSubscription, filter_for
from connecttrade_async.errors import CallerError, ClosedError, ConfigurationError
from connecttrade_async.polling.config import PollConfig
from connecttrade_async.polling.fetcher import PollClient
from connecttrade_async.polling.poll_loop import PollLoop
from connecttrade_async.polling.polled_books import PolledBooks
from connecttrade_async.polling.results import PollEvent, PollResult, PollStatistics
from connecttrade_async.streaming.subscriptions import CAPACITY
from connecttrade_async.validation import check_each, check_iterable, check_one

__all__ = ["Poller"]

T = TypeVar("T")


class Poller(Generic[T]):
    """Polls many users over and over; see ``ConnectTrade.poll``.

    Use it as ``async with``, and iterate over it: each item is a ``PollResult``. Entering and leaving it may happen in
    different tasks.

    Iteration never ends by itself. It raises ``ClosedError`` if the client is closed, and any error of the caller's own
    ``users`` or ``every``.
    """

    def __init__(
        self,
        users: Iterable[connecttrade_async.User] | AsyncIterable[connecttrade_async.User],
        fetch: Callable[[connecttrade_async.User], Awaitable[T]],
        config: PollConfig,
        client: PollClient,
        books: PolledBooks | None = None,
        *,
        is_handle: Callable[[object], bool],
    ) -> None:
        self._is_handle = is_handle
        if not isinstance(users, AsyncIterable):
            check_iterable(users, is_handle)
            if isinstance(users, Collection):  # an iterator is consumed when the poller is entered
                check_each(users, is_handle)
        self._books = books
        self._users = users
        self._sender = client.sender
        self._loop: PollLoop[T] = PollLoop(fetch, config, client, books)
        self._user_tasks: list[asyncio.Task[None]] = []
        self._cancel_on_close: Callable[[], object] = bool
        self._is_entered = self._is_closed = False

    async def add(self, user: connecttrade_async.User) -> None:
        """Add a user. Its first turn comes within one interval.

        For a user that was added before, the new handle is used from now on, and a parked user gets its turns again.
        Cancelling changes nothing.

        Raises:
            ClosedError: The poller is closed.
            ConfigurationError: ``user`` is not a handle.
        """
        check_one(user, self._is_handle)
        if self._is_closed:
            raise ClosedError("the poller")
        self._loop.add(user)
        if self._is_entered:
            self._loop.workers.wake()

    async def remove(self, user: connecttrade_async.User) -> None:
        """Remove a user: from now on no result of it is delivered. For an unknown user nothing happens.

        The result of a poll that is in flight is dropped. Cancelling changes nothing.

        Raises:
            ConfigurationError: ``user`` is not a handle.
        """
        check_one(user, self._is_handle)
        self._loop.remove(user.user_id)

    def resume(self, user: connecttrade_async.User) -> None:
        """Return a user with a refused secret to its ordinary turns. For other users nothing happens.

        If the user has a new secret, ``add`` the new handle instead.

        Raises:
            ConfigurationError: ``user`` is not a handle.
        """
        check_one(user, self._is_handle)
        self._loop.resume(user.user_id)

    @property
    def parked(self) -> Mapping[str, Exception]:
        """The latest refusal of each parked user's secret, by user id.

        A user is parked after at least three refusals (401) in a row over at least a minute. If the platform accepts
        refused secrets unchanged, a gateway is at fault, and no user is parked.

        A parked user is polled after ten minutes, then at pauses that grow to six hours. As soon as its secret is
        accepted, it leaves this mapping.
        """
        return dict(self._loop.outcomes.parked)

    def statistics(self) -> PollStatistics:
        """Return the present counters and state."""
        loop, outcomes, counters = self._loop, self._loop.outcomes, self._loop.outcomes.counters
        return PollStatistics(
            state=self._state(),
            users=len(outcomes.records),
            running=loop.workers.busy,
            waiting=len(loop.results),
            failing=counters.failing - len(outcomes.parked),
            parked=len(outcomes.parked),
            polls=counters.polls,
            unchanged=counters.unchanged,
            failures=counters.failures,
            skipped=loop.schedule.skipped,
            late=counters.late,
        )

    # Books ------------------------------------------------------------------------------------------------------------

    def book(self, account_id: str) -> Book:
        """Return the book of an account as of the last successful poll of its user, as an immutable value.

        It is current if the latest poll succeeded and polling continues; it may be as old as ``every``.

        Raises:
            ConfigurationError: The account is unknown, or the poller keeps no books: that takes ``fetch=None``.
        """
        book = self._with_books().users.book(account_id)
        if book is None:
            raise ConfigurationError(f"no account {account_id!r} is known: add its user, and wait for a result of it")
        return book

    def books(self) -> tuple[Book, ...]:
        """Return every book as of the last successful poll of its user.

        Raises:
            ConfigurationError: The poller keeps no books: that takes ``fetch=None``.
        """
        return tuple(self._with_books().users.books())

    def changes(
        self,
        *topics: str,
        account_id: str | None = None,
        user_id: str | None = None,
        symbol: str | None = None,
        capacity: int = CAPACITY,
        overflow: str = "close",
    ) -> ChangeSubscription:
        """Subscribe to changes, as ``LiveAccounts.changes`` does: one consumer serves streamed and polled users.

        The cause of each change is ``poll``, or ``recovered`` if polls failed before. After the first such call results
        need not be taken: if ``capacity`` results are queued, the oldest is dropped.

        Args:
            topics: Some of ``orders``, ``positions``, ``balances``; without any, all of them.
            account_id: Limits the subscription to this account.
            user_id: Limits the subscription to this user.
            symbol: Limits the subscription to this symbol.
            capacity: The number of changes that may be queued.
            overflow: ``close``, ``drop_oldest``, or without orders ``latest``; see ``LiveAccounts.changes``.

        Raises:
            ConfigurationError: A topic, ``capacity`` or ``overflow`` is invalid, or the poller keeps no books.
            ConnectTradeError: The error that ended the poller.
        """
        books = self._with_books()
        changes = books.change_feed.subscribe(filter_for(topics, account_id, user_id, symbol), overflow, capacity)
        books.is_followed = True
        self._loop.make_room()
        return changes

    def _with_books(self) -> PolledBooks:
        if self._books is None:
            raise ConfigurationError("a poller with a fetch of its own keeps no books: call poll with fetch=None")
        self._books.users.is_live = self._state() == "POLLING"
        return self._books

    # Results ----------------------------------------------------------------------------------------------------------

    async def with_events(self) -> AsyncGenerator[PollResult[T] | PollEvent]:
        """Iterate over results and, in order of time among them, ``Outage``, ``OutageEnded`` and ``RateLimited``.

        Iterating over the poller itself consumes the same queue, and skips the events.

        Raises:
            ClosedError: The client is closed.
            ConfigurationError: Another task already waits for results.
            Exception: The error of ``users`` or ``every``.

        Cancelling loses no result.
        """
        while (item := await self._receive()) is not None:
            yield item

    async def aclose(self) -> None:
        """Stop polling and end all tasks within ``timeouts.close`` seconds. Closing twice is harmless.

        If the task is cancelled, the polls in flight end on their own. A cancel scope of anyio does not interrupt the
        close.
        """
        self._is_closed = True
        self._cancel_on_close()
        self._loop.stop(None)
        self._loop.results.clear()
        for task in self._user_tasks:
            task.cancel()
        # Without the shield, a cancelled scope of anyio would leave tasks running behind the block.
        with CancelScope(shield=True):
            await self._loop.workers.aclose(self._sender.timeouts.close, self._user_tasks)

    async def _receive(self) -> PollResult[T] | PollEvent | None:
        try:
            item = await self._loop.results.receive()
        except ClosedError:
            if self._is_closed:
                return None
            raise
        self._loop.make_room()
        return item

    async def _feed(self, users: AsyncIterable[connecttrade_async.User]) -> None:
        try:
            async for user in users:
                check_one(user, self._is_handle)
                self._loop.add(user)
                self._loop.workers.wake()
        except Exception as exc:  # noqa: BLE001 - the caller's own iterator may raise anything; the consumer receives it
            self._loop.stop(exc)
        except (asyncio.CancelledError, BaseExceptionGroup) as exc:
            if not self._is_closed:
                # Without an error the poller would silently miss the rest of the users.
                error = CallerError(
                    f"users raised {type(exc).__name__}, so no more users are added and the poller ends"
                )
                error.__cause__ = exc
                self._loop.stop(error)
            if isinstance(exc, asyncio.CancelledError):
                raise

    def _state(self) -> str:
        if not self._is_entered or self._is_closed:
            return "CLOSED" if self._is_closed else "NEW"
        return self._loop.state()

    async def __aenter__(self) -> Self:
        if self._is_entered or self._is_closed:
            raise ClosedError("the poller")
        self._sender.check_open()
        self._is_entered = True
        users, self._users = self._users, ()
        if isinstance(users, AsyncIterable):
            self._user_tasks.append(asyncio.create_task(self._feed(users), name="connecttrade poll users"))
        else:
            for user in users:
                check_one(user, self._is_handle)
                self._loop.add(user)
        self._loop.workers.wake()
        # The next turn would also raise it; but that may be hours away, if all users are parked.
        self._cancel_on_close = self._sender.on_close(self._loop.stop)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PollResult[T]:
        # A queued result is returned without another coroutine: this call is part of the cost of each poll.
        loop = self._loop
        while True:
            items = loop.results.items
            item: PollResult[T] | PollEvent | None
            if items:
                item = items.popleft()
                if loop.is_full:
                    loop.make_room()
            else:
                item = await self._receive()
            if isinstance(item, PollResult):
                return item
            if item is None:
                raise StopAsyncIteration

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Poller {now.state} {now.users} users {now.failing} failing {now.parked} parked>"
