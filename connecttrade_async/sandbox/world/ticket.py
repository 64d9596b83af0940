"""The world's tickets: an order before a broker has it, and what makes one impossible whatever the market does."""

from dataclasses import dataclass
from decimal import Decimal

from connecttrade_async.sandbox.refusals import BadRequestError

from .brokers import Broker
from .records import Leg
from .symbols import is_option, is_stock

__all__ = ["LEG_SIDES", "STOCK_SIDES", "Ticket", "check_ticket"]

STOCK_SIDES = ("BUY", "SELL", "SELL_SHORT", "BUY_TO_COVER")
LEG_SIDES = ("BUY_TO_OPEN", "BUY_TO_CLOSE", "SELL_TO_OPEN", "SELL_TO_CLOSE")
_FEWEST_LEGS, _MOST_LEGS = 2, 4
_COVERS = "TRADESTATION"
"""The one broker that has a side of its own for covering (documented)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What somebody wants done. Names are the wire's, see there; prices in dollars per share or option unit."""

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
        """``STK``, ``OPT`` or ``MLEG_OPT``."""
        return "MLEG_OPT" if self.symbol is None else "OPT" if is_option(self.symbol) else "STK"


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
        if not (is_stock(ticket.symbol) or is_option(ticket.symbol)):
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
    known = STOCK_SIDES if ticket.instrument == "STK" else LEG_SIDES
    if ticket.side not in known:
        raise BadRequestError(f"side must be one of {', '.join(known)} for a {ticket.instrument}.")
    if ticket.side == "BUY_TO_COVER" and broker.code != _COVERS:
        raise BadRequestError(f"side BUY_TO_COVER is for {_COVERS} only; {broker.name} covers with BUY.")


def _check_amount(ticket: Ticket) -> None:
    if (ticket.order_qty is None) is (ticket.order_notional is None):
        raise BadRequestError("Either order_qty or order_notional is needed, not both.")
    if ticket.instrument == "STK":
        return
    if ticket.order_qty is None:
        raise BadRequestError("order_notional is for stocks only; an option needs order_qty.")
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
