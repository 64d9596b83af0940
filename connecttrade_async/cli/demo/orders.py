"""The front door: the demo's second part. Orders are placed, replaced, lost and found again, and summed up."""

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
    from connecttrade_async.client import ConnectTrade, User
    from connecttrade_async.sandbox import Sandbox

__all__ = ["trade"]

FRIDAY = 4
A_MONTH = timedelta(days=30)
STEP = 5  # dollars between the strikes of SPY
WING = 2 * STEP
SHOWN_SYMBOLS = 6


class _Whose(TypedDict):
    """In whose account an order is placed."""

    account_id: str
    broker: str


class _Strikes(TypedDict):
    """Those of an iron condor."""

    put_low: int
    put_high: int
    call_low: int
    call_high: int


class _Scene(NamedTuple):
    """Who and what is on the stage."""

    stage: Narrator
    ct: ConnectTrade
    user: User
    sandbox: Sandbox
    whose: _Whose


async def trade(stage: Narrator, ct: ConnectTrade, user: User, sandbox: Sandbox) -> None:
    """Trade in the user's first account at ALPACA, and tell of each order what became of it."""
    account = (await user.accounts.list(broker="ALPACA"))[0]
    scene = _Scene(stage, ct, user, sandbox, {"account_id": account.account_id, "broker": "ALPACA"})
    await _buy_at_the_market(scene)
    await _replace_a_limit(scene)
    await _sell_a_condor(scene)
    await _lose_an_answer(scene)
    _be_mistaken(scene)
    await _sum_up_the_day(scene)


async def _buy_at_the_market(scene: _Scene) -> None:
    stage, _, user, sandbox, whose = scene
    stage.chapter("An order at the market's price: a ticket has its own id from birth")
    stage.code('ticket = tickets.market("AAPL", "BUY", qty=2, **whose)')
    ticket = tickets.market("AAPL", "BUY", qty=2, **whose)
    stage.fact(f"cl_order_id {ticket.cl_order_id}, before anything is sent")
    stage.code("order = await user.orders.place(ticket)")
    order = await user.orders.place(ticket)
    stage.fact(f"the broker has it: {order.status}")
    stage.code("sandbox.clock.advance(1)")
    sandbox.clock.advance(1)
    stage.code("done = await user.orders.find(ticket.cl_order_id)")
    done = await user.orders.find(ticket.cl_order_id)
    stage.table([done] if done else [], ORDERS)


async def _replace_a_limit(scene: _Scene) -> None:
    stage, _, user, sandbox, whose = scene
    stage.chapter("A limit order, replaced while it works, then cancelled")
    price = sandbox.broker.quote("MSFT").last // 2
    stage.fact(f"at half of what MSFT costs, {figure(str(price))}, it waits")
    stage.code('order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=1, price=price, **whose))')
    order = await user.orders.place(tickets.limit("MSFT", "BUY", qty=1, price=price, **whose))
    sandbox.clock.advance(1)
    stage.code("replacing = await user.orders.replace(order, qty=3)")
    replacing = await user.orders.replace(order, qty=3)
    sandbox.clock.advance(1)
    both = [await user.orders.find(one.cl_order_id or "") for one in (order, replacing)]
    stage.table([one for one in both if one], ORDERS)
    stage.code("ended = await user.orders.cancel(replacing)")
    ended = await user.orders.cancel(replacing)
    sandbox.clock.advance(1)
    then = await user.orders.find(ended.cl_order_id or "")
    stage.fact(f"first {ended.status}, and a second later {then.status if then else 'not listed'}")


async def _sell_a_condor(scene: _Scene) -> None:
    stage, _, user, sandbox, whose = scene
    stage.chapter("An iron condor: four options, one price, filled as one")
    spot = sandbox.broker.quote("SPY").last
    middle = int(spot) // STEP * STEP
    strikes = _Strikes(
        put_low=middle - 2 * WING,
        put_high=middle - WING,
        call_low=middle + WING,
        call_high=middle + 2 * WING,
    )
    expiry = _friday(sandbox.clock.now().date() + A_MONTH)
    stage.fact(f"SPY costs {spot}; strikes {', '.join(map(str, strikes.values()))}, expiry {expiry}")
    stage.code('ticket = tickets.iron_condor("SPY", expiry=expiry, price="1.50", qty=1, **strikes, **whose)')
    ticket = tickets.iron_condor("SPY", expiry=expiry, price="1.50", qty=1, **strikes, **whose)
    stage.code("order = await user.orders.place(ticket)")
    order = await user.orders.place(ticket)
    sandbox.clock.advance(1)
    done = await user.orders.find(ticket.cl_order_id) or order
    stage.table([done], ORDERS)
    for fill in done.fills:
        stage.fact(f"received {fill.price} a share, 1.50 was the least asked for", "green")


