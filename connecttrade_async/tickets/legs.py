"""Legs of a multi-leg option order."""

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
_FEWEST_LEGS, _MOST_LEGS = 2, 4


class TicketLeg(Model, frozen=True, kw_only=True, gc=False):
    """One leg of a multi-leg order (documented). The ticket validates its legs.

    Attributes:
        symbol: the option, OSI; padding is removed.
        action: ``BUY_TO_OPEN``, ``BUY_TO_CLOSE``, ``SELL_TO_OPEN`` or ``SELL_TO_CLOSE``.
        ratio: contracts of this leg for each unit of the order, a whole number.
    """

    symbol: str
    action: Side | str
    ratio: Amount = 1

    def payload(self) -> dict[str, str]:
        """Return the JSON object of the leg in a request (documented).

        Raises:
            ValueError: the ratio is invalid; never of a leg that is part of a ticket.
        """
        return {"symbol": self.symbol, "action": str(self.action), "ratio": plain(read_amount(self.ratio))}


def leg(symbol: str, action: Side | str, ratio: Amount = 1) -> TicketLeg:
    """Build a leg, without validating it.

    Args:
        symbol: the option, OSI.
        action: ``BUY_TO_OPEN``, ``BUY_TO_CLOSE``, ``SELL_TO_OPEN`` or ``SELL_TO_CLOSE``.
        ratio: contracts of this leg for each unit of the order.

    Returns:
        The leg; the ticket validates it.
    """
    return TicketLeg(symbol=symbol, action=action, ratio=ratio)


def read_legs(given: object, problems: list[str]) -> tuple[TicketLeg, ...]:
    """Parse the legs of a ticket, and add the problems of each."""
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
