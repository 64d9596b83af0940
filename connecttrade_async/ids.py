"""Client order ids, generated from the clock and the operating system's entropy.

A ticket gets its id at construction. This is the only clock and the only entropy that ``tickets`` uses; a builder
called with ``cl_order_id=`` uses neither. ``uuid7`` itself is a pure function.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from connecttrade_async.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from connecttrade_async.clock import Clock

__all__ = ["OrderIdGenerator", "issued_at", "new_order_id", "uuid7"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_COUNTER_BITS = 12
_TAIL_BITS = 62
_TAIL_BYTES = 8
_VERSION = 7
_VERSION_7 = _VERSION << 76
_VARIANT = 0b10 << _TAIL_BITS


def uuid7(ticks: int, tail: int) -> str:
    """Format a UUID of version 7 (RFC 9562), which sorts as text in the order of its ticks.

    Args:
        ticks: 4096ths of a millisecond since 1970: 48 bits of milliseconds, then 12 bits of counter.
        tail: random bits; the lowest 62 are used.

    Returns:
        36 characters: hexadecimal digits and hyphens.
    """
    milliseconds, counter = divmod(ticks, 1 << _COUNTER_BITS)
    return str(UUID(int=milliseconds << 80 | _VERSION_7 | counter << 64 | _VARIANT | tail % (1 << _TAIL_BITS)))


def issued_at(cl_order_id: str) -> datetime | None:
    """Return the time at which ``new_order_id`` issued an id, in UTC; None for an id of any other kind."""
    try:
        uuid = UUID(cl_order_id)
        return _EPOCH + (uuid.int >> 80) * _MILLISECOND if uuid.version == _VERSION else None
    except (ValueError, OverflowError):
        return None


class OrderIdGenerator:
    """A generator of ids that are unique and that increase within one thread of one process.

    Uniqueness comes from 62 bits of fresh entropy in every id, and so holds across threads, forks and machines. The
    ids also increase while the clock stands still or is set back. Two threads that generate ids within the same
    millisecond may get them in either order.

    Args:
        clock: the source of the time of day.
        entropy: a function that returns the given number of random bytes.
    """

    __slots__ = ("_clock", "_entropy", "_ticks")

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._entropy = entropy
        self._ticks = 0

    def __call__(self) -> str:
        """Generate the next id."""
        present = (self._clock.wall() - _EPOCH) // _MILLISECOND << _COUNTER_BITS
        # One more than the last at least: an overflowing counter carries into the milliseconds, so ids still increase.
        self._ticks = max(self._ticks + 1, present)
        return uuid7(self._ticks, int.from_bytes(self._entropy(_TAIL_BYTES), "big"))


_generate = OrderIdGenerator(SystemClock())


def new_order_id() -> str:
    """Generate an order id: unique, sortable by time, 36 characters of hexadecimal digits and hyphens."""
    return _generate()
