from __future__ import annotations

import asyncio
import contextvars
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from connecttrade_async import (
    AuthenticationError,
    AuthenticationRefusedError,
    ClosedError,
    ConfigurationError,
    ConnectTrade,
    Endpoints,
    Gap,
    MalformedResponseError,
    OrderStatus,
    Retry,
    SlowConsumerError,
)
from connecttrade_async.books.changes import OrderChanged
from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.sandbox import Fault, Sandbox
from connecttrade_async.sandbox.faults.stream import StreamFault
from live_fixtures import (
    bare_newcomer,
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
from stream_fixtures import PATIENCE, client, client_at, end_that, publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async import User
    from connecttrade_async.live.accounts import LiveAccounts
    from connecttrade_async.streaming.brokerage_stream import BrokerageStream


def followed(ct: ConnectTrade, *users: User, **settings: Any) -> LiveAccounts:
    options: dict[str, Any] = {"sweep_every": None} | settings
    return ct.live(users, **options)


# --- followed users


async def test_opened_live_accounts_equal_the_server() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [newcomer(sandbox, ct, name) for name in ("ada", "bob")]
        live = followed(ct, *(user for user, _ in users))
        assert repr(live) == "<LiveAccounts AWAY 0 users, 0 of 0 books current, 0 failed>"
        async with live:
            assert repr(live) == "<LiveAccounts CURRENT 2 users, 4 of 4 books current, 0 failed>"
            for _, account in users:
                assert live.book(account).is_current
                assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert {book.user_id for book in live.books()} == {"ada", "bob"}
            assert live.statistics().snapshots == 2
        assert repr(live) == "<LiveAccounts ENDED 2 users, 0 of 4 books current, 0 failed>"
        for late in (live.__aenter__(), live.add(users[0][0])):
            with pytest.raises(ClosedError, match="live accounts"):
                await late


async def test_rejected_user_is_in_failed_and_does_not_affect_others() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        user, account = newcomer(sandbox, ct)
        async with followed(ct, ct.user("eve", "guessed"), user) as live:
            assert list(live.failed) == ["eve"]
            assert isinstance(live.failed["eve"], AuthenticationError)
            assert live.book(account).is_current
            assert live.is_current
            assert "guessed" not in repr(live.health())
            assert list(live.health().failed) == ["eve"]
            await live.remove("eve")
            assert dict(live.failed) == {}


async def test_users_can_be_added_and_removed() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, hers = newcomer(sandbox, ct, "ada")
        bob, his = newcomer(sandbox, ct, "bob")
        async with followed(ct, ada) as live, live.changes("orders") as changes:
            with pytest.raises(ConfigurationError, match="no account"):
                live.book(his)
            await live.add(bob)
            assert in_the_book(live, his) == in_the_world(sandbox, his)
            assert taken(changes) == []
            order = await placed(ada, hers)
            await working(live, order)
            waiter = asyncio.create_task(live.order_done(order))
            await asyncio.sleep(0)
            await live.remove(ada)
            with pytest.raises(ClosedError, match="book of that order is closed: its user is not followed any more"):
                await waiter
            await live.remove(ada)
            assert {book.user_id for book in live.books()} == {"bob"}
            taken(changes)
            sandbox.broker.fill(order.order_id)
            later = await placed(bob, his)
            await working(live, later)
            assert {change.user_id for change in taken(changes) if isinstance(change, OrderChanged)} == {"bob"}
            await live.add(bob)
            assert in_the_book(live, his) == in_the_world(sandbox, his)
            await live.add(ct.user("eve", "guessed"))
            assert list(live.failed) == ["eve"]


async def test_user_can_be_removed_during_its_snapshot() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, _ = newcomer(sandbox, ct, "ada")
        async with followed(ct) as live:
            for fault in (
                Fault("slow_headers", path="/orders", seconds=0.1),
                Fault("status", path="/orders", status=400),
            ):
                sandbox.faults.add(fault)
                adding = asyncio.create_task(live.add(ada))
                await until_struck(sandbox)
                await live.remove(ada)
                await adding
                assert live.books() == ()
                sandbox.faults.clear()
            assert live.health().users == 0


async def test_user_that_fails_at_first_is_read_later() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, retry=Retry(attempts=1)) as ct:
        ada, account = newcomer(sandbox, ct)
        sandbox.faults.add(Fault("status", status=503, path="/positions", times=3))
        async with followed(ct, ada) as live, live.changes() as changes:
            assert "503" in str(live.failed["ada"])
            await live.wait(lambda live: not live.failed and live.is_current, timeout=PATIENCE)
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert taken(changes) == []
            assert live.statistics().failures == 3


