"""The sandbox's stream, with a test's hand on it: events by hand, and every way in which a link can fail.

Before anything is done to a link, what has happened so far is told on it.
"""

import asyncio
from collections.abc import Mapping

from .broadcast import Broadcast
from .ledger import Sent
from .link import Link
from .news import News
from .refusals import BadRequestError
from .wording import KINDS, encoded

__all__ = ["Stream"]

_LONGEST = 3600
_NUMBER = "{number}"
"""Stands in a burst's text for the number of the order, so that the rest of it is written once."""
_BATCH = 500
"""Events of a burst that leave at once; between two batches everybody else has a turn."""


class Stream(Broadcast):
    """The brokerage data stream as `Sandbox.stream` has it. Its links end when it is told to let them."""

    # Events by hand ---------------------------------------------------------------------------------------------------

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
            user_id: whose it is.
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
        self.tell()
        at = timestamp or self._payloads().time(self.clock.now())
        self._give(News(topic, user_id, account_id, at, data))
        self._flush()
        return self.published

    def send(self, message: str | Mapping[str, object]) -> None:
        """Send any message to every live session: text as it is, an object as JSON."""
        text = message if isinstance(message, str) else encoded(message)
        for link in self._live():
            link.send(Sent(link.number, "by hand", 0, text))
            link.flush()

    async def burst(self, count: int, *, user_id: str = "burst", account_id: str = "burst") -> int:
        """Send so many order events, as fast as they can be written; each has an ``order_id`` of its own.

        Cancelling it stops between two batches.

        Returns:
            The serial number of the last one.
        """
        self.tell()
        at = self._payloads().time(self.clock.now())
        owner = {"user_id": user_id, "account_id": account_id, "timestamp": at}
        parts = self.wording.event("order", owner, _order(_NUMBER, account_id, at)).split(_NUMBER)
        for number in range(count):
            self._spread("orders", account_id, str(number + 1).join(parts))
            if number % _BATCH == _BATCH - 1:
                self._flush()
                await asyncio.sleep(0)
        self._flush()
        return self.published

    # How links fail ---------------------------------------------------------------------------------------------------

    def drop(self, code: int | None = 1001, reason: str = "") -> None:
        """Close every link: with a close frame, or for None without one.

        Raises:
            ValueError: no peer may be sent this code.
        """
        for link in self._all():
            if code is None:
                link.cut()
            else:
                link.close(code, reason)

    def reset(self) -> None:
        """Break every link with a TCP reset."""
        for link in self._all():
            link.reset()

    def freeze(self) -> None:
        """Leave every link half-open: it reads nothing, writes nothing, answers no ping and notices no end."""
        for link in self._all():
            link.freeze()

    def thaw(self) -> None:
        """Let frozen links go on; what they kept goes out first."""
        for link in self._all():
            link.thaw()

    def displace(self) -> None:
        """End the live session as if another one with its credentials had arrived."""
        self.tell()
        if self._holder is not None:
            self._holder.displace()

    @property
    def delay(self) -> float:
        """Seconds that everything takes on its way out, on links there are and links to come; order is kept.

        Raises:
            ValueError: it is set to less than nothing, or to more than an hour.
        """
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        if not 0 <= seconds <= _LONGEST:
            raise ValueError(f"delay must be a number of seconds from 0 to {_LONGEST}, not {seconds}")
        self._delay = seconds
        for link in self._all():
            link.delay(seconds)

    # What a test waits for --------------------------------------------------------------------------------------------

    async def until_live(self, n: int = 1) -> None:
        """Wait until a session is live, and it is the n-th, or a later one, since the sandbox was made.

        Cancelling it leaves nothing behind.
        """
        await self.ledger.until(lambda: self.is_live and self.ledger.lives >= n)

    async def until_received(self, action: str, times: int = 1) -> None:
        """Wait until an action came so many times in all: ``authenticate``, ``subscribe``, ``upgrade``, ``ping``...

        Cancelling it leaves nothing behind.
        """
        await self.ledger.until(lambda: self.ledger.received[action] >= times)

    def _all(self) -> list[Link]:
        self.tell()
        return [session.link for session in self._sessions.values()]

    def _live(self) -> list[Link]:
        self.tell()
        return [session.link for session in self._sessions.values() if session.is_live]


def _order(number: str, account_id: str, at: str) -> dict[str, object]:
    """An order that nobody placed, complete as the wire has it."""
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
