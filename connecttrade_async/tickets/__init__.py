"""Order tickets: orders that are composed and validated but not sent.

``tickets.limit("MSFT", "BUY", qty=1, price="410.50", account_id=a, broker="ALPACA")`` returns a ticket that is valid,
has its own id and is ready to be sent. An invalid one raises one ``TicketError`` with all its ``problems``.

Nothing here reads a clock or uses random numbers, except for the id of a new ticket, which ``ids`` generates.
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
