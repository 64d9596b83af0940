"""The decimal context of the sandbox, whatever the context of the program that runs it."""

import contextvars
import functools
from collections.abc import Callable
from decimal import Context, DivisionByZero, InvalidOperation, Overflow, localcontext, setcontext
from typing import ParamSpec, TypeVar

__all__ = ["ARITHMETIC", "in_arithmetic_context", "with_arithmetic"]

P = ParamSpec("P")
R = TypeVar("R")

ARITHMETIC = Context(
    prec=28,
    rounding="ROUND_HALF_EVEN",
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[DivisionByZero, InvalidOperation, Overflow],
)
"""Every setting is named: what is left out would come from `decimal.DefaultContext`, which a program may change."""


def with_arithmetic(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function so that it calculates in `ARITHMETIC`, and leaves the caller's context alone."""

    @functools.wraps(function)
    def calculate(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(ARITHMETIC):
            return function(*args, **kwargs)

    return calculate


def in_arithmetic_context() -> contextvars.Context:
    """Return a copy of the present context in which decimals calculate in `ARITHMETIC`, for tasks of a server."""
    context = contextvars.copy_context()
    context.run(setcontext, ARITHMETIC.copy())
    return context