async def test_failed_sweep_keeps_books_current_unless_the_secret_is_rejected() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, retry=Retry(attempts=1)) as ct:
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada, sweep_every=0.06) as live:
            sandbox.faults.add(Fault("status", status=503, path="/orders"))
            await live.wait(lambda live: live.statistics().failures == 1, timeout=PATIENCE)
            assert dict(live.failed) == {}
            assert live.book(account).is_current
            sandbox.faults.add(Fault("status", status=401, path="/orders", times=1))
            await live.wait(lambda live: "ada" in live.failed, timeout=PATIENCE)
            assert not live.book(account).is_current
            await live.wait(lambda live: live.is_current and not live.failed, timeout=PATIENCE)


async def test_resync_reads_the_most_active_users_first() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [newcomer(sandbox, ct, name) for name in ("ada", "bob", "cyd")]
        async with followed(ct, *(user for user, _ in users), concurrency=1) as live:
            for count, (user, account) in zip((1, 3, 2), users, strict=True):
                for _ in range(count):
                    await working(live, await placed(user, account))
            order: list[str] = []
            sandbox.stream.reset()

            def note(live: LiveAccounts) -> bool:
                for book in live.books():
                    if book.is_current and live.statistics().gaps and book.user_id not in order:
                        order.append(book.user_id)
                return len(order) == 3

            await live.wait(note, timeout=PATIENCE)
            assert order == ["bob", "cyd", "ada"]


# --- books


async def test_totals_over_many_accounts() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        users = [newcomer(sandbox, ct, name) for name in ("ada", "bob")]
        async with followed(ct, *(user for user, _ in users)) as live:
            cash = [
                sandbox.world.balance(sandbox.world.books.account(book.account_id), sandbox.clock.now()).cash
                for book in live.books()
            ]
            assert live.totals().cash.total == sum(cash)
            assert live.totals([users[0][1]]).cash.counted == 1
            with pytest.raises(ConfigurationError):
                live.totals(["nowhere"])


# --- changes


async def test_changes_are_filtered_and_a_slow_subscription_is_closed() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live:
            wanted = live.changes(account_id=account, symbol="MSFT")
            others = live.changes(account_id="another")
            hers = live.changes("balances", user_id="ada", overflow="latest")
            slow, lossy = live.changes(capacity=1), live.changes(capacity=1, overflow="drop_oldest")
            order = await placed(ada, account)
            await working(live, order)
            sandbox.broker.fill(order.order_id, 4)
            await live.wait(lambda live: live.book(account).orders[order.order_id].filled_qty == 4, timeout=PATIENCE)
            assert {type(each).__name__ for each in taken(wanted)} >= {"OrderChanged"}
            assert taken(others) == []
            assert {type(each).__name__ for each in taken(hers)} == {"BalanceChanged"}
            assert isinstance(await slow.receive(), OrderChanged)
            with pytest.raises(SlowConsumerError):
                await slow.receive()
            assert isinstance(await lossy.receive(), Gap)
            assert lossy.statistics().dropped > 0
            wrongs: list[dict[str, Any]] = [{"overflow": "latest"}, {"overflow": "never"}, {"capacity": 0}]
            for wrong in wrongs:
                with pytest.raises(ConfigurationError):
                    live.changes(**wrong)
            with pytest.raises(ConfigurationError, match="topics must be"):
                live.changes("trades")
            assert live.statistics().changes > 0
        assert [each async for each in wanted] == []


