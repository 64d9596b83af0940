"""The world's chains: which options of a root are listed, and what they cost.

Options expire on Fridays: on the next four of them, and on the third of this month and of each of the six after it.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from connecttrade_async.sandbox.world.hours import new_york
from connecttrade_async.sandbox.world.market import Market, Quote
from connecttrade_async.sandbox.world.price_path import anchor, tick_of
from connecttrade_async.sandbox.world.pricing import Greeks, greeks
from connecttrade_async.sandbox.world.seeded import salt_of, stir
from connecttrade_async.sandbox.world.symbols import Option, option_symbol
from connecttrade_async.sandbox.world.trades import Trades

__all__ = ["Contract", "OptionChains"]

_FRIDAY = 4
_WEEKS, _MONTHS = 4, 7
_STEPS = 5
"""Strikes above the price, and below it."""
_DAY = timedelta(days=1)
_YEAR = timedelta(days=365)


class Contract(NamedTuple):
    """One option of a chain. `volume` is that of the day in New York so far; `open_interest` stays for a day."""

    symbol: str
    quote: Quote
    volume: int
    open_interest: int
    greeks: Greeks


class OptionChains:
    """The chains of every root at every moment."""

    def __init__(self, tape: Trades, seed: int) -> None:
        self._tape = tape
        self._market: Market = tape.market
        self._seed = seed

    def expiries(self, at: datetime) -> tuple[date, ...]:
        """The days on which listed options expire, soonest first; none is over."""
        today = at.date()
        friday = today + timedelta(days=(_FRIDAY - today.weekday()) % 7)
        days = {friday + week * 7 * _DAY for week in range(_WEEKS + 1)}
        soon = sorted(day for day in days if anchor(day) > at)[:_WEEKS]
        monthly = (self._market.expiry(today, months) for months in range(_MONTHS))
        return tuple(sorted({*soon, *(day for day in monthly if anchor(day) > at)}))

    def contracts(self, root: str, expiry: date, at: datetime) -> Iterator[Contract]:
        """The calls and puts of one expiry, by strike."""
        today = at.date()
        spot = float(self._market.last(root, at))
        midnight = max(tick_of(new_york(on, time())) for on in (today - _DAY, today) if new_york(on, time()) <= at)
        years = (anchor(expiry) - at) / _YEAR
        strikes = sorted({self._market.near_strike(root, today, steps) for steps in range(-_STEPS, _STEPS + 1)})
        for strike in strikes:
            for right, sign in (("C", 1), ("P", -1)):
                symbol = option_symbol(Option(root, expiry, right, strike))
                yield Contract(
                    symbol,
                    self._market.quote(symbol, at),
                    self._tape.volume(symbol, midnight, tick_of(at) + 1),
                    stir(salt_of(f"{self._seed}/interest/{symbol}"), today.toordinal()) % 20_000,
                    greeks(spot, float(strike), years, sign=sign),
                )
