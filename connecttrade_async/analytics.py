"""Totals and averages over positions, orders and balances.

Sums are exact, independent of the application's decimal context; only an average can round. A number that the broker
did not send is never treated as zero: it is excluded from the sum and counted as missing.
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
    """A sum, with the counts of present and missing numbers.

    Attributes:
        total: the exact sum of the present numbers; zero if there are none.
        counted: the count of present numbers.
        missing: the count of numbers that the broker did not send.
    """

    total: Decimal
    counted: int
    missing: int

    def __repr__(self) -> str:
        return f"<Total {self}, {self.counted} counted>"

    def __str__(self) -> str:
        return f"{self.total:f}" + (f" ({self.missing} missing)" if self.missing else "")


class AverageFillPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The average price of executions.

    Attributes:
        price: dollars per share, weighted by volume; None where nothing was filled, or no price is known. Rounded
            half-even to 28 significant digits, or to more where the prices and quantities themselves have more.
        quantity: the exact number of shares or contracts that the average covers.
        counted: the count of executions that the average covers.
        missing: the count of executions without a price or a quantity, which are excluded.
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
        quantity: shares or contracts; negative when short.
        unrealized_pl: gain or loss since opening.
        daily_pl: gain or loss today.
        total_pl: total gain or loss.
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
    """Cash, buying power and gains or losses of one day.

    Attributes:
        cash: money not invested, over all balances.
        buying_power: the amount available to spend, over all balances.
        unrealized_pl: gain or loss since opening, over all positions.
        daily_pl: gain or loss today, over all positions.
        total_pl: total gain or loss, over all positions.
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
    """Add up the gain or loss since opening, ``unrealized_pl`` (documented).

    Args:
        positions: positions of any accounts.

    Returns:
        The sum, with the count of positions without a number.

    Raises:
        MalformedResponseError: a position's text is not a number.
    """
    return _total(position.unrealized_pl for position in positions)


def average_fill_price(executed: Iterable[Order | Fill]) -> AverageFillPrice:
    """Average the price of executions, weighted by volume.

    Of an order, the first of these that applies is used:

    1. its fills, if all have a price and a quantity and their sum is the order's filled quantity;
    2. its own filled quantity and average price;
    3. nothing, if its fills add up to more than its filled quantity; the order then counts as one missing execution;
    4. the fills that have a price and a quantity, with one missing execution for the unexplained rest.

    An order that is pending, working or rejected and has no fills has no execution.

    Args:
        executed: orders or fills, or both, of one symbol. Fills of orders that are passed too count twice.

    Returns:
        The average, with the counts of executions that it covers and that are missing.

    Raises:
        MalformedResponseError: the text of a price or a quantity is not a number.
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
        balances: balances of any accounts, in one currency. A balance without a currency is assumed to be in that of
            the others.
        positions: positions of the same accounts; positions in the same symbol are added up.

    Returns:
        The summary; each sum has the count of numbers that are missing in it.

    Raises:
        ConfigurationError: the balances are in several currencies, which cannot be added.
        MalformedResponseError: the text of an amount is not a number.
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
    """Return the orders that are filled in part.

    An order is filled in part if its status is ``partially_filled``. So is an order of any other status but ``filled``
    with a filled quantity above zero and below the ordered one, such as an order that was cancelled half-way.

    Args:
        orders: orders of any accounts.

    Returns:
        The partially filled orders, in the order of the argument.

    Raises:
        MalformedResponseError: the text of a quantity is not a number.
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
    # The product has at least as many digits as each price, so the average of equal prices is exactly that price.
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
    is_less = filled is not None and explained < filled
    is_more = filled is not None and explained > filled
    if fills and not is_less and not is_more and all(None not in pair for pair in fills):
        return fills
    if filled and item.avg_fill_price is not None:
        return [(filled, item.avg_fill_price)]
    if is_more:
        return [(None, None)]
    is_unreported = filled is None and not fills and item.status not in _NOTHING_FILLED
    # A fill without a quantity may account for the difference, and already counts as missing.
    is_incomplete = is_less and all(qty is not None for qty, _ in fills)
    return [*fills, (None, None)] if is_unreported or is_incomplete else fills


def _check_one_currency(balances: Iterable[Balance]) -> None:
    currencies = sorted({balance.currency for balance in balances if balance.currency})
    if len(currencies) > 1:
        found = " and ".join(currencies)
        raise ConfigurationError(f"balances must be in one currency, got {found}: summarize one currency at a time")


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
    # An order by notional has no ordered quantity: if anything is filled and the status is not FILLED, it is a part.
    return bool(filled) and (order.order_qty is None or filled.copy_abs() < order.order_qty.copy_abs())
