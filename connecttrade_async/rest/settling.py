"""A loop: find out what became of an order whose answer was lost.

Its vow: nothing is ever sent here but look-ups. What is found is the answer; a look-up that fails, or that does not
find the order yet, is none, and when the time is up the outcome is called unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.errors import (
    BrokerError,
    ConnectTradeError,
    CursorError,
    OrderNotReplacedError,
    OrderOutcomeUnknownError,
    TransportError,
)
from connecttrade_async.pacing import growing_delays

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from connecttrade_async.models.orders import Order
    from connecttrade_async.rest.caller import Caller

__all__ = ["Search", "settle"]

# A look that begins in the last moment is given a second all the same: it may be the one that finds the order.
SHORTEST_LOOK = 1.0


class Search(NamedTuple):
    """What is looked for.

    Attributes:
        what: the question, to be read after *nobody can say yet whether*.
        look: looks once, for at most so many seconds, given the time of day; returns the order, or None where it is
            not settled yet.
        cl_order_id: the id it was sent under, or None for a cancellation.
        order_id: the order that was to be changed, or None for a new one.
    """

    what: str
    look: Callable[[float, datetime], Awaitable[Order | None]]
    cl_order_id: str | None = None
    order_id: str | None = None


async def settle(caller: Caller, search: Search, seconds: float) -> Order:
    """Look once, and again with growing pauses, until the order is found or the time is up.

    The last look may take a second more than there was.

    Raises:
        OrderOutcomeUnknownError: the time is up.
        OrderNotReplacedError: it was a replacement, and the order ended unreplaced.
        ClosedError: the client was closed meanwhile.

    Cancelling stops looking and changes nothing.
    """
    deadline = caller.clock.now() + seconds
    delays = growing_delays(caller.retry.base, caller.retry.cap)
    while True:
        trouble: ConnectTradeError | None = None
        try:
            found = await search.look(max(deadline - caller.clock.now(), SHORTEST_LOOK), caller.clock.wall())
        except OrderNotReplacedError:
            raise
        except (TransportError, BrokerError, CursorError) as exc:
            found, trouble = None, exc
        if found is not None:
            return found
        pause = next(delays)
        if caller.clock.now() + pause >= deadline:
            raise _unknown(caller, search, trouble)
        del trouble
        await caller.gate.pause(pause)


def _unknown(caller: Caller, search: Search, trouble: ConnectTradeError | None) -> OrderOutcomeUnknownError:
    async def look_again(seconds: float) -> Order:
        return await settle(caller, search, seconds)

    return OrderOutcomeUnknownError(
        what=search.what,
        cl_order_id=search.cl_order_id,
        order_id=search.order_id,
        last_error=None if trouble is None else str(trouble),
        look_again=look_again,
    )
