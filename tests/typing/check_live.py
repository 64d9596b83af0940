"""Read by the type checkers and never run: what a user of live accounts sees of their types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, assert_type

from connecttrade_async import (
    Balance,
    BalanceChanged,
    Book,
    BrokerageStream,
    ChangeSubscription,
    ConnectTrade,
    ConnectTradeError,
    Fill,
    Gap,
    LiveAccounts,
    LiveHealth,
    LiveStatistics,
    Order,
    OrderChanged,
    OrderRetention,
    Position,
    PositionChanged,
    User,
)

if TYPE_CHECKING:
    from connecttrade_async.analytics import DailySummary


async def following(ct: ConnectTrade, user: User, stream: BrokerageStream, order: Order) -> None:
    ct.live()
    ct.live([user], stream, sweep_every=None, concurrency=5, requests_per_second=2.5, capacity=10)
    async with ct.live([user], keep_orders=OrderRetention(count=5, age=60)) as live:
        assert_type(live, LiveAccounts)
        assert_type(await live.add(user), None)
        assert_type(await live.remove(user), None)
        assert_type(await live.remove("user-1"), None)
        assert_type(live.failed, Mapping[str, ConnectTradeError])
        assert_type(live.is_current, bool)
        assert_type(live.books(), tuple[Book, ...])
        summary: DailySummary = live.totals()
        summary = live.totals(["account-1"])
        del summary
        assert_type(await live.order_done(order, timeout=30), Order)
        assert_type(await live.order_done("order-1"), Order)
        assert_type(await live.wait(lambda live: live.is_current, timeout=1), None)
        assert_type(live.health(), LiveHealth)
        assert_type(live.statistics(), LiveStatistics)
        assert_type(await live.aclose(), None)


def reading(book: Book) -> None:
    assert_type(book.orders["order-1"], Order)
    assert_type(book.positions["AAPL"], Position)
    assert_type(book.balance, Balance | None)
    assert_type(book.balances["USD"], Balance)
    assert_type(book.open_orders, tuple[Order, ...])
    assert_type(book.as_of, datetime | None)
    assert_type(book.is_current, bool)


async def hearing(live: LiveAccounts) -> None:
    async with live.changes("orders", account_id="a", overflow="drop_oldest") as changes:
        assert_type(changes, ChangeSubscription)
        async for change in changes:
            assert_type(change, OrderChanged | PositionChanged | BalanceChanged | Gap)
            match change:
                case OrderChanged(before=before, after=after, fills=fills):
                    assert_type(before, Order | None)
                    assert_type(after, Order)
                    assert_type(fills, tuple[Fill, ...])
                case PositionChanged(after=position):
                    assert_type(position, Position)
                case BalanceChanged(after=balance):
                    assert_type(balance, Balance)
                case Gap(dropped=dropped):
                    assert_type(dropped, int)


async def wrong(ct: ConnectTrade, live: LiveAccounts, book: Book) -> None:
    """Each line is a mistake that a checker must find: an ignore that is not needed is an error itself, to both."""
    ct.live(["user-1"])  # type: ignore[list-item]
    ct.live(keep_orders=500)  # type: ignore[arg-type]
    await live.add("user-1")  # type: ignore[arg-type]
    await live.order_done(5)  # type: ignore[arg-type]
    book.positions["AAPL"] = None  # type: ignore[index]
    book.is_current = True  # type: ignore[misc]
    live.changes(account_id=5)  # type: ignore[arg-type]
    with live:  # type: ignore[attr-defined]
        pass
