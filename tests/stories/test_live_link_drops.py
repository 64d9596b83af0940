"""After a drop of the connection all books are current again and each fill was published once."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from connecttrade_async import Retry
from connecttrade_async.books.changes import OrderChanged, PositionChanged
from connecttrade_async.sandbox import Fault, Sandbox
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
from stream_fixtures import PATIENCE, client


async def test_drop_in_the_middle_of_a_fill_is_recovered() -> None:
    async with Sandbox(seed=1, latency=0.001) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes(account_id=account) as changes:
            order = await placed(user, account)
            await working(live, order)
            sandbox.broker.fill(order.order_id, 4)
            assert [cause for _, cause in await until_filled(changes, 1)] == ["stream"]
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 6)
            await sandbox.stream.until_live(2)
            done = await live.order_done(order, timeout=PATIENCE)
            assert (done.status, done.filled_qty) == ("filled", Decimal(10))
            await current(live)
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            rest = taken(changes)
            assert [cause for _, cause in fills_of(rest)] == ["recovered"]
            [*_, bought] = [each for each in rest if isinstance(each, PositionChanged) and each.symbol == "MSFT"]
            assert bought.cause == "recovered"
            assert bought.after.quantity == live.book(account).positions["MSFT"].quantity
            assert live.statistics().gaps == 1


async def test_order_placed_filled_and_cancelled_during_a_drop_is_recovered() -> None:
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            old = await placed(user, account)
            await working(live, old)
            taken(changes)
            sandbox.stream.reset()
            new = await placed(user, account, qty=3)
            sandbox.broker.fill(new.order_id, 1, "1.00")
            sandbox.broker.fill(new.order_id, 2, "1.00")
            await user.orders.cancel(old)
            assert (await live.order_done(new, timeout=PATIENCE)).status == "filled"
            assert (await live.order_done(old.order_id, timeout=PATIENCE)).status == "cancelled"
            await current(live)
            found = taken(changes)
            published = [each for each in found if isinstance(each, OrderChanged)]
            assert {each.after.order_id: str(each.after.status) for each in published} == {
                old.order_id: "cancelled",
                new.order_id: "filled",
            }
            wanted = [(fill.fill_id, "recovered") for fill in sandbox.broker.order(new.order_id).fills]
            assert fills_of(found) == wanted
            assert in_the_book(live, account) == in_the_world(sandbox, account)


async def test_fill_received_before_an_older_one_is_recovered_has_a_later_time() -> None:
    async with Sandbox(seed=9, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            missed, received = await placed(user, account), await placed(user, account)
            await working(live, missed)
            await working(live, received)
            taken(changes)
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.2, times=1))
            sandbox.stream.reset()
            sandbox.broker.fill(missed.order_id)
            await until_struck(sandbox)
            sandbox.clock.advance(1)
            sandbox.broker.fill(received.order_id)
            sandbox.stream.publish_due()
            published: list[OrderChanged] = []
            async with asyncio.timeout(PATIENCE):
                while sum(len(each.fills) for each in published) < 2:
                    change = await changes.receive()
                    assert isinstance(change, OrderChanged)
                    published.append(change)
            filled = [each for each in published if each.fills]
            assert [(each.after.order_id, each.cause) for each in filled] == [
                (received.order_id, "stream"),
                (missed.order_id, "recovered"),
            ]
            later, earlier = (each.fills[0].time for each in filled)
            assert later is not None
            assert earlier is not None
            assert earlier < later


async def test_drop_during_a_resync_is_recovered() -> None:
    async with Sandbox(seed=3, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            order = await placed(user, account)
            await working(live, order)
            taken(changes)
            # The snapshot is requested after the first gap and answered after the second.
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.3, times=1))
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 4)
            await live.wait(lambda live: live.statistics().gaps == 1, timeout=PATIENCE)
            assert not live.book(account).is_current
            await until_struck(sandbox)
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 6)
            await live.wait(lambda live: live.statistics().gaps == 2, timeout=PATIENCE)
            assert not live.book(account).is_current
            await current(live)
            assert live.statistics().outdated == 1
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            wanted = [(fill.fill_id, "recovered") for fill in sandbox.broker.order(order.order_id).fills]
            assert fills_of(taken(changes)) == wanted


async def test_drop_while_rest_is_down_is_recovered() -> None:
    async with (
        Sandbox(seed=4, latency=0) as sandbox,
        client(sandbox, retry=Retry(attempts=1)) as ct,
        nothing_of_ours_left(),
    ):
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            order = await placed(user, account)
            await working(live, order)
            held = live.book(account).positions
            down = sandbox.faults.add(Fault("status", status=503, times=None))
            sandbox.stream.reset()
            sandbox.broker.fill(order.order_id, 4, "1.00")
            await live.wait(lambda live: live.statistics().failures >= 3, timeout=PATIENCE)
            book = live.book(account)
            assert not book.is_current
            # A failed read is never an empty account.
            assert book.positions == held
            assert "503" in str(live.failed["ada"])
            assert live.health().state == "RESYNCING"
            # Updates of the stream are published at once.
            taken(changes)
            sandbox.broker.fill(order.order_id, 1, "1.00")
            ids = [fill.fill_id for fill in sandbox.broker.order(order.order_id).fills]
            assert await until_filled(changes, 2) == [(ids[0], "stream"), (ids[1], "stream")]
            assert down in sandbox.faults.armed
            sandbox.faults.clear()
            await current(live)
            assert dict(live.failed) == {}
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert fills_of(taken(changes)) == []
