"""The front door: ``connecttrade demo``, the whole story in some seconds on the embedded sandbox.

Its vow: what it prints is what happened. Each line of code that it shows is a line that it runs.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from connecttrade_async import AuthenticationError, ConnectTrade, Retry, parse_redirect
from connecttrade_async.cli.failures import explain
from connecttrade_async.cli.stage import Aloud, Stage
from connecttrade_async.cli.tables import Column, figure
from connecttrade_async.cli.views import ACCOUNTS, BALANCES, ORDERS, POSITIONS
from connecttrade_async.cli.visitor import Page, Visitor
from connecttrade_async.cli.waiting import waiting
from connecttrade_async.clock import SystemClock
from connecttrade_async.models import Instrument
from connecttrade_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connecttrade_async.client import User
    from connecttrade_async.models import Position

__all__ = ["tell"]

CLOCK = SystemClock()
REDIRECT = "https://app.example/done"
SHOWN_STOCKS = ("AAPL", "IBMp", "IBM/B", "IBM/WS", "IBMr", "SPY")
SHOWN_OPTIONS = 2
SHOWN_ORDERS = 5
WIDEST = 110


async def tell(*, seed: int = 7, console: Console | None = None) -> None:
    """Tell the story.

    Args:
        seed: which world.
        console: where to; None is stdout.

    Raises:
        ConnectTradeError: the story took a turn that it should not.

    Cancelling closes the sandbox and the client.
    """
    console = console or Console(highlight=False)
    console.width = min(console.width, WIDEST)
    stage = Stage(console)
    began = CLOCK.now()
    async with (
        Sandbox(seed=seed) as sandbox,
        ConnectTrade(sandbox.client_id, sandbox.client_secret, endpoints=sandbox.endpoints) as ct,
    ):
        console.print(Text("connecttrade_async, from the first call to the last", style="bold"))
        stage.fact(f"A sandbox is served at {sandbox.url} (seed {seed}). All below goes over HTTP, on this machine.")
        user = await _make_a_user(stage, ct)
        await _connect_brokers(stage, user, sandbox)
        await _read_money(stage, user)
        await _read_positions(stage, user)
        await _follow_orders(stage, ct, user)
        await _sum_transactions(stage, user)
        await _heal_a_fault(stage, ct, user, sandbox)
        await _be_refused(stage, sandbox)
        await _clean_up(stage, ct, user)
        _end(stage, ct, CLOCK.now() - began)


async def _make_a_user(stage: Stage, ct: ConnectTrade) -> User:
    stage.chapter("A user: one person for whom you act")
    stage.code('new = await ct.users.create("ada")')
    new = await ct.users.create("ada")
    stage.fact(f"{new.user_id} exists; the secret is shown this once, and masks itself: {new.user_secret!r}")
    stage.code("user = ct.user(new.user_id, new.user_secret)")
    user = ct.user(new.user_id, new.user_secret)
    stage.fact(f"{user!r} costs no request: make thousands")
    return user


async def _connect_brokers(stage: Stage, user: User, sandbox: Sandbox) -> None:
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


async def _visit(stage: Stage, url: str) -> str:
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


async def _read_money(stage: Stage, user: User) -> None:
    stage.chapter("Accounts and balances")
    stage.code("accounts = await user.accounts.list()")
    accounts = await user.accounts.list()
    stage.table(accounts, ACCOUNTS)
    stage.code("balances = await user.balances.list()")
    balances = await user.balances.list()
    stage.table(balances, BALANCES)
    cash = sum((balance.cash or Decimal(0) for balance in balances), Decimal(0))
    stage.fact(f"cash in all: {figure(str(cash))}, a Decimal, exact to the last digit that came")


async def _read_positions(stage: Stage, user: User) -> None:
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


async def _follow_orders(stage: Stage, ct: ConnectTrade, user: User) -> None:
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


async def _sum_transactions(stage: Stage, user: User) -> None:
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


async def _heal_a_fault(stage: Stage, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    stage.chapter("A fault, healed before your eyes")
    stage.code('fault = Fault("status", path="/positions", status=503, retry_after="1")')
    fault = Fault("status", path="/positions", status=503, retry_after="1")
    armed = sandbox.faults.add(fault)
    stage.code("positions = await user.positions.list()")
    began, retries = CLOCK.now(), ct.health().retries
    with Aloud(stage):
        async with waiting("The server asked for a second of patience", ct, console=stage.console):
            positions = await user.positions.list()
    stage.fact(
        f"{len(positions)} positions after {CLOCK.now() - began:.1f} s; faults that struck: {armed.fired}, "
        f"requests asked again: {ct.health().retries - retries}",
        "green",
    )


async def _be_refused(stage: Stage, sandbox: Sandbox) -> None:
    stage.chapter("A mistake of yours, said clearly")
    stage.code('stranger = ConnectTrade(sandbox.client_id, "not-the-secret", endpoints=sandbox.endpoints)')
    stranger = ConnectTrade(sandbox.client_id, "not-the-secret", endpoints=sandbox.endpoints)
    async with stranger:
        try:
            await stranger.with_options(retry=Retry(attempts=1)).users.list()
        except AuthenticationError as exc:
            stage.fact(f"{type(exc).__name__}: {explain(exc)[0]}", "red")


async def _clean_up(stage: Stage, ct: ConnectTrade, user: User) -> None:
    stage.chapter("Clean up")
    for connection in await user.connections.list():
        await user.connections.delete(connection.connection_id)
        stage.fact(f"connection {connection.connection_id} at {connection.broker} deleted")
    stage.code("await ct.users.delete(user.user_id)")
    await ct.users.delete(user.user_id)
    stage.fact(f"{len(await ct.users.list())} users left")


def _end(stage: Stage, ct: ConnectTrade, seconds: float) -> None:
    health = ct.health()
    stage.console.print()
    stage.fact(
        f"Done: {health.exchanges} requests to the API, {health.retries} asked again, in {seconds:.1f} s.", "bold green"
    )
    stage.fact("Next: README.md has the quickstart and examples/ has programs to begin from;")
    stage.fact("`connecttrade sandbox` serves this world to your own.")
