"""Below the waterline: an order before it is one.

``tickets.limit("MSFT", "BUY", qty=1, price="410.50", account_id=a, broker="ALPACA")`` is a ticket: checked whole, with
its own id, and ready to be sent. Whatever is wrong is said at once, by one ``TicketError`` with all its ``problems``.

Nothing here reads a clock or rolls dice, but for the id that a ticket is born with, which comes from ``ids``.
"""

from __future__ import annotations

from connecttrade_async.tickets.builders import limit, market, multi_leg, stop, stop_limit
from connecttrade_async.tickets.legs import TicketLeg, leg
from connecttrade_async.tickets.strategies import (
    StrategyTerms,
    bear_put_spread,
    bull_call_spread,
    iron_condor,
    long_straddle,
    ratio_spread,
)
from connecttrade_async.tickets.ticket import OrderTicket, replacement

__all__ = [
    "OrderTicket",
    "StrategyTerms",
    "TicketLeg",
    "bear_put_spread",
    "bull_call_spread",
    "iron_condor",
    "leg",
    "limit",
    "long_straddle",
    "market",
    "multi_leg",
    "ratio_spread",
    "replacement",
    "stop",
    "stop_limit",
]