def _friday(day: date) -> date:
    return day + timedelta(days=(FRIDAY - day.weekday()) % 7)


async def _lose_an_answer(scene: _Scene) -> None:
    stage, _, user, sandbox, whose = scene
    stage.chapter("An answer lost on its way: settled before your eyes, and never sent twice")
    stage.code('lost = Fault("drop", method="POST", path="/orders", when="after")')
    lost = Fault("drop", method="POST", path="/orders", when="after")
    stage.code('blind = Fault("status", method="GET", path="/orders", status=503)')
    blind = Fault("status", method="GET", path="/orders", status=503)
    stage.fact("the work will be done and then the link dropped; the first look-up will fail as well")
    for fault in (lost, blind):
        sandbox.faults.add(fault)
    before = len(sandbox.requests)
    ticket = tickets.market("AAPL", "BUY", qty=1, **whose)
    stage.code("order = await user.orders.place(ticket)")
    with LogEcho(stage):
        order = await user.orders.place(ticket)
    for visit in list(sandbox.requests)[before:]:
        told = "no answer" if visit.status is None else f"answered {visit.status}"
        done = "done" if visit.worked else "not done"
        stage.fact(f"the server saw {visit.method} {visit.path}: {done}, {told}", "dim")
    stage.fact(f"the order is {order.status}, found by its cl_order_id", "green")
    listed = [one async for one in user.orders.list(status="all") if one.cl_order_id == ticket.cl_order_id]
    stage.fact(f"orders with this id at the broker: {len(listed)}", "green")


def _be_mistaken(scene: _Scene) -> None:
    stage, ct, _, _, whose = scene
    stage.chapter("A ticket with mistakes: all are told at once, and nothing is sent")
    before = ct.health().exchanges
    stage.code('tickets.limit("BRK.B", "SELL_TO_OPEN", qty="1e3", price="-410.5", tif="TODAY", **whose)')
    try:
        tickets.limit("BRK.B", "SELL_TO_OPEN", qty="1e3", price="-410.5", tif="TODAY", **whose)
    except TicketError as error:
        for problem in error.problems:
            stage.fact(f"- {problem}", "red")
    stage.fact(f"requests sent: {ct.health().exchanges - before}")


async def _sum_up_the_day(scene: _Scene) -> None:
    stage, _, user, sandbox, whose = scene
    sandbox.clock.advance(1)
    account_id = whose["account_id"]
    stage.chapter("The day in one value, exact, and honest about what a broker does not tell")
    stage.code("balances = await user.balances.list(account_id=account_id)")
    balances = await user.balances.list(account_id=account_id)
    stage.code("positions = await user.positions.list(account_id=account_id)")
    positions = await user.positions.list(account_id=account_id)
    stage.code("summary = analytics.daily_summary(balances, positions)")
    summary = analytics.daily_summary(balances, positions)
    _show_summary(stage, summary)


def _show_summary(stage: Narrator, summary: DailySummary) -> None:
    stage.fact(f"cash {_sum(summary.cash)}, buying power {_sum(summary.buying_power)}")
    stage.fact(f"unrealized {_sum(summary.unrealized_pl)}, today {_sum(summary.daily_pl)}, over all positions")
    columns = (
        Column[SymbolProfit]("Symbol", lambda profit: profit.symbol),
        Column[SymbolProfit]("Quantity", lambda profit: profit.quantity.total, "number"),
        Column[SymbolProfit]("Unrealized", lambda profit: profit.unrealized_pl.total, "gain"),
        Column[SymbolProfit]("Today", lambda profit: profit.daily_pl.total, "gain"),
    )
    moved = sorted(summary.symbols, key=lambda profit: abs(profit.daily_pl.total), reverse=True)
    stage.table(moved[:SHOWN_SYMBOLS], columns)
    stage.fact(f"the {min(SHOWN_SYMBOLS, len(moved))} of {len(moved)} symbols that moved most today")


def _sum(total: Total) -> str:
    missing = f" ({total.missing} not told)" if total.missing else ""
    return f"{figure(f'{total.total:f}')}{missing}"