# --- waiting


async def test_order_done_finds_an_order_that_ended_before_its_answer() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live, live.changes("orders") as changes:
            sandbox.faults.add(Fault("slow_body", method="POST", path="/orders", seconds=0.2))
            sandbox.broker.set_price("MSFT", "1.00")
            placing = asyncio.create_task(placed(ada, account, qty=1, price="900.00"))
            await until_filled(changes, 1)
            assert not placing.done()
            order = await placing
            done = await live.order_done(order, timeout=PATIENCE)
            assert done.status == "filled"
            assert await live.order_done(done.order_id) == done


@pytest.mark.parametrize("is_heard", [True, False])
async def test_order_done_resolves_from_the_first_snapshot_of_a_user(*, is_heard: bool) -> None:
    once = Retry(attempts=1)
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, retry=once) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        sandbox.faults.add(Fault("status", status=503, path="/positions", times=None))
        async with followed(ct, ada) as live, live.changes() as changes:
            assert list(live.failed) == ["ada"]
            order = await placed(ada, account)
            waiting = asyncio.create_task(live.order_done(order, timeout=PATIENCE))
            await asyncio.sleep(0)
            if not is_heard:
                sandbox.stream.faults.add(StreamFault("lose", times=None))
            sandbox.broker.fill(order.order_id)
            sandbox.stream.publish_due()
            if not is_heard:
                sandbox.faults.clear()
            assert (await waiting).status == "filled"
            sandbox.faults.clear()
            await current(live)
            # It only resolved the waiter and was not published.
            assert fills_of(taken(changes)) == []


async def test_wait_times_out_and_cleans_up() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live:
            order = await placed(ada, account)
            waits = [
                asyncio.create_task(live.order_done(order, timeout=5)),
                asyncio.create_task(live.wait(lambda _: False, timeout=6)),
            ]
            asked = len(clock.asked)
            await clock.until_asked(asked + 2)
            clock.advance(6)
            with pytest.raises(TimeoutError, match="did not end within 5 s"):
                await waits[0]
            with pytest.raises(TimeoutError, match="within 6 s"):
                await waits[1]
            for never in (live.order_done(order), live.wait(lambda _: False)):
                waiting = asyncio.create_task(never)
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            assert live._change_feed._orders == {}
            assert live._change_feed._conditions == []


async def test_wait_raises_the_error_of_its_predicate() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live:
            asked: list[int] = []

            def odd(live: LiveAccounts) -> bool:
                asked.append(len(live.books()))
                if len(asked) == 2:
                    raise LookupError("odd")
                return False

            waiting = asyncio.create_task(live.wait(odd, timeout=PATIENCE))
            await asyncio.sleep(0)
            await placed(ada, account)
            with pytest.raises(LookupError, match="odd"):
                await waiting


async def test_order_done_returns_ended_orders_and_raises_for_evicted_ones() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada, keep_orders=OrderRetention(count=1)) as live:
            first, second = await placed(ada, account), await placed(ada, account)
            cancelled = await ada.orders.cancel(first)
            assert (await live.order_done(cancelled, timeout=PATIENCE)).order_id == first.order_id
            await ada.orders.cancel(second)
            await live.order_done(second, timeout=PATIENCE)
            with pytest.raises(ConfigurationError, match="not kept any more"):
                await live.order_done(first.order_id)
            ended = msgspec.structs.replace(first, status=OrderStatus.CANCELLED)
            assert await live.order_done(ended) is ended


# --- settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"concurrency": True},
        {"capacity": 0.5},
        {"sweep_every": 0},
        {"requests_per_second": -1},
        {"requests_per_second": "many"},
        {"keep_orders": 500},
    ],
)
async def test_invalid_settings_raise_at_once(wrong: dict[str, Any]) -> None:
    async with client_of_nobody() as ct:
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            ct.live(**wrong)


