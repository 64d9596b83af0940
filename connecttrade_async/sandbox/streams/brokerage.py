"""The brokerage data stream: its sessions, and the events that each of them gets.

Documented: the updates of all users of one client over one connection, one active session per credential pair, each
update only what changed, and no replay: an event without a listener is lost.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.payloads import Payloads
from connecttrade_async.sandbox.settings import Credentials
from connecttrade_async.sandbox.streams.actions import StreamActions
from connecttrade_async.sandbox.streams.brokerage_events import BrokerageEvent, events_of
from connecttrade_async.sandbox.streams.brokerage_session import BrokerageSession
from connecttrade_async.sandbox.streams.encoding import KINDS
from connecttrade_async.sandbox.streams.session import Phase
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket
from connecttrade_async.sandbox.world import World

__all__ = ["BrokerageSessionInfo", "BrokerageStreamServer"]


class BrokerageSessionInfo(NamedTuple):
    """A session as a test sees it. `link` counts the links of the stream from 1."""

    link: int
    phase: Phase
    topics: tuple[str, ...]
    is_live: bool
    is_frozen: bool


class BrokerageStreamServer(StreamActions[BrokerageSession]):
    """What the stream does by itself. A session is live once it is authenticated and subscribed to something.

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
        super().__init__(clock, address=address, login_limit=login_limit)
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

    def _due(self) -> datetime | None:
        return self._world.floor.due

    def _serve(self, link: SandboxWebSocket) -> BrokerageSession:
        return BrokerageSession(link, self)

    def _give(self, news: BrokerageEvent) -> None:
        owner = {"user_id": news.user_id, "account_id": news.account_id, "timestamp": news.timestamp}
        kind = KINDS[news.topic]
        self._spread(kind, (news.topic,), news.account_id, self.wording.event(kind, owner, news.data))
