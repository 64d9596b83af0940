"""The world's symbols: which stocks and options there are, and how each is spelled (documented).

A few hundred roots are listed (``roots.py``), and with each all that is spelled with it: preferred shares, classes and
options. An order in anything else, ``AAPLL`` or ``APPL``, is rejected as one in a symbol that is not listed. No root
that begins with ``ZZ`` will ever be listed, so that a test can have one that is not.
"""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from .roots import ROOTS

__all__ = [
    "LISTINGS",
    "Listing",
    "Option",
    "is_listed",
    "is_option",
    "is_stock",
    "multiplier",
    "option_symbol",
    "parse_option",
    "root_of",
]

_OSI = re.compile(r"([A-Z]{1,6})(\d{2})(\d{2})(\d{2})([CP])(\d{8})", re.ASCII)
_CQS = re.compile(r"([A-Z]{1,6})(?:p[A-Z]?|r|w|/[A-Z]{1,3}){0,3}", re.ASCII)


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


class Option(NamedTuple):
    """What an OCC OSI symbol says. `strike` is in dollars, `right` is ``C`` or ``P``."""

    root: str
    expiry: date
    right: str
    strike: Decimal


@lru_cache(maxsize=4096)
def parse_option(symbol: str) -> Option | None:
    """Read an OSI symbol without padding (documented), or answer None if it is no option's symbol."""
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


def is_stock(symbol: str) -> bool:
    """Whether the symbol is spelled as a stock's, with the CQS endings for its kind."""
    return _CQS.fullmatch(symbol) is not None


def is_listed(symbol: str) -> bool:
    """Whether an exchange knows a well-formed symbol, which it does if it knows its root."""
    match = _OSI.fullmatch(symbol) or _CQS.fullmatch(symbol)
    return match is not None and match[1] in ROOTS


def root_of(symbol: str) -> str:
    """The stock whose price moves this symbol's: an option's root, a stock itself."""
    option = parse_option(symbol)
    return symbol if option is None else option.root


def multiplier(symbol: str) -> int:
    """How many units one contract or share stands for: 100 for an option, 1 for a stock."""
    return 100 if is_option(symbol) else 1
