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


class OfExpiration:
    """Chains of one day, or of all: what does not say its day is taken.

    Another consumer may want the same day without greeks, under a subscription of its own, and no message says for
    which it came. So once a day's chain has come with greeks, one without them is passed over by who wants them.
    """

    __slots__ = ("_expiration", "_greeks", "_with_greeks")

    def __init__(self, expiration: str | None, *, greeks: bool) -> None:
        self._expiration = expiration
        self._greeks = greeks
        self._with_greeks: set[str | None] = set()

    def is_met_by(self, chain: OptionsChain) -> bool:
        """Whether a chain is wanted."""
        day = chain.expiration_text
        if self._expiration is not None and day not in {None, self._expiration}:
            return False
        if not self._greeks or not chain.contracts:
            return True
        if any(contract.greeks is not None for contract in chain.contracts):
            self._with_greeks.add(day)
            return True
        return day not in self._with_greeks


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
