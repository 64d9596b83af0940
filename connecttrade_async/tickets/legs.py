"""Legs of a multi-leg option order."""

from __future__ import annotations

from connecttrade_async.amounts import Amount, plain, read_amount
from connecttrade_async.models.enums import Side
from connecttrade_async.models.fields import Model

__all__ = ["OPTION_SIDES", "TicketLeg", "leg"]

OPTION_SIDES = (Side.BUY_TO_OPEN, Side.BUY_TO_CLOSE, Side.SELL_TO_OPEN, Side.SELL_TO_CLOSE)


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