def client_of_nobody() -> ConnectTrade:
    return ConnectTrade("client", "hush", endpoints=Endpoints())


async def test_stream_without_all_topics_raises() -> None:
    async with client_of_nobody() as ct:
        with pytest.raises(ConfigurationError, match="stream must have the topics"):
            ct.live(stream=ct.brokerage_stream(["orders"]))


async def until_served(sandbox: Sandbox, count: int) -> None:
    while sandbox.requests.total < count:  # noqa: ASYNC110 - the sandbox's log tells nobody
        await asyncio.sleep(0.001)


async def test_requests_per_second_limits_snapshots() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        opening = asyncio.create_task(followed(ct, ada, requests_per_second=2).__aenter__())
        async with asyncio.timeout(PATIENCE):
            await until_served(sandbox, 2)
            for count in (3, 4):
                # The next request waits for its turn, so it is delayed and not only slow.
                while clock.asked.count(0.5) < count - 2:  # noqa: ASYNC110 - the clock tells nobody which delay
                    await asyncio.sleep(0)
                assert sandbox.requests.total == count - 1
                clock.advance(0.5)
                await until_served(sandbox, count)
            live = await opening
        assert sandbox.requests.total == 4
        assert live.book(account).is_current
        await live.aclose()


# --- lifecycle


async def test_live_accounts_can_be_closed_in_another_task() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        live = followed(ct, ada)
        await asyncio.create_task(live.__aenter__(), context=contextvars.Context())
        assert live.book(account).is_current
        with pytest.raises(ConfigurationError, match="opened before"):
            await live.__aenter__()
        assert live.book(account).is_current
        await asyncio.create_task(live.aclose())
        await live.aclose()


async def test_add_before_opening_raises() -> None:
    async with client_of_nobody() as ct:
        live = ct.live()
        with pytest.raises(ConfigurationError, match="are not open"):
            await live.add(ct.user("ada", "hush"))
        for waiting in (live.order_done("o", timeout=PATIENCE), live.wait(lambda _: True)):
            with pytest.raises(ConfigurationError, match="are not open"):
                await waiting
        assert live.statistics().frames == 0
        await live.aclose()
        for waiting in (live.order_done("o", timeout=PATIENCE), live.wait(lambda _: True)):
            with pytest.raises(ClosedError, match="this set of live accounts is closed"):
                await waiting


async def test_borrowed_stream_that_was_never_opened_raises() -> None:
    async with client_of_nobody() as ct:
        live = ct.live([], ct.brokerage_stream())
        with pytest.raises(ConfigurationError, match="never opened"):
            await live.__aenter__()


async def test_cancelled_close_leaves_the_borrowed_stream_open() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, _ = newcomer(sandbox, ct)
        async with ct.brokerage_stream() as stream:
            live = await ct.live([ada], stream, sweep_every=None).__aenter__()
            assert len(stream.health().consumers) == 1
            closing = asyncio.create_task(live.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert not stream.health().consumers


async def test_add_with_a_new_secret_keeps_the_books_and_publishes_missed_changes() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live, live.changes("orders") as changes:
            order = await placed(ada, account)
            await working(live, order)
            taken(changes)
            waiting = asyncio.create_task(live.order_done(order, timeout=PATIENCE))
            await asyncio.sleep(0)
            sandbox.stream.faults.add(StreamFault("lose", times=3))
            sandbox.broker.fill(order.order_id)
            sandbox.stream.publish_due()
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.05))
            first, second = (
                asyncio.create_task(live.add(ct.user("ada", sandbox.world.users["ada"].secret))) for _ in range(2)
            )
            await asyncio.sleep(0)
            assert not live.book(account).is_current
            assert live.book(account).orders[order.order_id].status == "working"
            await asyncio.gather(first, second)
            assert live.is_current
            assert [cause for _, cause in fills_of(taken(changes))] == ["recovered"]
            assert (await waiting).status == "filled"
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            await live.add(ct.user("ada", "guessed"))
            assert (list(live.failed), live.book(account).is_current) == (["ada"], False)
            later = await placed(ada, account)
            await working(live, later)


