"""The columns of each table, and which of them a narrow terminal leaves out first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connecttrade_async.cli.output import Column
from connecttrade_async.models import (
    Account,
    Balance,
    Connection,
    Order,
    Position,
    Transaction,
    UserRecord,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["ACCOUNTS", "BALANCES", "CONNECTIONS", "ORDERS", "POSITIONS", "TRANSACTIONS", "USERS"]


def _minute(when: datetime | None) -> str | None:
    return None if when is None else when.strftime("%Y-%m-%d %H:%M")


def _account(item: Balance | Position) -> str | None:
    return item.account_number or item.account_id


def _symbol(order: Order) -> str | tuple[str, ...] | None:
    """Return the symbol, or a line for each leg: a multi-leg order has no symbol (documented)."""
    if order.symbol or not order.legs:
        return order.symbol
    return tuple(f"{_sign(leg.action)}{leg.ratio_text or '?'} {leg.symbol or '?'}" for leg in order.legs)


def _sign(action: str | None) -> str:
    return "-" if (action or "").startswith("SELL") else "+"


def _quantity(order: Order) -> str | None:
    return order.order_qty_text or (order.order_notional_text and f"${order.order_notional_text}")


def _numbers(connection: Connection) -> tuple[str, ...]:
    return tuple(account.account_number or account.account_id for account in connection.accounts)


USERS: Sequence[Column[UserRecord]] = (Column[UserRecord]("User", lambda user: user.user_id),)

CONNECTIONS: Sequence[Column[Connection]] = (
    Column[Connection]("Connection", lambda connection: connection.connection_id),
    Column[Connection]("Broker", lambda connection: connection.broker),
    Column[Connection]("Type", lambda connection: connection.connection_type, rank=2),
    Column[Connection]("Status", lambda connection: connection.status, rank=3),
    Column[Connection]("Accounts", _numbers, rank=1),
)

ACCOUNTS: Sequence[Column[Account]] = (
    Column[Account]("Account", lambda account: account.account_id),
    Column[Account]("Number", lambda account: account.account_number),
    Column[Account]("Broker", lambda account: account.broker, rank=1),
    Column[Account]("Institution", lambda account: account.institution_name, rank=2),
    Column[Account]("Connection", lambda account: account.connection_id, rank=3),
)

BALANCES: Sequence[Column[Balance]] = (
    Column[Balance]("Account", _account),
    Column[Balance]("Currency", lambda balance: balance.currency, rank=5),
    Column[Balance]("Cash", lambda balance: balance.cash_text, "number"),
    Column[Balance]("Buying power", lambda balance: balance.buying_power_text, "number", rank=1),
    Column[Balance]("Equity", lambda balance: balance.equity_text, "number", rank=2),
    Column[Balance]("On margin", lambda balance: balance.margin_buying_power_text, "number", rank=3),
    Column[Balance]("Initial margin", lambda balance: balance.initial_margin_text, "number", rank=6),
    Column[Balance]("Maintenance", lambda balance: balance.maintenance_margin_text, "number", rank=4),
    Column[Balance]("Account id", lambda balance: balance.account_id, rank=7),
)

POSITIONS: Sequence[Column[Position]] = (
    Column[Position]("Account", _account, rank=2),
    Column[Position]("Symbol", lambda position: position.symbol),
    Column[Position]("Quantity", lambda position: position.quantity_text, "number"),
    Column[Position]("Average", lambda position: position.average_price_text, "number", rank=6),
    Column[Position]("Last", lambda position: position.last_price_text, "number", rank=5),
    Column[Position]("Value", lambda position: position.market_value_text, "number", rank=1),
    Column[Position]("Unrealized", lambda position: position.unrealized_pl_text, "gain", rank=3),
    Column[Position]("Today", lambda position: position.daily_pl_text, "gain", rank=4),
    Column[Position]("In all", lambda position: position.total_pl_text, "gain", rank=7),
    Column[Position]("Account id", lambda position: position.account_id, rank=8),
)

ORDERS: Sequence[Column[Order]] = (
    Column[Order]("Created (UTC)", lambda order: _minute(order.created_at), rank=4),
    Column[Order]("Symbol", _symbol),
    Column[Order]("Side", lambda order: order.side),
    Column[Order]("Quantity", _quantity, "number"),
    Column[Order]("Type", lambda order: order.order_type, rank=6),
    Column[Order]("Limit", lambda order: order.order_limit_price_text, "number", rank=5),
    Column[Order]("Stop", lambda order: order.stop_price_text, "number", rank=9),
    Column[Order]("For", lambda order: order.order_tif, rank=8),
    Column[Order]("Status", lambda order: order.status, rank=1),
    Column[Order]("Filled", lambda order: order.filled_qty_text, "number", rank=3),
    Column[Order]("At", lambda order: order.avg_fill_price_text, "number", rank=2),
    Column[Order]("Why rejected", lambda order: order.reject_reason, rank=11),
    Column[Order]("Broker", lambda order: order.broker, rank=7),
    Column[Order]("Order id", lambda order: order.order_id, rank=10),
    Column[Order]("Account id", lambda order: order.account_id, rank=12),
)

TRANSACTIONS: Sequence[Column[Transaction]] = (
    Column[Transaction]("Date", lambda move: move.date_text),
    Column[Transaction]("Type", lambda move: move.type),
    Column[Transaction]("Symbol", lambda move: move.symbol, rank=1),
    Column[Transaction]("Quantity", lambda move: move.quantity_text, "number", rank=4),
    Column[Transaction]("Price", lambda move: move.price_text, "number", rank=5),
    Column[Transaction]("Amount", lambda move: move.amount_text, "gain"),
    Column[Transaction]("Fees", lambda move: move.fees_text, "number", rank=3),
    Column[Transaction]("Description", lambda move: move.description, rank=2),
    Column[Transaction]("Account id", lambda move: move.account_id, rank=6),
)
