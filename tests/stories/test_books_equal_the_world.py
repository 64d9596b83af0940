"""For any sequence of events, books that are current equal the server.

The sandbox's world is the model. Trades, fills, cancels and replacements happen. Frames are lost, doubled, reordered
and garbled. The connection drops at any moment, also during a resync. Snapshots fail, and users are added and removed.
Then the faults end and the books become current. Each book equals the world, each fill was published exactly once, and
no change of an unfollowed user was published.

    HYPOTHESIS_PROFILE=nightly python -m pytest tests/stories/test_books_equal_the_world.py
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from connecttrade_async import ConnectTradeError, tickets
from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.config import Retry, Timeouts
from connecttrade_async.models.events import Gap
from connecttrade_async.sandbox import Fault, Sandbox
from connecttrade_async.sandbox.errors import RefusalError
from connecttrade_async.sandbox.faults.stream import StreamFault
from live_fixtures import BROKER, ENDED, in_the_book, in_the_world, newcomer
from manual_clock import SteppedClock
from stream_fixtures import PATIENCE, client

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from connecttrade_async import ConnectTrade, User
    from connecttrade_async.books.change_feed import ChangeSubscription
    from connecttrade_async.live.accounts import LiveAccounts
    from connecttrade_async.sandbox.world import Order

T = TypeVar("T")
EXAMPLES = {"nightly": 2000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 200)
SWEEP = 5.0
MAX_TURNS = 20_000
NAMES = ("ada", "bob", "cyd")
SYMBOLS = ("MSFT", "AAPL")
WHO = st.integers(0, len(NAMES) - 1)
ANY = st.integers(0, 1 << 16)
TURNS = st.sampled_from([0, 3, 40])
FRAMES = ("lose", "duplicate", "reorder", "unknown", "garble", "drop", "reset", "tear")
HANDSHAKE = ("refuse_upgrade", "cut_welcome", "cut_login", "cut_ack", "no_ack")
READS = ("/orders", "/positions", "/balances")


class TheBooks(RuleBasedStateMachine):
    """Live accounts, the world of the sandbox, and every event between them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = SteppedClock()
        self.published: Counter[str] = Counter()
        self.users: dict[str, User] = {}
        self.accounts: dict[str, str] = {}
        self.read: set[str] = set()
        # By user: the fills before its book was created, and those that may be before or after.
        self.history: dict[str, set[str]] = {}
        self.either: dict[str, set[str]] = {}
        self.run(self.open())

    # Set-up -----------------------------------------------------------------------------------------------------------

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(doing)

    async def open(self) -> None:
        self.stack = AsyncExitStack()
        self.sandbox = await self.stack.enter_async_context(Sandbox(seed=3, latency=0.0))
        self.sandbox.clock.hold()
        watch = {"timeouts": Timeouts(login=30.0, close=PATIENCE), "retry": Retry(attempts=1)}
        self.ct: ConnectTrade = await self.stack.enter_async_context(client(self.sandbox, clock=self.clock, **watch))
        for name in NAMES:
            self.users[name], self.accounts[name] = newcomer(self.sandbox, self.ct, name)
        live = self.ct.live([self.users["ada"], self.users["bob"]], sweep_every=SWEEP, concurrency=4)
        self.live: LiveAccounts = await self.stack.enter_async_context(live)
        self.changes: ChangeSubscription = self.live.changes()
        self.followed = {"ada", "bob"}
        for name in self.followed:
            self.history[name], self.either[name] = set(self.fills(name)), set()
        self.note()

    def teardown(self) -> None:
        try:
            self.calm_down()
        finally:
            self.run(self.stack.aclose())
            self.runner.close()

    # The world --------------------------------------------------------------------------------------------------------

    def orders(self, name: str) -> list[Order]:
        return self.sandbox.broker.orders(self.accounts[name])

    def fills(self, name: str) -> list[str]:
        return [fill.fill_id for order in self.orders(name) for fill in order.fills]

    def working(self, name: str, pick: int) -> Order | None:
        found = [order for order in self.orders(name) if order.status not in ENDED]
        return found[pick % len(found)] if found else None

    # Published --------------------------------------------------------------------------------------------------------

    def note(self) -> None:
        """Receive changes, and note which fills came before or after the creation of a book."""
        while (change := self.changes.receive_nowait()) is not None:
            assert not isinstance(change, Gap)
            assert change.user_id in self.followed, "published of a user that is not followed"
            if isinstance(change, OrderChanged):
                self.published.update(str(fill.fill_id) for fill in change.fills)
        for name in self.followed - self.read:
            self.either[name] |= set(self.fills(name))
            if name not in self.live.failed and any(book.user_id == name for book in self.live.books()):
                self.read.add(name)

    async def stepping(self, doing: Coroutine[Any, Any, T]) -> T:
        """Advance the clock until a coroutine is done."""
        task = asyncio.ensure_future(doing)
        # Counted in turns and not in seconds: a busy machine must not fail the test.
        for _ in range(MAX_TURNS):
            if task.done():
                return task.result()
            self.clock.advance(0.2)
            await asyncio.sleep(0.0005)
        task.cancel()
        raise AssertionError(f"not done after {MAX_TURNS} turns: {self.live!r} {self.live.health()}")

    def happens(self, doing: Coroutine[Any, Any, object], turns: int = 0) -> None:
        """Run an event outside the books, run the loop for some turns, and receive changes."""

        async def go_on() -> None:
            with suppress(RefusalError, ConnectTradeError):  # sold a missing position, or changed an ended order
                await self.stepping(doing)
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(go_on())
        self.note()

    # Events -----------------------------------------------------------------------------------------------------------

    @rule(user_index=WHO, symbol=st.sampled_from(SYMBOLS), side=st.sampled_from(["BUY", "SELL"]), qty=st.integers(1, 9))
    def account(self, user_index: int, symbol: str, side: str, qty: int) -> None:
        """Place an order that is filled by hand."""
        name, price = NAMES[user_index], {"BUY": "1.00", "SELL": "90000.00"}[side]
        ticket = tickets.limit(symbol, side, qty=qty, price=price, account_id=self.accounts[name], broker=BROKER)

        async def account() -> None:
            await self.users[name].orders.place(ticket)
            self.sandbox.clock.advance(0)

        self.happens(account())

    @rule(user_index=WHO, pick=ANY, part=st.integers(1, 9), price=st.integers(1, 500), turns=TURNS)
    def fill(self, user_index: int, pick: int, part: int, price: int, turns: int) -> None:
        """Fill a part of an order, or all that is left."""
        order = self.working(NAMES[user_index], pick)

        async def fill(order: Order) -> None:
            left = (order.order_qty or Decimal(0)) - sum((fill.quantity for fill in order.fills), Decimal(0))
            self.sandbox.broker.fill(order.order_id, min(Decimal(part), left), price)

        if order is not None:
            self.happens(fill(order), turns)

    @rule(user_index=WHO, pick=ANY, turns=TURNS)
    def reject(self, user_index: int, pick: int, turns: int) -> None:
        """Reject an order."""
        order = self.working(NAMES[user_index], pick)

        async def reject(order: Order) -> None:
            self.sandbox.broker.reject(order.order_id)

        if order is not None:
            self.happens(reject(order), turns)

    @rule(user_index=WHO, pick=ANY, price=st.sampled_from([None, "1.01", "1.02"]))
    def change(self, user_index: int, pick: int, price: str | None) -> None:
        """Cancel an order over REST, or replace it."""
        orders, order = self.users[NAMES[user_index]].orders, self.working(NAMES[user_index], pick)

        async def change(order_id: str) -> None:
            page = await orders.list(status="all", limit=500)
            known = next(each for each in page.items if each.order_id == order_id)
            await (orders.cancel(known) if price is None else orders.replace(known, price=price))

        if order is not None:
            self.happens(change(order.order_id))

    @rule(user_index=WHO, status=st.sampled_from(["filled", "working", "cancelled"]), qty=st.integers(1, 5))
    def trade_elsewhere(self, user_index: int, status: str, qty: int) -> None:
        """Place an order at the broker by hand."""

        async def trade() -> None:
            now = self.sandbox.clock.advance(0.001)
            self.sandbox.world.add_order(self.accounts[NAMES[user_index]], now, qty=qty, status=status)
            self.sandbox.clock.advance(0)

        self.happens(trade())

    @rule(seconds=st.sampled_from([0.01, 0.5, 60.0]))
    def the_market_moves(self, seconds: float) -> None:
        async def move() -> None:
            self.sandbox.clock.advance(seconds)

        self.happens(move())

    @rule(kind=st.sampled_from(FRAMES), after=st.integers(0, 4), times=st.integers(1, 3))
    def frames_suffer(self, kind: Any, after: int, times: int) -> None:
        self.sandbox.stream.faults.add(StreamFault(kind, after=after, times=times))

    @rule(kind=st.sampled_from(HANDSHAKE))
    def handshakes_suffer(self, kind: Any) -> None:
        self.sandbox.stream.faults.add(StreamFault(kind))

    @rule(path=st.sampled_from(READS), times=st.integers(1, 4), kind=st.sampled_from(["status", "cut_body", "reset"]))
    def reads_suffer(self, path: str, times: int, kind: Any) -> None:
        self.sandbox.faults.add(Fault(kind, method="GET", path=path, times=times))

    @rule(times=st.integers(1, 4))
    def reads_are_slow(self, times: int) -> None:
        """Delay answers, so that other events happen during a snapshot."""
        self.sandbox.faults.add(Fault("slow_headers", method="GET", path="/orders", times=times, seconds=0.01))

    @rule(code=st.sampled_from([None, 1001, 0]), turns=TURNS)
    def the_link_ends(self, code: int | None, turns: int) -> None:
        async def end() -> None:
            if code == 0:
                self.sandbox.stream.reset()
            else:
                self.sandbox.stream.drop(code)

        self.happens(end(), turns)

    @rule(steps=st.lists(st.sampled_from([0.001, 0.05, 0.5, 2.0]), min_size=1, max_size=4), turns=st.integers(0, 60))
    def time_passes(self, steps: list[float], turns: int) -> None:
        async def pass_() -> None:
            for step in steps:
                self.clock.advance(step)
                for _ in range(turns):
                    await asyncio.sleep(0)

        self.run(pass_())
        self.note()

    @precondition(lambda self: len(self.followed) < len(NAMES))
    @rule(pick=ANY)
    def somebody_comes(self, pick: int) -> None:
        absent = sorted(set(NAMES) - self.followed)
        name = absent[pick % len(absent)]
        self.history[name], self.either[name] = set(self.fills(name)), set()
        self.published = Counter(
            {fill: count for fill, count in self.published.items() if fill not in self.history[name]}
        )
        self.followed.add(name)
        self.run(self.stepping(self.live.add(self.users[name])))
        self.note()

    @precondition(lambda self: len(self.followed) > 1)
    @rule(pick=ANY)
    def somebody_goes(self, pick: int) -> None:
        name = sorted(self.followed)[pick % len(self.followed)]

        async def go() -> None:
            await self.live.remove(self.users[name])
            self.note()  # changes published so far are correct

        self.run(go())
        self.followed.discard(name)
        self.read.discard(name)
        assert all(book.user_id != name for book in self.live.books())

    # Recovery ---------------------------------------------------------------------------------------------------------

    @rule()
    def calm_down(self) -> None:
        """End all faults, wait until the books are current, and compare them with the world."""
        self.run(self.stepping(self.become_current()))
        self.note()
        for name in self.followed:
            book = self.live.book(self.accounts[name])
            assert book.is_current
            assert in_the_book(self.live, self.accounts[name]) == in_the_world(self.sandbox, self.accounts[name])
            for order in self.orders(name):
                if (known := book.orders.get(order.order_id)) is not None:
                    assert (str(known.status), known.replaced_by) == (order.status, order.replaced_by)
            due = set(self.fills(name)) - self.history[name] - self.either[name]
            assert {fill: self.published[fill] for fill in due} == dict.fromkeys(due, 1)
            assert all(self.published[fill] <= 1 for fill in self.either[name])
            assert not any(self.published[fill] for fill in self.history[name])

    async def become_current(self) -> None:
        self.sandbox.faults.clear()
        self.sandbox.stream.faults.clear()
        self.sandbox.clock.advance(0)
        await self.live.wait(lambda live: live.is_current and not live.failed)
        # The sweep finds frames that were lost on an open connection: wait until it has read every user.
        enough = self.live.statistics().snapshots + 2 * len(self.followed) + 1
        await self.live.wait(lambda live: live.is_current and live.statistics().snapshots >= enough)


def test_books_equal_the_server_and_each_fill_is_published_once() -> None:
    run_state_machine_as_test(
        TheBooks,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            print_blob=True,
        ),
    )