async def test_wait_is_rechecked_when_users_are_added_and_removed() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, _ = newcomer(sandbox, ct)
        async with followed(ct) as live:
            coming = asyncio.create_task(live.wait(lambda live: live.health().users == 1, timeout=PATIENCE))
            await asyncio.sleep(0)
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=60))
            adding = asyncio.create_task(live.add(ada))
            await coming
            going = asyncio.create_task(live.wait(lambda live: not live.books(), timeout=PATIENCE))
            await going
            gone = asyncio.create_task(live.wait(lambda live: live.health().users == 0, timeout=PATIENCE))
            await asyncio.sleep(0)
            await live.remove(ada)
            await gone
            await adding


async def test_rejected_stream_raises_and_cleans_up() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        sandbox.stream.faults.add(StreamFault("refuse_login"))
        ada, _ = newcomer(sandbox, ct)
        with pytest.raises(AuthenticationRefusedError):
            await followed(ct, ada).__aenter__()


async def test_the_stream_ends_while_the_first_snapshots_are_taken() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, _ = newcomer(sandbox, ct)
        sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=5, times=None))
        async with ct.brokerage_stream() as stream:
            entering = asyncio.create_task(ct.live([ada], stream).__aenter__())
            await until_struck(sandbox)
            await stream.aclose()
            with pytest.raises(ClosedError, match="the stream"):
                await entering


async def test_cancelled_open_cleans_up() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, _ = newcomer(sandbox, ct)
        sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=5, times=None))
        entering = asyncio.create_task(followed(ct, ada).__aenter__())
        await until_struck(sandbox)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering


async def test_close_during_a_resync_with_planned_retries_cleans_up() -> None:
    once = Retry(attempts=1)
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, retry=once) as ct, nothing_of_ours_left():
        users = [newcomer(sandbox, ct, name)[0] for name in ("ada", "bob", "cyd")]
        async with followed(ct, *users, concurrency=2) as live:
            sandbox.faults.add(Fault("status", status=503, path="/balances"))
            sandbox.faults.add(Fault("slow_headers", path="/positions", seconds=5, times=None))
            sandbox.stream.reset()
            await until_struck(sandbox)
            await live.wait(lambda live: live.statistics().failures == 1, timeout=PATIENCE)
        assert live.health().state == "ENDED"


async def test_books_are_not_current_until_the_borrowed_stream_is_live() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with ct.brokerage_stream() as stream:
            sandbox.stream.faults.add(StreamFault("cut_upgrade", times=None))
            sandbox.stream.reset()
            await until_away(stream)
            async with ct.live([ada], stream, sweep_every=None) as live:
                assert (live.health().state, live.book(account).is_current) == ("AWAY", False)
                sandbox.stream.faults.clear()
                await current(live)
                assert in_the_book(live, account) == in_the_world(sandbox, account)
                order = await placed(ada, account)
                await working(live, order)
                await stream.aclose()
                with pytest.raises(ClosedError):
                    await live.order_done(order, timeout=PATIENCE)


async def until_away(stream: BrokerageStream) -> None:
    async with asyncio.timeout(PATIENCE):
        while stream.health().state == "LIVE":  # noqa: ASYNC110 - health tells nobody
            await asyncio.sleep(0.001)


async def test_unexpected_error_in_a_snapshot_fails_only_its_user() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)

        class Odd:
            user_id = "odd"
            orders, positions, connections = ada.orders, ada.positions, ada.connections

            @property
            def balances(self) -> Any:
                raise ZeroDivisionError

        async with followed(ct, ada) as live, live.changes() as changes:
            await live.add(Odd())
            assert list(live.failed) == ["odd"]
            assert isinstance(live.failed["odd"], MalformedResponseError)
            assert isinstance(live.failed["odd"].__cause__, ZeroDivisionError)
            assert live.book(account).is_current
            order = await placed(ada, account)
            await working(live, order)
            assert taken(changes)
            assert live.health().state == "CURRENT"


