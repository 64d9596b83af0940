"""The market-data stream: its sessions, their events, and what a test may do to it.

Documented: one link per connection, a token of 24 hours of which only the newest is good, and one broker connection at
a time per user. Assumed: that a connection with a replaced token stays until that token's own end, so that a client can
change over without missing anything; and that a user's newer link displaces the older one. What moves the market
itself is `Sandbox.broker`.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple

from connecttrade_async.sandbox.clock import Clock
from connecttrade_async.sandbox.dialect.frames import FrameWriter, write_market
from connecttrade_async.sandbox.dialect.requests import RequestReader, read_market
from connecttrade_async.sandbox.dialect.streams import MarketForms
from connecttrade_async.sandbox.errors import BadRequestError, ForbiddenError, NotFoundError, RefusalError
from connecttrade_async.sandbox.parameters import Fields, moment
from connecttrade_async.sandbox.payloads import Payloads
from connecttrade_async.sandbox.streams.channels import CHANNELS, History, Request, Subscription
from connecttrade_async.sandbox.streams.delivery import Event
from connecttrade_async.sandbox.streams.market_feed import AddressedMarketEvent, Feeds, MarketPayloads
from connecttrade_async.sandbox.streams.market_session import MarketDataSession, listing
from connecttrade_async.sandbox.streams.server import StreamServer
from connecttrade_async.sandbox.streams.session import Phase
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket
from connecttrade_async.sandbox.world import (
    Connection,
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

__all__ = ["MarketDataSessionInfo", "MarketDataStream"]

_TICK = timedelta(milliseconds=250)
_MOMENT = timedelta(microseconds=1)

_BATCH = 500
"""Events of a burst that leave at once; between two batches the loop serves others."""


class MarketDataSessionInfo(NamedTuple):
    """A session as a test sees it. `link` counts the links of the stream from 1; the ids are empty before the login."""

    link: int
    phase: Phase
    user_id: str
    connection_id: str
    subscriptions: int
    is_live: bool
    is_frozen: bool


class MarketDataStream(StreamServer[MarketDataSession, MarketForms]):
    """The market-data stream as `Sandbox.market` has it. A session is live once it is authenticated.

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
        super().__init__(clock, MarketForms(), address=address, login_limit=login_limit)
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

    # What is listened to ----------------------------------------------------------------------------------------------

    def subscriptions(self) -> dict[int, list[dict[str, object]]]:
        """What each live link listens to, by its number, as ``list_subscriptions`` would answer it."""
        return {session.link.number: listing(session.subscriptions) for session in self._live_ones()}

    def listened(self) -> dict[int, frozenset[Subscription]]:
        """The same as sets, in which the order of subscribing does not matter."""
        return {session.link.number: frozenset(session.subscriptions) for session in self._live_ones()}

    async def until_subscribed(self, channel: str, *symbols: str) -> None:
        """Wait until a live link listens to a channel of all these symbols, with whatever options.

        Cancelling it leaves nothing behind.
        """
        await self.log.until(lambda: any(self._hears(one, channel, symbols) for one in self.listened().values()))

    # Events by hand ---------------------------------------------------------------------------------------------------

    def publish(self, channel: str, symbol: str, data: Mapping[str, object], **options: str | bool) -> int:
        """Send an event to every live session that listens to a channel of a symbol.

        Args:
            channel: ``quotes``, ``trades``, ``bars``, ``depth`` or ``options_chain``.
            symbol: the symbol of the event; a chain's underlying.
            data: the other members of the message.
            options: only to subscriptions with these, such as ``interval="1m"``.

        Returns:
            Its serial number, by which the ledger knows it.

        Raises:
            RefusalError: there is no such channel.
        """
        if channel not in CHANNELS:
            raise BadRequestError(f"channel must be one of {', '.join(CHANNELS)}.")
        self.publish_due()
        wanted = {one for session in self._live_ones() for one in session.subscriptions}
        topics = tuple(
            one
            for one in sorted(wanted, key=repr)
            if (one.channel, one.symbol) == (channel, symbol) and options.items() <= one.given.items()
        )
        name = "underlying" if channel == "options_chain" else "symbol"
        told = AddressedMarketEvent(topics or (Subscription(channel, symbol),), {name: symbol, **data})
        self._spread(told.kind, told.topics, symbol, self._text(told))
        self._flush()
        return self.published

    def publish_error(
        self, message: str, code: int = 500, *, channel: str | None = None, symbol: str | None = None
    ) -> None:
        """Send every live session an error that concerns only what is named.

        Args:
            message: the server's words.
            code: the code of the error.
            channel: the channel that it concerns, None for none.
            symbol: the symbol that it concerns, None for none.
        """
        self._complain(code, message, channel=channel, symbol=symbol)

    async def burst(self, count: int, *symbols: str) -> int:
        """Send `count` quotes, as fast as they can be written, of symbols in turn (of ``AAPL`` if none is named).

        The ``bid_size`` of each is its number, from 1 on.

        Cancelling it stops between two batches.

        Returns:
            The serial number of the last one.
        """
        self.publish_due()
        at = self._payloads().time(self.clock.now())
        prices = {"bid_price": "100.00", "bid_size": "1", "ask_price": "100.02", "ask_size": "100"}
        names = symbols or ("AAPL",)
        topics = [(Subscription("quotes", symbol),) for symbol in names]
        quotes = [{"symbol": symbol, **prices, "last_price": "100.01", "timestamp": at} for symbol in names]
        writers = [self._numbered(partial(self._quote, quote)) for quote in quotes]
        for number in range(count):
            place = number % len(names)
            self._spread("quote", topics[place], names[place], writers[place](number + 1))
            if number % _BATCH == _BATCH - 1:
                self._flush()
                await asyncio.sleep(0)
        self._flush()
        return self.published

    def tick(self) -> None:
        """Publish what is new, and every quote, depth and chain, changed or not."""
        self._feeds.forget()
        self.publish_due()

    # What is refused, and what ends -----------------------------------------------------------------------------------

    def refuse(self, symbol: str, message: str = "") -> None:
        """Refuse every subscription to a symbol from now on, with code 403 (Assumed); those that there are stay."""
        self.refused[symbol] = message or f"There is no entitlement to {symbol}."

    def allow(self, symbol: str | None = None) -> None:
        """Refuse a symbol no longer, or none (None)."""
        if symbol is None:
            self.refused.clear()
        else:
            self.refused.pop(symbol, None)

    def expire_token(self, connection_id: str | None = None) -> None:
        """Let the 24 hours of a connection's tokens be over now, or those of every connection's (None).

        Raises:
            RefusalError: there is no such connection.
        """
        chosen = self._connections() if connection_id is None else [self._connection(connection_id)]
        for connection in chosen:
            self._world.tokens.expire(connection, self.clock.now())
        self.publish_due()

    def replace_token(self, connection_id: str) -> str:
        """Mint a token of a connection, as a request over REST does, and return it.

        Raises:
            RefusalError: there is no such connection, or its broker has no market data.
        """
        token = self._world.mint(self._connection(connection_id), self.clock.now())
        self.publish_due()
        return token.text

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
            return NotFoundError(f"There is no {symbol}.")
        expiry, listed = dict(request.options).get("expiration"), self._feeds.expiries(self.clock.now())
        if expiry is not None and expiry not in listed:
            return NotFoundError(f"No options expire on {expiry}, only on {', '.join(listed)}.")
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

    def _quote(self, members: Fields, size: str) -> str:
        return self.frames.event("quote", {}, {**members, "bid_size": size})

    def _compiled(self, forms: MarketForms) -> tuple[FrameWriter, RequestReader]:
        return write_market(forms), read_market(forms)

    def _text(self, tiding: AddressedMarketEvent) -> str:
        return self.frames.event(tiding.kind, {}, tiding.members)

    def _connections(self) -> list[Connection]:
        return [one for user in self._world.users.values() for one in user.connections.values()]

    def _connection(self, connection_id: str) -> Connection:
        for connection in self._connections():
            if connection.connection_id == connection_id:
                return connection
        raise NotFoundError(f"There is no connection {connection_id!r}.")

    @staticmethod
    def _hears(known: frozenset[Subscription], channel: str, symbols: tuple[str, ...]) -> bool:
        return {one.symbol for one in known if one.channel == channel}.issuperset(symbols)


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
