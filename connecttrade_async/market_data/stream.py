"""What users hold of market data: one link for one connection, and any number of feeds over it."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, NamedTuple, Self, cast
from unicodedata import category

import msgspec

from connecttrade_async.clock import Clock
from connecttrade_async.config import Reconnect, Timeouts
from connecttrade_async.errors import ConfigurationError, SymbolError
from connecttrade_async.market_data import codec, filters
from connecttrade_async.market_data.bar_feed import Backfill, BarFeed
from connecttrade_async.market_data.codec import HOURS, INTERVALS, LENGTHS, MarketDataCodec, Snapshot, Subscriptions
from connecttrade_async.market_data.fanout import MarketDataFanout
from connecttrade_async.market_data.feeds import DepthFeed, Feed, FeedConfig
from connecttrade_async.market_data.registry import ChannelKey, SubscriptionKey, SubscriptionRegistry
from connecttrade_async.market_data.requests import MarketDataRequests
from connecttrade_async.market_data.stream_token import StreamToken, TokenSource
from connecttrade_async.market_data.subscription_sync import MarketDataSync, ReplyPolicy
from connecttrade_async.models.market import Bar, OptionsChain, Quote, Trade
from connecttrade_async.streaming.config import Lifetime, StreamConfig
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.protocol import CODES, CloseReason, StreamProtocol
from connecttrade_async.streaming.stream import MAX_BYTES, Stream
from connecttrade_async.streaming.subscriptions import Capacity, Subscription
from connecttrade_async.streaming.supervisor import Supervisor
from connecttrade_async.streaming.websocket import ConnectOptions
from connecttrade_async.symbology import is_option, parse_option

__all__ = ["MarketDataStream", "ServerSubscription", "ServerSubscriptions"]

CAPACITY = 10_000
TOPICS = ("lifecycle", "unknown")
ATTEMPTS = 3


class ServerSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of one channel.

    Attributes:
        channel: which channel.
        symbols: of what.
        options: with what else, as it came.
    """

    channel: str
    symbols: tuple[str, ...]
    options: dict[str, Any]


class ServerSubscriptions(msgspec.Struct, frozen=True, kw_only=True):
    """The server's word on what is subscribed, and how it differed from ours.

    Attributes:
        held: what it holds.
        missing: what it should have held and did not, by channel and symbol; it is asked for again.
        extra: what it held and nobody wants; it is given up.
    """

    held: tuple[ServerSubscription, ...]
    missing: tuple[tuple[str, str], ...]
    extra: tuple[ServerSubscription, ...]


class MarketDataConfig(NamedTuple):
    """What opens a market data stream.

    Attributes:
        url: where it is.
        timeouts: how long things may take.
        reconnect: how it comes back.
        clock: time.
        taken: the users of this client that have a stream open.
        owner: with what it ends.
        dialing: the TLS context, the proxy and the largest frame.
    """

    url: str
    timeouts: Timeouts
    reconnect: Reconnect
    clock: Clock
    taken: set[str]
    owner: Lifetime
    dialing: ConnectOptions | None = None


