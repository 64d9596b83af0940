"""The resources of the REST API, one file each, with their paths."""

from __future__ import annotations

from connecttrade_async.rest.resources.accounts import Accounts
from connecttrade_async.rest.resources.balances import Balances
from connecttrade_async.rest.resources.connections import Connections
from connecttrade_async.rest.resources.orders import Orders
from connecttrade_async.rest.resources.positions import Positions
from connecttrade_async.rest.resources.tokens import Tokens
from connecttrade_async.rest.resources.transactions import Transactions
from connecttrade_async.rest.resources.users import Users

__all__ = ["Accounts", "Balances", "Connections", "Orders", "Positions", "Tokens", "Transactions", "Users"]
