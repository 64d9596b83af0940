"""A door: where an order's own id is drawn, from the clock and from the machine's entropy.

A ticket has its id from birth, and ``tickets`` reads neither time nor dice; so this is the one thing it asks for from
above the waterline, and ``cl_order_id=`` on every builder does without it. ``uuid7`` itself is a plain function.
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
    """Write a UUID of version 7 (RFC 9562), which sorts as text in the order of its ticks.

    Args:
        ticks: 4096ths of a millisecond since 1970: 48 bits of milliseconds, then 12 bits of counter.
        tail: entropy; its lowest 62 bits are used.

    Returns:
        36 characters: hexadecimal digits and hyphens.
    """
    milliseconds, counter = divmod(ticks, 1 << _COUNTER_BITS)
    return str(UUID(int=milliseconds << 80 | _VERSION_7 | counter << 64 | _VARIANT | tail % (1 << _TAIL_BITS)))


def issued_at(cl_order_id: str) -> datetime | None:
    """Return when an id of this kind was drawn, in UTC; None for an id of any other kind."""
    try:
        uuid = UUID(cl_order_id)
        return _EPOCH + (uuid.int >> 80) * _MILLISECOND if uuid.version == _VERSION else None
    except (ValueError, OverflowError):
        return None


class OrderIdGenerator:
    """Draws ids that are unique and, from one thread of one process, each greater than the one before.

    Uniqueness rests on 62 bits of fresh entropy in every id, and so holds across threads, forks and machines. The
    order holds while the clock stands still or is set back; ids drawn by two threads within the same millisecond
    may come in either order.

    Args:
        clock: tells the time of day.
        entropy: gives so many random bytes.
    """

    __slots__ = ("_clock", "_entropy", "_ticks")

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._entropy = entropy
        self._ticks = 0

    def __call__(self) -> str:
        """Draw the next id."""
        present = (self._clock.wall() - _EPOCH) // _MILLISECOND << _COUNTER_BITS
        # One more than the last: a counter that overflows carries into the milliseconds, and order is kept.
        self._ticks = max(self._ticks + 1, present)
        return uuid7(self._ticks, int.from_bytes(self._entropy(_TAIL_BYTES), "big"))


_draw = OrderIdGenerator(SystemClock())


def new_order_id() -> str:
    """Draw an id for an order: unique, sortable by time, 36 characters of hexadecimal digits and hyphens."""
    return _draw()
