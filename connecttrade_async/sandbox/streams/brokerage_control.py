"""The sandbox's brokerage stream, with a test's hand on it: events by hand, one, or as many as can be written."""

import asyncio
from collections.abc import Mapping

from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.streams.brokerage import BrokerageStreamServer
from connecttrade_async.sandbox.streams.brokerage_events import BrokerageEvent
from connecttrade_async.sandbox.streams.encoding import KINDS

__all__ = ["BrokerageStream"]

_NUMBER = "{number}"
"""Stands in a burst's text for the number of the order, so that the rest of it is written once."""
_BATCH = 500
"""Events of a burst that leave at once; between two batches the loop serves others."""


class BrokerageStream(BrokerageStreamServer):
    """The brokerage data stream as `Sandbox.stream` has it. Its connections end on request."""

    def publish(
        self,
        topic: str,
        user_id: str,
        account_id: str,
        data: Mapping[str, object],
        *,
        timestamp: str | None = None,
    ) -> int:
        """Send an event to every live session that wants the topic.

        Args:
            topic: ``orders``, ``positions`` or ``balances``.
            user_id: the owner of the account.
            account_id: of which account.
            data: what changed.
            timestamp: when; None is now.

        Returns:
            Its serial number, by which the ledger knows it.

        Raises:
            RefusalError: there is no such topic.
        """
        if topic not in KINDS:
            raise BadRequestError(f"topic must be one of {', '.join(KINDS)}.")
        self.publish_due()
        at = timestamp or self._payloads().time(self.clock.now())
        self._give(BrokerageEvent(topic, user_id, account_id, at, data))
        self._flush()
        return self.published

    async def burst(self, count: int, *, user_id: str = "burst", account_id: str = "burst") -> int:
        """Send `count` order events, as fast as they can be written; each has an ``order_id`` of its own.

        Cancelling it stops between two batches.

        Returns:
            The serial number of the last one.
        """
        self.publish_due()
        at = self._payloads().time(self.clock.now())
        owner = {"user_id": user_id, "account_id": account_id, "timestamp": at}
        parts = self.wording.event("order", owner, _order(_NUMBER, account_id, at)).split(_NUMBER)
        for number in range(count):
            self._spread("order", ("orders",), account_id, str(number + 1).join(parts))
            if number % _BATCH == _BATCH - 1:
                self._flush()
                await asyncio.sleep(0)
        self._flush()
        return self.published


def _order(number: str, account_id: str, at: str) -> dict[str, object]:
    """An order that was never placed, complete as the wire has it."""
    return {
        "order_id": f"burst-{number}",
        "cl_order_id": f"burst-{number}",
        "account_id": account_id,
        "broker": "ALPACA",
        "side": "BUY",
        "order_type": "LMT",
        "order_tif": "DAY",
        "symbol": "AAPL",
        "instrument": "STK",
        "order_qty": "1",
        "order_limit_price": "150.00",
        "status": "working",
        "broker_status": "new",
        "filled_qty": "0",
        "avg_fill_price": None,
        "fills": [],
        "created_at": at,
        "updated_at": at,
    }
