"""Stock symbols in the NYSE's CQS notation, and in the notations that brokers display.

| kind | CQS | with dots | with dashes |
| --- | --- | --- | --- |
| common | ``IBM`` | ``IBM`` | ``IBM`` |
| preferred | ``IBMp`` | ``IBM.PR`` | ``IBM-P`` |
| preferred, series A | ``IBMpA`` | ``IBM.PRA`` | ``IBM-PA`` |
| class B shares | ``IBM/B`` | ``IBM.B`` | ``IBM-B`` |
| rights | ``IBMr`` | ``IBM.RT`` | ``IBM-RT`` |
| warrants | ``IBM/WS`` | ``IBM.WS`` | ``IBM-WS`` |
| warrants, series A | ``IBM/WS/A`` | ``IBM.WS.A`` | ``IBM-WS-A`` |
| units | ``IBM/U`` | ``IBM.U`` | ``IBM-U`` |
| when issued | ``IBMw`` | ``IBM.WI`` | ``IBM-WI`` |
| when distributed | ``IBM/WD`` | ``IBM.WD`` | ``IBM-WD`` |
| called | ``IBM/CL`` | ``IBM.CL`` | ``IBM-CL`` |
| convertible | ``IBM/CV`` | ``IBM.CV`` | ``IBM-CV`` |
| partly paid | ``IBM/PP`` | ``IBM.PP`` | |
| emerging company | ``IBM/EC`` | ``IBM.EC`` | ``IBM-EC`` |
| test | ``IBM/TEST`` | ``IBM.TEST`` | ``IBM-TEST`` |

Shares of any kind may also be when issued, when distributed, called or convertible. A second suffix marks this, as in
``IBMpAw``, ``IBM/WSw``, ``IBM/A/CL`` and ``IBM/CV/CL``. The exchanges publish these suffixes. The vendor lists those
for preferred shares, classes, rights, warrants and when issued (documented).

The two right-hand columns are (assumed), since brokers differ. A root of 1 to 5 capital letters is (assumed) too; no
American exchange lists a longer one, so ``BTCUSD`` is not a stock. Every conversion has an inverse, except two: class P
and partly paid shares have no dashed form, because ``IBM-P`` is the preferred share and ``IBM-PP`` its series P. A
symbol that would parse as another one is rejected.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import takewhile
from string import ascii_uppercase
from typing import NoReturn

from connecttrade_async.errors import SymbolError, shown
from connecttrade_async.models.fields import Model

__all__ = ["EquityKind", "EquitySymbol", "is_equity", "parse_dashed", "parse_dotted", "parse_equity"]

_ROOT_WIDTH = 5

_CQS_SUFFIXES = (
    "p, p and a letter, r, w, / and a letter, /WS, /U, /WD, /CL or /CV may follow the root (parse_dotted reads BRK.B)"
)
_DOTTED_SUFFIXES = "a dot and a letter, .PR, .PR and a letter, .RT, .WS, .U or .WI may follow the root"
_DASHED_SUFFIXES = "a dash and a letter, -P, -P and a letter, -RT, -WS, -U or -WI may follow the root"


class EquityKind(StrEnum):
    """The kind of share, by the suffix after the root."""

    COMMON = "common"
    PREFERRED = "preferred"
    CLASS = "class"
    RIGHTS = "rights"
    WARRANTS = "warrants"
    UNITS = "units"
    WHEN_ISSUED = "when-issued"
    WHEN_DISTRIBUTED = "when-distributed"
    CALLED = "called"
    CONVERTIBLE = "convertible"
    PARTLY_PAID = "partly-paid"
    EMERGING_COMPANY = "emerging-company"
    TEST = "test"


_CONDITIONS = (EquityKind.WHEN_ISSUED, EquityKind.WHEN_DISTRIBUTED, EquityKind.CALLED, EquityKind.CONVERTIBLE)
_WITH_CONDITION = {
    EquityKind.PREFERRED: _CONDITIONS,
    EquityKind.CLASS: _CONDITIONS,
    EquityKind.RIGHTS: _CONDITIONS,
    EquityKind.WARRANTS: _CONDITIONS,
    EquityKind.UNITS: _CONDITIONS,
    EquityKind.CONVERTIBLE: (EquityKind.CALLED,),
}
_Reading = tuple[EquityKind, str, EquityKind | None]


class _Notation:
    """One notation of the kinds: the suffix after the root, and before the series letter if there is one."""

    __slots__ = ("bare", "before", "readings")

    def __init__(self, *, bare: dict[EquityKind, str], lettered: dict[EquityKind, str]) -> None:
        self.bare = bare
        self.before = {(kind, False): text for kind, text in bare.items()}
        self.before |= {(kind, True): text for kind, text in lettered.items()}
        shares: dict[str, _Reading] = {
            text + letter: (kind, letter, None) for kind, text in lettered.items() for letter in ascii_uppercase
        }
        # Fixed suffixes override letters: /U is units and not class U. Only for PP, series P overrides partly paid
        # shares, because it is more common.
        shares |= {text: (kind, "", None) for kind, text in bare.items() if kind is not EquityKind.PARTLY_PAID}
        shares = {bare[EquityKind.PARTLY_PAID]: (EquityKind.PARTLY_PAID, "", None)} | shares
        self.readings: dict[str, _Reading] = {
            text + bare[condition]: (kind, series, condition)
            for text, (kind, series, _) in shares.items()
            for condition in _WITH_CONDITION.get(kind, ())
        }
        self.readings |= shares


_CQS = _Notation(
    bare={
        EquityKind.COMMON: "",
        EquityKind.PREFERRED: "p",
        EquityKind.RIGHTS: "r",
        EquityKind.WARRANTS: "/WS",
        EquityKind.UNITS: "/U",
        EquityKind.WHEN_ISSUED: "w",
        EquityKind.WHEN_DISTRIBUTED: "/WD",
        EquityKind.CALLED: "/CL",
        EquityKind.CONVERTIBLE: "/CV",
        EquityKind.PARTLY_PAID: "/PP",
        EquityKind.EMERGING_COMPANY: "/EC",
        EquityKind.TEST: "/TEST",
    },
    lettered={EquityKind.PREFERRED: "p", EquityKind.CLASS: "/", EquityKind.WARRANTS: "/WS/"},
)


def _separated(mark: str, preferred: str) -> _Notation:
    """Return the notation with every suffix in capital letters after a mark."""
    names = {
        EquityKind.PREFERRED: preferred,
        EquityKind.RIGHTS: "RT",
        EquityKind.WARRANTS: "WS",
        EquityKind.UNITS: "U",
        EquityKind.WHEN_ISSUED: "WI",
        EquityKind.WHEN_DISTRIBUTED: "WD",
        EquityKind.CALLED: "CL",
        EquityKind.CONVERTIBLE: "CV",
        EquityKind.PARTLY_PAID: "PP",
        EquityKind.EMERGING_COMPANY: "EC",
        EquityKind.TEST: "TEST",
    }
    bare = {EquityKind.COMMON: ""} | {kind: mark + name for kind, name in names.items()}
    lettered = {
        EquityKind.PREFERRED: bare[EquityKind.PREFERRED],
        EquityKind.CLASS: mark,
        EquityKind.WARRANTS: bare[EquityKind.WARRANTS] + mark,
    }
    return _Notation(bare=bare, lettered=lettered)


_DOTTED = _separated(".", "PR")
_DASHED = _separated("-", "P")


class EquitySymbol(Model, frozen=True, kw_only=True, gc=False):
    """The parsed symbol of a stock. ``str()`` of it is the symbol for the API.

    Attributes:
        root: the issuer's symbol, 1 to 5 capital letters.
        kind: the kind of share, by the first suffix.
        series: the letter of a class, or of a series of preferred shares or warrants; else ``""``.
        condition: the second suffix: ``WHEN_ISSUED``, ``WHEN_DISTRIBUTED``, ``CALLED`` or ``CONVERTIBLE``; None without
            one.

    Raises:
        SymbolError: the parts do not form a symbol.
    """

    root: str
    kind: EquityKind = EquityKind.COMMON
    series: str = ""
    condition: EquityKind | None = None

    def __post_init__(self) -> None:
        """Reject parts that do not form a symbol."""
        _check_root(self.root, self.root)
        has_series = self.series != ""
        before = _CQS.before.get((self.kind, has_series))
        if before is None:
            expected = "no letter follows" if has_series else "a letter must follow"
            _refuse(self.root, len(self.root), f"in a symbol of the kind {self.kind}, {expected} the root")
        written = self.root + before
        share = f"{before}{self.series}"
        if share not in _CQS.readings:
            _refuse(written, len(written), f"the series must be one capital letter, got {shown(self.series)}")
        if _CQS.readings[share][:2] != (self.kind, self.series):
            other = _CQS.readings[share][0]
            _refuse(written, len(written), f"{self.root}{share} is of the kind {other}, not {self.kind}")
        if self.condition is not None and self.condition not in _WITH_CONDITION.get(self.kind, ()):
            problem = f"shares of the kind {self.kind} have no condition {self.condition}"
            _refuse(self.root + share, len(self.root + share), problem)

    def __str__(self) -> str:
        return self.root + self._suffix(_CQS)

    @property
    def dotted(self) -> str:
        """The symbol with a dot, as some brokers display it: ``BRK.B``, ``IBM.PRA``."""
        return self.root + self._suffix(_DOTTED)

    @property
    def dashed(self) -> str:
        """The symbol with a dash, as some brokers display it: ``BRK-B``, ``IBM-PA``.

        Raises:
            SymbolError: the symbol is of class P or partly paid shares, which have no dashed form of their own.
        """
        suffix = self._suffix(_DASHED)
        if _DASHED.readings[suffix] != (self.kind, self.series, self.condition):
            problem = f"the symbol has no dashed form, since {self.root + suffix} is a preferred share"
            _refuse(str(self), len(str(self)) - 1, problem)
        return self.root + suffix

    def _suffix(self, notation: _Notation) -> str:
        share = notation.before[self.kind, self.series != ""] + self.series
        return share if self.condition is None else share + notation.bare[self.condition]


def parse_equity(symbol: str) -> EquitySymbol:
    """Parse a stock's symbol in the API's notation (documented).

    Args:
        symbol: CQS: ``AAPL``, ``IBMp``, ``IBMpA``, ``IBM/B``, ``IBMr``, ``IBM/WS``, ``IBMw``, ``IBM/U``, ``IBMpAw``.

    Returns:
        The parsed symbol; ``str()`` of it equals the argument.

    Raises:
        SymbolError: the text is not a stock's symbol; ``position`` is the place of the error.
    """
    return _parse(symbol, _CQS, _CQS_SUFFIXES)


def parse_dotted(symbol: str) -> EquitySymbol:
    """Parse a stock's symbol with a dot, as some brokers display it (assumed, see the table above).

    Args:
        symbol: ``BRK.B``, ``IBM.PR``, ``IBM.PRA``, ``IBM.RT``, ``IBM.WS``, ``IBM.WI``, or without a dot ``IBM``.

    Returns:
        The parsed symbol; ``str()`` of it is the symbol for the API.

    Raises:
        SymbolError: the text is not such a symbol; ``position`` is the place of the error.
    """
    return _parse(symbol, _DOTTED, _DOTTED_SUFFIXES)


def parse_dashed(symbol: str) -> EquitySymbol:
    """Parse a stock's symbol with a dash, as some brokers display it (assumed, see the table above).

    Args:
        symbol: ``BRK-B``, ``IBM-P``, ``IBM-PA``, ``IBM-RT``, ``IBM-WS``, ``IBM-WI``, or without a dash ``IBM``.

    Returns:
        The parsed symbol; ``str()`` of it is the symbol for the API.

    Raises:
        SymbolError: the text is not such a symbol; ``position`` is the place of the error.
    """
    return _parse(symbol, _DASHED, _DASHED_SUFFIXES)


def is_equity(symbol: str) -> bool:
    """Return whether ``parse_equity`` accepts a text."""
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
    kind, series, condition = notation.readings[suffix]
    return EquitySymbol(root=symbol[:at], kind=kind, series=series, condition=condition)


def _agreement(one: str, other: str) -> int:
    """Return the length of the common prefix of two texts."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _letters(text: str) -> int:
    """Return the number of capital letters at the beginning of a text."""
    return len(text) - len(text.lstrip(ascii_uppercase))


def _check_root(root: object, symbol: str) -> None:
    if not isinstance(root, str):
        _refuse("", 0, "the root must be text")
    good = _letters(root)
    if good < len(root) or not root:
        _refuse(symbol, good, "the root must be capital letters")
    if len(root) > _ROOT_WIDTH:
        _refuse(symbol, _ROOT_WIDTH, f"the root must have at most {_ROOT_WIDTH} letters, got {len(root)}")


def _refuse(symbol: str, position: int, problem: str) -> NoReturn:
    raise SymbolError(symbol=symbol, position=position, problem=problem)
