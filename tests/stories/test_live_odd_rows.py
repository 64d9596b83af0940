"""Rows without a key, rows that share a key, and lists from servers that are behind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from connecttrade_async import MalformedResponseError
from connecttrade_async.books.changes import OrderChanged, PositionChanged
from connecttrade_async.books.order_tracker import OrderRetention
from connecttrade_async.sandbox import Sandbox
from live_fixtures import taken
from manual_clock import SteppedClock
from row_server import RowServer
from stream_fixtures import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from connecttrade_async import ConnectTrade, Poller
    from connecttrade_async.live.accounts import LiveAccounts

MONEY = {"account_id": "a", "currency": "USD", "cash": "100"}
HELD = {"account_id": "a", "symbol": "AAPL", "quantity": "5"}


class OddRows:
    """A client, the rows that REST returns, the stream, and a clock that a test advances."""

    def __init__(self, sandbox: Sandbox, ledger: RowServer, clock: SteppedClock, ct: ConnectTrade) -> None:
        self.sandbox, self.ledger, self.clock, self.ct = sandbox, ledger, clock, ct

    async def until(self, live: LiveAccounts, is_true: Callable[[LiveAccounts], object]) -> None:
        """Advance the clock until a condition holds."""
        waiting = asyncio.ensure_future(live.wait(is_true))
        async with asyncio.timeout(PATIENCE):
            while not waiting.done():
                self.clock.advance(0.1)
                await asyncio.sleep(0.0005)
        await waiting

    async def until_polled(self, poller: Poller[Any], is_true: Callable[[], bool]) -> None:
        """Advance the clock and take results of polls until a condition holds."""

        async def take() -> None:
            async for _ in poller:
                pass

        taking = asyncio.ensure_future(take())
        async with asyncio.timeout(PATIENCE):
            while not is_true():
                self.clock.advance(0.1)
                await asyncio.sleep(0.0005)
        taking.cancel()

    def send(self, kind: str, **data: Any) -> None:
        self.sandbox.stream.send(
            {"type": kind, "user_id": "ada", "account_id": "a", "data": {"account_id": "a", **data}}
        )


@pytest.fixture
async def setup() -> AsyncGenerator[OddRows]:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(seed=1, latency=0))
        ledger = await stack.enter_async_context(RowServer())
        clock = SteppedClock()
        ct = await stack.enter_async_context(ledger.client(sandbox, clock=clock))
        sandbox.world.create_user("ada")
        ledger.balances["ada"], ledger.positions["ada"] = [MONEY], [HELD]
        ledger.balances["bob"] = [{"account_id": "b", "cash": "1"}]
        yield OddRows(sandbox, ledger, clock, ct)


ODD: list[tuple[str, list[dict[str, Any] | None], str]] = [
    ("positions", [HELD, {"account_id": "a", "symbol": None, "quantity": "3"}], "a position has no symbol"),
    ("positions", [{"account_id": "a", "quantity": "3"}, HELD], "a position has no symbol"),
    ("orders", [{"account_id": "a", "order_id": None, "status": "working"}], "an order has no order_id"),
    ("orders", [{"account_id": "a", "order_id": "o"}, {"account_id": "a", "order_id": ""}], "an order has no order_id"),
    ("balances", [MONEY, {"account_id": None, "cash": "3"}], "a row names no account, and the user has several"),
    ("balances", [{"cash": "3"}, MONEY], "a row names no account, and the user has several"),
]


@pytest.mark.parametrize(("name", "rows", "problem"), ODD)
async def test_row_without_its_key_hides_no_other_row_and_makes_its_account_not_current(
    setup: OddRows, name: str, rows: list[dict[str, Any] | None], problem: str
) -> None:
    ada, bob = setup.ct.user("ada", "hush"), setup.ct.user("bob", "hush")
    getattr(setup.ledger, name)["ada"] = rows
    async with setup.ct.live([ada, bob], sweep_every=1.0) as live:
        book = live.book("a")
        assert (book.is_current, book.problem, live.is_current) == (False, problem, False)
        assert [each.quantity for each in book.positions.values()] == [Decimal(5)]
        assert [each.cash for each in book.balances.values()] == [Decimal(100)]
        assert (live.book("b").is_current, live.book("b").problem) == (True, None)
        # The odd row may be of the item that is not listed.
        setup.ledger.positions["ada"] = [row for row in setup.ledger.positions["ada"] if row is not HELD]
        snapshots = live.statistics().snapshots
        await setup.until(live, lambda live: live.statistics().snapshots >= snapshots + 4)
        assert list(live.book("a").positions) == ["AAPL"]
        setup.ledger.orders["ada"], setup.ledger.positions["ada"] = [], [HELD]
        setup.ledger.balances["ada"] = [MONEY]
        await setup.until(live, lambda live: live.is_current)
        assert live.book("a").problem is None


async def test_listing_gives_rows_without_a_key_an_empty_one(setup: OddRows) -> None:
    ada = setup.ct.user("ada", "hush")
    setup.ledger.positions["ada"] = [HELD, {"quantity": "3"}, HELD | {"symbol": None}]
    setup.ledger.balances["ada"] = [MONEY, {"account_id": None, "cash": "1"}]
    setup.ledger.orders["ada"] = [{"order_id": "o"}, {"cl_order_id": "mine"}]
    assert [each.symbol for each in await ada.positions.list()] == ["AAPL", "", ""]
    assert [each.account_id for each in await ada.balances.list()] == ["a", ""]
    assert [each.account_id for each in await ada.accounts.list()] == ["a", ""]
    orders = (await ada.orders.list()).items
    assert [(each.order_id, each.cl_order_id) for each in orders] == [("o", None), ("", "mine")]


@pytest.mark.parametrize("row", [None, {"symbol": [5]}, {"symbol": None, "quantity": {}}])
async def test_listing_with_a_row_that_is_odd_in_another_way_is_malformed(setup: OddRows, row: Any) -> None:
    setup.ledger.positions["ada"] = [HELD, row]
    with pytest.raises(MalformedResponseError):
        await setup.ct.user("ada", "hush").positions.list()


# --- several rows


async def test_sale_of_one_of_two_lots_is_a_sale(setup: OddRows) -> None:
    lot = {"account_id": "a", "symbol": "AAPL", "quantity": "3", "average_price": "12"}
    setup.ledger.positions["ada"] = [HELD | {"average_price": "10"}, lot]
    async with (
        setup.ct.live([setup.ct.user("ada", "hush")], sweep_every=1.0) as live,
        live.changes("positions") as changes,
    ):
        book = live.book("a")
        assert (book.positions["AAPL"].quantity, book.positions["AAPL"].average_price) == (Decimal(8), Decimal("10.75"))
        assert book.is_current
        setup.ledger.positions["ada"] = [HELD | {"average_price": "10"}]
        await setup.until(live, lambda live: live.book("a").positions["AAPL"].quantity == 5)
        [change] = taken(changes)
        assert isinstance(change, PositionChanged)
        assert change.before is not None
        assert (change.before.quantity, change.after.quantity) == (Decimal(8), Decimal(5))


async def test_frame_for_one_of_several_rows_makes_the_account_be_read_again(setup: OddRows) -> None:
    setup.ledger.positions["ada"] = [HELD, HELD | {"quantity": "3"}]
    async with setup.ct.live([setup.ct.user("ada", "hush")], sweep_every=None) as live:
        setup.send("position", symbol="AAPL", quantity="2")
        await live.wait(lambda live: not live.is_current, timeout=PATIENCE)
        assert live.book("a").positions["AAPL"].quantity == 8
        setup.ledger.positions["ada"] = [HELD, HELD | {"quantity": "2"}]
        await setup.until(live, lambda live: live.is_current)
        assert live.book("a").positions["AAPL"].quantity == 7


# --- lists from servers that are behind


async def test_snapshot_behind_the_stream_after_a_gap_does_not_override_the_book(setup: OddRows) -> None:
    def traded(count: int, minute: int) -> dict[str, Any]:
        time = f"2026-03-02T14:{minute:02}:00Z"
        fills = [{"fill_id": str(n), "quantity": "10", "price": "7"} for n in range(1, count + 1)]
        facts = {"order_id": "o", "account_id": "a", "symbol": "AAPL", "status": "partially_filled"}
        return facts | {"filled_qty": str(10 * count), "fills": fills, "updated_at": time}

    old, new = traded(1, 1), traded(2, 2)
    setup.ledger.orders["ada"], setup.ledger.positions["ada"] = [old], [HELD | {"quantity": "10"}]
    async with setup.ct.live([setup.ct.user("ada", "hush")], sweep_every=None) as live, live.changes() as changes:
        setup.send("order", **new)
        setup.send("position", symbol="AAPL", quantity="20")
        await live.wait(lambda live: live.book("a").positions["AAPL"].quantity == 20, timeout=PATIENCE)
        setup.sandbox.stream.reset()
        await live.wait(lambda live: not live.is_current, timeout=PATIENCE)
        began, served = setup.clock.seconds, setup.ledger.requests
        await setup.until(live, lambda _: setup.clock.seconds > began + 30 and setup.ledger.requests > served + 9)
        book = live.book("a")
        assert (book.positions["AAPL"].quantity, book.orders["o"].filled_qty) == (Decimal(20), Decimal(20))
        assert (book.is_current, book.problem) == (False, "the snapshot is older than the known state of order o")
        setup.ledger.orders["ada"], setup.ledger.positions["ada"] = [new], [HELD | {"quantity": "20"}]
        await setup.until(live, lambda live: live.is_current)
        found = taken(changes)
        assert [fill.fill_id for each in found if isinstance(each, OrderChanged) for fill in each.fills] == ["2"]
        sizes = [each.after.quantity for each in found if isinstance(each, PositionChanged)]
        assert sizes == [20]


async def test_repeated_correction_is_published_and_loaded(setup: OddRows) -> None:
    facts: dict[str, Any] = {"order_id": "o", "account_id": "a", "symbol": "AAPL", "updated_at": "2026-03-02T14:01:00Z"}
    fills = [{"fill_id": str(n), "quantity": "5", "price": "7"} for n in (1, 2)]
    setup.ledger.orders["ada"] = [facts | {"status": "filled", "filled_qty": "10", "fills": fills}]
    async with (
        setup.ct.live([setup.ct.user("ada", "hush")], sweep_every=1.0) as live,
        live.changes("orders") as changes,
    ):
        facts["updated_at"] = "2026-03-02T14:05:00Z"
        setup.ledger.orders["ada"] = [facts | {"status": "partially_filled", "filled_qty": "5", "fills": fills[:1]}]
        await setup.until(live, lambda live: not live.is_current)
        assert live.book("a").orders["o"].filled_qty == 10
        await setup.until(live, lambda live: live.is_current)
        order = live.book("a").orders["o"]
        assert (order.filled_qty, str(order.status), len(order.fills)) == (Decimal(5), "partially_filled", 1)
        busts = [fill for each in taken(changes) if isinstance(each, OrderChanged) for fill in each.fills]
        assert [(fill.fill_id, fill.quantity, fill.price) for fill in busts] == [("2", Decimal(-5), Decimal(7))]


# --- equal answers


ENDED = {"order_id": "o", "account_id": "a", "status": "CANCELED", "filled_qty": "0"}


async def test_unchanged_sweep_evicts_ended_orders(setup: OddRows) -> None:
    setup.ledger.orders["ada"] = [ENDED]
    ada = setup.ct.user("ada", "hush")
    async with setup.ct.live([ada], sweep_every=1.0, keep_orders=OrderRetention(age=60.0)) as live:
        assert (list(live.book("a").orders), live.book("a").open_orders) == (["o"], ())
        await setup.until(live, lambda live: not live.book("a").orders)
        assert setup.clock.seconds > 60
        assert live.statistics().unchanged > 0


async def test_unchanged_poll_evicts_ended_orders(setup: OddRows) -> None:
    setup.ledger.orders["ada"] = [ENDED]
    ada = setup.ct.user("ada", "hush")
    async with setup.ct.poll([ada], None, every=1.0, keep_orders=OrderRetention(age=60.0)) as poller:
        await setup.until_polled(poller, lambda: [list(book.orders) for book in poller.books()] == [["o"]])
        assert poller.book("a").open_orders == ()
        await setup.until_polled(poller, lambda: not poller.book("a").orders)
        assert setup.clock.seconds > 60


async def test_poll_loads_a_correction_repeated_in_identical_bytes(setup: OddRows) -> None:
    facts = {"order_id": "o", "account_id": "a", "symbol": "AAPL", "status": "working", "filled_qty": "10"}
    setup.ledger.orders["ada"] = [facts]
    async with setup.ct.poll([setup.ct.user("ada", "hush")], None, every=1.0) as poller:
        await setup.until_polled(poller, lambda: [book.is_current for book in poller.books()] == [True])
        setup.ledger.orders["ada"], setup.ledger.positions["ada"] = [facts | {"filled_qty": "4"}], []
        await setup.until_polled(poller, lambda: not poller.book("a").is_current)
        assert poller.book("a").problem == "the snapshot is older than the known state of order o"
        assert list(poller.book("a").positions) == ["AAPL"]
        began = setup.clock.seconds
        await setup.until_polled(poller, lambda: poller.book("a").is_current)
        assert (list(poller.book("a").positions), poller.book("a").orders["o"].filled_qty) == ([], Decimal(4))
        assert 4 <= setup.clock.seconds - began <= 20
