"""The world's hours: when the pretend market is open.

``real`` keeps the hours of the New York exchanges: regular from 9:30 to 16:00, extended from 4:00 to 20:00, Monday to
Friday; it knows no holidays. ``open``, the default, is always in regular hours, so that people can try things at any
time; its trading days still begin with an opening auction at 9:30 and end with a closing one at 16:00, every day.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args

__all__ = ["Hours", "Keeping", "new_york"]

Keeping = Literal["open", "real"]

_OPENS, _CLOSES = time(9, 30), time(16)
_EARLIEST, _LATEST = time(4), time(20)
_SATURDAY = 5
_SUNDAY = 6
_DAY = timedelta(days=1)


def new_york(on: date, at: time) -> datetime:
    """A New York wall-clock time as a moment. The rule of 2007, so that no time zone data need be installed."""
    begins = _sunday(on.year, 3, 2) <= on
    ends = _sunday(on.year, 11, 1) <= on
    return datetime.combine(on, at, UTC) + timedelta(hours=4 if begins and not ends else 5)


def _sunday(year: int, month: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(_SUNDAY - first.weekday()) % 7 + 7 * (count - 1))


class Hours:
    """The hours of the market, regular and extended, and of its auctions.

    Raises:
        ValueError: there is no such way of keeping hours.
    """

    def __init__(self, keeping: Keeping = "open") -> None:
        if keeping not in get_args(Keeping):
            raise ValueError(f"hours must be one of {', '.join(get_args(Keeping))}, not {keeping!r}")
        self.keeping = keeping

    def is_open(self, at: datetime, *, extended: bool) -> bool:
        """Whether it is open at a moment; `extended` counts the hours before and after."""
        return any(start <= at for start, _ in self.spans(at, at + timedelta(microseconds=1), extended=extended))

    def spans(self, start: datetime, end: datetime, *, extended: bool) -> Iterator[tuple[datetime, datetime]]:
        """The stretches in which it is open, from `start` up to `end`."""
        if self.keeping == "open":
            if start < end:
                yield start, end
            return
        opens, closes = (_EARLIEST, _LATEST) if extended else (_OPENS, _CLOSES)
        for on in self._days(start):
            low, high = max(start, new_york(on, opens)), min(end, new_york(on, closes))
            if low >= end:
                return
            if low < high:
                yield low, high

    def auction(self, kind: str, after: datetime) -> datetime:
        """The first opening (``OPEN``) or closing (``CLOSE``) auction after a moment."""
        return self._next(_OPENS if kind == "OPEN" else _CLOSES, after)

    def day_end(self, after: datetime, *, extended: bool) -> datetime:
        """When what is good for the day stops being good: the first close after a moment."""
        return self._next(_LATEST if extended else _CLOSES, after)

    def last_open(self, at: datetime) -> datetime:
        """Return `at` itself, or the last moment before it at which the market was open."""
        if self.keeping == "open" or self.is_open(at, extended=True):
            return at
        on = at.date() + _DAY
        while on.weekday() >= _SATURDAY or new_york(on, _LATEST) > at:
            on -= _DAY
        return new_york(on, _LATEST)

    def _next(self, wall: time, after: datetime) -> datetime:
        moments = (new_york(on, wall) for on in self._days(after))
        return next(moment for moment in moments if moment > after)

    def _days(self, start: datetime) -> Iterator[date]:
        on = start.date() - _DAY
        while True:
            if self.keeping == "open" or on.weekday() < _SATURDAY:
                yield on
            on += _DAY
