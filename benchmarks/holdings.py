"""Data for the benchmarks of live accounts: users with one account, 20 positions, 5 open orders and one balance each.

It makes the bodies of REST responses, and frames of the stream with the lives of orders, encoded as on the wire.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

POSITIONS = 20
OPEN_ORDERS = 5
ACCOUNTS = 100  # accounts of a feed
SYMBOLS = [f"SYM{chr(65 + number)}" for number in range(POSITIONS)]
# Orders of today, so that a book finds them in one listing.
START = datetime.now(UTC).replace(microsecond=123456)
LIFECYCLE = ((0, "working"), (30, "partially_filled"), (80, "partially_filled"), (100, "filled"))


def user_id(number: int) -> str:
    """Return the id of a user."""
    return f"user-{number:06}"


def account_id(number: int) -> str:
    """Return the account id of a user."""
    return f"{number:06}ab-5a6b-4b1e-9d1c-2f6f0a7c1d11"


def _moment(microseconds: int) -> str:
    return (START + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def a_balance(number: int, cash: int = 10_234, cents: int = 7) -> dict[str, Any]:
    """Return the balance of a user."""
    return {
        "account_id": account_id(number),
        "account_number": f"***{number:06}",
        "currency": "USD",
        "cash": f"{cash}.56",
        "buying_power": f"{cash * 2}.12",
        "margin_buying_power": f"{cash * 2}.12",
        "maintenance_margin": "1500.00",
        "initial_margin": "2500.00",
        "equity": f"31220.{cents:02}",
    }


def a_position(number: int, symbol: str, quantity: int = 120, cents: int = 50) -> dict[str, Any]:
    """Return a position of a user."""
    return {
        "account_id": account_id(number),
        "account_number": f"***{number:06}",
        "symbol": symbol,
        "instrument": "STK",
        "quantity": f"{quantity}",
        "average_price": "398.1234",
        "last_price": f"410.{cents:02}",
        "market_value": f"{quantity * 410}.{cents:02}",
        "unrealized_pl": f"1485.{cents:02}",
        "daily_pl": "-12.40",
        "total_pl": f"1485.{cents:02}",
    }


def an_order(number: int, name: str, filled: int = 0, status: str = "working", at: int = 0) -> dict[str, Any]:
    """Return an order of a user; every executed part is a fill with an id."""
    lot = 1 + int(name) % 97  # orders are of many sizes
    parts = [(before, now) for (before, _), (now, _) in pairwise(LIFECYCLE) if now <= filled]
    fills = [
        {"fill_id": f"{name}-{now}", "time": _moment(now), "quantity": f"{(now - before) * lot}", "price": "410.123456"}
        for before, now in parts
    ]
    return {
        "order_id": f"{name}-5a6b-4b1e-9d1c-2f6f0a7c1d11",
        "cl_order_id": f"{name}-7b1e-9d1c-2f6f0a7c1d11",
        "account_id": account_id(number),
        "connection_id": f"{number:06}52-4f0e-4a7b-8c1d-9b2e5f60a713",
        "broker": "ALPACA",
        "symbol": SYMBOLS[int(name) % POSITIONS],
        "instrument": "STK",
        "side": "BUY",
        "order_type": "LMT",
        "order_tif": "DAY",
        "order_qty": f"{100 * lot}",
        "order_notional": None,
        "order_limit_price": "410.50",
        "stop_price": None,
        "status": status,
        "broker_status": status.upper(),
        "filled_qty": f"{filled * lot}",
        "avg_fill_price": "410.123456" if filled else None,
        "created_at": _moment(0),
        "updated_at": _moment(at),
        "reject_reason": None,
        "replaces": None,
        "replaced_by": None,
        "legs": None,
        "fills": fills,
    }


def bodies(number: int, cents: int) -> dict[str, object]:
    """Return the bodies of a user's REST responses by path, for prices with these cents."""
    orders = [an_order(number, f"{number:06}{which:02}") for which in range(OPEN_ORDERS)]
    return {
        "/balances": [a_balance(number, cents=cents)],
        "/positions": [a_position(number, symbol, cents=cents) for symbol in SYMBOLS],
        "/orders": {"orders": orders, "next_cursor": None, "prev_cursor": None},
    }


def frames(case: str, count: int) -> Iterator[bytes]:
    """Yield ``count`` frames, of 100 accounts in turn.

    An order has 4 frames: working, partially filled twice, and filled. In the case ``mixed`` a position and a balance
    follow each of its three executions: 10 frames.
    """
    sent = 0
    for turn in range(count):
        for step in _steps(case):
            for account in range(ACCOUNTS):
                if sent == count:
                    return
                sent += 1
                yield _frame(account, *_payload(account, turn, step, sent))


def _steps(case: str) -> list[tuple[str, int]]:
    kinds = ("order",) if case == "orders" else ("order", "position", "balance")
    return [(kind, step) for step in range(len(LIFECYCLE)) for kind in (kinds if step else ("order",))]


def _payload(account: int, turn: int, step: tuple[str, int], at: int) -> tuple[str, dict[str, Any], int]:
    kind, part = step
    filled, status = LIFECYCLE[part]
    if kind == "position":
        return kind, a_position(account, SYMBOLS[turn % POSITIONS], 1_000 + turn * 100 + filled), at
    if kind == "balance":
        return kind, a_balance(account, 1_000_000 - turn * 100 - filled), at
    return kind, an_order(account, f"9{turn:05}{account:03}", filled, status, at), at


def _frame(account: int, kind: str, data: dict[str, Any], at: int) -> bytes:
    owner = {"user_id": user_id(account), "account_id": account_id(account)}
    return json.dumps({"type": kind, **owner, "timestamp": _moment(at), "data": data}).encode()
