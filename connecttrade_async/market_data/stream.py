"""The market data stream: one WebSocket for one broker connection, and any number of feeds over it."""

# ruff: noqa: TC001, TC003 - help() and documentation tools evaluate what the signatures name

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, cast
from unicodedata import category

import msgspec

from connecttrade_async.clock import Clock
from connecttrade_async.config import Reconnect, Timeouts
from connecttrade_async.dialect.value import Dialect
from connecttrade_async.errors import ConfigurationError, MalformedResponseError, SymbolError
from connecttrade_async.market_data import filters
from connecttrade_async.market_data.bar_feed import Backfill, BarFeed
from connecttrade_async.market_data.codec import (
    BarSnapshot,
    ListedSubscription,
    MarketDataCodec,
    SubscriptionList,
    past_bars,
)
from connecttrade_async.market_data.encoder import RequestEncoder, format_time
from connecttrade_async.market_data.fanout import MarketDataFanout
from connecttrade_async.market_data.feeds import DepthFeed, Feed, FeedConfig
from connecttrade_async.market_data.names import HOURS, INTERVALS
from connecttrade_async.market_data.registry import ChannelKey, SubscriptionKey, SubscriptionRegistry
from connecttrade_async.market_data.requests import MarketDataRequests
from connecttrade_async.market_data.stream_token import StreamToken, TokenSource
from connecttrade_async.market_data.subscription_sync import MarketDataSync, ReplyPolicy
from connecttrade_async.models.market import Bar, OptionsChain, Quote, Trade
from connecttrade_async.streaming.config import Lifetime, StreamConfig
from connecttrade_async.streaming.filters import EventFilter
from connecttrade_async.streaming.protocol import CloseReason, StreamProtocol, codes_of
from connecttrade_async.streaming.stream import Stream
from connecttrade_async.streaming.subscriptions import CAPACITY, MAX_BYTES, QueueCapacity, Subscription
from connecttrade_async.streaming.supervisor import Supervisor
from connecttrade_async.streaming.websocket import ConnectOptions
from connecttrade_async.symbology import is_option, parse_option
from connecttrade_async.validation import one_of, positive_int

__all__ = ["MarketDataStream", "ServerSubscription", "ServerSubscriptions"]

TOPICS = ("lifecycle", "unknown")
LENGTHS: dict[str, timedelta] = dict(
    zip(
        INTERVALS,
        (*(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30)), timedelta(hours=1), timedelta(days=1)),
        strict=True,
    )
)
ATTEMPTS = 3


class ServerSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the server's list of subscriptions.

    Attributes:
        channel: the channel.
        symbols: the symbols.
        options: every other member of the entry; those that this library knows by its own names and words.
    """

    channel: str
    symbols: tuple[str, ...]
    options: dict[str, Any]


class ServerSubscriptions(msgspec.Struct, frozen=True, kw_only=True):
    """The server's list of subscriptions, and its differences from the requested ones.

    Attributes:
        held: the list.
        missing: requested subscriptions that the list lacks, as channel and symbol; they are requested again.
        extra: entries that no feed requests; they are unsubscribed.
    """

    held: tuple[ServerSubscription, ...]
    missing: tuple[tuple[str, str], ...]
    extra: tuple[ServerSubscription, ...]


class MarketDataConfig(NamedTuple):
    """Settings of a market data stream.

    Attributes:
        url: the stream's URL.
        timeouts: the time-outs.
        reconnect: the reconnect policy.
        clock: measures time.
        taken: ids of the users of this client that have a stream open.
        owner: the client or view that closes the stream.
        dialing: TLS context, proxy and frame size limit.
        dialect: how the server speaks.
    """

    url: str
    timeouts: Timeouts
    reconnect: Reconnect
    clock: Clock
    taken: set[str]
    owner: Lifetime
    dialing: ConnectOptions | None = None
    dialect: Dialect = Dialect.default


class MarketDataStream(Stream):
    """Market data of one broker connection, over one WebSocket that reconnects by itself.

    An async context manager: entering connects and logs in, or raises.

    Args:
        config: the settings.
        user_id: the user of the broker connection.
        source: returns a stream token.
        mints: whether the source mints a new token on each call.
        codes: further close codes of the server.
        watchdog: seconds for which the event loop may be blocked before a warning is logged, or None.
    """

    def __init__(
        self,
        config: MarketDataConfig,
        user_id: str,
        source: TokenSource,
        *,
        mints: bool,
        codes: Mapping[str, CloseReason],
        watchdog: float | None = None,
    ) -> None:
        clock, timeouts, url = config.clock, config.timeouts, config.url
        # A source that mints is a REST call, which has time-outs of its own.
        token = StreamToken(source, clock, timeout=None if mints else timeouts.call, is_minted=mints)
        registry, fanout = SubscriptionRegistry(), MarketDataFanout(clock.wall)
        known = {**codes_of(config.dialect.errors), **codes}
        encoder = RequestEncoder(config.dialect)
        policy = ReplyPolicy(timeouts.login / (ATTEMPTS + 1), ATTEMPTS)

        def make_protocol(now: float) -> StreamProtocol:
            stream_codec = MarketDataCodec(token.token, config.dialect, registry, encoder)
            sync = MarketDataSync(registry, stream_codec, policy)
            return StreamProtocol(
                stream_codec, sync, now=now, login=timeouts.login, silence=timeouts.silence, codes=known
            )

        stream_config = StreamConfig(
            url, make_protocol, fanout, clock, timeouts, config.reconnect, "stop", token, config.dialing
        )
        super().__init__(stream_config, watchdog, config.owner)
        self._market_config = config
        self._user_id = user_id
        self._requests = MarketDataRequests(registry, fanout, clock, url, encoder)
        self._is_registered = False

    def quotes(
        self, *symbols: str, capacity: int = CAPACITY, max_bytes: int = MAX_BYTES, overflow: str = "latest"
    ) -> Feed[Quote]:
        """Return a feed of the best bid and offer of each symbol; ``async with`` opens it.

        Args:
            symbols: CQS for stocks, OSI for options, any other text as the server spells it; ``add`` adds more later.
            capacity: maximum number of queued events.
            max_bytes: maximum size of their frames, in bytes.
            overflow: the policy of a full queue: ``latest`` keeps the latest event of each symbol, ``drop_oldest``
                drops events and yields a ``Gap``, ``close`` ends the feed with ``SlowConsumerError``.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
        """
        bounds = QueueCapacity(capacity, max_bytes)
        config = FeedConfig(ChannelKey("quotes"), None, None, _parse_symbol, overflow, bounds)
        return Feed[Quote](self._requests, config, symbols)

    def trades(
        self,
        *symbols: str,
        hours: str = "all",
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str = "drop_oldest",
    ) -> Feed[Trade]:
        """Return a feed of trades; ``async with`` opens it.

        Args:
            symbols: as for ``quotes``.
            hours: ``regular``, ``extended`` or ``all``.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
            ConfigurationError: the hours are unknown.
        """
        one_of("hours", hours, HOURS)
        predicate = None if hours == "all" else filters.HoursFilter(hours)
        config = FeedConfig(
            ChannelKey("trades"), hours, predicate, _parse_symbol, overflow, QueueCapacity(capacity, max_bytes)
        )
        return Feed[Trade](self._requests, config, symbols)

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
        """Return a feed of bars that advance in time; ``async with`` opens it, after the past bars have come.

        A bar is yielded once when it is closed, and before that as often as it changes. A bar that closes after the
        next has started is yielded then. A closed bar that the server corrects is yielded again, with
        ``is_correction``.

        Args:
            symbols: as for ``quotes``.
            interval: ``1m``, ``5m``, ``15m``, ``30m``, ``1h`` or ``1d`` (documented).
            backfill: number of past bars of each symbol to begin with, marked ``is_backfill``; 0 for none. They are
                requested with the subscription (assumed), and where they do not come with it, as ``history`` does.
                Where neither returns them, the feed opens without, a ``Gap`` names the symbols, and a warning is
                logged.
            fill_gaps: whether missed bars are fetched and yielded in place of a ``Gap``. Where that fails, the ``Gap``
                is yielded.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
            ConfigurationError: the interval is unknown, or ``backfill`` is not a whole number.
        """
        one_of("interval", interval, INTERVALS)
        if backfill:
            positive_int("backfill", backfill)
        key, predicate = ChannelKey("bars", (("interval", interval),)), filters.IntervalFilter(interval)
        config = FeedConfig(key, None, predicate, _parse_symbol, overflow, QueueCapacity(capacity, max_bytes))

        async def fetch(symbol: str, start: datetime | None, limit: int | None) -> list[Bar]:
            return await self.history(symbol, interval=interval, start=start, limit=limit)

        async def fence() -> object:
            return await self._requests.list_subscriptions(
                min(self._market_config.timeouts.login, self._market_config.timeouts.call)
            )

        past = Backfill(backfill, fill_gaps, LENGTHS[interval], fetch, fence, self._market_config.clock.wall)
        return BarFeed(self._requests, config, symbols, past)

    def depth(
        self,
        *symbols: str,
        levels: int = 10,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        overflow: str = "latest",
    ) -> DepthFeed:
        """Return a feed of market depth, complete in each event; ``async with`` opens it.

        Args:
            symbols: as for ``quotes``.
            levels: number of price levels on each side.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            SymbolError: a symbol is empty, is not text, or contains control characters.
            ConfigurationError: ``levels`` is not a positive whole number.
        """
        positive_int("levels", levels)
        bounds = QueueCapacity(capacity, max_bytes)
        config = FeedConfig(ChannelKey("depth"), levels, None, _parse_symbol, overflow, bounds)
        return DepthFeed(self._requests, config, symbols)

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
        """Return a feed of the option chain of an underlying; ``async with`` opens it.

        Args:
            underlying: the underlying, CQS, or any other text as the server spells it.
            expiration: the expiration; None for every chain that the server sends.
            greeks: whether to request greeks. Where another feed requests them, they come as well.
            capacity: as for ``quotes``; one chain is large.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``; ``latest`` keeps the latest chain of each expiration.

        Raises:
            SymbolError: the underlying is empty, is not text, or contains control characters.
            ConfigurationError: the expiration is not a date.
        """
        day = None if expiration is None else _day(expiration)
        predicate = None if day is None and not greeks else filters.ExpirationFilter(day, greeks=greeks)
        key = ChannelKey("options_chain", (("expiration", day),))
        config = FeedConfig(key, greeks, predicate, _parse_symbol, overflow, QueueCapacity(capacity, max_bytes))
        return Feed[OptionsChain](self._requests, config, [underlying])

    def subscribe(
        self, *topics: str, capacity: int = CAPACITY, max_bytes: int = MAX_BYTES, overflow: str = "close"
    ) -> Subscription:
        """Add a subscription to the events of the stream itself.

        Args:
            topics: ``lifecycle`` for changes of its state, ``unknown`` for frames that could not be decoded; none means
                both.
            capacity: as for ``quotes``.
            max_bytes: as for ``quotes``.
            overflow: as for ``quotes``.

        Raises:
            ConfigurationError: a topic or the policy is unknown, or the capacity is not positive.
            ConnectTradeError: the stream has ended, with its cause.
        """
        for topic in topics:
            one_of("topic", topic, TOPICS)
        return self._subscribe(EventFilter(topics or TOPICS), overflow, QueueCapacity(capacity, max_bytes))

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
        """Request past bars, without a subscription. Any number of calls may run at once.

        Args:
            symbol: as for ``quotes``.
            interval: as for ``bars``.
            start: the earliest start, aware; None for the server's default.
            end: the latest start, aware.
            limit: maximum number of bars.
            timeout: seconds; by default ``timeouts.call``. The call survives a reconnect.

        Returns:
            The bars in order, marked ``is_backfill``.

        Raises:
            SymbolError: the symbol is empty, is not text, or contains control characters.
            ConfigurationError: an argument is invalid.
            MarketDataRefusedError: the server rejected the request.
            RequestTimeoutError: no reply came in time.
            MalformedResponseError: the reply cannot be decoded.
            ConnectTradeError: the stream has ended, with its cause.

        Cancelling drops the request.
        """
        one_of("interval", interval, INTERVALS)
        if limit is not None:
            positive_int("limit", limit)
        symbol = _parse_symbol(symbol)
        times = {"start_time": _time("start", start), "end_time": _time("end", end)}
        options = {"interval": interval, **times, "limit": limit}
        found = await self._requests.history(symbol, options, self._reply_timeout(timeout))
        return list(past_bars(cast("BarSnapshot", found.message), symbol, interval))

    async def list_subscriptions(self, *, timeout: float | None = None) -> ServerSubscriptions:
        """Request the server's list of subscriptions; differences are corrected and returned.

        Args:
            timeout: seconds; by default ``timeouts.call``.

        Raises:
            MarketDataRefusedError: the server rejected the request.
            RequestTimeoutError: no reply came in time.
            MalformedResponseError: the reply is of another kind, or an entry of the list cannot be read.
            ConnectTradeError: the stream has ended, with its cause.

        Cancelling drops the request; differences are corrected all the same.
        """
        found = await self._requests.list_subscriptions(self._reply_timeout(timeout))
        if not cast("SubscriptionList", found.message).is_whole:
            problem = "an entry of the list has no channel or no symbols that can be read; nothing was compared"
            raise MalformedResponseError(where="subscriptions", problem=problem)
        missing: tuple[SubscriptionKey, ...] = () if found.difference is None else found.difference.missing
        extra = () if found.difference is None else found.difference.extra
        return ServerSubscriptions(
            held=tuple(map(_public_entry, cast("SubscriptionList", found.message).entries)),
            missing=tuple((key.channel, key.symbol) for key in missing),
            extra=tuple(map(_public_entry, extra)),
        )

    async def aclose(self) -> None:
        """Close, within ``timeouts.close`` seconds from every state; repeated calls have no effect.

        Queued events can still be taken; then the feeds end. Cancelling aborts the WebSocket at once.
        """
        try:
            await super().aclose()
        finally:
            if self._is_registered:
                self._is_registered = False
                self._market_config.taken.discard(self._user_id)

    async def open(self) -> None:
        """Connect and log in; ``async with`` calls this. A stream can be opened once.

        Raises:
            ConfigurationError: the user has another market data stream open in this client.
            ConnectTradeError: the stream could not be opened, with the reason.

        Cancelling closes the stream.
        """
        self._check_is_new()
        if self._user_id in self._market_config.taken:
            msg = (
                f"user {self._user_id!r} has a market data stream open in this client, and Connect Trade allows one "
                "broker connection at a time per user: close that stream first, or open more feeds on it"
            )
            raise ConfigurationError(msg)
        self._market_config.taken.add(self._user_id)
        self._is_registered = True
        await super().open()

    def _make_engine(self) -> Supervisor:
        self._requests.supervisor = Supervisor(self._config)
        return self._requests.supervisor

    def _reply_timeout(self, timeout: float | None) -> float:
        if timeout is None:
            return self._market_config.timeouts.call
        if not timeout > 0:
            msg = f"timeout must be a positive number of seconds, got {timeout!r}"
            raise ConfigurationError(msg)
        return timeout


def _public_entry(entry: ListedSubscription) -> ServerSubscription:
    return ServerSubscription(channel=entry.channel, symbols=entry.symbols, options=entry.options)


def _parse_symbol(symbol: Any) -> str:  # noqa: ANN401 - its type is checked here
    """Return a symbol as it is sent: an OSI symbol without its padding, any other text unchanged.

    Symbols that cannot be classified are sent as well: for indices, futures and cryptocurrencies no published form is
    known.
    """
    if not isinstance(symbol, str):
        problem = f"a symbol must be text, got {type(symbol).__name__}"
        raise SymbolError(symbol=repr(symbol)[:40], position=0, problem=problem)
    if not symbol.strip():
        raise SymbolError(symbol=symbol, position=0, problem="a symbol must not be empty")
    for position, character in enumerate(symbol):
        # A lone surrogate (Cs) cannot be sent as UTF-8.
        if category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise SymbolError(symbol=symbol, position=position, problem="a symbol must not contain control characters")
    return str(parse_option(symbol)) if is_option(symbol) else symbol


def _day(value: date | str) -> str:
    try:
        return (
            date.fromisoformat(value) if isinstance(value, str) else date(value.year, value.month, value.day)
        ).isoformat()
    except (ValueError, AttributeError):
        msg = f"expiration must be a date or YYYY-MM-DD, got {value!r}"
    raise ConfigurationError(msg)


def _time(name: str, value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.utcoffset() is None:
        msg = f"{name} must be an aware datetime, got {value!r}"
        raise ConfigurationError(msg)
    return format_time(value)
