"""Books and orders for the tests of the command ``watch``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from connecttrade_async.books.book import Book
from connecttrade_async.models import Balance, Order, OrderStatus, Position

NOW = datetime(2026, 3, 2, 14, 30, 5, tzinfo=UTC)
OWNER: dict[str, Any] = {"account_id": "a1", "user_id": "ada"}
ORDER: dict[str, Any] = {"order_id": "o1", "side": "BUY", "symbol": "AAPL", "order_qty_text": "10"}


def order(**fields: Any) -> Order:
    facts: dict[str, Any] = {**ORDER, "status": OrderStatus.WORKING, **fields}
    return Order(**facts)


def book(name: str = "a1", positions: int = 2, orders: int = 1, *, is_current: bool = True, **profit: Any) -> Book:
    held = [Position(symbol=f"S{n}", quantity_text="1234.5", **profit) for n in range(positions)]
    return Book(
        account_id=name,
        user_id="ada",
        orders={str(n): order(order_id=str(n)) for n in range(orders)},
        positions={each.symbol: each for each in held},
        balances={"USD": Balance(account_id=name, currency="USD", cash_text="98000.10", equity_text="1")},
        as_of=NOW,
        is_current=is_current,
    )
