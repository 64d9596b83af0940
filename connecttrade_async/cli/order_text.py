"""The front door: an order in words, before it is sent and after.

Its vow: the words are those of the ticket that is sent, number by number. What came back is quoted as it came.
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

__all__ = ["changed_order", "changes", "facts", "filled", "how_to_look", "in_words", "outcome", "status_of"]

_AMOUNTS = ("order_qty", "order_notional", "order_limit_price", "stop_price")
_WIDEST_SIDE = len("sell to close")
_RIGHTS = {OptionRight.CALL: "call", OptionRight.PUT: "put"}


def in_words(order: OrderTicket | Order) -> str:
    """Return what an order asks for: ``buy 10 AAPL at 190.50 or less``; of one that does not tell, its id."""
    if isinstance(order, Order) and not (order.side and (order.symbol or order.legs)):
        return f"order {order.order_id}"
    return " ".join(filter(None, (_side(order.side), _what(order), _price(order))))


def facts(ticket: OrderTicket, whose: str, title: str = "") -> list[tuple[str, str]]:
    """Return a ticket as a person reads it before it is sent.

    Args:
        ticket: what is to be sent.
        whose: the account, as people know it.
        title: the strategy, if it has a name.

    Returns:
        Names and values.
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
        ("Account", whose),
        ("Its id", ticket.cl_order_id),
    ]


def changes(order: Order, sent: dict[str, str]) -> list[tuple[str, str]]:
    """Return what a replacement changes, as a person reads it before it is sent.

    Args:
        order: as it is.
        sent: what is to be sent.

    Returns:
        Names and values.
    """
    names = dict(zip(_AMOUNTS, ("Quantity", "Notional", "Limit", "Stop"), strict=True))
    rows = [("Order", in_words(order)), ("Status", status_of(order))]
    if filled(order):
        rows.append(("So far", filled(order)))
    for field, name in names.items():
        if field in sent:
            rows.append((name, f"{_amount(order, field) or 'none'} becomes {figure(sent[field])}"))
    return [*rows, ("Order id", order.order_id)]


def changed_order(order: Order, sent: dict[str, str]) -> Order:
    """Return an order as a replacement wants it."""
    return msgspec.structs.replace(order, **{f"{field}_text": sent[field] for field in _AMOUNTS if field in sent})


def outcome(lead: str, order: Order, words: str) -> str:
    """Return in one sentence what became of an order.

    Args:
        lead: what was done, ``Placed``.
        order: what came back.
        words: the order in words; the answer itself may be no more than ids and a status.
    """
    so_far = f", {filled(order)}" if filled(order) else ""
    return f"{lead}: {words}, now {status_of(order)}{so_far}; {how_to_look(order.order_id)} tells more."


def how_to_look(any_id: str) -> str:
    """Return the command that looks an order up."""
    return f"`connecttrade orders --find {any_id}`"


def status_of(order: Order) -> str:
    """Return an order's status in words."""
    return "in a status that nobody tells" if order.status is None else order.status.replace("_", " ")


def filled(order: Order) -> str:
    """Return what of an order was filled: ``4 filled at 190.48``; nothing where nothing was."""
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
    """Return a number of an order as a person reads it; of one that came, the text that came."""
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
