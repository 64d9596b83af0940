"""The front door: ``buy`` and ``sell``, of stocks and of single options by their OSI symbol.

Its vow: whether an option order opens or closes a position is said by the person, and never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict, TypeVar, Unpack

import click

from connecttrade_async import tickets
from connecttrade_async.cli.account_choice import choose_account
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import in_event_loop
from connecttrade_async.cli.order_submit import OrderOptions, SubmitOptions, place, placing_options
from connecttrade_async.cli.progress import waiting
from connecttrade_async.errors import shown
from connecttrade_async.models import Instrument, Side
from connecttrade_async.symbology import is_equity, is_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.tickets import OrderTicket

__all__ = ["buy", "sell"]

F = TypeVar("F", bound="Callable[..., object]")


class _Line(OrderOptions):
    """The order as it stands on the command line."""

    symbol: str
    qty: str
    limit: str | None
    stop: str | None
    notional: bool
    opens: bool
    closes: bool
    instrument: str | None


class _Terms(TypedDict):
    """What tickets of all types are told."""

    account_id: str
    broker: str
    tif: str
    instrument: NotRequired[str | None]
    qty: NotRequired[str]
    notional: NotRequired[str]


class _Sides(NamedTuple):
    """What may be meant by buying, or by selling."""

    stock: Side
    opening: Side
    closing: Side


_BUYING = _Sides(Side.BUY, Side.BUY_TO_OPEN, Side.BUY_TO_CLOSE)
_SELLING = _Sides(Side.SELL, Side.SELL_TO_OPEN, Side.SELL_TO_CLOSE)


def _line(command: F) -> F:
    for option in (
        click.option("--close", "closes", is_flag=True, help="Of an option: it closes a position."),
        click.option("--open", "opens", is_flag=True, help="Of an option: it opens a position."),
        click.option("--instrument", metavar="CODE", help="Of neither: the code of what SYMBOL is."),
        click.option("--notional", is_flag=True, help="QTY is money, in dollars."),
        click.option("--stop", metavar="P", help="Only once the price has touched this one."),
        click.option("--limit", metavar="P", help="At this price or a better one; without it at the market's."),
        click.argument("qty"),
        click.argument("symbol"),
    ):
        command = option(command)
    return command


@click.command(short_help="Buy a stock or an option.")
@_line
@click.option("--cover", is_flag=True, help="Of a stock: buy back what was sold short (TradeStation only).")
@placing_options
@in_event_loop
async def buy(*, cover: bool, **line: Unpack[_Line]) -> None:
    """Buy QTY of SYMBOL, a stock such as AAPL or IBM/B, an option such as AAPL261218C00200000, or any other."""
    await _trade(_BUYING, Side.BUY_TO_COVER if cover else None, line)


@click.command(short_help="Sell a stock or an option.")
@_line
@click.option("--short", is_flag=True, help="Of a stock: sell what is not held.")
@placing_options
@in_event_loop
async def sell(*, short: bool, **line: Unpack[_Line]) -> None:
    """Sell QTY of SYMBOL, a stock such as AAPL or IBM/B, an option such as AAPL261218C00200000, or any other."""
    await _trade(_SELLING, Side.SELL_SHORT if short else None, line)


async def _trade(sides: _Sides, special: Side | None, line: _Line) -> None:
    side = _side(sides, special, line)
    manner = SubmitOptions(yes=line["yes"], as_json=line["as_json"], dry_run=line["dry_run"])
    manner.check()
    async with open_user(settle=line["settle"]) as caller:
        async with waiting("Asking for accounts", caller.ct):
            whose = await choose_account(caller.user, line["account"], line["broker"])
        terms = _Terms(account_id=whose.account_id, broker=whose.broker, tif=line["tif"].upper())
        terms["instrument"] = line["instrument"]
        terms["notional" if line["notional"] else "qty"] = line["qty"]
        await place(caller, _ticket(line, side, terms), manner, whose=whose.name)


def _side(sides: _Sides, special: Side | None, line: _Line) -> Side:
    opens, closes, instrument = line["opens"], line["closes"], line["instrument"]
    # An explicit instrument decides what the symbol is, whatever the symbol looks like.
    is_of_option = is_option(line["symbol"]) if instrument is None else instrument == Instrument.OPTION
    is_of_stock = is_equity(line["symbol"]) if instrument is None else instrument == Instrument.STOCK
    if not is_of_option:
        if not (opens or closes):
            return special or sides.stock
        # Futures and their options open and close too, and how their symbols look is not published.
        if special or opens is closes or is_of_stock:
            msg = f"--open and --close are for options, and {shown(line['symbol'])} is none"
            raise click.UsageError(msg)
        return sides.opening if opens else sides.closing
    if special:
        msg = f"the symbol {line['symbol']} is an option's: say --open or --close instead of --short or --cover"
        raise click.UsageError(msg)
    if opens is closes:
        msg = f"the symbol {line['symbol']} is an option's: say either --open or --close, which the broker must know"
        raise click.UsageError(msg)
    return sides.opening if opens else sides.closing


def _ticket(line: _Line, side: Side, terms: _Terms) -> OrderTicket:
    symbol, limit, stop = line["symbol"], line["limit"], line["stop"]
    if limit is None:
        if stop is None:
            return tickets.market(symbol, side, **terms)
        return tickets.stop(symbol, side, stop=stop, **terms)
    if stop is None:
        return tickets.limit(symbol, side, price=limit, **terms)
    return tickets.stop_limit(symbol, side, price=limit, stop=stop, **terms)
