"""The world's records: orders, fills and transactions as values that never change once written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

__all__ = ["CLOSED", "EDGES", "OPEN", "SIDES", "STATUSES", "TIFS", "TYPES", "Fill", "Leg", "Order", "Transaction"]

OPEN = ("pending", "working", "partially_filled", "pending_cancel", "pending_replace")
"""Statuses of an order that may still trade."""
CLOSED = ("filled", "cancelled", "rejected", "expired", "replaced")
"""Statuses that are final."""
STATUSES = OPEN + CLOSED
"""Every status, documented."""
SIDES = (
    "BUY",
    "SELL",
    "SELL_SHORT",
    "BUY_TO_COVER",
    "BUY_TO_OPEN",
    "BUY_TO_CLOSE",
    "SELL_TO_OPEN",
    "SELL_TO_CLOSE",
)
"""Every side, documented."""
TYPES = ("MKT", "LMT", "STP", "STPLMT")
"""Every order type, documented."""
TIFS = ("DAY", "GTC", "IOC", "FOK", "OPEN", "CLOSE", "DAY+", "GTC+")
"""Every time in force, documented."""

_ALIVE = frozenset({"partially_filled", "filled", "cancelled", "expired", "pending_cancel", "pending_replace"})
EDGES: Mapping[str, frozenset[str]] = {
    "pending": _ALIVE | {"working", "rejected"},
    "working": _ALIVE | {"rejected"},
    "partially_filled": _ALIVE,
    "pending_cancel": frozenset({"pending_cancel", "filled", "cancelled", "expired", "rejected"}),
    "pending_replace": _ALIVE - {"pending_cancel"} | {"working", "replaced", "rejected"},
    **{status: frozenset[str]() for status in CLOSED},
}
"""Where an order of each status may go; one that is final goes nowhere."""

_NINE = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Fill:
    """A piece of an order that traded.

    Attributes:
        price: dollars per share, per option unit, or the net per unit of a multi-leg order.
        leg_prices: what each leg traded at; empty for an order with one symbol.
    """

    fill_id: str
    time: datetime
    quantity: Decimal
    price: Decimal
    leg_prices: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Leg:
    """One option of a multi-leg order: its OSI symbol, its own side, and how many per unit of the order."""

    symbol: str
    action: str
    ratio: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order that a broker knows. What is derived from the fills is never stored, so it cannot disagree.

    Attributes:
        replaces: the order_id of the order whose place it takes.
        replaced_by: the order_id of the order that has taken its place.
    """

    order_id: str
    cl_order_id: str
    account_id: str
    broker: str
    side: str
    order_type: str
    order_tif: str
    symbol: str | None
    instrument: str
    status: str
    broker_status: str
    created_at: datetime
    updated_at: datetime
    order_qty: Decimal | None = None
    order_notional: Decimal | None = None
    order_limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    legs: tuple[Leg, ...] = ()
    fills: tuple[Fill, ...] = ()
    reject_reason: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None

    @property
    def key(self) -> tuple[datetime, str]:
        """Its place among all orders: the time it was made, then its id. Never changes."""
        return (self.created_at, self.order_id)

    @property
    def filled_qty(self) -> Decimal:
        """How much has traded."""
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status in OPEN

    @property
    def left(self) -> Decimal | None:
        """How much has not traded, None for an order by notional."""
        return None if self.order_qty is None else self.order_qty - self.filled_qty

    @property
    def avg_fill_price(self) -> Decimal | None:
        """The volume-weighted price of the fills to nine digits (documented), None before the first."""
        if not self.fills:
            return None
        return (sum(fill.quantity * fill.price for fill in self.fills) / self.filled_qty).quantize(_NINE)

    def touches(self, symbols: frozenset[str]) -> bool:
        """Whether the order, or one of its legs, is in one of these symbols."""
        return self.symbol in symbols or any(leg.symbol in symbols for leg in self.legs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One movement of money or shares. `amount` is what the cash changed by, in dollars, `fees` already taken off."""

    transaction_id: str
    account_id: str
    type: str
    date: date
    amount: Decimal
    description: str
    symbol: str | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    fees: Decimal | None = None
