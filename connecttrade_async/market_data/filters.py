"""Below the waterline: what a consumer takes of what comes for its symbols, since the server is asked for more.

Bars have a rule of their own: of each symbol they go up in time, each is told once when it is over, and before that as
often as it changes. So what a link that heals tells again, or what was fetched from the past, comes only once. Only the
end of a bar may come after the next has begun: without it the bar would be missing. A bar that is over and comes again
with other numbers is a correction, and marked as one.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from connecttrade_async.errors import MalformedResponseError

if TYPE_CHECKING:
    from connecttrade_async.models.market import Bar, OptionsChain, Trade

__all__ = ["BarSequencer", "ExpirationFilter", "HoursFilter", "IntervalFilter", "start_of"]

REMEMBERED = 200  # closed bars of one symbol whose numbers are kept, to know a correction from a repetition
LATE = 4  # bars of one symbol that may be open at once: more are none that end late, but of a server that ends none


class HoursFilter(NamedTuple):
    """Trades of some hours only: what does not say its hours is taken."""

    hours: str

    def matches(self, trade: Trade) -> bool:
        """Whether a trade is wanted."""
        return trade.hours in {None, self.hours}


class IntervalFilter(NamedTuple):
    """Bars of one length."""

    interval: str

    def matches(self, bar: Bar) -> bool:
        """Whether a bar is wanted."""
        return bar.interval == self.interval


class ExpirationFilter:
    """Chains of one day, or of all: what does not say its day is taken.

    Another consumer may want the same day without greeks, under a subscription of its own, and no message says for
    which it came. So once a day's chain has come with greeks, one without them is passed over by who wants them.
    """

    __slots__ = ("_expiration", "_greeks", "_with_greeks")

    def __init__(self, expiration: str | None, *, greeks: bool) -> None:
        self._expiration = expiration
        self._greeks = greeks
        self._with_greeks: set[tuple[str, str | None]] = set()

    def matches(self, chain: OptionsChain) -> bool:
        """Whether a chain is wanted."""
        day = chain.expiration_text
        if self._expiration is not None and day not in {None, self._expiration}:
            return False
        if not self._greeks or not chain.contracts:
            return True
        if any(contract.greeks is not None for contract in chain.contracts):
            self._with_greeks.add((chain.underlying, day))
            return True
        return (chain.underlying, day) not in self._with_greeks


class BarProgress(msgspec.Struct):
    """How far one symbol's bars have come.

    Attributes:
        first: when the first that was told began.
        last: when the latest that was told began.
        over: when the latest that was told as over began, or None.
        open: when those began that were told and not yet as over, the latest of them.
        closed: the numbers of those that were told as over, hashed, by when they began; the latest of them.
    """

    first: datetime
    last: datetime
    over: datetime | None = None
    open: tuple[datetime, ...] = ()
    closed: dict[datetime, int] = {}

    def leads_to(self, start: datetime, *, is_over: bool) -> bool:
        """Whether a bar that began then is the next, or the end of one that was delivered as open."""
        if start > self.last or (start == self.last and start in self.open):
            return True
        return is_over and (start in self.open or (self.over is not None and start > self.over))

    def close(self, start: datetime, numbers: int) -> None:
        """Take note of a closed bar."""
        self.over = start if self.over is None else max(self.over, start)
        self.open = tuple(each for each in self.open if each != start)
        self.closed[start] = numbers
        if len(self.closed) > REMEMBERED:
            del self.closed[min(self.closed)]


class BarSequencer:
    """Bars, each symbol's going up in time; one that ends after the next has begun is told once more, when it does."""

    __slots__ = ("_courses",)

    def __init__(self) -> None:
        self._courses: dict[str, BarProgress] = {}

    def passed(self, bar: Bar) -> Bar | None:
        """Take a bar; return it as it is to be delivered, or None where it repeats or comes too late."""
        start, is_over = start_of(bar), bar.closed is True
        if start is None:
            return bar
        course = self._courses.get(bar.symbol)
        if course is None:
            course = self._courses[bar.symbol] = BarProgress(start, start)
        elif not course.leads_to(start, is_over=is_over):
            return _late(course, bar, start) if is_over else None
        course.last = max(course.last, start)
        if is_over:
            course.close(start, _numbers(bar))
        elif start not in course.open:
            course.open = (*course.open, start)[-LATE:]
        return bar

    def since(self, symbol: str) -> datetime | None:
        """From when on a symbol's bars may be missing or not yet over, or None where none was told."""
        course = self._courses.get(symbol)
        if course is None:
            return None
        return min((*course.open, course.last if course.over is None else course.over))

    def forget(self, symbol: str) -> None:
        """Forget a symbol."""
        self._courses.pop(symbol, None)


def _late(course: BarProgress, bar: Bar, start: datetime) -> Bar | None:
    """Return a closed bar that comes behind later ones as it is to be delivered, or None where it repeats."""
    if start < course.first:
        return None
    numbers, known = _numbers(bar), course.closed.get(start)
    if known == numbers:
        return None
    # Older than all that is kept, it was delivered too, if it was not lost, and then most likely with other numbers.
    was_told = known is not None or start < min(course.closed, default=start)
    course.close(start, numbers)
    return msgspec.structs.replace(bar, is_correction=True) if was_told else bar


def start_of(bar: Bar) -> datetime | None:
    """Return when a bar began, or None where that is unknown or cannot be read."""
    try:
        return bar.start_time
    except MalformedResponseError:
        return None


def _numbers(bar: Bar) -> int:
    """Return a hash of the numbers of a bar, the same for ``1.0`` and ``1.00``."""
    return hash(tuple(_number(bar, name) for name in ("open", "high", "low", "close", "volume")))


def _number(bar: Bar, name: str) -> object:
    try:
        return getattr(bar, name)
    except MalformedResponseError:
        return getattr(bar, f"{name}_text")
