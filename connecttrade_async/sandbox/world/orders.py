"""The world's records: orders, fills and transactions as values that never change once written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.world.brokers import Broker
from connecttrade_async.sandbox.world.symbols import instrument_of, is_crypto, is_option, is_stock

__all__ = [
    "CLOSED",
    "EDGES",
    "LEG_SIDES",
    "OPEN",
    "SIDES",
    "STATUSES",
    "STOCK_SIDES",
    "TIFS",
    "TYPES",
    "Fill",
    "Leg",
    "Order",
    "Ticket",
    "Transaction",
    "check_ticket",
]

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
        replaces: the order_id of the order that it replaces.
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


STOCK_SIDES = ("BUY", "SELL", "SELL_SHORT", "BUY_TO_COVER")
LEG_SIDES = ("BUY_TO_OPEN", "BUY_TO_CLOSE", "SELL_TO_OPEN", "SELL_TO_CLOSE")
_FEWEST_LEGS, _MOST_LEGS = 2, 4
_COVERS = "TRADESTATION"
"""The one broker that has a side of its own for covering (documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order request. Names are the wire's, see there; prices in dollars per share or option unit."""

    cl_order_id: str
    side: str
    order_type: str
    order_tif: str
    symbol: str | None = None
    order_qty: Decimal | None = None
    order_notional: Decimal | None = None
    order_limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    legs: tuple[Leg, ...] = ()

    @property
    def instrument(self) -> str:
        """``STK``, ``OPT``, ``MLEG_OPT`` or ``CRYPTO`` (assumed)."""
        return "MLEG_OPT" if self.symbol is None else instrument_of(self.symbol)


def check_ticket(ticket: Ticket, broker: Broker) -> None:
    """Refuse a ticket that makes no sense.

    Raises:
        BadRequestError: the sentence names the field that is wrong.
    """
    _check_symbols(ticket)
    _check_side(ticket, broker)
    _check_amount(ticket)
    _check_prices(ticket)


def _check_symbols(ticket: Ticket) -> None:
    if (ticket.symbol is None) is not bool(ticket.legs):
        raise BadRequestError("symbol is needed, or legs with a symbol that is null, not both.")
    if ticket.symbol is not None:
        if not (is_stock(ticket.symbol) or is_option(ticket.symbol) or is_crypto(ticket.symbol)):
            raise BadRequestError(f"symbol {ticket.symbol!r} is neither a CQS stock nor an OSI option.")
        return
    if not _FEWEST_LEGS <= len(ticket.legs) <= _MOST_LEGS:
        raise BadRequestError(f"legs must be {_FEWEST_LEGS} to {_MOST_LEGS}.")
    for number, leg in enumerate(ticket.legs):
        if not is_option(leg.symbol):
            raise BadRequestError(f"legs[{number}].symbol {leg.symbol!r} is no OSI option.")
    if len({leg.symbol for leg in ticket.legs}) < len(ticket.legs):
        raise BadRequestError("legs must each have another symbol.")


def _check_side(ticket: Ticket, broker: Broker) -> None:
    known = STOCK_SIDES if ticket.instrument in {"STK", "CRYPTO"} else LEG_SIDES
    if ticket.side not in known:
        raise BadRequestError(f"side must be one of {', '.join(known)} for a {ticket.instrument}.")
    if ticket.side == "BUY_TO_COVER" and broker.code != _COVERS:
        raise BadRequestError(f"side BUY_TO_COVER is for {_COVERS} only; {broker.name} covers with BUY.")


def _check_amount(ticket: Ticket) -> None:
    if (ticket.order_qty is None) is (ticket.order_notional is None):
        raise BadRequestError("Either order_qty or order_notional is needed, not both.")
    if ticket.instrument in {"STK", "CRYPTO"}:
        return
    if ticket.order_qty is None:
        raise BadRequestError("order_notional is for stocks and cryptocurrency only; an option needs order_qty.")
    if ticket.order_qty != ticket.order_qty.to_integral_value():
        raise BadRequestError("order_qty must be a whole number of contracts.")


def _check_prices(ticket: Ticket) -> None:
    for name, value, takers in (
        ("order_limit_price", ticket.order_limit_price, ("LMT", "STPLMT")),
        ("stop_price", ticket.stop_price, ("STP", "STPLMT")),
    ):
        if value is None and ticket.order_type in takers:
            raise BadRequestError(f"{name} is needed for the order_type {ticket.order_type}.")
        if value is not None and ticket.order_type not in takers:
            raise BadRequestError(f"{name} is not wanted for the order_type {ticket.order_type}.")