async def test_update_without_an_account_is_resolved_or_counted() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live, live.changes("orders") as changes:
            report = {"order_id": "x", "account_id": account, "status": "working"}
            sandbox.stream.send({"type": "order", "user_id": "ada", "data": report})
            sandbox.stream.send({"type": "order", "data": {"order_id": "y"}})
            sandbox.stream.send({"type": "position", "data": {"symbol": "y"}})
            sandbox.stream.send({"type": "balance", "data": {"account_id": "nowhere"}})
            sandbox.stream.send({"type": "order", "user_id": "ada", "data": {"order_id": "z"}})
            assert (await changes.receive()).after.order_id == "x"  # type: ignore[union-attr]
            await live.wait(lambda live: live.statistics().snapshots == 2, timeout=PATIENCE)
            assert live.statistics()[-2:] == (4, 3)
            assert in_the_book(live, account)["open"]["x"] == ("working", None)


async def test_absent_account_keeps_its_book_not_current() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live:
            held = live.book(account).positions
            [connection] = sandbox.world.users["ada"].connections.values()
            sandbox.world.disconnect(sandbox.world.users["ada"], connection.connection_id)
            sandbox.stream.reset()
            await live.wait(lambda live: live.statistics().snapshots == 2, timeout=PATIENCE)
            assert live.book(account).positions == held
            assert not live.book(account).is_current
            assert live.health().state == "RESYNCING"


async def test_old_open_order_that_ended_without_a_frame_is_found() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live, live.changes("orders") as changes:
            old = min(live.book(account).open_orders, key=lambda order: order.created_at_text or "")
            assert old.created_at is not None
            assert (sandbox.clock.now() - old.created_at).days > 1
            sandbox.stream.reset()
            await ada.orders.cancel(old)
            assert (await live.order_done(old, timeout=PATIENCE)).status == "cancelled"
            await current(live)
            assert {each.cause for each in taken(changes) if isinstance(each, OrderChanged)} == {"recovered"}
            assert in_the_book(live, account) == in_the_world(sandbox, account)


async def test_old_open_order_is_searched_after_price_changes() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live:
            old = min(live.book(account).open_orders, key=lambda order: order.created_at_text or "")
            # The orders are equal and are not decoded; the positions are.
            while live.statistics().snapshots - live.statistics().unchanged < 3:
                sandbox.clock.advance(1)
                sandbox.stream.reset()
                await live.wait(partial(has_read_more, live.statistics().snapshots), timeout=PATIENCE)
                await current(live)
            sandbox.stream.reset()
            await ada.orders.cancel(old)
            assert (await live.order_done(old, timeout=PATIENCE)).status == "cancelled"


async def test_unchanged_answers_are_not_decoded_and_missed_changes_are_found() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        # They have no positions yet: prices of positions change all the time.
        (ada, account), (bob, other) = (bare_newcomer(sandbox, ct, name) for name in ("ada", "bob"))
        async with followed(ct, ada, bob) as live, live.changes() as changes:
            before = live.book(account)

            async def drop() -> tuple[int, int]:
                counted = live.statistics()
                sandbox.stream.reset()
                await live.wait(lambda live: live.statistics().gaps > counted.gaps, timeout=PATIENCE)
                await current(live)
                after = live.statistics()
                return after.snapshots - counted.snapshots, after.unchanged - counted.unchanged

            assert await drop() == (2, 2)
            assert taken(changes) == []
            after = live.book(account)
            assert (after.orders, after.positions, after.balances) == (before.orders, before.positions, before.balances)
            assert str(before.as_of) < str(after.as_of)
            # Missed: no frame comes.
            sandbox.stream.faults.add(StreamFault("lose", times=None))
            order = await placed(bob, other)
            sandbox.stream.faults.clear()
            assert await drop() == (2, 1)
            assert order.order_id in live.book(other).orders
            assert {each.cause for each in taken(changes)} == {"recovered"}
            assert await drop() == (2, 2)
            # Received: from then on the book differs from the answers that it was loaded from.
            report = {"order_id": "x", "account_id": other, "status": "cancelled"}
            sandbox.stream.send({"type": "order", "user_id": "bob", "account_id": other, "data": report})
            await live.wait(lambda live: "x" in live.book(other).orders, timeout=PATIENCE)
            assert await drop() == (2, 1)
            assert await drop() == (2, 2)
            assert in_the_book(live, account) == in_the_world(sandbox, account)


