"""Books of polled users, kept without a stream: each fill is published once, and a failed read is not an empty book."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import ClosedError, ConfigurationError, OrderChanged, PositionChanged, ServerError
from connecttrade_async.sandbox import Fault, Sandbox
from connecttrade_async.sandbox.world import find_broker
from connecttrade_async.sandbox.world.orders import Ticket
from live_fixtures import (
    fills_of,
    in_the_book,
    in_the_world,
    newcomer,
    nothing_of_ours_left,
    placed,
    taken,
    until_filled,
    working,
)
from stream_fixtures import PATIENCE, client

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import ConnectTrade, Poller, PollResult, User
    from connecttrade_async.books.change_feed import ChangeSubscription
    from connecttrade_async.books.changes import Change

READ_ONLY = "FIDELITY"
SOON = 0.01


def read_only_user(sandbox: Sandbox, ct: ConnectTrade, name: str = "sue", broker: str = READ_ONLY) -> tuple[User, str]:
    """Create a user of a broker that pushes no events and accepts no orders of the client."""
    world, there, now = sandbox.world, find_broker(broker), sandbox.clock.now()
    user = world.users.get(name) or world.create_user(name)
    link = world.invite(user, "readonly", "https://app.example/done", now, broker=there)
    return ct.user(name, user.secret), world.consent(link, there, name, now).accounts[0].account_id


def place_at_broker(sandbox: Sandbox, account_id: str, name: str, qty: int = 10) -> str:
    """Place an order at the broker itself; it does not fill by itself."""
    account = sandbox.world.books.account(account_id)
    ticket = Ticket(
        cl_order_id=name,
        side="BUY",
        order_type="LMT",
        order_tif="GTC",
        symbol="MSFT",
        order_qty=Decimal(qty),
        order_limit_price=Decimal("1.00"),
    )
    return str(sandbox.world.floor.place(account, ticket, sandbox.clock.now()).order_id)


async def until_book(poller: Poller[Any], is_so: Callable[[Poller[Any]], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so(poller):  # noqa: ASYNC110 - a book has no event to wait for
            await asyncio.sleep(0.002)


def is_read(account: str) -> Callable[[Poller[Any]], bool]:
    return lambda poller: any(book.account_id == account and book.is_current for book in poller.books())


def equals(sandbox: Sandbox, account: str) -> Callable[[Poller[Any]], bool]:
    # An event during a poll is in some of its responses, and in the others one poll later.
    return lambda poller: in_the_book(poller, account) == in_the_world(sandbox, account)


async def test_polled_books_of_a_read_only_broker_publish_each_fill_once() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = read_only_user(sandbox, ct)
        old = place_at_broker(sandbox, account, "old")
        sandbox.broker.fill(old, 3)
        async with ct.poll([user], every=SOON, capacity=2) as results, results.changes("orders") as changes:
            await until_book(results, is_read(account))
            assert fills_of(taken(changes)) == []  # earlier fills belong to the first snapshot
            new = place_at_broker(sandbox, account, "new")
            sandbox.broker.fill(new, 4)
            found = await until_filled(changes, 1)
            sandbox.broker.fill(new, 6)
            sandbox.broker.fill(old)
            found += await until_filled(changes, 2)
            polls = results.statistics().polls
            await until_book(results, lambda poller: poller.statistics().polls >= polls + 10)
            assert fills_of(taken(changes)) == []
            listed = [fill.fill_id for name in (new, old) for fill in sandbox.broker.order(name).fills]
            assert Counter(found) == Counter((fill_id, "poll") for fill_id in listed[:2] + listed[3:])
            await until_book(results, equals(sandbox, account))
            assert results.statistics().waiting <= 2  # no task takes the results, and polling continues
        assert [change async for change in changes] == []
        assert not results.book(account).is_current


async def test_polled_books_after_a_failed_read_keep_their_state_and_recover_missed_fills() -> None:
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = read_only_user(sandbox, ct)
        other, _ = read_only_user(sandbox, ct, "tom")
        working_on = place_at_broker(sandbox, account, "one")
        sandbox.broker.fill(working_on, 4)

        async with (
            ct.poll([user, other], every=SOON, slowest=SOON) as results,
            results.changes(user_id="sue") as changes,
        ):
            await until_book(results, is_read(account))
            before = in_the_book(results, account)
            assert before["positions"]["MSFT"] >= 4
            sandbox.faults.add(Fault("status", status=500, path="/positions", times=None))
            failures = results.statistics().failures
            await until_book(results, lambda poller: poller.statistics().failures >= failures + 2)
            assert not results.book(account).is_current
            assert in_the_book(results, account)["positions"] == before["positions"]
            taken(changes)
            sandbox.broker.fill(working_on)
            sandbox.faults.clear()
            ((_, cause),) = await until_filled(changes, 1)
            assert cause == "recovered"
            await until_book(results, is_read(account))
            await until_book(results, equals(sandbox, account))


async def test_changes_of_live_and_polled_users_reach_one_consumer() -> None:
    async with Sandbox(seed=3, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        streamed, live_account = newcomer(sandbox, ct)
        polled, polled_account = read_only_user(sandbox, ct)
        found: list[Change] = []

        async def consume(changes: ChangeSubscription) -> None:
            async for change in changes:
                found.extend([change] if isinstance(change, OrderChanged) and change.fills else [])

        async with ct.live([streamed]) as live, ct.poll([polled], every=SOON) as results:
            await until_book(results, is_read(polled_account))
            both = [asyncio.create_task(consume(each.changes())) for each in (live, results)]
            order = await placed(streamed, live_account)
            await working(live, order)
            sandbox.broker.fill(order.order_id)
            sandbox.broker.fill(place_at_broker(sandbox, polled_account, "one"))
            await until_book(results, lambda _: len(found) == 2)
        await asyncio.gather(*both)
        assert {(change.account_id, change.user_id, change.cause) for change in found} == {
            (live_account, "ada", "stream"),
            (polled_account, "sue", "poll"),
        }


async def test_poll_results_contain_the_changes_of_the_books() -> None:
    async with Sandbox(seed=4, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = read_only_user(sandbox, ct)
        async with ct.poll([user], every=SOON) as results:
            first: PollResult[Any] = await anext(results)
            assert (first.value, first.changed, first.error) == ((), True, None)
            sandbox.broker.fill(place_at_broker(sandbox, account, "one"))
            found: list[Change] = []
            async with asyncio.timeout(PATIENCE):
                while not any(isinstance(change, PositionChanged) and change.symbol == "MSFT" for change in found):
                    found += (await anext(results)).get()
            assert {change.cause for change in found} == {"poll"}
            await results.remove(user)
            assert results.books() == ()
            with pytest.raises(ConfigurationError, match="no account"):
                results.book(account)


async def test_polled_books_with_unchanged_responses_stay_current_without_decoding() -> None:
    async with Sandbox(seed=5, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = read_only_user(sandbox, ct)
        sandbox.broker.halt()
        for symbol in {position.symbol for position in await user.positions.list()}:
            sandbox.broker.set_price(symbol, "10")
        async with ct.poll([user], every=SOON) as results:
            await anext(results)
            book = results.book(account)
            async with asyncio.timeout(PATIENCE):
                while results.statistics().unchanged < 3:
                    assert (await anext(results)).value == ()
            later = results.book(account)
            assert later.is_current
            assert (later.positions, later.orders) == (book.positions, book.orders)
            assert later.as_of is not None
            assert book.as_of is not None
            assert later.as_of > book.as_of


async def test_account_connected_while_polling_publishes_its_changes() -> None:
    async with Sandbox(seed=6, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = read_only_user(sandbox, ct)
        async with ct.poll([user], every=SOON) as results, results.changes("orders") as changes:
            await until_book(results, is_read(account))
            _, new = read_only_user(sandbox, ct, broker="CHASE")
            sandbox.broker.fill(place_at_broker(sandbox, new, "one"))
            assert [cause for _, cause in await until_filled(changes, 1)] == ["poll"]
            await until_book(results, is_read(new))
            await until_book(results, equals(sandbox, new))


async def test_books_without_fetch_none_raise_a_configuration_error() -> None:
    async with Sandbox(seed=7) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = read_only_user(sandbox, ct)
        async with ct.poll([user], lambda user: user.balances.list(), every=SOON) as results:
            for refused in (results.changes, results.books, lambda: results.book("one")):
                with pytest.raises(ConfigurationError, match="fetch=None"):
                    refused()
        async with ct.poll([user], every=SOON) as books:
            with pytest.raises(ConfigurationError, match="topics"):
                books.changes("quotes")
            changes = books.changes()
            await ct.aclose()
            with pytest.raises(ClosedError, match="client"):
                await until_ended(changes)
        with pytest.raises(ClosedError):
            books.changes()


async def until_ended(changes: ChangeSubscription) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await changes.receive()


async def test_user_removed_during_its_poll_leaves_no_book() -> None:
    async with Sandbox(seed=8, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = read_only_user(sandbox, ct)
        async with ct.poll([user], every=SOON) as results:
            sandbox.faults.add(Fault("slow_headers", seconds=0.1, path="/orders", times=1))
            await until_book(results, lambda _: any(armed.fired for armed in sandbox.faults.armed))
            await results.remove(user)
            await until_book(results, lambda poller: poller.statistics().running == 0)
            assert results.books() == ()
            sandbox.faults.add(Fault("status", status=500, path="/orders", times=1))
            await results.add(user)
            failed = await anext(results)
            assert isinstance(failed.error, ServerError)
            await until_book(results, is_read(account))
