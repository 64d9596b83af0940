"""Classification of a symbol from the caller: a stock, an option, another instrument, or certainly a mistake.

The API trades more than stocks and options, in symbols that are not published: cryptocurrency, futures, indices. Such
a symbol is sent unchanged. A symbol is rejected only if the client knows its correct form.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from connecttrade_async.errors import SymbolError
from connecttrade_async.symbology.equities import EquityKind, EquitySymbol, parse_dashed, parse_dotted, parse_equity
from connecttrade_async.symbology.options import OptionSymbol, parse_option

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["classify", "classify_any"]

_LONGEST = 64  # (assumed) no symbol is longer; a longer text is not a symbol
_CLASSES = "ABCDE"  # Later letters are also codes of exchanges abroad: VOD.L in London, 7203.T in Tokyo, IBM.N, MSFT.O.
_SURE_KINDS = {EquityKind.RIGHTS, EquityKind.WARRANTS, EquityKind.UNITS, EquityKind.WHEN_ISSUED}
# An option in another notation, or with a slip: 6 or 8 digits, one letter, and a strike of any width.
_LIKE_AN_OPTION = re.compile(
    r"[0-9]?[A-Z]{1,7}[0-9]? *(?:20)?[0-9]{6}(?:[CP][0-9]{1,9}(?:\.[0-9]+)?|[A-Za-z][0-9]{8})", re.ASCII
)


def classify(symbol: str) -> EquitySymbol | OptionSymbol | None:
    """Classify a symbol, and reject one that is certainly a mistake.

    Args:
        symbol: the caller's symbol: CQS, OSI (padded or not), or any other.

    Returns:
        The parsed symbol; ``str()`` of it is the symbol to send. None if the text is neither a stock nor an option in
        these notations: ``BTC/USD``, ``$SPX``, ``/ESZ6``, ``SHOP.TO``.

    Raises:
        SymbolError: the symbol is certainly a mistake, such as ``BRK.B``; the error has the API's form. Also raised
            for a text that is empty, longer than 64 characters or not printable.
    """
    _check_text(symbol)
    found = _parsed(symbol)
    if found is not None:
        return found
    if (corrected := _corrected(symbol)) is not None:
        _refuse(symbol, _first_difference(symbol, str(corrected)), f"the API writes it {corrected}")
    if _LIKE_AN_OPTION.fullmatch(symbol):
        parse_option(symbol)
    return None


def classify_any(symbol: str) -> EquitySymbol | OptionSymbol | None:
    """Classify a symbol without rejecting likely mistakes, for a caller that also names the instrument.

    Args:
        symbol: as for ``classify``.

    Returns:
        As ``classify``, but None where that rejects the symbol as a mistake.

    Raises:
        SymbolError: the text is empty, longer than 64 characters or not printable.
    """
    _check_text(symbol)
    return _parsed(symbol)


def _check_text(symbol: str) -> None:
    if len(symbol) > _LONGEST:
        _refuse(symbol, _LONGEST, f"a symbol must be at most {_LONGEST} characters, got {len(symbol)}")
    if not symbol.strip():
        _refuse(symbol, 0, "a symbol must not be empty")
    for position, letter in enumerate(symbol):
        if not letter.isprintable():
            _refuse(symbol, position, f"{letter!a} is not a printable character")


def _parsed(symbol: str) -> EquitySymbol | OptionSymbol | None:
    parsers: tuple[Callable[[str], EquitySymbol | OptionSymbol], ...] = (parse_equity, parse_option)
    for parse in parsers:
        with suppress(SymbolError):
            return parse(symbol)
    return None


def _corrected(symbol: str) -> EquitySymbol | OptionSymbol | None:
    """Return the symbol that a misspelled one certainly means; None where that is not certain."""
    stripped = symbol.strip()
    if stripped != symbol:
        return _parsed(stripped) or _corrected(stripped)
    if symbol.isascii() and symbol == symbol.lower() != symbol.upper():
        capitals = symbol.upper()
        return _parsed(capitals) or _corrected(capitals)
    if symbol.count(" ") == 1 and "." not in symbol:  # BRK B, the exchanges' CMS notation
        return _corrected(symbol.replace(" ", "."))
    for parse in (parse_dotted, parse_dashed):
        with suppress(SymbolError):
            stock = parse(symbol)
            is_certain = stock.series in _CLASSES if stock.kind is EquityKind.CLASS else stock.kind in _SURE_KINDS
            return stock if is_certain or (stock.kind is EquityKind.PREFERRED and stock.series) else None
    return None


def _first_difference(one: str, other: str) -> int:
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(other))


def _refuse(symbol: str, position: int, problem: str) -> NoReturn:
    raise SymbolError(symbol=symbol, position=position, problem=problem)
