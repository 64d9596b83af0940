"""Option symbols in the notation of the OCC's Option Symbology Initiative (OSI), without padding.

``TSLA251031C00437500`` (documented) is the root, the expiry as YYMMDD, C or P, and a thousand times the strike in eight
digits. The OCC's own form pads the root with spaces to six characters. It is parsed too, and only ``padded`` writes it.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NoReturn

from msgspec.structs import force_setattr

from connecttrade_async.amounts import Amount, plain, read_amount
from connecttrade_async.errors import SymbolError, shown
from connecttrade_async.models.fields import Model

__all__ = ["OptionRight", "OptionSymbol", "build_option", "is_option", "parse_option"]

_ROOT_WIDTH = 6
_DATE_WIDTH = 6
_STRIKE_WIDTH = 8
_STRIKE_DECIMALS = 3
_WHOLE_WIDTH = _STRIKE_WIDTH - _STRIKE_DECIMALS
_CENTURY = 2000
_LAST_YEAR = 2099
_LAST_MONTH = 12
# ASCII only: ``str.isdigit`` and ``\d`` accept digits of every script, which the API does not know.
_LETTERS_AND_DIGITS = re.compile(r"[A-Z0-9]*", re.ASCII)
_DIGITS = re.compile(r"[0-9]*", re.ASCII)
_ANY_DIGIT = re.compile(r"[0-9]", re.ASCII)
_FULL_YEAR = re.compile(r"([A-Z0-9]*[A-Z]) *20([0-9]{6}[CP][0-9]{8})", re.ASCII)
_HALF_A_YEAR = re.compile(r"[A-Z]20\Z", re.ASCII)
_LAST_NON_DIGIT = re.compile(r"[^0-9](?=[0-9]*\Z)", re.ASCII | re.DOTALL)


class OptionRight(StrEnum):
    """The right of an option: call or put (documented)."""

    CALL = "C"
    PUT = "P"


class OptionSymbol(Model, frozen=True, kw_only=True, gc=False):
    """The parsed symbol of an option. ``str()`` of it is the symbol, without padding.

    Attributes:
        root: 1 to 6 capital letters and digits, at least one of them a letter (adjusted and FLEX options have digits).
            It does not end with a letter and ``20``, which would be the first half of a four-digit year.
        expiry: the day of expiry, 2000 to 2099.
        right: ``C`` or ``P``.
        strike: dollars per share, stored with 3 decimals, ``0.001`` to ``99999.999``.

    Raises:
        SymbolError: a part cannot be expressed in a symbol.
    """

    root: str
    expiry: date
    right: OptionRight
    strike: Decimal

    def __post_init__(self) -> None:
        """Reject parts that cannot be expressed in a symbol, and store the strike with three decimals."""
        _check_root(self.root, self.root)
        _check_expiry(self.expiry, self.root)
        written = f"{self.root}{self.expiry:%y%m%d}"
        # The struct is frozen, so an assignment would raise.
        force_setattr(self, "right", _checked_right(self.right, written))
        force_setattr(self, "strike", _checked_strike(self.strike, written + self.right))

    def __str__(self) -> str:
        return f"{self.root}{self._tail}"

    @property
    def padded(self) -> str:
        """The OCC's own form of 21 characters: the root padded with spaces to six."""
        return f"{self.root:<{_ROOT_WIDTH}}{self._tail}"

    @property
    def _tail(self) -> str:
        strike = plain(self.strike).replace(".", "")
        return f"{self.expiry:%y%m%d}{self.right}{strike:0>{_STRIKE_WIDTH}}"


def build_option(root: str, expiry: date, right: OptionRight | str, strike: Amount) -> OptionSymbol:
    """Build an option's symbol from its parts.

    Args:
        root: usually the symbol of the underlying stock, ``TSLA``.
        expiry: the day of expiry, 2000 to 2099.
        right: ``C`` or ``P``.
        strike: dollars per share, with at most 3 decimals, as a Decimal, an int or text.

    Returns:
        The option; ``str()`` of it is the symbol.

    Raises:
        SymbolError: a part cannot be expressed in a symbol.
    """
    # __post_init__ converts texts and ints to the types of the fields.
    return OptionSymbol(root=root, expiry=expiry, right=right, strike=strike)  # type: ignore[arg-type]


def parse_option(symbol: str) -> OptionSymbol:
    """Parse an option's symbol (documented).

    Args:
        symbol: ``TSLA251031C00437500``, or padded with spaces to 21 characters, ``TSLA  251031C00437500``.

    Returns:
        The parsed symbol.

    Raises:
        SymbolError: the text is not an option's symbol; ``position`` is the place of the error.
    """
    if full_year := _FULL_YEAR.fullmatch(symbol):
        _refuse(symbol, full_year.end(1), f"the year must be two digits: write {full_year[1]}{full_year[2]}")
    right_at = _find_right(symbol)
    date_at = right_at - _DATE_WIDTH
    if date_at < 1:
        _refuse(symbol, 0, "the symbol must begin with a root and then the expiry as YYMMDD")
    _check_root(_unpadded(symbol, date_at), symbol)
    return OptionSymbol(
        root=symbol[:date_at].rstrip(" "),
        expiry=_read_date(symbol, date_at),
        right=OptionRight(symbol[right_at]),
        strike=_read_strike(symbol, right_at + 1),
    )


