from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate, UnknownMessage
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage import Brokerage
from connecttrade_async.streaming.messages import Authenticated, Refusal, Subscribed, Unsubscribed, Welcome

DIALECT = Brokerage("client", Secret("hush"))
FACTS = {"user_id": "u", "account_id": "a", "timestamp": "2026-03-02T14:30:00Z"}
ORDER = {"order_id": "o", "symbol": "MSFT", "status": "filled", "filled_qty": None}
POSITION = {"symbol": "MSFT", "quantity": "1.5"}
BALANCE = {"account_id": "a", "cash": "10.10"}


def read(frame: Any) -> Any:
    return DIALECT.read(json.dumps(frame).encode())


def test_an_order() -> None:
    event = read({"type": "order", **FACTS, "data": ORDER})
    assert isinstance(event, OrderUpdate)
    assert (event.topic, event.user_id, event.account_id, event.symbol) == ("orders", "u", "a", "MSFT")
    assert event.time == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert event.order.status == "filled"
    assert event.given == set(ORDER)  # filled_qty was null, and avg_fill_price was absent
    assert json.loads(event.raw)["data"] == ORDER


def test_a_position_and_a_balance() -> None:
    position = read({"type": "position", **FACTS, "data": POSITION})
    assert isinstance(position, PositionUpdate)
    assert (position.topic, position.symbol, position.position.quantity) == ("positions", "MSFT", Decimal("1.5"))
    balance = read({"type": "balance", **FACTS, "data": BALANCE})
    assert isinstance(balance, BalanceUpdate)
    assert (balance.topic, balance.symbol, balance.balance.cash) == ("balances", None, Decimal("10.10"))


def test_a_payload_that_leaves_out_whose_it_is() -> None:
    balance = read({"type": "balance", **FACTS, "data": {"cash": "1"}})
    assert isinstance(balance, BalanceUpdate)
    assert balance.balance.account_id == "a"
    assert balance.given == frozenset({"cash"})


def test_a_fill_is_not_lost_for_a_number_that_is_no_text() -> None:
    raw = b'{"type": "order", "user_id": "u", "data": {"order_id": "1", "order_qty": 10, "filled_qty": 2.50}}'
    event = DIALECT.read(raw)
    assert isinstance(event, OrderUpdate)
    assert (event.order.order_qty, event.order.filled_qty) == (Decimal(10), Decimal("2.50"))
    assert event.given == {"order_id", "order_qty", "filled_qty"}


@pytest.mark.parametrize("name", ["type", "event", "topic"])
@pytest.mark.parametrize("spelled", ["order", "orders"])
@pytest.mark.parametrize("flat", [True, False])
def test_other_spellings_of_an_order(name: str, spelled: str, flat: bool) -> None:  # noqa: FBT001 - a table's column
    payload = ORDER if flat else {"data": ORDER}
    event = read({name: spelled, **FACTS, **payload})
    assert isinstance(event, OrderUpdate)
    assert (event.user_id, event.account_id, event.order.order_id) == ("u", "a", "o")
    assert set(ORDER) <= event.given


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"type": "welcome"}, Welcome),
        ({"event": "welcome", "message": "hello"}, Welcome),
        ({"type": "authenticated", "more": 1}, Authenticated),
        ({"type": "subscribed", "topics": ["orders"]}, Subscribed),
        ({"event": "subscribed"}, Subscribed),
        ({"type": "unsubscribed"}, Unsubscribed),
        ({"type": "error", "code": "401", "message": "no"}, Refusal),
        ({"event": "error", "code": 401}, Refusal),
    ],
)
def test_what_moves_a_link_on(frame: dict[str, Any], kind: type) -> None:
    assert type(read(frame)) is kind


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"\xff",
        b"[]",
        b"7",
        b"{}",
        b'{"type": "dividend", "data": {}}',
        b'{"type": 7}',
        b'{"type": ["order"]}',
        b'{"type": "order", "data": "text"}',
        b'{"type": "order", "data": {"order_id": [7]}}',
        b'{"type": "error", "message": []}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_understood_is_kept_bounded_and_said(raw: bytes) -> None:
    message = DIALECT.read(raw)
    assert isinstance(message, UnknownMessage)
    assert (message.raw, message.topic) == (raw[:4096], "unknown")
    assert message.problem


@given(raw=st.binary() | st.text().map(str.encode))
@settings(deadline=None)
def test_whatever_comes_reading_returns(raw: bytes) -> None:
    DIALECT.read(raw)


def test_commands() -> None:
    assert json.loads(DIALECT.authenticate())["client_secret"] == "hush"
    assert json.loads(DIALECT.subscribe(("orders",))) == {"action": "subscribe", "topics": ["orders"]}
    assert "hush" not in repr(DIALECT) + DIALECT.presentable("what is hush?")
