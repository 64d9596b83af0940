"""Market data: quotes, trades, bars, depth and options chains.

All message formats are (assumed). Each number ``x`` is parsed, exactly, from the received text ``x_text``.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import field

from connecttrade_async.models.fields import Model, day, moment, number

__all__ = [
    "Bar",
    "Depth",
    "Greeks",
    "Level",
    "MarketUpdate",
    "OptionContract",
    "OptionsChain",
    "Quote",
    "SymbolRefused",
    "Trade",
]


class MarketDataMessage(Model, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """One message of the market data stream.

    Attributes:
        raw: the frame as received.
    """

    topic: ClassVar[str]
    account_id: ClassVar[str | None] = None
    user_id: ClassVar[str | None] = None

    raw: bytes = field(default=b"", name="_raw")


class Quote(MarketDataMessage, frozen=True, kw_only=True, gc=False, tag="quote"):
    """The best bid and the best offer of one symbol, and its last price.

    Attributes:
        symbol: the quoted symbol.
        bid_price: the best bid, per share.
        bid_size: shares or contracts at the best bid.
        ask_price: the best offer, per share.
        ask_size: shares or contracts at the best offer.
        last_price: the price of the last trade.
        time: the time of the quote, aware, or None.
    """

    topic: ClassVar[str] = "quotes"

    symbol: str
    bid_price_text: str | None = field(default=None, name="bid_price")
    bid_size_text: str | None = field(default=None, name="bid_size")
    ask_price_text: str | None = field(default=None, name="ask_price")
    ask_size_text: str | None = field(default=None, name="ask_size")
    last_price_text: str | None = field(default=None, name="last_price")
    time_text: str | None = field(default=None, name="timestamp")

    bid_price = number("bid_price_text")
    bid_size = number("bid_size_text")
    ask_price = number("ask_price_text")
    ask_size = number("ask_size_text")
    last_price = number("last_price_text")
    time = moment("time_text")


class Trade(MarketDataMessage, frozen=True, kw_only=True, gc=False, tag="trade"):
    """One trade on the market.

    Attributes:
        symbol: the traded symbol.
        price: the price per share.
        size: shares or contracts traded.
        hours: ``regular`` or ``extended``, named ``session`` on the wire; or None.
        time: the time of the trade, aware, or None.
    """

    topic: ClassVar[str] = "trades"

    symbol: str
    price_text: str | None = field(default=None, name="price")
    size_text: str | None = field(default=None, name="size")
    hours: str | None = field(default=None, name="session")
    time_text: str | None = field(default=None, name="timestamp")

    price = number("price_text")
    size = number("size_text")
    time = moment("time_text")


class Bar(MarketDataMessage, frozen=True, kw_only=True, gc=False, tag="bar"):
    """The trades of one interval of time, summarized.

    Attributes:
        symbol: the traded symbol.
        interval: the length of the interval: ``1m``, ``5m``, ``15m``, ``30m``, ``1h`` or ``1d``.
        open: the first price.
        high: the highest price.
        low: the lowest price.
        close: the last price.
        volume: shares or contracts traded.
        start_time: the start of the interval, aware, or None.
        closed: whether the interval is over, so that the bar is final; None where the server sent no such field.
        is_backfill: whether the bar was fetched from history instead of delivered live.
        is_correction: whether the bar replaces one that was delivered as closed before, with other numbers.
    """

    topic: ClassVar[str] = "bars"

    symbol: str
    interval: str
    open_text: str | None = field(default=None, name="open")
    high_text: str | None = field(default=None, name="high")
    low_text: str | None = field(default=None, name="low")
    close_text: str | None = field(default=None, name="close")
    volume_text: str | None = field(default=None, name="volume")
    start_time_text: str | None = field(default=None, name="start_time")
    closed: bool | None = None
    is_backfill: bool = field(default=False, name="_is_backfill")
    is_correction: bool = field(default=False, name="_is_correction")

    open = number("open_text")
    high = number("high_text")
    low = number("low_text")
    close = number("close_text")
    volume = number("volume_text")
    start_time = moment("start_time_text")


class Level(Model, frozen=True, kw_only=True, gc=False):
    """One price level of market depth.

    Attributes:
        price: the price.
        size: shares or contracts bid or offered at that price.
    """

    price_text: str | None = field(default=None, name="price")
    size_text: str | None = field(default=None, name="size")

    price = number("price_text")
    size = number("size_text")


class Depth(MarketDataMessage, frozen=True, kw_only=True, gc=False, tag="depth"):
    """The complete market depth of one symbol, best prices first.

    Attributes:
        symbol: the quoted symbol.
        bids: the bids, by falling price.
        asks: the offers, by rising price.
        time: the time of the message, aware, or None.
    """

    topic: ClassVar[str] = "depth"

    symbol: str
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    time_text: str | None = field(default=None, name="timestamp")

    time = moment("time_text")

    def top(self, levels: int) -> Depth:
        """Return the depth with at most ``levels`` bids and ``levels`` asks."""
        if len(self.bids) <= levels and len(self.asks) <= levels:
            return self
        return msgspec.structs.replace(self, bids=self.bids[:levels], asks=self.asks[:levels])


class Greeks(Model, frozen=True, kw_only=True, gc=False):
    """The sensitivities of an option's price.

    Attributes:
        delta: change of the option's price per change of the underlying's price.
        gamma: change of delta per change of the underlying's price.
        theta: change of the option's price per unit of time.
        vega: change of the option's price per change of volatility.
        rho: change of the option's price per change of the interest rate.
        implied_volatility: the volatility that the price implies; 0.25 is 25 percent a year.
    """

    delta_text: str | None = field(default=None, name="delta")
    gamma_text: str | None = field(default=None, name="gamma")
    theta_text: str | None = field(default=None, name="theta")
    vega_text: str | None = field(default=None, name="vega")
    rho_text: str | None = field(default=None, name="rho")
    implied_volatility_text: str | None = field(default=None, name="implied_volatility")

    delta = number("delta_text")
    gamma = number("gamma_text")
    theta = number("theta_text")
    vega = number("vega_text")
    rho = number("rho_text")
    implied_volatility = number("implied_volatility_text")


class OptionContract(Model, frozen=True, kw_only=True, gc=False):
    """One option of a chain. Prices are per share.

    Attributes:
        symbol: the OSI symbol; ``symbology.parse_option`` parses the strike, the right and the expiry from it.
        bid_price: the best bid, per share.
        ask_price: the best offer, per share.
        last_price: the price of the last trade.
        volume: contracts traded today.
        open_interest: open contracts.
        greeks: the option's sensitivities, or None.
    """

    symbol: str
    bid_price_text: str | None = field(default=None, name="bid_price")
    ask_price_text: str | None = field(default=None, name="ask_price")
    last_price_text: str | None = field(default=None, name="last_price")
    volume_text: str | None = field(default=None, name="volume")
    open_interest_text: str | None = field(default=None, name="open_interest")
    greeks: Greeks | None = None

    bid_price = number("bid_price_text")
    ask_price = number("ask_price_text")
    last_price = number("last_price_text")
    volume = number("volume_text")
    open_interest = number("open_interest_text")


class OptionsChain(MarketDataMessage, frozen=True, kw_only=True, gc=False, tag="options_chain"):
    """The options on one underlying that expire on one day.

    Attributes:
        underlying: the symbol of the underlying.
        expiration: the day of expiry, or None.
        contracts: the options.
        time: the time of the message, aware, or None.
    """

    topic: ClassVar[str] = "options_chain"

    underlying: str
    expiration_text: str | None = field(default=None, name="expiration")
    contracts: tuple[OptionContract, ...] = ()
    time_text: str | None = field(default=None, name="timestamp")

    expiration = day("expiration_text")
    time = moment("time_text")

    @property
    def symbol(self) -> str:
        """The underlying, under the name that every market data message has."""
        return self.underlying


class SymbolRefused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The server stopped a symbol that was subscribed before; the feed's other symbols continue.

    Attributes:
        channel: ``quotes``, ``trades``, ``bars``, ``depth`` or ``options_chain``.
        symbol: the refused symbol.
        code: the server's code, or ``""``.
        cause: the reason, as the server gave it.
    """

    raw: ClassVar[bytes] = b""
    account_id: ClassVar[str | None] = None
    user_id: ClassVar[str | None] = None

    channel: str
    symbol: str
    code: str
    cause: str


MarketUpdate = Quote | Trade | Bar | Depth | OptionsChain
"""The messages of a market data stream that carry market data."""