class MarketDataStream(Stream):
    """Market data of one connection of one user, over one link that heals.

    Use it as ``async with``: inside, it is connected and logged in, or it raised.
    """

    def __init__(
        self,
        door: MarketDataConfig,
        user_id: str,
        source: TokenSource,
        *,
        mints: bool,
        codes: Mapping[str, CloseReason],
        watchdog: float | None = None,
    ) -> None:
        clock, timeouts = door.clock, door.timeouts
        # What mints one is a call over REST, which has time-outs of its own.
        tokens = StreamToken(source, clock, within=None if mints else timeouts.call, is_ours=mints)
        demands, routes = SubscriptionRegistry(), MarketDataFanout(clock.wall)
        known = {**CODES, **codes}
        patience = ReplyPolicy(timeouts.login / (ATTEMPTS + 1), ATTEMPTS)

        def make_life(now: float) -> StreamProtocol:
            dialect, talk = MarketDataCodec(tokens.token), MarketDataSync(demands, patience)
            return StreamProtocol(dialect, talk, now=now, login=timeouts.login, silence=timeouts.silence, codes=known)

        plan = StreamConfig(door.url, make_life, routes, clock, timeouts, door.reconnect, "stop", tokens, door.dialing)
        super().__init__(plan, watchdog, door.owner)
        self._door = door
        self._user_id = user_id
        self._routes = routes
        self._desk = MarketDataRequests(demands, routes, clock, door.url)
        self._has_place = False

    def quotes(
        self, *symbols: str, capacity: int = CAPACITY, max_bytes: int = MAX_BYTES, overflow: str = "latest"
    ) -> Feed[Quote]:
        """Return a feed of the best bid and offer of each symbol; ``async with`` opens it.

        Args:
            symbols: CQS for stocks, OSI for options, any other text as the server knows it; more can be added while
                it is open.
            capacity: events that may wait.
            max_bytes: how large their frames may be together.
            overflow: ``latest`` keeps the latest of each symbol, ``drop_oldest`` drops and tells a ``Gap``, ``close``
                ends this consumer with ``SlowConsumerError``.

        Raises:
            SymbolError: a symbol is empty or not a text, or it has control characters.
        """
        wish = FeedConfig(ChannelKey("quotes"), None, None, _any_symbol, overflow, Capacity(capacity, max_bytes))
        return Feed[Quote](self._desk, wish, symbols)

    def trades(
        self,
        *symbols: str,
        hours: str = "all",
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str = "drop_oldest",
    ) -> Feed[Trade]:
        """Return a feed of what is bought and sold; ``async with`` opens it.

        Args:
            symbols: as for ``quotes``.
            hours: ``regular``, ``extended`` or ``all``.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            SymbolError: a symbol is empty or not a text, or it has control characters.
            ConfigurationError: there are no such hours.
        """
        _check("hours", hours, HOURS)
        choice = None if hours == "all" else filters.HoursFilter(hours)
        wish = FeedConfig(ChannelKey("trades"), hours, choice, _any_symbol, overflow, Capacity(capacity, max_bytes))
        return Feed[Trade](self._desk, wish, symbols)

    def bars(
        self,
        *symbols: str,
        interval: str = "1m",
        backfill: int = 100,
        fill_gaps: bool = False,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str = "drop_oldest",
    ) -> BarFeed:
        """Return a feed of bars that go up in time; ``async with`` opens it, once the past is there.

        Each is told once when it is over, and before that as often as it changes. One that is over only after the next
        has begun is told then. One that the server corrects after it was over is told again, with ``is_correction``.

        Args:
            symbols: as for ``quotes``.
            interval: ``1m``, ``5m``, ``15m``, ``30m``, ``1h`` or ``1d`` (documented).
            backfill: how many bars of the past of each symbol come first, marked ``is_backfill``; 0 for none. They are
                asked for with the subscription (assumed), and where they do not come with it, as ``encode_snapshot``
                does.
                Where neither gives them the feed opens without, a ``Gap`` names the symbols, and a warning is logged.
            fill_gaps: whether what was missed is fetched and told in its place; else, or where that cannot be done, a
                ``Gap`` is told.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            SymbolError: a symbol is empty or not a text, or it has control characters.
            ConfigurationError: there is no such interval, or the count is none.
        """
        _check("interval", interval, INTERVALS)
        if backfill:
            _check_count("backfill", backfill)
        line, choice = ChannelKey("bars", (("interval", interval),)), filters.IntervalFilter(interval)
        wish = FeedConfig(line, None, choice, _any_symbol, overflow, Capacity(capacity, max_bytes))

        async def fetch(symbol: str, start: datetime | None, limit: int | None) -> list[Bar]:
            return await self.history(symbol, interval=interval, start=start, limit=limit)

        async def fence() -> object:
            return await self._desk.list_subscriptions(min(self._plan.timeouts.login, self._plan.timeouts.call))

        past = Backfill(backfill, fill_gaps, LENGTHS[interval], fetch, fence, self._plan.clock.wall)
        return BarFeed(self._desk, wish, symbols, past)

    def depth(
        self,
        *symbols: str,
        levels: int = 10,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str = "latest",
    ) -> DepthFeed:
        """Return a feed of books, whole each time; ``async with`` opens it.

        Args:
            symbols: as for ``quotes``.
            levels: how deep.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            SymbolError: a symbol is empty or not a text, or it has control characters.
            ConfigurationError: the count is none.
        """
        _check_count("levels", levels)
        wish = FeedConfig(ChannelKey("depth"), levels, None, _any_symbol, overflow, Capacity(capacity, max_bytes))
        return DepthFeed(self._desk, wish, symbols)

    def options_chain(
        self,
        underlying: str,
        expiration: date | str | None = None,
        *,
        greeks: bool = True,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str = "latest",
    ) -> Feed[OptionsChain]:
        """Return a feed of the options on a stock; ``async with`` opens it.

        Args:
            underlying: the stock, CQS, or any other text as the server knows it.
            expiration: the day on which they expire; None for whatever the server sends.
            greeks: whether they are wanted too. Where another consumer wants them, they come.
            capacity: as for ``quotes``; one chain is large.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``; ``latest`` is that of each day of expiration.

        Raises:
            SymbolError: the underlying is empty or not a text, or it has control characters.
            ConfigurationError: the day is none.
        """
        day = None if expiration is None else _day(expiration)
        choice = None if day is None and not greeks else filters.ExpirationFilter(day, greeks=greeks)
        line = ChannelKey("options_chain", (("expiration", day),))
        wish = FeedConfig(line, greeks, choice, _any_symbol, overflow, Capacity(capacity, max_bytes))
        return Feed[OptionsChain](self._desk, wish, [underlying])

    def subscribe(
        self, *topics: str, capacity: int = CAPACITY, max_bytes: int = MAX_BYTES, overflow: str = "close"
    ) -> Subscription:
        """Add a consumer of what happens to the stream itself.

        Args:
            topics: ``lifecycle`` for that, ``unknown`` for frames that were not understood; none means both.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            ConfigurationError: a topic, the bound or the policy cannot be one.
            ConnectTradeError: the stream has ended, with why.
        """
        for topic in topics:
            _check("a topic", topic, TOPICS)
        return self._subscribe(EventFilter(topics or TOPICS), overflow, Capacity(capacity, max_bytes))

    async def history(
        self,
        symbol: str,
        *,
        interval: str = "1m",
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[Bar]:
        """Ask for bars of the past, without a subscription. Any number can be asked for at once.

        Args:
            symbol: as for ``quotes``.
            interval: as for ``bars``.
            start: from when on, aware; None for as the server sees fit.
            end: up to when, aware.
            limit: how many at most.
            timeout: seconds; by default ``timeouts.call``. The link may be lost and come back meanwhile.

        Returns:
            The bars in order, marked ``is_backfill``.

        Raises:
            SymbolError: the symbol is empty or not a text, or it has control characters.
            ConfigurationError: an argument cannot be sent.
            MarketDataRefusedError: the server refuses.
            RequestTimeoutError: no answer in time.
            MalformedResponseError: the answer cannot be read.
            ConnectTradeError: the stream has ended, with why.

        Cancelling drops the question.
        """
        _check("interval", interval, INTERVALS)
        if limit is not None:
            _check_count("limit", limit)
        symbol = _any_symbol(symbol)
        times = {"start_time": _time("start", start), "end_time": _time("end", end)}
        facts = {**times, "limit": limit}
        found = await self._desk.history(symbol, interval, facts, self._patience(timeout))
        return list(codec.past_bars(cast("Snapshot", found.message), symbol, interval))

    async def list_subscriptions(self, *, timeout: float | None = None) -> ServerSubscriptions:
        """Ask the server what is subscribed; a difference from what it should hold is mended, and told.

        Args:
            timeout: seconds; by default ``timeouts.call``.

        Raises:
            MarketDataRefusedError: the server refuses.
            RequestTimeoutError: no answer in time.
            ConnectTradeError: the stream has ended, with why.

        Cancelling drops the question; a difference is mended all the same.
        """
        found = await self._desk.list_subscriptions(self._patience(timeout))
        missing: tuple[SubscriptionKey, ...] = () if found.difference is None else found.difference.missing
        extra = () if found.difference is None else found.difference.extra
        return ServerSubscriptions(
            held=tuple(map(_described, cast("Subscriptions", found.message).entries)),
            missing=tuple((item.line.channel, item.symbol) for item in missing),
            extra=tuple(map(_described, extra)),
        )

    async def aclose(self) -> None:
        """Close, within ``timeouts.close`` seconds from every state. Closing twice is harmless.

        What waits for consumers can still be taken; then they end. Cancelling drops the link at once.
        """
        try:
            await super().aclose()
        finally:
            if self._has_place:
                self._has_place = False
                self._door.taken.discard(self._user_id)

    async def __aenter__(self) -> Self:
        self._check_is_new()
        if self._user_id in self._door.taken:
            msg = (
                f"user {self._user_id!r} has a market data stream open in this client, and Connect Trade allows one "
                "broker connection at a time per user: close that one first, or open more feeds on it"
            )
            raise ConfigurationError(msg)
        self._door.taken.add(self._user_id)
        self._has_place = True
        return await super().__aenter__()

    def _opening(self, supervisor: Supervisor) -> None:
        self._desk.supervisor = supervisor

    def _patience(self, timeout: float | None) -> float:
        if timeout is None:
            return self._plan.timeouts.call
        if not timeout > 0:
            msg = f"timeout must be a number of seconds above zero, not {timeout!r}"
            raise ConfigurationError(msg)
        return timeout


def _described(entry: codec.Entry) -> ServerSubscription:
    return ServerSubscription(channel=entry.channel, symbols=entry.symbols, options=entry.options)


def _any_symbol(symbol: Any) -> str:  # noqa: ANN401 - it is looked at here
    """Return a symbol as it is sent: an OSI symbol without its padding, any other text as the caller writes it.

    Market data passes on symbols that cannot be classified: of indices, futures and cryptocurrencies no published form
    is known.
    """
    if not isinstance(symbol, str):
        problem = f"a symbol must be a text, got {type(symbol).__name__}"
        raise SymbolError(symbol=repr(symbol)[:40], position=0, problem=problem)
    if not symbol.strip():
        raise SymbolError(symbol=symbol, position=0, problem="a symbol must not be empty")
    for position, character in enumerate(symbol):
        # A lone surrogate (Cs) cannot be sent as UTF-8.
        if category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise SymbolError(symbol=symbol, position=position, problem="a symbol must not have control characters")
    return str(parse_option(symbol)) if is_option(symbol) else symbol


def _check(name: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        msg = f"{name} must be one of {', '.join(values)}, not {value!r}"
        raise ConfigurationError(msg)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{name} must be a whole number from 1 on, not {value!r}"
        raise ConfigurationError(msg)


def _day(value: date | str) -> str:
    try:
        return (
            date.fromisoformat(value) if isinstance(value, str) else date(value.year, value.month, value.day)
        ).isoformat()
    except (ValueError, AttributeError):
        msg = f"expiration must be a day, or YYYY-MM-DD, not {value!r}"
    raise ConfigurationError(msg)


def _time(name: str, value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.utcoffset() is None:
        msg = f"{name} has no time zone: give it one, such as datetime.UTC"
        raise ConfigurationError(msg)
    return codec.wire_name(value)
