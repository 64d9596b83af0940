"""The feeds of the market-data stream, tick by tick.

Quotes, depth and chains are sent when they have changed, each as it is now. Trades are sent one by one; a bar with each
of its trades, and once more when it is closed. A subscription without an expiration gets every expiry.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from connecttrade_async.sandbox.parameters import Fields
from connecttrade_async.sandbox.payloads import Payloads
from connecttrade_async.sandbox.streams.channels import CHANNELS, Subscription
from connecttrade_async.sandbox.world import (
    Bar,
    Contract,
    Depth,
    Depths,
    Greeks,
    Level,
    OptionChains,
    Trade,
    World,
    is_crypto,
    moment_of,
    span,
    tick_of,
)

__all__ = ["AddressedMarketEvent", "Feeds", "MarketPayloads"]


@dataclass(frozen=True, slots=True)
class MarketPayloads:
    """Encodes the events of the market as the members of messages."""

    payloads: Payloads

    def quote(self, symbol: str, depth: Depth, at: datetime) -> Fields:
        """A quote. What is worth nothing has no bid: its price and its size are zero."""
        bid, ask = depth.bids[0] if depth.bids else None, depth.asks[0]
        return {
            "symbol": symbol,
            "bid_price": "0.00" if bid is None else _price(bid.price),
            "bid_size": "0" if bid is None else _size(symbol, bid.size),
            "ask_price": _price(ask.price),
            "ask_size": _size(symbol, ask.size),
            "last_price": _price(depth.last),
            "timestamp": self.payloads.time(at),
        }

    def trade(self, symbol: str, found: Trade) -> Fields:
        """A print."""
        return {
            "symbol": symbol,
            "price": _price(found.price),
            "size": _size(symbol, found.size),
            "session": found.session,
            "timestamp": self.payloads.time(found.at),
        }

    def bar(self, symbol: str, interval: str, bar: Bar, *, closed: bool) -> Fields:
        """A bar; `closed` says that it will not change any more."""
        return {
            "symbol": symbol,
            "interval": interval,
            "open": _price(bar.open),
            "high": _price(bar.high),
            "low": _price(bar.low),
            "close": _price(bar.close),
            "volume": _size(symbol, bar.volume),
            "start_time": self.payloads.time(bar.start),
            "closed": closed,
        }

    def depth(self, symbol: str, depth: Depth, at: datetime) -> Fields:
        """A full book."""
        return {
            "symbol": symbol,
            "bids": [_level(symbol, level) for level in depth.bids],
            "asks": [_level(symbol, level) for level in depth.asks],
            "timestamp": self.payloads.time(at),
        }

    def chain(
        self, root: str, expiry: date, contracts: Iterable[Contract], at: datetime, *, with_greeks: bool
    ) -> Fields:
        """The options of one expiry."""
        return {
            "underlying": root,
            "expiration": expiry.isoformat(),
            "contracts": [_contract(contract, with_greeks=with_greeks) for contract in contracts],
            "timestamp": self.payloads.time(at),
        }


def _level(symbol: str, level: Level) -> Fields:
    return {"price": _price(level.price), "size": _size(symbol, level.size)}


def _price(price: Decimal) -> str:
    return f"{price:f}"


def _size(symbol: str, size: int) -> str:
    """Return a count of shares or contracts; cryptocurrency counts in thousandths of a coin."""
    return f"{size * _THOUSANDTH:f}" if is_crypto(symbol) else str(size)


def _contract(contract: Contract, *, with_greeks: bool) -> Fields:
    told: dict[str, object] = {
        "symbol": contract.symbol,
        "bid_price": _price(contract.quote.bid),
        "ask_price": _price(contract.quote.ask),
        "last_price": _price(contract.quote.last),
        "volume": str(contract.volume),
        "open_interest": str(contract.open_interest),
    }
    return told | {"greeks": _greeks(contract.greeks)} if with_greeks else told


def _greeks(greeks: Greeks) -> Fields:
    return {name: f"{value:.6f}" for name, value in greeks._asdict().items()}


_THOUSANDTH = Decimal("0.001")
_Teller = Callable[[Subscription, "int | None", datetime], Iterator["AddressedMarketEvent"]]


class AddressedMarketEvent(NamedTuple):
    """An event, for the sessions that have any of these subscriptions."""

    topics: tuple[Subscription, ...]
    members: Fields

    @property
    def kind(self) -> str:
        """The type of its message."""
        return CHANNELS[self.topics[0].channel]

    @property
    def symbol(self) -> str:
        """The symbol of the event."""
        return self.topics[0].symbol


class Feeds:
    """Makes the events of the market.

    Args:
        world: the source of the prices.
        payloads: the spelling of the moment.
    """

    def __init__(self, world: World, payloads: Callable[[], Payloads]) -> None:
        self._world = world
        self._payloads = payloads
        self._depths = Depths(world.market, world.seed)
        self._chains = OptionChains(world.tape, world.seed)
        self._seen: dict[Subscription, object] = {}
        self._tellers: dict[str, _Teller] = {
            "quotes": self._quotes,
            "trades": self._trades,
            "bars": self._bars,
            "depth": self._depth,
            "options_chain": self._chain,
        }

    def expiries(self, at: datetime) -> tuple[str, ...]:
        """The days on which listed options expire."""
        return tuple(day.isoformat() for day in self._chains.expiries(at))

    def present(self, wanted: Subscription, at: datetime, backfill: int = 0) -> Iterator[AddressedMarketEvent]:
        """Yield the state for a new subscription, after its past bars."""
        if wanted.channel == "bars":
            interval = str(wanted.given["interval"])
            for bar in self._world.bars.before(wanted.symbol, interval, at, backfill):
                yield AddressedMarketEvent((wanted,), self._figures.bar(wanted.symbol, interval, bar, closed=True))
        for feed in self._expanded((wanted,), at):
            self._seen.pop(feed, None)
            yield from self._tellers[feed.channel](feed, None, at)

    def news(self, wanted: Iterable[Subscription], since: int, at: datetime) -> Iterator[AddressedMarketEvent]:
        """Yield what changed after a tick, up to a moment, for the subscriptions of all sessions."""
        feeds = self._expanded(wanted, at)
        self._seen = {feed: seen for feed, seen in self._seen.items() if feed in feeds}
        for feed in feeds:
            yield from self._tellers[feed.channel](feed, since, at)

    def forget(self) -> None:
        """Send everything again, changed or not."""
        self._seen.clear()

    # The channels -----------------------------------------------------------------------------------------------------

    def _quotes(self, feed: Subscription, _: int | None, at: datetime) -> Iterator[AddressedMarketEvent]:
        depth = self._depths.depth(feed.symbol, at)
        if self._is_new(feed, depth):
            yield AddressedMarketEvent((feed,), self._figures.quote(feed.symbol, depth, at))

    def _depth(self, feed: Subscription, _: int | None, at: datetime) -> Iterator[AddressedMarketEvent]:
        depth = self._depths.depth(feed.symbol, at, int(feed.given["levels"]))
        if self._is_new(feed, depth):
            yield AddressedMarketEvent((feed,), self._figures.depth(feed.symbol, depth, at))

    def _chain(self, feed: Subscription, _: int | None, at: datetime) -> Iterator[AddressedMarketEvent]:
        expiry, greeks = date.fromisoformat(str(feed.given["expiration"])), feed.given["greeks"] is True
        contracts = tuple(self._chains.contracts(feed.symbol, expiry, at))
        if self._is_new(feed, contracts):
            topics = feed, Subscription(feed.channel, feed.symbol, (("greeks", greeks),))
            yield AddressedMarketEvent(
                topics, self._figures.chain(feed.symbol, expiry, contracts, at, with_greeks=greeks)
            )

    def _trades(self, feed: Subscription, since: int | None, at: datetime) -> Iterator[AddressedMarketEvent]:
        if since is None:
            return
        for found in self._world.tape.prints(feed.symbol, since + 1, tick_of(at) + 1):
            topics = (feed, Subscription(feed.channel, feed.symbol, (("session", found.session),)))
            yield AddressedMarketEvent(topics, self._figures.trade(feed.symbol, found))

    def _bars(self, feed: Subscription, since: int | None, at: datetime) -> Iterator[AddressedMarketEvent]:
        """First those that are over since then, then the one that is not, if it has a print since then."""
        interval = str(feed.given["interval"])
        start, _ = span(interval, at)
        if since is not None:
            begun, _ = span(interval, moment_of(since))
            for bar in self._world.bars.between(feed.symbol, interval, begun, start):
                yield AddressedMarketEvent((feed,), self._figures.bar(feed.symbol, interval, bar, closed=True))
        first = tick_of(start) if since is None else max(tick_of(start), since + 1)
        has_news = self._world.tape.first(feed.symbol, first, tick_of(at) + 1) is not None
        so_far = self._world.bars.bar(feed.symbol, interval, at, at) if has_news else None
        if so_far is not None:
            yield AddressedMarketEvent((feed,), self._figures.bar(feed.symbol, interval, so_far, closed=False))

    @property
    def _figures(self) -> MarketPayloads:
        return MarketPayloads(self._payloads())

    def _is_new(self, feed: Subscription, value: object) -> bool:
        is_new = self._seen.get(feed) != value
        self._seen[feed] = value
        return is_new

    def _expanded(self, wanted: Iterable[Subscription], at: datetime) -> dict[Subscription, None]:
        """One feed for all kinds of hours, and one for each expiry; each event is made once for all sessions."""
        feeds: dict[Subscription, None] = {}
        for one in wanted:
            if one.channel == "trades":
                feeds[one._replace(options=(("session", "all"),))] = None
            elif one.channel == "options_chain" and "expiration" not in one.given:
                for expiry in self.expiries(at):
                    feeds[one._replace(options=(("expiration", expiry), *one.options))] = None
            else:
                feeds[one] = None
        return feeds
