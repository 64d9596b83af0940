"""The second part of the demo: place, replace and cancel orders, lose a response, and sum up the day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from connecttrade_async import TicketError, analytics, tickets
from connecttrade_async.analytics import SymbolProfit
from connecttrade_async.cli.columns import ORDERS
from connecttrade_async.cli.demo.narrator import LogEcho, Narrator
from connecttrade_async.cli.output import Column, figure
from connecttrade_async.sandbox import Fault

if TYPE_CHECKING:
    from connecttrade_async.analytics import DailySummary, Total
    from connecttrade_async.client import ConnectTrade
    from connecttrade_async.sandbox import Sandbox
    from connecttrade_async.user import User

__all__ = ["trade"]

FRIDAY = 4
A_MONTH = timedelta(days=30)
STEP = 5  # dollars between the strikes of SPY
WING = 2 * STEP
SHOWN_SYMBOLS = 6


class _AccountTerms(TypedDict):
    """The account of an order."""

    account_id: str
    broker: str


class _Strikes(TypedDict):
    """The strikes of an iron condor."""

    put_low: int
    put_high: int
    call_low: int
    call_high: int


class _DemoContext(NamedTuple):
    """The arguments of each chapter."""

    narrator: Narrator
    ct: ConnectTrade
    user: User
    sandbox: Sandbox
    account: _AccountTerms


async def trade(narrator: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    """Trade in the user's first account at ALPACA, and print the outcome of each order."""
    account = (await user.accounts.list(broker="ALPACA"))[0]
    context = _DemoContext(narrator, ct, user, sandbox, {"account_id": account.account_id, "broker": "ALPACA"})
    await _buy_at_the_market(context)
    await _replace_a_limit(context)
    await _sell_a_condor(context)
    await _lose_a_response(context)
    _show_ticket_problems(context)
    await _sum_up_the_day(context)


async def _buy_at_the_market(context: _DemoContext) -> None:
    narrator, _, user, sandbox, account = context
    narrator.chapter("An order at the market's price: each ticket has its own id")
    narrator.code('ticket = tickets.market("AAPL", "BUY", qty=2, **account)')
    ticket = tickets.market("AAPL", "BUY", qty=2, **account)
    narrator.fact(f"cl_order_id {ticket.cl_order_id}, before anything is sent")
    narrator.code("order = await user.orders.place(ticket)")
    order = await user.orders.place(ticket)
    narrator.fact(f"the broker has it: {order.status}")
    narrator.code("sandbox.clock.advance(1)")
    sandbox.clock.advance(1)
    narrator.code("done = await user.orders.find(ticket.cl_order_id)")
    done = await user.orders.find(ticket.cl_order_id)
    narrator.table([done] if done else [], ORDERS)


async def _replace_a_limit(context: _DemoContext) -> None:
    narrator, _, user, sandbox, account = context
    narrator.chapter("A limit order, replaced while it works, then cancelled")
    price = sandbox.broker.quote("MSFT").last // 2
    narrator.fact(f"at half of what MSFT costs, {figure(str(price))}, the order stays open")
    narrator.code('order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=1, price=price, **account))')
    order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=1, price=price, **account))
    sandbox.clock.advance(1)
    narrator.code("replacing = await user.orders.replace(order, qty=3)")
    replacing = await user.orders.replace(order, qty=3)
    sandbox.clock.advance(1)
    both = [await user.orders.find(one.cl_order_id or "") for one in (order, replacing)]
    narrator.table([one for one in both if one], ORDERS)
    narrator.code("ended = await user.orders.cancel(replacing)")
    ended = await user.orders.cancel(replacing)
    sandbox.clock.advance(1)
    then = await user.orders.find(ended.cl_order_id or "")
    narrator.fact(f"first {ended.status}, and a second later {then.status if then else 'not listed'}")


async def _sell_a_condor(context: _DemoContext) -> None:
    narrator, _, user, sandbox, account = context
    narrator.chapter("An iron condor: four options, one price, filled as one")
    spot = sandbox.broker.quote("SPY").last
    middle = int(spot) // STEP * STEP
    strikes = _Strikes(
        put_low=middle - 2 * WING,
        put_high=middle - WING,
        call_low=middle + WING,
        call_high=middle + 2 * WING,
    )
    expiry = _friday(sandbox.clock.now().date() + A_MONTH)
    narrator.fact(f"SPY costs {spot}; strikes {', '.join(map(str, strikes.values()))}, expiry {expiry}")
    narrator.code('ticket = tickets.iron_condor("SPY", expiry=expiry, price="1.50", qty=1, **strikes, **account)')
    ticket = tickets.iron_condor("SPY", expiry=expiry, price="1.50", qty=1, **strikes, **account)
    narrator.code("order = await user.orders.place(ticket)")
    order = await user.orders.place(ticket)
    sandbox.clock.advance(1)
    done = await user.orders.find(ticket.cl_order_id) or order
    narrator.table([done], ORDERS)
    for fill in done.fills:
        narrator.fact(f"received {fill.price} a share, 1.50 was the least asked for", "green")


