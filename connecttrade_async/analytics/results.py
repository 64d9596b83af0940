"""Below the waterline: what the questions of ``analytics`` are answered with.

A sum always says how many numbers are in it, and how many the broker did not give.
"""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - msgspec reads the annotations

import msgspec

__all__ = ["AverageFillPrice", "DailySummary", "SymbolProfit", "Total"]


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
