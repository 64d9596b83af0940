"""The market-data stream: its sessions, and the events that each of them gets.

Documented: one link per connection, a token of 24 hours of which only the newest is good, and one broker connection at
a time per user. Assumed: that a connection with a replaced token stays until that token's own end, so that a client can
change over without missing anything; and that a user's newer link displaces the older one.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal, NamedTuple

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.errors import BadRequestError, ForbiddenError, RefusalError, UnknownError
from connecttrade_async.sandbox.parameters import Fields, moment
from connecttrade_async.sandbox.payloads import Payloads
from connecttrade_async.sandbox.streams.actions import StreamActions
from connecttrade_async.sandbox.streams.channels import History, Request
from connecttrade_async.sandbox.streams.delivery import Event
from connecttrade_async.sandbox.streams.encoding import FrameEncoding
from connecttrade_async.sandbox.streams.market_feed import Feeds, MarketEvent, MarketPayloads
from connecttrade_async.sandbox.streams.market_session import MarketDataSession
from connecttrade_async.sandbox.streams.session import Phase
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket
from connecttrade_async.sandbox.world import (
    Grant,
    World,
    anchor,
    is_crypto,
    is_listed,
    is_stock,
    parse_option,
    span,
    tick_of,
)

__all__ = ["MarketDataServer", "MarketDataSessionInfo"]

_TICK = timedelta(milliseconds=250)
_MOMENT = timedelta(microseconds=1)


class MarketDataSessionInfo(NamedTuple):
    """A session as a test sees it. `link` counts the links of the stream from 1; the ids are empty before the login."""

    link: int
    phase: Phase
    user_id: str
    connection_id: str
    subscriptions: int
    is_live: bool
    is_frozen: bool


class MarketDataServer(StreamActions[MarketDataSession]):
    """What the stream does by itself. A session is live once it is authenticated.

    Args:
        world: the source of the prices.
        clock: what time it is.
        payloads: the spelling of the moment.
        address: host and port to listen on.
        login_limit: seconds in which a client has to log in.

    Attributes:
        pace: seconds between two looks at the market while the clock runs; a clock that is held says when it moves.
        memory: seconds; after a leap of the clock, only events of this last stretch are sent.
        replaced: whether a link ``stays`` when its token is replaced, until that token's own end, or ``ends``.
        takes: of a subscribe with symbols that are refused, whether ``all`` of it is, or ``some``: then the answer
            names the others, and an error with the same id those.
        refused: the symbols that no session may subscribe to, each with the message of the refusal.
    """

    def __init__(
        self,
        world: World,
        clock: Clock,
        payloads: Callable[[], Payloads],
        *,
        address: tuple[str, int],
        login_limit: float = 30.0,
    ) -> None:
        super().__init__(clock, address=address, login_limit=login_limit)
        self.wording = FrameEncoding(payload="flat")
        self.pace = 0.5
        self.memory = 3600.0
        self.replaced: Literal["stays", "ends"] = "stays"
        self.takes: Literal["all", "some"] = "all"
        self.refused: dict[str, str] = {}
        self._world = world
        self._payloads = payloads
        self._feeds = Feeds(world, payloads)
        self._published = tick_of(clock.now())
        self._at = clock.now()
        world.market.bell = world.tokens.bell = self._ticker.ring

    @property
    def sessions(self) -> tuple[MarketDataSessionInfo, ...]:
        """Every link that there is, and how far its session has come, oldest first."""
        return tuple(_seen(number, session) for number, session in self._sessions.items())

    def publish_due(self, now: datetime | None = None) -> None:
        """Publish what the market did; sessions past their time-out end."""
        self._at = now = self.clock.now() if now is None else now
        for session in tuple(self._sessions.values()):
            session.expire_by(now)
            session.inspect(now)
        tick = tick_of(now)
        wanted = dict.fromkeys(one for session in self._live_ones() for one in session.subscriptions)
        # A clock that was set back starts again from its new time.
        since = max(min(self._published, tick), tick - int(self.memory / _TICK.total_seconds()))
        self._published = tick
        for tiding in self._feeds.news(wanted, since, now):
            self._spread(tiding.kind, tiding.topics, tiding.symbol, self._text(tiding))
        self._flush()
        if self.is_live:
            self._ticker.plan()
        else:
            self._ticker.rest()

    def _live_ones(self) -> list[MarketDataSession]:
        return [session for session in self._sessions.values() if session.is_live]

    def _due(self) -> datetime | None:
        if any(session.subscriptions for session in self._live_ones()):
            return self._at + timedelta(seconds=self.pace)
        return min(
            (session.grant.expires_at for session in self._live_ones() if session.grant is not None), default=None
        )

    def _serve(self, link: SandboxWebSocket) -> MarketDataSession:
        return MarketDataSession(link, self)

    def _text(self, tiding: MarketEvent) -> str:
        return self.wording.event(tiding.kind, {}, tiding.members)

    # The sessions' side -----------------------------------------------------------------------------------------------

    def grant(self, token: object) -> Grant | None:
        """The token of this text, None if there never was one."""
        return self._world.tokens.find(token)

    def problem(self, request: Request, symbol: str) -> RefusalError | None:
        """Return why a symbol cannot be subscribed to, or None."""
        if symbol in self.refused:
            return ForbiddenError(self.refused[symbol])
        option, is_chain = parse_option(symbol), request.channel == "options_chain"
        is_known_form = is_stock(symbol) or (not is_chain and (option is not None or is_crypto(symbol)))
        if not is_known_form:
            return BadRequestError(f"{symbol} is no symbol{' of a stock' * is_chain}.")
        if not is_listed(symbol) or (option is not None and anchor(option.expiry) <= self.clock.now()):
            return UnknownError(f"There is no {symbol}.")
        expiry, listed = dict(request.options).get("expiration"), self._feeds.expiries(self.clock.now())
        if expiry is not None and expiry not in listed:
            return UnknownError(f"No options expire on {expiry}, only on {', '.join(listed)}.")
        return None

    def greet(self, session: MarketDataSession, request: Request) -> None:
        """Send a session the present state of its new subscriptions."""
        for wanted in request.subscriptions():
            for tiding in self._feeds.present(wanted, self._at, request.backfill):
                self.published += 1
                event = Event(self.published, tiding.kind, tiding.symbol, self._text(tiding))
                session.send_event(event, tiding.topics)
        self._ticker.plan()

    def history(self, asked: History) -> list[Fields]:
        """Bars that are over: from a start on the first of them, otherwise the last before the end, oldest first."""
        bars, now = self._world.bars, self.clock.now()
        end = now if asked.end is None else min(now, moment("end_time", asked.end))
        edge = min(span(asked.interval, now)[0], span(asked.interval, end - _MOMENT)[1])
        if asked.start is None:
            found = bars.before(asked.symbol, asked.interval, edge, asked.limit)
        else:
            start = moment("start_time", asked.start)
            found = list(islice(bars.between(asked.symbol, asked.interval, start, edge), asked.limit))
        write = MarketPayloads(self._payloads()).bar
        return [write(asked.symbol, asked.interval, bar, closed=True) for bar in found]


def _seen(number: int, session: MarketDataSession) -> MarketDataSessionInfo:
    connection = None if session.grant is None else session.grant.connection
    return MarketDataSessionInfo(
        number,
        session.phase,
        "" if connection is None else connection.user_id,
        "" if connection is None else connection.connection_id,
        len(session.subscriptions),
        session.is_live,
        session.link.is_frozen,
    )
