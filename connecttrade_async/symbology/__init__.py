"""Symbols of the API: OSI for options, CQS for equities.

``parse_symbol`` parses either; ``str()`` of its result is the symbol for the API. A text that is not a symbol raises
``SymbolError``, which has the position of the error.
"""

from __future__ import annotations

from connecttrade_async.symbology.classification import classify, classify_any
from connecttrade_async.symbology.equities import (
    EquityKind,
    EquitySymbol,
    is_equity,
    parse_dashed,
    parse_dotted,
    parse_equity,
)
from connecttrade_async.symbology.options import (
    OptionRight,
    OptionSymbol,
    build_option,
    is_option,
    parse_option,
)

__all__ = [
    "EquityKind",
    "EquitySymbol",
    "OptionRight",
    "OptionSymbol",
    "build_option",
    "classify",
    "classify_any",
    "is_equity",
    "is_option",
    "parse_dashed",
    "parse_dotted",
    "parse_equity",
    "parse_option",
    "parse_symbol",
]


def parse_symbol(symbol: str) -> EquitySymbol | OptionSymbol:
    """Parse the symbol of a stock or an option, in the API's notation (documented).

    Args:
        symbol: CQS, such as ``IBM/B``, or OSI, such as ``TSLA251031C00437500``, padded or not. Only the symbols of
            options contain digits, so a symbol with a digit is parsed as an option.

    Returns:
        The parsed symbol.

    Raises:
        SymbolError: the text is neither; ``position`` is the place of the error.
    """
    is_like_option = any(letter in "0123456789" for letter in symbol)
    return parse_option(symbol) if is_like_option else parse_equity(symbol)
