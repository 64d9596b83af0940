"""The data models of the API, one module per noun."""

from __future__ import annotations

from connecttrade_async.models.accounts import Account, AccountSummary
from connecttrade_async.models.balances import Balance
from connecttrade_async.models.connections import Connection, ConnectionRequest, ConnectionToken
from connecttrade_async.models.enums import (
    Broker,
    ConnectionType,
    Instrument,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from connecttrade_async.models.orders import Fill, Leg, Order
from connecttrade_async.models.pages import Page, Rows
from connecttrade_async.models.positions import Position
from connecttrade_async.models.tokens import UserToken
from connecttrade_async.models.transactions import Transaction
from connecttrade_async.models.users import NewUser, UserRecord

__all__ = [
    "Account",
    "AccountSummary",
    "Balance",
    "Broker",
    "Connection",
    "ConnectionRequest",
    "ConnectionToken",
    "ConnectionType",
    "Fill",
    "Instrument",
    "Leg",
    "NewUser",
    "Order",
    "OrderStatus",
    "OrderType",
    "Page",
    "Position",
    "Rows",
    "Side",
    "TimeInForce",
    "Transaction",
    "UserRecord",
    "UserToken",
]
