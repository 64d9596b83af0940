"""Below the waterline: the symbols of the wire, OSI options and CQS equities.

``parse_symbol`` takes either; ``str()`` of what comes out is the symbol as the API takes it. Anything that is no symbol
is a ``SymbolError``, which says where the fault is.
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
    """Read a symbol of either sort, as the API writes it (documented).

    Args:
        symbol: CQS, such as ``IBM/B``, or OSI, such as ``TSLA251031C00437500``, padded or not. No stock's symbol has
            a digit in it, and no option's is without, so a digit decides.

    Returns:
        Its parts.

    Raises:
        SymbolError: it is neither; the error says where.
    """
    is_like_option = any(letter in "0123456789" for letter in symbol)
    return parse_option(symbol) if is_like_option else parse_equity(symbol)
