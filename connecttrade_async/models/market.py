"""Below the waterline: what a market does. Quotes, trades, bars, depth and options chains.

All forms are ``Assumed:``. Each number ``x`` is read, exactly, from the text that came, ``x_text``.
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


class Update(Model, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """One change in the market.

    Attributes:
        raw: the frame as it came.
    """

    topic: ClassVar[str]
    account_id: ClassVar[str | None] = None
    user_id: ClassVar[str | None] = None

    raw: bytes = field(default=b"", name="_raw")


class Quote(Update, frozen=True, kw_only=True, gc=False, tag="quote"):
    """The best bid and the best offer of one symbol, and its last price.

    Attributes:
        symbol: of what.
        bid_price: what the best buyer pays.
        bid_size: how much of it.
        ask_price: what the best seller takes.
        ask_size: how much of it.
        last_price: the price of the last trade.
        time: when, aware, or None.
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


class Trade(Update, frozen=True, kw_only=True, gc=False, tag="trade"):
    """Something was bought and sold.

    Attributes:
        symbol: what.
        price: at which price.
        size: how much.
        hours: ``regular`` or ``extended``, named ``session`` on the wire; or None.
        time: when, aware, or None.
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


class Bar(Update, frozen=True, kw_only=True, gc=False, tag="bar"):
    """What traded in one interval of time.

    Attributes:
        symbol: what.
        interval: how long: ``1m``, ``5m``, ``15m``, ``30m``, ``1h`` or ``1d``.
        open: the first price.
        high: the highest.
        low: the lowest.
        close: the last.
        volume: how much.
        start_time: when the interval began, aware, or None.
        closed: whether it is over, so that the bar will not change again; None where the server did not say.
        is_backfill: whether it was fetched from the past, and not told as it happened.
        is_correction: whether it takes the place of a bar that was delivered as closed before, with other numbers.
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
    """One price of a book.

    Attributes:
        price: the price.
        size: how much is bid or offered there.
    """

    price_text: str | None = field(default=None, name="price")
    size_text: str | None = field(default=None, name="size")

    price = number("price_text")
    size = number("size_text")


class Depth(Update, frozen=True, kw_only=True, gc=False, tag="depth"):
    """The book of one symbol, whole each time, the best prices first.

    Attributes:
        symbol: of what.
        bids: what is bid.
        asks: what is offered.
        time: when, aware, or None.
    """

    topic: ClassVar[str] = "depth"

    symbol: str
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    time_text: str | None = field(default=None, name="timestamp")

    time = moment("time_text")

    def top(self, levels: int) -> Depth:
        """Return the book without what lies deeper than so many levels."""
        if len(self.bids) <= levels and len(self.asks) <= levels:
            return self
        return msgspec.structs.replace(self, bids=self.bids[:levels], asks=self.asks[:levels])


class Greeks(Model, frozen=True, kw_only=True, gc=False):
    """How an option's price answers to what it depends on.

    Attributes:
        delta: to the price of the underlying.
        gamma: the same of delta.
        theta: to time.
        vega: to volatility.
        rho: to interest.
        implied_volatility: the volatility that the price implies; 0.25 is 25 per cent a year.
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
        symbol: its OSI symbol; ``symbology.parse_option`` reads the strike, the right and the expiry from it.
        bid_price: what the best buyer pays.
        ask_price: what the best seller takes.
        last_price: the price of the last trade.
        volume: contracts traded today.
        open_interest: contracts there are.
        greeks: its greeks, or None.
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


class OptionsChain(Update, frozen=True, kw_only=True, gc=False, tag="options_chain"):
    """The options on one underlying that expire on one day.

    Attributes:
        underlying: on what.
        expiration: when they expire, or None.
        contracts: the options.
        time: when this was so, aware, or None.
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
        """The underlying, under the name that everything in the market has."""
        return self.underlying


class SymbolRefused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The server gives a symbol no more, though it did; a consumer's other symbols go on.

    Attributes:
        channel: ``quotes``, ``trades``, ``bars``, ``depth`` or ``options_chain``.
        symbol: of what.
        code: the server's code, or ``""``.
        cause: why, in the server's words.
    """

    raw: ClassVar[bytes] = b""
    account_id: ClassVar[str | None] = None
    user_id: ClassVar[str | None] = None

    channel: str
    symbol: str
    code: str
    cause: str


MarketUpdate = Quote | Trade | Bar | Depth | OptionsChain
"""What a market data stream tells."""
