"""A loop: find out what became of an order whose answer was lost.

Its vow: nothing is ever sent here but look-ups. What is found is the answer; a look-up that fails, or that does not
find the order yet, is none, and when the time is up the outcome is called unknown.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from connecttrade_async.errors import (
    APIError,
    BrokerError,
    ClosedError,
    ConnectTradeError,
    CursorError,
    OrderOutcomeUnknownError,
    TransportError,
)
from connecttrade_async.pacing import bounded_retry_after, equal_jitter_delays

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connecttrade_async.models.orders import Order
    from connecttrade_async.rest.sender import Sender

__all__ = ["OutcomeCheck", "outcome_unknown", "reconcile"]

LOST = "its answer was lost"
# A look that begins in the last moment is given a second all the same: it may be the one that finds the order.
MIN_CHECK = 1.0


class OutcomeCheck(NamedTuple):
    """What is looked for.

    Attributes:
        what: the question, to be read after *nobody can say yet whether*.
        look: looks once, given whether the API said that it knows the id; returns the order, or an error that settles
            it otherwise; where it is not settled, what is listed instead, in words, or None where nothing is.
        complete: returns an order with what was sent, where the answer left it out.
        cl_order_id: the id it was sent under, or None for a cancellation.
        order_id: the order that was to be changed, or None for a new one.
    """

    what: str
    check: Callable[[bool], Awaitable[Order | ConnectTradeError | str | None]]
    complete: Callable[[Order], Order]
    cl_order_id: str | None = None
    order_id: str | None = None


async def reconcile(
    caller: Sender,
    search: OutcomeCheck,
    seconds: float,
    *,
    is_known: bool = False,
    answered: str = LOST,
) -> Order:
    """Look once, and again with growing pauses, until the order is found or the time is up.

    Args:
        caller: what waits between the looks.
        search: what is looked for.
        seconds: how long to look.
        is_known: whether the API said that it knows the id.
        answered: what became of the answer, in words, for the error.

    The whole is bounded, however many pages a look has; the last look may take a second more than there was.

    Raises:
        OrderOutcomeUnknownError: the time is up, or the client was closed meanwhile.
        ConnectTradeError: what the look returned, if it settles it otherwise.

    Cancelling stops looking and changes nothing.
    """
    deadline = caller.clock.now() + seconds
    delays = equal_jitter_delays(caller.retry.base, caller.retry.cap)
    while True:
        found, trouble = await _check_once(search, max(deadline - caller.clock.now(), MIN_CHECK), is_known=is_known)
        if isinstance(found, ConnectTradeError):
            raise found
        if found is not None and not isinstance(found, str):
            return search.complete(found)
        asked_for = trouble.retry_after if isinstance(trouble, APIError) else None
        pause = bounded_retry_after(asked_for, next(delays))
        if isinstance(trouble, ClosedError) or caller.clock.now() + pause >= deadline:
            raise outcome_unknown(caller, search, trouble, is_known=is_known, answered=answered, listed=found)
        try:
            await caller.limiter.pause(pause)
        except ClosedError as exc:
            raise outcome_unknown(caller, search, exc, is_known=is_known, answered=answered, listed=found) from exc


async def _check_once(
    search: OutcomeCheck,
    seconds: float,
    *,
    is_known: bool,
) -> tuple[Order | ConnectTradeError | str | None, ConnectTradeError | str | None]:
    """Look once; returns what was found, and why nothing could be where the look itself failed."""
    try:
        async with asyncio.timeout(seconds):
            return await search.check(is_known), None
    except (TransportError, BrokerError, CursorError, ClosedError) as exc:
        return None, exc
    except TimeoutError:
        return None, f"no end within {seconds:.3g} s"


def outcome_unknown(
    caller: Sender,
    search: OutcomeCheck,
    trouble: ConnectTradeError | str | None,
    *,
    is_known: bool = False,
    answered: str = LOST,
    listed: str | None = None,
) -> OrderOutcomeUnknownError:
    """Return the error that says that nobody can say."""

    async def look_again(seconds: float) -> Order:
        return await reconcile(caller, search, seconds, is_known=is_known, answered=answered)

    return OrderOutcomeUnknownError(
        what=search.what,
        cl_order_id=search.cl_order_id,
        order_id=search.order_id,
        is_known=is_known,
        last_error=None if trouble is None else str(trouble),
        listed=listed,
        answered=answered,
        look_again=look_again,
    )
