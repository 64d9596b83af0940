"""The front door: the demo's first part. A user is made, connects brokers, and reads what it has there."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from connecttrade_async import parse_redirect
from connecttrade_async.cli.columns import ACCOUNTS, BALANCES, ORDERS, POSITIONS
from connecttrade_async.cli.demo.browser import Page, Visitor
from connecttrade_async.cli.output import Column, figure
from connecttrade_async.models import Instrument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connecttrade_async.cli.demo.narrator import Narrator
    from connecttrade_async.client import ConnectTrade, User
    from connecttrade_async.models import Position
    from connecttrade_async.sandbox import Sandbox

__all__ = ["connect_brokers", "follow_orders", "make_a_user", "read_money", "read_positions", "sum_transactions"]

REDIRECT = "https://app.example/done"
SHOWN_STOCKS = ("AAPL", "IBMp", "IBM/B", "IBM/WS", "IBMr", "SPY")
SHOWN_OPTIONS = 2
SHOWN_ORDERS = 5


async def make_a_user(stage: Narrator, ct: ConnectTrade) -> User:
    """Make a user, and hold it in hand."""
    stage.chapter("A user: one person for whom you act")
    stage.code('new = await ct.users.create("ada")')
    new = await ct.users.create("ada")
    stage.fact(f"{new.user_id} exists; the secret is shown this once, and masks itself: {new.user_secret!r}")
    stage.code("user = ct.user(new.user_id, new.user_secret)")
    user = ct.user(new.user_id, new.user_secret)
    stage.fact(f"{user!r} costs no request: make thousands")
    return user


async def connect_brokers(stage: Narrator, user: User, sandbox: Sandbox) -> None:
    """Connect one broker as a person does, and another as a test does."""
    stage.chapter("A broker: the person logs in at pages, in a browser")
    stage.code('request = await user.connections.create("trade", redirect_url=REDIRECT)')
    request = await user.connections.create("trade", redirect_url=REDIRECT)
    stage.fact(f"{request.url}")
    came_back_to = await _visit(stage, request.url)
    stage.code("connection = parse_redirect(came_back_to)")
    connection = parse_redirect(came_back_to)
    stage.fact(f"connection {connection.connection_id}", "green")
    stage.fact("A test of yours needs no pages. One line, and a second broker is connected:")
    second = await user.connections.create("trade", redirect_url=REDIRECT, broker="TASTYTRADE")
    stage.code("came_back_to = await sandbox.approve(second.url)")
    came_back_to = await sandbox.approve(second.url)
    stage.fact(f"connection {parse_redirect(came_back_to).connection_id}", "green")


async def _visit(stage: Narrator, url: str) -> str:
    """Be the person: choose a broker, log in, consent, and say where the browser was sent."""
    person = Visitor(url)
    brokers = await person.arrive()
    on_offer = len(brokers.forms[0].choices.get("broker", []))
    stage.fact(f"the page says {brokers.title!r}: {on_offer} brokers; the person picks ALPACA", "dim")
    login = await _next_page(person, brokers, broker="ALPACA")
    stage.fact(f"the page says {login.title!r}: a name, and the password it gives", "dim")
    password = login.text.partition("the password is ")[2].split()[0].rstrip(".")
    consent = await _next_page(person, login, username="ada", password=password)
    stage.fact(f"the page says {consent.title!r}", "dim")
    stage.fact("paper and live stand there side by side; the person allows it", "dim")
    sent_to = await person.submit(consent, decision="allow")
    if isinstance(sent_to, Page):
        msg = f"the login pages did not end, but say {sent_to.title!r}"
        raise OSError(msg)
    stage.fact(f"sent back to {sent_to}", "dim")
    return sent_to


async def _next_page(person: Visitor, page: Page, **answers: str) -> Page:
    following = await person.submit(page, **answers)
    if isinstance(following, str):
        msg = f"the login pages ended early, at {following}"
        raise OSError(msg)
    return following


async def read_money(stage: Narrator, user: User) -> None:
    """Read accounts and balances."""
    stage.chapter("Accounts and balances")
    stage.code("accounts = await user.accounts.list()")
    accounts = await user.accounts.list()
    stage.table(accounts, ACCOUNTS)
    stage.code("balances = await user.balances.list()")
    balances = await user.balances.list()
    stage.table(balances, BALANCES)
    cash = sum((balance.cash or Decimal(0) for balance in balances), Decimal(0))
    stage.fact(f"cash in all: {figure(str(cash))}, a Decimal, exact to the last digit that came")


async def read_positions(stage: Narrator, user: User) -> None:
    """Read positions, and show some of each kind."""
    stage.chapter("Positions: stocks of every CQS kind, and options")
    stage.code("positions = await user.positions.list()")
    positions = await user.positions.list()
    chosen = _some_of(positions)
    stage.table(chosen, POSITIONS)
    unknown = sum(position.unrealized_pl is None for position in positions)
    stage.fact(f"{len(chosen)} of {len(positions)} positions; {unknown} have no profit, for that broker tells none:")
    stage.fact("it is None in Python and a dash above, never zero")


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


async def follow_orders(stage: Narrator, ct: ConnectTrade, user: User) -> None:
    """Follow all pages of orders."""
    stage.chapter("Orders: one loop over all pages, the next one fetched while you work")
    before = ct.health().exchanges
    stage.code('found = [order async for order in user.orders.list(status="all", limit=50)]')
    found = [order async for order in user.orders.list(status="all", limit=50)]
    statuses = Counter(str(order.status) for order in found)
    stage.fact(f"{len(found)} orders on {ct.health().exchanges - before} pages")
    stage.fact(", ".join(f"{count} {status}" for status, count in statuses.most_common()))
    spreads = [order for order in found if order.legs and order.fills][:1]
    newest = {order.status: order for order in reversed(found) if order.symbol}
    stage.table([*list(newest.values())[-SHOWN_ORDERS:], *spreads], ORDERS)
    for fill in (fill for order in spreads for fill in order.fills[:1]):
        stage.fact(f"the spread's first fill: {fill.quantity} at {fill.price}, {fill.time:%Y-%m-%d %H:%M} UTC")


async def sum_transactions(stage: Narrator, user: User) -> None:
    """Add up a year of transactions by their type."""
    stage.chapter("Transactions: a year of what moved")
    stage.code("moves = await user.transactions.list()")
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
    stage.table(sums.most_common(), columns)
