"""The world's market: what can be held, and what one of it costs on a given day.

A price is a function of seed, symbol and date alone, so any day can be asked for in any order and answers the same.
"""

import math
import re
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

__all__ = ["LISTINGS", "Listing", "Market", "Option", "is_option", "multiplier", "option_symbol", "parse_option"]

_OSI = re.compile(r"([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})", re.ASCII)
_CENT = Decimal("0.01")
_FRIDAY = 4
_WAVES = ((97, 0.11), (23, 0.04), (5, 0.012))
"""Period in days and height of the swings that make a price move."""


class Listing(NamedTuple):
    """A stock that the sandbox's brokers hold. `kind` is the CQS kind; `price` its middle in dollars."""

    symbol: str
    kind: str
    price: str
    dividend: str = "0"


LISTINGS = (
    Listing("AAPL", "common", "228.40", "0.26"),
    Listing("MSFT", "common", "412.75", "0.83"),
    Listing("NVDA", "common", "134.10", "0.01"),
    Listing("KO", "common", "63.85", "0.51"),
    Listing("F", "common", "10.92", "0.15"),
    Listing("SPY", "common", "571.30", "1.75"),
    Listing("IBMp", "preferred", "24.15", "0.37"),
    Listing("IBMpA", "preferred series", "25.40", "0.39"),
    Listing("IBM/B", "class", "181.60", "1.67"),
    Listing("IBMr", "rights", "1.35"),
    Listing("IBM/WS", "warrants", "12.80"),
    Listing("IBMw", "when-issued", "178.05"),
)
"""One stock at least of every CQS kind of the wire contract."""

_BASES = {listing.symbol: float(listing.price) for listing in LISTINGS}


class Option(NamedTuple):
    """What an OCC OSI symbol says. `strike` is in dollars, `right` is ``C`` or ``P``."""

    root: str
    expiry: date
    right: str
    strike: Decimal


def parse_option(symbol: str) -> Option | None:
    """Read an OSI symbol without padding (documented), or answer None if it is a stock's symbol."""
    match = _OSI.fullmatch(symbol)
    if match is None:
        return None
    root, year, month, day, right, strike = match.groups()
    try:
        expiry = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return None
    return Option(root, expiry, right, Decimal(strike) / 1000)


def option_symbol(option: Option) -> str:
    """Write an option as its OSI symbol: root, YYMMDD, C or P, and eight digits of strike x 1000."""
    return f"{option.root}{option.expiry:%y%m%d}{option.right}{int(option.strike * 1000):08d}"


def is_option(symbol: str) -> bool:
    """Whether the symbol is an option's."""
    return parse_option(symbol) is not None


def multiplier(symbol: str) -> int:
    """How many units one contract or share stands for: 100 for an option, 1 for a stock."""
    return 100 if is_option(symbol) else 1


class Market:
    """Prices of every symbol on every day, in dollars, as exact cents."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._shapes: dict[str, tuple[float, list[float]]] = {}
        self._prices: dict[tuple[str, date], Decimal] = {}

    def price(self, symbol: str, on: date) -> Decimal:
        """The last price of a stock, or the premium of an option per unit, on a day. At least one cent for a stock."""
        key = (symbol, on)
        found = self._prices.get(key)
        if found is None:
            option = parse_option(symbol)
            found = self._stock(symbol, on) if option is None else self._premium(option, on)
            self._prices[key] = found
        return found

    def expiry(self, after: date, months: int) -> date:
        """The third Friday of the month so many months ahead, when its monthly options expire."""
        year, month = divmod(after.year * 12 + after.month - 1 + months, 12)
        first = date(year, month + 1, 1)
        return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)

    def near_strike(self, root: str, on: date, steps: int = 0) -> Decimal:
        """A listed strike, in dollars: the one nearest the price, or so many strikes above (or below) it."""
        spot = self.price(root, on)
        gap = Decimal(5) if spot > 100 else Decimal("0.5")  # noqa: PLR2004  exchanges list dear stocks in wider steps
        return max(gap, (spot / gap).quantize(Decimal(1)) * gap + steps * gap)

    def _stock(self, symbol: str, on: date) -> Decimal:
        base, phases = self._shape(symbol)
        turns = zip(_WAVES, phases, strict=True)
        swing = sum(height * math.sin(math.tau * (on.toordinal() / days + phase)) for (days, height), phase in turns)
        return max(_CENT, Decimal(base * math.exp(swing)).quantize(_CENT))

    def _shape(self, symbol: str) -> tuple[float, list[float]]:
        if symbol not in self._shapes:
            random = Random(f"{self._seed}/market/{symbol}")  # noqa: S311  a pretend market needs no secrecy
            base = _BASES.get(symbol) or random.uniform(5, 300)
            self._shapes[symbol] = (base, [random.random() for _ in _WAVES])
        return self._shapes[symbol]

    def _premium(self, option: Option, on: date) -> Decimal:
        spot = self.price(option.root, on)
        above = spot - option.strike if option.right == "C" else option.strike - spot
        inner = max(above, Decimal(0))
        days = (option.expiry - on).days
        if days <= 0:
            return inner
        width = float(spot) * 0.3 * math.sqrt(days / 365)
        time_value = 0.4 * width * math.exp(-((float(above) / width) ** 2) / 2)
        return inner + max(_CENT, Decimal(time_value).quantize(_CENT))
