"""Below the waterline: what a consumer takes of what comes for its symbols, since the server is asked for more.

Bars have a rule of their own: of each symbol they go up in time, each is told once when it is over, and before that as
often as it changes. So what a link that heals tells again, or what was fetched from the past, comes only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from connecttrade_async.models.market import Bar, OptionsChain, Trade

__all__ = ["OfExpiration", "OfHours", "OfInterval", "Upwards"]


class OfHours(NamedTuple):
    """Trades of some hours only: what does not say its hours is taken."""

    hours: str

    def is_met_by(self, trade: Trade) -> bool:
        """Whether a trade is wanted."""
        return trade.hours in {None, self.hours}


class OfInterval(NamedTuple):
    """Bars of one length."""

    interval: str

    def is_met_by(self, bar: Bar) -> bool:
        """Whether a bar is wanted."""
        return bar.interval == self.interval


class OfExpiration(NamedTuple):
    """Chains of one day: what does not say its day is taken."""

    expiration: str

    def is_met_by(self, chain: OptionsChain) -> bool:
        """Whether a chain is wanted."""
        return chain.expiration_text in {None, self.expiration}


class Upwards:
    """Bars, each symbol's going up in time."""

    __slots__ = ("_over", "_seen")

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}
        self._over: dict[str, bool] = {}

    def takes(self, bar: Bar) -> bool:
        """Take a bar; returns whether it is to be told."""
        start, last = bar.start_time, self._seen.get(bar.symbol)
        if start is None:
            return True
        if last is not None and (start < last or (start == last and self._over[bar.symbol])):
            return False
        self._seen[bar.symbol] = start
        self._over[bar.symbol] = bar.closed is True
        return True

    def last(self, symbol: str) -> datetime | None:
        """When the last bar of a symbol began, or None."""
        return self._seen.get(symbol)

    def forget(self, symbol: str) -> None:
        """Forget a symbol."""
        self._seen.pop(symbol, None)
        self._over.pop(symbol, None)
