"""The world's orders at work: what the market needs to know about an order beyond what its owner sees.

An order is a sum of parts, one for each symbol in it. Its *debit* is what one unit of it costs, negative for what is
sold, so that one rule serves buying, selling and spreads: a limit is met when the debit is low enough, a stop when it
is high enough.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from connecttrade_async.sandbox.world.account import Account
from connecttrade_async.sandbox.world.market import Market, Quote, quote_of
from connecttrade_async.sandbox.world.orders import Order
from connecttrade_async.sandbox.world.price_path import TickRange
from connecttrade_async.sandbox.world.symbols import Option, parse_option

__all__ = ["OrderLeg", "UnitPrice", "WorkingOrder"]


class OrderLeg(NamedTuple):
    """One symbol of an order, what is done with it, and how often per unit of the order."""

    symbol: str
    action: str
    ratio: int

    @property
    def sign(self) -> int:
        """1 if it is bought, -1 if it is sold."""
        return 1 if self.action.startswith("BUY") else -1

    def cost(self, quote: Quote) -> Decimal:
        """What it costs to take what is offered, per unit of the order; negative if it is sold."""
        return (quote.ask if self.sign > 0 else -quote.bid) * self.ratio

    def worth(self, last: Decimal) -> Decimal:
        """What it costs at a last price."""
        return last * self.sign * self.ratio


class UnitPrice(NamedTuple):
    """Prices at which one unit of an order can trade. `price` is seen from its side, `legs` from each leg's own."""

    price: Decimal
    legs: tuple[Decimal, ...]


@dataclass(slots=True, kw_only=True, eq=False)
class WorkingOrder:
    """One order at work.

    Attributes:
        account: the account of the order.
        order_id: its id there.
        serial: its place among all orders ever at work; of two things at one moment the older order's happens first.
        created_at: when it was placed.
        is_idle: whether the market leaves it alone, as it does what was written into the books by hand.
        accepted_at: when the broker took it, None before.
        ready_at: when it may trade next; a trade takes its time.
        looked_to: up to when it is known not to have traded.
        is_triggered: whether its stop was reached; true for an order without one.
        leaves_at: when a cancellation or replacement takes effect.
        successor: what takes its place then; None if it is to be cancelled.
        total: how much its owner wants of it and of what it replaced together; None unless it is a successor.
        unit_margin: the initial margin that one unit of it needs, in dollars.
        opening: how many units of it need margin; the others close what is held.
        version: counts what was planned for it; only the last plan counts.
    """

    account: Account
    order_id: str
    serial: int
    created_at: datetime
    is_idle: bool = False
    accepted_at: datetime | None = None
    ready_at: datetime
    looked_to: datetime
    is_triggered: bool = False
    leaves_at: datetime | None = None
    successor: "WorkingOrder | None" = None
    total: Decimal | None = None
    unit_margin: Decimal = Decimal(0)
    opening: Decimal = Decimal(0)
    version: int = 0
    parts: tuple[OrderLeg, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = parts_of(self.order)

    @property
    def order(self) -> Order:
        """The order as it is now."""
        return self.account.order(self.order_id)

    @property
    def left(self) -> Decimal:
        """How many units may still trade; an order by notional counts as one."""
        left = self.order.left
        return Decimal(1) if left is None else left

    @property
    def options(self) -> tuple[Option, ...]:
        """The options in it, none of which outlives its last day."""
        return tuple(option for part in self.parts if (option := parse_option(part.symbol)) is not None)

    @property
    def margin(self) -> Decimal:
        """The initial margin that it will need, in dollars; nothing when another is about to take its place."""
        if self.successor is not None:
            return Decimal(0)
        return self.unit_margin * min(self.left, self.opening)

    @property
    def sign(self) -> int:
        """1 if its price is what it costs, -1 if it is what it brings."""
        return 1 if self.order.side.startswith("BUY") else -1

    def deal(self, market: Market, at: datetime) -> UnitPrice:
        """At which prices it would trade now."""
        quotes = [market.quote(part.symbol, at) for part in self.parts]
        debit = sum((part.cost(quote) for part, quote in zip(self.parts, quotes, strict=True)), Decimal(0))
        each = tuple(quote.ask if part.sign > 0 else quote.bid for part, quote in zip(self.parts, quotes, strict=True))
        return self._deal(debit, each)

    def auction(self, market: Market, at: datetime) -> UnitPrice:
        """Return the prices of an auction, which are the last ones."""
        prices = tuple(market.last(part.symbol, at) for part in self.parts)
        worth = (part.worth(price) for part, price in zip(self.parts, prices, strict=True))
        return self._deal(sum(worth, Decimal(0)), prices)

    def meets_limit(self, debit: Decimal) -> bool:
        """Whether its limit, if it has one, lets it trade at this debit or a higher one than it will be."""
        limit = self.order.order_limit_price
        return limit is None or debit <= limit * self.sign

    def meets_stop(self, debit: Decimal) -> bool:
        """Whether its stop, if it has one, is reached at this debit."""
        stop = self.order.stop_price
        return stop is None or debit >= stop * self.sign

    def least(self, market: Market, cell: TickRange) -> Decimal:
        """The least debit at which it may trade in a stretch of time."""
        ends = ((part, market.bounds(part.symbol, cell)) for part in self.parts)
        costs = (part.cost(quote_of(part.symbol, low if part.sign > 0 else high)) for part, (low, high) in ends)
        return sum(costs, Decimal(0))

    def most(self, market: Market, cell: TickRange) -> Decimal:
        """The highest debit by last prices in a stretch of time."""
        ends = ((part, market.bounds(part.symbol, cell)) for part in self.parts)
        worths = (part.worth(high if part.sign > 0 else low) for part, (low, high) in ends)
        return sum(worths, Decimal(0))

    def _deal(self, debit: Decimal, each: tuple[Decimal, ...]) -> UnitPrice:
        return UnitPrice(debit * self.sign, each if self.order.legs else ())


def parts_of(order: Order) -> tuple[OrderLeg, ...]:
    """The symbols of an order, each with its own side."""
    if order.symbol is not None:
        return (OrderLeg(order.symbol, order.side, 1),)
    return tuple(OrderLeg(leg.symbol, leg.action, leg.ratio) for leg in order.legs)
