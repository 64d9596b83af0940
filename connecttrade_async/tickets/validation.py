"""Below the waterline: everything that can be wrong with a ticket, found in one reading.

The rules are those that the vendor documents, and no broker's own: what a broker refuses, it says itself. Nothing here
raises: each function adds a sentence for each thing that is wrong, and returns what it could read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connecttrade_async.errors import SymbolError, shown
from connecttrade_async.models.enums import Broker, Instrument, OrderType, Side, TimeInForce
from connecttrade_async.symbology import EquitySymbol, OptionSymbol, classify, classify_any
from connecttrade_async.tickets.legs import OPTION_SIDES, read_legs
from connecttrade_async.tickets.parsing import parse_enum, parse_quantity_or_notional, read_number, read_text

__all__ = ["read_contract", "validate_terms"]

Given = Mapping[str, Any]
"""What a ticket was given, by its fields' names; any of it may be wrong."""

_STOCK_SIDES = (Side.BUY, Side.SELL, Side.SELL_SHORT, Side.BUY_TO_COVER)
_SIDES = {
    Instrument.STOCK: ("a stock", _STOCK_SIDES),
    Instrument.OPTION: ("an option", OPTION_SIDES),
    Instrument.MULTI_LEG_OPTION: ("a multi-leg order", OPTION_SIDES),
}
_PRICES = {"order_limit_price": "limit price", "stop_price": "stop price"}
_WANTED = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("order_limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("order_limit_price", "stop_price"),
}


def read_contract(given: Given, problems: list[str]) -> dict[str, Any]:
    """Read what is traded: the symbol or the legs, and the instrument, which they tell."""
    legs = given.get("legs")
    stated = given.get("instrument")
    instrument = None if stated is None else _read_instrument(stated, problems)
    symbol: str | None = None
    told: Instrument | None = Instrument.MULTI_LEG_OPTION
    if legs or instrument is Instrument.MULTI_LEG_OPTION:
        read = read_legs(() if legs is None else legs, problems)
        if given.get("symbol") is not None:
            problems.append("a multi-leg order has no symbol of its own: its legs have them")
    else:
        read = ()
        symbol, told = _read_symbol(given.get("symbol"), problems, is_explicit=stated is not None)
    # An unpublished instrument says more than the symbol: BTCUSD may look like a stock, and is none.
    if instrument is not None and not instrument.is_known:
        told = None
    if told and instrument and told is not instrument:
        problems.append(f"the instrument {instrument} does not fit: {_SIDES[told][0]} is {told}")
    return {"symbol": symbol, "instrument": told or instrument, "legs": read}


def validate_terms(given: Given, instrument: Instrument | None, problems: list[str]) -> dict[str, Any]:
    """Read all the rest: for whom, which way, how much, at what price and for how long."""
    terms: dict[str, Any] = {
        "account_id": read_text("account_id", given.get("account_id"), problems),
        "broker": _read_broker(given.get("broker"), problems),
        "cl_order_id": read_text("cl_order_id", given.get("cl_order_id"), problems),
        "side": parse_enum(Side, "side", given.get("side"), problems),
        "order_type": parse_enum(OrderType, "order_type", given.get("order_type"), problems),
        "order_tif": parse_enum(TimeInForce, "order_tif", given.get("order_tif"), problems),
    }
    _check_side(terms["side"], terms["broker"], instrument, problems)
    return terms | _read_size(given, instrument, problems) | _read_prices(given, terms["order_type"], problems)


def _read_instrument(given: object, problems: list[str]) -> Instrument | None:
    # The codes of cryptocurrency and futures are not published, so one that is not listed is no problem.
    instrument = read_text("instrument", given, problems)
    if instrument is None:
        return None
    member = Instrument(instrument)
    if member != instrument:  # A known code in another case, which the API may not know.
        problems.append(f"the instrument {shown(instrument)} must be written {member}")
        return None
    return member


def _read_symbol(given: object, problems: list[str], *, is_explicit: bool) -> tuple[str | None, Instrument | None]:
    symbol = read_text("symbol", given, problems)
    if symbol is None:
        return None, None
    parsed: EquitySymbol | OptionSymbol | None = None
    try:
        # With an instrument beside it, a symbol that looks like a mistake is what the caller means.
        parsed = classify_any(symbol) if is_explicit else classify(symbol)
    except SymbolError as exc:
        problems.append(str(exc))
        return None, None
    if parsed is None:
        return symbol, None
    return str(parsed), Instrument.OPTION if isinstance(parsed, OptionSymbol) else Instrument.STOCK


def _read_broker(given: object, problems: list[str]) -> Broker | None:
    # Documented: five codes are unpublished, so a broker that is not listed is no problem.
    broker = read_text("broker", given, problems)
    return None if broker is None else Broker(broker)


def _check_side(side: Side | None, broker: Broker | None, instrument: Instrument | None, problems: list[str]) -> None:
    if side is None:
        return
    if instrument is not None and instrument in _SIDES:
        what, fitting = _SIDES[instrument]
        if side not in fitting:
            problems.append(f"the side {side} does not fit {what}: {', '.join(fitting)} do")
    # Documented: BUY_TO_COVER on TradeStation only.
    if side is Side.BUY_TO_COVER and broker is not None and broker is not Broker.TRADESTATION:
        problems.append("the side BUY_TO_COVER is taken by TRADESTATION only")


def _read_size(given: Given, instrument: Instrument | None, problems: list[str]) -> dict[str, Any]:
    qty, notional = given.get("order_qty"), given.get("order_notional")
    if qty is None and notional is None:
        problems.append("the order has neither a quantity nor a notional: give one of them")
    is_in_contracts = instrument in {Instrument.OPTION, Instrument.MULTI_LEG_OPTION}
    read = parse_quantity_or_notional(qty, notional, problems, whole=is_in_contracts)
    return {"order_qty": read[0], "order_notional": read[1]}


def _read_prices(given: Given, order_type: OrderType | None, problems: list[str]) -> dict[str, Any]:
    for field, name in _PRICES.items():
        is_given = given.get(field) is not None
        if order_type is not None and is_given is not (field in _WANTED[order_type]):
            problems.append(
                f"the {name} is not wanted: an {order_type} order has none"
                if is_given
                else f"the {name} is missing: an {order_type} order needs one",
            )
    return {field: read_number(name, given.get(field), problems) for field, name in _PRICES.items()}