def has_read_more(than: int, live: LiveAccounts) -> bool:
    return live.statistics().snapshots > than


async def test_answers_that_differ_from_the_book_are_decoded_every_time() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = bare_newcomer(sandbox, ct, "ada")
        order = await placed(ada, account)
        async with followed(ct, ada) as live, live.changes("orders") as changes:
            # The list lags: it never has the fill of the stream, and a filled quantity stays filled.
            report = {"order_id": order.order_id, "account_id": account, "filled_qty": "5"}
            sandbox.stream.send({"type": "order", "user_id": "ada", "account_id": account, "data": report})
            await changes.receive()
            while live.statistics().snapshots < 4:
                sandbox.stream.reset()
                await live.wait(partial(has_read_more, live.statistics().snapshots), timeout=PATIENCE)
            assert live.statistics().unchanged == 0
            assert live.book(account).orders[order.order_id].filled_qty == 5


async def stepped_until(clock: SteppedClock, live: LiveAccounts, is_true: Callable[[LiveAccounts], object]) -> None:
    """Advance the clock until a condition holds."""
    waiting = asyncio.ensure_future(live.wait(is_true))
    async with asyncio.timeout(PATIENCE):
        while not waiting.done():
            clock.advance(0.1)
            await asyncio.sleep(0.0005)
    await waiting


async def test_snapshot_that_contradicts_a_frame_counts_when_repeated() -> None:
    clock = SteppedClock()
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox, clock=clock) as ct, nothing_of_ours_left():
        ada, account = bare_newcomer(sandbox, ct, "ada")
        async with followed(ct, ada) as live, live.changes("positions") as changes:
            report = {"symbol": "AAPL", "account_id": account, "quantity": "5"}
            sandbox.stream.send({"type": "position", "user_id": "ada", "account_id": account, "data": report})
            await changes.receive()
            assert list(live.book(account).positions) == ["AAPL"]
            sandbox.stream.reset()
            await stepped_until(clock, live, lambda live: live.statistics().snapshots == 2)
            book = live.book(account)
            assert (list(book.positions), book.is_current, live.is_current) == (["AAPL"], False, False)
            assert book.problem == "the snapshot contradicts the stream about AAPL"
            began = clock.seconds
            await stepped_until(clock, live, lambda live: live.is_current)
            book = live.book(account)
            assert (dict(book.positions), book.is_current, book.problem) == ({}, True, None)
            assert 4 <= clock.seconds - began <= 20
            assert live.statistics().unchanged == 0


async def test_frame_between_equal_answers_is_overridden_by_them() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = bare_newcomer(sandbox, ct, "ada")
        async with followed(ct, ada) as live, live.changes("positions") as changes:
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.2, times=1))
            sandbox.stream.reset()
            await until_struck(sandbox)
            report = {"symbol": "AAPL", "account_id": account, "quantity": "5"}
            sandbox.stream.send({"type": "position", "user_id": "ada", "account_id": account, "data": report})
            await changes.receive()
            await live.wait(lambda live: live.statistics().snapshots == 2, timeout=PATIENCE)
            assert list(live.book(account).positions) == ["AAPL"]
            sandbox.stream.reset()
            await live.wait(lambda live: live.statistics().snapshots == 3, timeout=PATIENCE)
            assert dict(live.book(account).positions) == {}


