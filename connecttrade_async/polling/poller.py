"""What users hold of a poller: enter it, iterate over its results, add and remove users, look at it, leave it."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Generic, Self, TypeVar

import connecttrade_async  # a name that it fetches when it is used, since it lies above this module
from connecttrade_async.books.book import Book
from connecttrade_async.books.change_feed import CAPACITY, ChangeSubscription, filter_for
from connecttrade_async.errors import CallerError, ClosedError, ConfigurationError
from connecttrade_async.polling.config import PollConfig
from connecttrade_async.polling.fetcher import PollClient
from connecttrade_async.polling.poll_loop import PollLoop
from connecttrade_async.polling.polled_books import PolledBooks
from connecttrade_async.polling.results import PollEvent, PollResult, PollStatistics
from connecttrade_async.validation import check_each, check_iterable, check_one

__all__ = ["Poller"]

T = TypeVar("T")


class Poller(Generic[T]):
    """Many users, asked over and over; see ``ConnectTrade.poll``.

    Use it as ``async with``, and iterate over it: each item is a ``PollResult``. It may be entered and left in
    different tasks. It never ends by itself, but for a client that is closed, or an error of the caller's own ``users``
    or ``every``, which is raised where the results are taken.
    """

    def __init__(
        self,
        users: Iterable[connecttrade_async.User] | AsyncIterable[connecttrade_async.User],
        fetch: Callable[[connecttrade_async.User], Awaitable[T]],
        plan: PollConfig,
        house: PollClient,
        books: PolledBooks | None = None,
        *,
        is_handle: Callable[[object], bool],
    ) -> None:
        self._is_handle = is_handle
        if not isinstance(users, AsyncIterable):
            check_iterable(users, is_handle)
            if isinstance(users, Collection):  # an iterator is read when the poller is entered
                check_each(users, is_handle)
        self._books = books
        self._users = users
        self._caller = house.caller
        self._rounds: PollLoop[T] = PollLoop(fetch, plan, house, books)
        self._companions: list[asyncio.Task[None]] = []
        self._call_off: Callable[[], object] = bool
        self._is_entered = self._is_closed = False

    async def add(self, user: connecttrade_async.User) -> None:
        """Poll one more user; its first turn comes within one interval.

        For one who is there already, this handle is used from now on, and if it was parked it takes turns again.
        Cancelling changes nothing.

        Raises:
            ClosedError: the poller was left.
            ConfigurationError: it is no handle.
        """
        check_one(user, self._is_handle)
        if self._is_closed:
            raise ClosedError("the poller")
        self._rounds.add(user)
        if self._is_entered:
            self._rounds.workers.wake()

    async def remove(self, user: connecttrade_async.User) -> None:
        """Poll a user no more: from now on no result of it comes. Harmless for one who is not there.

        A poll of it that is under way ends unheard. Cancelling changes nothing.

        Raises:
            ConfigurationError: it is no handle.
        """
        check_one(user, self._is_handle)
        self._rounds.remove(user.user_id)

    def resume(self, user: connecttrade_async.User) -> None:
        """Poll a user whose secret was refused at its ordinary pace again; for a new secret, ``add`` the new handle.

        Harmless for other users.

        Raises:
            ConfigurationError: it is no handle.
        """
        check_one(user, self._is_handle)
        self._rounds.resume(user.user_id)

    @property
    def parked(self) -> Mapping[str, Exception]:
        """Users that are asked only rarely, by id, with the latest refusal of their secret.

        A user is parked after at least three refusals (401) in a row over at least a minute, unless secrets that were
        refused are then taken unchanged: that is a gateway's fault. A parked user is asked again after ten minutes,
        then at pauses that grow to six hours, and leaves this mapping as soon as its secret is taken.
        """
        return dict(self._rounds.verdicts.parked)

    def statistics(self) -> PollStatistics:
        """Return how the poller is doing, at once."""
        rounds, verdicts, tally = self._rounds, self._rounds.verdicts, self._rounds.verdicts.counters
        return PollStatistics(
            state=self._state(),
            users=len(verdicts.records),
            running=rounds.workers.busy,
            waiting=len(rounds.inbox),
            failing=tally.failing - len(verdicts.parked),
            parked=len(verdicts.parked),
            polls=tally.polls,
            unchanged=tally.unchanged,
            failures=tally.failures,
            skipped=rounds.schedule.skipped,
            late=tally.late,
        )

    # With books -------------------------------------------------------------------------------------------------------

    def book(self, account_id: str) -> Book:
        """Return the book of an account as the last good poll of its user left it, as a value.

        It is current where the latest poll was good, and polling goes on; but it is as old as ``every`` lets it be.

        Raises:
            ConfigurationError: no such account was read, or no books are kept: that takes ``fetch=None``.
        """
        book = self._with_books().roster.book(account_id)
        if book is None:
            raise ConfigurationError(f"no account {account_id!r} is known: is its user polled, and was the user read?")
        return book

    def books(self) -> tuple[Book, ...]:
        """Return every book as it is now.

        Raises:
            ConfigurationError: no books are kept: that takes ``fetch=None``.
        """
        return tuple(self._with_books().roster.books())

    def changes(
        self,
        *topics: str,
        account_id: str | None = None,
        user_id: str | None = None,
        symbol: str | None = None,
        capacity: int = CAPACITY,
        overflow: str = "close",
    ) -> ChangeSubscription:
        """Add a consumer of changes, as ``LiveAccounts.changes`` does: one consumer serves streamed and polled users.

        The cause of each is ``poll``, or ``recovered`` where polls had failed before. Once there is such a consumer,
        results need not be taken: where ``capacity`` of them wait, the oldest is left out.

        Args:
            topics: some of ``orders``, ``positions``, ``balances``; none means all.
            account_id: only that account's.
            user_id: only that user's.
            symbol: only that symbol's.
            capacity: changes that may wait.
            overflow: ``close``, ``drop_oldest``, or without orders ``latest``; see ``LiveAccounts.changes``.

        Raises:
            ConfigurationError: a topic, the bound or the policy cannot be one, or no books are kept.
            ConnectTradeError: the poller has ended, with why.
        """
        books = self._with_books()
        changes = books.teller.subscribe(filter_for(topics, account_id, user_id, symbol), overflow, capacity)
        books.is_followed = True
        self._rounds.make_room()
        return changes

    def _with_books(self) -> PolledBooks:
        if self._books is None:
            raise ConfigurationError("no books are kept where fetch says what to ask for: poll with fetch=None")
        self._books.roster.is_live = self._state() == "POLLING"
        return self._books

    # What is told -----------------------------------------------------------------------------------------------------

    async def with_events(self) -> AsyncGenerator[PollResult[T] | PollEvent]:
        """Iterate over results and, in their place among them, ``Outage``, ``OutageEnded`` and ``RateLimited``.

        Iterating over the poller itself takes from the same queue, and passes over the events.

        Raises:
            ClosedError: the client was closed.
            ConfigurationError: another task waits for results already.
            Exception: what ``users`` or ``every`` raised.

        Cancelling loses nothing.
        """
        while (told := await self._receive()) is not None:
            yield told

    async def aclose(self) -> None:
        """Stop, within ``timeouts.close`` seconds, and leave no task. Closing twice is harmless.

        Cancelling leaves the polls that are under way ending by themselves.
        """
        self._is_closed = True
        self._call_off()
        self._rounds.stop(None)
        self._rounds.inbox.clear()
        for companion in self._companions:
            companion.cancel()
        await self._rounds.workers.aclose(self._caller.timeouts.close, self._companions)

    async def _receive(self) -> PollResult[T] | PollEvent | None:
        try:
            told = await self._rounds.inbox.receive()
        except ClosedError:
            if self._is_closed:
                return None
            raise
        self._rounds.make_room()
        return told

    async def _feed(self, users: AsyncIterable[connecttrade_async.User]) -> None:
        try:
            async for user in users:
                check_one(user, self._is_handle)
                self._rounds.add(user)
                self._rounds.workers.wake()
        except Exception as exc:  # noqa: BLE001 - the caller's own iterator; met where the results are taken
            self._rounds.stop(exc)
        except (asyncio.CancelledError, BaseExceptionGroup) as exc:
            if not self._is_closed:
                # Else no more users would come, and nothing would say so.
                error = CallerError(f"the iterator of users was ended by {type(exc).__name__}")
                error.__cause__ = exc
                self._rounds.stop(error)
            if isinstance(exc, asyncio.CancelledError):
                raise

    def _state(self) -> str:
        if not self._is_entered or self._is_closed:
            return "CLOSED" if self._is_closed else "NEW"
        return self._rounds.state()

    async def __aenter__(self) -> Self:
        if self._is_entered or self._is_closed:
            raise ClosedError("the poller")
        self._caller.check_open()
        self._is_entered = True
        users, self._users = self._users, ()
        if isinstance(users, AsyncIterable):
            self._companions.append(asyncio.create_task(self._feed(users), name="connecttrade poll users"))
        else:
            for user in users:
                check_one(user, self._is_handle)
                self._rounds.add(user)
        self._rounds.workers.wake()
        # The next turn would meet it as well; but that may be far away, or never come where everybody is parked.
        self._call_off = self._caller.on_close(self._rounds.stop)
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
        # What waits is handed out without a coroutine more: the consumer stands in the way of every poll.
        rounds = self._rounds
        while True:
            items = rounds.inbox.items
            told: PollResult[T] | PollEvent | None
            if items:
                told = items.popleft()
                if rounds.is_full:
                    rounds.make_room()
            else:
                told = await self._receive()
            if isinstance(told, PollResult):
                return told
            if told is None:
                raise StopAsyncIteration

    def __repr__(self) -> str:
        seen = self.statistics()
        return f"<Poller {seen.state} {seen.users} users {seen.failing} failing {seen.parked} parked>"
