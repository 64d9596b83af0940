"""The front door: a chain of options as a sheet: calls left, strikes in the middle, puts right.

Its vow: prices and strikes are whole, as in every table. Greeks are a model's, and rounded for people; JSON has them
whole.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from connecttrade_async.amounts import EXACT
from connecttrade_async.cli.tables import Column
from connecttrade_async.errors import MalformedResponseError, SymbolError
from connecttrade_async.symbology import OptionRight, parse_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connecttrade_async.models.market import Greeks, OptionContract, OptionsChain
    from connecttrade_async.symbology import OptionSymbol

__all__ = ["SHEET", "ChainTable", "StrikeRow", "build_sheet"]

THOUSANDTH = Decimal("0.001")
TENTH = Decimal("0.1")


class StrikeRow(NamedTuple):
    """The call and the put of one strike.

    Attributes:
        strike: the strike, as people read it; with its root where that is not the underlying's.
        call: the call, or None.
        put: the put, or None.
    """

    strike: str
    call: OptionContract | None
    put: OptionContract | None


class ChainTable(NamedTuple):
    """A chain by strike.

    Attributes:
        pairs: from the lowest strike up.
        unread: how many options have symbols that are none.
    """

    pairs: tuple[StrikeRow, ...]
    unread: int


def build_sheet(chain: OptionsChain) -> ChainTable:
    """Return a chain by strike."""
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
            StrikeRow(_named(strike, root, chain.underlying), both.get(OptionRight.CALL), both.get(OptionRight.PUT))
            for (strike, root), both in sorted(sides.items(), key=lambda item: item[0])
        ),
        unread,
    )


def _option(contract: OptionContract) -> OptionSymbol | None:
    try:
        return parse_option(contract.symbol)
    except SymbolError:
        return None


def _named(strike: Decimal, root: str, underlying: str) -> str:
    return f"{strike:f}" if root == underlying else f"{strike:f} {root}"


def _delta(contract: OptionContract) -> Text | None:
    told = None if contract.greeks is None else _read(contract.greeks, "delta")
    return None if told is None else Text(f"{told.quantize(THOUSANDTH, ROUND_HALF_EVEN, EXACT)}")


def _volatility(contract: OptionContract) -> str | None:
    told = None if contract.greeks is None else _read(contract.greeks, "implied_volatility")
    return None if told is None else f"{EXACT.multiply(Decimal(100), told).quantize(TENTH, ROUND_HALF_EVEN, EXACT)}%"


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


SHEET: Sequence[Column[StrikeRow]] = (
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
