"""Below the waterline: what positions, orders and balances come to.

Sums are exact, whatever the caller's decimal context says; only an average can round, and says how. A number that the
broker did not give is never taken for zero: it is left out, and counted as missing.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.amounts import EXACT
from connecttrade_async.errors import ConfigurationError
from connecttrade_async.models.enums import OrderStatus
from connecttrade_async.models.orders import Fill, Order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from connecttrade_async.models.balances import Balance
    from connecttrade_async.models.positions import Position

__all__ = [
    "AverageFillPrice",
    "DailySummary",
    "SymbolProfit",
    "Total",
    "average_fill_price",
    "daily_summary",
    "partially_filled",
    "total_unrealized_pl",
]


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A sum, and what it is a sum of.

    Attributes:
        total: the exact sum of the numbers that there were; zero if there were none.
        counted: how many numbers there were.
        missing: how many the broker did not give.
    """

    total: Decimal
    counted: int
    missing: int

    def __repr__(self) -> str:
        return f"<Total {self}, {self.counted} counted>"

    def __str__(self) -> str:
        return f"{self.total:f}" + (f" ({self.missing} missing)" if self.missing else "")


class AverageFillPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What executions cost on average.

    Attributes:
        price: per share, weighted by volume; None where nothing was filled, or nobody says at what price. Rounded
            half-even to 28 significant digits, or to more where the prices and quantities themselves have more.
        quantity: the shares or contracts that the price speaks for, exactly.
        counted: how many executions that is.
        missing: how many executions came without a price or a quantity, and are left out.
    """

    price: Decimal | None
    quantity: Decimal
    counted: int
    missing: int

    def __repr__(self) -> str:
        price = "unknown" if self.price is None else f"{self.price:f}"
        return f"<AverageFillPrice {price} for {self.quantity:f}, {self.counted} counted, {self.missing} missing>"


class SymbolProfit(msgspec.Struct, frozen=True, kw_only=True):
    """Gain or loss in one symbol, over all accounts that hold it.

    Attributes:
        symbol: CQS or OSI.
        quantity: shares or contracts; below zero when short.
        unrealized_pl: gain or loss since opening.
        daily_pl: gain or loss today.
        total_pl: gain or loss in all.
    """

    symbol: str
    quantity: Total
    unrealized_pl: Total
    daily_pl: Total
    total_pl: Total

    def __repr__(self) -> str:
        profit = f"unrealized {self.unrealized_pl}, today {self.daily_pl}, in all {self.total_pl}"
        return f"<SymbolProfit {self.symbol}: {profit}>"


class DailySummary(msgspec.Struct, frozen=True, kw_only=True):
    """The day in one value.

    Attributes:
        cash: money not invested, over all balances.
        buying_power: what may be spent, over all balances.
        unrealized_pl: gain or loss since opening, over all positions.
        daily_pl: gain or loss today, over all positions.
        total_pl: gain or loss in all, over all positions.
        symbols: gain or loss of each symbol, sorted by symbol.
    """

    cash: Total
    buying_power: Total
    unrealized_pl: Total
    daily_pl: Total
    total_pl: Total
    symbols: tuple[SymbolProfit, ...]

    @property
    def by_symbol(self) -> dict[str, SymbolProfit]:
        """The same gains and losses, by symbol."""
        return {profit.symbol: profit for profit in self.symbols}

    def __repr__(self) -> str:
        money = f"cash {self.cash}, buying power {self.buying_power}"
        profit = f"unrealized {self.unrealized_pl}, today {self.daily_pl}, in all {self.total_pl}"
        return f"<DailySummary {money}; {profit}; symbols {len(self.symbols)}>"


_FEWEST_DIGITS = 28
_ZERO = Decimal(0)
_NOTHING_FILLED = frozenset({OrderStatus.PENDING, OrderStatus.WORKING, OrderStatus.REJECTED})
_Execution = tuple[Decimal | None, Decimal | None]


def total_unrealized_pl(positions: Iterable[Position]) -> Total:
    """Add up the gain or loss since opening (documented: ``unrealized_pl``).

    Args:
        positions: of any accounts.

    Returns:
        The sum, and how many positions gave no number.

    Raises:
        MalformedResponseError: a position's text is no number.
    """
    return _total(position.unrealized_pl for position in positions)


def average_fill_price(executed: Iterable[Order | Fill]) -> AverageFillPrice:
    """Average the price of executions, weighted by volume.

    An order counts by its fills, if they all have their numbers and add up to what the order says was filled; else by
    its own filled quantity and average price; else by those of too few fills that can be read, and one more is missing
    for what they leave unexplained. Of fills that come to more than was filled none is believed, and the order is
    missing. An order that is pending, working or rejected and tells of no execution has none.

    Args:
        executed: orders or fills, or both, of one symbol; fills of orders that are given too would count twice.

    Returns:
        The average, None if there is none, with how many executions it speaks for and how many are missing.

    Raises:
        MalformedResponseError: a price's or a quantity's text is no number.
    """
    executions = [pair for item in executed for pair in _executions(item)]
    known = [(qty.copy_abs(), price) for qty, price in executions if qty is not None and price is not None]
    volume = _sum(qty for qty, _ in known)
    money = _sum(EXACT.multiply(qty, price) for qty, price in known)
    return AverageFillPrice(
        price=_divided(money, volume) if volume else None,
        quantity=volume,
        counted=len(known),
        missing=len(executions) - len(known),
    )


def daily_summary(balances: Iterable[Balance], positions: Iterable[Position]) -> DailySummary:
    """Sum up the day: cash, buying power, and gain or loss in each symbol.

    Args:
        balances: of any accounts, in one currency; one that names no currency is taken to be in that of the others.
        positions: of the same accounts; those in the same symbol are added up.

    Returns:
        The summary; each sum tells how many numbers are missing in it.

    Raises:
        ConfigurationError: the balances are in several currencies, which cannot be added.
        MalformedResponseError: a text is no number.
    """
    money, held = tuple(balances), tuple(positions)
    _check_one_currency(money)
    by_symbol: defaultdict[str, list[Position]] = defaultdict(list)
    for position in held:
        by_symbol[position.symbol].append(position)
    return DailySummary(
        cash=_total(balance.cash for balance in money),
        buying_power=_total(balance.buying_power for balance in money),
        unrealized_pl=total_unrealized_pl(held),
        daily_pl=_total(position.daily_pl for position in held),
        total_pl=_total(position.total_pl for position in held),
        symbols=tuple(_profit(symbol, by_symbol[symbol]) for symbol in sorted(by_symbol)),
    )


def partially_filled(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Pick the orders of which a part was filled, and a part was not.

    Those are the orders whose status says ``partially_filled``, and those of any other status but ``filled`` of which
    something was filled, and less than was ordered. So an order that was cancelled half-way is among them:
    ``order.status`` tells.

    Args:
        orders: of any accounts.

    Returns:
        Some of them, in their order.

    Raises:
        MalformedResponseError: a quantity's text is no number.
    """
    return tuple(order for order in orders if _is_partial(order))


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = _ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total


