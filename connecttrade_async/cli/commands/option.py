"""The command ``option``: orders of single options and of option strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Unpack

import click

from connecttrade_async import tickets
from connecttrade_async.cli.account_choice import choose_account
from connecttrade_async.cli.credentials import open_user
from connecttrade_async.cli.options import SuggestingGroup, day, in_event_loop
from connecttrade_async.cli.order_submit import OrderOptions, SubmitOptions, place, placing_options
from connecttrade_async.cli.progress import spinner
from connecttrade_async.errors import SymbolError, TicketError
from connecttrade_async.models import Side
from connecttrade_async.symbology import OptionRight, build_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from connecttrade_async.tickets import OrderTicket

__all__ = ["option"]

F = TypeVar("F", bound="Callable[..., object]")
OPTION_SIDES = {
    side.replace("_", "-").lower(): side
    for side in (Side.BUY_TO_OPEN, Side.BUY_TO_CLOSE, Side.SELL_TO_OPEN, Side.SELL_TO_CLOSE)
}
RIGHTS = {"call": OptionRight.CALL, "put": OptionRight.PUT}


class _OptionArguments(OrderOptions):
    """The arguments of an order."""

    underlying: str
    expiry: date
    strikes: str
    qty: str
    price: str | None
    market: bool


class _StrategyCommand(NamedTuple):
    """The subcommand of a strategy.

    Attributes:
        build: builds the ticket.
        strikes: the names of its strikes, in the order of ``--strikes``.
        help: the help text.
    """

    build: Callable[..., OrderTicket]
    strikes: tuple[str, ...]
    help: str


STRATEGIES = {
    "bull-call-spread": _StrategyCommand(
        tickets.bull_call_spread,
        ("low", "high"),
        "Buy the call at LOW and sell the one at HIGH, for a debit: gains when UNDERLYING rises.",
    ),
    "bear-put-spread": _StrategyCommand(
        tickets.bear_put_spread,
        ("low", "high"),
        "Buy the put at HIGH and sell the one at LOW, for a debit: gains when UNDERLYING falls.",
    ),
    "long-straddle": _StrategyCommand(
        tickets.long_straddle,
        ("strike",),
        "Buy the call and the put at one strike, for a debit: gains when UNDERLYING moves far.",
    ),
    "iron-condor": _StrategyCommand(
        tickets.iron_condor,
        ("put_low", "put_high", "call_low", "call_high"),
        "Sell the inner put and call and buy the outer ones, for a credit: gains when UNDERLYING stays between.",
    ),
}


def _line(strikes: tuple[str, ...]) -> Callable[[F], F]:
    metavar = ",".join(strikes).upper()

    def decorate(command: F) -> F:
        for decorator in (
            placing_options,
            click.option("--market", is_flag=True, help="At the market's price; instead of --price."),
            click.option("--price", metavar="P", help="At this net price per share or a better one."),
            click.option("--qty", metavar="N", required=True, help="Contracts, or units of all legs together."),
            click.option("--strikes", "--strike", metavar=metavar, required=True, help="In dollars per share."),
            click.option("--expiry", metavar="DAY", callback=day, required=True, help="For example 2026-12-18."),
            click.argument("underlying"),
        ):
            command = decorator(command)
        return command

    return decorate


@click.group(cls=SuggestingGroup)
def option() -> None:
    """Place an order in options: one, or several as a strategy."""


def _add_single(right: str) -> None:
    @option.command(right, help=f"Trade one {right} on UNDERLYING.")
    @_line(("strike",))
    @click.option(
        "--side",
        type=click.Choice(list(OPTION_SIDES), case_sensitive=False),
        required=True,
        help="The side of the order.",
    )
    @in_event_loop
    async def single(*, side: str, **line: Unpack[_OptionArguments]) -> None:
        (strike,) = _strikes(line["strikes"], ("strike",))

        def build(underlying: str, *, expiry: date, price: str | None, **terms: Any) -> OrderTicket:  # noqa: ANN401 - passed on
            try:
                symbol = str(build_option(underlying, expiry, RIGHTS[right], strike))
            except SymbolError as exc:
                raise TicketError([str(exc)]) from None
            if price is None:
                return tickets.market(symbol, OPTION_SIDES[side], **terms)
            return tickets.limit(symbol, OPTION_SIDES[side], price=price, **terms)

        await _place(build, line, title="")


def _add_strategy(name: str, strategy: _StrategyCommand) -> None:
    @option.command(name, help=strategy.help, short_help=strategy.help.partition(", for")[0] + ".")
    @_line(strategy.strikes)
    @in_event_loop
    async def place_it(**line: Unpack[_OptionArguments]) -> None:
        strikes = dict(zip(strategy.strikes, _strikes(line["strikes"], strategy.strikes), strict=True))
        await _place(strategy.build, line, title=name.replace("-", " "), **strikes)


for one in RIGHTS:
    _add_single(one)
for named, known in STRATEGIES.items():
    _add_strategy(named, known)


@option.command("ratio-spread", short_help="Buy the option at BUY, sell --ratio of that at SELL.")
@_line(("buy", "sell"))
@click.option("--right", type=click.Choice(list(RIGHTS), case_sensitive=False), required=True, help="Of both.")
@click.option("--ratio", metavar="N", default="2", show_default=True, help="Sold for each one bought.")
@click.option("--credit", is_flag=True, help="The price is received; without it, it is paid.")
@in_event_loop
async def ratio_spread(*, right: str, ratio: str, credit: bool, **line: Unpack[_OptionArguments]) -> None:
    """Buy the option at BUY and sell --ratio of the one at SELL; can lose without bound beyond SELL."""
    buy, sell = _strikes(line["strikes"], ("buy", "sell"))
    more: dict[str, Any] = {"side": Side.SELL_TO_OPEN} if credit else {}
    more |= {"right": RIGHTS[right], "ratio": ratio, "buy": buy, "sell": sell}
    await _place(tickets.ratio_spread, line, title="ratio spread", **more)


def _strikes(given: str, names: tuple[str, ...]) -> list[str]:
    strikes = [part.strip() for part in given.split(",")]
    if len(strikes) != len(names):
        many = f"{len(names)} strikes" if len(names) > 1 else "one strike"
        msg = f"--strikes must be {many}, {','.join(names).upper()}, got {len(strikes)}"
        raise click.UsageError(msg)
    return strikes


async def _place(build: Callable[..., OrderTicket], line: _OptionArguments, *, title: str, **more: Any) -> None:  # noqa: ANN401 - passed on
    if (line["price"] is None) is not line["market"]:
        msg = "give either --price or --market"
        raise click.UsageError(msg)
    submit = SubmitOptions(yes=line["yes"], as_json=line["as_json"], dry_run=line["dry_run"])
    submit.check()
    async with open_user(settle=line["settle"]) as context:
        async with spinner("Asking for accounts", context.ct):
            account = await choose_account(context.user, line["account"], line["broker"])
        ticket = build(
            line["underlying"],
            expiry=line["expiry"],
            price=line["price"],
            qty=line["qty"],
            tif=line["tif"].upper(),
            account_id=account.account_id,
            broker=account.broker,
            **more,
        )
        await place(context, ticket, submit, account_name=account.name, title=title)
