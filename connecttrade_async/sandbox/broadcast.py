"""The sandbox's broadcast: who is connected to the brokerage data stream, and what is told to whom.

Documented: the updates of all users of one client over one connection, one active session per credential pair, each
update only what changed, and no replay: what nobody listens to is lost.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from .clock import Clock
from .courier import Event
from .credentials import Credentials
from .ledger import Ledger
from .link import Link
from .news import News, news_of
from .payloads import Payloads
from .session import Phase, Session
from .sockets import Sockets
from .streamfaults import StreamFaults
from .ticker import Ticker
from .wording import KINDS, Wording
from .world import World

__all__ = ["Broadcast", "Displaces", "Talk"]

Displaces = Literal["older", "newer"]

_TURNS = range(5, 50)
"""Turns of the loop in which everything that is closed ends: a peer that just arrives takes the fewest of them."""


class Talk(NamedTuple):
    """A session as a test sees it. `link` counts the links of the stream from 1."""

    link: int
    phase: Phase
    topics: tuple[str, ...]
    is_live: bool
    is_frozen: bool


class Broadcast:
    """What the stream does by itself.

    Args:
        world: whose news it tells.
        clock: what time it is.
        credentials: who may listen.
        payloads: the spelling of the moment.
        address: host and port to listen on.
        login_limit: seconds in which a client has to log in (documented: 30), by the machine's clock and by the
            sandbox's, whichever is over first.

    Attributes:
        faults: what goes wrong; nothing until a fault is added.
        ledger: what was sent and received.
        wording: how its messages are spelled.
        silent: whether it keeps every event to itself; pings and actions are still answered.
        displaces: who loses when there is a second session with the same credentials, the ``older`` one (Assumed) or
            the ``newer``.
        login_limit: as given; may be changed for links to come.
        published: how many events there were so far; what the world does while nobody is live counts for nothing.
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
        self.clock = clock
        self.credentials = credentials
        self.login_limit = login_limit
        self.faults = StreamFaults()
        self.ledger = Ledger()
        self.wording = Wording()
        self.silent = False
        self.published = 0
        self.displaces: Displaces = "older"
        self._delay = 0.0
        self._world = world
        self._payloads = payloads
        self._sockets = Sockets(*address)
        self._ticker = Ticker(world.floor, clock, self.tell)
        self._told = 0
        self._links = 0
        self._is_open = True
        self._sessions: dict[int, Session] = {}
        self._holder: Session | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url or 'closed'} {len(self._sessions)} sessions, {self.published} events>"

    @property
    def url(self) -> str:
        """Where it is served, ``ws://127.0.0.1:port``; empty before it was started."""
        return f"ws://{self._sockets.authority}" if self._sockets.authority else ""

    @property
    def sessions(self) -> tuple[Talk, ...]:
        """Every link that there is, and how far its session has come, oldest first."""
        return tuple(
            Talk(number, one.phase, tuple(sorted(one.topics)), one.is_live, one.link.is_frozen)
            for number, one in self._sessions.items()
        )

    @property
    def is_live(self) -> bool:
        """Whether a session is authenticated and subscribed to something."""
        return any(session.is_live for session in self._sessions.values())

    async def start(self, *, again: bool = False) -> None:
        """Listen, if `again` on the port that it had before. Cancelling it leaves nothing behind.

        Raises:
            OSError: the port is taken.
        """
        self._is_open = True
        await self._sockets.open(self._dial, again=again)
        self._ticker.start()

    async def aclose(self) -> None:
        """Stop listening and end every link at once, frozen or not. Twice is once."""
        self._is_open = False
        self._ticker.stop()
        await self._sockets.close()
        for session in tuple(self._sessions.values()):
            session.link.abandon()
        for turn in range(_TURNS.stop):
            await asyncio.sleep(0)
            if turn >= _TURNS.start and not self._sessions:
                break

    async def restart(self) -> None:
        """Close, and listen again on the same port.

        Raises:
            OSError: somebody else has taken the port.
        """
        await self.aclose()
        await self.start(again=True)

    # What is told -----------------------------------------------------------------------------------------------------

    def tell(self, now: datetime | None = None) -> None:
        """Bring the world up to date and tell the news; whatever the clock says is over is over."""
        now = self.clock.now() if now is None else now
        self._world.floor.bring_up(now)
        journal = self._world.floor.journal
        changes, self._told = journal.since(self._told) if self.is_live else [], journal.last
        if changes:
            for news in news_of(self._world, self._payloads(), changes, now):
                self._give(news)
            self._flush()
        for session in tuple(self._sessions.values()):
            session.expire_by(now)
        if self.is_live:
            self._ticker.plan()
        else:
            self._ticker.rest()

    def _give(self, news: News) -> None:
        owner = {"user_id": news.user_id, "account_id": news.account_id, "timestamp": news.timestamp}
        self._spread(news.topic, news.account_id, self.wording.event(KINDS[news.topic], owner, news.data))

    def _spread(self, topic: str, account_id: str, text: str) -> None:
        self.published += 1
        event = Event(self.published, topic, account_id, text)
        for session in tuple(self._sessions.values()):
            session.tell(event)

    def _flush(self) -> None:
        for session in tuple(self._sessions.values()):
            session.link.flush()

    # The sessions' side -----------------------------------------------------------------------------------------------

    def meet(self, session: Session) -> None:
        """There is a new link; a stream that closes lets go of it."""
        self._sessions[session.link.number] = session
        if not self._is_open:
            session.link.abandon()

    def forget(self, session: Session) -> None:
        """A link is gone."""
        self._sessions.pop(session.link.number, None)

    def claim(self, session: Session) -> bool:
        """Let a session have the credentials for itself, as far as it displaces the one that had them."""
        if self._holder is not None and self._holder.link.is_open:
            if self.displaces == "newer":
                return False
            self._holder.displace()
        self._holder = session
        return True

    def leave(self, session: Session) -> None:
        """A session is over; the credentials are free, if they were its."""
        if self._holder is session:
            self._holder = None

    def _dial(self) -> Link:
        self._links += 1
        link = Link(self._links, self.ledger, self._delay)
        link.conversation = Session(link, self)
        return link
