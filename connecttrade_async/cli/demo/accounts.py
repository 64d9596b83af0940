"""The first part of the demo: create a user, connect brokers, and read the accounts."""

from __future__ import annotations

import asyncio
import html
import re
from collections import Counter
from decimal import Decimal
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connecttrade_async import parse_redirect
from connecttrade_async.cli.columns import ACCOUNTS, BALANCES, ORDERS, POSITIONS
from connecttrade_async.cli.output import Column, figure
from connecttrade_async.models import Instrument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connecttrade_async.cli.demo.narrator import Narrator
    from connecttrade_async.client import ConnectTrade
    from connecttrade_async.models import Position
    from connecttrade_async.sandbox import Sandbox
    from connecttrade_async.user import User

__all__ = ["connect_brokers", "create_user", "follow_orders", "read_money", "read_positions", "sum_transactions"]

REDIRECT = "https://app.example/done"
SHOWN_STOCKS = ("AAPL", "IBMp", "IBM/B", "IBM/WS", "IBMr", "SPY")
SHOWN_OPTIONS = 2
SHOWN_ORDERS = 5


async def create_user(narrator: Narrator, ct: ConnectTrade) -> User:
    """Create a user."""
    narrator.chapter("A user: one person with accounts at brokers")
    narrator.code('new = await ct.users.create("ada")')
    new = await ct.users.create("ada")
    narrator.fact(f"{new.user_id} exists; the secret is returned only now, and masks itself: {new.user_secret!r}")
    narrator.code("user = ct.user(new.user_id, new.user_secret)")
    user = ct.user(new.user_id, new.user_secret)
    narrator.fact(f"{user!r} costs no request: make thousands")
    return user


async def connect_brokers(narrator: Narrator, user: User, sandbox: Sandbox) -> None:
    """Connect two brokers. The sandbox approves the login, which a person does in a browser."""
    narrator.chapter("A broker: the user logs in at pages, in a browser")
    narrator.code('request = await user.connections.create("trade", redirect_url=REDIRECT)')
    request = await user.connections.create("trade", redirect_url=REDIRECT)
    narrator.fact(f"{request.url}")
    for url in (request.url, f"{request.url}/login?broker=ALPACA"):
        narrator.fact(f"a login page: {await asyncio.to_thread(_page_title, url)!r}", "dim")
    narrator.fact("A test needs no pages: the sandbox approves the login.")
    narrator.code('redirect = await sandbox.approve(request.url, broker="ALPACA")')
    redirect = await sandbox.approve(request.url, broker="ALPACA")
    narrator.fact(f"redirected to {redirect}", "dim")
    narrator.code("connection = parse_redirect(redirect)")
    connection = parse_redirect(redirect)
    narrator.fact(f"connection {connection.connection_id}", "green")
    second = await user.connections.create("trade", redirect_url=REDIRECT, broker="TASTYTRADE")
    narrator.code("redirect = await sandbox.approve(second.url)")
    redirect = await sandbox.approve(second.url)
    narrator.fact(f"connection {parse_redirect(redirect).connection_id}", "green")


def _page_title(url: str) -> str:
    """Return the title of a page of the sandbox."""
    parts = urlsplit(url)
    http = HTTPConnection(parts.netloc, timeout=5)
    try:
        http.request("GET", f"{parts.path}?{parts.query}")
        page = http.getresponse().read().decode()
    finally:
        http.close()
    title = re.search("<title>(.*?)</title>", page)
    return "" if title is None else html.unescape(title[1])


async def read_money(narrator: Narrator, user: User) -> None:
    """Read accounts and balances."""
    narrator.chapter("Accounts and balances")
    narrator.code("accounts = await user.accounts.list()")
    accounts = await user.accounts.list()
    narrator.table(accounts, ACCOUNTS)
    narrator.code("balances = await user.balances.list()")
    balances = await user.balances.list()
    narrator.table(balances, BALANCES)
    cash = sum((balance.cash or Decimal(0) for balance in balances), Decimal(0))
    narrator.fact(f"cash in all: {figure(str(cash))}, a Decimal, exact to the last digit of the response")


async def read_positions(narrator: Narrator, user: User) -> None:
    """Read positions, and show some of each kind."""
    narrator.chapter("Positions: stocks of every CQS kind, and options")
    narrator.code("positions = await user.positions.list()")
    positions = await user.positions.list()
    chosen = _some_of(positions)
    narrator.table(chosen, POSITIONS)
    unknown = sum(position.unrealized_pl is None for position in positions)
    narrator.fact(
        f"{len(chosen)} of {len(positions)} positions; {unknown} have no profit, because the broker reports none:"
    )
    narrator.fact("it is None in Python and a dash above, never zero")


def _some_of(positions: Iterable[Position]) -> list[Position]:
    """Choose one of each kind from the first account with profits, and two from the first account without."""
    by_account: dict[str | None, list[Position]] = {}
    for position in positions:
        by_account.setdefault(position.account_id, []).append(position)
    nothing: list[Position] = []
    known = next((held for held in by_account.values() if held[0].unrealized_pl is not None), nothing)
    unknown = next((held for held in by_account.values() if held[0].unrealized_pl is None), nothing)
    stocks = [position for position in known if position.symbol in SHOWN_STOCKS]
    options = [position for position in known if position.instrument == Instrument.OPTION]
    return [*stocks, *options[:SHOWN_OPTIONS], *unknown[:SHOWN_OPTIONS]]


async def follow_orders(narrator: Narrator, ct: ConnectTrade, user: User) -> None:
    """Read all pages of orders."""
    narrator.chapter("Orders: one loop over all pages, the next one fetched while you work")
    before = ct.health().exchanges
    narrator.code('found = [order async for order in user.orders.list(status="all", limit=50)]')
    found = [order async for order in user.orders.list(status="all", limit=50)]
    statuses = Counter(str(order.status) for order in found)
    narrator.fact(f"{len(found)} orders on {ct.health().exchanges - before} pages")
    narrator.fact(", ".join(f"{count} {status}" for status, count in statuses.most_common()))
    spreads = [order for order in found if order.legs and order.fills][:1]
    newest = {order.status: order for order in reversed(found) if order.symbol}
    narrator.table([*list(newest.values())[-SHOWN_ORDERS:], *spreads], ORDERS)
    for fill in (fill for order in spreads for fill in order.fills[:1]):
        narrator.fact(f"the spread's first fill: {fill.quantity} at {fill.price}, {fill.time:%Y-%m-%d %H:%M} UTC")


async def sum_transactions(narrator: Narrator, user: User) -> None:
    """Add up a year of transactions by their type."""
    narrator.chapter("Transactions: a year of what moved")
    narrator.code("moves = await user.transactions.list()")
    moves = await user.transactions.list()
    sums: Counter[str] = Counter()
    amounts: dict[str, Decimal] = {}
    for move in moves:
        kind = move.type or "other"
        sums[kind] += 1
        amounts[kind] = amounts.get(kind, Decimal(0)) + (move.amount or Decimal(0))
    columns = (
        Column[tuple[str, int]]("Type", lambda row: row[0]),
        Column[tuple[str, int]]("Times", lambda row: row[1], "number"),
        Column[tuple[str, int]]("Amount", lambda row: amounts[row[0]], "gain"),
    )
    narrator.table(sums.most_common(), columns)
