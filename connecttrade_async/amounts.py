"""Below the waterline: prices and quantities as a caller gives them, and as the wire takes them.

What is sent is what was given, to the last digit: nothing here rounds, and no binary fraction is let in.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

__all__ = ["EXACT", "MOST_DECIMALS", "MOST_DIGITS", "Amount", "plain", "read_amount"]

Amount = Decimal | int | str
"""What a price, a quantity or a strike may be given as."""

MOST_DIGITS = 30
"""Digits that a number from outside may have before its point, and after it."""

# Every setting is given: what Context() is not given it copies from decimal.DefaultContext, which is the application's.
EXACT = Context(
    prec=10 * MOST_DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
"""The context to calculate in, instead of the application's: ``EXACT.add(a, b)``, never ``a + b``.

Sums and products of numbers of at most 30 digits on either side of the point are exact in it: a product of four of
them has 240 digits. A quotient has 300 digits, rounded half-even; nothing raises ``Inexact`` or ``Rounded``.
"""

MOST_DECIMALS = 9  # documented
_MOST_WHOLE_DIGITS = 18  # Assumed: no amount is longer; without a bound Decimal("1E+999999999") would fill the memory
_MOST_BITS = 128
_LONGEST = 100
_WRITTEN = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_WITH_EXPONENT = re.compile(_WRITTEN.pattern + "[eE][+-]?[0-9]+", re.ASCII)
_NO_NUMBERS = frozenset({"nan", "snan", "inf", "infinity"})


def read_amount(value: object) -> Decimal:
    """Read an amount exactly.

    Args:
        value: a Decimal, an int, or text such as ``"410.50"``.

    Returns:
        The amount: above zero, with at most 9 decimals (documented), and with the decimals that were given.

    Raises:
        ValueError: it cannot be sent; the message is the end of a sentence that begins with the amount's name.
    """
    amount = _exact(value)
    if not amount.is_finite():
        raise ValueError(f"must be a number, and {str(amount)[:40]} is none")
    if amount <= 0:
        raise ValueError("must be above zero" + (", and is zero" if amount.is_zero() else ", and is negative"))
    if amount.adjusted() >= _MOST_WHOLE_DIGITS:
        raise ValueError(f"is too large: it has more than {_MOST_WHOLE_DIGITS} digits before the point")
    decimals = -int(amount.as_tuple().exponent)
    if decimals > MOST_DECIMALS:
        raise ValueError(f"has {decimals} decimals, and the API takes {MOST_DECIMALS} at most")
    return amount


def plain(amount: Decimal) -> str:
    """Write an amount as the API takes it: digits, a point if it has decimals, never an exponent (documented)."""
    return format(amount, "f")


def _exact(value: object) -> Decimal:
    if isinstance(value, bool):
        raise ValueError(f"must be a number, and is {value}")  # noqa: TRY004 - collected with the other problems
    if isinstance(value, float):
        raise ValueError(  # noqa: TRY004 - likewise
            f"is the float {value!r}, which is seldom exactly the number it shows: pass text or a Decimal",
        )
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int):
        # A longer one is refused for its size; converting a million digits would block the event loop.
        return Decimal(value) if value.bit_length() <= _MOST_BITS else Decimal("1E+99" if value > 0 else "-1E+99")
    if isinstance(value, str):
        return _from_text(value)
    raise ValueError(f"must be a Decimal, an int or text, and is of type {type(value).__name__}")


def _from_text(text: str) -> Decimal:
    if len(text) > _LONGEST:
        raise ValueError(f"must be at most {_LONGEST} characters, and has {len(text)}")
    if _WRITTEN.fullmatch(text):
        return Decimal(text)
    shown = repr(text[:40])
    if _WITH_EXPONENT.fullmatch(text):
        raise ValueError(f"is written with an exponent, {shown}: write all its digits")
    if text.strip().lstrip("+-").lower() in _NO_NUMBERS:
        raise ValueError(f"must be a number, and {shown} is none")
    raise ValueError(f"must be written in digits with at most one point, unlike {shown}")
