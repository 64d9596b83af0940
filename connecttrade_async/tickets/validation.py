"""Validation of a ticket's fields, which collects every problem in one pass.

The rules are the vendor's (documented). A broker may have further rules, and rejects an order by them itself. No
function here raises: each adds a text for each problem, and returns the values that it could parse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from connecttrade_async.amounts import plain, read_amount
from connecttrade_async.errors import SymbolError, shown
from connecttrade_async.models.enums import Broker, Instrument, OpenEnum, OrderType, Side, TimeInForce
from connecttrade_async.symbology import EquitySymbol, OptionSymbol, classify, classify_any, parse_option
from connecttrade_async.tickets.legs import OPTION_SIDES, TicketLeg

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = [
    "parse_enum",
    "parse_quantity_or_notional",
    "read_contract",
    "read_legs",
    "read_number",
    "read_text",
    "validate_terms",
]

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
_FEWEST_LEGS, _MOST_LEGS = 2, 4
_LONGEST = 256  # (assumed) no id and no code is longer
_Listed = TypeVar("_Listed", bound=OpenEnum)


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
    if implied is Instrument.MULTI_LEG_OPTION and instrument not in {None, implied}:
        problems.append(f"the instrument of {_SIDES[implied][0]} must be {implied}, got {instrument}")
    # An explicit instrument overrides the form of the symbol: BTCUSD may look like a stock and is not one.
    return {"symbol": symbol, "instrument": instrument or implied, "legs": parsed}


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
    # A price that must be missing is parsed too, so that one error lists every problem.
    return {field: read_number(name, given.get(field), problems) for field, name in _PRICES.items()}


def read_legs(given: object, problems: list[str]) -> tuple[TicketLeg, ...]:
    """Parse the legs of a ticket, and add the problems of each."""
    # Not any sequence: a text is one too, and each of its letters would be reported as a leg.
    if not isinstance(given, tuple | list):
        problems.append(f"the legs must be a list or a tuple, got {type(given).__name__}")
        return ()
    legs = cast("Sequence[object]", given)
    if not _FEWEST_LEGS <= len(legs) <= _MOST_LEGS:
        problems.append(f"the legs must be {_FEWEST_LEGS} to {_MOST_LEGS}, got {len(legs)}")
    parsed = [_read_leg(f"leg {number}", one, problems) for number, one in enumerate(legs, 1)]
    _reject_duplicates([symbol for symbol, _ in parsed], problems)
    return tuple(one for _, one in parsed if one is not None)


def _read_leg(name: str, given: object, problems: list[str]) -> tuple[str | None, TicketLeg | None]:
    if not isinstance(given, TicketLeg):
        problems.append(f"{name} must be a TicketLeg, as leg(symbol, action, ratio) builds it")
        return None, None
    found: list[str] = []
    symbol = _read_leg_symbol(given.symbol, found)
    action = _read_action(given.action, found)
    ratio = _read_ratio(given.ratio, found)
    problems += [f"{name}: {problem}" for problem in found]
    if symbol is None or action is None or ratio is None:
        return symbol, None
    return symbol, TicketLeg(symbol=symbol, action=action, ratio=ratio)


def _read_leg_symbol(given: object, problems: list[str]) -> str | None:
    symbol = read_text("symbol", given, problems)
    try:
        return None if symbol is None else str(parse_option(symbol))
    except SymbolError as exc:
        problems.append(str(exc))
        return None


def _read_action(given: object, problems: list[str]) -> Side | None:
    action = parse_enum(Side, "action", given, problems)
    if action is not None and action not in OPTION_SIDES:
        problems.append(f"the action must be one of {', '.join(OPTION_SIDES)}, got {action}, which is for stocks")
        return None
    return action


def _read_ratio(given: object, problems: list[str]) -> Decimal | None:
    if given is None:
        problems.append("the ratio is missing")
    return read_whole("ratio", given, problems)


def _reject_duplicates(symbols: list[str | None], problems: list[str]) -> None:
    first: dict[str, int] = {}
    for number, symbol in enumerate(symbols, 1):
        if symbol is not None and first.setdefault(symbol, number) != number:
            problems.append(f"legs {first[symbol]} and {number} are equal: both are in {symbol}")


def read_text(name: str, value: object, problems: list[str]) -> str | None:
    """Parse a text that must be printable, not empty, and at most 256 characters."""
    if isinstance(value, str) and value.strip():
        if len(value) > _LONGEST:
            problems.append(f"the {name} must be at most {_LONGEST} characters, got {len(value)}")
            return None
        if not value.isprintable():
            problems.append(f"the {name} must be printable characters, got {shown(value)}")
            return None
        return value
    if value is None:
        problems.append(f"the {name} is missing")
    else:
        problems.append(f"the {name} must be a text that is not empty, got {shown(value)}")
    return None


def parse_enum(kind: type[_Listed], name: str, value: object, problems: list[str]) -> _Listed | None:
    """Parse a text that must be a known member of an enumeration."""
    # Models accept any spelling from the API. An argument must match exactly, except for the broker's letter case.
    if isinstance(value, str) and (member := kind(value)).is_known and (value == member or kind is Broker):
        return member
    known = ", ".join(kind)
    problems.append(
        f"the {name} is missing: {known}" if value is None else f"the {name} must be one of {known}, got {shown(value)}"
    )
    return None


def read_number(name: str, value: object, problems: list[str]) -> Decimal | None:
    """Parse an amount; None where it is missing."""
    if value is None:
        return None
    try:
        return read_amount(value)
    except ValueError as exc:
        problems.append(f"the {name} {exc}")
        return None


def read_whole(name: str, value: object, problems: list[str]) -> Decimal | None:
    """Parse a number of contracts, which must be whole; None where it is missing."""
    amount = read_number(name, value, problems)
    # By value: ``2.0`` is a whole number of contracts.
    if amount is not None and amount != int(amount):
        problems.append(f"the {name} must be a whole number of contracts, got {plain(amount)}")
        return None
    return amount


def parse_quantity_or_notional(
    qty: object, notional: object, problems: list[str], *, whole: bool = False
) -> tuple[Decimal | None, Decimal | None]:
    """Parse a quantity, whole if it counts contracts, and a notional; an order has at most one of them (documented)."""
    if qty is not None and notional is not None:
        problems.append("the order must have a quantity or a notional, got both")
    read_quantity = read_whole if whole else read_number
    return read_quantity("quantity", qty, problems), read_number("notional", notional, problems)
