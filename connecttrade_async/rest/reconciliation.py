"""Find out the outcome of an order request after its response was lost.

Reconciling sends nothing but look-ups. A look-up that fails, or that does not find the order yet, proves nothing; when
the time is up the outcome is reported as unknown.
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

LOST = "its response was lost"
# Seconds: a check that starts in the last moment still gets a second, since it may be the one that finds the order.
MIN_CHECK = 1.0


class OutcomeCheck(NamedTuple):
    """How to find out the outcome of one request that must not be repeated.

    Attributes:
        claim: what the request should have achieved, as a clause for messages: *the order was placed*.
        check: looks the order up once. Its argument says whether the API reported the id as known. It returns the
            order; or an error, if the request certainly failed; or a text with what is listed instead, if the outcome
            is still open; or None, if nothing is listed.
        complete: returns an order with the fields that were sent and that the response left out.
        cl_order_id: the id that was sent, or None for a cancellation.
        order_id: the order to be changed, or None for a new order.
    """

    claim: str
    check: Callable[[bool], Awaitable[Order | ConnectTradeError | str | None]]
    complete: Callable[[Order], Order]
    cl_order_id: str | None = None
    order_id: str | None = None


async def reconcile(
    sender: Sender,
    check: OutcomeCheck,
    seconds: float,
    *,
    is_known: bool = False,
    answered: str = LOST,
) -> Order:
    """Check once, and again with growing pauses, until the order is found or the time is up.

    The time bounds all checks together, however many pages each one reads; the last check may run a second longer.

    Args:
        sender: has the clock, and waits between checks.
        check: the check to run.
        seconds: how long to keep checking.
        is_known: whether the API reported the id as known.
        answered: what became of the response, as a clause for the error.

    Returns:
        The order, completed with the fields that were sent.

    Raises:
        OrderOutcomeUnknownError: the time is up, or the client was closed meanwhile.
        ConnectTradeError: the check proved that the request failed.

    Cancelling stops checking and changes nothing.
    """
    deadline = sender.clock.now() + seconds
    delays = equal_jitter_delays(sender.retry.base, sender.retry.cap)
    while True:
        found, failure = await _check_once(check, max(deadline - sender.clock.now(), MIN_CHECK), is_known=is_known)
        if isinstance(found, ConnectTradeError):
            raise found
        if found is not None and not isinstance(found, str):
            return check.complete(found)
        retry_after = failure.retry_after if isinstance(failure, APIError) else None
        pause = bounded_retry_after(retry_after, next(delays))
        if isinstance(failure, ClosedError) or sender.clock.now() + pause >= deadline:
            raise outcome_unknown(sender, check, failure, is_known=is_known, answered=answered, listed=found)
        try:
            await sender.limiter.pause(pause)
        except ClosedError as exc:
            raise outcome_unknown(sender, check, exc, is_known=is_known, answered=answered, listed=found) from exc


async def _check_once(
    check: OutcomeCheck,
    seconds: float,
    *,
    is_known: bool,
) -> tuple[Order | ConnectTradeError | str | None, ConnectTradeError | str | None]:
    """Return the result of one check, and why it has none if the look-up itself failed."""
    try:
        async with asyncio.timeout(seconds):
            return await check.check(is_known), None
    except (TransportError, BrokerError, CursorError, ClosedError) as exc:
        return None, exc
    except TimeoutError:
        return None, f"no end within {seconds:.3g} s"


def outcome_unknown(
    sender: Sender,
    check: OutcomeCheck,
    failure: ConnectTradeError | str | None,
    *,
    is_known: bool = False,
    answered: str = LOST,
    listed: str | None = None,
) -> OrderOutcomeUnknownError:
    """Return the error for an outcome that is still unknown; its ``resolve()`` continues the check."""

    async def check_again(seconds: float) -> Order:
        return await reconcile(sender, check, seconds, is_known=is_known, answered=answered)

    return OrderOutcomeUnknownError(
        what=check.claim,
        cl_order_id=check.cl_order_id,
        order_id=check.order_id,
        is_known=is_known,
        last_error=None if failure is None else str(failure),
        listed=listed,
        answered=answered,
        look_again=check_again,
    )
