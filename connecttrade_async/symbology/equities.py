"""Below the waterline: stock symbols as the NYSE's CQS writes them, and as brokers show them.

| what | CQS (documented) | with dots | with dashes |
| --- | --- | --- | --- |
| common | ``IBM`` | ``IBM`` | ``IBM`` |
| preferred | ``IBMp`` | ``IBM.PR`` | ``IBM-P`` |
| preferred, series A | ``IBMpA`` | ``IBM.PRA`` | ``IBM-PA`` |
| class B shares | ``IBM/B`` | ``IBM.B`` | ``IBM-B`` |
| rights | ``IBMr`` | ``IBM.RT`` | ``IBM-RT`` |
| warrants | ``IBM/WS`` | ``IBM.WS`` | ``IBM-WS`` |
| warrants, series A | ``IBM/WS/A`` | ``IBM.WS.A`` | ``IBM-WS-A`` |
| when-issued | ``IBMw`` | ``IBM.WI`` | ``IBM-WI`` |

Assumed: the two right-hand columns, since brokers differ and the vendor documents CQS alone; so are warrants with a
series (CQS has them) and a root of 1 to 6 capital letters. Every conversion has an inverse, but one: class P shares
have no dashed form, because ``IBM-P`` is the preferred share, and a symbol that would be read as another is refused.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import takewhile
from string import ascii_uppercase
from typing import NoReturn

from connecttrade_async.errors import SymbolError
from connecttrade_async.models.fields import Model

__all__ = ["EquityKind", "EquitySymbol", "is_equity", "parse_dashed", "parse_dotted", "parse_equity"]

_ROOT_WIDTH = 6

_CQS_SUFFIXES = "p, p and a letter, r, w, / and a letter, or /WS may follow the root (parse_dotted reads BRK.B)"
_DOTTED_SUFFIXES = "a dot and a letter, .PR, .PR and a letter, .RT, .WS or .WI may follow the root"
_DASHED_SUFFIXES = "a dash and a letter, -P, -P and a letter, -RT, -WS or -WI may follow the root"


class EquityKind(StrEnum):
    """What kind of share a symbol names (documented)."""

    COMMON = "common"
    PREFERRED = "preferred"
    CLASS = "class"
    RIGHTS = "rights"
    WARRANTS = "warrants"
    WHEN_ISSUED = "when-issued"


class _Notation:
    """One way of writing the kinds: what stands behind the root, before the series letter if there is one."""

    __slots__ = ("before", "readings")

    def __init__(self, *, bare: dict[EquityKind, str], lettered: dict[EquityKind, str]) -> None:
        self.before = {(kind, False): text for kind, text in bare.items()}
        self.before |= {(kind, True): text for kind, text in lettered.items()}
        self.readings = {text + letter: (kind, letter) for kind, text in lettered.items() for letter in ascii_uppercase}
        # After the letters, and over them: -P is the preferred share, and not class P.
        self.readings |= {text: (kind, "") for kind, text in bare.items()}


_CQS = _Notation(
    bare={
        EquityKind.COMMON: "",
        EquityKind.PREFERRED: "p",
        EquityKind.RIGHTS: "r",
        EquityKind.WARRANTS: "/WS",
        EquityKind.WHEN_ISSUED: "w",
    },
    lettered={EquityKind.PREFERRED: "p", EquityKind.CLASS: "/", EquityKind.WARRANTS: "/WS/"},
)
_DOTTED = _Notation(
    bare={
        EquityKind.COMMON: "",
        EquityKind.PREFERRED: ".PR",
        EquityKind.RIGHTS: ".RT",
        EquityKind.WARRANTS: ".WS",
        EquityKind.WHEN_ISSUED: ".WI",
    },
    lettered={EquityKind.PREFERRED: ".PR", EquityKind.CLASS: ".", EquityKind.WARRANTS: ".WS."},
)
_DASHED = _Notation(
    bare={
        EquityKind.COMMON: "",
        EquityKind.PREFERRED: "-P",
        EquityKind.RIGHTS: "-RT",
        EquityKind.WARRANTS: "-WS",
        EquityKind.WHEN_ISSUED: "-WI",
    },
    lettered={EquityKind.PREFERRED: "-P", EquityKind.CLASS: "-", EquityKind.WARRANTS: "-WS-"},
)


class EquitySymbol(Model, frozen=True, kw_only=True, gc=False):
    """One stock, in parts. ``str()`` of it is its symbol as the API takes it.

    Attributes:
        root: the issuer's symbol, 1 to 6 capital letters.
        kind: what kind of share.
        series: the letter of a class, always; of a series of preferred shares or warrants, if it has one; else ``""``.

    Raises:
        SymbolError: the parts make no symbol.
    """

    root: str
    kind: EquityKind = EquityKind.COMMON
    series: str = ""

    def __post_init__(self) -> None:
        """Refuse what has no symbol."""
        _check_root(self.root, self.root)
        has_series = self.series != ""
        before = _CQS.before.get((self.kind, has_series))
        if before is None:
            expected = "no letter follows" if has_series else "a letter must follow"
            _refuse(self.root, len(self.root), f"of the kind {self.kind}, {expected} the root")
        if f"{before}{self.series}" not in _CQS.readings:
            written = self.root + before
            _refuse(written, len(written), f"a series is one capital letter, unlike {self.series!r}")

    def __str__(self) -> str:
        return self.root + self._suffix(_CQS)

    @property
    def dotted(self) -> str:
        """The symbol with a dot, as some brokers show it: ``BRK.B``, ``IBM.PRA``."""
        return self.root + self._suffix(_DOTTED)

    @property
    def dashed(self) -> str:
        """The symbol with a dash, as some brokers show it: ``BRK-B``, ``IBM-PA``.

        Raises:
            SymbolError: these are class P shares, whose dashed form is that of the preferred share.
        """
        suffix = self._suffix(_DASHED)
        if _DASHED.readings[suffix] != (self.kind, self.series):
            problem = f"it has no dashed form, since {self.root + suffix} is a preferred share"
            _refuse(str(self), len(str(self)) - 1, problem)
        return self.root + suffix

    def _suffix(self, notation: _Notation) -> str:
        return notation.before[self.kind, self.series != ""] + self.series


def parse_equity(symbol: str) -> EquitySymbol:
    """Read a stock's symbol as the API writes it (documented).

    Args:
        symbol: CQS: ``AAPL``, ``IBMp``, ``IBMpA``, ``IBM/B``, ``IBMr``, ``IBM/WS``, ``IBMw``.

    Returns:
        Its parts; ``str()`` of them is the same symbol again.

    Raises:
        SymbolError: it is no stock's symbol; the error says where.
    """
    return _parse(symbol, _CQS, _CQS_SUFFIXES)


def parse_dotted(symbol: str) -> EquitySymbol:
    """Read a stock's symbol as some brokers show it, with a dot (``Assumed:``, see the table above).

    Args:
        symbol: ``BRK.B``, ``IBM.PR``, ``IBM.PRA``, ``IBM.RT``, ``IBM.WS``, ``IBM.WI``, or without a dot ``IBM``.

    Returns:
        Its parts; ``str()`` of them is the symbol that the API takes.

    Raises:
        SymbolError: it is no such symbol; the error says where.
    """
    return _parse(symbol, _DOTTED, _DOTTED_SUFFIXES)


def parse_dashed(symbol: str) -> EquitySymbol:
    """Read a stock's symbol as some brokers show it, with a dash (``Assumed:``, see the table above).

    Args:
        symbol: ``BRK-B``, ``IBM-P``, ``IBM-PA``, ``IBM-RT``, ``IBM-WS``, ``IBM-WI``, or without a dash ``IBM``.

    Returns:
        Its parts; ``str()`` of them is the symbol that the API takes.

    Raises:
        SymbolError: it is no such symbol; the error says where.
    """
    return _parse(symbol, _DASHED, _DASHED_SUFFIXES)


def is_equity(symbol: str) -> bool:
    """Whether ``parse_equity`` can read it."""
    try:
        parse_equity(symbol)
    except SymbolError:
        return False
    return True


def _parse(symbol: str, notation: _Notation, expected: str) -> EquitySymbol:
    at = _letters(symbol)
    _check_root(symbol[: max(at, 1)], symbol)
    suffix = symbol[at:]
    if suffix not in notation.readings:
        good = max(_agreement(suffix, known) for known in notation.readings)
        _refuse(symbol, at + good, expected)
    kind, series = notation.readings[suffix]
    return EquitySymbol(root=symbol[:at], kind=kind, series=series)


def _agreement(one: str, other: str) -> int:
    """How many characters the two have in common from their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _letters(text: str) -> int:
    """How many capital letters it begins with."""
    return len(text) - len(text.lstrip(ascii_uppercase))


def _check_root(root: object, symbol: str) -> None:
    if not isinstance(root, str):
        _refuse("", 0, "the root must be text")
    good = _letters(root)
    if good < len(root) or not root:
        _refuse(symbol, good, "a root is made of capital letters")
    if len(root) > _ROOT_WIDTH:
        _refuse(symbol, _ROOT_WIDTH, f"the root has {len(root)} letters, and {_ROOT_WIDTH} is the most")


def _refuse(symbol: str, position: int, problem: str) -> NoReturn:
    raise SymbolError(symbol=symbol, position=position, problem=problem)
