"""Validation of a ticket's fields, which collects every problem in one pass.

The rules are the vendor's (documented). A broker may have further rules, and rejects an order by them itself. No
function here raises: each adds a text for each problem, and returns the values that it could parse.
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
"""The arguments of a ticket by field name, not yet validated."""

_STOCK_SIDES = (Side.BUY, Side.SELL, Side.SELL_SHORT, Side.BUY_TO_COVER)
_SIDES = {
    Instrument.STOCK: ("a stock", _STOCK_SIDES),
    Instrument.OPTION: ("an option", OPTION_SIDES),
    Instrument.MULTI_LEG_OPTION: ("a multi-leg order", OPTION_SIDES),
}
_PRICES = {"order_limit_price": "limit price", "stop_price": "stop price"}
_REQUIRED_PRICES = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("order_limit_price",),
    OrderType.STOP: ("stop_price",),
    OrderType.STOP_LIMIT: ("order_limit_price", "stop_price"),
}


def read_contract(given: Given, problems: list[str]) -> dict[str, Any]:
    """Parse the symbol or the legs, and the instrument that they imply."""
    legs = given.get("legs")
    explicit = given.get("instrument")
    instrument = None if explicit is None else _read_instrument(explicit, problems)
    symbol: str | None = None
    implied: Instrument | None = Instrument.MULTI_LEG_OPTION
    if legs or instrument is Instrument.MULTI_LEG_OPTION:
        parsed = read_legs(() if legs is None else legs, problems)
        if given.get("symbol") is not None:
            problems.append("the symbol must be missing in a multi-leg order: its legs have the symbols")
    else:
        parsed = ()
        symbol, implied = _read_symbol(given.get("symbol"), problems, is_explicit=explicit is not None)
    # An unpublished instrument overrides the symbol: BTCUSD may look like a stock and is not one.
    if instrument is not None and not instrument.is_known:
        implied = None
    if implied and instrument and implied is not instrument:
        problems.append(f"the instrument of {_SIDES[implied][0]} must be {implied}, got {instrument}")
    return {"symbol": symbol, "instrument": implied or instrument, "legs": parsed}


def validate_terms(given: Given, instrument: Instrument | None, problems: list[str]) -> dict[str, Any]:
    """Parse the other fields: account, broker, id, side, type, time in force, size and prices."""
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
    # The codes of cryptocurrency and futures are not published, so an unlisted code is not a problem.
    instrument = read_text("instrument", given, problems)
    if instrument is None:
        return None
    member = Instrument(instrument)
    if member != instrument:  # A known code in another spelling, which the API may not accept.
        problems.append(f"the instrument must be written {member}, got {shown(instrument)}")
        return None
    return member


def _read_symbol(given: object, problems: list[str], *, is_explicit: bool) -> tuple[str | None, Instrument | None]:
    symbol = read_text("symbol", given, problems)
    if symbol is None:
        return None, None
    parsed: EquitySymbol | OptionSymbol | None = None
    try:
        # With an explicit instrument, a symbol that looks like a mistake is intended.
        parsed = classify_any(symbol) if is_explicit else classify(symbol)
    except SymbolError as exc:
        problems.append(str(exc))
        return None, None
    if parsed is None:
        return symbol, None
    return str(parsed), Instrument.OPTION if isinstance(parsed, OptionSymbol) else Instrument.STOCK


def _read_broker(given: object, problems: list[str]) -> Broker | None:
    # Five codes are unpublished (documented), so an unlisted broker is not a problem.
    broker = read_text("broker", given, problems)
    return None if broker is None else Broker(broker)


def _check_side(side: Side | None, broker: Broker | None, instrument: Instrument | None, problems: list[str]) -> None:
    if side is None:
        return
    if instrument is not None and instrument in _SIDES:
        owner, allowed = _SIDES[instrument]
        if side not in allowed:
            problems.append(f"the side of {owner} must be one of {', '.join(allowed)}, got {side}")
    # Only TradeStation accepts BUY_TO_COVER (documented).
    if side is Side.BUY_TO_COVER and broker is not None and broker is not Broker.TRADESTATION:
        problems.append(f"the broker must be TRADESTATION for the side BUY_TO_COVER, got {broker}")


def _read_size(given: Given, instrument: Instrument | None, problems: list[str]) -> dict[str, Any]:
    qty, notional = given.get("order_qty"), given.get("order_notional")
    if qty is None and notional is None:
        problems.append("the order must have a quantity or a notional, got neither")
    is_in_contracts = instrument in {Instrument.OPTION, Instrument.MULTI_LEG_OPTION}
    parsed = parse_quantity_or_notional(qty, notional, problems, whole=is_in_contracts)
    return {"order_qty": parsed[0], "order_notional": parsed[1]}


def _read_prices(given: Given, order_type: OrderType | None, problems: list[str]) -> dict[str, Any]:
    for field, name in _PRICES.items():
        is_given = given.get(field) is not None
        if order_type is not None and is_given is not (field in _REQUIRED_PRICES[order_type]):
            problems.append(
                f"the {name} must be missing in an {order_type} order"
                if is_given
                else f"the {name} is missing: an {order_type} order requires it",
            )
    return {field: read_number(name, given.get(field), problems) for field, name in _PRICES.items()}