def _friday(day: date) -> date:
    return day + timedelta(days=(FRIDAY - day.weekday()) % 7)


async def _lose_a_response(context: _DemoContext) -> None:
    narrator, _, user, sandbox, account = context
    narrator.chapter("A lost response: the client finds the order, and never sends it twice")
    narrator.code('lost = Fault("drop", method="POST", path="/orders", when="after")')
    lost = Fault("drop", method="POST", path="/orders", when="after")
    narrator.code('blind = Fault("status", method="GET", path="/orders", status=503)')
    blind = Fault("status", method="GET", path="/orders", status=503)
    narrator.fact("the order will be placed and the connection dropped; the first look-up will fail too")
    for fault in (lost, blind):
        sandbox.faults.add(fault)
    before = len(sandbox.requests)
    ticket = tickets.market("AAPL", "BUY", qty=1, **account)
    narrator.code("order = await user.orders.place(ticket)")
    with LogEcho(narrator):
        order = await user.orders.place(ticket)
    for request in list(sandbox.requests)[before:]:
        outcome = "no response" if request.status is None else f"answered {request.status}"
        done = "done" if request.worked else "not done"
        narrator.fact(f"the server saw {request.method} {request.path}: {done}, {outcome}", "dim")
    narrator.fact(f"the order is {order.status}, found by its cl_order_id", "green")
    listed = [one async for one in user.orders.list(status="all") if one.cl_order_id == ticket.cl_order_id]
    narrator.fact(f"orders with this id at the broker: {len(listed)}", "green")


def _show_ticket_problems(context: _DemoContext) -> None:
    narrator, ct, _, _, account = context
    narrator.chapter("A ticket with mistakes: one error lists all of them, and nothing is sent")
    before = ct.health().exchanges
    narrator.code('tickets.limit("BRK.B", "SELL_TO_OPEN", qty="1e3", price="-410.5", tif="TODAY", **account)')
    try:
        tickets.limit("BRK.B", "SELL_TO_OPEN", qty="1e3", price="-410.5", tif="TODAY", **account)
    except TicketError as error:
        for problem in error.problems:
            narrator.fact(f"- {problem}", "red")
    narrator.fact(f"requests sent: {ct.health().exchanges - before}")


async def _sum_up_the_day(context: _DemoContext) -> None:
    narrator, _, user, sandbox, account = context
    sandbox.clock.advance(1)
    account_id = account["account_id"]
    narrator.chapter("The day in one value, exact, with a count of missing values")
    narrator.code("balances = await user.balances.list(account_id=account_id)")
    balances = await user.balances.list(account_id=account_id)
    narrator.code("positions = await user.positions.list(account_id=account_id)")
    positions = await user.positions.list(account_id=account_id)
    narrator.code("summary = analytics.daily_summary(balances, positions)")
    summary = analytics.daily_summary(balances, positions)
    _show_summary(narrator, summary)


def _show_summary(narrator: Narrator, summary: DailySummary) -> None:
    narrator.fact(f"cash {_sum(summary.cash)}, buying power {_sum(summary.buying_power)}")
    narrator.fact(f"unrealized {_sum(summary.unrealized_pl)}, today {_sum(summary.daily_pl)}, over all positions")
    columns = (
        Column[SymbolProfit]("Symbol", lambda profit: profit.symbol),
        Column[SymbolProfit]("Quantity", lambda profit: profit.quantity.total, "number"),
        Column[SymbolProfit]("Unrealized", lambda profit: profit.unrealized_pl.total, "gain"),
        Column[SymbolProfit]("Today", lambda profit: profit.daily_pl.total, "gain"),
    )
    moved = sorted(summary.symbols, key=lambda profit: abs(profit.daily_pl.total), reverse=True)
    narrator.table(moved[:SHOWN_SYMBOLS], columns)
    narrator.fact(f"the {min(SHOWN_SYMBOLS, len(moved))} of {len(moved)} symbols that moved most today")


def _sum(total: Total) -> str:
    missing = f" ({total.missing} missing)" if total.missing else ""
    return f"{figure(f'{total.total:f}')}{missing}"
