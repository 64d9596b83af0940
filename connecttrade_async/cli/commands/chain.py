"""The command ``chain``: show the options on a stock that expire on one day."""

from __future__ import annotations

import asyncio
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.text import Text

from connecttrade_async.amounts import EXACT
from connecttrade_async.cli.errors import fail
from connecttrade_async.cli.live_view import print_market_object
from connecttrade_async.cli.market_options import open_feed, open_market, symbol, which_option
from connecttrade_async.cli.options import day, in_event_loop, json_option
from connecttrade_async.cli.output import Column, echo_line, plain, print_table
from connecttrade_async.cli.progress import spinner
from connecttrade_async.errors import MalformedResponseError, SymbolError
from connecttrade_async.models.market import OptionsChain
from connecttrade_async.symbology import OptionRight, is_option, parse_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from connecttrade_async.market_data.feeds import Feed
    from connecttrade_async.models.market import Greeks, OptionContract
    from connecttrade_async.symbology import OptionSymbol

__all__ = ["CHAIN_COLUMNS", "ChainTable", "StrikeRow", "build_chain_table", "chain"]

QUIET = 0.5  # seconds without another expiration
TIMEOUT = 10.0  # seconds


def _underlying(ctx: click.Context, param: click.Parameter, text: str) -> str:
    name = symbol(ctx, param, text)
    if is_option(name):
        msg = f"must be the symbol of a stock, got the option {name}"
        raise click.BadParameter(msg)
    return name


@click.command(short_help="Show the options on a stock that expire on one day.")
@click.argument("name", metavar="SYMBOL", callback=_underlying)
@click.option("--expiry", metavar="DAY", callback=day, help="The expiration, 2026-12-18; by default the nearest day.")
@which_option
@json_option
@in_event_loop
async def chain(*, name: str, expiry: date | None, connection_id: str | None, as_json: bool) -> None:
    """Show the options on a stock that expire on one day: calls left, strikes in the middle, puts right.

    Delta and the implied volatility (IV, in per cent a year) are rounded; --json has them exactly. Without --expiry the
    other days are listed too: those that arrive before half a second without another one.
    """
    async with (
        open_market(connection_id) as md,
        open_feed(md.options_chain(name, expiry)) as feed,
        spinner(f"Asking for options on {name}"),
    ):
        chains = await _gather(feed, is_one=expiry is not None)
    if not chains:
        on_day = f" that expire on {expiry}" if expiry else ""
        fail(f"no options on {name}{on_day} arrived within {TIMEOUT:.0f} s")
    nearest, *others = sorted(chains, key=lambda one: one.expiration_text or "")
    if as_json:
        print_market_object(nearest)
    else:
        _print(nearest)
    if others:
        days = ", ".join(plain(one.expiration_text or "an unknown day") for one in others)
        echo_line(f"Other days for --expiry: {days}.")


async def _gather(feed: Feed[OptionsChain], *, is_one: bool) -> list[OptionsChain]:
    """Return the latest chain of each day, until no other day arrives for ``QUIET`` seconds."""
    found: dict[str | None, OptionsChain] = {}
    limit = asyncio.timeout(TIMEOUT)
    try:
        async with limit:
            async for event in feed:
                if not isinstance(event, OptionsChain):
                    continue
                if event.expiration_text not in found:
                    limit.reschedule(asyncio.get_running_loop().time() + QUIET)
                found[event.expiration_text] = event
                if is_one:
                    break
    except TimeoutError:
        if not limit.expired():  # the feed raised it
            raise
    return list(found.values())


def _print(one: OptionsChain) -> None:
    table = build_chain_table(one)
    if table.pairs:
        click.echo(plain(f"{one.underlying}, options that expire on {one.expiration_text or 'an unknown day'}"))
        print_table(table.pairs, CHAIN_COLUMNS)
    else:
        echo_line(f"There are no options on {plain(one.underlying)} for {plain(one.expiration_text or 'that day')}.")
    if table.unread:
        echo_line(f"Options left out because their symbols are malformed: {table.unread}.")


THOUSANDTH = Decimal("0.001")
TENTH = Decimal("0.1")


class StrikeRow(NamedTuple):
    """The call and the put of one strike.

    Attributes:
        strike: the strike, with the root of the option if that is not the underlying.
        call: the call, or None.
        put: the put, or None.
    """

    strike: str
    call: OptionContract | None
    put: OptionContract | None


class ChainTable(NamedTuple):
    """A chain by strike.

    Attributes:
        pairs: the rows, lowest strike first.
        unread: the number of options with a malformed symbol.
    """

    pairs: tuple[StrikeRow, ...]
    unread: int


def build_chain_table(chain: OptionsChain) -> ChainTable:
    """Group a chain by strike."""
    sides: dict[tuple[Decimal, str], dict[OptionRight, OptionContract]] = {}
    unread = 0
    for contract in chain.contracts:
        option = _option(contract)
        if option is None:
            unread += 1
        else:
            sides.setdefault((option.strike, option.root), {})[option.right] = contract
    return ChainTable(
        tuple(
            StrikeRow(
                _strike_text(strike, root, chain.underlying), both.get(OptionRight.CALL), both.get(OptionRight.PUT)
            )
            for (strike, root), both in sorted(sides.items(), key=lambda item: item[0])
        ),
        unread,
    )


def _option(contract: OptionContract) -> OptionSymbol | None:
    try:
        return parse_option(contract.symbol)
    except SymbolError:
        return None


def _strike_text(strike: Decimal, root: str, underlying: str) -> str:
    return f"{strike:f}" if root == underlying else f"{strike:f} {root}"


def _delta(contract: OptionContract) -> Text | None:
    value = None if contract.greeks is None else _read(contract.greeks, "delta")
    return None if value is None else Text(f"{value.quantize(THOUSANDTH, ROUND_HALF_EVEN, EXACT)}")


def _volatility(contract: OptionContract) -> str | None:
    value = None if contract.greeks is None else _read(contract.greeks, "implied_volatility")
    return None if value is None else f"{EXACT.multiply(Decimal(100), value).quantize(TENTH, ROUND_HALF_EVEN, EXACT)}%"


def _read(greeks: Greeks, name: str) -> Decimal | None:
    try:
        value: Decimal | None = getattr(greeks, name)
    except MalformedResponseError:
        return None
    return value


def _of_call(read: Callable[[OptionContract], object]) -> Callable[[StrikeRow], object]:
    return lambda pair: None if pair.call is None else read(pair.call)


def _of_put(read: Callable[[OptionContract], object]) -> Callable[[StrikeRow], object]:
    return lambda pair: None if pair.put is None else read(pair.put)


CHAIN_COLUMNS: Sequence[Column[StrikeRow]] = (
    Column[StrikeRow]("Call bid", _of_call(lambda call: call.bid_price_text), "number"),
    Column[StrikeRow]("Ask", _of_call(lambda call: call.ask_price_text), "number"),
    Column[StrikeRow]("Delta", _of_call(_delta), "number", rank=2),
    Column[StrikeRow]("IV", _of_call(_volatility), "number", rank=4),
    Column[StrikeRow]("Strike", lambda pair: pair.strike, "number"),
    Column[StrikeRow]("Put bid", _of_put(lambda put: put.bid_price_text), "number"),
    Column[StrikeRow]("Ask", _of_put(lambda put: put.ask_price_text), "number"),
    Column[StrikeRow]("Delta", _of_put(_delta), "number", rank=1),
    Column[StrikeRow]("IV", _of_put(_volatility), "number", rank=3),
)
