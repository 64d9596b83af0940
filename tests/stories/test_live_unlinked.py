"""Accounts that all answers lack are dropped only if they are unlinked."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import ClosedError, ConfigurationError, Retry
from connecttrade_async.books.changes import PositionChanged
from connecttrade_async.sandbox import Fault, Sandbox
from connecttrade_async.sandbox.world import find_broker
from live_fixtures import (
    current,
    fills_of,
    in_the_book,
    in_the_world,
    newcomer,
    nothing_of_ours_left,
    placed,
    taken,
    working,
)
from manual_clock import SteppedClock
from stream_fixtures import PATIENCE, client

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.live.accounts import LiveAccounts

ONCE = Retry(attempts=1)
EMPTY = [("/balances", "[]"), ("/positions", "[]"), ("/orders", '{"orders": []}')]


def link(sandbox: Sandbox, broker: str) -> str:
    """Link one more of ada's accounts, without HTTP."""
    world, now, code = sandbox.world, sandbox.clock.now(), find_broker(broker)
    invited = world.invite(world.users["ada"], "trade", "https://app.example/", now, broker=code)
    return world.consent(invited, code, "ada", now).accounts[0].account_id


async def stepping(clock: SteppedClock, live: LiveAccounts, is_so: Callable[[], bool], step: float = 5.0) -> None:
    """Advance the clock until a condition holds; slowly while a request or handshake is under way."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            is_idle = not live.health().asking and live.health().state != "AWAY"
            clock.advance(step if is_idle else 0.005)
            await asyncio.sleep(0.001)


def read_so_often(live: LiveAccounts, more: int) -> Callable[[], bool]:
    wanted = live.statistics().snapshots + more
    return lambda: live.statistics().snapshots >= wanted


def is_past(clock: SteppedClock, moment: float) -> Callable[[], bool]:
    return lambda: clock.now() >= moment


async def test_unlinked_account_of_two_loses_its_book() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        other = link(sandbox, "PUBLIC")
        async with ct.live([ada], sweep_every=None) as live, live.changes() as changes:
            order = await placed(ada, account)
            await working(live, order)
            waiter = asyncio.create_task(live.order_done(order))
            taken(changes)
            [gone] = [each for each in await ada.connections.list() if each.broker == "ALPACA"]
            unlinked = {each.account_id for each in gone.accounts}
            # The time since the last read alone does not count: no answer lacked it yet.
            clock.advance(20.0)
            clock.sleep(600.0)
            held = live.book(account)
            await ada.connections.delete(gone.connection_id)
            sandbox.stream.reset()
            # At first connections are not listed, and the book stays.
            await stepping(clock, live, read_so_often(live, 6), step=1.0)
            assert sandbox.requests.count("GET", "/connections") == 1
            assert (dict(live.book(account).positions), live.book(account).is_current) == (dict(held.positions), False)
            assert live.statistics().unlinked == 0
            await stepping(clock, live, lambda: live.is_current)
            assert live.statistics().unlinked == len(unlinked)
            assert not unlinked & {book.account_id for book in live.books()}
            with pytest.raises(ConfigurationError, match="no account"):
                live.book(account)
            with pytest.raises(ClosedError, match="the book of that order"):
                await asyncio.wait_for(waiter, PATIENCE)
            # Its positions and orders are not published as closed or ended.
            published = [
                each for each in taken(changes) if isinstance(each, PositionChanged) and each.account_id in unlinked
            ]
            assert not [each for each in published if each.after.quantity == 0]
            assert in_the_book(live, other) == in_the_world(sandbox, other)


async def test_only_account_can_be_unlinked_and_linked_again() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.live([ada], sweep_every=600.0) as live, live.changes() as changes:
            count = len(live.books())
            [connection] = await ada.connections.list()
            await ada.connections.delete(connection.connection_id)
            sandbox.stream.reset()
            await stepping(clock, live, lambda: live.statistics().gaps == 1 and live.is_current)
            assert (live.books(), live.is_current, live.statistics().unlinked) == ((), True, count)
            taken(changes)
            again = link(sandbox, "ALPACA")
            await stepping(clock, live, lambda: again in {book.account_id for book in live.books()})
            await current(live)
            assert in_the_book(live, again) == in_the_world(sandbox, again)
            # The state of a new account is where its book begins.
            assert fills_of(taken(changes)) == []
            assert account not in {book.account_id for book in live.books()} or account == again


def report(*accounts: str, kind: str = "trade") -> str:
    listed = [{"account_id": each} for each in accounts]
    return json.dumps([{"connection_id": "c", "connection_type": kind, "accounts": listed}])


@pytest.mark.parametrize(
    "connections",
    [
        {},
        {"status": 503},
        {"status": 401},
        {"status": 429, "retry_after": "1"},
        {"body": '[{"connection_id": "c"}]'},
        {"body": report()},
        {"body": report("one of another name")},
        {"body": '{"message": "later"}'},
        {"body": "[{"},
    ],
    ids=["all linked", "503", "401", "429", "no accounts said", "no accounts", "other names", "no list", "half of it"],
)
async def test_unreadable_accounts_keep_their_books_without_a_usable_list_of_connections(
    connections: dict[str, Any],
) -> None:
    clock = SteppedClock()
    settings: dict[str, Any] = {"clock": clock, "retry": ONCE}
    async with Sandbox(seed=3, latency=0) as sandbox, client(sandbox, **settings) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.live([ada], sweep_every=None) as live, live.changes("orders", "positions") as changes:
            order = await placed(ada, account)
            await working(live, order)
            taken(changes)
            before = live.book(account)
            for path, body in EMPTY:
                sandbox.faults.add(Fault("status", status=200, path=path, body=body, times=None))
            if connections:
                wrong: dict[str, Any] = {"status": 200} | connections
                sandbox.faults.add(Fault("status", path="/connections", times=None, **wrong))
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 10, "1.00")
            await stepping(clock, live, lambda: sandbox.requests.count("GET", "/connections") == 3)
            await stepping(clock, live, read_so_often(live, 1))
            assert live.statistics().unlinked == 0
            assert not live.book(account).is_current
            assert dict(live.book(account).positions) == dict(before.positions)
            assert taken(changes) == []
            sandbox.faults.clear()
            await stepping(clock, live, lambda: live.is_current)
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert [cause for _, cause in fills_of(taken(changes))] == ["recovered"]


async def test_frame_of_an_account_shows_that_it_is_linked() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=4, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.live([ada], sweep_every=None) as live, live.changes("positions") as changes:
            for path, body in [*EMPTY, ("/connections", "[]")]:
                sandbox.faults.add(Fault("status", status=200, path=path, body=body, times=None))
            sandbox.stream.reset()
            await stepping(clock, live, lambda: live.statistics().gaps == 1)
            for count in range(20):
                frame = {"type": "position", "user_id": "ada", "account_id": account}
                sandbox.stream.send(frame | {"data": {"symbol": "NVDA", "quantity": str(count + 1)}})
                async with asyncio.timeout(PATIENCE):
                    await changes.receive()
                await stepping(clock, live, is_past(clock, clock.now() + 60.0))
            assert live.statistics().snapshots > 10
            assert [book.account_id for book in live.books()] == [account]
            # No frame of the others came.
            assert live.statistics().unlinked == len(sandbox.world.books._accounts) - 1


async def test_frame_during_the_check_for_links_keeps_the_account() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=5, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.live([ada], sweep_every=None) as live, live.changes("positions") as changes:
            [connection] = await ada.connections.list()
            await ada.connections.delete(connection.connection_id)
            slow = sandbox.faults.add(Fault("slow_headers", path="/connections", seconds=0.3, times=1))
            sandbox.stream.reset()
            await stepping(clock, live, lambda: bool(slow.fired))
            frame = {"type": "position", "user_id": "ada", "account_id": account}
            sandbox.stream.send(frame | {"data": {"symbol": "NVDA", "quantity": "1"}})
            async with asyncio.timeout(PATIENCE):
                await changes.receive()
                assert live.statistics().unlinked == 0
            await stepping(clock, live, lambda: live.statistics().unlinked > 0, step=0.1)
            assert [book.account_id for book in live.books()] == [account]
            await stepping(clock, live, lambda: live.books() == ())
