"""Describe orders in words, before they are sent and after.

The description holds exactly the numbers of the ticket. Fields of the API's orders are quoted unchanged.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from connecttrade_async.amounts import plain
from connecttrade_async.cli.output import figure
from connecttrade_async.errors import SymbolError
from connecttrade_async.models import Order, OrderStatus
from connecttrade_async.symbology import OptionRight, parse_option

if TYPE_CHECKING:
    from connecttrade_async.tickets import OrderTicket, TicketLeg

__all__ = [
    "change_rows",
    "changed_order",
    "describe",
    "filled_text",
    "lookup_command",
    "outcome",
    "status_of",
    "ticket_rows",
]

_AMOUNTS = ("order_qty", "order_notional", "order_limit_price", "stop_price")
_WIDEST_SIDE = len("sell to close")
_RIGHTS = {OptionRight.CALL: "call", OptionRight.PUT: "put"}


def describe(order: OrderTicket | Order) -> str:
    """Describe an order, ``buy 10 AAPL at 190.50 or less``; one without a side or symbol by its id."""
    if isinstance(order, Order) and not (order.side and (order.symbol or order.legs)):
        return f"order {order.order_id}"
    return " ".join(filter(None, (_side(order.side), _what(order), _price(order))))


def ticket_rows(ticket: OrderTicket, account_name: str, title: str = "") -> list[tuple[str, str]]:
    """Describe a ticket in rows, for the confirmation before it is sent.

    Args:
        ticket: the ticket.
        account_name: the display name of the account.
        title: the name of the strategy, if it has one.

    Returns:
        Rows of a name and a value.
    """
    order = f"{_side(ticket.side)} {_what(ticket)}"
    rows = [("Order", f"{title}: {order}" if title else order)]
    rows += [("" if number else "Legs", _leg(leg)) for number, leg in enumerate(ticket.legs)]
    if ticket.symbol and (option := _option(ticket.symbol)):
        rows.append(("Option", option))
    return [
        *rows,
        ("Price", _price(ticket)),
        ("Works for", str(ticket.order_tif)),
        ("Account", account_name),
        ("Its id", ticket.cl_order_id),
    ]


def change_rows(order: Order, sent: dict[str, str]) -> list[tuple[str, str]]:
    """Describe a replacement or cancellation in rows, for the confirmation before it is sent.

    Args:
        order: the present order.
        sent: the fields of the request; empty for a cancellation.

    Returns:
        Rows of a name and a value.
    """
    names = dict(zip(_AMOUNTS, ("Quantity", "Notional", "Limit", "Stop"), strict=True))
    rows = [("Order", describe(order)), ("Status", status_of(order))]
    if filled_text(order):
        rows.append(("So far", filled_text(order)))
    for field, name in names.items():
        if field in sent:
            rows.append((name, f"{_amount(order, field) or 'none'} becomes {figure(sent[field])}"))
    return [*rows, ("Order id", order.order_id)]


def changed_order(order: Order, sent: dict[str, str]) -> Order:
    """Return an order with the fields that a replacement changes."""
    return msgspec.structs.replace(order, **{f"{field}_text": sent[field] for field in _AMOUNTS if field in sent})


def outcome(lead: str, order: Order, description: str) -> str:
    """Describe the outcome of an action in one sentence.

    Args:
        lead: the completed action, such as ``Placed``.
        order: the order that the API returned, which may hold no more than ids and a status.
        description: the order in words.
    """
    so_far = f", {filled_text(order)}" if filled_text(order) else ""
    return f"{lead}: {description}, now {status_of(order)}{so_far}; {lookup_command(order.order_id)} shows more."


def lookup_command(any_id: str) -> str:
    """Return the shell command that shows an order."""
    return f"`connecttrade orders --find {any_id}`"


def status_of(order: Order) -> str:
    """Describe the status of an order."""
    return "in an unknown status" if order.status is None else order.status.replace("_", " ")


def filled_text(order: Order) -> str:
    """Describe the fills of an order, ``4 filled at 190.48``; empty without fills."""
    quantity = order.filled_qty_text or ""
    if not quantity.strip("0.") and order.status is not OrderStatus.PARTIALLY_FILLED:
        return ""
    at = f" at {figure(order.avg_fill_price_text)}" if order.avg_fill_price_text else ""
    return f"{figure(quantity) or 'a part'} filled{at}"


def _side(side: str | None) -> str:
    return (side or "trade").replace("_", " ").lower()


def _what(order: OrderTicket | Order) -> str:
    money, quantity = _amount(order, "order_notional"), _amount(order, "order_qty")
    size = f"${money} of" if money else quantity or "some of"
    if order.symbol:
        return f"{size} {order.symbol}"
    roots = dict.fromkeys(_root(leg.symbol) for leg in order.legs if leg.symbol)
    units = f"${money} of units" if money else f"{quantity or 'some'} {'unit' if quantity == '1' else 'units'}"
    return f"{units} of {len(order.legs)} legs in {', '.join(roots)}"


def _price(order: OrderTicket | Order) -> str:
    if order.order_type is None:
        return ""
    limit, stop = _amount(order, "order_limit_price"), _amount(order, "stop_price")
    bound = "less" if (order.side or "").startswith("BUY") else "more"
    price = f"at {limit} or {bound}" if limit else "at the market's price"
    return f"{price}, once it has touched {stop}" if stop else price


def _amount(order: OrderTicket | Order, field: str) -> str:
    """Format a number of an order; of an order of the API the text of the response."""
    if isinstance(order, Order):
        return figure(getattr(order, f"{field}_text") or "")
    value = getattr(order, field)
    return figure(plain(value)) if isinstance(value, Decimal) else ""


def _leg(leg: TicketLeg) -> str:
    ratio = leg.payload()["ratio"]
    return f"{_side(leg.action):<{_WIDEST_SIDE}} {figure(ratio)} {leg.symbol}: {_option(leg.symbol)}"


def _root(symbol: str) -> str:
    try:
        return parse_option(symbol).root
    except SymbolError:
        return symbol


def _option(symbol: str) -> str:
    try:
        option = parse_option(symbol)
    except SymbolError:
        return ""
    strike = plain(option.strike).rstrip("0").rstrip(".")
    return f"{option.root} {figure(strike)} {_RIGHTS[option.right]}, expires {option.expiry}"
