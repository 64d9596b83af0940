"""The world's holdings: what an account owns of one symbol, lot by lot, so that every profit is exact.

Lots leave in the order in which they came. A lot's cost is what was paid for it, in whole cents, and where a part of it
leaves, the part that stays keeps the rest: what is rounded off on one side is on the other, and no cent is lost.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from connecttrade_async.sandbox.world.symbols import instrument_of, multiplier

__all__ = ["Holding", "Position"]

_NINE = Decimal("0.000000001")
_CENT = Decimal("0.01")


class _Lot(NamedTuple):
    """What was had at once: `cost` in dollars, negative like `quantity` when short, for that was received."""

    quantity: Decimal
    cost: Decimal
    opened: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A holding as it looks on one day. Money in dollars; `average_price` per share or option unit."""

    symbol: str
    instrument: str
    quantity: Decimal
    average_price: Decimal
    last_price: Decimal
    market_value: Decimal
    unrealized_pl: Decimal
    daily_pl: Decimal
    total_pl: Decimal


class Holding:
    """The open lots of one symbol. A short holding has lots of negative quantity."""

    __slots__ = ("_lots", "realized", "symbol", "unit")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.unit = multiplier(symbol)
        self.realized = Decimal(0)
        self._lots: list[_Lot] = []

    @property
    def quantity(self) -> Decimal:
        """Shares or contracts held, negative when short."""
        return sum((lot.quantity for lot in self._lots), Decimal(0))

    @property
    def cost(self) -> Decimal:
        """What the open lots cost, in dollars; negative when short, for that was received."""
        return sum((lot.cost for lot in self._lots), Decimal(0))

    def trade(self, change: Decimal, cost: Decimal, on: date) -> None:
        """Change the holding by a signed quantity at a cost in dollars; closed lots add to `realized`."""
        while change and self._lots and (self._lots[0].quantity > 0) != (change > 0):
            lot = self._lots[0]
            closed = lot.quantity if abs(lot.quantity) <= abs(change) else -change
            sold, bought = _part(cost, closed, change), _part(lot.cost, closed, lot.quantity)
            self.realized -= sold + bought
            change, cost = change + closed, cost - sold
            left = lot.quantity - closed
            self._lots[:1] = [_Lot(left, lot.cost - bought, lot.opened)] if left else []
        if change:
            self._lots.append(_Lot(change, cost, on))

    def value(self, last: Decimal) -> Decimal:
        """What the holding is worth at a price, in dollars."""
        return self.quantity * last * self.unit

    def position(self, last: Decimal, previous: Decimal, on: date) -> Position:
        """The holding as a position, given today's price and that of the day before; without lots it is at 0."""
        quantity, cost, value = self.quantity, self.cost, self.value(last)
        eves = (lot.cost if lot.opened == on else lot.quantity * previous * self.unit for lot in self._lots)
        return Position(
            symbol=self.symbol,
            instrument=instrument_of(self.symbol),
            quantity=quantity,
            average_price=(cost / self.unit / quantity).quantize(_NINE) if quantity else Decimal(0),
            last_price=last,
            market_value=value,
            unrealized_pl=value - cost,
            daily_pl=value - sum(eves, Decimal(0)),
            total_pl=value - cost + self.realized,
        )


def _part(money: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """The share of some money that belongs to a part, in cents; all of it for the whole."""
    share = abs(part) / abs(whole)
    return money if share == 1 else (money * share).quantize(_CENT)
