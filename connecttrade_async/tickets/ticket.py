"""Below the waterline: the ticket, which is an order before a broker knows it, and what of it is sent.

A ticket that exists can be sent: it is checked when it is made, however it is made, and it never changes.
"""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - msgspec reads the annotations
from typing import Any

import msgspec
from msgspec.structs import asdict, force_setattr

from connecttrade_async.amounts import Amount, plain
from connecttrade_async.errors import TicketError
from connecttrade_async.ids import new_order_id
from connecttrade_async.models.enums import Broker, Instrument, OrderType, Side, TimeInForce
from connecttrade_async.tickets.legs import TicketLeg  # noqa: TC001 - msgspec reads the annotations
from connecttrade_async.tickets.parsing import parse_quantity_or_notional, read_number, read_text
from connecttrade_async.tickets.validation import read_contract, validate_terms

__all__ = ["OrderTicket", "replacement"]

_AMOUNTS = ("order_qty", "order_notional", "order_limit_price", "stop_price")


class OrderTicket(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is ready to be sent (fields and names documented; the notional on a new order ``Assumed:``).

    The builders of ``tickets`` make these. Made directly, it is checked as strictly, and texts and ints are read as the
    values that its fields hold.

    Attributes:
        account_id: whose.
        broker: the broker's code; any code passes, since not all are published.
        symbol: CQS, OSI without padding, or any other, such as ``BTC/USD``; None for a multi-leg order.
        instrument: ``STK``, ``OPT`` or ``MLEG_OPT``, by the symbol or the legs; or what was given. None, and then not
            sent, where none was given and the symbol names neither a stock nor an option.
        side: which way it goes; of a multi-leg order, ``BUY_TO_...`` pays the price and ``SELL_TO_...`` receives it.
        order_type: how it is priced.
        order_tif: how long it works.
        order_qty: shares, contracts, or units of a multi-leg order; or None, with a notional.
        order_notional: money to spend; or None, with a quantity.
        order_limit_price: dollars per share, of an ``LMT`` or ``STPLMT`` order.
        stop_price: dollars per share, of an ``STP`` or ``STPLMT`` order.
        legs: 2 to 4 legs of a multi-leg order; else none.
        cl_order_id: the order's own id from birth, by which it can be found whatever happens to the answer. Ours are
            UUIDs of version 7: unique, 36 characters of hexadecimal digits and hyphens, and in the order of their
            making as text. Yours may be any text that is unique on the day (documented).

    Raises:
        TicketError: it cannot be sent; its ``problems`` are all that is wrong.
    """

    account_id: str
    broker: Broker
    symbol: str | None = None
    instrument: Instrument | None = None
    side: Side
    order_type: OrderType
    order_tif: TimeInForce = TimeInForce.DAY
    order_qty: Decimal | None = None
    order_notional: Decimal | None = None
    order_limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    legs: tuple[TicketLeg, ...] = ()
    cl_order_id: str = msgspec.field(default_factory=new_order_id)

    def __post_init__(self) -> None:
        """Refuse what cannot be sent, naming all that is wrong, and hold the rest as values."""
        given, problems = asdict(self), list[str]()
        contract = read_contract(given, problems)
        terms = validate_terms(given, contract["instrument"], problems)
        if problems:
            raise TicketError(problems)
        for name, value in (contract | terms).items():
            force_setattr(self, name, value)

    def payload(self) -> dict[str, Any]:
        """Return exactly what ``POST /orders`` sends, as JSON will have it (documented).

        Returns:
            Texts alone, numbers among them: plain digits, never an exponent. Nothing is null but the symbol of a
            multi-leg order, whose ``legs`` are a list of objects of texts. Without an instrument there is no such key.
        """
        sent: dict[str, Any] = {
            "account_id": self.account_id,
            "cl_order_id": self.cl_order_id,
            "broker": str(self.broker),
            "side": str(self.side),
            "order_type": str(self.order_type),
            "order_tif": str(self.order_tif),
            "symbol": self.symbol,
        }
        if self.instrument is not None:
            sent["instrument"] = str(self.instrument)
        sent |= {name: plain(value) for name in _AMOUNTS if (value := getattr(self, name)) is not None}
        return sent | ({"legs": [one.payload() for one in self.legs]} if self.legs else {})


def replacement(
    new_cl_order_id: str,
    broker: str,
    *,
    qty: Amount | None = None,
    notional: Amount | None = None,
    price: Amount | None = None,
    stop: Amount | None = None,
) -> dict[str, str]:
    """Return exactly what ``PATCH /accounts/{account_id}/orders/{order_id}`` sends to replace an order (documented).

    Args:
        new_cl_order_id: the id of the order that takes the old one's place.
        broker: the broker's code; any code passes.
        qty: shares, contracts, or units of a multi-leg order.
        notional: money to spend, instead of a quantity.
        price: the limit, in dollars per share.
        stop: the trigger, in dollars per share.

    Returns:
        What changes, numbers as plain text; what is left out stays as it is.

    Raises:
        TicketError: it cannot be sent, or changes nothing; its ``problems`` are all that is wrong.
    """
    problems: list[str] = []
    new_id = read_text("new_cl_order_id", new_cl_order_id, problems)
    code = read_text("broker", broker, problems)
    sizes = parse_quantity_or_notional(qty, notional, problems)
    prices = read_number("limit price", price, problems), read_number("stop price", stop, problems)
    if all(given is None for given in (qty, notional, price, stop)):
        problems.append("nothing is to be changed: give a quantity, a notional, a limit price or a stop price")
    if new_id is None or code is None or problems:
        raise TicketError(problems)
    changes = dict(zip(_AMOUNTS, (*sizes, *prices), strict=True))
    sent = {"new_cl_order_id": new_id, "broker": str(Broker(code))}
    return sent | {name: plain(value) for name, value in changes.items() if value is not None}
