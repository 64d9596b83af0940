"""Frames of the brokerage stream, encoded and decoded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from connecttrade_async.models import Balance, Order, Position
from connecttrade_async.secret import Secret
from connecttrade_async.streaming.brokerage_codec import BrokerageCodec

if TYPE_CHECKING:
    from connecttrade_async.models.events import BalanceUpdate, OrderUpdate, PositionUpdate

DIALECT = BrokerageCodec("client", Secret("hush"))


def frame(kind: str, data: dict[str, Any], timestamp: str | None = None) -> Any:
    """Encode a frame of account ``a`` of user ``u``, and decode it."""
    message = {"type": kind, "user_id": "u", "account_id": "a", "timestamp": timestamp, "data": data}
    return DIALECT.read(json.dumps(message).encode())


def order_frame(**data: Any) -> OrderUpdate:
    update: OrderUpdate = frame("order", {"order_id": "o", **data})
    return update


def position_frame(timestamp: str | None = None, **data: Any) -> PositionUpdate:
    update: PositionUpdate = frame("position", {"symbol": "AAPL", **data}, timestamp)
    return update


def balance_frame(timestamp: str | None = None, **data: Any) -> BalanceUpdate:
    update: BalanceUpdate = frame("balance", {"account_id": "a", **data}, timestamp)
    return update


def order(**data: Any) -> Order:
    return msgspec.convert({"order_id": "o", **data}, Order)


def position(**data: Any) -> Position:
    return msgspec.convert({"symbol": "AAPL", "account_id": "a", **data}, Position)


def balance(**data: Any) -> Balance:
    return msgspec.convert({"account_id": "a", **data}, Balance)


def fill(
    fill_id: str | None, quantity: str | None, price: str | None = "10", time: str | None = None
) -> dict[str, Any]:
    return {"fill_id": fill_id, "quantity": quantity, "price": price, "time": time}
