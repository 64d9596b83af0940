"""Market depth: prices and sizes around the quote of a moment.

The best level of each side is the quote's. Sizes change every second, as long as the market is open.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from connecttrade_async.sandbox.world.market import Market
from connecttrade_async.sandbox.world.price_path import tick_of
from connecttrade_async.sandbox.world.seeded import salt_of, stir
from connecttrade_async.sandbox.world.symbols import is_crypto, is_option, price_step

__all__ = ["Depth", "Depths", "Level"]

_SECOND = 4
_STOCK_STEP, _OPTION_STEP = Decimal("0.01"), Decimal("0.05")
_CRYPTO_LEVELS = 10_000
"""How many steps of depth a price of cryptocurrency has."""
_LEVELS = 1 << 8
"""More levels than any side has."""


class Level(NamedTuple):
    """A count of shares or contracts at a price."""

    price: Decimal
    size: int


class Depth(NamedTuple):
    """Both sides, best first; no bid lies at or below zero."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    last: Decimal


class Depths:
    """The depth of every symbol at every moment."""

    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._salts: dict[str, int] = {}

    def depth(self, symbol: str, at: datetime, levels: int = 1) -> Depth:
        """Return the best levels of each side."""
        quote = self._market.quote(symbol, at)
        second = tick_of(self._market.hours_of(symbol).last_open(at)) // _SECOND
        step = _step(symbol, quote.last)
        bids = (Level(quote.bid - place * step, self._size(symbol, second, place)) for place in range(levels))
        asks = (Level(quote.ask + place * step, self._size(symbol, second, ~place)) for place in range(levels))
        return Depth(tuple(level for level in bids if level.price > 0), tuple(asks), quote.last)

    def _size(self, symbol: str, second: int, place: int) -> int:
        salt = self._salts.get(symbol)
        if salt is None:
            salt = self._salts[symbol] = salt_of(f"{self._seed}/depth/{symbol}")
        thrown = stir(salt, second * _LEVELS * 2 + place)
        return 1 + thrown % 50 if is_option(symbol) else 100 * (1 + thrown % 12)


def _step(symbol: str, price: Decimal) -> Decimal:
    """Return how far two levels lie apart, in dollars."""
    if is_crypto(symbol):
        finest = price_step(symbol)
        return max(finest, (price / _CRYPTO_LEVELS).quantize(finest))
    return _OPTION_STEP if is_option(symbol) else _STOCK_STEP