async def test_change_on_the_second_page_is_found_with_an_equal_first_page() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = bare_newcomer(sandbox, ct, "ada")
        orders = [sandbox.world.add_order(account, sandbox.clock.now(), status="working") for _ in range(600)]
        async with followed(ct, ada) as live:
            for gaps in (1, 2):
                if gaps > 1:
                    sandbox.stream.faults.add(StreamFault("lose", times=None))
                    await ada.orders.cancel(live.book(account).orders[orders[0].order_id])
                    sandbox.stream.faults.clear()
                sandbox.stream.reset()
                await live.wait(partial(has_read_more, gaps), timeout=PATIENCE)
                await current(live)
            assert live.book(account).orders[orders[0].order_id].status == "cancelled"


async def test_account_that_moves_during_a_snapshot_is_read_again() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = bare_newcomer(sandbox, ct, "ada")
        async with followed(ct, ada) as live:
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.2, times=1))
            sandbox.stream.reset()
            await until_struck(sandbox)
            users = live._users
            users.account_for(users.add(ct.user("bob", "whisper")), account, None)
            users.remove("bob")
            await live.wait(lambda live: live.statistics().outdated == 1, timeout=PATIENCE)
            await current(live)
            assert in_the_book(live, account) == in_the_world(sandbox, account)


async def test_books_are_not_current_while_the_stream_is_away() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live:
            away = sandbox.stream.faults.add(StreamFault("refuse_upgrade", times=None))
            sandbox.stream.reset()
            await live.wait(lambda live: live.health().state == "AWAY", timeout=PATIENCE)
            assert not live.book(account).is_current
            assert live.health().current == 0
            assert live.statistics().gaps == 0
            assert away in sandbox.stream.faults.armed
            sandbox.stream.faults.clear()
            await current(live)
            assert live.statistics().gaps == 1


async def test_events_while_a_user_is_added_are_in_its_books_and_not_published() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct) as live, live.changes() as changes:
            order = await placed(ada, account)
            sandbox.faults.add(Fault("slow_headers", path="/orders", seconds=0.2, times=1))
            adding = asyncio.create_task(live.add(ada))
            await until_struck(sandbox)
            sandbox.broker.fill(order.order_id)
            sandbox.stream.publish_due()
            await adding
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert live.book(account).orders[order.order_id].status == "filled"
            assert live.statistics().frames > 0
            assert taken(changes) == []


async def test_close_fails_all_waiters() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        async with followed(ct, ada) as live:
            order = await placed(ada, account)
            waits = [asyncio.create_task(live.order_done(order)), asyncio.create_task(live.wait(lambda _: False))]
            await asyncio.sleep(0)
        for waiting in waits:
            with pytest.raises(ClosedError, match="live accounts"):
                await waiting


async def test_orders_beyond_one_page_are_read() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        ada, account = newcomer(sandbox, ct)
        for _ in range(600):
            sandbox.world.add_order(account, sandbox.clock.now(), status="working")
        async with followed(ct, ada) as live, live.changes("orders") as changes:
            assert in_the_book(live, account) == in_the_world(sandbox, account)
            assert len(live.book(account).open_orders) >= 600
            assert fills_of(taken(changes)) == []
            assert isinstance(live.book(account).balances["USD"].cash, Decimal)


async def test_updates_of_unknown_users_change_nothing() -> None:
    async with Sandbox(seed=1, latency=0) as sandbox, client(sandbox) as ct, nothing_of_ours_left():
        async with followed(ct) as live:
            publish(sandbox, 1, 2, 3)
            await live.wait(lambda live: live.is_current, timeout=PATIENCE)
        assert live.books() == ()


async def test_cancelled_open_before_the_stream_is_live_cleans_up() -> None:
    async def silent(connection: Any) -> None:
        await connection.wait_closed()

    async with end_that(silent) as url, nothing_of_ours_left(), client_at(url) as ct:
        entering = asyncio.create_task(ct.live().__aenter__())
        await asyncio.sleep(0.01)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
