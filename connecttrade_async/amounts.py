"""Prices and quantities: parsing of arguments, and formatting for the wire.

An amount is sent with exactly the digits of the argument: nothing here rounds, and floats are rejected.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

__all__ = ["EXACT", "MOST_DECIMALS", "MOST_DIGITS", "Amount", "plain", "read_amount"]

Amount = Decimal | int | str
"""The types of a price, a quantity or a strike as an argument."""

MOST_DIGITS = 30
"""The most digits that a received number may have before its point, and after it."""

# Every setting is explicit: Context() copies the others from decimal.DefaultContext, which the application may change.
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
"""The decimal context of all calculations, instead of the application's: ``EXACT.add(a, b)``, never ``a + b``.

Sums and products of numbers of at most 30 digits on either side of the point are exact in this context: a product of
four of them has 240 digits. A quotient has 300 digits, rounded half-even; nothing raises ``Inexact`` or ``Rounded``.
"""

MOST_DECIMALS = 9  # documented
_MOST_WHOLE_DIGITS = 18  # (assumed) no amount is longer; without a bound Decimal("1E+999999999") would fill the memory
_MOST_BITS = 128
_LONGEST = 100
_MOST_SHOWN = 40
_WRITTEN = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)", re.ASCII)
_WITH_EXPONENT = re.compile(_WRITTEN.pattern + "[eE][+-]?[0-9]+", re.ASCII)
_NO_NUMBERS = frozenset({"nan", "snan", "inf", "infinity"})


def read_amount(value: object) -> Decimal:
    """Parse an amount exactly.

    Args:
        value: a Decimal, an int, or text such as ``"410.50"``.

    Returns:
        The amount: positive, with at most 9 decimals (documented), and with all decimals of the argument.

    Raises:
        ValueError: the amount cannot be sent; the message continues a sentence that begins with the amount's name.
    """
    amount = _exact(value)
    if not amount.is_finite():
        raise ValueError(f"must be a number, got {_shown(amount)}")
    if amount <= 0:
        raise ValueError(f"must be positive, got {'0' if amount.is_zero() else _shown(amount)}")
    if amount.adjusted() >= _MOST_WHOLE_DIGITS:
        raise ValueError(f"must have at most {_MOST_WHOLE_DIGITS} digits before the point, got more")
    decimals = -int(amount.as_tuple().exponent)
    if decimals > MOST_DECIMALS:
        raise ValueError(f"must have at most {MOST_DECIMALS} decimals, got {decimals}")
    return amount


def plain(amount: Decimal) -> str:
    """Format an amount for the API: digits, a point if it has decimals, never an exponent (documented)."""
    return format(amount, "f")


def _exact(value: object) -> Decimal:
    if isinstance(value, bool):
        raise ValueError(f"must be a number, got {value}")  # noqa: TRY004 - collected with the other problems
    if isinstance(value, float):
        # A float such as 0.1 is not exactly the number that it shows, so it would send other digits than were meant.
        raise ValueError(f"must be a Decimal, an int or text, got the float {value!r}")  # noqa: TRY004 - collected too
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int):
        # A longer int is rejected for its size unconverted: converting a million digits would block the event loop.
        return Decimal(value) if value.bit_length() <= _MOST_BITS else Decimal("1E+99" if value > 0 else "-1E+99")
    if isinstance(value, str):
        return _from_text(value)
    raise ValueError(f"must be a Decimal, an int or text, got {type(value).__name__}")


def _shown(amount: Decimal) -> str:
    # str() would depend on the application's decimal context, which may write the exponent as e or E.
    return EXACT.to_sci_string(amount)[:_MOST_SHOWN]


def _from_text(text: str) -> Decimal:
    if len(text) > _LONGEST:
        raise ValueError(f"must be at most {_LONGEST} characters, got {len(text)}")
    if _WRITTEN.fullmatch(text):
        return Decimal(text)
    shown = repr(text[:_MOST_SHOWN])
    if _WITH_EXPONENT.fullmatch(text):
        raise ValueError(f"must be written in digits without an exponent, got {shown}")
    if text.strip().lstrip("+-").lower() in _NO_NUMBERS:
        raise ValueError(f"must be a number, got {shown}")
    raise ValueError(f"must be written in digits with at most one point, got {shown}")
