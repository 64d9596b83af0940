"""Columns with values of several lines."""

from __future__ import annotations

import msgspec

from connecttrade_async.cli.columns import CONNECTIONS, ORDERS
from connecttrade_async.cli.output import DASH, cell
from connecttrade_async.models import Connection, Order


def shown(order: Order) -> str:
    (column,) = (column for column in ORDERS if column.title == "Symbol")
    return cell(column.read(order), column.kind).plain


def test_symbol_column_of_a_multi_leg_order_has_a_line_for_each_leg() -> None:
    legs = [
        {"symbol": "A", "ratio": "1", "action": "SELL_TO_OPEN"},
        {"symbol": "B\nC", "ratio": "2", "action": "BUY"},
    ]
    assert shown(msgspec.convert({"order_id": "o", "legs": legs}, Order)) == "-1 A\n+2 B C"


def test_symbol_column_of_an_order_without_symbol_or_legs_is_a_dash() -> None:
    assert shown(Order(order_id="o")) == DASH


def test_accounts_column_of_a_connection_has_a_line_for_each_account() -> None:
    (column,) = (column for column in CONNECTIONS if column.title == "Accounts")
    accounts = [{"account_id": "a", "account_number": "1"}, {"account_id": "b"}]
    connection = msgspec.convert({"connection_id": "c", "accounts": accounts}, Connection)
    assert cell(column.read(connection), column.kind).plain == "1\nb"
