"""Users are read again after missed updates and incomplete answers, and no state is made up."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import Retry
from connecttrade_async.sandbox import Fault, Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
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
    until_filled,
    until_struck,
    working,
)
from manual_clock import SteppedClock
from stream_fixtures import PATIENCE, client, order as an_order

if TYPE_CHECKING:
    from connecttrade_async import Order
    from connecttrade_async.live.accounts import LiveAccounts
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream

ONCE = Retry(attempts=1)


async def read_so_often(live: LiveAccounts, count: int) -> None:
    await live.wait(lambda live: live.statistics().snapshots >= count, timeout=PATIENCE)
    await current(live)


async def filled_unheard(sandbox: Sandbox, order: Order, qty: int) -> None:
    """Fill an order and lose every frame of it."""
    lost = sandbox.stream.faults.add(StreamFault("lose", times=None))
    sandbox.broker.fill(order.order_id, qty, "1.00")
    sandbox.stream.publish_due()
    await asyncio.sleep(0)
    assert lost.fired
    sandbox.stream.faults.clear()


async def until_heard(sandbox: Sandbox, stream: BrokerageStream) -> None:
    """Wait until every event published so far was received."""
    async with asyncio.timeout(PATIENCE), stream.subscribe("orders") as events:
        sandbox.stream.publish("orders", "eve", "hers", an_order(1))
        while getattr(await events.receive(), "user_id", None) != "eve":
            pass
        while stream.health().consumers[0].waiting:  # noqa: ASYNC110 - a queue tells nobody
            await asyncio.sleep(0)


# --- unmatched frames during a first snapshot


@pytest.mark.parametrize("names", ["the account", "the order", "nothing"])
async def test_frame_without_a_user_during_a_first_snapshot_is_not_lost(names: str) -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.brokerage_stream() as stream, ct.live([], stream, sweep_every=None) as live:
            order = await placed(ada, account)
            sandbox.stream.publish_due()
            sandbox.clock.hold()
            # A frame that names her must have been received before she is added.
            await until_heard(sandbox, stream)
            # The last answer is slow: it lacks the fill, and all but one of its frames are lost.
            sandbox.stream.faults.add(StreamFault("lose", times=None))
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.3, times=1, after=1, when="after"))
            adding = asyncio.create_task(live.add(ada))
            await until_struck(sandbox)
            sandbox.broker.fill(order.order_id, 10, "1.00")
            sandbox.stream.publish_due()
            report: dict[str, Any] = {"order_id": order.order_id, "status": "filled", "filled_qty": "10"}
            frame: dict[str, Any] = {"type": "order", "data": report}
            if names == "the account":
                frame["account_id"] = account
            if names == "nothing":
                frame |= {"type": "position", "data": {"symbol": "MSFT", "quantity": "10"}}
            sandbox.stream.send(frame)
            await adding
            await current(live)
            assert live.statistics().outdated >= 1
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert live.book(account).orders[order.order_id].status == "filled"


async def test_frame_without_user_and_account_makes_all_users_be_read_again() -> None:
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [newcomer(sandbox, ct, name) for name in ("ada", "bob")]
        (ada, account), _ = users
        async with ct.live([user for user, _ in users], sweep_every=None) as live, live.changes("orders") as changes:
            order = await placed(ada, account)
            await working(live, order)
            taken(changes)
            await filled_unheard(sandbox, order, 10)
            sandbox.stream.send({"type": "position", "data": {"symbol": "MSFT", "quantity": "10"}})
            assert (await live.order_done(order, timeout=PATIENCE)).status == "filled"
            await read_so_often(live, 4)
            assert [cause for _, cause in fills_of(taken(changes))] == ["recovered"]
            for _, each in users:
                assert in_the_book(live, each) == in_the_world(sandbox, each)


# --- undecodable frames


@pytest.mark.parametrize("owner_fields", ['"user_id": "ada"', '"user_id": "ada", "account_id": "an unknown one"'])
async def test_undecodable_frame_with_a_user_only_makes_that_user_be_read_again(owner_fields: str) -> None:
    async with Sandbox(seed=3, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [newcomer(sandbox, ct, name) for name in ("ada", "bob")]
        (ada, account), _ = users
        async with ct.live([user for user, _ in users], sweep_every=None) as live, live.changes("orders") as changes:
            order = await placed(ada, account)
            await working(live, order)
            taken(changes)
            await filled_unheard(sandbox, order, 4)
            sandbox.requests.clear()
            # A frame of a user that is not followed is ignored.
            sandbox.stream.send('{"type": "order", "user_id": "eve", "data": 5}')
            sandbox.stream.send(f'{{"type": "order", {owner_fields}, "data": 5}}')
            assert [cause for _, cause in await until_filled(changes, 1)] == ["recovered"]
            await current(live)
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            # Only ada was read.
            assert live.statistics().snapshots == 3


async def test_undecodable_frames_make_the_book_be_read_again_with_growing_pauses() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=4, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.live([ada], sweep_every=None) as live:
            odd = f'{{"type": "order", "account_id": "{account}", "data": 5}}'
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.2, times=1))
            for _ in range(3):
                sandbox.stream.send(odd)
            # The rest comes during the first snapshot: that counts, and the next one waits.
            await until_struck(sandbox)
            assert not live.book(account).is_current
            sandbox.stream.send(odd)
            await live.wait(lambda live: live.statistics().snapshots == 2, timeout=PATIENCE)
            assert live.statistics().outdated == 0
            assert not live.book(account).is_current
            clock.advance(1.0)
            await read_so_often(live, 3)


# --- incomplete answers


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("status", status=503, path="/positions")],
        [Fault("cut_body", path="/positions")],
        [Fault("html", status=502, path="/balances")],
        [Fault("status", status=200, path="/balances", body='[{"account_id": [5]}]')],
        [Fault("status", status=503, path="/orders", after=1)],
        [Fault("status", status=200, path=path, body="[]") for path in ("/balances", "/positions")],
    ],
    ids=["no positions", "half of the positions", "a page of a proxy", "nonsense", "one page of orders", "no accounts"],
)
async def test_failed_read_is_never_an_empty_account(faults: list[Fault]) -> None:
    async with Sandbox(seed=5, latency=0) as sandbox, client(sandbox, retry=ONCE) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        for _ in range(600):
            sandbox.world.add_order(account, sandbox.clock.now(), status="working")
        async with ct.live([ada], sweep_every=None) as live, live.changes("orders", "positions") as changes:
            order = await placed(ada, account)
            await working(live, order)
            taken(changes)
            held = in_the_book(live, account)
            armed = [sandbox.faults.add(fault) for fault in faults]
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 10, "1.00")
            await live.wait(lambda live: live.statistics().gaps == 1, timeout=PATIENCE)
            seen: list[dict[str, Any]] = []

            def is_over(live: LiveAccounts) -> bool:
                if not live.book(account).is_current:
                    seen.append(in_the_book(live, account))
                return live.is_current

            await live.wait(is_over, timeout=PATIENCE)
            assert seen
            assert all(each["positions"] == held["positions"] and each["cash"] == held["cash"] for each in seen)
            assert all(each.fired for each in armed)
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            found = taken(changes)
            assert [cause for _, cause in fills_of(found)] == ["recovered"]
            assert not [each for each in found if getattr(each.after, "quantity", None) == 0]  # type: ignore[union-attr]
            assert live.statistics().swept == 0


# --- new accounts


@pytest.mark.parametrize("received", [False, True])
async def test_fill_of_a_new_account_with_an_undecodable_first_frame_is_published(*, received: bool) -> None:
    async with Sandbox(seed=6, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.live([ada], sweep_every=None) as live, live.changes("orders") as changes:
            mark = await placed(ada, account)
            await working(live, mark)
            taken(changes)
            world, now = sandbox.world, sandbox.clock.now()
            link = world.invite(world.users["ada"], "trade", "https://app.example/", now, broker=find_broker("PUBLIC"))
            new = world.consent(link, find_broker("PUBLIC"), "ada", now).accounts[0].account_id
            sandbox.stream.faults.add(StreamFault("lose", times=None))
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.1, times=1))
            filled = world.add_order(new, sandbox.clock.now(), qty=1, status="filled")
            sandbox.stream.publish_due()
            await asyncio.sleep(0)
            sandbox.stream.faults.clear()
            sandbox.stream.send('{"type": "order", "user_id": "ada", "data": 5}')
            if received:
                await until_struck(sandbox)
                world.add_order(new, sandbox.clock.now(), qty=1, status="working")
                sandbox.stream.publish_due()
            wanted = [fill.fill_id for fill in filled.fills]
            assert [fill_id for fill_id, _ in await until_filled(changes, len(wanted))] == wanted
            await current(live)
            assert in_the_book(live, new) == in_the_world(sandbox, new)
            assert fills_of(taken(changes)) == []


# --- rate limits


async def test_rate_limit_stops_all_snapshots_until_retry_after() -> None:
    clock = SteppedClock()
    settings: dict[str, Any] = {"clock": clock, "retry": ONCE}
    async with Sandbox(seed=7, latency=0) as sandbox, client(sandbox, **settings) as ct, nothing_of_ours_left():
        users = [newcomer(sandbox, ct, name) for name in ("ada", "bob", "cyd")]
        (ada, account), *_ = users
        live = ct.live([user for user, _ in users], sweep_every=None, concurrency=1)
        async with live, live.changes("orders") as changes:
            order = await placed(ada, account)
            await working(live, order)
            taken(changes)
            limit = Fault("status", status=429, path="/balances", retry_after="30", times=1)
            sandbox.faults.add(limit)
            sandbox.requests.clear()
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 4)
            async with asyncio.timeout(PATIENCE):
                while live.statistics().gaps == 0:
                    clock.advance(0.01)
                    await asyncio.sleep(0.001)
            await live.wait(lambda live: bool(live.failed), timeout=PATIENCE)
            assert "429" in str(live.failed["ada"])
            asked = sandbox.requests.total
            for _ in range(20):
                clock.advance(1.4)
                await asyncio.sleep(0.001)
            # No other user was read either.
            assert sandbox.requests.total == asked == 1
            assert not any(book.is_current for book in live.books())
            assert live.book(account).orders[order.order_id].filled_qty == Decimal(0)
            clock.advance(3.0)
            await current(live)
            assert [cause for _, cause in fills_of(taken(changes))] == ["recovered"]
            for _, each in users:
                assert in_the_book(live, each) == in_the_world(sandbox, each)
