"""The order ticket, and the JSON bodies that place and replace orders.

A ticket is validated at construction and is immutable, so every ticket can be sent.
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
from connecttrade_async.tickets.validation import (
    parse_quantity_or_notional,
    read_contract,
    read_number,
    read_text,
    validate_terms,
)

__all__ = ["OrderTicket", "replacement"]

_AMOUNTS = ("order_qty", "order_notional", "order_limit_price", "stop_price")


class OrderTicket(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is ready to be sent. Fields and names are (documented); the notional of a new order is (assumed).

    The builders of ``tickets`` return tickets. The constructor validates as strictly, and converts texts and ints to
    the types of the fields.

    Attributes:
        account_id: the account's id.
        broker: the broker's code; any code is accepted, since not all are published.
        symbol: CQS, OSI without padding, or any other, such as ``BTC/USD``; None for a multi-leg order.
        instrument: ``STK``, ``OPT`` or ``MLEG_OPT``, by the symbol or the legs; or the argument. None, and then not
            sent, where there is no argument and the symbol is neither a stock nor an option.
        side: the side; in a multi-leg order, ``BUY_TO_...`` pays the price and ``SELL_TO_...`` receives it.
        order_type: the pricing.
        order_tif: the time in force.
        order_qty: shares, contracts, or units of a multi-leg order; or None, with a notional.
        order_notional: money to spend; or None, with a quantity.
        order_limit_price: dollars per share, of an ``LMT`` or ``STPLMT`` order.
        stop_price: dollars per share, of an ``STP`` or ``STPLMT`` order.
        legs: 2 to 4 legs of a multi-leg order; else empty.
        cl_order_id: the client's id of the order, by which the order can be found even if the response is lost. A
            generated id is a UUID of version 7: unique, 36 characters of hexadecimal digits and hyphens, sortable by
            time. Your own may be any text that is unique on the day (documented).

    Raises:
        TicketError: the order is invalid; ``problems`` has every problem.
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
        """Validate every field, and store the parsed values."""
        given, problems = asdict(self), list[str]()
        contract = read_contract(given, problems)
        terms = validate_terms(given, contract["instrument"], problems)
        if problems:
            raise TicketError(problems)
        for name, value in (contract | terms).items():
            force_setattr(self, name, value)

    def payload(self) -> dict[str, Any]:
        """Return the JSON object of ``POST /orders`` (documented).

        Returns:
            An object of texts; numbers are texts of plain digits, never with an exponent. Only the symbol of a
            multi-leg order is null, and its ``legs`` are a list of objects of texts. A missing instrument has no key.
        """
        body: dict[str, Any] = {
            "account_id": self.account_id,
            "cl_order_id": self.cl_order_id,
            "broker": str(self.broker),
            "side": str(self.side),
            "order_type": str(self.order_type),
            "order_tif": str(self.order_tif),
            "symbol": self.symbol,
        }
        if self.instrument is not None:
            body["instrument"] = str(self.instrument)
        body |= {name: plain(value) for name in _AMOUNTS if (value := getattr(self, name)) is not None}
        return body | ({"legs": [one.payload() for one in self.legs]} if self.legs else {})


def replacement(
    new_cl_order_id: str,
    broker: str,
    *,
    qty: Amount | None = None,
    notional: Amount | None = None,
    price: Amount | None = None,
    stop: Amount | None = None,
) -> dict[str, str]:
    """Return the JSON object of ``PATCH /accounts/{account_id}/orders/{order_id}`` to replace an order (documented).

    Args:
        new_cl_order_id: the id of the replacing order.
        broker: the broker's code; any code is accepted.
        qty: shares, contracts, or units of a multi-leg order.
        notional: money to spend, instead of a quantity.
        price: the limit, in dollars per share.
        stop: the trigger, in dollars per share.

    Returns:
        The changed fields, numbers as plain text. Omitted fields stay unchanged.

    Raises:
        TicketError: an argument is invalid, or nothing is changed; ``problems`` has every problem.
    """
    problems: list[str] = []
    new_id = read_text("new_cl_order_id", new_cl_order_id, problems)
    code = read_text("broker", broker, problems)
    sizes = parse_quantity_or_notional(qty, notional, problems)
    prices = read_number("limit price", price, problems), read_number("stop price", stop, problems)
    if all(given is None for given in (qty, notional, price, stop)):
        problems.append("the replacement must change a quantity, a notional, a limit price or a stop price, got none")
    if new_id is None or code is None or problems:
        raise TicketError(problems)
    changes = dict(zip(_AMOUNTS, (*sizes, *prices), strict=True))
    body = {"new_cl_order_id": new_id, "broker": str(Broker(code))}
    return body | {name: plain(value) for name, value in changes.items() if value is not None}
