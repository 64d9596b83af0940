"""Classification of a symbol that the caller gives: a stock, an option, neither, or surely a mistake.

The API trades more than stocks and options, in symbols that are not published: cryptocurrency, futures, indices. Such
a symbol is passed on as it is. Refused is only what the client knows how to write correctly.
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

_LONGEST = 64  # (assumed) no symbol is longer; a longer text is something else
_CLASSES = "ABCDE"  # Later letters are also codes of exchanges abroad: VOD.L in London, 7203.T in Tokyo, IBM.N, MSFT.O.
_SURE_KINDS = {EquityKind.RIGHTS, EquityKind.WARRANTS, EquityKind.UNITS, EquityKind.WHEN_ISSUED}
# An option in another notation, or with a slip: 6 or 8 digits, one letter, and a strike of any width.
_LIKE_AN_OPTION = re.compile(
    r"[0-9]?[A-Z]{1,7}[0-9]? *(?:20)?[0-9]{6}(?:[CP][0-9]{1,9}(?:\.[0-9]+)?|[A-Za-z][0-9]{8})", re.ASCII
)


def classify(symbol: str) -> EquitySymbol | OptionSymbol | None:
    """Tell what a symbol names.

    Args:
        symbol: as the caller gives it: CQS, OSI (padded or not), or any other.

    Returns:
        Its parts; ``str()`` of them is the symbol to send. None if it names neither a stock nor an option that is known
            here: ``BTC/USD``, ``$SPX``, ``/ESZ6``, ``SHOP.TO``.

    Raises:
        SymbolError: the symbol is surely a mistake, such as ``BRK.B``; the error says how the API writes it. It is
            also raised for a text that is empty, longer than 64 characters or not printable.
    """
    _check_text(symbol)
    found = _parsed(symbol)
    if found is not None:
        return found
    if (meant := _meant(symbol)) is not None:
        _refuse(symbol, _first_difference(symbol, str(meant)), f"the API writes it {meant}")
    if _LIKE_AN_OPTION.fullmatch(symbol):
        parse_option(symbol)
    return None


def classify_any(symbol: str) -> EquitySymbol | OptionSymbol | None:
    """Tell what a symbol names, of a caller who says what it is, so that even what looks like a mistake is meant.

    Args:
        symbol: as for ``classify``.

    Returns:
        As ``classify``, and None where that raises since the symbol is surely a mistake.

    Raises:
        SymbolError: the text is empty, longer than 64 characters or not printable.
    """
    _check_text(symbol)
    return _parsed(symbol)


def _check_text(symbol: str) -> None:
    if len(symbol) > _LONGEST:
        _refuse(symbol, _LONGEST, f"a symbol must be at most {_LONGEST} characters, and this one has {len(symbol)}")
    if not symbol.strip():
        _refuse(symbol, 0, "a symbol must not be empty")
    for position, letter in enumerate(symbol):
        if not letter.isprintable():
            _refuse(symbol, position, f"{letter!a} is not a printable character")


def _parsed(symbol: str) -> EquitySymbol | OptionSymbol | None:
    readers: tuple[Callable[[str], EquitySymbol | OptionSymbol], ...] = (parse_equity, parse_option)
    for read in readers:
        with suppress(SymbolError):
            return read(symbol)
    return None


def _meant(symbol: str) -> EquitySymbol | OptionSymbol | None:
    """Return what a symbol surely stands for though it is written in another way; None where that is not sure."""
    stripped = symbol.strip()
    if stripped != symbol:
        return _parsed(stripped) or _meant(stripped)
    if symbol.isascii() and symbol == symbol.lower() != symbol.upper():
        capitals = symbol.upper()
        return _parsed(capitals) or _meant(capitals)
    if symbol.count(" ") == 1 and "." not in symbol:  # BRK B, as the exchanges' CMS notation has it
        return _meant(symbol.replace(" ", "."))
    for read in (parse_dotted, parse_dashed):
        with suppress(SymbolError):
            stock = read(symbol)
            is_sure = stock.series in _CLASSES if stock.kind is EquityKind.CLASS else stock.kind in _SURE_KINDS
            return stock if is_sure or (stock.kind is EquityKind.PREFERRED and stock.series) else None
    return None


def _first_difference(one: str, other: str) -> int:
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(other))


def _refuse(symbol: str, position: int, problem: str) -> NoReturn:
    raise SymbolError(symbol=symbol, position=position, problem=problem)
