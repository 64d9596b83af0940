"""The commands ``buy`` and ``sell``: orders by symbol.

Whether an order of an option opens or closes a position is a required option of the command, never a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict, TypeVar, Unpack

import click

from connecttrade_async import tickets
from connecttrade_async.cli.account_choice import choose_account
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import in_event_loop
from connecttrade_async.cli.order_submit import OrderOptions, SubmitOptions, place, placing_options
from connecttrade_async.cli.progress import spinner
from connecttrade_async.errors import shown
from connecttrade_async.models import Instrument, Side
from connecttrade_async.symbology import is_equity, is_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.tickets import OrderTicket

__all__ = ["buy", "sell"]

F = TypeVar("F", bound="Callable[..., object]")


class _TradeArguments(OrderOptions):
    """The arguments of an order."""

    symbol: str
    qty: str
    limit: str | None
    stop: str | None
    notional: bool
    opens: bool
    closes: bool
    instrument: str | None


class _Terms(TypedDict):
    """The arguments of tickets of every type."""

    account_id: str
    broker: str
    tif: str
    instrument: NotRequired[str | None]
    qty: NotRequired[str]
    notional: NotRequired[str]


class _TicketSides(NamedTuple):
    """The sides of ``buy`` or of ``sell``."""

    stock: Side
    opening: Side
    closing: Side


_BUYING = _TicketSides(Side.BUY, Side.BUY_TO_OPEN, Side.BUY_TO_CLOSE)
_SELLING = _TicketSides(Side.SELL, Side.SELL_TO_OPEN, Side.SELL_TO_CLOSE)


def _line(command: F) -> F:
    for option in (
        click.option("--close", "closes", is_flag=True, help="For an option: close a position."),
        click.option("--open", "opens", is_flag=True, help="For an option: open a position."),
        click.option(
            "--instrument",
            metavar="CODE",
            help="The instrument code of SYMBOL, if it is neither a stock nor an option.",
        ),
        click.option("--notional", is_flag=True, help="QTY is money, in dollars."),
        click.option("--stop", metavar="P", help="The stop price: the order waits until it is touched."),
        click.option("--limit", metavar="P", help="The limit price; without it the order is at the market."),
        click.argument("qty"),
        click.argument("symbol"),
    ):
        command = option(command)
    return command


@click.command(short_help="Buy a stock or an option.")
@_line
@click.option("--cover", is_flag=True, help="For a stock: buy to cover a short sale (TradeStation only).")
@placing_options
@in_event_loop
async def buy(*, cover: bool, **line: Unpack[_TradeArguments]) -> None:
    """Buy QTY of SYMBOL, a stock such as AAPL or IBM/B, an option such as AAPL261218C00200000, or any other."""
    await _trade(_BUYING, Side.BUY_TO_COVER if cover else None, line)


@click.command(short_help="Sell a stock or an option.")
@_line
@click.option("--short", is_flag=True, help="For a stock: sell short.")
@placing_options
@in_event_loop
async def sell(*, short: bool, **line: Unpack[_TradeArguments]) -> None:
    """Sell QTY of SYMBOL, a stock such as AAPL or IBM/B, an option such as AAPL261218C00200000, or any other."""
    await _trade(_SELLING, Side.SELL_SHORT if short else None, line)


async def _trade(sides: _TicketSides, special: Side | None, line: _TradeArguments) -> None:
    side = _side(sides, special, line)
    submit = SubmitOptions(yes=line["yes"], as_json=line["as_json"], dry_run=line["dry_run"])
    submit.check()
    async with open_user(settle=line["settle"]) as context:
        async with spinner("Asking for accounts", context.ct):
            account = await choose_account(context.user, line["account"], line["broker"])
        terms = _Terms(account_id=account.account_id, broker=account.broker, tif=line["tif"].upper())
        terms["instrument"] = line["instrument"]
        terms["notional" if line["notional"] else "qty"] = line["qty"]
        await place(context, _ticket(line, side, terms), submit, account_name=account.name)


def _side(sides: _TicketSides, special: Side | None, line: _TradeArguments) -> Side:
    opens, closes, instrument = line["opens"], line["closes"], line["instrument"]
    # An explicit instrument decides what the symbol is, whatever the symbol looks like.
    is_of_option = is_option(line["symbol"]) if instrument is None else instrument == Instrument.OPTION
    is_of_stock = is_equity(line["symbol"]) if instrument is None else instrument == Instrument.STOCK
    if not is_of_option:
        if not (opens or closes):
            return special or sides.stock
        # Futures and their options open and close too, and how their symbols look is not published.
        if special or opens is closes or is_of_stock:
            msg = f"--open and --close are for options, got {shown(line['symbol'])}"
            raise click.UsageError(msg)
        return sides.opening if opens else sides.closing
    if special:
        msg = f"the symbol {line['symbol']} is an option: give --open or --close instead of --short or --cover"
        raise click.UsageError(msg)
    if opens is closes:
        msg = f"the symbol {line['symbol']} is an option: give either --open or --close, which the broker requires"
        raise click.UsageError(msg)
    return sides.opening if opens else sides.closing


def _ticket(line: _TradeArguments, side: Side, terms: _Terms) -> OrderTicket:
    symbol, limit, stop = line["symbol"], line["limit"], line["stop"]
    if limit is None:
        if stop is None:
            return tickets.market(symbol, side, **terms)
        return tickets.stop(symbol, side, stop=stop, **terms)
    if stop is None:
        return tickets.limit(symbol, side, price=limit, **terms)
    return tickets.stop_limit(symbol, side, price=limit, stop=stop, **terms)
