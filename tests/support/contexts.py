"""Decimal contexts that an application may have set, drawn at random."""

from __future__ import annotations

from decimal import (
    ROUND_05UP,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Clamped,
    Context,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    Subnormal,
    Underflow,
)

from hypothesis import strategies as st

__all__ = ["CONTEXTS"]

ROUNDINGS = [
    ROUND_05UP,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
]
SIGNALS = [
    Clamped,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    Subnormal,
    Underflow,
]

CONTEXTS = st.builds(
    Context,
    prec=st.integers(1, 50),
    rounding=st.sampled_from(ROUNDINGS),
    Emin=st.integers(-50, 0),
    Emax=st.integers(0, 50),
    capitals=st.integers(0, 1),
    clamp=st.integers(0, 1),
    flags=st.just([]),
    traps=st.lists(st.sampled_from(SIGNALS), unique=True),
)
