"""The brokerage data stream: its sessions, their events, and what a test may do to it.

Documented: the updates of all users of one client over one connection, one active session per credential pair, each
update only what changed, and no replay: an event without a listener is lost.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.dialect.frames import FrameWriter, write_brokerage
from connecttrade_async.sandbox.dialect.requests import RequestReader, read_brokerage
from connecttrade_async.sandbox.dialect.streams import BrokerageForms
from connecttrade_async.sandbox.errors import BadRequestError
from connecttrade_async.sandbox.payloads import Payloads
from connecttrade_async.sandbox.settings import Credentials
from connecttrade_async.sandbox.streams.brokerage_events import BrokerageEvent, events_of
from connecttrade_async.sandbox.streams.brokerage_session import BrokerageSession
from connecttrade_async.sandbox.streams.encoding import KINDS
from connecttrade_async.sandbox.streams.server import StreamServer
from connecttrade_async.sandbox.streams.session import Phase
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket
from connecttrade_async.sandbox.world import World

__all__ = ["BrokerageSessionInfo", "BrokerageStream"]

_BATCH = 500
"""Events of a burst that leave at once; between two batches the loop serves others."""


class BrokerageSessionInfo(NamedTuple):
    """A session as a test sees it. `link` counts the links of the stream from 1."""

    link: int
    phase: Phase
    topics: tuple[str, ...]
    is_live: bool
    is_frozen: bool


class BrokerageStream(StreamServer[BrokerageSession, BrokerageForms]):
    """The brokerage data stream as `Sandbox.stream` has it.

    A session is live once it is authenticated and subscribed to something.

    Args:
        world: the source of the events.
        clock: what time it is.
        credentials: what a client has to send to log in.
        payloads: the spelling of the moment.
        address: host and port to listen on.
        login_limit: seconds in which a client has to log in.
    """

    def __init__(
        self,
        world: World,
        clock: Clock,
        credentials: Credentials,
        payloads: Callable[[], Payloads],
        *,
        address: tuple[str, int],
        login_limit: float = 30.0,
    ) -> None:
        super().__init__(clock, BrokerageForms(), address=address, login_limit=login_limit)
        self.credentials = credentials
        self._world = world
        self._payloads = payloads
        self._published = 0
        world.floor.journal.bell = self._ticker.ring

    @property
    def sessions(self) -> tuple[BrokerageSessionInfo, ...]:
        """Every link that there is, and how far its session has come, oldest first."""
        return tuple(
            BrokerageSessionInfo(number, one.phase, tuple(sorted(one.topics)), one.is_live, one.link.is_frozen)
            for number, one in self._sessions.items()
        )

    def publish_due(self, now: datetime | None = None) -> None:
        """Bring the world up to date and publish its events; sessions past their time-out end."""
        now = self.clock.now() if now is None else now
        self._world.floor.bring_up(now)
        journal = self._world.floor.journal
        changes, self._published = journal.since(self._published) if self.is_live else [], journal.last
        if changes:
            for news in events_of(self._world, self._payloads(), changes, now):
                self._give(news)
            self._flush()
        for session in tuple(self._sessions.values()):
            session.expire_by(now)
        if self.is_live:
            self._ticker.plan()
        else:
            self._ticker.rest()

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

    def publish_error(
        self,
        message: str,
        code: int = 500,
        *,
        user_id: str | None = None,
        account_id: str | None = None,
        topic: str | None = None,
    ) -> None:
        """Send every live session an error that concerns only what is named.

        Args:
            message: the server's words.
            code: the code of the error.
            user_id: the user that it concerns, None for none; the others are the same.
            account_id: the account.
            topic: the topic.
        """
        self._complain(code, message, user_id=user_id, account_id=account_id, topic=topic)

    async def burst(self, count: int, *, user_id: str = "burst", account_id: str = "burst") -> int:
        """Send `count` order events, as fast as they can be written; each has an ``order_id`` of its own.

        Cancelling it stops between two batches.

        Returns:
            The serial number of the last one.
        """
        self.publish_due()
        at = self._payloads().time(self.clock.now())
        owner = {"user_id": user_id, "account_id": account_id, "timestamp": at}
        write = self._numbered(lambda number: self.frames.event("order", owner, _order(number, account_id, at)))
        for number in range(count):
            self._spread("order", ("orders",), account_id, write(number + 1))
            if number % _BATCH == _BATCH - 1:
                self._flush()
                await asyncio.sleep(0)
        self._flush()
        return self.published

    def _compiled(self, forms: BrokerageForms) -> tuple[FrameWriter, RequestReader]:
        return write_brokerage(forms), read_brokerage(forms)

    def _due(self) -> datetime | None:
        return self._world.floor.due

    def _serve(self, link: SandboxWebSocket) -> BrokerageSession:
        return BrokerageSession(link, self)

    def _give(self, news: BrokerageEvent) -> None:
        owner = {"user_id": news.user_id, "account_id": news.account_id, "timestamp": news.timestamp}
        kind = KINDS[news.topic]
        self._spread(kind, (news.topic,), news.account_id, self.frames.event(kind, owner, news.data))


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