def _total(values: Iterable[Decimal | None]) -> Total:
    listed = list(values)
    known = [value for value in listed if value is not None]
    return Total(total=_sum(known), counted=len(known), missing=len(listed) - len(known))


def _divided(money: Decimal, volume: Decimal) -> Decimal:
    # The digits of the product are never fewer than a price's, so an average of equal prices is that price, exactly.
    digits = max(_FEWEST_DIGITS, len(money.as_tuple().digits))
    context = EXACT.copy()
    context.prec = digits
    return context.divide(money, volume)


def _executions(item: Order | Fill) -> list[_Execution]:
    if isinstance(item, Fill):
        return [(item.quantity, item.price)]
    fills: list[_Execution] = [(fill.quantity, fill.price) for fill in item.fills]
    filled = None if item.filled_qty is None else item.filled_qty.copy_abs()
    explained = _sum(qty.copy_abs() for qty, _ in fills if qty is not None)
    is_short = filled is not None and explained < filled
    is_beyond = filled is not None and explained > filled
    if fills and not is_short and not is_beyond and all(None not in pair for pair in fills):
        return fills
    if filled and item.avg_fill_price is not None:
        return [(filled, item.avg_fill_price)]
    if is_beyond:
        return [(None, None)]
    is_untold = filled is None and not fills and item.status not in _NOTHING_FILLED
    # A fill without a quantity may be what is short; it is counted as missing already.
    is_partly_told = is_short and all(qty is not None for qty, _ in fills)
    return [*fills, (None, None)] if is_untold or is_partly_told else fills


def _check_one_currency(balances: Iterable[Balance]) -> None:
    currencies = sorted({balance.currency for balance in balances if balance.currency})
    if len(currencies) > 1:
        raise ConfigurationError(f"money in {' and '.join(currencies)} cannot be added: summarise one at a time")


def _profit(symbol: str, positions: Iterable[Position]) -> SymbolProfit:
    held = tuple(positions)
    return SymbolProfit(
        symbol=symbol,
        quantity=_total(position.quantity for position in held),
        unrealized_pl=total_unrealized_pl(held),
        daily_pl=_total(position.daily_pl for position in held),
        total_pl=_total(position.total_pl for position in held),
    )


def _is_partial(order: Order) -> bool:
    if order.status in {OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED}:
        return order.status is OrderStatus.PARTIALLY_FILLED
    filled = order.filled_qty
    if filled is None:
        filled = _sum(fill.quantity for fill in order.fills if fill.quantity is not None)
    # An order by notional has no quantity to fall short of; what is not filled in full is filled in part.
    return bool(filled) and (order.order_qty is None or filled.copy_abs() < order.order_qty.copy_abs())
