"""Below the waterline: the legs of a multi-leg option order."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from connecttrade_async.amounts import Amount, plain, read_amount
from connecttrade_async.errors import SymbolError
from connecttrade_async.models.enums import Side
from connecttrade_async.models.fields import Model
from connecttrade_async.symbology import parse_option
from connecttrade_async.tickets.parsing import parse_enum, read_text, read_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

__all__ = ["OPTION_SIDES", "TicketLeg", "leg", "read_legs"]

OPTION_SIDES = (Side.BUY_TO_OPEN, Side.BUY_TO_CLOSE, Side.SELL_TO_OPEN, Side.SELL_TO_CLOSE)
_FEWEST, _MOST = 2, 4


class TicketLeg(Model, frozen=True, kw_only=True, gc=False):
    """One leg of a multi-leg order (documented). It is checked by the ticket that it becomes a part of.

    Attributes:
        symbol: the option, OSI; padding is taken off.
        action: ``BUY_TO_OPEN``, ``BUY_TO_CLOSE``, ``SELL_TO_OPEN`` or ``SELL_TO_CLOSE``.
        ratio: contracts of this leg for each unit of the order, a whole number.
    """

    symbol: str
    action: Side | str
    ratio: Amount = 1

    def payload(self) -> dict[str, str]:
        """Return the leg as it is sent (documented).

        Raises:
            ValueError: the ratio is no amount; a leg that is part of a ticket never raises.
        """
        return {"symbol": self.symbol, "action": str(self.action), "ratio": plain(read_amount(self.ratio))}


def leg(symbol: str, action: Side | str, ratio: Amount = 1) -> TicketLeg:
    """Build a leg.

    Args:
        symbol: the option, OSI.
        action: ``BUY_TO_OPEN``, ``BUY_TO_CLOSE``, ``SELL_TO_OPEN`` or ``SELL_TO_CLOSE``.
        ratio: contracts of this leg for each unit of the order.

    Returns:
        The leg, to be checked by the ticket.
    """
    return TicketLeg(symbol=symbol, action=action, ratio=ratio)


def read_legs(given: object, problems: list[str]) -> tuple[TicketLeg, ...]:
    """Read the legs of a ticket; of those that are wrong, say how."""
    if not isinstance(given, tuple | list):
        problems.append("the legs must be a list or a tuple")
        return ()
    legs = cast("Sequence[object]", given)
    if not _FEWEST <= len(legs) <= _MOST:
        problems.append(f"a multi-leg order has {_FEWEST} to {_MOST} legs, and this one has {len(legs)}")
    read = [_read_leg(f"leg {number}", one, problems) for number, one in enumerate(legs, 1)]
    _refuse_equals([symbol for symbol, _ in read], problems)
    return tuple(one for _, one in read if one is not None)


def _read_leg(name: str, given: object, problems: list[str]) -> tuple[str | None, TicketLeg | None]:
    if not isinstance(given, TicketLeg):
        problems.append(f"{name} is no leg: build it with leg(symbol, action, ratio)")
        return None, None
    found: list[str] = []
    symbol = _read_symbol(given.symbol, found)
    action = _read_action(given.action, found)
    ratio = _read_ratio(given.ratio, found)
    problems += [f"{name}: {problem}" for problem in found]
    if symbol is None or action is None or ratio is None:
        return symbol, None
    return symbol, TicketLeg(symbol=symbol, action=action, ratio=ratio)


def _read_symbol(given: object, problems: list[str]) -> str | None:
    symbol = read_text("symbol", given, problems)
    try:
        return None if symbol is None else str(parse_option(symbol))
    except SymbolError as exc:
        problems.append(str(exc))
        return None


def _read_action(given: object, problems: list[str]) -> Side | None:
    action = parse_enum(Side, "action", given, problems)
    if action is not None and action not in OPTION_SIDES:
        problems.append(f"the action {action} is for stocks: a leg takes {', '.join(OPTION_SIDES)}")
        return None
    return action


def _read_ratio(given: object, problems: list[str]) -> Decimal | None:
    if given is None:
        problems.append("the ratio is missing")
    return read_whole("ratio", given, problems)


def _refuse_equals(symbols: list[str | None], problems: list[str]) -> None:
    first: dict[str, int] = {}
    for number, symbol in enumerate(symbols, 1):
        if symbol is not None and first.setdefault(symbol, number) != number:
            problems.append(f"legs {first[symbol]} and {number} are equal: both are in {symbol}")