def is_option(symbol: str) -> bool:
    """Return whether ``parse_option`` accepts a text."""
    try:
        parse_option(symbol)
    except SymbolError:
        return False
    return True


def _refuse(symbol: str, position: int, problem: str) -> NoReturn:
    raise SymbolError(symbol=symbol, position=position, problem=problem)


def _find_right(symbol: str) -> int:
    found = _LAST_NON_DIGIT.search(symbol)
    if not _ANY_DIGIT.search(symbol):
        _refuse(symbol, len(symbol), "the expiry and the strike are missing, so this is not an option")
    if found is None:
        _refuse(symbol, len(symbol), "C or P is missing, so this is not an option")
    at = found.start()
    if symbol[at] not in tuple(OptionRight):
        _refuse(symbol, at, f"before the strike there must be C or P, got {symbol[at]!r}")
    digits = len(symbol) - at - 1
    if digits != _STRIKE_WIDTH:
        position = at + 1 + min(digits, _STRIKE_WIDTH)
        _refuse(symbol, position, f"the strike must be {_STRIKE_WIDTH} digits, got {digits}")
    return at


def _unpadded(symbol: str, width: int) -> str:
    root = symbol[:width].rstrip(" ")
    if len(root) < width != _ROOT_WIDTH:
        _refuse(symbol, len(root), f"the root must be padded to {_ROOT_WIDTH} characters, or have no spaces")
    return root


def _check_root(root: object, symbol: str) -> None:
    if not isinstance(root, str):
        _refuse("", 0, "the root must be text")
    found = _LETTERS_AND_DIGITS.match(root)
    good = found.end() if found else 0
    if good < len(root):
        _refuse(symbol, good, f"the root must be capital letters and digits, got {root[good]!r}")
    if len(root) > _ROOT_WIDTH:
        _refuse(symbol, _ROOT_WIDTH, f"the root must have at most {_ROOT_WIDTH} characters, got {len(root)}")
    if not root or root.isdecimal():
        _refuse(symbol, 0, "the root must have at least one letter")
    if _HALF_A_YEAR.search(root):
        _refuse(symbol, len(root) - 2, "the root must not end with 20, which would be half of a four-digit year")


def _read_date(symbol: str, at: int) -> date:
    digits = symbol[at : at + _DATE_WIDTH]
    found = _DIGITS.match(digits)
    good = found.end() if found else 0
    if good < _DATE_WIDTH:
        _refuse(symbol, at + good, f"the expiry must be digits, YYMMDD, got {digits[good]!r}")
    year, month, day = _CENTURY + int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if not 1 <= month <= _LAST_MONTH:
        _refuse(symbol, at + 2, f"there is no month {digits[2:4]}")
    try:
        return date(year, month, day)
    except ValueError:
        _refuse(symbol, at + 4, f"there is no day {digits[4:]} in month {digits[2:4]} of {year}")


def _read_strike(symbol: str, at: int) -> Decimal:
    strike = Decimal(f"{symbol[at : at + _WHOLE_WIDTH]}.{symbol[at + _WHOLE_WIDTH :]}")
    if strike.is_zero():
        _refuse(symbol, at, "the strike must be positive, got 0")
    return strike


def _check_expiry(expiry: object, written: str) -> None:
    if not isinstance(expiry, date) or isinstance(expiry, datetime):
        _refuse(written, len(written), "the expiry must be a date, a day without a time")
    if not _CENTURY <= expiry.year <= _LAST_YEAR:
        _refuse(written, len(written), f"the year must be {_CENTURY} to {_LAST_YEAR}, got {expiry.year}")


def _checked_right(right: object, written: str) -> OptionRight:
    for known in OptionRight:
        if right == known:
            return known
    _refuse(written, len(written), f"the right must be C or P, got {shown(right)}")


def _checked_strike(strike: object, written: str) -> Decimal:
    try:
        shown_strike = plain(read_amount(strike))
    except ValueError as exc:
        raise SymbolError(symbol=written, position=len(written), problem=f"the strike {exc}") from None
    whole, _, decimals = shown_strike.partition(".")
    decimals = decimals.rstrip("0")
    whole = whole.lstrip("0")
    if len(decimals) > _STRIKE_DECIMALS:
        _refuse(written, len(written), f"the strike must have at most {_STRIKE_DECIMALS} decimals, got {shown_strike}")
    if len(whole) > _WHOLE_WIDTH:
        _refuse(written, len(written), f"the strike must be at most 99999.999, got {shown_strike}")
    return Decimal(f"{whole or '0'}.{decimals:0<{_STRIKE_DECIMALS}}")
