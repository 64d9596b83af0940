"""The commands ``accounts``, ``balances``, ``positions`` and ``transactions``: one call each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from connecttrade_async.cli.columns import ACCOUNTS, BALANCES, POSITIONS, TRANSACTIONS
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import (
    account_option,
    connection_option,
    day,
    in_event_loop,
    json_option,
    symbols_option,
)
from connecttrade_async.cli.output import print_items
from connecttrade_async.cli.progress import spinner

if TYPE_CHECKING:
    from datetime import date

__all__ = ["accounts", "balances", "positions", "transactions"]


@click.command()
@connection_option
@click.option("--broker", metavar="CODE", help="Only at this broker, for example ALPACA.")
@json_option
@in_event_loop
async def accounts(*, connection_id: str | None, broker: str | None, as_json: bool) -> None:
    """List the accounts of the user's connections."""
    async with open_user() as (ct, user), spinner("Asking for accounts", ct):
        found = await user.accounts.list(connection_id=connection_id, broker=broker)
    print_items(found, ACCOUNTS, as_json=as_json, none="No accounts: `connecttrade connect` connects a broker.")


@click.command()
@account_option
@connection_option
@json_option
@in_event_loop
async def balances(*, account_id: str | None, connection_id: str | None, as_json: bool) -> None:
    """List cash, buying power and margin, one line an account."""
    async with open_user() as (ct, user), spinner("Asking for balances", ct):
        found = await user.balances.list(account_id=account_id, connection_id=connection_id)
    print_items(found, BALANCES, as_json=as_json, none="No balances.")


@click.command()
@account_option
@connection_option
@symbols_option
@json_option
@in_event_loop
async def positions(
    *,
    account_id: str | None,
    connection_id: str | None,
    symbols: str | None,
    as_json: bool,
) -> None:
    """List stocks and options held, one line a symbol and account."""
    async with open_user() as (ct, user), spinner("Asking for positions", ct):
        found = await user.positions.list(account_id=account_id, connection_id=connection_id, symbols=symbols)
    print_items(found, POSITIONS, as_json=as_json, none="No positions.")


@click.command()
@account_option
@connection_option
@click.option("--start", "start_date", metavar="DAY", callback=day, help="From this day on: 2026-01-31 or today.")
@click.option("--end", "end_date", metavar="DAY", callback=day, help="Until this day, inclusive.")
@json_option
@in_event_loop
async def transactions(
    *,
    account_id: str | None,
    connection_id: str | None,
    start_date: date | None,
    end_date: date | None,
    as_json: bool,
) -> None:
    """List trades, dividends, fees and transfers."""
    async with open_user() as (ct, user), spinner("Asking for transactions", ct):
        found = await user.transactions.list(
            account_id=account_id,
            connection_id=connection_id,
            start_date=start_date,
            end_date=end_date,
        )
    print_items(found, TRANSACTIONS, as_json=as_json, none="No transactions.")
