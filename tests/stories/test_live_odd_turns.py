"""Other events of live books: a stream lost for good, lost or undecodable frames, new accounts."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from connecttrade_async import ClosedError, ConfigurationError, Endpoints, Reconnect, SessionTakenError
from connecttrade_async.books.changes import OrderChanged
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
from scripted_server import ScriptedEnd, answer
from stream_fixtures import PATIENCE, client, order as an_order

if TYPE_CHECKING:
    from asyncio import StreamWriter

    from connecttrade_async import Gap
    from connecttrade_async.books.change_feed import ChangeSubscription
    from connecttrade_async.books.changes import Change


async def test_stream_displaced_for_good_makes_books_not_current() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=0.5) as live, live.changes("orders") as changes:
            order = await placed(user, account)
            await working(live, order)
            sandbox.stream.displace()
            with pytest.raises(SessionTakenError):
                await live.order_done(order, timeout=PATIENCE)
            # Changes published before can still be received; then the error is raised.
            assert [type(change) for change in await rest_of(changes)] == [OrderChanged] * 2
            assert not live.book(account).is_current
            assert in_the_book(live, account)["open"][order.order_id] == ("working", Decimal(0))
            assert (live.health().state, live.health().current) == ("ENDED", 0)
            for refused in (live.add(user), live.wait(lambda _: False)):
                with pytest.raises(SessionTakenError):
                    await refused
            with pytest.raises(SessionTakenError):
                live.changes()


@pytest.mark.parametrize("is_borrowed", [True, False], ids=["borrowed", "own"])
async def test_final_end_of_live_accounts_is_logged_as_an_error_once(
    caplog: pytest.LogCaptureFixture, *, is_borrowed: bool
) -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(ct.brokerage_stream()) if is_borrowed else None
            live = await stack.enter_async_context(ct.live([user], stream, sweep_every=None))
            sandbox.stream.displace()
            with pytest.raises(SessionTakenError, match=r"connecttrade_async\.relay\.Relay") as taken_by:
                await live.wait(lambda _: False, timeout=PATIENCE)
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert [(record.name, record.getMessage()) for record in errors] == [
            ("connecttrade_async.streaming", f"stream ended: {taken_by.value}"),
            ("connecttrade_async.live", f"the live accounts ended: {taken_by.value}"),
        ]


async def test_live_accounts_closed_by_the_program_log_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None):
            pass
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_second_worker_of_live_accounts_gets_one_error_that_names_the_relay() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, client(sandbox) as two:
        sandbox.stream.displaces = "newer"
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live:
            with pytest.raises(SessionTakenError, match=r"use connecttrade_async\.relay\.Relay to share one session"):
                await two.live([two.user("ada", "secret")], sweep_every=None).__aenter__()
            await placed(user, account)
            await current(live)


async def test_live_accounts_that_stand_by_follow_once_the_session_is_free() -> None:
    clock = SteppedClock()
    slowly = Reconnect(base=0.01, cap=0.02, standby=60.0)
    async with (
        Sandbox(seed=1, latency=0) as sandbox,
        client(sandbox) as one,
        client(sandbox, clock=clock, reconnect=slowly) as two,
        nothing_of_ours_left(),
    ):
        user, account = newcomer(sandbox, two)
        async with two.live([user], on_taken="standby", sweep_every=None) as live:
            assert live.book(account).is_current
            older = one.brokerage_stream()
            await older.open()
            await live.wait(lambda live: live.health().state == "AWAY", timeout=PATIENCE)
            assert not live.book(account).is_current
            await older.aclose()
            while not live.is_current:
                clock.advance(60.0)
                await asyncio.sleep(0.005)
            assert live.book(account).is_current


async def test_policy_for_a_borrowed_stream_of_live_accounts_is_refused() -> None:
    async with Sandbox(seed=1) as sandbox, client(sandbox) as ct:
        with pytest.raises(ConfigurationError, match="on_taken must be given to the borrowed stream itself"):
            ct.live([], ct.brokerage_stream(), on_taken="standby")
        with pytest.raises(ConfigurationError, match="on_taken must be"):
            ct.live([], on_taken="raise")  # type: ignore[arg-type]


async def rest_of(changes: ChangeSubscription) -> list[Change | Gap]:
    """Receive queued changes up to the error."""
    found: list[Change | Gap] = []
    while True:
        try:
            found.append(await changes.receive())
        except SessionTakenError:
            return found


async def test_new_account_appears_in_the_books() -> None:
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        unknown_user, _ = newcomer(sandbox, ct, "bob")
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            world, now = sandbox.world, sandbox.clock.now()
            link = world.invite(world.users["ada"], "trade", "https://app.example/", now, broker=find_broker("PUBLIC"))
            new = world.consent(link, find_broker("PUBLIC"), "ada", now).accounts[0].account_id
            assert new not in {book.account_id for book in live.books()}
            world.add_order(new, sandbox.clock.now(), qty=1, status="filled")
            sandbox.stream.publish_due()
            [(_, cause)] = await until_filled(changes, 1)
            assert cause == "stream"
            await live.wait(lambda live: live.statistics().snapshots == 2, timeout=PATIENCE)
            await current(live)
            assert in_the_book(live, new) == in_the_world(sandbox, new)
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert fills_of(taken(changes)) == []
            sandbox.stream.publish("orders", "bob", "somewhere", an_order(1))
            sandbox.stream.publish("orders", "nobody", "nowhere", an_order(2))
            mark = await placed(user, account)
            await working(live, mark)
            assert live.statistics()[-2:] == (3, 2)
            assert unknown_user.user_id not in {book.user_id for book in live.books()}


async def test_first_frame_with_a_future_time_publishes_events_of_its_account() -> None:
    async with Sandbox(seed=2, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, _ = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            world, now = sandbox.world, sandbox.clock.now()
            link = world.invite(world.users["ada"], "trade", "https://app.example/", now, broker=find_broker("PUBLIC"))
            new = world.consent(link, find_broker("PUBLIC"), "ada", now).accounts[0].account_id
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.1, times=1))
            frame = {"type": "position", "user_id": "ada", "account_id": new, "timestamp": "2126-03-02T14:00:00Z"}
            sandbox.stream.send(frame | {"data": {"symbol": "NVDA", "quantity": "1"}})
            await until_struck(sandbox)
            sandbox.stream.faults.add(StreamFault("lose", times=None))
            filled = world.add_order(new, sandbox.clock.now(), qty=1, status="filled")
            assert await until_filled(changes, 1) == [(fill.fill_id, "recovered") for fill in filled.fills]


async def test_lost_frame_is_found_by_the_sweep() -> None:
    async with Sandbox(seed=3, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=0.2) as live, live.changes("orders") as changes:
            order = await placed(user, account)
            await working(live, order)
            taken(changes)
            sandbox.stream.faults.add(StreamFault("lose", times=3))
            sandbox.broker.fill(order.order_id)
            sandbox.stream.publish_due()
            done = await live.order_done(order, timeout=PATIENCE)
            assert done.status == "filled"
            assert [cause for _, cause in fills_of(taken(changes))] == ["sweep"]
            assert live.statistics().swept >= 2
            assert live.statistics().gaps == 0
            assert in_the_book(live, account) == in_the_world(sandbox, account)


async def test_undecodable_frame_makes_its_account_be_read_again() -> None:
    async with Sandbox(seed=4, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            order = await placed(user, account)
            await working(live, order)
            taken(changes)
            sandbox.stream.faults.add(StreamFault("garble", times=3))
            sandbox.stream.send('{"type": "order", "account_id": "unknown", "data": 5}')
            sandbox.stream.send("nonsense")
            sandbox.broker.fill(order.order_id)
            sandbox.stream.publish_due()
            assert (await live.order_done(order, timeout=PATIENCE)).status == "filled"
            await current(live)
            assert [cause for _, cause in fills_of(taken(changes))] == ["recovered"]
            assert in_the_book(live, account) == in_the_world(sandbox, account)


async def test_overflow_of_the_event_queue_makes_all_users_be_read_again() -> None:
    async with Sandbox(seed=5, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None, capacity=5) as live:
            order = await placed(user, account)
            await sandbox.stream.burst(1000)
            sandbox.broker.fill(order.order_id)
            sandbox.stream.publish_due()
            assert (await live.order_done(order, timeout=PATIENCE)).status == "filled"
            await current(live)
            assert live.statistics().gaps > 0
            assert in_the_book(live, account) == in_the_world(sandbox, account)


async def test_borrowed_stream_closed_by_its_owner_ends_the_live_accounts() -> None:
    async with Sandbox(seed=6, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.brokerage_stream() as stream, ct.live([user], stream, sweep_every=None) as live:
            changes = live.changes()
            await stream.aclose()
            with pytest.raises(ClosedError, match="the stream"):
                await live.wait(lambda _: False, timeout=PATIENCE)
            assert [change async for change in changes] == []
            assert not live.book(account).is_current


async def test_fill_received_without_an_id_and_listed_with_it_is_published_once() -> None:
    async with Sandbox(seed=7, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with ct.live([user], sweep_every=None) as live, live.changes("orders") as changes:
            order = await placed(user, account)
            await working(live, order)
            taken(changes)
            sandbox.stream.faults.add(StreamFault("lose", times=3))
            sandbox.broker.fill(order.order_id, 4)
            sandbox.stream.publish_due()
            [listed] = [each async for each in user.orders.list() if each.order_id == order.order_id]
            report = [msgspec.to_builtins(each) for each in listed.fills]
            report[0].pop("fill_id")
            published = {"order_id": order.order_id, "status": "partially_filled", "filled_qty": "4", "fills": report}
            sandbox.stream.publish("orders", "ada", account, published)
            assert await until_filled(changes, 1) == [(None, "stream")]
            sandbox.stream.reset()
            await live.wait(lambda live: live.statistics().gaps == 1, timeout=PATIENCE)
            await current(live)
            assert fills_of(taken(changes)) == []
            [known] = live.book(account).orders[order.order_id].fills
            assert (known.fill_id, known.quantity) == (listed.fills[0].fill_id, Decimal(4))


@pytest.mark.parametrize("says_when_it_was_made", [True, False])
async def test_old_open_order_is_found_with_listings_that_default_to_midnight(*, says_when_it_was_made: bool) -> None:
    old = {"order_id": "old", "account_id": "a", "status": "working", "order_tif": "GTC", "updated_at": None}
    if says_when_it_was_made:
        old["created_at"] = "2026-01-02T14:00:00Z"

    async def serve(writer: StreamWriter) -> bool:
        url = urlsplit(end.seen[-1].target)
        asked = parse_qs(url.query)
        orders = (
            [old] if asked.get("start_time", ["9"]) < ["2026-01-02T14:00:01Z"] and old["status"] in was(asked) else []
        )
        body = {"/orders": orders, "/balances": [{"account_id": "a", "cash": "1"}]}.get(url.path, [])
        return await answer(body=json.dumps(body))(writer)

    def was(asked: dict[str, list[str]]) -> tuple[str, ...]:
        return ("working",) if asked["status"] == ["open"] else ("working", "cancelled")

    async with Sandbox(seed=8, latency=0) as sandbox, ScriptedEnd(serve) as end, nothing_of_ours_left():
        endpoints = Endpoints(end.url, sandbox.endpoints.stream)
        async with client(sandbox, endpoints=endpoints) as ct, ct.live([ct.user("ada", "hush")]) as live:
            assert list(live.book("a").orders) == ["old"]
            old["status"] = "cancelled"
            sandbox.stream.reset()
            assert (await live.order_done("old", timeout=PATIENCE)).status == "cancelled"
